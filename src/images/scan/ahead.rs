//! Lists files ahead of reading them, so that the number of files is known early.
//!
//! ```text
//! list, filter, limit ─► task ─► channel, bound in files and bytes ─► read
//!                          └─ at the end: chosen_files
//! ```
//!
//! Reading takes most of the time: a listing pulled by the reads would end only shortly before they do.

use std::sync::Arc;

use datafusion::common::runtime::SpawnedTask;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::MemoryPool;
use datafusion::object_store::ObjectMeta;
use datafusion::physical_plan::metrics::Gauge;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use tokio::sync::mpsc::{self, Receiver, Sender};

use super::budget::{ByteBudget, Permit};

/// Maximum number of files waiting to be read.
const MAX_FILES: usize = 1 << 16;
/// Maximum bytes of their metadata.
const MAX_BYTES: usize = 8 << 20;

/// A file, with the permit for the memory of its metadata.
type Waiting = Result<(ObjectMeta, Permit)>;

/// Forwards `files` in order while their listing runs ahead; sets `chosen` to their number at the end of the listing.
///
/// The listing starts with the first poll and stops when the stream is dropped.
pub(crate) fn list_ahead(
    files: BoxStream<'static, Result<ObjectMeta>>,
    pool: Arc<dyn MemoryPool>,
    chosen: Gauge,
) -> BoxStream<'static, Result<ObjectMeta>> {
    let start = async move {
        let (sender, receiver) = mpsc::channel(MAX_FILES);
        let budget = Arc::new(ByteBudget::new(MAX_BYTES, &pool));
        receive(receiver, SpawnedTask::spawn(list(files, budget, sender, chosen)))
    };
    stream::once(start).flatten().map_ok(|(file, _permit)| file).boxed()
}

async fn list(
    mut files: BoxStream<'static, Result<ObjectMeta>>,
    budget: Arc<ByteBudget>,
    sender: Sender<Waiting>,
    chosen: Gauge,
) {
    let mut count = 0;
    while let Some(file) = files.next().await {
        let waiting = match file {
            Ok(file) => {
                let permit = budget.acquire(bytes_of(&file)).await;
                Ok((file, permit))
            }
            Err(error) => Err(error),
        };
        count += 1;
        let failed = waiting.is_err();
        if sender.send(waiting).await.is_err() || failed {
            return;
        }
    }
    chosen.set(count);
}

fn receive(receiver: Receiver<Waiting>, listing: SpawnedTask<()>) -> BoxStream<'static, Waiting> {
    stream::try_unfold((receiver, listing), |(mut receiver, listing)| async move {
        if let Some(waiting) = receiver.recv().await {
            return Ok(Some((waiting?, (receiver, listing))));
        }
        listing.join().await.map_err(|error| DataFusionError::ExecutionJoin(Box::new(error)))?;
        Ok(None)
    })
    .boxed()
}

fn bytes_of(file: &ObjectMeta) -> usize {
    let ObjectMeta { location, last_modified: _, size: _, e_tag, version } = file;
    let text = [e_tag, version].into_iter().flatten().map(String::len).sum::<usize>();
    size_of::<Waiting>() + location.as_ref().len() + text
}

#[cfg(test)]
mod tests {
    use datafusion::execution::memory_pool::UnboundedMemoryPool;
    use datafusion::object_store::path::Path;
    use futures::FutureExt;

    use super::*;

    fn files(count: usize) -> BoxStream<'static, Result<ObjectMeta>> {
        let file = |number| ObjectMeta {
            location: Path::from(format!("{number}.jpg")),
            last_modified: std::time::SystemTime::UNIX_EPOCH.into(),
            size: 1,
            e_tag: None,
            version: None,
        };
        stream::iter((0..count).map(move |number| Ok(file(number)))).boxed()
    }

    #[tokio::test]
    async fn the_number_of_files_is_known_before_they_are_read() -> Result<()> {
        let chosen = Gauge::new();
        let pool: Arc<dyn MemoryPool> = Arc::new(UnboundedMemoryPool::default());
        let mut listed = list_ahead(files(100), Arc::clone(&pool), chosen.clone());
        assert_eq!(listed.try_next().await?.map(|file| file.location.to_string()).as_deref(), Some("0.jpg"));
        while chosen.value() == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(chosen.value(), 100);
        let names: Vec<_> = listed.map_ok(|file| file.location.to_string()).try_collect().await?;
        assert_eq!((names.len(), names.last().map(String::as_str)), (99, Some("99.jpg")));
        assert_eq!(pool.reserved(), 0);
        Ok(())
    }

    #[tokio::test]
    async fn a_listing_error_is_forwarded() {
        let broken = stream::iter([Err(DataFusionError::Execution("gone".to_owned()))]);
        let pool: Arc<dyn MemoryPool> = Arc::new(UnboundedMemoryPool::default());
        let chosen = Gauge::new();
        let files = files(2).chain(broken).boxed();
        let listed = list_ahead(files, pool, chosen.clone());
        let listed: Vec<_> = listed.collect().await;
        assert_eq!((listed.len(), chosen.value()), (3, 0));
        assert!(listed[2].is_err());
    }

    #[tokio::test]
    async fn nothing_is_listed_before_the_first_poll_or_after_the_stream_is_dropped() {
        let chosen = Gauge::new();
        let pool: Arc<dyn MemoryPool> = Arc::new(UnboundedMemoryPool::default());
        let mut listed = list_ahead(files(10), Arc::clone(&pool), chosen.clone());
        assert_eq!((pool.reserved(), chosen.value()), (0, 0));
        let _ = listed.next().now_or_never();
        drop(listed);
        while pool.reserved() > 0 {
            tokio::task::yield_now().await;
        }
    }
}
