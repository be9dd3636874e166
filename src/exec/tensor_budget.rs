//! Memory for the tensors that an operator's workers fill: reserved in the session's pool, and waited for.

use std::time::Duration;

use datafusion::error::Result;
use datafusion::execution::memory_pool::MemoryReservation;
use parking_lot::{Condvar, Mutex};

/// How long a worker waits before it asks the pool again: others than our own workers free memory too.
const RETRY: Duration = Duration::from_millis(50);

/// The workers of one operator that hold memory for tensors.
#[derive(Debug, Default)]
pub(crate) struct TensorBudget {
    holders: Mutex<usize>,
    given_back: Condvar,
}

impl TensorBudget {
    /// Reserves what `bytes(most)` says for `most` images, or for half as many, down to one. If the pool refuses even
    /// that, waits for a worker that holds memory; fails if none does. Blocks. `check` ends the waiting.
    pub(crate) fn reserve(
        &self,
        reservation: MemoryReservation,
        mut most: usize,
        bytes: impl Fn(usize) -> Result<usize>,
        check: impl Fn() -> Result<()>,
    ) -> Result<Tensors<'_>> {
        loop {
            let refused = match reservation.try_resize(bytes(most)?) {
                Ok(()) => {
                    *self.holders.lock() += 1;
                    return Ok(Tensors { most, budget: self, reservation });
                }
                Err(refused) => refused,
            };
            if most > 1 {
                most /= 2;
                continue;
            }
            let mut holders = self.holders.lock();
            if *holders == 0 {
                return Err(refused);
            }
            self.given_back.wait_for(&mut holders, RETRY);
            drop(holders);
            check()?;
        }
    }
}

/// Memory for tensors; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Tensors<'a> {
    /// Images that a tensor may hold.
    pub(crate) most: usize,
    budget: &'a TensorBudget,
    reservation: MemoryReservation,
}

impl Drop for Tensors<'_> {
    fn drop(&mut self) {
        self.reservation.free();
        *self.budget.holders.lock() -= 1;
        self.budget.given_back.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::execution::memory_pool::{GreedyMemoryPool, MemoryConsumer, MemoryPool};

    use super::*;

    fn reserve<'a>(budget: &'a TensorBudget, pool: &Arc<dyn MemoryPool>, most: usize) -> Result<Tensors<'a>> {
        budget.reserve(MemoryConsumer::new("test").register(pool), most, |most| Ok(most * 100), || Ok(()))
    }

    #[test]
    fn a_small_pool_makes_small_batches() -> Result<()> {
        let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(500));
        let budget = TensorBudget::default();
        assert_eq!(reserve(&budget, &pool, 32)?.most, 4);
        assert_eq!(pool.reserved(), 0);
        Ok(())
    }

    #[test]
    fn a_pool_too_small_for_one_image_is_an_error() {
        let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(99));
        assert!(reserve(&TensorBudget::default(), &pool, 32).is_err());
    }

    #[test]
    fn the_last_worker_waits_for_the_first() -> Result<()> {
        let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(100));
        let budget = TensorBudget::default();
        let first = reserve(&budget, &pool, 1)?;
        std::thread::scope(|scope| {
            let second = scope.spawn(|| reserve(&budget, &pool, 1).map(|tensors| tensors.most));
            drop(first);
            assert_eq!(second.join().unwrap().unwrap(), 1);
        });
        Ok(())
    }
}
