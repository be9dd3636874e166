//! Folders of more files than a plan names: a task lists them.

use std::fs;
use std::path::Path;

use super::processes::Cluster;
use super::queries::stages;
use super::{alone, on};

/// More than the client lists for a plan.
const FILES: usize = 17_000;

/// A table with a partition column, of links to small images.
fn many() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("image.png");
    fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/png/rgb.png"), &image).unwrap();
    for number in 0..FILES {
        let parent = folder.path().join(format!("many/kind={}", number % 3));
        if number < 3 {
            fs::create_dir_all(&parent).unwrap();
        }
        fs::hard_link(&image, parent.join(format!("{number:05}.png"))).unwrap();
    }
    fs::write(folder.path().join("many/kind=1/notes.txt"), "no image").unwrap();
    folder
}

#[test]
fn a_task_lists_what_a_plan_does_not_name() {
    let (cluster, folder) = (Cluster::start(2), many());
    for sql in [
        "SELECT count(*), count(DISTINCT path), min(name), max(name), sum(size), count(image), sum(width)
         FROM read_images('many/')",
        // Both sides of the listing's filter: what chooses a folder, and what is evaluated on each file.
        "SELECT kind, count(*), min(phash(image)), max(phash(image)) FROM read_images('many/')
         WHERE kind <> '0' AND name LIKE '%7.png' GROUP BY kind ORDER BY kind",
        "SELECT count(*), min(path) FROM read_images('many/') WHERE kind = '2'",
        "SELECT count(*), max(name) FROM read_images('many/kind={0,1,2}/*[02468].png')",
        // One task lists, reads and sorts.
        "SELECT name, width FROM read_images('many/') ORDER BY phash(image), name DESC LIMIT 3",
        "SELECT count(DISTINCT name) FROM (SELECT name FROM read_images('many/') LIMIT 16800)",
    ] {
        let expected = alone(folder.path(), sql).stdout();
        let ran = on(&cluster, folder.path(), sql);
        assert_eq!(ran.stdout, expected, "{sql}\n{}\n{}", ran.stderr, cluster.logs());
    }
}

#[test]
fn the_files_of_a_listing_go_to_many_tasks() {
    let (cluster, folder) = (Cluster::start(1), many());
    let sql = "SELECT count(phash(image)) FROM read_images('many/') WHERE kind = '1'";
    let few = stages(&cluster, folder.path(), sql);
    assert!(!few.contains("ListImagesExec"), "{few}");
    let many = stages(&cluster, folder.path(), &sql.replace("kind = '1'", "kind <> '7'"));
    let stages: Vec<&str> = many.split("stage ").skip(1).collect();
    let with = |operator: &str| {
        let found: Vec<_> = stages.iter().filter(|stage| stage.contains(operator)).collect();
        assert_eq!(found.len(), 1, "{operator} in {many}");
        found[0].lines().next().unwrap().to_owned()
    };
    assert!(with("ListImagesExec: location=many/, filters=[").contains(" of 1 partitions"), "{many}");
    assert!(with("FetchImagesExec").contains(" of 32 partitions"), "{many}");
}
