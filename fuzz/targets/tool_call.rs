//! libFuzzer over `bailiwick_policy::tool::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bailiwick_policy::tool::fuzz(data));
