//! Names of the columns of results: `classify(image)['label']` instead of `classify(photos/*.jpg.image)[label]`.
//!
//! DataFusion names an expression after its plan: with the qualifiers of columns, and with the types of literals. The
//! expressions of the outermost SELECT that have no alias are named here as they are written, by a projection above
//! the query. EXPLAIN shows the plan without it.
//!
//! ```text
//!  SELECT  path,  upper(i.name),   *,   2 * size   FROM images AS i
//!           │      │               │     │
//!          keep   upper(name)     keep   2 * size     matched with the columns of the plan from both ends
//! ```

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::common::Column;
use datafusion::error::Result;
use datafusion::logical_expr::dml::CopyTo;
use datafusion::logical_expr::{
    CreateMemoryTable, DdlStatement, Expr as PlannedExpr, LogicalPlan, LogicalPlanBuilder,
};
use datafusion::sql::parser::{CopyToSource, Statement};
use datafusion::sql::planner::IdentNormalizer;
use datafusion::sql::sqlparser::ast::{
    Expr, Ident, ObjectNamePart, Query, Select, SelectItem, SetExpr, Statement as SqlStatement, Visitor,
    VisitorMut,
};

use super::visit::{normalized, relations};
use super::walk::{walk, walk_mut};

/// The headers of a query's first and last columns; `None` for those that keep the name of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::sql) struct Headers {
    first: Vec<Option<String>>,
    /// Behind the wildcards.
    last: Vec<Option<String>>,
}

impl Headers {
    /// The headers of a query, of COPY, or of CREATE TABLE … AS; `None` for other statements.
    pub(in crate::sql) fn of(statement: &Statement, normalizer: &IdentNormalizer) -> Option<Self> {
        let select = first_select(query(statement)?)?;
        let names = relations(&select.from, normalizer);
        let header = |item: &SelectItem| match item {
            SelectItem::UnnamedExpr(expr) => header(expr, &names, normalizer),
            _ => None,
        };
        let items = select.projection.as_slice();
        let start = items.iter().position(is_several).unwrap_or(items.len());
        let end = items.iter().rposition(is_several).map_or(items.len(), |last| last + 1);
        Some(Self {
            first: items[..start].iter().map(header).collect(),
            last: items[end..].iter().map(header).collect(),
        })
    }

    /// Renames the columns of the query in `plan`, except where two would then have the same name.
    ///
    /// # Errors
    /// None in practice: the projection has only columns of the plan.
    pub(in crate::sql) fn apply(self, plan: LogicalPlan) -> Result<LogicalPlan> {
        match plan {
            LogicalPlan::Copy(copy) => {
                let input = Arc::new(self.rename(copy.input.as_ref().clone(), &copy.partition_by)?);
                Ok(LogicalPlan::Copy(CopyTo { input, ..copy }))
            }
            LogicalPlan::Ddl(DdlStatement::CreateMemoryTable(create)) => {
                let input = Arc::new(self.rename(create.input.as_ref().clone(), &[])?);
                Ok(LogicalPlan::Ddl(DdlStatement::CreateMemoryTable(CreateMemoryTable { input, ..create })))
            }
            plan => self.rename(plan, &[]),
        }
    }

    /// Renames columns of a query, but not those in `kept`.
    fn rename(self, query: LogicalPlan, kept: &[String]) -> Result<LogicalPlan> {
        let columns = query.schema().columns();
        let Some(between) = columns.len().checked_sub(self.first.len() + self.last.len()) else {
            return Ok(query);
        };
        let between = std::iter::repeat_n(None, between);
        let headers = self.first.into_iter().chain(between).chain(self.last);
        let mut headers: Vec<_> = headers
            .zip(&columns)
            .map(|(header, column)| {
                header.filter(|header| *header != column.name && !kept.contains(&column.name))
            })
            .collect();
        // A column that keeps its name may collide with another's header in turn.
        while drop_duplicates(&mut headers, &columns) {}
        if headers.iter().all(Option::is_none) {
            return Ok(query);
        }
        let renamed = columns.into_iter().zip(headers).map(|(column, header)| match header {
            Some(header) => PlannedExpr::Column(column).alias(header),
            None => PlannedExpr::Column(column),
        });
        LogicalPlanBuilder::from(query).project(renamed.collect::<Vec<_>>())?.build()
    }
}

