//! Pixels as coloured half-blocks, two a character, for any terminal with colours.

use std::fmt::Write;

use image::RgbImage;

use super::graphics::Colours;

/// The lines of an image, `▀` for each pixel and the one below: foreground and background.
pub(crate) fn lines(pixels: &RgbImage, colours: Colours) -> Vec<String> {
    let line = |y: u32| {
        let mut line = String::new();
        for x in 0..pixels.width() {
            push_colour(&mut line, 38, pixels.get_pixel(x, y).0, colours);
            if let Some(lower) = pixels.get_pixel_checked(x, y + 1) {
                push_colour(&mut line, 48, lower.0, colours);
            }
            line.push('▀');
        }
        line + "\x1b[0m"
    };
    (0..pixels.height()).step_by(2).map(line).collect()
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
    use image::Rgb;

    use super::*;

    #[test]
    fn a_character_shows_two_pixels() {
        let pixels = RgbImage::from_fn(1, 3, |_, y| Rgb([[255, 0, 0], [0, 255, 0], [0, 0, 255]][y as usize]));
        assert_eq!(
            lines(&pixels, Colours::True),
            ["\x1b[38;2;255;0;0m\x1b[48;2;0;255;0m▀\x1b[0m", "\x1b[38;2;0;0;255m▀\x1b[0m"]
        );
        assert_eq!(
            lines(&pixels, Colours::Palette),
            ["\x1b[38;5;196m\x1b[48;5;46m▀\x1b[0m", "\x1b[38;5;21m▀\x1b[0m"]
        );
    }
}
