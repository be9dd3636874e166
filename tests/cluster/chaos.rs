//! Executors that are killed, stopped, stalled, or whose disk fails or is emptied, while they run a COPY: each row comes once,
//! and nothing is left besides the result.
//!
//! ```text
//!  seed ─► moments, and what happens to which executor ─► COPY of 1,000 photos ─► count(*) = count(DISTINCT path)
//! ```
//!
//! `make chaos ARGS="--seeds 50 --seed 7"` runs as many as one likes.

use std::fs;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::alone;
use super::processes::Cluster;
use super::resume::assert_nothing_left;
use crate::random_sql::Choices;
use crate::support::process::{Outcome, seequel, start};
use crate::support::{argument, folder_of};

const PHOTOS: usize = 1000;
const COPY: &str = "CREATE MODEL tiny FROM '$ONNX/transformer.onnx' OPTIONS (task 'image-classification');
    COPY (SELECT path, classify(image, 'tiny') AS p FROM read_images('*.jpg')) TO 'out/' STORED AS PARQUET";
/// Whose parts tasks write.
const RESUME: &str = "OPTIONS (resume 'path')";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    /// As a power failure would end it.
    Killed,
    /// As its user would.
    Stopped,
    /// For longer or shorter than the scheduler waits for a sign of life.
    Stalled { milliseconds: u64 },
    /// Its results are deleted, and it goes on.
    Emptied,
    /// It can't write or read results for a while.
    Failing { milliseconds: u64 },
}

/// What happens to an executor after a while, each time to an executor that was not touched yet, or to its successor.
#[derive(Debug)]
struct Chaos {
    events: Vec<(Duration, usize, Event)>,
}

impl Chaos {
    /// Within about `long`.
    fn new(choices: &mut Choices, long: Duration) -> Self {
        let count = 1 + choices.below(3);
        let event = |choices: &mut Choices| {
            let wait = long.mul_f64(choices.below(1000) as f64 / 1000.0 / count as f64);
            let event = match choices.below(7) {
                0..=2 => Event::Killed,
                3 => Event::Stopped,
                4 => Event::Stalled { milliseconds: *choices.pick(&[300, 3000, 13_000]) },
                5 => Event::Emptied,
                _ => Event::Failing { milliseconds: *choices.pick(&[300, 3000]) },
            };
            (wait, choices.below(2), event)
        };
        Self { events: (0..count).map(|_| event(choices)).collect() }
    }

    /// One event of a kind at a moment of the COPY.
    fn once(choices: &mut Choices, long: Duration, event: Event) -> Self {
        let wait = long.mul_f64(choices.below(1000) as f64 / 1000.0);
        Self { events: vec![(wait, choices.below(2), event)] }
    }
}

/// COPY on a cluster of two executors.
struct Copying {
    cluster: Cluster,
    folder: TempDir,
    options: &'static str,
}

impl Copying {
    fn new(options: &'static str) -> Self {
        Self { cluster: Cluster::start(2), folder: folder_of(PHOTOS), options }
    }

