//! Error messages, each tested with the real binary.

mod fields;
mod images;
mod locations;
mod memory;
mod models;
mod positions;
mod runs;
mod runtime;
mod statements;
mod tolerance;
