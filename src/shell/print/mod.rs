//! Printing results: the formats, how values are shortened, and how many rows are shown.

mod cells;
mod delimited;
mod encoder;
mod expanded;
mod json;
mod max_rows;
pub(crate) mod printer;
pub(crate) mod size;
mod table;

pub(crate) use cells::ShortCells;
pub(crate) use max_rows::MaxRows;
pub(crate) use printer::{Format, PrintError, Printer};
