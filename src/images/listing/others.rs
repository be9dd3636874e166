//! The files that a location leaves out, counted by extension: the reason why it holds no image, or fewer than expected.

use std::collections::BTreeMap;
use std::fmt;

use datafusion::object_store::path::Path as StorePath;
use itertools::Itertools;

use crate::images::decode::unsupported;

/// Maximum number of extensions counted separately, and of extensions named.
const MAX_EXTENSIONS: usize = 64;
const NAMED: usize = 4;

/// Files counted by extension. Displayed as `20 files: 12 .jpg, 8 .png`, the most frequent first.
#[derive(Debug, Default)]
pub(crate) struct Others {
    files: usize,
    /// In lower case; empty for names without an extension.
    by_extension: BTreeMap<String, usize>,
}

impl Others {
    pub(crate) fn add(&mut self, file: &StorePath) {
        self.files += 1;
        let extension = file.extension().unwrap_or_default().to_ascii_lowercase();
        if let Some(count) = self.by_extension.get_mut(&extension) {
            *count += 1;
        } else if self.by_extension.len() < MAX_EXTENSIONS {
            self.by_extension.insert(extension, 1);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.files == 0
    }

    /// `HEIC is not supported; convert it first`, if all files are in formats that are known but not decoded.
    pub(crate) fn unsupported(&self) -> Option<String> {
        let names = self.by_extension.keys().map(|extension| unsupported::by_extension(extension));
        let names: Vec<_> = names.collect::<Option<Vec<_>>>()?.into_iter().unique().collect();
        match names.as_slice() {
            [] => None,
            [name] => Some(format!("{name} is not supported; convert it first")),
            [names @ .., last] => {
                Some(format!("{} and {last} are not supported; convert them first", names.join(", ")))
            }
        }
    }
}

impl fmt::Display for Others {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files = if self.files == 1 { "file" } else { "files" };
        write!(f, "{} {files}: ", self.files)?;
        let named = self.by_extension.iter().sorted_by_key(|(_, count)| std::cmp::Reverse(**count));
        let named = named.take(NAMED).map(|(extension, count)| match extension.as_str() {
            "" => format!("{count} without an extension"),
            extension => format!("{count} .{extension}"),
        });
        f.write_str(&named.collect::<Vec<_>>().join(", "))?;
        if self.by_extension.len() > NAMED { f.write_str(", …") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn others(names: &[&str]) -> Others {
        let mut others = Others::default();
        names.iter().for_each(|name| others.add(&StorePath::from(*name)));
        others
    }

    #[test]
    fn the_most_frequent_extensions_come_first() {
        let found = others(&["a/1.png", "2.JPG", "3.jpg", "README"]);
        assert_eq!(found.to_string(), "4 files: 2 .jpg, 1 without an extension, 1 .png");
        let found = others(&["1.a", "1.b", "1.c", "1.d", "1.e"]);
        assert_eq!(found.to_string(), "5 files: 1 .a, 1 .b, 1 .c, 1 .d, …");
        assert_eq!(others(&["a.txt"]).to_string(), "1 file: 1 .txt");
    }

    #[test]
    fn formats_that_are_not_decoded_are_named_if_there_are_no_other_files() {
        let remark = |names: &[&str]| others(names).unsupported();
        assert_eq!(remark(&["a.HEIC", "b.heic"]).unwrap(), "HEIC is not supported; convert it first");
        let several = "AVIF, JPEG 2000 and PDF are not supported; convert them first";
        assert_eq!(remark(&["a.avif", "b.pdf", "c.jp2", "d.j2k"]).unwrap(), several);
        assert_eq!(remark(&["a.heic", "b.txt"]), None);
        assert_eq!(remark(&[]), None);
    }
}
