//! Tensors as inputs of ONNX Runtime, and its outputs as arrays.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, AsArray, BooleanArray, Float32Array, Float64Array, Int8Array, Int16Array, Int32Array,
    Int64Array, StringArray, UInt8Array, UInt16Array, UInt32Array, UInt64Array,
};
use datafusion::arrow::datatypes::{
    DataType, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type,
    UInt16Type, UInt32Type, UInt64Type,
};
use half::f16;
use ort::session::SessionInputValue;
use ort::value::{DynValue, TensorElementType, TensorRef, ValueType};

use crate::model::tensor::{BatchOutput, Numbers, Tensor, with_values};

/// The `batch` images of `tensor` from slot `first` on, without a copy.
pub(super) fn image_input(tensor: &Tensor, first: usize, batch: usize) -> ort::Result<SessionInputValue<'_>> {
    let shape = tensor.shape(batch);
    let values = tensor.image_len() * first..tensor.image_len() * (first + batch);
    Ok(with_values!(tensor.data(), data => TensorRef::from_array_view((shape, &data[values]))?.into()))
}

/// The numbers of a batch, without a copy except for booleans.
pub(super) fn numbers_input(numbers: &Numbers) -> ort::Result<SessionInputValue<'_>> {
    let Numbers { values, shape } = numbers;
    macro_rules! view {
        ($type:ty) => {
            TensorRef::from_array_view((shape.clone(), values.as_primitive::<$type>().values().as_ref()))?
                .into()
        };
    }
    Ok(match values.data_type() {
        DataType::Float16 => view!(Float16Type),
        DataType::Float64 => view!(Float64Type),
        DataType::UInt8 => view!(UInt8Type),
        DataType::UInt16 => view!(UInt16Type),
        DataType::UInt32 => view!(UInt32Type),
        DataType::UInt64 => view!(UInt64Type),
        DataType::Int8 => view!(Int8Type),
        DataType::Int16 => view!(Int16Type),
        DataType::Int32 => view!(Int32Type),
        DataType::Int64 => view!(Int64Type),
        DataType::Boolean => {
            let values: Vec<bool> = values.as_boolean().values().iter().collect();
            ort::value::Tensor::from_array((shape.clone(), values))?.into()
        }
        _ => view!(Float32Type),
    })
}

/// Why an output with so many numbers a row is refused.
pub(crate) fn too_many_elements(name: &str, elements: u64, most: u64) -> String {
    format!("output '{name}' has {elements} numbers a row, more than inference.max_output_elements ({most})")
}

/// Copies an output's numbers, of which there may be `most` for a row.
pub(super) fn batch_output(
    name: &str,
    value: &DynValue,
    batch: usize,
    most: u64,
) -> Result<BatchOutput, String> {
    let describe = |error: ort::Error| error.to_string();
    let ValueType::Tensor { ty, shape, .. } = value.dtype() else {
        return Err(format!("output '{name}' is not a tensor"));
    };
    let shape: Vec<_> = shape.iter().map(|length| usize::try_from(*length).unwrap_or(0)).collect();
    let elements = shape.iter().copied().fold(1, usize::saturating_mul) / batch.max(1);
    if elements as u64 > most {
        return Err(too_many_elements(name, elements as u64, most));
    }
    macro_rules! numbers {
        ($array:ty, $number:ty) => {
            Arc::new(<$array>::from(value.try_extract_tensor::<$number>().map_err(describe)?.1.to_vec()))
                as ArrayRef
        };
    }
    let numbers = match ty {
        TensorElementType::Float32 => numbers!(Float32Array, f32),
        TensorElementType::Float16 => {
            let (_, halves) = value.try_extract_tensor::<f16>().map_err(describe)?;
            Arc::new(Float32Array::from_iter_values(halves.iter().map(|half| half.to_f32())))
        }
        TensorElementType::Float64 => numbers!(Float64Array, f64),
        TensorElementType::Uint8 => numbers!(UInt8Array, u8),
        TensorElementType::Int8 => numbers!(Int8Array, i8),
        TensorElementType::Int32 => numbers!(Int32Array, i32),
        TensorElementType::Int64 => numbers!(Int64Array, i64),
        TensorElementType::Int16 => numbers!(Int16Array, i16),
        TensorElementType::Uint16 => numbers!(UInt16Array, u16),
        TensorElementType::Uint32 => numbers!(UInt32Array, u32),
        TensorElementType::Uint64 => numbers!(UInt64Array, u64),
        TensorElementType::Bool => numbers!(BooleanArray, bool),
        TensorElementType::String => {
            Arc::new(StringArray::from(value.try_extract_strings().map_err(describe)?.1))
        }
        other => return Err(format!("output '{name}' is of type {other}, which SQL has no type for")),
    };
    BatchOutput::new(name, &shape, numbers, batch)
}
