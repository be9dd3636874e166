//! Images that a process dies of: each is a failed row in the end, and all else is as if it were not there.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use tempfile::TempDir;

use super::executors::wait_for;
use super::jobs;
use super::processes::Cluster;
use super::resume::{assert_nothing_left, wait_for_rows};
use super::{alone, on};
use crate::support::folder_of;
use crate::support::process::{Outcome, seequel, start};

/// A model of which a black image ends the process.
const FATAL: &str = concat!(
    "CREATE MODEL fatal FROM '",
    env!("CARGO_MANIFEST_DIR"),
    "/tests/data/models/fatal.onnx' OPTIONS (task 'image-classification'); "
);
const PHOTOS: usize = 200;

/// Photos, and among them a black image.
fn poisoned() -> TempDir {
    let folder = folder_of(PHOTOS - 1);
    image::RgbImage::new(64, 64).save(folder.path().join("0-black.png")).unwrap();
    folder
}

/// How often the processes of an executor have died, and how often it was found of what.
fn deaths(cluster: &Cluster, number: usize) -> (usize, usize) {
    let log = cluster.log_of(number);
    (log.matches("process died (").count(), log.matches("0-black.png, which is a failed row").count())
}

fn assert_both_are_up(cluster: &mut Cluster, folder: &Path) {
    assert!(cluster.is_up(0) && cluster.is_up(1), "{}", cluster.logs());
    wait_for(cluster, folder, "SHOW EXECUTORS", |executors| executors.len() == 2);
}

#[test]
fn an_image_that_a_process_dies_of_is_a_failed_row() {
    let (mut cluster, folder) = (Cluster::start(2), poisoned());
    let sql =
        format!("{FATAL} SELECT path, classify(image, 'fatal') AS p FROM read_images('.') ORDER BY path");
    let copy = sql.replace("SELECT", "COPY (SELECT") + ") TO 'out.parquet'";
    let ran = on(&cluster, folder.path(), &copy);
    assert_eq!(ran.status, Some(0), "{}\n{}", ran.stderr, cluster.logs());
    let counts =
        "SELECT count(*) AS n, count(DISTINCT path) AS paths, count(p['class']) AS p FROM 'out.parquet'";
    assert_eq!(alone(folder.path(), counts).stdout(), "n,paths,p\n200,200,199\n", "{}", cluster.logs());
    let failed = "SELECT path, p['error'] AS error FROM 'out.parquet' WHERE p['class'] IS NULL";
    let failed = alone(folder.path(), failed).stdout();
    assert!(failed.contains("0-black.png,") && failed.contains("SIGFPE"), "{failed}");
    let died = [deaths(&cluster, 0), deaths(&cluster, 1)];
    assert!(died.iter().all(|(times, _)| *times <= 2), "{died:?}\n{}", cluster.logs());
    assert!(died.iter().any(|(_, found)| *found == 1), "{died:?}\n{}", cluster.logs());
    assert_both_are_up(&mut cluster, folder.path());

    // Whoever knows it does not die of it again, and a mended file is another.
    on(&cluster, folder.path(), &copy);
    on(&cluster, folder.path(), &copy);
    for number in 0..2 {
        let (times, found) = deaths(&cluster, number);
        assert!(times <= 2 && found <= 1, "{}", cluster.logs());
    }
    image::RgbImage::from_pixel(64, 64, image::Rgb([9, 90, 90]))
        .save(folder.path().join("0-black.png"))
        .unwrap();
    let count = sql.replace("SELECT", "SELECT count(*) AS n, count(p['class']) AS p FROM (SELECT") + ")";
    assert_eq!(on(&cluster, folder.path(), &count).stdout(), "n,p\n200,200\n", "{}", cluster.logs());
}

