//! Memory of an operator's workers for tensors and pixels, reserved in the session's pool.
//!
//! Buffers are reused across morsels, and their memory stays reserved.
//!
//! A worker that is refused memory waits for another to free some. If all workers that hold memory wait for more, the
//! last one exceeds the session's limit, one at a time; a request for more than the limit fails.

use std::mem;
use std::sync::Arc;
use std::time::Duration;

use datafusion::error::Result;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use parking_lot::{Condvar, Mutex};

use crate::exec::adapt::BatchSize;
use crate::memory_limit::memory_limit;

/// How long a worker waits before it retries: memory may also be freed outside these workers, without notification.
const RETRY: Duration = Duration::from_millis(50);

/// What buffers are for: a plan, and its models' batch sizes if they are not their own.
type Key = (usize, Vec<Option<BatchSize>>);

/// Memory reserved in a session's pool, with the limit of that.
#[derive(Debug)]
pub(crate) struct Reservation {
    inner: MemoryReservation,
    limit: Option<usize>,
}

impl Reservation {
    /// Nothing yet, for the operator `name`.
    pub(crate) fn new(name: &str, pool: &Arc<dyn MemoryPool>) -> Self {
        Self { inner: MemoryConsumer::new(name).register(pool), limit: memory_limit(pool.as_ref()) }
    }

    /// Nothing yet, for the same operator.
    pub(crate) fn new_empty(&self) -> Self {
        Self { inner: self.inner.new_empty(), limit: self.limit }
    }

    /// Bytes that the pool has, if it is bounded.
    pub(crate) fn limit(&self) -> Option<usize> {
        self.limit
    }

    fn take(&mut self) -> Self {
        Self { inner: self.inner.take(), limit: self.limit }
    }

    /// Reserves another `bytes` though the pool refuses them, unless it never had as many.
    fn exceed(&self, bytes: usize) -> bool {
        let fits = self.limit.is_some_and(|limit| self.inner.size().saturating_add(bytes) <= limit);
        if fits {
            self.inner.grow(bytes);
        }
        fits
    }
}

/// The workers of one operator that hold memory, and the buffers `B` that none of them is using.
#[derive(Debug)]
pub(crate) struct WorkerMemory<B> {
    workers: Mutex<Workers<B>>,
    given_back: Condvar,
}

#[derive(Debug)]
struct Workers<B> {
    /// Number of workers.
    members: usize,
    /// Workers that hold memory for tensors.
    holding: usize,
    /// Workers among these that wait for more.
    waiting: usize,
    /// Buffers not in use between two morsels, with their reservations. Any worker may take them, and one that is
    /// refused memory frees them before it waits.
    idle: Vec<Idle<B>>,
}

#[derive(Debug)]
struct Idle<B> {
    key: Key,
    most: usize,
    buffers: B,
    reservation: Reservation,
}

impl<B> Default for WorkerMemory<B> {
    fn default() -> Self {
        let workers = Workers { members: 0, holding: 0, waiting: 0, idle: vec![] };
        Self { workers: Mutex::new(workers), given_back: Condvar::new() }
    }
}

impl<B> WorkerMemory<B> {
    /// Adds a worker, until it [leaves](Self::leave).
    pub(crate) fn join(&self) {
        self.workers.lock().members += 1;
    }

    /// Removes a worker. The last one frees the buffers.
    pub(crate) fn leave(&self) {
        let mut workers = self.workers.lock();
        workers.members -= 1;
        if workers.members == 0 {
            workers.idle.clear();
        }
    }

    /// Takes buffers [kept](Held::keep) under `key` if they have at least `bytes(most)` bytes. Otherwise reserves that
    /// much for tensors of `most` images, or repeatedly of half as many, down to one. Blocks while other workers hold
    /// the missing memory; an error of `check` ends the wait.
    ///
    /// # Errors
    /// If memory for one image is more than the pool has; those of `bytes` and `check`.
    pub(crate) fn hold(
        &self,
        key: Key,
        reservation: Reservation,
        mut most: usize,
        bytes: impl Fn(usize) -> Result<usize>,
        check: impl Fn() -> Result<()>,
    ) -> Result<(Held<'_, B>, Option<B>)> {
        // The lock makes the check of the holders and the pool's refusal atomic.
        let mut workers = self.workers.lock();
        loop {
            let needed = bytes(most)?;
            let fits = |idle: &Idle<B>| idle.key == key && idle.reservation.inner.size() >= needed;
            if let Some(position) = workers.idle.iter().position(fits) {
                let Idle { most, buffers, reservation, .. } = workers.idle.swap_remove(position);
                workers.holding += 1;
                return Ok((Held::new(self, key, most, reservation), Some(buffers)));
            }
            match reservation.inner.try_resize(needed) {
                Ok(()) => {
                    workers.holding += 1;
                    return Ok((Held::new(self, key, most, reservation), None));
                }
                Err(_) if workers.idle.pop().is_some() => {}
                Err(_) if most > 1 => most /= 2,
                Err(_) if workers.holding == workers.waiting && reservation.exceed(needed) => {}
                Err(refused) if workers.holding == workers.waiting => return Err(refused),
                Err(_) => {
                    self.given_back.wait_for(&mut workers, RETRY);
                    check()?;
                }
            }
        }
    }
}

