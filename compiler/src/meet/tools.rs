//! The meet of tools, where every pack's layer is kept and decided by itself; and of the audit settings.

use std::collections::BTreeMap;

use bailiwick_policy::policy::tools::{Audit, Keep, Tool};
use bailiwick_policy::policy::{Policy, Stated};

use super::provenance::united;
use super::{Conflict, Property};

/// A tool is one thing: all layers that define it agree on what it runs and on the facts taken from its
/// arguments.
pub(super) fn conflicts(policies: &[Policy]) -> Vec<Conflict> {
    let mut out = Vec::new();
    let mut seen: BTreeMap<&str, &Tool> = BTreeMap::new();
    let layers = policies.iter().flat_map(|policy| &policy.tools);
    for tool in layers.flat_map(|layer| &layer.definitions) {
        let first = *seen.entry(&tool.name).or_insert(tool);
        let differs =
            [(Property::Run, first.run != tool.run), (Property::Derive, first.derive != tool.derive)];
        out.extend(
            differs
                .into_iter()
                .filter(|(_, differs)| *differs)
                .map(|(what, _)| Conflict::Differs { name: tool.name.clone(), what }),
        );
    }
    out
}

/// Layers by pack, without duplicates.
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
            // The longer of the two retentions; `None` means for ever.
            retention_ms: one.retention_ms.zip(other.retention_ms).map(|(a, b)| a.max(b)),
            admission: one.admission.max(other.admission),
        },
        from: united(a.from, b.from),
    }
}

/// Of `drop` and `keep`, a commitment satisfies both: it discloses nothing, and it can be proved later.
fn keep(a: Keep, b: Keep) -> Keep {
    if a == b { a } else { Keep::Commit }
}
