//! Weights of a file, decoded as a whole.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path};

use bytes::Bytes;
use prost::Message;

use super::proto::{TensorProto, data_type};

/// The numbers of an encoded tensor of float32 and its dimensions. Numbers outside the file are read from `folder`, that
/// of the model.
///
/// # Errors
/// The reason, as the end of a sentence: another type, a count that contradicts the dimensions, a file that can't be
/// read.
pub(crate) fn floats(encoded: &Bytes, folder: &Path) -> Result<(Vec<f32>, Vec<i64>), String> {
    let tensor = TensorProto::decode(encoded.clone()).map_err(|error| error.to_string())?;
    let counts = tensor.dims.iter().map(|length| usize::try_from(*length).ok());
    let count = counts.into_iter().try_fold(1_usize, |product, length| product.checked_mul(length?));
    let count = count.ok_or("its dimensions make no sense")?;
    if tensor.data_type != data_type::FLOAT {
        return Err("it is not of float32".to_owned());
    }
    let numbers = if !tensor.external_data.is_empty() {
        from_raw(&read_external(&tensor, folder, count)?)
    } else if tensor.raw_data.is_empty() {
        tensor.float_data
    } else {
        from_raw(&tensor.raw_data)
    };
    match numbers.len() == count {
        true => Ok((numbers, tensor.dims)),
        false => Err(format!("it has {} numbers, not {count}", numbers.len())),
    }
}

fn from_raw(raw: &[u8]) -> Vec<f32> {
    raw.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

fn read_external(tensor: &TensorProto, folder: &Path, count: usize) -> Result<Vec<u8>, String> {
    let entry = |key: &str| tensor.external_data.iter().find(|entry| entry.key == key);
    let location = &entry("location").ok_or("it does not name its file")?.value;
    let is_inside = Path::new(location).components().all(|part| matches!(part, Component::Normal(_)));
    if !is_inside {
        return Err(format!("its file '{location}' is outside the model's folder"));
    }
    let offset = entry("offset").map_or(Ok(0), |entry| entry.value.parse());
    let offset = offset.map_err(|_| "its offset is not a number")?;
    let describe = |error: std::io::Error| format!("'{location}' can't be read: {error}");
    let mut file = File::open(folder.join(location)).map_err(describe)?;
    let length = count as u64 * 4;
    if file.metadata().map_err(describe)?.len() < length.saturating_add(offset) {
        return Err(format!("'{location}' is too short"));
    }
    file.seek(SeekFrom::Start(offset)).map_err(describe)?;
    let mut bytes = Vec::new();
    file.take(length).read_to_end(&mut bytes).map_err(describe)?;
    Ok(bytes)
}
