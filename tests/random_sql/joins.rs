//! FROM: photos, queries, values and lists as tables, and joins of them.

use super::answers::Kind;
use super::generator::{Column, Generator, MOST_ROWS, Selected, Table};

/// SQL after FROM, and the tables that the rest of the query can read.
pub(crate) struct From {
    pub(crate) sql: String,
    pub(crate) scope: Vec<Table>,
}

impl From {
    pub(crate) fn rows(&self) -> usize {
        self.scope.iter().map(|table| table.rows).max().unwrap_or(1)
    }

    /// Columns that together are unique.
    pub(crate) fn key(&self) -> Option<Vec<String>> {
        let keys: Option<Vec<_>> = self.scope.iter().map(|table| table.key.clone()).collect();
        keys.map(|keys| keys.concat())
    }
}

impl Generator {
    /// FROM with up to two joins; queries within are nested at most `depth` deep.
    pub(crate) fn from(&mut self, depth: usize) -> From {
        let (sql, table) = self.table(depth);
        let mut from = From { sql, scope: vec![table] };
        for _ in 0..*self.choices.pick(&[0, 0, 1, 1, 2]) {
            from = self.join(from, depth.saturating_sub(1));
        }
        from
    }

    fn table(&mut self, depth: usize) -> (String, Table) {
        let choice = self.choices.below(if depth > 0 { 9 } else { 5 });
        match choice {
            2 => self.values(),
            3 => self.unnested(),
            4 if !self.shared.is_empty() => {
                let (name, selected) = self.choices.pick(&self.shared).clone();
                let alias = self.name('t');
                (format!("{name} AS {alias}"), selected.named(&alias))
            }
            5.. => {
                self.uses("derived table");
                let query = self.query(depth - 1, None);
                let alias = self.name('t');
                (format!("({}) AS {alias}", query.sql), query.named(&alias))
            }
            _ => self.photos(),
        }
    }

    fn values(&mut self) -> (String, Table) {
        self.uses("VALUES");
        let alias = self.name('t');
        let rows = (0..3).map(|_| format!("({}, {})", self.literal(Kind::Text), self.literal(Kind::Integer)));
        let rows = rows.collect::<Vec<_>>().join(", ");
        let columns = [("v", Kind::Text), ("n", Kind::Integer)]
            .map(|(name, kind)| Column { sql: format!("{alias}.{name}"), kind });
        let sql = format!("(VALUES {rows}) AS {alias}(v, n)");
        (sql, Table { alias, columns: columns.to_vec(), has_image: false, key: None, rows: 3 })
    }

    /// The classes or boxes of each photo, a row for each.
    fn unnested(&mut self) -> (String, Table) {
        self.uses("UNNEST");
        let (from, photos) = self.photos();
        let list = *self.choices.pick(&["top", "boxes"]);
        let alias = self.name('t');
        let mut columns = vec![Column { sql: format!("{alias}.name"), kind: Kind::Text }];
        for (field, kind) in [("label", Kind::Text), ("class", Kind::Integer), ("confidence", Kind::Real)] {
            columns.push(Column { sql: format!("{alias}.u['{field}']"), kind });
        }
        if list == "boxes" {
            columns.push(Column { sql: format!("{alias}.u['box']['x1']"), kind: Kind::Real });
        }
        let photo = &photos.alias;
        let sql =
            format!("(SELECT {photo}.name AS name, unnest(«{list} {photo}») AS u FROM {from}) AS {alias}");
        (sql, Table { alias, columns, has_image: false, key: None, rows: photos.rows * 3 })
    }

    fn join(&mut self, left: From, depth: usize) -> From {
        let (sql, right) = self.table(depth);
        let kinds = ["INNER", "LEFT", "RIGHT", "FULL", "LEFT SEMI", "LEFT ANTI", "RIGHT SEMI", "RIGHT ANTI"];
        let product = left.rows() * right.rows;
        match self.choices.below(kinds.len() + 3) {
            8 if product <= MOST_ROWS => {
                self.uses("CROSS JOIN");
                Self::joined(left, right, |left| format!("{left} CROSS JOIN {sql}"), product)
            }
            9 => self.lateral(left),
            10 if product <= MOST_ROWS => {
                self.uses("comma join");
                Self::joined(left, right, |left| format!("{left}, {sql}"), product)
            }
            choice => {
                let kind = kinds[choice % kinds.len()];
                self.join_on(kind, left, &sql, right)
            }
        }
    }

