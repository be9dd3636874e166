//! A text of statements separated by `;`, parsed one at a time.

use std::collections::VecDeque;

use datafusion::config::{Dialect, SqlParserOptions};
use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::dialect::{Dialect as SqlDialect, dialect_from_str};
use datafusion::sql::sqlparser::parser::ParserError;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer, TokenizerError};

use super::explain::{Explanation, explain};
use super::parser;
use super::statement::Statement;
use crate::{Error, Result};

/// The statements of a text, each parsed only when requested: one may change the dialect of the next
/// (`SET datafusion.sql_parser.dialect = …`), and statements before a syntax error still run.
///
/// Positions in errors and plans are lines and columns of the whole text.
#[derive(Debug)]
pub struct Script<'a> {
    text: &'a str,
    /// Start of the latest statement.
    latest: Location,
    /// Start of the next statement.
    position: Location,
    /// The dialect of `tokens`; `None` if the text is not tokenized yet.
    dialect: Option<Dialect>,
    tokens: VecDeque<TokenWithSpan>,
    /// The error that ended tokenizing before the end of the text.
    error: Option<TokenizerError>,
}

impl<'a> Script<'a> {
    /// The statements of `text`, separated by `;`.
    pub fn new(text: &'a str) -> Self {
        let position = Location { line: 1, column: 1 };
        Self { text, latest: position, position, dialect: None, tokens: VecDeque::new(), error: None }
    }

    /// The next statement, parsed according to `options`, or `None` at the end of the text.
    ///
    /// # Errors
    /// A syntax error in that statement, with its position; the next call continues after its `;`.
    pub fn next_statement(&mut self, options: &SqlParserOptions) -> Result<Option<Statement>> {
        let dialect = self.read_by(options.dialect)?;
        self.latest = self.position;
        let Some(tokens) = self.next_tokens()? else {
            return Ok(None);
        };
        Ok(Some(parser::parse(tokens, dialect.as_ref(), options.recursion_limit.get())?))
    }

    /// The part of the latest statement that an error without a position is about, and advice that needs the
    /// statement's text.
    pub(crate) fn explain(
        &self,
        error: &Error,
        options: &SqlParserOptions,
        models: &[String],
    ) -> Explanation {
        let Some(dialect) = dialect_from_str(options.dialect) else {
            return Explanation::default();
        };
        let mut tokens = tokenize(dialect.as_ref(), self.text, self.latest).0;
        tokens.retain(|token| {
            token.span.start < self.position
                && !matches!(token.token, Token::Whitespace(_) | Token::SemiColon)
        });
        explain(error, &tokens, models)
    }

    /// Takes the next line if it is a command for the shell: unlike any statement, it starts with a backslash or a dot.
    /// Returns it with its position in the text.
    ///
    /// # Errors
    /// A dialect that does not exist.
    pub fn next_command(&mut self, options: &SqlParserOptions) -> Result<Option<(Location, &'a str)>> {
        self.read_by(options.dialect)?;
        let is_blank = |token: &Token| matches!(token, Token::Whitespace(_) | Token::SemiColon);
        let start = match self.tokens.iter().find(|token| !is_blank(&token.token)) {
            Some(TokenWithSpan { token: Token::Backslash | Token::Period, span }) => span.start,
            _ => return Ok(None),
        };
        let line = behind(self.text, start).lines().next().unwrap_or_default();
        // A command is not SQL: its tokens and quotes are ignored.
        self.position = Location { line: start.line + 1, column: 1 };
        self.dialect = None;
        Ok(Some((start, line.trim_end())))
    }

    /// Ensures that `tokens` are those of this dialect.
    fn read_by(&mut self, name: Dialect) -> Result<Box<dyn SqlDialect>> {
        let dialect = dialect_from_str(name)
            .ok_or_else(|| DataFusionError::Configuration(format!("there is no SQL dialect '{name}'")))?;
        if self.dialect.replace(name) != Some(name) {
            self.tokenize(dialect.as_ref());
        }
        Ok(dialect)
    }

