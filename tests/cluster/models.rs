//! Models reach executors that have no file of them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use seequel::Engine;
use tempfile::TempDir;

use super::processes::Cluster;
use super::queries::rows;
use super::{alone, on};
use crate::support::{folder_of, home};

/// The folder that a process runs in: a client's has the model, an executor's has not.
pub(super) const HERE: &str = "/proc/self/cwd";

/// A home with the set-up's library and no model.
pub(super) fn home_without_models() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    symlink(home().join("lib"), folder.path().join("lib")).unwrap();
    folder
}

/// The files of models that an executor has fetched, with what is left of any other attempt.
pub(super) fn fetched(home: &Path) -> Vec<PathBuf> {
    let folders = fs::read_dir(home.join("models/by-digest")).into_iter().flatten().flatten();
    let files = folders.flat_map(|folder| fs::read_dir(folder.path()).unwrap().flatten());
    files.map(|file| file.path()).collect()
}

/// A folder of photos, and the folder `mine` in it, of a model.
pub(super) fn photos_and_model() -> (TempDir, PathBuf) {
    let photos = folder_of(60);
    let model = photos.path().join("mine");
    fs::create_dir(&model).unwrap();
    for file in ["model.onnx", "labels.txt", "seequel.json"] {
        fs::copy(home().join("models/efficientnet_lite0").join(file), model.join(file)).unwrap();
    }
    (photos, model)
}

#[test]
fn a_model_that_only_the_client_has_is_fetched_once() {
    let homes = [home_without_models(), home_without_models()];
    let cluster = Cluster::start_in(&homes.each_ref().map(|home| home.path().to_owned()), &[], &[]);
    let (photos, model) = photos_and_model();
    let sql = format!(
        "CREATE MODEL mine FROM '{HERE}/mine';
         SELECT name, classify(image, 'mine')['label'] FROM read_images('.') ORDER BY name"
    );
    let expected = alone(photos.path(), &sql).stdout();
    assert_eq!(on(&cluster, photos.path(), &sql).stdout(), expected, "{}", cluster.logs());
    let content = fs::read(model.join("model.onnx")).unwrap();
    let changed = homes.each_ref().map(|home| {
        let files = fetched(home.path());
        assert_eq!(files.len(), 1, "{files:?}\n{}", cluster.logs());
        assert!(fs::read(&files[0]).unwrap() == content);
        fs::metadata(&files[0]).unwrap().modified().unwrap()
    });
    // Another query uses what has come.
    assert_eq!(on(&cluster, photos.path(), &sql).stdout(), expected, "{}", cluster.logs());
    let again =
        homes.each_ref().map(|home| fs::metadata(&fetched(home.path())[0]).unwrap().modified().unwrap());
    assert_eq!(again, changed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_whose_file_has_changed_fails_by_its_name() {
    let executor = home_without_models();
    let cluster = Cluster::start_in(&[executor.path().to_owned()], &[], &[]);
    let photos = folder_of(4);
    let file = photos.path().join("model.onnx");
    fs::copy(home().join("models/efficientnet_lite0/model.onnx"), &file).unwrap();
    let client = Engine::builder().home(home()).cluster(cluster.url.parse().unwrap()).build().unwrap();
    client.sql(&format!("CREATE MODEL mine FROM '{}'", file.display())).await.unwrap();
    fs::write(&file, "another model").unwrap();
    let sql = format!("SELECT classify(image, 'mine') FROM read_images('{}')", photos.path().display());
    let error = rows(&client, &sql).await.unwrap_err();
    assert!(error.contains("model 'mine': this executor has no file with its digest"), "{error}");
    assert!(error.contains("what came has digest"), "{error}");
    assert_eq!(fetched(executor.path()), Vec::<PathBuf>::new());
}

/// Two models of the same file, whose weights beside it differ.
#[test]
fn weights_beside_a_model_come_with_it() {
    let executor = home_without_models();
    let cluster = Cluster::start_in(&[executor.path().to_owned()], &[], &[]);
    let folder = folder_of(1);
    let model = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/models/external.onnx"));
    let mut sql = String::new();
    for (name, weights) in [("one", [1.0_f32, 2.0, 3.0]), ("other", [10.0, 20.0, 30.0])] {
        let own = folder.path().join(name);
        fs::create_dir(&own).unwrap();
        fs::copy(model, own.join("model.onnx")).unwrap();
        let weights: Vec<u8> = weights.iter().flat_map(|weight| weight.to_le_bytes()).collect();
        fs::write(own.join("external.bin"), weights).unwrap();
        sql += &format!("CREATE MODEL {name} FROM '{HERE}/{name}/model.onnx';\n");
    }
    fs::write(folder.path().join("rows.csv"), "a\n0.5\n7\n").unwrap();
    sql += "SELECT predict('one', [a, a, a]) AS one, predict('other', [a, a, a]) AS other FROM 'rows.csv' ORDER BY a";
    let expected = alone(folder.path(), &sql).stdout();
    assert_eq!(on(&cluster, folder.path(), &sql).stdout(), expected, "{}", cluster.logs());
    assert_eq!(fetched(executor.path()).len(), 4);
}
