//! The struct that `predict` returns, with a field per output of the model.
//!
//! | output, after the batch | field |
//! |---|---|
//! | one number, `[]` or `[1, 1]` | a number or text |
//! | `[2, 3]` | `FixedSizeList(2 x FixedSizeList(3 x Float32))` |
//! | `[n, 4]` | `List(FixedSizeList(4 x Float32))` |
//! | of unknown rank | `List(Float32)`, flat |

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field};

use crate::model::onnx::{Dim, Port, fixed_length};

/// The type of the field for one row of `port`: a number, or lists as deep as it has dimensions.
///
/// # Errors
/// A reason, if SQL has no matching type.
pub(crate) fn field_type(port: &Port) -> Result<DataType, String> {
    let Some(number) = port.arrow_type() else {
        return Err(format!("output {port} has a type that SQL lacks"));
    };
    let item = |number| Arc::new(Field::new_list_field(number, true));
    let list_of = |items, dim: &Dim| match dim.fixed().map(i32::try_from) {
        Some(Ok(length)) => DataType::FixedSizeList(item(items), length),
        Some(Err(_)) | None => DataType::List(item(items)),
    };
    Ok(match (port.row_dims(), fixed_length(port)) {
        (_, Some(1)) => number,
        (Some(dims), _) => dims.iter().rev().fold(number, list_of),
        (None, _) => DataType::List(item(number)),
    })
}

/// The shape of one row's numbers in the field of `port`; `shape` is the one that the model gave.
///
/// # Errors
/// A reason, if the graph says otherwise.
pub(crate) fn field_shape(port: &Port, shape: &[usize]) -> Result<Vec<usize>, String> {
    let Some(dims) = port.row_dims() else { return Ok(vec![shape.iter().product()]) };
    let fits = |(dim, length): (&Dim, &usize)| dim.fixed().is_none_or(|fixed| fixed == *length);
    match dims.len() == shape.len() && dims.iter().zip(shape).all(fits) {
        true => Ok(shape.to_vec()),
        false => Err(format!("output {port} has the shape {shape:?} for a row")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(dims: Option<&[usize]>, data_type: i32) -> Port {
        let dim = |length: &usize| match length {
            0 => Dim::Dynamic("n".to_owned()),
            length => Dim::Fixed(*length),
        };
        Port { name: "y".to_owned(), data_type, dims: dims.map(|dims| dims.iter().map(dim).collect()) }
    }

    #[test]
    fn field_is_a_number_or_lists_as_deep_as_the_shape() {
        let of = |dims, data_type| field_type(&port(dims, data_type)).map(|of| of.to_string());
        let shown = |text: &str| Ok(text.to_owned());
        assert_eq!(of(Some(&[0]), 7), shown("Int64"));
        assert_eq!(of(Some(&[0, 1, 1]), 10), shown("Float32"));
        assert_eq!(of(Some(&[0, 6]), 11), shown("FixedSizeList(6 x Float64)"));
        assert_eq!(of(Some(&[0, 2, 3]), 11), shown("FixedSizeList(2 x FixedSizeList(3 x Float64))"));
        assert_eq!(of(Some(&[0, 2, 0]), 9), shown("FixedSizeList(2 x List(Boolean))"));
        assert_eq!(of(Some(&[0, 0, 4]), 1), shown("List(FixedSizeList(4 x Float32))"));
        assert_eq!(of(None, 1), shown("List(Float32)"));
        assert_eq!(of(Some(&[0]), 8), shown("Utf8"));
        let complex = "output 'y' complex64 of unknown shape has a type that SQL lacks";
        assert_eq!(of(None, 14), Err(complex.to_owned()));
    }

    #[test]
    fn shape_of_a_row_must_be_the_graphs() {
        let of = |dims, shape: &[usize]| field_shape(&port(dims, 1), shape).ok();
        assert_eq!(of(Some(&[0, 2, 0]), &[2, 5]), Some(vec![2, 5]));
        assert_eq!(of(Some(&[0, 2, 0]), &[3, 5]), None);
        assert_eq!(of(Some(&[0, 2, 3]), &[6]), None);
        assert_eq!(of(None, &[2, 3]), Some(vec![6]));
    }
}
