//! What visits every pixel of an image: decoding, resizing, normalising.
//!
//! A crate of its own, since development builds optimise it and nothing else of Seequel. Its functions are not generic, or
//! call generic ones with types of their own, because a generic function is compiled with the crate that calls it.

mod decoder;
mod normalise;
mod resize;
mod webp;

pub use decoder::{limits, open_bytes, open_decoder, read_rgb8};
pub use normalise::{Order, Source, Target, inverted_cmyk_to_rgb, normalise};
pub use resize::resize;
