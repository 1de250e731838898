//! The reference page of expressions, `docs/formats/expressions.md`: what expressions may name and call,
//! generated from what the checker knows.
//!
//! Types and signatures are the checker's own. Only meanings are written here, one for each name, and a name
//! without one fails the test.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::context::{Context, PodAccess, Subject};
use super::offer::{self, OfferKind};
use super::types::{Object, Type};

/// How deep the parts of a variable are listed.
const MAX_DEPTH: usize = 5;

const INTRODUCTION: &str = "\
# What an expression may name and call

Made from what the checker knows; `UPDATE_EXPECT=1 cargo test -p bailiwick-compiler --lib reference` writes it anew. What fields take expressions stands in `pack.md`.

Expressions are [CEL](https://github.com/google/cel-spec), with the libraries of the Kubernetes API server. Types are checked when a pack is compiled; `dyn` is known only when
an expression is evaluated.

- **An error denies.** If an expression fails on an object or a call, what it guards is refused, unless the rule only warns or audits.
- **Fields may be absent.** Reading a field that is not there is an error. Write `object.spec.?volumes.orValue([])` where it may be absent, or ask `has(object.spec.volumes)`
  first.
- **A part of a call may be opaque**: a variable in a command line, say, whose value nobody knows before it runs. Reading an opaque value is an error; `isOpaque(x)` asks first. An opaque element of a list may stand for none or several: nothing but `isOpaque` of it decides `exists` or `all` there.
- **A grant ignores no error.** `||`, `&&`, `exists` and `all` ignore an error where another operand decides, as CEL says. In the condition of an `allow` or `ask` it still counts: the rule grants nothing. In that of a `label` that removes, it denies the call. Write `call.args.?note.orValue('')` for an argument that may be absent.
";

/// The meaning of each name. Types are added next to it.
const MEANINGS: &[(&str, &str)] = &[
    (
        "object",
        "The object as it will be stored; null when it is deleted. With `podTemplates: true`, the pod that a workload makes.",
    ),
    ("oldObject", "The object as it is stored now; null when it is created."),
    ("request", "The admission request."),
    ("request.uid", "Its identifier."),
    ("request.kind", "The kind in the version that the rule names."),
    ("request.resource", "The resource in the version that the rule names."),
    ("request.subResource", "As `status`; empty for the resource itself."),
    ("request.requestKind", "The kind in the version that was asked for."),
    ("request.requestResource", "The resource in the version that was asked for."),
    ("request.requestSubResource", "As `subResource`."),
    ("request.name", "The object's name; empty when the API server is to make one."),
    ("request.namespace", "Its namespace; empty for what has none."),
    ("request.operation", "`CREATE`, `UPDATE`, `DELETE` or `CONNECT`."),
    ("request.userInfo", "Who asks: `username`, `uid`, `groups`, `extra`."),
    ("request.dryRun", "Whether nothing will be stored."),
    ("request.options", "The options of the operation."),
    ("namespaceObject", "The namespace of the object; null for what has none."),
    (
        "authorizer",
        "What the API server's authorizer says of whoever asks, but in messages. In a cluster the webhook asks it, at most 16 questions for one request; without an answer the \
         expression is an error. A case of a PolicyTest says the answers under `admission.authorizer`.",
    ),
    ("authorizer.requestResource", "The same, about what the request is for."),
    ("variables", "The variables of the rule that stand before, as `variables.NAME`."),
    ("pod", "In rules that match pods and nothing else."),
    ("pod.allContainers", "Containers, init containers and ephemeral containers."),
    ("pod.mainContainers", "Containers without the init and ephemeral ones."),
    ("params", "The parameters of the pack, as `params.NAME`."),
    ("pack", "The pack: `pack.name`, `pack.version`."),
    ("call", "The call."),
    ("call.tool", "The tool's name."),
    ("call.args", "The arguments, with the types of the tool's `input`."),
    ("subject", "Who calls."),
    ("subject.agent", "The agent."),
    ("subject.user", "The user that it acts for."),
    ("subject.namespace", "The namespace that it runs in."),
    ("subject.groups", "The user's groups."),
    ("subject.labels", "Labels of the agent."),
    ("subject.chain", "The principals on whose behalf it calls, the first one first."),
    ("session", "The session that the call belongs to."),
    ("session.id", "Its name."),
    ("session.age", "How long it has been open."),
    ("session.calls", "How many calls it has made."),
    ("session.counters", "What the pack counts, as `session.counters.NAME`."),
    ("session.budgets", "The pack's budgets, as `session.budgets.NAME`: `limit`, `used`, `left`."),
    ("session.labels", "The labels that rules gave it."),
    ("now", "The time of the decision."),
    ("facts", "What the tool's `derive` makes of arguments."),
    (
        "facts.commands",
        "Of `derive: [{shell: ARGUMENT}]`: every command of the line, those of pipelines, substitutions and functions too.",
    ),
    ("facts.commands[].name", "The program, as it is written; empty for assignments or redirections alone."),
    ("facts.commands[].args", "Its arguments. If their number is not known, the last one is opaque."),
    ("facts.commands[].redirects", "Its redirections."),
    ("facts.commands[].redirects[].descriptor", "The number before the operator, or null."),
    (
        "facts.commands[].redirects[].kind",
        "`read`, `write`, `append`, `readWrite`, `duplicate`, `hereDocument` or `hereString`.",
    ),
    (
        "facts.commands[].redirects[].target",
        "The file or descriptor, the text of a here-string, the end of a here-document.",
    ),
    (
        "facts.commands[].redirects[].writes",
        "Whether a file or a connection may change by it; `/dev/null` does not count.",
    ),
    ("facts.commands[].assignments", "The assignments before the program."),
    ("facts.commands[].assignments[].name", "The variable."),
    ("facts.commands[].assignments[].value", "Its value."),
    (
        "facts.shell",
        "Of the same: `facts.shell.onlyRuns([NAMES])` is true if every command has one of these names, without a path, and nothing is assigned, substituted or written to a file.",
    ),
    ("facts.path", "Of `derive: [{path: ARGUMENT}]`."),
    (
        "facts.path.absolute",
        "Absolute, without `.`, `..` and doubled slashes. A relative path starts at the workspace, which is `/` for `workspace.*`.",
    ),
    ("facts.path.inWorkspace", "The same below the workspace, as `src/a.rs`; null if it lies outside."),
    ("facts.path.name", "Its last part."),
    ("facts.url", "Of `derive: [{url: ARGUMENT}]`."),
    ("facts.url.scheme", "In lower case."),
    ("facts.url.host", "A name in lower case, or an address in its one usual spelling."),
    ("facts.url.port", "The port, also where the scheme implies it; null for a scheme without one."),
    ("facts.url.path", "Without dot segments; `/` if there is none."),
    ("facts.url.query", "What stands after `?`, or null."),
    ("facts.url.hasUserinfo", "Whether a user or a password stands in it."),
    (
        "facts.url.isPrivate",
        "Whether the host is not of the public Internet. A public name may still resolve to a private address.",
    ),
    ("facts.git", "Of `derive: [{git: ARGUMENT}]`."),
    ("facts.git.subcommand", "As `push`."),
    ("facts.git.remote", "The name, address or path of the other side, or null."),
    ("facts.git.refs", "What is pushed or fetched where."),
    ("facts.git.refs[].source", "As it is written; empty where something is removed."),
    ("facts.git.refs[].destination", "The branch or ref that is written, without `refs/heads/`."),
    ("facts.git.operands", "The operands of other subcommands, and those after `--`."),
    ("facts.git.options", "The options in their long form, without values, sorted: `--force` for `-f`."),
    (
        "facts.git.force",
        "Whether history on the other side may be overwritten or removed: `--force`, `+ref`, `--mirror`, `--prune`, `--delete`, `:ref`, or a setting as `remote.o.push` at a push.",
    ),
    ("facts.git.config", "Settings for this one command (`-c`), as `core.pager=cat`."),
    (
        "facts.git.runsProgram",
        "Whether an option, a setting or an address makes git run a program that it names.",
    ),
    ("facts.git.folder", "The folder that is named (`-C`, `--git-dir`, `--work-tree`), or null."),
    ("result", "With `phase: Result`: what the call gave."),
    ("result.outcome", "How it ended, as `Exited`."),
    ("result.exitCode", "The exit code, or null."),
    ("result.signal", "The signal that ended it, or null."),
    ("result.stdout", "What was kept of its standard output. Bytes that are not text are opaque."),
    ("result.stderr", "What was kept of its standard error."),
    ("result.content", "The file that `workspace.read` read."),
    ("result.paths", "The files that `workspace.list` listed."),
    ("result.stdoutSize", "Bytes kept of the standard output."),
    ("result.stderrSize", "Bytes kept of the standard error."),
    ("result.contentSize", "Bytes of the file."),
    ("result.dropped", "Bytes that a limit cut off."),
];

/// Rows of the table of one environment: path, type and meaning.
struct Rows {
    meanings: BTreeMap<&'static str, &'static str>,
    text: String,
}

impl Rows {
    fn row(&mut self, path: &str, of: &str) {
        let meaning = self.meanings.remove(path);
        let meaning = meaning.unwrap_or_else(|| panic!("`{path}` has no meaning in {}", file!()));
        writeln!(self.text, "| `{path}` | {of} | {meaning} |").unwrap();
    }

    /// A value and, for a record declared for expressions, its parts.
    fn value(&mut self, path: &str, of: &Type, depth: usize) {
        self.row(path, &shown(of));
        let (inner, path) = match of {
            Type::List(element) => (&**element, format!("{path}[]")),
            other => (other, path.to_owned()),
        };
        let Type::Object(Object::Record(record)) = inner else { return };
        // Kubernetes' own, which its documentation describes.
        let whole = matches!(record.name.as_str(), "UserInfo" | "GroupVersionKind" | "GroupVersionResource");
        if depth < MAX_DEPTH && !whole {
            for (name, of) in &record.fields {
                self.value(&format!("{path}.{name}"), of, depth + 1);
            }
        }
    }
}

/// A type as it is shown: a record is followed by its parts.
fn shown(of: &Type) -> String {
    match of {
        Type::Object(_) => "object".to_owned(),
        Type::List(element) if matches!(**element, Type::Object(_)) => "list of object".to_owned(),
        other => other.to_string(),
    }
}

fn section(title: &str, context: &Context, known: &mut BTreeMap<&'static str, &'static str>) -> String {
    let mut rows = Rows {
        meanings: std::mem::take(known),
        text: format!("\n## {title}\n\n| Name | Type | Meaning |\n|---|---|---|\n"),
    };
    for root in offer::roots(context) {
        if !rows.meanings.contains_key(root.name.as_str()) {
            continue; // explained in a section before
        }
        match root_type(context, &root.name) {
            Some(of) => rows.value(&root.name, &of, 0),
            None => rows.row(&root.name, ""),
        }
        if root.name == "authorizer" {
            rows.row("authorizer.requestResource", &Type::ResourceCheck.to_string());
        }
        if root.name == "pod" {
            for member in offer::members_of_root("pod", context) {
                rows.row(&format!("pod.{}", member.name), &member.detail);
            }
        }
    }
    *known = rows.meanings;
    rows.text
}

/// The type of a variable that is a value.
fn root_type(context: &Context, name: &str) -> Option<Type> {
    Some(match (&context.subject, name) {
        (Subject::Admission, "object") => context.object.clone(),
        (Subject::Admission, "oldObject") => context.old_object.clone(),
        (Subject::Admission, "request") => context.request.clone(),
        (Subject::Admission, "namespaceObject") => context.namespace_object.clone(),
        (Subject::Admission, "authorizer") => Type::Authorizer,
        (Subject::ToolCall(types), "call") => types.call.clone(),
        (Subject::ToolCall(types), "subject") => types.subject.clone(),
        (Subject::ToolCall(types), "session") => types.session.clone(),
        (Subject::ToolCall(types), "facts") => types.facts.clone(),
        (Subject::ToolCall(types), "result") => types.result.clone()?,
        (Subject::ToolCall(_), "now") => Type::Timestamp,
        _ => return None,
    })
}

/// The names of all functions of an environment.
fn callable(context: &Context) -> BTreeSet<&'static str> {
    let all = offer::by_name(context).into_iter();
    all.filter(|(_, signatures)| !signatures.is_empty()).map(|(name, _)| name).collect()
}

