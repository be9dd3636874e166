//! Deals the files of a scan out to the tasks of a cluster.
//!
//! ```text
//!  list, filter, limit ─┬─ some files: deal, by their cost ─► DataSourceExec, the entries of a task in each partition ─┐
//!                       └─ more ─► ListImagesExec, whose task lists them all ─────────────────────────────────────────┤
//!                                                                            FetchImagesExec, which reads the files ◄─┘
//! ```
//!
//! The machine that plans lists the first files, and if these are all, their entries are in the plan. A task gets those
//! that it reads, and no others: the scheduler can divide an operator of DataFusion's among tasks, but none of ours.

use std::future::ready;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use datafusion::config::ConfigOptions;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::object_store::ObjectMeta;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::stream::{BoxStream, StreamExt, TryStreamExt};

use super::fetch::FetchImagesExec;
use super::list::ListImagesExec;
use super::listed;
use super::pipeline::Scan;
use crate::config::unlisted_setting;

/// What a file costs beside its bytes, in bytes: opening it, and inference.
const FILE_COST: u64 = 100_000;
/// What a task costs at most, in bytes: a few seconds of work.
const TASK_COST: u64 = 64 << 20;
/// Tasks of a scan with enough files: several for each core of a small cluster, so that none waits long for the last.
const LEAST_TASKS: u64 = 32;
/// Files that make a task worth its start.
const LEAST_FILES: u64 = 4;
/// Files whose entries are in the plan at most: some megabytes.
const MOST_FILES: usize = 16_384;
/// Tasks that read what one task lists, unless fewer are enough: several for each of some thousand cores.
const MOST_TASKS: u64 = 8192;
/// The same if the files are too many to be counted first.
const UNCOUNTED_TASKS: u64 = 1024;
/// How long the files that are not in the plan are counted, to find out how many tasks they are worth.
const COUNTING: Duration = Duration::from_secs(2);

/// The setting of sessions whose plans run on a cluster: scans list their files, and deal them out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dealing {
    /// Whether one task reads all.
    pub(crate) to_one: bool,
    /// Files that a task should have at most.
    pub(crate) most_files: Option<NonZeroUsize>,
    /// Whether the files are dealt out once the statement runs, which then knows those that are finished.
    pub(crate) is_later: bool,
}

unlisted_setting!(Dealing, "seequel_dealing");

impl Dealing {
    /// That of a session, if its plans run on a cluster.
    pub(crate) fn of(config: &ConfigOptions) -> Option<Self> {
        config.extensions.get().copied()
    }

    /// Deals the files of `scan`, of a table with these partition columns, out.
    ///
    /// # Errors
    /// Those of the listing.
    pub(crate) async fn deal(
        self,
        scan: Scan,
        partition_columns: &[String],
        context: &TaskContext,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if self.is_later {
            let none = entries(&[vec![], vec![]])?;
            return Ok(Arc::new(FetchImagesExec::later(none, scan, partition_columns.to_vec())));
        }
        let mark = scan.failures.keep_early();
        let mut files = scan.files(context, &ExecutionPlanMetricsSet::new())?;
        let first: Vec<_> = files.by_ref().take(MOST_FILES + 1).try_collect().await?;
        // Rows of several tasks would have to meet before a limit, with their images.
        let to_one = self.to_one || scan.limit.is_some();
        let partition_columns = partition_columns.to_vec();
        let entries = if first.len() > MOST_FILES {
            let tasks = if to_one {
                1
            } else {
                Amount::of(&first).and(files).await?.map_or(UNCOUNTED_TASKS, |amount| self.tasks(amount))
            };
            // The task that lists finds the same entries that can't be.
            scan.failures.forget_since(&mark);
            Arc::new(ListImagesExec::new(
                scan.clone(),
                partition_columns.clone(),
                tasks.min(MOST_TASKS) as usize,
            ))
        } else {
            let tasks = if to_one { 1 } else { self.tasks(Amount::of(&first)) };
            entries(&deal(first, tasks))?
        };
        Ok(Arc::new(FetchImagesExec::new(entries, scan, partition_columns)))
    }

    /// The number of tasks for it.
    fn tasks(self, amount: Amount) -> u64 {
        let least = self.most_files.map_or(1, |most| amount.files.div_ceil(most.get() as u64));
        amount.tasks().max(least)
    }

    /// Deals shards out, each of which is read as a whole.
    ///
    /// # Errors
    /// None in practice: the arrays match the schema.
    pub(crate) fn deal_shards(self, shards: &[ObjectMeta]) -> Result<Arc<dyn ExecutionPlan>> {
        let hands: Vec<_> = match self.to_one || shards.is_empty() {
            true => vec![shards.to_vec()],
            false => shards.iter().map(|shard| vec![shard.clone()]).collect(),
        };
        entries(&hands)
    }
}

/// The entries of each task, as a table in memory.
fn entries(hands: &[Vec<ObjectMeta>]) -> Result<Arc<dyn ExecutionPlan>> {
    let batches = hands.iter().map(|hand| Ok(vec![listed::to_batch(hand)?])).collect::<Result<Vec<_>>>()?;
    let entries = MemorySourceConfig::try_new(&batches, Arc::clone(&listed::SCHEMA), None)?;
    Ok(DataSourceExec::from_data_source(entries))
}

