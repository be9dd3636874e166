//! Makes the quantized twin of a model: a folder like that of an installed model.

use std::fs;
use std::path::Path;

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

/// Quantizes `source` and writes it into the folder `target`, which is replaced as a whole.
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
    target: &Path,
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
    let describe =
        |reason: std::io::Error| error(format!("'{}' can't be written: {reason}", parent.display()));
    fs::create_dir_all(parent).map_err(describe)?;
    let home = parent.parent().unwrap_or(parent);
    let folder = tempfile::Builder::new().prefix(".quantize-").tempdir_in(home).map_err(describe)?;
    let mut attempt = Attempt::new(name, source, options, folder.path(), Runner { cancellation })?;
    let twin = match options.calibration {
        Calibration::None => attempt.without_calibration(&aside)?,
        _ => {
            attempt.equalize(&calibration)?;
            attempt.search(&attempt.calibrate(&calibration)?, &aside)?
        }
    };
    let file = twin.model.spec().file.clone();
    let made = file.parent().unwrap_or(&file);
    let figures = Figures {
        images: [calibration.images.len(), aside.images.len()],
        bytes: [&source.spec().file, &file].map(|file| fs::metadata(file).map_or(0, |file| file.len())),
        speed_ratio: speed_ratio(source, &twin.model, &aside, cancellation)?,
        twin: &twin,
    };
    let texts = [
        ("seequel.json", serde_json::to_vec_pretty(&settings_of(source.spec(), options.calibration))),
        (RECORD, serde_json::to_vec_pretty(Record::new(source.spec(), options, &figures).json())),
    ];
    for (name, text) in texts {
        let text = text.map_err(|reason| error(reason.to_string()))?;
        fs::write(made.join(name), text).map_err(describe)?;
    }
    if let Some(keep) = &options.keep {
        fs::copy(&file, keep)
            .map_err(|reason| error(format!("'{}' can't be written: {reason}", keep.display())))?;
    }
    if target.exists() {
        fs::rename(target, folder.path().join("replaced")).map_err(describe)?;
    }
    fs::rename(made, target).map_err(describe)
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
