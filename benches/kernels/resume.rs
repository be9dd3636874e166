//! Ten million finished keys: the memory they take, and how many a second are looked up, of files that are finished and files
//! that are not; each beside its required value.

use std::hint::black_box;
use std::time::Instant;

use criterion::{Criterion, Throughput};
use seequel::resume::KeySet;

const FINISHED: usize = 10_000_000;
/// Bytes of memory that they may take.
const MOST_BYTES: usize = 400_000_000;
/// Keys to look up in a second, at the least.
const LEAST_SPEED: f64 = 300_000.0;
/// Files that one measurement looks up.
const FILES: usize = 10_000;
/// Files looked up for the line with the required value.
const ALL: usize = 1_000_000;

pub(crate) fn measure(criterion: &mut Criterion) {
    let finished = KeySet::of_paths((0..FINISHED).map(path));
    let mut group = criterion.benchmark_group("resume");
    group.throughput(Throughput::Elements(FILES as u64));
    for (name, first) in [("finished", 0), ("new", FINISHED)] {
        let paths = spread(first, FILES);
        group.bench_function(name, |bencher| {
            bencher.iter(|| paths.iter().filter(|path| finished.contains_path(black_box(path))).count());
        });
    }
    group.finish();
    let megabytes = |bytes| bytes / 1_000_000;
    let (bytes, most) = (finished.bytes(), MOST_BYTES);
    println!(
        "resume: {FINISHED} finished keys take {} MB; at most {} MB asked: {}",
        megabytes(bytes),
        megabytes(most),
        met(bytes <= most)
    );
    for (name, first) in [("finished", 0), ("new", FINISHED)] {
        let paths = spread(first, ALL);
        let start = Instant::now();
        black_box(paths.iter().filter(|path| finished.contains_path(path)).count());
        let speed = ALL as f64 / start.elapsed().as_secs_f64();
        println!(
            "resume: {speed:.0} {name} keys a second, one thread; at least {LEAST_SPEED} asked: {}",
            met(speed >= LEAST_SPEED)
        );
    }
}

/// `count` paths from `first` on, spread over the set, as a listing is.
fn spread(first: usize, count: usize) -> Vec<String> {
    (0..count).map(|number| path(first + number * (FINISHED / count))).collect()
}

fn path(number: usize) -> String {
    format!("/data/photos/2026/{:03}/{number:08}.jpg", number % 1000)
}

fn met(is_met: bool) -> &'static str {
    if is_met { "met" } else { "NOT MET" }
}
