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
pub mod bounds;
mod clock;
#[cfg(feature = "cluster")]
pub mod cluster;
pub mod config;
#[cfg(feature = "dashboard")]
pub mod dashboard;
mod engine;
mod error;
pub mod exec;
mod failures;
pub mod functions;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
pub mod images;
mod memory_limit;
pub mod model;
mod nearest;
pub mod plan;
mod progress;
mod quantize;
pub mod queries;
mod query;
mod report;
pub mod resume;
mod secrets;
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

/// The examples of a page are compiled with those of the documentation.
#[cfg(all(doctest, feature = "dashboard"))]
#[doc = include_str!("../docs/dashboard.md")]
struct DashboardPage;

pub use advise::Advise;
pub use engine::{Engine, EngineBuilder};
pub use error::{Error, Result};
pub use progress::{Count, Inference, QueryProgress, Stage};
pub use quantize::CreateQuantized;
pub use query::{Query, QueryHandle};
pub use session::SeequelExt;
pub use tune::TuneModel;
