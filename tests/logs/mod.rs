//! What the binary logs, and the traces that it sends to a collector.

mod collector;

use self::collector::Collector;
use crate::support::home;
use crate::support::process::{Outcome, seequel};

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// Two photos and a file that is none, into Parquet.
fn copy(folder: &std::path::Path) -> String {
    let photos = folder.join("photos");
    std::fs::create_dir(&photos).unwrap();
    for name in ["lion.jpg", "tower.jpg"] {
        std::fs::copy(home().join("photos").join(name), photos.join(name)).unwrap();
    }
    std::fs::write(photos.join("broken.jpg"), b"not an image").unwrap();
    "COPY (SELECT path, embed(image) AS vector FROM read_images('photos/')) TO 'vectors.parquet'".to_owned()
}

#[test]
fn a_collector_gets_the_spans_of_a_query() {
    let (folder, collector) = (tempfile::tempdir().unwrap(), Collector::start());
    let sql = copy(folder.path());
    let mut command = seequel(folder.path(), &["-q", "-c", &sql]);
    command
        .env(ENDPOINT, &collector.url)
        .env("OTEL_SERVICE_NAME", "photos")
        .env("TRACEPARENT", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    assert_eq!(Outcome::of(&mut command).status, Some(0));

    let spans = collector.spans();
    for name in ["shell", "query", "list", "read", "infer", "load", "batch", "write"] {
        assert!(spans.iter().any(|span| span.name == name), "{name} is missing: {spans:?}");
    }
    assert!(spans.iter().all(|span| span.service == "photos"), "{spans:?}");
    // All are of the trace that was passed on, below the span in it.
    let trace = "0af7651916cd43dd8448eb211c80319c";
    assert!(spans.iter().all(|span| span.trace == trace), "{spans:?}");
    let of = |name: &str| spans.iter().find(|span| span.name == name).unwrap();
    assert_eq!(of("shell").parent, "b7ad6b7169203331");
    assert_eq!(of("query").parent, of("shell").id);
    // Each partition has a span of its own: which one sent first is open.
    let batch = of("batch");
    assert!(spans.iter().any(|span| span.name == "infer" && span.id == batch.parent), "{spans:?}");
    assert_eq!(batch.attributes["model"], "efficientnet_lite0");
    assert_eq!(batch.attributes["rows"], "1");
    let warnings: Vec<_> = spans.iter().flat_map(|span| &span.events).collect();
    assert!(warnings.iter().any(|event| event.contains("broken.jpg")), "{warnings:?}");
}

#[test]
fn an_unreachable_collector_is_named_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = seequel(folder.path(), &["-q", "--format", "csv", "-c", "SELECT 1 AS one"]);
    let outcome = Outcome::of(command.env(ENDPOINT, "http://127.0.0.1:9"));
    assert_eq!((outcome.status, outcome.stdout.as_str()), (Some(0), "one\n1\n"));
    let warnings = outcome.stderr.matches("traces can't be sent to http://127.0.0.1:9: ").count();
    assert_eq!(warnings, 1, "{}", outcome.stderr);
}

#[test]
fn what_can_not_be_sent_is_an_error_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let error = |variables: &[(&str, &str)]| {
        let mut command = seequel(folder.path(), &["-c", "SELECT 1"]);
        Outcome::of(command.envs(variables.iter().copied())).error_line().to_owned()
    };
    assert_eq!(
        error(&[(ENDPOINT, "http://127.0.0.1:9"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]),
        "Error: OTEL_EXPORTER_OTLP_PROTOCOL is 'grpc'; traces are sent by http/protobuf only"
    );
}

#[test]
fn lines_of_the_log_carry_their_query() {
    let folder = tempfile::tempdir().unwrap();
    let sql = copy(folder.path());
    let line = |format: &[&str]| {
        let arguments = [&["-q", "-c", sql.as_str()], format].concat();
        let stderr = Outcome::of(&mut seequel(folder.path(), &arguments)).stderr;
        let line = stderr.lines().find(|line| line.contains("broken.jpg"));
        line.unwrap_or_else(|| panic!("no line: {stderr}")).to_owned()
    };
    let text = line(&[]);
    assert!(text.contains(" WARN query{id="), "{text}");
    let json: serde_json::Value = serde_json::from_str(&line(&["--log-format", "json"])).unwrap();
    assert_eq!(json["level"], "WARN", "{json}");
    assert!(json["message"].as_str().unwrap().contains("broken.jpg"), "{json}");
    assert_eq!(json["spans"][0]["name"], "query", "{json}");
    assert!(json["spans"][0]["id"].is_string(), "{json}");
}
