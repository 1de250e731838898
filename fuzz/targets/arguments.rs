//! libFuzzer over `bailiwick_policy::arguments::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bailiwick_policy::arguments::fuzz(data));
