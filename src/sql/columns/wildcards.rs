//! `p.*` for a struct `p`: all its fields as columns.
//!
//! ```text
//!  SELECT p.* FROM t ─► SELECT p, * FROM t ─► DataFusion ─► the type of p, the names of other columns
//!                  └──► SELECT p['label'] AS label, p['class'] AS class, …
//! ```

use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion::arrow::datatypes::DataType;
use datafusion::execution::session_state::SessionState;
use datafusion::sql::parser::Statement;
use datafusion::sql::planner::IdentNormalizer;
use datafusion::sql::sqlparser::ast::{
    AccessExpr, ExceptSelectItem, ExcludeSelectItem, Expr, Ident, Query, Select, SelectItem,
    SelectItemQualifiedWildcardKind, SetExpr, Statement as SqlStatement, Subscript, Value, ValueWithSpan,
    Visitor, VisitorMut, WildcardAdditionalOptions, With,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::Span;

use super::visit::{idents, normalized, relations, visit, visit_mut};
use super::walk::walk;

/// A name that no other column has, for the struct whose type is queried.
const PROBED: &str = "__struct";

/// Expands each `p.*` whose `p` is no relation of its FROM clause, the innermost first. Returns whether all could be
/// expanded: each is a struct, and has no options but EXCLUDE and EXCEPT.
pub(in crate::sql) async fn expand(
    state: &SessionState,
    statement: &mut Statement,
    normalizer: &IdentNormalizer,
) -> bool {
    let mut finder = Finder { normalizer, scopes: Vec::new(), found: None };
    while visit(statement, &mut finder).is_break() {
        let Some(found) = finder.found.take() else { return false };
        let Some((fields, others)) = probe(state, &found).await else { return false };
        let items = items(found.wildcard, fields, &taken(&found.select, found.item, others, normalizer));
        let _ = visit_mut(statement, &mut Replacer { normalizer, item: found.item, items: Some(items) });
        finder.scopes.clear();
    }
    true
}

/// `x.*`, in a select of a query.
struct Wildcard {
    /// `x`
    expr: Expr,
    /// Fields not to select.
    excluded: HashSet<String>,
}

struct Found {
    /// The WITH clauses of the queries around it, outermost first.
    scopes: Vec<With>,
    select: Select,
    /// Its position in the select.
    item: usize,
    wildcard: Wildcard,
}

/// The first `x.*` of a select whose `x` is no relation of its FROM clause, and its position. `None` inside if it has
/// options that are not supported.
fn wildcard(select: &Select, normalizer: &IdentNormalizer) -> Option<(usize, Option<Wildcard>)> {
    let names = relations(&select.from, normalizer);
    select.projection.iter().enumerate().find_map(|(index, item)| {
        let (expr, options) = match item {
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), options) => {
                let parts: Vec<Ident> = idents(name).cloned().collect();
                if names.contains(&normalized(parts.last()?, normalizer)) {
                    return None;
                }
                let expr = match <[Ident; 1]>::try_from(parts) {
                    Ok([column]) => Expr::Identifier(column),
                    Err(parts) => Expr::CompoundIdentifier(parts),
                };
                (expr, options.clone())
            }
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::Expr(expr), options) => {
                (expr.clone(), options.clone())
            }
            item => (call_wildcard(item)?, WildcardAdditionalOptions::default()),
        };
        let excluded = excluded(&options, normalizer);
        Some((index, excluded.map(|excluded| Wildcard { expr, excluded })))
    })
}

/// `x` of `x['*']`, which is how the parser gets `f(…).*`.
fn call_wildcard(item: &SelectItem) -> Option<Expr> {
    let SelectItem::UnnamedExpr(Expr::CompoundFieldAccess { root, access_chain }) = item else { return None };
    let [before @ .., AccessExpr::Subscript(Subscript::Index { index: Expr::Value(last) })] =
        access_chain.as_slice()
    else {
        return None;
    };
    if last.value != Value::SingleQuotedString("*".to_owned()) {
        return None;
    }
    Some(match before {
        [] => root.as_ref().clone(),
        before => Expr::CompoundFieldAccess { root: root.clone(), access_chain: before.to_vec() },
    })
}

/// The names in EXCLUDE and EXCEPT; `None` if there are other options.
fn excluded(options: &WildcardAdditionalOptions, normalizer: &IdentNormalizer) -> Option<HashSet<String>> {
    let WildcardAdditionalOptions {
        wildcard_token: _,
        opt_ilike: None,
        opt_exclude,
        opt_except,
        opt_replace: None,
        opt_rename: None,
        opt_alias: None,
    } = options
    else {
        return None;
    };
    let mut names = Vec::new();
    match opt_exclude {
        Some(ExcludeSelectItem::Single(name)) => names.extend(idents(name)),
        Some(ExcludeSelectItem::Multiple(several)) => names.extend(several.iter().flat_map(idents)),
        None => {}
    }
    if let Some(ExceptSelectItem { first_element, additional_elements }) = opt_except {
        names.push(first_element);
        names.extend(additional_elements);
    }
    Some(names.into_iter().map(|name| normalized(name, normalizer)).collect())
}

