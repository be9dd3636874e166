//! Bounds on untrusted input: each is reached, by its default or by a setting, and its message names the setting.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;

use super::{create, csv};
use crate::support::{folder_of, home, photos};

fn error(folder: &Path, sql: &str) -> String {
    csv(folder, sql).error_line()
}

#[test]
fn bytes_of_a_file() {
    let folder = folder_of(1);
    fs::write(folder.path().join("small.png"), &fs::read(photos().join("coffee.png")).unwrap()[..500])
        .unwrap();
    let sql = "SET inference.max_file_bytes = 1000;
               SELECT name, image IS NULL AS unread, image_error(image) AS error FROM read_images('.') ORDER BY name";
    let size = fs::metadata(photos().join("lion.jpg")).unwrap().len();
    let outcome = csv(folder.path(), sql);
    assert_eq!(
        outcome.stdout,
        format!(
            "name,unread,error\n0000.jpg,true,could not be read: its {size} bytes are more than inference.max_file_bytes \
             (1000)\nsmall.png,false,truncated or damaged png: unexpected end of file\n"
        ),
        "{outcome:?}"
    );
}

/// The three frames of an animation.
fn animation(folder: &Path) {
    let mut encoder = image::codecs::gif::GifEncoder::new(File::create(folder.join("a.gif")).unwrap());
    for grey in [0, 100, 200] {
        let frame = image::RgbaImage::from_pixel(8, 8, image::Rgba([grey, grey, grey, 255]));
        encoder.encode_frame(image::Frame::new(frame)).unwrap();
    }
}

#[test]
fn frames() {
    let folder = tempfile::tempdir().unwrap();
    animation(folder.path());
    let frames = |most: u64| {
        let sql = format!(
            "SET inference.max_frames = {most};
             SELECT image_info(image)['frames'] AS frames, image_info(image)['error'] AS error FROM 'a.gif'"
        );
        csv(folder.path(), &sql).stdout()
    };
    assert_eq!(frames(3), "frames,error\n3,\n");
    assert_eq!(frames(2), "frames,error\n,its frames are more than inference.max_frames (2)\n");
    // The first is decoded, however many there are.
    let sql = "SET inference.max_frames = 1; SELECT image_error(image) IS NULL AS well FROM 'a.gif'";
    assert_eq!(csv(folder.path(), sql).stdout(), "well\ntrue\n");
}

