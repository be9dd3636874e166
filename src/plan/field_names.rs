//! Checks the names of struct fields when an expression is planned, where the fields that there are can still be named.
//!
//! DataFusion checks them when it needs the expression's type, for ORDER BY only while optimizing, and without a list.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawFieldAccessExpr};
use datafusion::logical_expr::{Expr, ExprSchemable, GetFieldAccess};
use itertools::Itertools;

/// The error of `p['score']` if the struct `p` has no field `score`.
#[derive(Debug, thiserror::Error)]
#[error("Field {name} not found in struct; its fields are {}", fields.iter().join(", "))]
pub(crate) struct UnknownField {
    /// Name of the column, function or field that the struct is.
    pub(crate) of: Option<String>,
    /// The field.
    pub(crate) name: String,
    /// The fields that there are.
    pub(crate) fields: Vec<String>,
}

/// Plans no expressions, but rejects accesses to fields that do not exist.
#[derive(Debug, Default)]
pub(crate) struct FieldNames;

impl ExprPlanner for FieldNames {
    /// # Errors
    /// [`UnknownField`]
    fn plan_field_access(
        &self,
        access: RawFieldAccessExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawFieldAccessExpr>> {
        if let GetFieldAccess::NamedStructField { name } = &access.field_access
            && let Some(name) = name.try_as_str().flatten()
            && let Ok(DataType::Struct(fields)) = access.expr.get_type(schema)
            && fields.find(name).is_none()
        {
            let fields = fields.iter().map(|field| field.name().clone()).collect();
            let of = name_of(&access.expr).map(str::to_owned);
            let error = UnknownField { of, name: name.to_owned(), fields };
            return Err(DataFusionError::External(Box::new(error)));
        }
        Ok(PlannerResult::Original(access))
    }
}

/// The last name in an expression as one writes it: a column's, a function's, a field's.
fn name_of(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Column(column) | Expr::OuterReferenceColumn(_, column) => Some(&column.name),
        Expr::ScalarFunction(call) if call.func.name() == "get_field" => match call.args.last()? {
            Expr::Literal(name, _) => name.try_as_str().flatten(),
            _ => None,
        },
        Expr::ScalarFunction(call) => Some(call.func.name()),
        _ => None,
    }
}
