//! The names of columns in results and files.

use crate::support::process::{run, run_in};

fn header(sql: &str) -> String {
    run(&["-q", "--format", "csv", "-c", sql]).stdout().lines().next().unwrap().to_owned()
}

#[test]
fn expressions_are_named_as_they_are_written() {
    for (items, expected) in [
        ("path, classify(image)['label']", "path,classify(image)['label']"),
        ("classify(image).label", "classify(image).label"),
        ("upper(i.name), i.size, 2 * i.size", "upper(name),size,2 * size"),
        ("COUNT(*), max(I.size)", "count(*),max(size)"),
        ("CAST(size AS DOUBLE), 'x', 1", "size,'x',1"),
    ] {
        assert_eq!(header(&format!("SELECT {items} FROM 'photos/lion.jpg' AS i")), expected, "{items}");
    }
}

#[test]
fn columns_that_would_be_alike_keep_their_qualifiers() {
    let from = "(SELECT 1 AS x) AS a, (SELECT 2 AS x) AS b";
    let sql = format!("SELECT a.x + 1, b.x + 1, a.x - b.x FROM {from}");
    assert_eq!(header(&sql), "a.x + Int64(1),b.x + Int64(1),x - x");
}

#[test]
fn files_and_tables_have_the_same_names() {
    let folder = tempfile::tempdir().unwrap();
    let query = "SELECT t.a + 1, *, upper(t.b) FROM (SELECT 1 AS a, 'x' AS b) AS t ORDER BY t.a + 1";
    for file in ["out.csv", "out.parquet"] {
        let copy = format!("COPY ({query}) TO '{file}'");
        let read = format!("SELECT * FROM '{file}'");
        let output = run_in(folder.path(), &["-q", "--format", "csv", "-c", &copy, &read]).stdout();
        assert_eq!(output, "count\n1\na + 1,a,b,upper(b)\n2,1,x,X\n", "{file}");
    }
    let create = format!("CREATE TABLE c AS {query}");
    let output = run_in(folder.path(), &["-q", "--format", "csv", "-c", &create, "SELECT * FROM c"]).stdout();
    assert_eq!(output, "a + 1,a,b,upper(b)\n2,1,x,X\n");
}

#[test]
fn plans_are_those_of_datafusion() {
    let output =
        run(&["-q", "--format", "csv", "-c", "EXPLAIN SELECT t.a + 1 FROM (SELECT 1 AS a) AS t"]).stdout();
    assert!(output.contains("Projection: t.a + Int64(1)"), "{output}");
}