#[test]
fn members_of_a_tar() {
    let folder = tempfile::tempdir().unwrap();
    let mut shard = tar::Builder::new(File::create(folder.path().join("a.tar")).unwrap());
    shard.append_path_with_name(photos().join("lion.jpg"), "1.jpg").unwrap();
    let mut header = tar::Header::new_gnu();
    header.set_size(20);
    header.set_mode(0o644);
    shard.append_data(&mut header, "1.txt", &b"twenty bytes of text"[..]).unwrap();
    shard.into_inner().unwrap();
    let read = |settings: &str| {
        let table = "CREATE EXTERNAL TABLE t STORED AS WEBDATASET LOCATION 'a.tar'";
        csv(folder.path(), &format!("{settings}; {table}; SELECT txt, image_error(image) AS error FROM t"))
    };
    assert_eq!(read("SET inference.max_text_bytes = 20").stdout(), "txt,error\ntwenty bytes of text,\n");
    let outcome = read("SET inference.max_text_bytes = 19; SET inference.max_file_bytes = 1000");
    let size = fs::metadata(photos().join("lion.jpg")).unwrap().len();
    let expected = format!(
        "txt,error\n,could not be read: its {size} bytes are more than inference.max_file_bytes (1000)\n"
    );
    assert_eq!(outcome.stdout, expected);
    assert!(
        outcome
            .stderr
            .contains("a text member's 20 bytes are more than inference.max_text_bytes (19); it is NULL"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn numbers_of_an_output() {
    let folder = folder_of(1);
    let map = |most: u64| {
        format!(
            "SET inference.max_output_elements = {most}; {};
             SELECT predict('map', image)['map'] IS NULL AS failed FROM read_images('.')",
            create("map", "task 'maps'")
        )
    };
    assert_eq!(csv(folder.path(), &map(1 << 20)).stdout(), "failed\nfalse\n");
    // A fixed length is known before the model runs.
    assert_eq!(
        error(folder.path(), &map(1000)),
        "Error: model 'map': output 'map' has 1048576 numbers a row, more than inference.max_output_elements (1000)"
    );
    let sql = format!(
        "SET inference.max_output_elements = 1000; {};
         SELECT value, array_length(predict('growing', value)['zeros']) AS length FROM
           (VALUES (1000), (1001), (999), (2000)) AS counts (value) ORDER BY value",
        create("growing", "")
    );
    let outcome = csv(folder.path(), &sql);
    assert_eq!(outcome.stdout, "value,length\n999,999\n1000,1000\n1001,\n2000,\n", "{outcome:?}");
    assert!(
        outcome.stderr.contains(
            "output 'zeros' has 1001 numbers a row, more than inference.max_output_elements (1000)"
        ),
        "{}",
        outcome.stderr
    );
    assert!(!outcome.stderr.contains("another is loaded"), "{}", outcome.stderr);
}

#[test]
fn bytes_of_a_model() {
    let folder = tempfile::tempdir().unwrap();
    let file = home().join("models/efficientnet_lite0/model.onnx");
    let size = fs::metadata(&file).unwrap().len();
    let sql = format!("SET inference.max_model_bytes = 1000; CREATE MODEL m FROM '{}'", file.display());
    assert_eq!(
        error(folder.path(), &sql),
        format!(
            "Error: model 'm': the {size} bytes of '{}' are more than inference.max_model_bytes (1000)",
            file.display()
        )
    );
    // A file that only claims to be larger takes no memory.
    let sparse = folder.path().join("sparse.onnx");
    File::create(&sparse).unwrap().set_len(3 << 30).unwrap();
    let shown = error(folder.path(), "CREATE MODEL m FROM 'sparse.onnx'");
    assert!(shown.contains("are more than inference.max_model_bytes (2147483648)"), "{shown}");

    let weights = |most: u64| format!("SET inference.max_weight_bytes = {most}; {}", create("external", ""));
    csv(folder.path(), &weights(12)).stdout();
    assert_eq!(
        error(folder.path(), &weights(11)),
        "Error: model 'external': the 12 bytes of its external weights are more than inference.max_weight_bytes (11)"
    );
}

/// A grey image of 8 × 8 pixels: a scan for its mean, and ten for each of `frequencies`, a bit of precision after the other.
fn progressive(frequencies: u8) -> Vec<u8> {
    let segment = |marker: u8, content: &[u8]| {
        let length = u16::try_from(content.len() + 2).unwrap().to_be_bytes();
        [&[0xff, marker][..], &length, content].concat()
    };
    // Tables of one code, for zero and for the end of a block, and data with that code alone.
    let table = |class: u8| segment(0xc4, &[&[class, 1][..], &[0; 16]].concat());
    let scan = |frequency: u8, bits: u8| {
        [segment(0xda, &[1, 1, 0, frequency, frequency, bits]), vec![0x7f]].concat()
    };
    let mut jpeg = [0xff, 0xd8].to_vec();
    jpeg.extend(segment(0xdb, &[&[0][..], &[1; 64]].concat()));
    jpeg.extend(segment(0xc2, &[8, 0, 8, 0, 8, 1, 1, 0x11, 0]));
    jpeg.extend([table(0x00), table(0x10), scan(0, 0)].concat());
    for frequency in 1..=frequencies {
        jpeg.extend(scan(frequency, 9));
        (0..9_u8).rev().for_each(|low| jpeg.extend(scan(frequency, ((low + 1) << 4) | low)));
    }
    jpeg.extend([0xff, 0xd9]);
    jpeg
}

#[test]
fn scans_of_a_jpeg() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("few.jpg"), progressive(49)).unwrap();
    fs::write(folder.path().join("many.jpg"), progressive(51)).unwrap();
    let sql = "SELECT name, width, image_error(image) AS error FROM read_images('.') ORDER BY name";
    let shown = csv(folder.path(), sql).stdout;
    let many = shown.strip_prefix("name,width,error\nfew.jpg,8,\nmany.jpg,8,");
    assert!(many.is_some_and(|error| error.contains("more than 500 scans")), "{shown}");
}

/// Metadata is passed over, and comes in segments of 64 KiB at most.
#[test]
fn bytes_that_are_read_for_the_size_of_an_image() {
    let folder = tempfile::tempdir().unwrap();
    let lion = fs::read(photos().join("lion.jpg")).unwrap();
    for (name, segments) in [("few.jpg", 10), ("many.jpg", 200)] {
        let mut jpeg = lion[..2].to_vec();
        for _ in 0..segments {
            jpeg.extend([0xff, 0xe5, 0xff, 0xff]);
            jpeg.resize(jpeg.len() + 0xfffd, 0);
        }
        jpeg.extend(&lion[2..]);
        fs::write(folder.path().join(name), jpeg).unwrap();
    }
    let sizes = "SELECT name, width FROM read_images('.') ORDER BY name";
    assert_eq!(csv(folder.path(), sizes).stdout(), "name,width\nfew.jpg,256\nmany.jpg,\n");
    // What is read anyway is taken as it is.
    let whole = "SELECT name, image_error(image) IS NULL AS well FROM read_images('.') ORDER BY name";
    assert_eq!(csv(folder.path(), whole).stdout(), "name,well\nfew.jpg,true\nmany.jpg,true\n");
}

#[test]
fn names_in_a_tar() {
    let folder = tempfile::tempdir().unwrap();
    let shard = |length: usize| {
        let mut shard = tar::Builder::new(File::create(folder.path().join("a.tar")).unwrap());
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::GNULongName);
        header.set_size(length as u64);
        let name = format!("{}.jpg", "a".repeat(length - 4));
        shard.append_data(&mut header, "././@LongLink", name.as_bytes()).unwrap();
        shard.append_path_with_name(photos().join("lion.jpg"), "1.jpg").unwrap();
        shard.into_inner().unwrap();
    };
    let sql =
        "CREATE EXTERNAL TABLE t STORED AS WEBDATASET LOCATION 'a.tar'; SELECT length(name) AS length FROM t";
    shard(64 << 10);
    assert_eq!(csv(folder.path(), sql).stdout(), format!("length\n{}\n", (64 << 10) - 4));
    shard((64 << 10) + 1);
    let error = error(folder.path(), sql);
    assert!(error.contains("a.tar': a member's name has 65537 bytes"), "{error}");
}

