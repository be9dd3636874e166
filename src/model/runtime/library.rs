//! The ONNX Runtime library: found, opened and set up once a process.
//!
//! The library is opened at run time, with the first model that is loaded, so that the program starts, plans and runs
//! plain SQL without it. A build that is chosen by name is that of Seequel's home. Without a name it is searched for in
//! `ORT_DYLIB_PATH`, the `lib` folder of the home, `./.seequel/lib`, and the search path of the system's loader.

use std::path::{Path, PathBuf};

use itertools::Itertools;
use ort::LoadDynamicError;
use ort::environment::Environment;
use parking_lot::Mutex;

use super::providers::{KINDS, Kind};
use super::{builds, log};
use crate::{Error, Result};

/// Environment variable with the path of the library.
const LIBRARY_PATH: &str = "ORT_DYLIB_PATH";

/// Environment variable with the name of the build to open: `cpu`, `openvino`, `webgpu` or `cuda`.
const CHOICE: &str = "SEEQUEL_RUNTIME";

/// Environment variable that turns off the telemetry of ONNX Runtime if it is `1` when the library is opened.
///
/// Without it, ONNX Runtime 1.29 and later keep a device identifier in the user's cache folder and report the process
/// to Microsoft. The library opens ONNX Runtime with the first model that is loaded. Setting a variable while other
/// threads run is unsound, so the library can't do it itself; it logs a warning if the variable is missing. Set it
/// where the process is started, or first in `main`:
///
/// ```no_run
/// fn main() -> std::io::Result<()> {
///     // SAFETY: no other thread has been started that could read the environment.
///     unsafe { std::env::set_var(seequel::model::runtime::DISABLE_TELEMETRY, "1") };
///     tokio::runtime::Runtime::new()?.block_on(async {
///         // engines, sessions and queries
///     });
///     Ok(())
/// }
/// ```
///
/// `#[tokio::main]` starts threads before the body of `main`, so it must not be used on that `main`.
pub const DISABLE_TELEMETRY: &str = "ORT_DISABLE_TELEMETRY";

/// The ONNX Runtime of the process. Global, because the library can be opened only once.
static OPENED: Mutex<Option<Opened>> = Mutex::new(None);

/// An open library.
#[derive(Debug, Clone)]
pub(super) struct Opened {
    pub(super) environment: Environment,
    /// Its file, unless the system's loader found it.
    pub(super) library: Option<PathBuf>,
}

impl Opened {
    /// The folder of the library, which also has those of its providers.
    pub(super) fn folder(&self) -> Option<&Path> {
        self.library.as_deref()?.parent()
    }
}

/// The installed ONNX Runtime, opened on first use.
#[derive(Debug, Clone)]
pub struct Runtime {
    home: PathBuf,
    /// The build that was chosen by name, if any.
    choice: Option<String>,
}

impl Runtime {
    /// The build that `SEEQUEL_RUNTIME` names; without it, the library that `ORT_DYLIB_PATH` names, or that of
    /// `home/lib`.
    #[must_use]
    pub fn new(home: &Path) -> Self {
        let choice = std::env::var(CHOICE).ok().filter(|name| !name.is_empty());
        Self { home: home.to_owned(), choice }
    }

    /// The build of this name: `cpu`, that of `home/lib`, or `openvino`, `webgpu` or `cuda`, that of
    /// `home/runtimes/<name>`.
    #[must_use]
    pub fn named(home: &Path, name: &str) -> Self {
        Self { home: home.to_owned(), choice: Some(name.to_owned()) }
    }

    /// Checks that a build that was chosen by name is installed. Does not open it.
    ///
    /// # Errors
    /// [`Error::Runtime`] if it is not, or if `ORT_DYLIB_PATH` names another library.
    pub fn check(&self) -> Result<()> {
        self.library().map(|_| ())
    }

