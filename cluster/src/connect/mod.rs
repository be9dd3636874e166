//! How processes reach each other: by which addresses, by which proof that they belong together, and for how long they wait.

mod address;
mod connection;
mod patience;
mod security;

pub(crate) use address::host_in_url;
pub use address::{Address, executor_bind, scheduler_bind};
pub(crate) use connection::{Connection, MESSAGE_BYTES, SchedulerClient, is_broken};
pub(crate) use patience::{SILENCE, SILENCE_OF_TASKS, incoming};
pub use security::Security;
