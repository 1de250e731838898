//! A policy as bytes: what the compiler writes and every decider reads.
//!
//! Canonical JSON ([`crate::canonical`]); the SHA-256 of the bytes is the *policy digest*, which is in every
//! decision and artifact. Reading trusts nothing: a bundle comes from a ConfigMap that may have been edited.
//! A bundle that was read keeps every promise that evaluation relies on (indices in range, nesting within
//! bounds, patterns that compile).

pub mod artifacts;

use std::fmt::Write as _;

use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::canonical;
use crate::cel::{LoadError, Loaded};
use crate::ir::{Cel, Const, Expr, MAX_DEPTH, MAX_EVAL_DEPTH, Root};
use crate::policy::sandboxes::AllowedSyscall;
use crate::policy::tools::Phase;
use crate::policy::{Admission, FORMAT_VERSION, ImageSigner, MAX_MODULE_BYTES, Mutation, Origin, Policy};
use crate::tool::{self, Tools};

/// The largest bundle that is read, in bytes.
pub const MAX_BYTES: usize = 16 << 20;

/// The most slots that one expression may request.
pub const MAX_SLOTS: u16 = 256;

/// Nesting of the JSON text: a node of the IR takes at most three levels, and the policy around it some more.
const MAX_JSON_DEPTH: usize = 3 * MAX_DEPTH as usize + 40;

/// A policy and the digest of the bytes that it was read from.
#[derive(Clone, Debug, PartialEq)]
pub struct Bundle {
    /// The policy.
    pub policy: Policy,
    /// SHA-256 over the bytes, in hex.
    pub digest: String,
}

/// Why a bundle cannot be written or is rejected.
#[derive(Debug, Error)]
pub enum BundleError {
    /// Too many bytes.
    #[error("the bundle has {bytes} bytes, more than {MAX_BYTES}")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// Not the expected bytes.
    #[error(
        "the bundle's digest is `{found}`, expected `{expected}`: its bytes were changed; compile the packs anew"
    )]
    Digest {
        /// The digest of the bytes.
        found: String,
        /// The expected digest.
        expected: String,
    },
    /// The format of another version of the program.
    #[error(
        "the bundle has format version {found}, this program reads {FORMAT_VERSION}; use a program of the bundle's version or compile the packs anew"
    )]
    FormatVersion {
        /// The bundle's version.
        found: u64,
    },
    /// Not JSON, or not a policy.
    #[error("the bundle is not a policy: {0}; compile the packs anew")]
    Malformed(#[from] serde_json::Error),
    /// The list of artifacts next to it cannot be read.
    #[error("`artifacts.json` beside the bundle cannot be read: {0}; compile the packs anew")]
    List(serde_json::Error),
    /// The same policy would be written differently.
    #[error(
        "the bundle is not canonical at byte {at}: it was not written by the compiler, or was changed since; compile the packs anew"
    )]
    NotCanonical {
        /// The first byte that differs.
        at: usize,
    },
    /// Nested deeper than evaluation can follow.
    #[error("{place}: nested deeper than {limit} levels")]
    TooDeep {
        /// Which expression.
        place: String,
        /// The bound.
        limit: u32,
    },
    /// An index that does not resolve.
    #[error("{place}: {what} {index} is not there")]
    OutOfRange {
        /// Which expression or statement.
        place: String,
        /// What kind of thing.
        what: &'static str,
        /// Its index.
        index: u32,
    },
    /// A variable that expressions of this section do not have.
    #[error("{place}: there is no variable {root:?} here")]
    Misplaced {
        /// Which expression.
        place: String,
        /// The variable.
        root: Root,
    },
    /// A test of an argument whose value has bits outside its mask.
    #[error("{place}: a test of an argument never holds")]
    NeverHolds {
        /// Which system call.
        place: String,
    },
    /// A Rego module larger than any that the compiler accepts.
    #[error("admission.rego[{index}]: the module has {bytes} bytes, more than {limit}")]
    ModuleTooLarge {
        /// Which one.
        index: usize,
        /// Its size.
        bytes: usize,
        /// The bound.
        limit: usize,
    },
    /// A pattern that does not compile.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Tools that cannot be called.
    #[error(transparent)]
    Tools(#[from] tool::LoadError),
}

