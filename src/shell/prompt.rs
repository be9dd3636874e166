//! Decides whether what stands at the prompt is complete or goes on in the next line.

use datafusion::config::Dialect;
use datafusion::sql::sqlparser::dialect::dialect_from_str;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};
use rustyline::completion::Completer;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Helper, Result};

use super::command::Command;

/// Completes statements at a `;` that is in no string, name or comment of the dialect.
#[derive(Debug)]
pub(super) struct StatementValidator {
    pub(super) dialect: Dialect,
}

impl StatementValidator {
    fn is_complete(&self, entry: &str) -> bool {
        if Command::is_command(entry) {
            return true;
        }
        // a dialect nobody knows is for the parser to complain about
        let Some(dialect) = dialect_from_str(self.dialect) else {
            return true;
        };
        // tokens can't be told while a string or a comment is open
        let Ok(tokens) = Tokenizer::new(dialect.as_ref(), entry).tokenize() else {
            return false;
        };
        let last = tokens.iter().rfind(|token| !matches!(token, Token::Whitespace(_)));
        last.is_none_or(|token| *token == Token::SemiColon)
    }
}

impl Validator for StatementValidator {
    fn validate(&self, context: &mut ValidationContext<'_>) -> Result<ValidationResult> {
        if self.is_complete(context.input()) {
            Ok(ValidationResult::Valid(None))
        } else {
            Ok(ValidationResult::Incomplete)
        }
    }
}

impl Completer for StatementValidator {
    type Candidate = String;
}

impl Hinter for StatementValidator {
    type Hint = String;
}

impl Highlighter for StatementValidator {}

impl Helper for StatementValidator {}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_complete(entry: &str) -> bool {
        StatementValidator { dialect: Dialect::Generic }.is_complete(entry)
    }

    #[test]
    fn a_semicolon_ends_a_statement() {
        for entry in ["SELECT 1;", "SELECT 1; ", "SELECT ';';", "SELECT 1; -- done", "SELECT 1; /* ; */", ";"]
        {
            assert!(is_complete(entry), "{entry}");
        }
    }

    #[test]
    fn statements_without_a_semicolon_go_on() {
        for entry in
            ["SELECT 1", "SELECT 1; SELECT", "SELECT 1 -- ;", "SELECT 1 /* ;", "SELECT ';", "SELECT \"a;"]
        {
            assert!(!is_complete(entry), "{entry}");
        }
    }

    #[test]
    fn commands_blanks_and_comments_need_none() {
        for entry in ["", "  ", "\\d", "\\d it's", "quit", "help", "-- a thought"] {
            assert!(is_complete(entry), "{entry}");
        }
    }
}
