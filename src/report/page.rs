//! The page of a report: its style is within it, so that it opens without a network.
//!
//! Its Content-Security-Policy allows this style and images within the page, and nothing else: even if data became
//! markup, it could neither run nor load anything.

use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::html::escaped;
use super::part_file::PartFile;
use crate::Result;

const STYLE: &str = concat!(include_str!("tokens.css"), "\n", include_str!("page.css"));

/// The colours and type of all pages, in light and dark.
#[cfg(feature = "dashboard")]
pub(crate) const TOKENS: &str = include_str!("tokens.css");

/// A page in the making: what it says, as HTML.
#[derive(Debug)]
pub(super) struct Page {
    title: String,
    header: String,
    sections: String,
}

impl Page {
    /// A page with a title, which is text, and HTML below it.
    pub(super) fn new(title: &str, header: &str) -> Self {
        Self { title: title.to_owned(), header: header.to_owned(), sections: String::new() }
    }

    /// Adds a section with a title, which is text, and HTML below it.
    pub(super) fn section(&mut self, title: &str, content: &str) {
        self.sections += &format!("<section>\n<h2>{}</h2>\n{content}</section>\n", escaped(title));
    }

    /// Writes the page, with the numbers that it shows as JSON.
    ///
    /// # Errors
    /// A file that can't be written.
    pub(super) fn write(&self, file: &Path, numbers: &Value) -> Result<()> {
        let mut part = PartFile::create(file)?;
        part.write(&self.html(numbers))?;
        part.finish()
    }

    fn html(&self, numbers: &Value) -> String {
        let title = escaped(&self.title);
        // Nothing within the element can end it.
        let numbers = numbers.to_string().replace('<', "\\u003c");
        format!(
            r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src '{}'; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>{STYLE}</style>
</head>
<body>
<header>
<h1>{title}</h1>
{}</header>
<main>
{}</main>
<script type="application/json" id="numbers">{numbers}</script>
</body>
</html>
"#,
            hash(STYLE),
            self.header,
            self.sections
        )
    }
}

/// Terms and their values, which are text.
pub(super) fn facts(facts: &[(&str, String)]) -> String {
    let fact = |(name, value): &(&str, String)| {
        format!("<div><dt>{}</dt><dd>{}</dd></div>", escaped(name), escaped(value))
    };
    format!("<dl>{}</dl>\n", facts.iter().map(fact).collect::<String>())
}

/// A chart with its title, and the numbers it is drawn from.
pub(super) fn figure(title: &str, content: &str, numbers: &Value) -> String {
    format!(
        "<figure data-numbers=\"{}\"><figcaption>{}</figcaption>{content}</figure>\n",
        escaped(&numbers.to_string()),
        escaped(title)
    )
}

/// The hash of an inline style as a Content-Security-Policy has it.
fn hash(text: &str) -> String {
    format!("sha256-{}", BASE64_STANDARD.encode(Sha256::digest(text)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_from_outside_are_no_markup_and_nothing_is_loaded() {
        let mut page = Page::new("</title><b>", &facts(&[("model", "<script>".to_owned())]));
        page.section("a & b", &figure("<c>", "", &json!({"d": "\"><e>"})));
        let html = page.html(&json!({"f": "</script><script>"}));
        assert!(html.contains("<title>&lt;/title&gt;&lt;b&gt;</title>"), "{html}");
        for markup in ["<b>", "<c>", "<e>", "<script>"] {
            assert!(!html.contains(markup), "{markup}");
        }
        for forbidden in ["http://", "https://", " style=", "@import", "url("] {
            assert!(!html.contains(forbidden), "{forbidden}");
        }
        let style = html.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
        assert!(html.contains(&format!("style-src '{}'", hash(style))), "{html}");
    }
}
