//! The rows that a statement could not compute: their list in a file, and the paths by which functions report them.

mod errors_file;
mod named_rows;

pub(crate) use errors_file::ERRORS;
pub(in crate::write) use errors_file::{ErrorsFile, ErrorsOption};
pub(crate) use named_rows::position_of;
pub(in crate::write) use named_rows::with_named_rows;
