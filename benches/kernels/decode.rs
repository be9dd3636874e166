//! Encoded bytes to RGB pixels: JPEG at each scale that a model may ask for, PNG at its only one.

use criterion::{Criterion, Throughput};
use seequel::images::{Limits, decode};

use crate::photo::{SIZES, jpeg, photo, png};

pub(crate) fn measure(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    group.throughput(Throughput::Elements(1));
    for (name, width, height) in SIZES {
        let photo = photo(width, height);
        let (jpeg, png) = (jpeg(&photo), png(&photo));
        for parts in [1, 2, 4, 8] {
            group.bench_function(format!("jpeg/{name}/1:{parts}"), |bencher| {
                bencher.iter(|| decode_at(&jpeg, 1.0 / f64::from(parts)));
            });
        }
        group.bench_function(format!("png/{name}"), |bencher| bencher.iter(|| decode_at(&png, 1.0)));
    }
    group.finish();
}

fn decode_at(bytes: &[u8], scale: f64) -> u32 {
    let image = decode(bytes, &Limits::pixels(u64::MAX), |_, _| scale).unwrap();
    image.width
}
