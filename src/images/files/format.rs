//! The file format `IMAGES` of `COPY`, for DataFusion's planner.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::Session;
use datafusion::common::{GetExt, Result, Statistics, config_err, not_impl_err, plan_err};
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use datafusion::datasource::file_format::{FileFormat, FileFormatFactory};
use datafusion::datasource::physical_plan::{
    ArrowSource, FileOutputMode, FileScanConfig, FileSinkConfig, FileSource,
};
use datafusion::datasource::sink::DataSinkExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::object_store::{ObjectMeta, ObjectStore};
use datafusion::physical_expr::LexRequirement;
use datafusion::physical_plan::ExecutionPlan;

use super::columns::Columns;
use super::sink::ImageFilesSink;
use crate::failures::QueryFailures;
use crate::images::listing::Location;

/// Name of the format, and the extension that DataFusion looks it up by.
const IMAGES: &str = "images";
/// Prefix of the OPTIONS that are for formats.
const FORMAT_OPTION: &str = "format.";

/// Makes the format for a statement.
#[derive(Debug)]
pub(crate) struct ImageFilesFactory;

impl GetExt for ImageFilesFactory {
    fn get_ext(&self) -> String {
        IMAGES.to_owned()
    }
}

impl FileFormatFactory for ImageFilesFactory {
    fn create(&self, _: &dyn Session, options: &HashMap<String, String>) -> Result<Arc<dyn FileFormat>> {
        match options.keys().find(|option| option.starts_with(FORMAT_OPTION)) {
            Some(option) => {
                let option = option.trim_start_matches(FORMAT_OPTION);
                config_err!(
                    "COPY … STORED AS IMAGES has no option '{option}'; size and format of the files are those of the column: thumbnail(image, 256), convert(image, 'jpeg', 80)"
                )
            }
            None => Ok(self.default()),
        }
    }

    fn default(&self) -> Arc<dyn FileFormat> {
        Arc::new(ImageFiles)
    }
}

/// A file for each row. Only for writing: `CREATE EXTERNAL TABLE … STORED AS IMAGES` is a table of its own.
#[derive(Debug)]
struct ImageFiles;

#[async_trait]
impl FileFormat for ImageFiles {
    fn get_ext(&self) -> String {
        IMAGES.to_owned()
    }

    fn get_ext_with_compression(&self, compression: &FileCompressionType) -> Result<String> {
        if compression.is_compressed() {
            return not_impl_err!("image files are not compressed again");
        }
        Ok(self.get_ext())
    }

    fn compression_type(&self) -> Option<FileCompressionType> {
        None
    }

    async fn infer_schema(
        &self,
        _: &dyn Session,
        _: &Arc<dyn ObjectStore>,
        _: &[ObjectMeta],
    ) -> Result<SchemaRef> {
        not_impl_err!("reading images as a listing table; read_images does it")
    }

    async fn infer_stats(
        &self,
        _: &dyn Session,
        _: &Arc<dyn ObjectStore>,
        schema: SchemaRef,
        _: &ObjectMeta,
    ) -> Result<Statistics> {
        Ok(Statistics::new_unknown(&schema))
    }

    async fn create_physical_plan(
        &self,
        _: &dyn Session,
        _: FileScanConfig,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        not_impl_err!("reading images as a listing table; read_images does it")
    }

    async fn create_writer_physical_plan(
        &self,
        input: Arc<dyn ExecutionPlan>,
        session: &dyn Session,
        config: FileSinkConfig,
        order: Option<LexRequirement>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let target = &config.original_url;
        if config.file_output_mode == FileOutputMode::SingleFile || Location::names_images(target) {
            return plan_err!(
                "COPY … STORED AS IMAGES writes a file for each row into a folder, and '{target}' is a file; write 'folder/'"
            );
        }
        let keys: Vec<_> = config.table_partition_cols.iter().map(|(key, _)| key.clone()).collect();
        let columns = Columns::find(&config.output_schema, &keys)?;
        let sink = ImageFilesSink::new(config, columns, QueryFailures::of(session.config_options()));
        Ok(Arc::new(DataSinkExec::new(input, Arc::new(sink), order)))
    }

    /// Only asked for by scans, which there are none of; any source will do.
    fn file_source(&self, table_schema: TableSchema) -> Arc<dyn FileSource> {
        Arc::new(ArrowSource::new_file_source(table_schema))
    }
}
