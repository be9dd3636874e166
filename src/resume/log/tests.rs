//! What is appended is read, by one writer or several.

use std::fs;

use datafusion::object_store::local::LocalFileSystem;
use datafusion::object_store::memory::InMemory;

use super::*;
use crate::failures::Stage;

async fn open(store: &Arc<dyn ObjectStore>) -> Result<Log> {
    Log::open(Arc::clone(store), &StorePath::from("out"), None, "out/").await
}

fn end(run: &str) -> Entry {
    Entry::End { run: run.to_owned(), is_complete: true, time: now_millis() }
}

#[tokio::test]
async fn what_was_appended_is_read() -> Result<()> {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let mut log = open(&store).await?;
    assert!(log.entries().is_empty());
    let hashes = [1, u128::MAX];
    let keys = log.put_keys(&log.next_name("a"), &hashes).await?;
    let failed = [FailedRow {
        path: Some("/a\n.jpg".to_owned()),
        stage: Stage::Decode,
        error: "not an image".to_owned(),
        model: None,
    }];
    let errors = log.put_errors(&log.next_name("a"), &failed).await?;
    let entry = Entry::Commit {
        run: "a".to_owned(),
        rows: 1,
        skipped: 1,
        bytes: 3,
        files: vec![],
        keys,
        errors,
        task: None,
        other_errors: None,
        time: now_millis(),
    };
    assert_eq!(log.append(entry.clone()).await?, Appended::Yes);
    assert_eq!(log.append(end("a")).await?, Appended::Yes);
    // Of a process that was killed before its entry.
    log.put_keys("b", &[7]).await?;
    let log = open(&store).await?;
    assert_eq!((log.entries().len(), &log.entries()[0], log.finished()), (2, &entry, 2));
    assert_eq!(log.finished_hashes().await?, hashes);
    let files: Vec<_> = log.error_files("a").collect();
    assert_eq!(files, ["00000001-a.errors"]);
    assert_eq!(log.errors(files[0]).await?, failed);
    Ok(())
}

#[tokio::test]
async fn an_entry_has_one_author() -> Result<()> {
    let folder = tempfile::tempdir()?;
    fs::create_dir_all(folder.path().join("out").join(LOG_FOLDER))?;
    let local: Arc<dyn ObjectStore> = Arc::new(LocalFileSystem::new_with_prefix(folder.path())?);
    let path = folder.path().join("out");
    for (store, path) in [(Arc::new(InMemory::new()) as _, None), (local, Some(path.as_path()))] {
        let out = StorePath::from("out");
        let open = || Log::open(Arc::clone(&store), &out, path, "out/");
        let (mut first, mut second) = (open().await?, open().await?);
        assert_eq!(first.append(end("a")).await?, Appended::Yes);
        assert_eq!(second.append(end("b")).await?, Appended::Taken);
        assert_eq!(first.append(end("c")).await?, Appended::Yes);
        assert_eq!(open().await?.entries(), first.entries());
    }
    Ok(())
}

#[tokio::test]
async fn damage_is_an_error_that_names_the_file() -> Result<()> {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let put = async |name: &str, text: &'static [u8]| {
        store.put(&StorePath::from(format!("out/_seequel/{name}")), text.into()).await
    };
    let error = async || open(&store).await.map(|_| ()).map_err(|error| error.to_string());
    put("00000002.json", b"{}").await?;
    assert!(error().await.unwrap_err().contains("_seequel/00000001.json: it is missing"));
    put("00000001.json", br#"{"entry":"end","run":"a","is_complete":1}"#).await?;
    assert!(error().await.unwrap_err().contains("_seequel/00000001.json: invalid type"));
    let commit = br#"{"entry":"commit","run":"a","rows":9,"bytes":1,"files":[],"keys":"1.keys","time":1}"#;
    put("00000001.json", commit).await?;
    put("00000002.json", commit).await?;
    put("1.keys", b"short").await?;
    let reason = open(&store).await?.finished_hashes().await.unwrap_err().to_string();
    assert!(reason.contains("_seequel/1.keys: it does not have the keys of 9 rows"), "{reason}");
    let errors = async || {
        let log = open(&store).await.map_err(|error| error.to_string())?;
        log.errors("1.errors").await.map_err(|error| error.to_string())
    };
    assert!(errors().await.unwrap_err().contains("_seequel/1.errors: it is missing"));
    put("1.errors", b"{\"path\":null,\"stage\":\"nowhere\"}").await?;
    assert!(errors().await.unwrap_err().contains("_seequel/1.errors: unknown variant"));
    let endless = br#"{"entry":"commit","run":"a","rows":18446744073709551615,"bytes":18446744073709551615,"files":[],"keys":"1.keys","time":1}"#;
    put("00000001.json", endless).await?;
    assert_eq!(open(&store).await?.finished(), u64::MAX, "with the 9 of the other entry");
    Ok(())
}

fn commit(run: &str, task: u64) -> Entry {
    Entry::Commit {
        run: run.to_owned(),
        rows: 1,
        skipped: 0,
        bytes: 1,
        files: vec![],
        keys: format!("{run}-{task}.keys"),
        errors: None,
        task: Some(task),
        other_errors: None,
        time: now_millis(),
    }
}

/// Tasks of two machines that append at the same time, each task twice as repeated tasks do: each is in the log once.
#[tokio::test]
async fn tasks_that_append_at_the_same_time_are_each_in_the_log_once() -> Result<()> {
    const TASKS: u64 = 20;
    let folder = tempfile::tempdir()?;
    fs::create_dir_all(folder.path().join("out").join(LOG_FOLDER))?;
    let local: Arc<dyn ObjectStore> = Arc::new(LocalFileSystem::new_with_prefix(folder.path())?);
    let path = folder.path().join("out");
    for (store, path) in [(Arc::new(InMemory::new()) as _, None), (local, Some(path.clone()))] {
        let open = || async {
            let log = Log::open(Arc::clone(&store), &StorePath::from("out"), path.as_deref(), "out/").await;
            log.map(Log::shared)
        };
        let writers = (0..4).map(|writer| async move {
            let mut log = open().await?;
            let mut appended = 0;
            for task in (0..TASKS).map(|task| (task + 5 * writer) % TASKS) {
                let entry = commit("a", task);
                log.catch_up().await?;
                if log.entries().iter().any(|entry| entry.is_of_task("a", task)) {
                    continue;
                }
                if log.append_after(&entry, |other| other.is_of_task("a", task)).await? == Appended::Yes {
                    appended += 1;
                }
            }
            Ok::<_, DataFusionError>(appended)
        });
        let appended: u64 = futures::future::try_join_all(writers).await?.into_iter().sum();
        let log = open().await?;
        assert_eq!((appended, log.entries().len()), (TASKS, TASKS as usize));
        for task in 0..TASKS {
            assert_eq!(log.entries().iter().filter(|entry| entry.is_of_task("a", task)).count(), 1);
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_run_that_another_follows_appends_no_more() -> Result<()> {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let mut task = open(&store).await?.shared();
    let mut client = open(&store).await?.shared();
    assert_eq!(client.append(end("a")).await?, Appended::Yes);
    let against = |entry: &Entry| entry.ends("a");
    assert_eq!(task.append_after(&commit("a", 1), against).await?, Appended::Taken);
    assert_eq!(task.entries(), client.entries());
    // An entry of another run that says nothing about this one.
    assert_eq!(client.append(end("b")).await?, Appended::Yes);
    assert_eq!(task.append_after(&commit("c", 1), |entry| entry.ends("c")).await?, Appended::Yes);
    assert_eq!(open(&store).await?.entries().len(), 3);
    Ok(())
}
