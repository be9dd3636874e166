//! A text of statements separated by `;`, taken one at a time.

use std::vec;

use datafusion::config::SqlParserOptions;
use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::dialect::{Dialect, dialect_from_str};
use datafusion::sql::sqlparser::parser::ParserError;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

use super::parser;
use super::statement::Statement;
use crate::Result;

/// The statements of a text, each parsed only when its turn comes, so that one may change the rules for the next
/// (`SET datafusion.sql_parser.dialect = …`).
///
/// Positions in errors and plans are lines and columns of the whole text.
#[derive(Debug)]
pub struct Script {
    tokens: vec::IntoIter<TokenWithSpan>,
}

impl Script {
    /// Splits `text` into tokens by the rules of the configured dialect.
    ///
    /// # Errors
    /// A string, quoted name or comment that does not end, with its position.
    pub fn new(text: &str, options: &SqlParserOptions) -> Result<Self> {
        let dialect = configured_dialect(options)?;
        let tokens = Tokenizer::new(dialect.as_ref(), text)
            .tokenize_with_location()
            .map_err(|error| DataFusionError::from(ParserError::from(error)))?;
        Ok(Self {
            tokens: tokens.into_iter(),
        })
    }

    /// The next statement, or `None` at the end of the text.
    ///
    /// # Errors
    /// A syntax error in that statement, with its position; the call after that goes on behind its `;`.
    pub fn next_statement(&mut self, options: &SqlParserOptions) -> Result<Option<Statement>> {
        let Some(tokens) = self.next_tokens() else {
            return Ok(None);
        };
        let dialect = configured_dialect(options)?;
        let statement = parser::parse(tokens, dialect.as_ref(), options.recursion_limit.get())?;
        Ok(Some(statement))
    }

    /// The tokens of the next statement that is more than blanks and comments, with its `;`: an error at the end of
    /// the statement then has a token to point at.
    fn next_tokens(&mut self) -> Option<Vec<TokenWithSpan>> {
        let mut tokens = Vec::new();
        let mut is_blank = true;
        for token in self.tokens.by_ref() {
            let ends = token.token == Token::SemiColon;
            if ends && is_blank {
                tokens.clear();
                continue;
            }
            is_blank &= matches!(token.token, Token::Whitespace(_));
            tokens.push(token);
            if ends {
                break;
            }
        }
        (!is_blank).then_some(tokens)
    }
}

/// Parses a text of exactly one statement; a `;` at its end is optional.
///
/// # Errors
/// A syntax error, no statement, or more than one.
pub fn parse_statement(sql: &str, options: &SqlParserOptions) -> Result<Statement> {
    let mut script = Script::new(sql, options)?;
    let statement = script
        .next_statement(options)?
        .ok_or_else(|| DataFusionError::Plan("the SQL text holds no statement".to_string()))?;
    if script.next_tokens().is_some() {
        let reason = "the SQL text holds more than one statement; run them one at a time";
        return Err(DataFusionError::Plan(reason.to_string()).into());
    }
    Ok(statement)
}

fn configured_dialect(options: &SqlParserOptions) -> Result<Box<dyn Dialect>> {
    let name = options.dialect;
    let dialect = dialect_from_str(name)
        .ok_or_else(|| DataFusionError::Configuration(format!("there is no SQL dialect '{name}'")))?;
    Ok(dialect)
}

#[cfg(test)]
mod tests {
    use datafusion::config::Dialect;

    use super::*;

    fn statements(text: &str) -> Result<Vec<String>> {
        let options = SqlParserOptions::default();
        let mut script = Script::new(text, &options)?;
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
    fn statements_come_in_order_without_the_empty_ones() -> Result<()> {
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
        assert!(
            message.contains("Unterminated string literal at Line: 2, Column: 9"),
            "{message}"
        );
        let message = error("SELECT 1;\n CREATE MODEL a 'b.onnx'");
        assert!(message.contains("at Line: 2, Column: 17"), "{message}");
    }

    #[test]
    fn statements_after_a_faulty_one_can_be_read() -> Result<()> {
        let options = SqlParserOptions::default();
        let mut script = Script::new("SELEC 1; SHOW MODELS", &options)?;
        assert!(script.next_statement(&options).is_err());
        assert_eq!(script.next_statement(&options)?, Some(Statement::ShowModels));
        Ok(())
    }

    #[test]
    fn each_statement_is_parsed_by_the_dialect_of_its_turn() -> Result<()> {
        let mut options = SqlParserOptions::default();
        let mut script = Script::new("SELECT 1; EXPLAIN (ANALYZE) SELECT 2", &options)?;
        script.next_statement(&options)?;
        options.dialect = Dialect::PostgreSQL;
        let explain = script
            .next_statement(&options)?
            .map(|statement| statement.to_string());
        assert_eq!(explain.as_deref(), Some("EXPLAIN ANALYZE SELECT 2"));
        Ok(())
    }

    #[test]
    fn one_statement_means_one() -> Result<()> {
        let options = SqlParserOptions::default();
        assert_eq!(
            parse_statement("show models; ;", &options)?,
            Statement::ShowModels
        );
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
