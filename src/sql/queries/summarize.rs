//! `SUMMARIZE`: a row of statistics for each column of a query, named as in DuckDB.
//!
//! ```text
//!  query ─ aggregate ─► one row: rows, 1: min(a), 2: max(a), …, 9: min(b), …
//!        ─ project ───► one row: [{column_name: a, min: …, max: …}, {column_name: b, …}]
//!        ─ unnest ────► a row for each column
//! ```
//!
//! Columns of images and other bytes have no statistics except the number of rows: they would have to be read.

use datafusion::arrow::datatypes::{DataType, Field, TimeUnit};
use datafusion::common::{Column, ScalarValue, plan_err};
use datafusion::dataframe::DataFrame;
use datafusion::error::Result;
use datafusion::functions::core::expr_fn::{get_field, named_struct, nullif};
use datafusion::functions::math::expr_fn::round;
use datafusion::functions_aggregate::expr_fn::{
    approx_distinct, approx_percentile_cont, avg, count, max, min, stddev,
};
use datafusion::functions_nested::expr_fn::make_array;
use datafusion::logical_expr::{Expr, cast, ident, lit};

/// The columns of the result.
const STATISTICS: [&str; 12] = [
    "column_name",
    "column_type",
    "min",
    "max",
    "approx_unique",
    "avg",
    "std",
    "q25",
    "q50",
    "q75",
    "count",
    "null_percentage",
];

/// The statistics of a query's columns, in their order.
///
/// # Errors
/// A query without columns.
pub(crate) fn summarize(query: DataFrame) -> Result<DataFrame> {
    let mut aggregates = Aggregates(Vec::new());
    let rows = aggregates.add(count(lit(1)));
    let columns = query.schema().iter().map(|(table, field)| {
        let column = Expr::Column(Column::new(table.cloned(), field.name()));
        statistics(field, column, &rows, &mut aggregates)
    });
    let columns = columns.collect::<Vec<_>>();
    if columns.is_empty() {
        return plan_err!("SUMMARIZE: the query has no columns");
    }
    let statistics = STATISTICS.map(|name| get_field(ident("summary"), name).alias(name));
    query
        .aggregate(Vec::new(), aggregates.0)?
        .select([make_array(columns).alias("summary")])?
        .unnest_columns(&["summary"])?
        .select(statistics)
}

/// The aggregates of all columns.
struct Aggregates(Vec<Expr>);

impl Aggregates {
    /// Adds an aggregate and returns its result.
    fn add(&mut self, aggregate: Expr) -> Expr {
        let name = format!("__aggregate_{}", self.0.len());
        self.0.push(aggregate.alias(&name));
        ident(name)
    }
}

/// The statistics of one column as a struct.
fn statistics(field: &Field, column: Expr, rows: &Expr, aggregates: &mut Aggregates) -> Expr {
    let (column, data_type) = match field.data_type() {
        DataType::Dictionary(_, values) => (cast(column, values.as_ref().clone()), values.as_ref()),
        data_type => (column, data_type),
    };
    let is_read = !holds_bytes(data_type);
    let is_ordered = is_read && !data_type.is_nested() && !data_type.is_null();
    let mut text = |aggregate: Option<Expr>| match aggregate {
        Some(aggregate) => cast(aggregates.add(aggregate), DataType::Utf8),
        None => null(&DataType::Utf8),
    };
    let number = data_type.is_numeric().then(|| cast(column.clone(), DataType::Float64));
    let values = [
        lit(field.name()),
        lit(field.data_type().to_string()),
        text(is_ordered.then(|| min(column.clone()))),
        text(is_ordered.then(|| max(column.clone()))),
    ];
    let averages = [text(number.clone().map(avg)), text(number.map(stddev))];
    let quantiles = [0.25, 0.5, 0.75].map(|share| match quantile(&column, data_type, share, aggregates) {
        Some(quantile) => cast(quantile, DataType::Utf8),
        None => null(&DataType::Utf8),
    });
    let unique = if is_read {
        cast(aggregates.add(approx_distinct(hashable(column.clone(), data_type))), DataType::Int64)
    } else {
        null(&DataType::Int64)
    };
    let nulls = null_percentage(field, column, is_read, rows, aggregates);
    let count = cast(rows.clone(), DataType::Int64);
    let values = values.into_iter().chain([unique]).chain(averages).chain(quantiles).chain([count, nulls]);
    named_struct(STATISTICS.into_iter().zip(values).flat_map(|(name, value)| [lit(name), value]).collect())
}

/// Whether values contain images or other bytes, which may be megabytes.
fn holds_bytes(data_type: &DataType) -> bool {
    match data_type {
        DataType::Struct(fields) => fields.iter().any(|field| holds_bytes(field.data_type())),
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _)
        | DataType::Map(item, _)
        | DataType::RunEndEncoded(_, item) => holds_bytes(item.data_type()),
        DataType::Dictionary(_, values) => holds_bytes(values),
        DataType::Union(fields, _) => fields.iter().any(|(_, field)| holds_bytes(field.data_type())),
        _ => data_type.is_binary() || matches!(data_type, DataType::FixedSizeBinary(_)),
    }
}

fn null(data_type: &DataType) -> Expr {
    cast(lit(ScalarValue::Null), data_type.clone())
}

/// The column as a type that `approx_distinct` supports.
fn hashable(column: Expr, data_type: &DataType) -> Expr {
    if data_type.is_floating() { cast(column, DataType::Utf8) } else { column }
}

/// A quantile, of the type of the column. Those of times are exact to the second.
fn quantile(column: &Expr, data_type: &DataType, share: f64, aggregates: &mut Aggregates) -> Option<Expr> {
    let quantile = |aggregates: &mut Aggregates, values: Expr| {
        aggregates.add(approx_percentile_cont(values.sort(true, false), lit(share), None))
    };
    let number = |values: Expr| cast(values, DataType::Float64);
    match data_type {
        DataType::Timestamp(_, zone) => {
            let seconds = DataType::Timestamp(TimeUnit::Second, zone.clone());
            let numbers = number(cast(cast(column.clone(), seconds.clone()), DataType::Int64));
            Some(cast(cast(quantile(aggregates, numbers), DataType::Int64), seconds))
        }
        DataType::Date32 => {
            let days = number(cast(column.clone(), DataType::Int32));
            Some(cast(cast(quantile(aggregates, days), DataType::Int32), DataType::Date32))
        }
        _ if data_type.is_integer() => {
            Some(cast(round(vec![quantile(aggregates, number(column.clone()))]), data_type.clone()))
        }
        _ if data_type.is_numeric() => {
            Some(cast(quantile(aggregates, number(column.clone())), data_type.clone()))
        }
        _ => None,
    }
}

/// The share of NULLs with two decimals; NULL if there are no rows.
fn null_percentage(
    field: &Field,
    column: Expr,
    is_read: bool,
    rows: &Expr,
    aggregates: &mut Aggregates,
) -> Expr {
    let percentage = DataType::Decimal128(9, 2);
    let all = cast(nullif(rows.clone(), lit(0_i64)), DataType::Float64);
    let valid = match field.is_nullable() {
        false => all.clone(),
        true if is_read => cast(aggregates.add(count(column)), DataType::Float64),
        true => return null(&percentage),
    };
    cast((lit(1.0) - valid / all) * lit(100.0), percentage)
}
