#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| seequel::fuzzing::options(text));
