//! Names of files from text in data: safe on every file system, below the target folder, and different in a run.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use datafusion::error::Result;
use datafusion::execution::memory_pool::MemoryReservation;

use crate::images::decode::Format;

/// Stands for characters that a file system may reject; unlike `_` and `.`, it hides no file from a listing.
const SUBSTITUTE: char = '-';
/// Longest stem in bytes: file systems allow 255 for a name, and number and extension follow.
const MAX_STEM: usize = 200;
/// Name of a row whose name is NULL or has no usable character.
const UNNAMED: &str = "unnamed";
/// Folder of rows whose partition column is NULL, as in Hive.
const NULL_PARTITION: &str = "__HIVE_DEFAULT_PARTITION__";
/// Extensions that are replaced if the content is of another format.
const IMAGE_EXTENSIONS: [&str; 14] =
    ["avif", "bmp", "dib", "gif", "heic", "jfif", "jpe", "jpeg", "jpg", "jxl", "png", "tif", "tiff", "webp"];
/// Memory of an entry in [`Names::taken`], with its share of the table.
const BYTES_PER_NAME: usize = 32;

/// The names of a run.
#[derive(Debug)]
pub(crate) struct Names {
    /// A hash of each name, without regard to case, and the number for the next file that wants it. Two names of one
    /// hash cost the second a number it does not need.
    taken: HashMap<u64, u32>,
    hasher: RandomState,
    reservation: MemoryReservation,
}

impl Names {
    pub(crate) fn new(reservation: MemoryReservation) -> Self {
        Self { taken: HashMap::new(), hasher: RandomState::new(), reservation }
    }

    /// The path below the target of a file named `name` with content of `format`, in `folder`; with a number if another
    /// row has that path already.
    ///
    /// # Errors
    /// The memory pool has no room for another name.
    pub(crate) fn path(&mut self, folder: &str, name: Option<&str>, format: Format) -> Result<String> {
        let (stem, extension) = file_name(name.unwrap_or_default(), format);
        let stem = format!("{folder}{stem}");
        let first = format!("{stem}.{extension}");
        let key = self.key(&first);
        let Some(mut number) = self.taken.get(&key).copied() else {
            self.take(key, 2)?;
            return Ok(first);
        };
        loop {
            let path = format!("{stem}-{number}.{extension}");
            number += 1;
            let other = self.key(&path);
            if !self.taken.contains_key(&other) {
                self.taken.insert(key, number);
                self.take(other, 2)?;
                return Ok(path);
            }
        }
    }

    fn key(&self, path: &str) -> u64 {
        self.hasher.hash_one(path.to_lowercase())
    }

    fn take(&mut self, key: u64, next: u32) -> Result<()> {
        self.taken.insert(key, next);
        self.reservation.try_resize(self.taken.capacity() * BYTES_PER_NAME)
    }
}

/// The folder `key=value/` of a partition column's value.
pub(crate) fn partition_folder(key: &str, value: Option<&str>) -> String {
    let value = match value.map(component) {
        Some(value) if !value.is_empty() => value,
        _ => NULL_PARTITION.to_owned(),
    };
    format!("{}={value}/", component(key))
}

/// The stem, with folders, and the extension. A relative `name` keeps its folders; of an absolute path or URL, only the
/// file's name is used.
fn file_name(name: &str, format: Format) -> (String, String) {
    let is_absolute = name.starts_with(['/', '\\']) || name.contains("://") || name.get(1..2) == Some(":");
    let parts = name.split(['/', '\\']).filter(|part| !matches!(*part, "" | "." | ".."));
    let mut parts: Vec<_> = parts.collect();
    let last = parts.pop().unwrap_or_default();
    let (stem, extension) = split_extension(last, format);
    let folders = if is_absolute { vec![] } else { parts };
    let folders = folders.into_iter().map(component).filter(|folder| !folder.is_empty());
    let stem = Some(component(stem)).filter(|stem| !stem.is_empty()).unwrap_or_else(|| UNNAMED.to_owned());
    let path: Vec<_> = folders.chain([stem]).collect();
    (path.join("/"), extension)
}

/// Stem and extension of a file's name: its own extension if that is one of `format`'s, else the usual one.
fn split_extension(name: &str, format: Format) -> (&str, String) {
    if let Some((stem, extension)) = name.rsplit_once('.') {
        let lower = extension.to_ascii_lowercase();
        if extensions(format).contains(&lower.as_str()) {
            return (stem, extension.to_owned());
        }
        if IMAGE_EXTENSIONS.contains(&lower.as_str()) {
            return (stem, extensions(format)[0].to_owned());
        }
    }
    (name, extensions(format)[0].to_owned())
}

