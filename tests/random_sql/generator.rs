//! What generated queries are made of: tables in scope, their columns, names, and the clauses that were used.

use std::collections::BTreeSet;

use super::answers::{ANSWERS, COLUMNS, Kind, TABLES};
use super::choices::Choices;

/// Rows that a join may have. Each takes a run of a model in the worst case.
pub(crate) const MOST_ROWS: usize = 400;

/// Rows of the folder of photos.
const PHOTOS: usize = 12;

/// A column of a table in scope, as an expression.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub(crate) sql: String,
    pub(crate) kind: Kind,
}

/// A table in scope.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub(crate) alias: String,
    pub(crate) columns: Vec<Column>,
    /// Whether it has the column `image`, or all answers in its place.
    pub(crate) has_image: bool,
    /// Columns that together are unique, if there are such.
    pub(crate) key: Option<Vec<String>>,
    /// No more rows than these.
    pub(crate) rows: usize,
}

/// A query, and what it selects.
#[derive(Debug, Clone)]
pub(crate) struct Selected {
    pub(crate) sql: String,
    /// Names and types.
    pub(crate) columns: Vec<(String, Kind)>,
    pub(crate) has_image: bool,
    /// Names of columns that together are unique.
    pub(crate) key: Option<Vec<String>>,
    pub(crate) rows: usize,
}

impl Selected {
    /// As a table with this name.
    pub(crate) fn named(&self, alias: &str) -> Table {
        let column = |name: &str| format!("{alias}.{name}");
        Table {
            alias: alias.to_owned(),
            columns: self
                .columns
                .iter()
                .map(|(name, kind)| Column { sql: column(name), kind: *kind })
                .collect(),
            has_image: self.has_image,
            key: self.key.as_ref().map(|key| key.iter().map(|name| column(name)).collect()),
            rows: self.rows,
        }
    }
}

/// A statement to run, after those that it needs.
#[derive(Debug, Clone)]
pub(crate) struct Generated {
    pub(crate) before: Vec<String>,
    pub(crate) query: String,
    /// Names of the kinds of clauses in it.
    pub(crate) clauses: BTreeSet<&'static str>,
}

pub(crate) struct Generator {
    pub(crate) choices: Choices,
    /// Common table expressions and views that queries can read.
    pub(crate) shared: Vec<(String, Selected)>,
    pub(crate) before: Vec<String>,
    pub(crate) clauses: BTreeSet<&'static str>,
    /// Whether expressions may have subqueries: DataFusion takes most of them in WHERE alone.
    pub(crate) has_subqueries: bool,
    names: usize,
}

impl Generator {
    pub(crate) fn new(choices: Choices) -> Self {
        let (shared, before, clauses) = (Vec::new(), Vec::new(), BTreeSet::new());
        Self { choices, shared, before, clauses, has_subqueries: false, names: 0 }
    }

    /// A name that is not in use.
    pub(crate) fn name(&mut self, letter: char) -> String {
        self.names += 1;
        format!("{letter}{}", self.names)
    }

    pub(crate) fn uses(&mut self, clause: &'static str) {
        self.clauses.insert(clause);
    }

    /// The photos under a new name: SQL for FROM, and the table.
    pub(crate) fn photos(&mut self) -> (String, Table) {
        let alias = self.name('t');
        let from = format!("{} AS {alias}", self.choices.pick(&TABLES));
        let columns = COLUMNS.map(|(name, kind)| Column { sql: format!("{alias}.{name}"), kind });
        let key = Some(vec![format!("{alias}.name")]);
        (from, Table { alias, columns: columns.to_vec(), has_image: true, key, rows: PHOTOS })
    }

    /// A column or answer of this kind, if a table in scope has one.
    pub(crate) fn column(&mut self, kind: Kind, scope: &[Table]) -> Option<String> {
        let columns: Vec<_> =
            scope.iter().flat_map(|table| &table.columns).filter(|c| c.kind == kind).collect();
        let answers: Vec<_> = scope
            .iter()
            .filter(|table| table.has_image)
            .flat_map(|table| {
                let names = ANSWERS.iter().filter(|answer| answer.1 == kind).map(|answer| answer.0);
                names.map(|name| format!("«{name} {}»", table.alias))
            })
            .collect();
        // Answers are what the test is about.
        let takes_answer = !answers.is_empty() && (columns.is_empty() || self.choices.below(3) < 2);
        if takes_answer {
            return Some(self.choices.pick(&answers).clone());
        }
        (!columns.is_empty()).then(|| self.choices.pick(&columns).sql.clone())
    }
}
