//! Makes the quantized twin of a model: a folder like that of an installed model.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::attempt::Attempt;
use super::options::{Calibration, QuantizeOptions};
use super::record::{Figures, RECORD, Record};
use super::settings::settings_of;
use super::speed::speed_ratio;
use super::statement::CreateQuantized;
use crate::agreement::{Runner, Samples};
use crate::model::Model;
use crate::model::runtime::{Cancellation, Provider};
use crate::{Error, Result};

/// Fewest images: with fewer, half of them say nothing of ranges, and the others nothing of agreement.
const LEAST_IMAGES: usize = 10;

/// More than the rest of a disk on which a file has just been cut short, and little beside any model.
const PROBE_BYTES: usize = 64 << 10;

/// Why a model is not installed.
const TAKEN: &str =
    "another process has made one of that name meanwhile; CREATE OR REPLACE MODEL replaces it";

/// Checks a statement before its query runs; `source` is the model to quantize.
///
/// # Errors
/// An option that is unknown or malformed, a model that can't be quantized.
pub(crate) fn check(statement: &CreateQuantized, source: &Model) -> Result<QuantizeOptions> {
    let options = QuantizeOptions::of(&statement.name, &statement.options)?;
    check_source(source)
        .map_err(|reason| Error::Model { model: statement.name.clone(), reason })
        .map(|()| options)
}

/// Quantizes `source` and writes it into the folder `target`, which is replaced as a whole if `or_replace`. If that fails,
/// nothing is left of it.
///
/// Blocks for as long as the model runs on the images several times over.
///
/// # Errors
/// A graph that can't be quantized, with the reason; too few images; less agreement than asked for; a folder that can't
/// be written; cancellation.
pub(crate) fn quantize(
    name: &str,
    options: &QuantizeOptions,
    source: &Model,
    samples: Samples,
    (target, or_replace): (&Path, bool),
    cancellation: &Cancellation,
) -> Result<()> {
    let error = |reason| Error::Model { model: name.to_owned(), reason };
    let (calibration, aside) = samples.split();
    let count = calibration.images.len() + aside.images.len();
    if count < LEAST_IMAGES {
        return Err(error(format!(
            "the query gives {count} images that can be decoded; at least {LEAST_IMAGES} are needed, and 100 are better"
        )));
    }
    let parent = target.parent().unwrap_or(target);
    let describe = |reason| error(unwritten(parent, &reason));
    fs::create_dir_all(parent).map_err(describe)?;
    let home = parent.parent().unwrap_or(parent);
    let folder = tempfile::Builder::new().prefix(".quantize-").tempdir_in(home).map_err(describe)?;
    let made = make(name, options, source, (&calibration, &aside), folder.path(), cancellation);
    // The runtime says of a model that it can't write that, and not why.
    let made = made.map_err(|error| full_disk(folder.path()).map_or(error, describe))?;
    if let Some(keep) = &options.keep {
        keep_copy(&made.join("model.onnx"), keep).map_err(|reason| error(unwritten(keep, &reason)))?;
    }
    install(&made, target, or_replace, &folder.path().join("replaced"))
        .map_err(|reason| if is_taken(&reason) { error(TAKEN.to_owned()) } else { describe(reason) })
}

/// Quantizes `source` on images for calibration and others set aside, and writes the model with its settings and record
/// into a folder below `folder`, which it returns.
fn make(
    name: &str,
    options: &QuantizeOptions,
    source: &Model,
    (calibration, aside): (&Samples, &Samples),
    folder: &Path,
    cancellation: &Cancellation,
) -> Result<PathBuf> {
    let error = |reason| Error::Model { model: name.to_owned(), reason };
    let mut attempt = Attempt::new(name, source, options, folder, Runner { cancellation })?;
    let twin = match options.calibration {
        Calibration::None => attempt.without_calibration(aside)?,
        _ => {
            attempt.equalize(calibration)?;
            attempt.search(&attempt.calibrate(calibration)?, aside)?
        }
    };
    let file = twin.model.spec().file.clone();
    let made = file.parent().unwrap_or(&file);
    let figures = Figures {
        images: [calibration.images.len(), aside.images.len()],
        bytes: [&source.spec().file, &file].map(|file| fs::metadata(file).map_or(0, |file| file.len())),
        speed_ratio: speed_ratio(source, &twin.model, aside, cancellation)?,
        twin: &twin,
    };
    let texts = [
        ("seequel.json", serde_json::to_vec_pretty(&settings_of(source.spec(), options.calibration))),
        (RECORD, serde_json::to_vec_pretty(Record::new(source.spec(), options, &figures).json())),
    ];
    for (name, text) in texts {
        let text = text.map_err(|reason| error(reason.to_string()))?;
        fs::write(made.join(name), text).map_err(|reason| error(unwritten(made, &reason)))?;
    }
    Ok(made.to_owned())
}

/// That `place` can't be written, why, and what to do.
fn unwritten(place: &Path, reason: &io::Error) -> String {
    let hint = match reason.kind() {
        ErrorKind::StorageFull => "; make room there, or set SEEQUEL_HOME to a folder on another disk",
        _ => "",
    };
    format!("'{}' can't be written: {reason}{hint}", place.display())
}

/// Why nothing can be written to `folder`, if its disk is full.
fn full_disk(folder: &Path) -> Option<io::Error> {
    let written = fs::write(folder.join("probe"), [0; PROBE_BYTES]);
    written.err().filter(|reason| reason.kind() == ErrorKind::StorageFull)
}

/// Copies `file` to `keep`, as a whole or not at all.
fn keep_copy(file: &Path, keep: &Path) -> io::Result<()> {
    let folder = keep.parent().filter(|folder| !folder.as_os_str().is_empty());
    let part = tempfile::Builder::new()
        .prefix(".seequel-")
        .suffix(".part")
        .tempfile_in(folder.unwrap_or_else(|| Path::new(".")))?;
    fs::copy(file, part.path())?;
    part.persist(keep)?;
    Ok(())
}

/// Whether a folder could not be moved to a place because there is one.
fn is_taken(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists)
}

/// Moves the folder `made` to `target`, in place of one there if `or_replace`, which is moved to `replaced`.
///
/// # Errors
/// Those of [`is_taken`] if another process has put a folder there.
fn install(made: &Path, target: &Path, or_replace: bool, replaced: &Path) -> io::Result<()> {
    for number in 0.. {
        if or_replace && target.exists() {
            match fs::rename(target, replaced.with_extension(number.to_string())) {
                // Another process has just replaced it.
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        match fs::rename(made, target) {
            Err(error) if or_replace && is_taken(&error) => {}
            result => return result,
        }
    }
    Ok(())
}

/// Why `source` can't be quantized, if it can't.
fn check_source(source: &Model) -> Result<(), String> {
    let spec = source.spec();
    let name = &spec.name;
    if source.provider().is_ok_and(|provider| provider != Provider::CPU) {
        return Err(format!("'{name}' runs on another device than the CPU, where integers are measured"));
    }
    if spec.image().is_none() || spec.numbers().next().is_some() {
        return Err(format!(
            "'{name}' takes numbers; calibration runs models that take an image and nothing else"
        ));
    }
    Ok(())
}
