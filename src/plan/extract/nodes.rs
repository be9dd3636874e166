//! Extraction for each kind of plan node: how it handles calls, and which hidden columns it passes on.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, Result};
use datafusion::logical_expr::expr::Sort as SortExpr;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::logical_plan::{
    Aggregate, DdlStatement, Distinct, DistinctOn, Extension, Filter, Join, Limit, Projection, Sort,
    SubqueryAlias, Window,
};
use datafusion::logical_expr::{Expr, GroupingSet, JoinType, LogicalPlan};
use seequel_udfs::Request;

use super::calls::{Carried, Pass, contains_calls};
use super::functions::ErrorImages;
use super::share::{beside, companion};
use crate::config::{InferenceOptions, OnError};
use crate::model::ModelRegistry;
use crate::plan::InferNode;

/// Extraction of the calls of one query.
#[derive(Debug)]
pub(super) struct Extraction<'a> {
    pub(super) models: &'a ModelRegistry,
    pub(super) options: &'a InferenceOptions,
    pub(super) error_images: &'a ErrorImages,
    /// Whether rows are recorded for a report, or run on a cluster, by their names.
    pub(super) is_recorded: bool,
    pub(super) next_column: usize,
    /// Whether anything was replaced.
    pub(super) changed: bool,
}

/// A plan, and the calls whose predictions it carries besides its own columns.
#[derive(Debug)]
struct Extracted {
    plan: LogicalPlan,
    carried: Vec<Carried>,
}

impl Extracted {
    fn plain(plan: LogicalPlan) -> Self {
        Self { plan, carried: vec![] }
    }
}

