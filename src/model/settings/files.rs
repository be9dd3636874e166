//! Finding the files of a model and reading them with a size limit.
//!
//! ```text
//! FROM 'vit/'          vit/onnx/model.onnx   the model
//!                      vit/onnx/<side file>  searched first
//!                      vit/<side file>       searched next: Hugging Face keeps ONNX files in a subfolder
//! ```

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Size limit of Protobuf, and thus of an ONNX file; larger models keep their tensors in external files.
pub(crate) const MAX_MODEL_BYTES: u64 = 2 << 30;

/// Size limit of a label or settings file; a larger one is a mistake.
pub(crate) const MAX_SIDE_BYTES: u64 = 64 << 20;

/// Returns the absolute path of the ONNX file that `FROM` names directly or by its folder.
///
/// Symbolic links are not resolved: a Hugging Face cache links to files that have no side files beside them.
pub(crate) fn locate(given: &Path) -> Result<PathBuf, String> {
    let path = std::path::absolute(given).map_err(|error| format!("'{}': {error}", given.display()))?;
    if path.is_file() {
        return Ok(path);
    }
    if !path.is_dir() {
        return Err(format!("there is no file '{}'", given.display()));
    }
    let candidates = [path.join("model.onnx"), path.join("onnx").join("model.onnx")];
    let found = candidates.into_iter().find(|file| file.is_file());
    found.ok_or_else(|| {
        let folder = given.display();
        format!("folder '{folder}' has neither model.onnx nor onnx/model.onnx; name the file")
    })
}

/// Folders that may hold side files of the model, nearest first.
pub(crate) fn side_folders(model: &Path) -> impl Iterator<Item = &Path> {
    let beside = model.parent();
    let in_onnx = beside.filter(|folder| folder.ends_with("onnx"));
    beside.into_iter().chain(in_onnx.and_then(Path::parent))
}

/// Reads a whole regular file of at most `limit` bytes.
///
/// # Errors
/// A reason that names the file: it can't be opened, is not a regular file, or is too large.
pub(crate) fn read_bounded(path: &Path, limit: u64) -> Result<Vec<u8>, String> {
    let describe = |error: std::io::Error| format!("can't read '{}': {error}", path.display());
    let too_large = || format!("'{}' is larger than {} MiB", path.display(), limit >> 20);
    let metadata = std::fs::metadata(path).map_err(describe)?;
    if !metadata.is_file() {
        return Err(format!("'{}' is not a file", path.display()));
    }
    if metadata.len() > limit {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0));
    let file = File::open(path).map_err(describe)?;
    file.take(limit + 1).read_to_end(&mut bytes).map_err(describe)?;
    if bytes.len() as u64 > limit { Err(too_large()) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    type TestResult = Result<(), Box<dyn std::error::Error>>;

    #[test]
    fn folder_resolves_to_the_model_inside() -> TestResult {
        let folder = tempfile::tempdir()?;
        let nested = folder.path().join("onnx").join("model.onnx");
        std::fs::create_dir(folder.path().join("onnx"))?;
        std::fs::write(&nested, "")?;
        assert_eq!(locate(folder.path())?, nested);
        let direct = folder.path().join("model.onnx");
        std::fs::write(&direct, "")?;
        assert_eq!(locate(folder.path())?, direct);
        Ok(())
    }

    #[test]
    fn side_files_are_beside_the_model_or_above_its_onnx_folder() {
        let folders = |model| side_folders(Path::new(model)).collect::<Vec<_>>();
        assert_eq!(folders("/m/vit/model.onnx"), [Path::new("/m/vit")]);
        assert_eq!(folders("/m/vit/onnx/model.onnx"), [Path::new("/m/vit/onnx"), Path::new("/m/vit")]);
    }

    #[test]
    fn file_above_the_limit_is_not_read() -> TestResult {
        let file = tempfile::NamedTempFile::new()?;
        file.as_file().set_len((1 << 20) + 1)?;
        let expected = format!("'{}' is larger than 1 MiB", file.path().display());
        assert_eq!(read_bounded(file.path(), 1 << 20), Err(expected));
        Ok(())
    }
}
