//! `\contact-sheet`: images and their predictions as one HTML file.

mod card;
mod sheet;
mod template;

pub(crate) use sheet::{SheetRequest, write_sheet};
