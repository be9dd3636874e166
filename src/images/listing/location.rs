//! Locations of images as users write them, and the files they refer to.
//!
//! | written | meaning |
//! |---|---|
//! | `photos/` | every image below a folder |
//! | `photos/a.jpg` | one file, whatever its name |
//! | `photos/**/*.jpg` | the files that match: `*`, `?` and `[..]` match within a name, `**` across folders |
//! | `{cats,dogs}/*.jpg`, `{000..009}.tar` | each alternative; without wildcards, files that must all exist |
//! | `~/photos/` | the same below the user's home folder |
//! | `s3://bucket/photos/`, `file:///data/*.png` | the same in an object store, or as a URL |
//! | `https://host/{1..9}.jpg` | one or several files; HTTP has no listing |
//!
//! A local path that exists is taken literally even if it looks like a pattern.

use std::fmt;
use std::path::Path;

use datafusion::datasource::listing::ListingTableUrl;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::object_store::path::Path as StorePath;
use glob::{MatchOptions, Pattern};
use url::Url;

use super::home::expand_home;
use super::{braces, nearest};
use crate::secrets::hidden;
use crate::stores::{PASSWORD_IN_URL, has_password};
use crate::{Error, Result};

/// The characters that make a location a pattern.
const WILDCARDS: [char; 3] = ['*', '?', '['];

/// Extensions, in lower case, of the files read from a folder.
const EXTENSIONS: [&str; 10] = ["jpg", "jpeg", "jpe", "jfif", "png", "webp", "gif", "bmp", "tif", "tiff"];

/// Extensions of the tar files of WebDataset.
const SHARD_EXTENSIONS: [&str; 1] = ["tar"];

/// Shell rules: a leading dot must be matched explicitly.
const MATCH_OPTIONS: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

/// A location of images: a folder, one file or a pattern, on this machine or in an object store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    written: String,
    /// The folder that contains the files, or the only file.
    url: ListingTableUrl,
    choice: Choice,
    /// Extensions of the files read from a folder.
    extensions: &'static [&'static str],
}

/// Selection of files below a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Choice {
    /// All files, or the one that the URL names.
    All,
    /// Files that match one of these patterns.
    Patterns(Vec<Pattern>),
    /// These files.
    Files(Vec<StorePath>),
}

impl Location {
    /// Whether a location ends like the name of an image file, or refers to all files below a folder: `a.jpg`,
    /// `photos/*.{jpg,PNG}`, `photos/**`.
    pub(crate) fn names_images(written: &str) -> bool {
        let alternatives = braces::expand(written).unwrap_or_else(|_| vec![written.to_owned()]);
        alternatives.iter().all(|name| has_extension(name, &EXTENSIONS) || name.ends_with("**"))
    }

    /// Whether files with this extension are images by their names.
    pub(crate) fn is_image_extension(extension: &str) -> bool {
        EXTENSIONS.iter().any(|known| extension.eq_ignore_ascii_case(known))
    }

    /// The location at `url` of another process, which has parsed it, as `written` there, with what [`Self::patterns`] and
    /// [`Self::files`] of it are.
    ///
    /// # Errors
    /// Text that is no URL, no pattern or no path.
    #[cfg(feature = "cluster")]
    pub(crate) fn sent(
        written: String,
        url: &str,
        patterns: &[String],
        files: &[String],
    ) -> Result<Self, String> {
        let url = ListingTableUrl::parse(url).map_err(|error| error.to_string())?;
        let choice = if !patterns.is_empty() {
            let patterns = patterns.iter().map(|pattern| Pattern::new(pattern));
            Choice::Patterns(patterns.collect::<Result<_, _>>().map_err(|error| error.to_string())?)
        } else if !files.is_empty() {
            let files = files.iter().map(StorePath::parse);
            Choice::Files(files.collect::<Result<_, _>>().map_err(|error| error.to_string())?)
        } else {
            Choice::All
        };
        Ok(Self { written, url, choice, extensions: &EXTENSIONS })
    }

    /// The patterns that files match below [`Self::url`], if it is one.
    #[cfg(feature = "cluster")]
    pub(crate) fn patterns(&self) -> impl Iterator<Item = &str> {
        let patterns = match &self.choice {
            Choice::Patterns(patterns) => patterns.as_slice(),
            Choice::All | Choice::Files(_) => &[],
        };
        patterns.iter().map(Pattern::as_str)
    }

    /// The folder that contains the files, or the only file, as a URL.
    #[cfg(feature = "cluster")]
    pub(crate) fn url(&self) -> &str {
        self.url.as_str()
    }

    /// Parses `written`; a relative path is resolved against the current directory.
    ///
    /// # Errors
    /// [`Error::Images`] if a local file or folder does not exist, or the pattern or URL is malformed.
    pub fn parse(written: &str) -> Result<Self> {
        Self::parse_for(written, &EXTENSIONS)
    }

