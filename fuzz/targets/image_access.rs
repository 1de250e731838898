//! libFuzzer over `bailiwick_images::fuzz::access::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bailiwick_images::fuzz::access::fuzz(data));
