//! Seequel: SQL that sees.
//!
//! An embedded query engine for batch inference over images, on Apache DataFusion and ONNX Runtime:
//! `SELECT path, classify(image) FROM images`.
//!
//! There are two entry points. [`Engine`] runs all of Seequel's SQL, including `CREATE MODEL`. [`SeequelExt`] adds
//! images and inference to an application's own DataFusion session.

#![cfg_attr(
    not(feature = "shell"),
    expect(
        dead_code,
        unused_imports,
        reason = "the shell uses parts of other modules that applications don't"
    )
)]

pub mod accounts;
mod advise;
mod agreement;
pub mod config;
mod engine;
mod error;
pub mod exec;
pub mod functions;
pub mod images;
pub mod model;
mod nearest;
pub mod plan;
mod progress;
mod quantize;
mod query;
mod report;
mod session;
#[cfg(feature = "shell")]
pub mod shell;
pub mod sql;
pub mod stores;
pub mod tasks;
mod tune;
pub mod write;

/// The examples of a page are compiled with those of the documentation.
#[cfg(doctest)]
#[doc = include_str!("../docs/applications.md")]
struct Applications;

pub use advise::Advise;
pub use engine::{Engine, EngineBuilder};
pub use error::{Error, Result};
pub use progress::{Count, Inference, QueryProgress, Stage};
pub use quantize::CreateQuantized;
pub use query::{Query, QueryHandle};
pub use session::SeequelExt;
pub use tune::TuneModel;
