//! Rounds the weights of a layer to integers so that its outputs change least.
//!
//! ```text
//!  input images ─ Window ─► patches ─ Moments ─► covariance ─┐
//!                                       weights, scales ─────┴─ round ─► integers
//! ```
//!
//! Rounding each weight to its nearest integer ignores that a layer adds up products: an error in one weight can be
//! compensated by its neighbours, as far as their inputs occur together.
//!
//! A crate of its own, since development builds optimise it. Its functions are not generic for the same reason.

mod moments;
mod round;
mod window;

pub use moments::Moments;
pub use round::{LARGEST, LARGEST_PAIR, round};
pub use window::Window;
