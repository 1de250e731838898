//! libFuzzer over `bailiwick_lsp::fuzz::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bailiwick_lsp::fuzz::fuzz(data));
