//! What of a graph is quantized, and the graph that results.
//!
//! ```text
//!  equalize ─► a graph whose channels are alike
//!  select ─► tensors, layers ─┬─ layers: weights rounded by what inputs have in common ─┐
//!                             ├─ harm: which tensors cost most for what they save       ├─► rewrite ─► bias
//!                             └─ integers, pairs: ranges, scales, zero points ──────────┘
//! ```
//!
//! Without calibration, `dynamic` rewrites products instead.

pub(super) mod bias;
pub(super) mod dynamic;
pub(super) mod equalize;
pub(super) mod harm;
pub(super) mod integers;
pub(super) mod layers;
pub(super) mod numbers;
pub(super) mod pairs;
pub(super) mod rewrite;
pub(super) mod select;
