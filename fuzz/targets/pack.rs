//! libFuzzer over `bailiwick_compiler::compile::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bailiwick_compiler::compile::fuzz(data));
