//! Cuts a stream into morsels: runs of rows that one worker decodes and infers together.
//!
//! Upstream operators emit batches of up to 8,192 rows, or of a few rows after a selective filter. A morsel is cut to
//! the models' batch size, so that a tensor is full, and to a number of bytes, so that a few huge images do not make a
//! huge morsel. Cutting copies nothing, because slices share their parent's buffers; joining the end of one batch to
//! the beginning of the next copies less than a morsel.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use datafusion::arrow::compute::concat_batches;
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::error::Result;
use datafusion::execution::SendableRecordBatchStream;
use futures::{Stream, StreamExt};

/// Maximum bytes of a morsel, unless a single row has more.
const MORSEL_BYTES: usize = 8 << 20;

/// A few rows and their size.
#[derive(Debug)]
pub(crate) struct Morsel {
    pub(crate) batch: RecordBatch,
    /// Bytes of the rows themselves, not of the buffers that they share with other slices.
    pub(crate) bytes: usize,
}

/// Number of rows in a morsel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MorselRows {
    /// Maximum.
    pub most: usize,
    /// Minimum that splitting leaves in each half.
    pub least: usize,
}

/// The rows of the morsels to come, which may become more while a query runs.
#[derive(Debug, Clone)]
pub(crate) struct Growing {
    rows: Arc<AtomicUsize>,
    limit: usize,
}

impl Growing {
    /// `rows` rows now, at most `limit` later.
    pub(crate) fn new(rows: usize, limit: usize) -> Self {
        Self { rows: Arc::new(AtomicUsize::new(rows)), limit }
    }

    /// `rows` rows, always.
    pub(crate) fn fixed(rows: usize) -> Self {
        Self::new(rows, rows)
    }

    /// Later morsels have `rows` rows or the limit, unless they have more already.
    pub(crate) fn grow(&self, rows: usize) {
        self.rows.fetch_max(rows.min(self.limit), Ordering::Relaxed);
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    fn get(&self) -> usize {
        self.rows.load(Ordering::Relaxed)
    }
}

impl Morsel {
    /// Splits off the second half of the rows, if both halves then have at least `least` rows.
    pub(crate) fn split_off(&mut self, least: usize) -> Option<Self> {
        let rows = self.batch.num_rows();
        let kept = (rows / 2).next_multiple_of(least.max(1));
        if kept == 0 || rows < kept + least {
            return None;
        }
        let half = Self::of(self.batch.slice(kept, rows - kept));
        *self = Self::of(self.batch.slice(0, kept));
        Some(half)
    }

    /// These rows and their size.
    pub(crate) fn of(batch: RecordBatch) -> Self {
        let bytes = (0..batch.num_rows()).map(|row| bytes_of(&batch, row)).sum();
        Self { batch, bytes }
    }
}

/// Cuts `input` into morsels of so many rows, fewer where rows are large or the stream ends. Keeps the order.
///
/// Smaller batches are joined until a morsel is full or the stream ends.
pub(crate) fn morsels(
    input: SendableRecordBatchStream,
    rows: Growing,
) -> impl Stream<Item = Result<Morsel>> + Send {
    let schema = input.schema();
    let state = Cutter { input: Some(input), schema, rest: VecDeque::new(), rows };
    futures::stream::try_unfold(state, |mut state| async move {
        Ok(state.next().await?.map(|morsel| (morsel, state)))
    })
}

struct Cutter {
    /// `None` once it has ended.
    input: Option<SendableRecordBatchStream>,
    schema: SchemaRef,
    /// Rows that are not cut yet: at most the end of one batch and the next.
    rest: VecDeque<RecordBatch>,
    rows: Growing,
}

impl Cutter {
    async fn next(&mut self) -> Result<Option<Morsel>> {
        loop {
            if let Some(morsel) = self.cut_rest()? {
                return Ok(Some(morsel));
            }
            let Some(input) = &mut self.input else { return Ok(None) };
            match input.next().await.transpose()? {
                None => self.input = None,
                Some(batch) if batch.num_rows() == 0 => {}
                Some(batch) => self.rest.push_back(batch),
            }
        }
    }

