//! The grammar of the statements about models and devices, and about a cluster.
//!
//! `MODEL`, `MODELS`, `DEVICES`, `JOBS` and others are not reserved: they have a meaning only in these statements, so that tables and
//! columns may have these names.

use std::collections::BTreeMap;

use datafusion::sql::parser::Statement as DataFusionStatement;
use datafusion::sql::planner::IdentNormalizer;
use datafusion::sql::sqlparser::ast::Statement as SqlStatement;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Word};

use super::cluster::ClusterStatement;
use super::options;
use super::statement::Statement;
use crate::model::{CreateEnsemble, CreateModel};
use crate::quantize::CreateQuantized;
use crate::tune::TuneModel;

pub(super) type Grammar = fn(&mut Parser<'_>) -> Result<Statement, ParserError>;

/// The grammar of the statement about models that starts here, if there is one.
pub(super) fn model_grammar(parser: &Parser<'_>) -> Option<Grammar> {
    let keyword = |n| match &parser.peek_nth_token_ref(n).token {
        Token::Word(word) => word.keyword,
        _ => Keyword::NoKeyword,
    };
    let or_replace = (keyword(1), keyword(2)) == (Keyword::OR, Keyword::REPLACE);
    match keyword(0) {
        Keyword::CREATE if is_word(parser, if or_replace { 3 } else { 1 }, "MODEL") => Some(parse_create),
        Keyword::SHOW if is_word(parser, 1, "MODELS") && !is_period(parser, 2) => Some(parse_show),
        Keyword::SHOW if is_word(parser, 1, "DEVICES") && !is_period(parser, 2) => Some(parse_show_devices),
        Keyword::SHOW if is_word(parser, 1, "TUNING") && !is_period(parser, 2) => Some(parse_show_tuning),
        Keyword::SHOW if is_word(parser, 1, "RESUMABLE") && is_text(parser, 2) => Some(parse_show_resumable),
        Keyword::SHOW if is_word(parser, 1, "JOBS") && !is_period(parser, 2) => Some(parse_show_jobs),
        Keyword::SHOW if is_word(parser, 1, "EXECUTORS") && !is_period(parser, 2) => {
            Some(parse_show_executors)
        }
        _ if is_word(parser, 0, "CANCEL") && is_word(parser, 1, "JOB") && is_text(parser, 2) => {
            Some(parse_cancel)
        }
        Keyword::ATTACH if is_text(parser, 1) => Some(parse_attach),
        Keyword::RESET if is_word(parser, 1, "TUNING") && !is_period(parser, 2) => Some(parse_reset_tuning),
        _ if is_word(parser, 0, "TUNE") && is_word(parser, 1, "MODEL") => Some(parse_tune),
        // `DESCRIBE model` and `DESCRIBE model.part` are about tables with these names.
        Keyword::DESCRIBE | Keyword::DESC
            if is_word(parser, 1, "MODEL") && !is_end(parser, 2) && !is_period(parser, 2) =>
        {
            Some(parse_describe)
        }
        Keyword::DROP if is_word(parser, 1, "MODEL") => Some(parse_drop),
        _ => None,
    }
}

fn is_word(parser: &Parser<'_>, n: usize, expected: &str) -> bool {
    matches!(&parser.peek_nth_token_ref(n).token,
        Token::Word(Word { value, quote_style: None, .. }) if value.eq_ignore_ascii_case(expected))
}

fn is_end(parser: &Parser<'_>, n: usize) -> bool {
    matches!(parser.peek_nth_token_ref(n).token, Token::SemiColon | Token::EOF)
}

fn is_text(parser: &Parser<'_>, n: usize) -> bool {
    matches!(parser.peek_nth_token_ref(n).token, Token::SingleQuotedString(_))
}

fn is_period(parser: &Parser<'_>, n: usize) -> bool {
    parser.peek_nth_token_ref(n).token == Token::Period
}

fn parse_create(parser: &mut Parser<'_>) -> Result<Statement, ParserError> {
    parser.expect_keyword(Keyword::CREATE)?;
    let or_replace = parser.parse_keywords(&[Keyword::OR, Keyword::REPLACE]);
    parser.advance_token(); // MODEL
    let if_not_exists = parser.parse_keywords(&[Keyword::IF, Keyword::NOT, Keyword::EXISTS]);
    if or_replace && if_not_exists {
        return error_at("OR REPLACE and IF NOT EXISTS exclude each other", parser.get_current_token());
    }
    let name = parse_name(parser)?;
    if parser.parse_keyword(Keyword::AS) {
        if is_word(parser, 0, "QUANTIZED") {
            let (source, query) = parse_quantized(parser)?;
            let options = parse_options(parser)?;
            let create = CreateQuantized { name, or_replace, if_not_exists, source, query, options };
            return Ok(Statement::CreateQuantized(create));
        }
        let members = parse_members(parser)?;
        let options = parse_options(parser)?;
        let create = CreateEnsemble { name, or_replace, if_not_exists, members, options };
        return Ok(Statement::CreateEnsemble(create));
    }
    parser.expect_keyword(Keyword::FROM)?;
    let location = parse_location(parser)?;
    let options = parse_options(parser)?;
    Ok(Statement::CreateModel(CreateModel { name, or_replace, if_not_exists, location, options }))
}

/// `ENSEMBLE OF (name, …)`
fn parse_members(parser: &mut Parser<'_>) -> Result<Vec<String>, ParserError> {
    if !is_word(parser, 0, "ENSEMBLE") {
        return parser.expected("ENSEMBLE or QUANTIZED", parser.peek_token());
    }
    parser.advance_token(); // ENSEMBLE
    parser.expect_keyword(Keyword::OF)?;
    parser.expect_token(&Token::LParen)?;
    let members = parser.parse_comma_separated(parse_name)?;
    parser.expect_token(&Token::RParen)?;
    Ok(members)
}

/// `TUNE MODEL name USING (query) [OPTIONS (…)]`
fn parse_tune(parser: &mut Parser<'_>) -> Result<Statement, ParserError> {
    parser.advance_token(); // TUNE
    parser.advance_token(); // MODEL
    let name = parse_name(parser)?;
    let query = parse_using(parser)?;
    Ok(Statement::TuneModel(TuneModel { name, query, options: parse_options(parser)? }))
}

/// `QUANTIZED name USING (query)`
fn parse_quantized(parser: &mut Parser<'_>) -> Result<(String, Box<DataFusionStatement>), ParserError> {
    parser.advance_token(); // QUANTIZED
    let source = parse_name(parser)?;
    Ok((source, parse_using(parser)?))
}

/// `USING (query)`
fn parse_using(parser: &mut Parser<'_>) -> Result<Box<DataFusionStatement>, ParserError> {
    parser.expect_keyword(Keyword::USING)?;
    parser.expect_token(&Token::LParen)?;
    let query = SqlStatement::Query(parser.parse_query()?);
    parser.expect_token(&Token::RParen)?;
    Ok(Box::new(DataFusionStatement::Statement(Box::new(query))))
}

fn parse_options(parser: &mut Parser<'_>) -> Result<BTreeMap<String, String>, ParserError> {
    if parser.parse_keyword(Keyword::OPTIONS) { options::parse(parser) } else { Ok(BTreeMap::new()) }
}

fn parse_show(parser: &mut Parser<'_>) -> Result<Statement, ParserError> {
    parser.advance_token(); // SHOW
    parser.advance_token(); // MODELS
    Ok(Statement::ShowModels)
}

fn parse_show_devices(parser: &mut Parser<'_>) -> Result<Statement, ParserError> {
    parser.advance_token(); // SHOW
    parser.advance_token(); // DEVICES
    Ok(Statement::ShowDevices)
}

fn parse_show_tuning(parser: &mut Parser<'_>) -> Result<Statement, ParserError> {
    parser.advance_token(); // SHOW
    parser.advance_token(); // TUNING
    Ok(Statement::ShowTuning)
}

fn parse_show_resumable(parser: &mut Parser<'_>) -> Result<Statement, ParserError> {
    parser.advance_token(); // SHOW
    parser.advance_token(); // RESUMABLE
    Ok(Statement::ShowResumable { location: parser.parse_literal_string()? })
}

fn parse_show_jobs(parser: &mut Parser<'_>) -> Result<Statement, ParserError> {
    parser.advance_token(); // SHOW
    parser.advance_token(); // JOBS
    Ok(Statement::Cluster(ClusterStatement::ShowJobs))
}

fn parse_show_executors(parser: &mut Parser<'_>) -> Result<Statement, ParserError> {
    parser.advance_token(); // SHOW
    parser.advance_token(); // EXECUTORS
    Ok(Statement::Cluster(ClusterStatement::ShowExecutors))
}

fn parse_cancel(parser: &mut Parser<'_>) -> Result<Statement, ParserError> {
    parser.advance_token(); // CANCEL
    parser.advance_token(); // JOB
    Ok(Statement::Cluster(ClusterStatement::CancelJob { id: parser.parse_literal_string()? }))
}

fn parse_attach(parser: &mut Parser<'_>) -> Result<Statement, ParserError> {
    parser.advance_token(); // ATTACH
    let id = parser.parse_literal_string()?;
    let name = if parser.parse_keyword(Keyword::AS) { Some(parse_name(parser)?) } else { None };
    Ok(Statement::Cluster(ClusterStatement::Attach { id, name }))
}

fn parse_reset_tuning(parser: &mut Parser<'_>) -> Result<Statement, ParserError> {
    parser.advance_token(); // RESET
    parser.advance_token(); // TUNING
    let name = if is_end(parser, 0) { None } else { Some(parse_name(parser)?) };
    Ok(Statement::ResetTuning { name })
}

fn parse_describe(parser: &mut Parser<'_>) -> Result<Statement, ParserError> {
    parser.advance_token(); // DESCRIBE
    parser.advance_token(); // MODEL
    Ok(Statement::DescribeModel { name: parse_name(parser)? })
}

fn parse_drop(parser: &mut Parser<'_>) -> Result<Statement, ParserError> {
    parser.advance_token(); // DROP
    parser.advance_token(); // MODEL
    let if_exists = parser.parse_keywords(&[Keyword::IF, Keyword::EXISTS]);
    Ok(Statement::DropModel { name: parse_name(parser)?, if_exists })
}

/// A name, folded to lower case unless quoted, like table names.
pub(super) fn parse_name(parser: &mut Parser<'_>) -> Result<String, ParserError> {
    Ok(IdentNormalizer::default().normalize(parser.parse_identifier()?))
}

fn parse_location(parser: &mut Parser<'_>) -> Result<String, ParserError> {
    let token = parser.next_token();
    match token.token {
        Token::SingleQuotedString(location) | Token::DoubleQuotedString(location) => Ok(location),
        _ => parser.expected("the location of an ONNX file in quotes", token),
    }
}

/// An error with its own message at `token`.
pub(super) fn error_at<T>(message: &str, token: &TokenWithSpan) -> Result<T, ParserError> {
    Err(ParserError::ParserError(format!("{message}{}", token.span.start)))
}
