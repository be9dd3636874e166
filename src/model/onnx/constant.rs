//! Small tensors that a file contains, with their numbers: means, deviations, factors.

use bytes::Bytes;
use half::f16;
use prost::Message;

use super::proto::{AttributeProto, TensorProto};

/// Largest encoded tensor or attribute that is decoded: a number for each channel takes tens of bytes, and a file may
/// have any number of larger ones.
pub(crate) const MAX_CONSTANT_BYTES: usize = 1 << 10;

/// A small tensor of a graph.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Constant {
    /// Its dimensions, outermost first; none for a single number.
    pub(crate) dims: Vec<usize>,
    /// Its numbers, in row-major order.
    pub(crate) numbers: Vec<f64>,
}

impl Constant {
    /// Decodes an initializer; `None` if it is large, in another file, not of numbers, or malformed.
    pub(crate) fn of_initializer(encoded: &Bytes) -> Option<Self> {
        Self::of_tensor(&decoded::<TensorProto>(encoded)?)
    }

    /// The value of a node `Constant`, from its attributes.
    pub(crate) fn of_node(attributes: &[Bytes]) -> Option<Self> {
        let AttributeProto { name, f, i, t, floats, ints, r#type: _ } = decoded(attributes.first()?)?;
        match name.as_str() {
            "value" => Self::of_tensor(&t?),
            "value_float" => Some(Self { dims: vec![], numbers: vec![f.into()] }),
            "value_int" => Some(Self { dims: vec![], numbers: vec![i as f64] }),
            "value_floats" => Some(Self::list(floats.into_iter().map(f64::from))),
            "value_ints" => Some(Self::list(ints.into_iter().map(|int| int as f64))),
            _ => None,
        }
    }

    fn list(numbers: impl Iterator<Item = f64>) -> Self {
        let numbers: Vec<_> = numbers.collect();
        Self { dims: vec![numbers.len()], numbers }
    }

    fn of_tensor(tensor: &TensorProto) -> Option<Self> {
        if !tensor.external_data.is_empty() {
            return None;
        }
        let dims = tensor.dims.iter().map(|length| usize::try_from(*length).ok());
        let dims = dims.collect::<Option<Vec<_>>>()?;
        let count = dims.iter().try_fold(1_usize, |product, length| product.checked_mul(*length))?;
        let numbers = numbers(tensor)?;
        (numbers.len() == count).then_some(Self { dims, numbers })
    }
}

/// The attribute `name` of a node, if it has one that is small.
pub(crate) fn attribute(attributes: &[Bytes], name: &str) -> Option<AttributeProto> {
    attributes.iter().filter_map(decoded::<AttributeProto>).find(|attribute| attribute.name == name)
}

fn decoded<T: Message + Default>(encoded: &Bytes) -> Option<T> {
    if encoded.len() > MAX_CONSTANT_BYTES {
        return None;
    }
    T::decode(encoded.clone()).ok()
}

fn numbers(tensor: &TensorProto) -> Option<Vec<f64>> {
    let TensorProto { raw_data: raw, float_data, int32_data, int64_data, double_data, .. } = tensor;
    let of_ints = || int32_data.iter().copied().map(f64::from).collect();
    Some(match (tensor.data_type, raw.is_empty()) {
        (1, true) => float_data.iter().copied().map(f64::from).collect(),
        (1, false) => little_endian(raw, |bytes| f32::from_le_bytes(bytes).into()),
        (2..=6, true) => of_ints(),
        (2, false) => little_endian(raw, |bytes| u8::from_le_bytes(bytes).into()),
        (3, false) => little_endian(raw, |bytes| i8::from_le_bytes(bytes).into()),
        (4, false) => little_endian(raw, |bytes| u16::from_le_bytes(bytes).into()),
        (5, false) => little_endian(raw, |bytes| i16::from_le_bytes(bytes).into()),
        (6, false) => little_endian(raw, |bytes| i32::from_le_bytes(bytes).into()),
        (7, true) => int64_data.iter().map(|number| *number as f64).collect(),
        (7, false) => little_endian(raw, |bytes| i64::from_le_bytes(bytes) as f64),
        (10, true) => {
            let halves = int32_data.iter().map(|bits| u16::try_from(*bits).ok().map(f16::from_bits));
            halves.map(|half| Some(half?.to_f64())).collect::<Option<_>>()?
        }
        (10, false) => little_endian(raw, |bytes| f16::from_le_bytes(bytes).to_f64()),
        (11, true) => double_data.clone(),
        (11, false) => little_endian(raw, f64::from_le_bytes),
        _ => return None,
    })
}

fn little_endian<const N: usize>(raw: &[u8], read: impl Fn([u8; N]) -> f64) -> Vec<f64> {
    raw.as_chunks().0.iter().map(|bytes| read(*bytes)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(tensor: &TensorProto) -> Option<Vec<f64>> {
        Constant::of_initializer(&tensor.encode_to_vec().into()).map(|constant| constant.numbers)
    }

    #[test]
    fn numbers_are_read_from_either_field() {
        let raw = |data_type, raw: &'static [u8], count| TensorProto {
            dims: vec![count],
            data_type,
            raw_data: Bytes::from_static(raw),
            ..TensorProto::default()
        };
        let typed = TensorProto { dims: vec![1, 2], data_type: 1, ..TensorProto::default() };
        assert_eq!(read(&TensorProto { float_data: vec![0.5, 2.0], ..typed.clone() }), Some(vec![0.5, 2.0]));
        assert_eq!(
            read(&TensorProto { data_type: 10, int32_data: vec![0x3c00, 0x4000], ..typed.clone() }),
            Some(vec![1.0, 2.0])
        );
        assert_eq!(read(&raw(1, &[0, 0, 0, 0x3f], 1)), Some(vec![0.5]));
        assert_eq!(read(&raw(2, &[255, 1], 2)), Some(vec![255.0, 1.0]));
        assert_eq!(read(&raw(10, &[0, 0x3c], 1)), Some(vec![1.0]));
        assert_eq!(read(&raw(7, &[255; 8], 1)), Some(vec![-1.0]));
        // A count that differs from the shape, and a type without numbers.
        assert_eq!(read(&typed), None);
        assert_eq!(read(&raw(8, &[1], 1)), None);
    }

    #[test]
    fn large_tensors_are_not_decoded() {
        let floats = |count: usize| TensorProto {
            dims: vec![count as i64],
            data_type: 1,
            float_data: vec![1.0; count],
            ..TensorProto::default()
        };
        assert_eq!(read(&floats(64)).map(|numbers| numbers.len()), Some(64));
        assert_eq!(read(&floats(1024)), None);
        let vast = TensorProto { dims: vec![i64::MAX, i64::MAX], data_type: 1, ..TensorProto::default() };
        assert_eq!(read(&vast), None);
    }
}
