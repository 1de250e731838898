//! libFuzzer over `bailiwick_policy::facts::shell::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bailiwick_policy::facts::shell::fuzz(data));
