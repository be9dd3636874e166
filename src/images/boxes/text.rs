//! Lines of text in pixels: Noto Sans Bold, which has Latin, Greek and Cyrillic letters.

use std::sync::LazyLock;

use ab_glyph::{Font, FontRef, Glyph, PxScaleFont, ScaleFont, point};

use super::canvas::Canvas;
use super::colour::Colour;

/// Parsed once; `None` if the font is damaged, and then there is no text.
static FONT: LazyLock<Option<FontRef<'static>>> =
    LazyLock::new(|| FontRef::try_from_slice(notosans::BOLD_TTF).ok());

/// Ends a text that is too long.
const ELLIPSIS: char = '…';

/// A line of text, laid out from (0, 0) at its top left corner.
#[derive(Debug)]
pub(crate) struct Line {
    glyphs: Vec<Glyph>,
    font: PxScaleFont<&'static FontRef<'static>>,
    width: f32,
}

impl Line {
    /// As much of `text` as fits `max_width` pixels, in letters of `height` pixels; `None` if nothing fits.
    pub(crate) fn new(text: &str, height: f32, max_width: f32) -> Option<Self> {
        let font = FONT.as_ref()?.into_scaled(height);
        // A line break or tab has no letter.
        let letters = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter });
        let mut line = Self { glyphs: vec![], font, width: 0.0 };
        for letter in letters {
            line.push(letter);
            if line.width > max_width {
                line.shorten(max_width);
                break;
            }
        }
        (!line.glyphs.is_empty()).then_some(line)
    }

    pub(crate) fn width(&self) -> f32 {
        self.width
    }

    /// Draws the line with its top left corner at (x, y).
    pub(crate) fn draw(&self, canvas: &mut Canvas<'_>, (x, y): (i64, i64), colour: Colour) {
        for glyph in &self.glyphs {
            let Some(outline) = self.font.font.outline_glyph(glyph.clone()) else { continue };
            let bounds = outline.px_bounds();
            let (left, top) = (x + bounds.min.x as i64, y + bounds.min.y as i64);
            outline.draw(|column, row, coverage| {
                canvas.mix(left + i64::from(column), top + i64::from(row), colour, coverage);
            });
        }
    }

    fn push(&mut self, letter: char) {
        let id = self.font.glyph_id(letter);
        if let Some(last) = self.glyphs.last() {
            self.width += self.font.kern(last.id, id);
        }
        let baseline = point(self.width, self.font.ascent());
        self.glyphs.push(id.with_scale_and_position(self.font.scale, baseline));
        self.width += self.font.h_advance(id);
    }

    /// Replaces the last letters by an ellipsis, as many as needed.
    fn shorten(&mut self, max_width: f32) {
        let ellipsis = self.font.h_advance(self.font.glyph_id(ELLIPSIS));
        while self.width + ellipsis > max_width {
            let Some(last) = self.glyphs.pop() else { return };
            self.width = last.position.x;
        }
        self.push(ELLIPSIS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images::decode::RgbImage;

    /// The pixels of a text in white on black.
    fn drawn(text: &str) -> Vec<u8> {
        let (width, height) = (200, 20);
        let pixels = vec![0; 3 * (width * height) as usize];
        let mut image = RgbImage { width, height, pixels, original_width: width, original_height: height };
        let line = Line::new(text, 16.0, 200.0).unwrap();
        line.draw(&mut Canvas::new(&mut image), (0, 0), Colour([255; 3]));
        image.pixels
    }

    #[test]
    fn letters_of_european_languages_differ() {
        let texts = ["a", "ä", "å", "é", "ß", "ż", "λ", "ж", "ё"].map(drawn);
        for (index, text) in texts.iter().enumerate() {
            assert!(text.iter().any(|level| *level > 200), "{index} is blank");
            assert!(!texts[index + 1..].contains(text), "{index} looks like another");
        }
    }

    #[test]
    fn long_texts_end_in_an_ellipsis() {
        let long = "a".repeat(100_000);
        let line = Line::new(&long, 16.0, 100.0).unwrap();
        assert!(line.width() <= 100.0 && line.width() > 80.0, "{}", line.width());
        assert!(line.glyphs.len() < 20, "{}", line.glyphs.len());
        assert!(Line::new("wide", 16.0, 3.0).is_none_or(|line| line.width() <= 3.0 + 16.0));
        assert!(Line::new("", 16.0, 100.0).is_none());
    }

    #[test]
    fn line_breaks_are_blanks() {
        assert_eq!(drawn("a\nb"), drawn("a b"));
    }
}
