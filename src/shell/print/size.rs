//! Parses and formats sizes: `512m`, `83 kB`.

/// Parses a whole number with an optional unit as bytes: `b`, `k`, `m`, `g` or `t` (powers of 1024), in either case,
/// optionally followed by `b` or `ib`.
///
/// # Errors
/// A description of valid sizes if `text` is not one, is 0 or is more than a machine can address.
pub(crate) fn parse(text: &str) -> Result<usize, String> {
    let text = text.trim();
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let unit = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        "t" | "tb" | "tib" => 1_usize << 40,
        unit => {
            return Err(format!(
                "there is no unit '{unit}'; write a whole number and k, m, g or t, such as 2g"
            ));
        }
    };
    if number.is_empty() {
        return Err("write a whole number and k, m, g or t, such as 2g".to_string());
    }
    match number.parse().ok().and_then(|number: usize| number.checked_mul(unit)) {
        Some(0) => Err("a size must be more than 0".to_string()),
        Some(bytes) => Ok(bytes),
        None => Err("that is more than a machine can address".to_string()),
    }
}

/// Formats bytes in the largest unit that gives at least 1 (powers of 1000): `512 B`, `83 kB`, `2.5 MB`.
pub(crate) fn describe(bytes: usize) -> String {
    let number = bytes as f64;
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..999_500 => format!("{:.0} kB", number / 1e3),
        999_500..999_950_000 => format!("{:.1} MB", number / 1e6),
        _ => format!("{:.1} GB", number / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_described_in_suitable_units() {
        let described = [0, 999, 1_000, 83_499, 999_499, 999_500, 2_549_000, 3_200_000_000].map(describe);
        assert_eq!(described, ["0 B", "999 B", "1 kB", "83 kB", "999 kB", "1.0 MB", "2.5 MB", "3.2 GB"]);
    }

    #[test]
    fn units_are_powers_of_1024() {
        for (text, bytes) in [
            ("1", 1),
            ("12b", 12),
            ("3k", 3 << 10),
            ("512 MB", 512 << 20),
            ("2g", 2 << 30),
            (" 2GiB ", 2 << 30),
            ("1T", 1 << 40),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn invalid_sizes_are_rejected_with_a_reason() {
        for (text, reason) in [
            ("", "such as 2g"),
            ("g", "such as 2g"),
            ("-1g", "no unit '-1g'"),
            ("1.5g", "no unit '.5g'"),
            ("2x", "no unit 'x'"),
            ("0m", "more than 0"),
            ("99999999999t", "more than a machine"),
            ("99999999999999999999999", "more than a machine"),
        ] {
            let message = parse(text).err().unwrap_or_default();
            assert!(message.contains(reason), "{text}: {message}");
        }
    }
}
