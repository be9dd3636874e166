//! SQL functions of images that need no model: one per file, each a [`ScalarUDFImpl`].
//!
//! ```text
//!  image ─┬─ images/metadata ──────────────────────────────────► image_info
//!         └─ decode, no larger than needed ─► RGB ─┬─ crop, scale ─► encode ─► resize, crop, thumbnail, convert
//!                                                  ├─ boxes drawn ─► encode ─► draw_boxes
//!                                                  └─ hash.rs ─────────────► phash
//! ```
//!
//! Functions get an image as models do: upright, RGB, 8 bits per channel, the first frame, without transparency. Their
//! results are encoded again, so that they can be passed to another function, a model or a file: as JPEG if the image
//! was one, otherwise as PNG, without metadata and colour profiles.
//!
//! **Errors.** An invalid argument in the query is a planning error. An invalid value in a row, such as a damaged image
//! or a box outside the image, makes that row's result NULL, logs a warning, and fails the query only if
//! `inference.on_error` is `fail`: see [`rows`]. The NULL of an image carries the reason, as that of an unreadable file does.
//! `image_info` fails no row: it reports errors in the headers. Beside `image_error` a function is evaluated by the operator
//! that infers, which learns what came of decoding: see [`row_image`].
//!
//! All are immutable: DataFusion evaluates them on literals during planning, shares equal calls and moves them.
//!
//! [`ScalarUDFImpl`]: datafusion::logical_expr::ScalarUDFImpl

mod convert;
mod crop;
mod draw_boxes;
pub(crate) mod encode;
mod hash;
mod image_function;
mod image_info;
mod parameters;
mod phash;
pub(crate) mod pixels;
mod resize;
mod row_image;
mod rows;
pub(crate) mod thumbnail;

use std::sync::Arc;

use datafusion::logical_expr::{DocSection, Documentation, DocumentationBuilder, ScalarUDF, ScalarUDFImpl};

pub(crate) use convert::Convert;
pub(crate) use crop::Crop;
pub(crate) use draw_boxes::DrawBoxes;
pub(crate) use image_function::ImageFunction;
pub(crate) use image_info::ImageInfo;
pub(crate) use phash::PerceptualHash;
pub(crate) use resize::Resize;
pub(crate) use row_image::DecodedRows;
pub(crate) use thumbnail::Thumbnail;

/// All functions of images that need no model.
#[must_use]
pub fn image_functions() -> Vec<Arc<ScalarUDF>> {
    vec![
        Arc::new(ScalarUDF::new_from_impl(ImageFunction::<Convert>::default())),
        Arc::new(ScalarUDF::new_from_impl(ImageFunction::<Crop>::default())),
        Arc::new(ScalarUDF::new_from_impl(ImageFunction::<DrawBoxes>::default())),
        Arc::new(ScalarUDF::new_from_impl(ImageInfo::default())),
        Arc::new(ScalarUDF::new_from_impl(PerceptualHash::default())),
        Arc::new(ScalarUDF::new_from_impl(ImageFunction::<Resize>::default())),
        Arc::new(ScalarUDF::new_from_impl(ImageFunction::<Thumbnail>::default())),
    ]
}

/// Whether `function` is one of those that decode their first argument.
pub(crate) fn decodes_image(function: &ScalarUDF) -> bool {
    let implementation: &dyn ScalarUDFImpl = function.inner().as_ref();
    implementation.is::<ImageFunction<Convert>>()
        || implementation.is::<ImageFunction<Crop>>()
        || implementation.is::<ImageFunction<DrawBoxes>>()
        || implementation.is::<PerceptualHash>()
        || implementation.is::<ImageFunction<Resize>>()
        || implementation.is::<ImageFunction<Thumbnail>>()
}

/// The start of a function's documentation.
pub(crate) fn documentation(description: &str, signature: &str) -> DocumentationBuilder {
    let section = DocSection { include: true, label: "Image Functions", description: None };
    Documentation::builder(section, description, signature).with_argument(
        "image",
        "The bytes of an image file: a binary column, or a struct with a field `bytes`.",
    )
}
