//! Draws tables. Where a terminal is too narrow, columns are shortened, then left out from the right.
//!
//! ```text
//!  fits: | path           | width |       shortened: | path     | width |       left out: | path     |
//!        | photos/lion.jpg | 256   |                  | photos/… | 256   |                 | photos/… |
//!                                                                                         … 1 more column: width
//! ```

use comfy_table::{CellAlignment, ContentArrangement, Row, Table};
use console::measure_text_width;
use datafusion::arrow::datatypes::Field;

use super::cells::Detail;
use super::excerpt::heading_of;

/// Columns are shortened to this width before any is left out.
const MIN_WIDTH: usize = 8;
const NO_BREAK_SPACE: &str = "\u{a0}";
/// Characters of the names of columns that are left out.
const MAX_NAMES: usize = 200;

/// How tables are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// As Arrow and DataFusion print tables, with all values at the left.
    Ascii,
    /// With lines, and numbers at the right.
    Lines,
}

impl Look {
    fn preset(self) -> &'static str {
        match self {
            Self::Ascii => "||--+-++|    ++++++",
            Self::Lines => "││──├─┼┤│    ┬┴┌┐└┘",
        }
    }
}

/// A column to draw.
#[derive(Debug)]
pub(super) struct Column {
    heading: String,
    is_numeric: bool,
    /// Width of the longest line.
    width: usize,
}

impl Column {
    /// A column without values, with its type below its name if `types_info`.
    pub(super) fn new(field: &Field, types_info: bool) -> Self {
        let mut heading = heading_of(field.name());
        if types_info {
            heading = format!("{heading}\n{}", field.data_type());
        }
        let mut column =
            Self { heading: String::new(), is_numeric: field.data_type().is_numeric(), width: 1 };
        column.widen(&heading);
        column.heading = heading;
        column
    }

    /// Makes room for a value.
    pub(super) fn widen(&mut self, text: &str) {
        let widest = text.lines().map(measure_text_width).max().unwrap_or(0);
        self.width = self.width.max(widest);
    }

    fn name(&self) -> &str {
        self.heading.lines().next().unwrap_or_default()
    }
}

/// Whether a table of these columns is wider than `width`, if there is one.
pub(super) fn is_too_wide(columns: &[Column], width: Option<usize>) -> bool {
    width.is_some_and(|width| table_width(columns.iter().map(|column| column.width)) > width)
}

/// Width of `| a | b |`.
fn table_width(columns: impl Iterator<Item = usize>) -> usize {
    columns.map(|width| width + 3).sum::<usize>() + 1
}

