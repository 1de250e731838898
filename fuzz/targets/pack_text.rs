//! libFuzzer over `bailiwick_compiler::fuzz::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bailiwick_compiler::fuzz::fuzz(data));
