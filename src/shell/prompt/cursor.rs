//! The SQL around the cursor, as far as completion needs it: the call or list it is in, and the type of what precedes it.
//!
//! ```text
//!  classify(image, |                     item 1 of classify
//!  CREATE MODEL m … OPTIONS (task 'x', | item 1 of OPTIONS, at its start
//!  SELECT p['| … classify(image) AS p    the struct that classify returns
//! ```

use datafusion::arrow::datatypes::DataType;
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

use super::names::Names;

/// Expressions nested or renamed more often than this have no known type.
const MAX_DEPTH: usize = 16;

/// The tokens of an entry before and behind the cursor, without white space.
#[derive(Debug)]
pub(super) struct Cursor {
    before: Vec<Token>,
    behind: Vec<Token>,
}

/// A list in parentheses that is open at the cursor.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Enclosing<'a> {
    /// The word before the parenthesis: a function, or `OPTIONS`.
    pub(super) word: &'a str,
    /// The number of items before the cursor's.
    pub(super) item: usize,
    /// Whether the cursor is at the start of its item.
    pub(super) at_start: bool,
}

impl Cursor {
    /// The cursor between two texts; `before` ends before the word or string that is being typed.
    pub(super) fn new(before: &str, behind: &str) -> Self {
        Self { before: tokens(before), behind: tokens(behind) }
    }

    /// The innermost list that the cursor is in.
    pub(super) fn enclosing(&self) -> Option<Enclosing<'_>> {
        let (mut depth, mut item) = (0_usize, 0);
        for (position, token) in self.before.iter().enumerate().rev() {
            match token {
                Token::RParen | Token::RBracket => depth += 1,
                Token::LParen if depth == 0 => {
                    let word = position.checked_sub(1).and_then(|at| word(&self.before[at]))?;
                    let at_start = matches!(self.before.last(), Some(Token::LParen | Token::Comma));
                    return Some(Enclosing { word, item, at_start });
                }
                Token::LParen | Token::LBracket => depth = depth.saturating_sub(1),
                Token::Comma if depth == 0 => item += 1,
                Token::SemiColon => return None,
                _ => {}
            }
        }
        None
    }

    /// The words that the statement starts with, in upper case.
    pub(super) fn starts(&self) -> Vec<String> {
        let start = self.before.iter().rposition(|token| *token == Token::SemiColon).map_or(0, |at| at + 1);
        self.before[start..].iter().map_while(word).map(str::to_uppercase).collect()
    }

    /// Whether the last tokens before the cursor are these, words in any case.
    pub(super) fn follows(&self, expected: &[&str]) -> bool {
        let last = self.before.iter().rev().map(ToString::to_string);
        last.zip(expected.iter().rev()).filter(|(token, word)| token.eq_ignore_ascii_case(word)).count()
            == expected.len()
    }

    /// The word or text that follows the words `after` anywhere in the statement, such as a format `STORED AS`.
    pub(super) fn word_after(&self, after: &[&str]) -> Option<String> {
        let all: Vec<_> = self.before.iter().chain(&self.behind).collect();
        let found = all.windows(after.len() + 1).find(|window| {
            window.iter().zip(after).all(|(token, word)| token.to_string().eq_ignore_ascii_case(word))
        })?;
        match found.last()? {
            Token::Word(word) => Some(word.value.clone()),
            Token::SingleQuotedString(text) => Some(text.clone()),
            _ => None,
        }
    }

    /// The fields of the struct that ends before the cursor: of `p` before `['` or `.`.
    pub(super) fn fields(&self, names: &Names) -> Vec<String> {
        let Some((Token::LBracket | Token::Period, expression)) = self.before.split_last() else {
            return Vec::new();
        };
        match self.type_of(expression, names, 0) {
            Some(DataType::Struct(fields)) => fields.iter().map(|field| field.name().clone()).collect(),
            _ => Vec::new(),
        }
    }

    /// The type of the expression that ends `tokens`, as far as it is known without planning.
    fn type_of(&self, tokens: &[Token], names: &Names, depth: usize) -> Option<DataType> {
        let depth = depth + 1;
        if depth > MAX_DEPTH {
            return None;
        }
        match tokens.split_last()? {
            (Token::RBracket, _) => {
                let open = opening(tokens)?;
                let whole = self.type_of(&tokens[..open], names, depth)?;
                match &tokens[open + 1..tokens.len() - 1] {
                    [Token::SingleQuotedString(name)] => field(&whole, name),
                    _ => element(&whole),
                }
            }
            (Token::RParen, _) => {
                let open = opening(tokens)?;
                let function = word(tokens.get(open.checked_sub(1)?)?)?.to_lowercase();
                if function == "unnest" {
                    return element(&self.type_of(&tokens[..tokens.len() - 1], names, depth)?);
                }
                names.returns.get(&function).cloned()
            }
            (Token::Word(name), [.., Token::Period]) => {
                let whole = self.type_of(&tokens[..tokens.len() - 2], names, depth);
                whole.and_then(|whole| field(&whole, &name.value)).or_else(|| names.type_of(&name.value))
            }
            (Token::Word(name), _) => {
                names.type_of(&name.value).or_else(|| self.type_of_alias(&name.value, names, depth))
            }
            _ => None,
        }
    }

    /// The type of the expression that the statement names `… AS alias`, before or behind the cursor.
    fn type_of_alias(&self, alias: &str, names: &Names, depth: usize) -> Option<DataType> {
        [&self.behind, &self.before].into_iter().find_map(|tokens| {
            let is_alias = |pair: &[Token]| {
                word(&pair[0]).is_some_and(|word| word.eq_ignore_ascii_case("AS"))
                    && word(&pair[1]) == Some(alias)
            };
            let end = tokens.windows(2).position(is_alias)?;
            self.type_of(&tokens[..end], names, depth)
        })
    }
}

