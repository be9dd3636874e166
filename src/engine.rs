//! The engine: a DataFusion session with images, models and Seequel's statements.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::catalog::{DynamicFileCatalog, UrlTableFactory};
use datafusion::dataframe::DataFrame;
use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::prelude::{SessionConfig, SessionContext};

use crate::images::table::UrlTables;
use crate::model::ModelRegistry;
use crate::stores::StoreRegistry;
use crate::{Error, Result, SeequelExt, sql};

/// Number of memory consumers that an out-of-memory error lists.
const NAMED_CONSUMERS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(4);

/// SQL over images and models.
///
/// Cloning is cheap; clones share tables, models and settings.
///
/// ```no_run
/// # async fn example() -> seequel::Result<()> {
/// let engine = seequel::Engine::builder().build()?;
/// engine.sql("CREATE MODEL resnet FROM 'models/resnet50.onnx' OPTIONS (labels 'labels.txt')").await?;
/// let photos = engine.sql("SELECT path, classify(image, 'resnet') FROM read_images('photos/')").await?;
/// photos.show().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Engine {
    context: SessionContext,
    models: Arc<ModelRegistry>,
}

impl Engine {
    /// A builder with default settings.
    #[must_use]
    pub fn builder() -> EngineBuilder {
        EngineBuilder::default()
    }

    /// The DataFusion session: tables, settings and functions are registered here.
    #[must_use]
    pub fn context(&self) -> &SessionContext {
        &self.context
    }

    /// The models of this engine.
    #[must_use]
    pub fn models(&self) -> &Arc<ModelRegistry> {
        &self.models
    }

    /// Plans one statement, Seequel's or DataFusion's; statements that define something are executed.
    ///
    /// # Errors
    /// Text that is not exactly one statement, an unknown name, or an unusable model or location.
    pub async fn sql(&self, sql: &str) -> Result<DataFrame> {
        let statement = sql::parse_statement(sql, &self.context.state().config_options().sql_parser)?;
        sql::plan(&self.context, &self.models, statement, |_| {}).await
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("session", &self.context.session_id())
            .field("models", &self.models)
            .finish()
    }
}

/// Settings of an [`Engine`] that are fixed once it is built.
#[derive(Debug, Default)]
pub struct EngineBuilder {
    home: Option<PathBuf>,
    memory_limit: Option<usize>,
    config: Option<SessionConfig>,
}

impl EngineBuilder {
    /// Folder with the ONNX Runtime library (`lib/`) and the models to register at startup (`models/`).
    /// Default: `$SEEQUEL_HOME`, or `.seequel` in the working directory.
    #[must_use]
    pub fn home(mut self, home: impl AsRef<Path>) -> Self {
        self.home = Some(home.as_ref().to_owned());
        self
    }

    /// Bytes of memory that queries may reserve. Default: no limit.
    #[must_use]
    pub fn memory_limit(mut self, bytes: Option<usize>) -> Self {
        self.memory_limit = bytes;
        self
    }

    /// DataFusion settings to start from.
    #[must_use]
    pub fn config(mut self, config: SessionConfig) -> Self {
        self.config = Some(config);
        self
    }

    /// Builds the engine. Loads neither models nor ONNX Runtime.
    ///
    /// # Errors
    /// A runtime environment that DataFusion rejects.
    pub fn build(self) -> Result<Engine> {
        // Resolved now, because the working directory may change later (`--data-path`).
        let home = self.home.unwrap_or_else(default_home);
        let models = Arc::new(ModelRegistry::new(std::path::absolute(&home).unwrap_or(home)));
        let mut config = self.config.unwrap_or_default().with_information_schema(true);
        // Lets errors about names and types give their position in the statement.
        config.options_mut().sql_parser.collect_spans = true;
        let state = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(runtime(self.memory_limit)?)
            .with_default_features()
            .with_seequel(&models)
            .build();
        Ok(Engine { context: with_url_tables(state), models })
    }
}

/// A session in which quoted names are files: `FROM 'results.parquet'`, `FROM 'photos/*.jpg'`.
fn with_url_tables(state: SessionState) -> SessionContext {
    let tables = Arc::new(UrlTables::default());
    let factory = Arc::clone(&tables) as Arc<dyn UrlTableFactory>;
    let catalogs = Arc::new(DynamicFileCatalog::new(Arc::clone(state.catalog_list()), factory));
    let state = SessionStateBuilder::new_from_existing(state).with_catalog_list(catalogs).build();
    let context = SessionContext::new_with_state(state);
    tables.files.session_store().with_state(context.state_weak_ref());
    context
}

fn default_home() -> PathBuf {
    std::env::var_os("SEEQUEL_HOME").map_or_else(|| PathBuf::from(".seequel"), PathBuf::from)
}

fn runtime(memory_limit: Option<usize>) -> Result<Arc<RuntimeEnv>> {
    let builder = RuntimeEnvBuilder::new().with_object_store_registry(Arc::new(StoreRegistry::default()));
    let builder = match memory_limit {
        Some(bytes) => {
            let pool = TrackConsumersPool::new(FairSpillPool::new(bytes), NAMED_CONSUMERS);
            builder.with_memory_pool(Arc::new(pool))
        }
        None => builder,
    };
    builder.build_arc().map_err(Error::from)
}
