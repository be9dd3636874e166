//! The names of rows for functions, which see their arguments only.
//!
//! ```text
//!  thumbnail(image, 256)   ──►   NamedRows: thumbnail(image, 256), with the paths of the batch among its settings
//! ```

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch};
use datafusion::arrow::datatypes::{FieldRef, Schema};
use datafusion::arrow::util::display::array_value_to_string;
use datafusion::common::internal_err;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};

use super::query_failures::QueryFailures;
use crate::config::unlisted_setting;

/// The names of the rows that a function is called on.
#[derive(Debug, Clone)]
pub(crate) struct RowNames(ArrayRef);

unlisted_setting!(RowNames, "inference_row_names");

impl RowNames {
    /// The name of a row of the batch that a function with these settings is called on, if it is known.
    pub(crate) fn of(config: &ConfigOptions, row: usize) -> Option<String> {
        array_value_to_string(&config.extensions.get::<Self>()?.0, row).ok()
    }

    /// Lets a function with these settings know the names of its rows.
    pub(crate) fn tell(config: &mut ConfigOptions, names: ArrayRef) {
        config.extensions.insert(Self(names));
    }
}

/// `expr` as the call of a function, whether or not it knows the names of its rows.
pub(crate) fn as_function(expr: &Arc<dyn PhysicalExpr>) -> Option<&ScalarFunctionExpr> {
    let call = expr.downcast_ref::<NamedRows>().map_or(expr, |named| &named.call);
    call.downcast_ref()
}

/// The value of `call` with settings that `set` changes.
///
/// # Errors
/// Those of the function.
pub(crate) fn evaluate_with(
    call: &ScalarFunctionExpr,
    batch: &RecordBatch,
    set: impl FnOnce(&mut ConfigOptions),
) -> Result<ColumnarValue> {
    let mut config = call.config_options().clone();
    set(&mut config);
    let (fun, arguments) = (Arc::new(call.fun().clone()), call.args().to_vec());
    let field = call.return_field(batch.schema_ref())?;
    ScalarFunctionExpr::new(call.name(), fun, arguments, field, Arc::new(config)).evaluate(batch)
}

/// `expr` over `input` with calls of those functions that `is_one` is true of knowing the names of their rows, which `names`
/// gives, and whom to tell of those that fail, if that is not who they were planned with.
///
/// # Errors
/// A bug: expressions that can't be put together again.
pub(crate) fn with_row_names(
    expr: Arc<dyn PhysicalExpr>,
    input: &Schema,
    names: &Arc<dyn PhysicalExpr>,
    failures: Option<&QueryFailures>,
    is_one: impl Fn(&ScalarFunctionExpr) -> bool,
) -> Result<Transformed<Arc<dyn PhysicalExpr>>> {
    expr.transform_up(|part| {
        if let Some(NamedRows { call, .. }) = part.downcast_ref()
            && call.downcast_ref::<NamedRows>().is_some()
        {
            // It knew the names before.
            return Ok(Transformed::yes(Arc::clone(call)));
        }
        match part.downcast_ref::<ScalarFunctionExpr>() {
            Some(call) if is_one(call) => {
                let call = match failures {
                    Some(failures) => Arc::new(telling(call, input, failures)?),
                    None => Arc::clone(&part),
                };
                Ok(Transformed::yes(Arc::new(NamedRows { call, names: Arc::clone(names) })))
            }
            _ => Ok(Transformed::no(part)),
        }
    })
}

/// `expr` itself, of which functions don't know the names of their rows.
#[cfg(feature = "cluster")]
pub(crate) fn without_row_names(expr: &Arc<dyn PhysicalExpr>) -> &Arc<dyn PhysicalExpr> {
    expr.downcast_ref::<NamedRows>().map_or(expr, |named| &named.call)
}

/// `call` over `input`, with settings by which it reports to `failures`.
fn telling(
    call: &ScalarFunctionExpr,
    input: &Schema,
    failures: &QueryFailures,
) -> Result<ScalarFunctionExpr> {
    let mut config = call.config_options().clone();
    config.extensions.insert(failures.clone());
    let (fun, arguments) = (Arc::new(call.fun().clone()), call.args().to_vec());
    Ok(ScalarFunctionExpr::new(call.name(), fun, arguments, call.return_field(input)?, Arc::new(config)))
}

/// A call that knows the names of its rows.
#[derive(Debug, Eq)]
struct NamedRows {
    /// A [`ScalarFunctionExpr`].
    call: Arc<dyn PhysicalExpr>,
    names: Arc<dyn PhysicalExpr>,
}

// Not derived: https://github.com/rust-lang/rust/issues/78808
impl PartialEq for NamedRows {
    fn eq(&self, other: &Self) -> bool {
        self.call.eq(&other.call) && self.names.eq(&other.names)
    }
}

impl Hash for NamedRows {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.call.hash(state);
        self.names.hash(state);
    }
}

impl fmt::Display for NamedRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.call.fmt(f)
    }
}

impl PhysicalExpr for NamedRows {
    fn return_field(&self, input_schema: &Schema) -> Result<FieldRef> {
        self.call.return_field(input_schema)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let Some(call) = self.call.downcast_ref::<ScalarFunctionExpr>() else {
            return internal_err!("only functions are told the names of rows");
        };
        let names = self.names.evaluate(batch)?.into_array(batch.num_rows())?;
        evaluate_with(call, batch, |config| RowNames::tell(config, names))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.call, &self.names]
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        match <[_; 2]>::try_from(children) {
            Ok([call, names]) => Ok(Arc::new(Self { call, names })),
            Err(_) => internal_err!("a call and the names of its rows are two expressions"),
        }
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.call.fmt_sql(f)
    }
}
