//! Inputs that take numbers from columns, which `predict` passes in addition to, or instead of, an image.
//!
//! ```text
//!  list column      [5.1, 3.5, 1.4, 0.2] ──────────► cast ─► a row's numbers ─┐
//!  number columns   5.1 │ 3.5 │ 1.4 │ 0.2 ─ interleave ─► cast ───────────────┴─► 'x' float32 [batch, 4]
//! ```

use datafusion::arrow::datatypes::DataType;
use serde::{Deserialize, Serialize};

use crate::model::onnx::{Dim, Port};

/// Maximum count of numbers per row: 64 MiB of float32.
const MAX_ROW_NUMBERS: usize = 1 << 24;

/// An input that takes numbers from columns, one table row per row of the tensor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Port", into = "Port")]
pub struct NumbersSpec {
    /// The graph's input: `[batch, …]`, with at most one dynamic dimension besides the batch.
    pub port: Port,
    /// Type of its numbers.
    pub element: DataType,
}

impl From<NumbersSpec> for Port {
    fn from(numbers: NumbersSpec) -> Self {
        numbers.port
    }
}

impl TryFrom<Port> for NumbersSpec {
    type Error = String;

    fn try_from(port: Port) -> Result<Self, String> {
        Self::new(&port)
    }
}

impl NumbersSpec {
    /// Builds the specification of `port`.
    ///
    /// # Errors
    /// The reason why `port` can't take numbers from columns.
    pub(crate) fn new(port: &Port) -> Result<Self, String> {
        let element = match port.element_type() {
            Some(DataType::Utf8) => {
                return Err(format!(
                    "input {port} is text, which has no numbers before a tokenizer or an encoder makes them; export the \
                     model without that step"
                ));
            }
            Some(element) => element,
            None => return Err(format!("input {port} has a type that no column has")),
        };
        match port.dims.as_deref() {
            Some([Dim::Fixed(length @ 2..)]) => Err(format!(
                "input {port} is a row or a batch of rows, which its shape does not say; export it as [1, {length}] or \
                 [batch, {length}]"
            )),
            None | Some([]) => Err(format!("input {port} has no dimension for the batch")),
            Some([_, lengths @ ..]) if length(lengths) > MAX_ROW_NUMBERS => {
                Err(format!("input {port} is longer than {MAX_ROW_NUMBERS} numbers a row"))
            }
            Some([_, lengths @ ..])
                if lengths.iter().filter(|length| length.fixed().is_none()).count() > 1 =>
            {
                Err(format!("input {port} leaves more than one length open"))
            }
            Some(_) => Ok(Self { port: port.clone(), element }),
        }
    }

    /// Dimensions of one row.
    fn dims(&self) -> &[Dim] {
        self.port.dims.as_deref().and_then(<[Dim]>::split_first).map_or(&[], |(_, lengths)| lengths)
    }

    /// Count of numbers per row, if fixed.
    pub(crate) fn row_length(&self) -> Option<usize> {
        self.dims().iter().all(|dim| dim.fixed().is_some()).then(|| length(self.dims()))
    }

    /// Bytes per row, with a count of 1 if the row length is dynamic.
    pub(crate) fn row_bytes(&self) -> usize {
        self.row_length().unwrap_or(1) * self.element.primitive_width().unwrap_or(1)
    }

    /// The shape of a row with `numbers` numbers.
    pub(crate) fn row_shape(&self, numbers: usize) -> Result<Vec<usize>, String> {
        let open = numbers / length(self.dims());
        let shape: Vec<_> = self.dims().iter().map(|length| length.fixed().unwrap_or(open)).collect();
        if shape.iter().product::<usize>() == numbers {
            Ok(shape)
        } else {
            Err(format!("{numbers} numbers don't fit input {}", self.port))
        }
    }

    /// How many of the next columns this input takes: one list, or as many single numbers as fill a row; 0 if there are
    /// too few.
    ///
    /// # Errors
    /// The reason, if a column is neither numbers nor a list of numbers.
    pub(crate) fn columns(&self, next: &[DataType]) -> Result<usize, String> {
        if let Some(list) = next.first().filter(|column| column.is_list()) {
            self.check_list(list)?;
            return Ok(1);
        }
        let numbers = next.iter().take_while(|column| !column.is_list());
        let taken = numbers.take(self.row_length().unwrap_or(next.len())).count();
        next[..taken].iter().try_for_each(|column| self.check(column))?;
        Ok(if self.row_length().is_some_and(|length| length > taken) { 0 } else { taken })
    }

    /// Checks that lists of type `list` fit this input.
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

    /// Checks that numbers of type `column` fit this input.
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

/// Count of numbers in a tensor of these dimensions, with dynamic ones counted as 1.
pub(crate) fn length(dims: &[Dim]) -> usize {
    dims.iter().filter_map(Dim::fixed).fold(1, usize::saturating_mul)
}

/// The item type of a list type; otherwise the type itself.
pub(crate) fn item_type(list: &DataType) -> &DataType {
    match list {
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _) => item.data_type(),
        other => other,
    }
}
