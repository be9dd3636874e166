//! `COPY … OPTIONS ('resume' 'path')`: what is known of such a statement beyond the life of a process.
//!
//! ```text
//!  out/                                        a run of the statement
//!    part-<run>-….parquet   ◄─ 2 appear whole    1 lock, read the log, check that the statement is the same,
//!    label=cat/part-….parquet                      append Start, delete parts that no entry names,
//!    _seequel/                                     give the scan the keys that are finished (skip.rs)
//!      lock                                      2 write a part, hidden; put its files in place
//!      00000001.json  Start                      3 append Commit: now the part counts
//!      00000002-<run>.keys  ◄─ 3                 … 2 and 3 again, every 32 MiB or 30 seconds
//!      00000002-<run>.errors◄─ 3                 4 write the errors file from all failures that are committed
//!      00000002.json  Commit◄─ 3                 5 append End
//!      00000003.json  End   ◄─ 5
//! ```
//!
//! **The log** (`log/`) is a sequence of small files, numbered without gaps, each of which is created
//! whole and only if there is none of its number. So of two processes that write to one folder, one fails to append, and
//! it removes the part that it could not log. An entry is never changed. A part counts because an entry names it; a
//! file of a run that none names is the rest of a process that was killed between 2 and 3, and the next run deletes it
//! before it reads any row. What such a process had not put in place was never visible.
//!
//! **Keys** (`keys.rs`) are the first 128 bits of SHA-256 of a row's key: 16 bytes for a finished row, in the log and in
//! memory. That two of ten million keys share a hash has a probability of 1.5 · 10⁻²⁵.
//!
//! **Failures** of a part's rows are committed with it (`.errors`, lines of JSON). A row that `inference.on_error = 'skip'`
//! leaves out is finished too: its key is in the next part, with its failures. Failures of rows that come later wait for
//! them. What is left of them at the end, of rows that WHERE leaves out and of folders that can't be listed, is found again
//! by each run, so it is only in the errors file.
//!
//! **One process at a time** (`lock.rs`): a lock on a file, which the system releases when a process dies, refuses a second
//! one on the same machine. For processes on several machines, a new run's Start takes the number that the older run needs
//! for its next entry, so the older one ends with an error, and what it committed stays.
//!
//! **On a cluster** the parts of a run are written by its tasks, which append to the log as the client does. So an entry of the
//! same run may take a number as well: who finds its number taken reads what others have appended, and tries the next, unless
//! these entries are against it (`log/append.rs`). A Commit names its task, and a task that finds its own rows committed
//! removes its files. After another run's Start or its own End, no task appends; only then is what they left removed.
//!
//! **The same statement** (`log/statement.rs`): the first entry has the query's plan, the location of the images, each model's
//! digests and settings, and the session's settings that change results. What differs is named in the error.
//!
//! **Stopping** (`stop.rs`): SIGTERM ends the scan, so that rows in flight are finished; Ctrl-C ends the input at once.
//! Both commit what there is, and so does the dashboard when it cancels the query.
//!
//! The sink that does this is in `write/parts/`; names that begin with `_` are hidden from tables over the folder.

#[cfg(feature = "cluster")]
mod finished;
mod keys;
mod lock;
mod log;
mod progress;
mod skip;
mod stop;

#[cfg(feature = "cluster")]
pub(crate) use finished::FinishedKeys;
pub use keys::KeySet;
pub(crate) use keys::{Key, hash, hashes};
pub(crate) use lock::{Lock, Unlocked};
pub(crate) use log::{Appended, Entry, LOG_FOLDER, Log, ModelRecord, StatementRecord, now_millis};
pub(crate) use progress::show;
pub(crate) use skip::{Begin, Skip};
pub(crate) use stop::{StopSwitch, Stoppable, stop_all};
