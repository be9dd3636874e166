//! Seequel: SQL that sees.
//!
//! An embedded query engine for batch inference over images, on Apache DataFusion and ONNX Runtime:
//! `SELECT path, classify(image) FROM images`.
//!
//! Two ways in. [`Engine`] speaks all of Seequel's SQL, `CREATE MODEL` included. [`SeequelExt`] adds images and
//! inference to a DataFusion session that an application already has.

pub mod config;
mod engine;
mod error;
pub mod exec;
pub mod images;
pub mod model;
pub mod plan;
mod session;
pub mod shell;
pub mod sql;
pub mod stores;
pub mod tasks;

pub use engine::{Engine, EngineBuilder};
pub use error::{Error, Result};
pub use session::SeequelExt;
