//! The jobs of a cluster: listed, cancelled.

use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use super::processes::Cluster;
use super::{alone, on};
use crate::support::folder_of;
use crate::support::process::{Outcome, seequel, start};

/// How long a job may take to come so far, on a machine that is busy with other tests.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);

/// A job of `SHOW JOBS`, by the names of columns.
pub(super) struct Listed(pub(super) serde_json::Value);

impl Listed {
    pub(super) fn text(&self, column: &str) -> &str {
        self.0[column].as_str().unwrap_or_default()
    }

    pub(super) fn number(&self, column: &str) -> u64 {
        self.0[column].as_u64().unwrap_or_default()
    }
}

/// The jobs that the scheduler lists.
pub(super) fn jobs(cluster: &Cluster, folder: &Path) -> Vec<Listed> {
    list(cluster, folder, "SHOW JOBS")
}

/// The rows of a list of the cluster.
pub(super) fn list(cluster: &Cluster, folder: &Path, sql: &str) -> Vec<Listed> {
    let arguments = ["--cluster", &cluster.url, "-q", "--format", "nd-json", "-c", sql];
    let listed = Outcome::of(&mut seequel(folder, &arguments)).stdout();
    listed.lines().map(|line| Listed(serde_json::from_str(line).unwrap())).collect()
}

/// The last job, once it `is` so.
pub(super) fn wait_for(cluster: &Cluster, folder: &Path, is: impl Fn(&Listed) -> bool) -> Listed {
    let end = Instant::now() + PATIENCE;
    loop {
        let last = jobs(cluster, folder).pop();
        match last {
            Some(job) if is(&job) => return job,
            last => assert!(Instant::now() < end, "{:?}\n{}", last.map(|job| job.0), cluster.logs()),
        }
        thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_job_is_listed_with_what_it_did() {
    let (cluster, folder) = (Cluster::start(1), folder_of(12));
    assert!(jobs(&cluster, folder.path()).is_empty());
    on(&cluster, folder.path(), "SELECT name,\n  classify(image) FROM read_images('.')").stdout();
    let job = wait_for(&cluster, folder.path(), |job| job.text("state") == "successful");
    assert_eq!(job.text("name"), "SELECT name, classify(image) FROM read_images('.')");
    assert_eq!((job.number("read"), job.number("inferred")), (12, 12));
    assert!(job.number("tasks") > 0 && job.number("tasks_ended") == job.number("tasks"), "{:?}", job.0);
    assert!(!job.text("started").is_empty() && job.0["seconds"].as_f64() > Some(0.0), "{:?}", job.0);
    assert!(job.0["error"].is_null(), "{:?}", job.0);

    std::fs::write(folder.path().join("broken.jpg"), "no image").unwrap();
    let sql = "SET ballista.job.name = 'nightly'; SET inference.on_error = 'fail';
               SELECT classify(image) FROM read_images('.')";
    on(&cluster, folder.path(), sql).error_line();
    let job = wait_for(&cluster, folder.path(), |job| job.text("state") == "failed");
    assert_eq!(job.text("name"), "nightly");
    assert!(job.text("error").contains("broken.jpg"), "{:?}", job.0);
}

#[test]
fn a_running_job_is_cancelled_by_its_id() {
    let (cluster, folder) = (Cluster::start(1), folder_of(2000));
    let sql = "SELECT name, classify(image) FROM read_images('.')";
    let (child, _watchdog) =
        start(&mut seequel(folder.path(), &["--cluster", &cluster.url, "-q", "-c", sql]), Stdio::null());
    let job = wait_for(&cluster, folder.path(), |job| job.number("tasks_ended") > 0);
    assert_eq!(job.text("state"), "running");
    let (read, inferred) = (job.number("read"), job.number("inferred"));
    assert!(0 < inferred && inferred <= read && read < 2000, "{:?}", job.0);

    let id = job.text("id").to_owned();
    let cancel = |id: &str| on(&cluster, folder.path(), &format!("CANCEL JOB '{id}'"));
    assert_eq!(cancel(&id).stdout(), "");
    let ran: Outcome = child.wait_with_output().unwrap().into();
    let error = ran.error_line();
    assert!(
        error.contains(&format!("the query was cancelled on the cluster, where it was job '{id}'")),
        "{error}"
    );
    let job = jobs(&cluster, folder.path()).pop().unwrap();
    assert_eq!((job.text("id"), job.text("state")), (id.as_str(), "cancelled"));
    assert!(job.0["error"].is_null(), "{:?}", job.0);

    let error = cancel(&id).error_line();
    assert!(error.contains(&format!("job '{id}' has ended: it is cancelled")), "{error}");
    let error = cancel("none").error_line();
    assert!(error.contains("knows no job 'none'; SHOW JOBS lists those that it knows"), "{error}");
}

#[test]
fn statements_about_jobs_need_a_cluster() {
    let folder = folder_of(1);
    for sql in ["SHOW JOBS", "CANCEL JOB 'a'", "ATTACH 'a'", "ATTACH 'a' AS b"] {
        let error = alone(folder.path(), sql).error_line();
        assert!(error.contains(&format!("{sql} asks the scheduler of a cluster")), "{error}");
        assert!(error.contains("--cluster"), "{error}");
    }
}
