//! The dashboard: a web page of an engine's queries, models and process, and the same as JSON and for Prometheus.
//!
//! ```text
//!  browser, curl ─► server.rs: a thread of its own ─► access.rs: who may ask
//!                                                       │
//!           ┌───────────────┬────────────────┬──────────┴─────┬──────────────────┐
//!        page.rs         api.rs           events.rs       metrics.rs       thumbnails.rs
//!      page/: files    JSON, cancel    one snapshot a     Prometheus      of images in errors
//!     in the binary         │        second, for all       text            and results
//!                           │          who listen             │
//!                           └──────────────┴─► Queries, ModelRegistry, process.rs, history.rs: a file of the home;
//!                                              executors.rs: the scheduler of a cluster
//! ```
//!
//! Only this machine can open it, unless the address says otherwise; then it asks for a token. It changes nothing, unless
//! it is allowed to cancel queries.

mod access;
mod address;
mod api;
mod events;
mod executors;
mod history;
mod metrics;
mod models;
mod page;
mod process;
mod server;
mod shared;
mod thumbnails;

pub use address::DashboardAddress;
pub(crate) use server::Dashboard;
