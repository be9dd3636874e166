//! What the fuzz targets of `fuzz/engine` call: each function takes untrusted bytes as far as they get without running a
//! query. They return nothing: whatever is wrong with the bytes is an error, and only a panic, a time-out or too much
//! memory is a finding.
//!
//! Only in builds with `cfg(fuzzing)`, which cargo-fuzz sets.

#![expect(clippy::panic, reason = "a finding is a panic, and only the targets call this")]

use std::collections::{BTreeMap, HashSet};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use datafusion::config::SqlParserOptions;
use datafusion::datasource::listing::ListingTableUrl;
use datafusion::execution::memory_pool::UnboundedMemoryPool;
use datafusion::object_store::memory::InMemory;
use datafusion::object_store::path::Path as StorePath;
use datafusion::object_store::{ObjectStore, ObjectStoreExt};
use futures::executor::block_on;

use crate::bounds::Bounds;
use crate::images::scan::LargestFile;
use crate::images::webdataset;
use crate::model::ModelSpec;
use crate::model::onnx::{Document, Graph};
use crate::resume::{self, Entry, Log};
use crate::sql::{Script, Statement, parse_statement};

/// Separates the files of an input that stands for several.
const SEPARATOR: &[u8] = b"\n---\n";

/// Models for [`settings`]: of images and boxes, of images and classes, and of numbers.
const MODELS: [&[u8]; 3] = [
    include_bytes!("../tests/data/models/yolov8.onnx"),
    include_bytes!("../tests/data/models/tinted.onnx"),
    include_bytes!("../tests/data/models/iris.onnx"),
];

/// Reads a tar shard: its rows have distinct names below the shard's, and no more bytes than the tar.
pub fn shard(bytes: &[u8]) {
    let schema = webdataset::table_schema();
    let all: Vec<_> = (0..schema.fields().len()).collect();
    let mut content = 0;
    let bounds = Bounds::default();
    let largest = LargestFile::of(&bounds, &UnboundedMemoryPool::default());
    // Whatever the error is.
    let _ = webdataset::read_samples(bytes, "shard.tar", &all, (&bounds, largest), |sample| {
        let name = sample.path.strip_prefix("shard.tar/").unwrap_or_else(|| panic!("{}", sample.path));
        assert!(!name.starts_with('/') && name.split('/').all(|part| part != ".."), "{name}");
        content += sample.bytes() - sample.path.len();
        assert!(content <= bytes.len(), "more than the tar holds");
        let batch = webdataset::to_batch(&[sample], &all, &schema);
        assert_eq!(batch.map(|batch| batch.num_rows()).ok(), Some(1));
        ControlFlow::Continue(())
    });
}

/// Parses a script as the shell does, and writes the statements about models as SQL that must mean the same.
pub fn statements(text: &str) {
    let options = SqlParserOptions::default();
    let mut script = Script::new(text);
    loop {
        if script.next_command(&options).is_ok_and(|command| command.is_some()) {
            continue;
        }
        match script.next_statement(&options) {
            Ok(None) => return,
            Ok(Some(statement)) => check_display(&statement, &options),
            Err(error) => {
                script.explain(&error, &options, &["efficientnet_lite0".to_owned()]);
                let _ = error.to_string();
            }
        }
    }
}

/// The OPTIONS of a statement, in text, resolved for a model.
pub fn options(text: &str) {
    let sql = format!("CREATE MODEL m FROM 'm.onnx' OPTIONS ({text})");
    let Ok(statement) = parse_statement(&sql, &SqlParserOptions::default()) else { return };
    check_display(&statement, &SqlParserOptions::default());
    if let Statement::CreateModel(create) = statement {
        for model in MODELS {
            resolve(&[("model.onnx", model)], &create.options);
        }
    }
}

fn check_display(statement: &Statement, options: &SqlParserOptions) {
    // Those with a query in them depend on DataFusion's own texts.
    if matches!(
        statement,
        Statement::DataFusion(_)
            | Statement::Summarize(_)
            | Statement::Advise(_)
            | Statement::ExplainJson { .. }
            | Statement::CreateQuantized(_)
            | Statement::TuneModel(_)
    ) {
        return;
    }
    let text = statement.to_string();
    match parse_statement(&text, options) {
        Ok(again) => assert_eq!(again, *statement, "{text}"),
        Err(error) => panic!("{text}: {error}"),
    }
}

