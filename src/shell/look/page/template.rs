//! The page around the cards: a template with style and script inline, so that it opens without a network.
//!
//! Its Content-Security-Policy allows this style, this script and images within the page, and nothing else: even if
//! data became markup, it could neither run nor load anything.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};

use crate::report::escaped;

const TEMPLATE: &str = include_str!("sheet.html");
const STYLE: &str = include_str!("sheet.css");
const SCRIPT: &str = include_str!("sheet.js");

/// Where the cards are in the template.
const CARDS: &str = "<!-- cards -->\n";
/// Where the remark on missing images is.
const REMARK: &str = "<!-- remark -->";

/// The page up to the first card.
pub(crate) fn head(title: &str, query: &str) -> String {
    let (head, _) = parts();
    let head = head
        .replace("/* style */", STYLE)
        .replace("$STYLE_HASH", &hash(STYLE))
        .replace("$SCRIPT_HASH", &hash(SCRIPT));
    // Nothing is searched for in the texts from outside.
    let (before, behind) = head.split_once("$QUERY").unwrap_or((&head, ""));
    let with_title = |part: &str| part.replace("$TITLE", &escaped(title));
    [with_title(before), escaped(query).into_owned(), with_title(behind)].concat()
}

/// The page after the last card. `limit` is the number of images if the query has more.
pub(crate) fn foot(limit: Option<usize>) -> String {
    let (_, foot) = parts();
    let remark = limit.map(|limit| {
        format!(
            "<p class=\"remark\" id=\"remark\" data-limit=\"{limit}\">Only the first {limit} images of the query are here. Choose others with WHERE, or with LIMIT and OFFSET; <code>--limit</code> allows more.</p>"
        )
    });
    foot.replace(REMARK, &remark.unwrap_or_default()).replace("/* script */", SCRIPT)
}

fn parts() -> (&'static str, &'static str) {
    TEMPLATE.split_once(CARDS).unwrap_or((TEMPLATE, ""))
}

/// The hash of an inline style or script as a Content-Security-Policy has it.
fn hash(text: &str) -> String {
    format!("sha256-{}", BASE64_STANDARD.encode(Sha256::digest(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_has_all_places() {
        for place in
            [CARDS, REMARK, "/* style */", "/* script */", "$STYLE_HASH", "$SCRIPT_HASH", "$TITLE", "$QUERY"]
        {
            assert!(TEMPLATE.contains(place), "{place}");
        }
        let page = head("a", "b") + &foot(None);
        for place in
            ["<!--", "/* style */", "/* script */", "$STYLE_HASH", "$SCRIPT_HASH", "$TITLE", "$QUERY"]
        {
            assert!(!page.contains(place), "{place}");
        }
    }

    #[test]
    fn nothing_is_loaded_and_nothing_else_runs() {
        let page = head("a", "b") + &foot(Some(3));
        let policy = page.split_once("http-equiv=\"Content-Security-Policy\" content=\"").unwrap().1;
        let policy = policy.split_once('"').unwrap().0;
        let expected = format!(
            "default-src 'none'; img-src data:; style-src '{}'; script-src '{}'; base-uri 'none'; form-action 'none'",
            hash(STYLE),
            hash(SCRIPT)
        );
        assert_eq!(policy, expected);
        // The hash is of what stands between the tags.
        let between = |start: &str, end: &str| page.split_once(start).unwrap().1.split_once(end).unwrap().0;
        assert_eq!(between("<style>", "</style>"), STYLE);
        assert_eq!(between("<script>", "</script>"), SCRIPT);
        for forbidden in ["http://", "https://", " style=", " onclick=", "@import", "url("] {
            assert!(!page.contains(forbidden), "{forbidden}");
        }
    }

    #[test]
    fn texts_from_outside_are_escaped_and_not_replaced() {
        let page = head("</title><b>$QUERY", "$TITLE <script>");
        assert_eq!(page.matches("&lt;/title&gt;&lt;b&gt;$QUERY").count(), 2);
        assert_eq!(page.matches("$TITLE &lt;script&gt;").count(), 1);
        assert!(!page.contains("<b>"));
    }
}
