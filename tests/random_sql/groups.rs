//! GROUP BY with its sets, aggregates and HAVING; window functions and QUALIFY.

use super::answers::Kind;
use super::generator::{Generator, Selected, Table};
use super::joins::From;

impl Generator {
    pub(crate) fn grouped(&mut self, from: &From, wanted: Option<&[Kind]>) -> Selected {
        let kinds = self.kinds(wanted);
        let groups: Vec<_> = (0..*self.choices.pick(&[1, 1, 2, 0]))
            .map(|_| {
                let kind = *self.choices.pick(&[Kind::Text, Kind::Text, Kind::Integer, Kind::Boolean]);
                let sql = self.expression(kind, &from.scope, 1);
                // A number alone would be a position.
                (kind, if kind == Kind::Integer { format!("({sql} + 0)") } else { sql })
            })
            .collect();
        let (mut columns, mut items) = (Vec::new(), Vec::new());
        for kind in kinds {
            let group = groups.iter().find(|(of, _)| *of == kind).filter(|_| self.choices.once_in(2));
            let item = match group {
                Some((_, sql)) => sql.clone(),
                None => self.aggregate(kind, &from.scope),
            };
            let name = self.name('c');
            items.push(format!("{item} AS {name}"));
            columns.push((name, kind));
        }
        if wanted.is_none() && self.choices.once_in(8) {
            let (list, name) = (self.expression(Kind::Text, &from.scope, 0), self.name('c'));
            self.uses("array_agg");
            items.push(format!("array_agg({list} ORDER BY {list}) AS {name}"));
            columns.push((name, Kind::Other));
        }
        let by = self.group_by(&groups);
        let mut having = String::new();
        if self.choices.once_in(3) {
            self.uses("HAVING");
            let kind = *self.choices.pick(&[Kind::Integer, Kind::Text]);
            having = format!(" HAVING {} > {}", self.aggregate(kind, &from.scope), self.literal(kind));
        }
        let sql = format!("SELECT {} FROM {}{by}{having}", items.join(", "), from.sql);
        Selected { sql, columns, has_image: false, key: None, rows: from.rows() * 3 }
    }

    fn group_by(&mut self, groups: &[(Kind, String)]) -> String {
        let by = groups.iter().map(|(_, sql)| sql.as_str()).collect::<Vec<_>>().join(", ");
        if groups.is_empty() {
            return String::new();
        }
        self.uses("GROUP BY");
        match self.choices.below(6) {
            3 => {
                self.uses("ROLLUP");
                format!(" GROUP BY ROLLUP ({by})")
            }
            4 => {
                self.uses("CUBE");
                format!(" GROUP BY CUBE ({by})")
            }
            5 => {
                self.uses("GROUPING SETS");
                format!(" GROUP BY GROUPING SETS (({by}), ({}), ())", groups[0].1)
            }
            _ => format!(" GROUP BY {by}"),
        }
    }

    /// An aggregate whose value does not depend on the order of rows.
    fn aggregate(&mut self, kind: Kind, scope: &[Table]) -> String {
        self.uses("aggregate");
        let of = |generator: &mut Self, kind| generator.expression(kind, scope, 1);
        let aggregate = match kind {
            Kind::Text => match self.choices.below(3) {
                0 => format!("max({})", of(self, kind)),
                1 => format!("min({})", of(self, kind)),
                _ => {
                    let text = of(self, kind);
                    format!("string_agg({text}, ' ' ORDER BY {text})")
                }
            },
            Kind::Integer => match self.choices.below(5) {
                0 => "count(*)".to_owned(),
                1 => format!("count({})", of(self, Kind::Text)),
                2 => format!("count(DISTINCT {})", of(self, Kind::Text)),
                3 => format!("sum({})", of(self, kind)),
                _ => format!("max({})", of(self, kind)),
            },
            Kind::Real => match self.choices.below(3) {
                0 => format!("max({})", of(self, kind)),
                1 => format!("min({})", of(self, kind)),
                _ => format!("avg({})", of(self, Kind::Integer)),
            },
            Kind::Boolean => format!("{}({})", self.choices.pick(&["bool_or", "bool_and"]), of(self, kind)),
            _ => return "NULL".to_owned(),
        };
        if self.choices.once_in(4) {
            self.uses("FILTER");
            return format!("{aggregate} FILTER (WHERE {})", self.boolean(scope, 1));
        }
        aggregate
    }

    pub(crate) fn windows(&mut self, from: &From, wanted: Option<&[Kind]>) -> Selected {
        self.uses("window");
        let kinds = self.kinds(wanted);
        let (mut columns, mut items) = (Vec::new(), Vec::new());
        for kind in kinds {
            let item = match self.choices.below(3) {
                2 => self.expression(kind, &from.scope, 1),
                _ => self.window(kind, from),
            };
            let name = self.name('c');
            items.push(format!("{item} AS {name}"));
            columns.push((name, kind));
        }
        let mut qualify = String::new();
        if self.choices.once_in(3) {
            self.uses("QUALIFY");
            qualify =
                format!(" QUALIFY {} <= {}", self.window(Kind::Integer, from), self.choices.below(4) + 1);
        }
        let sql = format!("SELECT {} FROM {}{qualify}", items.join(", "), from.sql);
        Selected { sql, columns, has_image: false, key: None, rows: from.rows() }
    }

    /// A window function whose value does not depend on the order of equal rows.
    fn window(&mut self, kind: Kind, from: &From) -> String {
        let partition = match self.choices.below(3) {
            2 => {
                let kind = *self.choices.pick(&[Kind::Text, Kind::Boolean]);
                format!("PARTITION BY {} ", self.expression(kind, &from.scope, 1))
            }
            _ => String::new(),
        };
        let kind_of_order = *self.choices.pick(&Kind::SCALARS);
        let order = self.expression(kind_of_order, &from.scope, 1);
        let argument = self.expression(kind, &from.scope, 1);
        let by_key = from.key().filter(|_| self.choices.once_in(2));
        let (function, order) = match (kind, by_key) {
            (Kind::Integer, Some(key)) => {
                let functions =
                    ["row_number()".to_owned(), format!("lag({argument})"), format!("sum({argument})")];
                (self.choices.pick(&functions).clone(), format!("{order}, {}", key.join(", ")))
            }
            (_, Some(key)) => {
                let function = *self.choices.pick(&["first_value", "lag", "lead", "last_value"]);
                (format!("{function}({argument})"), format!("{order}, {}", key.join(", ")))
            }
            (Kind::Integer, None) => {
                let functions =
                    ["rank()".to_owned(), "dense_rank()".to_owned(), format!("count({argument})")];
                (self.choices.pick(&functions).clone(), order)
            }
            (Kind::Boolean, None) => (format!("bool_or({argument})"), order),
            (_, None) => (format!("{}({argument})", self.choices.pick(&["max", "min"])), order),
        };
        format!("{function} OVER ({partition}ORDER BY {order})")
    }
}
