//! Single steps of a query, each alone: decoding, preprocessing, the exchange, planning, finished keys. No
//! model runs.
//!
//! ```text
//!  planning: SQL ─► plan        exchange: rows ─► morsels        decode: bytes ─► RGB        preprocess: RGB ─► tensor
//! ```
//!
//! `make bench-kernels` runs them after set-up; `cargo bench -- decode` runs those whose names contain that word.

#![expect(clippy::unwrap_used, reason = "a measurement that can't go on has failed")]

mod decode;
mod exchange;
mod photo;
mod planning;
mod preprocess;
mod resume;

use std::path::{Path, PathBuf};

use criterion::Criterion;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    decode::measure(&mut criterion);
    preprocess::measure(&mut criterion);
    exchange::measure(&mut criterion);
    planning::measure(&mut criterion);
    resume::measure(&mut criterion);
    criterion.final_summary();
}

/// Seequel's home, filled by `make setup`.
fn home() -> PathBuf {
    let home = std::env::var_os("SEEQUEL_HOME").map_or_else(|| PathBuf::from(".seequel"), PathBuf::from);
    Path::new(env!("CARGO_MANIFEST_DIR")).join(home)
}
