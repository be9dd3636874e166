//! Whether a query can be resumed: it gives at most one row for each image, with its key.

use std::any::Any;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::{Expr, LogicalPlan, TableScan};

use crate::images::table::ImagesTable;
use crate::plan::as_infer;
use crate::resume::Key;

/// Where the rows come from.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Source {
    /// The location of the images.
    pub(super) images: String,
    /// Positions of the key's columns among those of the query.
    pub(super) positions: Vec<usize>,
}

/// The source of a query's rows.
///
/// # Errors
/// Why the query can't be resumed, as a sentence.
pub(super) fn source(query: &LogicalPlan, key: Key) -> Result<Source, String> {
    // For each column of the query, the column of `node` that it is.
    let mut columns: Vec<Option<usize>> = (0..query.schema().fields().len()).map(Some).collect();
    let mut node = query;
    loop {
        if has_subquery(node) {
            return Err(several_rows("a subquery in an expression"));
        }
        node = match node {
            LogicalPlan::TableScan(scan) => return source_of(scan, &columns, key),
            LogicalPlan::Projection(projection) => {
                let input = projection.input.schema();
                for column in &mut columns {
                    *column = column.and_then(|index| match projection.expr[index].clone().unalias() {
                        Expr::Column(column) => input.maybe_index_of_column(&column),
                        _ => None,
                    });
                }
                &projection.input
            }
            LogicalPlan::Filter(filter) => &filter.input,
            LogicalPlan::SubqueryAlias(alias) => &alias.input,
            other => match as_infer(other) {
                Some(infer) => {
                    let passed = infer.input().schema().fields().len();
                    columns.iter_mut().for_each(|column| *column = column.filter(|index| *index < passed));
                    infer.input()
                }
                None => return Err(several_rows(name(other))),
            },
        };
    }
}

fn source_of(scan: &TableScan, columns: &[Option<usize>], key: Key) -> Result<Source, String> {
    let table = source_as_provider(&scan.source).ok();
    let Some(table) = table.as_ref().and_then(|table| {
        let table: &dyn Any = table.as_ref();
        table.downcast_ref::<ImagesTable>()
    }) else {
        return Err(format!(
            "resume needs a table of image files, whose rows it can leave out before they are read; '{}' is another table",
            scan.table_name
        ));
    };
    if scan.fetch.is_some() {
        return Err(several_rows("LIMIT"));
    }
    let name = |column: &Option<usize>| Some(scan.projected_schema.field((*column)?).name().as_str());
    let position = |key: &&str| columns.iter().position(|column| name(column) == Some(key));
    let names = key.columns();
    match names.iter().map(position).collect() {
        Some(positions) => Ok(Source { images: table.location().resolved(), positions }),
        None => {
            let missing: Vec<_> = names.iter().filter(|name| position(name).is_none()).copied().collect();
            Err(format!(
                "resume finds finished rows by the key {}, so the query must give {} of '{}' unchanged; add it to SELECT",
                names.join(", "),
                missing.join(" and "),
                scan.table_name
            ))
        }
    }
}

fn several_rows(what: &str) -> String {
    format!(
        "resume needs a query whose rows come from one image each, of one table, so it can't have {what}; COPY without \
         it, and apply it to a table over the folder"
    )
}

/// What a user wrote to get this node.
fn name(node: &LogicalPlan) -> &'static str {
    match node {
        LogicalPlan::Aggregate(_) => "GROUP BY or aggregates",
        LogicalPlan::Distinct(_) => "DISTINCT",
        LogicalPlan::Join(_) => "a join",
        LogicalPlan::Limit(_) => "LIMIT",
        LogicalPlan::Sort(_) => "ORDER BY",
        LogicalPlan::Union(_) => "UNION",
        LogicalPlan::Unnest(_) => "unnest",
        LogicalPlan::Values(_) | LogicalPlan::EmptyRelation(_) => "rows that come from no table",
        LogicalPlan::Window(_) => "window functions",
        _ => "more than expressions, WHERE and subqueries in FROM",
    }
}

fn has_subquery(node: &LogicalPlan) -> bool {
    let is_subquery = |expr: &Expr| {
        matches!(
            expr,
            Expr::Exists(_) | Expr::InSubquery(_) | Expr::ScalarSubquery(_) | Expr::SetComparison(_)
        )
    };
    let mut found = false;
    let visited = node.apply_expressions(|expr| {
        found |= expr.exists(|part| Ok(is_subquery(part)))?;
        Ok(TreeNodeRecursion::Continue)
    });
    found || visited.is_err()
}