/// Removes headers that are not unique; returns whether there were any.
fn drop_duplicates(headers: &mut [Option<String>], columns: &[Column]) -> bool {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for (header, column) in headers.iter().zip(columns) {
        *counts.entry(header.as_deref().unwrap_or(&column.name)).or_default() += 1;
    }
    let counts = counts.into_iter().filter(|(_, count)| *count > 1);
    let duplicates: HashSet<String> = counts.map(|(name, _)| name.to_owned()).collect();
    let mut is_changed = false;
    for header in headers {
        if header.as_ref().is_some_and(|header| duplicates.contains(header)) {
            *header = None;
            is_changed = true;
        }
    }
    is_changed
}

/// The query whose columns become those of a result, a file or a table without given columns.
fn query(statement: &Statement) -> Option<&Query> {
    match statement {
        Statement::Statement(statement) => match statement.as_ref() {
            SqlStatement::Query(query) => Some(query),
            SqlStatement::CreateTable(create) if create.columns.is_empty() => create.query.as_deref(),
            _ => None,
        },
        Statement::CopyTo(copy) => match &copy.source {
            CopyToSource::Query(query) => Some(query),
            CopyToSource::Relation(_) => None,
        },
        _ => None,
    }
}

/// The SELECT that names the columns of a query.
fn first_select(query: &Query) -> Option<&Select> {
    if !query.pipe_operators.is_empty() {
        return None;
    }
    let mut body = query.body.as_ref();
    loop {
        body = match body {
            SetExpr::Select(select) => return Some(select),
            SetExpr::Query(query) => return first_select(query),
            SetExpr::SetOperation { left, .. } => left,
            _ => return None,
        };
    }
}

/// Whether an item may be any number of columns: a wildcard, or `unnest` of a struct.
fn is_several(item: &SelectItem) -> bool {
    match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => {
            walk(expr, &mut Unnest).is_break()
        }
        _ => true,
    }
}

struct Unnest;

impl Visitor for Unnest {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::Function(call) if call.name.to_string().eq_ignore_ascii_case("unnest") => {
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(()),
        }
    }
}

/// An expression as one writes it, without the names of `relations`; `None` for a column, which has its name already.
fn header(expr: &Expr, relations: &HashSet<String>, normalizer: &IdentNormalizer) -> Option<String> {
    let mut expr = match expr {
        Expr::Nested(inner) => return header(inner, relations, normalizer),
        // As in PostgreSQL, a column keeps its name.
        Expr::Cast { expr: inner, .. } => match inner.as_ref() {
            Expr::Identifier(name) => return Some(normalized(name, normalizer)),
            _ => expr.clone(),
        },
        Expr::Identifier(_) => return None,
        Expr::Subquery(query) => return header_of_subquery(query, normalizer),
        expr => expr.clone(),
    };
    let _ = walk_mut(&mut expr, &mut Plain { relations, normalizer });
    match expr {
        Expr::Identifier(_) => None,
        expr => Some(expr.to_string()),
    }
}

/// A subquery's only column.
fn header_of_subquery(query: &Query, normalizer: &IdentNormalizer) -> Option<String> {
    let select = first_select(query)?;
    match select.projection.as_slice() {
        [SelectItem::UnnamedExpr(expr)] => header(expr, &relations(&select.from, normalizer), normalizer),
        _ => None,
    }
}

/// Removes qualifiers, and writes names as they are resolved.
struct Plain<'a> {
    relations: &'a HashSet<String>,
    normalizer: &'a IdentNormalizer,
}

