//! timm's `pretrained_cfg`, found in Hugging Face's files, translated into Seequel's options.
//!
//! | key | option |
//! |---|---|
//! | `input_size: [3, 224, 224]` | `input_size` |
//! | `mean`, `std`, for pixels of 0 to 1 | `rescale`, `mean`, `std`; RGB for three channels |
//! | `crop_mode` (`center`, or `squash`), `crop_pct` | `resize`, `crop_fraction` |
//! | `interpolation` | `interpolation` |
//!
//! As in timm's `create_transform`, the short side is resized to size / `crop_pct` and the centre is cropped. Values of
//! another form are ignored.

use serde_json::{Map, Value};

use super::layers::Layer;

/// Translates the `pretrained_cfg` of a file, if it has one.
pub(crate) fn pretrained(file: &Map<String, Value>) -> Layer {
    let Some(config) = file.get("pretrained_cfg").and_then(Value::as_object) else {
        return Layer::new();
    };
    let numbers = |key| config.get(key).filter(|value| value.is_array()).cloned();
    let mean = numbers("mean");
    let rescale = mean.is_some().then(|| Value::from("1/255"));
    let has_channels = mean.as_ref().and_then(Value::as_array).is_some_and(|mean| mean.len() == 3);
    let resize = match config.get("crop_mode").map_or(Some("center"), Value::as_str) {
        Some("center") => Some("crop"),
        Some("squash") => Some("stretch"),
        _ => None,
    };
    let options = [
        ("input_size", config.get("input_size").and_then(size)),
        ("channels", has_channels.then(|| Value::from("RGB"))),
        ("rescale", rescale),
        ("mean", mean),
        ("std", numbers("std")),
        ("resize", resize.map(Value::from)),
        ("crop_fraction", config.get("crop_pct").filter(|share| share.is_number()).cloned()),
        ("interpolation", config.get("interpolation").filter(|name| name.is_string()).cloned()),
    ];
    options.into_iter().filter_map(|(key, value)| Some((key.to_string(), value?))).collect()
}

/// The task of a file of timm's, which has an `architecture` and `num_classes`, 0 without a classifier.
pub(crate) fn task(file: &Map<String, Value>) -> Option<&'static str> {
    file.get("architecture").filter(|name| name.is_string())?;
    match file.get("num_classes")?.as_u64()? {
        0 => Some("feature-extraction"),
        _ => Some("image-classification"),
    }
}

/// Reads `[channels, height, width]`.
fn size(value: &Value) -> Option<Value> {
    let [_, height, width] = value.as_array()?.as_slice() else {
        return None;
    };
    Some(Value::from(format!("{}x{}", width.as_u64()?, height.as_u64()?)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn translated(config: &Value) -> Value {
        json!({ "pretrained_cfg": config }).as_object().map_or(Value::Null, |file| json!(pretrained(file)))
    }

    #[test]
    fn timm_resnet_crops_the_centre() {
        let config = json!({
            "input_size": [3, 224, 288], "fixed_input_size": false, "interpolation": "bicubic", "crop_pct": 0.95,
            "crop_mode": "center", "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "num_classes": 1000
        });
        let expected = json!({
            "input_size": "288x224", "channels": "RGB", "rescale": "1/255", "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225],
            "resize": "crop", "crop_fraction": 0.95, "interpolation": "bicubic"
        });
        assert_eq!(translated(&config), expected);
    }

    #[test]
    fn task_is_known_by_the_number_of_classes() {
        let task = |file: &Value| file.as_object().and_then(task);
        let resnet = json!({"architecture": "resnet50", "num_classes": 1000});
        assert_eq!(task(&resnet), Some("image-classification"));
        let dino = json!({"architecture": "vit_base_patch14_dinov2", "num_classes": 0});
        assert_eq!(task(&dino), Some("feature-extraction"));
        assert_eq!(task(&json!({"num_classes": 0})), None);
    }

    #[test]
    fn malformed_values_are_ignored() {
        let odd = json!({"input_size": 224, "mean": "no", "crop_mode": "border", "crop_pct": null});
        assert_eq!(translated(&odd), json!({}));
        assert_eq!(translated(&json!({"crop_mode": "squash"})), json!({"resize": "stretch"}));
        assert!(pretrained(&Map::new()).is_empty());
    }
}
