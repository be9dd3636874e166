//! Expressions of each type over the tables in scope, subqueries included.

use super::answers::{Kind, LABELS};
use super::generator::{Generator, Table};

impl Generator {
    /// An expression of this type; `depth` bounds what is nested in it.
    pub(crate) fn expression(&mut self, kind: Kind, scope: &[Table], depth: usize) -> String {
        match kind {
            Kind::Text => self.text(scope, depth),
            Kind::Integer => self.integer(scope, depth),
            Kind::Real => self.real(scope, depth),
            Kind::Boolean => self.boolean(scope, depth),
            other => self.column(other, scope).unwrap_or_else(|| "NULL".to_owned()),
        }
    }

    /// A constant of this type.
    pub(crate) fn literal(&mut self, kind: Kind) -> String {
        match kind {
            Kind::Text => format!(
                "'{}'",
                self.choices.pick(&[&LABELS[..4], &LABELS[7..9], &["jpeg", "png", ""]].concat())
            ),
            Kind::Integer => self.choices.pick(&[0, 1, 2, 3, 5, 9, 24, 32, 40, 1000]).to_string(),
            Kind::Real => self.choices.pick(&["0.0", "0.15", "0.2", "0.25", "0.3", "0.5", "1.0"]).to_string(),
            Kind::Boolean => self.choices.pick(&["true", "false"]).to_string(),
            _ => "NULL".to_owned(),
        }
    }

    /// A column of this type, or a constant.
    fn leaf(&mut self, kind: Kind, scope: &[Table]) -> String {
        if self.choices.once_in(8) {
            return self.literal(kind);
        }
        self.column(kind, scope).unwrap_or_else(|| self.literal(kind))
    }

    fn text(&mut self, scope: &[Table], depth: usize) -> String {
        if depth == 0 {
            return self.leaf(Kind::Text, scope);
        }
        match self.choices.below(14) {
            9 => format!("upper({})", self.text(scope, depth - 1)),
            10 => format!("concat({}, '-', {})", self.text(scope, depth - 1), self.integer(scope, depth - 1)),
            11 => format!("nullif({}, {})", self.text(scope, depth - 1), self.literal(Kind::Text)),
            12 => self.any_type(Kind::Text, scope, depth),
            13 => match self.column(Kind::Prediction, scope) {
                Some(prediction) => {
                    format!("{prediction}['{}']", self.choices.pick(&["label", "model", "error"]))
                }
                None => self.leaf(Kind::Text, scope),
            },
            _ => self.leaf(Kind::Text, scope),
        }
    }

    fn integer(&mut self, scope: &[Table], depth: usize) -> String {
        if depth == 0 {
            return self.leaf(Kind::Integer, scope);
        }
        match self.choices.below(16) {
            8 => format!("length({})", self.text(scope, depth - 1)),
            9 => format!("({} + {})", self.integer(scope, depth - 1), self.integer(scope, depth - 1)),
            10 => format!("({} % 3)", self.integer(scope, depth - 1)),
            11 => match self.column(Kind::Boxes, scope).or_else(|| self.column(Kind::Classes, scope)) {
                Some(list) => format!("CAST(cardinality({list}) AS BIGINT)"),
                None => self.leaf(Kind::Integer, scope),
            },
            12 => match (self.column(Kind::Hash, scope), self.column(Kind::Hash, scope)) {
                (Some(a), Some(b)) => format!("CAST(hamming_distance({a}, {b}) AS BIGINT)"),
                _ => self.leaf(Kind::Integer, scope),
            },
            13 => self.any_type(Kind::Integer, scope, depth),
            14 => match self.column(Kind::Prediction, scope) {
                Some(prediction) => format!("{prediction}['class']"),
                None => self.leaf(Kind::Integer, scope),
            },
            15 => format!("CAST(round({} * 100) AS BIGINT)", self.real(scope, depth - 1)),
            _ => self.leaf(Kind::Integer, scope),
        }
    }

    fn real(&mut self, scope: &[Table], depth: usize) -> String {
        if depth == 0 {
            return self.leaf(Kind::Real, scope);
        }
        match self.choices.below(13) {
            8 => format!("({} * 2)", self.real(scope, depth - 1)),
            9 => match (self.column(Kind::Vector, scope), self.column(Kind::Vector, scope)) {
                (Some(a), Some(b)) => {
                    let function = self.choices.pick(&["l2_distance", "cosine_similarity", "inner_product"]);
                    format!("{function}({a}, {b})")
                }
                _ => self.leaf(Kind::Real, scope),
            },
            10 => match self.column(Kind::Vector, scope) {
                Some(vector) => format!("{vector}[{}]", self.choices.below(10) + 1),
                None => self.leaf(Kind::Real, scope),
            },
            11 => self.any_type(Kind::Real, scope, depth),
            12 => match self.column(Kind::Prediction, scope) {
                Some(prediction) => format!("{prediction}['confidence']"),
                None => self.leaf(Kind::Real, scope),
            },
            _ => self.leaf(Kind::Real, scope),
        }
    }

