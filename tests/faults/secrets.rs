//! Passwords, keys and signatures are in nothing that is shown, logged or written.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::process::{Outcome, seequel};
use crate::support::s3::S3;

/// In every secret of these tests, and in nothing else.
const MARK: &str = "HushHush";

/// The process's output, after a check that no secret is in it.
fn run(mut command: Command, what: &str) -> Outcome {
    let outcome = Outcome::of(command.env("SEEQUEL_LOG", "trace").env("NO_COLOR", "1"));
    for (place, text) in [("stdout", &outcome.stdout), ("stderr", &outcome.stderr)] {
        let found = text.lines().find(|line| line.contains(MARK));
        assert_eq!(found, None, "{place} of {what}");
    }
    outcome
}

/// The files below `folder`, after a check that no secret is in them.
fn check_files(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let check = |path: std::path::PathBuf| {
        if path.is_dir() {
            return check_files(&path);
        }
        let bytes = fs::read(&path).unwrap();
        let is_clean = !bytes.windows(MARK.len()).any(|window| window == MARK.as_bytes());
        assert!(is_clean, "{}", path.display());
        1
    };
    entries.map(check).sum()
}

#[test]
fn keys_of_the_environment_and_of_options_appear_nowhere() {
    let mut server = S3::of_photos();
    let folder = tempfile::tempdir().unwrap();
    let from = "FROM read_images('s3://photos/lion.jpg')";
    let options = "'aws.access_key_id' 'IdHushHush', 'aws.secret_access_key' 'SecretHushHush', 'aws.session_token' 'HushHush'";
    let table =
        format!("CREATE EXTERNAL TABLE t STORED AS IMAGES LOCATION 's3://photos/' OPTIONS ({options})");
    let copy = format!("COPY (SELECT path, classify(image)['label'] AS l {from}) TO");
    let runs = [
        format!("SELECT path, classify(image)['label'] AS l {from}; SHOW ALL; SELECT * FROM information_schema.df_settings"),
        format!("EXPLAIN ANALYZE VERBOSE SELECT classify(image)['label'] {from}"),
        format!("{table}; SHOW CREATE TABLE t; SELECT * FROM information_schema.tables; DESCRIBE t; SELECT count(*) FROM t"),
        format!("{table}; EXPLAIN VERBOSE SELECT path FROM t; EXPLAIN FORMAT JSON SELECT path FROM t"),
        format!("EXPLAIN VERBOSE {copy} 's3://photos/x.parquet' OPTIONS ({options})"),
        format!("EXPLAIN VERBOSE {table}"),
        format!("{copy} 's3://photos/x.parquet' OPTIONS ({options})"),
        format!("{copy} 'out/' STORED AS PARQUET OPTIONS ('resume' 'path'); SHOW RESUMABLE 'out/'"),
        format!("{copy} 's3://photos/out/' STORED AS PARQUET OPTIONS ('resume' 'path', {options}); SHOW RESUMABLE 's3://photos/out/'"),
        "COPY (SELECT embed(image) AS v FROM read_images('s3://photos/')) TO 'v.parquet' OPTIONS ('errors' 'errors.parquet')"
            .to_owned(),
        format!("ADVISE SELECT classify(image)['label'] {from}"),
        format!("SUMMARIZE SELECT path {from}"),
        "SHOW MODELS; DESCRIBE MODEL efficientnet_lite0; SHOW FUNCTIONS; SHOW TABLES".to_owned(),
        // Errors, with the statement or without.
        format!("{table} oops"),
        table.replace("'IdHushHush',", "'IdHushHush'"),
        table.replace("aws.secret_access_key", "aws.secret_acces_key"),
        format!("{table}; SELECT nothing FROM t"),
        "SELECT count(*) FROM read_images('s3://no-such-bucket/')".to_owned(),
    ];
    let command = |server: &S3, sql: &str| {
        let mut command = server.command(folder.path(), sql);
        command
            .env("AWS_ACCESS_KEY_ID", "IdHushHush")
            .env("AWS_SECRET_ACCESS_KEY", "SecretHushHush")
            .env("AWS_SESSION_TOKEN", "TokenHushHush");
        command
    };
    let mut traced = 0;
    for sql in &runs {
        let outcome = run(command(&server, sql), sql);
        assert!(!outcome.stderr.contains("panicked"), "{sql}: {}", outcome.stderr);
        traced += usize::from(outcome.stderr.contains("TRACE"));
    }
    assert!(traced > 8, "{traced} runs logged all that they do");
    // A report has the statement's text and its plan.
    fs::write(
        folder.path().join("report.sql"),
        format!("\\report r.html SELECT path, classify(image)['label'] {from}\n"),
    )
    .unwrap();
    let mut report = server.command(folder.path(), "");
    report = {
        let mut with_script = Command::new(report.get_program());
        with_script.args(["-q", "report.sql"]).current_dir(folder.path());
        with_script.envs(report.get_envs().filter_map(|(name, value)| Some((name, value?))));
        with_script.env("AWS_SECRET_ACCESS_KEY", "SecretHushHush");
        with_script
    };
    run(report, "\\report");
    // Rejected by a server that checks them.
    server.lock();
    run(command(&server, &runs[0]), "rejected keys");
    // Of the COPYs, the log of the one that continues, the report and this script.
    assert!(check_files(folder.path()) >= 5, "the files were written");
}

