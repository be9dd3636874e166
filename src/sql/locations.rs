//! Locations in statements: `~`, and folders as tables.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::path::Path;

use datafusion::prelude::SessionContext;
use datafusion::sql::parser::Statement as DataFusionStatement;
use datafusion::sql::sqlparser::ast::{Ident, ObjectNamePart, Query, TableFactor, VisitorMut};

use super::columns::visit_mut;
use super::statement::Statement;
use crate::advise::Advise;
use crate::images::listing::expand_home;
use crate::quantize::CreateQuantized;

/// Replaces `~` by the user's home folder in each location that the statement itself holds, and completes the names of
/// folders in its queries. Other locations in queries are resolved by the tables that read them. Returns those of tables.
pub(super) fn expand(ctx: &SessionContext, statement: &mut Statement) -> Vec<String> {
    let mut folders = Folders { ctx, subqueries: HashSet::new(), read: vec![] };
    match statement {
        Statement::CreateModel(create) => expand_one(&mut create.location),
        Statement::DataFusion(statement)
        | Statement::Summarize(statement)
        | Statement::CreateQuantized(CreateQuantized { query: statement, .. })
        | Statement::Advise(Advise { query: statement, .. })
        | Statement::ExplainJson { statement, .. } => {
            expand_in(statement, &mut folders.read);
            let _ = visit_mut(statement, &mut folders);
        }
        _ => {}
    }
    folders.read
}

fn expand_in(statement: &mut DataFusionStatement, read: &mut Vec<String>) {
    match statement {
        DataFusionStatement::CreateExternalTable(create) => {
            create.locations.iter_mut().for_each(expand_one);
            read.extend(create.locations.iter().cloned());
        }
        DataFusionStatement::CopyTo(copy) => expand_one(&mut copy.target),
        DataFusionStatement::Explain(explain) => expand_in(&mut explain.statement, read),
        DataFusionStatement::Statement(_) | DataFusionStatement::Reset(_) => {}
    }
}

fn expand_one(location: &mut String) {
    *location = expand_home(location).into_owned();
}

/// Turns `FROM 'photos'` into `FROM 'photos/'` if this is a folder and no table: only a name with a slash is read as a
/// location, so that a folder never stands in the way of `CREATE TABLE photos`.
struct Folders<'a> {
    ctx: &'a SessionContext,
    /// Names in WITH clauses.
    subqueries: HashSet<String>,
    /// Locations that are read.
    read: Vec<String>,
}

impl VisitorMut for Folders<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        let tables = query.with.iter().flat_map(|with| &with.cte_tables);
        self.subqueries.extend(tables.map(|table| table.alias.name.value.clone()));
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { name, args: None, .. } = factor
            && let [ObjectNamePart::Identifier(Ident { value, quote_style: Some('\''), .. })] =
                name.0.as_mut_slice()
            && !self.subqueries.contains(value)
        {
            if !value.contains('/')
                && Path::new(&*expand_home(value)).is_dir()
                && !self.ctx.table_exist(value.as_str()).unwrap_or(true)
            {
                value.push('/');
            }
            self.read.push(expand_home(value).into_owned());
        }
        ControlFlow::Continue(())
    }
}
