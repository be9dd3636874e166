//! Calls of models that stay in an expression run where the expression is evaluated.

use std::fs;

#[cfg(target_os = "linux")]
use super::models::{HERE, fetched, home_without_models, photos_and_model};
use super::processes::Cluster;
use super::{alone, on};
use crate::support::folder_of;
use crate::support::process::Outcome;

/// Calls in branches, in predicates, in groups, in lambdas; of an ensemble, of a row that fails.
const QUERIES: [&str; 9] = [
    "SELECT name, CASE WHEN name > '0003' THEN classify(image)['label'] ELSE 'early' END AS label
     FROM read_images('.') ORDER BY name",
    "SELECT name, CASE WHEN size > 3 THEN classify(image) END AS p FROM read_images('.') ORDER BY name",
    "SELECT name, coalesce(classify(image)['label'], embed(image, 'efficientnet_lite2')[1]::text, 'none') AS label
     FROM read_images('.') ORDER BY name",
    "SELECT name FROM read_images('.') WHERE size < 3 OR CASE WHEN name > '0003' THEN classify(image)['confidence'] > 0.5 END
     ORDER BY name",
    "SELECT CASE WHEN size > 100 THEN classify(image)['label'] ELSE 'small' END AS label, count(*) AS n
     FROM read_images('.') GROUP BY label ORDER BY label",
    "CREATE MODEL both AS ENSEMBLE OF (efficientnet_lite0, efficientnet_lite2) OPTIONS (combine 'mean');
     SELECT name, CASE WHEN size > 3 THEN classify_top_k(image, 2, 'both') END AS p FROM read_images('.') ORDER BY name",
    "SELECT name, CASE WHEN size > 3 THEN image_error(image) ELSE '' END AS error FROM read_images('.') ORDER BY name",
    "SET datafusion.sql_parser.dialect = 'duckdb'; SELECT array_transform(array_agg(image ORDER BY name), i -> classify(i)['label']) AS labels FROM read_images('.')",
    "SELECT name, classify(image)['class'] AS class, CASE WHEN size > 3 THEN embed(image)[1] END AS first
     FROM read_images('.') ORDER BY name",
];

#[test]
fn calls_in_expressions_give_the_same_rows_as_alone() {
    let (cluster, folder) = (Cluster::start(2), folder_of(8));
    fs::write(folder.path().join("0002.broken.jpg"), "no image").unwrap();
    for sql in QUERIES {
        // What is said of the row that fails is logged where it fails.
        let expected = alone(folder.path(), sql);
        assert_eq!(expected.status, Some(0), "{sql}: {}", expected.stderr);
        assert!(expected.stdout.lines().count() > 1, "{sql} has no rows");
        let ran = on(&cluster, folder.path(), sql);
        assert_eq!(ran.stdout, expected.stdout, "{sql}\n{}\n{}", ran.stderr, cluster.logs());
    }
    // An expression leaves out no row, and a row that fails has its error.
    for (setting, sql) in [("skip", QUERIES[1]), ("skip", QUERIES[3]), ("fail", QUERIES[1])] {
        let sql = format!("SET inference.on_error = '{setting}'; {sql}");
        let said = |ran: &Outcome| (ran.status, ran.stdout.clone(), error_of(ran));
        let (expected, ran) = (alone(folder.path(), &sql), on(&cluster, folder.path(), &sql));
        assert_eq!(said(&ran), said(&expected), "{sql}\n{}", cluster.logs());
    }
}

/// The line of an error, if there is one.
fn error_of(ran: &Outcome) -> Option<String> {
    ran.stderr.lines().find(|line| line.starts_with("Error: ")).map(str::to_owned)
}

#[cfg(target_os = "linux")]
#[test]
fn a_model_in_an_expression_that_only_the_client_has_is_fetched() {
    let homes = [home_without_models(), home_without_models()];
    let cluster = Cluster::start_in(&homes.each_ref().map(|home| home.path().to_owned()), &[], &[]);
    let (photos, model) = photos_and_model();
    let sql = format!(
        "CREATE MODEL mine FROM '{HERE}/mine';
         SELECT name, CASE WHEN size > 3 THEN classify(image, 'mine')['label'] END AS label FROM read_images('.') ORDER BY name"
    );
    let expected = alone(photos.path(), &sql).stdout();
    assert_eq!(on(&cluster, photos.path(), &sql).stdout(), expected, "{}", cluster.logs());
    let files: Vec<_> = homes.iter().flat_map(|home| fetched(home.path())).collect();
    assert!(!files.is_empty() && files.len() <= 2, "{files:?}");
    let content = fs::read(model.join("model.onnx")).unwrap();
    assert!(files.iter().all(|file| fs::read(file).unwrap() == content), "{files:?}");
}
