#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(
    init: seequel_fuzz_images::report_contained_panics(),
    |bytes: &[u8]| -> Corpus { seequel_fuzz_images::exif(bytes) }
);
