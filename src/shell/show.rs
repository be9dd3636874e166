//! `\show`: an image as coloured half-blocks, two pixels per character, for any terminal with colours.
//!
//! ```text
//!  path ─ SELECT image ─► bytes ─ decode, no larger than needed ─► RGB ─ shrink to the terminal ─► ▀ ▀ ▀
//!                                                                        upper pixel: foreground, lower: background
//! ```

use std::env;
use std::fmt::Write;
use std::io::{self, IsTerminal};

use console::Term;
use datafusion::arrow::array::{Array, AsArray, BinaryViewArray};
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::arrow::util::display::FormatOptions;
use datafusion::common::runtime::SpawnedTask;
use datafusion::common::{exec_datafusion_err, exec_err};
use datafusion::error::{DataFusionError, Result};
use image::imageops;

use crate::Engine;
use crate::config::InferenceOptions;
use crate::images::decode;
use crate::images::decode::{Limits, RgbImage};
use crate::shell::print::ShortCells;

/// Maximum size in characters and lines: a thumbnail, however large the terminal.
const MAX_COLUMNS: u32 = 80;
const MAX_LINES: u32 = 30;

/// How colours are sent to a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Colours {
    /// As 8 bits each of red, green and blue.
    True,
    /// As an index in the palette of 256 colours, whose entries 16 to 231 are a 6 × 6 × 6 cube.
    Palette,
}

/// The first image of a location, drawn for the terminal, with its description below.
///
/// # Errors
/// No terminal with colours, a location without images, or an image that can't be read or decoded.
pub(crate) async fn draw(engine: &Engine, location: &str) -> crate::Result<String> {
    let colours =
        colours(|name| env::var(name).ok()).filter(|_| io::stdout().is_terminal()).ok_or_else(|| {
            exec_datafusion_err!(
                "\\show: this terminal does not report 24-bit or 256 colours; set COLORTERM=truecolor if it has them"
            )
        })?;
    let (lines, columns) = Term::stdout().size();
    // Leave room for the caption and the next prompt.
    let lines = u32::from(lines.saturating_sub(3)).clamp(1, MAX_LINES);
    let columns = u32::from(columns).clamp(1, MAX_COLUMNS);

    let (path, images) = first_image(engine, location).await?;
    let field = Field::new("image", DataType::BinaryView, true);
    let options = FormatOptions::default();
    let summary =
        ShortCells::formatter(&images, &options, &field).and_then(|cell| cell.value(0).try_to_string());
    let summary = summary.map_err(DataFusionError::from)?;
    let max_pixels = InferenceOptions::of(engine.context().state().config_options()).max_image_pixels;
    let thumbnail =
        SpawnedTask::spawn_blocking(move || thumbnail(images.value(0), max_pixels, (columns, lines)));
    match thumbnail.join().await {
        Ok(Ok(pixels)) => Ok(format!("{}{path} {summary}\n", half_blocks(&pixels, colours))),
        Ok(Err(reason)) => Err(exec_datafusion_err!("\\show {path}: {reason}").into()),
        Err(error) => Err(DataFusionError::ExecutionJoin(Box::new(error)).into()),
    }
}

/// Path and bytes of the first image of a location, as a column of one row.
async fn first_image(engine: &Engine, location: &str) -> Result<(String, BinaryViewArray)> {
    let location = location.replace('\'', "''");
    let query = format!("SELECT path, image FROM read_images('{location}') LIMIT 1");
    let batches = engine.context().sql(&query).await?.collect().await?;
    let Some(row) = batches.first().filter(|batch| batch.num_rows() > 0) else {
        return exec_err!("\\show {location}: there is no image");
    };
    let path = row.column(0).as_string_view().value(0).to_owned();
    let images = row.column(1).as_binary_view();
    if images.is_null(0) {
        return exec_err!("\\show {path}: the file can't be read");
    }
    Ok((path, images.clone()))
}

/// The terminal's colours according to the environment; `None` if it has at most 16.
fn colours(variable: impl Fn(&str) -> Option<String>) -> Option<Colours> {
    let contains = |name: &str, words: &[&str]| {
        variable(name).is_some_and(|value| words.iter().any(|word| value.contains(word)))
    };
    if contains("COLORTERM", &["truecolor", "24bit"])
        || contains("TERM", &["direct", "kitty", "ghostty", "alacritty"])
    {
        Some(Colours::True)
    } else if contains("TERM", &["256color"]) {
        Some(Colours::Palette)
    } else {
        None
    }
}