    /// Runs it, and returns how long it took.
    fn run(&mut self, chaos: &Chaos) -> Duration {
        let began = Instant::now();
        let copy = COPY.replace("$ONNX", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/models"));
        let sql = format!("{copy} {}", self.options);
        let arguments = ["--cluster", &self.cluster.url, "-q", "-c", &sql];
        let (child, _watchdog) = start(&mut seequel(self.folder.path(), &arguments), Stdio::null());
        for (wait, executor, event) in &chaos.events {
            thread::sleep(*wait);
            match event {
                Event::Killed => self.cluster.kill_executor(*executor),
                Event::Stopped => self.cluster.begin_stop(*executor),
                Event::Stalled { milliseconds } => {
                    self.cluster.stall_executor(*executor, Duration::from_millis(*milliseconds));
                }
                Event::Emptied => self.cluster.empty_executor(*executor),
                Event::Failing { milliseconds } => {
                    self.cluster.fail_disk(*executor, Duration::from_millis(*milliseconds));
                }
            }
            if matches!(event, Event::Killed | Event::Stopped) {
                self.cluster.replace_executor(*executor);
            }
        }
        let ran: Outcome = child.wait_with_output().unwrap().into();
        let took = began.elapsed();
        assert_eq!(ran.status, Some(0), "{chaos:?}: {}\n{}", ran.stderr, self.cluster.logs());
        let counts =
            "SELECT count(*) AS n, count(DISTINCT path) AS paths, count(p['confidence']) AS p FROM 'out/'";
        let counted = alone(self.folder.path(), counts).stdout();
        assert_eq!(counted, format!("n,paths,p\n{PHOTOS},{PHOTOS},{PHOTOS}\n"), "{chaos:?}");
        if self.options == RESUME {
            assert_nothing_left(self.folder.path());
        }
        fs::remove_dir_all(self.folder.path().join("out")).unwrap();
        let left = fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let left: Vec<_> = left.filter(|name| name != ".cache").collect();
        assert_eq!(left.len(), PHOTOS, "{chaos:?}: {left:?}");
        took
    }
}

fn choices(seed: u64) -> Choices {
    Choices::random(seed.wrapping_mul(0x5851_f42d_4c95_7f2d))
}

#[test]
fn a_copy_survives_an_executor_that_is_killed_or_stopped() {
    let mut copying = Copying::new("");
    let long = copying.run(&Chaos { events: vec![] });
    for (seed, event) in [(1, Event::Killed), (2, Event::Killed), (3, Event::Killed), (4, Event::Stopped)] {
        copying.run(&Chaos::once(&mut choices(seed), long, event));
    }
}

#[test]
fn a_copy_survives_chaos() {
    let mut copying = Copying::new("");
    let long = copying.run(&Chaos { events: vec![] });
    for seed in 0..3 {
        copying.run(&Chaos::new(&mut choices(seed), long));
    }
}

/// Ballista would give a task to the executor that failed it, which has nothing else to do, until the query fails.
#[test]
fn a_copy_survives_an_executor_whose_disk_fails() {
    let mut copying = Copying::new("");
    for executor in 0..2 {
        let failing = Event::Failing { milliseconds: 3000 };
        copying.run(&Chaos { events: vec![(Duration::from_millis(300), executor, failing)] });
    }
}

#[test]
fn parts_that_tasks_write_survive_chaos() {
    let mut copying = Copying::new(RESUME);
    let long = copying.run(&Chaos { events: vec![] });
    for seed in 3..6 {
        copying.run(&Chaos::new(&mut choices(seed), long));
    }
}

/// `--seeds N --seed S` are in the variable `ARGS`, as `make chaos` sets it.
#[test]
#[ignore = "takes minutes: make chaos"]
fn a_copy_survives_the_chaos_of_many_seeds() {
    survives_many_seeds("");
}

#[test]
#[ignore = "takes minutes: make chaos"]
fn parts_that_tasks_write_survive_the_chaos_of_many_seeds() {
    survives_many_seeds(RESUME);
}

fn survives_many_seeds(options: &'static str) {
    let (seeds, first) = (argument("--seeds", 50), argument("--seed", 1) * 1_000_000);
    let mut copying = Copying::new(options);
    let long = copying.run(&Chaos { events: vec![] });
    for seed in 0..10 {
        let (mut killed, mut stopped) = (choices(seed), choices(seed + 10));
        copying.run(&Chaos::once(&mut killed, long, Event::Killed));
        copying.run(&Chaos::once(&mut stopped, long, Event::Stopped));
    }
    println!("10 kills, 10 stops within {long:?}");
    for seed in first..first + seeds {
        let chaos = Chaos::new(&mut choices(seed), long);
        let took = copying.run(&chaos);
        println!("seed {seed}: {:.1} s, {:?}", took.as_secs_f64(), chaos.events);
    }
}
