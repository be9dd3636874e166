//! What models found in an image: read from columns, and drawn into the image.
//!
//! ```text
//!  boxes, labels ─ objects.rs ─► objects ─┬─► draw.rs: frames, then labels
//!                                 image ──┘     │ canvas.rs: rectangles
//!                                               ├ text.rs: letters
//!                                               └ colour.rs: one colour for each class
//! ```

mod canvas;
mod colour;
mod draw;
mod objects;
mod text;

pub(crate) use colour::{Colour, colour_of};
pub(crate) use draw::draw;
pub(crate) use objects::{Object, Objects, are_objects, check_boxes};
