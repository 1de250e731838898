//! The command line: one definition, from which parsing, help and shell completions are generated.

pub(crate) mod audit;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;

use bailiwick_compiler::yaml::{Limits, SourceMap};
use clap::error::ErrorKind;
use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};
use serde_json::Value;

use crate::plain::plain;
use crate::report::{Printed, Reports};

/// One policy pack, compiled into every control that confines an AI agent on Kubernetes.
#[derive(Debug, Parser)]
#[command(
    name = "bailiwick",
    version,
    propagate_version = true,
    after_help = "`bailiwick NAME …` with another NAME runs `bailiwick-NAME` from its own folder or PATH: \
                  `bailiwick webhook serve`.\n\n\
                  Exit codes: 0 holds, 1 could not run, 2 usage, 3 findings or invalid pack, 4 denied or tampered with, 5 tests failed or an edit \
                  that none noticed, 6 an audit log that is open, unfinished or unchecked, calls or manifests that cannot be decided, or edits that were not tried."
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Arguments {
    /// What the process was given; a wrong use of it ends the process with 2.
    pub(crate) fn given() -> Self {
        let arguments = Self::parse();
        if let Some(name) = arguments.bound_twice() {
            let said = format!("`--set` gives `{}` twice", plain(name));
            Self::command().error(ErrorKind::ArgumentConflict, said).exit();
        }
        arguments
    }

    fn bound_twice(&self) -> Option<&str> {
        let packs = match &self.command {
            Command::Check(options) => &options.packs,
            Command::Compile(options) => &options.packs,
            Command::Test(options) => &options.packs,
            Command::Diff(options) => return repeated(&options.bindings),
            Command::Explain(options) => return repeated(&options.bindings),
            _ => return None,
        };
        repeated(&packs.bindings)
    }
}

/// A name that is bound twice.
fn repeated(bindings: &[Binding]) -> Option<&str> {
    let mut seen = BTreeSet::new();
    bindings.iter().map(|(name, _)| name.as_str()).find(|name| !seen.insert(*name))
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Checks packs and draws every finding
    #[command(
        after_help = "Example:\n  bailiwick check policy-packs/code-interpreter\n  bailiwick check --format json policy-packs/*\n  \
                      bailiwick check --format sarif --output bailiwick.sarif --format github policy-packs/*"
    )]
    Check(CheckOptions),
    /// Compiles a pack, or the meet of several, into its artifacts
    #[command(after_help = "Example:\n  bailiwick compile policy-packs/code-interpreter --out dist\n  \
                      bailiwick compile policy-packs/code-interpreter --check policy-packs/code-interpreter/expected")]
    Compile(CompileOptions),
    /// Runs the tests that lie beside a pack
    #[command(after_help = "Example:\n  bailiwick test policy-packs/code-interpreter\n  \
                      bailiwick test --coverage --mutate policy-packs/code-interpreter\n  \
                      bailiwick test --format junit --output tests.xml policy-packs/*")]
    Test(TestOptions),
    /// Says what NEW allows that OLD denied, and the reverse, each with an input that both were asked about
    #[command(
        after_help = "Example:\n  bailiwick diff main/policy-packs/code-interpreter policy-packs/code-interpreter\n  \
                      bailiwick diff --fail-on widened --format comment old/bundle.json policy-packs/code-interpreter"
    )]
    Diff(DiffOptions),
    /// Says what a diagnostic code means, what a rule comes from and who enforces it, or why a decision comes out as it does
    #[command(after_help = "Example:\n  bailiwick explain BW0104\n  \
                      bailiwick explain memory-limits policy-packs/code-interpreter\n  \
                      bailiwick explain --effective policy-packs/code-interpreter\n  \
                      bailiwick explain --call '{tool: shell.exec, args: {command: git push -f}}' policy-packs/code-interpreter\n  \
                      bailiwick explain --review pod.yaml --namespaces namespaces.yaml policy-packs/code-interpreter\n  \
                      bailiwick explain --log state --record 17 policy-packs/code-interpreter")]
    Explain(ExplainOptions),
    /// Judges manifests as the webhook would
    #[command(
        after_help = "Example:\n  bailiwick review policy-packs/code-interpreter --namespaces namespaces.yaml -f pod.yaml\n  \
                      kubectl kustomize overlays/prod | bailiwick review dist/*/bundle.json -f -"
    )]
    Review(ReviewOptions),
    /// Decides the calls of an audit log again under other packs: ends with 0 if no verdict changes, 3 if one does, 4 if the log was tampered with, 6 if
    /// some calls cannot be decided again
    #[command(
        after_help = "Example:\n  bailiwick replay --log state --pack policy-packs/code-interpreter\n  \
                      bailiwick replay --log state --log-key log.key --pack next/bundle.json --format json"
    )]
    Replay(ReplayOptions),
    /// Verifies an audit log, shows or proves what it says of one call, or decides its calls again
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Makes a pack of policies of others, and lists what it cannot say, and where that widens
    #[command(
        after_help = "Example:\n  bailiwick import network-policies.yaml --name web --output web/pack.yaml\n  \
                      bailiwick import --kind claude-settings .claude/settings.json --strict"
    )]
    Import(ImportOptions),
    /// Writes a new pack with tests that pass and could fail, and overwrites nothing
    #[command(after_help = "Example:\n  bailiwick init policy-packs/my-agent\n  \
                      bailiwick init policy-packs/my-agent --extends restricted-agent")]
    Init(InitOptions),
    /// Puts the files of packs and of their tests into their canonical layout; comments stay
    #[command(
        after_help = "Example:\n  bailiwick fmt policy-packs/*\n  bailiwick fmt --check policy-packs/*"
    )]
    Fmt(FormatOptions),
    /// Prints the completion of a shell
    #[command(after_help = "Example:\n  bailiwick completion bash > /etc/bash_completion.d/bailiwick\n  \
                      source <(bailiwick completion zsh)")]
    Completion(CompletionOptions),
    /// Another program of the family
    #[command(external_subcommand)]
    Other(Vec<OsString>),
}

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For a person, with drawn spans.
    Human,
    /// One JSON document with a `version`.
    Json,
}

