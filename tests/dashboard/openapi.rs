//! The description of the API, compared with what the server answers.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use futures::TryStreamExt;
use seequel::{Engine, Query};
use serde_json::{Value, json};

use super::client::{Answer, Client, endless};
use crate::support::{home, home_with_model, photos, two_partitions};

/// The API as it describes itself, and what was answered.
pub(crate) struct Description {
    document: Value,
    /// A schema and a value that should be as it says, in turn.
    answers: Vec<(Value, Value)>,
}

impl Description {
    pub(crate) fn of(client: &Client) -> Self {
        Self { document: client.get("/api/v1/openapi.json").json(), answers: vec![] }
    }

    /// What is described of answers with this status.
    fn response(&self, method: &str, path: &str, status: u16) -> &Value {
        let method = method.to_ascii_lowercase();
        let response = &self.document["paths"][path][method]["responses"][status.to_string()];
        assert!(response.is_object(), "{path}: {status} is not described");
        match response["$ref"].as_str() {
            Some(reference) => self.document.pointer(reference.strip_prefix('#').unwrap()).unwrap(),
            None => response,
        }
    }

    /// Adds an answer, whose status and type must be described.
    pub(crate) fn add(&mut self, method: &str, path: &str, answer: &Answer) {
        let response = self.response(method, path, answer.status);
        let kind = answer.headers["content-type"].split(';').next().unwrap();
        let content = response["content"][kind].clone();
        assert!(content.is_object(), "{method} {path}: {kind} is not described");
        if kind == "application/json" {
            self.answers.push((content["schema"].clone(), answer.json()));
        }
    }

