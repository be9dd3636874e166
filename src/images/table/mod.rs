//! Images as tables: `STORED AS IMAGES`, `read_images(…)`, and file names in FROM.

mod factory;
mod function;
mod images_table;
mod url_table;

pub use factory::ImagesTableFactory;
pub use function::ReadImages;
pub use images_table::ImagesTable;
pub use url_table::UrlTables;

pub(crate) use factory::{only_location, reject_unsupported_clauses};
pub(crate) use function::read_images_documentation;