    /// Checks that the library is not too old, if the name of its file has its version. Does not open it.
    pub(super) fn check_version(&self) -> Result<()> {
        let Some(library) = self.library()? else { return Ok(()) };
        match builds::version(&library) {
            Some(version) if builds::is_too_old(&version) => Err(too_old(&library, &version)),
            _ => Ok(()),
        }
    }

    /// Whether the library is open, or found outside the search path of the system's loader. Does not open it.
    ///
    /// # Errors
    /// See [`Self::check`].
    pub fn is_installed(&self) -> Result<bool> {
        Ok(OPENED.lock().is_some() || self.library()?.is_some())
    }

    /// Whether the machine has an NVIDIA device, from the device files of its driver.
    #[must_use]
    pub fn sees_gpu() -> bool {
        ["/dev/nvidiactl", "/dev/dxg"].iter().any(|file| Path::new(file).exists())
    }

    /// Whether the library has a provider. Opens the library.
    pub(super) fn offers(&self, kind: &dyn Kind) -> Result<bool> {
        self.opened()?;
        kind.is_offered().map_err(|error| Error::Runtime(error.to_string()))
    }

    /// Why a device can't be used if the library lacks its provider, and what to do. Opens the library.
    pub(super) fn lacks(&self, kind: &dyn Kind) -> Result<String> {
        let mut offered = vec![];
        for other in KINDS {
            if self.offers(other)? {
                offered.push(other.name());
            }
        }
        let hint = self.selection(kind.runtime());
        Ok(format!("is not available; the loaded ONNX Runtime offers {}. {hint}", offered.iter().join(", ")))
    }

    /// How to get a build that is not the loaded one.
    fn selection(&self, name: &str) -> String {
        let start = format!("start with `--runtime {name}` or {CHOICE}={name}");
        match builds::find(&self.home, name) {
            Some(_) => format!("The runtime {name}, which is installed, has it: {start}"),
            None => format!(
                "The runtime {name} has it: `{}` in Seequel's folder installs it, then {start}",
                builds::installation(name)
            ),
        }
    }

    /// The version of the library, from its file name; `None` if that is not known. Opens nothing.
    pub(super) fn version(&self) -> Option<String> {
        builds::version(&self.library().ok()??)
    }

    pub(super) fn home(&self) -> &Path {
        &self.home
    }

    /// Where to keep what providers compile. Set-up empties `cache`.
    pub(super) fn cache(&self) -> PathBuf {
        self.home.join("compiled")
    }

    pub(super) fn environment(&self) -> Result<Environment> {
        Ok(self.opened()?.environment)
    }

    /// The open library, opened now if it is not.
    pub(super) fn opened(&self) -> Result<Opened> {
        let library = self.library()?;
        let mut opened = OPENED.lock();
        if let Some(opened) = opened.as_ref() {
            self.check_same(opened.library.as_deref(), library.as_deref())?;
            return Ok(opened.clone());
        }
        if std::env::var_os(DISABLE_TELEMETRY).is_none() {
            tracing::warn!(
                "ONNX Runtime may report this process to Microsoft; {DISABLE_TELEMETRY}=1 in its environment prevents that"
            );
        }
        let environment = ort::init_from(library.as_deref().unwrap_or_else(|| builds::LIBRARY.as_ref()))
            .map_err(|error| self.not_opened(library.as_deref(), &error))?
            .with_name("seequel")
            .with_telemetry(false)
            .with_logger(log::logger())
            .build()
            .map_err(|error| Error::Runtime(format!("ONNX Runtime does not start: {error}")))?;
        environment.set_log_level(log::LEVEL);
        Ok(opened.insert(Opened { environment, library }).clone())
    }

    /// Returns an error if this runtime was chosen by name and another library is open.
    fn check_same(&self, opened: Option<&Path>, library: Option<&Path>) -> Result<()> {
        match &self.choice {
            Some(name) if opened != library => {
                let open = opened.map_or_else(|| "the system's".into(), Path::to_string_lossy);
                Err(Error::Runtime(format!(
                    "a process opens one ONNX Runtime, and this one has opened {open}: the runtime '{name}' needs \
                     another process"
                )))
            }
            _ => Ok(()),
        }
    }

