//! Numbers from columns as the tensor of an input: what `predict` feeds beside, or instead of, an image.
//!
//! ```text
//!  list column      [5.1, 3.5, 1.4, 0.2] ──────────► cast ─► a row's numbers ─┐
//!  number columns   5.1 │ 3.5 │ 1.4 │ 0.2 ─ interleave ─► cast ───────────────┴─► 'x' float32 [batch, 4]
//! ```

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, GenericListArray, OffsetSizeTrait};
use datafusion::arrow::buffer::NullBuffer;
use datafusion::arrow::compute::{cast, concat, interleave, nullif};
use datafusion::arrow::datatypes::{DataType, Float64Type};
use datafusion::error::Result;
use itertools::Itertools;

use super::graph::{Dim, Port};
use super::output::MAX_CLASSES;

/// Numbers in one run's tensor, at most: half a gigabyte of Float64.
const MAX_NUMBERS: usize = 1 << 26;

/// An input that numbers of columns are given to, row by row of the tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumbersSpec {
    /// The input as the graph has it: `[batch, …]`, with at most one length open beside the batch.
    pub port: Port,
    /// Type of its numbers.
    pub element: DataType,
}

impl NumbersSpec {
    /// The specification of `port`.
    ///
    /// # Errors
    /// In words, an input that no columns of numbers can be given to.
    pub(super) fn new(port: &Port) -> Result<Self, String> {
        let element = match port.element_type() {
            Some(DataType::Utf8) => {
                return Err(format!(
                    "input {port} is text, which has no numbers before a tokenizer or an encoder makes them; export the \
                     model without that step"
                ));
            }
            Some(element) => element,
            None => return Err(format!("input {port} is of a type that columns have no numbers for")),
        };
        match port.dims.as_deref() {
            Some([Dim::Fixed(length @ 2..)]) => Err(format!(
                "input {port} is a row or a batch of rows, which its shape does not say; export it as [1, {length}] or \
                 [batch, {length}]"
            )),
            None | Some([]) => Err(format!("input {port} has no dimension for the batch")),
            Some([_, lengths @ ..]) if length(lengths) > MAX_CLASSES => {
                Err(format!("input {port} is longer than {MAX_CLASSES} numbers a row"))
            }
            Some([_, lengths @ ..])
                if lengths.iter().filter(|length| length.fixed().is_none()).count() > 1 =>
            {
                Err(format!("input {port} leaves more than one length open"))
            }
            Some(_) => Ok(Self { port: port.clone(), element }),
        }
    }

    /// Dimensions of a row's numbers.
    fn dims(&self) -> &[Dim] {
        self.port.dims.as_deref().and_then(<[Dim]>::split_first).map_or(&[], |(_, lengths)| lengths)
    }

    /// Numbers of a row, if that is always the same.
    pub(super) fn row_length(&self) -> Option<usize> {
        self.dims().iter().all(|dim| dim.fixed().is_some()).then(|| length(self.dims()))
    }

    /// Bytes of a row's numbers, as far as the graph says.
    pub(crate) fn row_bytes(&self) -> usize {
        self.row_length().unwrap_or(1) * self.element.primitive_width().unwrap_or(1)
    }

    /// The shape of a row of so many numbers.
    fn row_shape(&self, numbers: usize) -> Result<Vec<usize>, String> {
        let open = numbers / length(self.dims());
        let shape: Vec<_> = self.dims().iter().map(|length| length.fixed().unwrap_or(open)).collect();
        if shape.iter().product::<usize>() == numbers {
            Ok(shape)
        } else {
            Err(format!("{numbers} numbers don't fit input {}", self.port))
        }
    }

