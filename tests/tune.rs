//! `TUNE MODEL`, `SHOW TUNING` and `RESET TUNING`, in a home of their own. How fast a choice is, is not tested here.

use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::home;
use crate::support::process::{Outcome, seequel};

/// A home with the set-up's library and a model, as links: tunings are written there, and nowhere else.
fn home_with_model() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("models")).unwrap();
    for linked in ["lib", "models/efficientnet_lite0"] {
        symlink(home().join(linked), folder.path().join(linked)).unwrap();
    }
    folder
}

fn run(home: &Path, sql: &str) -> Outcome {
    Outcome::of(seequel(home, &["--format", "csv", "-q", "-c", sql]).env("SEEQUEL_HOME", home))
}

fn tune(options: &str) -> String {
    let photos = home().join("photos");
    format!(
        "TUNE MODEL efficientnet_lite0 USING (SELECT path, image FROM read_images('{}')) OPTIONS ({options})",
        photos.display()
    )
}

/// The values of a column of CSV.
fn column(csv: &str, name: &str) -> Vec<String> {
    let mut lines = csv.lines().map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>());
    let header = lines.next().unwrap();
    let position =
        header.iter().position(|column| column == name).unwrap_or_else(|| panic!("no {name} in {csv}"));
    lines.map(|line| line[position].clone()).collect()
}

/// How the model is sized, from a plan.
fn sizing(home: &Path) -> String {
    let query = format!("EXPLAIN SELECT classify(image) FROM read_images('{}')", home.join("lib").display());
    let plan = run(home, &query).stdout();
    let (_, sizing) = plan.split_once("{device=cpu, ").unwrap();
    sizing.split_once('}').unwrap().0.to_owned()
}

#[test]
fn tune_tries_configurations_and_keeps_the_best() {
    let home = home_with_model();
    let trials = run(home.path(), &tune("budget '3s'")).stdout();
    let outcomes = column(&trials, "outcome");
    assert_eq!(outcomes.iter().filter(|outcome| *outcome == "chosen").count(), 1, "{trials}");
    assert!(outcomes.len() > 6, "{trials}");
    let rates = column(&trials, "rows_per_second");
    assert!(rates[0].parse::<f64>().unwrap() > 1.0, "{trials}");

    let shown = run(home.path(), "SHOW TUNING").stdout();
    assert_eq!(column(&shown, "model"), ["efficientnet_lite0"]);
    assert_eq!(
        (column(&shown, "device"), column(&shown, "metric")),
        (vec!["cpu".into()], vec!["throughput".into()])
    );
    let chosen = outcomes.iter().position(|outcome| outcome == "chosen").unwrap();
    for size in ["batch_size", "concurrency", "num_cpus"] {
        assert_eq!(column(&shown, size)[0], column(&trials, size)[chosen], "{shown}{trials}");
    }
    // The trials can be queried, in another process too.
    let count =
        "SELECT count(*) AS n, count(rows_per_second) > 1 AS some FROM tuning_trials('efficientnet_lite0')";
    assert_eq!(run(home.path(), count).stdout(), format!("n,some\n{},true\n", outcomes.len()));
    assert_eq!(run(home.path(), "SELECT count(*) AS n FROM tuning_trials('other')").stdout(), "n\n0\n");
}

#[test]
fn auto_is_what_was_tuned_until_it_is_reset() {
    let home = home_with_model();
    let untuned = sizing(home.path());
    run(home.path(), &tune("budget '1s'")).stdout();
    // Whatever was fastest here, another choice is in the file now.
    let file = home.path().join("tuning.json");
    let mut tunings: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    tunings[0]["chosen"] = json!({"batch_size": 7, "concurrency": 3, "num_cpus": 1});
    std::fs::write(&file, tunings.to_string()).unwrap();
    assert_eq!(sizing(home.path()), "batch_size=7, concurrency=3, tuned");

    let model = home.path().join("models/efficientnet_lite0/model.onnx");
    let create = format!("CREATE MODEL m FROM '{}' OPTIONS (batch_size 2, labels '{{}}')", model.display());
    let labels = model.with_file_name("labels.txt").display().to_string();
    let sql = format!("{}; DESCRIBE MODEL m", create.replace("{}", &labels));
    let described = run(home.path(), &sql).stdout();
    assert!(described.contains("rows a batch,2,"), "an option overrides what was tuned\n{described}");

    let described = run(home.path(), "DESCRIBE MODEL efficientnet_lite0").stdout();
    assert!(described.contains("rows a batch,7,TUNE MODEL"), "{described}");
    run(home.path(), "RESET TUNING efficientnet_lite0").stdout();
    assert_eq!(sizing(home.path()), untuned);
    assert_eq!(run(home.path(), "SHOW TUNING").stdout().lines().count(), 1);

    let create = create.replace("{}", &labels);
    let ensemble = "CREATE MODEL both AS ENSEMBLE OF (efficientnet_lite0, m)";
    let sql = format!("{create}; {ensemble}; RESET TUNING; SELECT 'done' AS a");
    assert_eq!(run(home.path(), &sql).stdout(), "a\ndone\n", "an ensemble has no sizes of its own");
}

#[test]
fn batches_that_are_refused_bound_the_search() {
    let home = home_with_model();
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/models/picky.onnx");
    let photos = crate::support::photos();
    let sql = format!(
        "CREATE MODEL picky FROM '{model}';
         TUNE MODEL picky USING (SELECT image FROM read_images('{}')) OPTIONS (budget '5s')",
        photos.display()
    );
    let trials = run(home.path(), &sql).stdout;
    let batches = column(&trials, "batch_size");
    for (batch, outcome) in batches.iter().zip(column(&trials, "outcome")) {
        let is_out = outcome.starts_with("failed: ") || outcome.starts_with("not tried: ");
        assert!(batch.parse::<usize>().unwrap() <= 4 || is_out, "{trials}");
    }

    // The default is refused too, and there is nothing else to try.
    let options = "OPTIONS (batch_size 8, concurrency 1, num_cpus 1)";
    let refused = sql.replace(&format!("'{model}'"), &format!("'{model}' {options}"));
    let error = run(home.path(), &refused).error();
    assert!(error.contains("refuses every batch size that was tried"), "{error}");
    assert_eq!(run(home.path(), "SHOW TUNING").stdout().lines().count(), 2, "only the first is kept");
}

#[test]
fn mistakes_are_found_before_the_query_runs() {
    let home = home_with_model();
    let error = |sql: &str| run(home.path(), sql).error();
    assert!(error(&tune("budget 'soon'")).contains("option 'budget': 'soon' is no time"));
    assert!(error("TUNE MODEL missing USING (SELECT 1)").contains("no model 'missing'"));
    assert!(error("RESET TUNING missing").contains("no model 'missing'"));
    let rows = "TUNE MODEL efficientnet_lite0 USING (SELECT 1 AS a)";
    assert!(error(rows).contains("the query of USING has no column of images"), "{}", error(rows));
    assert!(error("SELECT * FROM tuning_trials(1)").contains("takes the name of a model"));
}
