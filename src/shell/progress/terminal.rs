//! The terminal that progress is drawn on, without its last columns.
//!
//! indicatif leaves the cursor at the right end of its last line. There, the `^C` that a terminal echoes would move it to
//! the next line, and the lines could not be cleared completely.

use std::io;

use console::Term;
use indicatif::TermLike;

/// Columns left for what the terminal echoes.
const ECHO: u16 = 8;

/// Standard error, narrower than it is. Lines must fit its width, since those in the last columns would be counted twice.
#[derive(Debug)]
pub(super) struct NarrowTerminal(Term);

impl NarrowTerminal {
    pub(super) fn stderr() -> Self {
        Self(Term::buffered_stderr())
    }
}

impl TermLike for NarrowTerminal {
    fn width(&self) -> u16 {
        self.0.size().1.saturating_sub(ECHO).max(1)
    }

    fn height(&self) -> u16 {
        self.0.size().0
    }

    fn move_cursor_up(&self, lines: usize) -> io::Result<()> {
        self.0.move_cursor_up(lines)
    }

    fn move_cursor_down(&self, lines: usize) -> io::Result<()> {
        self.0.move_cursor_down(lines)
    }

    fn move_cursor_right(&self, characters: usize) -> io::Result<()> {
        self.0.move_cursor_right(characters)
    }

    fn move_cursor_left(&self, characters: usize) -> io::Result<()> {
        self.0.move_cursor_left(characters)
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.0.write_line(text)
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.0.write_str(text)
    }

    fn clear_line(&self) -> io::Result<()> {
        self.0.clear_line()
    }

    fn flush(&self) -> io::Result<()> {
        self.0.flush()
    }
}
