//! From resolved packs to the effective policy and all findings about them.
//!
//! No error stops this: every pack is lowered and checked, and every error is reported. There is a policy
//! only if there are no errors.
//!
//! ```text
//! Lineage (a pack and those it extends) ► lower each ► check each ► ceilings ► meet ► effective ► Assembled
//! ```

use bailiwick_policy::policy::Policy;

use crate::ceiling::Pair;
use crate::check::{self, View, bw0229_packs_conflict, bw0230_nothing_in_common, bw0520_narrower_than_meant};
use crate::diagnostic::{Code, Diagnostic, FieldPath, Related, Severity, has_errors};
use crate::effective::{self, Placed};
use crate::findings::Findings;
use crate::lower::{Pack, lower};
use crate::meet::{Conflict, Met, Narrowed, meet};
use crate::reach::rules::{Rule, covers};

/// What several packs mean together.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Assembled {
    /// The effective policy; `None` if there is any error.
    pub(crate) policy: Option<Policy>,
    /// The findings, one list for each given pack, each in the order of the text.
    pub(crate) diagnostics: Vec<Vec<Diagnostic>>,
}

/// A pack and its ancestors; the ancestors have a name in [`Pack::extended`].
#[derive(Clone, Debug)]
pub(crate) struct Lineage {
    /// The pack under compilation.
    pub(crate) pack: Pack,
    /// What it extends.
    pub(crate) ancestors: Vec<Pack>,
}

/// Makes the one effective policy of several packs.
#[must_use]
pub(crate) fn assemble(lineages: &[Lineage]) -> Assembled {
    let mut diagnostics = Vec::with_capacity(lineages.len());
    let mut policies = Vec::new();
    for lineage in lineages {
        let (own, found) = policies_of(lineage);
        policies.extend(own);
        diagnostics.push(found);
    }
    // Met even if there are errors, so that the same run finds conflicts.
    let met = meet(policies);
    let mut report = |found: Vec<Diagnostic>| match diagnostics.first_mut() {
        Some(first) => first.extend(found),
        None => diagnostics.push(found),
    };
    let policy = match met {
        Ok(met) => {
            report(lost(&met));
            report(bw0230_nothing_in_common::check(&met.policy));
            // A mere consequence of an error elsewhere is not reported.
            if !diagnostics.iter().any(|list| has_errors(list)) {
                place(lineages, &met.policy, &mut diagnostics);
            }
            Some(met.policy)
        }
        Err(conflicts) => {
            report(conflicts.iter().map(conflict).collect());
            None
        }
    };
    diagnostics.iter_mut().for_each(sort);
    let failed = diagnostics.iter().any(|list| has_errors(list));
    Assembled { policy: policy.filter(|_| !failed), diagnostics }
}

/// Findings that depend on one field alone. Others may be consequences of something missing, such as an
/// unknown name because its declaration was misspelt.
const BY_ITSELF: [Code; 8] = [
    check::bw0224_image_pattern::CODE,
    check::bw0231_syscall::CODE,
    check::bw0301_cel_syntax::CODE,
    check::bw0302_cel_limit::CODE,
    check::bw0304_cel_type::CODE,
    check::bw0305_cel_regex::CODE,
    check::bw0307_rego_syntax::CODE,
    check::bw0308_rego_limit::CODE,
];

/// The findings about single fields of packs that are incomplete.
pub(crate) fn by_themselves(lineage: &Lineage) -> Vec<Diagnostic> {
    let (_, mut found) = policies_of(lineage);
    found.retain(|one| BY_ITSELF.contains(&one.code));
    sort(&mut found);
    found
}

/// The policies of a pack and of its ancestors, each lowered alone, and the findings about them.
fn policies_of(lineage: &Lineage) -> (Vec<Policy>, Vec<Diagnostic>) {
    let (own, mut found) = lower(&lineage.pack);
    let specs: Vec<_> = lineage.ancestors.iter().map(|pack| &pack.spec).collect();
    found.extend(checked(
        &lineage.pack,
        View { spec: &lineage.pack.spec, policy: &own, ancestors: specs.clone() },
    ));
    let mut policies = Vec::with_capacity(lineage.ancestors.len() + 1);
    for pack in &lineage.ancestors {
        let (policy, mut said) = lower(pack);
        said.extend(checked(pack, View { spec: &pack.spec, policy: &policy, ancestors: specs.clone() }));
        // Warnings about a published pack are for its own author.
        found.extend(said.into_iter().filter(|diagnostic| diagnostic.severity == Severity::Error));
        let parent_name = pack.extended.as_deref().unwrap_or(&pack.source.name);
        found.extend(Pair { child: &own, parent: &policy, parent_name }.check());
        policies.push(policy);
    }
    policies.push(own);
    (policies, found)
}

