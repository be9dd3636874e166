//! Groups the members of a tar file into samples: consecutive members with the same key.
//!
//! As in WebDataset, the key of a member is its name up to the first dot after the last slash, and its kind is the rest
//! in lower case: `train/0001.seg.png` is the `seg.png` of `train/0001`.

use std::io::{self, Read};
use std::ops::ControlFlow;

use datafusion::arrow::buffer::Buffer;
use tar::{Archive, Entry, EntryType, PaxExtensions};

use super::columns::{CLS, IMAGE, JSON, TXT};
use crate::bounds::Bounds;
use crate::images::listing::Location;
use crate::images::scan::LargestFile;

/// Maximum bytes of a member's name, and of the records that hold long names.
const MAX_NAME_BYTES: u64 = 64 << 10;

/// A row.
#[derive(Debug, Default)]
pub(crate) struct Sample {
    /// The shard's path, followed by the key.
    pub(crate) path: String,
    /// The encoded image, or why it could not be read; `None` if there is none, or it was not requested.
    pub(crate) image: Option<Result<Buffer, String>>,
    pub(crate) json: Option<String>,
    pub(crate) txt: Option<String>,
    pub(crate) cls: Option<i64>,
}

impl Sample {
    /// Bytes of the members' content.
    pub(crate) fn bytes(&self) -> usize {
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let image = self.image.as_ref().and_then(|image| image.as_ref().ok());
        self.path.len() + image.map_or(0, Buffer::len) + text(&self.json) + text(&self.txt)
    }
}

/// Reads the tar file `reader`, named `shard`, and passes each sample to `emit` until that breaks. Members whose
/// columns are not in `projection` are skipped.
///
/// # Errors
/// If the tar is damaged or can't be read.
pub(crate) fn read_samples(
    reader: impl Read,
    shard: &str,
    projection: &[usize],
    (bounds, largest): (&Bounds, LargestFile),
    mut emit: impl FnMut(Sample) -> ControlFlow<()>,
) -> io::Result<()> {
    let mut archive = Archive::new(reader);
    let mut long_name = None;
    let mut current: Option<(String, Sample)> = None;
    // Raw: otherwise the records of long names would be read without a size limit.
    for entry in archive.entries()?.raw(true) {
        let mut entry = entry.map_err(|error| not_a_tar(&error))?;
        match entry.header().entry_type() {
            EntryType::GNULongName => long_name = Some(gnu_name(&mut entry)?),
            EntryType::XHeader => long_name = pax_name(&mut entry)?.or(long_name),
            EntryType::Regular | EntryType::Continuous => {
                let name = long_name.take().unwrap_or_else(|| entry.path_bytes().into_owned());
                let name = member_name(name)?;
                let Some((key, kind)) = key_and_kind(&name) else { continue };
                if current.as_ref().is_none_or(|(current, _)| current != key) {
                    if let Some((_, finished)) = current.take()
                        && emit(finished).is_break()
                    {
                        return Ok(());
                    }
                    let path = format!("{shard}/{key}");
                    current = Some((key.to_owned(), Sample { path, ..Sample::default() }));
                }
                if let Some((_, sample)) = &mut current {
                    take_member(sample, &mut entry, &name, &kind, (projection, bounds, largest))?;
                }
            }
            // Folders, links and devices hold no data.
            _ => long_name = None,
        }
    }
    if let Some((_, last)) = current {
        let _ = emit(last);
    }
    Ok(())
}

fn take_member<R: Read>(
    sample: &mut Sample,
    entry: &mut Entry<'_, R>,
    name: &str,
    kind: &str,
    (projection, bounds, largest): (&[usize], &Bounds, LargestFile),
) -> io::Result<()> {
    let most_text = bounds.max_text_bytes;
    let is_read = |column| projection.contains(&column);
    match kind {
        "json" if is_read(JSON) => sample.json = text(entry, name, most_text)?,
        "txt" if is_read(TXT) => sample.txt = text(entry, name, most_text)?,
        "cls" if is_read(CLS) => {
            sample.cls = text(entry, name, most_text)?.and_then(|text| {
                let number = text.trim().parse();
                number.inspect_err(|_| tracing::warn!(name, "a cls member holds no number; it is NULL")).ok()
            });
        }
        _ if is_read(IMAGE) && sample.image.is_none() && Location::is_image_extension(kind) => {
            sample.image = Some(match largest.check(entry.size()) {
                Ok(()) => Ok(Buffer::from(content(entry, name)?)),
                Err(reason) => Err(format!("could not be read: {reason}")),
            });
        }
        _ => {}
    }
    Ok(())
}

