//! The ONNX Runtime library: found, opened and set up once a process.
//!
//! The library is opened at run time, with the first model that is loaded, so that the program starts, plans and runs
//! plain SQL without it. It is searched for in `ORT_DYLIB_PATH`, the `lib` folder of Seequel's home, `./.seequel/lib`,
//! and the search path of the system's loader.

use std::path::{Path, PathBuf};

use ort::environment::Environment;
use parking_lot::Mutex;

use crate::{Error, Result};

/// File name of the ONNX Runtime library.
const LIBRARY: &str = if cfg!(target_os = "macos") { "libonnxruntime.dylib" } else { "libonnxruntime.so" };

/// Environment variable with the path of the library.
const LIBRARY_PATH: &str = "ORT_DYLIB_PATH";

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
static ENVIRONMENT: Mutex<Option<Environment>> = Mutex::new(None);

/// The installed ONNX Runtime, opened on first use.
#[derive(Debug, Clone)]
pub struct Runtime {
    home: PathBuf,
}

impl Runtime {
    /// A runtime that looks for its library in `home/lib`, after `ORT_DYLIB_PATH`.
    #[must_use]
    pub fn new(home: &Path) -> Self {
        Self { home: home.to_owned() }
    }

    /// Whether the library is open, or found outside the search path of the system's loader. Does not open it.
    #[must_use]
    pub fn is_installed(&self) -> bool {
        ENVIRONMENT.lock().is_some() || self.library().is_some()
    }

    /// Whether both this program and the runtime are built for CUDA. Opens the library.
    ///
    /// # Errors
    /// [`Error::Runtime`] if the library is missing or unusable.
    pub fn has_cuda(&self) -> Result<bool> {
        self.environment()?;
        #[cfg(feature = "cuda")]
        {
            use ort::ep::ExecutionProvider;
            ort::ep::CUDA::is_available().map_err(|error| Error::Runtime(error.to_string()))
        }
        #[cfg(not(feature = "cuda"))]
        Ok(false)
    }

    /// Whether the machine has an NVIDIA device, from the device files of its driver.
    #[must_use]
    pub fn sees_gpu() -> bool {
        ["/dev/nvidiactl", "/dev/dxg"].iter().any(|file| Path::new(file).exists())
    }

    pub(super) fn environment(&self) -> Result<Environment> {
        let mut environment = ENVIRONMENT.lock();
        if let Some(environment) = environment.as_ref() {
            return Ok(environment.clone());
        }
        if std::env::var_os(DISABLE_TELEMETRY).is_none() {
            tracing::warn!(
                "ONNX Runtime may report this process to Microsoft; {DISABLE_TELEMETRY}=1 in its environment prevents that"
            );
        }
        let library = self.library();
        let opened = ort::init_from(library.as_deref().unwrap_or_else(|| LIBRARY.as_ref()))
            .map_err(|error| match library.filter(|file| file.exists()) {
                Some(file) => unusable(&file, &error.to_string()),
                None => self.not_installed(&error.to_string()),
            })?
            .with_name("seequel")
            .with_telemetry(false)
            .build()
            .map_err(|error| Error::Runtime(format!("ONNX Runtime does not start: {error}")))?;
        Ok(environment.insert(opened).clone())
    }

    /// The path of the library, the first that exists; `None` leaves the search to the system's loader.
    fn library(&self) -> Option<PathBuf> {
        if let Some(path) = std::env::var_os(LIBRARY_PATH) {
            return Some(path.into());
        }
        [self.home.join("lib"), PathBuf::from(".seequel/lib")]
            .iter()
            .map(|folder| folder.join(LIBRARY))
            .find(|file| file.exists())
            .and_then(|file| std::path::absolute(file).ok())
    }

    fn not_installed(&self, reason: &str) -> Error {
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

/// The error of a file that exists but is not the library.
fn unusable(file: &Path, reason: &str) -> Error {
    Error::Runtime(format!(
        "'{}' is not a usable ONNX Runtime library: {reason}. Delete the file and run `make setup` in Seequel's \
         folder, or set {LIBRARY_PATH} to the path of another",
        file.display()
    ))
}