fn functions(context: &Context, only: &dyn Fn(&str) -> bool) -> String {
    let names = callable(context).into_iter().filter(|name| only(name));
    let mut text = "\n| Name | How it is called |\n|---|---|\n".to_owned();
    for name in names {
        let signatures = offer::signatures(name, context).unwrap_or_default();
        let lines: Vec<String> =
            signatures.lines().map(|line| format!("`{}`", line.replace('|', "\\|"))).collect();
        writeln!(text, "| `{name}` | {} |", lines.join("<br>")).unwrap();
    }
    text
}

fn page() -> String {
    let mut admission = Context::admission(Type::Dyn);
    admission.pod = PodAccess::Available;
    let calls = Context::tool(Type::Dyn, Type::Dyn, Type::Dyn).with_result();
    let mut known: BTreeMap<_, _> = MEANINGS.iter().copied().collect();
    assert_eq!(known.len(), MEANINGS.len(), "a name is explained twice");
    let mut text = INTRODUCTION.to_owned();
    text += &section("In rules over admission", &admission, &mut known);
    text += &section("In rules over calls of tools", &calls, &mut known);
    assert!(known.is_empty(), "no expression can name {:?}", known.keys());
    text += "\n`params` and `pack` are there too.\n\n## Macros\n\nThey look like calls, and bind the variables that are named in them.\n";
    text += &macros(&admission);
    text += "\n## Functions\n\n`A` and `B` stand for any type. Operators are CEL's: `+ - * / %`, `== != < <= > >=`, `in`, `&& || !`, `?:`, `x.?y`, `x[?i]`.\n";
    text += &functions(&admission, &|_| true);
    let in_admission = callable(&admission);
    text += "\nIn rules over calls of tools also:\n";
    text += &functions(&calls, &|name| !in_admission.contains(name));
    text
}

fn macros(context: &Context) -> String {
    let of = [&Type::list(Type::Dyn), &Type::optional(Type::Dyn)];
    let offers = of.into_iter().flat_map(|of| offer::members(of, context)).chain(offer::functions(context));
    let macros: BTreeMap<String, String> =
        offers.filter(|one| one.kind == OfferKind::Macro).map(|one| (one.name, one.detail)).collect();
    let mut text = "\n| Name | How it is written |\n|---|---|\n".to_owned();
    for (name, form) in macros {
        writeln!(text, "| `{name}` | `{form}` |").unwrap();
    }
    text
}

#[test]
fn the_page_is_fresh() {
    let page = page();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/formats/expressions.md");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(path, &page).expect("docs/ is writable");
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    assert!(found == page, "docs/formats/expressions.md is stale: run with UPDATE_EXPECT=1");
}