/// The whole content of a member.
fn content<R: Read>(entry: &mut Entry<'_, R>, name: &str) -> io::Result<Vec<u8>> {
    let size = entry.size();
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes)?;
    if bytes.len() as u64 != size {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            format!("the tar is cut short in '{name}': {} of {size} bytes are there", bytes.len()),
        ));
    }
    Ok(bytes)
}

fn text<R: Read>(entry: &mut Entry<'_, R>, name: &str, most: u64) -> io::Result<Option<String>> {
    if entry.size() > most {
        let size = entry.size();
        tracing::warn!(
            name,
            "a text member's {size} bytes are more than inference.max_text_bytes ({most}); it is NULL"
        );
        return Ok(None);
    }
    let text = String::from_utf8(content(entry, name)?);
    Ok(text.inspect_err(|_| tracing::warn!(name, "a text member is not UTF-8; it is NULL")).ok())
}

/// The name in a GNU tar record, which precedes a member with a long name.
fn gnu_name<R: Read>(entry: &mut Entry<'_, R>) -> io::Result<Vec<u8>> {
    let mut name = name_record(entry)?;
    name.truncate(name.iter().position(|byte| *byte == 0).unwrap_or(name.len()));
    Ok(name)
}

/// The name in a POSIX extension record, if it has one.
fn pax_name<R: Read>(entry: &mut Entry<'_, R>) -> io::Result<Option<Vec<u8>>> {
    let record = name_record(entry)?;
    let mut name = None;
    for extension in PaxExtensions::new(&record) {
        let extension = extension?;
        match extension.key_bytes() {
            b"path" => name = Some(extension.value_bytes().to_vec()),
            b"size" => return Err(invalid("a member has 8 GiB or more, which is not supported".to_owned())),
            _ => {}
        }
    }
    Ok(name)
}

fn name_record<R: Read>(entry: &mut Entry<'_, R>) -> io::Result<Vec<u8>> {
    match entry.size() {
        size if size > MAX_NAME_BYTES => Err(invalid(format!("a member's name has {size} bytes"))),
        _ => content(entry, "a member's name"),
    }
}

/// A member's name, which must not point outside the shard.
fn member_name(name: Vec<u8>) -> io::Result<String> {
    let name = String::from_utf8(name).map_err(|error| {
        invalid(format!(
            "the member '{}' has a name that is not UTF-8",
            String::from_utf8_lossy(error.as_bytes())
        ))
    })?;
    if name.starts_with('/') || name.split('/').any(|part| part == "..") {
        return Err(invalid(format!("the member '{name}' has a name outside the tar, which is not allowed")));
    }
    Ok(name.strip_prefix("./").map(str::to_owned).unwrap_or(name))
}

/// A name's key and kind; `None` for hidden members and those without a kind.
fn key_and_kind(name: &str) -> Option<(&str, String)> {
    let file = name.rfind('/').map_or(0, |slash| slash + 1);
    let dot = file + name[file..].find('.')?;
    (dot > file).then(|| (&name[..dot], name[dot + 1..].to_ascii_lowercase()))
}

fn not_a_tar(error: &io::Error) -> io::Error {
    // Errors of the store arrive here too, with their own messages.
    if error.kind() != io::ErrorKind::Other {
        return io::Error::new(error.kind(), error.to_string());
    }
    let text = error.to_string();
    let is_short = text.contains("unexpected EOF") || text.contains("failed to read entire block");
    invalid(match is_short {
        true => "the tar is cut short".to_owned(),
        false => format!("the tar is damaged, or the file is not a tar: {text}"),
    })
}

fn invalid(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_end_at_the_first_dot_of_the_file() {
        for (name, expected) in [
            ("0001.jpg", Some(("0001", "jpg"))),
            ("a.b/0001.SEG.PNG", Some(("a.b/0001", "seg.png"))),
            ("0001", None),
            ("a.b/0001", None),
            ("._0001.jpg", None),
            ("a/.hidden", None),
        ] {
            let found = key_and_kind(name);
            assert_eq!(found.as_ref().map(|(key, kind)| (*key, kind.as_str())), expected, "{name}");
        }
    }

    #[test]
    fn names_outside_the_tar_are_rejected() {
        for name in ["/etc/passwd.jpg", "../a.jpg", "a/../../b.jpg"] {
            assert!(member_name(name.into()).unwrap_err().to_string().contains(name));
        }
        assert_eq!(member_name(b"./a..b.jpg".to_vec()).unwrap(), "a..b.jpg");
        assert!(member_name(vec![0xff]).is_err());
    }
}
