//! The builds of ONNX Runtime that set-up installs: each has other providers, and a folder of its own in the home.

use std::path::{Path, PathBuf};

/// File name of the ONNX Runtime library.
pub(super) const LIBRARY: &str =
    if cfg!(target_os = "macos") { "libonnxruntime.dylib" } else { "libonnxruntime.so" };

/// The build that is opened unless another is chosen.
pub(super) const DEFAULT: &str = "cpu";

/// All builds, as `--runtime` names them.
pub(super) const NAMES: [&str; 4] = [DEFAULT, "openvino", "webgpu", "cuda"];

/// The library of a build, if it is installed in `home` or in `.seequel`.
pub(super) fn find(home: &Path, name: &str) -> Option<PathBuf> {
    let mut files = [home, Path::new(".seequel")].into_iter().map(|home| folder(home, name).join(LIBRARY));
    files.find(|file| file.exists()).and_then(|file| std::path::absolute(file).ok())
}

/// The folder of a build.
pub(super) fn folder(home: &Path, name: &str) -> PathBuf {
    if name == DEFAULT { home.join("lib") } else { home.join("runtimes").join(name) }
}

/// The command, in Seequel's folder, that installs a build.
pub(super) fn installation(name: &str) -> String {
    if name == DEFAULT { "make setup".to_owned() } else { format!("make setup RUNTIME={name}") }
}

/// The version of a library, from the name of the file behind the link: `libonnxruntime.so.1.32.0`.
pub(super) fn version(library: &Path) -> Option<String> {
    let file = library.canonicalize().ok()?;
    let (_, version) = file.file_name()?.to_str()?.split_once(".so.")?;
    Some(version.to_owned())
}

/// Whether a version such as `1.20.1` is below the one that `ort` needs.
pub(super) fn is_too_old(version: &str) -> bool {
    let minor = version.strip_prefix("1.").and_then(|rest| rest.split('.').next()?.parse::<u32>().ok());
    minor.is_some_and(|minor| minor < ort::MINOR_VERSION)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn builds_are_found_in_their_folders() {
        let home = tempfile::tempdir().unwrap();
        let openvino = home.path().join("runtimes/openvino");
        fs::create_dir_all(&openvino).unwrap();
        fs::write(openvino.join("libonnxruntime.so.1.24.1"), "").unwrap();
        symlink("libonnxruntime.so.1.24.1", openvino.join(LIBRARY)).unwrap();
        let library = find(home.path(), "openvino").unwrap();
        assert_eq!(library, openvino.join(LIBRARY));
        assert_eq!(version(&library).as_deref(), Some("1.24.1"));
        assert_eq!(version(home.path()), None);
        assert_eq!(installation("cpu"), "make setup");
        assert_eq!(installation("webgpu"), "make setup RUNTIME=webgpu");
    }

    #[test]
    fn versions_before_the_api_are_too_old() {
        assert!(is_too_old("1.20.1") && is_too_old("1.23.0"));
        assert!(!is_too_old("1.24.1") && !is_too_old("1.32.0") && !is_too_old("2.0.0") && !is_too_old("1"));
    }
}