    /// How many of the next columns this input takes: one list, or as many single numbers as a row has; 0 if there are too
    /// few.
    ///
    /// # Errors
    /// In words, a column that is neither numbers nor a list of numbers.
    pub(super) fn columns(&self, next: &[DataType]) -> Result<usize, String> {
        if let Some(list) = next.first().filter(|column| column.is_list()) {
            self.check_list(list)?;
            return Ok(1);
        }
        let numbers = next.iter().take_while(|column| !column.is_list());
        let taken = numbers.take(self.row_length().unwrap_or(next.len())).count();
        next[..taken].iter().try_for_each(|column| self.check(column))?;
        Ok(if self.row_length().is_some_and(|length| length > taken) { 0 } else { taken })
    }

    /// Checks that lists of this type can be rows of this input.
    fn check_list(&self, list: &DataType) -> Result<(), String> {
        self.check(item_type(list))?;
        match list {
            DataType::FixedSizeList(_, length) => self
                .row_shape(usize::try_from(*length).unwrap_or(0))
                .map(|_| ())
                .map_err(|reason| format!("cannot take a list: {reason}")),
            _ => Ok(()),
        }
    }

    /// Checks that numbers of `column` can be numbers of this input.
    fn check(&self, column: &DataType) -> Result<(), String> {
        let port = &self.port;
        match column {
            DataType::Null | DataType::Boolean => Ok(()),
            integer if integer.is_integer() => Ok(()),
            float if float.is_floating() || float.is_decimal() => {
                if self.element.is_floating() {
                    return Ok(());
                }
                Err(format!(
                    "takes whole numbers for input {port}, not {column}; arrow_cast(…, 'Int64') or 'List(Int64)' makes them"
                ))
            }
            text if text.is_string() => Err(format!(
                "takes numbers for input {port}, not text, which has none before a tokenizer or an encoder makes them"
            )),
            list if list.is_list() => Err(format!(
                "takes a plain list for input {port}, row by row; flatten(…) makes one of {list}"
            )),
            other => Err(format!("takes numbers for input {port}, not {other}")),
        }
    }
}

/// Numbers in a tensor of these dimensions, each open one of length 1.
fn length(dims: &[Dim]) -> usize {
    dims.iter().filter_map(Dim::fixed).fold(1, usize::saturating_mul)
}

/// The type of a list's items; else the type itself.
fn item_type(list: &DataType) -> &DataType {
    match list {
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _) => item.data_type(),
        other => other,
    }
}

/// What the rows of a morsel give to one input.
#[derive(Debug)]
pub(crate) struct RowNumbers<'a> {
    input: &'a NumbersSpec,
    /// Row after row.
    values: ArrayRef,
    /// Where each row's numbers begin, and where the last's end.
    offsets: Vec<usize>,
    /// Rows that are NULL.
    nulls: Option<NullBuffer>,
}

/// Numbers of a row, or of a batch of rows, and their shape.
#[derive(Debug, Clone)]
pub(crate) struct Numbers {
    pub(crate) values: ArrayRef,
    pub(crate) shape: Vec<usize>,
}

impl<'a> RowNumbers<'a> {
    /// Reads `columns`, which `input` takes: a list, or single numbers of `rows` rows.
    ///
    /// # Errors
    /// A bug: columns that [`NumbersSpec::columns`] refuses.
    pub(crate) fn try_new(input: &'a NumbersSpec, columns: &[ArrayRef], rows: usize) -> Result<Self> {
        match columns {
            [list] if list.data_type().is_list() => Self::from_list(input, list),
            columns => Self::from_columns(input, columns, rows),
        }
    }

    fn from_list(input: &'a NumbersSpec, list: &ArrayRef) -> Result<Self> {
        let (values, offsets) = match list.data_type() {
            DataType::List(_) => own_values(list.as_list::<i32>()),
            DataType::LargeList(_) => own_values(list.as_list::<i64>()),
            // Views and lists of fixed length, whose slices hold what is theirs.
            other => {
                let list = cast(list, &DataType::new_large_list(item_type(other).clone(), true))?;
                own_values(list.as_list::<i64>())
            }
        };
        Ok(Self {
            input,
            values: cast_within(&values, &input.element)?,
            offsets,
            nulls: list.nulls().cloned(),
        })
    }

