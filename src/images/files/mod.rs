//! `COPY … TO 'folder/' STORED AS IMAGES`: a file for each row.
//!
//! ```text
//!  COPY (SELECT name, image, label …) TO 'out/' STORED AS IMAGES PARTITIONED BY (label)
//!                │      │      └─ columns.rs ─► out/label=cat/ ─┐
//!                │      └─ content, and its extension ──────────┼─► names.rs ─► out/label=cat/lion.jpg ─ sink.rs ─► store
//!                └─ name ───────────────────────────────────────┘
//! ```
//!
//! Names come from data, which may be anybody's: a file is never written outside the folder.

mod columns;
mod format;
mod names;
mod sink;

pub(crate) use format::ImageFilesFactory;
