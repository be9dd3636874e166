//! DataFusion's own formats in buckets: reading and COPY.

use crate::support::home;
use crate::support::process::run;
use crate::support::s3::S3;

#[test]
fn predictions_are_copied_into_a_bucket_and_read_again() {
    let mut server = S3::of_photos();
    let sql = "COPY (SELECT path, classify(image)['label'] AS label FROM 's3://photos/lion.jpg')
               TO 's3://photos/results/labels.parquet';
               CREATE EXTERNAL TABLE results STORED AS PARQUET LOCATION 's3://photos/results/';
               SELECT label FROM results;
               SELECT path FROM 's3://photos/results/labels.parquet'";
    let output = server.run(sql).stdout();
    assert_eq!(output, "count\n1\nlabel\nlion\npath\ns3://photos/lion.jpg\n");
    assert!(server.requests().iter().any(|line| line.starts_with("PUT /photos/results/labels.parquet")));
}

#[test]
fn options_of_copy_and_tables_configure_the_store() {
    let server = S3::of_photos();
    let options = server.options();
    let sql = format!(
        "COPY (SELECT 1 AS one) TO 's3://photos/one.csv' STORED AS CSV OPTIONS ({options}, 'format.has_header' 'true');
         CREATE EXTERNAL TABLE ones STORED AS CSV LOCATION 's3://photos/one.csv' OPTIONS ({options}, 'has_header' 'true');
         SELECT one + 1 AS two FROM ones;
         EXPLAIN COPY (SELECT 1 AS one) TO 's3://photos/two.csv' STORED AS CSV OPTIONS ({options})"
    );
    let output = run(&["-q", "--format", "csv", "-c", &sql]).stdout();
    assert!(output.contains("two\n2\n"), "{output}");
}

#[test]
fn unknown_options_are_rejected() {
    for (options, reason) in [
        ("'aws.regoin' 'x'", "s3://photos: unknown option 'aws.regoin'"),
        (
            "'gcp.service_account' 'x'",
            "s3://photos: option 'gcp.service_account' does not apply to this location",
        ),
        ("'region' 'x'", "unknown option 'region'; STORED AS IMAGES takes none"),
    ] {
        let sql =
            format!("CREATE EXTERNAL TABLE t STORED AS IMAGES LOCATION 's3://photos/' OPTIONS ({options})");
        let error = run(&["-q", "-c", &sql]).error();
        assert!(error.contains(reason), "{error}");
    }
    assert!(home().is_dir());
}
