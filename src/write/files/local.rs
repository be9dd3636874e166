//! Files of a statement on a local disk: written in a hidden folder beside their place, then moved there.
//!
//! ```text
//!  out/                              results.csv ◄─ rename ─┐
//!    label=cat/b.parquet ◄─ rename ─┐                       │
//!    .seequel-copy-41-0/            │        .seequel-copy-41-0/
//!      0 ───────────────────────────┘          0 ───────────┘
//! ```
//!
//! Files in progress have no extension, so that no table takes them for data. The folder's name has the number of the
//! process, in case that one is killed; for the tasks of a cluster, whose processes are on several machines, the run.

use std::collections::HashSet;
use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use datafusion::error::{DataFusionError, Result};
use datafusion::object_store::local::LocalFileSystem;
use datafusion::object_store::path::Path as StorePath;
use parking_lot::Mutex;
use walkdir::WalkDir;

use super::target::{Kind, MOST_COUNTED, Mode, Target, is_data};

const HIDDEN: &str = ".seequel-copy-";

/// How long a statement waits while others move files into the same folder, which takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);
const RETRY: Duration = Duration::from_millis(10);

/// The files of one statement. Dropping it removes what was not moved to its place.
#[derive(Debug)]
pub(super) struct LocalFiles {
    target: Target,
    /// The target's file, or its folder.
    path: PathBuf,
    /// The hidden folder.
    folder: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    files: Vec<Staged>,
    /// Folders that did not exist before, outermost first.
    created: Vec<PathBuf>,
    /// Whether the files were moved or removed.
    has_ended: bool,
}

#[derive(Debug)]
struct Staged {
    now: PathBuf,
    place: PathBuf,
    location: StorePath,
}

impl Staged {
    /// Moves the file to its place; if it replaces others, once it is on the disk.
    fn move_in(&self, replaces: bool, created: &mut Vec<PathBuf>) -> io::Result<()> {
        if replaces {
            File::open(&self.now)?.sync_all()?;
        }
        if let Some(folder) = self.place.parent() {
            create_missing(folder, created)?;
        }
        fs::rename(&self.now, &self.place)
    }

    /// Keeps the file that this one replaces, if there is one, until all files are moved.
    fn keep_old(&self) -> io::Result<()> {
        if self.place.is_file() {
            // Not all file systems have links.
            fs::hard_link(&self.place, self.old())
                .or_else(|_| fs::copy(&self.place, self.old()).map(drop))?;
        }
        Ok(())
    }

    /// Puts back what was there before. The error to report is the first, so those here are not.
    fn undo(&self) {
        let _ = match self.old() {
            old if old.exists() => fs::rename(old, &self.place),
            _ => fs::remove_file(&self.place),
        };
    }

    fn old(&self) -> PathBuf {
        self.now.with_extension("old")
    }
}

impl LocalFiles {
    /// Checks the target at `path`, and creates the hidden folder, which `owner` is in the name of.
    ///
    /// # Errors
    /// A target that its mode excludes, that is of the other kind, or in a folder that can't be written.
    pub(super) fn open(target: &Target, path: PathBuf, owner: &str) -> Result<Self> {
        let path = match target.kind {
            // A link stays, and the file that it leads to is replaced.
            Kind::File if path.is_symlink() => fs::canonicalize(&path).unwrap_or(path),
            _ => path,
        };
        check(target, &path)?;
        let parent = match target.kind {
            Kind::File => path.parent().unwrap_or(&path),
            Kind::Folder => &path,
        };
        let mut files = Self {
            target: target.clone(),
            folder: PathBuf::new(),
            path: path.clone(),
            state: Mutex::default(),
        };
        let created = create_missing(parent, &mut files.state.get_mut().created);
        let folder = created.and_then(|()| create_hidden(parent, owner));
        files.folder = folder.map_err(|error| {
            target.refused(format!("the folder {} can't be written: {error}", parent.display()))
        })?;
        Ok(files)
    }

    /// An error about the target.
    pub(super) fn refused(&self, reason: impl fmt::Display) -> DataFusionError {
        self.target.refused(reason)
    }

    /// A new file for the object at `location`.
    ///
    /// # Errors
    /// The operating system's; and if the statement has ended.
    pub(super) fn create(&self, location: &StorePath) -> io::Result<File> {
        let place = match self.target.kind {
            Kind::File => self.path.clone(),
            Kind::Folder => LocalFileSystem::new().path_to_filesystem(location).map_err(io::Error::other)?,
        };
        let mut state = self.state.lock();
        if state.has_ended {
            return Err(ended());
        }
        let now = self.folder.join(state.files.len().to_string());
        let file = File::create_new(&now)?;
        state.files.push(Staged { now, place, location: location.clone() });
        Ok(file)
    }