/// The tokens of a text up to its end or an unclosed string.
fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    // The tokens before an error are kept.
    let _ = Tokenizer::new(&GenericDialect {}, text).tokenize_with_location_into_buf(&mut tokens);
    let tokens = tokens.into_iter().map(|token| token.token);
    tokens.filter(|token| !matches!(token, Token::Whitespace(_))).collect()
}

fn word(token: &Token) -> Option<&str> {
    match token {
        Token::Word(word) => Some(&word.value),
        _ => None,
    }
}

/// The position of the bracket or parenthesis that the last token closes.
fn opening(tokens: &[Token]) -> Option<usize> {
    let mut depth = 0_usize;
    for (position, token) in tokens.iter().enumerate().rev() {
        match token {
            Token::RParen | Token::RBracket => depth += 1,
            Token::LParen | Token::LBracket => depth = depth.checked_sub(1)?,
            _ => {}
        }
        if depth == 0 {
            return Some(position);
        }
    }
    None
}

fn field(whole: &DataType, name: &str) -> Option<DataType> {
    let DataType::Struct(fields) = whole else { return None };
    fields.find(name).map(|(_, field)| field.data_type().clone())
}

fn element(whole: &DataType) -> Option<DataType> {
    match whole {
        DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _) => {
            Some(field.data_type().clone())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_enclosing_list_and_item_are_found() {
        let enclosing = |before: &str| {
            let cursor = Cursor::new(before, "");
            cursor.enclosing().map(|found| (found.word.to_owned(), found.item, found.at_start))
        };
        assert_eq!(enclosing("SELECT classify(image, "), Some(("classify".to_owned(), 1, true)));
        assert_eq!(
            enclosing("SELECT a, classify(crop(image, 1, 2), "),
            Some(("classify".to_owned(), 1, true))
        );
        assert_eq!(enclosing("COPY t TO 'a' OPTIONS (b 1, c "), Some(("OPTIONS".to_owned(), 1, false)));
        assert_eq!(enclosing("SELECT (1, "), Some(("SELECT".to_owned(), 1, true)));
        assert_eq!(enclosing("SELECT sum(a), "), None);
    }
}