/// The bytes of a policy.
///
/// # Errors
/// A policy that [`load`] would reject.
pub fn write(policy: &Policy) -> Result<Vec<u8>, BundleError> {
    validate(policy)?;
    let bytes = canonical::to_vec(policy)?;
    if bytes.len() > MAX_BYTES {
        return Err(BundleError::TooLarge { bytes: bytes.len() });
    }
    Ok(bytes)
}

/// SHA-256 of the bytes, in hex.
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing to a string does not fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// Reads any bytes as a bundle; for fuzzing. Must return, and a bundle that it accepts must give the same
/// bytes again.
pub fn fuzz(data: &[u8]) {
    if let Ok(bundle) = load(data) {
        assert_eq!(write(&bundle.policy).ok().as_deref(), Some(data), "a bundle has one form");
    }
}

/// Reads a bundle.
///
/// # Errors
/// Bytes that are not the canonical form of a policy of this format whose every index and bound holds.
pub fn load(bytes: &[u8]) -> Result<Bundle, BundleError> {
    if bytes.len() > MAX_BYTES {
        return Err(BundleError::TooLarge { bytes: bytes.len() });
    }
    check_json_depth(bytes)?;
    // The version first: another one may have other fields, and "unknown field" would be a poor explanation.
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Version {
        format_version: u64,
    }
    let Version { format_version } = serde_json::from_slice(bytes)?;
    if format_version != u64::from(FORMAT_VERSION) {
        return Err(BundleError::FormatVersion { found: format_version });
    }
    let policy = read(bytes)?;
    validate(&policy)?;
    let again = canonical::to_vec(&policy)?;
    if again != bytes {
        let at = again.iter().zip(bytes).position(|(left, right)| left != right);
        return Err(BundleError::NotCanonical { at: at.unwrap_or(again.len().min(bytes.len())) });
    }
    Ok(Bundle { policy, digest: digest(bytes) })
}

/// Reads a bundle whose digest is known from elsewhere.
///
/// # Errors
/// As for [`load`], and any other digest.
pub fn load_expecting(bytes: &[u8], expected: &str) -> Result<Bundle, BundleError> {
    let found = digest(bytes);
    if found != expected {
        return Err(BundleError::Digest { found, expected: expected.to_owned() });
    }
    load(bytes)
}

/// serde_json's own bound (128) is too low for expressions; [`check_json_depth`] has already bounded the
/// nesting.
fn read(bytes: &[u8]) -> Result<Policy, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    deserializer.disable_recursion_limit();
    let policy = Policy::deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(policy)
}