/// The extensions of a format, the usual one first.
fn extensions(format: Format) -> &'static [&'static str] {
    match format {
        Format::Jpeg => &["jpg", "jpeg", "jpe", "jfif"],
        Format::Png => &["png"],
        Format::WebP => &["webp"],
        Format::Gif => &["gif"],
        Format::Bmp => &["bmp", "dib"],
        Format::Tiff => &["tiff", "tif"],
    }
}

/// A name for a file or folder that every file system takes, from any text; empty if nothing remains.
fn component(text: &str) -> String {
    let is_unsafe = |c: char| c.is_control() || "/\\<>:\"|?*".contains(c);
    let safe: String = text.chars().map(|c| if is_unsafe(c) { SUBSTITUTE } else { c }).collect();
    // A leading dot hides a file; Windows drops dots and blanks at the end.
    let safe = safe.trim().trim_start_matches('.').trim_end_matches(['.', ' ']);
    let end = (0..=safe.len().min(MAX_STEM)).rev().find(|end| safe.is_char_boundary(*end)).unwrap_or(0);
    safe[..end].trim_end_matches(['.', ' ']).to_owned()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::execution::memory_pool::{GreedyMemoryPool, MemoryConsumer, MemoryPool};

    use super::*;

    fn names(memory: usize) -> Names {
        let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(memory));
        Names::new(MemoryConsumer::new("names").register(&pool))
    }

    fn path(name: &str, format: Format) -> String {
        names(1 << 20).path("", Some(name), format).unwrap()
    }

    #[test]
    fn relative_names_keep_their_folders_and_absolute_ones_do_not() {
        for (name, expected) in [
            ("lion", "lion.jpg"),
            ("cats/lion.jpg", "cats/lion.jpg"),
            ("/data/cats/lion.jpg", "lion.jpg"),
            ("s3://bucket/cats/lion.jpg", "lion.jpg"),
            ("C:\\data\\lion.jpg", "lion.jpg"),
            ("\\\\server\\lion.jpg", "lion.jpg"),
            ("./cats//lion", "cats/lion.jpg"),
        ] {
            assert_eq!(path(name, Format::Jpeg), expected, "{name}");
        }
    }

    #[test]
    fn no_name_escapes_the_folder_or_hides_its_file() {
        for (name, expected) in [
            ("../../etc/passwd", "etc/passwd.png"),
            ("a/../../b", "a/b.png"),
            ("..", "unnamed.png"),
            ("", "unnamed.png"),
            ("...", "unnamed.png"),
            (".hidden", "hidden.png"),
            ("..\\..\\b", "b.png"),
            ("a\0b\nc", "a-b-c.png"),
            ("a<b>:\"|?*", "a-b------.png"),
            ("end. ", "end.png"),
            (". ./x", "x.png"),
        ] {
            assert_eq!(path(name, Format::Png), expected, "{name:?}");
        }
        let long = path(&"ä".repeat(500), Format::Png);
        assert_eq!(long, format!("{}.png", "ä".repeat(100)));
    }

    #[test]
    fn extensions_are_those_of_the_content() {
        for (name, format, expected) in [
            ("a.png", Format::Jpeg, "a.jpg"),
            ("a.JPEG", Format::Jpeg, "a.JPEG"),
            ("a.tif", Format::Tiff, "a.tif"),
            ("a.heic", Format::WebP, "a.webp"),
            ("a.v2", Format::Png, "a.v2.png"),
            ("000.tar/0001", Format::Gif, "000.tar/0001.gif"),
            (".jpg", Format::Jpeg, "unnamed.jpg"),
        ] {
            assert_eq!(path(name, format), expected, "{name}");
        }
    }

    #[test]
    fn names_that_are_taken_get_a_number() {
        let mut names = names(1 << 20);
        let mut path = |name: Option<&str>| names.path("k=v/", name, Format::Png).unwrap();
        assert_eq!(path(Some("a")), "k=v/a.png");
        assert_eq!(path(Some("a-2")), "k=v/a-2.png");
        assert_eq!(path(Some("a.png")), "k=v/a-3.png");
        assert_eq!(path(Some("A")), "k=v/A-4.png", "some file systems ignore case");
        assert_eq!(path(None), "k=v/unnamed.png");
        assert_eq!(path(Some("a-2")), "k=v/a-2-2.png");
    }

    #[test]
    fn partition_folders_are_safe_too() {
        assert_eq!(partition_folder("label", Some("lynx, catamount")), "label=lynx, catamount/");
        assert_eq!(partition_folder("label", Some("../up")), "label=-up/");
        assert_eq!(partition_folder("label", None), "label=__HIVE_DEFAULT_PARTITION__/");
        assert_eq!(partition_folder("a/b", Some("..")), "a-b=__HIVE_DEFAULT_PARTITION__/");
    }

    #[test]
    fn the_memory_for_names_is_reserved() {
        let mut names = names(1000);
        let error = (0..100).find_map(|number| names.path("", Some(&number.to_string()), Format::Png).err());
        assert!(error.is_some_and(|error| error.to_string().contains("names")));
    }
}
