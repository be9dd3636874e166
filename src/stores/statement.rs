//! Store OPTIONS in statements: removed from the plan before formats process it, and applied to the plan's location.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::datasource::listing::ListingTableUrl;
use datafusion::error::Result;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::{DdlStatement, LogicalPlan};
use datafusion::prelude::SessionContext;
use url::Url;

use super::provider;
use super::provider::Provider;
use crate::secrets::hidden;

/// Reopens the stores of `CREATE EXTERNAL TABLE` and `COPY` if their OPTIONS have settings for them
/// (`'aws.region' 'eu-central-1'`), and returns the plan without these options.
///
/// The settings apply to the whole bucket and all later statements of the session, as in DataFusion's own shell.
///
/// # Errors
/// [`crate::Error`] for options that are unknown or belong to another provider.
pub(crate) fn apply_store_options(context: &SessionContext, plan: LogicalPlan) -> Result<LogicalPlan> {
    let applied = plan.transform_down(|mut node| {
        match &mut node {
            LogicalPlan::Ddl(DdlStatement::CreateExternalTable(create)) => {
                open_with(context, &create.locations, &mut create.options)?;
            }
            // Its text was made before.
            LogicalPlan::Explain(explain) => {
                for text in &mut explain.stringified_plans {
                    text.plan = Arc::new(hidden(&text.plan).into_owned());
                }
            }
            LogicalPlan::Copy(copy) => {
                open_with(context, std::slice::from_ref(&copy.output_url), &mut copy.options)?;
            }
            _ => return Ok(Transformed::no(node)),
        }
        Ok(Transformed::yes(node))
    })?;
    Ok(applied.data)
}

fn open_with(
    context: &SessionContext,
    locations: &[String],
    options: &mut HashMap<String, String>,
) -> Result<()> {
    let settings: BTreeMap<String, String> = options.extract_if(|option, _| Provider::owns(option)).collect();
    if settings.is_empty() {
        return Ok(());
    }
    for location in locations {
        let url = store_url(location)?;
        let store = provider::open(&url, &settings)?;
        context.register_object_store(&url, store);
    }
    Ok(())
}

/// The URL of a location, used for its scheme and bucket; a path without a scheme is local.
fn store_url(location: &str) -> Result<Url> {
    Url::parse(location).or_else(|_| {
        let local: ObjectStoreUrl = ListingTableUrl::parse(location)?.object_store();
        let url: &Url = local.as_ref();
        Ok(url.clone())
    })
}
