//! Where the time of an operator goes that works on several morsels at once and emits them in order.
//!
//! ```text
//!  lane 0  ├ input_wait ┼── morsel 0 ──┼ input_wait ┼── morsel 2 ──┼ …
//!  lane 1  ├ input_wait ───┼ morsel 1 ┼ output_wait ┼ input_wait ┼── morsel 3 ──┼ …
//! ```
//!
//! A morsel is in a lane from its arrival until it is emitted. A lane is to the accounts what a worker's thread is above an
//! exchange: it waits for a morsel and for a thread that works on it, and then for the morsels before it and the reader.

use std::sync::Arc;

use datafusion::physical_plan::metrics::Time;
use parking_lot::Mutex;

use super::metrics::InferMetrics;
use crate::clock::Clock;

/// The lanes of one partition. Clones are of the same; the last one to be dropped ends them.
#[derive(Debug, Clone)]
pub(super) struct Lanes {
    free: Arc<Mutex<Vec<Lane>>>,
    worker_time: Time,
    input_wait_time: Time,
}

/// A lane, which waits for input unless it is told otherwise.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) clock: Clock,
    life: Clock,
}

impl Lanes {
    /// As many lanes as morsels can be in flight.
    pub(super) fn new(in_flight: usize, metrics: &InferMetrics) -> Self {
        let InferMetrics { worker_time, input_wait_time, .. } = metrics.clone();
        let lanes = Self { free: Arc::default(), worker_time, input_wait_time };
        lanes.free.lock().extend((0..in_flight).map(|_| lanes.lane()));
        lanes
    }

    fn lane(&self) -> Lane {
        Lane { clock: Clock::start(&self.input_wait_time), life: Clock::start(&self.worker_time) }
    }

    /// A free lane, for a morsel that has arrived.
    pub(super) fn take(&self) -> Lane {
        let free = self.free.lock().pop();
        free.unwrap_or_else(|| self.lane())
    }

    /// Frees the lane of a morsel that was emitted.
    pub(super) fn give_back(&self, lane: Lane) {
        lane.life.count();
        lane.clock.turn_to(&self.input_wait_time);
        self.free.lock().push(lane);
    }
}
