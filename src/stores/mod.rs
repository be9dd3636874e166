//! Stores of files: S3, Google Cloud Storage, Azure Blob Storage and HTTP, and the local ones, which `local.rs` reads within
//! their bounds.
//!
//! ```text
//! 's3://bucket/photos/'                    OPTIONS ('aws.region' 'eu-central-1')
//!        │                                        │ statement.rs, at CREATE EXTERNAL TABLE and COPY
//!        ▼                                        ▼
//!  StoreRegistry ─ first use of a bucket ─► provider.rs ─► ExplainedStore ─► object_store ─► network
//!  registry.rs        settings of the environment          explained.rs       (retries)
//! ```
//!
//! A bucket in a query is opened with settings from the environment (`AWS_…`, `GOOGLE_…`, `AZURE_…`); OPTIONS of a
//! statement add to these and apply to the bucket from then on, for all formats: images, Parquet and CSV.

mod explained;
mod local;
mod provider;
mod registry;
mod statement;

pub(crate) use explained::explain;
pub(crate) use provider::{PASSWORD_IN_URL, has_password};
pub use registry::StoreRegistry;
pub(crate) use statement::apply_store_options;
