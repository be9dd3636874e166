//! `TUNE MODEL`: finds the batch size, sessions, threads and morsel with which a model is fastest on this machine, by trying
//! them out on real rows.
//!
//! ```text
//!  USING (query) ─► Rows ──┐
//!                          ├─► trial: the operators of a query, for a second or so ─► rows a second
//!  grid ─► choices ────────┘        ▲                                                      │
//!                                   └──── search: the better half again, by turns ◄────────┘
//!                                            │ until one is ahead of chance, or the budget is spent; then its morsels
//!                                            ▼
//!                                   home/tuning.json ─► what `auto` means from now on
//! ```
//!
//! Trials take turns, and each round is measured against the default in the same round, so that a machine that gets
//! slower or faster favours none.

mod candidates;
mod entrant;
mod grid;
mod interval;
mod morsels;
mod options;
mod rows;
mod run;
mod search;
mod statement;
mod table;
mod trial;
mod twins;
mod verdict;

pub use statement::TuneModel;

pub(crate) use options::TUNE_OPTIONS;
pub(crate) use rows::Rows;
pub(crate) use run::{check, summary, tune};
pub(crate) use table::{
    TUNING_TRIALS, TuningTrials, trials_table, tuning_trials_documentation, tunings_table,
};
