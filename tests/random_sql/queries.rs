//! SELECT in its forms, set operations, common table expressions, and the statements around a query.

use std::path::Path;

use super::answers::Kind;
use super::choices::Choices;
use super::generator::{Generated, Generator, Selected};
use super::joins::From;

/// How deep queries are nested.
const DEPTH: usize = 3;

/// A statement, and those before it, written for the folder `scratch`.
pub(crate) fn generate(choices: Choices, scratch: &Path) -> (Generated, Vec<u32>) {
    let mut generator = Generator::new(choices);
    if generator.choices.once_in(5) {
        generator.view();
    }
    let mut query = generator.query(DEPTH, None);
    if query.has_image {
        let names = query.columns.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
        query.sql = format!("SELECT {names} FROM ({}) AS q", query.sql);
    }
    let query = generator.statement(query, scratch);
    let Generator { choices, before, clauses, .. } = generator;
    (Generated { before, query, clauses }, choices.into_record())
}

impl Generator {
    fn view(&mut self) {
        self.uses("view");
        let (name, query) = (self.name('v'), self.query(1, None));
        self.before.push(format!("CREATE OR REPLACE VIEW {name} AS {}", query.sql));
        self.shared.push((name, query));
    }

    /// The query itself, or a statement that runs it and what reads its result.
    fn statement(&mut self, query: Selected, scratch: &Path) -> String {
        let sql = query.sql;
        match self.choices.below(12) {
            7 => {
                self.uses("PREPARE");
                self.before.push(format!(
                    "PREPARE p(VARCHAR, BIGINT) AS SELECT * FROM ({sql}) AS q WHERE $1 <> 'x' AND $2 > 0"
                ));
                "EXECUTE p('y', 1)".to_owned()
            }
            8 => {
                self.uses("view");
                self.before.push(format!("CREATE OR REPLACE VIEW v AS {sql}"));
                "SELECT * FROM v".to_owned()
            }
            9 => {
                self.uses("CREATE TABLE AS");
                self.before.push(format!("CREATE OR REPLACE TABLE made AS {sql}"));
                "SELECT * FROM made".to_owned()
            }
            10 => {
                self.uses("COPY");
                let file = scratch.join("copied.parquet").display().to_string();
                self.before.push(format!("COPY ({sql}) TO '{file}'"));
                format!("SELECT * FROM '{file}'")
            }
            11 => {
                self.uses("INSERT");
                self.before.push(format!(
                    "CREATE OR REPLACE TABLE filled AS SELECT * FROM ({sql}) AS q WHERE false"
                ));
                self.before.push(format!("INSERT INTO filled {sql}"));
                "SELECT * FROM filled".to_owned()
            }
            _ => sql,
        }
    }

    /// A query with columns of the types `wanted`, or of any.
    pub(crate) fn query(&mut self, depth: usize, wanted: Option<&[Kind]>) -> Selected {
        let query = match self.choices.below(if depth > 0 { 8 } else { 6 }) {
            6 => self.set_operation(depth - 1, wanted),
            7 => self.with(depth - 1, wanted),
            _ => self.select(depth, wanted),
        };
        if self.choices.once_in(5) { self.limit(query) } else { query }
    }

    /// Sorted by all columns, so that the rows before the limit are the same ones or equal.
    fn limit(&mut self, query: Selected) -> Selected {
        if query.has_image || !query.columns.iter().all(|(_, kind)| kind.is_scalar()) {
            return query;
        }
        self.uses("LIMIT");
        let order: Vec<_> = query
            .columns
            .iter()
            .map(|(name, _)| {
                let direction = self.choices.pick(&["", " DESC", " NULLS FIRST", " DESC NULLS LAST"]);
                format!("{name}{direction}")
            })
            .collect();
        let limit = self.choices.below(10) + 1;
        let offset = match self.choices.below(3) {
            2 => format!(" OFFSET {}", self.choices.below(4)),
            _ => String::new(),
        };
        let alias = self.name('t');
        let sql = format!(
            "SELECT * FROM ({}) AS {alias} ORDER BY {} LIMIT {limit}{offset}",
            query.sql,
            order.join(", ")
        );
        Selected { sql, rows: query.rows.min(limit), ..query }
    }

    fn set_operation(&mut self, depth: usize, wanted: Option<&[Kind]>) -> Selected {
        let kinds = self.kinds(wanted);
        let (left, right) = (self.query(depth, Some(&kinds)), self.query(depth, Some(&kinds)));
        let operations = ["UNION ALL", "UNION", "INTERSECT", "EXCEPT", "INTERSECT ALL", "EXCEPT ALL"];
        let operation = *self.choices.pick(&operations);
        self.uses(operation);
        let (a, b) = (self.name('t'), self.name('t'));
        let sql =
            format!("SELECT * FROM ({}) AS {a} {operation} SELECT * FROM ({}) AS {b}", left.sql, right.sql);
        let outer = self.name('t');
        let sql = format!("SELECT * FROM ({sql}) AS {outer}");
        Selected { sql, columns: left.columns, has_image: false, key: None, rows: left.rows + right.rows }
    }