impl Extraction<'_> {
    /// Extracts all calls of `plan` and restores its schema.
    pub(super) fn complete(&mut self, plan: LogicalPlan) -> Result<LogicalPlan> {
        let schema = Arc::clone(plan.schema());
        let extracted = self.rewrite(plan)?;
        if extracted.plan.schema().fields().len() == schema.fields().len() {
            return Ok(extracted.plan);
        }
        let columns = schema.columns().into_iter().map(Expr::Column).collect();
        Ok(LogicalPlan::Projection(Projection::try_new(columns, Arc::new(extracted.plan))?))
    }

    fn rewrite(&mut self, plan: LogicalPlan) -> Result<Extracted> {
        if !contains_calls(&plan, self.error_images)? {
            return Ok(Extracted::plain(plan));
        }
        let plan = plan
            .map_subqueries(|query| query.map_children(|child| self.complete(child).map(Transformed::yes)))?;
        match plan.data {
            LogicalPlan::Projection(node) => self.projection(node),
            LogicalPlan::Filter(node) => self.filter(node),
            LogicalPlan::Sort(node) => self.sort(node),
            LogicalPlan::Limit(node) => self.limit(node),
            LogicalPlan::Window(node) => self.window(node),
            LogicalPlan::Aggregate(node) => self.aggregate(node),
            LogicalPlan::Join(node) => self.join(node),
            LogicalPlan::SubqueryAlias(node) => self.subquery_alias(node),
            LogicalPlan::Distinct(Distinct::On(node)) => self.distinct_on(node),
            // A view is stored as text and analyzed where it is used.
            view @ LogicalPlan::Ddl(DdlStatement::CreateView(_)) => Ok(Extracted::plain(view)),
            other => {
                let completed = other.map_children(|child| self.complete(child).map(Transformed::yes))?;
                Ok(Extracted::plain(completed.data))
            }
        }
    }

    fn projection(&mut self, node: Projection) -> Result<Extracted> {
        let mut input = self.rewrite(Arc::unwrap_or_clone(node.input))?;
        let mut exprs = self.extract_named(node.expr, &mut input)?;
        let output_of = |column: &Column| {
            exprs.iter().find(|expr| unaliased(expr).try_as_col() == Some(column)).map(output)
        };
        let carried: Vec<_> =
            input.carried.iter().filter_map(|carried| translate(carried, &output_of)).collect();
        exprs.extend(carried.iter().map(|carried| Expr::Column(carried.column.clone())));
        let plan = LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(input.plan))?);
        Ok(Extracted { plan, carried })
    }

    fn filter(&mut self, node: Filter) -> Result<Extracted> {
        let mut input = self.rewrite(Arc::unwrap_or_clone(node.input))?;
        let predicate = self.extract_one(node.predicate, &mut input)?;
        let plan = LogicalPlan::Filter(Filter::try_new(predicate, Arc::new(input.plan))?);
        Ok(Extracted { plan, carried: input.carried })
    }

    fn sort(&mut self, node: Sort) -> Result<Extracted> {
        let mut input = self.rewrite(Arc::unwrap_or_clone(node.input))?;
        let expr = self.sort_keys(node.expr, &mut input)?;
        let plan = LogicalPlan::Sort(Sort { expr, input: Arc::new(input.plan), fetch: node.fetch });
        Ok(Extracted { plan, carried: input.carried })
    }

    fn limit(&mut self, node: Limit) -> Result<Extracted> {
        let input = self.rewrite(Arc::unwrap_or_clone(node.input))?;
        let plan = LogicalPlan::Limit(Limit { input: Arc::new(input.plan), ..node });
        Ok(Extracted { plan, carried: input.carried })
    }

    fn window(&mut self, node: Window) -> Result<Extracted> {
        let mut input = self.rewrite(Arc::unwrap_or_clone(node.input))?;
        let exprs = self.extract_named(node.window_expr, &mut input)?;
        let plan = LogicalPlan::Window(Window::try_new(exprs, Arc::new(input.plan))?);
        Ok(Extracted { plan, carried: input.carried })
    }

    fn aggregate(&mut self, node: Aggregate) -> Result<Extracted> {
        let mut input = self.rewrite(Arc::unwrap_or_clone(node.input))?;
        let groups = self.extract_named(node.group_expr, &mut input)?;
        let aggregates = self.extract_named(node.aggr_expr, &mut input)?;
        let plan = LogicalPlan::Aggregate(Aggregate::try_new(Arc::new(input.plan), groups, aggregates)?);
        Ok(Extracted::plain(plan))
    }

    fn distinct_on(&mut self, node: DistinctOn) -> Result<Extracted> {
        let mut input = self.rewrite(Arc::unwrap_or_clone(node.input))?;
        let on = self.extract(node.on_expr, &mut input)?;
        let select = self.extract_named(node.select_expr, &mut input)?;
        let sort = node.sort_expr.map(|keys| self.sort_keys(keys, &mut input)).transpose()?;
        // The first keys must be those of ON. A lazy call in them stays unless it is carried, which it is from SELECT on.
        let on = self.extract(on, &mut input)?;
        let sort = sort.map(|keys| self.sort_keys(keys, &mut input)).transpose()?;
        let node = DistinctOn::try_new(on, select, sort, Arc::new(input.plan))?;
        Ok(Extracted::plain(LogicalPlan::Distinct(Distinct::On(node))))
    }

    /// A call in ON runs on the side that provides its inputs.
    fn join(&mut self, node: Join) -> Result<Extracted> {
        let mut left = self.rewrite(Arc::unwrap_or_clone(node.left))?;
        let mut right = self.rewrite(Arc::unwrap_or_clone(node.right))?;
        let (left_keys, right_keys): (Vec<_>, Vec<_>) = node.on.into_iter().unzip();
        let left_keys = self.extract(left_keys, &mut left)?;
        let right_keys = self.extract(right_keys, &mut right)?;
        let filter = self.extract(node.filter.into_iter().collect(), &mut left)?;
        let filter = self.extract(filter, &mut right)?.pop();
        let carried = carried_by_join(node.join_type, left.carried, right.carried);
        let join = Join::try_new(
            Arc::new(left.plan),
            Arc::new(right.plan),
            left_keys.into_iter().zip(right_keys).collect(),
            filter,
            node.join_type,
            node.join_constraint,
            node.null_equality,
            node.null_aware,
        )?;
        Ok(Extracted { plan: LogicalPlan::Join(join), carried })
    }

    fn subquery_alias(&mut self, node: SubqueryAlias) -> Result<Extracted> {
        let input = self.rewrite(Arc::unwrap_or_clone(node.input))?;
        let below = Arc::clone(input.plan.schema());
        let alias = SubqueryAlias::try_new(Arc::new(input.plan), node.alias)?;
        let above =
            |column: &Column| below.maybe_index_of_column(column).map(|index| at(&alias.schema, index));
        let carried = input.carried.iter().filter_map(|carried| {
            let column = above(&carried.column)?;
            Some(Carried { column, ..translate(carried, &above)? })
        });
        let carried = carried.collect();
        Ok(Extracted { plan: LogicalPlan::SubqueryAlias(alias), carried })
    }

    fn sort_keys(&mut self, keys: Vec<SortExpr>, input: &mut Extracted) -> Result<Vec<SortExpr>> {
        keys.into_iter().map(|key| Ok(SortExpr { expr: self.extract_one(key.expr, input)?, ..key })).collect()
    }

    fn extract_one(&mut self, expr: Expr, input: &mut Extracted) -> Result<Expr> {
        Ok(self.extract(vec![expr.clone()], input)?.pop().unwrap_or(expr))
    }

    /// Extracts from expressions that name the node's output columns; keeps these names.
    fn extract_named(&mut self, exprs: Vec<Expr>, input: &mut Extracted) -> Result<Vec<Expr>> {
        let extract = |extraction: &mut Self, exprs: Vec<Expr>, input: &mut Extracted| {
            let preserver = NamePreserver::new_for_projection();
            let names: Vec<_> = exprs.iter().map(|expr| preserver.save(expr)).collect();
            let exprs = extraction.extract(exprs, input)?;
            Ok(names.into_iter().zip(exprs).map(|(name, expr)| name.restore(expr)).collect::<Vec<_>>())
        };
        match <[Expr; 1]>::try_from(exprs) {
            Ok([Expr::GroupingSet(set)]) => {
                let mut named = |exprs| extract(self, exprs, input);
                let set = match set {
                    GroupingSet::Rollup(exprs) => GroupingSet::Rollup(named(exprs)?),
                    GroupingSet::Cube(exprs) => GroupingSet::Cube(named(exprs)?),
                    GroupingSet::GroupingSets(sets) => {
                        GroupingSet::GroupingSets(sets.into_iter().map(named).collect::<Result<_>>()?)
                    }
                };
                Ok(vec![Expr::GroupingSet(set)])
            }
            Ok(one) => extract(self, one.into(), input),
            Err(many) => extract(self, many, input),
        }
    }

    /// Replaces the calls in `exprs` by columns, and adds `Infer` nodes to `input` for those it does not carry yet.
    fn extract(&mut self, mut exprs: Vec<Expr>, input: &mut Extracted) -> Result<Vec<Expr>> {
        loop {
            let schema = Arc::clone(input.plan.schema());
            let correlated = !input.plan.all_out_ref_exprs().is_empty();
            let mut pass = Pass {
                models: self.models,
                error_images: self.error_images,
                input: &schema,
                correlated,
                carried: &input.carried,
                pending: vec![],
                next_column: &mut self.next_column,
            };
            let mut changed = false;
            for expr in &mut exprs {
                let rewritten = pass.rewrite(std::mem::take(expr), false)?;
                changed |= rewritten.transformed;
                *expr = rewritten.data;
            }
            let pending = pass.pending;
            if !changed {
                return Ok(exprs);
            }
            self.changed = true;
            let pending = share(pending, input, &mut exprs)?;
            if !pending.is_empty() {
                self.infer(input, pending)?;
            }
        }
    }

    /// Puts an `Infer` node on top of `input`.
    fn infer(&self, input: &mut Extracted, calls: Vec<Carried>) -> Result<()> {
        let columns =
            calls.iter().map(|carried| (carried.column.name.clone(), carried.call.clone())).collect();
        let row = calls.iter().find_map(|carried| {
            let is_named = self.is_recorded
                || self.options.on_error != OnError::Null
                || self.options.max_errors.is_some()
                || self.options.max_error_ratio.is_some()
                || carried.call.request != Request::Classify;
            let mut inputs = carried.call.inputs.iter().filter(|_| is_named);
            inputs.find_map(|expr| row_of(expr, input.plan.schema()))
        });
        let below = std::mem::take(&mut input.plan);
        let node = Arc::new(InferNode::try_new(below, columns, row)?);
        input.plan = LogicalPlan::Extension(Extension { node });
        input.carried.extend(calls);
        Ok(())
    }
}