#[test]
fn bytes_of_files_beside_a_model() {
    let folder = tempfile::tempdir().unwrap();
    symlink(home().join("models/efficientnet_lite0/model.onnx"), folder.path().join("model.onnx")).unwrap();
    for name in ["seequel.json", "labels.txt", "config.json"] {
        let place = folder.path().join(name);
        File::create(&place).unwrap().set_len((64 << 20) + 1).unwrap();
        let options = if name == "labels.txt" { "OPTIONS (labels 'labels.txt')" } else { "" };
        let error = error(folder.path(), &format!("CREATE MODEL m FROM 'model.onnx' {options}"));
        assert!(error.contains(&format!("{name}' is larger than 64 MiB")), "{error}");
        fs::remove_file(place).unwrap();
    }
}

#[test]
fn names_that_braces_stand_for() {
    let folder = folder_of(3);
    for braces in ["{1..100001}.jpg", "{1..99999}/{1..99999}.jpg", "{0..99999999999999999999}.jpg"] {
        let shown = error(folder.path(), &format!("SELECT path FROM read_images('{braces}')"));
        assert!(
            shown.contains("the braces stand for more than 100000 names; use a wildcard instead"),
            "{shown}"
        );
    }
    let count = "SELECT count(*) AS n FROM read_images('{0000..0002}.jpg')";
    assert_eq!(csv(folder.path(), count).stdout(), "n\n3\n");
}

#[test]
fn bounds_are_numbers_above_zero_and_are_described() {
    let folder = tempfile::tempdir().unwrap();
    for (name, unit) in [
        ("max_image_pixels", "pixels"),
        ("max_file_bytes", "bytes"),
        ("max_frames", "frames"),
        ("max_text_bytes", "bytes"),
        ("max_output_elements", "numbers"),
        ("max_model_bytes", "bytes"),
        ("max_weight_bytes", "bytes"),
    ] {
        for value in ["0", "-1", "many"] {
            let expected = format!("Error: inference.{name} is a number of {unit} above 0, not '{value}'");
            assert_eq!(error(folder.path(), &format!("SET inference.{name} = '{value}'")), expected);
        }
        let described = format!(
            "SELECT length(description) > 20 AS described FROM information_schema.df_settings WHERE name = 'inference.{name}'"
        );
        assert_eq!(csv(folder.path(), &described).stdout(), "described\ntrue\n");
        // Each is in the table of the documentation, with its default.
        let shown = csv(folder.path(), &format!("SHOW inference.{name}")).stdout();
        let default = shown.lines().nth(1).unwrap().rsplit_once(',').unwrap().1;
        let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/limits.md")).unwrap();
        assert!(page.contains(&format!("| `inference.{name}` | {default} |")), "{name}: {default}");
    }
}
