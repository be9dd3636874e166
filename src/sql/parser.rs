//! Parses one statement: Seequel's own here, all others by DataFusion's parser.
//!
//! `SUMMARIZE` and `ADVISE` are not reserved: they have a meaning only at the start of a statement.

use datafusion::error::DataFusionError;
use datafusion::sql::parser::{DFParser, DFParserBuilder, Statement as DataFusionStatement};
use datafusion::sql::sqlparser::ast::Statement as SqlStatement;
use datafusion::sql::sqlparser::dialect::Dialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Span, Token, TokenWithSpan};

use super::advise_rows::take_rows;
use super::explain_format::{in_json, take_json};
use super::model_statements::model_grammar;
use super::options;
use super::statement::Statement;
use crate::advise::Advise;

/// Parses the tokens of one statement, with or without its `;`.
///
/// # Errors
/// [`DataFusionError::SQL`] with line and column, those of the unexpected token if there is one.
pub(super) fn parse(
    tokens: Vec<TokenWithSpan>,
    dialect: &dyn Dialect,
    recursion_limit: usize,
) -> Result<Statement, DataFusionError> {
    let mut tokens = star_in_brackets(tokens.into_iter().map(without_convert));
    if take_word(&mut tokens, "ADVISE").is_some() {
        let rows = take_rows(&mut tokens, dialect)?;
        return match parse(tokens, dialect, recursion_limit)? {
            Statement::DataFusion(query) => Ok(Statement::Advise(Advise { query, rows })),
            other => {
                Err(ParserError::ParserError(format!("ADVISE takes a query or COPY, not {other}")).into())
            }
        };
    }
    options::refuse_in_insert(&tokens)?;
    let summarizes = take_summarize(&mut tokens);
    let explains_in_json = take_json(&mut tokens);
    let mut parser =
        DFParserBuilder::new(tokens).with_dialect(dialect).with_recursion_limit(recursion_limit).build()?;
    let statement = if summarizes { parse_summarized(&mut parser.parser)? } else { parse_any(&mut parser)? };
    let next = parser.parser.peek_token();
    if next != Token::SemiColon && next != Token::EOF {
        return Ok(parser.parser.expected("end of statement", next)?);
    }
    if explains_in_json { in_json(statement) } else { Ok(statement) }
}

/// Turns the keyword `CONVERT` into an ordinary word: as a keyword it would be a cast, which DataFusion lacks; here it
/// is a function.
fn without_convert(mut token: TokenWithSpan) -> TokenWithSpan {
    if let Token::Word(word) = &mut token.token
        && word.keyword == Keyword::CONVERT
    {
        word.keyword = Keyword::NoKeyword;
    }
    token
}

/// Turns `f(x).*` into `f(x)['*']`: most dialects have wildcards only behind names. `wildcards.rs` expands it.
fn star_in_brackets(tokens: impl Iterator<Item = TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut result: Vec<TokenWithSpan> = Vec::with_capacity(tokens.size_hint().0);
    for token in tokens {
        let is_behind_call = matches!(result.as_slice(),
            [.., end, dot] if matches!(end.token, Token::RParen | Token::RBracket) && dot.token == Token::Period);
        if is_behind_call && token.token == Token::Mul {
            result.pop();
            let bracketed = [Token::LBracket, Token::SingleQuotedString("*".to_string()), Token::RBracket];
            result.extend(bracketed.map(|bracketed| TokenWithSpan { token: bracketed, span: token.span }));
        } else {
            result.push(token);
        }
    }
    result
}

/// Removes the word `SUMMARIZE` from the start, and makes a query of a table. Returns whether the word was there.
fn take_summarize(tokens: &mut Vec<TokenWithSpan>) -> bool {
    let Some((start, span)) = take_word(tokens, "SUMMARIZE") else { return false };
    let next = tokens[start..].iter().map(|token| &token.token);
    let next = next.into_iter().find(|token| !matches!(token, Token::Whitespace(_)));
    let select_from = [Token::make_keyword("SELECT"), Token::Mul, Token::make_keyword("FROM")];
    let missing = match next {
        Some(Token::LParen) => 0,
        Some(Token::Word(word)) => match word.keyword {
            Keyword::SELECT | Keyword::WITH | Keyword::VALUES => 0,
            Keyword::FROM => 2,
            _ => 3,
        },
        _ => 3,
    };
    let query_start = select_from.map(|token| TokenWithSpan::new(token, span));
    tokens.splice(start..start, query_start.into_iter().take(missing));
    true
}

/// Removes `word` from the start of a statement; returns where it was.
fn take_word(tokens: &mut Vec<TokenWithSpan>, word: &str) -> Option<(usize, Span)> {
    let start = tokens.iter().position(|token| !matches!(token.token, Token::Whitespace(_)))?;
    let TokenWithSpan { token: Token::Word(first), span } = &tokens[start] else { return None };
    let (is_word, span) = (first.quote_style.is_none() && first.value.eq_ignore_ascii_case(word), *span);
    is_word.then(|| {
        tokens.remove(start);
        (start, span)
    })
}

