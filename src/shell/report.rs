//! Formats errors for users: a message, and the position in the SQL.
//!
//! ```text
//! Error: Expected: an expression, found: FROM
//!  --> report.sql:3:8
//!   |
//! 3 | SELECT FROM images;
//!   |        ^
//! ```

use std::error::Error as StdError;
use std::fmt::Write;

use datafusion::arrow::error::ArrowError;
use datafusion::common::Location;
use datafusion::error::DataFusionError;
use datafusion::parquet::errors::ParquetError;
use datafusion::sql::sqlparser::parser::ParserError;
use datafusion::sql::sqlparser::tokenizer::Location as TokenLocation;

use super::source::Source;
use crate::Error;
use crate::secrets::{hidden, masked};
use crate::sql::Explanation;
use crate::stores::explain;

/// Characters of a line shown before and after the error: lines of generated statements can have megabytes.
const CONTEXT: usize = 60;

/// The message of an error, with its position in `source` if it has one, else the one that `explanation` has.
pub(crate) fn render(error: &Error, explanation: Explanation, source: &Source) -> String {
    let Explanation { place, message: explained } = explanation;
    let place = place.map(|TokenLocation { line, column }| Location { line, column });
    let pointed = |text: String, place: Option<Location>| {
        let mut text = hidden(&text).into_owned();
        if let Some(place) = place {
            point_at(place, source, &mut text);
        }
        text
    };
    let errors = match error {
        Error::DataFusion(error) if explained.is_none() => error.iter().collect::<Vec<_>>(),
        error => return pointed(explained.unwrap_or_else(|| message(error)), place),
    };
    let is_only = errors.len() == 1;
    let errors = errors.into_iter().map(|error| {
        let place = location(error, &source.text).or_else(|| place.filter(|_| is_only));
        pointed(query_message(error), place)
    });
    errors.collect::<Vec<_>>().join("\n")
}

/// A message with a position in `source`.
pub(crate) fn at(TokenLocation { line, column }: TokenLocation, message: &str, source: &Source) -> String {
    let mut message = hidden(message).into_owned();
    point_at(Location { line, column }, source, &mut message);
    message
}

/// The message of an error, without the names of the error types that wrap it.
pub(crate) fn message(error: &Error) -> String {
    let message = match error {
        Error::DataFusion(error) => query_message(error),
        error => error.to_string(),
    };
    hidden(&message).into_owned()
}

fn query_message(error: &DataFusionError) -> String {
    match error {
        DataFusionError::Diagnostic(_, inner) => query_message(inner),
        DataFusionError::Shared(inner) => query_message(inner),
        DataFusionError::Context(_, inner) if is_ours(inner) => query_message(inner),
        DataFusionError::Context(context, inner) => format!("{context}: {}", query_message(inner)),
        DataFusionError::External(inner) => foreign_message(inner.as_ref()),
        DataFusionError::ArrowError(inner, _) => foreign_message(inner.as_ref()),
        DataFusionError::ParquetError(inner) => foreign_message(inner.as_ref()),
        DataFusionError::SchemaError(inner, _) => inner.to_string(),
        DataFusionError::IoError(inner) => inner.to_string(),
        DataFusionError::ObjectStore(inner) => explain(inner),
        DataFusionError::SQL(inner, hint) => {
            let hint = hint.as_deref().unwrap_or_default();
            format!("{}{hint}", split_position(inner).0)
        }
        DataFusionError::Plan(text)
        | DataFusionError::Execution(text)
        | DataFusionError::Configuration(text)
        | DataFusionError::ResourcesExhausted(text) => text.clone(),
        DataFusionError::NotImplemented(text) => format!("not supported: {text}"),
        error => error.to_string(),
    }
}

/// Whether this is a Seequel error in DataFusion's context, which names the planner rules that it passed through.
fn is_ours(error: &DataFusionError) -> bool {
    matches!(error.find_root(), DataFusionError::External(inner) if inner.is::<Error>())
}