/// Assigns each finding about the whole to the pack that it concerns.
fn place(lineages: &[Lineage], policy: &Policy, diagnostics: &mut [Vec<Diagnostic>]) {
    for Placed { pack, diagnostic } in effective::check(policy) {
        let source = policy.packs.get(usize::from(pack));
        let own = lineages.iter().position(|lineage| Some(&lineage.pack.source) == source);
        let above = || {
            lineages
                .iter()
                .position(|lineage| lineage.ancestors.iter().any(|one| Some(&one.source) == source))
        };
        let name = source.filter(|_| own.is_none()).map(|source| source.name.clone());
        let index = own.or_else(above).unwrap_or_default();
        if let Some(list) = diagnostics.get_mut(index) {
            list.push(diagnostic.in_pack(name));
        }
    }
}

fn checked(pack: &Pack, view: View<'_>) -> Vec<Diagnostic> {
    let mut out = Findings::of(pack.extended.as_deref());
    check::run(&view, &mut out);
    out.into_diagnostics()
}

fn conflict(conflict: &Conflict) -> Diagnostic {
    Diagnostic::new(bw0229_packs_conflict::CODE, FieldPath::root(), conflict.to_string())
        .with_help(conflict.help())
}

/// Reports rules that lost something in the meet because no target can express it.
fn lost(met: &Met) -> Vec<Diagnostic> {
    let Some(network) = &met.policy.network else { return Vec::new() };
    let kept: Vec<Rule> = network.egress.iter().chain(&network.ingress).map(Rule::of).collect();
    met.narrowed
        .iter()
        .filter(|narrowed| !still_there(narrowed, &kept))
        .map(|narrowed| warning(narrowed, &met.policy))
        .collect()
}

/// Whether the meet still has a rule from both origins; then they had more in common than what was lost.
fn still_there(narrowed: &Narrowed, kept: &[Rule]) -> bool {
    kept.iter().any(|rule| rule.from.contains(&narrowed.left) && rule.from.contains(&narrowed.right))
        || [&narrowed.left, &narrowed.right]
            .into_iter()
            .all(|origin| kept.iter().any(|rule| rule.from.contains(origin) && covers(kept, rule)))
}

fn warning(narrowed: &Narrowed, policy: &Policy) -> Diagnostic {
    let name = |pack: u16| policy.packs.get(usize::from(pack)).map(|pack| pack.name.clone());
    let path = |at: &str| at.parse::<FieldPath>().unwrap_or_default();
    let message = "what this rule and another pack's rule have in common cannot be said by a NetworkPolicy, and is denied";
    let mut diagnostic = Diagnostic::new(bw0520_narrower_than_meant::CODE, path(&narrowed.left.at), message)
        .with_help("use the same kind of peer in both packs: networks, pods of namespaces, or pods of the own namespace")
        .in_pack(name(narrowed.left.pack));
    diagnostic.related.push(Related {
        pack: name(narrowed.right.pack),
        at: path(&narrowed.right.at),
        place: None,
        message: "the other rule".to_owned(),
    });
    diagnostic
}

/// Sorted by pack, with the pack under compilation first, then by place and code.
fn sort(diagnostics: &mut Vec<Diagnostic>) {
    diagnostics.sort_by(|a, b| {
        let key = |one: &Diagnostic| {
            (one.pack.clone(), one.at.clone(), one.within.as_ref().map(|range| range.start), one.code.id())
        };
        key(a).cmp(&key(b))
    });
    diagnostics.dedup();
}

#[cfg(test)]
mod tests {
    use crate::library::MemoryLibrary;
    use crate::source::PackSources;
    use crate::{Bindings, compile};

