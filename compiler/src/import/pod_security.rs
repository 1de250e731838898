//! Pod Security labels on namespaces: the enforced level.

use serde_json::{Value, json};

use super::ImportError;
use super::objects::{Losses, Object, Widens};

/// The prefix of the labels.
const PREFIX: &str = "pod-security.kubernetes.io/";
/// The version for `latest`: the newest version of the standards that a pack can name.
const LATEST: &str = "v1.37";

/// Levels, weakest first, as labels and as packs name them.
const LEVELS: [(&str, &str); 3] =
    [("privileged", "Privileged"), ("baseline", "Baseline"), ("restricted", "Restricted")];

pub(super) fn spec(objects: &[Object<'_>], losses: &mut Losses) -> Result<Value, ImportError> {
    let mut names = Vec::new();
    let mut levels = Vec::new();
    for namespace in objects.iter().copied() {
        let labels = namespace.at("/metadata/labels").and_then(Value::as_object);
        let label = |name: &str| labels.and_then(|all| all.get(&format!("{PREFIX}{name}"))?.as_str());
        let Some(level) = label("enforce") else {
            let reason = "nothing is enforced there, so it was left out";
            losses.add(namespace, "metadata.labels", reason, Widens::No);
            continue;
        };
        let Some(at) = LEVELS.iter().position(|(word, _)| *word == level) else {
            // If the API server cannot read the label, it enforces the strictest level.
            let reason = format!("`{level}` is not a level; restricted is enforced, as by the API server");
            losses.add(namespace, &format!("metadata.labels[{PREFIX}enforce]"), reason, Widens::No);
            levels.push((namespace, LEVELS.len() - 1, LATEST.to_owned()));
            names.push(namespace.own_name());
            continue;
        };
        let version = match label("enforce-version") {
            Some(version) if version != "latest" => version.to_owned(),
            _ => {
                let reason = format!("`latest` would change under you; it is pinned to {LATEST}");
                losses.add(
                    namespace,
                    &format!("metadata.labels[{PREFIX}enforce-version]"),
                    reason,
                    Widens::No,
                );
                LATEST.to_owned()
            }
        };
        for way in ["warn", "audit"] {
            if label(way).is_some() {
                let reason = "a pack enforces a level, and warns of none; what is only warned of or audited is not said";
                losses.add(namespace, &format!("metadata.labels[{PREFIX}{way}]"), reason, Widens::No);
            }
        }
        levels.push((namespace, at, version));
        names.push(namespace.own_name());
    }
    let strictest = levels.iter().map(|(_, at, _)| *at).max();
    let of_level = |at| levels.iter().filter(move |(_, other, _)| *other == at);
    let Some((strictest, (_, _, version))) = strictest.and_then(|at| Some((at, of_level(at).next()?))) else {
        return Err(ImportError::Nothing(
            "no namespace has the label pod-security.kubernetes.io/enforce".to_owned(),
        ));
    };
    for (namespace, at, own) in &levels {
        // The weakest level requires nothing in any version.
        if *at != 0 && own != version {
            return Err(ImportError::Subjects("these namespaces ask for different versions".to_owned()));
        }
        if *at != strictest {
            let reason = "a pack has one level: the strictest of these namespaces is asked of it too";
            losses.add(*namespace, &format!("metadata.labels[{PREFIX}enforce]"), reason, Widens::No);
        }
    }
    let level = LEVELS.get(strictest).map_or("Restricted", |(_, word)| *word);
    let wanted = json!([{"key": "kubernetes.io/metadata.name", "operator": "In", "values": names}]);
    Ok(json!({
        "subjects": {"namespaces": {"selector": {"matchExpressions": wanted}}},
        "isolation": {"podSecurity": {"level": level, "version": version}},
    }))
}
