//! Reading sets the pace: a store that gives too few bytes a second, Parquet files of large row groups.

use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::physical_plan::parquet::metadata::DFParquetMetadata;
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};

use crate::Result;
use crate::advise::evidence::{Case, Demand, Finding, STARVING, megabytes, percent};
use crate::images::scan::ImagesExec;

/// In a shorter query the wait for the first rows is most of all.
const LEAST_SECONDS: f64 = 0.5;

/// Bytes of a row group as COPY writes it.
const GROUP_BYTES: f64 = (32 << 20) as f64;

/// Files of a scan whose row groups are looked at.
const MOST_FILES: usize = 4;

/// A store or disk for which the workers wait.
pub(in crate::advise) fn slow_source(case: &Case<'_>) -> Option<Finding> {
    let (accounts, load) = (case.accounts(), &case.load);
    let waited = accounts.workers.input_wait_seconds / accounts.workers.seconds.max(1e-9);
    let seconds = accounts.query.seconds;
    if load.fullest().0 != "reading" || waited < STARVING || seconds < LEAST_SECONDS {
        return None;
    }
    let (mut remote, mut local) = (None, None);
    case.measured.visit(|plan| {
        if let Some(scan) = plan.downcast_ref::<ImagesExec>() {
            let place = scan.location().to_string();
            *(if scan.location().is_local() { &mut local } else { &mut remote }) = Some(place);
        } else if let Some(files) = scanned_files(plan) {
            let url = files.object_store_url.as_str();
            *(if url.starts_with("file:") { &mut local } else { &mut remote }) = Some(url.to_owned());
        }
    });
    let (cause, place, what) = match (remote, local) {
        (Some(place), _) => ("store", place, "the store"),
        (None, Some(place)) => ("read", place, "the disk"),
        (None, None) => return None,
    };
    let read = &accounts.stages.read;
    let change = match cause {
        "store" => format!(
            "copy the images nearer once, COPY (SELECT * FROM …) TO 'images.parquet', and query the copy; or run nearer to \
             {place}"
        ),
        _ => format!(
            "put {place} on a faster disk, or in files of many images: COPY (SELECT * FROM …) TO 'images.parquet'"
        ),
    };
    Some(Finding {
        cause,
        finding: format!(
            "{what} gives {} a second, less than models could take",
            megabytes(read.bytes as f64 / seconds)
        ),
        evidence: format!(
            "workers waited for rows {} of their time; {:.1} reads at a time, {:.0} ms each",
            percent(waited),
            read.busy_seconds / seconds,
            read.busy_seconds * 1e3 / read.rows.max(1) as f64
        ),
        gain: Some(load.gain(Demand { read: 0.0, ..Demand::SAME })),
        change: Some(change),
    })
}

/// Parquet files whose row groups are so large that the first of them is waited for.
///
/// # Errors
/// Files that can't be read.
pub(in crate::advise) async fn row_groups(case: &Case<'_>) -> Result<Option<Finding>> {
    let mut scans = vec![];
    case.measured.visit(|plan| {
        if let Some(files) = scanned_files(plan) {
            let seconds = plan.metrics().and_then(|all| all.sum_by_name("time_elapsed_scanning_until_data"));
            let seconds = seconds.map_or(0.0, |value| value.as_usize() as f64 / 1e9);
            let scanned = plan.metrics().and_then(|all| all.sum_by_name("bytes_scanned"));
            let scanned = scanned.map_or(0.0, |value| value.as_usize() as f64);
            let partitions = plan.output_partitioning().partition_count().max(1);
            scans.push((files, seconds / partitions as f64, scanned));
        }
    });
    let seconds = case.accounts().query.seconds.max(1e-9);
    let longest = scans.into_iter().max_by(|one, other| one.1.total_cmp(&other.1));
    let Some((files, waited, scanned)) = longest.filter(|(_, waited, _)| waited / seconds > 0.02) else {
        return Ok(None);
    };
    let Some((bytes, groups)) = largest_group(case, files).await? else { return Ok(None) };
    // A LIMIT reads pages of a group alone.
    if bytes < GROUP_BYTES || scanned < bytes {
        return Ok(None);
    }
    let first = waited * GROUP_BYTES / bytes;
    // All is read at the same speed still, and the rows of the last group are inferred after it.
    let reading = waited * scanned / bytes;
    let then = (seconds - waited + first).max(reading + (seconds - waited) * GROUP_BYTES / scanned);
    Ok(Some(Finding {
        cause: "row groups",
        finding: format!("the Parquet file has row groups of up to {}", megabytes(bytes)),
        evidence: format!(
            "{waited:.2} s of {seconds:.2} s until its first rows; {groups} row group{} in the files looked at",
            if groups == 1 { "" } else { "s" }
        ),
        gain: Some(seconds / then),
        change: Some(
            "write it again, in row groups of 32 MiB of images: COPY (SELECT * FROM …) TO 'images.parquet'"
                .to_owned(),
        ),
    }))
}

/// Bytes of the largest row group, and the number of groups, of a scan's first files.
async fn largest_group(case: &Case<'_>, files: &FileScanConfig) -> Result<Option<(f64, usize)>> {
    let store = case.context.runtime_env().object_store(&files.object_store_url)?;
    let (mut largest, mut count) = (0, 0);
    for file in files.file_groups.iter().flat_map(|group| group.files()).take(MOST_FILES) {
        if file.object_meta.location.extension() != Some("parquet") {
            return Ok(None);
        }
        let metadata = DFParquetMetadata::new(store.as_ref(), &file.object_meta).fetch_metadata().await?;
        for group in metadata.row_groups() {
            largest = largest.max(group.compressed_size());
            count += 1;
        }
    }
    Ok((count > 0).then_some((largest as f64, count)))
}

fn scanned_files(plan: &dyn ExecutionPlan) -> Option<&FileScanConfig> {
    plan.downcast_ref::<DataSourceExec>()?.data_source().downcast_ref()
}
