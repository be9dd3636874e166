//! What the dashboard and `Engine::queries()` show.

use std::collections::BTreeSet;
use std::net::TcpListener;

use datafusion::arrow::array::RecordBatch;
use datafusion::error::DataFusionError;
use futures::TryStreamExt;
use seequel::queries::QueryState;
use seequel::{Engine, Error, Query};
use serde_json::Value;
use tempfile::TempDir;

use super::client::{Client, endless};
use crate::support::{folder_of, home_with_model, photos, two_partitions};

/// An engine with a home of its own and an open dashboard.
pub(super) fn engine() -> (Engine, Client, TempDir) {
    let home = home_with_model();
    let builder = Engine::builder().home(home.path()).config(two_partitions()).dashboard_actions(true);
    let engine = builder.dashboard("127.0.0.1:0".parse().unwrap()).build().unwrap();
    let client = Client::of(&engine.dashboard_url().unwrap());
    (engine, client, home)
}

pub(super) async fn query(engine: &Engine, sql: &str) -> Query {
    Query::try_new(engine.sql(sql).await.unwrap()).await.unwrap()
}

pub(super) async fn collect(query: Query) -> Vec<RecordBatch> {
    query.try_collect().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn events_move_while_a_query_runs() {
    let (engine, client, _home) = engine();
    let folder = folder_of(800);
    let sql = format!(
        "SELECT path, classify(image)['label'] AS label FROM read_images('{}')",
        folder.path().display()
    );
    let running = query(&engine, &sql).await.with_name("labels");
    let watcher = std::thread::spawn(move || {
        let mut seen = BTreeSet::new();
        for snapshot in client.events() {
            if let Some(query) = snapshot["running"].get(0) {
                assert_eq!(query["name"], "labels");
                assert_eq!(query["state"], "running");
                seen.insert(query["images"].as_u64().unwrap());
            } else if !seen.is_empty() {
                break;
            }
        }
        (seen, client)
    });
    collect(running).await;
    let (seen, client) = watcher.join().unwrap();
    assert!(seen.len() >= 2, "{seen:?}");

    let id = client.query("finished");
    let details = client.get(&format!("/api/v1/queries/{id}")).json();
    assert_eq!(details["text"], sql);
    assert_eq!(
        (&details["rows"], &details["images"], &details["share"]),
        (&800.into(), &800.into(), &1.0.into())
    );
    assert_eq!(details["accounts"]["models"][0]["rows"], 800);
    let operators: Vec<_> = details["plan"].as_array().unwrap().iter().map(|node| &node["name"]).collect();
    assert!(
        operators.contains(&&Value::from("InferExec")) && operators.contains(&&"ImagesExec".into()),
        "{operators:?}"
    );
    let bottleneck: Vec<_> =
        details["plan"].as_array().unwrap().iter().filter(|node| node["is_bottleneck"] == true).collect();
    assert_eq!(bottleneck.len(), 1, "{:#}", details["plan"]);
    assert!(details["samples"].as_array().unwrap().len() >= 3, "{:#}", details["samples"]);
    assert_eq!(details["slowest_images"].as_array().unwrap().len(), 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_listen_and_too_many_are_refused() {
    let (engine, client, _home) = engine();
    let [create, select] = endless();
    engine.sql(&create).await.unwrap();
    let running = query(&engine, &select).await;
    let mut streams: Vec<_> = (0..128).map(|_| client.events()).collect();
    for stream in &mut streams {
        assert_eq!(stream.next().unwrap()["running"].as_array().unwrap().len(), 1);
    }
    let refused = client.get("/api/v1/events");
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(refused.json()["error"].as_str().unwrap().contains("too many pages"), "{}", refused.text());
    drop(running);
    for stream in &mut streams {
        assert!(stream.any(|snapshot| snapshot["running"].as_array().unwrap().is_empty()));
    }
    // The others have left their places, as the server finds out when it sends them the next event.
    streams.truncate(1);
    client.until("/api/v1/process", |_| (client.status("/api/v1/events") == 200).then_some(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_and_rows_have_pictures() {
    let (engine, client, _home) = engine();
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(photos().join("lion.jpg"), folder.path().join("a.jpg")).unwrap();
    std::fs::write(folder.path().join("<script>.jpg"), "<script>alert(1)</script>").unwrap();
    let sql =
        format!("SELECT path, classify(image)['label'] AS l FROM read_images('{}')", folder.path().display());
    collect(query(&engine, &sql).await).await;
    let id = client.query("finished");
    let answer = client.get(&format!("/api/v1/queries/{id}"));
    assert_eq!(answer.headers["content-type"], "application/json");
    let details = answer.json();
    assert_eq!((&details["failed_rows"], &details["errors"][0]["count"]), (&1.into(), &1.into()));
    assert!(
        details["errors"][0]["name"].as_str().unwrap().ends_with("<script>.jpg"),
        "{:#}",
        details["errors"]
    );
    let image = |part: &str| client.get(&format!("/api/v1/queries/{id}/{part}/image"));
    assert_eq!(image("errors/0").status, 422, "it is no image");
    assert_eq!(
        [image("errors/1").status, image("text/0").status, image("results/99").status],
        [404, 404, 404]
    );
    let rows = details["results"]["rows"].as_array().unwrap();
    let lion = rows.iter().position(|row| row[0].as_str().unwrap().ends_with("a.jpg")).unwrap();
    let thumbnail = image(&format!("results/{lion}"));
    assert_eq!((thumbnail.status, thumbnail.headers["content-type"].as_str()), (200, "image/jpeg"));
    assert!(thumbnail.body.starts_with(b"\xff\xd8") && thumbnail.body.len() < 40_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_reads_what_models_and_queries_did() {
    let (engine, client, _home) = engine();
    let sql = format!("SELECT classify(image) FROM '{}/lion.jpg'", photos().display());
    collect(query(&engine, &sql).await).await;
    let answer = client.get("/metrics");
    assert_eq!(answer.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let text = answer.text();
    let labels = "{model=\"efficientnet_lite0\",device=\"cpu\"";
    for line in [
        "# TYPE seequel_inferred_rows_total counter",
        &format!("seequel_inferred_rows_total{labels}}} 1"),
        &format!("seequel_batch_duration_seconds_count{labels}}} 1"),
        &format!("seequel_batch_duration_seconds_bucket{labels},le=\"+Inf\"}} 1"),
        "seequel_queries_total{state=\"finished\"} 1",
        "seequel_images_total 1",
        "seequel_queries_running 0",
    ] {
        assert!(
            text.lines().any(|other| other == line || other.starts_with(&format!("{line}."))),
            "{line}\n{text}"
        );
    }
    for name in
        ["process_resident_memory_bytes", "process_cpu_seconds_total", "seequel_memory_reserved_bytes"]
    {
        assert!(text.contains(&format!("\n{name} ")), "{text}");
    }
    let models = client.get("/api/v1/models").json();
    let model = &models["models"][0];
    assert_eq!((&model["name"], &model["inferred_rows"]), (&"efficientnet_lite0".into(), &1.into()));
    assert!(model["settings"].as_array().unwrap().iter().any(|setting| setting[0] == "task"), "{model:#}");
    let process = client.get("/api/v1/process").json();
    assert_eq!(process["can_cancel"], true);
    assert!(process["process"]["memory_bytes"].as_u64().unwrap() > 1 << 20, "{process:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_lists_and_cancels_its_queries() {
    let home = home_with_model();
    let engine = Engine::builder().home(home.path()).build().unwrap();
    let [create, select] = endless();
    engine.sql(&create).await.unwrap();
    collect(query(&engine, "SELECT 1").await).await;
    assert_eq!(engine.queries().all(), [], "it reads nothing");
    let running = query(&engine, &select).await.with_name("mine");
    let queries = engine.queries().clone();
    let canceller = std::thread::spawn(move || {
        let [running] = &queries.running()[..] else { panic!("{queries:?}") };
        assert_eq!((running.name.as_deref(), running.state), (Some("mine"), QueryState::Running));
        assert!(queries.get(&running.id).unwrap().plan.len() >= 3);
        assert!(queries.cancel(&running.id) && !queries.cancel("none"));
        running.id.clone()
    });
    let id = canceller.join().unwrap();
    match running.try_collect::<Vec<_>>().await {
        Err(DataFusionError::External(error)) => {
            assert!(matches!(*error.downcast().unwrap(), Error::Cancelled))
        }
        other => panic!("{other:?}"),
    }
    let ended = engine.queries().all();
    assert_eq!((ended.len(), &ended[0].id, ended[0].state), (1, &id, QueryState::Cancelled));
    drop(query(&engine, &select).await);
    assert_eq!(engine.queries().all().len(), 2, "one that was dropped has ended too");
    assert!(!home.path().join("dashboard").exists(), "without a dashboard there is no history");
}

#[test]
fn a_dashboard_can_be_closed_and_opened_again() {
    let (engine, client, home) = engine();
    assert_eq!(client.get("/").status, 200);
    let mut events = client.events();
    events.next().unwrap();
    engine.close_dashboard();
    // The stream ends, or this test.
    events.for_each(drop);
    assert_eq!(engine.dashboard_url(), None);
    drop(TcpListener::bind(&client.address).unwrap());
    let url = engine.open_dashboard(client.address.parse().unwrap()).unwrap();
    assert_eq!(engine.open_dashboard("127.0.0.1:0".parse().unwrap()).unwrap(), url, "it is open already");
    assert_eq!(client.get("/main.js").headers["content-type"], "text/javascript; charset=utf-8");
    drop(engine);
    TcpListener::bind(&client.address).unwrap();
    drop(home);
}
