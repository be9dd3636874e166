//! Where in its statement an error lies, for errors that carry no position.
//!
//! DataFusion gives positions to errors about names and types. Those about models, formats and the arguments of
//! functions name their subject, which is looked up among the statement's tokens:
//!
//! ```text
//!  there is no model 'nope'                       SELECT classify(image, 'nope')            the text in a call
//!  model 'm': option 'device': …                  CREATE MODEL m … OPTIONS (device 'tpu')   the value, or unknown key
//!  classify(image [, model]): image must be …     SELECT classify(path)                     the call
//!  Parquet error: Corrupt footer                  SELECT * FROM 'a.parquet'                 the file, which is named
//! ```

use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan, Word};
use seequel_udfs::model_position;

use super::queries::parquet_reason;
use crate::Error;
use crate::model::{ENSEMBLE_OPTIONS, MODEL_OPTIONS};
use crate::nearest::nearest;

/// What a statement adds to an error about it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Explanation {
    pub(crate) place: Option<Location>,
    /// A message that replaces the error's.
    pub(crate) message: Option<String>,
}

/// Explains an error of the statement with these `tokens`, without white space. `models` are the names there are.
pub(super) fn explain(error: &Error, tokens: &[TokenWithSpan], models: &[String]) -> Explanation {
    let statement = Tokens(tokens);
    let at = |position: Option<usize>| Explanation {
        place: position.and_then(|position| tokens.get(position)).map(|token| token.span.start),
        message: None,
    };
    match root(error) {
        Root::Ours(Error::UnknownModel { name, .. }) => at(statement.model(name)),
        Root::Ours(Error::Option { model, option, .. }) => {
            at(statement.option(option).or_else(|| statement.location()).or_else(|| statement.model(model)))
        }
        Root::Ours(Error::Model { model, reason }) => {
            let location = statement
                .location()
                .filter(|at| text(&tokens[*at]).is_some_and(|text| reason.contains(text)));
            at(location.or_else(|| statement.model(model)))
        }
        Root::Ours(Error::UnknownFormat { .. }) => at(statement.format()),
        Root::Ours(Error::Panicked { message }) => match statement.parquet_file() {
            Some(file) => {
                statement.named(file, &format!("it may be damaged: its reader panicked: {message}"))
            }
            None => Explanation::default(),
        },
        Root::Ours(_) => Explanation::default(),
        Root::DataFusion(DataFusionError::SchemaError(error, _)) => match error.as_ref() {
            SchemaError::FieldNotFound { field, .. } if field.relation.is_none() => {
                statement.unquoted_model(&field.name, models)
            }
            _ => Explanation::default(),
        },
        Root::DataFusion(DataFusionError::Plan(message)) => at(statement.call(message)),
        Root::DataFusion(error) => match (parquet_reason(error), statement.parquet_file()) {
            (Some(reason), Some(file)) => statement.named(file, &reason),
            _ => Explanation::default(),
        },
    }
}

/// The innermost error.
enum Root<'a> {
    Ours(&'a Error),
    DataFusion(&'a DataFusionError),
}

fn root(error: &Error) -> Root<'_> {
    let Error::DataFusion(error) = error else {
        return Root::Ours(error);
    };
    let root = error.find_root();
    match root {
        DataFusionError::External(inner) => match inner.downcast_ref() {
            Some(error) => Root::Ours(error),
            None => Root::DataFusion(root),
        },
        root => Root::DataFusion(root),
    }
}

/// The tokens of a statement, without white space.
struct Tokens<'a>(&'a [TokenWithSpan]);

