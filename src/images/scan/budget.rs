//! A bound on the bytes being read, reserved in the session's memory pool.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::error::Result;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use tokio::sync::Notify;

/// Bytes that one scan may have in flight. A single request may exceed it: a file larger than the budget is read
/// alone.
#[derive(Debug)]
pub(crate) struct ByteBudget {
    limit: usize,
    reservation: MemoryReservation,
    /// Bytes that are still taken from the pool: unlike the reservation's size, it shrinks after the pool has them back.
    in_flight: AtomicUsize,
    released: Notify,
}

impl ByteBudget {
    /// A budget of `limit` bytes, reserved in `pool` as they are used.
    pub(crate) fn new(limit: usize, pool: &Arc<dyn MemoryPool>) -> Self {
        let reservation = MemoryConsumer::new("ImagesExec").register(pool);
        Self { limit, reservation, in_flight: AtomicUsize::new(0), released: Notify::new() }
    }

    /// Waits until another `bytes` may be in flight. Must be called by one task at a time.
    ///
    /// # Errors
    /// If the memory pool refuses them while nothing is in flight.
    pub(crate) async fn acquire(self: &Arc<Self>, bytes: usize) -> Result<Permit> {
        loop {
            let in_flight = self.in_flight.load(Ordering::Acquire);
            if in_flight == 0 || in_flight.saturating_add(bytes) <= self.limit {
                match self.reservation.try_grow(bytes) {
                    Ok(()) => {
                        self.in_flight.fetch_add(bytes, Ordering::AcqRel);
                        return Ok(Permit { bytes, budget: Arc::clone(self) });
                    }
                    Err(error) if in_flight == 0 => return Err(error),
                    Err(_) => {}
                }
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
    async fn waits_until_bytes_are_released() -> Result<()> {
        let budget = budget(100, UnboundedMemoryPool::default());
        let first = budget.acquire(60).await?;
        let mut second = Box::pin(budget.acquire(60));
        assert!((&mut second).now_or_never().is_none());
        drop(first);
        second.await?;
        Ok(())
    }

    #[tokio::test]
    async fn a_request_larger_than_the_budget_is_granted_alone() -> Result<()> {
        let budget = budget(100, UnboundedMemoryPool::default());
        let large = budget.acquire(1000).await?;
        assert!(budget.acquire(1).now_or_never().is_none());
        drop(large);
        budget.acquire(1).await?;
        Ok(())
    }

    #[tokio::test]
    async fn waits_for_a_full_pool_and_fails_if_nothing_is_in_flight() -> Result<()> {
        let budget = budget(100, GreedyMemoryPool::new(50));
        let first = budget.acquire(40).await?;
        let mut second = Box::pin(budget.acquire(40));
        assert!((&mut second).now_or_never().is_none());
        drop(first);
        drop(second.await?);
        assert!(budget.acquire(60).await.is_err());
        Ok(())
    }
}
