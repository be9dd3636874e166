//! The executors of a cluster and the models that they have loaded, as statements see them.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, ListArray, RecordBatch, StringArray, StructArray, TimestampMillisecondArray,
    UInt32Array, new_null_array,
};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::compute::concat_batches;
use datafusion::arrow::datatypes::{Field, Schema};
use datafusion::error::DataFusionError;
use itertools::Itertools;
use seequel_cluster::{Client, ListedExecutor, LoadedModel};

use crate::Result;
use crate::model::ModelRegistry;

/// `SHOW EXECUTORS`.
///
/// # Errors
/// A scheduler that does not answer.
pub(crate) async fn show_executors(client: &Client) -> Result<RecordBatch> {
    let executors = client.executors().await?;
    let texts = |text: fn(&ListedExecutor) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(executors.iter().map(text)))
    };
    let counts = |count: fn(&ListedExecutor) -> Option<u32>| -> ArrayRef {
        Arc::new(executors.iter().map(count).collect::<UInt32Array>())
    };
    let models =
        |executor: &ListedExecutor| executor.models.iter().map(|model| &model.name).unique().join(", ");
    let batch = RecordBatch::try_from_iter_with_nullable([
        ("id", texts(|executor| executor.id.clone()), false),
        ("address", texts(|executor| executor.address.clone()), false),
        ("cores", counts(|executor| Some(executor.cores)), false),
        ("tasks", counts(|executor| executor.running), true),
        ("models", texts(models), false),
        ("last_seen", times(executors.iter().map(|executor| executor.last_seen)), false),
    ]);
    Ok(batch.map_err(DataFusionError::from)?)
}

/// `SHOW MODELS` on a cluster: `models`, with the executors that have loaded each, then those of other clients. NULL if the
/// scheduler does not answer: models can be seen without one.
///
/// # Errors
/// A bug: columns that don't fit.
pub(crate) async fn with_executors(
    client: &Client,
    registry: &ModelRegistry,
    models: RecordBatch,
) -> Result<RecordBatch> {
    let executors = match client.executors().await {
        Ok(executors) => Some(executors),
        Err(error) => {
            tracing::info!("which executors have loaded models is not known: {error}");
            None
        }
    };
    let loaded = executors.iter().flatten().flat_map(|executor| {
        executor.models.iter().map(move |model| Loaded { executor: &executor.address, model })
    });
    let loaded: Vec<_> = loaded.sorted_by_key(|loaded| &loaded.model.name).collect();
    let own = registry.names().into_iter().map(|name| -> Vec<String> {
        let predictor = registry.predictor(&name);
        let members = predictor.iter().flat_map(|predictor| predictor.members());
        members.map(|member| member.spec().sha256.clone()).collect()
    });
    let own: Vec<_> = own.collect();
    let is_own = |loaded: &&Loaded<'_>| own.iter().flatten().any(|digest| *digest == loaded.model.digest);
    let others = loaded.iter().filter(|loaded| !is_own(loaded)).map(|loaded| &loaded.model.name);
    let others: Vec<_> = others.unique().collect();
    let mut rows: Vec<Vec<&Loaded<'_>>> = vec![];
    for digests in &own {
        rows.push(loaded.iter().filter(|loaded| digests.contains(&loaded.model.digest)).collect());
    }
    for name in &others {
        rows.push(loaded.iter().filter(|loaded| !is_own(loaded) && loaded.model.name == **name).collect());
    }
    Ok(joined(&models, &others, &rows, executors.is_some())?)
}

/// A model on an executor.
struct Loaded<'a> {
    executor: &'a str,
    model: &'a LoadedModel,
}

fn joined(
    models: &RecordBatch,
    others: &[&String],
    rows: &[Vec<&Loaded<'_>>],
    is_known: bool,
) -> Result<RecordBatch, DataFusionError> {
    let mut columns = vec![];
    for (index, field) in models.schema().fields().iter().enumerate() {
        columns.push(match index {
            0 => Arc::new(StringArray::from_iter_values(others)) as ArrayRef,
            _ => new_null_array(field.data_type(), others.len()),
        });
    }
    let all = concat_batches(&models.schema(), [models, &RecordBatch::try_new(models.schema(), columns)?])?;
    let flat: Vec<_> = rows.iter().flatten().collect();
    let texts = |text: fn(&Loaded<'_>) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(flat.iter().map(|loaded| text(loaded))))
    };
    let sessions = UInt32Array::from_iter_values(flat.iter().map(|loaded| loaded.model.sessions));
    let entries = StructArray::from(RecordBatch::try_from_iter_with_nullable([
        ("executor", texts(|loaded| loaded.executor.to_owned()), false),
        ("sessions", Arc::new(sessions) as ArrayRef, false),
        ("device", texts(|loaded| loaded.model.device.clone()), false),
        ("since", times(flat.iter().map(|loaded| loaded.model.since)), false),
        ("digest", texts(|loaded| loaded.model.digest.clone()), false),
    ])?);
    let item = Arc::new(Field::new_list_field(entries.data_type().clone(), false));
    let offsets = OffsetBuffer::from_lengths(rows.iter().map(Vec::len));
    let nulls = (!is_known).then(|| NullBuffer::new_null(rows.len()));
    let lists: ArrayRef = Arc::new(ListArray::try_new(item, offsets, Arc::new(entries), nulls)?);
    let fields = all.schema().fields().iter().cloned().collect::<Vec<_>>();
    let added = Arc::new(Field::new("executors", lists.data_type().clone(), true));
    let schema = Schema::new(fields.into_iter().chain([added]).collect::<Vec<_>>());
    let columns = all.columns().iter().cloned().chain([lists]);
    Ok(RecordBatch::try_new(Arc::new(schema), columns.collect())?)
}

/// Times in milliseconds since 1970.
fn times(times: impl Iterator<Item = u64>) -> ArrayRef {
    let times = TimestampMillisecondArray::from_iter_values(times.map(u64::cast_signed));
    Arc::new(times.with_timezone("UTC"))
}