/// The message of another library's error, which may contain one of ours.
fn foreign_message(error: &(dyn StdError + 'static)) -> String {
    if let Some(error) = error.downcast_ref::<Error>() {
        return message(error);
    }
    if let Some(error) = error.downcast_ref::<DataFusionError>() {
        return query_message(error);
    }
    if let Some(ArrowError::ExternalError(inner)) = error.downcast_ref() {
        return foreign_message(inner.as_ref());
    }
    if let Some(ParquetError::External(inner)) = error.downcast_ref() {
        return foreign_message(inner.as_ref());
    }
    error.to_string()
}

fn location(error: &DataFusionError, text: &str) -> Option<Location> {
    if let Some(span) = error.diagnostic().and_then(|diagnostic| diagnostic.span) {
        return Some(span.start);
    }
    let DataFusionError::SQL(error, _) = error.find_root() else {
        return None;
    };
    match split_position(error) {
        (_, Some(location)) => Some(location),
        // The parser gives no position for the end of the text.
        (message, None) => message.ends_with("found: EOF").then(|| end_of(text)),
    }
}

/// Splits the position off the end of the parser's message.
fn split_position(error: &ParserError) -> (&str, Option<Location>) {
    let message = match error {
        ParserError::ParserError(message) | ParserError::TokenizerError(message) => message.as_str(),
        ParserError::RecursionLimitExceeded => return ("the statement is nested too deeply", None),
    };
    let split = message.rsplit_once(" at Line: ").and_then(|(message, position)| {
        let (line, column) = position.split_once(", Column: ")?;
        Some((message, Location { line: line.parse().ok()?, column: column.parse().ok()? }))
    });
    split.map_or((message, None), |(message, location)| (message, Some(location)))
}

/// The position after the last non-blank character.
fn end_of(text: &str) -> Location {
    let text = text.trim_end();
    let last_line = text.rsplit('\n').next().unwrap_or_default();
    let line = text.matches('\n').count() + 1;
    Location { line: line as u64, column: last_line.chars().count() as u64 + 1 }
}

/// Appends the position and, if it is inside the text, its line with a marker below.
fn point_at(Location { line, column }: Location, source: &Source, message: &mut String) {
    let number = line.to_string();
    let gutter = " ".repeat(number.len());
    // Writing to a String can't fail.
    let _ = write!(message, "\n{gutter}--> {}:{line}:{column}", source.name);
    if let Some((excerpt, mark)) = excerpt(&masked(&source.text), line, column) {
        let _ = write!(message, "\n{gutter} |\n{number} | {excerpt}\n{gutter} | {mark}");
    }
}

/// The part of a line around a column, and a `^` indented to that column. Lines and columns start at 1.
fn excerpt(text: &str, line: u64, column: u64) -> Option<(String, String)> {
    let line = text.split('\n').nth(usize::try_from(line).ok()?.checked_sub(1)?)?.trim_end();
    let column = usize::try_from(column).ok()?.checked_sub(1)?;
    let start = column.saturating_sub(CONTEXT);
    let shown = line.chars().skip(start).take(column - start + CONTEXT).collect::<String>();
    let blank = |c| if c == '\t' { '\t' } else { ' ' };
    let indent = shown.chars().take(column - start).map(blank).collect::<String>();
    Some((shown, format!("{indent}^")))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::config::SqlParserOptions;

    use super::*;
    use crate::sql::Script;

    fn syntax_error(text: &str) -> String {
        let options = SqlParserOptions::default();
        let source = Source { name: "a.sql".to_string(), text: text.to_string() };
        let mut script = Script::new(text);
        loop {
            match script.next_statement(&options) {
                Ok(Some(_)) => {}
                Ok(None) => return "no error".to_string(),
                Err(error) => return render(&error, Explanation::default(), &source),
            }
        }
    }

    #[test]
    fn the_wrong_token_is_marked() {
        insta::assert_snapshot!(syntax_error("SELECT 1;\n\n  SELECT a FRM b;"), @r"
        Expected: end of statement, found: b
         --> a.sql:3:16
          |
        3 |   SELECT a FRM b;
          |                ^
        ");
        let report = syntax_error("SELECT\ta b c");
        assert!(report.ends_with("\n1 | SELECT\ta b c\n  |       \t    ^"), "{report}");
    }

    #[test]
    fn an_incomplete_statement_is_marked_at_its_end() {
        insta::assert_snapshot!(syntax_error("SELECT 1;\nCREATE MODEL a\n  \n"), @r"
        Expected: FROM, found: EOF
         --> a.sql:2:15
          |
        2 | CREATE MODEL a
          |               ^
        ");
    }

    #[test]
    fn an_unterminated_string_is_marked_at_its_start() {
        insta::assert_snapshot!(syntax_error("SELECT 'é', 'oops\n;"), @r"
        Unterminated string literal
         --> a.sql:1:13
          |
        1 | SELECT 'é', 'oops
          |             ^
        ");
    }

    #[test]
    fn long_lines_are_truncated() {
        let text = format!("SELECT {}1 1{}", "12, ".repeat(100_000), ", 12".repeat(100_000));
        let report = syntax_error(&text);
        assert!(report.contains(":1:400010\n") && report.len() < 500, "{report}");
    }

    #[test]
    fn the_error_of_deep_nesting_names_the_limit() {
        let report = syntax_error(&"(".repeat(1000));
        assert_eq!(report, "the statement is nested too deeply (current limit: 50)");
    }

    #[test]
    fn wrappers_are_not_shown() {
        let unknown = || Error::UnknownModel { name: "nope".to_string(), hint: "make one".to_string() };
        let expected = "there is no model 'nope'; make one";
        let external = DataFusionError::from(unknown());
        assert_eq!(message(&Error::from(external)), expected);
        let arrow = DataFusionError::from(ArrowError::from(DataFusionError::from(unknown())));
        assert_eq!(message(&Error::from(DataFusionError::Shared(Arc::new(arrow)))), expected);
        let context = DataFusionError::from(unknown()).context("rule of the planner");
        assert_eq!(message(&Error::from(context)), expected);
        let context = DataFusionError::Plan("bad".to_string()).context("while planning");
        assert_eq!(message(&Error::from(context)), "while planning: bad");
    }
}
