//! `\contact-sheet`: the images of a query and what models found in them, as one page for a browser.

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;

use datafusion::physical_plan::execute_stream;
use futures::{StreamExt, TryStreamExt};

use super::card::card;
use super::template;
use crate::config::InferenceOptions;
use crate::report::PartFile;
use crate::shell::look::columns::Columns;
use crate::shell::look::picture::for_each_row;
use crate::shell::look::rows::rows;
use crate::shell::look::target::Target;
use crate::shell::progress::Progress;
use crate::{Engine, Result};

/// Images on a page unless `--limit` says otherwise: some 30 MB, which a browser opens in a second.
const DEFAULT_LIMIT: usize = 2_000;

const USAGE: &str = "\\contact-sheet writes a page: \\contact-sheet sheet.html SELECT path, image, classify(image) FROM images";

/// What `\contact-sheet` was asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SheetRequest {
    file: PathBuf,
    limit: usize,
    pub(crate) target: Target,
}

impl SheetRequest {
    /// Parses `[--limit N] FILE QUERY`; the file may be quoted.
    ///
    /// # Errors
    /// What is missing or wrong.
    pub(crate) fn parse(arguments: &str) -> Result<Self, String> {
        let (limit, rest) = match arguments.trim().strip_prefix("--limit") {
            Some(rest) => {
                let (number, rest) = word(rest.trim_start_matches('=')).ok_or(USAGE)?;
                let limit = number.parse().ok().filter(|limit| *limit > 0);
                (limit.ok_or_else(|| format!("--limit must be a number of images, not '{number}'"))?, rest)
            }
            None => (DEFAULT_LIMIT, arguments),
        };
        let (file, query) = word(rest).ok_or(USAGE)?;
        let target = Target::parse(query);
        if query.trim().is_empty() || !Path::new(file).extension().is_some_and(is_html) {
            return Err(USAGE.to_owned());
        }
        Ok(Self { file: file.into(), limit, target })
    }
}

fn is_html(extension: &std::ffi::OsStr) -> bool {
    extension.eq_ignore_ascii_case("html") || extension.eq_ignore_ascii_case("htm")
}

/// The first word, which may be quoted, and the rest.
fn word(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start();
    let split = match text.strip_prefix('\'') {
        Some(quoted) => quoted.split_once('\''),
        None => text.split_once(char::is_whitespace),
    };
    split.filter(|(word, _)| !word.is_empty())
}

/// Writes the page and returns a sentence about it. The file appears, or is replaced, when the page is complete.
///
/// # Errors
/// A file that can't be written, a query that fails or has no images.
pub(crate) async fn write_sheet(
    engine: &Engine,
    SheetRequest { file, limit, target }: &SheetRequest,
    progress: &Progress,
) -> Result<String> {
    let max_pixels = InferenceOptions::of(engine.context().state().config_options()).bounds.max_image_pixels;
    let query = target.rows(engine, limit.saturating_add(1)).await?;
    let columns = Columns::find(query.schema().as_arrow())?;
    let task = Arc::new(query.task_ctx());
    let plan = query.create_physical_plan().await?;
    let mut part = PartFile::create(file)?;
    part.write(&template::head(&title(file), &target.sql()))?;

    let watch = progress.watch(&plan);
    let mut rows = pin!(rows(execute_stream(plan, task)?, columns));
    let mut written = 0;
    {
        let mut cards = pin!(for_each_row(rows.by_ref().take(*limit), move |row| card(&row, max_pixels)));
        while let Some(card) = cards.try_next().await? {
            part.write(&card)?;
            written += 1;
        }
    }
    let has_more = rows.try_next().await?.is_some();
    drop(watch);
    part.write(&template::foot(has_more.then_some(*limit)))?;
    part.finish()?;
    let remark = match has_more {
        true => format!(", the first of more; --limit {} or more shows them", limit.saturating_mul(2)),
        false => String::new(),
    };
    Ok(format!("{}: {written} image(s){remark}\n", file.display()))
}

fn title(file: &Path) -> String {
    file.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &str) -> Result<(String, usize, Target), String> {
        let SheetRequest { file, limit, target } = SheetRequest::parse(arguments)?;
        Ok((file.display().to_string(), limit, target))
    }

    #[test]
    fn arguments_are_file_and_query() {
        let query = || Target::Query("SELECT 'a b'".to_owned());
        assert_eq!(parsed("a.html SELECT 'a b'"), Ok(("a.html".to_owned(), DEFAULT_LIMIT, query())));
        assert_eq!(parsed("'my a.HTML' SELECT 'a b'"), Ok(("my a.HTML".to_owned(), DEFAULT_LIMIT, query())));
        assert_eq!(parsed("--limit 7 a.html SELECT 'a b'"), Ok(("a.html".to_owned(), 7, query())));
        let folder = Target::Location("photos/".to_owned());
        assert_eq!(parsed("a.htm photos/"), Ok(("a.htm".to_owned(), DEFAULT_LIMIT, folder)));
    }

    #[test]
    fn wrong_arguments_are_errors() {
        for arguments in ["", "a.html", "a.html ", "SELECT image FROM t", "a.png SELECT 1", "'a.html"] {
            assert_eq!(parsed(arguments), Err(USAGE.to_owned()), "{arguments}");
        }
        let error = parsed("--limit many a.html SELECT 1").unwrap_err();
        assert_eq!(error, "--limit must be a number of images, not 'many'");
        assert!(parsed("--limit 0 a.html SELECT 1").is_err());
    }
}
