//! Printing results: the formats, how values are shortened, and how many rows and columns are shown.

mod cells;
mod delimited;
mod encoder;
mod excerpt;
mod expanded;
mod format;
mod json;
mod layout;
mod lists;
mod markup;
mod max_rows;
pub(crate) mod printer;
pub(crate) mod size;
mod table;

pub(crate) use cells::{Detail, ShortCells};
pub(crate) use expanded::Expanded;
pub(crate) use format::Format;
pub(crate) use max_rows::MaxRows;
pub(crate) use printer::{Page, PrintError, Printer};
