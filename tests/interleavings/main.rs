//! The exchange's queue and the pool of sessions, with their threads taking turns in every order: each run is one order,
//! and an order that fails is printed, for `shuttle::replay`.
//!
//! ```text
//!  src/exec/exchange/{queue,morsel}.rs, src/model/runtime/pool.rs   the engine's own files, compiled once more
//!          │ parking_lot, async_channel, datafusion::common::runtime::JoinSet
//!          ▼
//!  primitives.rs ─► shuttle: one thread at a time, a choice of the next at each lock, wait, send and receive
//! ```
//!
//! Small cases run in all orders, larger ones in thousands of random ones, the same each time. A thread that waits for a
//! notification is not woken by its time-out, so that a lost one is a deadlock, which shuttle reports. Not covered are
//! orders inside one call of a channel, a semaphore or the memory pool, which are libraries'. The files' own unit tests
//! are left out: without Rust's harness nothing is left of a `#[test]`.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

// The files under test name these crates.
extern crate async_channel as real_async_channel;
extern crate datafusion as real_datafusion;

extern crate self as async_channel;
extern crate self as datafusion;
extern crate self as parking_lot;

#[expect(dead_code, unused_imports, reason = "the engine uses more of it, and its tests are left out")]
#[path = "../../src/clock.rs"]
mod clock;
mod exchange;
#[expect(dead_code, reason = "the engine uses more of it")]
#[path = "../../src/memory_limit.rs"]
mod memory_limit;
mod primitives;
mod sessions;

use libtest_mimic::{Arguments, Trial};
use shuttle::scheduler::{DfsScheduler, RandomScheduler};
use shuttle::{Config, Runner};

pub(crate) use primitives::{Condvar, Mutex, Receiver, Sender, bounded};
// What the files under test take from DataFusion.
pub(crate) use real_datafusion::{arrow, error, execution, physical_plan};

/// [`JoinSet`](primitives::JoinSet) in the place of DataFusion's.
pub(crate) mod common {
    pub(crate) use real_datafusion::common::exec_err;

    pub(crate) mod runtime {
        pub(crate) use crate::primitives::JoinSet;
    }
}

/// That of the engine has its own errors.
pub(crate) type Result<T, E = String> = std::result::Result<T, E>;

const SEED: u64 = 12;

/// Runs `test` in all orders.
fn in_all_orders(name: &str, test: fn()) -> Trial {
    Trial::test(name, move || {
        let orders = Runner::new(DfsScheduler::new(None, false), config()).run(test);
        println!("{orders} orders");
        Ok(())
    })
}

/// Runs `test` in this number of random orders.
fn in_random_orders(name: &str, orders: usize, test: fn()) -> Trial {
    Trial::test(name, move || {
        Runner::new(RandomScheduler::new_from_seed(SEED, orders), config()).run(test);
        Ok(())
    })
}

fn config() -> Config {
    let mut config = Config::new();
    // DataFusion's plans take more than the default.
    config.stack_size = 1 << 20;
    config
}

fn main() {
    let arguments = Arguments::from_args();
    let suites = [exchange::suite(), sessions::suite()];
    libtest_mimic::run(&arguments, suites.into_iter().flatten().collect()).exit();
}
