//! Each contradiction between layers that the language promises to find, and the code that finds it: a clause without a code is a promise not
//! kept. `examples` runs the failing pack and the passing twin of every code.

use super::{codes, examples};
use crate::diagnostic::Severity;

/// The cross-layer checks of the language, clause by clause.
const CLAUSES: &[(&str, &str)] = &[
    ("egress of a sandbox whose profile denies `connect` or `socket`", "BW0401"),
    ("and the reverse", "BW0402"),
    ("hosts without a proxy", "BW0403"),
    ("`http` rules without `tls: Terminate`", "BW0404"),
    ("`proc: Own` where Pod Security or the RuntimeClass refuses it", "BW0405"),
    ("a seccomp profile where it is inert", "BW0418"),
    ("a RuntimeClass exempted from Pod Security", "BW0435"),
    ("a tool in an undefined sandbox", "BW0406"),
    ("argv[0] outside the sandbox's filesystem", "BW0409"),
    ("limits above the pool's pod", "BW0410"),
    ("`wallClock` above the API's or session's timeout", "BW0426"),
    ("signature rules without `digest: Resolve`", "BW0412"),
    ("a language runtime whose working set the profile does not cover", "BW0419"),
    ("exact limits on a pool that cannot enforce them", "BW0413"),
    ("writable and executable paths", "BW0420"),
    ("a `narrow` that is not narrower", "BW0414"),
    ("egress that nothing uses", "BW0415"),
    ("an unlabelled pod of a governed namespace that nothing denies", "BW0416"),
];

#[test]
fn every_clause_has_a_code_with_a_failing_pack_and_a_passing_twin() {
    for (clause, id) in CLAUSES {
        let code = codes().find(|code| code.id() == *id).unwrap_or_else(|| panic!("{clause}: no {id}"));
        assert!(code.severity() >= Severity::Warning, "{clause}: {id} only notes it");
        assert!(examples::is_complete(code), "{clause}: {id} has no failing pack, message and passing twin");
    }
}

/// Fewer than these were promised; a code may be renamed, and not be lost.
#[test]
fn there_are_as_many_codes_as_were_promised() {
    let cross_layer = codes().filter(|code| code.id().starts_with("BW04"));
    let (all, layers) = (codes().count(), cross_layer.count());
    assert!(all >= 110 && layers >= 35, "{all} codes, {layers} of them between layers");
}
