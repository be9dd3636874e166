//! The rows that a statement could not compute: their list in a file, and the paths by which functions report them.

mod errors_file;
mod named_rows;

pub(crate) use errors_file::ERRORS;
pub(in crate::write) use errors_file::{ErrorsFile, ErrorsOption};
#[cfg(feature = "cluster")]
pub(crate) use named_rows::Namer;
pub(crate) use named_rows::{position_of, with_named_rows};
