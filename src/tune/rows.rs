//! The rows that trials run on: those of the statement's query, repeated.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::physical_plan::ExecutionPlan;

use crate::Result;

/// Rows of a batch with images, as scans give them.
pub(super) const IMAGE_ROWS: usize = 32;

/// Rows of a batch of numbers, DataFusion's default.
pub(super) const NUMBER_ROWS: usize = 8192;

/// Some rows, in memory.
#[derive(Debug)]
pub(crate) struct Rows {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    pub(super) count: usize,
}

impl Rows {
    /// The rows of `batches`, at most `rows` of them in a batch.
    pub(crate) fn new(schema: SchemaRef, batches: &[RecordBatch], rows: usize) -> Self {
        let cut = |batch: &RecordBatch| {
            let starts = (0..batch.num_rows()).step_by(rows);
            let slices = starts.map(|start| batch.slice(start, rows.min(batch.num_rows() - start)));
            slices.collect::<Vec<_>>()
        };
        let batches: Vec<_> = batches.iter().flat_map(cut).collect();
        let count = batches.iter().map(RecordBatch::num_rows).sum();
        Self { schema, batches, count }
    }

    /// A source of `count` rows: these, as often as it takes. No bytes are copied.
    pub(crate) fn repeated(&self, count: usize) -> Result<Arc<dyn ExecutionPlan>> {
        let mut left = count;
        let mut batches = vec![];
        for batch in self.batches.iter().cycle() {
            let rows = batch.num_rows().min(left);
            if rows == 0 {
                break;
            }
            batches.push(batch.slice(0, rows));
            left -= rows;
        }
        Ok(MemorySourceConfig::try_new_exec(&[batches], Arc::clone(&self.schema), None)?)
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::Int32Array;
    use datafusion::arrow::datatypes::{DataType, Field, Schema};
    use datafusion::physical_plan::collect;
    use datafusion::prelude::SessionContext;

    use super::*;

    #[tokio::test]
    async fn rows_are_repeated_as_often_as_it_takes() -> Result<()> {
        let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int32, false)]));
        let numbers = Arc::new(Int32Array::from_iter_values(0..40));
        let batch = RecordBatch::try_new(Arc::clone(&schema), vec![numbers]).unwrap();
        let rows = Rows::new(schema, &[batch], IMAGE_ROWS);
        assert_eq!(rows.count, 40);
        for count in [1, 40, 100] {
            let batches = collect(rows.repeated(count)?, SessionContext::new().task_ctx()).await?;
            assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), count);
            assert!(batches.iter().all(|batch| batch.num_rows() <= IMAGE_ROWS));
        }
        Ok(())
    }
}
