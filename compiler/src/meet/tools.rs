//! The meet of tools: every pack's layer stands, and is decided by itself. And of what is kept in the audit log.

use std::collections::BTreeMap;

use bailiwick_policy::policy::tools::{Audit, Keep, Tool};
use bailiwick_policy::policy::{Policy, Stated};

use super::Conflict;
use super::provenance::united;

/// A tool is one thing: what it runs and the facts taken from its arguments are the same in all layers that define it.
pub(super) fn conflicts(policies: &[Policy]) -> Vec<Conflict> {
    let mut out = Vec::new();
    let mut seen: BTreeMap<&str, &Tool> = BTreeMap::new();
    let layers = policies.iter().flat_map(|policy| &policy.tools);
    for tool in layers.flat_map(|layer| &layer.definitions) {
        let first = *seen.entry(&tool.name).or_insert(tool);
        let differs = [("`run`", first.run != tool.run), ("`derive`", first.derive != tool.derive)];
        out.extend(differs.into_iter().filter(|(_, differs)| *differs).map(|(what, _)| Conflict::Differs {
            kind: "tool",
            name: tool.name.clone(),
            what,
        }));
    }
    out
}

/// Layers by pack, equal ones once.
pub(super) fn canonical(policy: &mut Policy) {
    policy.tools.sort_by_key(|layer| layer.pack);
    policy.tools.dedup();
    if let Some(stated) = &mut policy.audit {
        stated.from = united(std::mem::take(&mut stated.from), Vec::new());
    }
}

pub(super) fn audit(a: Stated<Audit>, b: Stated<Audit>) -> Stated<Audit> {
    let (one, other) = (a.value, b.value);
    Stated {
        value: Audit {
            arguments: keep(one.arguments, other.arguments),
            results: keep(one.results, other.results),
            // Kept at least as long as either asks; `None` is for ever.
            retention_ms: one.retention_ms.zip(other.retention_ms).map(|(a, b)| a.max(b)),
            admission: one.admission.max(other.admission),
        },
        from: united(a.from, b.from),
    }
}

/// A commitment discloses nothing, as who drops demands, and can be proved later, as who keeps demands.
fn keep(a: Keep, b: Keep) -> Keep {
    if a == b { a } else { Keep::Commit }
}
