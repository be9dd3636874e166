//! Images that a process dies of: what it had in hand when it died, and which of these it is.
//!
//! ```text
//!  child ── writes what it has in hand ──► journal ─┐
//!    dies                                           ├─► supervisor ─► record: suspects, convicts ─► next child
//!  which row it was alone with, if with one ────────┘                                                tries suspects alone
//! ```
//!
//! A decoder or a model that crashes takes the process with it, and the kernel may kill the process that needs the most memory.
//! Who was in hand is suspected. The next process works on each suspect alone; if it survives, the suspect is none any more,
//! and if it dies again, it is known of what. Whoever kills a process for another reason makes suspects, and no convicts.
//!
//! A row is known by its name, the bytes of its images and what is computed of it: a file that was mended is another. All
//! is forgotten when the executor ends, since another version of it may survive.

mod gate;
mod journal;
mod record;

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use datafusion::error::Result;
use parking_lot::Mutex;

use crate::exec::{Guard, GuardedRow, Lane, Verdict};
use gate::{Gate, Inside};
use journal::{Journal, JournalLane};
use record::{Record, Row};

pub(super) use record::{Crash, after_crash};

/// The guard of a process that has a supervisor.
#[derive(Debug)]
pub(super) struct Quarantine {
    journal: Journal,
    gate: Arc<Gate>,
    record: Mutex<Record>,
    /// Whether there are no suspects and no convicts.
    is_idle: AtomicBool,
    /// By what is compared first.
    convicts: HashMap<Row, Vec<(u64, String)>>,
    folder: PathBuf,
}

impl Quarantine {
    /// That of a process whose supervisor has this folder.
    ///
    /// # Errors
    /// Files that can't be read or written there.
    pub(super) fn open(folder: &Path) -> std::io::Result<Self> {
        let record = Record::read(folder)?;
        let mut convicts: HashMap<Row, Vec<(u64, String)>> = HashMap::new();
        for convict in &record.convicts {
            let known = convicts.entry(convict.row.clone()).or_default();
            known.push((convict.hash, convict.reason.clone()));
        }
        Ok(Self {
            journal: Journal::create(folder)?,
            gate: Arc::default(),
            is_idle: AtomicBool::new(record.is_empty()),
            convicts,
            record: Mutex::new(record),
            folder: folder.to_owned(),
        })
    }

    /// Notes that a row of a place was worked on, and the process is alive.
    fn survived(&self, place: u64) {
        let mut record = self.record.lock();
        if !record.survived.contains(&place) {
            record.survive(place);
            self.write(&record);
        }
    }

    fn write(&self, record: &Record) {
        if let Err(error) = record.write(&self.folder) {
            tracing::warn!("who is suspected is not written down: {error}");
        }
    }

    /// A suspect that the process has survived is none.
    fn clear(&self, row: &Row) {
        let mut record = self.record.lock();
        record.suspects.retain(|suspect| suspect != row);
        self.is_idle.store(record.is_empty(), Relaxed);
        self.write(&record);
    }
}

impl Row {
    fn of(row: &GuardedRow<'_>) -> Self {
        let bytes = row.images.iter().map(|image| image.len() as u64).sum();
        Self { place: row.place, name: journal::name(&row.name).to_owned(), bytes }
    }
}

/// The hash of a row's images, the same in all processes.
fn hash(row: &GuardedRow<'_>) -> u64 {
    let mut hasher = DefaultHasher::new();
    row.images.iter().for_each(|image| hasher.write(image));
    hasher.finish()
}

impl Guard for Quarantine {
    fn is_idle(&self) -> bool {
        self.is_idle.load(Relaxed)
    }

    fn verdict(&self, row: &GuardedRow<'_>) -> Verdict {
        let known = Row::of(row);
        if let Some(convicts) = self.convicts.get(&known) {
            let hash = hash(row);
            if let Some((_, reason)) = convicts.iter().find(|(convict, _)| *convict == hash) {
                return Verdict::Convicted(reason.clone());
            }
        }
        match self.record.lock().suspects.contains(&known) {
            true => Verdict::Suspected,
            false => Verdict::Unknown,
        }
    }

    fn begin(self: Arc<Self>, is_alone: bool, check: &dyn Fn() -> Result<()>) -> Result<Box<dyn Lane>> {
        let inside = Arc::clone(&self.gate).enter(is_alone, check)?;
        let lane = self.journal.lane();
        let last = Mutex::default();
        Ok(Box::new(Hand { quarantine: self, lane, is_alone, last, _inside: inside }))
    }
}

/// What a worker has in hand.
#[derive(Debug)]
struct Hand {
    quarantine: Arc<Quarantine>,
    /// `None` if too many workers write.
    lane: Option<JournalLane>,
    is_alone: bool,
    /// The row that was taken last.
    last: Mutex<Option<Row>>,
    _inside: Inside,
}

impl Lane for Hand {
    fn take(&self, row: &GuardedRow<'_>) {
        let known = Row::of(row);
        if let Some(lane) = &self.lane {
            lane.take(&known, self.is_alone.then(|| hash(row)));
        }
        *self.last.lock() = Some(known);
    }

    fn put_down(&self) {
        if let Some(row) = self.last.lock().as_ref() {
            self.quarantine.survived(row.place);
        }
        // To the end of its part a suspect is what the process dies of.
        if let Some(lane) = self.lane.as_ref().filter(|_| !self.is_alone) {
            lane.put_down();
        }
    }

    fn passed(&self) {
        let Some(row) = self.last.lock().take() else { return };
        self.quarantine.survived(row.place);
        if self.is_alone {
            self.quarantine.clear(&row);
        }
    }
}
