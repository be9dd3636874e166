//! Parsing and matching of locations, without files.

use datafusion::object_store::path::Path as StorePath;

use crate::images::listing::Location;

/// Whether a pattern below `/no-such-folder` matches a path below it.
fn matches(pattern: &str, path: &str) -> bool {
    let location = Location::parse(&format!("/no-such-folder/{pattern}")).unwrap();
    location.contains(&StorePath::from(format!("no-such-folder/{path}")))
}

#[test]
fn wildcards_match_as_in_a_shell() {
    for (pattern, path, expected) in [
        ("*.jpg", "a.jpg", true),
        ("*.jpg", "a.JPG", false),
        ("*.jpg", "sub/a.jpg", false),
        ("*/*.jpg", "sub/a.jpg", true),
        ("**/*.jpg", "a.jpg", true),
        ("**/*.jpg", "sub/deep/a.jpg", true),
        ("a?.jpg", "ab.jpg", true),
        ("a?.jpg", "a/.jpg", false),
        ("[ab].jpg", "b.jpg", true),
        ("[!ab].jpg", "b.jpg", false),
        ("*", "notes.txt", true),
        ("*", ".hidden", false),
        ("**/*", ".git/a.jpg", false),
        (".*", ".hidden", true),
    ] {
        assert_eq!(matches(pattern, path), expected, "{pattern} on {path}");
    }
}

#[test]
fn a_folder_contains_files_named_like_images_that_are_not_hidden() {
    let location = Location::parse("s3://bucket/photos/").unwrap();
    for (path, expected) in [
        ("photos/a.jpg", true),
        ("photos/sub/A.JPEG", true),
        ("photos/a.txt", false),
        ("photos/a", false),
        ("photos/.a.jpg", false),
        ("photos/_tmp/a.jpg", false),
        ("photographs/a.jpg", false),
    ] {
        assert_eq!(location.contains(&StorePath::from(path)), expected, "{path}");
    }
}

#[test]
fn paths_are_local_or_urls() {
    let file = StorePath::from("data/a b.jpg");
    assert_eq!(Location::parse("/data*/").unwrap().path_of(&file), "/data/a b.jpg");
    assert_eq!(Location::parse("file:///data*/").unwrap().path_of(&file), "/data/a b.jpg");
    let store = Location::parse("s3://bucket/data/*.jpg").unwrap();
    assert_eq!(store.path_of(&file), "s3://bucket/data/a b.jpg");
    assert_eq!(store.prefix(), &StorePath::from("data"));
    assert!(store.contains(&file));
}

#[test]
fn errors_name_the_location() {
    for (written, reason) in [
        ("/no-such-folder/", "there is no such file or folder"),
        ("no-such-file.jpg", "there is no such file or folder"),
        ("file:///no-such-file.jpg", "there is no such file or folder"),
    ] {
        let error = Location::parse(written).unwrap_err().to_string();
        assert_eq!(error, format!("images '{written}': {reason}"));
    }
    assert!(Location::parse("/data/**.jpg").unwrap_err().to_string().starts_with("images '/data/**.jpg': "));
}

#[test]
fn alternatives_combine_with_wildcards() {
    for (pattern, path, expected) in [
        ("{cats,dogs}/*.jpg", "cats/a.jpg", true),
        ("{cats,dogs}/*.jpg", "birds/a.jpg", false),
        ("**/{a,b?}.{jpg,png}", "sub/deep/bx.png", true),
        ("**/{a,b?}.{jpg,png}", "sub/deep/b.png", false),
        ("{00..11}/*", "07/a.jpg", true),
        ("{00..11}/*", "7/a.jpg", false),
    ] {
        assert_eq!(matches(pattern, path), expected, "{pattern} on {path}");
    }
}

#[test]
fn alternatives_without_wildcards_name_files() {
    for (written, expected) in [
        ("/no-such-folder/{a,b}.jpg", "no-such-folder/a.jpg no-such-folder/b.jpg"),
        ("s3://bucket/{1..2}/{3..4}.jpg", "1/3.jpg 1/4.jpg 2/3.jpg 2/4.jpg"),
        ("https://host/photos/[{08..09}].jpg", "photos/[08].jpg photos/[09].jpg"),
    ] {
        let location = Location::parse(written).unwrap();
        let files: Vec<_> = location.files().unwrap().iter().map(StorePath::as_ref).collect();
        assert_eq!(files.join(" "), expected);
    }
    assert!(Location::parse("s3://bucket/a.jpg").unwrap().files().is_none());
}

#[test]
fn a_url_with_a_query_is_rejected() {
    let error = Location::parse("https://host/a.jpg?token=1").unwrap_err().to_string();
    assert!(error.contains("the query behind '?' can't be sent"), "{error}");
}
