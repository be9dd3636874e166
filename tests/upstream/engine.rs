//! Runs the statements of the test files: with DataFusion, or with Seequel's parser and planner over the same session.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::dataframe::DataFrame;
use datafusion::error::DataFusionError;
use datafusion::physical_plan::collect;
use datafusion::prelude::SessionContext;
use datafusion_sqllogictest::{
    DFColumnType, DFOutput, DFSqlLogicTestError, convert_batches, convert_schema_to_types,
};
use seequel::model::ModelRegistry;
use seequel::sql;
use sqllogictest::{AsyncDB, DBOutput};

/// The placeholder that DataFusion's own driver writes for the folder of its crate in expected results.
const REPOSITORY: &str = "WORKSPACE_ROOT/datafusion/sqllogictest";

/// A session, with or without Seequel's statements.
#[derive(Clone)]
pub(crate) struct Engine {
    pub(crate) context: SessionContext,
    /// Seequel's models, if Seequel parses the statements.
    pub(crate) models: Option<Arc<ModelRegistry>>,
    /// Whether results are formatted as in Spark.
    pub(crate) is_spark: bool,
    /// The working directory, as written in plans.
    pub(crate) folder: String,
}

impl Engine {
    async fn plan(&self, text: &str) -> Result<DataFrame, DFSqlLogicTestError> {
        let Some(models) = &self.models else { return Ok(self.context.sql(text).await?) };
        let options = self.context.state().config_options().sql_parser.clone();
        let planned = async {
            let statement = sql::parse_statement(text, &options)?;
            sql::plan(&self.context, models, statement, |_| {}).await
        };
        Ok(planned.await.map_err(DataFusionError::from)?)
    }
}

#[async_trait]
impl AsyncDB for Engine {
    type Error = DFSqlLogicTestError;
    type ColumnType = DFColumnType;

    async fn run(&mut self, text: &str) -> Result<DFOutput, DFSqlLogicTestError> {
        let results = self.plan(text).await?;
        let task = Arc::new(results.task_ctx());
        let plan = results.create_physical_plan().await?;
        let schema = plan.schema();
        let types = convert_schema_to_types(schema.fields());
        let mut rows = convert_batches(&schema, collect(plan, task).await?, self.is_spark)?;
        if rows.is_empty() && types.is_empty() {
            return Ok(DBOutput::StatementComplete(0));
        }
        for cell in rows.iter_mut().flatten() {
            *cell = cell.replace(&self.folder, REPOSITORY);
        }
        Ok(DBOutput::Rows { types, rows })
    }

    async fn shutdown(&mut self) {}
}
