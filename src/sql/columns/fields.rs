//! Struct fields as people write them: `classify(image).label`, `p.label` in a correlated subquery, `p.*`.
//!
//! DataFusion plans `p['label']` everywhere and `p.label` in most places. The rest is rewritten to what it plans:
//!
//! ```text
//!  classify(image).label ─► classify(image)['label']         always: it has no other meaning
//!  statement ─► DataFusion ─► plan
//!                   │ error, or a field that does not exist
//!                   ▼
//!  p.*        ─► p['label'] AS label, …   if no relation of this FROM is named p     wildcards.rs
//!  p.label    ─► p['label']               if no relation of the statement is
//!                   │
//!                   └─► DataFusion ─► plan, or the position of an unknown field, or the first error
//! ```
//!
//! So whatever DataFusion can plan keeps its meaning, above all names that are both a table's and a column's.

use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Diagnostic, Span};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr as PlannedExpr, ExprSchemable, LogicalPlan};
use datafusion::sql::parser::Statement;
use datafusion::sql::planner::IdentNormalizer;
use datafusion::sql::sqlparser::ast::{
    AccessExpr, Expr, Ident, Select, SelectItem, Subscript, Value, ValueWithSpan, Visitor, VisitorMut,
};

use super::visit::{all_relations, field, normalized, visit, visit_mut};
use super::wildcards;
use crate::plan::UnknownField;

/// Plans a statement of DataFusion's, with the forms of field access above.
///
/// # Errors
/// Those of DataFusion; an unknown field has its position.
pub(in crate::sql) async fn plan(
    state: &SessionState,
    mut statement: Statement,
    normalizer: &IdentNormalizer,
) -> Result<LogicalPlan> {
    let _ = visit_mut(&mut statement, &mut DotsBehindCalls(normalizer));
    if visit(&statement, &mut FindNames).is_continue() {
        return state.statement_to_plan(statement).await;
    }
    let first = checked(state.statement_to_plan(statement.clone()).await);
    let Err(error) = first else {
        return first;
    };
    if !wildcards::expand(state, &mut statement, normalizer).await {
        return Err(error);
    }
    let relations = all_relations(&statement, normalizer);
    let _ = visit_mut(&mut statement, &mut DotsBehindColumns { normalizer, relations });
    match checked(state.statement_to_plan(statement.clone()).await) {
        Ok(plan) => Ok(plan),
        Err(second) => match unknown_field(&second).and_then(|field| position(field, &statement)) {
            Some(span) => {
                let diagnostic = Diagnostic::new_error("unknown field", Some(span));
                Err(second.with_diagnostic(diagnostic))
            }
            None if unknown_field(&second).is_some() => Err(second),
            None => Err(error),
        },
    }
}

/// The plan, unless it has a field that does not exist: in filters and sort keys DataFusion looks for it only later.
fn checked(planned: Result<LogicalPlan>) -> Result<LogicalPlan> {
    let plan = planned?;
    plan.apply_with_subqueries(|node| {
        let mut schema = None;
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                if let PlannedExpr::ScalarFunction(call) = expr
                    && call.func.name() == "get_field"
                {
                    let schema = schema.get_or_insert_with(|| merge_schema(&node.inputs()));
                    if let Err(error) = expr.get_type(schema)
                        && error.to_string().contains("not found in struct")
                    {
                        return Err(error);
                    }
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(plan)
}

fn unknown_field(error: &DataFusionError) -> Option<&UnknownField> {
    error.iter().find_map(|error| match error.find_root() {
        DataFusionError::External(inner) => inner.downcast_ref(),
        _ => None,
    })
}

/// Whether a statement has qualified names in a query: breaks at the first one.
struct FindNames;

impl Visitor for FindNames {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::CompoundIdentifier(_) | Expr::CompoundFieldAccess { .. } => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        let is_qualified = |item: &SelectItem| matches!(item, SelectItem::QualifiedWildcard(..));
        match select.projection.iter().any(is_qualified) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }
}

/// Rewrites `f(x).name` and `x[1].name`. Names before the first call or bracket may be those of tables.
struct DotsBehindCalls<'a>(&'a IdentNormalizer);

impl VisitorMut for DotsBehindCalls<'_> {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::CompoundFieldAccess { root, access_chain } = expr {
            let names = match root.as_ref() {
                Expr::Identifier(_) => {
                    access_chain.iter().take_while(|access| dotted(access).is_some()).count()
                }
                _ => 0,
            };
            to_subscripts(&mut access_chain[names..], self.0);
        }
        ControlFlow::Continue(())
    }
}

