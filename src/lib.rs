//! Seequel: SQL that sees. (Crate documentation is written once the pieces stand.)
pub mod config;
pub mod engine;
mod error;
pub mod exec;
pub mod images;
pub mod models;
pub mod plan;
pub mod shell;
pub mod sql;

pub use error::{Error, Result};
