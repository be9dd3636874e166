//! Missing and invalid images: each gives an error in its own row and does not affect other rows.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use tempfile::TempDir;

use crate::support::photos;
use crate::support::process::{Outcome, run_in, seequel, start, without_privileges};

/// Two photos, a file without an image extension, and images that can't be decoded.
fn odd_folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    let lion = fs::read(photos().join("lion.jpg")).unwrap();
    let coffee = fs::read(photos().join("coffee.png")).unwrap();
    write("lion.jpg", &lion);
    write("coffee.png", &coffee);
    write("truncated.jpg", &lion[..lion.len() / 3]);
    write("truncated.png", &coffee[..coffee.len() / 3]);
    write("text.jpg", b"not a photo\n");
    write("empty.jpg", b"");
    write("huge.png", &header_of_png(50_000, 50_000));
    write("notes.txt", b"not a photo either\n");
    folder
}

/// A PNG of 8-bit RGB that ends after its header: the signature and IHDR of the specification.
fn header_of_png(width: u32, height: u32) -> Vec<u8> {
    let mut header = b"IHDR".to_vec();
    header.extend(width.to_be_bytes());
    header.extend(height.to_be_bytes());
    header.extend([8, 2, 0, 0, 0]);
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    for chunk in [header, b"IDAT\x78\x9c\x63\x60\x60\x60\x00\x00".to_vec(), b"IEND".to_vec()] {
        png.extend(u32::try_from(chunk.len() - 4).unwrap().to_be_bytes());
        png.extend(&chunk);
        png.extend(crc32(&chunk).to_be_bytes());
    }
    png
}

/// The cyclic redundancy check of PNG's annex D.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { 0xedb8_8320 ^ (crc >> 1) } else { crc >> 1 };
    !bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

fn csv(folder: &Path, sql: &str) -> Outcome {
    run_in(folder, &["-q", "--format", "csv", "-c", sql])
}

const EACH: &str = "SELECT regexp_replace(path, '.*/', '') AS file, p['label'] AS label, p['error'] AS error";

#[test]
fn failed_rows_have_an_error_and_the_others_are_classified() {
    let folder = odd_folder();
    let sql = format!("{EACH} FROM (SELECT path, classify(image) AS p FROM read_images('.')) ORDER BY file");
    insta::assert_snapshot!(csv(folder.path(), &sql).stdout(), @r#"
    file,label,error
    coffee.png,espresso,
    empty.jpg,,empty file
    huge.png,,50000 × 50000 pixels are more than inference.max_image_pixels (100000000)
    lion.jpg,lion,
    text.jpg,,"not an image: the content is not JPEG, PNG, WebP, GIF, BMP or TIFF"
    truncated.jpg,,truncated or damaged jpeg: TurboJPEG error: Premature end of JPEG file
    truncated.png,,truncated or damaged png: unexpected end of file
    "#);
}

#[test]
fn unreadable_file_yields_a_row_with_an_error() {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(photos().join("lion.jpg"), folder.path().join("lion.jpg")).unwrap();
    fs::File::create(folder.path().join("large.jpg")).unwrap().set_len(300 << 20).unwrap();
    let sql = format!(
        "SELECT image IS NULL AS gone, q.* FROM ({EACH}, image FROM (SELECT path, image, classify(image) AS p
         FROM read_images('.'))) q ORDER BY file"
    )
    .replace("q.*", "file, label, error");
    let outcome = csv(folder.path(), &sql);
    insta::assert_snapshot!(outcome.stdout, @"
    gone,file,label,error
    true,large.jpg,,could not be read: its 314572800 bytes are more than inference.max_file_bytes (268435456)
    false,lion.jpg,lion,
    ");
    assert!(outcome.stderr.contains("a file could not be read; its columns are NULL"), "{}", outcome.stderr);

    let error = csv(folder.path(), &format!("SET inference.on_error = 'fail'; {sql}")).error();
    assert!(error.contains("/large.jpg: could not be read: its 314572800 bytes are more than"), "{error}");
}

