//! Delegation: a call that was delegated through others may do only what the policies of all of them allow.
//!
//! A subject's `chain` names the principals that its agent acts for. In a file of links, the operator states
//! which packs bind each of them and the agent itself. The bundle must be of all these packs: what it allows
//! is then their meet, which the compiler makes (`bailiwick compile PACK …`) and nothing here could make
//! again. A pack constrains only tools that it names, so the packs of each link must cover every tool. A
//! subject for which that does not hold is refused before anything is decided. So is a file with a name that
//! is not the subject's: its author meant to bind some principal.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use bailiwick_policy::policy::PackSource;
use bailiwick_policy::tool::{LoadedPolicy, Subject};
use serde::Deserialize;
use thiserror::Error;

/// Largest file of links: some names for each principal of a chain.
const MAX_FILE_BYTES: u64 = 64 << 10;

/// The packs that bind the agent and each principal, by their names or as `name@version`.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
struct Links(BTreeMap<String, Vec<String>>);

/// Why a chain is refused.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum LinksError {
    #[error("cannot read the file of links `{}`: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("the file of links `{}` has more than {MAX_FILE_BYTES} bytes", path.display())]
    TooLarge { path: PathBuf },
    #[error("`{}` is not a file of links: {source}; it is JSON as {{\"PRINCIPAL\": [\"PACK\", …]}}", path.display())]
    Malformed { path: PathBuf, source: serde_json::Error },
    #[error(
        "the file of links does not say which packs bind `{0}`, which is the subject's agent or in its chain"
    )]
    Unbound(String),
    #[error("the file of links names `{0}`, which is neither the subject's agent nor in its chain")]
    Stranger(String),
    #[error(
        "pack `{pack}`, which binds `{principal}`, is not in the bundle: compile the packs of the subject's agent and of its whole chain together"
    )]
    NotMet { pack: String, principal: String },
    #[error(
        "the packs of `{principal}` do not say whether its agents may call `{tool}`, so a call for it would be decided without them: let one of them grant it, or deny it to all"
    )]
    Silent { principal: String, tool: String },
}

/// Refuses a subject if the packs of its agent, or of a principal of its chain, are not in the policy or do
/// not cover a tool.
///
/// # Errors
/// See [`LinksError`].
pub fn check(file: &Path, subject: &Subject, policy: &LoadedPolicy) -> Result<(), LinksError> {
    let Links(links) = read(file)?;
    let bound = || std::iter::once(&subject.agent).chain(&subject.chain);
    if let Some(stranger) = links.keys().find(|name| bound().all(|bound| bound != *name)) {
        return Err(LinksError::Stranger(stranger.clone()));
    }
    for principal in bound() {
        let packs = links.get(principal).filter(|packs| !packs.is_empty());
        let packs = packs.ok_or_else(|| LinksError::Unbound(principal.clone()))?;
        let places: Result<Vec<u16>, LinksError> = packs
            .iter()
            .map(|pack| {
                let not_met = || LinksError::NotMet { pack: pack.clone(), principal: principal.clone() };
                place(policy, pack).ok_or_else(not_met)
            })
            .collect();
        if let Some(tool) = policy.undecided_by(&places?).first() {
            return Err(LinksError::Silent { principal: principal.clone(), tool: (*tool).to_owned() });
        }
    }
    Ok(())
}

/// The index of a pack in the policy.
fn place(policy: &LoadedPolicy, pack: &str) -> Option<u16> {
    let is_it = |one: &PackSource| one.name == pack || format!("{}@{}", one.name, one.version) == pack;
    u16::try_from(policy.policy().packs.iter().position(is_it)?).ok()
}

fn read(path: &Path) -> Result<Links, LinksError> {
    let failed = |source| LinksError::Read { path: path.to_owned(), source };
    let mut text = String::new();
    fs::File::open(path)
        .map_err(failed)?
        .take(MAX_FILE_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(failed)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(LinksError::TooLarge { path: path.to_owned() });
    }
    serde_json::from_str(&text).map_err(|source| LinksError::Malformed { path: path.to_owned(), source })
}
