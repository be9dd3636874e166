//! What a thread's time goes to: each moment counts for one activity, so that all of them add up to the thread's life.
//!
//! ```text
//!  input_wait ─┬─ argument ─┬─ decode ─┬─ argument ─┬─ infer ─┬─ argument ─┬─ input_wait
//!              └────────────┴──────────┴─ one reading of the system's clock at each change
//! ```
//!
//! An activity that begins within another one interrupts it. Nothing is read or counted in a build with the environment
//! variable `SEEQUEL_UNACCOUNTED`, which `benches/accounting.py` makes to measure what accounting costs.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use datafusion::physical_plan::metrics::Time;

/// Whether times are counted.
pub(crate) const ACCOUNTED: bool = option_env!("SEEQUEL_UNACCOUNTED").is_none();

/// The clock of one thread, or of one piece of its work. It counts until it is dropped.
#[derive(Debug)]
pub(crate) struct Clock {
    activity: RefCell<Time>,
    /// When what has not been counted yet began.
    since: Cell<Option<Instant>>,
}

impl Clock {
    /// A clock that begins with `activity`.
    pub(crate) fn start(activity: &Time) -> Self {
        Self { activity: RefCell::new(activity.clone()), since: Cell::new(now()) }
    }

    /// Counts for `activity` until what is returned is dropped; then what was interrupted goes on.
    pub(crate) fn during(&self, activity: &Time) -> Interruption<'_> {
        let interrupted = Some(self.change(activity.clone()));
        Interruption { clock: self, interrupted, began: self.since.get() }
    }

    /// As [`Self::during`], from when the last activity ended, without another reading of the system's clock: for one that
    /// begins a moment after that, once for each image.
    pub(crate) fn next(&self, activity: &Time) -> Interruption<'_> {
        let interrupted = Some(self.activity.replace(activity.clone()));
        Interruption { clock: self, interrupted, began: self.since.get() }
    }

    /// Counts for `activity` from now on.
    pub(crate) fn turn_to(&self, activity: &Time) {
        self.change(activity.clone());
    }

    /// Adds what has not been counted yet.
    pub(crate) fn count(&self) {
        let now = now();
        if let (Some(since), Some(now)) = (self.since.replace(now), now) {
            self.activity.borrow().add_duration(now.saturating_duration_since(since));
        }
    }

    fn change(&self, activity: Time) -> Time {
        self.count();
        self.activity.replace(activity)
    }
}

/// For work that nobody accounts for.
impl Default for Clock {
    fn default() -> Self {
        Self::start(&Time::new())
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        self.count();
    }
}

/// An activity in progress, within another one.
#[derive(Debug)]
#[must_use = "dropping it ends the activity"]
pub(crate) struct Interruption<'a> {
    clock: &'a Clock,
    /// What goes on then, until it does.
    interrupted: Option<Time>,
    began: Option<Instant>,
}

impl Interruption<'_> {
    /// Ends the activity; returns how long it took, with what interrupted it.
    pub(crate) fn end(self) -> Duration {
        let Self { clock, began, .. } = &self;
        let (clock, began) = (*clock, *began);
        drop(self);
        let (Some(began), Some(ended)) = (began, clock.since.get()) else { return Duration::ZERO };
        ended.saturating_duration_since(began)
    }
}

impl Drop for Interruption<'_> {
    fn drop(&mut self) {
        if let Some(interrupted) = self.interrupted.take() {
            self.clock.change(interrupted);
        }
    }
}

fn now() -> Option<Instant> {
    ACCOUNTED.then(Instant::now)
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;

    use super::*;

    #[test]
    fn activities_add_up_to_the_life_of_the_clock() {
        let [outer, inner, innermost] = [Time::new(), Time::new(), Time::new()];
        let started = Instant::now();
        let clock = Clock::start(&outer);
        let first = started.elapsed();
        sleep(Duration::from_millis(2));
        let interruption = clock.during(&inner);
        sleep(Duration::from_millis(3));
        {
            let _interruption = clock.during(&innermost);
            sleep(Duration::from_millis(2));
        }
        {
            let _interruption = clock.next(&innermost);
            sleep(Duration::from_millis(2));
        }
        let took = interruption.end();
        sleep(Duration::from_millis(1));
        let least = started.elapsed() - first;
        drop(clock);
        let most = started.elapsed();
        let [outer, inner, innermost] =
            [outer, inner, innermost].map(|time| Duration::from_nanos(time.value() as u64));
        assert!(
            (least..=most).contains(&(outer + inner + innermost)),
            "{outer:?} {inner:?} {innermost:?} {most:?}"
        );
        assert!(
            outer >= Duration::from_millis(3) && inner >= Duration::from_millis(3),
            "{outer:?} {inner:?}"
        );
        assert!(innermost >= Duration::from_millis(4) && took == inner + innermost, "{innermost:?} {took:?}");
    }
}