/// Decodes an image and shrinks it to at most `columns` × (2 × `lines`) pixels.
fn thumbnail(bytes: &[u8], max_pixels: u64, (columns, lines): (u32, u32)) -> Result<image::RgbImage, String> {
    let scale = |width: u32, height: u32| {
        let (width, height) = (f64::from(width.max(1)), f64::from(height.max(1)));
        (f64::from(columns) / width).min(f64::from(2 * lines) / height).min(1.0)
    };
    let RgbImage { width, height, pixels, original_width, original_height } =
        decode(bytes, &Limits::pixels(max_pixels), scale).map_err(|error| error.to_string())?;
    let scale = scale(original_width, original_height);
    let side = |length: u32| (f64::from(length) * scale).round().max(1.0) as u32;
    let decoded =
        image::RgbImage::from_raw(width, height, pixels).ok_or("the decoder returned too few pixels")?;
    Ok(imageops::thumbnail(&decoded, side(original_width), side(original_height)))
}

fn half_blocks(pixels: &image::RgbImage, colours: Colours) -> String {
    let mut text = String::new();
    for y in (0..pixels.height()).step_by(2) {
        for x in 0..pixels.width() {
            push_colour(&mut text, 38, pixels.get_pixel(x, y).0, colours);
            if let Some(lower) = pixels.get_pixel_checked(x, y + 1) {
                push_colour(&mut text, 48, lower.0, colours);
            }
            text.push('▀');
        }
        text.push_str("\x1b[0m\n");
    }
    text
}

/// The escape sequence (SGR) that sets the foreground (38) or background (48).
fn push_colour(text: &mut String, ground: u8, [red, green, blue]: [u8; 3], colours: Colours) {
    // Writing to a String can't fail.
    let _ = match colours {
        Colours::True => write!(text, "\x1b[{ground};2;{red};{green};{blue}m"),
        Colours::Palette => {
            let [red, green, blue] = [red, green, blue].map(|level| u16::from(level) * 5 / 255);
            write!(text, "\x1b[{ground};5;{}m", 16 + 36 * red + 6 * green + blue)
        }
    };
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use image::{DynamicImage, ImageFormat, Rgb};

    use super::*;

    fn png(width: u32, height: u32) -> Vec<u8> {
        let mut png = Cursor::new(Vec::new());
        DynamicImage::new_rgb8(width, height).write_to(&mut png, ImageFormat::Png).unwrap();
        png.into_inner()
    }

    #[test]
    fn a_character_shows_two_pixels() {
        let pixels =
            image::RgbImage::from_fn(1, 3, |_, y| Rgb([[255, 0, 0], [0, 255, 0], [0, 0, 255]][y as usize]));
        assert_eq!(
            half_blocks(&pixels, Colours::True),
            "\x1b[38;2;255;0;0m\x1b[48;2;0;255;0m▀\x1b[0m\n\x1b[38;2;0;0;255m▀\x1b[0m\n"
        );
        assert_eq!(
            half_blocks(&pixels, Colours::Palette),
            "\x1b[38;5;196m\x1b[48;5;46m▀\x1b[0m\n\x1b[38;5;21m▀\x1b[0m\n"
        );
    }

    #[test]
    fn thumbnails_fit_and_are_never_enlarged() -> Result<(), String> {
        for (size, fitted) in
            [((400, 100), (80, 20)), ((100, 400), (15, 60)), ((7, 5), (7, 5)), ((4000, 1), (80, 1))]
        {
            let thumbnail = thumbnail(&png(size.0, size.1), 1_000_000, (80, 30))?;
            assert_eq!(thumbnail.dimensions(), fitted, "{size:?}");
        }
        let reason = thumbnail(&png(400, 100), 39_999, (80, 30)).err().unwrap_or_default();
        assert!(reason.contains("400 × 100 pixels"), "{reason}");
        Ok(())
    }

    #[test]
    fn colours_depend_on_the_environment() {
        let of = |name: &'static str, value: &'static str| {
            colours(move |variable: &str| (variable == name).then(|| value.to_owned()))
        };
        assert_eq!(of("COLORTERM", "truecolor"), Some(Colours::True));
        assert_eq!(of("TERM", "xterm-kitty"), Some(Colours::True));
        assert_eq!(of("TERM", "xterm-256color"), Some(Colours::Palette));
        assert_eq!(of("TERM", "xterm"), None);
    }
}
