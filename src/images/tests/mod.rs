//! Tests of the images table: SQL over folders of small images.

mod choosing;
mod location;
mod reading;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::error::Result;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::physical_plan::{ExecutionPlan, collect, displayable};
use datafusion::prelude::{SessionConfig, SessionContext};
use image::DynamicImage;
use tempfile::TempDir;

use crate::images::decode::Format;
use crate::images::samples;
use crate::images::table::{ImagesTableFactory, ReadImages};

fn session_with(config: SessionConfig, runtime: RuntimeEnvBuilder) -> SessionContext {
    let state = SessionStateBuilder::new_with_default_features()
        .with_config(config)
        .with_runtime_env(runtime.build_arc().unwrap())
        .with_table_factory("IMAGES".to_string(), Arc::new(ImagesTableFactory))
        .build();
    let session = SessionContext::new_with_state(state);
    session.register_udtf("read_images", Arc::new(ReadImages));
    session
}

fn session() -> SessionContext {
    session_with(SessionConfig::new().with_target_partitions(1), RuntimeEnvBuilder::new())
}

/// Writes `name` below `folder`: an image of `width` × 32 pixels, in the format of its extension.
fn write_image(folder: &Path, name: &str, width: u32) -> u64 {
    let format = if name.ends_with("png") { Format::Png } else { Format::Jpeg };
    let bytes = samples::encode(&DynamicImage::ImageRgb8(samples::tiles(width, 32)), format);
    write(folder, name, &bytes);
    bytes.len() as u64
}

fn write(folder: &Path, name: &str, bytes: &[u8]) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// A folder with three images and two other files.
fn photos() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write_image(folder.path(), "a.jpg", 64);
    write_image(folder.path(), "b.PNG", 48);
    write_image(folder.path(), "sub/c.jpeg", 80);
    write(folder.path(), "notes.txt", b"no image");
    write(folder.path(), ".hidden/d.jpg", b"no image");
    folder
}

fn read_images(folder: &TempDir, rest: &str) -> String {
    format!("read_images('{}/{rest}')", folder.path().display())
}

async fn plan(session: &SessionContext, sql: &str) -> Result<Arc<dyn ExecutionPlan>> {
    session.sql(sql).await?.create_physical_plan().await
}

/// Runs `sql`; returns its rows as text, and the metrics of the scan.
async fn run(session: &SessionContext, sql: &str) -> Result<(Vec<String>, Metrics)> {
    let plan = plan(session, sql).await?;
    let batches = collect(Arc::clone(&plan), session.task_ctx()).await?;
    Ok((rows(&batches), Metrics(plan)))
}

/// Each row as its cells, separated by blanks.
fn rows(batches: &[RecordBatch]) -> Vec<String> {
    let table = pretty_format_batches(batches).unwrap().to_string();
    let lines = table.lines().filter(|line| line.starts_with('|')).skip(1);
    lines.map(|line| line.replace('|', " ").split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

struct Metrics(Arc<dyn ExecutionPlan>);

impl Metrics {
    fn get(&self, name: &str) -> usize {
        let mut node = &self.0;
        while let Some(child) = node.children().first().copied() {
            node = child;
        }
        node.metrics().unwrap().sum_by_name(name).map_or(0, |value| value.as_usize())
    }
}

/// The line of the scan in the plan of `sql`, without its location.
async fn explain(session: &SessionContext, sql: &str) -> Result<String> {
    let plan = plan(session, sql).await?;
    let text = displayable(plan.as_ref()).indent(false).to_string();
    let line = text.lines().find(|line| line.contains("ImagesExec")).unwrap();
    Ok(line[line.find("projection").unwrap()..].to_string())
}

async fn fails(session: &SessionContext, sql: &str) -> String {
    match run(session, sql).await {
        Ok(_) => String::from("it succeeded"),
        Err(error) => error.to_string(),
    }
}