/// A worker's memory, freed on drop.
#[derive(Debug)]
pub(crate) struct Held<'a, B> {
    /// Maximum number of images in a tensor.
    pub(crate) most: usize,
    memory: &'a WorkerMemory<B>,
    key: Key,
    reservation: Reservation,
}

impl<'a, B> Held<'a, B> {
    fn new(memory: &'a WorkerMemory<B>, key: Key, most: usize, reservation: Reservation) -> Self {
        Self { most, memory, key, reservation }
    }

    /// Memory for the images that this worker decodes.
    pub(crate) fn pixels(&self) -> Pixels<'a, B> {
        Pixels { memory: self.memory, reservation: self.reservation.new_empty(), is_lent: false }
    }

    /// Lets other threads decode for this worker, which waits for them.
    pub(crate) fn lend(&self) -> Lent<'a, B> {
        self.memory.workers.lock().waiting += 1;
        Lent { memory: self.memory, reservation: self.reservation.new_empty() }
    }

    /// Keeps `buffers` and the memory of the tensors for the next morsel.
    pub(crate) fn keep(mut self, buffers: B) {
        let key = mem::take(&mut self.key);
        let idle = Idle { key, most: self.most, buffers, reservation: self.reservation.take() };
        self.memory.workers.lock().idle.push(idle);
    }
}

impl<B> Drop for Held<'_, B> {
    fn drop(&mut self) {
        self.reservation.inner.free();
        self.memory.workers.lock().holding -= 1;
        self.memory.given_back.notify_all();
    }
}

/// A worker that waits for other threads, until it is dropped.
#[derive(Debug)]
pub(crate) struct Lent<'a, B> {
    memory: &'a WorkerMemory<B>,
    reservation: Reservation,
}

impl<'a, B> Lent<'a, B> {
    /// Memory for the images that one of the threads decodes.
    pub(crate) fn pixels(&self) -> Pixels<'a, B> {
        self.memory.workers.lock().holding += 1;
        Pixels { memory: self.memory, reservation: self.reservation.new_empty(), is_lent: true }
    }
}

impl<B> Drop for Lent<'_, B> {
    fn drop(&mut self) {
        self.memory.workers.lock().waiting -= 1;
    }
}

/// Memory for pixels, freed on drop.
#[derive(Debug)]
pub(crate) struct Pixels<'a, B> {
    memory: &'a WorkerMemory<B>,
    reservation: Reservation,
    /// Whether it counts as a holder of its own, beside the worker that waits for it.
    is_lent: bool,
}

