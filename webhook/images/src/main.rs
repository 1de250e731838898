//! The program `bailiwick-image`: checks one image by hand, as the webhook would. Its exit codes are those of
//! `bailiwick`: 0 signed, 1 could not run, 2 usage, 4 not signed, 6 cannot tell.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bailiwick_images::{Checker, Settings, public_key};
use bailiwick_policy::admission::evidence::{
    Demand, ImageFacts, Signature, Signatures, Signer, Signers, TrustRoot, Wants,
};
use bailiwick_policy::admission::images::Reference;
use clap::{ArgGroup, Parser, Subcommand};

/// Looks at container images as the webhook does.
#[derive(Parser)]
#[command(name = "bailiwick-image", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Verify(Verify),
}

/// Verify the signatures of an image.
///
/// Looks up what the tag stands for, reads the bundles that are attached to that digest, and says whether one of them was signed by the
/// key or the identity. Prints the pinned reference and the signature. Exit codes: 0 signed, 1 could not run, 2 usage, 4 not
/// signed, 6 cannot tell (the registry did not answer, refused, or was too busy).
#[derive(clap::Args)]
#[command(
    group = ArgGroup::new("signer").required(true).args(["key", "issuer"]),
    after_help = "Examples:\n  bailiwick image verify registry.example.org/app:1.2 --key cosign.pub\n  \
        bailiwick image verify registry.example.org/app:1.2 --issuer https://issuer.example.org --subject release@example.org --trust-root root.json"
)]
struct Verify {
    /// The image: `registry/path:tag`, or with `@sha256:…`
    reference: String,
    /// A public key, PEM: Ed25519 or ECDSA P-256
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The OIDC issuer of the signer's identity
    #[arg(long, value_name = "URL", requires = "subject")]
    issuer: Option<String>,
    /// The signer's identity, exactly
    #[arg(long, value_name = "SUBJECT", requires = "issuer")]
    subject: Option<String>,
    /// The trust root, JSON; without it Sigstore's public one
    #[arg(long, value_name = "FILE", requires = "issuer")]
    trust_root: Option<PathBuf>,
    /// Credentials, private authorities and addresses of registries, JSON (docs/guide/images.md)
    #[arg(long, value_name = "FILE")]
    registries: Option<PathBuf>,
    /// How long it may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 6, value_parser = clap::value_parser!(u64).range(1..=60))]
    timeout: u64,
}

/// How it ended.
enum Ended {
    Signed(String),
    NotSigned(String),
    CannotTell(String),
}

fn main() -> ExitCode {
    let Command::Verify(verify) = Arguments::parse().command;
    match run(&verify) {
        Ok(Ended::Signed(words)) => {
            println!("{words}");
            ExitCode::SUCCESS
        }
        Ok(Ended::NotSigned(words)) => {
            println!("{words}");
            ExitCode::from(4)
        }
        Ok(Ended::CannotTell(words)) => {
            println!("{words}");
            ExitCode::from(6)
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(verify: &Verify) -> Result<Ended, String> {
    let reference = Reference::parse(&verify.reference)
        .ok_or_else(|| format!("`{}` is not an image reference", verify.reference))?;
    let signers = signers(verify)?;
    let settings = match &verify.registries {
        Some(path) => Settings::load(path).map_err(|error| error.to_string())?,
        None => Settings::default(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let checker = Arc::new(Checker::new(settings));
    let deadline = Instant::now() + Duration::from_secs(verify.timeout);
    Ok(runtime.block_on(ask(&checker, reference, signers, verify, deadline)))
}

fn signers(verify: &Verify) -> Result<Signers, String> {
    let read = |path: &PathBuf| {
        std::fs::read_to_string(path).map_err(|error| format!("cannot read `{}`: {error}", path.display()))
    };
    let mut signers = Signers::default();
    if let Some(path) = &verify.key {
        let key = public_key(&read(path)?).map_err(|error| format!("`{}`: {error}", path.display()))?;
        signers.keys.insert(key);
    }
    if verify.issuer.is_some() {
        let root = match &verify.trust_root {
            Some(path) => TrustRoot::new(&read(path)?),
            None => TrustRoot::new(bailiwick_images::PUBLIC_TRUST_ROOT),
        };
        signers.trust_roots.insert(Arc::new(root));
    }
    Ok(signers)
}

async fn ask(
    checker: &Arc<Checker>,
    mut reference: Reference,
    signers: Signers,
    verify: &Verify,
    deadline: Instant,
) -> Ended {
    let mut facts = ImageFacts::default();
    if reference.digest.is_none() {
        checker
            .answer(vec![Demand { reference: reference.clone(), wants: Wants::Digest }], deadline, &mut facts)
            .await;
        match facts.digest(&reference) {
            Some(Ok(digest)) => reference = reference.at(digest),
            Some(Err(reason)) => return Ended::CannotTell(format!("cannot tell: {reason}")),
            None => return Ended::CannotTell("cannot tell: nothing was fetched".to_owned()),
        }
    }
    let demand = Demand { reference: reference.clone(), wants: Wants::Signatures(signers) };
    checker.answer(vec![demand], deadline, &mut facts).await;
    match facts.signatures(&reference) {
        Some(Ok(found)) => verdict(&reference, found, verify),
        Some(Err(reason)) => Ended::CannotTell(format!("cannot tell: {reason}")),
        None => Ended::CannotTell("cannot tell: nothing was fetched".to_owned()),
    }
}

fn verdict(reference: &Reference, found: &Signatures, verify: &Verify) -> Ended {
    let counts = |signature: &&Signature| match &signature.signer {
        Signer::Key(_) => verify.key.is_some(),
        Signer::Identity { issuer, subject, .. } => {
            verify.issuer.as_deref() == Some(issuer) && verify.subject.as_deref() == Some(subject)
        }
    };
    if let Some(signature) = found.verified.iter().find(counts) {
        return Ended::Signed(format!("{reference}\nsigned by {}", words(&signature.signer)));
    }
    if let Some(reason) = &found.incomplete {
        return Ended::CannotTell(format!("cannot tell: {reason}"));
    }
    let mut lines = vec![format!("{reference}"), "not signed by the one asked for".to_owned()];
    lines.extend(found.verified.iter().map(|one| format!("signed by {}", words(&one.signer))));
    lines.extend(found.passed_over.iter().map(|one| format!("passed over: {one}")));
    Ended::NotSigned(lines.join("\n"))
}

fn words(signer: &Signer) -> String {
    match signer {
        Signer::Key(_) => "the key".to_owned(),
        Signer::Identity { issuer, subject, .. } => format!("`{subject}` of `{issuer}`"),
    }
}
