//! COPY and INSERT in a bucket.

use crate::support::s3::S3;

/// A server with an empty bucket.
fn bucket() -> S3 {
    S3::of(tempfile::tempdir().unwrap().path())
}

const ROWS: &str =
    "CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION 's3://photos/out/'; SELECT count(*) AS n FROM t";

#[test]
fn modes_hold_in_a_bucket() {
    let server = bucket();
    let copy = |mode: &str| {
        server.run(&format!("COPY (SELECT 1 AS a) TO 's3://photos/out/' STORED AS PARQUET {mode}"))
    };
    copy("").stdout();
    insta::assert_snapshot!(copy("").error(), @"Error: 's3://photos/out/': the folder holds 1 file; OPTIONS ('mode' 'overwrite') replaces its parquet files, 'append' adds to them, and 'error', the default, writes only to a folder without files");
    copy("OPTIONS (mode 'append')").stdout();
    assert_eq!(server.run(ROWS).stdout(), "n\n2\n");
    copy("OPTIONS (mode 'overwrite')").stdout();
    assert_eq!(server.run(ROWS).stdout(), "n\n1\n");

    let file = |mode: &str| server.run(&format!("COPY (SELECT 1 AS a) TO 's3://photos/r.parquet' {mode}"));
    file("OPTIONS (mode 'error')").stdout();
    insta::assert_snapshot!(file("OPTIONS (mode 'error')").error(), @"Error: 's3://photos/r.parquet': the file exists; OPTIONS ('mode' 'overwrite') replaces it");
    file("").stdout();
    let error = file("OPTIONS (mode 'append')").error();
    assert!(error.contains("can't be appended to a file"), "{error}");
}

#[test]
fn failed_rows_are_listed_in_a_bucket() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.jpg", "b.jpg"] {
        std::fs::write(folder.path().join(name), "not a photo").unwrap();
    }
    let server = S3::of(folder.path());
    let copy = |errors: &str| {
        server.run(&format!(
            "COPY (SELECT path, embed(image) AS v FROM read_images('s3://photos/')) TO 's3://photos/out/v.parquet'
             OPTIONS (errors '{errors}')"
        ))
    };
    for _ in 0..2 {
        assert_eq!(copy("s3://photos/errors.parquet").status, Some(0));
        let listed =
            server.run("SELECT path, stage FROM 's3://photos/errors.parquet' ORDER BY path").stdout();
        assert_eq!(listed, "path,stage\ns3://photos/a.jpg,decode\ns3://photos/b.jpg,decode\n");
    }
    let error = copy("s3://nowhere/errors.parquet").error();
    assert!(error.contains("nowhere"), "{error}");
}

#[test]
fn partitions_in_a_bucket_are_added_and_replaced() {
    let server = bucket();
    let table = "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION 's3://photos/out/' PARTITIONED BY (column2)";
    let copy = |rows: &str, mode: &str| {
        let sql = format!(
            "COPY (VALUES {rows}) TO 's3://photos/out/' STORED AS CSV PARTITIONED BY (column2) {mode}"
        );
        server.run(&sql)
    };
    let rows = "SELECT string_agg(concat(column1, column2), ' ' ORDER BY column1) AS r FROM t";
    let rows = || server.run(&format!("{table}; {rows}")).stdout();
    copy("(1, 'a'), (2, 'b')", "").stdout();
    copy("(3, 'a')", "OPTIONS (mode 'append')").stdout();
    assert_eq!(rows(), "r\n1a 2b 3a\n");
    copy("(4, 'c')", "OPTIONS (mode 'overwrite')").stdout();
    assert_eq!(rows(), "r\n4c\n");
    let sql = format!(
        "{table}; INSERT INTO t VALUES (5, 'd'); INSERT OVERWRITE t SELECT column1 + 1, column2 FROM t"
    );
    server.run(&sql).stdout();
    assert_eq!(rows(), "r\n5c 6d\n");
}

#[test]
fn a_failed_copy_leaves_objects_as_they_were_and_no_upload() {
    let mut server = bucket();
    let targets = ["'s3://photos/r.csv'", "'s3://photos/out/' STORED AS CSV OPTIONS (mode 'overwrite')"];
    for target in targets {
        server.run(&format!("COPY (SELECT 'kept' AS a) TO {target}")).stdout();
        let sql =
            format!("COPY (SELECT 1000 / (90000 - value) AS a FROM generate_series(1, 100000)) TO {target}");
        assert!(server.run(&sql).error().contains("Divide by zero"));
    }
    let sql = "SELECT a FROM 's3://photos/r.csv';
               CREATE EXTERNAL TABLE t STORED AS CSV LOCATION 's3://photos/out/'; SELECT a FROM t";
    assert_eq!(server.run(sql).stdout(), "a\nkept\na\nkept\n");

    let requests = server.requests();
    let begun = requests.iter().filter(|line| line.starts_with("POST") && line.contains("?uploads")).count();
    let completed =
        requests.iter().filter(|line| line.starts_with("POST") && line.contains("?uploadId")).count();
    let aborted =
        requests.iter().filter(|line| line.starts_with("DELETE") && line.contains("?uploadId")).count();
    assert_eq!((completed, begun), (2, 2 + aborted), "{requests:#?}");
}

/// DataFusion's CSV writer reports no reason for a failed upload.
#[test]
fn the_store_s_reason_for_a_failed_upload_is_reported() {
    let mut server = bucket();
    server.fail("busy", "(PUT|POST) /photos/.*", 1000);
    let sql = format!(
        "COPY (SELECT 1 AS a) TO 's3://photos/r.csv' OPTIONS ({}, 'aws.max_retries' '1')",
        server.options()
    );
    let error = server.run(&sql).error();
    assert!(error.contains("s3://photos: the request failed"), "{error}");
}
