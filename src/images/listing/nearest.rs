//! What exists near a local path that doesn't: the deepest folder above it, and a similar name in it.

use std::env;
use std::path::{Path, PathBuf};

use datafusion::common::utils::datafusion_strsim::normalized_levenshtein;

/// Maximum number of names compared in one folder.
const COMPARED: usize = 10_000;

/// Names below this similarity, from 0 to 1, are not suggested.
const MIN_SIMILARITY: f64 = 0.6;

/// Completes "there is no …": `; did you mean 'photos'?`, or the folder that does exist; empty if neither helps.
pub(super) fn hint(missing: &Path) -> String {
    // `photos/../a` must not be searched in `photos/..`.
    let Some((folder, name)) = missing.ancestors().find_map(|path| {
        let parent = path.parent().filter(|parent| parent.is_dir())?;
        Some((parent, path.file_name()?.to_str()?))
    }) else {
        return String::new();
    };
    if let Some(similar) = similar(folder, name) {
        return format!("; did you mean '{}'?", as_written(&similar));
    }
    match folder.join(name) == missing {
        true => String::new(),
        false => format!("; {} has no '{name}'", described(folder)),
    }
}

/// The entry of `folder` whose name is most similar to `name`.
fn similar(folder: &Path, name: &str) -> Option<PathBuf> {
    let entries = folder.read_dir().ok()?.take(COMPARED).filter_map(Result::ok);
    let scored = entries.filter_map(|entry| {
        let similarity = similarity(entry.file_name().to_str()?, name);
        (similarity >= MIN_SIMILARITY).then(|| (similarity, entry.path()))
    });
    scored.max_by(|(a, _), (b, _)| a.total_cmp(b)).map(|(_, path)| path)
}

/// The similarity of two names, from 0 to 1. Extensions count only between names that are otherwise similar.
fn similarity(a: &str, b: &str) -> f64 {
    let (a, b) = (a.to_lowercase(), b.to_lowercase());
    let stem = |name: &str| Path::new(name).file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let (Some(stem_a), Some(stem_b)) = (stem(&a), stem(&b)) else {
        return 0.0;
    };
    let of_stems = normalized_levenshtein(&stem_a, &stem_b);
    if of_stems < MIN_SIMILARITY { 0.0 } else { (of_stems + normalized_levenshtein(&a, &b)) / 2.0 }
}

/// A path relative to the current folder if it is below it, as most users write it.
fn as_written(path: &Path) -> String {
    let current = env::current_dir().unwrap_or_default();
    path.strip_prefix(&current).unwrap_or(path).display().to_string()
}

fn described(folder: &Path) -> String {
    match as_written(folder) {
        current if current.is_empty() => "the current folder".to_owned(),
        folder => format!("'{folder}'"),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_deepest_folder_and_a_similar_name_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("photos/cats")).unwrap();
        for name in ["photos/lion.jpg", "photos/a.jpg", "photos/IMG_2041.jpg"] {
            fs::write(root.join(name), "").unwrap();
        }
        let root = root.display();
        for (missing, expected) in [
            ("fotos", format!("; did you mean '{root}/photos'?")),
            ("Photos/lion.jpg", format!("; did you mean '{root}/photos'?")),
            ("photos/lion.jpeg", format!("; did you mean '{root}/photos/lion.jpg'?")),
            ("photos/img_2041.JPG", format!("; did you mean '{root}/photos/IMG_2041.jpg'?")),
            ("photos/cat/1.jpg", format!("; did you mean '{root}/photos/cats'?")),
            ("photos/dogs/1.jpg", format!("; '{root}/photos' has no 'dogs'")),
            ("photos/z.jpg", String::new()),
            ("zebra", String::new()),
        ] {
            assert_eq!(hint(Path::new(&format!("{root}/{missing}"))), expected, "{missing}");
        }
    }
}
