//! The format of COPY's files, with an [`AtomicSink`].

#[cfg(feature = "cluster")]
use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::Session;
use datafusion::common::{GetExt, Statistics};
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
#[cfg(feature = "cluster")]
use datafusion::datasource::file_format::file_type_to_format;
use datafusion::datasource::file_format::{FileFormat, FileFormatFactory};
use datafusion::datasource::physical_plan::{FileOutputMode, FileScanConfig, FileSinkConfig, FileSource};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::Result;
#[cfg(feature = "cluster")]
use datafusion::logical_expr::dml::CopyTo;
use datafusion::object_store::{ObjectMeta, ObjectStore};
use datafusion::physical_expr::LexRequirement;
use datafusion::physical_plan::ExecutionPlan;

use super::failed::{ErrorsOption, with_named_rows};
use super::files::{Kind, Mode, Target, unwritable, with_json_texts};
use super::parts::{self, Resumable};
use super::sink::AtomicSink;

/// Makes formats whose files appear when all are complete.
#[derive(Debug, Clone)]
pub(super) struct AtomicFormatFactory {
    pub(super) inner: Arc<dyn FileFormatFactory>,
    /// As given in OPTIONS.
    pub(super) mode: Option<Mode>,
    pub(super) errors: Option<ErrorsOption>,
    pub(super) resumable: Option<Resumable>,
}

/// Whether a COPY adds to what it has written before.
#[cfg(feature = "cluster")]
pub(crate) fn continues(copy: &CopyTo) -> bool {
    let Ok(format) = file_type_to_format(&copy.file_type) else { return false };
    let format = (format.as_ref() as &dyn Any).downcast_ref::<AtomicFormatFactory>();
    format.is_some_and(|format| format.resumable.is_some())
}

impl FileFormatFactory for AtomicFormatFactory {
    fn create(
        &self,
        session: &dyn Session,
        options: &HashMap<String, String>,
    ) -> Result<Arc<dyn FileFormat>> {
        let inner = self.inner.create(session, options)?;
        let Self { mode, errors, resumable, .. } = self.clone();
        Ok(Arc::new(AtomicFormat { inner, mode, errors, resumable }))
    }

    fn default(&self) -> Arc<dyn FileFormat> {
        let Self { inner, mode, errors, resumable } = self.clone();
        Arc::new(AtomicFormat { inner: inner.default(), mode, errors, resumable })
    }
}

impl GetExt for AtomicFormatFactory {
    fn get_ext(&self) -> String {
        self.inner.get_ext()
    }
}

#[derive(Debug)]
struct AtomicFormat {
    inner: Arc<dyn FileFormat>,
    mode: Option<Mode>,
    errors: Option<ErrorsOption>,
    resumable: Option<Resumable>,
}

#[async_trait]
impl FileFormat for AtomicFormat {
    fn get_ext(&self) -> String {
        self.inner.get_ext()
    }

    fn get_ext_with_compression(&self, compression: &FileCompressionType) -> Result<String> {
        self.inner.get_ext_with_compression(compression)
    }

    fn compression_type(&self) -> Option<FileCompressionType> {
        self.inner.compression_type()
    }

    async fn infer_schema(
        &self,
        session: &dyn Session,
        store: &Arc<dyn ObjectStore>,
        files: &[ObjectMeta],
    ) -> Result<SchemaRef> {
        self.inner.infer_schema(session, store, files).await
    }

    async fn infer_stats(
        &self,
        session: &dyn Session,
        store: &Arc<dyn ObjectStore>,
        schema: SchemaRef,
        file: &ObjectMeta,
    ) -> Result<Statistics> {
        self.inner.infer_stats(session, store, schema, file).await
    }

    async fn create_physical_plan(
        &self,
        session: &dyn Session,
        config: FileScanConfig,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.inner.create_physical_plan(session, config).await
    }

    /// # Errors
    /// [`crate::Error`] for a target or columns that can't be written; those of the format.
    async fn create_writer_physical_plan(
        &self,
        input: Arc<dyn ExecutionPlan>,
        session: &dyn Session,
        mut config: FileSinkConfig,
        order: Option<LexRequirement>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if let Some(resumable) = &self.resumable {
            let errors = self.errors.as_ref();
            return parts::writer(&self.inner, input, session, config, order, resumable, errors).await;
        }
        let format = self.inner.get_ext();
        let target = Target::of_copy(&config, self.mode, format.clone())?;
        if let Some((column, reason)) = unwritable(&format, &config.output_schema) {
            return Err(target.refused(format!("{format} can't hold the column '{column}': {reason}")));
        }
        let has_nested = config.output_schema.fields().iter().any(|field| field.data_type().is_nested());
        let nested = (format == "csv" && has_nested).then(|| {
            let texts = Arc::new(with_json_texts(&config.output_schema));
            std::mem::replace(&mut config.output_schema, texts)
        });
        // What is at the target may change the sink's own decision.
        config.file_output_mode = match target.kind {
            Kind::File => FileOutputMode::SingleFile,
            Kind::Folder => FileOutputMode::Directory,
        };
        let input = if self.errors.is_some() { with_named_rows(input, None)? } else { input };
        let writer = self.inner.create_writer_physical_plan(input, session, config, order).await?;
        let errors =
            self.errors.as_ref().map(|errors| errors.in_query(session.config_options())).transpose()?;
        Ok(AtomicSink::around(writer, nested, target, errors))
    }

    fn file_source(&self, schema: TableSchema) -> Arc<dyn FileSource> {
        self.inner.file_source(schema)
    }
}