/// How findings are reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CheckFormat {
    /// For a person, with drawn spans.
    Human,
    /// One JSON document with a `version`.
    Json,
    /// SARIF 2.1.0, for code scanning services.
    Sarif,
    /// JUnit XML, a case for each finding.
    Junit,
    /// Workflow commands of GitHub Actions, which annotate the changed files.
    Github,
}

impl Printed for CheckFormat {
    const HUMAN: Self = Self::Human;
}

/// How the results of tests are reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TestFormat {
    /// For a person.
    Human,
    /// One JSON document with a `version`.
    Json,
    /// JUnit XML, a suite for each file of tests.
    Junit,
}

impl Printed for TestFormat {
    const HUMAN: Self = Self::Human;
}

/// Which packs, and with what they are compiled.
#[derive(Args, Debug)]
pub(crate) struct PackOptions {
    /// Folders with a `pack.yaml`, or single pack files
    #[arg(required = true, value_name = "PACK")]
    pub(crate) packs: Vec<PathBuf>,
    /// Where `extends` finds packs; by default the folder that holds the pack's folder
    #[arg(long, value_name = "DIR")]
    pub(crate) library: Option<PathBuf>,
    /// CustomResourceDefinitions; rules over the resources that they define are checked by their schemas. Repeat for several files
    #[arg(long = "schema", value_name = "FILE")]
    pub(crate) schemas: Vec<PathBuf>,
    /// Binds a parameter; the value is YAML. `PACK.NAME=VALUE` when several packs are given
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = binding)]
    pub(crate) bindings: Vec<Binding>,
}

/// A parameter's name, with its pack's before it or without, and its value.
pub(crate) type Binding = (String, Value);

fn binding(word: &str) -> Result<Binding, String> {
    let (name, value) = word.split_once('=').ok_or("write NAME=VALUE")?;
    let (mut documents, diagnostics) = SourceMap::read("--set", value.as_bytes(), &Limits::PACK);
    match diagnostics.first() {
        Some(wrong) => Err(wrong.message.clone()),
        None => Ok((name.to_owned(), documents.pop().map(|one| one.root().to_json()).unwrap_or_default())),
    }
}

