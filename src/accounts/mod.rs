//! What a query's time and memory went to: for each stage, for each model, and for the query as a whole.
//!
//! ```text
//!  Query ─ accounting() ─► Accounting ─ accounts() ─► Accounts ◄─┬─ metrics of the plan's operators    plan.rs
//!                              any task, at any time             ├─ sessions and memory of its models  plan.rs
//!                                                                └─ CPU and memory of the process      process.rs
//! ```
//!
//! The operators maintain these metrics anyway, so that nothing is counted for the accounts alone.

mod account;
mod accounting;
mod plan;
mod process;

pub use account::{Accounts, MemoryAccount, ModelAccount, QueryAccount, StageAccount, Stages, Workers};
pub use accounting::Accounting;