    /// As [`Self::parse`], for the shards of a WebDataset: the tar files of a folder are read.
    ///
    /// # Errors
    /// Those of [`Self::parse`].
    pub(crate) fn parse_shards(written: &str) -> Result<Self> {
        Self::parse_for(written, &SHARD_EXTENSIONS)
    }

    fn parse_for(written: &str, extensions: &'static [&'static str]) -> Result<Self> {
        let error = |reason: String| Error::Images { location: hidden(written).into_owned(), reason };
        let location = &*expand_home(written);
        let parsed = match Url::parse(location) {
            Ok(url) if has_password(&url) => Err(PASSWORD_IN_URL.to_owned()),
            Ok(url) if !Path::new(location).is_absolute() => match url.scheme() {
                "file" => parse_file_url(&url),
                _ => parse_store_url(location),
            },
            _ => parse_path(location),
        };
        let (url, choice) = parsed.map_err(error)?;
        Ok(Self { written: written.to_string(), url, choice, extensions })
    }

    /// The store that holds the files.
    pub(crate) fn store_url(&self) -> ObjectStoreUrl {
        self.url.object_store()
    }

    /// The folder whose files are listed, or the single file.
    pub(crate) fn prefix(&self) -> &StorePath {
        self.url.prefix()
    }

    /// Whether this may be a single file, to be looked up by its name.
    pub(crate) fn may_be_file(&self) -> bool {
        self.choice == Choice::All && !self.url.is_collection()
    }

    /// Whether files are selected by a pattern.
    pub(crate) fn is_pattern(&self) -> bool {
        matches!(self.choice, Choice::Patterns(_))
    }

    /// The files, if each is named.
    pub(crate) fn files(&self) -> Option<&[StorePath]> {
        match &self.choice {
            Choice::Files(files) => Some(files),
            Choice::All | Choice::Patterns(_) => None,
        }
    }

    /// Whether the store supports listing.
    pub(crate) fn can_be_listed(&self) -> bool {
        !is_http(self.url.scheme())
    }

    /// Whether this is a folder of the local file system that does not exist (any more).
    pub(crate) fn is_missing_folder(&self) -> bool {
        self.url.is_folder()
            && self.choice == Choice::All
            && !Path::new(&self.path_of(self.prefix())).is_dir()
    }

    /// Levels below the folder `prefix` at which files can belong to this location.
    pub(crate) fn depth_below(&self, prefix: &StorePath) -> usize {
        let Choice::Patterns(patterns) = &self.choice else {
            return usize::MAX;
        };
        let depth = |pattern: &Pattern| match pattern.as_str() {
            pattern if pattern.contains("**") => usize::MAX,
            pattern => pattern.split('/').count(),
        };
        let depth = patterns.iter().map(depth).max().unwrap_or(usize::MAX);
        let above = self.names_below(prefix).map_or(0, |names| names.len());
        if depth == usize::MAX { depth } else { depth.saturating_sub(above) }
    }

    /// Whether `file`, found below the prefix, is hidden or in a hidden folder.
    pub(crate) fn hides(&self, file: &StorePath) -> bool {
        self.names_below(file).is_some_and(|names| has_hidden(&names))
    }

    /// Whether `file`, found below the prefix, belongs to this location.
    pub(crate) fn contains(&self, file: &StorePath) -> bool {
        let Some(names) = self.names_below(file) else {
            return false;
        };
        match &self.choice {
            Choice::Patterns(patterns) => {
                let path = names.join("/");
                patterns.iter().any(|pattern| pattern.matches_with(&path, MATCH_OPTIONS))
            }
            Choice::All => !has_hidden(&names) && has_extension(file.as_ref(), self.extensions),
            Choice::Files(files) => files.contains(file),
        }
    }

    /// Whether a file of this name could belong to this location, in any folder.
    pub(crate) fn takes_name(&self, name: &str) -> bool {
        self.is_pattern() || has_extension(name, self.extensions)
    }

    /// Names of the folders that lead from the prefix to `file`, outermost first.
    pub(crate) fn folders<'a>(&'a self, file: &'a StorePath) -> Vec<&'a str> {
        let mut names = self.names_below(file).unwrap_or_default();
        names.pop();
        names
    }

    /// The value of the `path` column for `file`: a local path, or the URL in the store.
    pub(crate) fn path_of(&self, file: &StorePath) -> String {
        match self.url.scheme() {
            "file" => format!("/{file}"),
            _ => format!("{}{file}", self.store_url().as_str()),
        }
    }

    /// Whether the files are on this machine.
    pub(crate) fn is_local(&self) -> bool {
        self.url.scheme() == "file"
    }

    /// The folder that a pattern is matched in, as the user wrote it.
    pub(crate) fn folder_as_written(&self) -> String {
        match split(&self.written, &WILDCARDS) {
            Some(("", _)) => "the current folder".to_owned(),
            Some((folder, _)) => folder.to_owned(),
            None => self.written.clone(),
        }
    }

    /// What the files in a folder are.
    pub(crate) fn kind(&self) -> &'static str {
        if self.extensions == SHARD_EXTENSIONS { "tar files" } else { "images" }
    }

    /// What exists instead of a local file or folder that doesn't, to complete an error message.
    pub(crate) fn hint(&self) -> String {
        match self.is_local() {
            true => nearest::hint(self.path_of(self.prefix()).as_ref()),
            false => String::new(),
        }
    }

    /// The URL and the selection of files below it, in a form that does not depend on the current folder.
    pub(crate) fn resolved(&self) -> String {
        let url = self.url.as_str();
        match &self.choice {
            Choice::All => url.to_owned(),
            Choice::Patterns(patterns) => {
                let patterns: Vec<_> = patterns.iter().map(Pattern::as_str).collect();
                format!("{url}{}", patterns.join(","))
            }
            Choice::Files(files) => {
                let files: Vec<_> = files.iter().map(StorePath::as_ref).collect();
                format!("{url}: {}", files.join(","))
            }
        }
    }

    /// An error about this location.
    pub(crate) fn error(&self, reason: impl fmt::Display) -> Error {
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

/// A URL and the selection of files below it.
type Parsed = (ListingTableUrl, Choice);

fn parse_path(written: &str) -> Result<Parsed, String> {
    let path = std::path::absolute(written).map_err(|error| error.to_string())?;
    if path.exists() {
        return Ok((local_url(&path, path.is_dir())?, Choice::All));
    }
    let Some((base, pattern)) = split(written, &WILDCARDS) else {
        return Err(format!("there is no such file or folder{}", nearest::hint(&path)));
    };
    let folder = std::path::absolute(Path::new(".").join(base)).map_err(|error| error.to_string())?;
    let choice = choose(pattern, &WILDCARDS, |file| local_url(&folder.join(file), false))?;
    Ok((local_url(&folder, true)?, choice))
}

/// The URL of a local file or folder, with any characters in its name.
fn local_url(absolute: &Path, is_folder: bool) -> Result<ListingTableUrl, String> {
    let url = match is_folder {
        true => Url::from_directory_path(absolute),
        false => Url::from_file_path(absolute),
    };
    let url = url.map_err(|()| "the path can't be written as a URL".to_string())?;
    // A second parse resolves `..`, which the first keeps.
    parse_url(url.as_str())
}

fn parse_file_url(url: &Url) -> Result<Parsed, String> {
    let path = url.to_file_path().map_err(|()| "a file URL must hold an absolute path".to_string())?;
    parse_path(&path.to_string_lossy())
}

/// HTTP has no listing, so `[` and `*` are ordinary characters there.
fn parse_store_url(written: &str) -> Result<Parsed, String> {
    let is_http = written.split_once(':').is_some_and(|(scheme, _)| is_http(scheme));
    if is_http && written.contains('?') {
        return Err(
            "the query behind '?' can't be sent; download the file, or use the storage's own URL".to_string()
        );
    }
    let wildcards = if is_http { &[][..] } else { &WILDCARDS[..] };
    match split(written, wildcards) {
        None => Ok((parse_url(written)?, Choice::All)),
        Some((base, pattern)) => {
            let choice = choose(pattern, wildcards, |file| parse_url(&format!("{base}{file}")))?;
            Ok((parse_url(base)?, choice))
        }
    }
}

fn parse_url(url: &str) -> Result<ListingTableUrl, String> {
    let url = Url::parse(url).map_err(|error| error.to_string())?;
    ListingTableUrl::try_new(url, None).map_err(|error| error.to_string())
}

fn is_http(scheme: &str) -> bool {
    scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")
}

/// Splits `folder/{a,b}/*.jpg` after the last folder without wildcards or alternatives; `None` if it has neither.
fn split<'a>(written: &'a str, wildcards: &[char]) -> Option<(&'a str, &'a str)> {
    let first = [written.find(wildcards), braces::position(written)].into_iter().flatten().min()?;
    let folder = written[..first].rfind('/').map_or(0, |slash| slash + 1);
    Some(written.split_at(folder))
}

/// The selection by `pattern`: named files, or patterns if one of its alternatives has wildcards.
fn choose(
    pattern: &str,
    wildcards: &[char],
    file: impl Fn(&str) -> Result<ListingTableUrl, String>,
) -> Result<Choice, String> {
    let alternatives = braces::expand(pattern)?;
    if alternatives.iter().any(|alternative| alternative.contains(wildcards)) {
        let patterns = alternatives.iter().map(|alternative| Pattern::new(alternative));
        return Ok(Choice::Patterns(patterns.collect::<Result<_, _>>().map_err(|error| error.to_string())?));
    }
    let files = alternatives.iter().map(|name| Ok(file(name)?.prefix().clone()));
    Ok(Choice::Files(files.collect::<Result<_, String>>()?))
}

fn has_hidden(names: &[&str]) -> bool {
    names.iter().any(|name| name.starts_with(['.', '_']))
}

fn has_extension(name: &str, extensions: &[&str]) -> bool {
    let extension = Path::new(name).extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| extensions.iter().any(|known| extension.eq_ignore_ascii_case(known)))
}
