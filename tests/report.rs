//! `\report` and `EXPLAIN … FORMAT JSON`: the page of a query, and its JSON, have the numbers of its accounts.

use std::path::Path;

use serde_json::Value;

use crate::support::process::{Outcome, seequel};
use crate::support::{attributes, home};

/// A folder with some photos, a file that is cut off and one that is no image.
fn photos_and_others() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(home().join("photos")).unwrap() {
        let file = entry.unwrap().path();
        if file.is_file() {
            std::fs::copy(&file, folder.path().join(file.file_name().unwrap())).unwrap();
        }
    }
    let lion = std::fs::read(home().join("photos/lion.jpg")).unwrap();
    std::fs::write(folder.path().join("cut.jpg"), &lion[..lion.len() / 3]).unwrap();
    std::fs::write(folder.path().join("<b>.jpg"), "no image").unwrap();
    folder
}

fn run(folder: &Path, lines: &str) -> Outcome {
    std::fs::write(folder.join("report.sql"), lines).unwrap();
    Outcome::of(&mut seequel(folder, &["--format", "csv", "-q", "-f", "report.sql"]))
}

/// The numbers in a page.
fn numbers(html: &str) -> Value {
    let numbers = html.split_once("id=\"numbers\">").unwrap().1.split_once("</script>").unwrap().0;
    serde_json::from_str(numbers).unwrap()
}

fn sum<'a>(values: impl IntoIterator<Item = &'a Value>) -> f64 {
    values.into_iter().map(|value| value.as_f64().unwrap()).sum()
}

#[test]
fn a_page_has_the_numbers_of_the_accounts() {
    let folder = photos_and_others();
    let sql = "SELECT path, classify(image) AS p FROM read_images('*.jpg') WHERE path <> '<script>'";
    let said = run(folder.path(), &format!("\\report query.html {sql}\n")).stdout();
    assert!(said.starts_with("query.html: "), "{said}");
    let html = std::fs::read_to_string(folder.path().join("query.html")).unwrap();
    let numbers = numbers(&html);
    let (accounts, rows) = (&numbers["accounts"], numbers["rows"].as_u64().unwrap());
    assert_eq!(numbers["sql"], sql);

    // Two files have no prediction, and both say why.
    let model = &accounts["models"][0];
    assert_eq!(
        (model["name"].as_str(), model["rows"].as_u64()),
        (Some("efficientnet_lite0"), Some(rows - 2))
    );
    assert_eq!(accounts["query"]["failed_rows"], 2);
    let errors = numbers["errors"].as_array().unwrap();
    assert_eq!((errors.len(), sum(errors.iter().map(|error| &error["count"]))), (2, 2.0), "{errors:?}");
    assert!(errors.iter().any(|error| error["name"].as_str().unwrap().ends_with("cut.jpg")), "{errors:?}");

    // Every run is in the histogram, and the last sample is the account.
    let runs = numbers["run_times"][0]["runs"].as_array().unwrap();
    assert_eq!(sum(runs.iter().map(|run| &run[1])), model["batches"].as_f64().unwrap());
    let last = numbers["samples"].as_array().unwrap().last().unwrap();
    assert_eq!(last["rows"], accounts["stages"]["infer"]["rows"]);
    for (place, stage) in numbers["stages"].as_array().unwrap().iter().enumerate() {
        let account = &accounts["stages"][stage.as_str().unwrap()];
        assert_eq!(last["busy_seconds"][place], account["busy_seconds"], "{stage}");
    }
    let plan = numbers["plan"].as_array().unwrap();
    let infer = plan.iter().find(|operator| operator["line"].as_str().unwrap().starts_with("InferExec"));
    let infer = infer.unwrap();
    assert_eq!(infer["rows"], rows);
    let times = infer["seconds"].as_array().unwrap();
    let infer_time = times.iter().find(|time| time[0] == "infer_time").unwrap();
    assert!((sum([&infer_time[1]]) - sum([&accounts["stages"]["infer"]["busy_seconds"]])).abs() < 1e-6);

    // The charts are drawn from the same numbers.
    let charts = attributes(&html, "data-numbers");
    let [_, shares, stages, histogram] = charts.as_slice() else { panic!("{} charts", charts.len()) };
    for stage in stages.as_array().unwrap() {
        let account = &accounts["stages"][stage["stage"].as_str().unwrap()];
        let parts =
            ["busy_seconds", "input_wait_seconds", "room_wait_seconds"].map(|part| account[part].clone());
        assert_eq!(stage["seconds"], Value::from(parts.to_vec()));
    }
    assert_eq!(sum(histogram["runs"].as_array().unwrap()), model["batches"].as_f64().unwrap());
    assert!(shares.as_array().unwrap().iter().any(|stage| stage["stage"] == "infer"), "{shares}");

    let slowest = numbers["slowest_images"].as_array().unwrap();
    assert_eq!(slowest.len() as u64, rows.min(12));
    assert!(slowest.windows(2).all(|pair| pair[0]["seconds"].as_f64() >= pair[1]["seconds"].as_f64()));
    assert!(slowest[0]["name"].as_str().unwrap().ends_with(".jpg"), "{slowest:?}");
    let thumbnails = html.matches("<img src=\"data:image/jpeg;base64,").count();
    assert!(
        (slowest.len() - 2..=slowest.len()).contains(&thumbnails),
        "all but the damaged ones: {thumbnails}"
    );

    // Nothing is loaded, and nothing from outside is markup.
    assert!(!html.contains("https://") && html.matches("http://").count() == html.matches("<svg ").count());
    assert!(!html.contains("<b>") && html.contains("&lt;script&gt;"), "a name is markup");
}

