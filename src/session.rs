//! Adds Seequel to an existing DataFusion session.

use std::sync::Arc;

use datafusion::catalog::TableFunction;
use datafusion::config::ConfigOptions;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::optimizer::{Analyzer, Optimizer};
use datafusion::prelude::SessionConfig;
use seequel_udfs::{Inference, Models, plain_functions};

use crate::config::InferenceOptions;
use crate::images::files::ImageFilesFactory;
use crate::images::functions::image_functions;
use crate::images::table::{ImagesTableFactory, ReadImages};
use crate::images::webdataset::WebDatasetFactory;
use crate::model::ModelRegistry;
use crate::plan::extract::ExtractInference;
use crate::plan::{
    BindInference, FieldNames, ImageBatches, KeepOrder, LiftInference, PruneInference, RowGroups,
    SeequelQueryPlanner,
};
use crate::tune::{TUNING_TRIALS, TuningTrials};
use crate::write::AtomicWrites;

/// Name of the table function over images.
const READ_IMAGES: &str = "read_images";

/// Extends DataFusion's [`SessionStateBuilder`].
pub trait SeequelExt {
    /// Adds images as tables, inference with `models` as functions, and the planning of both; also the functions of
    /// images and vectors that need no model, of which `inner_product` replaces DataFusion's; image files as a format of
    /// `COPY`; and COPY and INSERT that write everything or nothing.
    ///
    /// Call it after `with_default_features`, which replaces earlier registrations. It sets the query planner: an
    /// application with its own extension nodes must afterwards set a planner that has
    /// [`InferPlanner`](crate::plan::InferPlanner) among its extension planners.
    ///
    /// What an [`Engine`](crate::Engine) has and this does not:
    ///
    /// - the statements about models: `CREATE MODEL`, `DROP MODEL`, `SHOW MODELS`, `DESCRIBE MODEL`, and
    ///   `SHOW DEVICES`. Use the [`ModelRegistry`], whose [`create`](ModelRegistry::create) takes a
    ///   [`CreateModel`](crate::model::CreateModel); models from the web it must [`fetch`](ModelRegistry::fetch) first;
    /// - fields of structs by dots and stars, `p.label` and `p.*`, and short names of columns: use
    ///   `p['label'] AS label`;
    /// - files by their quoted names, `FROM 'photos/*.jpg'`: use `read_images('photos/*.jpg')` or
    ///   `CREATE EXTERNAL TABLE`;
    /// - buckets and web servers by their URLs: put a [`StoreRegistry`](crate::stores::StoreRegistry) in the session's
    ///   runtime, or register stores. OPTIONS of statements for stores, such as `aws.region`, are not applied;
    /// - settings: `SHOW` and `information_schema` need `with_information_schema(true)`, positions in errors
    ///   `sql_parser.collect_spans`;
    /// - scripts of several statements.
    ///
    /// [`EngineBuilder::session_state`](crate::EngineBuilder::session_state) makes an engine of an existing session.
    ///
    /// The process must have [`DISABLE_TELEMETRY`](crate::model::runtime::DISABLE_TELEMETRY) in its environment, or
    /// ONNX Runtime reports to its maker.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use datafusion::execution::session_state::SessionStateBuilder;
    /// # use datafusion::prelude::SessionContext;
    /// use seequel::SeequelExt;
    /// use seequel::model::ModelRegistry;
    ///
    /// let models = Arc::new(ModelRegistry::new(".seequel"));
    /// let state = SessionStateBuilder::new().with_default_features().with_seequel(&models).build();
    /// let ctx = SessionContext::new_with_state(state);
    /// ```
    #[must_use]
    fn with_seequel(self, models: &Arc<ModelRegistry>) -> Self;
}

impl SeequelExt for SessionStateBuilder {
    fn with_seequel(mut self, models: &Arc<ModelRegistry>) -> Self {
        let functions = Arc::clone(models) as Arc<dyn Models>;
        let config = self.config().get_or_insert_with(SessionConfig::new);
        let options: &mut ConfigOptions = config.options_mut();
        if options.extensions.get::<InferenceOptions>().is_none() {
            options.extensions.insert(InferenceOptions::default());
        }
        let bind = Arc::new(BindInference::new(Arc::clone(&functions)));
        let functions = Inference::functions(&functions, options).into_iter().map(Arc::new);
        let scalar_functions = self.scalar_functions().get_or_insert_default();
        scalar_functions.extend(functions);
        scalar_functions.extend(image_functions());
        scalar_functions.extend(plain_functions());
        let read_images = TableFunction::new(READ_IMAGES.to_owned(), Arc::new(ReadImages));
        let trials = TableFunction::new(TUNING_TRIALS.to_owned(), Arc::new(TuningTrials(Arc::clone(models))));
        let table_functions = self.table_functions().get_or_insert_default();
        table_functions.insert(READ_IMAGES.to_owned(), Arc::new(read_images));
        table_functions.insert(TUNING_TRIALS.to_owned(), Arc::new(trials));
        // Before DataFusion's own, which plan every access.
        self.expr_planners().get_or_insert_default().insert(0, Arc::new(FieldNames));
        self.file_formats().get_or_insert_default().push(Arc::new(ImageFilesFactory));
        self.analyzer().get_or_insert_with(Analyzer::new).add_function_rewrite(bind);
        let extract = Arc::new(ExtractInference::new(Arc::clone(models)));
        Arc::clone(&extract).insert_into(self.optimizer().get_or_insert_with(Optimizer::new));
        self.with_table_factory("IMAGES".to_owned(), Arc::new(ImagesTableFactory))
            .with_table_factory("WEBDATASET".to_owned(), Arc::new(WebDatasetFactory))
            .with_analyzer_rule(extract)
            .with_analyzer_rule(Arc::new(AtomicWrites::new(Arc::clone(models))))
            .with_optimizer_rule(Arc::new(PruneInference::default()))
            .with_optimizer_rule(Arc::new(LiftInference::default()))
            .with_optimizer_rule(Arc::new(RowGroups::default()))
            .with_physical_optimizer_rule(Arc::new(KeepOrder::default()))
            .with_physical_optimizer_rule(Arc::new(ImageBatches::default()))
            .with_query_planner(Arc::new(SeequelQueryPlanner::default()))
    }
}
