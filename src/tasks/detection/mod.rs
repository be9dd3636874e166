//! Object detection: the layouts of boxes in outputs, and decoding the boxes.

mod boxes;
mod layout;
mod table;

pub use layout::{AnchorHead, Detector, Layout};

pub(crate) use boxes::{Detection, detections, overlap};
