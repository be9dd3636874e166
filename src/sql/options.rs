//! The grammar of `OPTIONS (key value, …)`.

use std::collections::BTreeMap;

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Word};

use super::model_statements::{error_at, parse_name};

/// Refuses `INSERT … OPTIONS ('key' 'value')`, which the parser would take for a table's alias.
///
/// # Errors
/// What has options instead.
pub(super) fn refuse_in_insert(tokens: &[TokenWithSpan]) -> Result<(), ParserError> {
    let is_solid = |token: &&TokenWithSpan| !matches!(token.token, Token::Whitespace(_));
    let solid: Vec<_> = tokens.iter().filter(is_solid).collect();
    let is_word = |token: &TokenWithSpan, name: &str| matches!(&token.token, Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(name));
    if !solid.first().is_some_and(|first| is_word(first, "INSERT")) {
        return Ok(());
    }
    for (index, token) in solid.iter().enumerate().filter(|(_, token)| is_word(token, "OPTIONS")) {
        let behind = solid[index + 1..].iter().map(|token| &token.token).take(3).collect::<Vec<_>>();
        if let [Token::LParen, Token::SingleQuotedString(_), ..]
        | [Token::LParen, Token::Word(_), Token::SingleQuotedString(_)] = behind.as_slice()
        {
            let message = "INSERT has no OPTIONS; COPY (…) TO 'folder/' OPTIONS ('mode' 'append', 'errors' \
                           'errors.parquet') adds files to a table's folder, and lists the rows that failed";
            return error_at(message, token);
        }
    }
    Ok(())
}

/// `(key value, …)`; a trailing comma is allowed, as in `CREATE EXTERNAL TABLE`.
pub(super) fn parse(parser: &mut Parser<'_>) -> Result<BTreeMap<String, String>, ParserError> {
    let mut options = BTreeMap::new();
    parser.expect_token(&Token::LParen)?;
    while !parser.consume_token(&Token::RParen) {
        let key_token = parser.peek_token();
        let key = parse_option_key(parser)?;
        if options.contains_key(&key) {
            return error_at(&format!("option '{key}' is given twice"), &key_token);
        }
        options.insert(key, parse_option_value(parser)?);
        if !parser.consume_token(&Token::Comma) {
            parser.expect_token(&Token::RParen)?;
            break;
        }
    }
    Ok(options)
}

/// A quoted key unchanged, or words joined by dots, in lower case.
fn parse_option_key(parser: &mut Parser<'_>) -> Result<String, ParserError> {
    let token = parser.next_token();
    match token.token {
        Token::SingleQuotedString(key) | Token::DoubleQuotedString(key) => Ok(key),
        Token::Word(Word { value, quote_style: Some(_), .. }) => Ok(value),
        Token::Word(Word { value, quote_style: None, .. }) => {
            let mut key = value.to_lowercase();
            while parser.consume_token(&Token::Period) {
                key.push('.');
                key.push_str(&parse_name(parser)?);
            }
            Ok(key)
        }
        _ => parser.expected("the name of an option", token),
    }
}

fn parse_option_value(parser: &mut Parser<'_>) -> Result<String, ParserError> {
    let token = parser.next_token();
    match token.token {
        Token::SingleQuotedString(value)
        | Token::DoubleQuotedString(value)
        | Token::EscapedStringLiteral(value)
        | Token::Number(value, _) => Ok(value),
        Token::Word(Word { keyword: Keyword::TRUE, .. }) => Ok("true".to_string()),
        Token::Word(Word { keyword: Keyword::FALSE, .. }) => Ok("false".to_string()),
        Token::Minus => {
            let token = parser.next_token();
            match token.token {
                Token::Number(value, _) => Ok(format!("-{value}")),
                _ => parser.expected("a number", token),
            }
        }
        _ => parser.expected("a string in quotes, a number, true or false", token),
    }
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::dialect::GenericDialect;

    use super::*;

    fn options(sql: &str) -> Result<Vec<(String, String)>, ParserError> {
        let mut parser = Parser::new(&GenericDialect {}).try_with_sql(sql)?;
        Ok(parse(&mut parser)?.into_iter().collect())
    }

    #[test]
    fn keys_are_words_or_quoted_and_values_are_literals() -> Result<(), ParserError> {
        let cases = [
            ("(task 'it''s')", "task", "it's"),
            ("('Odd key' 1)", "Odd key", "1"),
            ("(\"Odd\" -0.5)", "Odd", "-0.5"),
            ("(Provider.Options 1e-3)", "provider.options", "1e-3"),
            ("(a TRUE,)", "a", "true"),
            ("(a false)", "a", "false"),
        ];
        for (sql, key, value) in cases {
            assert_eq!(options(sql)?, [(key.to_string(), value.to_string())], "{sql}");
        }
        assert_eq!(options("()")?, []);
        assert_eq!(options("(a 1, b 2)")?.len(), 2);
        Ok(())
    }

    #[test]
    fn errors_give_the_expected_token_and_position() {
        let cases = [
            ("a 1", "(, found: a at Line: 1, Column: 1"),
            ("(c 1 d 2)", "), found: d at Line: 1, Column: 6"),
            ("(c 1, C 2)", "option 'c' is given twice at Line: 1, Column: 7"),
            ("(c auto)", "true or false, found: auto at Line: 1, Column: 4"),
            ("(c -'1')", "a number, found: '1' at Line: 1, Column: 5"),
            ("(1 1)", "the name of an option, found: 1 at Line: 1, Column: 2"),
            ("(c 1", "), found: EOF"),
        ];
        for (sql, expected) in cases {
            let message = options(sql).map_or_else(|error| error.to_string(), |found| format!("{found:?}"));
            assert!(message.contains(expected), "{sql}: {message}");
        }
    }
}
