//! `crop(image, box)`: a part of an image.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Fields};
use datafusion::common::{Result, exec_err, internal_err, plan_err};
use datafusion::logical_expr::{ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs};
use seequel_udfs::check_image_type;

use super::encode::{Encoding, encode};
use super::image_function::ToImage;
use super::parameters;
use super::parameters::{Kind, Parameter};
use super::pixels::cut;
use super::rows::Call;

const SIGNATURE: &str = "crop(image, box)";
const EDGES_SIGNATURE: &str = "crop(image, x0, y0, x1, y1)";
/// Names of the edges, as fields of a box and as arguments.
const EDGES: [&str; 4] = ["x0", "y0", "x1", "y1"];
const PARAMETERS: &[Parameter] = &[
    Parameter { name: EDGES[0], kind: Kind::Real },
    Parameter { name: EDGES[1], kind: Kind::Real },
    Parameter { name: EDGES[2], kind: Kind::Real },
    Parameter { name: EDGES[3], kind: Kind::Real },
];

/// The function `crop(image, box)`, also `crop(image, x0, y0, x1, y1)`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Crop;

impl ToImage for Crop {
    const NAME: &'static str = "crop";
    const WAYS: &'static [&'static [Parameter]] = &[PARAMETERS];

    fn check(args: &ReturnFieldArgs<'_>) -> Result<()> {
        match args.arg_fields {
            [image, edges] => {
                check_image_type(SIGNATURE, image.data_type())?;
                check_box(edges.data_type())?;
            }
            _ => parameters::check(EDGES_SIGNATURE, args, PARAMETERS)?,
        }
        Ok(())
    }

    fn evaluate(args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let is_box = args.args.len() == 2;
        let call = Call::new(SIGNATURE, if is_box { &[] } else { PARAMETERS }, args)?;
        let boxes = Boxes::of(call.arguments())?;
        call.to_images(|row, encoded| {
            let Some(edges) = boxes.get(row) else { return Ok(None) };
            let image = encoded.decode(|_, _| 1.0)?;
            let part = cut(&image, pixels_of(edges, (image.width, image.height))?);
            encode(&part, Encoding::like(encoded.bytes)).map(Some)
        })
    }

    fn documentation() -> &'static Documentation {
        static DOCUMENTATION: LazyLock<Documentation> = LazyLock::new(|| {
            super::documentation("The part of the image inside a box.", SIGNATURE)
                .with_alternative_syntax(EDGES_SIGNATURE)
                .with_argument(
                    "box",
                    "A struct of numbers `x0`, `y0`, `x1`, `y1`, or these four as arguments: the left, top, right and bottom edge in pixels of the image as displayed, from its top left corner. Edges are rounded to whole pixels and moved into the image.",
                )
                .with_sql_example(
                    "SELECT classify(crop(image, named_struct('x0', 10, 'y0', 10, 'x1', 200, 'y1', 150))) FROM read_images('photos/');",
                )
                .build()
        });
        &DOCUMENTATION
    }
}

fn check_box(data_type: &DataType) -> Result<()> {
    let fields = match data_type {
        DataType::Null => return Ok(()),
        DataType::Struct(fields) => fields,
        other => {
            return plan_err!(
                "{SIGNATURE}: box must be a struct of x0, y0, x1 and y1, or four numbers, not {other}"
            );
        }
    };
    for edge in EDGES {
        match type_of(fields, edge) {
            Some(number) if number.is_numeric() || number.is_null() => {}
            Some(other) => return plan_err!("{SIGNATURE}: {edge} of the box must be a number, not {other}"),
            None => return plan_err!("{SIGNATURE}: the box has no field '{edge}': {data_type}"),
        }
    }
    Ok(())
}

fn type_of<'a>(fields: &'a Fields, name: &str) -> Option<&'a DataType> {
    fields.iter().find(|field| field.name() == name).map(|field| field.data_type())
}

/// The boxes of a batch, column by column in the order of [`EDGES`].
#[derive(Debug)]
struct Boxes {
    /// The box of each row as a struct, for its NULLs.
    outer: Option<ArrayRef>,
    edges: Vec<ArrayRef>,
}

impl Boxes {
    fn of(arguments: &[ArrayRef]) -> Result<Self> {
        let [boxes] = arguments else {
            return Ok(Self { outer: None, edges: arguments.to_vec() });
        };
        let outer = Some(Arc::clone(boxes));
        if boxes.data_type().is_null() {
            return Ok(Self { outer, edges: vec![] });
        }
        let Some(structs) = boxes.as_struct_opt() else {
            return internal_err!("{SIGNATURE}: a box of type {} passed planning", boxes.data_type());
        };
        let edge = |name: &&str| match structs.column_by_name(name) {
            Some(column) => Ok(cast(column, &DataType::Float64)?),
            None => exec_err!("{SIGNATURE}: the box has no field '{name}'"),
        };
        Ok(Self { outer, edges: EDGES.iter().map(edge).collect::<Result<_>>()? })
    }

    fn get(&self, row: usize) -> Option<[f64; 4]> {
        if self.outer.as_ref().is_some_and(|boxes| boxes.is_null(row)) {
            return None;
        }
        let edge = |index: usize| parameters::real(self.edges.get(index)?, row);
        Some([edge(0)?, edge(1)?, edge(2)?, edge(3)?])
    }
}

/// The pixel coordinates of a box: left, top, right, bottom, the latter two exclusive.
///
/// # Errors
/// A box that has no pixels in an image of `width` × `height`.
fn pixels_of(
    [x0, y0, x1, y1]: [f64; 4],
    (width, height): (u32, u32),
) -> Result<(u32, u32, u32, u32), String> {
    let within = |edge: f64, most: u32| edge.round().clamp(0.0, f64::from(most)) as u32;
    let (left, right) = (within(x0, width), within(x1, width));
    let (top, bottom) = (within(y0, height), within(y1, height));
    // The cast above turns NaN into 0.
    if left < right && top < bottom {
        return Ok((left, top, right, bottom));
    }
    Err(format!("the box ({x0}, {y0}, {x1}, {y1}) has no pixels of an image of {width} × {height}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_are_rounded_and_moved_into_the_image() {
        assert_eq!(pixels_of([1.4, 1.5, 3.6, 2.5], (10, 10)), Ok((1, 2, 4, 3)));
        assert_eq!(pixels_of([-5.0, -1e300, 1e300, 50.0], (10, 8)), Ok((0, 0, 10, 8)));
    }

    #[test]
    fn boxes_without_pixels_are_rejected() {
        for edges in [
            [5.0, 0.0, 5.0, 5.0],
            [6.0, 0.0, 5.0, 5.0],
            [10.0, 0.0, 20.0, 5.0],
            [0.0, 0.0, f64::NAN, 5.0],
            [1.0, 1.1, 9.0, 1.2],
        ] {
            let error = pixels_of(edges, (10, 10)).unwrap_err();
            assert!(error.contains("no pixels of an image of 10 × 10"), "{error}");
        }
    }
}
