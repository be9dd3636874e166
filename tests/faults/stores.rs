//! Object stores that time out, throttle, fail, cut connections or send less than they have.

use crate::support::home;
use crate::support::process::{Outcome, seequel};
use crate::support::s3::S3;

const SELECT: &str =
    "SELECT regexp_replace(path, '.*/', '') AS file, p['label'] AS label, p['error'] AS error FROM
       (SELECT path, classify(image) AS p FROM images WHERE path LIKE '%lion%' OR path LIKE '%coffee%') ORDER BY file";

fn run(server: &S3, retries: u32, select: &str) -> Outcome {
    let sql = format!(
        "CREATE EXTERNAL TABLE images STORED AS IMAGES LOCATION 's3://photos/'
         OPTIONS ({}, 'aws.timeout' '1 second', 'aws.max_retries' '{retries}'); {select}",
        server.options()
    );
    Outcome::of(&mut seequel(&home(), &["-q", "--format", "csv", "-c", &sql]))
}

fn reads(server: &mut S3) -> usize {
    server.requests().iter().filter(|line| line.starts_with("GET /photos/lion.jpg")).count()
}

#[test]
fn a_row_fails_alone_once_retries_have_not_helped() {
    let mut server = S3::of_photos();
    for (kind, attempts, reason) in [
        ("busy", 3, "503"),
        ("broken", 3, "500"),
        ("hang", 3, "timed out"),
        ("cut", 3, "s3://photos: the request failed"),
        ("short", 4, "could not be read: the store sent "),
    ] {
        server.fail(kind, "GET /photos/lion.jpg.*", 1000);
        server.requests();
        let outcome = run(&server, 2, SELECT);
        assert_eq!(outcome.status, Some(0), "{kind}: {outcome:?}");
        let lines: Vec<_> = outcome.stdout.lines().collect();
        assert_eq!(lines[1], "coffee.png,espresso,", "{kind}");
        assert!(lines[2].starts_with("lion.jpg,,"), "{kind}: {lines:?}");
        assert!(lines[2].contains("could not be read: ") && lines[2].contains(reason), "{kind}: {lines:?}");
        assert!(outcome.stderr.contains("path=\"s3://photos/lion.jpg\""), "{kind}: {}", outcome.stderr);
        assert_eq!(reads(&mut server), attempts, "{kind}");
        server.heal();
    }
}

#[test]
fn what_fails_for_a_while_is_read_in_the_end() {
    let mut server = S3::of_photos();
    for kind in ["busy", "broken", "hang", "cut", "short"] {
        server.fail(kind, "GET /photos/lion.jpg.*", 2);
        assert_eq!(
            run(&server, 4, SELECT).stdout(),
            "file,label,error\ncoffee.png,espresso,\nlion.jpg,lion,\n",
            "{kind}"
        );
        server.heal();
    }
}

#[test]
fn an_upload_that_keeps_failing_is_an_error_with_the_target() {
    let mut server = S3::of_photos();
    for kind in ["busy", "broken"] {
        server.fail(kind, "(PUT|POST) .*", 1000);
        let error = run(&server, 1, "COPY (SELECT 1 AS a) TO 's3://photos/new/r.parquet'").error();
        assert!(error.contains("s3://photos") && error.contains("the request failed"), "{kind}: {error}");
        server.heal();
        assert!(!server.requests().iter().any(|line| line.starts_with("DELETE /photos/lion")), "{kind}");
    }
    let listed = run(&server, 1, "SELECT count(*) AS n FROM read_images('s3://photos/')").stdout();
    assert_eq!(listed, "n\n20\n", "nothing was left behind");
}
