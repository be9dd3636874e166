//! Seequel's SQL functions as expressions for the DataFrame API.
//!
//! ```text
//!  classify(col("image")) ─► DataFrame of a session ── planning: bind_inference ─► classify over the session's models
//! ```
//!
//! Arguments that may differ from row to row are expressions; those that determine the plan, such as the model, are
//! values. What a function returns is in its documentation, `SHOW FUNCTIONS` and `docs/functions.md`.
//!
//! ```no_run
//! use datafusion::functions::core::expr_ext::FieldAccessor;
//! use datafusion::prelude::{col, lit};
//! use seequel::Engine;
//! use seequel::functions::{classify, cosine_similarity, embed, thumbnail};
//!
//! # async fn example() -> seequel::Result<()> {
//! let engine = Engine::builder().build()?;
//! let photos = engine.sql("SELECT * FROM read_images('photos/')").await?;
//! let lions = photos
//!     .filter(classify(col("image")).field("label").eq(lit("lion")))?
//!     .select(vec![col("path"), thumbnail(col("image"), lit(256)), embed(col("image"))])?;
//! lions.show().await?;
//! # Ok(())
//! # }
//! ```

mod images;
mod inference;
mod vectors;

pub use images::{
    convert, convert_with_quality, crop, crop_edges, draw_boxes, draw_boxes_with_labels, image_info, phash,
    resize, thumbnail,
};
pub use inference::{
    classify, classify_top_k, classify_top_k_with, classify_with, detect, detect_with, embed, embed_with,
    image_error, image_error_with, predict,
};
pub use vectors::{cosine_similarity, hamming_distance, inner_product, l2_distance};
