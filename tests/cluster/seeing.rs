//! What is seen of a query on a cluster: its progress, its stages, its failed rows.

use std::fs;

use futures::TryStreamExt;
use seequel::{Engine, Query};

use super::on;
use super::processes::Cluster;
use super::queries::rows;
use crate::dashboard::{Client, Description};
use crate::support::process::{Outcome, seequel};
use crate::support::{folder_of, home};

#[test]
fn progress_counts_tasks_and_images() {
    let (cluster, folder) = (Cluster::start(2), folder_of(6));
    let sql = "SELECT path, classify(image)['label'] FROM read_images('.')";
    let arguments = ["--cluster", &cluster.url, "--progress", "always", "--format", "csv", "-c", sql];
    let ran = Outcome::of(&mut seequel(folder.path(), &arguments));
    assert_eq!(ran.status, Some(0), "{}", ran.stderr);
    let last =
        ran.stderr.lines().rfind(|line| line.contains("tasks")).unwrap_or_else(|| panic!("{}", ran.stderr));
    let stages: Vec<_> = last.split("; ").collect();
    assert_eq!(stages[..3], ["read 6 done", "decoded 6 done", "inferred 6 done"], "{last}");
    assert!(stages[3].starts_with("tasks ") && stages[3].ends_with(" done"), "{last}");
}

#[test]
fn failed_rows_are_counted() {
    let (cluster, folder) = (Cluster::start(1), folder_of(3));
    fs::write(folder.path().join("broken.jpg"), "no image").unwrap();
    let sql = "SELECT path, classify(image)['label'] FROM read_images('.')";
    let arguments = ["--cluster", &cluster.url, "-c", sql];
    let ran = Outcome::of(&mut seequel(folder.path(), &arguments));
    let shown = format!("{}{}", ran.stdout, ran.stderr);
    assert!(
        shown.contains("4 row(s) in set") && shown.contains("; 3 image(s)") && shown.contains("; 1 failed"),
        "{shown}"
    );
}

#[test]
fn explain_analyze_shows_the_stages_and_what_their_operators_did() {
    let (cluster, folder) = (Cluster::start(2), folder_of(6));
    let sql = "EXPLAIN ANALYZE SELECT classify(image)['label'] AS label, count(*) FROM read_images('.') GROUP BY label";
    let shown = on(&cluster, folder.path(), sql).stdout();
    let parts =
        ["ClusterExec: ", "Stage 3: tasks=1", "Stage 2: tasks=", "Stage 1: tasks=", "InferTaskExec: "];
    let positions = parts.map(|part| shown.find(part).unwrap_or_else(|| panic!("no {part} in {shown}")));
    assert!(positions.is_sorted(), "{shown}");
    let inference = shown.lines().find(|line| line.contains("InferTaskExec")).unwrap();
    assert!(inference.contains("decoded_images=6") && inference.contains("output_rows=6"), "{inference}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dashboard_lists_the_executors_with_their_models() {
    let (cluster, folder) = (Cluster::start(2), folder_of(400));
    let builder = Engine::builder().home(home()).cluster(cluster.url.parse().unwrap());
    let engine = builder.dashboard("127.0.0.1:0".parse().unwrap()).build().unwrap();
    let client = Client::of(&engine.dashboard_url().unwrap());
    let path = "/api/v1/executors";
    let listed = client.until(path, |all| (all["executors"].as_array()?.len() == 2).then(|| all.clone()));
    assert_eq!(listed["scheduler"], cluster.url.as_str());
    assert!(
        listed["executors"].as_array().unwrap().iter().all(|executor| executor["cores"] == 1),
        "{listed:#}"
    );

    let sql = format!("SELECT count(classify(image)) FROM read_images('{}')", folder.path().display());
    rows(&engine, &sql).await.unwrap();
    let model = client.until(path, |all| {
        let mut models = all["executors"].as_array()?.iter().map(|executor| &executor["models"][0]);
        models
            .all(|model| model["name"] == "efficientnet_lite0")
            .then(|| all["executors"][0]["models"][0].clone())
    });
    assert_eq!((&model["sessions"], &model["device"]), (&1.into(), &"cpu".into()), "{model:#}");
    let mut description = Description::of(&client);
    description.add("GET", path, &client.get(path));

    // The page is open when the scheduler is lost, too.
    drop(cluster);
    client.until(path, |all| all["error"].as_str().map(|_| ()));
    description.add("GET", path, &client.get(path));
    assert_eq!(description.errors(), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dashboard_shows_what_failed_in_tasks() {
    let (cluster, folder) = (Cluster::start(2), folder_of(8));
    for number in 0..20 {
        fs::write(folder.path().join(format!("{number:04}.broken.jpg")), "no image").unwrap();
    }
    let builder = Engine::builder().home(home()).cluster(cluster.url.parse().unwrap());
    let engine = builder.dashboard("127.0.0.1:0".parse().unwrap()).build().unwrap();
    let client = Client::of(&engine.dashboard_url().unwrap());
    let sql = format!("SELECT count(classify(image)) FROM read_images('{}')", folder.path().display());
    let query = Query::try_new(engine.sql(&sql).await.unwrap()).await.unwrap();
    query.try_collect::<Vec<_>>().await.unwrap();
    let id = client.query("finished");
    let details = client.get(&format!("/api/v1/queries/{id}")).json();
    assert_eq!(details["errors"].as_array().unwrap().len(), 1, "{details:#}");
    assert_eq!(details["errors"][0]["count"], 20, "{details:#}");
    let latest = details["latest_errors"].as_array().unwrap();
    assert_eq!(latest.len(), 20, "{details:#}");
    assert!(
        latest
            .iter()
            .all(|error| error["stage"] == "decode"
                && error["name"].as_str().unwrap().ends_with(".broken.jpg")),
        "{details:#}"
    );
}
