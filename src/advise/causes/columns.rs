//! Files are read for what their listing or their headers tell.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, TableScan};
use datafusion::physical_plan::ExecutionPlan;

use crate::Result;
use crate::advise::evidence::{Case, Finding, Measured, megabytes};
use crate::images::table::ImagesTable;

/// The column with the bytes of files.
const IMAGE: &str = "image";

/// Fields of `image_info` that are columns of the table.
const HEADER_FIELDS: [&str; 3] = ["width", "height", "format"];

/// What a query asks of `image`, each with the column that tells the same.
#[derive(Debug, Default)]
struct Uses {
    columns: BTreeSet<&'static str>,
    written: BTreeSet<String>,
    /// Whether something needs the bytes.
    needs_bytes: bool,
}

/// Whether the bytes of all files are read for their number, size or header.
///
/// # Errors
/// Those of a run that reads less.
pub(in crate::advise) async fn image_column(
    case: &Case<'_>,
    observe: &mut impl FnMut(&Arc<dyn ExecutionPlan>),
) -> Result<Option<Finding>> {
    let Some(scan) = scan_of_images(case.optimized) else { return Ok(None) };
    let uses = uses(case.optimized);
    if uses.needs_bytes || uses.columns.is_empty() {
        return Ok(None);
    }
    // The run without bytes reads what the other columns need, of the same files.
    let columns = scan.projected_schema.fields().iter().map(|field| field.name().as_str());
    let columns: BTreeSet<&str> =
        columns.filter(|name| *name != IMAGE).chain(uses.columns.iter().copied()).collect();
    let positions = columns.iter().filter_map(|name| scan.source.schema().index_of(name).ok());
    let less = LogicalPlanBuilder::scan_with_filters(
        scan.table_name.clone(),
        Arc::clone(&scan.source),
        Some(positions.collect()),
        scan.filters.clone(),
    )?;
    let other =
        Measured::run(case.context, case.context.task_ctx(), &less.build()?, case.most, observe).await?;
    let (now, then) = (case.accounts(), &other.accounts);
    let used = uses.written.into_iter().collect::<Vec<_>>().join(", ");
    let columns = uses.columns.into_iter().collect::<Vec<_>>().join(", ");
    Ok(Some(Finding {
        cause: "column",
        finding: format!("files are read as a whole for {used}"),
        evidence: format!(
            "{} read in {:.2} s; {} in {:.2} s for {columns}",
            megabytes(now.stages.read.bytes as f64),
            now.query.seconds,
            megabytes(then.stages.read.bytes as f64),
            then.query.seconds
        ),
        gain: Some(now.query.seconds / then.query.seconds.max(1e-9)),
        change: Some(format!("use the column{} {columns}", if columns.contains(',') { "s" } else { "" })),
    }))
}

/// The scan of a table of images that reads whole files.
fn scan_of_images(plan: &LogicalPlan) -> Option<TableScan> {
    let mut found = None;
    // The closure can't fail.
    let _ = plan.apply(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && source_as_provider(&scan.source).is_ok_and(|table| table.is::<ImagesTable>())
            && scan.projected_schema.fields().iter().any(|field| field.name() == IMAGE)
        {
            found = Some(scan.clone());
        }
        Ok(TreeNodeRecursion::Continue)
    });
    found
}

/// What all expressions of a plan ask of `image`.
fn uses(plan: &LogicalPlan) -> Uses {
    let mut uses = Uses::default();
    let returned = plan.schema().fields().iter();
    uses.needs_bytes = returned.into_iter().any(|field| crate::images::scan::is_image(field));
    // The closures can't fail.
    let _ = plan.apply(|node| {
        let is_projection = matches!(node, LogicalPlan::Projection(_));
        let is_known = !matches!(node, LogicalPlan::Extension(_));
        node.apply_expressions(|expr| {
            // A column that is only passed on is used above, or not at all.
            if !(is_projection && is_image(expr)) {
                uses.add(expr, is_known);
            }
            Ok(TreeNodeRecursion::Continue)
        })
    });
    uses
}

impl Uses {
    fn add(&mut self, expr: &Expr, is_known: bool) {
        let _ = expr.apply(|expr| {
            let told = is_known.then(|| told_by(expr)).flatten();
            if let Some((column, written)) = told {
                self.columns.insert(column);
                self.written.insert(written);
                return Ok(TreeNodeRecursion::Jump);
            }
            self.needs_bytes |= is_image(expr);
            Ok(TreeNodeRecursion::Continue)
        });
    }
}

fn is_image(expr: &Expr) -> bool {
    matches!(expr, Expr::Column(column) if column.name == IMAGE)
}

/// The column that tells what `expr` asks of the bytes, and `expr` in SQL.
fn told_by(expr: &Expr) -> Option<(&'static str, String)> {
    let told = |column, written: &str| Some((column, written.to_owned()));
    match expr {
        Expr::IsNull(inner) if is_image(inner) => told("path", "image IS NULL"),
        Expr::IsNotNull(inner) if is_image(inner) => told("path", "image IS NOT NULL"),
        Expr::AggregateFunction(call) if call.func.name() == "count" => match call.params.args.as_slice() {
            [image] if is_image(image) => told("path", "count(image)"),
            _ => None,
        },
        Expr::ScalarFunction(call) => match (call.name(), call.args.as_slice()) {
            (name @ ("octet_length" | "length"), [image]) if is_image(image) => {
                told("size", &format!("{name}(image)"))
            }
            ("get_field", [Expr::ScalarFunction(inner), Expr::Literal(field, _)])
                if inner.name() == "image_info"
                    && matches!(inner.args.as_slice(), [image] if is_image(image)) =>
            {
                let field = field.try_as_str().flatten()?;
                let column = HEADER_FIELDS.into_iter().find(|column| *column == field)?;
                told(column, &format!("image_info(image)['{field}']"))
            }
            _ => None,
        },
        _ => None,
    }
}
