//! What `\d` and `\f` list: the user's tables, Seequel's functions, or everything that the session has.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, BooleanArray, RecordBatch, StringArray};
use datafusion::dataframe::DataFrame;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::Documentation;
use datafusion::prelude::{col, lit};
use itertools::Itertools;

use crate::images::table::read_images_documentation;
use crate::shell::prompt::command::{Functions, Tables};
use crate::tune::{TUNING_TRIALS, tuning_trials_documentation};
use crate::{Engine, Result};

/// The answer to `\d` if there is no table.
pub(crate) const NO_TABLES: &str = "\
There are no tables. CREATE EXTERNAL TABLE images STORED AS IMAGES LOCATION 'photos/' makes one of a folder.
";

/// Sections of Seequel's functions in their documentation.
const SECTIONS: [&str; 3] = ["Inference Functions", "Image Functions", "Vector Functions"];

/// A table of the chosen tables, by schema and name; `None` if there are none.
///
/// # Errors
/// Those of a catalog that can't be read.
pub(crate) async fn tables(engine: &Engine, which: &Tables) -> Result<Option<DataFrame>> {
    let tables = engine.context().table("information_schema.tables").await?;
    let tables = match which {
        Tables::All => tables,
        Tables::Users => tables.filter(col("table_schema").not_eq(lit("information_schema")))?,
        Tables::Matching(pattern) => {
            let pattern = pattern.replace('*', "%").replace('?', "_");
            let is_users = col("table_schema").not_eq(lit("information_schema"));
            tables.filter(is_users.and(col("table_name").like(lit(pattern))))?
        }
    };
    let listed = tables
        .select(
            ["table_schema", "table_name", "table_type"]
                .map(|name| col(name).alias(name.trim_start_matches("table_"))),
        )?
        .sort_by(vec![col("schema"), col("name")])?
        .cache()
        .await?;
    let is_empty = listed.clone().count().await? == 0;
    Ok((!is_empty).then_some(listed))
}

/// The documentation of one of Seequel's table functions.
fn table_function(name: &str) -> Option<Documentation> {
    match name {
        "read_images" => Some(read_images_documentation()),
        TUNING_TRIALS => Some(tuning_trials_documentation()),
        _ => None,
    }
}

/// A table of the chosen functions with their arguments and what they give: Seequel's first, each group by name. The
/// description of a function that was asked for is complete, that of others is its first sentence.
///
/// # Errors
/// Columns of unequal length, which is a bug.
pub(crate) fn functions(engine: &Engine, which: &Functions) -> Result<DataFrame> {
    let state = engine.context().state();
    let scalar = state.scalar_functions().iter().map(|(name, it)| (name, it.documentation().cloned()));
    let aggregate = state.aggregate_functions().iter().map(|(name, it)| (name, it.documentation().cloned()));
    let window = state.window_functions().iter().map(|(name, it)| (name, it.documentation().cloned()));
    let table = state.table_functions().keys().map(|name| (name, table_function(name)));
    let is_asked = matches!(which, Functions::Named(_));
    let lines = scalar.chain(aggregate).chain(window).chain(table).map(|(name, documentation)| {
        let is_own = documentation.as_ref().is_some_and(|it| SECTIONS.contains(&it.doc_section.label));
        let (function, description) = match documentation {
            Some(Documentation { syntax_example, description, .. }) if is_asked => {
                (syntax_example, Some(description))
            }
            Some(Documentation { syntax_example, description, .. }) => {
                (syntax_example.lines().join(", "), Some(first_sentence(&description)))
            }
            None => (name.clone(), None),
        };
        (is_own, name.clone(), function, description)
    });
    let (is_own, names, functions, descriptions): (Vec<_>, Vec<_>, Vec<_>, Vec<_>) = lines.multiunzip();
    let batch = RecordBatch::try_from_iter_with_nullable([
        ("is_own", Arc::new(BooleanArray::from(is_own)) as ArrayRef, false),
        ("name", Arc::new(StringArray::from(names)), false),
        ("function", Arc::new(StringArray::from(functions)), false),
        ("description", Arc::new(StringArray::from(descriptions)), true),
    ]);
    let listed = engine.context().read_batch(batch.map_err(DataFusionError::from)?)?;
    let chosen = match which {
        Functions::Own => listed.filter(col("is_own"))?,
        Functions::All => listed,
        Functions::Named(pattern) => listed.filter(col("name").like(lit(pattern)))?,
    };
    // A function with several names is listed once.
    let distinct = chosen.select_columns(&["is_own", "function", "description"])?.distinct()?;
    let sorted = distinct.sort(vec![col("is_own").sort(false, false), col("function").sort(true, false)])?;
    Ok(sorted.select_columns(&["function", "description"])?)
}

fn first_sentence(description: &str) -> String {
    let line = description.lines().next().unwrap_or_default();
    line.split_once(". ").map_or_else(|| line.to_owned(), |(first, _)| format!("{first}."))
}