    /// Tokenizes the rest of the text.
    fn tokenize(&mut self, dialect: &dyn SqlDialect) {
        let (tokens, error) = tokenize(dialect, self.text, self.position);
        self.tokens = tokens.into();
        self.error = error;
    }

    /// The tokens of the next statement that is more than blanks and comments. They include its `;`, which gives errors
    /// at the end of the statement a position.
    fn next_tokens(&mut self) -> Result<Option<Vec<TokenWithSpan>>> {
        let mut tokens = Vec::new();
        let mut is_blank = true;
        while let Some(token) = self.tokens.pop_front() {
            self.position = token.span.end;
            let ends = token.token == Token::SemiColon;
            if ends && is_blank {
                tokens.clear();
                continue;
            }
            is_blank &= matches!(token.token, Token::Whitespace(_));
            tokens.push(token);
            if ends {
                return Ok(Some(tokens));
            }
        }
        match self.error.take() {
            Some(error) => Err(DataFusionError::from(ParserError::from(error)).into()),
            None => Ok((!is_blank).then_some(tokens)),
        }
    }
}

/// The tokens of `text` after `start`, with their positions in the whole text, and the error that ended tokenizing.
fn tokenize(
    dialect: &dyn SqlDialect,
    text: &str,
    start: Location,
) -> (Vec<TokenWithSpan>, Option<TokenizerError>) {
    let mut tokens = Vec::new();
    let result = Tokenizer::new(dialect, behind(text, start)).tokenize_with_location_into_buf(&mut tokens);
    for token in &mut tokens {
        token.span.start = shift(token.span.start, start);
        token.span.end = shift(token.span.end, start);
    }
    let error = result.err().map(|TokenizerError { message, location }| TokenizerError {
        message,
        location: shift(location, start),
    });
    (tokens, error)
}

/// The part of `text` after a position.
fn behind(text: &str, position: Location) -> &str {
    let mut here = Location { line: 1, column: 1 };
    for (offset, character) in text.char_indices() {
        if here == position {
            return &text[offset..];
        }
        here = match character {
            '\n' => Location { line: here.line + 1, column: 1 },
            _ => Location { column: here.column + 1, ..here },
        };
    }
    ""
}

/// Converts a position in a part of a text, which starts at `start`, to a position in the whole text.
fn shift(position: Location, start: Location) -> Location {
    if position.line > 1 {
        Location { line: position.line + start.line - 1, ..position }
    } else {
        Location { line: start.line, column: position.column + start.column - 1 }
    }
}

