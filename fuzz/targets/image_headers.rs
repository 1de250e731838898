//! libFuzzer over `bailiwick_images::fuzz::headers::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bailiwick_images::fuzz::headers::fuzz(data));
