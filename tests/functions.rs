//! SHOW FUNCTIONS and docs/functions.md match the functions' `documentation()`.

use std::collections::BTreeSet;
use std::fmt::Write;

use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::logical_expr::Documentation;
use datafusion::prelude::SessionContext;

use crate::support::engine;

/// Sections of Seequel's functions, in the order of docs/functions.md.
const SECTIONS: [&str; 3] = ["Inference Functions", "Image Functions", "Vector Functions"];
const TABLE_START: &str =
    "<!-- functions: tests/functions.rs compares this table with the functions' documentation -->\n";
const TABLE_END: &str = "<!-- end of functions -->";

/// Section, name and documentation of each function of Seequel, in the order of docs/functions.md.
async fn documented() -> Vec<(usize, String, Documentation)> {
    let state = engine().await.context().state();
    let mut functions: Vec<_> = state
        .scalar_functions()
        .values()
        .filter_map(|function| {
            let documentation = function.documentation()?;
            let section = SECTIONS.iter().position(|section| *section == documentation.doc_section.label)?;
            Some((section, function.name().to_owned(), documentation.clone()))
        })
        .collect();
    functions.sort_by_key(|(section, name, _)| (*section, name.clone()));
    functions.dedup_by(|a, b| a.1 == b.1);
    functions
}

#[tokio::test]
async fn table_of_functions_matches_their_documentation() {
    let mut table = String::from("| function | gives |\n|---|---|\n");
    for (_, _, documentation) in documented().await {
        let Documentation { description, syntax_example, .. } = documentation;
        let sentence = description.split_once(". ").map_or(description.as_str(), |(first, _)| first);
        writeln!(table, "| `{syntax_example}` | {}. |", sentence.trim_end_matches('.')).unwrap();
    }
    let page = std::fs::read_to_string("docs/functions.md").unwrap();
    let (_, found) = page.split_once(TABLE_START).unwrap();
    let (found, _) = found.split_once(TABLE_END).unwrap();
    assert!(found == table, "docs/functions.md's table of functions should be:\n\n{table}");
}

#[tokio::test]
async fn show_functions_lists_every_function_with_its_documentation() {
    let engine = engine().await;
    let shown = engine.sql("SHOW FUNCTIONS").await.unwrap().collect().await.unwrap();
    let mut listed = BTreeSet::new();
    for batch in &shown {
        let column = |name: &str| {
            datafusion::arrow::compute::cast(batch.column_by_name(name).unwrap(), &DataType::Utf8).unwrap()
        };
        let (names, descriptions) = (column("function_name"), column("description"));
        let (names, descriptions) = (names.as_string::<i32>(), descriptions.as_string::<i32>());
        listed.extend(
            names
                .iter()
                .flatten()
                .zip(descriptions)
                .map(|(name, description)| (name.to_owned(), description.unwrap_or_default().to_owned())),
        );
    }
    for (_, name, documentation) in documented().await {
        assert!(listed.contains(&(name.clone(), documentation.description)), "{name} is not listed");
    }
}

#[tokio::test]
async fn every_argument_and_an_example_are_documented() {
    for (_, name, documentation) in documented().await {
        let arguments = documentation.arguments.unwrap_or_default();
        let signature = documentation.syntax_example;
        for (argument, text) in &arguments {
            assert!(signature.contains(argument.as_str()), "{name}: {signature} has no {argument}");
            assert!(!text.is_empty(), "{name}: nothing is said of {argument}");
        }
        let named = signature.trim_end_matches(", …)").matches(',').count() + 1;
        assert_eq!(arguments.len(), named, "{name}: {signature}");
        assert!(documentation.sql_example.is_some(), "{name} has no example");
    }
}

#[tokio::test]
async fn inner_product_equals_datafusions() {
    let sql = "SELECT inner_product([1.5, 2.0], [3, 4]), dot_product([1.0, NULL], [1, 2]), inner_product([], []),
                      inner_product(NULL, [1]), inner_product(arrow_cast([1, 2], 'FixedSizeList(2, Float32)'), [0.1, 0.2]),
                      arrow_typeof(inner_product([1], [1]))";
    let datafusion_s = SessionContext::new().sql(sql).await.unwrap().collect().await.unwrap();
    // Engine::sql would name the columns differently.
    let seequel_s = engine().await.context().sql(sql).await.unwrap().collect().await.unwrap();
    let text = |batches| pretty_format_batches(batches).unwrap().to_string();
    assert_eq!(text(&seequel_s), text(&datafusion_s));
}
