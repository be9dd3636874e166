//! Statements as data.

use std::collections::BTreeMap;
use std::fmt;

use datafusion::common::utils::quote_identifier;
use datafusion::sql::parser::Statement as DataFusionStatement;
use datafusion::sql::sqlparser::ast::{Statement as SqlStatement, Value};

use super::cluster::ClusterStatement;
use crate::advise::Advise;
use crate::model::{CreateEnsemble, CreateModel};
use crate::quantize::CreateQuantized;
use crate::tune::TuneModel;

/// One statement. Its [`Display`](fmt::Display) is SQL that parses to the same statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Statement {
    /// `CREATE [OR REPLACE] MODEL [IF NOT EXISTS] name FROM 'location' [OPTIONS (key value, …)]`
    CreateModel(CreateModel),
    /// `CREATE [OR REPLACE] MODEL [IF NOT EXISTS] name AS ENSEMBLE OF (name, …) [OPTIONS (key value, …)]`
    CreateEnsemble(CreateEnsemble),
    /// `CREATE [OR REPLACE] MODEL [IF NOT EXISTS] name AS QUANTIZED name USING (query) [OPTIONS (key value, …)]`
    CreateQuantized(CreateQuantized),
    /// `TUNE MODEL name USING (query) [OPTIONS (key value, …)]`
    TuneModel(TuneModel),
    /// `SHOW TUNING`
    ShowTuning,
    /// `RESET TUNING [name]`
    ResetTuning {
        /// The model; all models without it.
        name: Option<String>,
    },
    /// `SHOW RESUMABLE 'folder'`
    ShowResumable {
        /// The folder that COPY writes to.
        location: String,
    },
    /// `SHOW MODELS`
    ShowModels,
    /// `SHOW DEVICES`
    ShowDevices,
    /// `DESCRIBE MODEL name`
    DescribeModel {
        /// The model.
        name: String,
    },
    /// `DROP MODEL [IF EXISTS] name`
    DropModel {
        /// The model.
        name: String,
        /// Whether a missing model is no error.
        if_exists: bool,
    },
    /// `SHOW JOBS` and others about the cluster
    Cluster(ClusterStatement),
    /// `SUMMARIZE table` or `SUMMARIZE query`
    Summarize(Box<DataFusionStatement>),
    /// `ADVISE query [OPTIONS (rows 'number')]`
    Advise(Advise),
    /// `EXPLAIN [ANALYZE] FORMAT JSON statement`
    ExplainJson {
        /// Whether the statement runs, and its numbers are in the JSON.
        analyze: bool,
        /// What is explained.
        statement: Box<DataFusionStatement>,
    },
    /// Everything else that DataFusion parses.
    DataFusion(Box<DataFusionStatement>),
}

impl Statement {
    /// The query that the statement is or explains, as SQL.
    #[cfg(feature = "shell")]
    pub(crate) fn query(&self) -> Option<String> {
        let query = match self {
            Self::ExplainJson { statement, .. } => statement.as_ref(),
            Self::DataFusion(statement) => match statement.as_ref() {
                DataFusionStatement::Explain(explain) => explain.statement.as_ref(),
                statement => statement,
            },
            _ => return None,
        };
        match query {
            DataFusionStatement::Statement(sql) if matches!(sql.as_ref(), SqlStatement::Query(_)) => {
                Some(sql.to_string())
            }
            _ => None,
        }
    }

