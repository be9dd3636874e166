//! Memory of an operator's workers, for tensors and pixels: reserved in the session's pool, and waited for.
//!
//! A worker that is refused memory waits for another to give some back, as long as there is one that will: when all that
//! hold memory wait for more, the last to ask is refused.

use std::time::Duration;

use datafusion::error::Result;
use datafusion::execution::memory_pool::MemoryReservation;
use parking_lot::{Condvar, Mutex};

/// How long a worker waits before it asks the pool again: others than our own workers free memory too.
const RETRY: Duration = Duration::from_millis(50);

/// The workers of one operator that hold memory.
#[derive(Debug, Default)]
pub(crate) struct WorkerMemory {
    workers: Mutex<Workers>,
    given_back: Condvar,
}

#[derive(Debug, Default)]
struct Workers {
    /// Those with memory for tensors.
    holding: usize,
    /// Those of them that wait for more.
    waiting: usize,
}

impl WorkerMemory {
    /// Reserves what `bytes(most)` says for tensors of `most` images, or of half as many, down to one. Blocks where
    /// others hold the memory that is missing; `check` ends the waiting.
    ///
    /// # Errors
    /// If the pool refuses memory for one image and nobody will give any back; those of `bytes` and `check`.
    pub(crate) fn hold(
        &self,
        reservation: MemoryReservation,
        mut most: usize,
        bytes: impl Fn(usize) -> Result<usize>,
        check: impl Fn() -> Result<()>,
    ) -> Result<Held<'_>> {
        // Under the lock, "nobody holds memory" and "the pool refuses it" are about the same moment.
        let mut workers = self.workers.lock();
        loop {
            match reservation.try_resize(bytes(most)?) {
                Ok(()) => {
                    workers.holding += 1;
                    return Ok(Held { most, memory: self, tensors: reservation.size(), reservation });
                }
                Err(_) if most > 1 => most /= 2,
                Err(refused) if workers.holding == workers.waiting => return Err(refused),
                Err(_) => {
                    self.given_back.wait_for(&mut workers, RETRY);
                    check()?;
                }
            }
        }
    }
}

/// A worker's memory; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Held<'a> {
    /// Images that a tensor may hold.
    pub(crate) most: usize,
    memory: &'a WorkerMemory,
    /// Bytes that are held for tensors.
    tensors: usize,
    reservation: MemoryReservation,
}

impl Held<'_> {
    /// Reserves `bytes` for pixels on top. Blocks as [`WorkerMemory::hold`] does.
    ///
    /// # Errors
    /// If the pool refuses them and nobody will give any back; those of `check`.
    pub(crate) fn add_pixels(&self, bytes: usize, check: impl Fn() -> Result<()>) -> Result<()> {
        let mut workers = self.memory.workers.lock();
        workers.waiting += 1;
        let result = loop {
            match self.reservation.try_grow(bytes) {
                Ok(()) => break Ok(()),
                Err(refused) if workers.holding == workers.waiting => break Err(refused),
                Err(_) => {
                    self.memory.given_back.wait_for(&mut workers, RETRY);
                    if let Err(ended) = check() {
                        break Err(ended);
                    }
                }
            }
        };
        workers.waiting -= 1;
        result
    }

    /// Gives the pixels' memory back, and keeps the tensors'.
    pub(crate) fn drop_pixels(&self) {
        if self.reservation.size() > self.tensors {
            self.reservation.shrink(self.reservation.size() - self.tensors);
            self.memory.given_back.notify_all();
        }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.reservation.free();
        self.memory.workers.lock().holding -= 1;
        self.memory.given_back.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::execution::memory_pool::{GreedyMemoryPool, MemoryConsumer, MemoryPool};

    use super::*;

    fn reserve<'a>(memory: &'a WorkerMemory, pool: &Arc<dyn MemoryPool>, most: usize) -> Result<Held<'a>> {
        memory.hold(MemoryConsumer::new("test").register(pool), most, |most| Ok(most * 100), || Ok(()))
    }

    #[test]
    fn a_small_pool_makes_small_batches() -> Result<()> {
        let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(500));
        let memory = WorkerMemory::default();
        assert_eq!(reserve(&memory, &pool, 32)?.most, 4);
        assert_eq!(pool.reserved(), 0);
        Ok(())
    }

    #[test]
    fn a_pool_too_small_for_one_image_is_an_error() {
        let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(99));
        assert!(reserve(&WorkerMemory::default(), &pool, 32).is_err());
    }

    #[test]
    fn pixels_are_refused_when_nobody_will_give_memory_back() -> Result<()> {
        let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(500));
        let memory = WorkerMemory::default();
        let held = reserve(&memory, &pool, 1)?;
        held.add_pixels(400, || Ok(()))?;
        assert!(held.add_pixels(1, || Ok(())).is_err());
        held.drop_pixels();
        assert_eq!(pool.reserved(), 100);
        Ok(())
    }

    #[test]
    fn the_last_worker_waits_for_the_first() -> Result<()> {
        let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(100));
        let memory = WorkerMemory::default();
        let first = reserve(&memory, &pool, 1)?;
        std::thread::scope(|scope| {
            let second = scope.spawn(|| reserve(&memory, &pool, 1).map(|tensors| tensors.most));
            drop(first);
            assert_eq!(second.join().unwrap().unwrap(), 1);
        });
        Ok(())
    }
}
