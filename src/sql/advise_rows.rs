//! `OPTIONS (rows '500')` at the end of `ADVISE`, which `COPY` may end in too: its own OPTIONS come first.

use datafusion::sql::sqlparser::dialect::Dialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Word};

use super::options;
use crate::advise::ROWS;

/// Removes the OPTIONS of ADVISE from the end of its statement; returns the number of rows, if it is given.
///
/// # Errors
/// OPTIONS of a query that ADVISE does not have; a value that is no number of rows.
pub(super) fn take_rows(
    tokens: &mut Vec<TokenWithSpan>,
    dialect: &dyn Dialect,
) -> Result<Option<u64>, ParserError> {
    let Some(start) = last_options(tokens) else { return Ok(None) };
    let place = tokens[start].span.start;
    let end = tokens.iter().position(|token| token.token == Token::SemiColon).unwrap_or(tokens.len());
    let given = tokens[start + 1..end].to_vec();
    let mut parser = Parser::new(dialect).with_tokens_with_locations(given);
    // OPTIONS that can't be parsed are for the parser of the whole statement.
    let Ok(given) = options::parse(&mut parser) else { return Ok(None) };
    let is_copy = tokens.iter().any(|token| is_keyword(token, Keyword::COPY));
    match given.iter().next() {
        Some((key, value)) if key == ROWS && given.len() == 1 => {
            let rows = value.parse().ok().filter(|rows| *rows > 0);
            let reason = || format!("option '{ROWS}': '{value}' is no number of rows, such as '500'{place}");
            let rows = rows.ok_or_else(|| ParserError::ParserError(reason()))?;
            tokens.drain(start..end);
            Ok(Some(rows))
        }
        _ if is_copy => Ok(None),
        _ => Err(ParserError::ParserError(format!("ADVISE has one option, {ROWS}{place}"))),
    }
}

/// The position of the word OPTIONS whose parentheses end the statement.
fn last_options(tokens: &[TokenWithSpan]) -> Option<usize> {
    let is_blank = |token: &TokenWithSpan| matches!(token.token, Token::Whitespace(_) | Token::SemiColon);
    let mut depth = 0_usize;
    let mut rest = tokens.iter().enumerate().rev().filter(|(_, token)| !is_blank(token)).peekable();
    if rest.peek().is_none_or(|(_, token)| token.token != Token::RParen) {
        return None;
    }
    for (_, token) in rest.by_ref() {
        match token.token {
            Token::RParen => depth += 1,
            Token::LParen => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    let (position, token) = rest.next()?;
    is_keyword(token, Keyword::OPTIONS).then_some(position)
}

fn is_keyword(token: &TokenWithSpan, keyword: Keyword) -> bool {
    matches!(&token.token, Token::Word(Word { keyword: found, quote_style: None, .. }) if *found == keyword)
}
