//! Remote models, fetched from a local hub and a local web server that mimic the real ones.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::home;
use crate::support::process::{Outcome, seequel};
use crate::support::server::{Page, Server};

/// SHA-256 of the set-up's small classifier.
const LITE0: &str = "2de8f4de19ffad3d098f1f224dac6a814d1b1b8a26d79d272ced4507b11c5956";

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

const CREATE: &str = "CREATE MODEL m FROM 'hf://org/lite0'";

/// Classifies the photo of a lion with model `m`.
const CLASSIFY: &str = "SELECT classify(image, 'm')['label'] AS label FROM read_images('photos/lion.jpg')";

fn lite0() -> Vec<u8> {
    fs::read(home().join("models/efficientnet_lite0/model.onnx")).unwrap()
}

/// A repository with the classifier, in the layout of Hugging Face's libraries.
struct Hub {
    files: Vec<(&'static str, Vec<u8>)>,
}

impl Hub {
    fn new() -> Self {
        let labels = fs::read_to_string(home().join("models/efficientnet_lite0/labels.txt")).unwrap();
        let labels = labels.lines().enumerate().map(|(class, label)| (class.to_string(), json!(label)));
        let config = json!({ "id2label": Value::Object(labels.collect()) });
        let pixels = json!({
            "do_rescale": false, "image_mean": [127, 127, 127], "image_std": [128, 128, 128], "resample": 3,
            "size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 224}
        });
        let files = vec![
            ("README.md", b"# A model".to_vec()),
            ("config.json", config.to_string().into_bytes()),
            ("preprocessor_config.json", pixels.to_string().into_bytes()),
            ("onnx/model.onnx", lite0()),
        ];
        Self { files }
    }

    /// The listing of a revision; only the model is large enough for LFS.
    fn listing(&self) -> Value {
        let siblings = self.files.iter().map(|(path, body)| {
            let mut file = json!({"rfilename": path, "size": body.len(), "blobId": blob(path)});
            if path.ends_with(".onnx") {
                file["lfs"] = json!({"sha256": LITE0, "size": body.len()});
            }
            file
        });
        json!({"id": "org/lite0", "sha": COMMIT, "siblings": siblings.collect::<Vec<_>>()})
    }

    /// The pages of the hub for revision `main`.
    fn pages(&self) -> Vec<(String, Page)> {
        let list = ("/api/models/org/lite0/revision/main".to_owned(), Page::of(self.listing().to_string()));
        let files = self.files.iter().map(|(path, body)| (resolve(path), Page::of(body.clone())));
        std::iter::once(list).chain(files).collect()
    }
}

/// An arbitrary digest, different for each path.
fn blob(path: &str) -> String {
    format!("{:040x}", path.len())
}

fn resolve(path: &str) -> String {
    format!("/org/lite0/resolve/{COMMIT}/{path}")
}

/// A home folder of a user, with the photos and without models.
fn user() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(home().join("photos"), folder.path().join("photos")).unwrap();
    folder
}

fn command(user: &Path, hub: &str, sql: &str) -> Command {
    let mut command = seequel(user, &["-q", "--format", "csv", "-c", sql]);
    for variable in ["HF_HOME", "HF_TOKEN", "HF_HUB_OFFLINE"] {
        command.env_remove(variable);
    }
    command.env("HF_ENDPOINT", hub).env("NO_PROXY", "127.0.0.1").env("SEEQUEL_LOG", "warn");
    command.env("ORT_DYLIB_PATH", home().join("lib/libonnxruntime.so"));
    command
}

fn run(user: &Path, hub: &str, sql: &str) -> Outcome {
    Outcome::of(&mut command(user, hub, sql))
}

#[test]
fn hub_model_is_fetched_with_its_settings() {
    let (server, user) = (Server::new(Hub::new().pages()), user());
    let classified = run(user.path(), &server.url, &format!("{CREATE}; {CLASSIFY}")).stdout();
    assert_eq!(classified, "label\nlion\n");
    let mut asked = server.paths();
    asked.sort();
    let files = ["config.json", "onnx/model.onnx", "preprocessor_config.json"].map(resolve);
    assert_eq!(
        asked,
        ["/api/models/org/lite0/revision/main".to_owned()].into_iter().chain(files).collect::<Vec<_>>()
    );

    let cache = user.path().join(".cache/huggingface/hub/models--org--lite0");
    assert_eq!(fs::read_to_string(cache.join("refs/main")).unwrap(), COMMIT);
    let model = fs::read_link(cache.join("snapshots").join(COMMIT).join("onnx/model.onnx")).unwrap();
    assert_eq!(model, Path::new("../../../blobs").join(LITE0));
}

