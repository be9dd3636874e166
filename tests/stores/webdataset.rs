//! `STORED AS WEBDATASET`: shards of real photos, whole and damaged.

use std::fs::{self, File};
use std::path::Path;

use tar::{Builder, EntryType, Header};

use crate::support::photos;
use crate::support::process::{Outcome, run_in};
use crate::support::s3::S3;

type Tar = Builder<File>;

fn tar(folder: &Path, name: &str) -> Tar {
    Builder::new(File::create(folder.join(name)).unwrap())
}

fn add(tar: &mut Tar, name: &str, content: &[u8]) {
    let mut header = Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, name, content).unwrap();
}

fn photo(name: &str) -> Vec<u8> {
    fs::read(photos().join(name)).unwrap()
}

/// Three shards: photos with their sidecar files, long names, and members to ignore.
fn shards(folder: &Path) {
    let mut first = tar(folder, "000.tar");
    add(&mut first, "0001.jpg", &photo("lion.jpg"));
    add(&mut first, "0001.json", br#"{"label": "lion"}"#);
    add(&mut first, "0001.cls", b"291\n");
    add(&mut first, "0002.seg.png", b"a mask, not the image");
    add(&mut first, "0002.PNG", &photo("coffee.png"));
    add(&mut first, "0002.txt", "ein Kaffee, süß".as_bytes());
    add(&mut first, "0002.cls", b"none");
    first.into_inner().unwrap();

    let mut second = tar(folder, "001.tar");
    second.append_dir("train", folder).unwrap();
    add(&mut second, &format!("./train/{}.jpg", "long".repeat(40)), &photo("lion.jpg"));
    add(&mut second, "train/._0001.jpg", b"what some systems add");
    add(&mut second, "train/0003.txt", b"a caption without an image");
    second.into_inner().unwrap();

    let mut third = tar(folder, "002.tar");
    third.append_pax_extensions([("path", "süß.jpg".as_bytes())]).unwrap();
    add(&mut third, "short.jpg", &photo("lion.jpg"));
    third.into_inner().unwrap();
    fs::write(folder.join("notes.txt"), "no shard").unwrap();
}

fn create(location: &str) -> String {
    format!("CREATE EXTERNAL TABLE shards STORED AS WEBDATASET LOCATION '{location}'; ")
}

const ROWS: &str =
    "SELECT regexp_replace(regexp_replace(path, '.*/(00.\\.tar)', '\\1'), '(long)+', 'long') AS path,
    regexp_replace(name, '(long)+', 'long') AS name,
    image IS NOT NULL AS image, json, txt, cls, classify(image)['label'] AS label FROM shards ORDER BY path";

const EXPECTED: &str = "path,name,image,json,txt,cls,label
000.tar/0001,0001,true,\"{\"\"label\"\": \"\"lion\"\"}\",,291,lion
000.tar/0002,0002,true,,\"ein Kaffee, süß\",,espresso
001.tar/train/0003,0003,false,,a caption without an image,,
001.tar/train/long,long,true,,,,lion
002.tar/süß,süß,true,,,,lion
";

fn run(folder: &Path, sql: &str) -> Outcome {
    run_in(folder, &["-q", "--format", "csv", "-c", sql])
}

#[test]
fn members_of_one_key_are_a_row() {
    let folder = tempfile::tempdir().unwrap();
    shards(folder.path());
    for location in [".", "*.tar", "{000..002}.tar", "{000,001,002}.tar"] {
        let outcome = run(folder.path(), &(create(location) + ROWS));
        assert_eq!(outcome.stdout, EXPECTED, "{location}: {}", outcome.stderr);
        assert!(outcome.stderr.contains("a cls member holds no number"), "{}", outcome.stderr);
    }
}

#[test]
fn unselected_members_are_not_read() {
    let folder = tempfile::tempdir().unwrap();
    shards(folder.path());
    let sql = create(".") + "SELECT count(*) AS n FROM shards; SELECT txt FROM shards WHERE txt LIKE 'a%'";
    assert_eq!(run(folder.path(), &sql).stdout(), "n\n5\ntxt\na caption without an image\n");
    let sql = create("000.tar") + "SELECT path LIKE '%/000.tar/0001' AS first FROM shards LIMIT 1";
    assert_eq!(run(folder.path(), &sql).stdout(), "first\ntrue\n");
}

#[test]
fn shards_are_distributed_over_partitions() {
    let folder = tempfile::tempdir().unwrap();
    shards(folder.path());
    let sql = format!(
        "SET datafusion.execution.target_partitions = 2; {} EXPLAIN SELECT path FROM shards",
        create(".")
    );
    let plan = run(folder.path(), &sql).stdout();
    assert!(plan.contains("WebDatasetExec: location=., shards=3, projection=[path]"), "{plan}");
}

#[test]
fn shards_are_read_from_buckets_and_over_http() {
    let folder = tempfile::tempdir().unwrap();
    shards(folder.path());
    let mut server = S3::of(folder.path());
    server.fail("busy", "GET /photos/001.tar.*", 1);
    for location in ["s3://photos/".to_owned(), format!("{}/{{000..002}}.tar", server.http())] {
        let outcome = server.run(&(create(&location) + ROWS));
        assert_eq!(outcome.stdout, EXPECTED, "{location}: {}", outcome.stderr);
    }
}

#[test]
fn truncated_and_damaged_shards_are_named() {
    let folder = tempfile::tempdir().unwrap();
    shards(folder.path());
    let whole = fs::read(folder.path().join("000.tar")).unwrap();
    let mut flipped = whole.clone();
    let second = 512 + photo("lion.jpg").len().next_multiple_of(512);
    flipped[second] ^= 1;
    for (name, bytes, reason) in [
        ("cut.tar", &whole[..5_000], "cut.tar': the tar is cut short in '0001.jpg': 4488 of "),
        ("skip.tar", &whole[..whole.len() - 1800], "skip.tar': the tar is cut short"),
        ("flipped.tar", &flipped[..], "flipped.tar': the tar is damaged, or the file is not a tar: "),
        ("photo.tar", &photo("lion.jpg")[..], "photo.tar': the tar is damaged, or the file is not a tar: "),
    ] {
        fs::write(folder.path().join(name), bytes).unwrap();
        let error = run(folder.path(), &(create(name) + "SELECT count(image) FROM shards")).error();
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn names_outside_the_shard_are_rejected() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["../evil.jpg", "/tmp/evil.jpg"] {
        let mut evil = tar(folder.path(), "evil.tar");
        let mut header = Header::new_gnu();
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(3);
        header.set_cksum();
        evil.append(&header, &b"abc"[..]).unwrap();
        evil.into_inner().unwrap();
        let error = run(folder.path(), &(create("evil.tar") + "SELECT path FROM shards")).error();
        let expected = format!("evil.tar': the member '{name}' has a name outside the tar");
        assert!(error.contains(&expected), "{error}");
    }
}

#[test]
fn declared_sizes_allocate_no_memory() {
    let folder = tempfile::tempdir().unwrap();
    let mut huge = tar(folder.path(), "huge.tar");
    let mut header = Header::new_gnu();
    header.set_path("0001.jpg").unwrap();
    header.set_size(1 << 40);
    header.set_cksum();
    huge.append(&header, &b"abc"[..]).unwrap();
    huge.into_inner().unwrap();
    let error = run(folder.path(), &(create("huge.tar") + "SELECT image FROM shards")).error();
    assert!(error.contains("huge.tar': "), "{error}");

    let mut name = tar(folder.path(), "name.tar");
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::GNULongName);
    header.set_size(1 << 40);
    header.set_cksum();
    name.append(&header, &b"abc"[..]).unwrap();
    name.into_inner().unwrap();
    let error = run(folder.path(), &(create("name.tar") + "SELECT path FROM shards")).error();
    assert!(error.contains("name.tar': a member's name has 1099511627776 bytes"), "{error}");
}

#[test]
fn memory_is_bounded_by_the_sessions_pool() {
    let folder = tempfile::tempdir().unwrap();
    let mut large = tar(folder.path(), "large.tar");
    for number in 0..40 {
        add(&mut large, &format!("{number}.jpg"), &vec![0; 4 << 20]);
    }
    large.into_inner().unwrap();
    let sql = create("large.tar") + "SELECT count(image) AS images FROM shards";
    let arguments = ["-q", "--format", "csv", "--memory-limit", "64m", "-c", &sql];
    assert_eq!(run_in(folder.path(), &arguments).stdout(), "images\n40\n");
}

#[test]
fn invalid_shard_tables_are_rejected() {
    let folder = tempfile::tempdir().unwrap();
    shards(folder.path());
    for (rest, reason) in [
        ("(a INT) STORED AS WEBDATASET LOCATION '.'", "the columns of images are given; remove 'a'"),
        ("STORED AS WEBDATASET LOCATION '.' PARTITIONED BY (a)", "leave out PARTITIONED BY"),
        ("STORED AS WEBDATASET LOCATION '.' OPTIONS ('a' 'b')", "STORED AS WEBDATASET takes none"),
        ("STORED AS WEBDATASET LOCATION 'no.tar'", "there is no such file or folder"),
    ] {
        let error = run(folder.path(), &format!("CREATE EXTERNAL TABLE shards {rest}")).error();
        assert!(error.contains(reason), "{error}");
    }
    let error = run(folder.path(), &(create("{000..009}.tar") + "SELECT path FROM shards")).error();
    assert!(error.contains("there is no file '") && error.contains("003.tar'"), "{error}");
}
