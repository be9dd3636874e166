//! Common handling of failed rows, and the arrays of results.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, BinaryViewBuilder};
use datafusion::arrow::buffer::Buffer;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err, internal_err};
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs};
use seequel_udfs::ImageArray;

use super::parameters::Parameter;
use crate::bounds::Bounds;
use crate::config::{InferenceOptions, OnError};
use crate::failures::{FailedRow, QueryFailures, RowNames, Stage};
use crate::images::decode::Limits;
use crate::images::scan::{IMAGE_TYPE, TYPE_METADATA_KEY};

/// The field of a function that returns encoded images.
pub(crate) fn image_field(name: &str) -> FieldRef {
    let image_type = [(TYPE_METADATA_KEY.to_owned(), IMAGE_TYPE.to_owned())];
    Arc::new(Field::new(name, DataType::BinaryView, true).with_metadata(image_type.into()))
}

/// A call under evaluation: its arguments as columns.
#[derive(Debug)]
pub(crate) struct Call {
    signature: &'static str,
    columns: Vec<ArrayRef>,
    rows: usize,
    is_scalar: bool,
    config: Arc<ConfigOptions>,
}

impl Call {
    /// The call of `signature` with `args`; a call with only literals is evaluated on one row.
    ///
    /// Arguments after the image are cast to the types of `parameters`, if there are any.
    pub(crate) fn new(
        signature: &'static str,
        parameters: &[Parameter],
        args: ScalarFunctionArgs,
    ) -> Result<Self> {
        let is_scalar = args.args.iter().all(|value| matches!(value, ColumnarValue::Scalar(_)));
        let rows = if is_scalar { 1 } else { args.number_rows };
        let to_column = |(index, value): (usize, ColumnarValue)| {
            let parameter = index.checked_sub(1).and_then(|index| parameters.get(index));
            let value = match parameter {
                Some(parameter) => value.cast_to(&parameter.kind.data_type(), None)?,
                None => value,
            };
            value.into_array(rows)
        };
        let columns = args.args.into_iter().enumerate().map(to_column).collect::<Result<_>>()?;
        Ok(Self { signature, columns, rows, is_scalar, config: args.config_options })
    }

    /// The arguments after the image.
    pub(crate) fn arguments(&self) -> &[ArrayRef] {
        self.columns.get(1..).unwrap_or_default()
    }

    /// Applies `work` to each image that is not NULL; `work` returns `None` if another argument is NULL.
    ///
    /// Failed rows become `None` too; they are counted and the first is logged.
    ///
    /// # Errors
    /// The first failure, if `inference.on_error` is `fail`; more failures than the query may have.
    pub(crate) fn each_image<T>(
        &self,
        mut work: impl FnMut(usize, &[u8], &Limits<'_>) -> Result<Option<T>, String>,
    ) -> Result<Vec<Option<T>>> {
        let (signature, rows) = (self.signature, self.rows);
        let images = self.images()?;
        let options = InferenceOptions::of(&self.config);
        let limits = Limits::pixels(options.bounds.max_image_pixels);
        let mut failed = vec![];
        let mut results = Vec::with_capacity(rows);
        for row in 0..rows {
            let result = images.get(row).map(|bytes| work(row, bytes, &limits)).transpose();
            results.push(match (result, options.on_error) {
                (Ok(result), _) => result.flatten(),
                (Err(reason), OnError::Null | OnError::Skip) => {
                    failed.push((row, reason));
                    None
                }
                (Err(reason), OnError::Fail) => {
                    let error = exec_datafusion_err!(
                        "{signature}: image {} of the batch's {rows}: {reason} (inference.on_error is 'fail')",
                        row + 1
                    );
                    failed.push((row, reason));
                    self.report(failed, &options)?;
                    return Err(QueryFailures::of(&self.config).end(error));
                }
            });
        }
        if let Some((first, reason)) = failed.first() {
            tracing::warn!(
                function = signature,
                failures = failed.len(),
                rows,
                first = first + 1,
                %reason,
                "images of a batch could not be used; their results are NULL"
            );
        }
        self.report(failed, &options)?;
        Ok(results)
    }

    /// Reports rows that failed, by their positions and reasons.
    fn report(&self, failed: Vec<(usize, String)>, options: &InferenceOptions) -> Result<()> {
        let failures = QueryFailures::of(&self.config);
        let failed_row = |(row, reason)| FailedRow {
            path: RowNames::of(&self.config, row),
            stage: Stage::Function,
            error: format!("{}: {reason}", self.signature),
            model: None,
        };
        failures.add_failed(failed.len(), failed.into_iter().map(failed_row).collect());
        failures.check(options)
    }

    /// [`Self::each_image`] for `work` that returns encoded images.
    pub(crate) fn to_images(
        &self,
        work: impl FnMut(usize, &[u8], &Limits<'_>) -> Result<Option<Vec<u8>>, String>,
    ) -> Result<ColumnarValue> {
        let mut builder = BinaryViewBuilder::with_capacity(self.rows);
        for image in self.each_image(work)? {
            let Some(image) = image else {
                builder.append_null();
                continue;
            };
            let length = u32::try_from(image.len())
                .map_err(|_| exec_datafusion_err!("{}: the result is larger than 4 GiB", self.signature))?;
            let block = builder.append_block(Buffer::from(image));
            builder.try_append_view(block, 0, length)?;
        }
        self.output(Arc::new(builder.finish()))
    }

    /// The bounds on its images.
    pub(crate) fn bounds(&self) -> Bounds {
        InferenceOptions::of(&self.config).bounds
    }

    /// The number of rows of the call.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// The results of all rows as DataFusion expects them.
    pub(crate) fn output(&self, results: ArrayRef) -> Result<ColumnarValue> {
        Ok(match self.is_scalar {
            true => ColumnarValue::Scalar(ScalarValue::try_from_array(&results, 0)?),
            false => ColumnarValue::Array(results),
        })
    }

    /// The images, the first argument.
    pub(crate) fn images(&self) -> Result<ImageArray<'_>> {
        match self.columns.first() {
            Some(images) => ImageArray::try_new(images),
            None => internal_err!("{} without arguments passed planning", self.signature),
        }
    }
}
