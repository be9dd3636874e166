//! Joins give the same rows as in one process, whichever side DataFusion collects, divides or sends.

use std::fs;
use std::path::Path;

use seequel::Engine;
use tempfile::TempDir;

use super::processes::Cluster;
use super::queries::rows;
use crate::support::{engine, home};

/// How joins are planned: by the sizes of their sides, as Ballista's sessions do; never with a side collected; by hashes.
const PLANS: [&[&str]; 3] = [
    &[],
    &[
        "SET datafusion.optimizer.hash_join_single_partition_threshold = 0",
        "SET datafusion.optimizer.hash_join_single_partition_threshold_rows = 0",
    ],
    &["SET datafusion.optimizer.prefer_hash_join = true"],
];

/// `notes` has a row for each fifth photo, `others` for some photos and for none, `gaps` has a name that is NULL.
const QUERIES: [&str; 28] = [
    "SELECT name FROM photos WHERE name NOT IN (SELECT name FROM notes) ORDER BY name",
    "SELECT count(*) FROM photos WHERE name NOT IN (SELECT name FROM gaps)",
    "SELECT count(*) FROM photos WHERE name NOT IN (SELECT name FROM gaps WHERE name IS NOT NULL)",
    "SELECT count(*) FROM gaps WHERE name NOT IN (SELECT name FROM notes WHERE note = 'maybe')",
    "SELECT count(*) FROM gaps WHERE name NOT IN (SELECT name FROM notes)",
    "SELECT name, classify(image)['class'] FROM photos WHERE name NOT IN (SELECT name FROM most) ORDER BY name",
    "SELECT name FROM notes WHERE name NOT IN (SELECT name FROM photos WHERE classify(image)['confidence'] > 0.5)
     ORDER BY name",
    "SELECT name FROM photos WHERE classify(image)['label'] NOT IN
     (SELECT classify(image)['label'] FROM photos WHERE name < 'c') ORDER BY name LIMIT 9",
    // Sides of one partition, and a sort that reads them.
    "SELECT name FROM notes WHERE name NOT IN (SELECT name FROM others) ORDER BY name",
    "SELECT name FROM notes AS n WHERE NOT EXISTS (SELECT 1 FROM others AS o WHERE o.name = n.name) ORDER BY name",
    "SELECT n.name, o.note FROM notes AS n JOIN others AS o ON n.name = o.name ORDER BY n.name",
    "SELECT n.name, o.note FROM notes AS n LEFT JOIN others AS o ON n.name = o.name ORDER BY n.name LIMIT 5",
    // Rows with images that would have to meet otherwise.
    "SELECT n.name, size, classify(p.image)['class'] FROM notes AS n
     JOIN (SELECT * FROM photos ORDER BY size LIMIT 18) AS p ON p.name = n.name ORDER BY n.name",
    "SELECT name FROM photos AS p WHERE NOT EXISTS (SELECT 1 FROM notes AS n WHERE n.name = p.name) ORDER BY name",
    "SELECT name FROM notes AS n WHERE NOT EXISTS (SELECT 1 FROM photos AS p WHERE n.name = p.name AND p.size > 200000)
     ORDER BY name",
    "SELECT name FROM photos AS p WHERE EXISTS (SELECT 1 FROM notes AS n WHERE n.name = p.name) ORDER BY name",
    "SELECT name FROM notes AS n WHERE EXISTS (SELECT 1 FROM photos AS p WHERE n.name = p.name AND p.size > 40000)
     ORDER BY name",
    "SELECT name FROM photos AS p WHERE size > 200000 OR EXISTS (SELECT 1 FROM notes AS n WHERE n.name = p.name)
     ORDER BY name",
    "SELECT name FROM notes AS n WHERE note = 'no' OR EXISTS (SELECT 1 FROM photos AS p WHERE n.name = p.name)
     ORDER BY name",
    "SELECT n.name, p.size FROM notes AS n LEFT JOIN photos AS p ON n.name = p.name AND p.size > 40000 ORDER BY n.name",
    "SELECT p.name, n.note FROM photos AS p LEFT JOIN notes AS n ON n.name = p.name ORDER BY p.name",
    "SELECT p.name, o.name FROM photos AS p FULL JOIN others AS o ON o.name = p.name ORDER BY p.name, o.name",
    "SELECT o.name, p.name FROM others AS o FULL JOIN photos AS p ON o.name = p.name ORDER BY p.name, o.name",
    // Without keys.
    "SELECT n.name, count(p.name), count(*) FROM notes AS n LEFT JOIN photos AS p ON p.size < length(n.name) * 3000
     GROUP BY n.name ORDER BY n.name",
    "SELECT name FROM notes AS n WHERE NOT EXISTS (SELECT 1 FROM photos AS p WHERE p.size < length(n.name) * 2000)
     ORDER BY name",
    "SELECT n.name, p.name FROM notes AS n CROSS JOIN photos AS p ORDER BY n.name, p.name",
    // In the branches of a union, and below a group.
    "SELECT name FROM photos WHERE name NOT IN (SELECT name FROM notes)
     UNION ALL SELECT n.name FROM notes AS n JOIN photos AS p ON n.name = p.name ORDER BY name",
    "SELECT p.format, count(*), count(n.note) FROM photos AS p LEFT JOIN notes AS n ON p.name = n.name
     GROUP BY p.format ORDER BY p.format",
];