/// Namespace and name of a Service.
fn service(word: &str) -> Result<(String, String), String> {
    match word.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
            Ok((namespace.to_owned(), name.to_owned()))
        }
        _ => Err("write NAMESPACE/NAME".to_owned()),
    }
}

#[derive(Args, Debug)]
pub(crate) struct CheckOptions {
    #[command(flatten)]
    pub(crate) packs: PackOptions,
    /// Ends with 3 on warnings too
    #[arg(long)]
    pub(crate) deny_warnings: bool,
    #[command(flatten)]
    pub(crate) reports: Reports<CheckFormat>,
}

#[derive(Args, Debug)]
pub(crate) struct CompileOptions {
    #[command(flatten)]
    pub(crate) packs: PackOptions,
    /// Folder to write to; the artifacts go into a folder in it that is named for the packs and their versions. Older ones stay
    #[arg(long, value_name = "DIR", default_value = "dist", conflicts_with_all = ["check", "lock"])]
    pub(crate) out: PathBuf,
    /// Writes nothing; compares with the artifacts in DIR and ends with 3 where they differ
    #[arg(long, value_name = "DIR", conflicts_with = "lock")]
    pub(crate) check: Option<PathBuf>,
    /// Writes `pack.lock` beside the pack instead of artifacts
    #[arg(long)]
    pub(crate) lock: bool,
    /// Prints each pack as the one object that the API server takes, with its fragments and its Rego in it
    #[arg(long, conflicts_with_all = ["check", "lock", "out", "require"])]
    pub(crate) as_resource: bool,
    /// `no-gaps`: a statement that no layer enforces fully is an error
    #[arg(long, value_enum, value_name = "WHAT")]
    pub(crate) require: Option<Require>,
    /// Emits the NetworkPolicies for this namespace; repeat for several. Without it they carry no namespace
    #[arg(long = "namespace", value_name = "NAME")]
    pub(crate) namespaces: Vec<String>,
    /// The webhook is reached at this `https://` address, without a path
    #[arg(long, value_name = "URL", conflicts_with = "webhook_service")]
    pub(crate) webhook_url: Option<String>,
    /// The webhook is reached through this Service
    #[arg(long, value_name = "NAMESPACE/NAME", default_value = "bailiwick-system/bailiwick-webhook", value_parser = service)]
    pub(crate) webhook_service: (String, String),
    /// The certificate authority that the API server trusts for the webhook, PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_bundle: Option<PathBuf>,
    /// How results are printed
    #[arg(long, value_enum, default_value_t = Format::Human)]
    pub(crate) format: Format,
}

/// What `compile --require` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Require {
    /// Every statement is fully enforced by some layer.
    NoGaps,
}

#[derive(Args, Debug)]
pub(crate) struct TestOptions {
    #[command(flatten)]
    pub(crate) packs: PackOptions,
    /// Says which rules, and which outcomes of boolean expressions, no test reaches
    #[arg(long)]
    pub(crate) coverage: bool,
    /// Edits the pack, one edit at a time (drops rules, inverts conditions, weakens effects), and ends with 5 if no test notices one of them
    #[arg(long)]
    pub(crate) mutate: bool,
    /// How long edits are tried at most; if some are left, the command ends with 6
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(..=86_400))]
    pub(crate) mutate_seconds: u64,
    /// Runs again whenever a file of the packs changes
    #[arg(long)]
    pub(crate) watch: bool,
    #[command(flatten)]
    pub(crate) reports: Reports<TestFormat>,
}

