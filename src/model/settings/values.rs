//! Parsers for single values, which are text in OPTIONS and JSON types in files.
//!
//! | parser | from OPTIONS | from JSON |
//! |---|---|---|
//! | [`keyword`], [`text`] | `'crop'` | `"crop"` |
//! | [`number`], [`share`] | `'0.5'`, `'1/255'` | `0.5`, `"1/255"` |
//! | [`channels`] | `'0.5'`, `'0.1,0.2,0.3'`, `'[0.1, 0.2, 0.3]'` | `0.5`, `[0.1, 0.2, 0.3]` |
//! | [`count`] | `'8'` | `8` |
//! | [`size`] | `'224'`, `'320x240'` | `224`, `"320x240"` |
//!
//! An error is a reason, to complete a sentence that names the option.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde_json::Value;

/// Longest side of a model's input, in pixels.
const MAX_SIDE: u32 = 16_384;

/// Largest input, in pixels: 805 MB of float32 at three channels.
const MAX_PIXELS: u32 = 8_192 * 8_192;

/// Reads text; numbers and booleans are converted to text.
pub(crate) fn text(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.trim().to_string()),
        Value::Number(_) | Value::Bool(_) => Ok(value.to_string()),
        _ => Err(format!("{value} is not text")),
    }
}

/// Reads a keyword of type `T`.
pub(crate) fn keyword<T: FromStr<Err: fmt::Display>>(value: &Value) -> Result<T, String> {
    text(value)?.parse().map_err(|error: T::Err| error.to_string())
}

/// Reads a finite number, or a fraction such as `1/255`.
pub(crate) fn number(value: &Value) -> Result<f32, String> {
    let text = text(value)?;
    let parsed = match text.split_once('/') {
        Some((numerator, denominator)) => ratio(numerator, denominator),
        None => text.parse::<f64>().ok(),
    };
    // A number too large for f32 becomes infinite and is rejected.
    let number = parsed.map(|number| number as f32).filter(|number| number.is_finite());
    number.ok_or_else(|| format!("'{text}' is not a number"))
}

fn ratio(numerator: &str, denominator: &str) -> Option<f64> {
    Some(numerator.trim().parse::<f64>().ok()? / denominator.trim().parse::<f64>().ok()?)
}

/// Reads a fraction above 0 and at most 1.
pub(crate) fn share(value: &Value) -> Result<f32, String> {
    let share = number(value)?;
    if share > 0.0 && share <= 1.0 { Ok(share) } else { Err(format!("{share} is not above 0 and at most 1")) }
}

/// One number per channel, in channel order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct PerChannel(pub(crate) [f32; 3]);

/// Prints a single number if all channels are equal.
impl fmt::Display for PerChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, second, third] = self.0;
        if first == second && second == third {
            return write!(f, "{first}");
        }
        write!(f, "{first},{second},{third}")
    }
}

/// Reads one number for all of `count` channels (1 or 3), or one for each.
pub(crate) fn channels(value: &Value, count: usize) -> Result<PerChannel, String> {
    let items = match value {
        Value::Array(items) => items.clone(),
        other => split(&text(other)?),
    };
    let numbers = items.iter().map(number).collect::<Result<Vec<_>, _>>()?;
    match numbers.as_slice() {
        [same] => Ok(PerChannel([*same; 3])),
        [first, second, third] if count == 3 => Ok(PerChannel([*first, *second, *third])),
        _ => {
            Err(format!("{} numbers for {count} channel{}", numbers.len(), if count == 1 { "" } else { "s" }))
        }
    }
}

fn split(list: &str) -> Vec<Value> {
    let bare = list.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(list);
    bare.split(',').map(Value::from).collect()
}

/// Reads a whole number in the range `allowed`.
pub(crate) fn count(value: &Value, allowed: RangeInclusive<usize>) -> Result<usize, String> {
    let text = text(value)?;
    let number = text.parse().ok().filter(|number| allowed.contains(number));
    number.ok_or_else(|| {
        format!("'{text}' is not a whole number from {} to {}", allowed.start(), allowed.end())
    })
}

/// Width and height of an input, in pixels, checked against the limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) width: u32,
    pub(crate) height: u32,
}

impl Size {
    pub(crate) fn new(width: usize, height: usize) -> Result<Self, String> {
        let side = |side| u32::try_from(side).ok().filter(|side| (1..=MAX_SIDE).contains(side));
        match (side(width), side(height)) {
            // The product is at most 2^28, so it can't overflow.
            (Some(width), Some(height)) if width * height <= MAX_PIXELS => Ok(Self { width, height }),
            _ => Err(format!(
                "{width}x{height} is not from 1x1 to {MAX_SIDE}x{MAX_SIDE} with {MAX_PIXELS} pixels at most"
            )),
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

/// Reads `320x240` (width × height), or the side of a square.
pub(crate) fn size(value: &Value) -> Result<Size, String> {
    let text = text(value)?.to_ascii_lowercase();
    let (width, height) = text.split_once('x').unwrap_or((&text, &text));
    match (width.trim().parse(), height.trim().parse()) {
        (Ok(width), Ok(height)) => Size::new(width, height),
        _ => Err(format!("'{text}' is not a size such as 224 or 320x240 (width x height)")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_read_the_same_from_text_and_json() {
        assert_eq!(number(&json!("0.5")), number(&json!(0.5)));
        assert_eq!(number(&json!("1/255")), Ok(1.0 / 255.0));
        assert_eq!(count(&json!("8"), 1..=8), Ok(8));
        assert_eq!(size(&json!("224")), size(&json!(224)));
        assert_eq!(size(&json!("320X240")), Ok(Size { width: 320, height: 240 }));
    }

    #[test]
    fn only_finite_numbers_are_accepted() {
        for text in ["", "nan", "inf", "1e300", "1/0", "0.5f"] {
            assert_eq!(number(&json!(text)), Err(format!("'{text}' is not a number")));
        }
        assert_eq!(number(&json!(["1"])), Err("[\"1\"] is not text".to_string()));
    }

    #[test]
    fn channels_take_one_number_or_one_per_channel() {
        let mean = PerChannel([0.485, 0.456, 0.406]);
        for written in
            [json!("0.485,0.456, 0.406"), json!("[0.485, 0.456, 0.406]"), json!([0.485, 0.456, 0.406])]
        {
            assert_eq!(channels(&written, 3), Ok(mean));
        }
        assert_eq!(mean.to_string(), "0.485,0.456,0.406");
        assert_eq!(channels(&json!(127), 3).map(|same| same.to_string()), Ok("127".to_string()));
        assert_eq!(channels(&json!("1,2"), 3), Err("2 numbers for 3 channels".to_string()));
        assert_eq!(channels(&json!([1, 2, 3]), 1), Err("3 numbers for 1 channel".to_string()));
    }

    #[test]
    fn counts_and_sizes_are_limited() {
        assert_eq!(count(&json!(0), 1..=8), Err("'0' is not a whole number from 1 to 8".to_string()));
        assert_eq!(count(&json!(-1), 1..=8), Err("'-1' is not a whole number from 1 to 8".to_string()));
        let bounds = "is not from 1x1 to 16384x16384 with 67108864 pixels at most";
        for written in ["16384x4097", "0x1", "16385x1", "4294967297x1"] {
            assert_eq!(size(&json!(written)), Err(format!("{written} {bounds}")));
        }
        for written in ["x", "224x", "1x2x3", "-1"] {
            let expected = "is not a size such as 224 or 320x240 (width x height)";
            assert_eq!(size(&json!(written)), Err(format!("'{written}' {expected}")));
        }
    }
}