#[test]
fn hub_revision_and_file_can_be_specified() {
    let hub = Hub::new();
    let tagged =
        hub.pages().into_iter().map(|(path, page)| (path.replace("/revision/main", "/revision/v1"), page));
    let (server, user) = (Server::new(tagged.collect::<Vec<_>>()), user());
    let sql = format!("CREATE MODEL m FROM 'hf://org/lite0@v1/onnx/model.onnx'; {CLASSIFY}");
    assert_eq!(run(user.path(), &server.url, &sql).stdout(), "label\nlion\n");
    assert!(server.paths().contains(&"/api/models/org/lite0/revision/v1".to_owned()));
    let cache = user.path().join(".cache/huggingface/hub/models--org--lite0");
    assert_eq!(fs::read_to_string(cache.join("refs/v1")).unwrap(), COMMIT);
}

#[test]
fn cached_files_are_not_fetched_again_and_work_offline() {
    let (server, user) = (Server::new(Hub::new().pages()), user());
    let mut first = command(user.path(), &server.url, CREATE);
    Outcome::of(first.env("HF_HOME", user.path().join("hf"))).stdout();
    assert_eq!(server.paths().len(), 4);
    let mut second = command(user.path(), &server.url, CREATE);
    Outcome::of(second.env("HF_HOME", user.path().join("hf"))).stdout();
    assert_eq!(server.paths(), ["/api/models/org/lite0/revision/main"]);

    let sql = format!("{CREATE}; {CLASSIFY}");
    let mut offline = command(user.path(), "http://127.0.0.1:9", &sql);
    let outcome = Outcome::of(offline.env("HF_HOME", user.path().join("hf")).env("HF_HUB_OFFLINE", "1"));
    assert_eq!(outcome.stdout(), "label\nlion\n");
    let mut unreachable = command(user.path(), "http://127.0.0.1:9", &sql);
    let outcome = Outcome::of(unreachable.env("HF_HOME", user.path().join("hf")));
    assert_eq!((outcome.status, outcome.stdout.as_str()), (Some(0), "label\nlion\n"));
    assert!(outcome.stderr.contains("org/lite0 is taken from the cache"), "{}", outcome.stderr);
}

#[test]
fn unreachable_hub_without_cache_is_an_error() {
    let user = user();
    let error = run(user.path(), "http://127.0.0.1:9", CREATE).error_line();
    assert!(error.starts_with("Error: model 'm': 'hf://org/lite0': can't be fetched: "), "{error}");
    let mut offline = command(user.path(), "http://127.0.0.1:9", CREATE);
    let error = Outcome::of(offline.env("HF_HUB_OFFLINE", "1")).error_line();
    insta::assert_snapshot!(error, @"Error: model 'm': 'hf://org/lite0': it is not in Hugging Face's cache, and HF_HUB_OFFLINE is set");
}

#[test]
fn token_is_sent_to_the_hub_only() {
    let store = Server::new([("/blob".to_owned(), Page::of(lite0()))]);
    let pages = Hub::new().pages().into_iter().map(|(path, page)| {
        let page = if path.ends_with(".onnx") { Page::redirect(format!("{}/blob", store.url)) } else { page };
        (path, Page { token: Some("secret"), ..page })
    });
    let (server, user) = (Server::new(pages), user());
    let error = run(user.path(), &server.url, CREATE).error_line();
    insta::assert_snapshot!(error, @"Error: model 'm': 'hf://org/lite0': can't be fetched: it is private or does not exist (HTTP status 401 Unauthorized); set HF_TOKEN if you have access");
    server.requests();

    Outcome::of(command(user.path(), &server.url, CREATE).env("HF_TOKEN", "secret")).stdout();
    assert!(server.requests().iter().all(|request| request.token.as_deref() == Some("secret")));
    let stored = store.requests();
    assert_eq!((stored.len(), stored[0].token.as_deref()), (1, None));
}

#[test]
fn download_resumes_after_a_lost_connection() {
    let pages = Hub::new().pages().into_iter().map(|(path, page)| {
        let lost_after = path.ends_with(".onnx").then_some(1_000_000);
        (path, Page { lost_after, ..page })
    });
    let (server, user) = (Server::new(pages), user());
    run(user.path(), &server.url, CREATE).stdout();
    let asked = server.requests().into_iter().filter(|request| request.path.ends_with(".onnx"));
    let ranges = asked.map(|request| request.range).collect::<Vec<_>>();
    assert_eq!(ranges.len(), 2, "{ranges:?}");
    assert_eq!(ranges[0], None);
    assert!(ranges[1].as_ref().is_some_and(|range| range.starts_with("bytes=")), "{ranges:?}");
}