/// Finds the first wildcard to expand, with all that its meaning depends on; breaks without it if it can't be expanded.
struct Finder<'a> {
    normalizer: &'a IdentNormalizer,
    scopes: Vec<Option<With>>,
    found: Option<Box<Found>>,
}

impl Visitor for Finder<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        self.scopes.push(query.with.as_ref().map(|with| self.expanded(with)));
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.scopes.pop();
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        let Some((item, wildcard)) = wildcard(select, self.normalizer) else {
            return ControlFlow::Continue(());
        };
        self.found = wildcard.map(|wildcard| {
            let scopes = self.scopes.iter().flatten().filter(|with| !with.cte_tables.is_empty());
            Box::new(Found { scopes: scopes.cloned().collect(), select: select.clone(), item, wildcard })
        });
        ControlFlow::Break(())
    }
}

impl Finder<'_> {
    /// The subqueries of a WITH clause before the first that has wildcards left: only these can be planned.
    fn expanded(&self, with: &With) -> With {
        let is_expanded = |query: &Query| {
            let mut finder = Finder { normalizer: self.normalizer, scopes: Vec::new(), found: None };
            walk(query, &mut finder).is_continue()
        };
        let tables = with.cte_tables.iter().take_while(|table| is_expanded(&table.query));
        With { cte_tables: tables.cloned().collect(), ..with.clone() }
    }
}

/// Replaces the first wildcard to expand.
struct Replacer<'a> {
    normalizer: &'a IdentNormalizer,
    item: usize,
    items: Option<Vec<SelectItem>>,
}

impl VisitorMut for Replacer<'_> {
    type Break = ();

    fn post_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        if wildcard(select, self.normalizer).is_none() {
            return ControlFlow::Continue(());
        }
        if let Some(items) = self.items.take() {
            select.projection.splice(self.item..=self.item, items);
        }
        ControlFlow::Break(())
    }
}

/// The fields of the struct that a wildcard expands, and the names of all columns of the FROM clause; `None` if it is
/// no struct, or depends on an outer query.
async fn probe(state: &SessionState, found: &Found) -> Option<(Vec<String>, Vec<String>)> {
    let mut query = *Parser::new(&GenericDialect {}).try_with_sql("SELECT 1").ok()?.parse_query().ok()?;
    let SetExpr::Select(select) = query.body.as_mut() else { return None };
    let (expr, alias) = (found.wildcard.expr.clone(), Ident::new(PROBED));
    select.projection = vec![SelectItem::ExprWithAlias { expr, alias }];
    if !found.select.from.is_empty() {
        select.projection.push(SelectItem::Wildcard(WildcardAdditionalOptions::default()));
    }
    select.from.clone_from(&found.select.from);
    select.lateral_views.clone_from(&found.select.lateral_views);
    for with in found.scopes.iter().rev() {
        query = match query.with {
            None => Query { with: Some(with.clone()), ..query },
            Some(_) => {
                let body = Box::new(SetExpr::Query(Box::new(query.clone())));
                Query { with: Some(with.clone()), body, ..query }
            }
        };
    }
    let statement = Statement::Statement(Box::new(SqlStatement::Query(Box::new(query))));
    let plan = state.statement_to_plan(statement).await.ok()?;
    let mut columns = plan.schema().fields().iter();
    match columns.next()?.data_type() {
        DataType::Struct(fields) => Some((
            fields.iter().map(|field| field.name().clone()).collect(),
            columns.map(|column| column.name().clone()).collect(),
        )),
        _ => None,
    }
}

/// The names of the other columns that a select returns.
fn taken(
    select: &Select,
    item: usize,
    columns: Vec<String>,
    normalizer: &IdentNormalizer,
) -> HashSet<String> {
    let others = select.projection.iter().enumerate().filter(|(index, _)| *index != item);
    let mut taken = HashSet::new();
    let mut has_wildcard = false;
    for (_, other) in others {
        match other {
            SelectItem::ExprWithAlias { alias, .. } => taken.extend([normalized(alias, normalizer)]),
            SelectItem::UnnamedExpr(Expr::Identifier(name)) => taken.extend([normalized(name, normalizer)]),
            SelectItem::UnnamedExpr(Expr::CompoundIdentifier(names)) => {
                taken.extend(names.last().map(|name| normalized(name, normalizer)));
            }
            SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..) => has_wildcard = true,
            _ => {}
        }
    }
    if has_wildcard {
        taken.extend(columns);
    }
    taken
}

/// `x['label'] AS label, …`; a field whose name is taken is named `x.label`.
fn items(wildcard: Wildcard, fields: Vec<String>, taken: &HashSet<String>) -> Vec<SelectItem> {
    let Wildcard { expr, excluded } = wildcard;
    let fields = fields.into_iter().filter(|field| !excluded.contains(field));
    let item = |field: String| {
        let name = if taken.contains(&field) { format!("{expr}.{field}") } else { field.clone() };
        let value = ValueWithSpan { value: Value::SingleQuotedString(field), span: Span::empty() };
        let access = AccessExpr::Subscript(Subscript::Index { index: Expr::Value(value) });
        let expr = Expr::CompoundFieldAccess { root: Box::new(expr.clone()), access_chain: vec![access] };
        SelectItem::ExprWithAlias { expr, alias: Ident::with_quote('"', name) }
    };
    fields.map(item).collect()
}
