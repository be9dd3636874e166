//! Converts predictions to columns of the functions' return types.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, FixedSizeListArray, Float32Array, Float32Builder, Int32Builder, ListArray, StringBuilder,
    StructArray,
};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::datatypes::{DataType, FieldRef, Fields};
use datafusion::common::internal_err;
use datafusion::error::Result;
use seequel_udfs::{Request, box_fields, classification_fields, detection_fields, ranked_class_fields};

use super::output_column::output_column;
use super::prediction::{Prediction, Value};
use crate::model::Predictor;
use crate::tasks::detection::Detection;
use crate::tasks::{Class, Labels};

/// The predictions for `request` as a column of type `data_type`.
///
/// # Errors
/// A bug: predictions of a different kind than the request's.
pub(crate) fn column(
    request: Request,
    data_type: &DataType,
    predictor: &Predictor,
    predictions: &[Prediction],
) -> Result<ArrayRef> {
    match (request, data_type) {
        (Request::Classify, _) => classifications(predictor, predictions),
        (Request::ClassifyTopK { .. }, DataType::List(item)) => {
            let lists = predictions.iter().map(|prediction| match prediction {
                Prediction::Value(Value::Classes(classes)) => Some(classes.as_slice()),
                _ => None,
            });
            let (offsets, nulls, classes) = flattened(lists);
            Ok(list(item, offsets, ranked_classes(predictor.labels(), &classes)?, nulls)?)
        }
        (Request::Embed, DataType::FixedSizeList(item, length)) => embeddings(item, *length, predictions),
        (Request::Detect, DataType::List(item)) => {
            let lists = predictions.iter().map(|prediction| match prediction {
                Prediction::Value(Value::Objects(objects)) => Some(objects.as_slice()),
                _ => None,
            });
            let (offsets, nulls, objects) = flattened(lists);
            Ok(list(item, offsets, detections(predictor.labels(), &objects)?, nulls)?)
        }
        (Request::Predict, DataType::Struct(fields)) => outputs(fields, predictions),
        (request, data_type) => internal_err!("{} does not give {data_type}", request.signature()),
    }
}

/// Which rows have a value.
fn valid(predictions: &[Prediction]) -> NullBuffer {
    predictions.iter().map(|prediction| matches!(prediction, Prediction::Value(_))).collect()
}

fn classifications(predictor: &Predictor, predictions: &[Prediction]) -> Result<ArrayRef> {
    let labels = predictor.labels();
    let (mut label, mut class, mut confidence) =
        (StringBuilder::new(), Int32Builder::new(), Float32Builder::new());
    let (mut model, mut error) = (StringBuilder::new(), StringBuilder::new());
    for prediction in predictions {
        let (best, winner, reason) = match prediction {
            Prediction::Value(Value::Class(best, winner)) => (Some(best), *winner, None),
            Prediction::Failed(failure) => (None, None, Some(&failure.reason)),
            Prediction::Value(_) | Prediction::Null => (None, None, None),
        };
        let name = match winner {
            Some(member) => &predictor.members()[member].spec().name,
            None => predictor.name(),
        };
        label.append_option(best.map(|best| labels.get(best.class)));
        class.append_option(best.map(|best| best.class as i32));
        confidence.append_option(best.map(|best| best.confidence));
        model.append_option((!matches!(prediction, Prediction::Null)).then_some(name));
        error.append_option(reason);
    }
    let nulls = predictions.iter().map(|prediction| !matches!(prediction, Prediction::Null)).collect();
    Ok(Arc::new(StructArray::try_new(
        classification_fields().clone(),
        vec![
            Arc::new(label.finish()),
            Arc::new(class.finish()),
            Arc::new(confidence.finish()),
            Arc::new(model.finish()),
            Arc::new(error.finish()),
        ],
        Some(nulls),
    )?))
}

fn ranked_classes(labels: &Labels, classes: &[Class]) -> Result<ArrayRef> {
    let columns = class_columns(labels, classes.iter().map(|class| (class.class, class.confidence)));
    Ok(Arc::new(StructArray::try_new(ranked_class_fields().clone(), columns, None)?))
}

fn detections(labels: &Labels, objects: &[Detection]) -> Result<ArrayRef> {
    let side = |side: usize| -> ArrayRef {
        Arc::new(Float32Array::from_iter_values(objects.iter().map(|object| object.corners[side])))
    };
    let boxes = StructArray::try_new(box_fields().clone(), (0..4).map(side).collect(), None)?;
    let mut columns = class_columns(labels, objects.iter().map(|object| (object.class, object.confidence)));
    columns.push(Arc::new(boxes));
    Ok(Arc::new(StructArray::try_new(detection_fields().clone(), columns, None)?))
}

/// Columns `label`, `class` and `confidence`.
fn class_columns(labels: &Labels, classes: impl Iterator<Item = (usize, f32)>) -> Vec<ArrayRef> {
    let (mut label, mut number, mut confidence) =
        (StringBuilder::new(), Int32Builder::new(), Float32Builder::new());
    for (class, value) in classes {
        label.append_value(labels.get(class));
        number.append_value(class as i32);
        confidence.append_value(value);
    }
    vec![Arc::new(label.finish()), Arc::new(number.finish()), Arc::new(confidence.finish())]
}

fn embeddings(item: &FieldRef, length: i32, predictions: &[Prediction]) -> Result<ArrayRef> {
    let dimensions = length as usize;
    let mut numbers = Vec::with_capacity(predictions.len() * dimensions);
    for (row, prediction) in predictions.iter().enumerate() {
        if let Prediction::Value(Value::Numbers(vector)) = prediction {
            numbers.extend_from_slice(vector);
        }
        numbers.resize((row + 1) * dimensions, 0.0);
    }
    let numbers = Arc::new(Float32Array::from(numbers));
    Ok(Arc::new(FixedSizeListArray::try_new(Arc::clone(item), length, numbers, Some(valid(predictions)))?))
}

fn outputs(fields: &Fields, predictions: &[Prediction]) -> Result<ArrayRef> {
    let column = |(position, field): (usize, &FieldRef)| {
        let values = predictions.iter().map(|prediction| match prediction {
            Prediction::Value(Value::Outputs(outputs)) => outputs.get(position),
            _ => None,
        });
        output_column(field.data_type(), &values.collect::<Vec<_>>())
    };
    let columns = fields.iter().enumerate().map(column).collect::<Result<_>>()?;
    Ok(Arc::new(StructArray::try_new(fields.clone(), columns, Some(valid(predictions)))?))
}

/// Concatenates lists; returns their offsets, which rows have one, and their items.
fn flattened<'a, T: Copy + 'a>(
    rows: impl Iterator<Item = Option<&'a [T]>>,
) -> (OffsetBuffer<i32>, NullBuffer, Vec<T>) {
    let rows: Vec<_> = rows.collect();
    let offsets = OffsetBuffer::from_lengths(rows.iter().map(|row| row.map_or(0, <[T]>::len)));
    let nulls = rows.iter().map(Option::is_some).collect();
    (offsets, nulls, rows.into_iter().flatten().flatten().copied().collect())
}

fn list(
    item: &FieldRef,
    offsets: OffsetBuffer<i32>,
    values: ArrayRef,
    nulls: NullBuffer,
) -> Result<ArrayRef> {
    Ok(Arc::new(ListArray::try_new(Arc::clone(item), offsets, values, Some(nulls))?))
}