/// Rewrites `p.name` and `t.p.name`, where `p` is no relation.
struct DotsBehindColumns<'a> {
    normalizer: &'a IdentNormalizer,
    relations: HashSet<String>,
}

impl DotsBehindColumns<'_> {
    /// The number of leading names that are a column, if it is known by their not being relations.
    fn column(&self, names: &[Ident]) -> Option<usize> {
        let is_relation = |ident: &Ident| self.relations.contains(&normalized(ident, self.normalizer));
        match names {
            [first, ..] if first.value.starts_with('@') => None,
            [column, inner @ .., _] if !is_relation(column) && !inner.iter().any(is_relation) => Some(1),
            [_, column, inner @ .., _] if !is_relation(column) && !inner.iter().any(is_relation) => Some(2),
            _ => None,
        }
    }
}

impl VisitorMut for DotsBehindColumns<'_> {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let (names, rest) = match expr {
            Expr::CompoundIdentifier(names) => (names.clone(), Vec::new()),
            Expr::CompoundFieldAccess { root, access_chain } => {
                let Expr::Identifier(first) = root.as_ref() else { return ControlFlow::Continue(()) };
                let dotted = access_chain.iter().map_while(dotted).cloned();
                let names: Vec<_> = std::iter::once(first.clone()).chain(dotted).collect();
                let rest = access_chain[names.len() - 1..].to_vec();
                (names, rest)
            }
            _ => return ControlFlow::Continue(()),
        };
        if let Some(length) = self.column(&names) {
            let (column, fields) = names.split_at(length);
            let fields = fields.iter().map(|name| field(normalized(name, self.normalizer), name));
            let access_chain = fields.chain(rest).collect();
            let root = match column {
                [column] => Expr::Identifier(column.clone()),
                column => Expr::CompoundIdentifier(column.to_vec()),
            };
            *expr = Expr::CompoundFieldAccess { root: Box::new(root), access_chain };
        }
        ControlFlow::Continue(())
    }
}

/// The name in `.name`.
fn dotted(access: &AccessExpr) -> Option<&Ident> {
    match access {
        AccessExpr::Dot(Expr::Identifier(name)) => Some(name),
        _ => None,
    }
}

fn to_subscripts(accesses: &mut [AccessExpr], normalizer: &IdentNormalizer) {
    for access in accesses {
        if let Some(name) = dotted(access) {
            *access = field(normalized(name, normalizer), name);
        }
    }
}

/// The position of the first access to `unknown` behind its column or call, else of the first to a field of that name.
fn position(unknown: &UnknownField, statement: &Statement) -> Option<Span> {
    let mut accesses = Accesses { unknown, found: Vec::new() };
    let _ = visit(statement, &mut accesses);
    let behind_its_struct = accesses.found.iter().find(|(is_behind, _)| *is_behind);
    behind_its_struct.or_else(|| accesses.found.first()).map(|(_, span)| *span)
}

/// Finds accesses to fields with the name of an unknown one.
struct Accesses<'a> {
    unknown: &'a UnknownField,
    /// Whether it is behind the column or call of the error, and its position.
    found: Vec<(bool, Span)>,
}

impl Visitor for Accesses<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        let Expr::CompoundFieldAccess { root, access_chain } = expr else {
            return ControlFlow::Continue(());
        };
        let mut before = last_name(root);
        for access in access_chain {
            let named = subscript(access);
            if let Some((name, Some(span))) = named
                && name == self.unknown.name
            {
                let of = self.unknown.of.as_deref();
                let is_behind =
                    before.zip(of).is_some_and(|(before, of): (&str, &str)| before.eq_ignore_ascii_case(of));
                self.found.push((is_behind, span));
            }
            before = match named {
                Some((name, _)) => Some(name),
                None => dotted(access).map(|name| name.value.as_str()),
            };
        }
        ControlFlow::Continue(())
    }
}

/// The name in `['name']` and its position.
fn subscript(access: &AccessExpr) -> Option<(&str, Option<Span>)> {
    match access {
        AccessExpr::Subscript(Subscript::Index {
            index: Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(name), span }),
        }) => Some((name, Span::try_from_sqlparser_span(*span))),
        _ => None,
    }
}

/// The last name in an expression: a column's or a function's.
fn last_name(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Identifier(name) => Some(&name.value),
        Expr::CompoundIdentifier(names) => names.last().map(|name| name.value.as_str()),
        Expr::Function(call) => call.name.0.last()?.as_ident().map(|name| name.value.as_str()),
        Expr::Nested(inner) => last_name(inner),
        _ => None,
    }
}
