//! Alternatives in braces, as shells and WebDataset write them: `{cats,dogs}/*.jpg`, `shard-{000..009}.tar`.

/// Maximum number of alternatives of one location.
const MAX_ALTERNATIVES: usize = 100_000;

/// All expansions of `pattern`, in written order; braces without `,` or `..` are literal.
///
/// A range counts up or down, and is zero-padded if one of its ends is.
///
/// # Errors
/// If there are more than 100,000 alternatives.
pub(crate) fn expand(pattern: &str) -> Result<Vec<String>, String> {
    let mut expanded = vec![String::new()];
    let mut rest = pattern;
    while let Some((before, inside, after)) = first_group(rest) {
        let mut alternatives = Vec::new();
        match range(inside) {
            Some(numbers) => alternatives.extend(numbers?),
            None => {
                for part in split(inside) {
                    alternatives.extend(expand(part)?);
                }
            }
        }
        if expanded.len().saturating_mul(alternatives.len()) > MAX_ALTERNATIVES {
            return Err(too_many());
        }
        expanded = expanded
            .iter()
            .flat_map(|start| alternatives.iter().map(move |end| format!("{start}{before}{end}")))
            .collect();
        rest = after;
    }
    expanded.iter_mut().for_each(|start| start.push_str(rest));
    Ok(expanded)
}

/// Start of the first group of alternatives.
pub(crate) fn position(pattern: &str) -> Option<usize> {
    first_group(pattern).map(|(before, ..)| before.len())
}

fn too_many() -> String {
    format!("the braces stand for more than {MAX_ALTERNATIVES} names; use a wildcard instead")
}

/// The text before the first group of alternatives, inside its braces, and after them.
fn first_group(pattern: &str) -> Option<(&str, &str, &str)> {
    pattern.match_indices('{').find_map(|(start, _)| {
        let inside = &pattern[start + 1..];
        let length = closing(inside)?;
        let (inside, after) = (&inside[..length], &inside[length + 1..]);
        (split(inside).len() > 1 || range(inside).is_some()).then_some((&pattern[..start], inside, after))
    })
}

/// Position of the brace that closes the one opened just before `text`.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    text.char_indices().find_map(|(at, character)| {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => return Some(at),
            '}' => depth -= 1,
            _ => {}
        }
        None
    })
}

/// Splits at commas outside inner braces.
fn split(inside: &str) -> Vec<&str> {
    let mut depth = 0_usize;
    let parts = inside.split(|character| {
        match character {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        character == ',' && depth == 0
    });
    parts.collect()
}

/// The numbers of `000..009`; `None` if this is not a range.
fn range(inside: &str) -> Option<Result<Vec<String>, String>> {
    let (first, last) = inside.split_once("..")?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(first) || !is_number(last) {
        return None;
    }
    let is_padded = |text: &str| text.len() > 1 && text.starts_with('0');
    let width = if is_padded(first) || is_padded(last) { first.len().max(last.len()) } else { 0 };
    let (Ok(first), Ok(last)) = (first.parse::<u64>(), last.parse::<u64>()) else {
        return Some(Err(too_many()));
    };
    if first.abs_diff(last) >= MAX_ALTERNATIVES as u64 {
        return Some(Err(too_many()));
    }
    let number = |number: u64| format!("{number:0width$}");
    Some(Ok(match first <= last {
        true => (first..=last).map(number).collect(),
        false => (last..=first).rev().map(number).collect(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_expand_as_in_a_shell() {
        for (pattern, expected) in [
            ("a.jpg", "a.jpg"),
            ("{a,b}.jpg", "a.jpg b.jpg"),
            ("{cats,dogs}/{1..3}.jpg", "cats/1.jpg cats/2.jpg cats/3.jpg dogs/1.jpg dogs/2.jpg dogs/3.jpg"),
            ("s-{008..011}.tar", "s-008.tar s-009.tar s-010.tar s-011.tar"),
            ("{8..010}", "008 009 010"),
            ("{3..1}", "3 2 1"),
            ("{0..0}", "0"),
            ("x{a,{b,c}d}y", "xay xbdy xcdy"),
            ("{a,}b", "ab b"),
            ("{a}.jpg", "{a}.jpg"),
            ("{a..b}", "{a..b}"),
            ("{{a,b}}", "{a} {b}"),
            ("{a,b", "{a,b"),
            ("a}b{", "a}b{"),
            ("{é,ü}{1..2}", "é1 é2 ü1 ü2"),
        ] {
            assert_eq!(expand(pattern).unwrap().join(" "), expected, "{pattern}");
        }
    }

    #[test]
    fn too_many_alternatives_are_rejected() {
        for pattern in ["{0..100000}", "{0..99999999999999999999999}", "{1..1000}{1..1000}"] {
            assert!(expand(pattern).unwrap_err().contains("100000 names"), "{pattern}");
        }
    }

    #[test]
    fn the_first_group_is_found_after_literal_braces() {
        assert_eq!(position("{a}/{b,c}"), Some(4));
        assert_eq!(position("{a}/b"), None);
    }
}
