//! `CREATE MODEL … AS QUANTIZED` with real models and photos, in a home of its own.

use std::collections::HashSet;
use std::os::unix::fs::symlink;
use std::path::Path;

use tempfile::TempDir;

use crate::support::home;
use crate::support::process::{Outcome, seequel};

/// A home with the set-up's library and these models, as links: twins are written there, and nowhere else.
fn home_with(models: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("models")).unwrap();
    symlink(home().join("lib"), folder.path().join("lib")).unwrap();
    for model in models {
        let found = ["models", "tests"].map(|place| home().join(place).join(model));
        let model_folder = found.iter().find(|folder| folder.is_dir()).unwrap();
        symlink(model_folder, folder.path().join("models").join(model)).unwrap();
    }
    folder
}

fn run(home: &Path, sql: &str) -> Outcome {
    Outcome::of(seequel(home, &["--format", "csv", "-q", "-c", sql]).env("SEEQUEL_HOME", home))
}

/// Crops of the set-up's photos: `count` of them.
fn images(count: usize) -> String {
    format!(
        "SELECT crop(image, x, y, x + 250, y + 250) AS image
         FROM read_images('{}'), (VALUES (0, 0), (20, 40), (60, 10)) AS corners (x, y)
         ORDER BY path, x LIMIT {count}",
        home().join("photos").display()
    )
}

/// The value of a line of `DESCRIBE MODEL`.
fn described(home: &Path, model: &str, setting: &str) -> String {
    let description = run(home, &format!("DESCRIBE MODEL {model}")).stdout();
    let line = description.lines().find(|line| line.starts_with(&format!("{setting},")));
    line.unwrap_or_else(|| panic!("no '{setting}' in\n{description}")).split_once(',').unwrap().1.to_owned()
}

/// The number at the start of a described value, which may be quoted.
fn number(value: &str) -> f64 {
    let number: String =
        value.trim_start_matches('"').chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    number.parse().unwrap_or_else(|_| panic!("no number in '{value}'"))
}

/// The number of weights in an ONNX file that are integers, by their names.
fn integer_weights(file: &Path) -> usize {
    let bytes = std::fs::read(file).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    let names = text.split("seequel_int8/").filter_map(|name| name.split_once("/weight_integers"));
    names.map(|(node, _)| node).filter(|node| node.len() < 64).collect::<HashSet<_>>().len()
}

#[test]
fn a_quantized_classifier_agrees_with_its_original_and_stays_installed() {
    let home = home_with(&["efficientnet_lite0"]);
    let path = home.path();
    let create = format!("CREATE MODEL twin AS QUANTIZED efficientnet_lite0 USING ({})", images(24));
    run(path, &format!("{create} OPTIONS (min_agreement 0.9)")).stdout();

    // In another process: the twin is installed, with the settings of its original.
    assert!(number(&described(path, "twin", "agreement")) >= 90.0);
    assert_eq!(described(path, "twin", "precision"), "int8,seequel.json");
    assert_eq!(
        described(path, "twin", "mean"),
        described(path, "efficientnet_lite0", "mean").replace("OPTIONS", "seequel.json")
    );
    let (size, all) = (described(path, "twin", "size"), described(path, "twin", "integer nodes"));
    assert!(number(&size) < 10.0 && size.contains("18.5 MB"), "{size}");
    assert!(number(&all) >= 10.0 && all.contains("of 50"), "{all}");

    let photos = super::support::photos();
    let compared = format!(
        "SELECT sum(CASE WHEN a['label'] = b['label'] THEN 1 ELSE 0 END) AS same, count(*) AS photos,
                median(cosine_similarity(x, y)) > 0.97 AS alike
         FROM (SELECT classify(image, 'efficientnet_lite0') AS a, classify(image, 'twin') AS b,
                      embed(image, 'efficientnet_lite0') AS x, embed(image, 'twin') AS y
               FROM read_images('{}'))",
        photos.display()
    );
    let compared = run(path, &compared).stdout();
    let row: Vec<_> = compared.lines().nth(1).unwrap().split(',').collect();
    assert!(number(row[0]) >= 16.0 && row[1] == "20" && row[2] == "true", "{compared}");

    let error = run(path, &create).error();
    assert!(error.contains("there is one of that name; CREATE OR REPLACE MODEL replaces it"), "{error}");
    run(path, &create.replace("CREATE MODEL", "CREATE MODEL IF NOT EXISTS")).stdout();
}

/// A detector with large layers, whose weights take long to round: one test for all of it.
#[test]
fn nodes_of_a_detector_are_left_in_float32_until_its_boxes_match() {
    let home = home_with(&["yolov3_tiny"]);
    let photos = super::support::home().join("tests/photos");
    let create = |name: &str, options: &str| {
        let create = format!(
            "CREATE MODEL {name} AS QUANTIZED yolov3_tiny
             USING (SELECT image FROM read_images('{}'), generate_series(1, 10) LIMIT 20) OPTIONS ({options})",
            photos.display()
        );
        run(home.path(), &create)
    };
    let nodes = |name: &str| {
        let nodes = number(&described(home.path(), name, "integer nodes"));
        // The file that is kept is the one that was judged.
        let file = home.path().join("models").join(name).join("model.onnx");
        assert_eq!(nodes, integer_weights(&file) as f64);
        nodes
    };
    create("twin", "min_agreement 0, exclude 'conv_1', calibration 'percentile', keep 'twin.onnx'").stdout();
    assert_eq!(nodes("twin"), 10.0);
    assert!(home.path().join("twin.onnx").is_file());
    let reached = number(&described(home.path(), "twin", "agreement"));
    assert!(reached >= 80.0, "{reached}");
    let found = run(
        home.path(),
        &format!(
            "SELECT count(*) FROM (SELECT unnest(detect(image, 'twin')) FROM read_images('{}'))",
            photos.display()
        ),
    );
    assert!(number(found.stdout().lines().nth(1).unwrap()) > 0.0);

    // More than that: with fewer nodes on integers, or an error if even these are not enough. Which of them depends on the
    // processor.
    let asked = (reached + 1.0).min(100.0);
    let best = create("best", &format!("min_agreement {}, per_channel 'false'", asked / 100.0));
    if best.status == Some(0) {
        assert!(nodes("best") < 11.0 || reached == 100.0);
        assert!(number(&described(home.path(), "best", "agreement")) >= asked - 0.1);
    } else {
        let error = best.error();
        assert!(error.contains("% of 10 images at best, however many nodes stay in float32"), "{error}");
    }
}

