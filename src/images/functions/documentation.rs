//! The common start of the documentation of all image functions.

use datafusion::logical_expr::{DocSection, Documentation, DocumentationBuilder};

/// The start of a function's documentation.
pub(crate) fn documentation(description: &str, signature: &str) -> DocumentationBuilder {
    let section = DocSection { include: true, label: "Image Functions", description: None };
    Documentation::builder(section, description, signature).with_argument(
        "image",
        "The bytes of an image file: a binary column, or a struct with a field `bytes`.",
    )
}
