//! Deals the files of a scan out to the tasks of a cluster.
//!
//! ```text
//!  list, filter, limit ─► files ─ deal, by their cost ─► DataSourceExec, the entries of a task in each partition
//!                                                          └─► FetchImagesExec, which reads the files
//! ```
//!
//! The machine that plans lists, and holds the entries in memory. A task gets those that it reads, and no others: the
//! scheduler can divide an operator of DataFusion's among tasks, but none of ours.

use std::sync::Arc;

use datafusion::catalog::Session;
use datafusion::config::ConfigOptions;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::Result;
use datafusion::object_store::ObjectMeta;
use datafusion::physical_plan::ExecutionPlan;

use super::fetch::FetchImagesExec;
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

/// The setting of sessions whose plans run on a cluster: scans list their files, and deal them out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dealing {
    /// Whether one task reads all.
    pub(crate) to_one: bool,
}

unlisted_setting!(Dealing, "seequel_dealing");

impl Dealing {
    /// That of a session, if its plans run on a cluster.
    pub(crate) fn of(config: &ConfigOptions) -> Option<Self> {
        config.extensions.get().copied()
    }

    /// Lists the files of `scan`, of a table with these partition columns, and deals them out.
    ///
    /// # Errors
    /// Those of the listing.
    pub(crate) async fn deal(
        self,
        scan: Scan,
        partition_columns: &[String],
        session: &dyn Session,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let files = scan.listed(session).await?;
        // Rows of several tasks would have to meet before a limit, with their images.
        let tasks = if self.to_one || scan.limit.is_some() { 1 } else { tasks(&files) };
        let hands = deal(files, tasks);
        let batches =
            hands.iter().map(|hand| Ok(vec![listed::to_batch(hand)?])).collect::<Result<Vec<_>>>()?;
        let entries = MemorySourceConfig::try_new(&batches, Arc::clone(&listed::SCHEMA), None)?;
        let entries = DataSourceExec::from_data_source(entries);
        Ok(Arc::new(FetchImagesExec::new(entries, scan, partition_columns.to_vec())))
    }
}

fn cost(file: &ObjectMeta) -> u64 {
    file.size.saturating_add(FILE_COST)
}

/// The number of tasks for these files.
fn tasks(files: &[ObjectMeta]) -> u64 {
    let all = files.iter().map(cost).fold(0, u64::saturating_add);
    let least = LEAST_TASKS.min(files.len() as u64 / LEAST_FILES);
    all.div_ceil(TASK_COST).max(least).max(1)
}

/// `files` in runs that cost about the same, at most `tasks`, at least one.
fn deal(files: Vec<ObjectMeta>, tasks: u64) -> Vec<Vec<ObjectMeta>> {
    let all = files.iter().map(cost).fold(0, u64::saturating_add);
    let mut hands: Vec<Vec<ObjectMeta>> = vec![];
    let (mut dealt, mut current): (u64, Option<u128>) = (0, None);
    for file in files {
        // The hand in which the middle of the file falls.
        let middle = u128::from(dealt) + u128::from(cost(&file) / 2);
        let hand = middle * u128::from(tasks) / u128::from(all.max(1));
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
    fn a_large_file_has_a_task_of_its_own_and_no_task_is_empty() {
        let hands = deal(files(&[10, 900_000_000, 10, 10]), 4);
        let sizes: Vec<Vec<u64>> =
            hands.iter().map(|hand| hand.iter().map(|file| file.size).collect()).collect();
        assert_eq!(sizes, [vec![10], vec![900_000_000], vec![10, 10]]);
        assert_eq!(deal(vec![], 4), [vec![]]);
    }

    #[test]
    fn few_files_make_few_tasks_and_many_more_than_a_cluster_has_cores() {
        assert_eq!(tasks(&[]), 1);
        assert_eq!(tasks(&files(&[100_000; 7])), 1);
        assert_eq!(tasks(&files(&[100_000; 60])), 15);
        assert_eq!(tasks(&files(&[100_000; 1000])), 32);
        assert_eq!(tasks(&files(&[100_000; 100_000])), 299);
    }
}
