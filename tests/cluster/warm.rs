//! Models are loaded before there are tasks that use them.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::thread;

use super::executors::{executors, wait_for};
use super::jobs::{jobs, list};
use super::models::{HERE, fetched, home_without_models};
use super::on;
use super::processes::Cluster;
use crate::support::home;
use crate::support::process::{Outcome, seequel, start};

/// More than the client lists for a plan.
const FILES: usize = 17_000;

/// The URL of an S3 API with a bucket whose listing does not end: a second page is asked for, and does not come.
fn unending_bucket() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        let mut kept = vec![];
        for connection in listener.incoming().flatten() {
            kept.extend(answer(connection));
        }
    });
    url
}

/// Answers a request, or returns the connection of one that has no answer.
fn answer(mut connection: TcpStream) -> Option<TcpStream> {
    let mut lines = BufReader::new(&connection).lines().map_while(Result::ok);
    let request = lines.next()?;
    lines.take_while(|line| !line.is_empty()).for_each(drop);
    if request.contains("continuation-token=") {
        return Some(connection);
    }
    let (status, body) = if request.contains("list-type=2") {
        ("200 OK", first_page())
    } else {
        ("404 Not Found", String::new())
    };
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    // Whoever asked may have gone.
    let _ = connection.write_all((head + &body).as_bytes());
    None
}

fn first_page() -> String {
    let mut page = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><ListBucketResult><Name>many</Name>\
                    <IsTruncated>true</IsTruncated><NextContinuationToken>next</NextContinuationToken>"
        .to_owned();
    for number in 0..FILES {
        write!(
            page,
            "<Contents><Key>{number:05}.jpg</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>\
             <ETag>\"{number}\"</ETag><Size>100000</Size></Contents>"
        )
        .unwrap();
    }
    page + "</ListBucketResult>"
}

#[test]
fn executors_load_models_while_a_task_lists() {
    let bucket = unending_bucket();
    let variables = [
        ("AWS_ENDPOINT_URL", bucket.as_str()),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
    ];
    let (without_models, folder) = (home_without_models(), tempfile::tempdir().unwrap());
    let cluster = Cluster::start_in(&[home(), without_models.path().to_owned()], &[], &variables);
    let model = folder.path().join("mine");
    fs::create_dir(&model).unwrap();
    for file in ["model.onnx", "labels.txt", "seequel.json"] {
        fs::copy(home().join("models/efficientnet_lite0").join(file), model.join(file)).unwrap();
    }
    let sql = format!(
        "CREATE MODEL mine FROM '{HERE}/mine'; SELECT count(classify(image, 'mine')) FROM read_images('s3://many/')"
    );
    let arguments = ["--cluster", &cluster.url, "-q", "-c", &sql];
    let (child, _watchdog) = start(seequel(folder.path(), &arguments).envs(variables), Stdio::null());

    // One of them lists, and the other does nothing. By its digest the model is the one that all clients have.
    let models = wait_for(&cluster, folder.path(), "SHOW MODELS", |models| {
        executors(models, "efficientnet_lite0").len() == 2
    });
    assert!(executors(&models, "efficientnet_lite0").iter().all(|executor| executor["sessions"] == 1));
    let job = jobs(&cluster, folder.path()).pop().unwrap();
    assert_eq!((job.text("state"), job.number("read"), job.number("inferred")), ("running", 0, 0));
    let running: u64 =
        list(&cluster, folder.path(), "SHOW EXECUTORS").iter().map(|executor| executor.number("tasks")).sum();
    assert_eq!(running, 1);
    assert_eq!(fetched(without_models.path()).len(), 1);

    on(&cluster, folder.path(), &format!("CANCEL JOB '{}'", job.text("id"))).stdout();
    let ran: Outcome = child.wait_with_output().unwrap().into();
    let error = ran.error_line();
    assert!(error.contains("the query was cancelled"), "{error}\n{}", cluster.logs());
}
