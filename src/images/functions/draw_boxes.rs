//! `draw_boxes(image, boxes [, labels])`: what a detector found, drawn into the image.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::{Result, internal_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, Signature, TypeSignature, Volatility,
};
use seequel_udfs::{box_fields, check_image_type, detections_type, listed_signature};

use super::documentation;
use super::encode::{Encoding, encode};
use super::image_function::ToImage;
use super::parameters::Parameter;
use super::row_image::RowImage;
use super::rows::Call;
use crate::images::boxes::{Object, Objects, check_boxes, draw};

const SIGNATURE: &str = "draw_boxes(image, boxes [, labels])";

/// The function `draw_boxes(image, boxes [, labels])`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct DrawBoxes;

impl ToImage for DrawBoxes {
    const NAME: &'static str = "draw_boxes";
    const WAYS: &'static [&'static [Parameter]] = &[];

    fn signature() -> Signature {
        let list = |item: DataType| DataType::List(Arc::new(Field::new_list_field(item, true)));
        let boxes = list(DataType::Struct(box_fields().clone()));
        listed_signature(
            Volatility::Immutable,
            vec![
                TypeSignature::Exact(vec![DataType::BinaryView, detections_type()]),
                TypeSignature::Exact(vec![DataType::BinaryView, boxes, list(DataType::Utf8)]),
            ],
        )
    }

    fn check(args: &ReturnFieldArgs<'_>) -> Result<()> {
        let (image, boxes, labels) = match args.arg_fields {
            [image, boxes] => (image, boxes, None),
            [image, boxes, labels] => (image, boxes, Some(labels.data_type())),
            other => return plan_err!("{SIGNATURE} does not take {} arguments", other.len()),
        };
        check_image_type(SIGNATURE, image.data_type())?;
        check_boxes(SIGNATURE, boxes.data_type())?;
        match labels {
            None | Some(DataType::Null) => Ok(()),
            Some(DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _))
                if item.data_type().is_string() || item.data_type().is_null() =>
            {
                Ok(())
            }
            Some(other) => plan_err!("{SIGNATURE}: labels must be a list of texts, not {other}"),
        }
    }

    fn evaluate(args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let call = Call::new(SIGNATURE, &[], args)?;
        let objects = match call.arguments() {
            [boxes] => Objects::try_new(boxes, None)?,
            [boxes, labels] => Objects::try_new(boxes, Some(labels))?,
            _ => return internal_err!("{SIGNATURE} with other arguments passed planning"),
        };
        call.to_images(|row, image| {
            let Some(objects) = objects.get(row) else { return Ok(None) };
            drawn(image, &objects).map(Some)
        })
    }

    fn documentation() -> &'static Documentation {
        static DOCUMENTATION: LazyLock<Documentation> = LazyLock::new(|| {
            documentation(
                "The image with boxes drawn into it, in one colour for each class, with their labels and confidences. Lines and letters grow with the image; a box outside the image is left out.",
                SIGNATURE,
            )
            .with_argument(
                "boxes",
                "A list of structs: detect's result, or boxes of numbers `x0`, `y0`, `x1`, `y1` in pixels of the image as displayed, optionally with `label`, `class` and `confidence`. The first is on top.",
            )
            .with_argument("labels", "A list of texts, one for each box; the rest keep their own labels.")
            .with_sql_example("SELECT path, draw_boxes(image, detect(image, 'yolo')) FROM read_images('photos/');")
            .build()
        });
        &DOCUMENTATION
    }
}

/// The image with `objects`, in the encoding of [`Encoding::like`].
fn drawn(encoded: &RowImage<'_>, objects: &[Object<'_>]) -> Result<Vec<u8>, String> {
    let mut image = encoded.decode(|_, _| 1.0)?;
    draw(&mut image, objects);
    encode(&image, Encoding::like(encoded.bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images::boxes::colour_of;
    use crate::images::decode::{Format, Limits, decode};
    use crate::images::samples;

    #[test]
    fn boxes_are_in_pixels_of_the_image_as_displayed() {
        // Stored as 64 × 32, displayed as 32 × 64.
        let turned = samples::encode_turned(&samples::tiles(64, 32), Format::Png, 6);
        let object =
            Object { corners: Some([4.0, 40.0, 20.0, 60.0]), label: None, class: Some(2), confidence: None };
        let limits = Limits::pixels(10_000);
        let image = decode(&drawn(&RowImage::new(&turned, &limits), &[object]).unwrap(), &limits, |_, _| 1.0)
            .unwrap();
        assert_eq!((image.width, image.height), (32, 64));
        let pixel = |x: usize, y: usize| <[u8; 3]>::try_from(&image.pixels[3 * (32 * y + x)..][..3]).unwrap();
        for (x, y) in [(4, 40), (4, 50), (19, 50), (10, 59)] {
            assert_eq!(pixel(x, y), colour_of(Some(2), None).0, "{x}, {y}");
        }
        assert_ne!(pixel(10, 50), colour_of(Some(2), None).0);
    }

    #[test]
    fn large_and_damaged_images_fail() {
        let limits = Limits::pixels(1_000_000);
        let error = drawn(&RowImage::new(samples::HUGE_PNG, &limits), &[]).unwrap_err();
        assert!(error.contains("50000 × 50000"), "{error}");
        assert!(drawn(&RowImage::new(b"text", &limits), &[]).is_err());
    }
}
