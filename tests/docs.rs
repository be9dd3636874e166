//! Runs every block of SQL in README.md and docs/, page by page, unless its fence is `sql no-run`.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::photos;
use crate::support::process::{Outcome, seequel};

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
    assert_eq!(ran, ["README.md", "functions.md", "images.md", "models.md", "settings.md"]);
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
