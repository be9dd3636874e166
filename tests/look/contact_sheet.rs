//! `\contact-sheet`: the page's content, as a parser sees it; and in Chromium where that is installed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use html5gum::{DefaultEmitter, Token, Tokenizer};

use crate::support::process::{Outcome, run_in, seequel};
use crate::support::{folder_of, photos};

/// A start tag with its attributes, and the text up to the next tag.
#[derive(Debug)]
struct Tag {
    name: String,
    attributes: Vec<(String, String)>,
    text: String,
}

impl Tag {
    fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn has_class(&self, class: &str) -> bool {
        self.attribute("class").is_some_and(|classes| classes.split(' ').any(|other| other == class))
    }
}

/// The start tags of a page.
fn tags(page: &str) -> Vec<Tag> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let mut tags: Vec<Tag> = vec![];
    let mut is_open = false;
    // As in a browser, scripts and styles are text.
    let mut emitter = DefaultEmitter::default();
    emitter.naively_switch_states(true);
    for token in Tokenizer::new_with_emitter(page, emitter) {
        match token.unwrap() {
            Token::StartTag(tag) => {
                is_open = true;
                tags.push(Tag {
                    name: text(&tag.name),
                    attributes: tag
                        .attributes
                        .iter()
                        .map(|(name, value)| (text(name), text(value)))
                        .collect(),
                    text: String::new(),
                });
            }
            Token::EndTag(_) => is_open = false,
            Token::String(part) => {
                if let Some(tag) = tags.last_mut().filter(|_| is_open) {
                    tag.text += &text(&part);
                }
            }
            Token::Error(error) => panic!("{error:?}"),
            _ => {}
        }
    }
    tags
}

fn classes<'a>(tags: &'a [Tag], class: &str) -> Vec<&'a Tag> {
    tags.iter().filter(|tag| tag.has_class(class)).collect()
}

/// Writes a page in `folder` and returns it.
fn sheet(folder: &Path, query: &str) -> String {
    let shown = run_in(folder, &["-q", "-c", &format!("\\contact-sheet sheet.html {query}")]).stdout();
    assert!(shown.starts_with("sheet.html: "), "{shown}");
    fs::read_to_string(folder.join("sheet.html")).unwrap()
}

/// Two objects of a detector in each photo.
fn objects() -> String {
    format!(
        "SELECT path, image, width, [
           named_struct('label', 'head', 'class', 3, 'confidence', 0.9, 'box', named_struct('x0', 10, 'y0', 20, 'x1', 200, 'y1', 150)),
           named_struct('label', 'tail', 'class', 4, 'confidence', 0.25, 'box', named_struct('x0', -5, 'y0', 20, 'x1', 9999, 'y1', 150))] AS found
         FROM read_images('{}') WHERE path LIKE '%lion%' OR path LIKE '%coffee%' ORDER BY path",
        photos().display()
    )
    .replace('\n', " ")
}

#[test]
fn images_have_thumbnails_labels_confidences_and_boxes() {
    let folder = tempfile::tempdir().unwrap();
    let page = sheet(folder.path(), &objects());
    let tags = tags(&page);
    let images: Vec<_> = tags.iter().filter(|tag| tag.name == "img").collect();
    let described: Vec<_> = images.iter().filter_map(|image| image.attribute("alt")).collect();
    assert_eq!(described, ["coffee.png: head 90 %, tail 25 %", "lion.jpg: head 90 %, tail 25 %"]);
    assert!(
        images.iter().all(|image| image.attribute("src").unwrap().starts_with("data:image/jpeg;base64,/9j/"))
    );
    assert_eq!((images[0].attribute("width"), images[0].attribute("height")), (Some("256"), Some("171")));

    let labels: Vec<_> = tags
        .iter()
        .filter_map(|tag| Some((tag.attribute("data-label")?, tag.attribute("data-confidence")?)))
        .collect();
    assert_eq!(labels[..2], [("head", "0.9000"), ("tail", "0.2500")]);
    let confidences: Vec<_> = classes(&tags, "confidence").iter().map(|tag| tag.text.as_str()).collect();
    assert_eq!(confidences, ["90.0 %", "25.0 %", "90.0 %", "25.0 %"]);
    // Boxes are in pixels of the original, within it.
    let drawn = classes(&tags, "boxes")[0];
    assert_eq!(drawn.attribute("viewbox"), Some("0 0 600 400"));
    let line = |tag: &Tag| ["x", "y", "width", "height"].map(|name| tag.attribute(name).unwrap().to_owned());
    let lines: Vec<_> = classes(&tags, "line").into_iter().map(line).collect();
    assert_eq!(lines[..2], [["0.0", "20.0", "600.0", "130.0"], ["10.0", "20.0", "190.0", "130.0"]]);
    let details: Vec<_> = tags.iter().filter(|tag| tag.name == "bdi").map(|tag| tag.text.as_str()).collect();
    assert!(details.contains(&"width") && details.contains(&"600"), "{details:?}");
}

