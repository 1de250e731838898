//! Checks that need the effective policy: whether the packs' tools, sandboxes and pools fit together once
//! they are met, and whether the bundle is small enough to ship.
//!
//! Each pack was already checked by itself; these checks report where the meet of several leaves a tool
//! nothing to run in.

use std::collections::BTreeSet;

use bailiwick_policy::bundle;
use bailiwick_policy::ir::{Cel, Expr, Func, Root};
use bailiwick_policy::policy::narrower::wider;
use bailiwick_policy::policy::sandboxes::Sandbox;
use bailiwick_policy::policy::tools::{Derive, Program, Tool, ToolLayer, ToolRule, Word};
use bailiwick_policy::policy::{Origin, Policy};

use crate::check::{
    bw0306_underived_fact, bw0409_program_outside, bw0414_not_narrower, bw0428_clashing_workspaces,
    bw0430_unplaced_sandbox, bw0523_bundle_size,
};
use crate::diagnostic::{Code, Diagnostic, FieldPath};
use crate::lower::tools::BUILT_IN;
use crate::paths::below;

/// A finding about the effective policy, and the pack where it is.
pub(crate) struct Placed {
    /// Index into [`Policy::packs`].
    pub(crate) pack: u16,
    /// The finding.
    pub(crate) diagnostic: Diagnostic,
}

/// Every error in the policy as a whole, each with the pack where it is.
pub(crate) fn check(policy: &Policy) -> Vec<Placed> {
    let mut out = Vec::new();
    for layer in &policy.tools {
        for tool in &layer.definitions {
            place(policy, layer, tool, &mut out);
        }
        for rule in &layer.rules {
            facts(policy, layer, rule, &mut out);
            narrowed(policy, layer, rule, &mut out);
        }
    }
    workspaces(policy, &mut out);
    size(policy, &mut out);
    out
}

fn path(text: &str) -> FieldPath {
    text.parse().unwrap_or_else(|_| FieldPath::spec())
}

/// A tool runs in a sandbox that has a pool, and its program is among the sandbox's files.
fn place(policy: &Policy, layer: &ToolLayer, tool: &Tool, out: &mut Vec<Placed>) {
    let at = path(&tool.at).member("run");
    // The pack's own check reports a missing sandbox.
    let Some(sandbox) = policy.sandboxes.iter().find(|sandbox| sandbox.name == tool.run.sandbox) else {
        return;
    };
    if sandbox.pool.is_none() {
        let message = format!("sandbox `{}` is only a ceiling: no pack here gives it a pool", sandbox.name);
        let diagnostic = Diagnostic::new(bw0430_unplaced_sandbox::CODE, at.member("sandbox"), message)
            .with_help("define the sandbox in this pack, with the pool that it runs in");
        out.push(Placed { pack: layer.pack, diagnostic });
    }
    let Program::Argv(words) = &tool.run.program else { return };
    let Some(Word::Value(program)) = words.first() else { return };
    // If one pack alone defines the sandbox, that pack's own check covers this.
    if sandbox.from.len() > 1 && !sandbox.filesystem.read_only.iter().any(|root| below(program, root)) {
        let message =
            format!("`{program}` is not among the files that every pack leaves sandbox `{}`", sandbox.name);
        let at = at.member("argv").index(0);
        let diagnostic = Diagnostic::new(bw0409_program_outside::CODE, at, message);
        let help = "name a program below a path that each of them has in `readOnly`";
        out.push(Placed { pack: layer.pack, diagnostic: diagnostic.with_help(help) });
    }
}

