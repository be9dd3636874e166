//! `FORMAT JSON` of EXPLAIN, a format of our own: DataFusion has Postgres's only, as PGJSON.
//!
//! DataFusion's parser then parses the statement with that format in its place, options in parentheses too.

use datafusion::error::DataFusionError;
use datafusion::sql::parser::{ExplainStatement, Statement as DataFusionStatement};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::ParserError;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Word};

use super::statement::Statement;

/// DataFusion's format that stands for ours while the statement is parsed.
const STAND_IN: &str = "pgjson";

/// Replaces the format JSON of a statement's EXPLAIN by [`STAND_IN`]. Returns whether it was there.
pub(super) fn take_json(tokens: &mut [TokenWithSpan]) -> bool {
    let is_solid = |token: &&mut TokenWithSpan| !matches!(token.token, Token::Whitespace(_));
    let mut solid = tokens.iter_mut().filter(is_solid);
    if solid.next().is_none_or(|first| !is_word(first, "EXPLAIN")) {
        return false;
    }
    let (mut is_listed, mut is_format) = (false, false);
    for (place, token) in solid.enumerate() {
        if is_format {
            let is_json = is_word(token, "JSON")
                || matches!(&token.token, Token::SingleQuotedString(text) if text.eq_ignore_ascii_case("JSON"));
            if is_json {
                token.token = Token::make_word(STAND_IN, None);
            }
            return is_json;
        }
        let keyword = match &token.token {
            Token::Word(word) => word.keyword,
            _ => Keyword::NoKeyword,
        };
        let is_option = match (&token.token, keyword) {
            (Token::LParen, _) => place == 0,
            // A query in parentheses.
            (_, Keyword::SELECT | Keyword::WITH | Keyword::VALUES) | (Token::RParen, _) => false,
            (_, Keyword::ANALYZE | Keyword::VERBOSE | Keyword::FORMAT) => true,
            _ => is_listed,
        };
        if !is_option {
            return false;
        }
        is_listed |= token.token == Token::LParen;
        is_format = keyword == Keyword::FORMAT;
    }
    false
}

/// The statement whose format JSON was taken.
///
/// # Errors
/// Options that this format does not have.
pub(super) fn in_json(statement: Statement) -> Result<Statement, DataFusionError> {
    match statement {
        Statement::DataFusion(statement) => match *statement {
            DataFusionStatement::Explain(ExplainStatement { options, statement }) => {
                let has_others = options.verbose
                    || options.analyze_level.is_some()
                    || options.analyze_categories.is_some()
                    || options.show_statistics.is_some();
                if has_others {
                    let reason = "EXPLAIN with FORMAT JSON has all numbers, and no option but ANALYZE";
                    return Err(ParserError::ParserError(reason.to_owned()).into());
                }
                Ok(Statement::ExplainJson { analyze: options.analyze, statement })
            }
            other => Ok(Statement::DataFusion(Box::new(other))),
        },
        other => Ok(other),
    }
}

fn is_word(token: &TokenWithSpan, expected: &str) -> bool {
    matches!(&token.token, Token::Word(Word { value, quote_style: None, .. }) if value.eq_ignore_ascii_case(expected))
}

#[cfg(test)]
mod tests {
    use datafusion::config::SqlParserOptions;

    use super::*;
    use crate::sql::script::parse_statement;

    fn parsed(sql: &str) -> String {
        match parse_statement(sql, &SqlParserOptions::default()) {
            Ok(Statement::ExplainJson { analyze, statement }) => format!("{analyze} {statement}"),
            Ok(other) => format!("not ours: {other}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn json_is_taken_in_both_forms() {
        for sql in [
            "EXPLAIN ANALYZE FORMAT JSON SELECT 1",
            "-- a comment\nexplain analyze format 'json' SELECT 1;",
            "EXPLAIN (ANALYZE, FORMAT JSON) SELECT 1",
            "EXPLAIN (FORMAT json, ANALYZE true) SELECT 1",
        ] {
            assert_eq!(parsed(sql), "true SELECT 1", "{sql}");
        }
        assert_eq!(parsed("EXPLAIN FORMAT JSON SELECT 1"), "false SELECT 1");
        assert_eq!(parsed("EXPLAIN (FORMAT JSON) (SELECT 1)"), "false (SELECT 1)");
        let copy = parsed("EXPLAIN ANALYZE FORMAT JSON COPY t TO 'a.json' STORED AS JSON");
        assert!(copy.starts_with("true COPY t TO "), "{copy}");
    }

    #[test]
    fn other_formats_and_queries_are_datafusion_s() {
        for sql in [
            "EXPLAIN FORMAT pgjson SELECT 1",
            "EXPLAIN ANALYZE SELECT format json FROM t",
            "EXPLAIN (SELECT format json FROM t)",
            "EXPLAIN INSERT INTO format (json) VALUES (1)",
            "SELECT format json FROM t",
        ] {
            assert!(parsed(sql).starts_with("not ours: "), "{}", parsed(sql));
        }
    }

    #[test]
    fn other_options_are_refused() {
        for sql in [
            "EXPLAIN ANALYZE VERBOSE FORMAT JSON SELECT 1",
            "EXPLAIN (ANALYZE, FORMAT JSON, LEVEL dev) SELECT 1",
        ] {
            assert!(parsed(sql).contains("no option but ANALYZE"), "{}", parsed(sql));
        }
        assert!(parsed("EXPLAIN FORMAT JSON EXPLAIN SELECT 1").starts_with("false EXPLAIN"));
    }
}
