//! `SELECT … FROM read_images('photos/**/*.jpg')`.

use std::sync::Arc;

use datafusion::catalog::{TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::plan_err;
use datafusion::error::Result;
use datafusion::logical_expr::Expr;

use super::images_table::ImagesTable;
use crate::images::listing::Location;

/// The table function `read_images(location)`: an [`ImagesTable`] for one query.
///
/// Planning inspects the first files of a local folder for partition columns. A remote location is not listed for this;
/// use `CREATE EXTERNAL TABLE`.
#[derive(Debug, Default)]
pub struct ReadImages;

impl TableFunctionImpl for ReadImages {
    /// # Errors
    /// A planning error if the argument is not one string; [`crate::Error`] if there is no such location.
    fn call_with_args(&self, args: TableFunctionArgs<'_, '_>) -> Result<Arc<dyn TableProvider>> {
        let location = match args.exprs() {
            [Expr::Literal(value, _)] => value.try_as_str().flatten(),
            _ => None,
        };
        let Some(location) = location else {
            return plan_err!(
                "read_images takes the location as one string, such as read_images('photos/**/*.jpg')"
            );
        };
        Ok(Arc::new(ImagesTable::open_local(Location::parse(location)?)?))
    }
}
