//! The Kubernetes manifests: their form, and their commands, run as processes of this machine.

use std::collections::BTreeMap;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::process::Process;
use crate::support::{home, photos};

/// How long a process may take to open its port, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/kubernetes")
}

/// What is wrong with the manifests in `folder`, and each container by its name.
fn checked(folder: &Path) -> (Vec<String>, BTreeMap<String, Value>) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cluster/check_manifests.py");
    let mut command = Command::new("python3");
    command.arg(script).arg(folder).arg(home().join("tests/kubernetes"));
    command.env("PYTHONPATH", home().join("test-python")).env("PYTHONDONTWRITEBYTECODE", "1");
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
    let found: Value = serde_json::from_slice(&stdout).unwrap();
    let errors = found["errors"].as_array().unwrap().iter().map(|error| error.as_str().unwrap().to_owned());
    let containers = found["containers"].as_array().unwrap().iter();
    let containers =
        containers.map(|container| (container["name"].as_str().unwrap().to_owned(), container.clone()));
    (errors.collect(), containers.collect())
}

#[test]
fn manifests_are_as_kubernetes_wants_them() {
    assert_eq!(checked(&folder()).0, Vec::<String>::new());
    let broken = tempfile::tempdir().unwrap();
    for file in ["kustomization.yaml", "scheduler.yaml", "executors.yaml"] {
        let text = std::fs::read_to_string(folder().join(file)).unwrap();
        std::fs::write(broken.path().join(file), text.replace("periodSeconds: 5", "periodSecond: 5"))
            .unwrap();
    }
    let errors = checked(broken.path()).0;
    let expected = ["executors.yaml", "scheduler.yaml", "kustomization.yaml: no network.yaml"];
    for expected in expected {
        assert!(errors.iter().any(|error| error.starts_with(expected)), "{expected}: {errors:?}");
    }
}

/// A port that nobody has.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Waits until the port is open, as a probe does.
fn probe(port: u16, process: &mut Process) {
    let end = Instant::now() + PATIENCE;
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(process.is_running() && Instant::now() < end, "port {port}: {}", process.log());
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn the_commands_of_the_manifests_make_a_cluster() {
    let (_, containers) = checked(&folder());
    let folder = tempfile::tempdir().unwrap();
    // What differs on one machine: addresses, ports, and where images and models are.
    let ports: BTreeMap<&str, u16> = ["scheduler", "executor"].map(|name| (name, free_port())).into();
    let own = [
        ("0.0.0.0:50050", format!("127.0.0.1:{}", ports["scheduler"])),
        ("seequel-scheduler:50050", format!("127.0.0.1:{}", ports["scheduler"])),
        ("localhost:50050", format!("127.0.0.1:{}", ports["scheduler"])),
        ("$(POD_IP)", "127.0.0.1".to_owned()),
        ("50051", ports["executor"].to_string()),
        ("https://models.example.org/efficientnet_lite0.onnx", {
            home().join("models/efficientnet_lite0/model.onnx").display().to_string()
        }),
        ("s3://photos/", photos().display().to_string()),
        ("s3://results/", format!("{}/", folder.path().display())),
    ];
    let here = |arguments: &[Value]| -> Vec<String> {
        let arguments = arguments.iter().map(|argument| argument.as_str().unwrap().to_owned());
        arguments
            .map(|argument| own.iter().fold(argument, |text, (there, here)| text.replace(there, here)))
            .collect()
    };
    let start = |name: &str, arguments: &[Value]| {
        let arguments = here(arguments);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        Process::start(&folder, name, &arguments, &home(), &[("SEEQUEL_CLUSTER_TOKEN", "0123456789abcdef")])
    };
    let args = |name: &str| containers[name]["args"].as_array().unwrap();
    let mut started = vec![];
    for (name, probed) in [("scheduler", vec!["scheduler"]), ("executor", vec!["results", "results"])] {
        assert_eq!(containers[name]["probed"], serde_json::json!(probed), "{}", containers[name]);
        let mut process = start(name, args(name));
        probe(ports[name], &mut process);
        started.push(process);
    }
    let asked = containers["scheduler"]["asked"][0].as_array().unwrap();
    assert_eq!(asked[0], "seequel");
    let mut probe = start("probe", &asked[1..]);
    assert_eq!(probe.status(), Some(0), "{}", probe.log());
    // As of a process that hangs: the probe fails, though the port is open.
    started[0].signal_all("STOP");
    let mut probe = start("hanging", &asked[1..]);
    assert_eq!(probe.status(), Some(1), "{}", probe.log());
    started[0].signal_all("CONT");
    let mut query = start("query", args("query"));
    assert_eq!(query.status(), Some(0), "{}", query.log());
    assert!(folder.path().join("predictions.parquet").is_file());
}
