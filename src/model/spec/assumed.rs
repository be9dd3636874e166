//! What a model assumes: settings that change predictions, and that neither options, files nor graph define.

use std::fmt;

use super::model_spec::ModelSpec;
use crate::model::input::{Channels, channel_order};
use crate::model::settings::ResolvedSetting;

/// Settings that make predictions wrong, often without an error, if they are not those of the training.
const CHANGE_PREDICTIONS: [&str; 10] = [
    "task",
    "channels",
    "rescale",
    "mean",
    "std",
    "resize",
    "padding",
    "crop_fraction",
    "interpolation",
    "labels",
];

/// What a model assumes, for a user: `RGB, pixels of 0 to 1, mean 0, std 1, no labels`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assumptions(Vec<String>);

impl ModelSpec {
    /// The settings that change predictions and have their default, because no option, file or evidence in the graph
    /// defines them. Settings that don't apply to the model are not among them.
    pub fn assumed(&self) -> impl Iterator<Item = &ResolvedSetting> {
        let matters = |setting: &&ResolvedSetting| CHANGE_PREDICTIONS.contains(&setting.name);
        self.settings.iter().filter(|setting| setting.is_default()).filter(matters)
    }

    /// [`Self::assumed`] in words; `None` if nothing is assumed.
    #[must_use]
    pub fn assumptions(&self) -> Option<Assumptions> {
        let words: Vec<_> = self.assumed().map(|setting| self.in_words(setting)).collect();
        (!words.is_empty()).then_some(Assumptions(words))
    }

    fn in_words(&self, setting: &ResolvedSetting) -> String {
        let value = &setting.value;
        match setting.name {
            "task" | "interpolation" => value.clone(),
            "channels" if self.has_mean_in_order_of_bgr() => {
                format!("{value}, although the mean is ImageNet's in the order BGR")
            }
            "channels" => value.clone(),
            "rescale" if value == "1" => "pixels of 0 to 255".to_owned(),
            "rescale" => "pixels of 0 to 1".to_owned(),
            "labels" => "no labels".to_owned(),
            name => format!("{name} {value}"),
        }
    }

    fn has_mean_in_order_of_bgr(&self) -> bool {
        let Some(image) = self.image() else { return false };
        let rule = &image.preprocessing;
        let range = if rule.rescale == 1.0 { 255.0 } else { 1.0 };
        channel_order(rule.mean.map(|mean| f64::from(mean) / range)) == Some(Channels::Bgr)
    }
}

impl fmt::Display for Assumptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use crate::model::{Folder, Onnx};

    fn assumed(folder: &Folder, options: &[(&str, &str)]) -> String {
        let spec = folder.resolve(options).unwrap();
        spec.assumptions().map(|assumptions| assumptions.to_string()).unwrap_or_default()
    }

    #[test]
    fn bare_file_assumes_everything_about_pixels_and_names() {
        let bare = Folder::classifier().unwrap();
        let expected =
            "RGB, pixels of 0 to 1, mean 0, std 1, resize crop, crop_fraction 0.875, bicubic, no labels";
        assert_eq!(assumed(&bare, &[]), expected);
        let names = |options: &[_]| -> Vec<&str> {
            bare.resolve(options).unwrap().assumed().map(|setting| setting.name).collect()
        };
        assert_eq!(
            names(&[("mean", "127"), ("std", "128"), ("resize", "stretch"), ("labels", r#"["a", "b"]"#)]),
            ["channels", "rescale", "interpolation"]
        );
    }

    #[test]
    fn order_of_a_mean_is_remarked() {
        let folder = Folder::classifier().unwrap();
        let known =
            [("std", "1"), ("resize", "stretch"), ("interpolation", "bilinear"), ("labels", r#"["a", "b"]"#)];
        let with = |option| assumed(&folder, &[&known[..], &[option]].concat());
        let remark = "RGB, although the mean is ImageNet's in the order BGR, pixels of 0 to 255";
        assert_eq!(with(("mean", "104,117,123")), remark);
        assert_eq!(with(("mean", "123,117,104")), "RGB, pixels of 0 to 255");
    }

    #[test]
    fn complete_files_assume_nothing() {
        let folder = Folder::classifier().unwrap();
        let pixels = r#"{
            "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5], "rescale_factor": 0.00392156862745098,
            "resample": 2, "size": {"height": 224, "width": 224}
        }"#;
        let network =
            r#"{"architectures": ["ViTForImageClassification"], "id2label": {"0": "cat", "1": "dog"}}"#;
        let folder = folder.put("preprocessor_config.json", pixels).unwrap();
        assert_eq!(assumed(&folder.put("config.json", network).unwrap(), &[]), "");
    }

    #[test]
    fn guessed_task_is_assumed() {
        let onnx = |name: &str| {
            Onnx::new()
                .input("pixels", "uint8", "b,8,8,3")
                .node("Gemm", &["pixels"], name)
                .output(name, "float32", "b,512")
        };
        let options = [("channels", "RGB"), ("resize", "stretch"), ("interpolation", "box")];
        let of = |name| assumed(&Folder::with(&onnx(name)).unwrap(), &options);
        assert_eq!(of("y"), "feature-extraction");
        assert_eq!(of("embedding"), "");
    }

    #[test]
    fn model_of_numbers_assumes_nothing() {
        let onnx =
            Onnx::new().input("x", "float32", "b,4").node("Gemm", &["x"], "y").output("y", "float32", "b,3");
        assert_eq!(assumed(&Folder::with(&onnx).unwrap(), &[]), "");
    }
}