    fn with(&mut self, depth: usize, wanted: Option<&[Kind]>) -> Selected {
        self.uses("WITH");
        let (name, inner) = (self.name('w'), self.query(depth, None));
        let definition = inner.sql.clone();
        self.shared.push((name.clone(), inner));
        let outer = self.select(depth, wanted);
        self.shared.retain(|(shared, _)| *shared != name);
        Selected { sql: format!("WITH {name} AS ({definition}) {}", outer.sql), ..outer }
    }

    /// The types that are wanted, or any.
    pub(crate) fn kinds(&mut self, wanted: Option<&[Kind]>) -> Vec<Kind> {
        match wanted {
            Some(wanted) => wanted.to_vec(),
            None => (0..=self.choices.below(3)).map(|_| *self.choices.pick(&Kind::SCALARS)).collect(),
        }
    }

    fn select(&mut self, depth: usize, wanted: Option<&[Kind]>) -> Selected {
        let mut from = self.from(depth);
        let mut condition = String::new();
        if self.choices.once_in(2) {
            self.uses("WHERE");
            self.has_subqueries = self.choices.once_in(2);
            condition = format!(" WHERE {}", self.boolean(&from.scope, 2));
            self.has_subqueries = self.choices.once_in(20);
        }
        from.sql.push_str(&condition);
        match self.choices.below(8) {
            3 | 4 => self.grouped(&from, wanted),
            5 => self.windows(&from, wanted),
            6 => self.distinct(&from, wanted),
            7 => self.distinct_on(&from, wanted),
            _ => self.plain(&from, wanted),
        }
    }

    fn plain(&mut self, from: &From, wanted: Option<&[Kind]>) -> Selected {
        let (mut columns, mut items) = (Vec::new(), Vec::new());
        let mut kinds = self.kinds(wanted);
        if wanted.is_none() && self.choices.once_in(4) {
            kinds.push(*self.choices.pick(&[
                Kind::Prediction,
                Kind::Vector,
                Kind::Classes,
                Kind::Boxes,
                Kind::Hash,
            ]));
        }
        for kind in kinds {
            let name = self.name('c');
            items.push(format!("{} AS {name}", self.expression(kind, &from.scope, 2)));
            columns.push((name, kind));
        }
        let mut key = None;
        if wanted.is_none()
            && let Some(columns_of_key) = from.key()
            && self.choices.once_in(2)
        {
            let names: Vec<_> = columns_of_key.iter().map(|_| self.name('c')).collect();
            items.extend(columns_of_key.iter().zip(&names).map(|(sql, name)| format!("{sql} AS {name}")));
            columns.extend(names.iter().map(|name| (name.clone(), Kind::Text)));
            key = Some(names);
        }
        let image = from.scope.iter().find(|table| table.has_image);
        let image = image.filter(|_| wanted.is_none() && self.choices.once_in(3));
        items.extend(image.map(|table| format!("«image {}»", table.alias)));
        let has_image = image.is_some();
        if has_image {
            self.uses("image of a query");
        }
        Selected {
            sql: format!("SELECT {} FROM {}", items.join(", "), from.sql),
            columns,
            has_image,
            key,
            rows: from.rows(),
        }
    }

    fn distinct(&mut self, from: &From, wanted: Option<&[Kind]>) -> Selected {
        self.uses("DISTINCT");
        let plain = self.kinds(wanted);
        let plain = self.plain(from, Some(&plain));
        Selected { sql: plain.sql.replacen("SELECT ", "SELECT DISTINCT ", 1), ..plain }
    }

    /// The first row of each group by a total order.
    fn distinct_on(&mut self, from: &From, wanted: Option<&[Kind]>) -> Selected {
        let Some(key) = from.key() else { return self.distinct(from, wanted) };
        self.uses("DISTINCT ON");
        let by = self.expression(Kind::Text, &from.scope, 1);
        let plain = self.kinds(wanted);
        let plain = self.plain(from, Some(&plain));
        let select = plain.sql.replacen("SELECT ", &format!("SELECT DISTINCT ON ({by}) "), 1);
        let sql = format!("{select} ORDER BY {by}, {}", key.join(", "));
        // Parenthesised, because of what may follow.
        let alias = self.name('t');
        Selected { sql: format!("SELECT * FROM ({sql}) AS {alias}"), ..plain }
    }
}
