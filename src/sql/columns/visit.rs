//! What the rewrites of statements share: the queries in a statement, and the names of relations.

use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion::sql::parser::{CopyToSource, Statement};
use datafusion::sql::planner::IdentNormalizer;
use datafusion::sql::sqlparser::ast::{
    AccessExpr, Expr, Ident, ObjectName, ObjectNamePart, Query, SetExpr, Subscript, TableAlias, TableFactor,
    TableWithJoins, Value, ValueWithSpan, Visitor, VisitorMut,
};

use super::walk::{walk, walk_mut};

/// Visits the syntax tree of a statement.
pub(in crate::sql) fn visit(statement: &Statement, visitor: &mut dyn Visitor<Break = ()>) -> ControlFlow<()> {
    match statement {
        Statement::Statement(statement) => walk(statement.as_ref(), visitor),
        Statement::CopyTo(copy) => match &copy.source {
            CopyToSource::Query(query) => walk(query.as_ref(), visitor),
            CopyToSource::Relation(_) => ControlFlow::Continue(()),
        },
        Statement::Explain(explain) => visit(&explain.statement, visitor),
        Statement::CreateExternalTable(_) | Statement::Reset(_) => ControlFlow::Continue(()),
    }
}

/// As [`visit`], to change the tree.
pub(in crate::sql) fn visit_mut(
    statement: &mut Statement,
    visitor: &mut dyn VisitorMut<Break = ()>,
) -> ControlFlow<()> {
    match statement {
        Statement::Statement(statement) => walk_mut(statement.as_mut(), visitor),
        Statement::CopyTo(copy) => match &mut copy.source {
            CopyToSource::Query(query) => walk_mut(query.as_mut(), visitor),
            CopyToSource::Relation(_) => ControlFlow::Continue(()),
        },
        Statement::Explain(explain) => visit_mut(&mut explain.statement, visitor),
        Statement::CreateExternalTable(_) | Statement::Reset(_) => ControlFlow::Continue(()),
    }
}

/// The name that an identifier stands for.
pub(in crate::sql) fn normalized(ident: &Ident, normalizer: &IdentNormalizer) -> String {
    normalizer.normalize(ident.clone())
}

/// The parts of a name that are identifiers.
pub(in crate::sql) fn idents(name: &ObjectName) -> impl Iterator<Item = &Ident> {
    name.0.iter().filter_map(ObjectNamePart::as_ident)
}

/// `['name']`, with the position of `ident`.
pub(in crate::sql) fn field(name: String, ident: &Ident) -> AccessExpr {
    let value = ValueWithSpan { value: Value::SingleQuotedString(name), span: ident.span };
    AccessExpr::Subscript(Subscript::Index { index: Expr::Value(value) })
}

/// All names of relations in a statement, with the parts of qualified ones: none of them is that of a column only.
pub(in crate::sql) fn all_relations(statement: &Statement, normalizer: &IdentNormalizer) -> HashSet<String> {
    let mut relations = Relations { normalizer, names: HashSet::new() };
    let _ = visit(statement, &mut relations);
    relations.names
}

struct Relations<'a> {
    normalizer: &'a IdentNormalizer,
    names: HashSet<String>,
}

impl Relations<'_> {
    fn add(&mut self, ident: &Ident) {
        self.names.insert(normalized(ident, self.normalizer));
    }
}

impl Visitor for Relations<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
            self.add(&cte.alias.name);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        idents(relation).for_each(|ident| self.add(ident));
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        if let Some(alias) = alias(factor) {
            self.add(&alias.name);
        }
        ControlFlow::Continue(())
    }
}

/// The names that qualify columns of a FROM clause.
pub(in crate::sql) fn relations(from: &[TableWithJoins], normalizer: &IdentNormalizer) -> HashSet<String> {
    let mut names = HashSet::new();
    for table in from {
        add_relations(table, normalizer, &mut names);
    }
    names
}

fn add_relations(table: &TableWithJoins, normalizer: &IdentNormalizer, names: &mut HashSet<String>) {
    let factors = std::iter::once(&table.relation).chain(table.joins.iter().map(|join| &join.relation));
    for factor in factors {
        match (factor, alias(factor)) {
            (_, Some(alias)) => {
                names.insert(normalized(&alias.name, normalizer));
            }
            (TableFactor::Table { name, .. } | TableFactor::Function { name, .. }, None) => {
                names.extend(idents(name).last().map(|ident| normalized(ident, normalizer)));
            }
            (TableFactor::NestedJoin { table_with_joins, .. }, None) => {
                add_relations(table_with_joins, normalizer, names);
            }
            // Columns of a subquery without an alias keep their qualifiers.
            (TableFactor::Derived { subquery, .. }, None) => {
                if let SetExpr::Select(select) = subquery.body.as_ref() {
                    names.extend(relations(&select.from, normalizer));
                }
            }
            _ => {}
        }
    }
}

fn alias(factor: &TableFactor) -> Option<&TableAlias> {
    match factor {
        TableFactor::Table { alias, .. }
        | TableFactor::Derived { alias, .. }
        | TableFactor::TableFunction { alias, .. }
        | TableFactor::Function { alias, .. }
        | TableFactor::UNNEST { alias, .. }
        | TableFactor::JsonTable { alias, .. }
        | TableFactor::OpenJsonTable { alias, .. }
        | TableFactor::NestedJoin { alias, .. }
        | TableFactor::Pivot { alias, .. }
        | TableFactor::Unpivot { alias, .. }
        | TableFactor::MatchRecognize { alias, .. }
        | TableFactor::XmlTable { alias, .. }
        | TableFactor::SemanticView { alias, .. } => alias.as_ref(),
    }
}
