//! The rows of a morsel that wait for their model's next run.

use std::ops::Range;

use crate::model::runtime::Batch;
use crate::model::tensor::{Numbers, Placement, Tensor};

/// The rows that the model has not run on yet.
#[derive(Debug, Default)]
pub(crate) struct Filled {
    /// The row of each slot, and the placement of its image in the slot.
    pub(crate) rows: Vec<Slot>,
    /// For each input that takes numbers, the numbers of each slot, all of the same shape.
    numbers: Vec<Vec<Numbers>>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Slot {
    pub(crate) row: usize,
    pub(crate) placement: Option<Placement>,
}

impl Filled {
    /// None yet, for a model with so many inputs that take numbers.
    pub(crate) fn new(inputs: usize) -> Self {
        Self { rows: vec![], numbers: vec![vec![]; inputs] }
    }

    /// Whether `numbers` have the same shapes as those of the waiting rows.
    pub(crate) fn takes(&self, numbers: &[Numbers]) -> bool {
        let waiting = self.numbers.iter().zip(numbers);
        waiting
            .into_iter()
            .all(|(waiting, next)| waiting.first().is_none_or(|first| first.shape == next.shape))
    }

    /// Adds a row and its numbers, whose shapes it [takes](Self::takes).
    pub(crate) fn push(&mut self, slot: Slot, numbers: Vec<Numbers>) {
        self.rows.push(slot);
        self.numbers.iter_mut().zip(numbers).for_each(|(waiting, next)| waiting.push(next));
    }

    /// The batch of some slots.
    pub(crate) fn batch<'a>(
        &'a self,
        images: Option<(&'a Tensor, usize)>,
        slots: Range<usize>,
        max_output_elements: u64,
    ) -> Batch<'a> {
        let rows = slots.len();
        let numbers = self.numbers.iter().map(|numbers| &numbers[slots.clone()]).collect();
        Batch { rows, images, numbers, max_output_elements }
    }
}
