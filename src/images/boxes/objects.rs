//! Reads what models found in an image: lists of structs with `label`, `class`, `confidence` and `box`.

use std::borrow::Cow;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float32Array, Float64Array, Int64Array, LargeListArray,
    StringArray, StructArray, new_null_array,
};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::compute::cast;
use datafusion::arrow::compute::kernels::zip::zip;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields, Float32Type, Float64Type, Int64Type};
use datafusion::common::{Result, exec_err, plan_err};

/// Names of a box's edges.
const EDGES: [&str; 4] = ["x0", "y0", "x1", "y1"];
const BOX: &str = "box";
const LABEL: &str = "label";

/// An object in an image, or the class of the whole image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Object<'a> {
    /// Left, top, right and bottom in pixels of the image as displayed.
    pub(crate) corners: Option<[f64; 4]>,
    pub(crate) label: Option<&'a str>,
    pub(crate) class: Option<i64>,
    /// Probability, 0 to 1.
    pub(crate) confidence: Option<f32>,
}

impl Object<'_> {
    /// Label and confidence: `lion 93 %`.
    pub(crate) fn text(&self) -> String {
        let confidence = self.confidence.filter(|confidence| confidence.is_finite());
        let confidence = confidence.map(|confidence| format!("{:.0} %", confidence * 100.0));
        let label = self.label.map(Cow::Borrowed).or_else(|| Some(self.class?.to_string().into()));
        [label, confidence.map(Cow::Owned)].into_iter().flatten().collect::<Vec<_>>().join(" ")
    }
}

/// Checks that a column of this type has objects with boxes: a list of structs with the edges of a box, or with a `box`.
///
/// # Errors
/// A plan error that starts with `signature` and states what is valid.
pub(crate) fn check_boxes(signature: &str, data_type: &DataType) -> Result<()> {
    let Some(item) = item_of(data_type) else {
        return match data_type {
            DataType::Null => Ok(()),
            other => plan_err!(
                "{signature}: boxes must be a list of structs, such as detect's result, not {other}"
            ),
        };
    };
    let edges = match item.data_type() {
        DataType::Null => return Ok(()),
        DataType::Struct(fields) => match field_of(fields, BOX).map(|field| field.data_type()) {
            Some(DataType::Struct(edges)) => edges,
            Some(other) => {
                return plan_err!("{signature}: the box of a list's item must be a struct, not {other}");
            }
            None => fields,
        },
        other => {
            return plan_err!(
                "{signature}: boxes must be a list of structs, such as detect's result, not of {other}"
            );
        }
    };
    for edge in EDGES {
        match field_of(edges, edge).map(|field| field.data_type()) {
            Some(number) if number.is_numeric() || number.is_null() => {}
            Some(other) => return plan_err!("{signature}: {edge} of a box must be a number, not {other}"),
            None => {
                return plan_err!("{signature}: a box needs x0, y0, x1 and y1, and these have no '{edge}'");
            }
        }
    }
    Ok(())
}

/// Whether a column of this type has predictions: structs with a `label` and a `confidence`, or lists of them.
pub(crate) fn are_objects(data_type: &DataType) -> bool {
    let item = item_of(data_type).map_or(data_type, |item| item.data_type());
    let DataType::Struct(fields) = item else { return false };
    let is = |name: &str, test: fn(&DataType) -> bool| {
        field_of(fields, name).is_some_and(|field| test(field.data_type()))
    };
    is(LABEL, DataType::is_string) && is("confidence", DataType::is_numeric)
}

/// The item of a list type.
fn item_of(data_type: &DataType) -> Option<&FieldRef> {
    match data_type {
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => Some(item),
        _ => None,
    }
}

fn field_of<'a>(fields: &'a Fields, name: &str) -> Option<&'a FieldRef> {
    fields.iter().find(|field| field.name() == name)
}

/// The objects of a batch's rows.
#[derive(Debug)]
pub(crate) struct Objects {
    lists: LargeListArray,
    items: Items,
    /// Labels that are not in the items.
    labels: Option<(LargeListArray, StringArray)>,
}

/// The items of all lists, column by column.
#[derive(Debug)]
struct Items {
    edges: Option<[Float64Array; 4]>,
    label: Option<StringArray>,
    class: Option<Int64Array>,
    confidence: Option<Float32Array>,
}

impl Objects {
    /// The objects in a column of lists or single structs; `labels` is a column of lists of texts.
    ///
    /// # Errors
    /// A type that [`check_boxes`] rejects, or a list with more numbers than its new type has room for.
    pub(crate) fn try_new(column: &ArrayRef, labels: Option<&ArrayRef>) -> Result<Self> {
        let lists = lists(column)?;
        let items = Items::of(lists.values())?;
        let labels = labels.map(|labels| -> Result<_> {
            let lists = lists_of(labels, &DataType::Utf8)?;
            let texts = lists.values().as_string::<i32>().clone();
            Ok((lists, texts))
        });
        Ok(Self { lists, items, labels: labels.transpose()? })
    }

