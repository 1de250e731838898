//! libFuzzer over `bailiwick_compiler::packs::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bailiwick_compiler::packs::fuzz(data));
