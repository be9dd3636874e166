//! The set-up's folder.

use std::path::{Path, PathBuf};

/// Seequel's home, which `make setup` fills.
pub(crate) fn home() -> PathBuf {
    let home = std::env::var_os("SEEQUEL_HOME").map_or_else(|| PathBuf::from(".seequel"), PathBuf::from);
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join(home);
    assert!(home.join("photos").is_dir(), "{} is not set up: run `make setup`", home.display());
    let is_tuned = std::fs::read_to_string(home.join("tuning.json")).is_ok_and(|text| text.trim() != "[]");
    assert!(!is_tuned, "TUNE changed what plans show: run `seequel -c 'RESET TUNING'`");
    home
}
