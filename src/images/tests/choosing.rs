//! Which files become rows, and which statements are rejected.

use datafusion::datasource::TableProvider;
use datafusion::error::Result;
use datafusion::physical_plan::collect;

use crate::images::listing::Location;
use crate::images::scan::{IMAGE_TYPE, TYPE_METADATA_KEY};
use crate::images::table::ImagesTable;
use crate::images::tests::{explain, fails, photos, plan, read_images, run, session, write_image};

#[tokio::test]
async fn limit_stops_listing_and_reading() -> Result<()> {
    let session = session();
    let folder = tempfile::tempdir()?;
    for index in 0..50 {
        write_image(folder.path(), &format!("{index}.jpg"), 16);
    }
    let sql = format!("SELECT image FROM {} LIMIT 3", read_images(&folder, ""));
    let (_, metrics) = run(&session, &sql).await?;
    assert_eq!((metrics.get("listed_files"), metrics.get("opened_files")), (3, 3));
    assert_eq!(explain(&session, &sql).await?, "projection=[image], reads=files, limit=3");
    Ok(())
}

#[tokio::test]
async fn filters_on_the_listing_prune_files_before_they_are_read() -> Result<()> {
    let (session, folder) = (session(), photos());
    let sql = format!(
        "SELECT width FROM {} WHERE path LIKE '%.jp%g' AND size > 0 AND width > 70",
        read_images(&folder, "")
    );
    let (widths, metrics) = run(&session, &sql).await?;
    assert_eq!(widths, ["80"]);
    assert_eq!(metrics.get("opened_files"), 2);
    let explained = explain(&session, &sql).await?;
    assert!(explained.contains("filters=[size@2 > 0, path@0 LIKE %.jp%g]"), "{explained}");

    let sql = format!("SELECT image FROM {} WHERE path LIKE '%c.jpeg' LIMIT 1", read_images(&folder, ""));
    let (found, metrics) = run(&session, &sql).await?;
    assert_eq!((found.len(), metrics.get("opened_files")), (1, 1));
    assert!(explain(&session, &sql).await?.ends_with("limit=1"));
    Ok(())
}

#[tokio::test]
async fn patterns_and_names_select_files_of_any_extension() -> Result<()> {
    let (session, folder) = (session(), photos());
    write_image(folder.path(), "100% [x]*.jpg", 24);
    for (rest, expected) in [
        ("*", 4),
        ("**/*", 5),
        ("*.txt", 1),
        ("notes.txt", 1),
        ("*.tiff", 0),
        ("sub", 1),
        ("100% [x]*.jpg", 1),
    ] {
        let sql = format!("SELECT count(*) FROM {}", read_images(&folder, rest));
        assert_eq!(run(&session, &sql).await?.0, [expected.to_string()], "{rest}");
    }
    let sql = format!("SELECT width FROM {}", read_images(&folder, "100% [x]*.jpg"));
    assert_eq!(run(&session, &sql).await?.0, ["24"]);
    Ok(())
}

#[tokio::test]
async fn folders_become_partition_columns() -> Result<()> {
    let (session, folder) = (session(), tempfile::tempdir()?);
    let root = folder.path().display();
    for name in ["label=cat/year=2024/a.jpg", "label=cat/year=2025/b.jpg", "label=größe 1/year=2024/c.jpg"]
    {
        write_image(folder.path(), name, 16);
    }
    session.sql(&format!("CREATE EXTERNAL TABLE pets STORED AS IMAGES LOCATION '{root}'")).await?;
    let (labels, _) = run(&session, "SELECT label, year FROM pets ORDER BY path").await?;
    assert_eq!(labels, ["cat 2024", "cat 2025", "größe 1 2024"]);

    let (found, metrics) =
        run(&session, "SELECT year, image FROM pets WHERE label = 'cat' AND year = '2024'").await?;
    assert_eq!((found.len(), metrics.get("listed_files"), metrics.get("opened_files")), (1, 1, 1));
    assert_eq!(run(&session, "SELECT year FROM pets WHERE label = 'größe 1'").await?.0, ["2024"]);
    assert_eq!(run(&session, "SELECT year FROM pets WHERE label = 'dog'").await?.0, [""; 0]);

    // A file outside these folders is a row too.
    write_image(folder.path(), "stray.jpg", 16);
    assert_eq!(run(&session, "SELECT count(*), count(label) FROM pets").await?.0, ["4 3"]);

    let named =
        format!("CREATE EXTERNAL TABLE named STORED AS IMAGES PARTITIONED BY (label) LOCATION '{root}'");
    session.sql(&named).await?;
    assert_eq!(run(&session, "SELECT count(DISTINCT label) FROM named").await?.0, ["2"]);
    Ok(())
}

#[tokio::test]
async fn an_empty_folder_is_an_empty_table_and_a_missing_one_an_error() -> Result<()> {
    let (session, folder) = (session(), tempfile::tempdir()?);
    let images = read_images(&folder, "");
    assert_eq!(run(&session, &format!("SELECT count(*) FROM {images}")).await?.0, ["0"]);
    let plan = plan(&session, &format!("SELECT path FROM {images}")).await?;
    folder.close()?;
    let error = collect(plan, session.task_ctx()).await.unwrap_err().to_string();
    assert!(error.contains("there is no such file or folder"), "{error}");
    Ok(())
}

#[tokio::test]
async fn unsupported_statements_are_rejected() {
    let (session, folder) = (session(), photos());
    let root = folder.path().display();
    for (sql, reason) in [
        (
            format!("CREATE EXTERNAL TABLE t STORED AS IMAGES LOCATION '{root}' OPTIONS (glob '*.jpg')"),
            "unknown option",
        ),
        (format!("CREATE EXTERNAL TABLE t (x INT) STORED AS IMAGES LOCATION '{root}'"), "remove 'x'"),
        (
            format!("CREATE EXTERNAL TABLE t STORED AS IMAGES PARTITIONED BY (size) LOCATION '{root}'"),
            "the partition column 'size' has the name of another column",
        ),
        (
            "CREATE EXTERNAL TABLE t STORED AS IMAGES LOCATION 'no-such-folder/'".to_string(),
            "no such file or folder",
        ),
        ("SELECT * FROM read_images()".to_string(), "read_images takes the location as one string"),
        ("SELECT * FROM read_images(1)".to_string(), "read_images takes the location as one string"),
        ("SELECT * FROM read_images('a', 'b')".to_string(), "read_images takes the location as one string"),
        ("SELECT * FROM read_images('no-such-folder')".to_string(), "no such file or folder"),
    ] {
        let error = fails(&session, &sql).await;
        assert!(error.contains(reason), "{sql}: {error}");
    }
}

#[test]
fn the_image_column_is_marked() -> Result<()> {
    let table = ImagesTable::try_new(Location::parse("s3://bucket/")?, Vec::new())?;
    let schema = table.schema();
    let image = schema.field_with_name("image")?;
    assert_eq!(image.metadata().get(TYPE_METADATA_KEY).map(String::as_str), Some(IMAGE_TYPE));
    Ok(())
}
