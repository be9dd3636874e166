//! Keys of rows, and the set of those that are finished.

use std::str::FromStr;

use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType, UInt64Type};
use datafusion::common::internal_err;
use datafusion::error::Result as DataFusionResult;
use sha2::{Digest, Sha256};

/// What identifies a row, in columns of an images table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    /// The file's path: a file that changes is not done again.
    Path,
    /// Its path, size and time of modification: a file that changes is done again, beside its old row.
    Version,
}

impl Key {
    /// The columns, in the order of [`hash`].
    pub(crate) fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Path => &["path"],
            Self::Version => &["path", "size", "modified"],
        }
    }
}

impl FromStr for Key {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut names: Vec<_> = text.split(',').map(|name| name.trim().to_lowercase()).collect();
        names.sort_unstable();
        match names.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            ["path"] => Ok(Self::Path),
            ["modified", "path", "size"] => Ok(Self::Version),
            _ => Err(format!(
                "resume is 'path', or 'path, size, modified' so that files that change are done again, not '{text}'"
            )),
        }
    }
}

/// The hash of a key: the path, and for [`Key::Version`] the size in bytes and the modification in microseconds.
pub(crate) fn hash(path: &str, version: Option<(u64, i64)>) -> u128 {
    let mut digest = Sha256::new();
    digest.update(path);
    if let Some((size, modified)) = version {
        // No path has this byte.
        digest.update([0]);
        digest.update(size.to_le_bytes());
        digest.update(modified.to_le_bytes());
    }
    let digest = digest.finalize();
    let mut first = [0; size_of::<u128>()];
    first.copy_from_slice(&digest[..size_of::<u128>()]);
    u128::from_be_bytes(first)
}

/// The hashes of the keys in the columns at `positions`: the path, and the size and time of a [`Key::Version`].
///
/// # Errors
/// A bug: columns of other types.
pub(crate) fn hashes(batch: &RecordBatch, positions: &[usize]) -> DataFusionResult<Vec<u128>> {
    let column = |position: usize, data_type| cast(batch.column(position), data_type);
    let microseconds = DataType::Timestamp(TimeUnit::Microsecond, None);
    match positions {
        [path] => {
            let paths = column(*path, &DataType::Utf8View)?;
            Ok(paths.as_string_view().iter().map(|path| hash(path.unwrap_or_default(), None)).collect())
        }
        [path, size, modified] => {
            let paths = column(*path, &DataType::Utf8View)?;
            let sizes = column(*size, &DataType::UInt64)?;
            let times = column(*modified, &microseconds)?;
            let versions = sizes
                .as_primitive::<UInt64Type>()
                .values()
                .iter()
                .zip(times.as_primitive::<TimestampMicrosecondType>().values());
            let keys = paths.as_string_view().iter().zip(versions);
            Ok(keys
                .map(|(path, (size, time))| hash(path.unwrap_or_default(), Some((*size, *time))))
                .collect())
        }
        _ => internal_err!("a key has one column or three"),
    }
}

/// The keys that are finished: 16 bytes each.
#[derive(Debug, Default)]
pub struct KeySet {
    /// Sorted.
    hashes: Vec<u128>,
}

impl KeySet {
    /// The set of `paths`.
    ///
    /// ```
    /// # use seequel::resume::KeySet;
    /// let finished = KeySet::of_paths(["/photos/a.jpg", "/photos/b.jpg"]);
    /// assert!(finished.contains_path("/photos/b.jpg"));
    /// assert!(!finished.contains_path("/photos/c.jpg"));
    /// ```
    #[must_use]
    pub fn of_paths(paths: impl IntoIterator<Item: AsRef<str>>) -> Self {
        Self::of_hashes(paths.into_iter().map(|path| hash(path.as_ref(), None)).collect())
    }

    /// Whether a path is in the set.
    #[must_use]
    pub fn contains_path(&self, path: &str) -> bool {
        self.contains(hash(path, None))
    }

    /// The set of keys with these hashes, which takes the memory of `hashes`.
    pub(crate) fn of_hashes(mut hashes: Vec<u128>) -> Self {
        hashes.sort_unstable();
        Self { hashes }
    }

    pub(crate) fn contains(&self, hash: u128) -> bool {
        self.hashes.binary_search(&hash).is_ok()
    }

    /// Bytes of memory that the set takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.hashes.capacity() * size_of::<u128>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_path_or_a_version_of_the_file() {
        assert_eq!("Path".parse(), Ok(Key::Path));
        assert_eq!("path, size,modified".parse(), Ok(Key::Version));
        assert_eq!("size, path, modified".parse(), Ok(Key::Version));
        for wrong in ["", "name", "path, size", "path,"] {
            assert!(wrong.parse::<Key>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn each_part_of_a_key_changes_its_hash() {
        let keys = [hash("a", None), hash("b", None), hash("a", Some((1, 1))), hash("a", Some((2, 1)))];
        assert!(keys.iter().enumerate().all(|(index, key)| !keys[..index].contains(key)));
        assert_ne!(hash("a", Some((1, 1))), hash("a", Some((1, 2))));
        // Logs of earlier versions hold these.
        assert_eq!(hash("/photos/a.jpg", None) >> 96, 0x3a9e_cb83);
    }

    #[test]
    fn ten_million_finished_keys_take_less_than_400_mb() {
        const KEYS: usize = 10_000_000;
        let mut hashes = Vec::with_capacity(KEYS);
        hashes.extend((0..KEYS as u128).map(|number| number.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        let finished = KeySet::of_hashes(hashes);
        assert!(finished.bytes() <= 400_000_000, "{}", finished.bytes());
        assert!(finished.contains(0) && !finished.contains(1));
    }
}