#[test]
fn it_is_among_the_errors_of_a_copy_that_continues() {
    let (mut cluster, folder) = (Cluster::start(2), poisoned());
    let copy = format!(
        "{FATAL} COPY (SELECT path, classify(image, 'fatal') AS p FROM read_images('./*.*')) TO 'out/' STORED AS PARQUET
         OPTIONS (resume 'path', commit_rows 10, errors 'errors.parquet')"
    );
    let ran = on(&cluster, folder.path(), &copy);
    assert_eq!(ran.status, Some(0), "{}\n{}", ran.stderr, cluster.logs());
    let counts = "SELECT count(*) AS n, count(DISTINCT path) AS paths, count(p['class']) AS p FROM 'out/'";
    assert_eq!(alone(folder.path(), counts).stdout(), "n,paths,p\n200,200,199\n", "{}", cluster.logs());
    let errors = "SELECT path, stage, error FROM 'errors.parquet'";
    let errors = alone(folder.path(), errors).stdout();
    assert_eq!(errors.lines().count(), 2, "{errors}");
    assert!(errors.contains("0-black.png,crash,") && errors.contains("SIGFPE"), "{errors}");
    assert_nothing_left(folder.path());
    assert_both_are_up(&mut cluster, folder.path());
}

#[test]
fn functions_and_other_models_beside_it_lose_that_row_alone() {
    let (mut cluster, folder) = (Cluster::start(2), folder_of(60));
    image::RgbImage::new(64, 64).save(folder.path().join("0-black.png")).unwrap();
    let sql = format!(
        "{FATAL} SELECT count(*) AS n, count(q['class']) AS fatal, count(p['label']) AS other, count(t) AS small FROM
         (SELECT path, classify(image) AS p, classify(resize(image, 32, 32), 'fatal') AS q, thumbnail(image, 16) AS t,
                 image_error(image) AS e FROM read_images('.'))"
    );
    let ran = on(&cluster, folder.path(), &sql);
    assert_eq!(ran.status, Some(0), "{}\n{}", ran.stderr, cluster.logs());
    let counts: Vec<usize> =
        ran.stdout.lines().nth(1).unwrap().split(',').map(|count| count.parse().unwrap()).collect();
    // Whether the others see the image depends on which operator is below.
    assert_eq!(counts[..2], [61, 60], "{}\n{}", ran.stdout, cluster.logs());
    assert!(counts[2..].iter().all(|count| [60, 61].contains(count)), "{counts:?}");
    assert_both_are_up(&mut cluster, folder.path());
}

#[test]
fn whoever_kills_a_process_for_another_reason_makes_no_row_fail() {
    let (mut cluster, folder) = (Cluster::start(1), folder_of(600));
    let copy = format!(
        "{FATAL} COPY (SELECT path, classify(image) AS p, classify(image, 'fatal') AS q FROM read_images('*.jpg')) TO 'out/'
         STORED AS PARQUET OPTIONS (resume 'path', commit_rows 10)"
    );
    let (child, _watchdog) =
        start(&mut seequel(folder.path(), &["--cluster", &cluster.url, "-q", "-c", &copy]), Stdio::null());
    wait_for_rows(folder.path(), 0, 50);
    cluster.kill_child(0);
    let ran = Outcome::from(child.wait_with_output().unwrap());
    assert_eq!(ran.status, Some(0), "{}\n{}", ran.stderr, cluster.logs());
    let counts = "SELECT count(*) AS n, count(DISTINCT path) AS paths, count(p['class']) AS p, count(q['class']) AS q FROM 'out/'";
    assert_eq!(alone(folder.path(), counts).stdout(), "n,paths,p,q\n600,600,600,600\n", "{}", cluster.logs());
    let log = cluster.log_of(0);
    assert!(log.contains("the executor's process died (SIGKILL)"), "{log}");
    assert!(cluster.is_up(0));
    assert_eq!(cluster.stop_executor(0), Some(0));
}

#[test]
fn an_executor_whose_process_ends_by_itself_ends_with_its_status() {
    let mut cluster = Cluster::start(1);
    jobs::jobs(&cluster, Path::new("/"));
    // Nobody else can listen there.
    let port = cluster.url.rsplit(':').next().unwrap().to_owned();
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["executor", "--scheduler", &cluster.url, "--port", &port];
    let error = Outcome::of(&mut seequel(folder.path(), &arguments)).error();
    assert_eq!(error.matches("Error: ").count(), 1, "{error}");
    assert!(error.contains("can't listen"), "{error}");
    assert!(fs::read_dir(folder.path()).unwrap().next().is_none());
    assert!(cluster.is_up(0));
}
