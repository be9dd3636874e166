//! The files of `tests/slt` and of the tutorial, and buckets, give the same rows on a cluster.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use seequel::Engine;

use super::processes::Cluster;
use crate::queries::{TUNING, folder, make_shard, run_with};
use crate::slt::{Session, run_on};
use crate::support::process::Outcome;
use crate::support::s3::S3;
use crate::support::{home, two_partitions};

fn sorted(files: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(files).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_sql_give_the_rows_that_they_say() {
    let cluster = Cluster::start(2);
    let refused = Arc::new(Mutex::new(vec![]));
    for file in sorted("tests/slt") {
        let open = || {
            let builder = || {
                let config = two_partitions().set_bool("datafusion.sql_parser.parse_float_as_decimal", false);
                Engine::builder().home(home()).config(config)
            };
            let engine = builder().cluster(cluster.url.parse().unwrap()).build().unwrap();
            Session::of_cluster(engine, builder().build().unwrap(), Arc::clone(&refused))
        };
        run_on(file.to_str().unwrap(), open).await;
    }
    // Calls that are not made for every row, and those of a query that calls itself.
    let refused = refused.lock().unwrap();
    let lazy = |sql: &String| ["CASE", "coalesce", "->", "RECURSIVE"].iter().any(|word| sql.contains(word));
    assert!(refused.iter().all(lazy), "{}", refused.join("\n"));
}

#[test]
fn the_tutorial_gives_the_rows_that_it_gives_alone() {
    make_shard();
    let cluster = Cluster::start(2);
    for file in sorted(folder().to_str().unwrap()) {
        if file.file_stem().is_some_and(|name| name == TUNING) {
            continue;
        }
        let alone = run_with(&file, &home(), &[]);
        let ran = run_with(&file, &home(), &["--cluster", &cluster.url]);
        // SHOW MODELS tells the executors, too, of which none has loaded any yet.
        let ran = ran.replace(",file,error,executors\n", ",file,error\n").replace(",[]\n", "\n");
        assert_eq!(ran, alone, "{}\n{}", file.display(), cluster.logs());
    }
}

#[test]
fn buckets_are_read_and_written() {
    let server = S3::of_photos();
    let environment = server.environment();
    let environment = environment.each_ref().map(|(name, value)| (*name, value.as_str()));
    let cluster = Cluster::start_with(2, &[], &environment);
    let run =
        |sql: &str, arguments: &[&str]| Outcome::of(server.command(&home(), sql).args(arguments)).stdout();
    let on_cluster = ["--cluster", cluster.url.as_str()];
    let sql = "SELECT path, etag IS NOT NULL AS tagged, width, classify(image)['label'] AS label
               FROM read_images('s3://photos/') ORDER BY path";
    let expected = run(sql, &[]);
    assert_eq!(expected.lines().count(), 21);
    assert_eq!(run(sql, &on_cluster), expected);
    let copy = "COPY (SELECT path, classify(image)['label'] AS label FROM read_images('s3://photos/'))
                TO 's3://photos/out/' STORED AS PARQUET";
    run(copy, &on_cluster);
    let counts =
        "SELECT count(*) AS n, count(DISTINCT path) AS paths, count(label) AS labels FROM 's3://photos/out/'";
    assert_eq!(run(counts, &on_cluster), "n,paths,labels\n20,20,20\n");
}
