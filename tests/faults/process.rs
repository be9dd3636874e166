//! Disks that are full or read-only, outputs that are closed, few open files, and processes that share a home.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::{create, script_with_mounts};
use crate::support::process::{Outcome, seequel, start, system_shell};
use crate::support::server::{Page, Server};
use crate::support::{folder_of, home, home_with_model, photos};

/// A line of the system's shell that shows the status of a statement and its message on one line.
fn shown(sql: &str) -> String {
    format!("\"$0\" -q --format csv -c \"{sql}\" 2>&1; echo \"status $?\"\n")
}

/// The statements' outputs, with `status N` after each.
fn with_mounts(folder: &Path, home: &Path, prepare: &str, statements: &[&str]) -> Option<Vec<String>> {
    let lines: String = statements.iter().map(|sql| shown(sql)).collect();
    let outcome = script_with_mounts(folder, home, &format!("set -e\n{prepare}\nset +e\n{lines}"))?;
    assert_eq!(outcome.status, Some(0), "{outcome:?}");
    let mut outputs = vec![String::new()];
    for line in outcome.stdout.lines() {
        let last = outputs.last_mut().unwrap();
        last.push_str(line);
        last.push('\n');
        if line.starts_with("status ") {
            outputs.push(String::new());
        }
    }
    outputs.pop();
    Some(outputs)
}

#[test]
fn a_full_disk_is_named_and_leaves_what_was_there() {
    let folder = folder_of(3);
    let sent = "SELECT value, random() AS x FROM generate_series(1, 500000)";
    let statements = [
        format!("COPY ({sent}) TO 'disk/r.csv'"),
        format!("COPY ({sent}) TO 'disk/r.parquet'"),
        format!("COPY ({sent}) TO 'disk/new/' STORED AS PARQUET"),
        "COPY (SELECT path, image FROM read_images('.'), generate_series(1, 50)) TO 'disk/images/' STORED AS IMAGES"
            .to_owned(),
        "SELECT kept FROM 'disk/r.csv'".to_owned(),
    ];
    let statements: Vec<_> = statements.iter().map(String::as_str).collect();
    let prepare =
        "mkdir disk; mount -t tmpfs -o size=1m none disk; echo kept > disk/r.csv; echo 1 >> disk/r.csv";
    let Some(outputs) = with_mounts(folder.path(), &home(), prepare, &statements) else { return };
    for (output, target) in outputs.iter().zip(["r.csv", "r.parquet", "new/", "images/"]) {
        assert_eq!(
            *output,
            format!("Error: 'disk/{target}': No space left on device (os error 28)\nstatus 1\n")
        );
    }
    assert_eq!(outputs[4], "kept\n1\nstatus 0\n");
}

#[test]
fn a_statement_that_continues_goes_on_once_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let lion = fs::read(photos().join("lion.jpg")).unwrap();
    for number in 0..60 {
        let photo = [lion.as_slice(), &noise(number + 1, 50_000 - lion.len())].concat();
        fs::write(folder.path().join(format!("{number}.jpg")), photo).unwrap();
    }
    // There is room for some of the three megabytes.
    let copy = "COPY (SELECT path, image FROM read_images('.')) TO 'disk/out/' STORED AS PARQUET
                OPTIONS ('resume' 'path', 'commit_rows' '20')";
    let count = "SELECT count(*) AS n, count(DISTINCT path) AS paths FROM 'disk/out/*.parquet'";
    let script = format!(
        "mkdir disk; mount -t tmpfs -o size=1800k none disk\n{}mount -o remount,size=64m disk\n{}{}",
        shown(copy),
        shown(copy),
        shown(count)
    );
    let Some(outcome) = script_with_mounts(folder.path(), &home(), &script) else { return };
    let outputs: Vec<_> = outcome.stdout.split("status ").collect();
    let full = "'disk/out/': No space left on device (os error 28)";
    assert!(outputs[0].contains(full) && outputs[1].starts_with("1\n"), "{outcome:?}");
    assert_eq!(outputs[2], "0\nn,paths\n60,60\n", "{outcome:?}");
}

/// Bytes that can't be compressed.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..length).map(|_| next()).collect()
}

#[test]
fn a_folder_that_is_read_only_is_named_before_rows_are_read() {
    let folder = folder_of(2);
    let statements = [
        "COPY (SELECT 1 / 0 AS a) TO 'disk/r.csv'",
        "COPY (SELECT path FROM read_images('.')) TO 'disk/out/' STORED AS PARQUET OPTIONS ('resume' 'path')",
        "COPY (SELECT path, image FROM read_images('.')) TO 'disk/images/' STORED AS IMAGES",
        "COPY (SELECT 1 / 0 AS a) TO 'r.parquet' OPTIONS ('errors' 'disk/errors.parquet')",
    ];
    let prepare = "mkdir disk; mount -t tmpfs none disk; mount -o remount,ro disk";
    let Some(outputs) = with_mounts(folder.path(), &home(), prepare, &statements) else { return };
    for (output, target) in outputs.iter().zip(["r.csv", "out/", "images/", "errors.parquet"]) {
        assert!(output.starts_with(&format!("Error: 'disk/{target}': the folder ")), "{output}");
        assert!(
            output.contains("can't be written: Read-only file system (os error 30)\nstatus 1\n"),
            "{output}"
        );
    }
}

