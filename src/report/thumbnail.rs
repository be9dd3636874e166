//! Small pictures within a page.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::images::Thumbnail;

/// An `<img>` of an encoded image.
///
/// # Errors
/// Why the image can't be decoded.
pub(super) fn img(bytes: &[u8], max_pixels: u64) -> Result<String, String> {
    let Thumbnail { jpeg, width, height } = Thumbnail::of_file(bytes, max_pixels)?;
    let jpeg = BASE64_STANDARD.encode(jpeg);
    Ok(format!("<img src=\"data:image/jpeg;base64,{jpeg}\" width=\"{width}\" height=\"{height}\" alt=\"\">"))
}
