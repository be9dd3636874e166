//! Where DataFusion's test files are: in the source of the crate, which cargo has.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// Folder of the test files, below the working directory.
pub(crate) const TEST_FILES: &str = "test_files";

/// A folder like the crate's, for the tests to work in: test files, and room for what they write.
pub(crate) fn copy() -> Result<TempDir, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let source = crate_source()?;
    for name in [TEST_FILES, "data"] {
        copy_folder(&source.join(name), &folder.path().join(name))?;
    }
    Ok(folder)
}

/// The working directory as object stores name it: without the first slash.
pub(crate) fn working_folder() -> Result<String, std::io::Error> {
    let folder = std::env::current_dir()?;
    Ok(folder.display().to_string().trim_start_matches('/').to_owned())
}

/// The file of a record, which is written as `file:line`.
pub(crate) fn file_of(record: &str) -> &str {
    record.rsplit_once(':').map_or(record, |(file, _)| file)
}

/// All test files, relative to their folder, in the order of their names.
pub(crate) fn files() -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let root = std::env::current_dir()?.join(TEST_FILES);
    let mut files = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "slt") {
                files.push(path.strip_prefix(&root)?.to_owned());
            }
        }
    }
    files.sort_by(|a, b| a.as_os_str().cmp(b.as_os_str()));
    Ok(files)
}

fn crate_source() -> Result<PathBuf, Box<dyn Error>> {
    let metadata = Command::new(env!("CARGO"))
        // Of other platforms' crates, which a build does not download, it would ask for the manifests.
        .args(["metadata", "--format-version=1", "--offline", "--locked", "--filter-platform=host-tuple"])
        .arg("--manifest-path")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .output()?;
    let metadata: serde_json::Value = serde_json::from_slice(&metadata.stdout)?;
    let packages = metadata["packages"].as_array().ok_or("cargo metadata lists no packages")?;
    let manifest = packages
        .iter()
        .find(|package| package["name"] == "datafusion-sqllogictest")
        .and_then(|package| package["manifest_path"].as_str())
        .ok_or("cargo metadata does not list datafusion-sqllogictest")?;
    Ok(Path::new(manifest).with_file_name(""))
}

fn copy_folder(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
