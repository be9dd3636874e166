//! SQL functions of images that need no model: one a file, each a [`ScalarUDFImpl`].
//!
//! ```text
//!  image ─┬─ metadata.rs, exif_data.rs ───────────────────────────────► image_info
//!         └─ decode, no larger than needed ─► RGB ─┬─ crop, scale ─► encode ─► resize, crop, thumbnail, convert
//!                                                  └─ hash.rs ─────────────► phash
//! ```
//!
//! Functions see an image as models do: upright, RGB, 8 bits a channel, the first frame, without transparency. What
//! they return is encoded again, so that it goes wherever an image goes: into another function, a model or a file.
//! It is a JPEG where the image was one, else a PNG; metadata and colour profiles stay behind.
//!
//! **What can't be used.** A wrong argument in the query is an error of planning. Whatever a row brings, a damaged image
//! or a box beside it, makes that row's result NULL, logs a warning, and fails the query only if
//! `inference.on_error` is `fail`: see [`rows`]. `image_info` fails no row: it tells what is wrong with the headers.
//!
//! All are immutable: DataFusion evaluates them on literals while it plans, shares equal calls and moves them around.
//!
//! [`ScalarUDFImpl`]: datafusion::logical_expr::ScalarUDFImpl

mod convert;
mod crop;
mod documentation;
mod encode;
mod exif_data;
mod hash;
mod image_function;
mod image_info;
mod metadata;
mod parameters;
mod phash;
mod pixels;
mod resize;
mod rows;
mod thumbnail;

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;

use image_function::ImageFunction;

/// All functions of images that need no model.
#[must_use]
pub fn image_functions() -> Vec<Arc<ScalarUDF>> {
    vec![
        Arc::new(ScalarUDF::new_from_impl(ImageFunction::<convert::Convert>::default())),
        Arc::new(ScalarUDF::new_from_impl(ImageFunction::<crop::Crop>::default())),
        Arc::new(ScalarUDF::new_from_impl(image_info::ImageInfo::default())),
        Arc::new(ScalarUDF::new_from_impl(phash::PerceptualHash::default())),
        Arc::new(ScalarUDF::new_from_impl(ImageFunction::<resize::Resize>::default())),
        Arc::new(ScalarUDF::new_from_impl(ImageFunction::<thumbnail::Thumbnail>::default())),
    ]
}
