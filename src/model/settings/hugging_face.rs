//! Hugging Face's `config.json` and `preprocessor_config.json`, translated into Seequel's options.
//!
//! | key | option |
//! |---|---|
//! | `architectures: ["ViTForImageClassification"]`, or timm's `num_classes` | `task` |
//! | `id2label`, or `label_names` | `labels` |
//! | `do_rescale`, `rescale_factor` | `rescale` |
//! | `do_normalize`, `image_mean`, `image_std` | `mean`, `std` |
//! | `do_flip_channel_order`, else an `image_mean` of three channels | `channels`: BGR, else RGB |
//! | `resample` (Pillow's number) | `interpolation` |
//! | `size`, `do_center_crop`, `crop_size`, `crop_pct` | `input_size`, `resize`, `crop_fraction` |
//! | `pretrained_cfg` | see [`timm`] |
//!
//! Unknown keys and values of unexpected form are ignored, since these files also describe other kinds of models. A
//! value that is understood but not supported is passed on: it is an error unless a stronger source overrides it.

use serde_json::{Map, Value};

use super::layers::Layer;
use super::timm;

type Object = Map<String, Value>;

/// Translates `config.json`, which describes the network.
pub(crate) fn config(object: &Object) -> Layer {
    let architecture = object.get("architectures").and_then(|list| list.get(0)).and_then(Value::as_str);
    let map = object.get("id2label").filter(|labels| labels.is_object());
    let labels = map.or_else(|| object.get("label_names").filter(|labels| labels.is_array()));
    let task = architecture.and_then(task).or_else(|| timm::task(object));
    let network = layer([("task", task.map(Value::from)), ("labels", labels.cloned())]);
    timm::pretrained(object).into_iter().chain(network).collect()
}

/// Maps a class name of the transformers library, whose suffix names the head; models without a head end in `Model`.
fn task(architecture: &str) -> Option<&'static str> {
    let endings = [
        ("ForImageClassification", "image-classification"),
        ("ForImageClassificationWithTeacher", "image-classification"),
        ("ForObjectDetection", "object-detection"),
        ("ModelWithProjection", "feature-extraction"),
        ("Model", "feature-extraction"),
    ];
    endings.into_iter().find(|(ending, _)| architecture.ends_with(ending)).map(|(_, task)| task)
}

/// Translates `preprocessor_config.json`, which describes the pixels.
pub(crate) fn preprocessor(object: &Object) -> Layer {
    let unless_off = |switch, key, off: u8| {
        let value = if is_off(object, switch) { Some(Value::from(off)) } else { object.get(key).cloned() };
        value.filter(|value| value.is_number() || value.is_array())
    };
    let has_channels = object.get("image_mean").and_then(Value::as_array).is_some_and(|mean| mean.len() == 3);
    let order = match object.get("do_flip_channel_order") {
        Some(Value::Bool(true)) => Some("BGR"),
        _ => has_channels.then_some("RGB"),
    };
    let numbers = layer([
        ("channels", order.map(Value::from)),
        ("rescale", unless_off("do_rescale", "rescale_factor", 1)),
        ("mean", unless_off("do_normalize", "image_mean", 0)),
        ("std", unless_off("do_normalize", "image_std", 1)),
        ("interpolation", object.get("resample").and_then(interpolation).map(Value::from)),
    ]);
    timm::pretrained(object).into_iter().chain(numbers).chain(geometry(object)).collect()
}

/// Whether a step is switched off; a missing key means on.
fn is_off(object: &Object, switch: &str) -> bool {
    object.get(switch) == Some(&Value::Bool(false))
}

/// Maps the number of a Pillow resampling filter (`PIL.Image.Resampling`) to its name.
fn interpolation(resample: &Value) -> Option<&'static str> {
    let names = ["nearest", "lanczos", "bilinear", "bicubic", "box", "hamming"];
    names.get(usize::try_from(resample.as_u64()?).ok()?).copied()
}

/// Translates the resizing and cropping options.
///
/// | `size` | other keys | options |
/// |---|---|---|
/// | any | `crop_size` c | `crop` of c / short side of `size`, to c; distortion by a `size` of h × w is ignored |
/// | any | `crop_size` c, `crop_pct` p | `crop` of p, to c |
/// | s below 384 | `crop_pct` p | `crop` of p, to s (`ConvNextImageProcessor`) |
/// | s of 384 or more | `crop_pct` p | `stretch` to s (`ConvNextImageProcessor`) |
/// | h × w, or one number | | `stretch` to it |
/// | `shortest_edge` | | none: the input size would depend on the image |
fn geometry(object: &Object) -> Layer {
    if is_off(object, "do_resize") {
        return Layer::new();
    }
    let Some(size) = object.get("size").and_then(Extent::read) else {
        return Layer::new();
    };
    let crop = object.get("crop_size").filter(|_| !is_off(object, "do_center_crop")).and_then(Extent::read);
    let share = object.get("crop_pct").and_then(Value::as_f64);
    match (crop, share) {
        (Some(crop), share) => cropped(crop, share.unwrap_or_else(|| crop.short_side() / size.short_side())),
        (None, Some(share)) if size.short_side() < 384.0 => cropped(size, share),
        (None, None) if size.proportional => Layer::new(),
        (None, _) => layer([("input_size", Some(size.option())), ("resize", Some(Value::from("stretch")))]),
    }
}

fn cropped(size: Extent, share: f64) -> Layer {
    layer([
        ("input_size", Some(size.option())),
        ("resize", Some(Value::from("crop"))),
        // Hugging Face pads an image that is smaller than the crop; Seequel uses all of it.
        ("crop_fraction", Some(Value::from(share.min(1.0)))),
    ])
}

