//! Seequel as its users meet it: real photos, real models, the real binary.
//!
//! One binary, because linking DataFusion takes its time. `make test` fetches what the tests need into `.seequel`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that can't go on has failed")]

mod faults;
mod library;
mod plans;
mod reference;
mod runs;
mod shell;
mod slt;
mod stores;
mod support;