#[test]
fn json_has_the_same_numbers_and_the_last_query_is_run_again() {
    let folder = photos_and_others();
    let lines = "\
        EXPLAIN ANALYZE SELECT image_info(image)['width'] AS w FROM read_images('lion.jpg');\n\
        \\report 'a query.json'\n\
        SELECT count(*) AS n FROM (VALUES (1), (2)) AS t (a);\n\
        \\report other.json\n";
    let said = run(folder.path(), lines).stdout();
    assert!(said.contains("a query.json: 1 row(s)") && said.contains("other.json: 1 row(s)"), "{said}");
    let read = |name: &str| {
        serde_json::from_slice::<Value>(&std::fs::read(folder.path().join(name)).unwrap()).unwrap()
    };
    let (first, second) = (read("a query.json"), read("other.json"));
    assert_eq!(first["sql"], "SELECT image_info(image)['width'] AS w FROM read_images('lion.jpg')");
    assert_eq!(first["accounts"]["stages"]["read"]["rows"], 1);
    assert_eq!(
        (&first["accounts"]["models"], &second["rows"]),
        (&Value::from(Vec::<Value>::new()), &1.into())
    );
}

/// What the statement, whose result is JSON, gives.
fn explained(folder: &Path, statement: &str) -> Value {
    let arguments = ["--format", "json", "-q", "-c", statement];
    let rows = Outcome::of(&mut seequel(folder, &arguments)).stdout();
    let rows: Vec<Value> = serde_json::from_str(&rows).unwrap();
    assert_eq!(rows.len(), 1, "{rows:?}");
    serde_json::from_str(rows[0]["plan"].as_str().unwrap()).unwrap()
}