/// Reads an ONNX file: its outline, the specification of a model, and the document, which must survive being written.
pub fn onnx(bytes: &[u8]) {
    if let Ok(mut document) = Document::read(bytes.to_vec()) {
        assert_eq!(Document::read(document.bytes()).as_ref(), Ok(&document));
        let outputs = document.graph.output_names();
        if let Some(output) = outputs.first() {
            document.graph.keep_only(output);
        }
        document.graph.remove_unused();
        let _ = (document.opset(), document.graph.has_subgraphs());
    }
    if Graph::read(bytes.to_vec()).is_ok() {
        resolve(&[("model.onnx", bytes)], &BTreeMap::new());
    }
}

/// The files beside a model: `seequel.json`, `preprocessor_config.json`, `config.json` and `labels.txt`, then options as
/// a JSON object; the first byte chooses the model.
pub fn settings(bytes: &[u8]) {
    const NAMES: [&str; 4] = ["seequel.json", "preprocessor_config.json", "config.json", "labels.txt"];
    let Some((choice, bytes)) = bytes.split_first() else { return };
    let parts = split(bytes);
    let beside = NAMES.into_iter().zip(&parts).filter(|(_, part)| !part.is_empty());
    let mut files: Vec<_> = beside.map(|(name, part)| (name, *part)).collect();
    files.push(("model.onnx", MODELS[usize::from(*choice) % MODELS.len()]));
    let options = parts.get(NAMES.len()).and_then(|part| serde_json::from_slice(part).ok());
    resolve(&files, &options.unwrap_or_default());
}

fn resolve(files: &[(&str, &[u8])], options: &BTreeMap<String, String>) {
    let Ok(folder) = tempfile::tempdir() else { panic!("no folder for temporary files") };
    for (name, bytes) in files {
        assert!(std::fs::write(folder.path().join(name), bytes).is_ok());
    }
    match ModelSpec::resolve("m", Path::new(folder.path()), options) {
        Ok(spec) => drop(format!("{spec:?}")),
        Err(error) => drop(error.to_string()),
    }
}

/// The log of a resumable COPY: an entry after the other; the last part is also a list of failures.
pub fn resume_log(bytes: &[u8]) {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let (Ok(url), target) = (ListingTableUrl::parse("memory:///out/"), StorePath::from("out")) else {
        panic!("the URL of a store in memory")
    };
    block_on(async {
        for (number, entry) in split(bytes).into_iter().enumerate() {
            let file = StorePath::from(format!("out/_seequel/{:08}.json", number + 1));
            assert!(store.put(&file, entry.to_vec().into()).await.is_ok());
        }
        // The keys of two rows.
        let keys = StorePath::from("out/_seequel/a.keys");
        assert!(store.put(&keys, vec![1; 32].into()).await.is_ok());
        if let Ok(log) = Log::open(Arc::clone(&store), &target, None, "out/").await {
            let failed = StorePath::from("out/_seequel/a.errors");
            let lines = split(bytes).last().map_or_else(Vec::new, |part| part.to_vec());
            assert!(store.put(&failed, lines.into()).await.is_ok());
            let _ = (log.first_run(), log.finished(), log.errors("a.errors").await);
            if let Ok(hashes) = log.finished_hashes().await {
                let distinct: HashSet<_> = hashes.iter().collect();
                assert!(distinct.len() <= 1, "both keys are equal");
            }
            let statements = log.entries().iter().filter_map(|entry| match entry {
                Entry::Start { statement, .. } => Some(statement),
                _ => None,
            });
            for (old, new) in statements.clone().zip(statements.skip(1)) {
                let _ = (old.difference(new), old.text());
            }
        }
        let _ = resume::show(store, &url, None, "out/").await;
    });
}

fn split(bytes: &[u8]) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    let mut rest = bytes;
    while let Some(at) = rest.windows(SEPARATOR.len()).position(|window| window == SEPARATOR) {
        parts.push(&rest[..at]);
        rest = &rest[at + SEPARATOR.len()..];
    }
    parts.push(rest);
    parts
}
