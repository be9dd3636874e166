//! COPY in an application's own session, and with the DataFrame API.

use std::sync::Arc;
use std::time::Duration;

use datafusion::dataframe::DataFrameWriteOptions;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::prelude::SessionContext;
use futures::StreamExt;
use seequel::SeequelExt;
use seequel::model::ModelRegistry;

use super::entries;

fn session() -> SessionContext {
    let models = Arc::new(ModelRegistry::new("."));
    SessionContext::new_with_state(
        SessionStateBuilder::new().with_default_features().with_seequel(&models).build(),
    )
}

#[tokio::test]
async fn modes_hold_in_an_application_s_session() {
    let folder = tempfile::tempdir().unwrap();
    let context = session();
    let out = format!("{}/out/", folder.path().display());
    for (mode, files) in [
        ("", Some(1)),
        ("", None),
        ("OPTIONS (mode 'append')", Some(2)),
        ("OPTIONS (mode 'overwrite')", Some(1)),
    ] {
        let copy = format!("COPY (SELECT 1 AS a) TO '{out}' STORED AS CSV {mode}");
        let copied = context.sql(&copy).await.unwrap().collect().await;
        assert_eq!(copied.ok().map(|_| entries(folder.path()).len() - 1), files, "{mode}");
    }
    let rows = context.sql("SELECT 2 AS a").await.unwrap();
    let error = rows.write_csv(&out, DataFrameWriteOptions::new(), None).await.unwrap_err();
    assert!(error.to_string().contains("the folder holds 1 file"), "{error}");
}

#[tokio::test]
async fn a_dropped_copy_removes_its_files_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let copy = format!(
        "COPY (SELECT * FROM generate_series(1, 10000000000)) TO '{}/new/r.csv'",
        folder.path().display()
    );
    let mut running = session().sql(&copy).await.unwrap().execute_stream().await.unwrap();
    assert_eq!(entries(folder.path()), [""; 0], "nothing happens before the first poll");
    while !entries(folder.path()).iter().any(|name| name.ends_with("/0")) {
        assert!(futures::poll!(running.next()).is_pending());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    drop(running);
    assert_eq!(entries(folder.path()), [""; 0]);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(entries(folder.path()), [""; 0]);
}
