//! What a user does with the dashboard, and what others try.

use std::io::Read;

use libtest_mimic::Trial;
use tempfile::TempDir;

use crate::client::{Shell, endless_shell};
use crate::support::{Test, folder_of, home, home_with_model, photos, run, trials};

const LOCAL: &str = "127.0.0.1:0";

/// More than any machine classifies while a browser looks.
const PHOTOS: usize = 20_000;

const TESTS: [Test; 8] = [
    ("numbers_of_a_running_query_move_and_nothing_cancels_it", numbers_move),
    ("a_click_cancels_a_query", a_click_cancels),
    ("pages_without_the_token_and_of_others_are_refused", others_are_refused),
    ("names_statements_and_labels_stay_text", texts_stay_text),
    ("keys_lead_to_a_query_and_back", keys_lead_to_a_query_and_back),
    ("a_contact_sheet_has_pictures_boxes_and_filters", sheet_has_pictures),
    ("pages_are_accessible_in_light", || pages_are_accessible("light")),
    ("pages_are_accessible_in_dark", || pages_are_accessible("dark")),
];

pub(crate) fn suite() -> Vec<Trial> {
    trials(&TESTS)
}

/// The binary while it classifies photos for minutes, and their folder.
fn long_query(home: &TempDir, arguments: &[&str]) -> (Shell, TempDir) {
    let folder = folder_of(PHOTOS);
    let sql = format!(
        "COPY (SELECT path, classify(image)['label'] AS label FROM read_images('{}')) TO 'labels.parquet'",
        folder.path().display()
    );
    (Shell::open(home.path(), LOCAL, &[arguments, &["-c", &sql]].concat()), folder)
}

fn numbers_move() {
    let home = home_with_model();
    let (shell, _photos) = long_query(&home, &[]);
    run("moves", &shell.url, home.path(), &[]);
    shell.client.query("running");
}

fn a_click_cancels() {
    let home = home_with_model();
    let (mut shell, _photos) = long_query(&home, &["--dashboard-actions"]);
    run("cancels", &shell.url, home.path(), &[]);
    let mut message = String::new();
    shell.stderr.read_to_string(&mut message).unwrap();
    assert!(message.ends_with("Error: the query was cancelled\n"), "{message}");
}

fn others_are_refused() {
    let home = home_with_model();
    let shell = endless_shell(home.path(), "0.0.0.0:0", &["--dashboard-actions"]);
    run("refuses", &shell.url.replace("0.0.0.0", "127.0.0.1"), home.path(), &[]);
}

fn texts_stay_text() {
    let home = home_with_model();
    let folder = tempfile::tempdir().unwrap();
    let named = |name: &str| folder.path().join(name);
    std::fs::copy(photos().join("lion.jpg"), named("<img src=x onerror=hacked()>.jpg")).unwrap();
    std::fs::write(named("<script>hacked()<").with_extension("jpg"), "<script>hacked()</script>").unwrap();
    let labels = (0..1000).map(|class| format!("<script>hacked({class})</script>\n")).collect::<String>();
    std::fs::write(named("labels.txt"), labels).unwrap();
    let create = format!(
        "CREATE MODEL \"<img src=x onerror=hacked()>\" FROM '{}' OPTIONS (labels '{}')",
        home.path().join("models/efficientnet_lite0/model.onnx").display(),
        named("labels.txt").display()
    );
    let select = format!(
        "SELECT path, classify(image, '<img src=x onerror=hacked()>')['label'] AS \"<script>hacked()</script>\", \
         '<img src=x onerror=hacked()>' AS text FROM read_images('{}/*.jpg')",
        folder.path().display()
    );
    let shell = endless_shell(home.path(), LOCAL, &["-c", &create, &select]);
    shell.client.query("finished");
    run("texts", &shell.url, home.path(), &[]);
}

fn keys_lead_to_a_query_and_back() {
    let home = home_with_model();
    let select = format!(
        "SELECT path, classify(image)['label'] AS label FROM read_images('{}/*.jpg')",
        photos().display()
    );
    let shell = endless_shell(home.path(), LOCAL, &["-c", &select]);
    shell.client.query("finished");
    shell.client.query("running");
    run("keys", &shell.url, home.path(), &[]);
}

fn sheet_has_pictures() {
    let own = home_with_model();
    let folder = tempfile::tempdir().unwrap();
    for name in ["both.png", "horses.jpg"] {
        std::fs::copy(home().join("tests/photos").join(name), folder.path().join(name)).unwrap();
    }
    std::fs::write(folder.path().join("broken.jpg"), "no image").unwrap();
    let create =
        format!("CREATE MODEL detector FROM '{}'", home().join("tests/yolov3_tiny/model.onnx").display());
    let select = format!(
        "SELECT path, detect(image, 'detector') AS found FROM read_images('{}')",
        folder.path().display()
    );
    let shell = endless_shell(own.path(), LOCAL, &["-c", &create, &select]);
    shell.client.query("finished");
    run("sheet", &shell.url, own.path(), &[]);
}

fn pages_are_accessible(scheme: &str) {
    let home = crate::looks::home_with_history();
    let shell = endless_shell(home.path(), LOCAL, &["--dashboard-actions"]);
    shell.client.query("running");
    run("accessible", &shell.url, home.path(), &[("SCHEME", scheme)]);
}
