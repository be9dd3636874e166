//! The text of a cell: its first characters, without control characters.

use std::fmt;
use std::fmt::Write;

use datafusion::arrow::error::ArrowError;
use datafusion::arrow::util::display::ValueFormatter;

/// Characters of a value that a cell shows.
const MAX_CHARACTERS: usize = 1000;

/// The text of a value in a cell, at most [`MAX_CHARACTERS`] and `…`.
pub(super) fn excerpt_of(value: &ValueFormatter<'_>) -> Result<String, ArrowError> {
    let mut excerpt = Excerpt::new(MAX_CHARACTERS);
    match value.write(&mut excerpt) {
        Err(error) if !excerpt.is_full => Err(error),
        _ => Ok(excerpt.end()),
    }
}

/// The whole text of a value in a cell.
pub(super) fn text_of(value: &ValueFormatter<'_>) -> Result<String, ArrowError> {
    let mut text = Excerpt::new(usize::MAX);
    value.write(&mut text)?;
    Ok(text.end())
}

/// A name as the heading of a column.
pub(super) fn heading_of(name: &str) -> String {
    let mut excerpt = Excerpt::new(MAX_CHARACTERS);
    // Fails only beyond the limit.
    let _ = excerpt.write_str(name);
    excerpt.end()
}

/// Collects text up to a limit. Refusing more ends the formatting of the value, however long it is.
///
/// Control characters are escaped: they have no width, and data must not control the terminal.
struct Excerpt {
    text: String,
    left: usize,
    is_full: bool,
}

impl Excerpt {
    fn new(max_characters: usize) -> Self {
        Self { text: String::new(), left: max_characters, is_full: false }
    }

    fn end(mut self) -> String {
        if self.is_full {
            self.text.push('…');
        }
        self.text
    }
}

impl Write for Excerpt {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            if self.left == 0 {
                self.is_full = true;
                return Err(fmt::Error);
            }
            self.left -= 1;
            if character.is_control() && character != '\n' {
                self.text.extend(character.escape_default());
            } else {
                self.text.push(character);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::StringArray;
    use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};

    use super::*;

    fn texts(value: &str) -> Result<(String, String), ArrowError> {
        let array = StringArray::from(vec![value]);
        let formatter = ArrayFormatter::try_new(&array, &FormatOptions::default())?;
        Ok((excerpt_of(&formatter.value(0))?, text_of(&formatter.value(0))?))
    }

    #[test]
    fn excerpts_are_bounded_and_texts_are_not() -> Result<(), ArrowError> {
        let exact = "ä".repeat(MAX_CHARACTERS);
        assert_eq!(texts(&exact)?.0, exact);
        let long = "ä".repeat(MAX_CHARACTERS + 1);
        assert_eq!(texts(&long)?, (format!("{exact}…"), long));
        Ok(())
    }

    #[test]
    fn control_characters_are_escaped() -> Result<(), ArrowError> {
        let (excerpt, text) = texts("a\tb\r\nc\u{1b}[31m")?;
        assert_eq!(excerpt, "a\\tb\\r\nc\\u{1b}[31m");
        assert_eq!(excerpt, text);
        assert_eq!(heading_of("a\u{7}"), "a\\u{7}");
        Ok(())
    }
}