    /// Moves the files to their places, and removes those that they replace.
    ///
    /// # Errors
    /// If a file can't be moved, and then nothing has changed; or if one that was replaced can't be removed.
    pub(super) fn commit(&self) -> Result<()> {
        let parent = self.folder.parent().unwrap_or(&self.folder);
        // Without it, of two statements that replace a folder's files at once, each could keep or remove the other's.
        let _alone = lock(parent);
        let mut state = self.state.lock();
        if state.has_ended {
            return Err(self.refused(ended()));
        }
        match self.target.kind {
            Kind::File => self.replace_file(&mut state)?,
            Kind::Folder => self.fill_folder(&mut state)?,
        }
        state.created.clear();
        self.remove(&mut state);
        Ok(())
    }

    /// As [`Self::commit`], and returns once the files and their names are on the disk.
    ///
    /// # Errors
    /// Those of [`Self::commit`].
    pub(super) fn commit_durably(&self) -> Result<()> {
        let synced = self.state.lock().files.iter().try_for_each(|file| File::open(&file.now)?.sync_all());
        synced.map_err(|error| self.refused(error))?;
        self.commit()?;
        let state = self.state.lock();
        let folders = state.files.iter().flat_map(|file| file.place.ancestors().skip(1));
        let folders: HashSet<_> = folders.take_while(|folder| folder.starts_with(&self.path)).collect();
        let synced = folders.into_iter().try_for_each(|folder| File::open(folder)?.sync_all());
        synced.map_err(|error| self.refused(error))
    }

    /// Removes the files, unless they were moved. Later ones can't be created.
    pub(super) fn discard(&self) {
        self.remove(&mut self.state.lock());
    }

    fn remove(&self, state: &mut State) {
        if state.has_ended {
            return;
        }
        state.has_ended = true;
        if !self.folder.as_os_str().is_empty() {
            // What can't be removed is hidden, and its name tells what it is.
            let _ = fs::remove_dir_all(&self.folder);
        }
        for folder in state.created.iter().rev() {
            // It fails if another program has written there.
            let _ = fs::remove_dir(folder);
        }
    }

    fn replace_file(&self, state: &mut State) -> Result<()> {
        check(&self.target, &self.path)?;
        let Some(file) = state.files.first() else { return Ok(()) };
        let old = fs::metadata(&file.place).ok();
        let replaces = old.is_some();
        let permitted = old.map_or(Ok(()), |old| fs::set_permissions(&file.now, old.permissions()));
        let moved = permitted.and_then(|()| file.move_in(replaces, &mut state.created));
        moved.map_err(|error| self.refused(error))
    }

    fn fill_folder(&self, state: &mut State) -> Result<()> {
        let replaced = match self.target.mode {
            Mode::Overwrite => self.replaced_files(state)?,
            Mode::Append | Mode::Error => {
                check(&self.target, &self.path)?;
                if let Some(file) = state.files.iter().find(|file| file.place.exists()) {
                    return Err(self.target.has(&file.place.display()));
                }
                Vec::new()
            }
        };
        let State { files, created, .. } = state;
        let mut moved = Vec::with_capacity(files.len());
        for file in &*files {
            let moved_in = file.keep_old().and_then(|()| file.move_in(!replaced.is_empty(), created));
            if let Err(error) = moved_in {
                moved.into_iter().for_each(Staged::undo);
                return Err(self.refused(format!("{}: {error}", file.place.display())));
            }
            moved.push(file);
        }
        // Some file systems don't distinguish names by case.
        let new: HashSet<_> = files.iter().map(|file| file.place.as_os_str().to_ascii_lowercase()).collect();
        self.remove_files(replaced.iter().filter(|old| !new.contains(&old.as_os_str().to_ascii_lowercase())))
    }

    /// The files in the folder that the new ones replace.
    fn replaced_files(&self, state: &State) -> Result<Vec<PathBuf>> {
        let new: Vec<_> = state.files.iter().map(|file| file.location.clone()).collect();
        let mut replaced = Vec::new();
        for file in data_files(&self.path) {
            let file = file.map_err(|error| self.refused(error))?;
            // A name that a store can't express is not a table's.
            let Some(location) = file.to_str().and_then(|path| StorePath::parse(path).ok()) else { continue };
            if self.target.replaces(&location, &new) {
                replaced.push(file);
            }
        }
        Ok(replaced)
    }

