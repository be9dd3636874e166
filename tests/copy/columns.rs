//! Types that formats can't hold as they are.

use std::fs;

use serde_json::{Value, json};

use super::{entries, run};
use crate::support::photos;

#[test]
fn csv_has_nested_values_as_json_and_bytes_in_hexadecimal_like_the_prompt() {
    let folder = tempfile::tempdir().unwrap();
    let query =
        "SELECT named_struct('label', 'a \"b\", c', 'n', 1) AS s, [1.5, NULL] AS l, MAP {'k': [1]} AS m,
                        arrow_cast(x'00ff', 'BinaryView') AS b, NULL AS nothing, 'x' AS t
                 UNION ALL SELECT NULL, NULL, NULL, NULL, NULL, NULL ORDER BY t";
    let printed = run(folder.path(), query).stdout();
    run(folder.path(), &format!("COPY ({query}) TO 'r.csv'")).stdout();
    assert_eq!(fs::read_to_string(folder.path().join("r.csv")).unwrap(), printed);
    let sql = "SELECT s, l, m, b FROM 'r.csv' WHERE s IS NOT NULL";
    let read = run(folder.path(), &format!("COPY ({sql}) TO 'back.json'; SELECT 1")).stdout();
    assert!(read.starts_with("count\n1\n"), "{read}");
    let row: Value =
        serde_json::from_str(&fs::read_to_string(folder.path().join("back.json")).unwrap()).unwrap();
    let parsed = |column: &str| serde_json::from_str::<Value>(row[column].as_str().unwrap()).unwrap();
    assert_eq!(parsed("s"), json!({ "label": "a \"b\", c", "n": 1 }));
    assert_eq!((parsed("l"), parsed("m")), (json!([1.5, null]), json!({ "k": [1] })));
    assert_eq!(row["b"], "00ff");
}

#[test]
fn predictions_are_written_to_csv_files_and_folders() {
    let folder = tempfile::tempdir().unwrap();
    let query = format!("SELECT classify(image) AS p FROM '{}'", photos().join("lion.jpg").display());
    let sql = format!(
        "COPY ({query}) TO 'r.csv'; COPY ({query}) TO 'out/' STORED AS CSV OPTIONS (compression gzip);
         SELECT substr(p, 1, 15) AS p FROM 'r.csv';
         CREATE EXTERNAL TABLE t STORED AS CSV LOCATION 'out/' OPTIONS (compression gzip);
         SELECT substr(p, 1, 15) AS p FROM t"
    );
    let output = run(folder.path(), &sql).stdout();
    let row = "p\n\"{\"\"label\"\":\"\"lion\"\"\"\n";
    assert_eq!(output, format!("count\n1\ncount\n1\n{row}{row}"));
}

#[test]
fn columns_that_a_format_cannot_hold_are_refused_before_anything_is_touched() {
    let folder = tempfile::tempdir().unwrap();
    let sql =
        "COPY (SELECT 1 AS a, arrow_cast(NULL, 'Union(Sparse, 0: (\"x\": Int32))') AS u) TO 'new/r.parquet'";
    let error = run(folder.path(), sql).error();
    assert!(error.contains("'u'"), "{error}");
    let sql = "COPY (SELECT 1 AS a) TO 'new/r.parquet' OPTIONS (unknown_option 1)";
    let error = run(folder.path(), sql).error();
    assert!(error.contains("unknown_option"), "{error}");
    assert_eq!(entries(folder.path()), [""; 0]);
}
