//! Images to look at: `\show` in the terminal, `\contact-sheet` as a page for a browser.
//!
//! ```text
//!  target.rs: SELECT …, or a location ─► query ─► rows.rs: image, name, predictions, other columns of each row
//!                                                   │           columns.rs finds them by type
//!                                                   ▼
//!                                              picture.rs: decoded, no larger than needed, several at a time
//!                            ┌──────────────────────┴───────────────────────┐
//!                            ▼                                              ▼
//!  show.rs ─ grid.rs: rows of pictures with captions            sheet.rs ─ card.rs: HTML, html.rs: escaping
//!               │ graphics.rs: what the terminal can draw          page.rs: sheet.html, sheet.css, sheet.js
//!               └ blocks.rs, inline.rs, sixel.rs
//! ```
//!
//! Rows are drawn or written as they arrive; nothing but the pictures in progress is kept.

mod blocks;
mod card;
mod columns;
mod graphics;
mod grid;
mod html;
mod inline;
mod page;
mod picture;
mod rows;
mod sheet;
mod show;
mod sixel;
mod target;

pub(crate) use sheet::{SheetRequest, write_sheet};
pub(crate) use show::show;
pub(crate) use target::Target;