/// A call is narrowed to a sandbox that provably allows no more than the tool's own, and that has a pool and
/// the tool's program.
fn narrowed(policy: &Policy, layer: &ToolLayer, rule: &ToolRule, out: &mut Vec<Placed>) {
    let Some(name) = rule.narrows_to() else { return };
    // The pack's own check reports a missing sandbox.
    let find = |name: &str| policy.sandboxes.iter().find(|sandbox| sandbox.name == name);
    let Some(inner) = find(name) else { return };
    let at = path(&rule.at).member("narrow").member("sandbox");
    let mut report = |code: Code, message: String, help: &str| {
        let diagnostic = Diagnostic::new(code, at.clone(), message).with_help(help);
        out.push(Placed { pack: layer.pack, diagnostic });
    };
    if inner.pool.is_none() {
        let message = format!("sandbox `{name}` is only a ceiling: no pack here gives it a pool");
        let help = "define the sandbox in this pack, with the pool that it runs in";
        report(bw0430_unplaced_sandbox::CODE, message, help);
    }
    let is_about = |tool: &str| rule.tools.iter().any(|pattern| pattern.matches(tool));
    if let Some(tool) = BUILT_IN.iter().find(|name| is_about(name)) {
        let message = format!("`{tool}` runs in no sandbox of a pack, so no sandbox is narrower");
        report(bw0414_not_narrower::CODE, message, "name the tools that are to run in the narrower sandbox");
    }
    let mut told = BTreeSet::new();
    let definitions = policy.tools.iter().flat_map(|layer| &layer.definitions);
    for tool in definitions.filter(|tool| is_about(&tool.name)) {
        let Some(outer) = find(&tool.run.sandbox) else { continue };
        if let Some(what) = wider(inner, outer) {
            let message = format!("sandbox `{name}` is not narrower than `{}`: {what}", outer.name);
            let help = "make the named sandbox allow no more than the tool's own, or name another one";
            if told.insert(message.clone()) {
                report(bw0414_not_narrower::CODE, message, help);
            }
            continue;
        }
        let Program::Argv(words) = &tool.run.program else { continue };
        let Some(Word::Value(program)) = words.first() else { continue };
        if !inner.filesystem.read_only.iter().any(|root| below(program, root)) {
            let message =
                format!("`{program}` of tool `{}` is not among the files of sandbox `{name}`", tool.name);
            let help = "add a path that has the program to the sandbox's `readOnly` paths, or deny the call";
            report(bw0409_program_outside::CODE, message, help);
        }
    }
}

/// The facts that a tool's definition derives.
fn derived(tool: &Tool) -> impl Iterator<Item = &'static str> {
    tool.derive
        .iter()
        .flat_map(|derive| -> &[&str] {
            match derive {
                Derive::Shell(_) => &["commands", "shell"],
                Derive::Path(_) => &["path"],
                Derive::Url(_) => &["url"],
                Derive::Git(_) => &["git"],
            }
        })
        .copied()
}

/// The facts that an expression reads, except those only passed to `isOpaque`, which is how a rule over many
/// tools guards itself.
fn read(cel: &Cel) -> BTreeSet<&str> {
    let (mut read, mut guarded) = (BTreeSet::new(), BTreeSet::new());
    let name = |expr: &'_ Expr| -> Option<String> {
        match expr {
            Expr::Select(of, name) | Expr::OptSelect(of, name) | Expr::Has(of, name)
                if **of == Expr::Root(Root::Facts) =>
            {
                Some(name.clone())
            }
            _ => None,
        }
    };
    cel.expr.walk(&mut |node| match node {
        Expr::Select(of, fact) | Expr::OptSelect(of, fact) | Expr::Has(of, fact)
            if **of == Expr::Root(Root::Facts) =>
        {
            read.insert(fact.as_str());
        }
        Expr::Call(Func::IsOpaque, arguments) => guarded.extend(arguments.iter().filter_map(name)),
        _ => {}
    });
    read.retain(|fact| !guarded.contains(*fact));
    read
}

/// A rule reads only facts that every tool it matches derives; for any other tool its expression would always
/// be an error.
fn facts(policy: &Policy, layer: &ToolLayer, rule: &ToolRule, out: &mut Vec<Placed>) {
    let at = path(&rule.at);
    let when = rule.when.iter().map(|cel| (cel, at.member("when"), "the condition"));
    let transform =
        rule.transform.iter().map(|cel| (cel, at.member("transform").member("args"), "the transform"));
    for (cel, at, what) in when.chain(transform) {
        facts_of(policy, layer, rule, (cel, &at, what), out);
    }
}

