//! RGB pixels to a slot of a model's tensor: crop, resize and normalise to float32 NCHW.

use std::collections::BTreeMap;

use criterion::{Criterion, Throughput};
use seequel::images::{Limits, decode};
use seequel::model::{ImageSpec, ModelSpec, Preprocessor, Tensor};

use crate::home;
use crate::photo::{SIZES, jpeg, photo};

/// Means and deviations of ImageNet, and the central 224 of 256, as ResNet is used.
const RESNET: [(&str, &str); 4] = [
    ("mean", "0.485,0.456,0.406"),
    ("std", "0.229,0.224,0.225"),
    ("interpolation", "bilinear"),
    ("crop_fraction", "0.875"),
];

pub(crate) fn measure(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("preprocess");
    group.throughput(Throughput::Elements(1));
    // Both take 3 × 224 × 224; what they do with the pixels differs.
    let models = [("lite0", spec(&[])), ("resnet", spec(&RESNET))];
    // As decoders hand them over: the large photo comes at a quarter.
    for ((name, width, height), scale) in SIZES.into_iter().zip([1.0, 0.25]) {
        let image = decode(&jpeg(&photo(width, height)), &Limits::pixels(u64::MAX), |_, _| scale).unwrap();
        for (model, spec) in &models {
            let mut tensor = Tensor::new(&spec.input, 1);
            let mut preprocessor = Preprocessor::new(spec);
            group.bench_function(format!("{model}/{name}"), |bencher| {
                bencher.iter(|| preprocessor.write(&image, &mut tensor, 0));
            });
        }
    }
    group.finish();
}

/// Lite0's specification, with other options.
fn spec(options: &[(&str, &str)]) -> ImageSpec {
    let options: BTreeMap<_, _> =
        options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let file = home().join("models/efficientnet_lite0/model.onnx");
    ModelSpec::resolve("m", &file, &options).unwrap().image().unwrap().clone()
}
