//! Queries that go on without their client, and their rows afterwards.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::jobs::{PATIENCE, jobs, wait_for};
use super::models::{HERE, home_without_models};
use super::processes::Cluster;
use super::{alone, on};
use crate::support::process::{Outcome, seequel};
use crate::support::{folder_of, home};

/// What `--detach` of `sql` gives.
fn detach(cluster: &Cluster, folder: &Path, sql: &str) -> Outcome {
    Outcome::of(&mut seequel(folder, &["--cluster", &cluster.url, "-q", "--detach", "-c", sql]))
}

#[test]
fn a_query_goes_on_without_its_client() {
    let (cluster, folder) = (Cluster::start(1), folder_of(300));
    let sql = "SELECT name, classify(image)['label'] AS label FROM read_images('.') ORDER BY name";
    let id = detach(&cluster, folder.path(), sql).stdout().trim().to_owned();
    let job = jobs(&cluster, folder.path()).pop().unwrap();
    assert_eq!((job.text("id"), job.text("name")), (id.as_str(), sql));
    assert!(["queued", "running"].contains(&job.text("state")), "{}", job.text("state"));

    // While it runs, and after it.
    let expected = alone(folder.path(), sql).stdout();
    let attach = format!("ATTACH '{id}'");
    assert_eq!(on(&cluster, folder.path(), &attach).stdout(), expected, "{}", cluster.logs());
    wait_for(&cluster, folder.path(), |job| job.text("state") == "successful");
    assert_eq!(on(&cluster, folder.path(), &attach).stdout(), expected, "{}", cluster.logs());
    // As a table, whose rows are written here.
    let copy = format!(
        "{attach} AS job; COPY (SELECT label, name FROM job WHERE name LIKE '%1.jpg') TO 'out.parquet'"
    );
    on(&cluster, folder.path(), &copy).stdout();
    let written = alone(folder.path(), "SELECT name, label FROM 'out.parquet' ORDER BY name").stdout();
    let sql = format!("SELECT * FROM ({sql}) WHERE name LIKE '%1.jpg' ORDER BY name");
    assert_eq!(written, alone(folder.path(), &sql).stdout());
    assert!(written.lines().count() > 2, "{written}");
}

/// No executor is there before the client has left, and the one that comes has not the model.
#[test]
fn a_model_that_only_the_client_has_stays_with_the_scheduler() {
    let mut cluster = Cluster::start(0);
    let photos = folder_of(20);
    let model = photos.path().join("mine");
    fs::create_dir(&model).unwrap();
    for file in ["model.onnx", "labels.txt", "seequel.json"] {
        fs::copy(home().join("models/efficientnet_lite0").join(file), model.join(file)).unwrap();
    }
    let sql = format!(
        "CREATE MODEL mine FROM '{HERE}/mine';
         SELECT name, classify(image, 'mine')['label'] AS label FROM read_images('.') ORDER BY name"
    );
    let expected = alone(photos.path(), &sql).stdout();
    let id = detach(&cluster, photos.path(), &sql).stdout().trim().to_owned();
    fs::remove_dir_all(&model).unwrap();
    let executor = home_without_models();
    cluster.add_executor(executor.path());
    let attached = on(&cluster, photos.path(), &format!("ATTACH '{id}'"));
    assert_eq!(attached.stdout(), expected, "{}", cluster.logs());
}

#[test]
fn what_can_not_be_detached_or_attached_says_why() {
    let (mut cluster, folder) = (Cluster::start(1), folder_of(8));
    let error = |ran: Outcome| ran.error_line().replace(folder.path().to_str().unwrap(), ".");
    let copy = "COPY (SELECT name FROM read_images('.')) TO 'out.parquet'";
    let copy = error(detach(&cluster, folder.path(), copy));
    assert!(copy.contains("--detach can't leave a statement that writes"), "{copy}");
    assert!(jobs(&cluster, folder.path()).is_empty());
    let unknown = error(on(&cluster, folder.path(), "ATTACH 'none'"));
    assert!(unknown.contains("knows no job 'none'; SHOW JOBS lists those that it knows"), "{unknown}");

    fs::write(folder.path().join("broken.jpg"), "no image").unwrap();
    let sql = "SET inference.on_error = 'fail'; SELECT classify(image) FROM read_images('.')";
    let failed = detach(&cluster, folder.path(), sql).stdout();
    let failed = error(on(&cluster, folder.path(), &format!("ATTACH '{}'", failed.trim())));
    assert!(failed.contains("broken.jpg"), "{failed}");

    let id = detach(&cluster, folder.path(), "SELECT name FROM read_images('.')").stdout();
    let attach = format!("ATTACH '{}'", id.trim());
    let join =
        format!("{attach} AS job; SELECT count(*) FROM job JOIN read_images('.') AS i ON i.name = job.name");
    let join = error(on(&cluster, folder.path(), &join));
    assert!(join.contains("COPY the job to a file first"), "{join}");
    assert!(on(&cluster, folder.path(), &attach).stdout().contains("broken.jpg"));
    cluster.kill_executor(0);
    // Ballista warns before it if the executor's end takes a moment.
    let gone = on(&cluster, folder.path(), &attach).error();
    assert!(gone.contains(&format!("the results of job '{}' are gone", id.trim())), "{gone}");
}

#[test]
fn results_that_a_client_has_are_deleted() {
    let (cluster, folder) = (Cluster::start(1), folder_of(8));
    on(&cluster, folder.path(), "SELECT name FROM read_images('.')").stdout();
    let end = Instant::now() + PATIENCE;
    while !cluster.results(0).is_empty() {
        assert!(Instant::now() < end, "{:?}", cluster.results(0));
        thread::sleep(Duration::from_millis(100));
    }
    let id = detach(&cluster, folder.path(), "SELECT name FROM read_images('.')").stdout();
    on(&cluster, folder.path(), &format!("ATTACH '{}'", id.trim())).stdout();
    assert_eq!(cluster.results(0).len(), 1);
}
