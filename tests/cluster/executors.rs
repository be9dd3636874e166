//! The executors of a cluster, and the models that they have loaded.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::jobs::{Listed, PATIENCE, list};
use super::on;
use super::processes::Cluster;
use crate::support::folder_of;

/// The rows of a list, once they `are` so.
pub(super) fn wait_for(
    cluster: &Cluster,
    folder: &Path,
    sql: &str,
    are: impl Fn(&[Listed]) -> bool,
) -> Vec<Listed> {
    let end = Instant::now() + PATIENCE;
    loop {
        let listed = list(cluster, folder, sql);
        if are(&listed) {
            return listed;
        }
        let listed: Vec<_> = listed.into_iter().map(|row| row.0).collect();
        assert!(Instant::now() < end, "{listed:?}\n{}", cluster.logs());
        thread::sleep(Duration::from_millis(200));
    }
}

/// The executors that have loaded a model.
pub(super) fn executors<'a>(models: &'a [Listed], name: &str) -> Vec<&'a Value> {
    let named = models.iter().filter(|model| model.text("name") == name);
    named.flat_map(|model| model.0["executors"].as_array().into_iter().flatten()).collect()
}

#[test]
fn executors_are_listed_with_the_models_that_they_have_loaded() {
    let (mut cluster, folder) = (Cluster::start(2), folder_of(400));
    let listed = wait_for(&cluster, folder.path(), "SHOW EXECUTORS", |listed| {
        listed.len() == 2 && listed.iter().all(|executor| executor.0["tasks"] == 0)
    });
    for executor in &listed {
        assert_eq!((executor.number("cores"), executor.text("models")), (1, ""));
        assert!(executor.text("address").starts_with("127.0.0.1:"), "{:?}", executor.0);
        assert!(!executor.text("last_seen").is_empty());
    }
    let models = list(&cluster, folder.path(), "SHOW MODELS");
    assert_eq!(executors(&models, "efficientnet_lite0"), Vec::<&Value>::new());

    on(&cluster, folder.path(), "SELECT count(classify(image)) FROM read_images('.')").stdout();
    let models = wait_for(&cluster, folder.path(), "SHOW MODELS", |models| {
        executors(models, "efficientnet_lite0").len() == 2
    });
    let mut addresses = vec![];
    for executor in executors(&models, "efficientnet_lite0") {
        assert_eq!((&executor["sessions"], &executor["device"]), (&Value::from(1), &Value::from("cpu")));
        assert_eq!(executor["digest"].as_str().map(str::len), Some(64));
        assert!(!executor["since"].as_str().unwrap().is_empty());
        addresses.push(executor["executor"].as_str().unwrap().to_owned());
    }
    let listed = list(&cluster, folder.path(), "SHOW EXECUTORS");
    assert_eq!(listed.iter().map(|executor| executor.text("address")).collect::<Vec<_>>(), addresses);
    assert!(listed.iter().all(|executor| executor.text("models") == "efficientnet_lite0"));

    cluster.kill_executor(0);
    let left = wait_for(&cluster, folder.path(), "SHOW EXECUTORS", |listed| listed.len() == 1);
    let models = list(&cluster, folder.path(), "SHOW MODELS");
    let on = executors(&models, "efficientnet_lite0");
    assert_eq!(
        on.iter().map(|on| on["executor"].as_str().unwrap()).collect::<Vec<_>>(),
        [left[0].text("address")]
    );
}

#[test]
fn models_of_other_clients_are_listed_by_their_names_there() {
    let (cluster, folder) = (Cluster::start(1), folder_of(1));
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/models/external.onnx");
    std::fs::copy(model, folder.path().join("model.onnx")).unwrap();
    let weights: Vec<u8> = [1.0_f32, 2.0, 3.0].iter().flat_map(|weight| weight.to_le_bytes()).collect();
    std::fs::write(folder.path().join("external.bin"), weights).unwrap();
    std::fs::write(folder.path().join("rows.csv"), "a\n0.5\n7\n").unwrap();
    let sql = format!(
        "CREATE MODEL theirs FROM '{}'; SELECT predict('theirs', [a, a, a]) AS p FROM 'rows.csv'",
        folder.path().join("model.onnx").display()
    );
    on(&cluster, folder.path(), &sql).stdout();
    let models =
        wait_for(&cluster, folder.path(), "SHOW MODELS", |models| executors(models, "theirs").len() == 1);
    let theirs = models.iter().find(|model| model.text("name") == "theirs").unwrap();
    assert!(theirs.0.get("file").is_none_or(Value::is_null), "{:?}", theirs.0);
}
