//! Homes and folders of photos.

use std::os::unix::fs::symlink;
use std::path::PathBuf;

use tempfile::TempDir;

use super::home;

/// A home with the set-up's library and a model, as links: tunings are written there, and nowhere else.
pub(crate) fn home_with_model() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("models")).unwrap();
    for linked in ["lib", "models/efficientnet_lite0"] {
        symlink(home().join(linked), folder.path().join(linked)).unwrap();
    }
    folder
}

/// The folder of the set-up's photos.
pub(crate) fn photos() -> PathBuf {
    home().join("photos")
}

/// A folder of `count` small photos, hard links to one.
pub(crate) fn folder_of(count: usize) -> TempDir {
    let folder = tempfile::tempdir_in(home()).unwrap();
    for number in 0..count {
        std::fs::hard_link(photos().join("lion.jpg"), folder.path().join(format!("{number:04}.jpg")))
            .unwrap();
    }
    folder
}
