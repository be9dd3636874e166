//! `TUNE MODEL`, `SHOW TUNING` and `RESET TUNING`, in a home of their own. How fast a choice is, is not tested here.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::process::{Outcome, seequel};
use crate::support::{home, home_with_model};

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

/// How `model` runs, from a plan.
fn placed(home: &Path, model: &str) -> String {
    let query = format!(
        "EXPLAIN SELECT classify(image, '{model}') FROM read_images('{}')",
        home.join("lib").display()
    );
    let plan = run(home, &query).stdout();
    plan.split_once(" {device=").unwrap().1.split_once('}').unwrap().0.to_owned()
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
    tunings[0]["chosen"] =
        json!({"batch_size": 7, "concurrency": 3, "num_cpus": 1, "device": "cpu", "precision": "f32"});
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
fn morsels_are_tried_for_the_best_and_used_by_auto() {
    let home = home_with_model();
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/models/shares.onnx");
    // What options give is not tried, so that most of the budget is left for morsels.
    let sql = format!(
        "CREATE MODEL m FROM '{model}' OPTIONS (batch_size 1, concurrency 2, num_cpus 1);
         TUNE MODEL m USING (SELECT resize(image, 8, 8) AS image FROM read_images('{}')) OPTIONS (budget '12s')",
        crate::support::photos().display()
    );
    let trials = run(home.path(), &sql).stdout();
    let [morsels, rates, outcomes] =
        ["morsel_rows", "rows_per_second", "outcome"].map(|name| column(&trials, name));
    let mut sorted = morsels.clone();
    sorted.sort();
    assert_eq!(sorted, ["", "16", "4"], "{trials}");
    assert!(rates.iter().all(|rate| rate.parse::<f64>().is_ok()), "{trials}");
    let chosen = outcomes.iter().position(|outcome| outcome == "chosen").unwrap();
    let shown = run(home.path(), "SHOW TUNING").stdout();
    assert_eq!(column(&shown, "morsel_rows")[0], morsels[chosen], "{shown}{trials}");

    // Whatever was fastest here, another morsel is in the file now; an earlier version wrote none.
    let file = home.path().join("tuning.json");
    let mut tunings: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let sql = format!(
        "CREATE MODEL open FROM '{model}'; EXPLAIN SELECT classify(image, 'open') FROM read_images('{}')",
        home.path().join("lib").display()
    );
    tunings[0]["chosen"] =
        json!({"batch_size": 4, "concurrency": 2, "num_cpus": 1, "device": "cpu", "precision": "f32"});
    for planned in [8, 40] {
        std::fs::write(&file, tunings.to_string()).unwrap();
        let plan = run(home.path(), &sql).stdout();
        let planned = format!("morsel_rows={planned}");
        assert!(plan.contains("batch_size=4, concurrency=2, tuned") && plan.contains(&planned), "{plan}");
        tunings[0]["chosen"]["morsel_rows"] = json!(40);
    }
}

#[test]
fn devices_and_precisions_are_tried_and_only_used_where_they_are_left_open() {
    let home = home_with_model();
    let (path, photos) = (home.path(), crate::support::photos());
    let asked = "devices 'cpu,openvino', precisions 'f32,int8,bf16'";
    let without = run(path, &tune(&format!("budget '1s', {asked}"))).stdout();
    assert!(
        without.contains("CREATE MODEL efficientnet_lite0_int8 AS QUANTIZED efficientnet_lite0"),
        "{without}"
    );

    let crops = format!(
        "SELECT crop(image, 0, 0, x, x) AS image FROM read_images('{}'), (VALUES (240), (200)) AS sides (x)",
        photos.display()
    );
    let create = format!(
        "CREATE MODEL twin AS QUANTIZED efficientnet_lite0 USING ({crops}) OPTIONS (min_agreement 0)"
    );
    run(path, &create).stdout();
    let trials = run(path, &tune(&format!("budget '4s', min_agreement 0, {asked}"))).stdout();
    let columns = ["device", "precision", "agreement", "rows_per_second", "outcome"];
    let [devices, precisions, agreements, rates, outcomes] = columns.map(|name| column(&trials, name));
    for row in 0..devices.len() {
        let is_here = devices[row] == "cpu" && precisions[row] != "bf16";
        assert_eq!(is_here, !agreements[row].is_empty(), "{trials}");
        let agreement = agreements[row].parse::<f64>().unwrap_or(0.0);
        assert!(precisions[row] != "f32" || !is_here || agreement == 1.0, "{trials}");
        let reason = if devices[row] == "cpu" {
            "'bf16' is not supported by cpu"
        } else {
            "'openvino' is not available"
        };
        assert!(is_here || rates[row].is_empty() && outcomes[row].contains(reason), "{trials}");
    }
    assert!(precisions.iter().zip(&rates).any(|(precision, rate)| precision == "int8" && !rate.is_empty()));
    let shown = run(path, "SHOW TUNING").stdout();
    assert_eq!(column(&shown, "for_precision"), ["f32", "auto"], "{shown}");

    // Whatever was fastest here, the twin was.
    let file = path.join("tuning.json");
    let mut tunings: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let (twin, agreement) = (path.join("models/twin/model.onnx"), 0.95);
    let sha256 = run(path, "DESCRIBE MODEL twin").stdout();
    let sha256 =
        sha256.lines().find_map(|line| line.strip_prefix("sha256,")).unwrap().split(',').next().unwrap();
    for (number, precision) in [(0, "f32"), (1, "int8")] {
        tunings[number]["chosen"] = json!({
            "batch_size": 3, "concurrency": 2, "num_cpus": 1, "device": "cpu", "precision": precision
        });
    }
    (tunings[1]["twin"], tunings[1]["agreement"]) =
        (json!({"name": "twin", "file": twin, "sha256": sha256}), json!(agreement));
    std::fs::write(&file, tunings.to_string()).unwrap();
    let model = path.join("models/efficientnet_lite0");
    let create = |name: &str, options: &str| {
        format!(
            "CREATE MODEL {name} FROM '{}' OPTIONS (labels '{}', mean '127', std '128', rescale '1'{options});",
            model.join("model.onnx").display(),
            model.join("labels.txt").display()
        )
    };
    let auto = create("open", ", precision 'auto'");
    assert_eq!(placed(path, "efficientnet_lite0"), "cpu, batch_size=3, concurrency=2, tuned");
    let query = format!(
        "{auto} {} EXPLAIN SELECT classify(image, 'open') FROM read_images('{}')",
        create("plain", ""),
        photos.display()
    );
    let plan = run(path, &query).stdout();
    assert!(plan.contains("{device=cpu, precision=int8, batch_size=3, concurrency=2, tuned}"), "{plan}");
    let described = run(path, &format!("{auto} DESCRIBE MODEL open")).stdout();
    assert!(
        described.contains("computes in,\"int8, by 'twin', agreement 95.0 %, measured\",TUNE MODEL"),
        "{described}"
    );

    // The twin's graph computes, the other model does as without TUNE.
    let compared = format!(
        "{auto} {} SELECT bool_and(classify(image, 'open')['confidence'] = classify(image, 'twin')['confidence']) AS twin,
           bool_or(classify(image, 'open')['confidence'] <> classify(image, 'plain')['confidence']) AS other
         FROM read_images('{}') WHERE classify(image, 'twin')['error'] IS NULL",
        create("plain", ""),
        photos.display()
    );
    assert_eq!(run(path, &compared).stdout(), "twin,other\ntrue,true\n");

    // A twin that has changed since is not what was measured.
    tunings[1]["twin"]["sha256"] = json!("0".repeat(64));
    std::fs::write(&file, tunings.to_string()).unwrap();
    let Outcome { stdout: plan, stderr, .. } = run(path, &query);
    assert!(plan.contains("{device=cpu, batch_size=3, concurrency=2, tuned}"), "{plan}");
    assert!(stderr.contains("TUNE chose 'twin' for 'open', but"), "{stderr}");
}

#[test]
fn what_disagrees_is_never_chosen() {
    let home = home_with_model();
    let (source, twin) = (home.path().join("models/source"), home.path().join("models/twin"));
    let shares = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/models/shares.onnx");
    let bytes = std::fs::read(shares).unwrap();
    // As if quantization had changed the class of every image: two logits change places.
    let logits = [0.75_f32, 0.2].map(|share| share.ln().to_le_bytes());
    let place = |logit: &[u8]| bytes.windows(4).position(|window| window == logit).unwrap();
    let (first, second) = (place(&logits[0]), place(&logits[1]));
    let mut changed = bytes.clone();
    changed[first..first + 4].copy_from_slice(&logits[1]);
    changed[second..second + 4].copy_from_slice(&logits[0]);
    for (folder, bytes) in [(&source, &bytes), (&twin, &changed)] {
        std::fs::create_dir(folder).unwrap();
        std::fs::write(folder.join("model.onnx"), bytes).unwrap();
        std::fs::write(folder.join("seequel.json"), r#"{"task": "image-classification"}"#).unwrap();
    }
    let described = run(home.path(), "DESCRIBE MODEL source").stdout();
    let sha256 = described.lines().find_map(|line| line.strip_prefix("sha256,")).unwrap().split(',').next();
    std::fs::write(twin.join("quantized.json"), json!({"source_sha256": sha256}).to_string()).unwrap();

    let tune = tune("budget '4s', precisions 'f32,int8'").replace("efficientnet_lite0", "source");
    let trials = run(home.path(), &tune).stdout();
    let [precisions, agreements, rates, outcomes] =
        ["precision", "agreement", "rows_per_second", "outcome"].map(|name| column(&trials, name));
    assert!(precisions.len() > 2, "{trials}");
    let disagrees: Vec<_> = (0..precisions.len()).filter(|row| precisions[*row] == "int8").collect();
    assert_eq!(disagrees.len(), 1, "one shows what it would gain\n{trials}");
    let row = disagrees[0];
    assert_eq!(outcomes[row], "agreement 0.0 % is below min_agreement 98.0 %");
    assert_eq!((agreements[row].as_str(), rates[row].is_empty()), ("0.0", false), "{trials}");
    let shown = run(home.path(), "SHOW TUNING").stdout();
    assert!(column(&shown, "precision").iter().all(|precision| precision == "f32"), "{shown}");
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

/// The memory that this model takes grows with the batch beyond what any machine has; a run of it takes the same time for
/// any batch, so that the largest batch is the fastest.
#[test]
fn the_largest_batch_that_memory_suffices_for_is_found() {
    let home = home_with_model();
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/models/hungry.onnx");
    let sql = format!(
        "CREATE MODEL hungry FROM '{model}' OPTIONS (concurrency 1, num_cpus 1);
         TUNE MODEL hungry USING (SELECT resize(image, 8, 8) AS image FROM read_images('{}')) OPTIONS (budget '8s')",
        crate::support::photos().display()
    );
    let trials = run(home.path(), &sql).stdout;
    let [batches, rates, outcomes] =
        ["batch_size", "rows_per_second", "outcome"].map(|name| column(&trials, name));
    let of = |batch: &str| batches.iter().position(|other| other == batch).unwrap();
    assert!(!rates[of("4")].is_empty() && !outcomes[of("4")].starts_with("failed"), "{trials}");
    assert_eq!(outcomes[of("8")], "failed: the device refuses batches of this size", "{trials}");
    assert_eq!(outcomes[of("16")], "failed: a smaller batch was refused", "{trials}");
    let chosen = outcomes.iter().position(|outcome| outcome == "chosen").unwrap();
    assert!(batches[chosen].parse::<usize>().unwrap() <= 4, "{trials}");
}

#[test]
fn a_report_shows_the_numbers_of_the_trials() {
    let home = home_with_model();
    let file = home.path().join("tuning.html");
    run(home.path(), &tune(&format!("budget '3s', precisions 'f32,bf16', report '{}'", file.display())))
        .stdout();
    let html = std::fs::read_to_string(&file).unwrap();
    assert!(html.contains("<h1>TUNE MODEL efficientnet_lite0</h1>"), "{html}");
    assert!(!html.contains("https://") && html.matches("http://").count() == html.matches("<svg ").count());
    assert!(html.contains("bf16&#39; is not supported by cpu"), "what can't be tried is in the table");

    let sql = "SELECT * FROM tuning_trials('efficientnet_lite0')";
    let command = seequel(home.path(), &["--format", "json", "-q", "-c", sql])
        .env("SEEQUEL_HOME", home.path())
        .output();
    let rows: Vec<Value> = serde_json::from_slice(&command.unwrap().stdout).unwrap();
    let numbers = html.split_once("id=\"numbers\">").unwrap().1.split_once("</script>").unwrap().0;
    assert_eq!(serde_json::from_str::<Value>(numbers).unwrap()["trials"], json!(rows));

    let charts = crate::support::attributes(&html, "data-numbers");
    // The table rounds to hundredths, the charts do not.
    let is_near = |row: &Value, drawn: &Value| {
        let [row, drawn] = [row, drawn].map(|number| number.as_f64().unwrap());
        (row - drawn).abs() < 0.01
    };
    let mut points = 0;
    for line in charts[0]["lines"].as_array().unwrap() {
        for point in line["points"].as_array().unwrap() {
            let row = rows.iter().find(|row| {
                row["batch_size"] == point[0]
                    && row["concurrency"] == line["concurrency"]
                    && row["num_cpus"] == line["num_cpus"]
                    && row["morsel_rows"].is_null()
            });
            for (name, drawn) in [("rows_per_second", 1), ("low", 2), ("high", 3)] {
                assert!(is_near(&row.unwrap()[name], &point[drawn]), "{name}: {row:?}, {point}");
            }
            points += 1;
        }
    }
    let measured: Vec<_> = rows.iter().filter(|row| !row["rows_per_second"].is_null()).collect();
    assert_eq!(points, measured.iter().filter(|row| row["morsel_rows"].is_null()).count());
    let [bars, latencies] = [&charts[1], &charts[2]].map(|chart| chart.as_array().unwrap());
    assert_eq!((bars.len(), latencies.len()), (measured.len(), measured.len()));
    for ((row, bar), latency) in measured.iter().zip(bars).zip(latencies) {
        assert!(is_near(&row["rows_per_second"], &bar["rate"][0]), "{row}, {bar}");
        for name in ["p50_ms", "p95_ms"] {
            assert!(is_near(&row[name], &latency[name]), "{name}: {row}, {latency}");
        }
    }
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
    assert!(error(&tune("devices 'gpu 0'")).contains("option 'devices': 'gpu 0' is not a device"));
    assert!(error(&tune("report 'tuning.txt'")).contains("'tuning.txt' is no HTML file"));
    assert!(error(&tune("min_agreement 98")).contains("'98' is not a share from 0 to 1"));
    assert!(error("SELECT * FROM tuning_trials(1)").contains("takes the name of a model"));
}
