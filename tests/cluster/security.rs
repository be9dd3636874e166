//! Tokens and certificates: who has them gets rows, and nobody else.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::processes::Cluster;
use crate::support::folder_of;
use crate::support::process::{Outcome, run_in, seequel};

const TOKEN: &str = "a-token-of-the-tests-0123456789";
const VARIABLE: &str = "SEEQUEL_CLUSTER_TOKEN";
/// Of two stages, so that results cross from executor to executor.
const SQL: &str = "SELECT format, count(*) AS n FROM read_images('.') GROUP BY format ORDER BY format";
const ROWS: &str = "format,n\njpeg,6\n";

/// A file with `token`, in `folder`.
fn token_file(folder: &Path, token: &str) -> String {
    let file = folder.join("token");
    fs::write(&file, format!("{token}\n")).unwrap();
    file.display().to_string()
}

/// A folder with certificates: the CA `ca`, and those of a server if `is_server`.
fn certificates(ca: &str, is_server: bool) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let data = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/tls");
    fs::copy(data.join(ca), folder.path().join("ca.crt")).unwrap();
    for name in ["tls.crt", "tls.key"].iter().filter(|_| is_server) {
        fs::copy(data.join(name), folder.path().join(name)).unwrap();
    }
    folder
}

fn client(cluster: &Cluster, folder: &Path, arguments: &[&str]) -> Command {
    let all = [&["--cluster", &cluster.url, "-q", "--format", "csv", "-c", SQL], arguments].concat();
    let mut command = seequel(folder, &all);
    command.env_remove(VARIABLE);
    command
}

#[test]
fn only_clients_with_the_token_get_rows() {
    let (secrets, folder) = (tempfile::tempdir().unwrap(), folder_of(6));
    let file = token_file(secrets.path(), TOKEN);
    let cluster = Cluster::start_with(2, &["--token-file", &file], &[("SEEQUEL_LOG", "trace")]);

    let with_file = Outcome::of(&mut client(&cluster, folder.path(), &["--token-file", &file]));
    assert_eq!(with_file.stdout, ROWS, "{}\n{}", with_file.stderr, cluster.logs());
    let mut with_variable = client(&cluster, folder.path(), &[]);
    with_variable.env(VARIABLE, TOKEN).env("SEEQUEL_LOG", "trace");
    let with_variable = Outcome::of(&mut with_variable);
    assert_eq!(with_variable.stdout, ROWS, "{}", with_variable.stderr);

    let without = Outcome::of(&mut client(&cluster, folder.path(), &[])).error_line();
    let asked = format!("the cluster asks for a token; give it in a file of --token-file, or in {VARIABLE}");
    assert_eq!(without, format!("Error: the scheduler at {} refused the query: {asked}", cluster.url));
    let mut wrong = client(&cluster, folder.path(), &[]);
    let wrong = Outcome::of(wrong.env(VARIABLE, TOKEN.replace('a', "b"))).error_line();
    let refused = "the token is not that of this cluster";
    assert_eq!(wrong, format!("Error: the scheduler at {} refused the query: {refused}", cluster.url));

    for text in [&cluster.logs(), &with_variable.stderr, &without, &wrong] {
        assert!(!text.contains(TOKEN), "the token is printed: {text}");
    }
}

#[test]
fn executors_without_the_token_are_refused() {
    let secrets = tempfile::tempdir().unwrap();
    let file = token_file(secrets.path(), TOKEN);
    let cluster = Cluster::start_with(0, &["--token-file", &file], &[]);
    let arguments = ["executor", "--scheduler", &cluster.url, "--cores", "1"];
    let refused = format!("Error: the scheduler at {} refused this executor: ", cluster.url);
    let without = Outcome::of(seequel(secrets.path(), &arguments).env_remove(VARIABLE)).stderr;
    assert!(without.contains(&format!("{refused}the cluster asks for a token")), "{without}");
    let mut wrong = seequel(secrets.path(), &arguments);
    let wrong = Outcome::of(wrong.env(VARIABLE, "another-token-of-the-tests")).stderr;
    assert!(wrong.contains(&format!("{refused}the token is not that of this cluster")), "{wrong}");
}

#[test]
fn addresses_that_others_reach_need_a_token() {
    let folder = tempfile::tempdir().unwrap();
    let arguments: [&[&str]; 3] = [
        &["scheduler", "--bind", "0.0.0.0:0"],
        &["executor", "--scheduler", "localhost:1", "--bind", "0.0.0.0"],
        &["scheduler", "--bind", "[::]:0"],
    ];
    for arguments in arguments {
        let error = Outcome::of(seequel(folder.path(), arguments).env_remove(VARIABLE)).error_line();
        assert!(error.starts_with("Error: other machines can reach "), "{error}");
        assert!(error.contains("--token-file"), "{error}");
    }
    let short = token_file(folder.path(), "short");
    let error =
        run_in(folder.path(), &["scheduler", "--bind", "0.0.0.0:0", "--token-file", &short]).error_line();
    assert!(error.contains("16 or more visible characters") && error.contains(&short), "{error}");
    let error = run_in(folder.path(), &["scheduler", "--token-file", "none"]).error_line();
    assert!(error.starts_with("Error: none can't be read"), "{error}");
}

#[test]
fn certificates_protect_all_connections() {
    let (secrets, folder) = (tempfile::tempdir().unwrap(), folder_of(6));
    let (server, ours) = (certificates("ca.crt", true), certificates("ca.crt", false));
    let others = certificates("other.crt", false);
    let file = token_file(secrets.path(), TOKEN);
    let tls = server.path().display().to_string();
    let cluster = Cluster::start_with(2, &["--token-file", &file, "--tls", &tls], &[]);
    let ask = |tls: Option<&Path>| {
        let tls = tls.map(|folder| folder.display().to_string());
        let tls: Vec<_> = tls.iter().flat_map(|folder| ["--tls", folder.as_str()]).collect();
        let arguments = [&["--token-file", &file], &tls[..]].concat();
        Outcome::of(&mut client(&cluster, folder.path(), &arguments))
    };
    let ran = ask(Some(ours.path()));
    assert_eq!(ran.stdout, ROWS, "{}\n{}", ran.stderr, cluster.logs());
    let error = ask(Some(others.path())).error_line();
    assert!(error.contains("no scheduler answers at") && error.contains("certificate"), "{error}");
    let error = ask(None).error_line();
    assert!(error.contains("TLS"), "{error}");
    let tls = ours.path().display().to_string();
    let error = run_in(secrets.path(), &["scheduler", "--tls", &tls]).error_line();
    assert!(error.contains("no tls.crt and tls.key"), "{error}");
}