    /// The objects of a row; `None` for NULL, of the labels too.
    pub(crate) fn get(&self, row: usize) -> Option<Vec<Object<'_>>> {
        let mut labels = match &self.labels {
            Some((lists, _)) if lists.is_null(row) => return None,
            Some((lists, texts)) => {
                Some(range(lists, row).map(|at| texts.is_valid(at).then(|| texts.value(at))))
            }
            None => None,
        };
        if self.lists.is_null(row) {
            return None;
        }
        let objects = range(&self.lists, row).map(|at| {
            let label = labels.as_mut().and_then(Iterator::next).flatten();
            let object = self.items.get(at);
            Object { label: label.or(object.label), ..object }
        });
        Some(objects.collect())
    }
}

/// The places of a row's items.
fn range(lists: &LargeListArray, row: usize) -> std::ops::Range<usize> {
    let offsets = lists.value_offsets();
    offsets[row] as usize..offsets[row + 1] as usize
}

/// A column of lists of any kind as large lists, one of structs as lists of one item each.
fn lists(column: &ArrayRef) -> Result<LargeListArray> {
    match column.data_type() {
        DataType::Struct(_) => {
            let item = Arc::new(Field::new_list_field(column.data_type().clone(), true));
            let offsets = OffsetBuffer::from_repeated_length(1, column.len());
            let nulls = column.logical_nulls();
            Ok(LargeListArray::try_new(item, offsets, Arc::clone(column), nulls)?)
        }
        data_type => {
            let item = item_of(data_type).map_or(DataType::Null, |item| item.data_type().clone());
            lists_of(column, &item)
        }
    }
}

fn lists_of(column: &ArrayRef, item: &DataType) -> Result<LargeListArray> {
    let large = DataType::LargeList(Arc::new(Field::new_list_field(item.clone(), true)));
    Ok(cast(column, &large)?.as_list::<i64>().clone())
}

impl Items {
    fn of(items: &ArrayRef) -> Result<Self> {
        let Some(items) = items.as_struct_opt() else {
            return match items.data_type() {
                DataType::Null => Ok(Self { edges: None, label: None, class: None, confidence: None }),
                other => exec_err!("a list of {other} holds no objects"),
            };
        };
        let column = |name: &str, data_type: DataType| -> Result<Option<ArrayRef>> {
            // The fields of a NULL struct may have values.
            items
                .column_by_name(name)
                .map(|column| Ok(cast(&hidden(items, column)?, &data_type)?))
                .transpose()
        };
        let boxes = match items.column_by_name(BOX) {
            Some(boxes) => boxes.as_struct_opt(),
            None => Some(items),
        };
        let edges = boxes.map(edges).transpose()?.flatten();
        Ok(Self {
            edges,
            label: column(LABEL, DataType::Utf8)?.map(|column| column.as_string().clone()),
            class: column("class", DataType::Int64)?.map(|column| column.as_primitive::<Int64Type>().clone()),
            confidence: column("confidence", DataType::Float32)?
                .map(|column| column.as_primitive::<Float32Type>().clone()),
        })
    }

    fn get(&self, at: usize) -> Object<'_> {
        let number = |edge: &Float64Array| edge.is_valid(at).then(|| edge.value(at));
        let corners = self
            .edges
            .as_ref()
            .and_then(|[x0, y0, x1, y1]| Some([number(x0)?, number(y0)?, number(x1)?, number(y1)?]));
        let label = self.label.as_ref().filter(|column| column.is_valid(at)).map(|column| column.value(at));
        let class = self.class.as_ref().filter(|column| column.is_valid(at)).map(|column| column.value(at));
        let confidence =
            self.confidence.as_ref().filter(|column| column.is_valid(at)).map(|column| column.value(at));
        Object { corners, label, class, confidence }
    }
}

/// The edges of boxes; `None` if a field is missing.
fn edges(boxes: &StructArray) -> Result<Option<[Float64Array; 4]>> {
    let mut edges = vec![];
    for name in EDGES {
        let Some(column) = boxes.column_by_name(name) else { return Ok(None) };
        let numbers = cast(&hidden(boxes, column)?, &DataType::Float64)?;
        edges.push(numbers.as_primitive::<Float64Type>().clone());
    }
    Ok(<[_; 4]>::try_from(edges).ok())
}

/// A field of structs, NULL where its struct is.
fn hidden(structs: &StructArray, column: &ArrayRef) -> Result<ArrayRef> {
    if structs.null_count() == 0 {
        return Ok(Arc::clone(column));
    }
    let visible: BooleanArray = (0..structs.len()).map(|row| Some(structs.is_valid(row))).collect();
    Ok(zip(&visible, column, &new_null_array(column.data_type(), column.len()))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_have_label_and_confidence() {
        let object = |label, class, confidence| Object { corners: None, label, class, confidence }.text();
        assert_eq!(object(Some("lion"), Some(291), Some(0.934)), "lion 93 %");
        assert_eq!(object(Some("lion"), None, None), "lion");
        assert_eq!(object(None, Some(7), Some(1.0)), "7 100 %");
        assert_eq!(object(None, None, Some(f32::NAN)), "");
    }
}
