//! Images to look at: `\show` in the terminal, `\contact-sheet` as a page for a browser. And `\report`: a page about a
//! query, by report/.
//!
//! ```text
//!  target.rs: SELECT …, or a location ─► query ─► rows.rs: image, name, predictions, other columns of each row
//!                                                   │           columns.rs finds them by type
//!                                                   ▼
//!                                              picture.rs: decoded, no larger than needed, several at a time
//!                            ┌──────────────────────┴───────────────────────┐
//!                            ▼                                              ▼
//!  terminal/                                                 page/
//!  show.rs ─ grid.rs: rows of pictures with captions          sheet.rs ─ card.rs: HTML, which report/ escapes
//!               │ graphics.rs: what the terminal can draw        template.rs: sheet.html, sheet.css, sheet.js
//!               └ blocks.rs, inline.rs, sixel.rs
//! ```
//!
//! Rows are drawn or written as they arrive; nothing but the pictures in progress is kept.

mod columns;
mod page;
mod picture;
mod query_report;
mod rows;
mod target;
mod terminal;

pub(crate) use page::{SheetRequest, write_sheet};
pub(crate) use query_report::ReportRequest;
pub(crate) use target::Target;
pub(crate) use terminal::show;
