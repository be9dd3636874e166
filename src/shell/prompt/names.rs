//! The names in a session, collected before each prompt so that completion does not wait.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use datafusion::arrow::datatypes::DataType;
use datafusion::catalog::SchemaProvider;
use datafusion::execution::session_state::SessionState;
use seequel_udfs::{classification_type, detections_type, ranked_classes_type};
use tokio::time::timeout;

use crate::Engine;

/// Timeout for collecting: tables of remote catalogs may be slow to respond.
const PATIENCE: Duration = Duration::from_millis(200);

/// Names for completion.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// Columns of each table of the default schema.
    pub(crate) tables: BTreeMap<String, Vec<(String, DataType)>>,
    /// Functions in expressions, with their documented syntax if there is one.
    pub(crate) functions: BTreeMap<String, Option<String>>,
    /// Types of the functions that return structs.
    pub(crate) returns: BTreeMap<String, DataType>,
    /// Table functions.
    pub(crate) table_functions: BTreeSet<String>,
    pub(crate) models: Vec<String>,
    /// Keys of `SET`.
    pub(crate) settings: BTreeSet<String>,
    /// Options of files, after their format: `csv.delimiter`.
    pub(crate) file_options: BTreeSet<String>,
}

impl Names {
    /// Collects the names; tables not loaded before the timeout are left out.
    pub(crate) async fn of(engine: &Engine) -> Self {
        let state = engine.context().state();
        let scalar =
            state.scalar_functions().values().map(|function| (function.name(), function.documentation()));
        let aggregate =
            state.aggregate_functions().values().map(|function| (function.name(), function.documentation()));
        let window =
            state.window_functions().values().map(|function| (function.name(), function.documentation()));
        let functions = scalar.chain(aggregate).chain(window).map(|(name, documentation)| {
            (name.to_owned(), documentation.map(|documentation| documentation.syntax_example.clone()))
        });
        let mut names = Self {
            tables: BTreeMap::new(),
            functions: functions.collect(),
            table_functions: state.table_functions().keys().cloned().collect(),
            models: engine.models().names(),
            settings: state.config_options().entries().into_iter().map(|entry| entry.key).collect(),
            file_options: state.table_options().entries().into_iter().map(|entry| entry.key).collect(),
            returns: returns(&state),
        };
        let catalog = &state.config_options().catalog;
        let schema = state
            .catalog_list()
            .catalog(&catalog.default_catalog)
            .and_then(|found| found.schema(&catalog.default_schema));
        if let Some(schema) = schema {
            // Names collected before the timeout are kept.
            let _ = timeout(PATIENCE, names.add_tables(schema.as_ref())).await;
        }
        names
    }

    /// The type of a column of any table.
    pub(crate) fn type_of(&self, column: &str) -> Option<DataType> {
        let mut columns = self.tables.values().flatten();
        columns.find(|(name, _)| name == column).map(|(_, data_type)| data_type.clone())
    }

    async fn add_tables(&mut self, schema: &dyn SchemaProvider) {
        for name in schema.table_names() {
            if let Ok(Some(table)) = schema.table(&name).await {
                let schema = table.schema();
                let columns =
                    schema.fields().iter().map(|field| (field.name().clone(), field.data_type().clone()));
                self.tables.insert(name, columns.collect());
            }
        }
    }
}

/// The types of the functions whose results have fields that do not depend on a model.
fn returns(state: &SessionState) -> BTreeMap<String, DataType> {
    let mut returns = BTreeMap::from([
        ("classify".to_owned(), classification_type()),
        ("classify_top_k".to_owned(), ranked_classes_type()),
        ("detect".to_owned(), detections_type()),
    ]);
    let info = state.scalar_functions().get("image_info");
    if let Some(Ok(data_type)) = info.map(|info| info.return_type(&[DataType::Binary])) {
        returns.insert("image_info".to_owned(), data_type);
    }
    returns
}