impl Plain<'_> {
    fn normalize(&self, ident: &mut Ident) {
        if ident.quote_style.is_none() {
            ident.value = normalized(ident, self.normalizer);
        }
    }
}

impl VisitorMut for Plain<'_> {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Identifier(name) => self.normalize(name),
            Expr::CompoundIdentifier(names) => {
                let is_relation = |name: &Ident| self.relations.contains(&normalized(name, self.normalizer));
                let inner = &names[..names.len() - 1];
                let qualifiers = inner.iter().rposition(is_relation).map_or(0, |last| last + 1);
                names.drain(..qualifiers);
                names.iter_mut().for_each(|name| self.normalize(name));
                if let [name] = names.as_slice() {
                    *expr = Expr::Identifier(name.clone());
                }
            }
            Expr::Function(call) => {
                for part in &mut call.name.0 {
                    if let ObjectNamePart::Identifier(name) = part {
                        self.normalize(name);
                    }
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use datafusion::config::SqlParserOptions;

    use super::*;
    use crate::sql::{Statement as AnyStatement, parse_statement};

    fn headers(sql: &str) -> crate::Result<Vec<String>> {
        let AnyStatement::DataFusion(statement) = parse_statement(sql, &SqlParserOptions::default())? else {
            return Ok(Vec::new());
        };
        let headers = Headers::of(&statement, &IdentNormalizer::default());
        let names = |headers: Headers| headers.first.into_iter().chain(headers.last).collect::<Vec<_>>();
        Ok(headers.map(names).unwrap_or_default().into_iter().map(Option::unwrap_or_default).collect())
    }

    #[test]
    fn headers_are_what_one_would_write() -> crate::Result<()> {
        for (item, expected) in [
            ("classify(image)['label']", "classify(image)['label']"),
            ("Classify(T.Image)['label']", "classify(image)['label']"),
            ("classify(image).label", "classify(image).label"),
            ("t.p.label", "p.label"),
            ("public.t.p.label", "p.label"),
            ("p.label", "p.label"),
            ("x.y", "x.y"),
            ("COUNT(*)", "count(*)"),
            ("(t.size + 1)", "size + 1"),
            ("size * 2 - (1 - t.width)", "size * 2 - (1 - width)"),
            ("upper(\"Odd\")", "upper(\"Odd\")"),
            ("CAST(Size AS BIGINT)", "size"),
            ("size::BIGINT / 2", "size::BIGINT / 2"),
            ("(SELECT max(u.a) FROM u)", "max(a)"),
            ("'text'", "'text'"),
            ("t.size", ""),
            ("size", ""),
            ("size AS s", ""),
            ("t.size + 1 AS s", ""),
        ] {
            assert_eq!(headers(&format!("SELECT {item} FROM public.t"))?, [expected], "{item}");
        }
        Ok(())
    }

    #[test]
    fn columns_are_matched_from_both_ends_of_wildcards() -> crate::Result<()> {
        assert_eq!(headers("SELECT 1 + 1, *, 2 + 2 FROM t")?, ["1 + 1", "2 + 2"]);
        assert_eq!(headers("SELECT a + 1, t.*, b + 1, unnest(c), d + 1 FROM t")?, ["a + 1", "d + 1"]);
        assert_eq!(headers("(SELECT a + 1 FROM t UNION SELECT b FROM t) ORDER BY 1")?, ["a + 1"]);
        for sql in ["VALUES (1)", "EXPLAIN SELECT a + 1 FROM t", "CREATE TABLE t (a INT) AS SELECT 1"] {
            assert!(headers(sql)?.is_empty(), "{sql}");
        }
        for sql in ["CREATE TABLE t AS SELECT 1 + 1", "COPY (SELECT 1 + 1) TO 'a.csv'"] {
            assert_eq!(headers(sql)?, ["1 + 1"], "{sql}");
        }
        Ok(())
    }
}
