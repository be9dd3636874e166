//! The dashboard as its clients see it: what it shows, whom it refuses, how it ends.

mod access;
mod client;
mod openapi;
mod prometheus;
mod rows;
mod shown;
mod stops;

use std::net::TcpListener;
use std::path::Path;

use crate::support::process::run_in;
use crate::support::{home_with_model, photos};
#[cfg(all(feature = "cluster", unix))]
pub(crate) use client::Client;
use client::endless_shell;
#[cfg(all(feature = "cluster", unix))]
pub(crate) use openapi::Description;

#[test]
fn a_query_is_cancelled_and_nothing_is_left() {
    let home = home_with_model();
    let mut shell = endless_shell(home.path(), "127.0.0.1:0", &["--dashboard-actions"]);
    let id = shell.client.query("running");
    assert_eq!(shell.client.post("/api/v1/queries/none/cancel").status, 404);
    let answer = shell.client.post(&format!("/api/v1/queries/{id}/cancel"));
    assert_eq!((answer.status, answer.json()["cancelled"].as_str()), (202, Some(id.as_str())));
    let mut message = String::new();
    std::io::Read::read_to_string(&mut shell.stderr, &mut message).unwrap();
    assert!(message.ends_with("Error: the query was cancelled\n"), "{message}");
    assert_eq!(shell.child.wait().unwrap().code(), Some(1));
    TcpListener::bind(&shell.client.address).unwrap();
    let history = std::fs::read_to_string(home.path().join("dashboard/queries.jsonl")).unwrap();
    assert!(
        history.contains(&format!("\"id\":\"{id}\"")) && history.contains("\"state\":\"cancelled\""),
        "{history}"
    );
}

#[test]
fn queries_of_earlier_processes_are_listed() {
    let home = home_with_model();
    let count = format!("SELECT count(*) FROM read_images('{}')", photos().display());
    let ran = run_in_home(home.path(), &["--quiet", "--dashboard", "127.0.0.1:0", "-c", "SELECT 1", &count]);
    assert_eq!(ran, "");
    let shell = endless_shell(home.path(), "127.0.0.1:0", &[]);
    shell.client.query("running");
    let all = shell.client.get("/api/v1/queries").json();
    let listed: Vec<_> =
        all["queries"].as_array().unwrap().iter().map(|query| query["state"].clone()).collect();
    assert_eq!(listed, ["running", "finished"], "{all:#}");
    let earlier = &all["queries"][1];
    assert!(earlier["text"].as_str().unwrap().starts_with("SELECT count(*)"), "{earlier:#}");
    let id = earlier["id"].as_str().unwrap();
    let details = shell.client.get(&format!("/api/v1/queries/{id}")).json();
    assert_eq!(details["results"]["rows"][0][0], photo_count().to_string(), "{details:#}");
}

#[test]
fn a_port_in_use_is_an_error_that_names_it() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let message = run_in(&photos(), &["--dashboard", &address, "-c", "SELECT 1"]).error();
    let expected = format!("Error: cannot open the dashboard at {address}: the port is in use");
    assert!(message.starts_with(&expected), "{message}");
}

/// The standard error of a successful run with this home.
fn run_in_home(home: &Path, arguments: &[&str]) -> String {
    let mut command = crate::support::process::seequel(home, arguments);
    let outcome = crate::support::process::Outcome::of(command.env("SEEQUEL_HOME", home));
    assert_eq!(outcome.status, Some(0), "{outcome:?}");
    outcome.stderr
}

fn photo_count() -> usize {
    let files = std::fs::read_dir(photos()).unwrap().flatten();
    let is_image = |name: &str| [".jpg", ".png", ".webp", ".jpeg"].iter().any(|end| name.ends_with(end));
    files.filter(|file| is_image(&file.file_name().to_string_lossy())).count()
}