impl<B> Pixels<'_, B> {
    /// Reserves another `bytes` if there are so many; does not block.
    pub(crate) fn try_add(&self, bytes: usize) -> bool {
        self.reservation.inner.try_grow(bytes).is_ok()
    }

    /// Reserves another `bytes`. Blocks as [`WorkerMemory::hold`] does.
    ///
    /// # Errors
    /// If they are more than the pool has; those of `check`.
    pub(crate) fn add(&self, bytes: usize, check: impl Fn() -> Result<()>) -> Result<()> {
        let mut workers = self.memory.workers.lock();
        workers.waiting += 1;
        let result = loop {
            match self.reservation.inner.try_grow(bytes) {
                Ok(()) => break Ok(()),
                Err(_) if workers.idle.pop().is_some() => {}
                Err(_) if workers.holding == workers.waiting && self.reservation.exceed(bytes) => {
                    break Ok(());
                }
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

    /// Frees them.
    pub(crate) fn clear(&self) {
        let size = self.reservation.inner.size();
        if size > 0 {
            self.reservation.inner.shrink(size);
            self.memory.given_back.notify_all();
        }
    }
}

impl<B> Drop for Pixels<'_, B> {
    fn drop(&mut self) {
        self.clear();
        if self.is_lent {
            self.memory.workers.lock().holding -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use datafusion::execution::memory_pool::GreedyMemoryPool;

    use super::*;

    type Memory = WorkerMemory<&'static str>;

    fn hold<'a>(
        memory: &'a Memory,
        pool: &Arc<dyn MemoryPool>,
        most: usize,
    ) -> Result<(Held<'a, &'static str>, Option<&'static str>)> {
        memory.hold((0, vec![]), Reservation::new("test", pool), most, |most| Ok(most * 100), || Ok(()))
    }

    fn reserve<'a>(
        memory: &'a Memory,
        pool: &Arc<dyn MemoryPool>,
        most: usize,
    ) -> Result<Held<'a, &'static str>> {
        hold(memory, pool, most).map(|(held, _)| held)
    }

    #[test]
    fn kept_buffers_stay_reserved_until_the_last_worker_leaves() -> Result<()> {
        let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(500));
        let memory = Memory::default();
        memory.join();
        memory.join();
        reserve(&memory, &pool, 2)?.keep("buffers");
        assert_eq!(pool.reserved(), 200);
        let (held, kept) = hold(&memory, &pool, 1)?;
        assert_eq!((held.most, kept, pool.reserved()), (2, Some("buffers"), 200));
        held.keep("buffers");
        memory.leave();
        assert_eq!(pool.reserved(), 200);
        memory.leave();
        assert_eq!(pool.reserved(), 0);
        Ok(())
    }

    #[test]
    fn kept_buffers_are_freed_for_larger_ones_and_for_pixels() -> Result<()> {
        let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(500));
        let memory = Memory::default();
        reserve(&memory, &pool, 2)?.keep("small");
        let (held, kept) = hold(&memory, &pool, 4)?;
        assert_eq!((held.most, kept, pool.reserved()), (4, None, 400));
        let other = memory.hold((1, vec![]), Reservation::new("test", &pool), 1, |_| Ok(100), || Ok(()))?;
        other.0.keep("other");
        assert_eq!(pool.reserved(), 500);
        held.pixels().add(100, || Ok(()))?;
        Ok(())
    }

    #[test]
    fn a_small_pool_gives_small_batches() -> Result<()> {
        let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(500));
        let memory = Memory::default();
        assert_eq!(reserve(&memory, &pool, 32)?.most, 4);
        assert_eq!(pool.reserved(), 0);
        Ok(())
    }

    #[test]
    fn a_pool_too_small_for_one_image_is_an_error() {
        let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(99));
        assert!(reserve(&Memory::default(), &pool, 32).is_err());
    }

    #[test]
    fn what_the_pool_has_is_refused_to_nobody_and_more_to_all() -> Result<()> {
        let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(500));
        let others = MemoryConsumer::new("others").register(&pool);
        others.grow(450);
        let memory = Memory::default();
        let held = reserve(&memory, &pool, 4)?;
        assert_eq!((held.most, pool.reserved()), (1, 550));
        let pixels = held.pixels();
        pixels.add(500, || Ok(()))?;
        assert!(pixels.add(1, || Ok(())).is_err());
        pixels.clear();
        assert!(pixels.add(501, || Ok(())).is_err());
        drop((pixels, held));
        assert_eq!(pool.reserved(), 450);
        Ok(())
    }

    #[test]
    fn threads_that_decode_for_a_worker_wait_for_each_other() -> Result<()> {
        let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(500));
        let memory = Memory::default();
        let held = reserve(&memory, &pool, 1)?;
        let lent = held.lend();
        let first = lent.pixels();
        first.add(400, || Ok(()))?;
        std::thread::scope(|scope| {
            let second = scope.spawn(|| lent.pixels().add(400, || Ok(())));
            std::thread::sleep(RETRY);
            first.clear();
            assert!(second.join().unwrap().is_ok());
        });
        assert!(first.add(501, || Ok(())).is_err());
        drop((first, lent));
        assert!(held.pixels().add(400, || Ok(())).is_ok());
        Ok(())
    }

    #[test]
    fn a_worker_waits_until_another_frees_memory() -> Result<()> {
        let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(100));
        let memory = Memory::default();
        let first = reserve(&memory, &pool, 1)?;
        std::thread::scope(|scope| {
            let second = scope.spawn(|| reserve(&memory, &pool, 1).map(|tensors| tensors.most));
            drop(first);
            assert_eq!(second.join().unwrap().unwrap(), 1);
        });
        Ok(())
    }
}