fn parse_summarized(parser: &mut Parser<'_>) -> Result<Statement, ParserError> {
    let query = SqlStatement::Query(parser.parse_query()?);
    Ok(Statement::Summarize(Box::new(DataFusionStatement::Statement(Box::new(query)))))
}

fn parse_any(parser: &mut DFParser<'_>) -> Result<Statement, DataFusionError> {
    match model_grammar(&parser.parser) {
        Some(parse) => Ok(parse(&mut parser.parser)?),
        None => Ok(Statement::DataFusion(Box::new(parser.parse_statement()?))),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use datafusion::config::SqlParserOptions;

    use super::*;
    use crate::Result;
    use crate::model::{CreateEnsemble, CreateModel};
    use crate::sql::script::parse_statement;

    fn statement(sql: &str) -> Result<Statement> {
        parse_statement(sql, &SqlParserOptions::default())
    }

    fn error(sql: &str) -> String {
        statement(sql).map_or_else(|error| error.to_string(), |found| format!("no error: {found}"))
    }

    fn create(name: &str, location: &str, options: &[(&str, &str)]) -> CreateModel {
        CreateModel {
            name: name.to_string(),
            or_replace: false,
            if_not_exists: false,
            location: location.to_string(),
            options: options.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect(),
        }
    }

    #[test]
    fn create_model_with_options() -> Result<()> {
        let sql = "create model ResNet from 'models/r.onnx' options (task 'embed', 'Labels' 'l.txt');";
        let options = [("task", "embed"), ("Labels", "l.txt")];
        assert_eq!(statement(sql)?, Statement::CreateModel(create("resnet", "models/r.onnx", &options)));
        Ok(())
    }

    #[test]
    fn create_model_with_or_replace_or_if_not_exists() -> Result<()> {
        let replace = CreateModel { or_replace: true, ..create("a", "a.onnx", &[]) };
        assert_eq!(statement("CREATE OR REPLACE MODEL a FROM 'a.onnx'")?, Statement::CreateModel(replace));
        let keep = CreateModel { if_not_exists: true, ..create("Big A", "a.onnx", &[]) };
        let sql = "CREATE MODEL IF NOT EXISTS \"Big A\" FROM 'a.onnx' OPTIONS ()";
        assert_eq!(statement(sql)?, Statement::CreateModel(keep));
        Ok(())
    }

    #[test]
    fn create_ensemble_with_all_clauses() -> Result<()> {
        let sql = "create model if not exists Both as ensemble of (A, \"B\") options (combine 'mean')";
        let expected = CreateEnsemble {
            name: "both".to_string(),
            or_replace: false,
            if_not_exists: true,
            members: vec!["a".to_string(), "B".to_string()],
            options: BTreeMap::from([("combine".to_string(), "mean".to_string())]),
        };
        assert_eq!(statement(sql)?, Statement::CreateEnsemble(expected));
        Ok(())
    }

    #[test]
    fn show_describe_and_drop_models() -> Result<()> {
        assert_eq!(statement("show Models")?, Statement::ShowModels);
        assert_eq!(statement("SHOW devices;")?, Statement::ShowDevices);
        let describe = Statement::DescribeModel { name: "resnet".to_string() };
        assert_eq!(statement("DESCRIBE MODEL ResNet")?, describe);
        assert_eq!(statement("desc model resnet")?, describe);
        let drop = |name: &str, if_exists| Statement::DropModel { name: name.to_string(), if_exists };
        assert_eq!(statement("DROP MODEL \"A\"")?, drop("A", false));
        assert_eq!(statement("DROP MODEL IF EXISTS a")?, drop("a", true));
        assert_eq!(statement("DROP MODEL if")?, drop("if", false));
        Ok(())
    }

    #[test]
    fn tables_may_be_named_model() -> Result<()> {
        for sql in [
            "SELECT * FROM model",
            "SELECT model.model FROM models AS model",
            "CREATE TABLE model (model INT)",
            "DROP TABLE models",
            "DESCRIBE model",
            "DESCRIBE model.models",
            "SHOW TABLES",
            "SHOW models.option",
            "SHOW devices.option",
            "SHOW resumable",
            "SHOW jobs.option",
            "SELECT cancel FROM jobs AS job",
            "INSERT INTO models VALUES (1)",
            "SELECT summarize FROM summarize",
        ] {
            assert!(matches!(statement(sql)?, Statement::DataFusion(_)), "{sql}");
        }
        Ok(())
    }

    #[test]
    fn summarize_takes_a_query_or_a_table() -> Result<()> {
        for (sql, query) in [
            ("SUMMARIZE SELECT a FROM t", "SELECT a FROM t"),
            ("summarize with u as (select 1) select * from u;", "WITH u AS (SELECT 1) SELECT * FROM u"),
            ("SUMMARIZE (SELECT 1) LIMIT 2", "(SELECT 1) LIMIT 2"),
            ("-- all\nSUMMARIZE a.\"B\"", "SELECT * FROM a.\"B\""),
            ("SUMMARIZE 'photos/*.jpg'", "SELECT * FROM 'photos/*.jpg'"),
            (
                "SUMMARIZE read_images('photos') WHERE size > 1",
                "SELECT * FROM read_images('photos') WHERE size > 1",
            ),
            ("SUMMARIZE summarize", "SELECT * FROM summarize"),
            ("SUMMARIZE FROM t", "SELECT * FROM t"),
        ] {
            match statement(sql)? {
                Statement::Summarize(parsed) => assert_eq!(parsed.to_string(), query),
                other => panic!("{sql}: {other}"),
            }
        }
        Ok(())
    }

    #[test]
    fn display_parses_to_the_same_statement() -> Result<()> {
        for sql in [
            "CREATE MODEL a FROM 'it''s.onnx' OPTIONS ('Odd key' 'it''s', b.c 1, d false)",
            "CREATE OR REPLACE MODEL \"Say \"\"A\"\"\" FROM 'a.onnx'",
            "CREATE MODEL IF NOT EXISTS \"select\" FROM 's3://bucket/a.onnx'",
            "CREATE MODEL both AS ENSEMBLE OF (a, \"Big B\") OPTIONS (combine 'weights', weights '0.7,0.3')",
            "CREATE OR REPLACE MODEL both AS ENSEMBLE OF (a, b)",
            "CREATE MODEL IF NOT EXISTS t AS QUANTIZED \"A\" USING (SELECT image FROM i LIMIT 9) OPTIONS (keep 't.onnx')",
            "TUNE MODEL \"A\" USING (SELECT image FROM i LIMIT 9) OPTIONS (budget '5s')",
            "SHOW TUNING",
            "SHOW RESUMABLE 'it''s/'",
            "SHOW JOBS",
            "SHOW EXECUTORS",
            "CANCEL JOB 'it''s'",
            "ATTACH 'it''s'",
            "ATTACH 'a' AS \"B c\"",
            "RESET TUNING",
            "RESET TUNING \"A b\"",
            "SHOW MODELS",
            "SHOW DEVICES",
            "DESCRIBE MODEL \"A b\"",
            "DROP MODEL IF EXISTS a",
            "SUMMARIZE a",
            "EXPLAIN ANALYZE FORMAT JSON SELECT 1",
            "EXPLAIN FORMAT JSON SELECT 1",
            "SELECT count(*) FROM model WHERE a = 'b;c'",
        ] {
            let first = statement(sql)?;
            assert_eq!(statement(&first.to_string())?, first, "{first}");
        }
        Ok(())
    }

    #[test]
    fn errors_give_the_expected_token_and_position() {
        let cases = [
            ("CREATE MODEL", "identifier, found: EOF"),
            ("CREATE MODEL a", "FROM, found: EOF"),
            ("CREATE MODEL a FROM b", "in quotes, found: b at Line: 1, Column: 21"),
            ("CREATE MODEL a.b FROM 'c'", "FROM, found: . at Line: 1, Column: 15"),
            ("CREATE MODEL a FROM 'c' WITH d", "end of statement, found: WITH at Line: 1, Column: 25"),
            ("CREATE OR REPLACE MODEL IF NOT EXISTS a FROM 'b'", "at Line: 1, Column: 32"),
            ("CREATE MODEL a AS SELECT 1", "ENSEMBLE or QUANTIZED, found: SELECT at Line: 1, Column: 19"),
            ("CREATE MODEL a AS QUANTIZED b", "USING, found: EOF"),
            ("CREATE MODEL a AS QUANTIZED b USING c", "(, found: c at Line: 1, Column: 37"),
            ("CREATE MODEL a AS ENSEMBLE (b)", "OF, found: ( at Line: 1, Column: 28"),
            ("CREATE MODEL a AS ENSEMBLE OF ()", "identifier, found: ) at Line: 1, Column: 32"),
            ("CREATE MODEL a AS ENSEMBLE OF (b c)", "), found: c at Line: 1, Column: 34"),
            ("TUNE MODEL a FROM b", "USING, found: FROM at Line: 1, Column: 14"),
            ("SHOW JOBS a", "end of statement, found: a at Line: 1, Column: 11"),
            ("SHOW TUNING a", "end of statement, found: a at Line: 1, Column: 13"),
            ("SHOW DEVICES LIKE 'a'", "end of statement, found: LIKE at Line: 1, Column: 14"),
            ("SHOW MODELS LIKE 'a'", "end of statement, found: LIKE at Line: 1, Column: 13"),
            ("DESCRIBE MODEL a b", "end of statement, found: b at Line: 1, Column: 18"),
            ("DROP MODEL", "identifier, found: EOF"),
            ("SUMMARIZE", "identifier, found: EOF"),
            ("SUMMARIZE a b c", "end of statement, found: c at Line: 1, Column: 15"),
        ];
        for (sql, expected) in cases {
            let message = error(sql);
            assert!(message.contains(expected), "{sql}: {message}");
        }
    }
}
