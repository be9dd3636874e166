//! A query that loses its reader: takes some rows of it, drops the stream, and stays to be looked at.
//!
//! ```text
//!  dropped HOME FOLDER ROWS:  rows … ─► stream dropped ─► "dropped" on stdout ─► stdin ends ─► a line of JSON
//! ```
//!
//! `benches/scale.py` watches the process's CPU time from the word `dropped` on. The JSON has the images inferred when
//! the stream was dropped, and in the end.

use std::error::Error;
use std::io::{Read, stdin};
use std::path::PathBuf;

use clap::Parser;
use futures::TryStreamExt;
use seequel::Engine;

/// What to infer, and how much of it.
#[derive(Debug, Parser)]
struct Args {
    /// Seequel's home.
    home: PathBuf,
    /// Folder of photos.
    photos: PathBuf,
    /// Rows to take before the stream is dropped.
    rows: usize,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let args = Args::parse();
    let engine = Engine::builder().home(&args.home).build()?;
    let model = engine.models().get("efficientnet_lite0")?;
    let sql = format!("SELECT path, classify(image) FROM read_images('{}')", args.photos.display());
    let mut batches = engine.sql(&sql).await?.execute_stream().await?;
    let mut taken = 0;
    while taken < args.rows {
        taken += batches.try_next().await?.ok_or("the folder has too few photos")?.num_rows();
    }
    let inferred = model.inferred_rows();
    drop(batches);
    println!("dropped");
    stdin().read_to_end(&mut Vec::new())?;
    println!("{{\"inferred\":{inferred},\"in_the_end\":{}}}", model.inferred_rows());
    Ok(())
}
