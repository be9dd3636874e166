//! Seequel as its users meet it: real photos, real models, the real binary.
//!
//! One binary, because linking DataFusion takes its time. `make test` fetches what the tests need into `.seequel`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that can't go on has failed")]

mod docs;
mod dropping;
mod errors;
mod fetch;
mod functions;
mod invariance;
mod library;
mod plans;
mod queries;
mod reference;
mod runs;
mod schema;
mod shell;
mod slt;
mod stores;
mod support;
