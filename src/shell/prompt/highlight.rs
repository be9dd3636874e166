//! Syntax highlighting of SQL during typing.

use datafusion::config::Dialect;
use datafusion::sql::sqlparser::dialect::dialect_from_str;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer, Whitespace};

use super::keywords::is_keyword;

/// Escape sequences (SGR) in the terminal's own palette, so that the colours suit its background.
const KEYWORD: &str = "\x1b[1;34m";
const FUNCTION: &str = "\x1b[36m";
const STRING: &str = "\x1b[32m";
const NUMBER: &str = "\x1b[35m";
const COMMENT: &str = "\x1b[90m";
const RESET: &str = "\x1b[0m";

/// `text` with escape sequences around coloured tokens; the displayed width is unchanged.
pub(crate) fn highlight(text: &str, dialect: Dialect) -> String {
    if text.trim_start().starts_with('\\') {
        return paint(text, FUNCTION);
    }
    let Some(dialect) = dialect_from_str(dialect) else {
        return text.to_owned();
    };
    let mut tokens = Vec::new();
    let is_complete =
        Tokenizer::new(dialect.as_ref(), text).tokenize_with_location_into_buf(&mut tokens).is_ok();
    let mut highlighted = String::with_capacity(2 * text.len());
    let mut rest = Cursor { text, place: Location { line: 1, column: 1 } };
    for (i, TokenWithSpan { token, span }) in tokens.iter().enumerate() {
        highlighted.push_str(rest.take_until(span.start));
        let part = rest.take_until(span.end);
        let is_call = matches!(tokens.get(i + 1), Some(TokenWithSpan { token: Token::LParen, .. }));
        match colour(token, is_call) {
            Some(colour) => highlighted.push_str(&paint(part, colour)),
            None => highlighted.push_str(part),
        }
    }
    // The rest after the last token is an unclosed string or comment.
    if is_complete || rest.text.is_empty() {
        highlighted.push_str(rest.text);
    } else {
        let colour = if rest.text.trim_start().starts_with("/*") { COMMENT } else { STRING };
        highlighted.push_str(&paint(rest.text, colour));
    }
    highlighted
}

fn paint(text: &str, colour: &str) -> String {
    format!("{colour}{text}{RESET}")
}

fn colour(token: &Token, is_call: bool) -> Option<&'static str> {
    match token {
        Token::Word(word) if word.quote_style.is_some() => None,
        Token::Word(word) if is_keyword(&word.value) => Some(KEYWORD),
        Token::Word(_) if is_call => Some(FUNCTION),
        Token::Number(..) => Some(NUMBER),
        Token::SingleQuotedString(_) | Token::EscapedStringLiteral(_) | Token::DollarQuotedString(_) => {
            Some(STRING)
        }
        Token::Whitespace(Whitespace::SingleLineComment { .. } | Whitespace::MultiLineComment(_)) => {
            Some(COMMENT)
        }
        _ => None,
    }
}

/// The remaining part of a text, and its position in the whole.
struct Cursor<'a> {
    text: &'a str,
    place: Location,
}

impl<'a> Cursor<'a> {
    fn take_until(&mut self, end: Location) -> &'a str {
        let mut taken = 0;
        for character in self.text.chars() {
            if self.place >= end {
                break;
            }
            taken += character.len_utf8();
            self.place = match character {
                '\n' => Location { line: self.place.line + 1, column: 1 },
                _ => Location { column: self.place.column + 1, ..self.place },
            };
        }
        let (part, rest) = self.text.split_at(taken);
        self.text = rest;
        part
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Highlighted text with colours as letters, for readable tests.
    fn shown(text: &str) -> String {
        let mut shown = highlight(text, Dialect::Generic);
        for (code, letter) in [
            (KEYWORD, "<k>"),
            (FUNCTION, "<f>"),
            (STRING, "<s>"),
            (NUMBER, "<n>"),
            (COMMENT, "<c>"),
            (RESET, "</>"),
        ] {
            shown = shown.replace(code, letter);
        }
        shown
    }

    #[test]
    fn each_kind_of_token_has_its_colour() {
        for (text, expected) in [
            ("select a", "<k>select</> a"),
            (
                "SELECT classify(image, 'x')\n, 1.5",
                "<k>SELECT</> <f>classify</>(image, <s>'x'</>)\n, <n>1.5</>",
            ),
            ("SELECT \"select\" -- é", "<k>SELECT</> \"select\" <c>-- é</>"),
            ("SELECT 'é\nopen", "<k>SELECT</> <s>'é\nopen</>"),
            ("SELECT /* open", "<k>SELECT</> <c>/* open</>"),
            ("\\d images", "<f>\\d images</>"),
            ("", ""),
        ] {
            assert_eq!(shown(text), expected);
        }
    }
}
