//! libFuzzer over `bailiwick_policy::bundle::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bailiwick_policy::bundle::fuzz(data));
