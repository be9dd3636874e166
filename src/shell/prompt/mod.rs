//! The line editor: completion, highlighting, hints.

mod assistant;
pub(crate) mod command;
mod completion;
mod highlight;
mod keywords;
mod names;

pub(crate) use assistant::Assistant;
pub(crate) use names::Names;
