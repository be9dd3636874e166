//! A tree of broken and odd files, which `make.py` writes and declares: each entry has one outcome, the declared one.
//!
//! ```text
//!  make.py ─┬─ tree ─────► one query, by on_error ─► rows, errors file ─┐
//!           └─ expected ────────────────────────────────────────────────┴─► the same?
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::process::{Outcome, system_shell, without_privileges};

/// Address space of a process, which a bomb of a few gigabytes exceeds, in KiB.
const ADDRESS_SPACE: usize = 6 << 20;

/// The tree, and what its script declares.
struct Corpus {
    folder: TempDir,
    expected: BTreeMap<String, Expected>,
}

/// What the script declares of an entry.
struct Expected {
    outcome: String,
    size: Option<(u64, u64)>,
}

impl Corpus {
    fn new(seed: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus/make.py");
        let (tree, expected) = (folder.path().join("tree"), folder.path().join("expected.json"));
        let mut make = Command::new("python3");
        make.arg(script).args([&tree, &expected]).args(["--seed", &seed.to_string()]);
        assert!(make.status().unwrap().success());
        // The process of a test may not be its owner.
        let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        fs::set_permissions(folder.path(), everybody).unwrap();
        let expected = lines(&expected).into_iter().map(|line| {
            let size =
                line.get("width").map(|width| (width.as_u64().unwrap(), line["height"].as_u64().unwrap()));
            let outcome = line["outcome"].as_str().unwrap().to_owned();
            (line["path"].as_str().unwrap().to_owned(), Expected { outcome, size })
        });
        let expected = expected.collect();
        Self { folder, expected }
    }

    fn tree(&self) -> PathBuf {
        self.folder.path().join("tree")
    }

    /// Paths that are declared to become one of these.
    fn declared(&self, outcomes: &[&str]) -> BTreeSet<&str> {
        let entries =
            self.expected.iter().filter(|(_, expected)| outcomes.contains(&expected.outcome.as_str()));
        entries.map(|(path, _)| path.as_str()).collect()
    }

    /// Runs `seequel` with little memory and without root's privileges.
    fn run(&self, sql: &str) -> Outcome {
        let script = self.folder.path().join("script.sql");
        fs::write(&script, format!("{}{sql}", model())).unwrap();
        let line = format!(
            "ulimit -v {ADDRESS_SPACE}; exec \"$0\" -q --format csv --memory-limit 384MB -f '{}'",
            script.display()
        );
        without_privileges(&mut system_shell(self.folder.path(), &line))
    }

    /// Copies the rows of a query into a file of lines of JSON, and returns these.
    fn rows(&self, on_error: &str, query: &str, options: &str) -> Vec<Value> {
        let results = self.folder.path().join("results.json");
        let sql = format!(
            "SET inference.on_error = '{on_error}'; COPY ({query}) TO '{}' {options}",
            results.display()
        );
        let outcome = self.run(&sql);
        assert_eq!(outcome.status, Some(0), "{}", outcome.stderr);
        lines(&results)
    }

    /// The part of a path below the tree.
    fn below<'a>(&self, path: &'a str) -> &'a str {
        let tree = format!("{}/", self.tree().display());
        path.strip_prefix(&tree).unwrap_or_else(|| panic!("{path} is not in {tree}"))
    }
}

fn model() -> String {
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/models/transformer.onnx");
    format!("CREATE MODEL tiny FROM '{model}' OPTIONS (task 'image-classification'); ")
}