/// Draws a table no wider than `width`. Values that are too long are shortened, or continued on the next line if
/// `detail` asks for all of them.
pub(super) fn draw<'a>(
    look: Look,
    columns: &[Column],
    rows: impl Iterator<Item = Vec<&'a str>>,
    width: Option<usize>,
    detail: Detail,
) -> String {
    let mut table = Table::new();
    table.load_preset(look.preset());
    let narrow = width.filter(|_| is_too_wide(columns, width));
    let is_shortened = narrow.is_some() && detail == Detail::Short;
    let is_continued = narrow.is_some() && detail == Detail::Whole;
    let shown = narrow.map_or(columns.len(), |width| columns_that_fit(columns, width));
    if let Some(width) = narrow {
        table.set_content_arrangement(ContentArrangement::Dynamic);
        table.set_width(u16::try_from(width).unwrap_or(u16::MAX));
    }
    if is_shortened {
        // No text has this character, so lines end where the column ends and not between words.
        table.set_delimiter('\0').set_truncation_indicator("…");
    }
    let row = |cells: Vec<&str>| {
        let cells = cells.into_iter().take(shown);
        let mut row = if is_continued { Row::from(cells.map(with_held_indent)) } else { Row::from(cells) };
        if is_shortened {
            row.max_height(1);
        }
        row
    };
    table.set_header(row(columns.iter().map(|column| column.heading.as_str()).collect()));
    table.add_rows(rows.map(row));
    for (drawn, column) in table.column_iter_mut().zip(columns) {
        if look == Look::Lines && column.is_numeric {
            drawn.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut text = table.to_string();
    if is_continued {
        text = text.replace(NO_BREAK_SPACE, " ");
    }
    format!("{text}\n{}", left_out(&columns[shown..]))
}

/// The indentation of lines, such as those of plans, in a character that is not removed where they are continued.
fn with_held_indent(text: &str) -> String {
    let lines = text.split('\n').map(|line| {
        let unindented = line.trim_start_matches(' ');
        NO_BREAK_SPACE.repeat(line.len() - unindented.len()) + unindented
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// How many columns fit into `width` if all are shortened; at least one.
fn columns_that_fit(columns: &[Column], width: usize) -> usize {
    let fits = |&count: &usize| {
        table_width(columns.iter().take(count).map(|column| column.width.min(MIN_WIDTH))) <= width
    };
    (1..=columns.len()).rev().find(fits).unwrap_or(1)
}

/// The note below a table without these columns.
fn left_out(columns: &[Column]) -> String {
    let noun = match columns.len() {
        0 => return String::new(),
        1 => "column",
        _ => "columns",
    };
    let mut names = columns.iter().map(Column::name).collect::<Vec<_>>().join(", ");
    if let Some((end, _)) = names.char_indices().nth(MAX_NAMES) {
        names.truncate(end);
        names.push('…');
    }
    format!("… {} more {noun}: {names}; \\x shows all\n", columns.len())
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::datatypes::DataType;

    use super::*;

    /// A table of text columns with these headings, and one row.
    fn table(headings: &[&str], row: &[&str], width: usize, detail: Detail) -> String {
        let column = |(heading, text): (&&str, &&str)| {
            let mut column = Column::new(&Field::new(*heading, DataType::Utf8, true), false);
            column.widen(text);
            column
        };
        let columns = headings.iter().zip(row).map(column).collect::<Vec<_>>();
        draw(Look::Ascii, &columns, [row.to_vec()].into_iter(), Some(width), detail)
    }

    fn widest(table: &str) -> usize {
        table.lines().filter(|line| !line.starts_with('…')).map(measure_text_width).max().unwrap_or(0)
    }

    #[test]
    fn long_columns_are_shortened_and_short_ones_are_not() {
        let row = ["photos/lion.jpg", "256", "a lion in the grass"];
        insta::assert_snapshot!(table(&["path", "width", "caption"], &row, 36, Detail::Short), @r"
        +-------------+-------+------------+
        | path        | width | caption    |
        +-------------+-------+------------+
        | photos/lio… | 256   | a lion in… |
        +-------------+-------+------------+
        ");
    }

    #[test]
    fn columns_that_do_not_fit_are_left_out_and_named() {
        let row = ["photos/lion.jpg", "256", "a lion in the grass", "jpeg"];
        insta::assert_snapshot!(table(&["path", "width", "caption", "format"], &row, 22, Detail::Short), @r"
        +------------+-------+
        | path       | width |
        +------------+-------+
        | photos/li… | 256   |
        +------------+-------+
        … 2 more columns: caption, format; \x shows all
        ");
        let names = (0..500).map(|n| format!("c{n}")).collect::<Vec<_>>();
        let names = names.iter().map(String::as_str).collect::<Vec<_>>();
        let text = table(&names, &names, 80, Detail::Short);
        assert!(widest(&text) <= 80, "{text}");
        assert!(text.contains(" more columns: c1") && text.len() < 700, "{text}");
    }

    #[test]
    fn whole_values_are_continued_on_the_next_line() {
        let row = ["plan", "Projection: path\n  TableScan: images projection=[path]"];
        insta::assert_snapshot!(table(&["type", "plan"], &row, 30, Detail::Whole), @r"
        +------+---------------------+
        | type | plan                |
        +------+---------------------+
        | plan | Projection: path    |
        |      |   TableScan: images |
        |      | projection=[path]   |
        +------+---------------------+
        ");
    }

    #[test]
    fn wide_and_combining_characters_have_their_width() {
        let row = ["写真写真写真写真写真", "e\u{301}e\u{301}e\u{301}e\u{301}"];
        let text = table(&["写真", "x"], &row, 21, Detail::Short);
        insta::assert_snapshot!(text, @r"
        +------------+------+
        | 写真       | x    |
        +------------+------+
        | 写真写真…  | éééé |
        +------------+------+
        ");
        let widths = text.lines().map(measure_text_width).collect::<Vec<_>>();
        assert!(widths.iter().all(|width| *width == widths[0] && *width <= 21), "{text}");
    }

    #[test]
    fn every_width_is_kept() {
        let row = ["a", "bb", "ccccccccc", "dddddddddddddddddddd", "日本語日本語日本語"];
        for width in 13..80 {
            let text = table(&["h", "heading of b", "c", "d", "e"], &row, width, Detail::Short);
            assert!(widest(&text) <= width, "{width}:\n{text}");
        }
    }
}