/// Parses a text with exactly one statement; a `;` at its end is optional.
///
/// # Errors
/// A syntax error, no statement, or more than one.
pub fn parse_statement(sql: &str, options: &SqlParserOptions) -> Result<Statement> {
    let mut script = Script::new(sql);
    let statement = script
        .next_statement(options)?
        .ok_or_else(|| DataFusionError::Plan("the SQL text holds no statement".to_string()))?;
    if script.next_tokens()?.is_some() {
        let reason = "the SQL text holds more than one statement; run them one at a time";
        return Err(DataFusionError::Plan(reason.to_string()).into());
    }
    Ok(statement)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statements(text: &str) -> Result<Vec<String>> {
        let options = SqlParserOptions::default();
        let mut script = Script::new(text);
        let mut statements = Vec::new();
        while let Some(statement) = script.next_statement(&options)? {
            statements.push(statement.to_string());
        }
        Ok(statements)
    }

    fn error(text: &str) -> String {
        statements(text).map_or_else(|error| error.to_string(), |found| format!("no error: {found:?}"))
    }

    #[test]
    fn statements_are_in_order_without_empty_ones() -> Result<()> {
        let text = ";; SELECT 1; -- nothing here ;\n;SHOW MODELS;\n/* ; */ DROP MODEL a -- the end";
        assert_eq!(statements(text)?, ["SELECT 1", "SHOW MODELS", "DROP MODEL a"]);
        assert!(statements(" -- only a comment\n")?.is_empty());
        Ok(())
    }

    #[test]
    fn semicolons_in_strings_and_names_do_not_split() -> Result<()> {
        assert_eq!(statements("SELECT ';' AS \"a;b\"")?, ["SELECT ';' AS \"a;b\""]);
        Ok(())
    }

    #[test]
    fn errors_give_the_position_in_the_whole_text() {
        let message = error("SELECT 1;\n\n  SELECT FROM;");
        assert!(message.contains("found: ; at Line: 3, Column: 14"), "{message}");
        let message = error("SELECT 1;\n SELECT 'oops");
        assert!(message.contains("Unterminated string literal at Line: 2, Column: 9"), "{message}");
        let message = error("SELECT 1;\n CREATE MODEL a 'b.onnx'");
        assert!(message.contains("at Line: 2, Column: 17"), "{message}");
    }

    #[test]
    fn statements_after_a_syntax_error_can_be_parsed() -> Result<()> {
        let options = SqlParserOptions::default();
        let mut script = Script::new("SELEC 1; SHOW MODELS");
        assert!(script.next_statement(&options).is_err());
        assert_eq!(script.next_statement(&options)?, Some(Statement::ShowModels));
        Ok(())
    }

    #[test]
    fn each_statement_is_parsed_with_the_current_dialect() -> Result<()> {
        let mut options = SqlParserOptions::default();
        let mut script = Script::new("SELECT 1; EXPLAIN (ANALYZE) SELECT 2");
        script.next_statement(&options)?;
        options.dialect = Dialect::PostgreSQL;
        let explain = script.next_statement(&options)?.map(|statement| statement.to_string());
        assert_eq!(explain.as_deref(), Some("EXPLAIN ANALYZE SELECT 2"));
        Ok(())
    }

    #[test]
    fn a_change_of_dialect_applies_to_quotes_and_keeps_positions() -> Result<()> {
        let mut options = SqlParserOptions::default();
        let mut script = Script::new("/* ä */ SELECT 1;\n SELECT 2; SELECT 'it\\'s;';\n\n SELECT;");
        script.next_statement(&options)?;
        script.next_statement(&options)?;
        options.dialect = Dialect::MySQL;
        let quoted = script.next_statement(&options)?.map(|statement| statement.to_string());
        assert_eq!(quoted.as_deref(), Some("SELECT 'it''s;'"));
        let message =
            script.next_statement(&options).map_or_else(|error| error.to_string(), |s| format!("{s:?}"));
        assert!(message.contains("found: ; at Line: 4, Column: 8"), "{message}");
        Ok(())
    }

    #[test]
    fn commands_are_separate_lines_between_statements() -> Result<()> {
        let options = SqlParserOptions::default();
        let mut script = Script::new("-- it's\n\\i it's.sql \nSELECT 1; \\x\nSELECT '\n\\x';\n\\q");
        let mut found = Vec::new();
        loop {
            if let Some((start, line)) = script.next_command(&options)? {
                found.push(format!("{}:{} {line}", start.line, start.column));
            } else if let Some(statement) = script.next_statement(&options)? {
                found.push(statement.to_string());
            } else {
                break;
            }
        }
        assert_eq!(found, ["2:1 \\i it's.sql", "SELECT 1", "3:11 \\x", "SELECT '\n\\x'", "6:1 \\q"]);
        Ok(())
    }

    #[test]
    fn parse_statement_requires_exactly_one() -> Result<()> {
        let options = SqlParserOptions::default();
        assert_eq!(parse_statement("show models; ;", &options)?, Statement::ShowModels);
        let message = |sql| parse_statement(sql, &options).map_or_else(|e| e.to_string(), |s| s.to_string());
        assert!(message("SELECT 1; SELECT 2").contains("more than one statement"));
        assert!(message(" -- nothing").contains("no statement"));
        Ok(())
    }

    #[test]
    fn nesting_is_bounded_by_the_configured_limit() {
        let message = error(&format!("SELECT {}1{}", "(".repeat(1000), ")".repeat(1000)));
        assert!(message.contains("RecursionLimitExceeded"), "{message}");
    }
}