#[test]
fn passwords_and_signatures_in_urls_appear_nowhere() {
    let server = S3::of_photos();
    let folder = tempfile::tempdir().unwrap();
    let (http, with_password) = (server.http(), server.http().replace("http://", "http://me:HushHush@"));
    let refused = "a user and password in a URL are not sent, since every path would show them";
    let no_user = "a user or password in a URL is not sent";
    let no_query = "the query behind '?' can't be sent";
    for (sql, reason) in [
        (format!("SELECT path FROM read_images('{with_password}/lion.jpg')"), refused),
        (format!("SELECT path FROM '{with_password}/lion.jpg'"), refused),
        ("SELECT path FROM read_images('https://HushHush@localhost/lion.jpg')".to_owned(), refused),
        ("SELECT path FROM read_images('s3://me:HushHush@photos/lion.jpg')".to_owned(), refused),
        (format!("CREATE EXTERNAL TABLE t STORED AS IMAGES LOCATION '{with_password}/lion.jpg'"), refused),
        (format!("CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION '{with_password}/x.parquet'"), refused),
        (format!("COPY (SELECT 1 AS a) TO '{with_password}/x.parquet'"), refused),
        (format!("CREATE MODEL m FROM '{with_password}/m.onnx'"), no_user),
        (format!("SELECT path FROM read_images('{http}/lion.jpg?X-Amz-Signature=HushHush')"), no_query),
        (format!("CREATE MODEL m FROM '{http}/m.onnx?X-Amz-Signature=HushHush'"), "m.onnx can't be fetched"),
        (
            format!("CREATE MODEL m FROM '{http}/lion.jpg?X-Amz-Signature=HushHush'"),
            "so a digest is required",
        ),
        (format!("SELECT oops '{http}/lion.jpg?X-Amz-Signature=HushHush' FROM"), "Error: "),
    ] {
        let outcome = run(server.command(folder.path(), &sql), &sql);
        assert_eq!(outcome.status, Some(1), "{sql}");
        let message = outcome.stderr.lines().find(|line| line.starts_with("Error: ")).unwrap_or_default();
        assert!(message.contains(reason), "{sql}: {message}");
    }
    let mut hub = seequel(folder.path(), &["-q", "-c", "CREATE MODEL m FROM 'hf://org/model'"]);
    hub.env("HF_TOKEN", "TokenHushHush").env("HF_ENDPOINT", server.http()).env("HF_HOME", folder.path());
    assert_eq!(run(hub, "a token for the hub").status, Some(1));
    check_files(folder.path());
}
