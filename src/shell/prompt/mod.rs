//! The line editor: completion, highlighting, hints.

mod assistant;
pub(crate) mod command;
mod completion;
mod cursor;
mod highlight;
mod keywords;
mod names;
mod other_shells;

pub(crate) use assistant::Assistant;
pub(crate) use names::Names;
