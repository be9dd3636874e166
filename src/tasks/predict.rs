//! The struct that `predict` returns, with a field per output of the model.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field};

use crate::model::onnx::{Port, fixed_length};

/// The type of the field for one row of `port`: a number, a fixed-size list, or a list.
///
/// # Errors
/// A reason, if SQL has no matching type.
pub(crate) fn field_type(port: &Port) -> Result<DataType, String> {
    let Some(number) = port.arrow_type() else {
        return Err(format!("output {port} has a type that SQL lacks"));
    };
    let item = |number| Arc::new(Field::new_list_field(number, true));
    Ok(match fixed_length(port).map(i32::try_from) {
        Some(Ok(1)) => number,
        Some(Ok(length)) => DataType::FixedSizeList(item(number), length),
        Some(Err(_)) | None => DataType::List(item(number)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::onnx::Dim;

    fn port(dims: Option<&[usize]>, data_type: i32) -> Port {
        let dim = |length: &usize| match length {
            0 => Dim::Dynamic("n".to_owned()),
            length => Dim::Fixed(*length),
        };
        Port { name: "y".to_owned(), data_type, dims: dims.map(|dims| dims.iter().map(dim).collect()) }
    }

    #[test]
    fn field_is_a_number_or_a_list() {
        let item = |number| Arc::new(Field::new_list_field(number, true));
        let of = |dims, data_type| field_type(&port(dims, data_type));
        assert_eq!(of(Some(&[0]), 7), Ok(DataType::Int64));
        assert_eq!(of(Some(&[0, 1, 1]), 10), Ok(DataType::Float32));
        assert_eq!(of(Some(&[0, 2, 3]), 11), Ok(DataType::FixedSizeList(item(DataType::Float64), 6)));
        assert_eq!(of(Some(&[0, 2, 0]), 9), Ok(DataType::List(item(DataType::Boolean))));
        assert_eq!(of(None, 1), Ok(DataType::List(item(DataType::Float32))));
        assert_eq!(of(Some(&[0]), 8), Ok(DataType::Utf8));
        let complex = "output 'y' complex64 of unknown shape has a type that SQL lacks";
        assert_eq!(of(None, 14), Err(complex.to_owned()));
    }
}
