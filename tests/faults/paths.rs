//! What untrusted archives and models name: paths outside their folders, and libraries to load.

use std::fs::{self, File};
use std::os::unix::fs::symlink;

use super::{create, csv};
use crate::support::{folder_of, home, photos};

#[test]
fn members_of_a_tar_that_are_links_are_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(photos().join("lion.jpg"), folder.path().join("secret.jpg")).unwrap();
    let mut shard = tar::Builder::new(File::create(folder.path().join("a.tar")).unwrap());
    for (name, kind) in [("1.jpg", tar::EntryType::Symlink), ("2.jpg", tar::EntryType::Link)] {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(0);
        shard.append_link(&mut header, name, folder.path().join("secret.jpg")).unwrap();
    }
    shard.append_path_with_name(photos().join("lion.jpg"), "3.jpg").unwrap();
    shard.into_inner().unwrap();
    let sql = "CREATE EXTERNAL TABLE t STORED AS WEBDATASET LOCATION 'a.tar'; SELECT name FROM t";
    assert_eq!(csv(folder.path(), sql).stdout(), "name\n3\n");
}

/// A link is part of the tree that whoever names the folder has made.
#[test]
fn links_in_a_folder_are_followed_wherever_they_lead_and_patterns_match_no_parent() {
    let (folder, elsewhere) = (folder_of(1), folder_of(2));
    fs::create_dir(folder.path().join("in")).unwrap();
    fs::rename(folder.path().join("0000.jpg"), folder.path().join("in/own.jpg")).unwrap();
    symlink(elsewhere.path(), folder.path().join("in/linked")).unwrap();
    fs::write(folder.path().join("outside.jpg"), "").unwrap();
    let names = |location: &str| {
        let sql =
            format!("SELECT string_agg(name, ' ' ORDER BY name) AS names FROM read_images('{location}')");
        csv(folder.path(), &sql).stdout()
    };
    for location in ["in", "in/**", "in/**/*.jpg", "in/{own.jpg,**/*}"] {
        assert_eq!(names(location), "names\n0000.jpg 0001.jpg own.jpg\n", "{location}");
    }
    assert_eq!(names("in/*"), "names\nown.jpg\n");
}

#[test]
fn files_of_a_model_name_only_files_of_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("m")).unwrap();
    symlink(home().join("models/efficientnet_lite0/model.onnx"), folder.path().join("m/model.onnx")).unwrap();
    let labels = fs::read(home().join("models/efficientnet_lite0/labels.txt")).unwrap();
    fs::write(folder.path().join("labels.txt"), labels).unwrap();
    let absolute = folder.path().join("labels.txt").display().to_string();
    for place in ["../labels.txt", absolute.as_str()] {
        let settings = serde_json::json!({ "labels": place }).to_string();
        fs::write(folder.path().join("m/seequel.json"), settings).unwrap();
        assert_eq!(
            csv(folder.path(), "CREATE MODEL m FROM 'm'").error_line(),
            format!(
                "Error: model 'm': option 'labels': the file '{place}' is outside the model's folder; OPTIONS may name it (from seequel.json)"
            )
        );
        let sql = format!("CREATE MODEL m FROM 'm' OPTIONS (labels '{place}')");
        csv(folder.path(), &sql).stdout();
    }
}

#[test]
fn libraries_are_loaded_only_if_the_statement_names_them() {
    let folder = folder_of(1);
    let sql = format!("{}; SELECT predict('custom', image) FROM read_images('.')", create("custom", ""));
    let error = csv(folder.path(), &sql).error_line();
    assert!(error.starts_with("Error: model 'custom': ONNX Runtime can't load "), "{error}");
    assert!(
        error.contains("com.example:Whiten(-1) is not a registered function/op; libraries of custom operators are not loaded"),
        "{error}"
    );
    fs::create_dir(folder.path().join("m")).unwrap();
    symlink(home().join("models/efficientnet_lite0/model.onnx"), folder.path().join("m/model.onnx")).unwrap();
    let settings = r#"{"device": "tensorrt", "provider_options": {"trt_extra_plugin_lib_paths": "evil.so"}}"#;
    fs::write(folder.path().join("m/seequel.json"), settings).unwrap();
    assert_eq!(
        csv(folder.path(), "CREATE MODEL m FROM 'm'").error_line(),
        "Error: model 'm': option 'provider_options': only OPTIONS may name a library, as 'trt_extra_plugin_lib_paths' does (from seequel.json)"
    );
}