#[derive(Args, Debug)]
pub(crate) struct InitOptions {
    /// The folder of the new pack; the pack gets its name
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
    /// The pack that the new one extends; without it the new one stands alone
    #[arg(long, value_name = "PACK")]
    pub(crate) extends: Option<String>,
    /// Where `--extends` finds packs; by default the folder that holds the new one
    #[arg(long, value_name = "DIR", requires = "extends")]
    pub(crate) library: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct FormatOptions {
    /// Folders with a `pack.yaml`, or single files
    #[arg(required = true, value_name = "PACK")]
    pub(crate) packs: Vec<PathBuf>,
    /// Writes nothing; ends with 3 if a file is laid out otherwise
    #[arg(long)]
    pub(crate) check: bool,
}

#[derive(Args, Debug)]
pub(crate) struct CompletionOptions {
    /// The shell
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Args, Debug)]
pub(crate) struct DiffOptions {
    /// A folder with a `pack.yaml`, a pack file or a compiled `bundle.json`
    #[arg(value_name = "OLD")]
    pub(crate) old: PathBuf,
    /// The same, as it is to be
    #[arg(value_name = "NEW")]
    pub(crate) new: PathBuf,
    /// Where `extends` finds packs; by default the folder that holds the pack's folder
    #[arg(long, value_name = "DIR")]
    pub(crate) library: Option<PathBuf>,
    /// Binds a parameter of both packs; the value is YAML
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = binding)]
    pub(crate) bindings: Vec<Binding>,
    /// Ends with 3 if there is such a difference; what is only changed counts as widened and as narrowed
    #[arg(long, value_enum, value_name = "WAY")]
    pub(crate) fail_on: Option<FailOn>,
    /// How results are printed
    #[arg(long, value_enum, default_value_t = DiffFormat::Text)]
    pub(crate) format: DiffFormat,
}

/// Which differences `diff --fail-on` ends with 3 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FailOn {
    /// NEW lets something through that OLD did not, or another thing.
    Widened,
    /// NEW refuses something that OLD let through, or lets another thing through.
    Narrowed,
    /// Any difference.
    Any,
}

/// How `diff` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DiffFormat {
    /// For a person.
    Text,
    /// One JSON document with a `version`.
    Json,
    /// Markdown, for a comment in a code review.
    Comment,
}

#[derive(Args, Debug)]
pub(crate) struct ExplainOptions {
    /// A diagnostic code, as `BW0104`; or a rule or section, and packs; or with `--effective` packs alone
    #[arg(required = true, value_name = "CODE|RULE|PACK")]
    pub(crate) words: Vec<String>,
    /// Prints every statement of the packs' effective policy, with the pack and the place that it comes from
    #[arg(long, conflicts_with_all = ["call", "review", "log"])]
    pub(crate) effective: bool,
    /// Decides this call of a tool and shows what each part of each condition came to: `toolCall` of a PolicyTest, written out or in a file. With a
    /// `result`, what the caller gets of it. Ends with 4 unless it is allowed or delivered
    #[arg(long, value_name = "CALL|FILE", conflicts_with_all = ["review", "log"])]
    pub(crate) call: Option<String>,
    /// The same of a manifest or an AdmissionReview
    #[arg(long, value_name = "FILE", conflicts_with = "log")]
    pub(crate) review: Option<PathBuf>,
    /// The same of a decision that stands in this audit log, by what was recorded of it
    #[arg(long, value_name = "DIR", requires = "record")]
    pub(crate) log: Option<PathBuf>,
    /// The number of its record
    #[arg(long, value_name = "SEQ", requires = "log")]
    pub(crate) record: Option<u64>,
    /// The arguments of a recorded call whose record no longer shows them, written out or in a file
    #[arg(long, value_name = "ARGS|FILE", requires = "log")]
    pub(crate) args: Option<String>,
    /// The salt of the commitment to them, 64 hexadecimal digits
    #[arg(long, value_name = "HEX", requires = "args")]
    pub(crate) salt: Option<bailiwick_audit::Hash>,
    /// With `--review`: namespaces with their labels; an unknown namespace is denied
    #[arg(long, value_name = "FILE", requires = "review")]
    pub(crate) namespaces: Option<PathBuf>,
    /// Binds a parameter of the packs; the value is YAML
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = binding)]
    pub(crate) bindings: Vec<Binding>,
    /// With `--review`: the namespace of an object that names none
    #[arg(short, long, value_name = "NAME", default_value = "default")]
    pub(crate) namespace: String,
    /// Where `extends` finds packs; by default the folder that holds the pack's folder
    #[arg(long, value_name = "DIR")]
    pub(crate) library: Option<PathBuf>,
    /// How it is printed
    #[arg(long, value_enum, default_value_t = Format::Human)]
    pub(crate) format: Format,
}

