//! Seequel inside a DataFusion application: two ways in. `docs/applications.md` has the rest.
//!
//! ```text
//! cargo run --release --example embed -- .seequel
//! ```
//!
//! The argument is Seequel's home, which `make setup` fills with ONNX Runtime, models and photos.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::util::pretty::print_batches;
use datafusion::error::Result;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::functions::core::expr_ext::FieldAccessor;
use datafusion::functions::regex::expr_fn::regexp_replace;
use datafusion::prelude::{Expr, SessionConfig, SessionContext, col, lit};
use futures::TryStreamExt;
use seequel::functions::classify_with;
use seequel::model::runtime::DISABLE_TELEMETRY;
use seequel::model::{CreateModel, ModelRegistry};
use seequel::{Engine, Query, SeequelExt, Stage};
use tokio::runtime::Runtime;

fn main() -> Result<()> {
    disable_telemetry();
    let home = std::env::args_os().nth(1).map_or_else(|| PathBuf::from(".seequel"), PathBuf::from);
    Runtime::new()?.block_on(async {
        in_a_session_of_your_own(&home).await?;
        as_an_engine(&home).await
    })
}

/// Keeps ONNX Runtime from reporting to its maker. First in `main`, because nothing may set a variable while other
/// threads run, and `#[tokio::main]` would have started them; or set the variable where the process is started.
fn disable_telemetry() {
    // SAFETY: this is the process's only thread.
    #[expect(unsafe_code, reason = "see above: the environment is changed before threads can read it")]
    unsafe {
        std::env::set_var(DISABLE_TELEMETRY, "1");
    }
}

/// For an application that has a session, with settings, catalogs and functions of its own: Seequel joins it.
async fn in_a_session_of_your_own(home: &Path) -> Result<()> {
    let models = Arc::new(ModelRegistry::new(home));
    let state = SessionStateBuilder::new()
        .with_config(SessionConfig::new().with_target_partitions(2))
        .with_default_features()
        .with_seequel(&models)
        .build();
    let ctx = SessionContext::new_with_state(state);

    // The models of the set-up are there; another is registered by the application.
    let model = home.join("models/efficientnet_lite0/model.onnx");
    models.create(&CreateModel::new("mine", model.display().to_string()).with_option("batch_size", "4"))?;

    // The functions are expressions too.
    let photos = ctx.sql(&format!("SELECT * FROM read_images('{}/photos/[c-f]*')", home.display())).await?;
    let label = classify_with(col("image"), "mine").field("label");
    let labels = photos.select(vec![image_name(col("path")).alias("photo"), label.alias("label")])?;

    // Results arrive batch by batch, while later images are still being read.
    let mut query = Query::try_new(labels).await?.with_timeout(Duration::from_secs(600));
    let progress = query.progress();
    while let Some(batch) = query.try_next().await? {
        print_batches(&[batch])?;
        let inferred = progress.stages().get(&Stage::Inferred).copied().unwrap_or_default();
        println!("{} inferred so far", inferred.done);
    }
    models.unload("mine")?;
    Ok(())
}

/// The part of a path after the last slash.
fn image_name(path: Expr) -> Expr {
    regexp_replace(path, lit(".*/"), lit(""), None)
}

/// For an application that wants all of Seequel's SQL, `CREATE MODEL` included.
async fn as_an_engine(home: &Path) -> Result<()> {
    let engine = Engine::builder().home(home).build()?;
    let model = home.join("models/efficientnet_lite2/model.onnx");
    let script = format!(
        "CREATE MODEL second FROM '{}' OPTIONS (concurrency 1);
         SELECT classify(image, 'second')['label'] AS label, count(*) AS photos
         FROM read_images('{}/photos/') GROUP BY label ORDER BY photos DESC, label LIMIT 3",
        model.display(),
        home.display()
    );
    let mut results = engine.script(&script);
    while let Some(result) = results.try_next().await? {
        result.show().await?;
    }
    Ok(())
}
