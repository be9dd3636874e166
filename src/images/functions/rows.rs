//! Common handling of failed rows, and the arrays of results.

use std::sync::Arc;

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::buffer::Buffer;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err, internal_err};
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs};
use seequel_udfs::{ImageArray, image_column};

use super::parameters::Parameter;
use super::row_image::{DecodedRows, RowImage};
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
    /// Failed rows become `None` too; they are counted and the first is logged, unless they can't be decoded and whoever
    /// asks of that reports it.
    ///
    /// # Errors
    /// The first failure, if `inference.on_error` is `fail`; more failures than the query may have.
    pub(crate) fn each_image<T>(
        &self,
        work: impl FnMut(usize, &RowImage<'_>) -> Result<Option<T>, String>,
    ) -> Result<Vec<Option<T>>> {
        Ok(self.each_result(work)?.into_iter().map(|result| result.ok().flatten()).collect())
    }

    /// [`Self::each_image`], with the reasons of rows that failed.
    fn each_result<T>(
        &self,
        mut work: impl FnMut(usize, &RowImage<'_>) -> Result<Option<T>, String>,
    ) -> Result<Vec<Result<Option<T>, String>>> {
        let (signature, rows) = (self.signature, self.rows);
        let images = self.images()?;
        let options = InferenceOptions::of(&self.config);
        let limits = Limits::pixels(options.bounds.max_image_pixels);
        let decoded_rows = DecodedRows::of(&self.config);
        let mut failed = vec![];
        let mut results = Vec::with_capacity(rows);
        for row in 0..rows {
            let Some(bytes) = images.get(row) else {
                // The reason of a file that could not be read is that of the function's NULL too.
                results.push(images.reason(row).map_or(Ok(None), |reason| Err(reason.to_owned())));
                continue;
            };
            let image = RowImage::new(bytes, &limits);
            let result = work(row, &image);
            let decoded = decoded_rows.and_then(|rows| Some((rows, image.into_decoded()?)));
            let is_reported = matches!(decoded, Some((_, Err(_))));
            if let Some((rows, decoded)) = decoded {
                rows.add(row, decoded);
            }
            match (&result, options.on_error) {
                (Ok(_), _) => {}
                (Err(_), _) if is_reported => {}
                (Err(reason), OnError::Null | OnError::Skip) => failed.push((row, reason.clone())),
                (Err(reason), OnError::Fail) => {
                    let error = exec_datafusion_err!(
                        "{signature}: image {} of the batch's {rows}: {reason} (inference.on_error is 'fail')",
                        row + 1
                    );
                    failed.push((row, reason.clone()));
                    self.report(failed, &options)?;
                    return Err(QueryFailures::of(&self.config).end(error));
                }
            }
            results.push(result);
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

    /// [`Self::each_image`] for `work` that returns encoded images. The NULLs of failed rows carry the reason, so that
    /// whatever reads these images does not report them again.
    pub(crate) fn to_images(
        &self,
        work: impl FnMut(usize, &RowImage<'_>) -> Result<Option<Vec<u8>>, String>,
    ) -> Result<ColumnarValue> {
        let images =
            self.each_result(work)?.into_iter().map(|image| image.map(|image| image.map(Buffer::from)));
        let images: Vec<_> = images.collect();
        let images = images.iter().map(|image| image.as_ref().map(Option::as_ref).map_err(String::as_str));
        let column = image_column(images).map_err(|error| error.context(self.signature))?;
        self.output(Arc::new(column))
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
