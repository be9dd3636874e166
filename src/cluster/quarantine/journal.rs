//! What a process has in hand, in a file that outlives it.
//!
//! ```text
//!  lane of a worker, 64 KiB:  generation, flags, bytes, hash, place, length, name │ generation, … │ …
//! ```
//!
//! A row is one write behind those that are in hand, without a copy in the process: the kernel has it when the process is gone.
//! Entries count as long as they have the generation of the first; to put all down is to begin with the next generation.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use parking_lot::Mutex;

use super::record::Row;

const NAME: &str = "journal";
const LANE_BYTES: usize = 64 << 10;
/// Workers that write at a time; what others have in hand is not known.
const LANES: usize = 512;
const HEAD_BYTES: usize = 36;
/// The longest path of most systems. What is behind it is cut off.
const NAME_BYTES: usize = 4096;

/// The journal of a process.
#[derive(Debug)]
pub(super) struct Journal(Arc<Lanes>);

#[derive(Debug)]
struct Lanes {
    file: File,
    generation: AtomicU32,
    free: Mutex<Vec<usize>>,
}

/// What the journal of a process that has ended tells of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) row: Row,
    /// The hash of its images, if it was alone.
    pub(super) alone: Option<u64>,
}

/// A name as the journal has it.
pub(super) fn name(name: &str) -> &str {
    &name[..name.floor_char_boundary(NAME_BYTES)]
}

impl Journal {
    pub(super) fn create(folder: &Path) -> std::io::Result<Self> {
        let file = File::create(folder.join(NAME))?;
        let free = Mutex::new((0..LANES).rev().collect());
        Ok(Self(Arc::new(Lanes { file, generation: AtomicU32::new(1), free })))
    }

    pub(super) fn lane(&self) -> Option<JournalLane> {
        let number = self.0.free.lock().pop()?;
        let generation = self.0.generation.fetch_add(1, Relaxed);
        Some(JournalLane { lanes: Arc::clone(&self.0), number, next: Mutex::new((0, generation)) })
    }

    /// What was in hand at the end of the process whose journal it is; nothing if it wrote none.
    ///
    /// # Errors
    /// A file that can't be read.
    pub(super) fn read(folder: &Path) -> std::io::Result<Vec<Entry>> {
        let mut file = match File::open(folder.join(NAME)) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(vec![]),
            Err(error) => return Err(error),
        };
        let (mut entries, mut lane) = (vec![], vec![0; LANE_BYTES]);
        for number in 0..LANES {
            file.seek(SeekFrom::Start((number * LANE_BYTES) as u64))?;
            let (mut length, mut read) = (0, 1);
            while read > 0 && length < LANE_BYTES {
                read = file.read(&mut lane[length..])?;
                length += read;
            }
            if length == 0 {
                break;
            }
            entries.extend(in_hand(&lane[..length]));
        }
        Ok(entries)
    }
}

/// The entries of a lane.
fn in_hand(mut lane: &[u8]) -> Vec<Entry> {
    let (mut entries, mut first) = (vec![], None);
    while let Some((entry, generation, rest)) = entry(lane) {
        if generation == 0 || *first.get_or_insert(generation) != generation {
            break;
        }
        entries.push(entry);
        lane = rest;
    }
    entries
}

fn entry(bytes: &[u8]) -> Option<(Entry, u32, &[u8])> {
    let (generation, bytes) = bytes.split_first_chunk()?;
    let (is_alone, bytes) = bytes.split_first_chunk::<4>()?;
    let (size, bytes) = bytes.split_first_chunk()?;
    let (hash, bytes) = bytes.split_first_chunk()?;
    let (place, bytes) = bytes.split_first_chunk()?;
    let (length, bytes) = bytes.split_first_chunk()?;
    let (name, rest) = bytes.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    let name = String::from_utf8_lossy(name).into_owned();
    let row = Row { place: u64::from_le_bytes(*place), name, bytes: u64::from_le_bytes(*size) };
    let alone = (*is_alone != [0; 4]).then(|| u64::from_le_bytes(*hash));
    Some((Entry { row, alone }, u32::from_le_bytes(*generation), rest))
}