fn lines(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The query of all tests, which asks for all there is to know about a file.
fn query(tree: &Path) -> String {
    format!(
        "SELECT path, width, height, p['label'] AS label, p['confidence'] AS confidence, p['error'] AS error, other
         FROM (SELECT path, width, height, classify(image, 'tiny') AS p, image_error(image, 'tiny') AS other
               FROM read_images('{}')) ORDER BY path",
        tree.display()
    )
}

#[test]
#[cfg(target_os = "linux")]
fn every_entry_has_the_declared_outcome() {
    let corpus = Corpus::new(1);
    assert!(corpus.expected.len() >= 200, "{} entries", corpus.expected.len());
    let errors = corpus.folder.path().join("errors.parquet");
    let options = format!("OPTIONS ('errors' '{}')", errors.display());
    let sql = query(&corpus.tree());
    let rows = corpus.rows("null", &sql, &options);

    let mut found = BTreeMap::new();
    let mut wrong = Vec::new();
    for row in &rows {
        let path = corpus.below(row["path"].as_str().unwrap());
        let (label, error) = (row.get("label"), row.get("error").and_then(Value::as_str));
        assert_ne!(label.is_some(), error.is_some(), "{row} is neither or both");
        assert_eq!(row.get("other").and_then(Value::as_str), error, "{row}");
        assert!(found.insert(path, row).is_none(), "{path} has two rows");
        let outcome = if label.is_some() { "decodes" } else { "fails" };
        let Some(expected) = corpus.expected.get(path) else { panic!("{path} is not declared") };
        let size = ["width", "height"].map(|side| row.get(side).and_then(Value::as_u64));
        let is_size = expected.size.is_none_or(|(width, height)| size == [Some(width), Some(height)]);
        if (expected.outcome != outcome && expected.outcome != "either") || !is_size {
            wrong.push(format!("{path} is declared as {} {:?}: {row}", expected.outcome, expected.size));
        }
    }
    let with_a_row = corpus.declared(&["decodes", "fails", "either"]);
    wrong.extend(
        with_a_row.iter().filter(|path| !found.contains_key(**path)).map(|path| format!("{path} has no row")),
    );
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));

    // What has no row is listed, and so is what failed.
    let listed = format!("SELECT path, stage FROM '{}'", errors.display());
    let listed = corpus.rows("null", &listed, "");
    let of_stage = |is_list: bool| {
        let lines = listed.iter().filter(|line| (line["stage"] == "list") == is_list);
        lines.map(|line| line["path"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(of_stage(true).len(), corpus.declared(&["unlisted"]).len(), "{:?}", of_stage(true));
    let failed: BTreeSet<_> =
        found.iter().filter(|(_, row)| row.get("error").is_some()).map(|(path, _)| *path).collect();
    let listed: BTreeSet<_> = of_stage(false).into_iter().collect();
    assert_eq!(listed.iter().map(|path| corpus.below(path)).collect::<BTreeSet<_>>(), failed);

    // The same answer twice.
    assert_eq!(corpus.rows("null", &sql, ""), rows);

    // What is skipped is what failed.
    let answered: Vec<_> = rows.iter().filter(|row| row.get("error").is_none()).cloned().collect();
    assert_eq!(corpus.rows("skip", &sql, ""), answered);

    // Bytes in a table are as good as files, if these can be read.
    let files = format!("read_images('{}')", corpus.tree().display());
    let table = format!("'{}'", corpus.folder.path().join("stored.parquet").display());
    let store = format!("COPY (SELECT * FROM {files} WHERE size < 2000000) TO {table}");
    assert_eq!(corpus.run(&store).status, Some(0));
    let of_table = corpus.rows("null", &sql.replace(&files, &table), "");
    let of_table: Vec<_> = of_table
        .into_iter()
        .filter(|row| ["label", "error"].iter().any(|name| row.get(*name).is_some()))
        .collect();
    let is_read =
        |row: &&Value| !row.get("error").is_some_and(|error| error.to_string().contains("could not be read"));
    assert_eq!(of_table, rows.iter().filter(is_read).cloned().collect::<Vec<_>>());
}

#[test]
#[cfg(target_os = "linux")]
fn on_error_fail_names_an_entry_that_is_declared_to_fail() {
    let corpus = Corpus::new(2);
    for folder in ["", "png", "jpeg", "cut", "bombs", "names", "entries"] {
        let place = corpus.tree().join(folder);
        let error = corpus.run(&format!("SET inference.on_error = 'fail'; {}", query(&place))).error();
        let failing = corpus.declared(&["fails", "either", "unlisted"]);
        let is_named = failing.iter().any(|path| {
            let escaped = path.escape_debug().to_string();
            error.contains(&format!("/{path}")) || error.contains(&escaped) || path.contains('\\')
        });
        assert!(is_named && error.contains("inference.on_error is 'fail'"), "{folder}: {error}");
    }
    // Without one of these the query ends well.
    let decodes =
        "SET inference.on_error = 'fail'; SELECT count(classify(image, 'tiny')) AS n FROM read_images";
    let sizes = corpus.run(&format!("{decodes}('{}')", corpus.tree().join("sizes").display()));
    let count = corpus.declared(&["decodes"]).iter().filter(|path| path.starts_with("sizes/")).count();
    assert_eq!(sizes.stdout(), format!("n\n{count}\n"));
}

#[test]
#[cfg(target_os = "linux")]
fn shards_have_rows_or_an_error_that_names_them() {
    let corpus = Corpus::new(3);
    let shards = corpus.folder.path().join("shards");
    for file in fs::read_dir(&shards).unwrap() {
        let file = file.unwrap().path();
        let name = file.file_name().unwrap().to_str().unwrap();
        let sql = format!(
            "CREATE EXTERNAL TABLE shards STORED AS WEBDATASET LOCATION '{}';
             SELECT count(*) AS n, count(image) AS images, count(classify(image, 'tiny')['label']) AS answered FROM shards",
            file.display()
        );
        let outcome = corpus.run(&sql);
        if name.starts_with("bad-") {
            assert!(outcome.error().contains(name), "{name}");
            continue;
        }
        let counts = match name {
            "good-plain.tar" => "3,3,2",
            "good-odd.tar" => "5,5,3",
            "good-empty.tar" => "0,0,0",
            other => panic!("{other} is not declared"),
        };
        assert_eq!(outcome.stdout, format!("n,images,answered\n{counts}\n"), "{name}: {}", outcome.stderr);
    }
}

#[test]
#[cfg(target_os = "linux")]
fn tables_have_rows_or_an_error_that_names_them() {
    let corpus = Corpus::new(4);
    for file in fs::read_dir(corpus.folder.path().join("tables")).unwrap() {
        let file = file.unwrap().path();
        let name = file.file_stem().unwrap().to_str().unwrap();
        let outcome = corpus.run(&format!(
            "SELECT count(*) AS n, count(image) AS images, count(classify(image, 'tiny')['label']) AS answered FROM '{}'",
            file.display()
        ));
        let counts = match name {
            // Checksums are not checked, and the rows of the pages count.
            "good-images" | "good-checksum" | "odd-checksum" | "odd-rows" => "6,5,2",
            "good-no-rows" => "0,0,0",
            "good-nulls" => "20,0,0",
            "good-long-image" => "1,1,1",
            _ => {
                // It does not end by a signal either.
                assert_eq!(
                    (outcome.status, outcome.stdout.as_str()),
                    (Some(1), ""),
                    "{name}: {}",
                    outcome.stderr
                );
                let named = match name.split_once('-') {
                    Some(("type", _)) => "image",
                    _ => name,
                };
                let is_named =
                    outcome.stderr.lines().any(|line| line.starts_with("Error: ") && line.contains(named));
                let panics = outcome.stderr.contains("panicked at");
                assert!(is_named && (!panics || name.starts_with("panics-")), "{name}: {}", outcome.stderr);
                continue;
            }
        };
        assert_eq!(outcome.stdout, format!("n,images,answered\n{counts}\n"), "{name}: {}", outcome.stderr);
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_damaged_table_among_others_is_named() {
    let corpus = Corpus::new(4);
    let (tables, folder) = (corpus.folder.path().join("tables"), corpus.folder.path().join("some"));
    fs::create_dir(&folder).unwrap();
    fs::copy(tables.join("good-images.parquet"), folder.join("a.parquet")).unwrap();
    for name in ["bad-cut-70", "bad-encrypted", "bad-children", "panics-footer-length"] {
        fs::copy(tables.join(format!("{name}.parquet")), folder.join("b.parquet")).unwrap();
        let place = folder.display();
        let error = format!("Error: '{place}/b.parquet': ");
        for sql in [
            format!("SELECT count(image) FROM '{place}/'"),
            format!("SELECT count(image) FROM '{place}/*.parquet'"),
            format!("CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION '{place}/'"),
        ] {
            let outcome = corpus.run(&sql);
            let is_named = outcome.stderr.lines().any(|line| line.starts_with(&error));
            assert!(outcome.status == Some(1) && is_named, "{name}: {sql}: {}", outcome.stderr);
        }
    }
}
