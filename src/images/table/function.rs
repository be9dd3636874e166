//! `SELECT … FROM read_images('photos/**/*.jpg')`.

use std::sync::Arc;

use datafusion::catalog::{TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::plan_err;
use datafusion::error::Result;
use datafusion::logical_expr::{DocSection, Documentation, Expr};

use super::images_table::ImagesTable;
use crate::images::listing::Location;

/// The table function `read_images(location)`: an [`ImagesTable`] for one query.
///
/// Planning inspects the first files of a local folder for partition columns. A remote location is not listed for this;
/// use `CREATE EXTERNAL TABLE`.
#[derive(Debug, Default)]
pub struct ReadImages;

/// The documentation of `read_images`, which DataFusion's lists of functions have no place for.
pub(crate) fn read_images_documentation() -> Documentation {
    let section = DocSection { include: true, label: "Image Functions", description: None };
    Documentation::builder(
        section,
        "The images of a folder, file or pattern as a table, a row each: `path`, `image`, `size`, `width`, `height` and more.",
        "read_images(location)",
    )
    .with_argument("location", "A folder, a file, a pattern or a URL of these, a literal.")
    .with_sql_example("SELECT path, width, height FROM read_images('photos/**/*.jpg');")
    .build()
}

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
