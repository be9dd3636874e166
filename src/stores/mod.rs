//! Stores of remote files: S3, Google Cloud Storage, Azure Blob Storage and HTTP.
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
mod provider;
mod registry;
mod statement;

pub(crate) use explained::explain;
pub use registry::StoreRegistry;
pub(crate) use statement::apply_store_options;
