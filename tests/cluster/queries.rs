//! Queries give the same rows as in one process, and images stay where they are read.

use std::path::Path;

use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use seequel::Engine;

use super::processes::Cluster;
use super::{alone, on};
use crate::plans::with_models;
use crate::support::process::{Outcome, seequel};
use crate::support::{engine, home, with_images};

/// Queries of different kinds, with the order of their rows.
const QUERIES: [&str; 15] = [
    // Nothing is read, the headers, the files.
    "SELECT name, size, etag IS NULL FROM read_images('photos/') ORDER BY name",
    "SELECT name, width, height, format FROM read_images('photos/*.png') WHERE width > height ORDER BY name",
    "SELECT name, phash(image) FROM read_images('photos/') WHERE size > 50000 ORDER BY name",
    "SELECT count(*), sum(size) FROM read_images('photos/')",
    // Inference: one call, several on one image, of an ensemble, in WHERE, in GROUP BY.
    "SELECT name, classify(image)['label'], classify(image)['confidence'] FROM read_images('photos/') ORDER BY name",
    "SELECT name, embed(image)[1:4], classify_top_k(image, 2) FROM read_images('photos/') ORDER BY name",
    "CREATE MODEL both AS ENSEMBLE OF (efficientnet_lite0, efficientnet_lite2) OPTIONS (combine 'mean');
     SELECT name, classify(image, 'both') FROM read_images('photos/') WHERE size < 40000 ORDER BY name",
    "SELECT name FROM read_images('photos/') WHERE classify(image)['confidence'] > 0.9 ORDER BY name",
    "SELECT classify(image)['label'] AS label, count(*) FROM read_images('photos/') GROUP BY label ORDER BY label",
    // A limit, a sort before inference, a window, a union, a join of images with a file, a subquery.
    "SELECT count(*) FROM (SELECT classify(image) AS p FROM read_images('photos/') LIMIT 7) WHERE p['error'] IS NULL",
    "SELECT name, classify(image)['class'] FROM read_images('photos/') ORDER BY size DESC, name LIMIT 5",
    "SELECT name, row_number() OVER (PARTITION BY format ORDER BY size, name) FROM read_images('photos/') ORDER BY name",
    "SELECT name, classify(image)['class'] AS class FROM read_images('photos/c*')
     UNION ALL SELECT name, -1 FROM read_images('photos/a*') ORDER BY name, class",
    "SELECT name, size FROM read_images('photos/c*') UNION ALL SELECT 'none', 0 ORDER BY name",
    "SELECT i.name, classify(i.image)['class'], l.note FROM read_images('photos/') AS i JOIN 'notes.csv' AS l
     ON i.name = l.name ORDER BY i.name",
];

/// A folder with the photos, and a file about some of them.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(home().join("photos"), folder.path().join("photos")).unwrap();
    let names = std::fs::read_dir(home().join("photos")).unwrap();
    let mut names: Vec<_> = names.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let notes = names.iter().step_by(5).enumerate();
    let notes = notes.map(|(n, name)| format!("{name},{}\n", if n % 3 == 0 { "no" } else { "yes" }));
    std::fs::write(folder.path().join("notes.csv"), format!("name,note\n{}", notes.collect::<String>()))
        .unwrap();
    folder
}

#[test]
fn queries_give_the_same_rows_as_alone() {
    let (cluster, folder) = (Cluster::start(2), folder());
    for sql in QUERIES {
        let expected = alone(folder.path(), sql).stdout();
        assert!(expected.lines().count() > 1, "{sql} has no rows");
        let ran = on(&cluster, folder.path(), sql);
        assert_eq!(ran.stdout, expected, "{sql}\n{}\n{}", ran.stderr, cluster.logs());
    }
}

/// The rows of a query as texts, sorted unless the query sorts them.
pub(super) async fn rows(engine: &Engine, sql: &str) -> Result<Vec<String>, String> {
    let frame = engine.sql(sql).await.map_err(|error| error.to_string())?;
    let batches = frame.collect().await.map_err(|error| error.to_string())?;
    let options = FormatOptions::default().with_null("NULL");
    let mut rows = vec![];
    for batch in batches {
        let columns = batch.columns().iter();
        let columns: Vec<_> =
            columns.map(|column| ArrayFormatter::try_new(column.as_ref(), &options).unwrap()).collect();
        for row in 0..batch.num_rows() {
            let cells: Vec<_> = columns.iter().map(|column| column.value(row).to_string()).collect();
            rows.push(cells.join("|"));
        }
    }
    if !sql.contains("ORDER BY") {
        rows.sort();
    }
    Ok(rows)
}

