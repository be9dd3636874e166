//! What a user may write as the location of images, and which files it means.
//!
//! | written | meaning |
//! |---|---|
//! | `photos/` | every image below a folder |
//! | `photos/a.jpg` | one file, whatever its name |
//! | `photos/**/*.jpg` | the files that match: `*`, `?` and `[..]` stay within a name, `**` crosses folders |
//! | `s3://bucket/photos/`, `file:///data/*.png` | the same in an object store, or as a URL |
//!
//! A local path that exists is taken literally even if it looks like a pattern.

use std::fmt;
use std::path::Path;

use datafusion::datasource::listing::ListingTableUrl;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::object_store::path::Path as StorePath;
use glob::{MatchOptions, Pattern};
use url::Url;

use crate::{Error, Result};

/// The characters that make a location a pattern.
const WILDCARDS: [char; 3] = ['*', '?', '['];

/// Files whose extension, in lower case, is one of these are taken from a folder.
const EXTENSIONS: [&str; 10] = ["jpg", "jpeg", "jpe", "jfif", "png", "webp", "gif", "bmp", "tif", "tiff"];

/// As a shell matches: names that begin with a dot must be asked for.
const MATCH_OPTIONS: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

/// A place where images lie: a folder, one file or a pattern, on this machine or in an object store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    written: String,
    url: ListingTableUrl,
}

impl Location {
    /// Whether a location ends as the name of an image file does: `a.jpg`, `photos/*.PNG`.
    pub(crate) fn names_images(written: &str) -> bool {
        has_image_extension(written)
    }

    /// Understands `written`; a relative path is meant from the current directory.
    ///
    /// # Errors
    /// [`Error::Images`] if a local file or folder does not exist, or the pattern or URL is malformed.
    pub fn parse(written: &str) -> Result<Self> {
        let fault = |reason: String| Error::Images { location: written.to_string(), reason };
        let url = match Url::parse(written) {
            Ok(url) if !Path::new(written).is_absolute() => match url.scheme() {
                "file" => parse_file_url(&url),
                _ => parse_store_url(written),
            },
            _ => parse_path(written),
        };
        Ok(Self { written: written.to_string(), url: url.map_err(fault)? })
    }

    /// The store that holds the files.
    pub(crate) fn store_url(&self) -> ObjectStoreUrl {
        self.url.object_store()
    }

    /// The folder below which files are listed; of a single file, the file.
    pub(crate) fn prefix(&self) -> &StorePath {
        self.url.prefix()
    }

    /// Whether this may be a single file, to be asked for by its name.
    pub(crate) fn may_be_file(&self) -> bool {
        self.url.get_glob().is_none() && !self.url.is_collection()
    }

    /// Whether files are picked by a pattern.
    pub(crate) fn is_pattern(&self) -> bool {
        self.url.get_glob().is_some()
    }

    /// Whether this is a folder of the local file system that is not there (any more).
    pub(crate) fn is_missing_folder(&self) -> bool {
        self.url.is_folder() && !self.is_pattern() && !Path::new(&self.path_of(self.prefix())).is_dir()
    }

    /// Whether `file`, found below the prefix, is one of the images meant here.
    pub(crate) fn contains(&self, file: &StorePath) -> bool {
        let Some(names) = self.names_below(file) else {
            return false;
        };
        match self.url.get_glob() {
            Some(pattern) => pattern.matches_with(&names.join("/"), MATCH_OPTIONS),
            None => {
                !names.iter().any(|name| name.starts_with(['.', '_'])) && has_image_extension(file.as_ref())
            }
        }
    }

    /// Names of the folders that lead from the prefix to `file`, outermost first.
    pub(crate) fn folders<'a>(&'a self, file: &'a StorePath) -> Vec<&'a str> {
        let mut names = self.names_below(file).unwrap_or_default();
        names.pop();
        names
    }

    /// The table's `path` of `file`: a local path, or the URL in the store.
    pub(crate) fn path_of(&self, file: &StorePath) -> String {
        match self.url.scheme() {
            "file" => format!("/{file}"),
            _ => format!("{}{file}", self.store_url().as_str()),
        }
    }

    /// Whether the files lie on this machine.
    pub(crate) fn is_local(&self) -> bool {
        self.url.scheme() == "file"
    }

    /// An error about this location.
    pub(crate) fn fault(&self, reason: impl fmt::Display) -> Error {
        Error::Images { location: self.written.clone(), reason: reason.to_string() }
    }

