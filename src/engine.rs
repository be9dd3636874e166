//! The engine: a DataFusion session with images, models and Seequel's statements.

use std::any::Any;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::catalog::{DynamicFileCatalog, UrlTableFactory};
use datafusion::dataframe::DataFrame;
use datafusion::error::DataFusionError;
use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::stream::{self, BoxStream, StreamExt};
#[cfg(feature = "dashboard")]
use parking_lot::Mutex;
use seequel_udfs::Inference;

#[cfg(feature = "cluster")]
use crate::cluster::{Address, Security, on_cluster};
#[cfg(feature = "dashboard")]
use crate::dashboard::{Dashboard, DashboardAddress};
use crate::images::table::UrlTables;
use crate::model::ModelRegistry;
use crate::model::runtime::Runtime;
use crate::queries::{Queries, QueryText};
use crate::sql::Script;
use crate::stores::StoreRegistry;
use crate::{Error, Result, SeequelExt, sql};

/// Number of memory consumers that an out-of-memory error lists.
const NAMED_CONSUMERS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(4);

/// SQL over images and models.
///
/// Cloning is cheap; clones share tables, models and settings. The process must have
/// [`DISABLE_TELEMETRY`](crate::model::runtime::DISABLE_TELEMETRY) in its environment, or ONNX Runtime reports to its
/// maker.
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
    queries: Queries,
    #[cfg(feature = "dashboard")]
    dashboard: Arc<Mutex<Option<Dashboard>>>,
    /// Whether a dashboard may cancel queries.
    #[cfg(feature = "dashboard")]
    dashboard_actions: bool,
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

    /// The queries of this engine: those that run, and the last that ended.
    #[must_use]
    pub fn queries(&self) -> &Queries {
        &self.queries
    }

    /// Opens the dashboard, and returns the link to it: a web page of this engine's queries, models and process, the same
    /// as JSON under `/api/v1/`, and `/metrics` for Prometheus. If it is open, its link alone. It has a thread of its
    /// own, and is closed by [`Self::close_dashboard`] or with the last clone of the engine.
    ///
    /// An address that other machines can reach asks for a token, which the link has.
    ///
    /// # Errors
    /// An address that is in use, or that this machine does not have.
    #[cfg(feature = "dashboard")]
    pub fn open_dashboard(&self, address: DashboardAddress) -> Result<String> {
        let mut dashboard = self.dashboard.lock();
        if let Some(open) = dashboard.as_ref() {
            return Ok(open.url().to_owned());
        }
        let shown = (self.queries.clone(), Arc::clone(&self.models), self.context.clone());
        let open = Dashboard::open(address, self.dashboard_actions, shown)?;
        Ok(dashboard.insert(open).url().to_owned())
    }

    /// The link to the dashboard, if it is open.
    #[cfg(feature = "dashboard")]
    #[must_use]
    pub fn dashboard_url(&self) -> Option<String> {
        self.dashboard.lock().as_ref().map(|open| open.url().to_owned())
    }

    /// Closes the dashboard, if it is open. Its port is free, its thread has ended and its history of queries is complete
    /// afterwards.
    #[cfg(feature = "dashboard")]
    pub fn close_dashboard(&self) {
        let open = self.dashboard.lock().take();
        drop(open);
    }

    /// Plans one statement, Seequel's or DataFusion's; statements that define something are executed. Execute the
    /// result yourself, or as a [`Query`](crate::Query) with progress, time-out and cancellation.
    ///
    /// # Errors
    /// Text that is not exactly one statement, an unknown name, or an unusable model or location.
    pub async fn sql(&self, sql: &str) -> Result<DataFrame> {
        let statement = sql::parse_statement(sql, &self.context.state().config_options().sql_parser)?;
        Ok(titled(sql::plan(&self.context, &self.models, statement, |_| {}).await?, sql))
    }

    /// Plans the statements of a text, separated by `;`, each when the stream is polled for it. Ends after the first
    /// error.
    ///
    /// A statement sees what earlier ones defined or set. What an earlier `COPY` or `INSERT` writes it sees if that
    /// result was executed before the next poll, as here:
    ///
    /// ```no_run
    /// use futures::TryStreamExt;
    ///
    /// # async fn example(engine: seequel::Engine) -> seequel::Result<()> {
    /// let mut results = engine.script(
    ///     "CREATE MODEL resnet FROM 'models/resnet50.onnx' OPTIONS (labels 'labels.txt');
    ///      SET inference.default_model = 'resnet';
    ///      COPY (SELECT path, classify(image) AS p FROM read_images('photos/')) TO 'results.parquet';
    ///      SELECT p['label'], count(*) FROM 'results.parquet' GROUP BY p['label']",
    /// );
    /// while let Some(result) = results.try_next().await? {
    ///     result.show().await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of [`Self::sql`]; positions in syntax errors are those of the whole text.
    pub fn script<'a>(&'a self, sql: &'a str) -> BoxStream<'a, Result<DataFrame>> {
        stream::try_unfold(Script::new(sql), move |mut script| async move {
            let options = self.context.state_ref().read().config().options().sql_parser.clone();
            match script.next_statement(&options)? {
                Some(statement) => {
                    let text = statement.to_string();
                    let result = sql::plan(&self.context, &self.models, statement, |_| {}).await?;
                    Ok(Some((titled(result, &text), script)))
                }
                None => Ok(None),
            }
        })
        .boxed()
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
///
/// Engines of one process can share models, memory and tables:
///
/// ```
/// # use std::sync::Arc;
/// # fn main() -> seequel::Result<()> {
/// use datafusion::prelude::SessionContext;
/// use seequel::Engine;
/// use seequel::model::ModelRegistry;
///
/// let models = Arc::new(ModelRegistry::new(".seequel"));
/// let ctx = SessionContext::new();
/// // Has the tables, settings, functions and memory pool of `ctx`.
/// let engine = Engine::builder().session_state(ctx.state()).models(Arc::clone(&models)).build()?;
/// // Has a session of its own, and the memory pool and object stores of `ctx`.
/// let other = Engine::builder().runtime_env(ctx.runtime_env()).models(models).build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
pub struct EngineBuilder {
    home: Option<PathBuf>,
    models: Option<Arc<ModelRegistry>>,
    onnx_runtime: Option<String>,
    memory_limit: Option<usize>,
    config: Option<SessionConfig>,
    runtime_env: Option<Arc<RuntimeEnv>>,
    session_state: Option<SessionState>,
    #[cfg(feature = "dashboard")]
    dashboard: Option<DashboardAddress>,
    #[cfg(feature = "dashboard")]
    dashboard_actions: bool,
    #[cfg(feature = "cluster")]
    cluster: Option<Address>,
    #[cfg(feature = "cluster")]
    cluster_security: Security,
}

impl EngineBuilder {
    /// Folder with the ONNX Runtime library (`lib/`) and the models to register at startup (`models/`).
    /// Default: `$SEEQUEL_HOME`, or `.seequel` in the working directory.
    #[must_use]
    pub fn home(mut self, home: impl AsRef<Path>) -> Self {
        self.home = Some(home.as_ref().to_owned());
        self
    }

    /// Models that others use too, instead of those of a home folder.
    #[must_use]
    pub fn models(mut self, models: Arc<ModelRegistry>) -> Self {
        self.models = Some(models);
        self
    }

    /// The build of ONNX Runtime, by name: `cpu` in the home's `lib/`, or `openvino`, `webgpu` or `cuda` in its
    /// `runtimes/`. A process opens one. Default: the one that `SEEQUEL_RUNTIME` names, the library that
    /// `ORT_DYLIB_PATH` names, or `cpu`.
    #[must_use]
    pub fn runtime(mut self, name: impl Into<String>) -> Self {
        self.onnx_runtime = Some(name.into());
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

    /// A memory pool, disk manager, caches and object stores that others use too. Buckets are opened by their URLs only
    /// if its object stores are a [`StoreRegistry`]; else register them.
    #[must_use]
    pub fn runtime_env(mut self, runtime_env: Arc<RuntimeEnv>) -> Self {
        self.runtime_env = Some(runtime_env);
        self
    }

    /// A session to add Seequel to, with its settings, runtime environment, catalogs, functions and rules. Its query
    /// planner is replaced, as by [`SeequelExt::with_seequel`]. The engine's session is another one, so that the
    /// original does not see later settings; tables are shared.
    #[must_use]
    pub fn session_state(mut self, session_state: SessionState) -> Self {
        self.session_state = Some(session_state);
        self
    }

    /// Opens the dashboard with the engine; see [`Engine::open_dashboard`]. Default: it is closed.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let engine = seequel::Engine::builder().dashboard("127.0.0.1:8265".parse()?).build()?;
    /// println!("{}", engine.dashboard_url().unwrap_or_default());
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "dashboard")]
    #[must_use]
    pub fn dashboard(mut self, address: DashboardAddress) -> Self {
        self.dashboard = Some(address);
        self
    }

    /// Whether the dashboard may cancel queries. Default: it only shows them.
    #[cfg(feature = "dashboard")]
    #[must_use]
    pub fn dashboard_actions(mut self, may_cancel: bool) -> Self {
        self.dashboard_actions = may_cancel;
        self
    }

    /// Runs queries that read files on the cluster of this scheduler. Default: in this process.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let engine = seequel::Engine::builder().cluster("df://gpu-1:50050".parse()?).build()?;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "cluster")]
    #[must_use]
    pub fn cluster(mut self, scheduler: Address) -> Self {
        self.cluster = Some(scheduler);
        self
    }

    /// The token and certificates of the cluster. Default: none.
    #[cfg(feature = "cluster")]
    #[must_use]
    pub fn cluster_security(mut self, security: Security) -> Self {
        self.cluster_security = security;
        self
    }

    /// Builds the engine. Loads neither models nor ONNX Runtime.
    ///
    /// # Errors
    /// Settings that exclude each other, a session that has Seequel already, an ONNX Runtime that is chosen by name and
    /// is not installed, a runtime environment that DataFusion rejects, or an address of the dashboard that is in use.
    pub fn build(self) -> Result<Engine> {
        self.check()?;
        let models = match self.models {
            Some(models) => models,
            None => Arc::new(models_of(self.home, self.onnx_runtime.as_deref())?),
        };
        let mut builder = match self.session_state {
            Some(state) => SessionStateBuilder::new_from_existing(state),
            None => SessionStateBuilder::new()
                .with_config(self.config.unwrap_or_default())
                .with_runtime_env(self.runtime_env.map_or_else(|| runtime(self.memory_limit), Ok)?)
                .with_default_features(),
        };
        let options = builder.config().get_or_insert_default().options_mut();
        options.catalog.information_schema = true;
        // Lets errors about names and types give their position in the statement.
        options.sql_parser.collect_spans = true;
        let queries = Queries::default();
        options.extensions.insert(queries.clone());
        let builder = builder.with_seequel(&models);
        #[cfg(feature = "cluster")]
        let builder = match self.cluster {
            Some(scheduler) => on_cluster(builder, scheduler, self.cluster_security),
            None => builder,
        };
        let context = with_url_tables(builder.build());
        let engine = Engine {
            context,
            models,
            queries,
            #[cfg(feature = "dashboard")]
            dashboard: Arc::default(),
            #[cfg(feature = "dashboard")]
            dashboard_actions: self.dashboard_actions,
        };
        #[cfg(feature = "dashboard")]
        if let Some(address) = self.dashboard {
            engine.open_dashboard(address)?;
        }
        Ok(engine)
    }

    fn check(&self) -> Result<()> {
        let (has_runtime, has_state) = (self.runtime_env.is_some(), self.session_state.is_some());
        let excluded = [
            (self.models.is_some() && self.home.is_some(), "home", "models"),
            (self.models.is_some() && self.onnx_runtime.is_some(), "runtime", "models"),
            (has_runtime && self.memory_limit.is_some(), "memory_limit", "runtime_env"),
            (has_state && self.memory_limit.is_some(), "memory_limit", "session_state"),
            (has_state && self.config.is_some(), "config", "session_state"),
            (has_state && has_runtime, "runtime_env", "session_state"),
        ];
        if let Some((_, setting, owner)) = excluded.iter().find(|(is_excluded, ..)| *is_excluded) {
            return Err(misconfigured(format!(
                "EngineBuilder: {setting} can't be set together with {owner}, which brings its own"
            )));
        }
        if self.session_state.as_ref().is_some_and(has_seequel) {
            let reason =
                "EngineBuilder: the session state has Seequel already; pass one without, and its models";
            return Err(misconfigured(reason.to_owned()));
        }
        Ok(())
    }
}

/// The models of a home, and the ONNX Runtime for them.
fn models_of(home: Option<PathBuf>, runtime: Option<&str>) -> Result<ModelRegistry> {
    // Resolved now, because the working directory may change later (`--data-path`).
    let home = home.unwrap_or_else(default_home);
    let home = std::path::absolute(&home).unwrap_or(home);
    let runtime = runtime.map_or_else(|| Runtime::new(&home), |name| Runtime::named(&home, name));
    runtime.check()?;
    Ok(ModelRegistry::with_runtime(home, runtime))
}

/// `query` with its text, by which it is listed.
pub(crate) fn titled(query: DataFrame, sql: &str) -> DataFrame {
    let (mut state, plan) = query.into_parts();
    QueryText::insert(&mut state, sql);
    DataFrame::new(state, plan)
}

fn has_seequel(state: &SessionState) -> bool {
    state.scalar_functions().values().any(|function| {
        let implementation: &dyn Any = function.inner().as_ref();
        implementation.is::<Inference>()
    })
}

fn misconfigured(reason: String) -> Error {
    DataFusionError::Configuration(reason).into()
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