    /// The path of the library; `None` leaves the search to the system's loader.
    fn library(&self) -> Result<Option<PathBuf>> {
        let given = std::env::var_os(LIBRARY_PATH).map(PathBuf::from);
        let Some(name) = &self.choice else {
            return Ok(given.or_else(|| builds::find(&self.home, builds::DEFAULT)));
        };
        if !builds::NAMES.contains(&name.as_str()) {
            let names = builds::NAMES.iter().join(", ");
            return Err(Error::Runtime(format!("there is no runtime '{name}'; the runtimes are {names}")));
        }
        let found = builds::find(&self.home, name).ok_or_else(|| self.not_installed(name))?;
        match given {
            Some(given) if given.canonicalize().ok() != found.canonicalize().ok() => {
                Err(Error::Runtime(format!(
                    "{LIBRARY_PATH} names {}, and --runtime or {CHOICE} the runtime '{name}': leave one of them out",
                    given.display()
                )))
            }
            _ => Ok(Some(found)),
        }
    }

    fn not_installed(&self, name: &str) -> Error {
        Error::Runtime(format!(
            "the runtime '{name}' is not installed: there is no {}. `{}` in Seequel's folder installs it",
            builds::folder(&self.home, name).join(builds::LIBRARY).display(),
            builds::installation(name),
        ))
    }

    /// The error of a library that can't be opened.
    fn not_opened(&self, library: Option<&Path>, error: &LoadDynamicError) -> Error {
        match (library.filter(|file| file.exists()), error) {
            (_, LoadDynamicError::BadVersion { version_str, path }) => too_old(path, version_str),
            (Some(file), error) => unusable(file, &error.to_string()),
            (None, error) => self.not_found(&error.to_string()),
        }
    }

    fn not_found(&self, reason: &str) -> Error {
        let places = match std::env::var_os(LIBRARY_PATH) {
            Some(file) => format!("{LIBRARY_PATH}, which names {}", file.display()),
            None => format!("{}, .seequel/lib and the system's folders", self.home.join("lib").display()),
        };
        Error::Runtime(format!(
            "ONNX Runtime could not be opened, and models need it. `make setup` in Seequel's folder installs it; \
             a library you have is used when {LIBRARY_PATH} names its file. (Looked in {places}: {reason})"
        ))
    }
}

/// The error of a library that lacks what Seequel needs of it.
fn too_old(library: &Path, version: &str) -> Error {
    Error::Runtime(format!(
        "'{}' is ONNX Runtime {version}, and Seequel needs 1.{} or later. `make setup` in Seequel's folder installs \
         one; {LIBRARY_PATH} names the file of another",
        library.display(),
        ort::MINOR_VERSION
    ))
}

/// The error of a file that exists but is not the library.
fn unusable(file: &Path, reason: &str) -> Error {
    Error::Runtime(format!(
        "'{}' is not a usable ONNX Runtime library: {reason}. Delete the file and run `make setup` in Seequel's \
         folder, or set {LIBRARY_PATH} to the path of another",
        file.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_one_runtime() {
        let (lib, other) =
            (Path::new("/home/lib/libonnxruntime.so"), Path::new("/home/runtimes/webgpu/lib.so"));
        let home = Path::new("/home");
        let unnamed = Runtime { home: home.to_owned(), choice: None };
        assert!(unnamed.check_same(Some(lib), Some(other)).is_ok());
        let webgpu = Runtime::named(home, "webgpu");
        assert!(webgpu.check_same(Some(other), Some(other)).is_ok());
        let error = webgpu.check_same(Some(lib), Some(other)).unwrap_err().to_string();
        insta::assert_snapshot!(error, @"a process opens one ONNX Runtime, and this one has opened /home/lib/libonnxruntime.so: the runtime 'webgpu' needs another process");
    }
}
