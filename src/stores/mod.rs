//! Where files lie that are on no local disk: S3, Google Cloud Storage, Azure Blob Storage and HTTP.
//!
//! ```text
//! 's3://bucket/photos/'                    OPTIONS ('aws.region' 'eu-central-1')
//!        │                                        │ statement.rs, at CREATE EXTERNAL TABLE and COPY
//!        ▼                                        ▼
//!  StoreRegistry ─ first use of a bucket ─► provider.rs ─► ExplainedStore ─► object_store ─► network
//!  registry.rs        settings of the environment          explained.rs       (retries)
//! ```
//!
//! A bucket that a query names is opened from the environment (`AWS_…`, `GOOGLE_…`, `AZURE_…`); OPTIONS of a statement
//! add to that and hold for the bucket from then on. This is below all formats: images, Parquet and CSV alike.

mod explained;
mod provider;
mod registry;
mod statement;

pub(crate) use explained::explain;
pub use registry::StoreRegistry;
pub(crate) use statement::apply_store_options;
