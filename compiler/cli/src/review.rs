//! `bailiwick review`: judges manifests as the webhook would, by the same function.

use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Result, bail};
use bailiwick_compiler::namespaces;
use bailiwick_compiler::rego::Regorus;
use bailiwick_policy::admission::{
    AdmissionRequest, Admitted, ManifestContext, Namespaces, Operation, Phase, Reviewer, response,
};
use bailiwick_policy::bundle::{Bundle, artifacts};
use bailiwick_policy::decision::{Decision, Effect, Finding};
use bailiwick_policy::json::Json;

use crate::args::{Format, ReviewOptions, ReviewPhase};
use crate::custom_kinds::{NamedResources, Way};
use crate::files;
use crate::load;
use crate::manifests;
use crate::outcome::Outcome;
use crate::plain::plain;
use crate::print::{note, out, text};

pub(crate) fn run(options: &ReviewOptions) -> Result<Outcome> {
    let Some(bundles) = bundles(options)? else { return Ok(Outcome::Findings) };
    if bundles.iter().all(|bundle| bundle.policy.subject.is_none()) {
        bail!(
            "none of these policies names a subject, so they govern nobody; review with a pack that has `spec.subjects`"
        );
    }
    for bundle in bundles.iter().filter(|bundle| bundle.policy.subject.is_none()) {
        let packs = bundle.policy.packs.iter().map(|pack| format!("{}@{}", pack.name, pack.version));
        let packs = packs.collect::<Vec<_>>().join(", ");
        note!("note: {} names no subject, so it governs nobody here", plain(&packs));
    }
    let namespaces = read_namespaces(options.namespaces.as_deref())?;
    let named = NamedResources::of(&bundles);
    let reviewer = Reviewer::with_rego(bundles, namespaces, &Regorus)?;
    let old = match &options.old {
        Some(path) => Some(serde_json::to_vec(&manifests::one(path)?)?),
        None => None,
    };
    let mut tally = Tally::default();
    for path in &options.files {
        // Judged while the rest is read, and printed once everything could be read.
        let mut said = String::new();
        let count = manifests::each(path, |manifest| {
            judge((&reviewer, &named), manifest, old.as_deref(), options, &mut tally, &mut said)
                .with_context(|| format!("in {}", path.display()))
        })?;
        if count == 0 {
            bail!("{} holds no object", path.display());
        }
        if old.is_some() && (count > 1 || options.files.len() > 1) {
            bail!("`--old` is the earlier form of one object, but there are several");
        }
        text(&said);
    }
    if options.format == Format::Human {
        let mut said = format!("{} allowed, {} denied", tally.allowed, tally.denied);
        for (count, what) in [(tally.ungoverned, "not governed"), (tally.unclear, "unclear")] {
            if count > 0 {
                said.push_str(&format!(", {count} {what}"));
            }
        }
        out!("{said}");
    }
    Ok(match tally {
        Tally { denied: 1.., .. } => Outcome::Denied,
        Tally { unclear: 1.., .. } => Outcome::Incomplete,
        _ => Outcome::Holds,
    })
}

/// The message for a manifest whose kind this program does not know.
const UNCLEAR: &str = "the kind is not one of Kubernetes' own: which resource it is, or whether it lives in a namespace, decides here, and no \
                       manifest says so. Write `metadata.namespace` if it has one, name its resource in a rule, or review the AdmissionReview itself";

/// How many objects came out how.
#[derive(Default)]
struct Tally {
    allowed: usize,
    denied: usize,
    /// Objects that none of the policies governs.
    ungoverned: usize,
    /// Objects for which the request is unknown and the decision depends on it.
    unclear: usize,
}

/// The bundles that the arguments name; `None` after the findings of a pack that does not compile were
/// printed.
fn bundles(options: &ReviewOptions) -> Result<Option<Vec<Bundle>>> {
    let mut bundles = Vec::new();
    for path in &options.policies {
        if path.extension().is_some_and(|extension| extension == "json") {
            bundles.push(
                read_bundle(path).with_context(|| format!("cannot use the bundle {}", path.display()))?,
            );
            continue;
        }
        let Some(policy) = load::compile_or_draw(path, options.library.as_deref())? else { return Ok(None) };
        bundles.push(load::bundle_of(&policy)?);
    }
    Ok(Some(bundles))
}

/// A bundle. If an `artifacts.json` next to it lists the bundle, the two must match.
pub(crate) fn read_bundle(path: &Path) -> Result<Bundle> {
    let bytes = files::read(path)?;
    let beside = path.with_file_name(artifacts::FILE);
    // Only a missing list counts as no list: one that cannot be accessed is an error.
    let is_missing = beside.symlink_metadata().is_err_and(|error| error.kind() == ErrorKind::NotFound);
    let listed = if is_missing { None } else { Some(files::read(&beside)?) };
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    Ok(artifacts::load_listed(&bytes, name, listed.as_deref())?)
}

