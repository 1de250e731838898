//! The complete example of the language's design: it compiles but for what is not enforced yet, and that is named exactly.

use bailiwick_compiler::diagnostic::Severity;
use bailiwick_compiler::library::MemoryLibrary;
use bailiwick_compiler::source::PackSources;
use bailiwick_compiler::{Bindings, compile};

use super::support::{compiled_with, document};

const EXAMPLE: &str = include_str!("../fixtures/complete-example.yaml");

/// The pack that the example extends, as far as the example needs it: it allows everything.
const PARENT: &str = "admission: {rules: []}";

#[test]
fn the_complete_example_gives_exactly_the_refusals_of_what_is_not_built() {
    let mut library = MemoryLibrary::default();
    library.add(PackSources::single(document("restricted-agent", PARENT)));
    let compiled = compiled_with(EXAMPLE, &library);
    assert_eq!(compiled.policy, None);
    let shown = |severity| -> Vec<String> {
        let list = compiled.all().filter(|one| one.severity == severity);
        list.map(|one| format!("{} {}", one.code, one.at)).collect()
    };
    assert_eq!(
        shown(Severity::Error),
        [
            "BW0505 spec.network.egress[0].to.hosts",
            "BW0506 spec.network.proxy",
            "BW0509 spec.sandboxes[0].runtime.preload",
            "BW0521 spec.sandboxes[1].network.egress",
        ]
    );
    assert_eq!(shown(Severity::Warning), [] as [&str; 0]);
}

#[test]
fn ten_thousand_rules_compile() {
    let rule = |index: usize| {
        format!(
            "  - {{name: r{index}, match: {{resources: [{{apiGroups: [\"\"], apiVersions: [v1], resources: [pods], operations: [CREATE]}}]}},\n     validations: [{{expression: \"object.metadata.name != 'n{index}'\"}}]}}\n"
        )
    };
    let rules: String = (0..10_000).map(rule).collect();
    let sources = PackSources::single(document("many", &format!("admission:\n  rules:\n{rules}")));
    let compiled = compile(&[(&sources, Bindings::default())], &MemoryLibrary::default());
    let policy = compiled
        .policy
        .unwrap_or_else(|| panic!("{:?}", compiled.diagnostics.first().and_then(|list| list.first())));
    assert_eq!(policy.admission.rules.len(), 10_000);
}
