//! `pack.lock`: exactly which packs a pack is compiled with. `bailiwick compile --lock` writes it, every
//! other compilation reads it, and it must match the library's content to the last byte.
//!
//! ```yaml
//! # Written by `bailiwick compile --lock`. Do not edit.
//! packs:
//! - {name: restricted-agent, version: 1.0.0, digest: 5f0c…}
//! ```

use std::collections::BTreeMap;

use semver::Version;
use serde_json::{Value as Json, json};

use crate::check::{bw0101_invalid_yaml, bw0210_lock_stale};
use crate::diagnostic::{Diagnostic, FieldPath};
use crate::source::SourceFile;
use crate::yaml::{Limits, SourceMap};

/// A pack in a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Locked {
    /// Its version.
    pub(crate) version: Version,
    /// SHA-256 (hex) of the canonical JSON of its spec as authored.
    pub(crate) digest: String,
}

/// The content of a lock, by name of the pack.
pub(crate) type Lock = BTreeMap<String, Locked>;

/// Reads a lock; diagnostics have their places.
#[must_use]
pub(crate) fn read(file: &SourceFile) -> (Option<Lock>, Vec<Diagnostic>) {
    let (maps, mut diagnostics) = SourceMap::read(&file.name, &file.bytes, &Limits::PACK);
    let Some(map) = maps.first().filter(|_| maps.len() == 1) else {
        if diagnostics.is_empty() {
            let message = format!("`{}` holds no lock", file.name);
            diagnostics.push(
                Diagnostic::new(bw0101_invalid_yaml::CODE, FieldPath::root(), message)
                    .with_help("run `bailiwick compile --lock`")
                    .with_place(crate::diagnostic::Place { file: file.name.clone(), bytes: 0..0 }),
            );
        }
        return (None, diagnostics);
    };
    let mut problems = crate::schema_check::check(map.root(), &schema(), &FieldPath::root());
    let mut lock = Lock::new();
    let entries = map.root().get("packs").map_or(&[][..], |packs| packs.items());
    for entry in entries {
        let text = |member: &str| entry.get(member).and_then(|node| node.as_str());
        let (Some(name), Some(version), Some(digest)) = (text("name"), text("version"), text("digest"))
        else {
            continue;
        };
        if let Ok(version) = Version::parse(version) {
            lock.insert(name.to_owned(), Locked { version, digest: digest.to_owned() });
        }
    }
    for problem in &mut problems {
        map.locate(problem);
    }
    diagnostics.extend(problems);
    (diagnostics.is_empty().then_some(lock), diagnostics)
}

fn schema() -> Json {
    let text = json!({ "type": "string" });
    let version = crate::schema_check::PACK.pointer("/properties/spec/properties/version").cloned();
    json!({
        "type": "object",
        "required": ["packs"],
        "properties": { "packs": {
            "type": "array",
            "x-kubernetes-list-map-keys": ["name"],
            "items": {
                "type": "object",
                "required": ["name", "version", "digest"],
                "properties": {
                    "name": text,
                    "version": version,
                    "digest": { "type": "string", "pattern": "^[0-9a-f]{64}$" },
                },
            },
        } },
    })
}

/// The text of a lock.
#[must_use]
pub(crate) fn write(lock: &Lock) -> String {
    let mut text = String::from("# Written by `bailiwick compile --lock`. Do not edit.\n");
    if lock.is_empty() {
        text.push_str("packs: []\n");
        return text;
    }
    text.push_str("packs:\n");
    for (name, locked) in lock {
        text.push_str(&format!(
            "- {{name: {name}, version: {}, digest: \"{}\"}}\n",
            locked.version, locked.digest
        ));
    }
    text
}

/// Locked packs that nothing extends.
#[must_use]
pub(crate) fn surplus<'a>(lock: &'a Lock, used: impl Fn(&str) -> bool) -> Vec<Diagnostic> {
    let stale = |name: &'a String| {
        let message =
            format!("`pack.lock` names `{name}`, which neither the pack nor one that it extends names");
        Diagnostic::new(bw0210_lock_stale::CODE, FieldPath::spec().member("extends"), message)
            .with_help("run `bailiwick compile --lock`")
    };
    lock.keys().filter(|name| !used(name)).map(stale).collect()
}
