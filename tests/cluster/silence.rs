//! Processes that hang: the kernel takes connections to them, and nothing is answered.

use std::io::Read;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread;
use std::time::Duration;

use super::jobs::{jobs, wait_for};
use super::processes::Cluster;
use super::{alone, on};
use crate::support::folder_of;
use crate::support::process::{Outcome, Watchdog, seequel, start};

/// Longer than a scheduler is busy, and shorter than a client or executor waits.
const BUSY: Duration = Duration::from_secs(8);

const LABELS: &str = "SELECT name, classify(image)['label'] AS label FROM read_images('.') ORDER BY name";

/// Begins `arguments` on the cluster.
fn begin(cluster: &Cluster, folder: &Path, arguments: &[&str]) -> (Child, Watchdog) {
    let arguments = [&["--cluster", &cluster.url, "-q", "--format", "csv"], arguments].concat();
    start(&mut seequel(folder, &arguments), Stdio::null())
}

fn end((child, _watchdog): (Child, Watchdog)) -> Outcome {
    child.wait_with_output().unwrap().into()
}

#[test]
fn a_scheduler_that_hangs_is_told_and_its_executor_goes_on_with_it_afterwards() {
    let (mut cluster, folder) = (Cluster::start(1), folder_of(1000));
    let few = folder_of(4);
    let expected = alone(few.path(), LABELS).stdout();
    let processes = cluster.processes_of(0);
    let running = begin(&cluster, folder.path(), &["-c", LABELS]);
    let id = wait_for(&cluster, few.path(), |job| job.number("tasks_ended") > 0).text("id").to_owned();

    cluster.hang_scheduler();
    let cancel = format!("CANCEL JOB '{id}'");
    let (attach, as_table) = (format!("ATTACH '{id}'"), format!("ATTACH '{id}' AS job; SELECT * FROM job"));
    let names = "SELECT name FROM read_images('.')";
    let asked: [&[&str]; 8] = [
        &["-c", "SHOW JOBS"],
        &["-c", "SHOW EXECUTORS"],
        &["-c", &cancel],
        &["-c", &attach],
        &["-c", &as_table],
        &["-c", names],
        // With the files of a model.
        &["-c", LABELS],
        &["--detach", "-c", LABELS],
    ];
    let mut asked: Vec<_> = asked.iter().map(|arguments| begin(&cluster, few.path(), arguments)).collect();
    asked.push(running);
    let told = format!("the scheduler at {} has not answered for 20 seconds: look whether", cluster.url);
    for ran in asked {
        let ran = end(ran);
        assert_eq!(ran.stdout, "");
        let error = ran.error_line();
        assert!(error.contains(&told), "{error}");
    }

    cluster.wait_for_executor(0, "does not answer; its tasks here are ended");
    cluster.wake_scheduler();
    let ran = on(&cluster, few.path(), LABELS);
    assert_eq!(ran.stdout, expected, "{}\n{}", ran.stderr, cluster.logs());
    assert_eq!(cluster.processes_of(0), processes, "{}", cluster.logs());
}

#[test]
fn a_scheduler_that_is_busy_for_some_seconds_costs_no_query() {
    let (cluster, folder) = (Cluster::start(1), folder_of(600));
    let expected = alone(folder.path(), LABELS).stdout();
    let running = begin(&cluster, folder.path(), &["-c", LABELS]);
    wait_for(&cluster, folder.path(), |job| job.number("tasks_ended") > 0);
    cluster.hang_scheduler();
    let listed = begin(&cluster, folder.path(), &["-c", "SHOW JOBS"]);
    thread::sleep(BUSY);
    cluster.wake_scheduler();
    assert_eq!(end(listed).stdout().lines().count(), 2);
    let ran = end(running);
    assert_eq!(ran.stdout, expected, "{}\n{}", ran.stderr, cluster.logs());
    assert_eq!(jobs(&cluster, folder.path()).len(), 1);
}

#[test]
fn an_executor_that_hangs_with_results_is_told() {
    let (cluster, folder) = (Cluster::start(1), folder_of(4));
    let id = end(begin(&cluster, folder.path(), &["--detach", "-c", LABELS])).stdout();
    wait_for(&cluster, folder.path(), |job| job.text("state") == "successful");
    let attach = format!("ATTACH '{}'", id.trim());
    cluster.hang_executor(0);
    let error = on(&cluster, folder.path(), &attach).error();
    assert!(error.contains("Error: the executor at 127.0.0.1:"), "{error}");
    assert!(error.contains("which has the rows, has not answered for 20 seconds"), "{error}");
    cluster.wake_executor(0);
    let expected = alone(folder.path(), LABELS).stdout();
    assert_eq!(on(&cluster, folder.path(), &attach).stdout(), expected, "{}", cluster.logs());
}

/// A scheduler that takes connections, and ends when the first request comes.
fn ends_when_it_is_asked() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("df://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        drop(listener);
        // The beginning of HTTP/2 and of the request.
        let _ = client.read(&mut [0; 16]);
    });
    url
}

#[test]
fn a_scheduler_that_ends_before_it_has_the_query_refused_nothing() {
    let folder = folder_of(2);
    for arguments in [
        &["-c", "SELECT name FROM read_images('.')"][..],
        &["-c", LABELS],
        &["--detach", "-c", LABELS],
        &["-c", "SHOW JOBS"],
        &["-c", "CANCEL JOB 'a'"],
        &["-c", "ATTACH 'a'"],
    ] {
        let url = ends_when_it_is_asked();
        let ran = Outcome::of(&mut seequel(folder.path(), &[&["--cluster", &url, "-q"], arguments].concat()));
        let error = ran.error_line();
        assert!(error.contains(&format!("lost the scheduler at {url} before it answered (")), "{error}");
        assert!(error.contains("run the statement again"), "{error}");
    }
}