fn cost(file: &ObjectMeta) -> u64 {
    file.size.saturating_add(FILE_COST)
}

/// How much there is to read.
#[derive(Debug, Clone, Copy, Default)]
struct Amount {
    files: u64,
    cost: u64,
}

impl Amount {
    fn of(files: &[ObjectMeta]) -> Self {
        files.iter().fold(Self::default(), Self::with)
    }

    fn with(self, file: &ObjectMeta) -> Self {
        Self { files: self.files + 1, cost: self.cost.saturating_add(cost(file)) }
    }

    /// With `files` that are listed still; `None` if that takes long.
    async fn and(self, files: BoxStream<'static, Result<ObjectMeta>>) -> Result<Option<Self>> {
        let all = files.try_fold(self, |amount, file| ready(Ok(amount.with(&file))));
        tokio::time::timeout(COUNTING, all).await.ok().transpose()
    }

    /// The number of tasks for it.
    fn tasks(self) -> u64 {
        let least = LEAST_TASKS.min(self.files / LEAST_FILES);
        self.cost.div_ceil(TASK_COST).max(least).max(1)
    }
}

/// `files` in runs, at least one, that cost about the same; of many, the last fourth is in halves and quarters of a run, so
/// that all cores end at about the same time.
fn deal(files: Vec<ObjectMeta>, tasks: u64) -> Vec<Vec<ObjectMeta>> {
    let all = Amount::of(&files).cost;
    let mut hands: Vec<Vec<ObjectMeta>> = vec![];
    let (mut dealt, mut current): (u64, Option<u128>) = (0, None);
    for file in files {
        // The hand in which the middle of the file falls.
        let middle = u128::from(dealt) + u128::from(cost(&file) / 2);
        let hand = hand(middle * u128::from(4 * tasks) / u128::from(all.max(1)), u128::from(tasks));
        dealt = dealt.saturating_add(cost(&file));
        match hands.last_mut() {
            Some(last) if current == Some(hand) => last.push(file),
            _ => hands.push(vec![file]),
        }
        current = Some(hand);
    }
    if hands.is_empty() {
        hands.push(vec![]);
    }
    hands
}

/// The hand of a quarter of a task's cost, of `4 * tasks` quarters.
fn hand(quarter: u128, tasks: u128) -> u128 {
    if tasks < u128::from(LEAST_TASKS) {
        return quarter / 4;
    }
    let split = tasks / 4;
    let whole = tasks - split;
    match quarter.checked_sub(4 * whole) {
        None => quarter / 4,
        Some(rest) if rest < 2 * split => whole + rest / 2,
        Some(rest) => whole + rest - split,
    }
}

#[cfg(test)]
mod tests {
    use datafusion::object_store::path::Path;

    use super::*;

    fn files(sizes: &[u64]) -> Vec<ObjectMeta> {
        let file = |(index, size): (usize, &u64)| ObjectMeta {
            location: Path::from(format!("{index}.jpg")),
            last_modified: std::time::UNIX_EPOCH.into(),
            size: *size,
            e_tag: None,
            version: None,
        };
        sizes.iter().enumerate().map(file).collect()
    }

    #[test]
    fn hands_cost_the_same_and_keep_all_files_in_order() {
        let sizes: Vec<u64> = (0..1000).map(|index| 50_000 + index * 37 % 400_000).collect();
        let files = files(&sizes);
        let hands = deal(files.clone(), 10);
        assert_eq!(hands.len(), 10);
        assert_eq!(hands.concat(), files);
        let costs = hands.iter().map(|hand| hand.iter().map(cost).sum::<u64>());
        let (least, most) =
            costs.fold((u64::MAX, 0), |(least, most), cost| (least.min(cost), most.max(cost)));
        assert!(most - least < 2 * 550_000, "{least} to {most}");
    }

    #[test]
    fn the_last_hands_are_small() {
        let files = files(&[100_000; 3200]);
        let hands = deal(files.clone(), 32);
        assert_eq!(hands.concat(), files);
        let lengths: Vec<_> = hands.iter().map(Vec::len).collect();
        assert_eq!(lengths, [vec![100; 24], vec![50; 8], vec![25; 16]].concat());
    }

    #[test]
    fn a_large_file_has_a_task_of_its_own_and_no_task_is_empty() {
        let hands = deal(files(&[10, 900_000_000, 10, 10]), 4);
        let sizes: Vec<Vec<u64>> =
            hands.iter().map(|hand| hand.iter().map(|file| file.size).collect()).collect();
        assert_eq!(sizes, [vec![10], vec![900_000_000], vec![10, 10]]);
        assert_eq!(deal(vec![], 4), [vec![]]);
    }

    #[test]
    fn few_files_make_few_tasks_and_many_more_than_a_cluster_has_cores() {
        assert_eq!(Amount::of(&[]).tasks(), 1);
        assert_eq!(Amount::of(&files(&[100_000; 7])).tasks(), 1);
        assert_eq!(Amount::of(&files(&[100_000; 60])).tasks(), 15);
        assert_eq!(Amount::of(&files(&[100_000; 1000])).tasks(), 32);
        assert_eq!(Amount::of(&files(&[100_000; 100_000])).tasks(), 299);
    }
}
