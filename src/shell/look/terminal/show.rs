//! `\show`: images in the terminal, one alone or many in a grid.

use std::env;
use std::io::{self, IsTerminal, Write};
use std::pin::pin;
use std::sync::Arc;

use datafusion::common::exec_datafusion_err;
use datafusion::physical_plan::execute_stream;
use futures::{StreamExt, TryStreamExt, stream};

use super::graphics::{Terminal, graphics};
use super::grid::{Grid, Tile};
use crate::Engine;
use crate::config::InferenceOptions;
use crate::shell::look::columns::Columns;
use crate::shell::look::picture::{Picture, for_each_row};
use crate::shell::look::rows::{Row, rows};
use crate::shell::look::target::Target;
use crate::shell::print::{PrintError, printer};
use crate::shell::progress::Progress;

/// Most images that are shown: some screens.
const MAX_IMAGES: usize = 48;

/// Predictions in a caption.
const MAX_PREDICTIONS: usize = 3;

/// Draws the images of `target` on the terminal of standard output, row by row as they arrive.
///
/// # Errors
/// No terminal with colours, a location without images, a query that fails or has no images, or a single image of a
/// location that can't be decoded.
pub(crate) async fn show(
    engine: &Engine,
    target: &Target,
    progress: &Progress,
    output: &mut (impl Write + Send),
) -> Result<(), PrintError> {
    if !io::stdout().is_terminal() {
        return Err(exec_datafusion_err!(
            "\\show draws on a terminal, and the output is none; \\contact-sheet writes a page for a browser"
        )
        .into());
    }
    let graphics =
        graphics(|name| env::var(name).ok()).map_err(|reason| exec_datafusion_err!("\\show: {reason}"))?;
    let terminal = Terminal::of_stdout(graphics);
    let max_pixels = InferenceOptions::of(engine.context().state().config_options()).bounds.max_image_pixels;

    let query = target.rows(engine, MAX_IMAGES + 1).await?;
    let columns = Columns::find(query.schema().as_arrow())?;
    let task = Arc::new(query.task_ctx());
    let plan = query.create_physical_plan().await?;
    let _watch = progress.watch(&plan);
    let mut rows = pin!(rows(execute_stream(plan, task)?, columns));
    let first = [rows.try_next().await?, rows.try_next().await?].into_iter().flatten().collect::<Vec<_>>();
    let is_single = match first.len() {
        0 => return show_nothing(target, output),
        count => count == 1,
    };
    let grid = if is_single { Grid::single(terminal) } else { Grid::of(terminal) };
    let mut rows = stream::iter(first.into_iter().map(Ok)).chain(rows);

    let size = grid.picture_size();
    let make = move |row: Row| {
        let decode = |bytes: &[u8]| Picture::decode(bytes, max_pixels, size);
        let picture = row.image.bytes().and_then(decode);
        let captions = captions(&row, picture.as_ref().err(), is_single);
        Tile { picture, captions }
    };
    {
        let tiles = for_each_row(rows.by_ref().take(MAX_IMAGES), make);
        let mut grid_rows = pin!(tiles.try_chunks(grid.tiles).map_err(|error| error.1));
        while let Some(row) = grid_rows.try_next().await? {
            if let (Target::Location(location), [Tile { picture: Err(reason), .. }], true) =
                (target, row.as_slice(), is_single)
            {
                return Err(exec_datafusion_err!("\\show {location}: {reason}").into());
            }
            let text = grid.draw(&row).map_err(|reason| exec_datafusion_err!("\\show: {reason}"))?;
            printer::write(output, text.as_bytes())?;
        }
    }
    if rows.try_next().await?.is_some() {
        let remark =
            format!("The first {MAX_IMAGES} images; \\contact-sheet shows more, LIMIT and OFFSET others.\n");
        printer::write(output, remark.as_bytes())?;
    }
    Ok(())
}

fn show_nothing(target: &Target, output: &mut impl Write) -> Result<(), PrintError> {
    match target {
        Target::Location(location) => {
            Err(exec_datafusion_err!("\\show {location}: there is no image").into())
        }
        Target::Query(_) => printer::write(output, b"The query returned no rows.\n"),
    }
}

/// The lines below a picture: name, predictions, other columns. A picture shown alone has its full name and a summary.
fn captions(row: &Row, reason: Option<&String>, is_single: bool) -> Vec<String> {
    let summary = row.image.summary().unwrap_or_default();
    let name = match (row.name.as_deref(), reason, is_single) {
        (Some(name), None, true) => format!("{name} {summary}"),
        (Some(name), Some(_), true) => name.to_owned(),
        (None, None, true) => summary,
        (_, _, _) => row.short_name().to_owned(),
    };
    let found = row.predictions.iter().take(MAX_PREDICTIONS).map(|prediction| prediction.text.as_str());
    let mut found = found.collect::<Vec<_>>().join(", ");
    if row.predictions.len() > MAX_PREDICTIONS {
        found += &format!(" and {} more", row.predictions.len() - MAX_PREDICTIONS);
    }
    if let Some(expected) = &row.expected {
        found += &format!(" (expected {expected})");
    }
    let details: Vec<_> = row.details.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    let error = reason.or(row.error.as_ref()).cloned().unwrap_or_default();
    let lines = [name, found.trim_start().to_owned(), details.join(", "), error];
    lines.into_iter().filter(|line| !line.is_empty()).map(|line| printable(&line)).collect()
}

/// Without control characters, which a terminal would obey.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