/// Adds those of the calls `pending` that must run together with one that `input` carries to that one's node; returns the
/// others. `exprs` refer to them.
fn share(pending: Vec<Carried>, input: &mut Extracted, exprs: &mut [Expr]) -> Result<Vec<Carried>> {
    let mut others = vec![];
    for call in pending {
        let known = companion(&call.call, &input.carried).map(|known| known.column.name.clone());
        let shared = known.map(|known| beside(&input.plan, &known, &call)).transpose()?.flatten();
        let Some((plan, column)) = shared else {
            others.push(call);
            continue;
        };
        input.plan = plan;
        for expr in exprs.iter_mut() {
            let renamed = std::mem::take(expr).transform(|part| {
                Ok(match part {
                    Expr::Column(named) if named == call.column => {
                        Transformed::yes(Expr::Column(column.clone()))
                    }
                    part => Transformed::no(part),
                })
            })?;
            *expr = renamed.data;
        }
        input.carried.push(Carried { column, ..call });
    }
    Ok(others)
}

/// The column `path` of the relation of a model's input. It names the row in errors, and in the log if the prediction
/// has no field for an error.
fn row_of(input: &Expr, schema: &DFSchema) -> Option<Expr> {
    let relation = input.column_refs().into_iter().next()?.relation.clone();
    let path = Column::new(relation, "path");
    schema.has_column(&path).then_some(Expr::Column(path))
}