fn check_json_depth(bytes: &[u8]) -> Result<(), BundleError> {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                if depth > MAX_JSON_DEPTH {
                    return Err(BundleError::TooDeep { place: "the bundle".to_owned(), limit: MAX_DEPTH });
                }
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

/// Checks everything that evaluation relies on.
///
/// # Errors
/// Another format version, an index that does not resolve, nesting beyond a bound, a pattern that does not
/// compile.
pub fn validate(policy: &Policy) -> Result<(), BundleError> {
    if policy.format_version != FORMAT_VERSION {
        return Err(BundleError::FormatVersion { found: policy.format_version.into() });
    }
    check_origins(policy)?;
    check_images(policy)?;
    check_system_calls(policy)?;
    for (index, pack) in policy.packs.iter().enumerate() {
        check_constant(&pack.parameters, &|| format!("packs[{index}].parameters"))?;
    }
    check_expressions(&policy.admission)?;
    Loaded::new(&policy.admission)?;
    check_tools(policy)?;
    Ok(())
}

/// Whether every test of an argument can hold: one that cannot would be compared as if it could.
fn check_system_calls(policy: &Policy) -> Result<(), BundleError> {
    for sandbox in &policy.sandboxes {
        let dead = |call: &&AllowedSyscall| call.when.iter().flatten().any(|test| !test.can_hold());
        if let Some(call) = sandbox.syscalls.allowed.iter().find(dead) {
            let place = format!("sandboxes.{}.syscalls.{}", sandbox.name, call.name);
            return Err(BundleError::NeverHolds { place });
        }
    }
    Ok(())
}

/// Checks everything that decisions on tool calls rely on, and prepares it.
///
/// # Errors
/// As for [`validate`].
pub(crate) fn check_tools(policy: &Policy) -> Result<Tools, BundleError> {
    for (index, layer) in policy.tools.iter().enumerate() {
        for rule in &layer.rules {
            let knows = if rule.phase == Phase::Result { Root::of_results } else { Root::of_calls };
            let bounds = Bounds { shared_depths: Vec::new(), regexes: layer.regexes.len(), knows };
            for cel in rule.expressions() {
                bounds.check(cel, &|| format!("tools[{index}].rules.{}", rule.name))?;
            }
        }
    }
    Ok(Tools::new(policy)?)
}

fn check_expressions(admission: &Admission) -> Result<(), BundleError> {
    let knows = Root::of_admission;
    let mut bounds = Bounds { shared_depths: Vec::new(), regexes: admission.regexes.len(), knows };
    for (index, cel) in admission.shared.iter().enumerate() {
        let depth = bounds.check(cel, &|| format!("admission.shared[{index}]"))?;
        bounds.shared_depths.push(depth);
    }
    let too_large =
        admission.rego.iter().map(String::len).enumerate().find(|(_, bytes)| *bytes > MAX_MODULE_BYTES);
    if let Some((index, bytes)) = too_large {
        return Err(BundleError::ModuleTooLarge { index, bytes, limit: MAX_MODULE_BYTES });
    }
    for (index, rule) in admission.rules.iter().enumerate() {
        let place = |part: &str| format!("admission.rules[{index}].{part}");
        for (_, shared) in &rule.variables {
            if admission.shared.get(*shared as usize).is_none() {
                return Err(BundleError::OutOfRange {
                    place: place("variables"),
                    what: "shared expression",
                    index: *shared,
                });
            }
        }
        if let Some(rego) = &rule.rego
            && admission.rego.get(rego.module as usize).is_none()
        {
            return Err(BundleError::OutOfRange { place: place("rego"), what: "module", index: rego.module });
        }
        for (_, cel) in &rule.matches.conditions {
            bounds.check(cel, &|| place("matches.conditions"))?;
        }
        for validation in &rule.validations {
            bounds.check(&validation.expression, &|| place("validations"))?;
            if let Some(cel) = &validation.message_expression {
                bounds.check(cel, &|| place("validations"))?;
            }
        }
        for mutation in &rule.mutations {
            match mutation {
                Mutation::Field { .. } => {}
                Mutation::JsonPatch { expression, .. } | Mutation::ApplyConfiguration { expression, .. } => {
                    bounds.check(expression, &|| place("mutations"))?;
                }
            }
        }
        for (_, cel) in &rule.audit_annotations {
            bounds.check(cel, &|| place("auditAnnotations"))?;
        }
    }
    Ok(())
}

/// What expressions may refer to.
struct Bounds {
    /// How deep the evaluation of each shared expression so far nests.
    shared_depths: Vec<u32>,
    regexes: usize,
    /// Whether such a variable exists.
    knows: fn(Root) -> bool,
}

impl Bounds {
    /// Checks one expression; returns how deep its evaluation nests.
    fn check(&self, cel: &Cel, place: &dyn Fn() -> String) -> Result<u32, BundleError> {
        let out_of_range =
            |what: &'static str, index: u32| BundleError::OutOfRange { place: place(), what, index };
        if cel.slots > MAX_SLOTS {
            return Err(out_of_range("slot", cel.slots.into()));
        }
        let own_depth = cel.expr.depth();
        if own_depth > MAX_DEPTH {
            return Err(BundleError::TooDeep { place: place(), limit: MAX_DEPTH });
        }
        let mut below = 0;
        let mut wrong = None;
        let check_slot = |slot: u16| (slot >= cel.slots).then(|| out_of_range("slot", slot.into()));
        cel.expr.walk(&mut |node| {
            let found = match node {
                Expr::Slot(slot) => check_slot(*slot),
                Expr::Macro(of) => check_slot(of.slot).or_else(|| of.slot2.and_then(check_slot)),
                Expr::Bind(bind) => check_slot(bind.slot),
                Expr::Shared(index) => match self.shared_depths.get(*index as usize) {
                    Some(depth) => {
                        below = below.max(*depth);
                        None
                    }
                    None => Some(out_of_range("earlier shared expression", *index)),
                },
                Expr::Matches(_, index) if *index as usize >= self.regexes => {
                    Some(out_of_range("pattern", *index))
                }
                Expr::Root(root) if !(self.knows)(*root) => {
                    Some(BundleError::Misplaced { place: place(), root: *root })
                }
                Expr::Const(constant) => check_constant(constant, place).err(),
                Expr::InConst(_, constants) => {
                    constants.iter().find_map(|constant| check_constant(constant, place).err())
                }
                _ => None,
            };
            wrong = wrong.take().or(found);
        });
        if let Some(wrong) = wrong {
            return Err(wrong);
        }
        let depth = own_depth.saturating_add(below);
        if depth > MAX_EVAL_DEPTH {
            return Err(BundleError::TooDeep { place: place(), limit: MAX_EVAL_DEPTH });
        }
        Ok(depth)
    }
}

/// Comparing constants walks them recursively.
fn check_constant(constant: &Const, place: &dyn Fn() -> String) -> Result<(), BundleError> {
    let mut pending = vec![(constant, 1_u32)];
    while let Some((constant, depth)) = pending.pop() {
        if depth > MAX_DEPTH {
            return Err(BundleError::TooDeep { place: place(), limit: MAX_DEPTH });
        }
        match constant {
            Const::List(items) => pending.extend(items.iter().map(|item| (item, depth + 1))),
            Const::Map(entries) => {
                pending
                    .extend(entries.iter().flat_map(|(key, value)| [(key, depth + 1), (value, depth + 1)]));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Trust roots that signers point to.
fn check_images(policy: &Policy) -> Result<(), BundleError> {
    for layer in &policy.images {
        for entry in &layer.entries {
            let out_of_range = |signer: &ImageSigner| match signer {
                ImageSigner::Identity { trust_root, .. } => {
                    let root = usize::try_from(*trust_root).ok().and_then(|at| layer.trust_roots.get(at));
                    root.is_none().then_some(*trust_root)
                }
                ImageSigner::Key(_) => None,
            };
            if let Some(index) = entry.require.iter().find_map(out_of_range) {
                return Err(BundleError::OutOfRange { place: entry.at.clone(), what: "trust root", index });
            }
        }
    }
    Ok(())
}

fn check_origins(policy: &Policy) -> Result<(), BundleError> {
    let isolation = &policy.isolation;
    let network = policy.network.iter();
    let origins: Vec<(&str, &Origin)> = std::iter::empty()
        .chain(policy.subject.iter().flat_map(|subject| &subject.from).map(|from| ("subject", from)))
        .chain(isolation.pod_security.iter().flat_map(|stated| &stated.from).map(|from| ("isolation", from)))
        .chain(isolation.runtime_class.iter().flat_map(|stated| &stated.from).map(|from| ("isolation", from)))
        .chain(
            isolation
                .service_account_token
                .iter()
                .flat_map(|stated| &stated.from)
                .map(|from| ("isolation", from)),
        )
        .chain(
            network
                .flat_map(|network| {
                    let rules = network.egress.iter().chain(&network.ingress);
                    rules.flat_map(|rule| &rule.from).chain(&network.from)
                })
                .map(|from| ("network", from)),
        )
        .chain(policy.images.iter().map(|layer| ("images", &layer.from)))
        .chain(policy.admission.rules.iter().map(|rule| ("admission", &rule.origin)))
        .chain(policy.pools.iter().flat_map(|pool| &pool.from).map(|from| ("pools", from)))
        .chain(policy.sandboxes.iter().flat_map(|sandbox| &sandbox.from).map(|from| ("sandboxes", from)))
        .chain(policy.audit.iter().flat_map(|stated| &stated.from).map(|from| ("audit", from)))
        .collect();
    for (section, origin) in origins {
        if policy.packs.get(usize::from(origin.pack)).is_none() {
            return Err(BundleError::OutOfRange {
                place: section.to_owned(),
                what: "pack",
                index: origin.pack.into(),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