#[test]
fn nothing_comes_from_a_network_and_the_policy_allows_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let page = sheet(folder.path(), &objects());
    let tags = tags(&page);
    let policy =
        tags.iter().find(|tag| tag.attribute("http-equiv") == Some("Content-Security-Policy")).unwrap();
    let policy = policy.attribute("content").unwrap();
    assert!(policy.starts_with("default-src 'none'; img-src data:; style-src 'sha256-"), "{policy}");
    assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
    for tag in &tags {
        assert!(!["link", "iframe", "object", "embed", "base"].contains(&tag.name.as_str()), "{tag:?}");
        for (name, value) in &tag.attributes {
            assert!(!name.starts_with("on") && name != "style", "{tag:?}");
            let loads = ["src", "href", "srcset", "action", "poster"].contains(&name.as_str());
            assert!(
                !loads || value.starts_with("data:image/") || value.starts_with('#'),
                "{name}={value:.60}"
            );
        }
    }
    let controls: Vec<_> =
        tags.iter().filter(|tag| ["input", "select"].contains(&tag.name.as_str())).collect();
    assert_eq!(controls.len(), 6);
    assert_eq!(
        tags.iter().filter(|tag| tag.name == "label").count(),
        controls.len(),
        "each control has a label"
    );
}

#[test]
fn hostile_texts_are_only_text() {
    let folder = tempfile::tempdir().unwrap();
    let hostile = "<img src=x onerror=alert(1)>\"''><script>alert(2)</script>";
    let query = format!(
        "SELECT '/data/{hostile}' AS path, image, named_struct('label', '{hostile}', 'confidence', 0.5, 'error', '{hostile}') AS p, '{hostile}' AS expected, '{hostile}' || chr(1) AS \"<b>note</b>\" FROM '{}/lion.jpg'",
        photos().display()
    );
    let tags = tags(&sheet(folder.path(), &query));
    let names: BTreeSet<_> = tags.iter().map(|tag| tag.name.as_str()).collect();
    assert!(!names.contains("b"), "{names:?}");
    assert_eq!(tags.iter().filter(|tag| tag.name == "script").count(), 1);
    assert_eq!(tags.iter().filter(|tag| tag.name == "img").count(), 1);
    let hostile = hostile.replace("''", "'");
    let card = classes(&tags, "card")[0];
    assert_eq!(card.attribute("data-expected"), Some(hostile.as_str()));
    let title = classes(&tags, "name")[0].attribute("title").unwrap().to_owned();
    assert_eq!(title, format!("/data/{hostile}"));
    assert_eq!(classes(&tags, "error")[0].text, hostile);
    let texts: Vec<_> = tags.iter().filter(|tag| tag.name == "bdi").map(|tag| tag.text.clone()).collect();
    assert!(texts.contains(&format!("{hostile}\u{fffd}")), "{texts:?}");
    let code = tags.iter().find(|tag| tag.name == "code").unwrap();
    assert_eq!(code.text, query);
}

#[test]
fn broken_images_and_failed_predictions_have_their_reason() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("bad.jpg"), "no photo").unwrap();
    fs::copy(photos().join("lion.jpg"), folder.path().join("good.jpg")).unwrap();
    let tags = tags(&sheet(
        folder.path(),
        "SELECT path, image, classify(image) AS p FROM read_images('.') ORDER BY path",
    ));
    assert_eq!(classes(&tags, "card").len(), 2);
    assert_eq!(classes(&tags, "nothing").len(), 1);
    assert!(classes(&tags, "error")[0].text.contains("not an image"), "{:?}", classes(&tags, "error"));
    let labels: Vec<_> = tags.iter().filter_map(|tag| tag.attribute("data-label")).collect();
    assert_eq!(labels, ["lion"]);
}