    fn joined(left: From, right: Table, sql: impl FnOnce(&str) -> String, rows: usize) -> From {
        let sql = sql(&left.sql);
        let scope = left.scope.into_iter().chain([right]);
        From { sql, scope: scope.map(|table| Table { rows, ..table }).collect() }
    }

    fn join_on(&mut self, kind: &'static str, left: From, sql: &str, right: Table) -> From {
        let of_both = [&left.scope[..], std::slice::from_ref(&right)].concat();
        let is_semi = kind.ends_with("SEMI") || kind.ends_with("ANTI");
        let product = left.rows() * right.rows;
        let name =
            left.scope.iter().flat_map(|table| &table.columns).find(|column| column.kind == Kind::Text);
        let name = name.map(|column| column.sql.clone());
        let mut conditions = Vec::new();
        let mut rows = product;
        let unique = right.key.as_ref().filter(|key| key.len() == 1).map(|key| key[0].clone());
        match (unique, name) {
            // A key on one side keeps joins of several tables small.
            (Some(unique), Some(name)) if product > MOST_ROWS || self.choices.once_in(3) => {
                conditions.push(format!("{name} = {unique}"));
                rows = left.rows();
            }
            _ => {
                let by = *self.choices.pick(&[Kind::Text, Kind::Integer, Kind::Text]);
                let own = self.expression(by, std::slice::from_ref(&right), 1);
                conditions.push(format!("{} = {own}", self.expression(by, &left.scope, 1)));
            }
        }
        if self.choices.once_in(3) {
            conditions.push(self.boolean(&of_both, 1));
        }
        if self.choices.once_in(6) {
            conditions.remove(0);
            rows = product;
        }
        if conditions.is_empty() {
            conditions.push(self.boolean(&of_both, 1));
        }
        let on = conditions.join(" AND ");
        self.uses(kind);
        let rows = if is_semi { left.rows().max(right.rows) } else { rows + left.rows() + right.rows };
        if rows > 2 * MOST_ROWS {
            return left;
        }
        let joined = format!("{} {kind} JOIN {sql} ON {on}", left.sql);
        match kind {
            "LEFT SEMI" | "LEFT ANTI" => From { sql: joined, scope: left.scope },
            "RIGHT SEMI" | "RIGHT ANTI" => From { sql: joined, scope: vec![right] },
            _ => Self::joined(left, right, |_| joined, rows),
        }
    }

    /// A join with a query that reads the rows of the tables before it.
    fn lateral(&mut self, left: From) -> From {
        self.uses("LATERAL");
        let (from, inner) = self.photos();
        let outer =
            left.scope.iter().flat_map(|table| &table.columns).find(|column| column.kind == Kind::Text);
        let condition =
            outer.map_or_else(|| "true".to_owned(), |outer| format!("{}.name = {}", inner.alias, outer.sql));
        let kind = *self.choices.pick(&Kind::SCALARS);
        let of = self.expression(kind, std::slice::from_ref(&inner), 1);
        let (alias, column) = (self.name('t'), self.name('c'));
        let query = Selected {
            sql: format!("SELECT {of} AS {column} FROM {from} WHERE {condition}"),
            columns: vec![(column, kind)],
            has_image: false,
            key: None,
            rows: inner.rows,
        };
        let rows = left.rows();
        if outer.is_none() && rows * inner.rows > MOST_ROWS {
            return left;
        }
        let right = query.named(&alias);
        let kind = *self.choices.pick(&["CROSS JOIN LATERAL", ", LATERAL"]);
        Self::joined(left, right, |left| format!("{left} {kind} ({}) AS {alias}", query.sql), rows)
    }
}