    /// CASE, COALESCE, or a scalar subquery.
    fn any_type(&mut self, kind: Kind, scope: &[Table], depth: usize) -> String {
        match self.choices.below(if self.has_subqueries { 4 } else { 3 }) {
            0 => {
                self.uses("CASE");
                let (when, then) = (self.boolean(scope, depth - 1), self.expression(kind, scope, depth - 1));
                format!("CASE WHEN {when} THEN {then} ELSE {} END", self.expression(kind, scope, depth - 1))
            }
            1 => {
                self.uses("COALESCE");
                let (first, second) =
                    (self.expression(kind, scope, depth - 1), self.expression(kind, scope, depth - 1));
                format!("coalesce({first}, {second})")
            }
            2 => {
                self.uses("CASE of a value");
                let (of, is) = (self.text(scope, depth - 1), self.literal(Kind::Text));
                format!("CASE {of} WHEN {is} THEN {} END", self.expression(kind, scope, depth - 1))
            }
            _ => {
                self.uses("scalar subquery");
                self.scalar_subquery(kind, scope, depth)
            }
        }
    }

    /// One value of another query, which may read the row's.
    fn scalar_subquery(&mut self, kind: Kind, scope: &[Table], depth: usize) -> String {
        let (from, table) = self.photos();
        let condition = self.correlation(&table, scope);
        let inner = [table];
        let aggregate = match kind {
            Kind::Integer if self.choices.once_in(2) => "count(*)".to_owned(),
            Kind::Boolean => format!("bool_and({})", self.boolean(&inner, depth - 1)),
            kind => format!(
                "{}({})",
                self.choices.pick(&["max", "min"]),
                self.expression(kind, &inner, depth - 1)
            ),
        };
        format!("(SELECT {aggregate} FROM {from}{condition})")
    }

    /// WHERE of a subquery, with or without a column of the query around it.
    fn correlation(&mut self, table: &Table, scope: &[Table]) -> String {
        let inner = std::slice::from_ref(table);
        let outer_name = scope.iter().flat_map(|t| &t.columns).find(|c| c.sql.ends_with(".name"));
        let outer_name = outer_name.map(|column| column.sql.clone());
        match (self.choices.below(4), outer_name) {
            (1, Some(outer)) => {
                self.uses("correlated subquery");
                format!(" WHERE {}.name = {outer}", table.alias)
            }
            (2, Some(_)) => {
                self.uses("correlated subquery");
                let kind = *self.choices.pick(&[Kind::Text, Kind::Integer]);
                let (own, outer) = (self.column(kind, inner), self.column(kind, scope));
                match (own, outer) {
                    (Some(own), Some(outer)) => format!(" WHERE {own} = {outer}"),
                    _ => String::new(),
                }
            }
            (3, _) => format!(" WHERE {}", self.boolean(inner, 0)),
            _ => String::new(),
        }
    }

    pub(crate) fn boolean(&mut self, scope: &[Table], depth: usize) -> String {
        let kind = *self.choices.pick(&[Kind::Text, Kind::Integer, Kind::Real, Kind::Text]);
        if depth == 0 {
            return self.comparison(kind, scope, 0);
        }
        match self.choices.below(if self.has_subqueries { 16 } else { 13 }) {
            0..4 => self.comparison(kind, scope, depth - 1),
            5 => format!("({} AND {})", self.boolean(scope, depth - 1), self.boolean(scope, depth - 1)),
            6 => format!("({} OR {})", self.boolean(scope, depth - 1), self.boolean(scope, depth - 1)),
            7 => format!("(NOT {})", self.boolean(scope, depth - 1)),
            8 => {
                let not = self.choices.pick(&["", "NOT "]);
                format!("({} IS {not}NULL)", self.expression(kind, scope, depth - 1))
            }
            9 | 10 => {
                let (a, b, c) = (self.literal(kind), self.literal(kind), self.literal(kind));
                let not = self.choices.pick(&["", "NOT "]);
                format!("({} {not}IN ({a}, {b}, {c}))", self.expression(kind, scope, depth - 1))
            }
            11 => {
                let (low, high) = (self.literal(kind), self.literal(kind));
                format!("({} BETWEEN {low} AND {high})", self.expression(kind, scope, depth - 1))
            }
            12 => {
                let pattern = *self.choices.pick(&["%e%", "_a%", "%.jpg", "c%"]);
                format!("({} LIKE '{pattern}')", self.text(scope, depth - 1))
            }
            4 => {
                let (a, b) =
                    (self.expression(kind, scope, depth - 1), self.expression(kind, scope, depth - 1));
                let not = self.choices.pick(&["", "NOT "]);
                format!("({a} IS {not}DISTINCT FROM {b})")
            }
            13 => {
                self.uses("EXISTS");
                let not = *self.choices.pick(&["", "NOT "]);
                let (from, table) = self.photos();
                let condition = self.correlation(&table, scope);
                format!("({not}EXISTS (SELECT 1 FROM {from}{condition}))")
            }
            14 => {
                self.uses("IN subquery");
                let not = *self.choices.pick(&["", "NOT "]);
                let value = self.expression(kind, scope, depth - 1);
                let (from, table) = self.photos();
                let condition = self.correlation(&table, scope);
                let of = self.expression(kind, &[table], depth - 1);
                format!("({value} {not}IN (SELECT {of} FROM {from}{condition}))")
            }
            _ => {
                self.uses("scalar subquery");
                let value = self.expression(kind, scope, depth - 1);
                format!("({value} = {})", self.scalar_subquery(kind, scope, depth))
            }
        }
    }

    fn comparison(&mut self, kind: Kind, scope: &[Table], depth: usize) -> String {
        let operator = *self.choices.pick(&["=", "<", ">", "<=", ">=", "<>"]);
        let value = self.expression(kind, scope, depth);
        let other = match self.choices.once_in(3) {
            true => self.expression(kind, scope, depth),
            false => self.literal(kind),
        };
        format!("({value} {operator} {other})")
    }
}