    /// What is not as described, a field too many included.
    pub(crate) fn errors(&self) -> String {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dashboard/check_schema.py");
        let mut command = Command::new("python3");
        command.arg(script).env("PYTHONPATH", home().join("test-python")).env("PYTHONDONTWRITEBYTECODE", "1");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let lines =
            self.answers.iter().map(|(schema, value)| format!("{}\n", json!([self.document, schema, value])));
        // It prints after the last line.
        child.stdin.take().unwrap().write_all(lines.collect::<String>().as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_as_described() {
    let own_home = home_with_model();
    let broken = own_home.path().join("models/broken");
    std::fs::create_dir(&broken).unwrap();
    std::fs::write(broken.join("model.onnx"), "no model").unwrap();
    let builder = Engine::builder().home(own_home.path()).config(two_partitions()).dashboard_actions(true);
    let engine = builder.dashboard("127.0.0.1:0".parse().unwrap()).build().unwrap();
    let client = Client::of(&engine.dashboard_url().unwrap());
    let mut description = Description::of(&client);

    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(photos().join("lion.jpg"), folder.path().join("a.jpg")).unwrap();
    std::fs::write(folder.path().join("b.jpg"), "not an image").unwrap();
    let images = folder.path().display();
    let tune = format!(
        "TUNE MODEL efficientnet_lite0 USING (SELECT image FROM '{images}/a.jpg') OPTIONS (budget '1s')"
    );
    let classify = format!("SELECT path, classify(image)['label'] AS l FROM read_images('{images}')");
    let fails = format!("SELECT CAST(path AS INT) FROM read_images('{images}')");
    let again =
        format!("CREATE MODEL again FROM '{}'", own_home.path().join("models/efficientnet_lite0").display());
    let [create, select] = endless();
    for sql in [
        &again,
        "CREATE MODEL both AS ENSEMBLE OF (efficientnet_lite0, again)",
        &create,
        &tune,
        &classify,
        &fails,
    ] {
        let run = async { Query::try_new(engine.sql(sql).await?).await?.try_collect::<Vec<_>>().await };
        let result = run.await;
        assert_eq!(result.is_err(), *sql == fails, "{sql}: {result:?}");
    }
    let running = Query::try_new(engine.sql(&select).await.unwrap()).await.unwrap();

    let all = client.get("/api/v1/queries");
    description.add("GET", "/api/v1/queries", &all);
    let queries = all.json()["queries"].clone();
    let states: Vec<_> =
        queries.as_array().unwrap().iter().map(|query| query["state"].as_str().unwrap()).collect();
    assert_eq!(
        (states.first(), states.contains(&"finished"), states.contains(&"failed")),
        (Some(&"running"), true, true),
        "{queries:#}"
    );
    for query in queries.as_array().unwrap() {
        let id = query["id"].as_str().unwrap();
        description.add("GET", "/api/v1/queries/{id}", &client.get(&format!("/api/v1/queries/{id}")));
    }
    let of = |state: &str| {
        queries.as_array().unwrap().iter().find(|query| query["state"] == state).unwrap()["id"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let (id, running_id) = (client.query("finished"), of("running"));
    let (part, cancel) = ("/api/v1/queries/{id}/{part}/{number}/image", "/api/v1/queries/{id}/cancel");
    for (method, path, address, status) in [
        ("GET", "/api/v1/queries/{id}", "/api/v1/queries/none".to_owned(), 404),
        ("GET", part, format!("/api/v1/queries/{id}/slowest_images/0/image"), 200),
        ("GET", part, format!("/api/v1/queries/{id}/errors/0/image"), 422),
        ("GET", part, format!("/api/v1/queries/{id}/latest_errors/0/image"), 422),
        ("GET", part, format!("/api/v1/queries/{id}/sampled_rows/0/image"), 404),
        ("GET", part, format!("/api/v1/queries/{id}/errors/9/image"), 404),
        ("GET", "/api/v1/models", "/api/v1/models".to_owned(), 200),
        ("GET", "/api/v1/devices", "/api/v1/devices".to_owned(), 200),
        ("GET", "/api/v1/executors", "/api/v1/executors".to_owned(), 200),
        ("GET", "/api/v1/process", "/api/v1/process".to_owned(), 200),
        ("GET", "/api/v1/openapi.json", "/api/v1/openapi.json".to_owned(), 200),
        ("GET", "/metrics", "/metrics".to_owned(), 200),
        ("POST", cancel, "/api/v1/queries/none/cancel".to_owned(), 404),
        ("POST", cancel, format!("/api/v1/queries/{id}/cancel"), 409),
        ("POST", cancel, format!("/api/v1/queries/{running_id}/cancel"), 202),
    ] {
        let answer = client.ask(method, &address, &[]);
        assert_eq!(answer.status, status, "{address}: {}", answer.text());
        description.add(method, path, &answer);
    }
    // All kinds of models were there.
    let models = client.get("/api/v1/models").json();
    let of = |name: &str| models["models"].as_array().unwrap().iter().find(|model| model["name"] == name);
    assert!(of("efficientnet_lite0").unwrap()["tunings"][0]["trials"][0]["rate"].is_array(), "{models:#}");
    assert!(of("both").unwrap()["members"].is_array() && of("broken").unwrap()["error"].is_string());
    let events = &description.response("GET", "/api/v1/events", 200)["content"]["text/event-stream"];
    let snapshot = (events["schema"]["contentSchema"].clone(), client.events().next().unwrap());
    description.answers.push(snapshot);
    let foreign = client.ask("GET", "/api/v1/models", &[("Origin", "http://evil.example")]);
    description.add("GET", "/api/v1/models", &foreign);
    assert_eq!(description.errors(), "");
    drop(running);
}

#[test]
fn all_addresses_are_described() {
    let described: Value = serde_json::from_str(include_str!("../../src/dashboard/openapi.json")).unwrap();
    let mut paths: Vec<_> = described["paths"].as_object().unwrap().keys().cloned().collect();
    paths.sort();
    let served = include_str!("../../src/dashboard/server.rs").split(".route(\"").skip(1);
    let mut served: Vec<_> = served.map(|rest| rest.split('"').next().unwrap()).collect();
    served.sort_unstable();
    assert_eq!(json!(paths), json!(served));
}
