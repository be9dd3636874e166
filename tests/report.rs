//! `\report`: the page of a query has the numbers of its accounts.

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