#[test]
fn a_home_that_is_read_only_runs_queries_and_is_named_by_what_would_change_it() {
    let (home, folder) = (home_with_model(), folder_of(12));
    let statements = [
        "SELECT count(classify(image)['label']) AS n FROM read_images('.')",
        "TUNE MODEL efficientnet_lite0 USING (SELECT image FROM read_images('.')) OPTIONS (budget '60s')",
        "RESET TUNING",
        "CREATE MODEL q AS QUANTIZED efficientnet_lite0 USING (SELECT image FROM read_images('.'))",
        "CREATE MODEL m FROM 'http://127.0.0.1:9/m.onnx'",
    ];
    let path = home.path().display();
    let prepare = format!("mount --bind {path} {path}; mount -o remount,ro,bind {path}");
    let Some(outputs) = with_mounts(folder.path(), home.path(), &prepare, &statements) else { return };
    assert_eq!(outputs[0], "n\n12\nstatus 0\n");
    let place = path.to_string();
    let messages = outputs[1..].iter().map(|output| output.lines().next().unwrap().replace(&place, "HOME"));
    let messages: Vec<_> = messages.collect();
    for (message, expected) in messages.iter().zip([
        "Error: 'HOME/tuning.lock' can't be written: Read-only file system",
        "Error: 'HOME/tuning.lock' can't be written: Read-only file system",
        "Error: model 'q': 'HOME/models' can't be written: Read-only file system",
        "Error: model 'm': 'http://127.0.0.1:9/m.onnx': can't be kept in HOME/downloads/",
    ]) {
        assert!(message.starts_with(expected), "{message}");
    }
}

#[test]
fn results_that_cannot_be_written_are_an_error_and_those_that_nobody_reads_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let rows = "SELECT value FROM generate_series(1, 1000000)";
    let line = |line: &str| Outcome::of(&mut system_shell(folder.path(), line));
    let full = line(&format!("\"$0\" -q --format csv -c '{rows}' > /dev/full"));
    assert_eq!(full.error(), "Error: cannot write results: No space left on device (os error 28)\n");
    let read = line(&format!("(\"$0\" -q --format csv -c '{rows}'; echo \"status $?\" >&2) | head -1"));
    assert_eq!((read.stdout.as_str(), read.stderr.as_str()), ("value\n", "status 0\n"));
    // Whoever closes the outputs of a COPY wants its file.
    let closed = line("\"$0\" -c \"COPY (SELECT 1 AS a) TO 'r.csv'\" <&- >&- 2>&-");
    assert_eq!(closed.status, Some(0));
    assert_eq!(fs::read_to_string(folder.path().join("r.csv")).unwrap(), "a\n1\n");
}

#[test]
fn few_open_files_suffice_and_too_few_are_an_error() {
    let folder = folder_of(300);
    let limited = |files: usize, sql: &str| {
        let line = format!("ulimit -n {files}; exec \"$0\" -q --format csv -c \"{sql}\"");
        Outcome::of(&mut system_shell(folder.path(), &line))
    };
    let count = "SELECT count(classify(image)['label']) AS n FROM read_images('.')";
    assert_eq!(limited(64, count).stdout(), "n\n300\n");
    let copy = "COPY (SELECT path, size FROM read_images('.')) TO 'out/' STORED AS PARQUET OPTIONS ('resume' 'path');
                SELECT count(*) AS n FROM 'out/*.parquet'";
    assert_eq!(limited(64, copy).stdout(), "count\n300\nn\n300\n");
    let error = limited(12, count).error();
    assert_eq!(error, "Error: cannot start the async runtime: Too many open files (os error 24)\n");
}

#[test]
fn a_model_for_which_a_disk_has_no_room_leaves_nothing_and_its_folder_is_named() {
    let folder = folder_of(10);
    let quantize = format!(
        "{}; CREATE MODEL q AS QUANTIZED sixteen USING (SELECT image FROM read_images('.')) OPTIONS (min_agreement 0)",
        create("sixteen", "task 'image-classification'")
    );
    // The runtime is the first to write, and then Seequel.
    let sizes = ["8k", "16k", "32k", "64k", "128k", "64m"];
    let line = |size: &str| {
        format!(
            "mount -o remount,size={size} disk\n{}ls -A disk disk/models; rm -rf disk/models/q; echo end\n",
            shown(&quantize)
        )
    };
    let lines: String = sizes.into_iter().map(line).collect();
    let lib = home().join("lib");
    let script = format!(
        "mkdir disk; mount -t tmpfs -o size=4k none disk; mkdir disk/models; ln -s '{}' disk/lib\n\
         export SEEQUEL_HOME=\"$PWD/disk\"\n{lines}",
        lib.display()
    );
    let Some(outcome) = script_with_mounts(folder.path(), &home(), &script) else { return };
    let place = folder.path().join("disk/models");
    let expected = format!(
        "Error: model 'q': '{}' can't be written: No space left on device (os error 28); make room there, or set \
         SEEQUEL_HOME to a folder on another disk",
        place.display()
    );
    let outputs: Vec<_> = outcome.stdout.split("end\n").collect();
    let is_full = |output: &&&str| output.contains("status 1\n");
    assert!(outputs[0].contains("status 1\n"), "{outcome:?}");
    for output in outputs.iter().filter(is_full) {
        assert!(output.starts_with(&expected), "{output}");
        assert!(output.ends_with("status 1\ndisk:\nlib\nmodels\n\ndisk/models:\n"), "{output}");
    }
    let made = outputs[sizes.len() - 1];
    assert!(made.ends_with("status 0\ndisk:\nlib\nmodels\n\ndisk/models:\nq\n"), "{made}");
}

