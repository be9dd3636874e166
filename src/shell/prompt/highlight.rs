//! Syntax highlighting of SQL during typing.

use datafusion::config::Dialect;
use datafusion::sql::sqlparser::dialect::dialect_from_str;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer, Whitespace};

use super::command::STARTS;
use super::keywords::is_keyword;

/// Escape sequences (SGR) in the terminal's own palette, so that the colours suit its background.
const KEYWORD: &str = "\x1b[1;34m";
const FUNCTION: &str = "\x1b[36m";
const STRING: &str = "\x1b[32m";
const NUMBER: &str = "\x1b[35m";
const COMMENT: &str = "\x1b[90m";
const RESET: &str = "\x1b[0m";

/// `line` with escape sequences around coloured tokens; the displayed width is unchanged. `before` is the text of the
/// entry before this line, in which a string or comment may be open.
pub(crate) fn highlight(before: &str, line: &str, dialect: Dialect) -> String {
    let text = format!("{before}{line}");
    if text.trim_start().starts_with(STARTS) {
        return paint(line, FUNCTION);
    }
    let Some(dialect) = dialect_from_str(dialect) else {
        return line.to_owned();
    };
    let mut tokens = Vec::new();
    let is_complete =
        Tokenizer::new(dialect.as_ref(), &text).tokenize_with_location_into_buf(&mut tokens).is_ok();
    let mut highlighted = String::with_capacity(2 * line.len());
    let mut hidden = before.len();
    let mut push = |part: &str, colour: Option<&str>| {
        let shown = part.get(hidden.min(part.len())..).unwrap_or_default();
        hidden -= part.len() - shown.len();
        match colour {
            Some(colour) if !shown.is_empty() => highlighted.push_str(&paint(shown, colour)),
            _ => highlighted.push_str(shown),
        }
    };
    let mut rest = Cursor { text: &text, place: Location { line: 1, column: 1 } };
    for (i, TokenWithSpan { token, span }) in tokens.iter().enumerate() {
        push(rest.take_until(span.start), None);
        let is_call = matches!(tokens.get(i + 1), Some(TokenWithSpan { token: Token::LParen, .. }));
        push(rest.take_until(span.end), colour(token, is_call));
    }
    // The rest after the last token is an unclosed string or comment.
    let of_rest = if rest.text.trim_start().starts_with("/*") { COMMENT } else { STRING };
    push(rest.text, Some(of_rest).filter(|_| !is_complete));
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
        shown_after("", text)
    }

    fn shown_after(before: &str, line: &str) -> String {
        let mut shown = highlight(before, line, Dialect::Generic);
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
            (".tables", "<f>.tables</>"),
            ("", ""),
        ] {
            assert_eq!(shown(text), expected);
        }
    }

    #[test]
    fn strings_and_comments_go_on_in_the_next_line() {
        assert_eq!(shown_after("SELECT 'it\n", "is', 1"), "<s>is'</>, <n>1</>");
        assert_eq!(shown_after("SELECT /*\n", "SELECT"), "<c>SELECT</>");
        assert_eq!(shown_after("SELECT 1,\n", "sum(2)"), "<f>sum</>(<n>2</>)");
    }
}