    /// Whether the statement queries the session or a plan instead of data: `SHOW`, `DESCRIBE`, `EXPLAIN`, `ADVISE`.
    pub fn is_introspection(&self) -> bool {
        match self {
            Self::ShowModels
            | Self::ShowDevices
            | Self::ShowTuning
            | Self::ShowResumable { .. }
            | Self::DescribeModel { .. }
            | Self::ExplainJson { .. }
            | Self::Advise(_) => true,
            Self::Cluster(statement) => statement.is_list(),
            Self::CreateModel(_)
            | Self::CreateEnsemble(_)
            | Self::CreateQuantized(_)
            | Self::TuneModel(_)
            | Self::ResetTuning { .. }
            | Self::DropModel { .. }
            | Self::Summarize(_) => false,
            Self::DataFusion(statement) => match statement.as_ref() {
                DataFusionStatement::Explain(_) => true,
                DataFusionStatement::Statement(statement) => matches!(
                    statement.as_ref(),
                    SqlStatement::ExplainTable { .. }
                        | SqlStatement::ShowColumns { .. }
                        | SqlStatement::ShowFunctions { .. }
                        | SqlStatement::ShowTables { .. }
                        | SqlStatement::ShowVariable { .. }
                ),
                _ => false,
            },
        }
    }
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateModel(create) => fmt_create_model(create, f),
            Self::CreateEnsemble(create) => fmt_create_ensemble(create, f),
            Self::CreateQuantized(create) => fmt_create_quantized(create, f),
            Self::TuneModel(TuneModel { name, query, options }) => {
                write!(f, "TUNE MODEL {} USING ({query})", quote_identifier(name))?;
                fmt_options(options, f)
            }
            Self::ShowTuning => f.write_str("SHOW TUNING"),
            Self::ShowResumable { location } => {
                write!(f, "SHOW RESUMABLE {}", Value::SingleQuotedString(location.clone()))
            }
            Self::ResetTuning { name: None } => f.write_str("RESET TUNING"),
            Self::ResetTuning { name: Some(name) } => write!(f, "RESET TUNING {}", quote_identifier(name)),
            Self::ShowModels => f.write_str("SHOW MODELS"),
            Self::ShowDevices => f.write_str("SHOW DEVICES"),
            Self::DescribeModel { name } => write!(f, "DESCRIBE MODEL {}", quote_identifier(name)),
            Self::DropModel { name, if_exists } => {
                let if_exists = if *if_exists { "IF EXISTS " } else { "" };
                write!(f, "DROP MODEL {if_exists}{}", quote_identifier(name))
            }
            Self::Cluster(statement) => statement.fmt(f),
            Self::Summarize(query) => write!(f, "SUMMARIZE {query}"),
            Self::Advise(Advise { query, rows: None }) => write!(f, "ADVISE {query}"),
            Self::Advise(Advise { query, rows: Some(rows) }) => {
                write!(f, "ADVISE {query} OPTIONS (rows '{rows}')")
            }
            Self::ExplainJson { analyze, statement } => {
                let analyze = if *analyze { "ANALYZE " } else { "" };
                write!(f, "EXPLAIN {analyze}FORMAT JSON {statement}")
            }
            Self::DataFusion(statement) => statement.fmt(f),
        }
    }
}

fn fmt_create_model(create: &CreateModel, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let CreateModel { name, or_replace, if_not_exists, location, options } = create;
    fmt_create(*or_replace, *if_not_exists, name, f)?;
    write!(f, " FROM {}", QuotedString(location))?;
    fmt_options(options, f)
}

fn fmt_create_ensemble(create: &CreateEnsemble, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let CreateEnsemble { name, or_replace, if_not_exists, members, options } = create;
    fmt_create(*or_replace, *if_not_exists, name, f)?;
    let members: Vec<_> = members.iter().map(|member| quote_identifier(member)).collect();
    write!(f, " AS ENSEMBLE OF ({})", members.join(", "))?;
    fmt_options(options, f)
}

fn fmt_create_quantized(create: &CreateQuantized, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let CreateQuantized { name, or_replace, if_not_exists, source, query, options } = create;
    fmt_create(*or_replace, *if_not_exists, name, f)?;
    write!(f, " AS QUANTIZED {} USING ({query})", quote_identifier(source))?;
    fmt_options(options, f)
}

fn fmt_create(or_replace: bool, if_not_exists: bool, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let or_replace = if or_replace { "OR REPLACE " } else { "" };
    let if_not_exists = if if_not_exists { "IF NOT EXISTS " } else { "" };
    write!(f, "CREATE {or_replace}MODEL {if_not_exists}{}", quote_identifier(name))
}

fn fmt_options(options: &BTreeMap<String, String>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if options.is_empty() {
        return Ok(());
    }
    f.write_str(" OPTIONS (")?;
    for (i, (key, value)) in options.iter().enumerate() {
        let separator = if i == 0 { "" } else { ", " };
        write!(f, "{separator}{} {}", QuotedString(key), QuotedString(value))?;
    }
    f.write_str(")")
}

/// Text in single quotes, with quotes inside doubled.
struct QuotedString<'a>(&'a str);

impl fmt::Display for QuotedString<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}'", self.0.replace('\'', "''"))
    }
}
