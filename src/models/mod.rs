//! (to be written)
pub mod registry;