#[test]
fn file_with_a_wrong_digest_is_not_kept() {
    let mut hub = Hub::new();
    hub.files[3].1[1000] ^= 1;
    let (server, user) = (Server::new(hub.pages()), user());
    let error = run(user.path(), &server.url, CREATE).error();
    assert!(error.contains("onnx/model.onnx has digest ") && error.contains("it was not kept"), "{error}");
    let blobs = user.path().join(".cache/huggingface/hub/models--org--lite0/blobs");
    let kept = fs::read_dir(blobs).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    assert!(!kept.collect::<Vec<_>>().iter().any(|name| name.starts_with(LITE0)));
}

#[test]
fn file_above_the_size_limit_is_not_requested() {
    let hub = Hub::new();
    let mut listing = hub.listing();
    listing["siblings"][3]["size"] = json!(3_u64 << 30);
    let mut pages = hub.pages();
    pages[0].1 = Page::of(listing.to_string());
    let (server, user) = (Server::new(pages), user());
    let error = run(user.path(), &server.url, CREATE).error();
    assert!(
        error.contains("onnx/model.onnx has 3221225472 bytes, more than the limit of 2147483648"),
        "{error}"
    );
    assert!(!server.paths().iter().any(|path| path.ends_with(".onnx")));
}

#[test]
fn missing_hub_files_are_named() {
    let (server, user) = (Server::new(Hub::new().pages()), user());
    let errors = [
        "hf://org/lite0/model_fp16.onnx",
        "hf://org/lite0@v9",
        "hf://org/other",
        "hf://lite0",
        "ftp://org/lite0",
    ];
    let errors = errors
        .map(|from| run(user.path(), &server.url, &format!("CREATE MODEL m FROM '{from}'")).error_line());
    insta::assert_snapshot!(errors.join("\n"), @r"
    Error: model 'm': 'hf://org/lite0/model_fp16.onnx': there is no such file; there is onnx/model.onnx
    Error: model 'm': 'hf://org/lite0@v9': can't be fetched: it is not there (HTTP status 404 Not Found)
    Error: model 'm': 'hf://org/other': can't be fetched: it is not there (HTTP status 404 Not Found)
    Error: model 'm': 'hf://lite0': write it as hf://organisation/repository@revision/file; revision and file may be left out
    Error: model 'm': 'ftp://org/lite0': models are read from local files, hf://organisation/repository/file and https://, not over ftp://
    ");
}

#[test]
fn web_file_requires_a_digest_and_is_fetched_once() {
    let (server, user) = (Server::new([("/lite0.onnx".to_owned(), Page::of(lite0()))]), user());
    let create = |options: &str| {
        let sql = format!("CREATE MODEL m FROM '{}/lite0.onnx' {options}; DESCRIBE MODEL m", server.url);
        Outcome::of(command(user.path(), "", &sql).env("SEEQUEL_HOME", user.path()))
    };
    let error = create("").error();
    assert!(error.contains(&format!("so a digest is required; today's is sha256 '{LITE0}'")), "{error}");
    let described = create(&format!("OPTIONS (sha256 '{LITE0}')")).stdout();
    assert!(described.contains(&format!("sha256,{LITE0},OPTIONS")), "{described}");
    assert_eq!(server.paths().len(), 1);
    assert!(user.path().join("downloads").join(LITE0).join("model.onnx").is_file());

    let error = create(&format!("OPTIONS (sha256 '{}')", "0".repeat(64))).error();
    assert!(error.contains(&format!("lite0.onnx has digest {LITE0}, not 0000")), "{error}");
    let error = create("OPTIONS (sha256 '../../abc')").error_line();
    insta::assert_snapshot!(error, @"Error: model 'm': option 'sha256': '../../abc' is not 64 hex digits");
}

#[test]
fn missing_and_unencrypted_web_files_are_errors() {
    let (server, user) = (Server::new([]), user());
    let digest = "0".repeat(64);
    let create = |from: &str| {
        let sql = format!("CREATE MODEL m FROM '{from}' OPTIONS (sha256 '{digest}')");
        let error = Outcome::of(command(user.path(), "", &sql).env("SEEQUEL_HOME", user.path())).error_line();
        error.replace(&server.url, "http://localhost")
    };
    let errors = [create(&format!("{}/m.onnx", server.url)), create("http://example.com/m.onnx")];
    insta::assert_snapshot!(errors.join("\n"), @r"
    Error: model 'm': 'http://localhost/m.onnx': m.onnx can't be fetched: it is not there (HTTP status 404 Not Found)
    Error: model 'm': 'http://example.com/m.onnx': http:// is not encrypted, so the model could be replaced in transit; use https://
    ");
}

#[test]
fn if_not_exists_with_an_existing_name_fetches_nothing() {
    let (server, user) = (Server::new(Hub::new().pages()), user());
    let taken = "CREATE MODEL IF NOT EXISTS efficientnet_lite0 FROM 'hf://org/lite0'";
    run(user.path(), &server.url, taken).stdout();
    assert!(server.paths().is_empty());
}
