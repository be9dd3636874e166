//! Functions of images as columns of the operator, which knows what came of their decoding.
//!
//! ```text
//!  thumbnail(image, 256) ─┬─► column
//!                         └─► rows that were decoded, or can't be ─► image_error(image), which decodes the rest
//! ```

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch};
use datafusion::error::Result;
use datafusion::physical_plan::PhysicalExpr;

use crate::failures::{RowNames, as_function, evaluate_with};
use crate::images::functions::DecodedRows;

/// A column that a function of an image fills.
#[derive(Debug)]
pub(in crate::exec) struct FunctionColumn {
    /// Its position among those that the operator adds.
    pub(in crate::exec) position: usize,
    expr: Arc<dyn PhysicalExpr>,
}

impl FunctionColumn {
    /// The column at `position`, of `expr`, the only input of its call.
    pub(in crate::exec) fn new(position: usize, expr: &Arc<dyn PhysicalExpr>) -> Self {
        Self { position, expr: Arc::clone(expr) }
    }

    /// The image that it decodes; `None` if the expression has become another, such as a constant.
    pub(in crate::exec) fn image(&self) -> Option<&Arc<dyn PhysicalExpr>> {
        as_function(&self.expr)?.args().first()
    }

    /// The values of the rows of `batch`, called `names` if anything names them. `decoded` learns which rows were decoded,
    /// and then reports those that could not be.
    ///
    /// # Errors
    /// Those of the function.
    pub(in crate::exec) fn evaluate(
        &self,
        batch: &RecordBatch,
        names: Option<&ArrayRef>,
        decoded: Option<&DecodedRows>,
    ) -> Result<ArrayRef> {
        let value = match as_function(&self.expr) {
            Some(call) => evaluate_with(call, batch, |config| {
                if let Some(names) = names {
                    RowNames::tell(config, Arc::clone(names));
                }
                if let Some(decoded) = decoded {
                    config.extensions.insert(decoded.clone());
                }
            }),
            None => self.expr.evaluate(batch),
        };
        value?.into_array(batch.num_rows())
    }
}