#[test]
fn the_limit_is_told_on_the_page_and_by_the_shell() {
    let folder = folder_of(9);
    let shown = run_in(folder.path(), &["-q", "-c", "\\contact-sheet --limit 5 'my sheet.html' ."]).stdout();
    assert_eq!(shown, "my sheet.html: 5 image(s), the first of more; --limit 10 or more shows them\n");
    let page = fs::read_to_string(folder.path().join("my sheet.html")).unwrap();
    let tags = tags(&page);
    assert_eq!(classes(&tags, "card").len(), 5);
    assert!(classes(&tags, "remark")[0].text.starts_with("Only the first 5 images of the query are here."));
    assert!(classes(&self::tags(&sheet(folder.path(), ".")), "remark").is_empty());
}

#[test]
fn an_error_leaves_the_page_that_was_there() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("sheet.html"), "before").unwrap();
    fs::write(folder.path().join("bad.jpg"), "no photo").unwrap();
    for (query, expected) in [
        ("SELECT path FROM 'bad.jpg'", "no column of images; add one"),
        ("SELECT nothing FROM 'bad.jpg'", "No field named nothing"),
        ("SELECT image, CAST('x' || path AS INT) FROM 'bad.jpg'", "Cannot cast string"),
        ("nowhere/", "there is no such file or folder"),
    ] {
        let error =
            run_in(folder.path(), &["-q", "-c", &format!("\\contact-sheet sheet.html {query}")]).error();
        assert!(error.contains(expected), "{query}: {error}");
    }
    assert_eq!(fs::read_to_string(folder.path().join("sheet.html")).unwrap(), "before");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "no part of a page is left");
    let error = run_in(folder.path(), &["-c", "\\contact-sheet no/where/a.html ."]).error();
    assert!(error.contains("no/where/a.html: No such file or directory"), "{error}");
    let error = run_in(folder.path(), &["-c", "\\contact-sheet"]).error();
    assert!(error.contains("\\contact-sheet writes a page: \\contact-sheet sheet.html SELECT"), "{error}");
}

/// Chromium or a relative of it, if one is installed.
fn browser() -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    let names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
    std::env::split_paths(&folders)
        .flat_map(|folder| names.map(|name| folder.join(name)))
        .find(|path| path.is_file())
}

/// The page after its script has run, and what the browser complained of.
fn opened(browser: &Path, page: &Path) -> (String, String) {
    let profile = tempfile::tempdir().unwrap();
    let output = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .args(["--enable-logging=stderr", "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("file://{}", page.display()))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    let complaints =
        complaints.lines().filter(|line| line.contains("CONSOLE")).collect::<Vec<_>>().join("\n");
    (String::from_utf8(output.stdout).unwrap(), complaints)
}

#[test]
fn the_script_fills_filters_and_the_confusion_matrix() {
    let Some(browser) = browser() else {
        eprintln!("no Chromium is installed: the page's script is not tested");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let query = format!(
        "SELECT path, image, named_struct('label', label, 'confidence', 0.5) AS p, expected FROM '{}/lion.jpg', (VALUES ('cat', 'cat'), ('dog', 'cat'), ('<b>dog</b>', 'dog'), ('dog', 'dog')) AS t(label, expected)",
        photos().display()
    );
    let mut command = seequel(folder.path(), &["-q", "-c", &format!("\\contact-sheet sheet.html {query}")]);
    Outcome::of(&mut command).stdout();
    let (page, complaints) = opened(&browser, &folder.path().join("sheet.html"));
    assert_eq!(complaints, "", "the policy stops nothing of the page's own");
    let tags = tags(&page);
    let text_of = |id: &str| tags.iter().find(|tag| tag.attribute("id") == Some(id)).unwrap().text.clone();
    assert_eq!(text_of("status"), "Showing 4 images");
    assert_eq!(text_of("accuracy"), "2 of 4 as expected (50.0 %).");
    let options: Vec<_> =
        tags.iter().filter(|tag| tag.name == "option").map(|tag| tag.text.as_str()).collect();
    assert!(options.contains(&"cat (1)") && options.contains(&"<b>dog</b> (1)"), "{options:?}");
    let cells: Vec<_> = tags
        .iter()
        .filter_map(|tag| tag.attribute("aria-label"))
        .filter(|text| text.contains(" expected "))
        .collect();
    assert_eq!(
        cells,
        [
            "1 expected cat, predicted cat",
            "1 expected cat, predicted dog",
            "1 expected dog, predicted <b>dog</b>",
            "1 expected dog, predicted dog"
        ]
    );
    assert_eq!((classes(&tags, "right").len(), classes(&tags, "wrong").len()), (2, 2));
    assert!(!tags.iter().any(|tag| tag.name == "b"));
}
