//! What a real Prometheus reads of the metrics, and what the panels of the Grafana dashboard show of that.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use futures::TryStreamExt;
use seequel::{Engine, Query};
use serde_json::Value;

use super::client::Client;
use crate::support::process::Watchdog;
use crate::support::{folder_of, home, home_with_model, two_partitions};

/// How long Prometheus may take to read what usually takes seconds.
const PATIENCE: Duration = Duration::from_secs(90);

/// Debian's Prometheus, if set-up could fetch it.
fn tools() -> Option<PathBuf> {
    let tools = home().join("tests/prometheus");
    if !tools.is_dir() {
        eprintln!("skipped: set-up found no Prometheus for this machine");
        return None;
    }
    Some(tools)
}

/// A Prometheus that reads one dashboard each second; it is killed when dropped.
struct Prometheus {
    child: Child,
    url: String,
    promtool: PathBuf,
    _watchdog: Watchdog,
}

impl Prometheus {
    fn start(tools: &Path, folder: &Path, target: &str) -> Self {
        let configuration = folder.join("prometheus.yml");
        let job = format!(
            "{{job_name: seequel, scrape_interval: 1s, static_configs: [{{targets: ['{target}']}}]}}"
        );
        std::fs::write(&configuration, format!("scrape_configs: [{job}]\n")).unwrap();
        let mut command = Command::new(tools.join("prometheus"));
        command.arg(format!("--config.file={}", configuration.display()));
        command.arg(format!("--storage.tsdb.path={}", folder.join("data").display()));
        command.args(["--web.listen-address=127.0.0.1:0"]).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let watchdog = Watchdog::over(&child);
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let listens = lines.find(|line| line.contains("msg=\"Listening on\"")).unwrap();
        let address = listens.rsplit_once("address=").unwrap().1.to_owned();
        // So that it can go on writing.
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            child,
            url: format!("http://{address}"),
            promtool: tools.join("promtool"),
            _watchdog: watchdog,
        }
    }

    /// The values of an expression, by its labels.
    fn values(&self, expression: &str) -> Vec<f64> {
        let mut command = Command::new(&self.promtool);
        let output =
            command.args(["query", "instant", "--format=json", &self.url, expression]).output().unwrap();
        assert!(output.status.success(), "{expression}: {}", String::from_utf8_lossy(&output.stderr));
        let series: Value = serde_json::from_slice(&output.stdout).unwrap();
        let value = |series: &Value| series["value"][1].as_str().unwrap().parse().unwrap();
        series.as_array().unwrap().iter().map(value).collect()
    }

    /// Asks until the expression has a value above `least`.
    fn until_above(&self, expression: &str, least: f64) {
        let began = Instant::now();
        while !self.values(expression).iter().any(|value| *value > least) {
            assert!(
                began.elapsed() < PATIENCE,
                "{expression} is not above {least}: {:?}",
                self.values(expression)
            );
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn panels_of_grafana_have_values() {
    let Some(tools) = tools() else { return };
    let (home, folder) = (home_with_model(), tempfile::tempdir().unwrap());
    let builder = Engine::builder().home(home.path()).config(two_partitions()).memory_limit(Some(1 << 30));
    let engine = builder.dashboard("127.0.0.1:0".parse().unwrap()).build().unwrap();
    let client = Client::of(&engine.dashboard_url().unwrap());
    let prometheus = Prometheus::start(&tools, folder.path(), &client.address);

    let photos = folder_of(20);
    std::fs::write(photos.path().join("broken.jpg"), "not an image").unwrap();
    let sql = format!("SELECT path, classify(image) FROM read_images('{}')", photos.path().display());
    let run = || async { Query::try_new(engine.sql(&sql).await?).await?.try_collect::<Vec<_>>().await };
    // Rates are those of counters that Prometheus has seen before.
    run().await.unwrap();
    prometheus.until_above("sum(seequel_inferred_rows_total)", 19.0);
    run().await.unwrap();

    let grafana: Value = serde_json::from_str(include_str!("../../docs/grafana.json")).unwrap();
    let mut targets = 0;
    for panel in grafana["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().unwrap() {
            let expression = target["expr"].as_str().unwrap();
            let expression = ["$__rate_interval", "$__range"]
                .iter()
                .fold(expression.to_owned(), |all, name| all.replace(name, "5m"));
            // Nothing runs any more, so that no session may be loaded and no morsel wait.
            let is_now =
                ["seequel_queries_running", "seequel_queued", "seequel_memory_reserved", "seequel_model"];
            let least = if is_now.iter().any(|name| expression.contains(name)) { -1.0 } else { 0.0 };
            prometheus.until_above(&expression.replace("$instance", ".*"), least);
            targets += 1;
        }
    }
    assert!(targets >= 11, "{targets}");
    for (expression, value) in [
        ("sum(seequel_inferred_rows_total{model=\"efficientnet_lite0\", device=\"cpu\"})", 40.0),
        ("sum(seequel_failed_rows_total)", 2.0),
        ("sum(seequel_queries_total{state=\"finished\"})", 2.0),
        ("seequel_memory_limit_bytes", f64::from(1 << 30)),
    ] {
        assert_eq!(prometheus.values(expression), [value], "{expression}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn promtool_finds_nothing_to_mend() {
    let Some(tools) = tools() else { return };
    let home = home_with_model();
    let builder = Engine::builder().home(home.path()).memory_limit(Some(1 << 30));
    let engine = builder.dashboard("127.0.0.1:0".parse().unwrap()).build().unwrap();
    let photo = format!("SELECT classify(image) FROM '{}/lion.jpg'", crate::support::photos().display());
    let query = Query::try_new(engine.sql(&photo).await.unwrap()).await.unwrap();
    query.try_collect::<Vec<_>>().await.unwrap();
    let metrics = Client::of(&engine.dashboard_url().unwrap()).get("/metrics").body;

    let mut command = Command::new(tools.join("promtool"));
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(&metrics).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert_eq!((output.status.code(), said.as_str()), (Some(0), ""), "{}", String::from_utf8_lossy(&metrics));
}
