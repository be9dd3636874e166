//! Runs every block of SQL in README.md and docs/, page by page, unless its fence is `sql no-run`; and the commands and
//! statements in the tables of docs/habits.md, row by row.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::support::photos;
use crate::support::process::{Outcome, run_in, seequel, system_shell};

/// README.md and the pages of docs/.
fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = fs::read_dir(root.join("docs")).unwrap().map(|file| file.unwrap().path());
    let mut pages: Vec<_> = files.filter(|file| file.extension().is_some_and(|end| end == "md")).collect();
    pages.push(root.join("README.md"));
    pages.sort();
    pages
}

/// The blocks of `page` whose fence is `fence`.
fn blocks(page: &str, fence: &str) -> Vec<String> {
    let mut blocks = vec![];
    let mut block: Option<String> = None;
    for line in page.lines() {
        match &mut block {
            None if line == fence => block = Some(String::new()),
            None => {}
            Some(_) if line == "```" => blocks.extend(block.take()),
            Some(text) => text.extend([line, "\n"]),
        }
    }
    blocks
}

#[test]
fn sql_of_every_page_runs() {
    let mut ran = vec![];
    for page in pages() {
        let name = page.file_name().unwrap().to_string_lossy().into_owned();
        let sql = blocks(&fs::read_to_string(&page).unwrap(), "```sql").join("\n");
        if sql.is_empty() {
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(photos(), folder.path().join("photos")).unwrap();
        let outcome = Outcome::with_input(&mut seequel(folder.path(), &["--quiet", "--no-rc"]), &sql);
        assert_eq!(outcome.status, Some(0), "{name}: {}", outcome.stderr);
        assert!(!outcome.stdout.is_empty(), "{name} shows no result");
        ran.push(name);
    }
    assert_eq!(
        ran,
        [
            "README.md",
            "advise.md",
            "devices.md",
            "functions.md",
            "images.md",
            "looking.md",
            "models.md",
            "results.md",
            "settings.md",
            "shell.md",
            "tuning.md"
        ]
    );
}

/// The rows of the tables of habits: the code of the first column, and of the last.
fn habits() -> Vec<(Vec<String>, Vec<String>)> {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/habits.md")).unwrap();
    let code = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.strip_suffix(" |"));
    rows.map(|row| {
        let cells = row.split(" | ").collect::<Vec<_>>();
        assert_eq!(cells.len(), 3, "{row}");
        (code(&format!("`{}", cells[0])), code(cells[2]))
    })
    .collect()
}

/// A folder with what the habits use: photos, data and a script.
fn folder_of_habits() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(photos(), folder.path().join("photos")).unwrap();
    fs::write(folder.path().join("script.sql"), "SELECT 'of the script' AS a").unwrap();
    let data = "CREATE TABLE t AS SELECT 1 AS a, 'x' AS name; COPY t TO 'data.parquet'; COPY t TO 'data.csv'";
    run_in(folder.path(), &["-q", "-c", data]).stdout();
    folder
}

/// Runs a line of the page: a command line, a command or a statement.
fn run_habit(folder: &Path, line: &str) -> Outcome {
    if line.starts_with("seequel ") {
        return Outcome::of(&mut system_shell(folder, &line.replacen("seequel", "\"$0\"", 1)));
    }
    let tables = "CREATE EXTERNAL TABLE images STORED AS IMAGES LOCATION 'photos/';
                  CREATE TABLE t AS SELECT * FROM 'data.parquet';";
    Outcome::with_input(&mut seequel(folder, &["--quiet", "--no-rc"]), &format!("{tables}\n{line}"))
}

#[test]
fn habits_have_a_counterpart() {
    let folder = folder_of_habits();
    let habits = habits();
    assert!(habits.len() > 50, "{}", habits.len());
    for (habit, ours) in &habits {
        assert!(!ours.is_empty(), "{habit:?}");
        for line in ours {
            let outcome = run_habit(folder.path(), line);
            assert_eq!((outcome.status, outcome.stderr.as_str()), (Some(0), ""), "{line}");
            let is_silent = [
                ".exit",
                ".headers",
                ".maxrows",
                ".mode box",
                ".mode csv",
                ".mode jsonlines",
                ".nullvalue",
                ".output",
                ".quit",
                "\\o",
                "\\pset",
                "\\q",
                "CREATE ",
                "SET ",
            ];
            assert!(
                is_silent.iter().any(|start| line.starts_with(start)) == outcome.stdout.is_empty(),
                "{line}"
            );
        }
    }
}

/// A command of another shell works, or answers with what to use.
#[test]
fn commands_of_habits_are_known() {
    let folder = folder_of_habits();
    for (habit, ours) in habits() {
        for command in habit.iter().filter(|line| line.starts_with(['\\', '.'])) {
            let outcome = run_habit(folder.path(), command);
            let answers = outcome.stderr.starts_with(&format!("Error: {command}: "));
            let works = outcome.status == Some(0) && outcome.stderr.is_empty();
            assert!(works || answers && !ours.contains(command), "{command}: {}", outcome.stderr);
        }
    }
}

#[test]
fn linked_files_exist() {
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()) {
            let is_file = !link.is_empty() && !link.contains("://");
            assert!(!is_file || page.with_file_name(link).exists(), "{}: {link}", page.display());
        }
    }
}