#[test]
fn explain_analyze_in_json_has_the_numbers_of_the_run() {
    let folder = photos_and_others();
    let sql = "SELECT path, classify(image) AS p FROM read_images('*.jpg')";
    let count = run(folder.path(), "SELECT count(*) AS n FROM read_images('*.jpg')").stdout();
    let count: u64 = count.lines().nth(1).unwrap().parse().unwrap();
    for options in ["ANALYZE FORMAT JSON", "(ANALYZE, FORMAT JSON)"] {
        let numbers = explained(folder.path(), &format!("EXPLAIN {options} {sql}"));
        assert_eq!((&numbers["sql"], &numbers["rows"]), (&sql.into(), &count.into()));
        let model = &numbers["accounts"]["models"][0];
        assert_eq!(
            (&model["rows"], &numbers["accounts"]["query"]["failed_rows"]),
            (&(count - 2).into(), &2.into())
        );
        let runs = numbers["run_times"][0]["runs"].as_array().unwrap();
        assert_eq!(sum(runs.iter().map(|run| &run[1])), model["batches"].as_f64().unwrap());
        let plan = numbers["plan"].as_array().unwrap();
        let infer = plan.iter().find(|operator| operator["line"].as_str().unwrap().starts_with("InferExec"));
        assert_eq!(infer.unwrap()["rows"], count);

        // All that the report has.
        run(folder.path(), &format!("\\report query.json {sql}\n")).stdout();
        let report = std::fs::read(folder.path().join("query.json")).unwrap();
        let report: Value = serde_json::from_slice(&report).unwrap();
        let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(&numbers), keys(&report));
        assert_eq!(keys(&numbers["accounts"]), keys(&report["accounts"]));
    }
}

#[test]
fn explain_in_json_has_the_plan_and_runs_nothing() {
    let folder = photos_and_others();
    let plan = explained(folder.path(), "EXPLAIN FORMAT JSON SELECT classify(image) AS p FROM '*.jpg'");
    let operators = plan["plan"].as_array().unwrap();
    assert!(operators.iter().any(|operator| operator["line"].as_str().unwrap().starts_with("InferExec")));
    assert!(operators.iter().all(|operator| operator["seconds"] == Value::Array(vec![])), "{plan}");
    assert_eq!(plan.get("accounts"), None);

    // COPY runs with ANALYZE, and only then.
    let copy = "COPY (SELECT path FROM read_images('*.jpg')) TO 'paths.csv'";
    let file = folder.path().join("paths.csv");
    explained(folder.path(), &format!("EXPLAIN FORMAT JSON {copy}"));
    assert!(!file.exists());
    let numbers = explained(folder.path(), &format!("EXPLAIN ANALYZE FORMAT JSON {copy}"));
    let lines = std::fs::read_to_string(&file).unwrap().lines().count() as u64;
    assert_eq!(numbers["accounts"]["stages"]["write"]["rows"], lines - 1);
}

#[test]
fn errors_of_explain_in_json_are_those_of_the_query() {
    let folder = photos_and_others();
    let error = |sql: &str| Outcome::of(&mut seequel(folder.path(), &["-q", "-c", sql])).error();
    let missing = error("EXPLAIN ANALYZE FORMAT JSON SELECT * FROM missing");
    assert!(missing.contains("missing"), "{missing}");
    let failed = error(
        "SET inference.on_error = 'fail';
         EXPLAIN ANALYZE FORMAT JSON SELECT classify(image) FROM 'cut.jpg'",
    );
    assert!(failed.contains("cut.jpg"), "{failed}");
    let options = error("EXPLAIN ANALYZE VERBOSE FORMAT JSON SELECT 1");
    assert!(options.contains("no option but ANALYZE"), "{options}");
    let nested = error("EXPLAIN FORMAT JSON EXPLAIN SELECT 1");
    assert!(nested.contains("EXPLAIN takes no other EXPLAIN"), "{nested}");
}

#[test]
fn mistakes_are_found() {
    let folder = photos_and_others();
    let error = |line: &str| run(folder.path(), &format!("{line}\n")).error();
    assert!(error("\\report query.html").contains("there was no query yet"));
    assert!(error("\\report query.pdf SELECT 1").contains("\\report query.html, or query.json"));
    let missing = error("\\report query.html SELECT * FROM missing");
    assert!(missing.contains("table 'missing' not found") || missing.contains("missing"), "{missing}");
    assert!(error("\\report /nowhere/query.html SELECT 1").contains("/nowhere/query.html"));
    assert!(!folder.path().join("query.html").exists());
}
