//! The entry point for fuzzers over the text of a pack.

use crate::custom_kinds::CustomKinds;
use crate::library::MemoryLibrary;
use crate::namespaces;
use crate::parameters::Bindings;
use crate::source::{PackSources, SourceFile};
use crate::yaml::{Limits, each_document};

/// Reads, checks and resolves arbitrary bytes as a pack, as a lock, as tests, as namespaces and as definitions of
/// custom resources. Whatever they are, this returns in bounded time and memory, and its answer is consistent: a
/// result exactly if there is no error, places inside the files, and the same answer twice.
///
/// # Panics
/// If one of these does not hold, which is a bug.
pub fn fuzz(bytes: &[u8]) {
    let mut sources = PackSources::single(bytes);
    sources.lock = Some(SourceFile::new("pack.lock", bytes));
    let library = MemoryLibrary::default();
    let (resolved, diagnostics) = crate::resolve::resolve(&sources, &library, &Bindings::default());
    assert_eq!(
        resolved.is_none(),
        crate::diagnostic::has_errors(&diagnostics),
        "no result, no error: {diagnostics:?}"
    );
    for found in &diagnostics {
        let _ = found.to_string();
        let Some(place) = &found.place else { continue };
        // In a file that is not valid text, a place counts bytes and may split characters.
        let inside = match std::str::from_utf8(bytes) {
            Ok(text) => text.get(place.bytes.clone()).is_some(),
            Err(_) => bytes.get(place.bytes.clone()).is_some(),
        };
        assert!(inside, "{:?} is not inside the text: {found}", place.bytes);
    }
    let again = crate::resolve::resolve(&sources, &library, &Bindings::default());
    assert_eq!(again.1, diagnostics, "another answer to the same text");
    let _ = crate::policy_test::read(&[SourceFile::new("test.yaml", bytes)]);
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = namespaces::read(text);
    }
    let mut kinds = CustomKinds::default();
    let _ = each_document(0, "crd.yaml", bytes, &Limits::MANIFESTS, |document| {
        let _ = kinds.add(&document.to_json());
    });
}