/// The calls whose predictions come out of a join.
///
/// An outer join adds rows in which one side is NULL, including that side's predictions. This is the correct result for
/// calls on columns, but not on other expressions, such as a constant, which need not be NULL.
fn carried_by_join(join_type: JoinType, left: Vec<Carried>, right: Vec<Carried>) -> Vec<Carried> {
    let null_if_padded = |carried: Vec<Carried>| {
        let is_column = |input: &Expr| input.try_as_col().is_some();
        let columns = carried.into_iter().filter(|carried| carried.call.inputs.iter().all(is_column));
        columns.collect::<Vec<_>>()
    };
    let (left, right) = match join_type {
        JoinType::Inner => (left, right),
        JoinType::Left => (left, null_if_padded(right)),
        JoinType::Right => (null_if_padded(left), right),
        JoinType::Full => (null_if_padded(left), null_if_padded(right)),
        JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => (left, vec![]),
        JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => (vec![], right),
    };
    left.into_iter().chain(right).collect()
}

/// `carried` in terms of other columns, or `None` if its inputs are not visible.
fn translate(carried: &Carried, to: &impl Fn(&Column) -> Option<Column>) -> Option<Carried> {
    let translate = |input: &Expr| {
        if !input.column_refs().into_iter().all(|column| to(column).is_some()) {
            return None;
        }
        let input = input.clone().transform(|expr| {
            Ok(match expr {
                Expr::Column(column) => Transformed::yes(Expr::Column(to(&column).unwrap_or(column))),
                other => Transformed::no(other),
            })
        });
        Some(input.ok()?.data)
    };
    let inputs = carried.call.inputs.iter().map(translate).collect::<Option<_>>()?;
    Some(Carried { call: carried.call.on(inputs), column: carried.column.clone() })
}

fn unaliased(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(alias) => unaliased(&alias.expr),
        other => other,
    }
}

/// The column under which a projection's parents see `expr`.
fn output(expr: &Expr) -> Column {
    let (relation, name) = expr.qualified_name();
    Column::new(relation, name)
}

fn at(schema: &DFSchema, index: usize) -> Column {
    Column::from(schema.qualified_field(index))
}