/// Each plan that has a snapshot is written by the client, read and written by the scheduler, and read by executors.
#[tokio::test(flavor = "multi_thread")]
async fn queries_of_the_snapshots_give_the_same_rows_as_alone() {
    let cluster = Cluster::start(2);
    let client = Engine::builder().home(home()).cluster(cluster.url.parse().unwrap()).build().unwrap();
    let client = with_models(with_images(client).await).await;
    let alone = with_models(engine().await).await;
    for sql in crate::plans::QUERIES.iter().filter(|sql| !sql.starts_with("COPY")) {
        match rows(&client, sql).await {
            Ok(found) => assert_eq!(Ok(found), rows(&alone, sql).await, "{sql}"),
            Err(error) => panic!("{sql}: {error}\n{}", cluster.logs()),
        }
    }
}

#[test]
fn scripts_write_files_here() {
    let (cluster, folder) = (Cluster::start(2), folder());
    let script =
        "COPY (SELECT name, classify(image) AS p FROM read_images('photos/')) TO 'out/' STORED AS PARQUET;
        SELECT count(*) AS n, count(DISTINCT name) AS names, count(p['label']) AS labels FROM 'out/'";
    std::fs::write(folder.path().join("script.sql"), script).unwrap();
    let arguments = |cluster: &[&str]| {
        let arguments = [cluster, &["-q", "--format", "csv", "-f", "script.sql"]].concat();
        Outcome::of(&mut seequel(folder.path(), &arguments)).stdout()
    };
    let expected = arguments(&[]);
    std::fs::remove_dir_all(folder.path().join("out")).unwrap();
    assert_eq!(arguments(&["--cluster", &cluster.url]), expected);
}

/// The stages of a query, as the scheduler tells them after it.
pub(super) fn stages(cluster: &Cluster, folder: &Path, sql: &str) -> String {
    let mut command = seequel(folder, &["--cluster", &cluster.url, "-q", "-c", sql]);
    let ran = Outcome::of(command.env("SEEQUEL_LOG", "seequel_cluster=debug"));
    assert_eq!(ran.status, Some(0), "{}", ran.stderr);
    ran.stderr
}

#[test]
fn images_are_inferred_by_the_task_that_reads_them() {
    let (cluster, folder) = (Cluster::start(1), folder());
    let sql = "SELECT classify(image)['label'] AS label, count(*) FROM read_images('photos/') GROUP BY label";
    let stages = stages(&cluster, folder.path(), sql);
    // The first stage reads and infers; what leaves it are counts. The second adds them up, the third gathers.
    let stages: Vec<&str> = stages.split("stage ").skip(1).collect();
    assert_eq!(stages.len(), 3, "{stages:?}");
    let tasks = stages[0].lines().next().unwrap();
    let tasks: usize = tasks.split(' ').nth(2).unwrap().parse().unwrap();
    assert!(tasks >= 4, "{tasks} tasks");
    let operators = ["AggregateExec: mode=Partial", "InferTaskExec", "FetchImagesExec", "DataSourceExec"];
    let positions =
        operators.map(|operator| stages[0].find(operator).unwrap_or_else(|| panic!("{}", stages[0])));
    assert!(positions.is_sorted(), "{}", stages[0]);
    let others = stages[1..].concat();
    assert!(!others.contains("InferTaskExec") && !others.contains("FetchImagesExec"), "{others}");
}

#[test]
fn a_sort_before_inference_has_one_task() {
    let (cluster, folder) = (Cluster::start(1), folder());
    let sql = "SELECT name, classify(image)['class'] FROM read_images('photos/') ORDER BY size LIMIT 5";
    let stages = stages(&cluster, folder.path(), sql);
    assert_eq!(stages.matches("stage ").count(), 1, "{stages}");
}

#[test]
fn explain_shows_what_runs_on_the_cluster() {
    let folder = folder();
    // Nothing is asked of the scheduler.
    let arguments = |sql| ["--cluster", "df://localhost:1", "-q", "-c", sql];
    let explain = "EXPLAIN FORMAT INDENT COPY (SELECT name, classify(image) AS p FROM read_images('photos/')) TO 'out/' STORED AS PARQUET";
    let shown = Outcome::of(&mut seequel(folder.path(), &arguments(explain))).stdout();
    let lines: Vec<_> =
        ["DataSinkExec", "ClusterExec: scheduler=df://localhost:1", "InferExec", "FetchImagesExec"].into();
    let positions: Vec<_> =
        lines.iter().map(|line| shown.find(line).unwrap_or_else(|| panic!("{shown}"))).collect();
    assert!(positions.is_sorted(), "{shown}");
    assert!(!folder.path().join("out").exists());
}