/// What one worker has in hand.
#[derive(Debug)]
pub(super) struct JournalLane {
    lanes: Arc<Lanes>,
    number: usize,
    /// Where the next entry goes, and its generation.
    next: Mutex<(usize, u32)>,
}

impl JournalLane {
    /// Adds a row, with the hash of its images if it is alone. One for which there is no room is not known.
    pub(super) fn take(&self, row: &Row, alone: Option<u64>) {
        let mut next = self.next.lock();
        let (position, generation) = *next;
        let mut entry = Vec::with_capacity(HEAD_BYTES + row.name.len());
        entry.extend(generation.to_le_bytes());
        entry.extend(u32::from(alone.is_some()).to_le_bytes());
        entry.extend(row.bytes.to_le_bytes());
        entry.extend(alone.unwrap_or_default().to_le_bytes());
        entry.extend(row.place.to_le_bytes());
        // At most a few KiB.
        entry.extend((row.name.len() as u32).to_le_bytes());
        entry.extend(row.name.as_bytes());
        if position + entry.len() <= LANE_BYTES {
            self.write(position, &entry);
            next.0 += entry.len();
        }
    }

    /// The next row is the only one.
    pub(super) fn put_down(&self) {
        *self.next.lock() = (0, self.lanes.generation.fetch_add(1, Relaxed));
    }

    fn write(&self, position: usize, bytes: &[u8]) {
        let place = (self.number * LANE_BYTES + position) as u64;
        if let Err(error) = self.lanes.file.write_all_at(bytes, place) {
            tracing::debug!("what is in hand is not written down: {error}");
        }
    }
}

impl Drop for JournalLane {
    fn drop(&mut self) {
        self.write(0, &[0; 4]);
        self.lanes.free.lock().push(self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str) -> Row {
        Row { place: 7, name: name.to_owned(), bytes: 100 }
    }

    fn names(folder: &Path) -> Vec<String> {
        Journal::read(folder).unwrap().into_iter().map(|entry| entry.row.name).collect()
    }

    #[test]
    fn what_is_in_hand_is_read_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(names(folder.path()), [""; 0]);
        let journal = Journal::create(folder.path()).unwrap();
        let (one, other) = (journal.lane().unwrap(), journal.lane().unwrap());
        ["a", "a long name", "c"].iter().for_each(|name| one.take(&row(name), None));
        other.take(&row("d"), Some(5));
        assert_eq!(names(folder.path()), ["a", "a long name", "c", "d"]);
        let last = Journal::read(folder.path()).unwrap().pop();
        assert_eq!(last, Some(Entry { row: row("d"), alone: Some(5) }));
        // As long as the worker has nothing else, the last is known.
        one.put_down();
        one.take(&row("e"), None);
        assert_eq!(names(folder.path()), ["e", "d"]);
        drop(one);
        assert_eq!(names(folder.path()), ["d"]);
        journal.lane().unwrap().take(&row("f"), None);
        drop(other);
        assert_eq!(names(folder.path()), [""; 0]);
    }

    #[test]
    fn what_has_no_room_is_not_known() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::create(folder.path()).unwrap();
        let lane = journal.lane().unwrap();
        let long = "é".repeat(4000);
        (0..100).for_each(|_| lane.take(&row(name(&long)), None));
        let known = names(folder.path());
        assert!(known.len() > 10 && known.len() < 17, "{}", known.len());
        assert!(known.iter().all(|known| *known == "é".repeat(2048)));
        let lanes: Vec<_> = (0..2 * LANES).map_while(|_| journal.lane()).collect();
        assert_eq!(lanes.len(), LANES - 1);
    }
}
