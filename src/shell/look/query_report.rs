//! `\report`: runs a query and writes where its time went.

use std::path::{Path, PathBuf};

use crate::report::report;
use crate::shell::progress::Progress;
use crate::{Engine, Result};

const USAGE: &str = "\\report runs the last query again and writes where its time went: \\report query.html, or \
                     query.json; \\report query.html SELECT … runs another";

/// What `\report` was asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ReportRequest {
    file: PathBuf,
    /// The query; the last one if it is not given.
    pub(crate) query: Option<String>,
}

impl ReportRequest {
    /// Parses `FILE [QUERY]`; the file may be quoted.
    ///
    /// # Errors
    /// What is missing or wrong.
    pub(crate) fn parse(arguments: &str) -> Result<Self, String> {
        let arguments = arguments.trim();
        let (file, query) = match arguments.strip_prefix('\'') {
            Some(quoted) => quoted.split_once('\'').ok_or(USAGE)?,
            None => arguments.split_once(char::is_whitespace).unwrap_or((arguments, "")),
        };
        let is_known = |extension: &std::ffi::OsStr| {
            ["html", "htm", "json"].iter().any(|known| extension.eq_ignore_ascii_case(known))
        };
        if !Path::new(file).extension().is_some_and(is_known) {
            return Err(USAGE.to_owned());
        }
        let query = query.trim();
        Ok(Self { file: file.into(), query: (!query.is_empty()).then(|| query.to_owned()) })
    }

    /// Runs `sql` and writes the report. Returns a sentence about it.
    ///
    /// # Errors
    /// Those of the query; a file that can't be written.
    pub(crate) async fn write(&self, engine: &Engine, sql: &str, progress: &Progress) -> Result<String> {
        let query = engine.sql(sql).await?;
        report(query, sql, &self.file, |plan| progress.watch(plan)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_a_file_and_perhaps_a_query() {
        let parsed = |arguments: &str| ReportRequest::parse(arguments).ok();
        let request = |file: &str, query: Option<&str>| {
            Some(ReportRequest { file: file.into(), query: query.map(str::to_owned) })
        };
        assert_eq!(parsed("a.html"), request("a.html", None));
        assert_eq!(parsed("'my a.JSON'  SELECT 1 "), request("my a.JSON", Some("SELECT 1")));
        assert_eq!(parsed("a.htm SELECT 'a b'"), request("a.htm", Some("SELECT 'a b'")));
        for arguments in ["", "SELECT 1", "a.png", "'a.html"] {
            assert_eq!(parsed(arguments), None, "{arguments}");
        }
    }
}
