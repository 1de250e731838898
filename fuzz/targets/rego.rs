//! libFuzzer over `bailiwick_compiler::rego::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bailiwick_compiler::rego::fuzz(data));
