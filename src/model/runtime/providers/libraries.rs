//! Libraries that a provider's own needs, opened before it.
//!
//! The system's loader doesn't look for them beside the provider, where set-up puts them. Once they are open it takes
//! these, whatever `LD_LIBRARY_PATH` says.

use std::error::Error;
use std::path::Path;

use ort::util::preload_dylib;

/// Opens the library of a driver, which comes with the driver's name, and then `libraries`, from `folder` where they are,
/// or else from where the system's loader finds them.
///
/// Does without `libraries` if the first can't be opened: a library that the user has may be built for another version of them,
/// and ONNX Runtime says if it is not.
///
/// # Errors
/// That the driver is missing, or which of the other libraries.
pub(super) fn open(
    driver: Option<(&str, &str)>,
    libraries: &[&str],
    folder: Option<&Path>,
) -> Result<(), String> {
    if let Some((library, name)) = driver {
        preload_dylib(library).map_err(|error| format!("{name} is missing: {}", reason(&error)))?;
    }
    for (position, library) in libraries.iter().enumerate() {
        let beside = folder.map(|folder| folder.join(library)).filter(|file| file.exists());
        let opened = match beside {
            Some(file) => preload_dylib(file),
            None => preload_dylib(*library),
        };
        match opened {
            Ok(()) => {}
            Err(_) if position == 0 => return Ok(()),
            Err(error) => return Err(format!("a library that it needs can't be opened: {}", reason(&error))),
        }
    }
    Ok(())
}

/// What the system's loader says.
fn reason(error: &dyn Error) -> String {
    error.source().map_or_else(|| error.to_string(), ToString::to_string)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    const FOUND: &str = "libc.so.6";

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(open(Some((FOUND, "a driver")), &[FOUND], None), Ok(()));
        let driver = open(Some(("libmissing.so.1", "its driver")), &[FOUND], None).unwrap_err();
        assert!(driver.starts_with("its driver is missing: libmissing.so.1: cannot open"), "{driver}");
        let library = open(None, &[FOUND, "libmissing.so.9"], None).unwrap_err();
        let expected = "a library that it needs can't be opened: libmissing.so.9: ";
        assert!(library.starts_with(expected), "{library}");
        assert_eq!(open(None, &["libmissing.so.13", "libmissing.so.9"], None), Ok(()));
    }

    #[test]
    fn libraries_beside_the_provider_come_first() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("libm.so.6"), "cut off").unwrap();
        let error = open(None, &[FOUND, "libm.so.6"], Some(folder.path())).unwrap_err();
        assert!(error.contains(folder.path().to_str().unwrap()), "{error}");
    }
}