#[derive(Args, Debug)]
pub(crate) struct ReviewOptions {
    /// Folders with a `pack.yaml`, pack files or compiled `bundle.json` files; all that govern an object must allow it
    #[arg(required = true, value_name = "PACK|BUNDLE")]
    pub(crate) policies: Vec<PathBuf>,
    /// Manifests or AdmissionReviews, YAML or JSON, one or many; `-` is standard input
    #[arg(short, long = "file", required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Namespaces with their labels (`kubectl get namespaces -o yaml`); an unknown namespace is denied
    #[arg(long, value_name = "FILE")]
    pub(crate) namespaces: Option<PathBuf>,
    /// The namespace of objects that name none
    #[arg(short, long, value_name = "NAME", default_value = "default")]
    pub(crate) namespace: String,
    /// The object as it was: the request is an UPDATE of it
    #[arg(long, value_name = "FILE")]
    pub(crate) old: Option<PathBuf>,
    /// Whose question is answered: what the validating or the mutating webhook says
    #[arg(long, value_enum, default_value_t = ReviewPhase::Validate)]
    pub(crate) phase: ReviewPhase,
    /// Where `extends` finds packs; by default the folder that holds the pack's folder
    #[arg(long, value_name = "DIR")]
    pub(crate) library: Option<PathBuf>,
    /// Human, or one AdmissionReview response a line, byte for byte as the webhook sends it
    #[arg(long, value_enum, default_value_t = Format::Human)]
    pub(crate) format: Format,
}

#[derive(Args, Debug)]
pub(crate) struct ReplayOptions {
    /// The folder of the log
    #[arg(long, required = true, value_name = "DIR")]
    pub(crate) log: PathBuf,
    /// The packs, or a compiled bundle, that decide now; all of them are met
    #[arg(long = "pack", required = true, num_args = 1.., value_name = "PACK|BUNDLE")]
    pub(crate) packs: Vec<PathBuf>,
    /// The log's first public key, or a file with it: `NAME+ID+BASE64` or 64 hexadecimal digits
    #[arg(long, value_name = "KEY")]
    pub(crate) log_key: Option<String>,
    /// Where `extends` finds packs; by default the folder that holds the pack's folder
    #[arg(long, value_name = "DIR")]
    pub(crate) library: Option<PathBuf>,
    /// How the report is printed
    #[arg(long, value_enum, default_value_t = Format::Human)]
    pub(crate) format: Format,
}

#[derive(Args, Debug)]
pub(crate) struct ImportOptions {
    /// YAML or JSON; of one kind, since they become one pack
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// What they are; without it they say it themselves
    #[arg(long, value_enum, value_name = "KIND")]
    pub(crate) kind: Option<ImportKind>,
    /// The name of the pack
    #[arg(long, value_name = "NAME", default_value = "imported", value_parser = crate::init::pack_name)]
    pub(crate) name: String,
    /// The file of the pack; by default standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Ends with 3 if anything was lost
    #[arg(long)]
    pub(crate) strict: bool,
    /// Human: the pack, and what was lost on standard error; JSON: both in one document
    #[arg(long, value_enum, default_value_t = Format::Human)]
    pub(crate) format: Format,
}

/// What can be imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ImportKind {
    /// ValidatingAdmissionPolicies and their bindings.
    AdmissionPolicy,
    /// Kyverno's ValidatingPolicies.
    Kyverno,
    /// Namespaces with labels of Pod Security.
    PodSecurity,
    /// NetworkPolicies of one subject.
    NetworkPolicy,
    /// A seccomp profile of the OCI.
    Seccomp,
    /// Permissions of Claude Code.
    ClaudeSettings,
}

impl From<ImportKind> for bailiwick_compiler::import::Kind {
    fn from(kind: ImportKind) -> Self {
        match kind {
            ImportKind::AdmissionPolicy => Self::AdmissionPolicy,
            ImportKind::Kyverno => Self::Kyverno,
            ImportKind::PodSecurity => Self::PodSecurity,
            ImportKind::NetworkPolicy => Self::NetworkPolicy,
            ImportKind::Seccomp => Self::Seccomp,
            ImportKind::ClaudeSettings => Self::ClaudeSettings,
        }
    }
}

/// The two questions of admission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReviewPhase {
    /// May it be?
    Validate,
    /// What is written into it?
    Mutate,
}