#[test]
fn products_of_a_transformer_need_no_calibration() {
    let home = home_with(&[]);
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/models/transformer.onnx");
    let run_both = |sql: &str| {
        let create = format!("CREATE MODEL transformer FROM '{model}' OPTIONS (task 'image-classification')");
        run(home.path(), &format!("{create}; {sql}"))
    };
    let options = "OPTIONS (calibration 'none', min_agreement 0.8, exclude 'block1.narrow')";
    let create = format!("CREATE MODEL twin AS QUANTIZED transformer USING ({}) {options}", images(40));
    assert_eq!(run_both(&create).status, Some(0));
    // Six products of each block, and the classifier, but for the one that is excluded; the convolution is no product.
    let nodes = described(home.path(), "twin", "integer nodes");
    assert!(nodes.starts_with("12 of 14 with weights"), "{nodes}");
    let same = format!(
        "SELECT sum(CASE WHEN a['class'] = b['class'] THEN 1 ELSE 0 END) >= 32 AS alike, count(*) AS images,
                max(abs(a['confidence'] - b['confidence'])) < 0.1 AS close
         FROM (SELECT classify(image, 'transformer') AS a, classify(image, 'twin') AS b FROM ({}))",
        images(40)
    );
    assert_eq!(run_both(&same).stdout.lines().last(), Some("true,40,true"));
}

#[test]
fn what_can_not_be_quantized_is_said() {
    let home = home_with(&["efficientnet_lite0"]);
    let numbers = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/models/iris.onnx");
    let create = |source: &str, images: &str, options: &str| {
        let sql = format!("CREATE MODEL twin AS QUANTIZED {source} USING ({images}) {options}");
        run(home.path(), &sql).error()
    };
    let photos = images(20);
    let twin = format!(
        "CREATE MODEL twin AS QUANTIZED efficientnet_lite0 USING ({photos}) OPTIONS (min_agreement 0);
         CREATE MODEL again AS QUANTIZED twin USING ({photos})"
    );
    let mut errors = vec![
        create("lite0", &photos, ""),
        create("efficientnet_lite0", "SELECT 1 AS one", ""),
        create("efficientnet_lite0", &images(5), ""),
        create("efficientnet_lite0", &photos, "OPTIONS (exclude 'stem', min_agreement 0)"),
        create("efficientnet_lite0", &photos, "OPTIONS (labels 'labels.txt')"),
        create("efficientnet_lite0", &photos, "OPTIONS (calibration 'best')"),
        create("efficientnet_lite0", &photos, "OPTIONS (calibration 'none', exclude 'logits')"),
        run(home.path(), &format!("CREATE MODEL \"a/b\" AS QUANTIZED efficientnet_lite0 USING ({photos})"))
            .error(),
        run(
            home.path(),
            &format!(
                "CREATE OR REPLACE MODEL efficientnet_lite0 AS QUANTIZED efficientnet_lite0 USING ({photos})"
            ),
        )
        .error(),
        run(
            home.path(),
            &format!(
                "CREATE MODEL iris FROM '{numbers}'; CREATE MODEL twin AS QUANTIZED iris USING ({photos})"
            ),
        )
        .error(),
    ];
    errors.push(run(home.path(), &twin).error());
    let first_lines = errors.iter().map(|error| error.lines().next().unwrap_or_default().to_owned());
    insta::assert_snapshot!(first_lines.collect::<Vec<_>>().join("\n"), @r"
    Error: there is no model 'lite0'; the models are 'efficientnet_lite0'; CREATE MODEL adds more
    Error: model 'twin': the query of USING has no column of images; SELECT image FROM images LIMIT 100
    Error: model 'twin': the query gives 5 images that can be decoded; at least 10 are needed, and 100 are better
    Error: model 'twin': option 'exclude': there is no node 'stem' in the simplified graph
    Error: model 'twin': option 'labels': a quantized model has the options calibration, exclude, keep, min_agreement, per_channel, and all others from its original
    Error: model 'twin': option 'calibration': 'best' is not one of mse, minmax, percentile, entropy, none
    Error: model 'twin': 'efficientnet_lite0' has no MatMul or Gemm with constant weights left, which is what calibration 'none' quantizes
    Error: model 'a/b': a quantized model is kept in a folder of its name; use letters, digits, '_', '-' and '.'
    Error: model 'efficientnet_lite0': a quantized model can't replace its original
    Error: model 'twin': 'iris' takes numbers; calibration runs models that take an image and nothing else
    Error: model 'again': 'twin' is quantized already: it has a node QuantizeLinear
    ");
    // Nothing is left of what failed.
    let left = std::fs::read_dir(home.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut left: Vec<_> = left.filter(|name| name != ".cache").collect();
    left.sort();
    assert_eq!(left, ["lib", "models"]);
}
