//! Small clusters: packs, bindings and namespaces by the fields that count.

use std::collections::BTreeMap;

use bailiwick_compiler::cluster::{Binding, Cells, ClusterPacks, InForce, NamespaceLabels, Verdict, cells};
use bailiwick_crds::binding::{PolicyBindingSpec, PolicyBindingStatus};
use serde_json::{Value, json};

/// A pack that governs the pods with label `app` of the namespaces with `zone: agents`, and lets them reach ports of one network.
pub(crate) fn pack(name: &str, version: &str, app: &str, ports: &[u16]) -> Value {
    let ports: Vec<_> = ports.iter().map(|port| json!({ "port": port })).collect();
    let mut pack = json!({
        "apiVersion": "bailiwick.dev/v1alpha1", "kind": "PolicyPack",
        "metadata": { "name": format!("{name}-{version}") },
        "spec": {
            "pack": name, "version": version,
            "parameters": [
                { "name": "cidr", "type": "enum(192.0.2.0/24,198.51.100.0/24)", "default": "192.0.2.0/24", "bindable": true },
            ],
            "subjects": {
                "namespaces": { "selector": { "matchLabels": { "zone": "agents" } } }, "unmatched": "Deny",
            },
            "network": { "egress": [{ "name": "out", "to": { "cidr": "${cidr}" }, "ports": ports }] },
        },
    });
    if !app.is_empty() {
        pack["spec"]["subjects"]["pods"] = json!({ "matchLabels": { "app": app } });
    }
    pack
}

/// A cluster that changes.
#[derive(Default)]
pub(crate) struct Cluster {
    pub(crate) packs: ClusterPacks,
    pub(crate) bindings: BTreeMap<String, PolicyBindingSpec>,
    pub(crate) statuses: BTreeMap<String, PolicyBindingStatus>,
    pub(crate) in_force: InForce,
}

impl Cluster {
    pub(crate) fn with(packs: &[Value]) -> Self {
        let mut cluster = Self::default();
        for pack in packs {
            cluster.packs.add(pack).expect("a pack");
        }
        cluster
    }

    pub(crate) fn bind(&mut self, name: &str, spec: Value) {
        self.bindings.insert(name.to_owned(), serde_json::from_value(spec).expect("a binding"));
    }

    /// Works out what is in force, and gives the verdict of each binding.
    pub(crate) fn update(&mut self) -> BTreeMap<String, Verdict> {
        let bindings: Vec<Binding<'_>> = self
            .bindings
            .iter()
            .map(|(name, spec)| Binding { name, spec, status: self.statuses.get(name) })
            .collect();
        let verdicts = self.in_force.update(&bindings, &self.packs);
        verdicts.into_iter().map(|verdict| (verdict.binding.clone(), verdict)).collect()
    }

    pub(crate) fn cells(&self) -> Cells {
        cells(&self.in_force, &namespaces())
    }
}

pub(crate) fn of(name: &str, version: &str) -> Value {
    json!({ "pack": { "name": name, "version": version } })
}

/// Two governed namespaces and one that is not.
pub(crate) fn namespaces() -> NamespaceLabels {
    let labels = |zone: &str, team: &str| {
        BTreeMap::from([("zone".to_owned(), zone.to_owned()), ("team".to_owned(), team.to_owned())])
    };
    [("one", labels("agents", "a")), ("two", labels("agents", "b")), ("web", labels("web", "a"))]
        .map(|(name, labels)| (name.to_owned(), labels))
        .into()
}