/// Starts the statements in a process each, and waits for all.
fn all_at_once(home: &Path, statements: &[String]) -> Vec<Outcome> {
    let started: Vec<_> = statements
        .iter()
        .map(|sql| {
            let mut command = seequel(home, &["-q", "--format", "csv", "-c", sql]);
            start(command.env("SEEQUEL_HOME", home).env("NO_PROXY", "127.0.0.1"), Stdio::null())
        })
        .collect();
    started.into_iter().map(|(child, _watchdog)| child.wait_with_output().unwrap().into()).collect()
}

#[test]
fn processes_that_tune_at_once_keep_all_that_they_find() {
    let home = home_with_model();
    let other = crate::support::home().join("models/efficientnet_lite2");
    std::os::unix::fs::symlink(other, home.path().join("models/efficientnet_lite2")).unwrap();
    let tune = |model: &str| {
        let photos = photos().join("lion.jpg");
        format!(
            "TUNE MODEL {model} USING (SELECT image FROM read_images('{}')) OPTIONS (budget '1s')",
            photos.display()
        )
    };
    let statements = ["efficientnet_lite0", "efficientnet_lite2"].map(tune);
    all_at_once(home.path(), &statements).into_iter().for_each(|outcome| drop(outcome.stdout()));
    let mut command = seequel(home.path(), &["-q", "--format", "csv", "-c", "SHOW TUNING"]);
    let shown = Outcome::of(command.env("SEEQUEL_HOME", home.path())).stdout();
    for model in ["\nefficientnet_lite0,", "\nefficientnet_lite2,"] {
        assert!(shown.contains(model), "{shown}");
    }
}

#[test]
fn processes_that_fetch_a_model_at_once_share_the_download() {
    let (home, model) = (TempDir::new().unwrap(), home().join("models/efficientnet_lite0/model.onnx"));
    let server = Server::new(vec![("/m.onnx".to_owned(), Page::of(fs::read(model).unwrap()))]);
    let sha256 = "2de8f4de19ffad3d098f1f224dac6a814d1b1b8a26d79d272ced4507b11c5956";
    let create =
        format!("CREATE MODEL m FROM '{}/m.onnx' OPTIONS (sha256 '{sha256}'); SELECT 1 AS a", server.url);
    for outcome in all_at_once(home.path(), &[create.clone(), create.clone(), create]) {
        assert_eq!((outcome.status, outcome.stdout.as_str()), (Some(0), "a\n1\n"), "{outcome:?}");
    }
    assert_eq!(server.paths(), ["/m.onnx"]);
}

#[test]
fn of_processes_that_quantize_under_one_name_at_once_one_installs_its_model() {
    let home = home_with_model();
    let folder = folder_of(10);
    let quantize = |replace: &str| {
        format!(
            "{}; CREATE {replace} MODEL q AS QUANTIZED sixteen USING (SELECT image FROM read_images('{}'))
             OPTIONS (min_agreement 0)",
            create("sixteen", "task 'image-classification'"),
            folder.path().display()
        )
    };
    let outcomes = all_at_once(home.path(), &[quantize(""), quantize("")]);
    let (done, refused): (Vec<_>, Vec<_>) =
        outcomes.into_iter().partition(|outcome| outcome.status == Some(0));
    assert_eq!((done.len(), refused.len()), (1, 1), "{done:?} {refused:?}");
    for outcome in refused {
        let error = outcome.error();
        assert!(error.contains("CREATE OR REPLACE MODEL replaces it"), "{error}");
    }
    let outcomes = all_at_once(home.path(), &[quantize("OR REPLACE"), quantize("OR REPLACE")]);
    assert!(outcomes.iter().all(|outcome| outcome.status == Some(0)), "{outcomes:?}");
    let mut left: Vec<_> =
        fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.retain(|name| name.to_string_lossy().starts_with(".quantize"));
    assert!(left.is_empty(), "{left:?}");
    let mut command = Command::new(env!("CARGO_BIN_EXE_seequel"));
    command.args(["-q", "--format", "csv", "-c", "DESCRIBE MODEL q"]).env("SEEQUEL_HOME", home.path());
    assert!(Outcome::of(&mut command).stdout().contains("precision,int8"));
}
