//! `\show` on a pseudo-terminal, with the protocols that its environment names.

use std::fs;
use std::path::Path;

use rexpect::reader::Options;
use rexpect::session::{PtySession, spawn_with_options};

use crate::support::photos;
use crate::support::process::{run, seequel};

/// `▀` with each byte as a character, as the terminal's output is read.
const HALF_BLOCK: &str = "\u{e2}\u{96}\u{80}";
/// What the terminal shows between entries.
const PROMPT: &str = "seequel> ";

/// A session on a terminal with these variables, which keeps escape sequences.
fn start(folder: &Path, variables: &[(&str, &str)]) -> PtySession {
    let mut command = seequel(folder, &["-q"]);
    command.env("TERM", "xterm-256color").env("COLORTERM", "truecolor").env_remove("NO_COLOR");
    for name in
        ["TMUX", "KITTY_WINDOW_ID", "TERM_PROGRAM", "LC_TERMINAL", "KONSOLE_VERSION", "SEEQUEL_GRAPHICS"]
    {
        command.env_remove(name);
    }
    command.envs(variables.iter().copied());
    let options = Options::new().timeout_ms(Some(120_000)).strip_ansi_escape_codes(false);
    let mut session = spawn_with_options(command, options).unwrap();
    session.exp_string(PROMPT).unwrap();
    session
}

/// Enters a line, waits for `end` and the next prompt, and returns what is shown up to `end`.
fn enter(session: &mut PtySession, line: &str, end: &str) -> String {
    session.send_line(line).unwrap();
    let shown = session.exp_string(end).unwrap();
    session.exp_string(PROMPT).unwrap();
    shown
}

fn without_escapes(text: &str) -> String {
    console::strip_ansi_codes(text).into_owned()
}

#[test]
fn a_folder_is_a_grid_of_half_blocks_with_names() {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(photos().join("lion.jpg"), folder.path().join("a.jpg")).unwrap();
    fs::copy(photos().join("coffee.png"), folder.path().join("b.png")).unwrap();
    let mut session = start(folder.path(), &[]);
    let shown = enter(&mut session, &format!("\\show {}", folder.path().display()), "b.png");
    assert!(without_escapes(&shown).contains(&format!(
        "{}       {}",
        HALF_BLOCK.repeat(20),
        HALF_BLOCK.repeat(25)
    )));
    assert!(without_escapes(&shown).contains("a.jpg                      "), "{shown}");
    assert!(!shown.contains("\u{1b}_G") && !shown.contains("\u{1b}]1337"));
}

#[test]
fn a_query_is_shown_with_predictions_and_other_columns() {
    let folder = tempfile::tempdir().unwrap();
    let mut session = start(folder.path(), &[]);
    let query = format!(
        "\\show SELECT path, image, classify(image) AS p, width, size > 1 AS big FROM read_images('{}') WHERE path LIKE '%lion%' OR path LIKE '%coffee%' ORDER BY path;",
        photos().display()
    );
    let shown = without_escapes(&enter(&mut session, &query, "width: 256"));
    assert!(shown.contains(HALF_BLOCK), "{shown}");
    assert!(shown.contains("coffee.png") && shown.contains("lion.jpg"), "{shown}");
    assert!(shown.contains("espresso ") && shown.contains("lion 9") && shown.contains(" %"), "{shown}");
    assert!(shown.contains("width: 600, big: true"), "{shown}");
    let shown = enter(&mut session, "\\show SELECT imagee FROM 'x.jpg'", "Error: ");
    assert!(!shown.contains("panicked"));
    enter(&mut session, "\\show SELECT 1 AS a", "the query has no column of images; add one, such as image");
    enter(
        &mut session,
        "\\show SELECT arrow_cast('x', 'Binary') AS image WHERE false",
        "The query returned no rows.",
    );
}

#[test]
fn kitty_and_iterm2_get_images() {
    let folder = tempfile::tempdir().unwrap();
    let show = format!("\\show {}/lion.jpg", photos().display());
    let mut session = start(folder.path(), &[("KITTY_WINDOW_ID", "1")]);
    let shown = enter(&mut session, &show, "lion.jpg <jpeg 256");
    assert!(shown.contains("\u{1b}_Ga=T,f=100,q=2,c="), "{shown:.200}");
    assert!(!shown.contains(HALF_BLOCK));
    let mut session = start(folder.path(), &[("TERM_PROGRAM", "iTerm.app")]);
    let shown = enter(&mut session, &show, "lion.jpg <jpeg 256");
    assert!(shown.contains("\u{1b}]1337;File=inline=1;size="), "{shown:.200}");
    assert!(!shown.contains(HALF_BLOCK));
    let mut session = start(folder.path(), &[("SEEQUEL_GRAPHICS", "sixel")]);
    let shown = enter(&mut session, &show, "lion.jpg <jpeg 256");
    assert!(shown.contains("\u{1b}P0;1q\"1;1;800;260#0;2;"), "{shown:.200}");
    let mut session = start(folder.path(), &[("SEEQUEL_GRAPHICS", "svg")]);
    enter(&mut session, &show, "SEEQUEL_GRAPHICS is 'svg'; it may be kitty, iterm2, sixel or blocks");
}

#[test]
fn many_images_are_limited_with_a_remark_and_bad_ones_do_not_stop_the_rest() {
    let photos = crate::support::folder_of(60);
    fs::remove_file(photos.path().join("0001.jpg")).unwrap();
    fs::write(photos.path().join("0001.jpg"), "no photo").unwrap();
    let mut session = start(photos.path(), &[]);
    let shown = enter(&mut session, "\\show .", "The first 48 images; ");
    let shown = without_escapes(&shown);
    assert_eq!(shown.matches(".jpg").count(), 48, "{shown}");
    assert!(shown.contains("not an image: "), "{shown}");
}

#[test]
fn control_characters_in_names_do_not_reach_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let mut session = start(folder.path(), &[]);
    let query = format!(
        "\\show SELECT 'a' || chr(27) || ']0;owned' || chr(7) || 'b' AS name, image FROM '{}/lion.jpg'",
        photos().display()
    );
    let shown = enter(&mut session, &query, "<jpeg 256");
    assert!(!shown.contains("\u{1b}]0;owned"), "{shown}");
}

#[test]
fn without_a_terminal_the_error_names_the_page() {
    let error = run(&["-c", "\\show photos/lion.jpg"]).error();
    assert!(error.contains("\\show draws on a terminal") && error.contains("\\contact-sheet"), "{error}");
}
