//! A bound on the bytes being read, reserved in the session's memory pool.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use tokio::sync::Notify;

use crate::memory_limit::waiting_bytes;

/// Bytes that one scan may have in flight. A single request may exceed it: a file larger than the budget is read
/// alone, and so is one for which other operators leave no memory, so that the scan goes on whatever they hold.
#[derive(Debug)]
pub(crate) struct ByteBudget {
    limit: usize,
    reservation: MemoryReservation,
    /// Bytes that are still taken from the pool: unlike the reservation's size, it shrinks after the pool has them back.
    in_flight: AtomicUsize,
    released: Notify,
}

impl ByteBudget {
    /// A budget of `limit` bytes, and a quarter of the pool's at most, reserved in `pool` as they are used.
    pub(crate) fn new(limit: usize, pool: &Arc<dyn MemoryPool>) -> Self {
        let reservation = MemoryConsumer::new("ImagesExec").register(pool);
        let limit = waiting_bytes(limit, pool.as_ref());
        Self { limit, reservation, in_flight: AtomicUsize::new(0), released: Notify::new() }
    }

    /// Waits until another `bytes`, no more than the memory limit, may be in flight. Must be called by one task at a time.
    pub(crate) async fn acquire(self: &Arc<Self>, bytes: usize) -> Permit {
        loop {
            let in_flight = self.in_flight.load(Ordering::Acquire);
            let is_admitted = match in_flight {
                0 => {
                    self.reservation.grow(bytes);
                    true
                }
                _ if in_flight.saturating_add(bytes) > self.limit => false,
                _ => self.reservation.try_grow(bytes).is_ok(),
            };
            if is_admitted {
                self.in_flight.fetch_add(bytes, Ordering::AcqRel);
                return Permit { bytes, budget: Arc::clone(self) };
            }
            self.released.notified().await;
        }
    }
}

/// Bytes in flight, released on drop.
#[derive(Debug)]
pub(crate) struct Permit {
    bytes: usize,
    budget: Arc<ByteBudget>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.budget.reservation.shrink(self.bytes);
        self.budget.in_flight.fetch_sub(self.bytes, Ordering::AcqRel);
        self.budget.released.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use datafusion::execution::memory_pool::{GreedyMemoryPool, UnboundedMemoryPool};
    use futures::FutureExt;

    use super::*;

    fn budget(limit: usize, pool: impl MemoryPool + 'static) -> Arc<ByteBudget> {
        let pool: Arc<dyn MemoryPool> = Arc::new(pool);
        Arc::new(ByteBudget::new(limit, &pool))
    }

    #[tokio::test]
    async fn waits_until_bytes_are_released() {
        let budget = budget(100, UnboundedMemoryPool::default());
        let first = budget.acquire(60).await;
        let mut second = Box::pin(budget.acquire(60));
        assert!((&mut second).now_or_never().is_none());
        drop(first);
        second.await;
    }

    #[tokio::test]
    async fn a_request_larger_than_the_budget_is_granted_alone() {
        let budget = budget(100, UnboundedMemoryPool::default());
        let large = budget.acquire(1000).await;
        assert!(budget.acquire(1).now_or_never().is_none());
        drop(large);
        budget.acquire(1).await;
    }

    #[tokio::test]
    async fn what_others_hold_leaves_room_for_one_request() {
        let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(100));
        let others = MemoryConsumer::new("others").register(&pool);
        others.grow(90);
        let budget = Arc::new(ByteBudget::new(100, &pool));
        let first = budget.acquire(20).await;
        assert_eq!(pool.reserved(), 110);
        let mut second = Box::pin(budget.acquire(1));
        assert!((&mut second).now_or_never().is_none());
        drop(first);
        drop(second.await);
        assert_eq!(pool.reserved(), 90);
    }

    #[tokio::test]
    async fn a_quarter_of_the_pool_bounds_it() {
        let budget = budget(100, GreedyMemoryPool::new(200));
        let first = budget.acquire(30).await;
        assert!(budget.acquire(21).now_or_never().is_none());
        assert!(budget.acquire(20).now_or_never().is_some());
        drop(first);
    }
}
