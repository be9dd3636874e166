//! End-to-end tests with real photos, real models and the real binary.
//!
//! One test binary, because linking DataFusion is slow. `make test` fetches the requirements into `.seequel`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that can't go on has failed")]

mod advise;
mod bisecting;
#[cfg(all(feature = "cluster", unix))]
mod cluster;
mod copy;
#[cfg(unix)]
mod corpus;
mod dashboard;
mod docs;
mod dropping;
mod errors;
mod faults;
mod fetch;
mod functions;
mod invariance;
mod library;
mod logs;
mod look;
mod plans;
mod quantize;
mod queries;
mod random_sql;
mod reference;
mod report;
mod resume;
mod runs;
mod schema;
mod shell;
mod side_by_side;
mod slt;
mod stores;
mod stress;
mod support;
#[cfg(target_os = "linux")]
mod telemetry;
mod tune;
