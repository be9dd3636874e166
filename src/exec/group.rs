//! The calls of an operator, grouped by the image that they are on, so that each image is decoded once for all of them.

use std::sync::Arc;

use datafusion::arrow::datatypes::Schema;
use datafusion::error::Result;
use datafusion::physical_plan::PhysicalExpr;
use itertools::Itertools;
use seequel_udfs::Request;

use super::decode_infer::InferencePlan;
use super::metrics::InferMetrics;
use super::predictions::{FunctionColumn, PhysicalCall};
use crate::model::input::Assignment;

/// The calls on one image, or those without an image.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) image: Option<Arc<dyn PhysicalExpr>>,
    /// The calls' other inputs.
    pub(super) numbers: Vec<Arc<dyn PhysicalExpr>>,
    pub(super) plan: InferencePlan,
    /// Positions of the calls' columns, in the order of the plan.
    pub(super) columns: Vec<usize>,
    /// Functions that decode the image, where no model does.
    pub(super) functions: Vec<FunctionColumn>,
}

/// Groups the calls by image; also the functions that are in no group.
pub(super) fn groups(
    calls: &[PhysicalCall],
    schema: &Schema,
    metrics: &InferMetrics,
) -> Result<(Vec<Group>, Vec<FunctionColumn>)> {
    let mut groups: Vec<Group> = vec![];
    let calls = calls.iter().enumerate();
    let (functions, calls): (Vec<_>, Vec<_>) =
        calls.partition(|(_, call)| call.request == Request::ImageFunction);
    // Those of image_error read what the others give.
    let calls = calls.into_iter();
    for (column, call) in calls.sorted_by_key(|(_, call)| call.request == Request::ImageError) {
        let types = call.inputs.iter().map(|input| input.data_type(schema)).collect::<Result<Vec<_>>>()?;
        let Assignment { image, numbers } = call.predictor.assign(call.request, &types)?;
        let image = image.map(|position| Arc::clone(&call.inputs[position]));
        let known = groups.iter().position(|group| group.image == image).unwrap_or_else(|| {
            let plan = InferencePlan::default();
            groups.push(Group { image, numbers: vec![], plan, columns: vec![], functions: vec![] });
            groups.len() - 1
        });
        let group = &mut groups[known];
        let numbers: Vec<Vec<usize>> = numbers
            .into_iter()
            .map(|positions| call.inputs[positions].iter().map(|input| group.position(input)).collect())
            .collect();
        group.plan.add(call.request, &call.predictor, &numbers, call.field.data_type(), metrics);
        group.columns.push(column);
    }
    let mut others = vec![];
    for (position, call) in functions {
        let column = call.inputs.iter().map(|expr| FunctionColumn::new(position, expr));
        for column in column {
            let decodes =
                |group: &&mut Group| group.plan.models().is_empty() && group.image.as_ref() == column.image();
            match groups.iter_mut().find(decodes) {
                Some(group) if column.image().is_some() => group.functions.push(column),
                _ => others.push(column),
            }
        }
    }
    Ok((groups, others))
}

impl Group {
    /// The position of a column of numbers, which is added if it is new.
    fn position(&mut self, column: &Arc<dyn PhysicalExpr>) -> usize {
        self.numbers.iter().position(|known| known.eq(column)).unwrap_or_else(|| {
            self.numbers.push(Arc::clone(column));
            self.numbers.len() - 1
        })
    }
}
