//! Running a call without a decision, or without a record, does not compile. Each file in `proofs/` tries one
//! way; the compiler's answer is next to it.
#![forbid(unsafe_code)]

#[test]
fn nothing_runs_without_a_permit_and_a_record() {
    let attempts = trybuild::TestCases::new();
    attempts.compile_fail("tests/proofs/*.rs");
}
