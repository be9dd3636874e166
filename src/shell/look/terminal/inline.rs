//! Images as PNG within escape sequences: kitty's and iTerm2's protocols.

use std::io::Cursor;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use image::{ImageFormat, RgbaImage};

/// Most characters of data in one of kitty's escape sequences.
const CHUNK: usize = 4096;

/// Shows an image over `columns` × `lines` characters by kitty's protocol, without an answer from the terminal.
///
/// # Errors
/// The encoder's.
pub(crate) fn kitty(pixels: &RgbaImage, columns: u32, lines: u32) -> Result<String, String> {
    let data = BASE64_STANDARD.encode(png(pixels)?);
    let chunks = data.as_bytes().chunks(CHUNK);
    let last = chunks.len() - 1;
    let mut text = String::new();
    for (index, chunk) in chunks.enumerate() {
        let settings =
            if index == 0 { format!("a=T,f=100,q=2,c={columns},r={lines},") } else { String::new() };
        let more = u8::from(index < last);
        text += &format!("\x1b_G{settings}m={more};{}\x1b\\", String::from_utf8_lossy(chunk));
    }
    Ok(text)
}

/// Shows an image over `columns` × `lines` characters by iTerm2's protocol.
///
/// # Errors
/// The encoder's.
pub(crate) fn iterm2(pixels: &RgbaImage, columns: u32, lines: u32) -> Result<String, String> {
    let png = png(pixels)?;
    let size = png.len();
    let data = BASE64_STANDARD.encode(png);
    Ok(format!(
        "\x1b]1337;File=inline=1;size={size};width={columns};height={lines};preserveAspectRatio=0:{data}\x07"
    ))
}

fn png(pixels: &RgbaImage) -> Result<Vec<u8>, String> {
    let mut png = Cursor::new(Vec::new());
    pixels.write_to(&mut png, ImageFormat::Png).map_err(|error| error.to_string())?;
    Ok(png.into_inner())
}

#[cfg(test)]
mod tests {
    use image::Rgba;

    use super::*;

    /// Pixels that no compression makes small.
    fn noise() -> RgbaImage {
        RgbaImage::from_fn(60, 60, |x, y| {
            let number = (x * 60 + y).wrapping_mul(2_654_435_761);
            Rgba([(number >> 8) as u8, (number >> 16) as u8, (number >> 24) as u8, 255])
        })
    }

    fn decoded(base64: &str) -> RgbaImage {
        let png = BASE64_STANDARD.decode(base64).unwrap();
        image::load_from_memory(&png).unwrap().into_rgba8()
    }

    #[test]
    fn kitty_gets_an_image_in_chunks() {
        let text = kitty(&noise(), 6, 3).unwrap();
        let chunks: Vec<_> = text.split_terminator("\x1b\\").collect();
        assert!(
            chunks.len() > 1 && chunks[0].starts_with("\x1b_Ga=T,f=100,q=2,c=6,r=3,m=1;"),
            "{}",
            chunks[0]
        );
        assert!(chunks.last().unwrap().starts_with("\x1b_Gm=0;"));
        assert!(chunks.iter().all(|chunk| chunk.split_once(';').unwrap().1.len() <= CHUNK));
        let data: String = chunks.iter().map(|chunk| chunk.split_once(';').unwrap().1).collect();
        assert_eq!(decoded(&data), noise());
    }

    #[test]
    fn iterm2_gets_an_image_with_its_size() {
        let text = iterm2(&noise(), 6, 3).unwrap();
        let (settings, data) = text.split_once(':').unwrap();
        assert!(settings.starts_with("\x1b]1337;File=inline=1;size="), "{settings}");
        assert!(settings.ends_with(";width=6;height=3;preserveAspectRatio=0"), "{settings}");
        assert_eq!(decoded(data.strip_suffix('\x07').unwrap()), noise());
    }
}
