//! What can go wrong, and what users are then told: each error on its own, through the real binary.

mod images;
mod memory;
mod models;
mod runtime;
mod statements;
