//! libFuzzer over `bailiwick_compiler::cel::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bailiwick_compiler::cel::fuzz(data));
