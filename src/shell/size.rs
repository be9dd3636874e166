//! Sizes as people write them: `512m`, `2g`.

/// Bytes of a whole number with an optional unit: `b`, `k`, `m`, `g` or `t` (powers of 1024), in either case and with an
/// optional `b` or `ib` behind it.
///
/// # Errors
/// Says what a size looks like if `text` is none, is 0 or is more than a machine can address.
pub(super) fn parse(text: &str) -> Result<usize, String> {
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

#[cfg(test)]
mod tests {
    use super::*;

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
    fn other_texts_are_refused_with_a_reason() {
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
