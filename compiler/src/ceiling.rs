//! Whether a pack stays within the packs that it extends. The packs are met, so whatever it allows beyond
//! them is denied in any case; its author must be told.

mod sandboxes;
mod tools;
mod written;

use std::collections::BTreeSet;

use bailiwick_policy::policy::{
    ImageDigest, ImageEffect, ImageEntry, ImageLayer, ImageSigner, Network, NetworkRule, Policy,
};

use crate::check::bw0227_widens_parent;
use crate::diagnostic::{Diagnostic, FieldPath, Related};
use crate::lower::pattern::within;
use crate::reach::rules::{Rule, covers};

/// A pack's own policy and one that it extends, with the name of the latter.
pub(crate) struct Pair<'a> {
    /// The extending pack, lowered alone.
    pub(crate) child: &'a Policy,
    /// The extended pack, lowered alone.
    pub(crate) parent: &'a Policy,
    /// Its name, for diagnostics.
    pub(crate) parent_name: &'a str,
}

impl Pair<'_> {
    /// Every permission of the child that the parent does not give.
    pub(crate) fn check(&self) -> Vec<Diagnostic> {
        let mut out = Vec::new();
        self.isolation(&mut out);
        if let (Some(child), Some(parent)) = (&self.child.network, &self.parent.network) {
            self.network(child, parent, &mut out);
        }
        self.images(&mut out);
        self.sandboxes(&mut out);
        self.tools(&mut out);
        out
    }

    fn report(&self, at: &str, there: &str, message: String, out: &mut Vec<Diagnostic>) {
        let path = |text: &str| text.parse::<FieldPath>().unwrap_or_else(|_| FieldPath::spec());
        let mut diagnostic = Diagnostic::new(bw0227_widens_parent::CODE, path(at), message).with_help(
            format!("an extended pack is a ceiling: allow no more than `{}` does", self.parent_name),
        );
        diagnostic.related.push(Related {
            pack: Some(self.parent_name.to_owned()),
            at: path(there),
            place: None,
            message: format!("the ceiling of `{}`", self.parent_name),
        });
        out.push(diagnostic);
    }

    fn isolation(&self, out: &mut Vec<Diagnostic>) {
        let (child, parent) = (&self.child.isolation, &self.parent.isolation);
        for (mine, theirs) in
            child.pod_security.iter().flat_map(|mine| parent.pod_security.iter().map(move |one| (mine, one)))
        {
            if mine.value.level < theirs.value.level {
                let message = format!(
                    "the level is {:?}; `{}` requires {:?}",
                    mine.value.level, self.parent_name, theirs.value.level
                );
                self.report(
                    "spec.isolation.podSecurity.level",
                    "spec.isolation.podSecurity.level",
                    message,
                    out,
                );
            }
        }
        if let (Some(mine), Some(theirs)) = (&child.runtime_class, &parent.runtime_class) {
            for class in mine.value.classes.iter().filter(|class| !theirs.value.classes.contains(class)) {
                let message = format!(
                    "`{}` does not allow RuntimeClass `{}` with handler `{}`",
                    self.parent_name, class.name, class.handler
                );
                self.report(
                    "spec.isolation.runtimeClass.classes",
                    "spec.isolation.runtimeClass.classes",
                    message,
                    out,
                );
            }
        }
        if let (Some(mine), Some(theirs)) = (&child.service_account_token, &parent.service_account_token)
            && mine.value < theirs.value
        {
            let at = "spec.isolation.serviceAccountToken";
            self.report(at, at, format!("`{}` forbids service account tokens", self.parent_name), out);
        }
    }

    fn network(&self, child: &Network, parent: &Network, out: &mut Vec<Diagnostic>) {
        let directions =
            [("egress", &child.egress, &parent.egress), ("ingress", &child.ingress, &parent.ingress)];
        for (direction, mine, theirs) in directions {
            let ceiling: Vec<Rule> = theirs.iter().map(Rule::of).collect();
            for rule in mine.iter().filter(|rule| !covers(&ceiling, &Rule::of(rule))) {
                let message = format!(
                    "{direction} rule `{}` allows connections that `{}` does not",
                    rule.name, self.parent_name
                );
                self.report(place(rule), &format!("spec.network.{direction}"), message, out);
            }
        }
    }

    fn images(&self, out: &mut Vec<Diagnostic>) {
        if self.parent.images.is_empty() {
            return;
        }
        let (mine, theirs) = (allowing(self.child), allowing(self.parent));
        for (layer, entry) in &mine {
            for pattern in &entry.patterns {
                let outer: Vec<&(&ImageLayer, &ImageEntry)> = theirs
                    .iter()
                    .filter(|(_, outer)| outer.patterns.iter().any(|wide| within(pattern, wide)))
                    .collect();
                if outer.is_empty() {
                    let message = format!("`{}` does not allow images `{pattern}`", self.parent_name);
                    self.report(&entry.at, "spec.images", message, out);
                }
                let unpinned = entry.digest == ImageDigest::Any;
                if let Some((_, strict)) =
                    outer.iter().find(|(_, outer)| unpinned && outer.digest != ImageDigest::Any)
                {
                    let message = format!("`{}` requires a digest of images `{pattern}`", self.parent_name);
                    self.report(&entry.at, &strict.at, message, out);
                }
                let asked = signers(layer, entry);
                if let Some((_, strict)) =
                    outer.iter().find(|(layer, outer)| !signers(layer, outer).is_subset(&asked))
                {
                    let base = self.parent_name;
                    let message = format!(
                        "`{base}` requires a signature of images `{pattern}` that this pack does not"
                    );
                    self.report(&entry.at, &strict.at, message, out);
                }
            }
        }
    }
}

fn allowing(policy: &Policy) -> Vec<(&ImageLayer, &ImageEntry)> {
    let entries =
        policy.images.iter().flat_map(|layer| layer.entries.iter().map(move |entry| (layer, entry)));
    entries.filter(|(_, entry)| entry.effect == ImageEffect::Allow).collect()
}

/// The signers that an entry requires, with their trust root as text, since the same index means another root
/// in another pack.
fn signers<'p>(layer: &'p ImageLayer, entry: &'p ImageEntry) -> BTreeSet<(&'p ImageSigner, Option<&'p str>)> {
    let root = |signer: &ImageSigner| match signer {
        ImageSigner::Identity { trust_root, .. } => usize::try_from(*trust_root).ok(),
        ImageSigner::Key(_) => None,
    };
    let with_root = |signer| {
        let text = root(signer).and_then(|at| layer.trust_roots.get(at)).map(String::as_str);
        (signer, text)
    };
    entry.require.iter().map(with_root).collect()
}

fn place(rule: &NetworkRule) -> &str {
    rule.from.first().map_or("spec.network", |origin| origin.at.as_str())
}
