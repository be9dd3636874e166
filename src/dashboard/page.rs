//! The page's files, which are in the binary.

use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};

use crate::report::TOKENS;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// Each file's address, type and content.
const FILES: [(&str, &str, &str); 15] = [
    ("/", HTML, include_str!("page/index.html")),
    ("/style.css", CSS, include_str!("page/style.css")),
    ("/tokens.css", CSS, TOKENS),
    ("/uplot.css", CSS, include_str!("page/uplot/uPlot.min.css")),
    ("/uplot.js", JAVASCRIPT, include_str!("page/uplot/uPlot.iife.min.js")),
    ("/main.js", JAVASCRIPT, include_str!("page/main.js")),
    ("/api.js", JAVASCRIPT, include_str!("page/api.js")),
    ("/elements.js", JAVASCRIPT, include_str!("page/elements.js")),
    ("/chart.js", JAVASCRIPT, include_str!("page/chart.js")),
    ("/queries.js", JAVASCRIPT, include_str!("page/queries.js")),
    ("/query.js", JAVASCRIPT, include_str!("page/query.js")),
    ("/rows.js", JAVASCRIPT, include_str!("page/rows.js")),
    ("/sheet.js", JAVASCRIPT, include_str!("page/sheet.js")),
    ("/models.js", JAVASCRIPT, include_str!("page/models.js")),
    ("/process.js", JAVASCRIPT, include_str!("page/process.js")),
];

const ICON: &str = include_str!("page/icon.svg");

/// The files' addresses and what answers there.
pub(super) fn files<S: Clone + Send + Sync + 'static>()
-> impl Iterator<Item = (&'static str, MethodRouter<S>)> {
    let icon = ("/icon.svg", "image/svg+xml", ICON);
    FILES.into_iter().chain([icon]).map(|(address, kind, content)| {
        let answer = move || async move { file(kind, content) };
        (address, get(answer))
    })
}

fn file(kind: &'static str, content: &'static str) -> Response {
    ([(header::CONTENT_TYPE, kind)], content).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_nothing_that_its_policy_forbids() {
        for (address, _, content) in FILES.iter().filter(|(address, ..)| !address.starts_with("/uplot")) {
            for forbidden in
                [" style=", " onclick", "javascript:", "innerHTML", "insertAdjacentHTML", "eval("]
            {
                assert!(!content.contains(forbidden), "{address}: {forbidden}");
            }
            for (place, _) in content.match_indices("://") {
                let before = &content[place.saturating_sub(4)..place];
                let is_namespace = content[place..].starts_with("://www.w3.org/2000/svg");
                assert!(is_namespace && before == "http", "{address}: {before}");
            }
        }
    }
}