    fn names_below<'a>(&'a self, file: &'a StorePath) -> Option<Vec<&'a str>> {
        Some(self.url.strip_prefix(file)?.collect())
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

fn parse_path(written: &str) -> Result<ListingTableUrl, String> {
    if Path::new(written).exists() {
        return existing(Path::new(written));
    }
    if !written.contains(WILDCARDS) {
        return Err("there is no such file or folder".to_string());
    }
    ListingTableUrl::parse(written).map_err(|error| error.to_string())
}

/// The URL of a file or folder that exists, whatever characters its name has.
fn existing(path: &Path) -> Result<ListingTableUrl, String> {
    let absolute = std::path::absolute(path).map_err(|error| error.to_string())?;
    let url = match absolute.is_dir() {
        true => Url::from_directory_path(&absolute),
        false => Url::from_file_path(&absolute),
    };
    let url = url.map_err(|()| "the path can't be written as a URL".to_string())?;
    // A second parse resolves `..`, which the first keeps.
    let resolved = Url::parse(url.as_str()).map_err(|error| error.to_string())?;
    ListingTableUrl::try_new(resolved, None).map_err(|error| error.to_string())
}

fn parse_file_url(url: &Url) -> Result<ListingTableUrl, String> {
    let path = url.to_file_path().map_err(|()| "a file URL must hold an absolute path".to_string())?;
    parse_path(&path.to_string_lossy())
}

/// Splits `scheme://store/folder/*.jpg` at the first folder with a wildcard.
///
/// Over HTTP there is nothing to list, and a `?` starts the query: such a URL is always one file or folder.
fn parse_store_url(written: &str) -> Result<ListingTableUrl, String> {
    let wildcard = written.find(WILDCARDS).filter(|_| !written.starts_with("http"));
    let (base, pattern) = match wildcard.and_then(|at| written[..at].rfind('/')) {
        Some(slash) => (&written[..=slash], Some(&written[slash + 1..])),
        None => (written, None),
    };
    let url = Url::parse(base).map_err(|error| error.to_string())?;
    let pattern = pattern.map(Pattern::new).transpose().map_err(|error| error.to_string())?;
    ListingTableUrl::try_new(url, pattern).map_err(|error| error.to_string())
}

fn has_image_extension(name: &str) -> bool {
    let extension = Path::new(name).extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| EXTENSIONS.iter().any(|known| extension.eq_ignore_ascii_case(known)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a pattern, written for the folder `/no-such-folder`, matches a path below it.
    fn matches(pattern: &str, path: &str) -> bool {
        let location = Location::parse(&format!("/no-such-folder/{pattern}")).unwrap();
        location.contains(&StorePath::from(format!("no-such-folder/{path}")))
    }

    #[test]
    fn wildcards_match_as_in_a_shell() {
        for (pattern, path, expected) in [
            ("*.jpg", "a.jpg", true),
            ("*.jpg", "a.JPG", false),
            ("*.jpg", "sub/a.jpg", false),
            ("*/*.jpg", "sub/a.jpg", true),
            ("**/*.jpg", "a.jpg", true),
            ("**/*.jpg", "sub/deep/a.jpg", true),
            ("a?.jpg", "ab.jpg", true),
            ("a?.jpg", "a/.jpg", false),
            ("[ab].jpg", "b.jpg", true),
            ("[!ab].jpg", "b.jpg", false),
            ("*", "notes.txt", true),
            ("*", ".hidden", false),
            ("**/*", ".git/a.jpg", false),
            (".*", ".hidden", true),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} on {path}");
        }
    }

    #[test]
    fn a_folder_holds_what_looks_like_an_image_and_is_not_hidden() {
        let location = Location::parse("s3://bucket/photos/").unwrap();
        for (path, expected) in [
            ("photos/a.jpg", true),
            ("photos/sub/A.JPEG", true),
            ("photos/a.txt", false),
            ("photos/a", false),
            ("photos/.a.jpg", false),
            ("photos/_tmp/a.jpg", false),
            ("photographs/a.jpg", false),
        ] {
            assert_eq!(location.contains(&StorePath::from(path)), expected, "{path}");
        }
    }

    #[test]
    fn paths_are_local_or_urls() {
        let file = StorePath::from("data/a b.jpg");
        assert_eq!(Location::parse("/data*/").unwrap().path_of(&file), "/data/a b.jpg");
        assert_eq!(Location::parse("file:///data*/").unwrap().path_of(&file), "/data/a b.jpg");
        let store = Location::parse("s3://bucket/data/*.jpg").unwrap();
        assert_eq!(store.path_of(&file), "s3://bucket/data/a b.jpg");
        assert_eq!(store.prefix(), &StorePath::from("data"));
        assert!(store.contains(&file));
    }

    #[test]
    fn faults_name_the_location() {
        for (written, reason) in [
            ("/no-such-folder/", "there is no such file or folder"),
            ("no-such-file.jpg", "there is no such file or folder"),
            ("file:///no-such-file.jpg", "there is no such file or folder"),
        ] {
            let error = Location::parse(written).unwrap_err().to_string();
            assert_eq!(error, format!("images '{written}': {reason}"));
        }
        assert!(
            Location::parse("/data/**.jpg").unwrap_err().to_string().starts_with("images '/data/**.jpg': ")
        );
    }
}
