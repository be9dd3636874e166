//! INSERT into tables of files.

use super::{count, entries, run};

const TABLE: &str = "CREATE EXTERNAL TABLE t (a INT, b INT) STORED AS CSV LOCATION 'out/'";

#[test]
fn insert_adds_files_and_insert_overwrite_replaces_them() {
    let folder = tempfile::tempdir().unwrap();
    let sql = format!(
        "{TABLE}; INSERT INTO t VALUES (1, 2), (3, 4); SELECT sum(a) AS a FROM t;
         INSERT INTO t VALUES (5, 6); SELECT sum(a) AS a FROM t;
         INSERT OVERWRITE t SELECT a + 1, b FROM t; SELECT count(*) AS n, sum(a) AS a FROM t"
    );
    let output = run(folder.path(), &sql).stdout();
    assert_eq!(output, "count\n2\na\n4\ncount\n1\na\n9\ncount\n3\nn,a\n3,12\n");
    assert!(!entries(folder.path()).iter().any(|name| name.contains("seequel")));
}

#[test]
fn a_failed_insert_leaves_no_files() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), &format!("{TABLE}; INSERT INTO t VALUES (1, 2)")).stdout();
    let before = entries(folder.path());
    for insert in ["INSERT INTO", "INSERT OVERWRITE"] {
        let sql =
            format!("{TABLE}; {insert} t SELECT 1000 / (90000 - value), 1 FROM generate_series(1, 100000)");
        let error = run(folder.path(), &sql).error();
        assert!(error.contains("Divide by zero"), "{error}");
        assert_eq!(entries(folder.path()), before);
    }
}

#[test]
fn partitions_of_a_table_are_added_and_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let sql = "CREATE EXTERNAL TABLE t (a INT, b INT) STORED AS PARQUET PARTITIONED BY (b) LOCATION 'out/';
               INSERT INTO t VALUES (1, 1), (2, 2); INSERT INTO t VALUES (3, 2);
               SELECT b, count(*) AS n FROM t GROUP BY b ORDER BY b;
               INSERT OVERWRITE t VALUES (4, 3); SELECT a, b FROM t";
    let output = run(folder.path(), sql).stdout();
    assert_eq!(output, "count\n2\ncount\n1\nb,n\n1,1\n2,2\ncount\n1\na,b\n4,3\n");
    assert_eq!(count(folder.path(), ".parquet"), 1);
}