    fn remove_files<'a>(&self, old: impl Iterator<Item = &'a PathBuf>) -> Result<()> {
        for file in old {
            match fs::remove_file(file) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(self.refused(format!(
                        "the new files are in place, but {} could not be removed ({error}); remove it, or it is read \
                         as well",
                        file.display()
                    )));
                }
                _ => {}
            }
            // Folders of partitions, if this was their last file.
            let mut folders = file.ancestors().skip(1).take_while(|folder| *folder != self.path);
            while folders.next().is_some_and(|folder| fs::remove_dir(folder).is_ok()) {}
        }
        Ok(())
    }
}

impl Drop for LocalFiles {
    fn drop(&mut self) {
        self.discard();
    }
}

fn ended() -> io::Error {
    io::Error::other("the statement has ended")
}

/// Whether the target at `path` may be written.
fn check(target: &Target, path: &Path) -> Result<()> {
    let Ok(found) = fs::metadata(path) else { return Ok(()) };
    match target.kind {
        Kind::File if found.is_dir() => {
            let reason = "a folder of this name exists; end the name with '/' to write files into it";
            Err(target.refused(reason))
        }
        Kind::File if !found.is_file() => Err(target.refused("this is not a regular file")),
        Kind::File if target.mode == Mode::Error => Err(target.exists()),
        Kind::Folder if !found.is_dir() => {
            let reason = "a file of this name exists, but a folder would be written; remove it, or choose another name";
            Err(target.refused(reason))
        }
        Kind::Folder if target.mode == Mode::Error => match data_files(path).take(MOST_COUNTED).count() {
            0 => Ok(()),
            files => Err(target.holds(files)),
        },
        _ => Ok(()),
    }
}

/// The number of files in the folder `target`, of which at most [`MOST_COUNTED`] are counted.
///
/// # Errors
/// A target that is no folder.
pub(super) fn count_files(target: &Target, path: &Path) -> Result<usize> {
    check(target, path)?;
    Ok(if path.exists() { data_files(path).take(MOST_COUNTED).count() } else { 0 })
}

/// Removes what these processes and runs have left in a folder that they wrote to before they were killed.
pub(in crate::write) fn remove_hidden(folder: &Path, owners: &[String]) {
    let left = fs::read_dir(folder).into_iter().flatten().flatten().filter(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let owner = name.strip_prefix(HIDDEN).and_then(|rest| Some(rest.split_once('-')?.0));
        owner.is_some_and(|owner| owners.iter().any(|one| one == owner))
    });
    for entry in left {
        // What can't be removed is hidden, and its name tells what it is.
        let _ = fs::remove_dir_all(entry.path());
    }
}

/// The files of a folder and its partitions. As in listings, links are followed.
fn data_files(folder: &Path) -> impl Iterator<Item = io::Result<PathBuf>> {
    let entries = WalkDir::new(folder).min_depth(1).follow_links(true).into_iter();
    let data = entries
        .filter_entry(|entry| is_data(&entry.file_name().to_string_lossy(), entry.file_type().is_dir()));
    data.filter_map(|entry| match entry {
        Ok(entry) => entry.file_type().is_file().then(|| Ok(entry.into_path())),
        Err(error) => Some(Err(error.into())),
    })
}

fn create_missing(folder: &Path, created: &mut Vec<PathBuf>) -> io::Result<()> {
    let missing: Vec<_> = folder.ancestors().take_while(|folder| !folder.exists()).collect();
    for folder in missing.into_iter().rev() {
        match fs::create_dir(folder) {
            Ok(()) => created.push(folder.to_owned()),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn create_hidden(parent: &Path, owner: &str) -> io::Result<PathBuf> {
    /// The number of the process's next statement.
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = parent.join(format!("{HIDDEN}{owner}-{number}"));
        match fs::create_dir(&folder) {
            Ok(()) => return Ok(folder),
            // Left by a process with the same number, or of another process of the run.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}

/// Locks a folder against other statements until the result is dropped. Waits only a moment: not all file systems have
/// locks, and a program that runs this one may hold it.
fn lock(folder: &Path) -> Option<File> {
    let file = File::open(folder).ok()?;
    let start = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Some(file),
            Err(TryLockError::WouldBlock) if start.elapsed() < PATIENCE => thread::sleep(RETRY),
            Err(_) => return None,
        }
    }
}