    /// A morsel of the buffered rows, unless the next batch may still add to it.
    ///
    /// Where it needs the head of the next batch, the end of one and that head are copied, and the tail stays a slice.
    fn cut_rest(&mut self) -> Result<Option<Morsel>> {
        let rows = self.rows.get();
        while let Some(first) = self.rest.pop_front() {
            let morsel = cut(&first, rows);
            let taken = morsel.batch.num_rows();
            let is_full = taken == rows || taken < first.num_rows();
            if is_full || self.rest.is_empty() && self.input.is_none() {
                if taken < first.num_rows() {
                    self.rest.push_front(first.slice(taken, first.num_rows() - taken));
                }
                return Ok(Some(morsel));
            }
            let Some(next) = self.rest.pop_front() else {
                self.rest.push_front(first);
                break;
            };
            let missing = (rows - taken).min(next.num_rows());
            if missing < next.num_rows() {
                self.rest.push_front(next.slice(missing, next.num_rows() - missing));
            }
            self.rest.push_front(concat_batches(&self.schema, [&first, &next.slice(0, missing)])?);
        }
        Ok(None)
    }
}

/// The first rows of `batch`: at most `rows`, and only as many as fit into a morsel's bytes, but at least one.
fn cut(batch: &RecordBatch, rows: usize) -> Morsel {
    let mut bytes = 0;
    for row in 0..batch.num_rows().min(rows) {
        let more = bytes_of(batch, row);
        if row > 0 && bytes + more > MORSEL_BYTES {
            return Morsel { batch: batch.slice(0, row), bytes };
        }
        bytes += more;
    }
    Morsel { batch: batch.slice(0, batch.num_rows().min(rows)), bytes }
}

/// Bytes of one row.
fn bytes_of(batch: &RecordBatch, row: usize) -> usize {
    batch.columns().iter().map(|column| row_bytes(column, row)).sum()
}

/// Bytes of one row of a column, without the rest of the buffers that it shares with other rows.
fn row_bytes(column: &ArrayRef, row: usize) -> usize {
    match column.data_type() {
        DataType::BinaryView => size_of::<u128>() + column.as_binary_view().value(row).len(),
        DataType::Utf8View => size_of::<u128>() + column.as_string_view().value(row).len(),
        DataType::Struct(_) => column.as_struct().columns().iter().map(|field| row_bytes(field, row)).sum(),
        DataType::List(_) => size_of::<i32>() + bytes(&column.as_list::<i32>().value(row)),
        DataType::LargeList(_) => size_of::<i64>() + bytes(&column.as_list::<i64>().value(row)),
        DataType::ListView(_) => 2 * size_of::<i32>() + bytes(&column.as_list_view::<i32>().value(row)),
        DataType::LargeListView(_) => 2 * size_of::<i64>() + bytes(&column.as_list_view::<i64>().value(row)),
        _ => bytes(&column.slice(row, 1)),
    }
}

/// Bytes of the part of its buffers that an array uses.
fn bytes(array: &ArrayRef) -> usize {
    array.to_data().get_slice_memory_size().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{BinaryViewArray, Int32Array, ListArray};
    use datafusion::arrow::datatypes::{Field, Float32Type, Int32Type, Schema};
    use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
    use futures::TryStreamExt;

    use super::*;

    fn stream(batches: Vec<RecordBatch>) -> SendableRecordBatchStream {
        let schema = batches[0].schema();
        Box::pin(RecordBatchStreamAdapter::new(schema, futures::stream::iter(batches.into_iter().map(Ok))))
    }

    fn numbers(range: std::ops::Range<i32>) -> RecordBatch {
        let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int32, false)]));
        let column: ArrayRef = Arc::new(Int32Array::from_iter_values(range));
        RecordBatch::try_new(schema, vec![column]).unwrap_or_else(|_| unreachable!("one column, one field"))
    }

    async fn rows_of(batches: Vec<RecordBatch>, rows: usize) -> Result<(Vec<usize>, Vec<i32>)> {
        let morsels: Vec<_> = morsels(stream(batches), Growing::fixed(rows)).try_collect().await?;
        let values =
            morsels.iter().flat_map(|m| m.batch.column(0).as_primitive::<Int32Type>().values().to_vec());
        Ok((morsels.iter().map(|m| m.batch.num_rows()).collect(), values.collect()))
    }

    #[tokio::test]
    async fn large_batches_are_cut_and_small_ones_joined_in_order() -> Result<()> {
        let (sizes, values) =
            rows_of(vec![numbers(0..7), numbers(7..8), numbers(8..9), numbers(9..10)], 4).await?;
        assert_eq!(sizes, [4, 4, 2]);
        assert_eq!(values, (0..10).collect::<Vec<_>>());
        Ok(())
    }

    #[test]
    fn morsels_are_split_down_to_the_least_rows() {
        let halves = |rows, least| {
            let mut morsel = cut(&numbers(0..rows), 64);
            let half = morsel.split_off(least)?;
            Some((morsel.batch.num_rows(), half.batch.num_rows()))
        };
        assert_eq!(halves(8, 1), Some((4, 4)));
        assert_eq!(halves(3, 1), Some((1, 2)));
        assert_eq!(halves(1, 1), None);
        assert_eq!(halves(7, 2), Some((4, 3)));
        assert_eq!(halves(32, 32), None);
    }

    #[tokio::test]
    async fn empty_batches_are_skipped() -> Result<()> {
        let (sizes, _) = rows_of(vec![numbers(0..0), numbers(0..2), numbers(0..0)], 4).await?;
        assert_eq!(sizes, [2]);
        Ok(())
    }

    #[tokio::test]
    async fn large_rows_give_small_morsels() -> Result<()> {
        let photo = vec![0; MORSEL_BYTES / 2 + 1];
        let column: ArrayRef =
            Arc::new(BinaryViewArray::from_iter_values([&photo[..], b"small", b"tiny", &photo]));
        let schema = Arc::new(Schema::new(vec![Field::new("image", DataType::BinaryView, false)]));
        let batch = RecordBatch::try_new(schema, vec![column])?;
        let morsels: Vec<_> = morsels(stream(vec![batch]), Growing::fixed(8)).try_collect().await?;
        assert_eq!(morsels.iter().map(|m| m.batch.num_rows()).collect::<Vec<_>>(), [3, 1]);
        assert!(morsels.iter().all(|morsel| morsel.bytes <= MORSEL_BYTES));
        Ok(())
    }

    /// A morsel that is cut short by its bytes leaves rows before the tail of a batch.
    #[tokio::test]
    async fn rows_stay_in_order_behind_a_morsel_that_is_cut_short() -> Result<()> {
        let batch = |range: std::ops::Range<u8>| {
            let photo = |number| vec![number; MORSEL_BYTES / 3];
            let column: ArrayRef = Arc::new(BinaryViewArray::from_iter_values(range.map(photo)));
            let schema = Arc::new(Schema::new(vec![Field::new("image", DataType::BinaryView, false)]));
            RecordBatch::try_new(schema, vec![column])
        };
        let batches = vec![batch(0..3)?, batch(3..9)?, batch(9..11)?];
        let morsels: Vec<_> = morsels(stream(batches), Growing::fixed(5)).try_collect().await?;
        let images = morsels.iter().flat_map(|morsel| morsel.batch.column(0).as_binary_view().iter());
        assert_eq!(
            images.map(|image| image.map_or(0, |image| image[0])).collect::<Vec<_>>(),
            (0..11).collect::<Vec<_>>()
        );
        Ok(())
    }

    #[tokio::test]
    async fn later_morsels_may_have_more_rows() -> Result<()> {
        let rows = Growing::new(2, 4);
        let batches = vec![numbers(0..3), numbers(3..7), numbers(7..20)];
        let mut morsels = std::pin::pin!(morsels(stream(batches), rows.clone()));
        let mut seen = vec![];
        while let Some(morsel) = morsels.try_next().await? {
            seen.push(morsel.batch.column(0).as_primitive::<Int32Type>().values().to_vec());
            rows.grow(64);
        }
        assert_eq!(seen.iter().map(Vec::len).collect::<Vec<_>>(), [2, 4, 4, 4, 4, 2]);
        assert_eq!(seen.concat(), (0..20).collect::<Vec<_>>());
        Ok(())
    }

    /// A slice of a list array keeps the values of all rows.
    #[tokio::test]
    async fn list_bytes_count_only_a_rows_own_values() -> Result<()> {
        let vector = Some(vec![Some(0.5); 1 << 10]);
        let column: ArrayRef =
            Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(vec![vector; 1 << 10]));
        let schema = Arc::new(Schema::new(vec![Field::new("vector", column.data_type().clone(), true)]));
        let batch = RecordBatch::try_new(schema, vec![column])?;
        let morsels: Vec<_> = morsels(stream(vec![batch]), Growing::fixed(512)).try_collect().await?;
        assert_eq!(morsels.iter().map(|m| m.batch.num_rows()).collect::<Vec<_>>(), [512, 512]);
        Ok(())
    }
}
