//! libFuzzer over `bailiwick_policy::admission::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bailiwick_policy::admission::fuzz(data));