#[test]
fn patterns_match_files_that_are_not_images() {
    let folder = odd_folder();
    let sql =
        format!("{EACH} FROM (SELECT path, classify(image) AS p FROM read_images('[ln]*')) ORDER BY file");
    insta::assert_snapshot!(csv(folder.path(), &sql).stdout(), @r#"
    file,label,error
    lion.jpg,lion,
    notes.txt,,"not an image: the content is not JPEG, PNG, WebP, GIF, BMP or TIFF"
    "#);
}

#[test]
fn image_functions_return_null_and_log_the_reason() {
    let folder = odd_folder();
    let sql = "SELECT regexp_replace(path, '.*/', '') AS file, thumbnail(image, 20) IS NULL AS failed,
                      image_info(image)['error'] AS error FROM read_images('.') ORDER BY file";
    let outcome = csv(folder.path(), sql);
    insta::assert_snapshot!(outcome.stdout, @r#"
    file,failed,error
    coffee.png,false,
    empty.jpg,true,empty file
    huge.png,true,
    lion.jpg,false,
    text.jpg,true,"not an image: the content is not JPEG, PNG, WebP, GIF, BMP or TIFF"
    truncated.jpg,true,
    truncated.png,true,
    "#);
    assert_eq!(outcome.status, Some(0));
    assert!(outcome.stderr.contains("images of a batch could not be used"), "{}", outcome.stderr);
}

#[test]
fn errors_in_case_branches_affect_only_their_rows() {
    let folder = odd_folder();
    let sql = "SELECT regexp_replace(path, '.*/', '') AS file,
                      CASE WHEN size > 0 THEN classify(image)['error'] ELSE 'nothing to read' END IS NULL AS well
               FROM read_images('[et]*.jpg') UNION ALL
               SELECT 'lion', CASE WHEN size > 0 THEN classify(image)['label'] END = 'lion' FROM 'lion.jpg' ORDER BY file";
    assert_eq!(
        csv(folder.path(), sql).stdout(),
        "file,well\nempty.jpg,false\nlion,true\ntext.jpg,false\ntruncated.jpg,false\n"
    );
}

#[test]
fn on_error_fail_ends_the_query_and_names_the_file() {
    let folder = odd_folder();
    let fail = "SET inference.on_error = 'fail'; SELECT path, classify(image)['label'] AS l FROM";
    let well = csv(
        folder.path(),
        &format!("{fail} read_images('*[ne].[jp][pn]g') WHERE size > 1000 AND path LIKE '%/lion%'"),
    );
    assert_eq!(well.stdout().lines().count(), 2);
    let error = csv(folder.path(), &format!("{fail} read_images('t*.jpg') ORDER BY path")).error();
    assert!(
        error.contains("/t") && error.contains(".jpg: ") && error.contains("inference.on_error"),
        "{error}"
    );
    let error = csv(folder.path(), &format!("{fail} 'empty.jpg'")).error();
    assert!(error.contains("/empty.jpg: empty file"), "{error}");
}

/// The error names the file even if the query does not select its path.
#[test]
fn error_names_the_file_if_path_is_not_selected() {
    let folder = odd_folder();
    let sql = "SET inference.on_error = 'fail'; SELECT classify(image)['label'] AS l FROM 'text.jpg'";
    let error = csv(folder.path(), sql).error();
    assert!(error.contains("text.jpg: not an image"), "{error}");
}

/// 50,000 × 50,000 pixels of RGB would be 7.5 GB.
#[test]
#[cfg(target_os = "linux")]
fn huge_image_is_rejected_before_memory_is_allocated() {
    let folder = odd_folder();
    // the series fills the pipe, so that the process is still running when its memory is read
    let sql = "SELECT classify(image)['error'] AS error FROM 'huge.png'; SELECT * FROM generate_series(1, 10000000)";
    let mut command = seequel(folder.path(), &["-q", "--format", "csv", "-c", sql]);
    let (mut child, _watchdog) = start(&mut command, Stdio::null());
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let shown = lines.by_ref().take(3).collect::<Result<Vec<_>, _>>().unwrap();
    insta::assert_snapshot!(shown.join("\n"), @r"
    error
    50000 × 50000 pixels are more than inference.max_image_pixels (100000000)
    value
    ");
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    drop(lines);
    child.wait_with_output().unwrap();

    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak_kib: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak_kib < 1 << 20, "{peak_kib} KiB");
}

#[test]
fn pixel_limit_is_a_setting() {
    let sql = "SET inference.max_image_pixels = 65536; -- 256 × 256
               SELECT regexp_replace(path, '.*/', '') AS file, classify(image)['error'] AS error
               FROM read_images('.') WHERE path LIKE '%/lion.jpg' OR path LIKE '%/tower.jpg' ORDER BY file";
    insta::assert_snapshot!(csv(&photos(), sql).stdout(), @r"
    file,error
    lion.jpg,
    tower.jpg,377 × 600 pixels are more than inference.max_image_pixels (65536)
    ");
}

#[test]
fn columns_of_an_unreadable_header_are_null() {
    let folder = odd_folder();
    let sql = "SELECT regexp_replace(path, '.*/', '') AS file, width, height, format FROM read_images('.') ORDER BY file";
    insta::assert_snapshot!(csv(folder.path(), sql).stdout(), @r"
    file,width,height,format
    coffee.png,600,400,png
    empty.jpg,,,
    huge.png,50000,50000,png
    lion.jpg,256,256,jpeg
    text.jpg,,,
    truncated.jpg,256,256,jpeg
    truncated.png,600,400,png
    ");
}

#[test]
fn missing_folder() {
    let folder = tempfile::tempdir().unwrap();
    let expected =
        "Error: images 'no/photos/': there is no such file or folder; the current folder has no 'no'\n";
    for sql in [
        "CREATE EXTERNAL TABLE t STORED AS IMAGES LOCATION 'no/photos/'",
        "SELECT path FROM read_images('no/photos/')",
    ] {
        assert_eq!(run_in(folder.path(), &["-c", sql]).error(), expected);
    }
    let error = run_in(folder.path(), &["-c", "SELECT path FROM 'no/photo.jpg'"]).error();
    assert!(error.contains("'no/photo.jpg'") && error.contains("there is no such file"), "{error}");
}

#[test]
fn empty_folder_has_no_rows() {
    let folder = tempfile::tempdir().unwrap();
    let sql = "CREATE EXTERNAL TABLE t STORED AS IMAGES LOCATION '.';
               SELECT path, classify(image) FROM t; SELECT count(*) AS n, count(classify(image)) AS predictions FROM t;
               SELECT path FROM '*.jpg'";
    let outcome = csv(folder.path(), sql);
    assert_eq!(
        (outcome.status, outcome.stdout.as_str()),
        (Some(0), "path,classify(image)\nn,predictions\n0,0\npath\n")
    );
    assert!(outcome.stderr.lines().all(|line| line.ends_with(" holds no files")), "{}", outcome.stderr);
}

/// The file is sparse and takes no space on disk.
#[test]
fn too_large_file_is_not_read() {
    let folder = odd_folder();
    let large = fs::File::create(folder.path().join("large.jpg")).unwrap();
    large.set_len(300 << 20).unwrap();
    let sql = "SELECT regexp_replace(path, '.*/', '') AS file, image IS NULL AS unread, classify(image)['label'] AS label
               FROM read_images('l*.jpg') ORDER BY file";
    let outcome = csv(folder.path(), sql);
    assert_eq!(outcome.status, Some(0), "{outcome:?}");
    assert_eq!(outcome.stdout, "file,unread,label\nlarge.jpg,true,\nlion.jpg,false,lion\n");
    assert!(
        outcome.stderr.contains("large.jpg") && outcome.stderr.contains("314572800 bytes"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn log_names_rows_without_a_prediction() {
    let folder = odd_folder();
    fs::write(folder.path().join("fake.jpg"), "text").unwrap();
    for call in ["embed(image)", "classify_top_k(image, 2)", "predict('efficientnet_lite0', image)"] {
        let outcome =
            csv(folder.path(), &format!("SELECT {call} IS NULL AS lost FROM read_images('fake.jpg')"));
        assert_eq!(outcome.stdout, "lost\ntrue\n", "{outcome:?}");
        assert!(outcome.stderr.contains("fake.jpg: not an image: "), "{}", outcome.stderr);
    }
}

/// Entries that can't be listed are skipped and reported in one warning.
#[test]
#[cfg(target_os = "linux")]
fn invalid_folder_entries_are_skipped() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::{PermissionsExt, symlink};

    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let lion = fs::read(photos().join("lion.jpg")).unwrap();
    fs::create_dir(path("below")).unwrap();
    for name in ["a.jpg", "below/with space é%41.jpg", "below/z.jpg"] {
        fs::write(path(name), &lion).unwrap();
    }
    symlink(path("a.jpg"), path("link.jpg")).unwrap();
    symlink(path("nowhere.jpg"), path("dangling.jpg")).unwrap();
    symlink(folder.path(), path("below/loop")).unwrap();
    fs::write(path("two\nlines.jpg"), &lion).unwrap();
    fs::write(folder.path().join(OsStr::from_bytes(b"latin-\xe9.jpg")), &lion).unwrap();
    fs::create_dir(path("locked")).unwrap();
    fs::write(path("locked/b.jpg"), &lion).unwrap();
    fs::set_permissions(path("locked"), fs::Permissions::from_mode(0o000)).unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();

    let sql = "SELECT regexp_replace(path, '.*/', '') AS file, classify(image)['label'] AS label FROM read_images('.') \
               ORDER BY file";
    let mut command = seequel(folder.path(), &["-q", "--format", "csv", "-c", sql]);
    let outcome = without_privileges(&mut command);
    fs::set_permissions(path("locked"), fs::Permissions::from_mode(0o755)).unwrap();
    let expected = "file,label\na.jpg,lion\nlink.jpg,lion\nwith space é%41.jpg,lion\nz.jpg,lion\n";
    assert_eq!((outcome.status, outcome.stdout.as_str()), (Some(0), expected), "{}", outcome.stderr);
    let warnings: Vec<_> = outcome.stderr.lines().filter(|line| line.contains("left out")).collect();
    assert_eq!(warnings.len(), 1, "{}", outcome.stderr);
    for reason in [
        "1 × link that loops",
        "1 × link to nothing",
        "1 × name that is not UTF-8",
        "1 × name with control characters",
        "1 × no permission",
    ] {
        assert!(warnings[0].contains(reason), "{reason}: {}", outcome.stderr);
    }
}

#[test]
fn partition_columns_are_found_for_every_kind_of_location() {
    let folder = tempfile::tempdir().unwrap();
    for label in ["cat", "dog"] {
        fs::create_dir(folder.path().join(format!("label={label}"))).unwrap();
        fs::copy(photos().join("lion.jpg"), folder.path().join(format!("label={label}/1.jpg"))).unwrap();
    }
    let create = "CREATE EXTERNAL TABLE created STORED AS IMAGES LOCATION '.'";
    for table in ["created", "read_images('.')", "read_images('**/*.jpg')", "'**/*.jpg'", "'./**'"] {
        let sql =
            format!("{create}; SELECT label, count(*) AS images FROM {table} GROUP BY label ORDER BY label");
        assert_eq!(csv(folder.path(), &sql).stdout(), "label,images\ncat,1\ndog,1\n", "{table}");
    }
}
