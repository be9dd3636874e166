//! The line editor's callbacks for an entry: completeness, completion, hints and colours.

use std::borrow::Cow;

use datafusion::config::Dialect;
use datafusion::sql::sqlparser::dialect::dialect_from_str;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};
use rustyline::completion::Completer;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::{Hinter, HistoryHinter};
use rustyline::validate::Validator;
use rustyline::{Context, Helper, Result};

use super::completion::{Completion, complete};
use super::highlight::highlight;
use super::names::Names;
use crate::shell::prompt::command::Command;

/// Grey, to distinguish hints from typed text.
const HINT: &str = "\x1b[90m";
const PROMPT: &str = "\x1b[1;32m";
const RESET: &str = "\x1b[0m";

/// The session state that the line editor needs.
#[derive(Debug)]
pub(crate) struct Assistant {
    pub(crate) dialect: Dialect,
    pub(crate) names: Names,
    /// The lines of the entry before the edited one, each with its line break.
    pub(crate) before: String,
}

impl Assistant {
    /// A statement is complete at a `;` outside the strings, names and comments of the dialect.
    pub(crate) fn is_complete(&self, entry: &str) -> bool {
        if Command::is_command(entry) {
            return true;
        }
        // The parser reports an unknown dialect.
        let Some(dialect) = dialect_from_str(self.dialect) else {
            return true;
        };
        // Tokenizing fails while a string or a comment is open.
        let Ok(tokens) = Tokenizer::new(dialect.as_ref(), entry).tokenize() else {
            return false;
        };
        let last = tokens.iter().rfind(|token| !matches!(token, Token::Whitespace(_)));
        last.is_none_or(|token| *token == Token::SemiColon)
    }

    /// The arguments of the function whose name and opening parenthesis end `text`.
    fn arguments(&self, text: &str) -> Option<String> {
        let call = text.strip_suffix('(')?;
        let name = &call[call.trim_end_matches(|c: char| c.is_alphanumeric() || c == '_').len()..];
        let example = self.names.functions.get(&name.to_lowercase())?.as_ref()?;
        Some(example.split_once('(')?.1.to_owned())
    }
}

/// Each line is accepted: the prompt asks for the next one until the entry is complete.
impl Validator for Assistant {}

impl Completer for Assistant {
    type Candidate = String;

    fn complete(&self, line: &str, cursor: usize, _: &Context<'_>) -> Result<(usize, Vec<String>)> {
        let (before, behind) = line.split_at(cursor);
        let before = format!("{}{before}", self.before);
        let Completion { start, candidates } = complete(&before, behind, &self.names);
        // What a candidate replaces is never longer than a word, and thus in this line.
        Ok((start.saturating_sub(self.before.len()), candidates))
    }
}

impl Hinter for Assistant {
    type Hint = String;

    /// The arguments of a function, or else the rest of the latest entry that starts with `line`.
    fn hint(&self, line: &str, cursor: usize, context: &Context<'_>) -> Option<String> {
        if cursor < line.len() {
            return None;
        }
        let of_history =
            || HistoryHinter::new().hint(line, cursor, context).filter(|_| self.before.is_empty());
        self.arguments(line).or_else(of_history)
    }
}

impl Highlighter for Assistant {
    fn highlight<'l>(&self, line: &'l str, _cursor: usize) -> Cow<'l, str> {
        highlight(&self.before, line, self.dialect).into()
    }

    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, _default: bool) -> Cow<'b, str> {
        format!("{PROMPT}{prompt}{RESET}").into()
    }

    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        format!("{HINT}{hint}{RESET}").into()
    }

    /// Any character may change the colour of others.
    fn highlight_char(&self, _line: &str, _cursor: usize, kind: CmdKind) -> bool {
        kind != CmdKind::MoveCursor
    }
}

impl Helper for Assistant {}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_complete(entry: &str) -> bool {
        let assistant =
            Assistant { dialect: Dialect::Generic, names: Names::default(), before: String::new() };
        assistant.is_complete(entry)
    }

    #[test]
    fn a_call_is_hinted_by_its_arguments() {
        let example = "classify(image [, model])".to_owned();
        let names = Names { functions: [("classify".to_owned(), Some(example))].into(), ..Names::default() };
        let assistant = Assistant { dialect: Dialect::Generic, names, before: String::new() };
        assert_eq!(assistant.arguments("SELECT Classify(").as_deref(), Some("image [, model])"));
        assert_eq!(assistant.arguments("SELECT sum("), None);
        assert_eq!(assistant.arguments("SELECT classify(image"), None);
    }

    #[test]
    fn a_semicolon_ends_a_statement() {
        for entry in ["SELECT 1;", "SELECT 1; ", "SELECT ';';", "SELECT 1; -- done", "SELECT 1; /* ; */", ";"]
        {
            assert!(is_complete(entry), "{entry}");
        }
    }

    #[test]
    fn statements_without_a_semicolon_are_incomplete() {
        for entry in
            ["SELECT 1", "SELECT 1; SELECT", "SELECT 1 -- ;", "SELECT 1 /* ;", "SELECT ';", "SELECT \"a;"]
        {
            assert!(!is_complete(entry), "{entry}");
        }
    }

    #[test]
    fn commands_blanks_and_comments_need_no_semicolon() {
        for entry in ["", "  ", "\\d", "\\d it's", "quit", "help", "-- a thought"] {
            assert!(is_complete(entry), "{entry}");
        }
    }
}