    /// What two packs are told that cannot be met.
    fn told(packs: [PackSources; 2]) -> String {
        let packs: Vec<_> = packs.iter().map(|one| (one, Bindings::default())).collect();
        let compiled = compile(&packs, &MemoryLibrary::default());
        let mut errors: Vec<String> =
            compiled.all().map(ToString::to_string).filter(|said| said.starts_with("error")).collect();
        errors.dedup();
        errors.join("; ")
    }

    /// Another name would leave the limits of a ceiling without a sandbox.
    #[test]
    fn packs_that_differ_are_told_what_to_write_and_not_to_rename() {
        let environment = "{name: LANG, value: C}";
        let text = |name: &str| pack_text(name, true, environment);
        let with = |from: &str, to: &str| {
            let other = text("b");
            assert!(other.contains(from), "{from}");
            told([PackSources::single(text("a")), PackSources::single(other.replace(from, to))])
        };
        assert_eq!(with("LANG", "LANG"), "");
        for (from, to, what, help) in [
            (
                "runtimeClass: runc",
                "runtimeClass: other",
                "pool `warm` is defined twice with different RuntimeClasses",
                "write the same `runtimeClass`",
            ),
            (
                "version: v1.36",
                "version: v1.35",
                "pool `warm` is defined twice with different versions of Pod Security",
                "write the same `podSecurity.version`",
            ),
            (
                "warm",
                "hot",
                "sandbox `shell` is defined twice with different pools",
                "take `pool` out of the packs that only limit the sandbox",
            ),
            (
                "filesystem:",
                "runtime: {language: Python, lifetime: Call}, filesystem:",
                "sandbox `shell` is defined twice with different runtimes",
                "also where it only limits the sandbox",
            ),
        ] {
            let said = with(from, to);
            assert!(said.contains(what) && said.contains(help) && !said.contains("name"), "{to}: {said}");
        }
    }

    /// A pack with the sandbox `shell`, placed or a ceiling.
    fn pack(name: &str, placed: bool, environment: &str) -> PackSources {
        PackSources::single(pack_text(name, placed, environment))
    }

    fn pack_text(name: &str, placed: bool, environment: &str) -> String {
        let pools = "  pools:\n  - {name: warm, backend: Native, runtimeClass: runc, podSecurity: {level: Baseline, version: v1.36}, \
             userNamespace: Required, cgroup: Writable, resources: {cpus: '2', memory: 1Gi}}\n";
        let (pools, pool) = if placed { (pools, "pool: warm, ") } else { ("", "") };
        format!(
            "apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyPack\nmetadata: {{name: {name}-1.0.0}}\nspec:\n  pack: {name}\n  \
             version: 1.0.0\n{pools}  sandboxes:\n  - {{name: shell, {pool}filesystem: {{readOnly: [/usr, /bin], proc: Own}}, \
             syscalls: {{profile: Shell}}, limits: {{wallClock: 30s, memory: 512Mi, processes: 64, output: 1Mi}}, \
             environment: [{environment}]}}\n"
        )
    }

    #[test]
    fn a_variable_that_packs_disagree_on_is_named_and_no_sandbox_is_to_be_renamed() {
        let variable = "{name: GIT_CONFIG_NOSYSTEM, value: '1'}";
        let said = |placed: bool, environment: &str| {
            told([pack("a", true, environment), pack("b", placed, variable)])
        };
        assert_eq!(said(false, variable), "");
        assert_eq!(said(true, variable), "");
        assert_eq!(
            said(false, ""),
            "error[BW0229]: sandbox `shell`: the pack that places it does not name `GIT_CONFIG_NOSYSTEM`\n  \
             help: add the variable there, or take it out of the ceiling"
        );
        assert_eq!(
            said(true, ""),
            "error[BW0229]: sandbox `shell`: of the packs that place it, not all name `GIT_CONFIG_NOSYSTEM`\n  \
             help: name the variable in each of them, or in none"
        );
        assert_eq!(
            said(false, "{name: GIT_CONFIG_NOSYSTEM, value: '0'}"),
            "error[BW0229]: sandbox `shell`: packs give different values to `GIT_CONFIG_NOSYSTEM`\n  \
             help: give it the same value in each pack"
        );
    }
}
