//! `CREATE MODEL … AS QUANTIZED`: a twin of a model that computes on 8-bit integers, calibrated and judged on real images.
//!
//! ```text
//!  source ─ simplify (ONNX Runtime) ─► Document ─ equalize, select ─► tensors to quantize
//!                                          │                      │
//!  USING (query) ─► Samples ─┬─ first half ┼── calibrate ─► ranges of these tensors, rounded weights (layers),
//!                            │             │               harm of each tensor
//!                            │             ▼                      │
//!                            │         rewrite ◄──────────────────┘
//!                            │             │ Q, DQ, integer weights; biases corrected
//!                            └─ other half ┴─► agreement ─ too low? leave nodes around the worst tensors out, again
//!                                              │
//!                                              ▼
//!                            home/models/<name>/{model.onnx, seequel.json, quantized.json}
//! ```
//!
//! The folder is that of an installed model, so that the twin is there in later sessions too.

mod attempt;
mod calibrate;
mod create;
mod equalize;
mod graph;
mod histogram;
mod options;
mod record;
mod search;
mod settings;
mod speed;
mod statement;

pub use statement::CreateQuantized;

pub(crate) use create::{check, quantize};
pub(crate) use options::QUANTIZE_OPTIONS;
pub(crate) use record::Record;