impl Tokens<'_> {
    /// The name of a model: as an argument of an inference function, else after `MODEL` and in a list of members. For a
    /// model that no call names, the default: the first call of an inference function.
    fn model(&self, name: &str) -> Option<usize> {
        if self.is_about_models() {
            // The last one, since an ensemble may have the name of its unknown member.
            return (2..self.0.len())
                .rev()
                .find(|at| word(&self.0[*at]).is_some_and(|word| is_name(word, name)));
        }
        let calls = || (0..self.0.len()).filter_map(|at| Some((at, model_position(self.called(at)?)?)));
        let named = calls().find_map(|(at, position)| {
            let mut arguments = self.arguments(at + 1).into_iter();
            // The name may be in parentheses of its own.
            arguments
                .nth(position)?
                .into_iter()
                .find(|at| text(&self.0[*at]).is_some_and(|text| is_folded(text, name)))
        });
        named.or_else(|| {
            calls().find(|(at, position)| self.arguments(at + 1).len() <= *position).map(|(at, _)| at)
        })
    }

    /// An option of `OPTIONS (key value, …)`: its value, or its key if there is no such option.
    fn option(&self, option: &str) -> Option<usize> {
        let options = (0..self.0.len()).find(|at| self.is_keyword(*at, Keyword::OPTIONS))?;
        let name = |at: &usize| match &self.0[*at].token {
            Token::Word(word) => Some(word.value.as_str()),
            _ => text(&self.0[*at]),
        };
        let is_given = |argument: &Vec<usize>| {
            argument.first().and_then(name).is_some_and(|key| key.eq_ignore_ascii_case(option))
        };
        let argument = self.arguments(options + 1).into_iter().find(is_given)?;
        let known: &[&str] = if self.location().is_some() { &MODEL_OPTIONS } else { &ENSEMBLE_OPTIONS };
        argument.get(usize::from(known.contains(&option))).copied()
    }

    /// The location of `CREATE MODEL … FROM 'location'`.
    fn location(&self) -> Option<usize> {
        let from = (0..self.0.len())
            .find(|at| self.is_keyword(*at, Keyword::FROM))
            .filter(|_| self.is_about_models())?;
        self.0.get(from + 1).and_then(text).map(|_| from + 1)
    }

    /// The Parquet file that the statement reads, if it names one and no other.
    fn parquet_file(&self) -> Option<usize> {
        let keywords = [Keyword::FROM, Keyword::JOIN, Keyword::LOCATION];
        let is_named = |at: &usize| {
            let is_file = text(&self.0[*at]).is_some_and(|text| text.ends_with(".parquet"));
            is_file && keywords.iter().any(|keyword| self.is_keyword(at - 1, *keyword))
        };
        let mut named = (1..self.0.len()).filter(is_named);
        let first = named.next()?;
        named.all(|other| text(&self.0[other]) == text(&self.0[first])).then_some(first)
    }

    /// What is wrong with the file that a token names.
    fn named(&self, file: usize, reason: &str) -> Explanation {
        let token = &self.0[file];
        let message = format!("'{}': {reason}", text(token).unwrap_or_default());
        Explanation { place: Some(token.span.start), message: Some(message) }
    }

    /// The format of `STORED AS format`.
    fn format(&self) -> Option<usize> {
        let stored =
            |at: &usize| self.is_keyword(*at, Keyword::STORED) && self.is_keyword(at + 1, Keyword::AS);
        (0..self.0.len()).find(stored).map(|at| at + 2)
    }

    /// The call that a message about a function's arguments is about, since it starts with the function's signature. If
    /// there are several different calls of that function, it is not known which.
    fn call(&self, message: &str) -> Option<usize> {
        let (function, _) = message.split_once('(')?;
        let is_call = |at: &usize| self.called(*at).is_some_and(|name| name.eq_ignore_ascii_case(function));
        let calls: Vec<_> = (0..self.0.len()).filter(is_call).collect();
        let source = |at: usize| -> Vec<_> {
            self.arguments(at + 1).concat().into_iter().map(|at| &self.0[at].token).collect()
        };
        let first = *calls.first()?;
        calls.iter().all(|at| source(*at) == source(first)).then_some(first)
    }

    /// For a column that does not exist, in the place of a model: that the name of a model is quoted.
    fn unquoted_model(&self, column: &str, models: &[String]) -> Explanation {
        let is_column = |at: usize| word(&self.0[at]).is_some_and(|word| is_name(word, column));
        let found = (0..self.0.len()).find_map(|at| {
            let function = self.called(at)?;
            let position = model_position(function)?;
            let arguments = self.arguments(at + 1);
            let place = *arguments.get(position)?.first().filter(|at| is_column(**at))?;
            let source = |(index, argument): (usize, &Vec<usize>)| match argument.as_slice() {
                _ if index == position => {
                    let known = nearest(column, models.iter().map(String::as_str));
                    format!("'{}'", known.unwrap_or(column))
                }
                [single] => self.0[*single].token.to_string(),
                _ => "…".to_owned(),
            };
            let arguments: Vec<_> = arguments.iter().enumerate().map(source).collect();
            Some((place, format!("{function}({})", arguments.join(", "))))
        });
        let Some((place, call)) = found else {
            return Explanation::default();
        };
        Explanation {
            place: Some(self.0[place].span.start),
            message: Some(format!(
                "there is no column '{column}'; the name of a model is written in quotes: {call}"
            )),
        }
    }

    /// Whether this is `CREATE MODEL`, `DESCRIBE MODEL` or the like.
    fn is_about_models(&self) -> bool {
        let starts = [Keyword::CREATE, Keyword::DESCRIBE, Keyword::DESC, Keyword::DROP];
        let is_model = |token| word(token).is_some_and(|word| word.value.eq_ignore_ascii_case("model"));
        starts.iter().any(|start| self.is_keyword(0, *start)) && self.0.iter().skip(1).take(3).any(is_model)
    }

    /// The function that is called at this token: a name before a parenthesis.
    fn called(&self, at: usize) -> Option<&str> {
        let next = self.0.get(at + 1)?;
        word(&self.0[at]).filter(|_| next.token == Token::LParen).map(|word| word.value.as_str())
    }

    /// The arguments in the parentheses that open at `open`, each with the positions of its tokens.
    fn arguments(&self, open: usize) -> Vec<Vec<usize>> {
        let mut arguments = vec![Vec::new()];
        let mut depth = 0_usize;
        for (at, TokenWithSpan { token, .. }) in self.0.iter().enumerate().skip(open) {
            match token {
                Token::LParen | Token::LBracket | Token::LBrace => depth += 1,
                Token::RParen | Token::RBracket | Token::RBrace => depth = depth.saturating_sub(1),
                _ => {}
            }
            match token {
                _ if depth == 0 => break,
                Token::Comma if depth == 1 => arguments.push(Vec::new()),
                _ if at > open => arguments.last_mut().into_iter().for_each(|argument| argument.push(at)),
                _ => {}
            }
        }
        arguments.retain(|argument| !argument.is_empty());
        arguments
    }

    fn is_keyword(&self, at: usize, keyword: Keyword) -> bool {
        self.0.get(at).and_then(word).is_some_and(|word| word.keyword == keyword)
    }
}

fn word(token: &TokenWithSpan) -> Option<&Word> {
    match &token.token {
        Token::Word(word) => Some(word),
        _ => None,
    }
}

fn text(token: &TokenWithSpan) -> Option<&str> {
    match &token.token {
        Token::SingleQuotedString(text) | Token::DoubleQuotedString(text) => Some(text),
        _ => None,
    }
}

/// Whether a word in SQL is `name`: folded to lower case unless quoted.
fn is_name(word: &Word, name: &str) -> bool {
    match word.quote_style {
        Some(_) => word.value == name,
        None => word.value.eq_ignore_ascii_case(name),
    }
}

/// Whether a text names the model `name`, which errors may give in lower case.
fn is_folded(text: &str, name: &str) -> bool {
    text == name || text.to_lowercase() == name
}
