//! How large untrusted input may be: the settings `inference.max_…` that have a number.

use datafusion::common::config_err;
use datafusion::error::Result;

/// Bounds on files, images and models, each checked before memory is allocated for what it bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Pixels (width × height) of an image.
    pub max_image_pixels: u64,
    /// Bytes of an image's file.
    pub max_file_bytes: u64,
    /// Frames of an animation, or images of a TIFF, that `image_info` counts.
    pub max_frames: u64,
    /// Bytes of a text beside an image in a tar.
    pub max_text_bytes: u64,
    /// Numbers that an output of a model may have for a row.
    pub max_output_elements: u64,
    /// Bytes of the ONNX file that `CREATE MODEL` names.
    pub max_model_bytes: u64,
    /// Bytes of all its external weights.
    pub max_weight_bytes: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            // 300 MB of RGB: larger than any camera image except stitched panoramas.
            max_image_pixels: 100_000_000,
            max_file_bytes: 256 << 20,
            // A directory of a TIFF may be as short as six bytes.
            max_frames: 65_535,
            max_text_bytes: 16 << 20,
            // 64 MiB of float32, more than any classifier or embedding has.
            max_output_elements: 1 << 24,
            // Protobuf allows no more; larger models keep their tensors in external files.
            max_model_bytes: 2 << 30,
            max_weight_bytes: 64 << 30,
        }
    }
}

/// One of the [`Bounds`], with its name and what it counts.
pub(crate) struct Bound<'a> {
    pub(crate) name: &'static str,
    pub(crate) value: &'a mut u64,
    /// What it counts, to complete "is a number of".
    pub(crate) unit: &'static str,
    pub(crate) description: &'static str,
}

impl Bounds {
    /// All of them, in the order of the documentation.
    pub(crate) fn all(&mut self) -> [Bound<'_>; 7] {
        let Self {
            max_image_pixels,
            max_file_bytes,
            max_frames,
            max_text_bytes,
            max_output_elements,
            max_model_bytes,
            max_weight_bytes,
        } = self;
        let bound = |name, value, unit, description| Bound { name, value, unit, description };
        [
            bound(
                "max_image_pixels",
                max_image_pixels,
                "pixels",
                "Images of more pixels (width × height) are refused before they are decoded",
            ),
            bound("max_file_bytes", max_file_bytes, "bytes", "Larger image files are not read"),
            bound(
                "max_frames",
                max_frames,
                "frames",
                "Animations and TIFFs of more frames are refused by image_info",
            ),
            bound(
                "max_text_bytes",
                max_text_bytes,
                "bytes",
                "Larger texts beside images in a tar are not read",
            ),
            bound(
                "max_output_elements",
                max_output_elements,
                "numbers",
                "Numbers that an output of a model may have for a row",
            ),
            bound("max_model_bytes", max_model_bytes, "bytes", "CREATE MODEL refuses larger ONNX files"),
            bound(
                "max_weight_bytes",
                max_weight_bytes,
                "bytes",
                "CREATE MODEL refuses models whose external weights are larger in total",
            ),
        ]
    }

    /// Sets the bound `name`; `false` if there is none of that name.
    ///
    /// # Errors
    /// A value that is no number above 0.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<bool> {
        let mut all = self.all();
        let Some(bound) = all.iter_mut().find(|bound| bound.name == name) else { return Ok(false) };
        match value.parse() {
            Ok(number) if number > 0 => *bound.value = number,
            _ => {
                let unit = bound.unit;
                return config_err!("inference.{name} is a number of {unit} above 0, not '{value}'");
            }
        }
        Ok(true)
    }
}
