//! End-to-end tests with real photos, real models and the real binary.
//!
//! One test binary, because linking DataFusion is slow. `make test` fetches the requirements into `.seequel`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that can't go on has failed")]

mod advise;
mod copy;
mod docs;
mod dropping;
mod errors;
mod fetch;
mod functions;
mod invariance;
mod library;
mod look;
mod plans;
mod quantize;
mod queries;
mod reference;
mod report;
mod runs;
mod schema;
mod shell;
mod side_by_side;
mod slt;
mod stores;
mod support;
#[cfg(target_os = "linux")]
mod telemetry;
mod tune;
