//! Object detection: the layouts in which outputs hold boxes, and the boxes in them.

mod boxes;
mod layout;

pub use layout::{AnchorHead, Detector, Layout};

pub(crate) use boxes::{Detection, detections};
