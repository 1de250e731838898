//! libFuzzer over `bailiwick_compiler::import::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bailiwick_compiler::import::fuzz(data));
