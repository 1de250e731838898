//! Pod Security labels that the owner of a namespace set at least as strict as the bound packs: they stay the
//! owner's, even when every binding goes.
//! <https://kubernetes.io/docs/concepts/security/pod-security-admission/#pod-security-admission-labels-for-namespaces>

use serde_json::Value;

use crate::object::{Live, Wanted};

/// What we want of a namespace beyond what its owner already wants; `None`: all of it.
///
/// Level and version are compared separately. `restricted` of an old version lacks checks that `baseline` of
/// a new one has, so the owner keeps the level and the version is raised next to it. Nothing that either side
/// requires is loosened, but a version that we raised stays until the owner sets one.
pub(super) fn beside(wanted: &Wanted, live: &Live, owner: &str) -> Option<Wanted> {
    let label = |key: &str| {
        wanted.manifest.pointer("/metadata/labels")?.get(key).and_then(Value::as_str).map(str::to_owned)
    };
    let mut manifest = wanted.manifest.clone();
    let mut left = false;
    for mode in ["enforce", "warn", "audit"] {
        let key = format!("pod-security.kubernetes.io/{mode}");
        let at = format!("{key}-version");
        let Some(asked) = label(&key) else { continue };
        let there = live.labels.get(&key).and_then(|level| self::level(level));
        if there.is_none() || there < level(&asked) || !live.theirs.contains(&key) {
            continue;
        }
        left = true;
        let stands = live.labels.get(&at);
        // A version that we raised stays ours.
        let theirs = stands.is_none() || live.theirs.contains(&at);
        let new_enough = minor(stands.map(String::as_str)) >= minor(label(&at).as_deref());
        if let Some(labels) = manifest.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
            labels.remove(&key);
            if theirs && new_enough {
                labels.remove(&at);
            }
        }
    }
    left.then(|| Wanted::new(manifest, owner).ok()).flatten()
}

fn level(word: &str) -> Option<u8> {
    ["privileged", "baseline", "restricted"]
        .iter()
        .position(|one| *one == word)
        .and_then(|at| at.try_into().ok())
}

/// The minor version; the latest if none is given.
fn minor(version: Option<&str>) -> u32 {
    version.and_then(|version| version.strip_prefix("v1.")?.parse().ok()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::kind::Kind;
    use crate::object::Key;

    /// The labels that are applied when ours require `baseline` of v1.36 and the namespace has these, some of
    /// them its owner's.
    fn applied(there: &[(&str, &str)], theirs: &[&str]) -> Vec<String> {
        let name = |short: &str| format!("pod-security.kubernetes.io/{short}");
        let ours = [
            ("enforce", "baseline"),
            ("enforce-version", "v1.36"),
            ("warn", "baseline"),
            ("warn-version", "v1.36"),
        ];
        let labels: BTreeMap<String, &str> = ours.map(|(key, value)| (name(key), value)).into();
        let manifest =
            json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "n", "labels": labels } });
        let wanted = Wanted::new(manifest, "system").expect("a manifest");
        let key = Key { kind: Kind::Namespace, namespace: None, name: "n".to_owned() };
        let live = Live {
            labels: there.iter().map(|(key, value)| (name(key), (*value).to_owned())).collect(),
            theirs: theirs.iter().map(|key| name(key)).collect(),
            ..Live::named(key)
        };
        let applied = beside(&wanted, &live, "system").unwrap_or(wanted);
        let labels = applied.manifest["metadata"]["labels"].as_object().expect("labels");
        let short = labels.keys().filter_map(|key| key.strip_prefix("pod-security.kubernetes.io/"));
        short.map(str::to_owned).collect()
    }

    #[test]
    fn what_the_owner_set_as_strict_or_stricter_is_left_alone_and_nothing_else() {
        let all = ["enforce", "enforce-version", "warn", "warn-version"];
        assert_eq!(applied(&[], &[]), all);
        assert_eq!(applied(&[("enforce", "restricted")], &["enforce"]), all[2..]);
        assert_eq!(applied(&[("enforce", "restricted")], &[]), all, "we set it ourselves");
        assert_eq!(applied(&[("enforce", "privileged")], &["enforce"]), all);
        assert_eq!(applied(&[("enforce", "nonsense")], &["enforce"]), all);
        assert_eq!(applied(&[("enforce", "baseline")], &["enforce"]), all[2..], "of the latest version");
        let old = [("enforce", "baseline"), ("enforce-version", "v1.20")];
        assert_eq!(applied(&old, &["enforce"]), all[1..], "an older version asks for less");
        for level in ["baseline", "restricted"] {
            let old = [("enforce", level), ("enforce-version", "v1.20")];
            let both = ["enforce", "enforce-version"];
            assert_eq!(applied(&old, &both), all[1..], "{level} of an old version lacks newer checks");
            let raised = [("enforce", level), ("enforce-version", "v1.36")];
            assert_eq!(applied(&raised, &["enforce"]), all[1..], "what we raised we keep");
            assert_eq!(applied(&raised, &both), all[2..], "{level}");
        }
        let both = [("enforce", "restricted"), ("warn", "restricted")];
        assert_eq!(applied(&both, &["enforce", "warn"]), Vec::<String>::new());
    }
}