fn facts_of(
    policy: &Policy,
    layer: &ToolLayer,
    rule: &ToolRule,
    (cel, at, what): (&Cel, &FieldPath, &str),
    out: &mut Vec<Placed>,
) {
    let definitions = policy.tools.iter().flat_map(|layer| &layer.definitions);
    let matched: Vec<&Tool> =
        definitions.filter(|tool| rule.tools.iter().any(|pattern| pattern.matches(&tool.name))).collect();
    // The executor's own tools derive their path and nothing else.
    let built_in = BUILT_IN.iter().find(|name| rule.tools.iter().any(|pattern| pattern.matches(name)));
    for fact in read(cel) {
        let without = matched.iter().find(|tool| derived(tool).all(|derived| derived != fact));
        let Some(tool) =
            without.map(|tool| tool.name.as_str()).or(built_in.copied().filter(|_| fact != "path"))
        else {
            continue;
        };
        let source = cel.source.as_str();
        let written = format!("facts.{fact}");
        let message = format!("tool `{tool}` derives no `{written}`, so {what} is an error for it");
        let kind = if fact == "commands" { "shell" } else { fact };
        let help = format!("add `derive: [{{{kind}: ARGUMENT}}]` to the tool, or name other tools");
        let mut diagnostic =
            Diagnostic::new(bw0306_underived_fact::CODE, at.clone(), message).with_help(help);
        if let Some(start) = source.find(&written) {
            diagnostic = diagnostic.with_range(start..start + written.len());
        }
        out.push(Placed { pack: layer.pack, diagnostic });
    }
}

/// The sandboxes of a session share one workspace.
fn workspaces(policy: &Policy, out: &mut Vec<Placed>) {
    let of =
        |sandbox: &'_ Sandbox| sandbox.filesystem.workspace.as_ref().map(|one| (one.size_bytes, one.inodes));
    let placed = policy.sandboxes.iter().filter(|sandbox| sandbox.pool.is_some());
    let mut first: Option<(&Sandbox, (u64, u64))> = None;
    for sandbox in placed {
        let Some(size) = of(sandbox) else { continue };
        let Some((other, known)) = first else {
            first = Some((sandbox, size));
            continue;
        };
        if known == size {
            continue;
        }
        let place = |origin: &Origin| path(&origin.at).member("filesystem").member("workspace");
        let (Some(here), Some(there)) = (sandbox.from.first(), other.from.first()) else { continue };
        let message = format!(
            "the workspace of sandbox `{}` has another size or other inodes than that of `{}`, and a session has only one",
            sandbox.name, other.name
        );
        let diagnostic = Diagnostic::new(bw0428_clashing_workspaces::CODE, place(here), message)
            .with_help("write the same `size` and `inodes`")
            .with_related(place(there), "the other workspace");
        out.push(Placed { pack: here.pack, diagnostic });
    }
}

/// Most bytes of a gzipped bundle. It is shipped in a ConfigMap, and etcd accepts requests of at most 1.5
/// MiB, which the rest of the object and base64 share.
const MAX_COMPRESSED: usize = 900 << 10;
/// `gzip -6`, the default of most tools.
const LEVEL: u8 = 6;
/// Size of the header and trailer that gzip adds to the stream. RFC 1952
const GZIP_FRAME: usize = 18;

fn size(policy: &Policy, out: &mut Vec<Placed>) {
    let mut report = |message: String| {
        let diagnostic = Diagnostic::new(bw0523_bundle_size::CODE, FieldPath::spec(), message)
            .with_help("split the pack, or move lists into fewer and wider rules");
        out.push(Placed { pack: 0, diagnostic });
    };
    match bundle::write(policy) {
        Err(error) => report(format!("the policy cannot be written: {error}")),
        // A bundle that is small enough uncompressed need not be compressed to know.
        Ok(bytes) if bytes.len() <= MAX_COMPRESSED => {}
        Ok(bytes) => {
            let compressed = miniz_oxide::deflate::compress_to_vec(&bytes, LEVEL).len() + GZIP_FRAME;
            if compressed > MAX_COMPRESSED {
                report(format!("the bundle has {compressed} bytes under gzip, more than {MAX_COMPRESSED}"));
            }
        }
    }
}
