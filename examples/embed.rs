//! Seequel inside a DataFusion application: two ways in.
//!
//! ```text
//! cargo run --release --example embed -- .seequel
//! ```
//!
//! The argument is Seequel's home, which `make setup` fills with ONNX Runtime, models and photos.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::arrow::util::pretty::print_batches;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::TryStreamExt;
use seequel::model::runtime::DISABLE_TELEMETRY;
use seequel::model::{CreateModel, ModelRegistry};
use seequel::{Engine, SeequelExt};
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
    models.create(&CreateModel {
        name: "mine".to_owned(),
        or_replace: false,
        if_not_exists: false,
        location: home.join("models/efficientnet_lite0/model.onnx").display().to_string(),
        options: BTreeMap::from([("batch_size".to_owned(), "4".to_owned())]),
    })?;

    // Results arrive batch by batch, while later images are still being read.
    let sql = format!(
        "SELECT regexp_replace(path, '.*/', '') AS photo, classify(image, 'mine')['label'] AS label
         FROM read_images('{}/photos/[c-f]*')",
        home.display()
    );
    let mut batches = ctx.sql(&sql).await?.execute_stream().await?;
    while let Some(batch) = batches.try_next().await? {
        print_batches(&[batch])?;
    }
    Ok(())
}

/// For an application that wants all of Seequel's SQL, `CREATE MODEL` included.
async fn as_an_engine(home: &Path) -> Result<()> {
    let engine = Engine::builder().home(home).build()?;
    let model = home.join("models/efficientnet_lite2/model.onnx");
    let create = format!("CREATE MODEL second FROM '{}' OPTIONS (concurrency 1)", model.display());
    engine.sql(&create).await.map_err(DataFusionError::from)?;
    let sql = format!(
        "SELECT classify(image, 'second')['label'] AS label, count(*) AS photos
         FROM read_images('{}/photos/') GROUP BY label ORDER BY photos DESC, label LIMIT 3",
        home.display()
    );
    engine.sql(&sql).await?.show().await
}