    fn from_columns(input: &'a NumbersSpec, columns: &[ArrayRef], rows: usize) -> Result<Self> {
        let nulls = columns
            .iter()
            .fold(None, |nulls, column| NullBuffer::union(nulls.as_ref(), column.logical_nulls().as_ref()));
        let cast = columns.iter().map(|column| cast_within(column, &input.element));
        let columns = cast.collect::<Result<Vec<_>, _>>()?;
        let columns: Vec<&dyn Array> = columns.iter().map(AsRef::as_ref).collect();
        let positions = (0..rows).cartesian_product(0..columns.len());
        let positions: Vec<_> = positions.map(|(row, column)| (column, row)).collect();
        let offsets = (0..=rows).map(|row| row * columns.len()).collect();
        Ok(Self { input, values: interleave(&columns, &positions)?, offsets, nulls })
    }

    /// The numbers of `row`, or `None` if the row is NULL.
    ///
    /// # Errors
    /// In words, a list of another length than the input's, NULL in a list, or a number out of the input's range.
    pub(crate) fn row(&self, row: usize) -> Result<Option<Numbers>, String> {
        if self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            return Ok(None);
        }
        let values = self.values.slice(self.offsets[row], self.offsets[row + 1] - self.offsets[row]);
        if values.null_count() > 0 {
            let port = &self.input.port;
            return Err(format!(
                "input {port} has no place for NULL in a list, or for numbers out of its range"
            ));
        }
        Ok(Some(Numbers { shape: self.input.row_shape(values.len())?, values }))
    }
}

/// The values of a list's rows, without those before and after it, and where each row's begin and the last's end.
fn own_values<O: OffsetSizeTrait>(list: &GenericListArray<O>) -> (ArrayRef, Vec<usize>) {
    let offsets = list.value_offsets();
    let (start, end) = (offsets[0].as_usize(), offsets[list.len()].as_usize());
    let rebased = offsets.iter().map(|offset| offset.as_usize() - start).collect();
    (list.values().slice(start, end - start), rebased)
}

/// The numbers in another type, NULL where they are out of its range.
fn cast_within(numbers: &ArrayRef, element: &DataType) -> Result<ArrayRef> {
    let cast_numbers = cast(numbers, element)?;
    if !matches!(element, DataType::Float16 | DataType::Float32) {
        return Ok(cast_numbers);
    }
    // Casts to floats don't fail: what is out of range is infinite.
    let after = cast(&cast_numbers, &DataType::Float64)?;
    let after = after.as_primitive::<Float64Type>();
    if !after.values().iter().any(|number| number.is_infinite()) {
        return Ok(cast_numbers);
    }
    let before = cast(numbers, &DataType::Float64)?;
    let both = before.as_primitive::<Float64Type>().iter().zip(after);
    let lost: BooleanArray = both
        .map(|(before, after)| {
            Some(before.is_some_and(f64::is_finite) && after.is_some_and(f64::is_infinite))
        })
        .collect();
    Ok(nullif(&cast_numbers, &lost)?)
}

impl Numbers {
    /// The numbers of rows of one shape, filled up to `batch` rows with the last.
    pub(super) fn batched(rows: &[Self], batch: usize) -> Result<Self, String> {
        let Some(last) = rows.last() else { return Err("a batch without rows".to_owned()) };
        if last.values.len().saturating_mul(batch) > MAX_NUMBERS {
            return Err(format!("a batch of {batch} rows of {} numbers is too large", last.values.len()));
        }
        let padding = std::iter::repeat_n(last, batch.saturating_sub(rows.len()));
        let arrays: Vec<&dyn Array> = rows.iter().chain(padding).map(|row| row.values.as_ref()).collect();
        let values = concat(&arrays).map_err(|error| error.to_string())?;
        let shape = [batch].into_iter().chain(last.shape.iter().copied()).collect();
        Ok(Self { values, shape })
    }
}