/// A size in one of Hugging Face's notations, in pixels, each at least 1.
#[derive(Clone, Copy)]
struct Extent {
    width: u32,
    height: u32,
    /// Only the short side is given; `width` and `height` both hold it.
    proportional: bool,
}

impl Extent {
    /// Reads `224`, `{"shortest_edge": 224}` or `{"height": 224, "width": 224}`.
    fn read(value: &Value) -> Option<Self> {
        let side = |value: Option<&Value>| u32::try_from(value?.as_u64()?).ok().filter(|side| *side > 0);
        if let Some(both) = side(Some(value)) {
            return Some(Self { width: both, height: both, proportional: false });
        }
        if let Some(short) = side(value.get("shortest_edge")) {
            return Some(Self { width: short, height: short, proportional: true });
        }
        let (width, height) = (side(value.get("width"))?, side(value.get("height"))?);
        Some(Self { width, height, proportional: false })
    }

    fn short_side(self) -> f64 {
        f64::from(self.width.min(self.height))
    }

    /// The value of the option `input_size`.
    fn option(self) -> Value {
        Value::from(format!("{}x{}", self.width, self.height))
    }
}

fn layer<const N: usize>(pairs: [(&str, Option<Value>); N]) -> Layer {
    pairs.into_iter().filter_map(|(key, value)| Some((key.to_string(), value?))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Translates a file and returns the layer as JSON.
    fn translated(file: &Value, translate: fn(&Object) -> Layer) -> Value {
        file.as_object().map_or(Value::Null, |object| json!(translate(object)))
    }

    fn pixels(file: &Value) -> Value {
        translated(file, preprocessor)
    }

    #[test]
    fn task_is_the_suffix_of_the_architecture() {
        let task = |name| translated(&json!({"architectures": [name]}), config);
        assert_eq!(task("ViTForImageClassification"), json!({"task": "image-classification"}));
        assert_eq!(task("DetrForObjectDetection"), json!({"task": "object-detection"}));
        assert_eq!(task("Dinov2Model"), json!({"task": "feature-extraction"}));
        assert_eq!(task("CLIPVisionModelWithProjection"), json!({"task": "feature-extraction"}));
        assert_eq!(task("ViTForMaskedImageModeling"), json!({}));
    }

    #[test]
    fn wrapped_timm_model_has_a_list_of_labels() {
        let wrapped = json!({
            "architectures": ["TimmWrapperForImageClassification"], "label_names": ["cat", "dog"],
            "pretrained_cfg": {"crop_pct": 0.9}
        });
        let expected = json!({
            "task": "image-classification", "labels": ["cat", "dog"], "resize": "crop", "crop_fraction": 0.9
        });
        assert_eq!(translated(&wrapped, config), expected);
    }

    #[test]
    fn vit_stretches_and_normalises() {
        let vit = json!({
            "do_normalize": true, "do_rescale": true, "do_resize": true, "image_mean": [0.5, 0.5, 0.5],
            "image_std": [0.5, 0.5, 0.5], "resample": 2, "rescale_factor": 0.00392156862745098,
            "size": {"height": 224, "width": 224}, "image_processor_type": "ViTImageProcessor"
        });
        let expected = json!({
            "channels": "RGB", "rescale": 0.00392156862745098, "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5],
            "interpolation": "bilinear", "input_size": "224x224", "resize": "stretch"
        });
        assert_eq!(pixels(&vit), expected);
    }

    #[test]
    fn flipped_channels_are_bgr() {
        let mobile_vit = json!({"do_flip_channel_order": true, "do_normalize": false});
        assert_eq!(pixels(&mobile_vit), json!({"channels": "BGR", "mean": 0, "std": 1}));
        assert_eq!(pixels(&json!({"image_mean": [0.5]})), json!({"mean": [0.5]}));
    }

    #[test]
    fn clip_crops_the_centre() {
        let resized = json!({"size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 224}, "resample": 3});
        let expected = json!({"input_size": "224x224", "resize": "crop", "crop_fraction": 0.875, "interpolation": "bicubic"});
        assert_eq!(pixels(&resized), expected);
        let old = json!({"size": 224, "crop_size": 224, "do_center_crop": true});
        assert_eq!(pixels(&old), json!({"input_size": "224x224", "resize": "crop", "crop_fraction": 1.0}));
        let off = json!({"size": 224, "crop_size": 200, "do_center_crop": false});
        assert_eq!(pixels(&off), json!({"input_size": "224x224", "resize": "stretch"}));
    }

    #[test]
    fn convnext_crops_small_sizes_only() {
        let small = json!({"size": {"shortest_edge": 224}, "crop_pct": 0.875});
        assert_eq!(
            pixels(&small),
            json!({"input_size": "224x224", "resize": "crop", "crop_fraction": 0.875})
        );
        let large = json!({"size": {"shortest_edge": 384}, "crop_pct": 0.875});
        assert_eq!(pixels(&large), json!({"input_size": "384x384", "resize": "stretch"}));
    }

    #[test]
    fn disabled_steps_change_nothing() {
        let off = json!({
            "do_rescale": false, "rescale_factor": 0.5, "do_normalize": false, "image_mean": [9.0], "do_resize": false,
            "size": 224
        });
        assert_eq!(pixels(&off), json!({"rescale": 1, "mean": 0, "std": 1}));
    }

    #[test]
    fn malformed_values_are_ignored() {
        let odd =
            json!({"size": {"shortest_edge": 800, "longest_edge": 1333}, "resample": 99, "image_mean": "no"});
        assert_eq!(pixels(&odd), json!({}));
        assert_eq!(pixels(&json!({"size": {"shortest_edge": 0}, "crop_size": -3})), json!({}));
    }
}
