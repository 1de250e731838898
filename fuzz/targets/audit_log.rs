//! libFuzzer over `bailiwick_audit::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bailiwick_audit::fuzz(data));
