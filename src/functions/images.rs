//! Functions from an image to another one, or to what is known of it. No model runs.
//!
//! An image that can't be used gives NULL, and a warning in the log.

use datafusion::logical_expr::{Expr, ScalarUDF, ScalarUDFImpl};

use crate::images::functions::{
    Convert, Crop, DrawBoxes, ImageFunction, ImageInfo, PerceptualHash, Resize, Thumbnail,
};

/// The image as a file of another format: `jpeg`, `png`, `webp`, `gif`, `bmp` or `tiff`.
///
/// ```
/// use datafusion::prelude::{col, lit};
/// use seequel::functions::convert;
///
/// let png = convert(col("image"), lit("png"));
/// ```
pub fn convert(image: Expr, format: Expr) -> Expr {
    call(ImageFunction::<Convert>::default(), vec![image, format])
}

/// [`convert`] with the quality of a JPEG, 1 to 100.
///
/// ```
/// use datafusion::prelude::{col, lit};
/// use seequel::functions::convert_with_quality;
///
/// let small = convert_with_quality(col("image"), lit("jpeg"), lit(70));
/// ```
pub fn convert_with_quality(image: Expr, format: Expr, quality: Expr) -> Expr {
    call(ImageFunction::<Convert>::default(), vec![image, format, quality])
}

/// The part of an image inside a box: a struct of `x0`, `y0`, `x1`, `y1` in pixels, such as those of `detect`.
///
/// ```
/// use datafusion::prelude::col;
/// use seequel::functions::crop;
///
/// let object = crop(col("image"), col("box"));
/// ```
pub fn crop(image: Expr, edges: Expr) -> Expr {
    call(ImageFunction::<Crop>::default(), vec![image, edges])
}

/// [`crop`] with the left, top, right and bottom edge of the box, in pixels.
///
/// ```
/// use datafusion::prelude::{col, lit};
/// use seequel::functions::crop_edges;
///
/// let corner = crop_edges(col("image"), lit(0), lit(0), lit(64), lit(64));
/// ```
pub fn crop_edges(image: Expr, x0: Expr, y0: Expr, x1: Expr, y1: Expr) -> Expr {
    call(ImageFunction::<Crop>::default(), vec![image, x0, y0, x1, y1])
}

/// An image with boxes drawn on it: the list that `detect` returns, with labels and confidences.
///
/// ```
/// use datafusion::prelude::col;
/// use seequel::functions::{detect, draw_boxes};
///
/// let drawn = draw_boxes(col("image"), detect(col("image")));
/// ```
pub fn draw_boxes(image: Expr, boxes: Expr) -> Expr {
    call(ImageFunction::<DrawBoxes>::default(), vec![image, boxes])
}

/// [`draw_boxes`] with a list of labels, one per box.
///
/// ```
/// use datafusion::prelude::col;
/// use seequel::functions::draw_boxes_with_labels;
///
/// let drawn = draw_boxes_with_labels(col("image"), col("boxes"), col("labels"));
/// ```
pub fn draw_boxes_with_labels(image: Expr, boxes: Expr, labels: Expr) -> Expr {
    call(ImageFunction::<DrawBoxes>::default(), vec![image, boxes, labels])
}

/// The headers of an image file: `Struct<width, height, format, color, bits, orientation, frames, camera, taken,
/// error>`.
///
/// ```
/// use datafusion::functions::core::expr_ext::FieldAccessor;
/// use datafusion::prelude::col;
/// use seequel::functions::image_info;
///
/// let camera = image_info(col("image")).field("camera");
/// ```
pub fn image_info(image: Expr) -> Expr {
    call(ImageInfo::default(), vec![image])
}

/// A perceptual hash, which is near for images that look alike: see [`hamming_distance`](super::hamming_distance).
///
/// ```
/// use datafusion::prelude::col;
/// use seequel::functions::phash;
///
/// let hash = phash(col("image")).alias("hash");
/// ```
pub fn phash(image: Expr) -> Expr {
    call(PerceptualHash::default(), vec![image])
}

/// The image stretched to a size in pixels.
///
/// ```
/// use datafusion::prelude::{col, lit};
/// use seequel::functions::resize;
///
/// let square = resize(col("image"), lit(224), lit(224));
/// ```
pub fn resize(image: Expr, width: Expr, height: Expr) -> Expr {
    call(ImageFunction::<Resize>::default(), vec![image, width, height])
}

/// The image in its proportions, with no side longer than `max_side` pixels.
///
/// ```
/// use datafusion::prelude::{col, lit};
/// use seequel::functions::thumbnail;
///
/// let small = thumbnail(col("image"), lit(256));
/// ```
pub fn thumbnail(image: Expr, max_side: Expr) -> Expr {
    call(ImageFunction::<Thumbnail>::default(), vec![image, max_side])
}

fn call(function: impl ScalarUDFImpl + 'static, arguments: Vec<Expr>) -> Expr {
    ScalarUDF::new_from_impl(function).call(arguments)
}
