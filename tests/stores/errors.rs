//! Stores that deny access, fail, time out or lose objects.

use crate::support::home;
use crate::support::process::{Outcome, seequel};
use crate::support::s3::S3;

#[test]
fn rejected_credentials_are_an_error_with_the_bucket_and_variables() {
    let mut server = S3::of_photos();
    let (key, secret) = server.lock();
    let run = |key: &str, secret: &str, sql: &str| {
        let mut command = server.command(&home(), sql);
        Outcome::of(command.env("AWS_ACCESS_KEY_ID", key).env("AWS_SECRET_ACCESS_KEY", secret))
    };
    for sql in [
        "SELECT count(*) FROM read_images('s3://photos/')",
        "SELECT classify(image) FROM 's3://photos/lion.jpg'",
        "CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION 's3://photos/t/'",
        "COPY (SELECT 1) TO 's3://photos/t.parquet'",
    ] {
        for error in [run("AKIAUNKNOWN", &secret, sql).error(), run(&key, "wrong", sql).error()] {
            assert!(
                error.contains("s3://photos: access was denied; set AWS_ACCESS_KEY_ID"),
                "{sql}: {error}"
            );
        }
    }
    let counted = run(&key, &secret, "SELECT count(*) AS photos FROM read_images('s3://photos/')").stdout();
    assert_eq!(counted, "photos\n20\n");
}

#[test]
fn missing_bucket() {
    let server = S3::of_photos();
    let error = server.run("SELECT count(*) FROM read_images('s3://fotos/')").error();
    assert!(error.contains("s3://fotos: there is no such bucket"), "{error}");
}

#[test]
fn missing_credentials_are_an_error_with_the_variables() {
    let server = S3::of_photos();
    let mut command = server.command(&home(), "SELECT count(*) FROM read_images('s3://photos/')");
    command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
    // The endpoint for credentials of cloud instances; nothing listens there.
    command.env("AWS_METADATA_ENDPOINT", "http://127.0.0.1:9");
    let error = Outcome::of(&mut command).error();
    assert!(
        error.contains(
            "s3://photos: no credentials were given, and this machine has none; set AWS_ACCESS_KEY_ID"
        ),
        "{error}"
    );
}

#[test]
fn unencrypted_endpoint_requires_an_option() {
    let server = S3::of_photos();
    let mut command = server.command(&home(), "SELECT count(*) FROM read_images('s3://photos/')");
    let error = Outcome::of(command.env_remove("AWS_ALLOW_HTTP")).error();
    assert!(error.contains("is not encrypted; if that is meant, set AWS_ALLOW_HTTP=true"), "{error}");
}

#[test]
fn failed_and_interrupted_requests_are_retried() {
    let mut server = S3::of_photos();
    server.fail("busy", "GET /photos.*list-type.*", 2);
    server.fail("busy", "GET /photos/lion.jpg.*", 1);
    server.fail("hang", "GET /photos/lion.jpg.*", 1);
    server.fail("cut", "GET /photos/lion.jpg.*", 1);
    let sql = format!(
        "CREATE EXTERNAL TABLE images STORED AS IMAGES LOCATION 's3://photos/'
         OPTIONS ({}, 'aws.timeout' '2 seconds');
         SELECT classify(image)['label'] AS label FROM images WHERE path LIKE '%lion%'",
        server.options()
    );
    assert_eq!(server.run(&sql).stdout(), "label\nlion\n");
    let reads = server.requests().iter().filter(|line| line.starts_with("GET /photos/lion.jpg")).count();
    assert_eq!(reads, 4);
}

#[test]
fn permanent_failure_reports_the_number_of_retries() {
    let mut server = S3::of_photos();
    server.fail("busy", ".*", 100);
    let sql = format!(
        "CREATE EXTERNAL TABLE images STORED AS IMAGES LOCATION 's3://photos/'
         OPTIONS ({}, 'aws.max_retries' '1')",
        server.options()
    );
    let error = seequel(&home(), &["-q", "-c", &sql]);
    let error = Outcome::of(&mut { error }).error();
    assert!(error.contains("s3://photos: the request failed"), "{error}");
    assert!(error.contains("max_retries: 1"), "{error}");
}

#[test]
fn object_deleted_after_listing_yields_a_row_with_an_error() {
    let sql = "SELECT regexp_replace(path, '.*/', '') AS file, p['label'] AS label, p['error'] AS error
               FROM (SELECT path, classify(image) AS p FROM read_images('s3://photos/[cl]*') WHERE path LIKE '%lion%' OR path LIKE '%coffee%')
               ORDER BY file";
    let mut server = S3::of_photos();
    server.lose("lion.jpg", "GET /photos.*list-type.*");
    let outcome = server.run(sql);
    assert!(outcome.stderr.contains("a file could not be read"), "{}", outcome.stderr);
    let lines: Vec<_> = outcome.stdout.lines().collect();
    assert_eq!(lines[1], "coffee.png,espresso,");
    assert!(lines[2].contains("lion.jpg,,") && lines[2].contains("could not be read: "), "{lines:?}");
    assert!(lines[2].contains("s3://photos: there is no such object"), "{lines:?}");
    assert_eq!(outcome.status, Some(0));

    let mut server = S3::of_photos();
    server.lose("lion.jpg", "GET /photos.*list-type.*");
    let error = server.run(&format!("SET inference.on_error = 'fail'; {sql}")).error();
    assert!(error.contains("s3://photos/lion.jpg: could not be read"), "{error}");
}