/// Files of names, some of them of photos.
fn tables() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let names = fs::read_dir(home().join("photos")).unwrap();
    let mut names: Vec<_> = names.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let write = |table: &str, lines: &mut dyn Iterator<Item = String>| {
        let lines = lines.map(|line| line + "\n").collect::<String>();
        fs::write(folder.path().join(table).with_extension("csv"), format!("name,note\n{lines}")).unwrap();
    };
    let note = |(index, name): (usize, &String)| format!("{name},{}", ["yes", "no"][index % 2]);
    write("notes", &mut names.iter().step_by(5).enumerate().map(note));
    write("most", &mut names.iter().skip(7).enumerate().map(note));
    let strangers = ["aaa.jpg,stranger".to_owned(), "zzz.jpg,stranger".to_owned()];
    write("others", &mut names.iter().step_by(3).enumerate().map(note).chain(strangers));
    write("gaps", &mut names.iter().step_by(4).enumerate().map(note).chain([",nobody".to_owned()]));
    folder
}

async fn prepared(engine: Engine, folder: &Path, settings: &[&str]) -> Engine {
    for table in ["notes", "most", "others", "gaps"] {
        let file = folder.join(table).with_extension("csv");
        let create = format!("CREATE EXTERNAL TABLE {table} STORED AS CSV LOCATION '{}'", file.display());
        engine.sql(&create).await.unwrap();
    }
    let photos = home().join("photos/");
    let create = format!("CREATE EXTERNAL TABLE photos STORED AS IMAGES LOCATION '{}'", photos.display());
    engine.sql(&create).await.unwrap();
    for setting in settings {
        engine.sql(setting).await.unwrap();
    }
    engine
}

#[tokio::test(flavor = "multi_thread")]
async fn joins_give_the_same_rows_as_alone() {
    let (cluster, folder) = (Cluster::start(2), tables());
    let alone = prepared(engine().await, folder.path(), &[]).await;
    let mut expected = vec![];
    for sql in QUERIES {
        expected.push(rows(&alone, sql).await.unwrap());
    }
    let counts: Vec<_> = expected.iter().map(Vec::len).collect();
    assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
    for settings in PLANS {
        let client = Engine::builder().home(home()).cluster(cluster.url.parse().unwrap()).build().unwrap();
        let client = prepared(client, folder.path(), settings).await;
        for (sql, expected) in QUERIES.iter().zip(&expected) {
            let found = rows(&client, sql).await;
            assert_eq!(found.as_ref(), Ok(expected), "{settings:?} {sql}\n{}", cluster.logs());
        }
    }
}
