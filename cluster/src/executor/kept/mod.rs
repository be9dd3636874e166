//! Whether the files that tasks write and read are all there.
//!
//! Something may delete files of an executor that goes on, such as a program that tidies up `TMPDIR`. Ballista fails where
//! it opens a file that is missing, and repeats the task. It does not notice
//! - a file that is deleted before the task that writes it ends: its size is then 0, and a result of no bytes is left out,
//!   as that of a task with no rows,
//! - the index of a sorted shuffle: without one, the data are read as another kind of file, up to the end of their first
//!   part, which is empty.
//!
//! So the partitions that a task has written are counted here, and an index has to be there after it was needed.

mod served;
mod task_files;
#[cfg(test)]
mod tests;

pub(super) use served::serve_results;
pub(super) use task_files::Files;
