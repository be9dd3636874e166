//! What every device has to do, for the suites of several.

use std::io::{BufRead, BufReader};
use std::process::{ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use crate::support::{LABELS, LITE0, command, home, model, run, signal, start};

/// What one process shows of two photos: a line for each, then the plan with its metrics.
#[track_caller]
pub(crate) fn shown(device: &str) -> String {
    let photos = "photos/c*.jpg";
    run(
        device,
        &format!(
            "CREATE MODEL host FROM {LITE0} OPTIONS ({LABELS}, device 'cpu'); \
             CREATE MODEL device FROM {LITE0} OPTIONS ({LABELS}, device '{device}', batch_size 2); \
             CREATE MODEL both AS ENSEMBLE OF (host, device) OPTIONS (combine 'mean'); \
             SELECT h['label'], h['confidence'], d['label'], d['confidence'], b['label'], b['confidence'], \
                    b['model'], cosine_similarity(e, f), b['error'] FROM ( \
               SELECT classify(image, 'host') AS h, classify(image, 'device') AS d, classify(image, 'both') AS b, \
                      embed(image, 'host') AS e, embed(image, 'device') AS f FROM '{photos}'); \
             EXPLAIN ANALYZE SELECT classify(image, 'both') FROM '{photos}'"
        ),
    )
}

/// The fields of a photo, of which [`shown`] has one on each line after its header.
#[track_caller]
fn rows(shown: &str) -> Vec<Vec<&str>> {
    let lines = shown.lines().skip(1).take_while(|line| !line.is_empty() && !line.starts_with("plan_type"));
    let rows: Vec<Vec<_>> = lines.map(|line| line.split(',').collect()).collect();
    assert_eq!(rows.len(), 2, "{shown}");
    rows
}

fn number(field: &str) -> f64 {
    field.parse().unwrap()
}

#[track_caller]
pub(crate) fn classifies_and_embeds_as_the_cpu_does(shown: &str) {
    for row in rows(shown) {
        assert!(row[0] == row[2] && !row[0].is_empty(), "{row:?}");
        assert!((number(row[1]) - number(row[3])).abs() < 1e-4, "{row:?}");
        assert!(number(row[7]) > 0.9999, "{row:?}");
    }
}

#[track_caller]
pub(crate) fn is_one_member_of_an_ensemble(shown: &str) {
    for row in rows(shown) {
        let mean = f64::midpoint(number(row[1]), number(row[3]));
        assert!(row[4] == row[0] && (number(row[5]) - mean).abs() < 1e-5, "{row:?}");
        assert_eq!((row[6], row[8]), ("both", ""), "{row:?}");
    }
}

/// `sizes` are those of the plan: `device=webgpu:0, batch_size=2, concurrency=1`.
#[track_caller]
pub(crate) fn has_its_figures_in_explain_analyze(shown: &str, sizes: &str) {
    let plan = shown.lines().find(|line| line.contains("InferExec: ")).unwrap();
    assert!(plan.contains(&format!("device {{{sizes}}}")), "{plan}");
    assert!(plan.contains("left_to_cpu=[device 0 of 94 nodes], metrics="), "{plan}");
    assert!(plan.contains("inferred_rows=4,") && plan.contains("failed_rows=0,"), "{plan}");
    assert!(["infer_time=", "load_time=", "queue_time="].iter().all(|time| plan.contains(time)), "{plan}");
}

/// The model's graph fails on more than one image, and declares otherwise.
#[track_caller]
pub(crate) fn runs_rows_of_a_refused_batch_alone(device: &str) {
    let single = model("single");
    let shown = run(
        device,
        &format!(
            "CREATE MODEL m FROM '{}' OPTIONS (device '{device}', task 'image-classification', batch_size 4); \
             SELECT count(*) AS photos, count(p['label']) AS labels, count(p['error']) AS errors \
             FROM (SELECT classify(image, 'm') AS p FROM 'photos/*.jpg'); \
             EXPLAIN ANALYZE SELECT classify(image, 'm') FROM 'photos/*.jpg'",
            single.display()
        ),
    );
    let photos = std::fs::read_dir(home().join("photos")).unwrap();
    let photos =
        photos.filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|end| end == "jpg"));
    let photos = photos.count();
    assert_eq!(shown.lines().nth(1), Some(format!("{photos},{photos},0").as_str()), "{shown}");
    let batches: usize = shown.split(" batches=").nth(1).unwrap().split(',').next().unwrap().parse().unwrap();
    assert_eq!(batches, photos, "the bound that the first query found holds: {shown}");
    assert!(
        shown.contains("batch_size=4→1 (more are refused)") && shown.contains("failed_rows=0,"),
        "{shown}"
    );
}

/// The process ends with the status of Ctrl-C while the device computes.
#[track_caller]
pub(crate) fn query_ends_with_ctrl_c(device: &str) {
    let status = interrupted(device, "batch_size 1", Duration::from_secs(3), "INT");
    assert_eq!(status.code(), Some(130), "{status}");
}

/// The process ends with the status of the signal whenever it arrives while the device is opened and models are loaded:
/// at 30 times up to `last`.
#[track_caller]
pub(crate) fn query_ends_while_it_loads(device: &str, last: Duration) {
    for (time, signal, expected) in
        (1..=30).map(|n| if n % 3 == 0 { (n, "TERM", 143) } else { (n, "INT", 130) })
    {
        let after = last * time / 30;
        let status = interrupted(device, "", after, signal);
        assert_eq!(status.code(), Some(expected), "{signal} after {after:?}: {status}");
    }
}

/// The status of a process that gets a signal some time after it began to load a model for a long query.
#[track_caller]
fn interrupted(device: &str, options: &str, after: Duration, name: &str) -> ExitStatus {
    let options =
        [options, LABELS].into_iter().filter(|given| !given.is_empty()).collect::<Vec<_>>().join(", ");
    let sql = format!(
        "SELECT 'ready'; \
         CREATE MODEL m FROM {LITE0} OPTIONS ({options}, device '{device}'); \
         SELECT count(classify(image, 'm')) FROM 'photos/*.jpg', generate_series(1, 10000)"
    );
    let (mut query, _watchdog) = start(&mut command(device, &sql), Stdio::null());
    let shown = BufReader::new(query.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(shown.take(2).any(|line| line == "ready"));
    thread::sleep(after);
    signal(query.id(), name);
    query.wait().unwrap()
}