pub(crate) fn read_namespaces(path: Option<&Path>) -> Result<Namespaces> {
    let Some(path) = path else { return Ok(Namespaces::default()) };
    namespaces::read(&String::from_utf8_lossy(&files::read(path)?))
        .with_context(|| format!("cannot use the namespaces in {}", path.display()))
}

fn judge(
    (reviewer, named): (&Reviewer, &NamedResources),
    manifest: &[u8],
    old: Option<&[u8]>,
    options: &ReviewOptions,
    tally: &mut Tally,
    said: &mut String,
) -> Result<()> {
    let object = Json::parse(manifest)?;
    let is_review = object.get("kind").and_then(Json::as_str) == Some("AdmissionReview");
    if is_review && old.is_some() {
        bail!("an AdmissionReview brings its own `oldObject`; `--old` is for manifests");
    }
    let name = name_of(&object);
    let requests = if is_review {
        vec![AdmissionRequest::parse(manifest)?]
    } else {
        requests(named, &object, old, &options.namespace)?
    };
    let decided = requests.iter().map(|request| {
        (request.uid.clone().into_owned(), decide(reviewer, request, options.phase, is_review))
    });
    let mut decided = decided.collect::<Vec<_>>().into_iter();
    let (uid, decision) = decided.next().context("the manifest stands for no request")?;
    if decided.any(|(_, other)| other.allowed != decision.allowed) {
        tally.unclear += 1;
        cannot_tell(&name);
        return Ok(());
    }
    match (decision.allowed, decision.cells.is_empty()) {
        (true, true) => tally.ungoverned += 1,
        (true, false) => tally.allowed += 1,
        (false, _) => tally.denied += 1,
    }
    match options.format {
        Format::Json => {
            said.push_str(&String::from_utf8_lossy(&response::write(&uid, &decision)));
            said.push('\n');
        }
        Format::Human => say(&name, &decision, said),
    }
    Ok(())
}

/// The requests that a manifest may stand for, the likeliest first: a creation, or an update of an earlier
/// form. `namespace`: for an object that names none.
pub(crate) fn requests<'a>(
    named: &NamedResources,
    object: &Json<'a>,
    old: Option<&'a [u8]>,
    namespace: &'a str,
) -> Result<Vec<AdmissionRequest<'a>>> {
    let request = |way: Way| -> Result<AdmissionRequest<'a>> {
        let context = ManifestContext {
            operation: if old.is_some() { Operation::Update } else { Operation::Create },
            old: old.map(Json::parse).transpose()?,
            namespace: Some(namespace.into()),
            resource: way.resource.map(Into::into),
            custom_scope: way.scope,
            ..ManifestContext::default()
        };
        Ok(AdmissionRequest::from_manifest(object.clone(), context)?)
    };
    named.ways(object).into_iter().map(request).collect()
}

/// Reports that an object may stand for requests with different decisions.
pub(crate) fn cannot_tell(name: &str) -> Outcome {
    note!("{name}: cannot tell\n    {UNCLEAR}");
    Outcome::Incomplete
}

/// An AdmissionReview is answered as the webhook answers it. A manifest goes through both webhooks, as on its
/// way into the cluster.
pub(crate) fn decide(
    reviewer: &Reviewer,
    request: &AdmissionRequest<'_>,
    phase: ReviewPhase,
    is_review: bool,
) -> Decision {
    match (phase, is_review) {
        (ReviewPhase::Mutate, _) => reviewer.review(request, Phase::Mutate),
        (ReviewPhase::Validate, true) => reviewer.review(request, Phase::Validate),
        (ReviewPhase::Validate, false) => {
            let Admitted { mutated, validated, .. } = reviewer.admit(request);
            validated.unwrap_or(mutated)
        }
    }
}

/// `Kind/name` of a manifest, or of the object of an AdmissionReview.
pub(crate) fn name_of(manifest: &Json<'_>) -> String {
    let object = manifest.at(&["request", "object"]).unwrap_or(manifest);
    let text = |path: &[&str]| plain(object.at(path).and_then(Json::as_str).unwrap_or("?"));
    format!("{}/{}", text(&["kind"]), text(&["metadata", "name"]))
}

fn say(name: &str, decision: &Decision, said: &mut String) {
    let verdict = match (decision.allowed, decision.cells.is_empty()) {
        (true, true) => "not governed",
        (true, false) => "allowed",
        (false, _) => "denied",
    };
    said.push_str(&format!("{name}: {verdict}\n"));
    for finding in &decision.findings {
        say_finding(finding, said);
    }
}

fn say_finding(finding: &Finding, said: &mut String) {
    let word = match finding.effect {
        Effect::Deny => "deny",
        Effect::Warn => "warn",
        Effect::Audit => "audit",
    };
    let place =
        if finding.field.is_empty() { String::new() } else { format!(" at {}", plain(&finding.field)) };
    let rule = plain(&format!("{}/{}", finding.pack, finding.rule));
    said.push_str(&format!("  {word} {rule}{place}\n    {}\n", plain(&finding.message)));
    if let Some(remedy) = &finding.remedy {
        said.push_str(&format!("    help: {}\n", plain(remedy)));
    }
}
