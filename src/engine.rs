//! A stand-in for the engine, to be replaced by the real one.

use std::path::PathBuf;
use std::sync::Arc;

use datafusion::dataframe::DataFrame;
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};

use crate::Result;
use crate::models::registry::ModelRegistry;

/// A session with its models.
#[derive(Clone)]
pub struct Engine {
    context: SessionContext,
    models: Arc<ModelRegistry>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

/// Settings of an [`Engine`].
#[derive(Debug, Default)]
pub struct EngineBuilder {
    memory_limit: Option<usize>,
}

impl EngineBuilder {
    /// Folder of models and libraries.
    pub fn home(self, _home: PathBuf) -> Self {
        self
    }

    /// Bytes that queries may use.
    pub fn memory_limit(mut self, limit: Option<usize>) -> Self {
        self.memory_limit = limit;
        self
    }

    /// Builds it.
    pub fn build(self) -> Result<Engine> {
        let mut config = SessionConfig::new().with_information_schema(true);
        config.options_mut().sql_parser.collect_spans = true;
        let mut runtime = RuntimeEnvBuilder::new();
        if let Some(limit) = self.memory_limit {
            runtime = runtime.with_memory_pool(Arc::new(GreedyMemoryPool::new(limit)));
        }
        let context = SessionContext::new_with_config_rt(config, runtime.build_arc()?).enable_url_table();
        Ok(Engine {
            context,
            models: Arc::default(),
        })
    }
}

impl Engine {
    /// Starts an engine.
    pub fn builder() -> EngineBuilder {
        EngineBuilder::default()
    }

    /// DataFusion's side.
    pub fn context(&self) -> &SessionContext {
        &self.context
    }

    /// The models.
    pub fn models(&self) -> &Arc<ModelRegistry> {
        &self.models
    }

    /// Plans one statement.
    pub async fn sql(&self, sql: &str) -> Result<DataFrame> {
        let options = self.context.state().config().options().sql_parser.clone();
        let statement = crate::sql::parse_statement(sql, &options)?;
        crate::sql::plan(&self.context, &self.models, statement).await
    }
}
