//! Records what a compilation asked of the packs of a cluster, with the answers: while the answers are the
//! same, so is the result.
//!
//! A compilation is a function of its inputs and of these answers, and of nothing else. A new pack therefore
//! causes only those compilations to run again that would use it: not a binding that names another version,
//! but a pack that extends it and whose requirement now selects the new version.

use std::cell::RefCell;

use bailiwick_policy::policy::Policy;
use semver::{Version, VersionReq};

use super::Taken;
use super::packs::{ClusterPacks, locking};
use crate::Compiled;
use crate::compile::compile_locked;
use crate::library::Library;
use crate::parameters::Bindings;
use crate::source::PackSources;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Question {
    Names,
    Knows(String),
    Versions(String),
    Newest(String, VersionReq),
    WithDigest(String, String),
    /// Its content as well.
    Sources(String, Version),
}

impl Question {
    /// The answer of these packs, as a text that is equal for equal answers.
    fn answer(&self, packs: &ClusterPacks) -> String {
        let text = |version: Option<&Version>| version.map(ToString::to_string).unwrap_or_default();
        match self {
            Self::Names => packs.names().join(" "),
            Self::Knows(name) => packs.knows(name).to_string(),
            Self::Versions(name) => {
                packs.versions(name).iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
            }
            Self::Newest(name, requirement) => text(packs.newest(name, requirement).as_ref()),
            Self::WithDigest(name, digest) => text(packs.with_digest(name, digest)),
            Self::Sources(name, version) => packs.content(name, version).unwrap_or_default().to_owned(),
        }
    }
}

/// The questions and their answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answers(Vec<(Question, String)>);

impl Answers {
    /// Whether these packs would answer the same.
    #[must_use]
    pub fn hold(&self, packs: &ClusterPacks) -> bool {
        self.0.iter().all(|(question, answer)| question.answer(packs) == *answer)
    }
}

/// The packs of a cluster, with a record of what was asked of them.
#[derive(Debug)]
pub struct Asked<'a> {
    packs: &'a ClusterPacks,
    asked: RefCell<Answers>,
}

impl<'a> Asked<'a> {
    /// With an empty record.
    #[must_use]
    pub fn new(packs: &'a ClusterPacks) -> Self {
        Self { packs, asked: RefCell::default() }
    }

    /// The record.
    #[must_use]
    pub fn answers(self) -> Answers {
        self.asked.into_inner()
    }

    /// The packs of a policy that was compiled over these which were taken by a requirement.
    pub(super) fn taken(&self, policy: &Policy) -> Vec<Taken> {
        let of_policy = |name: &str, version: &str| {
            policy.packs.iter().any(|pack| pack.name == name && pack.version == version)
        };
        let asked = self.asked.borrow();
        let newest = asked.0.iter().filter_map(|(question, answer)| match question {
            Question::Newest(name, requirement) if of_policy(name, answer) => Some(Taken {
                name: name.clone(),
                requirement: requirement.clone(),
                version: Version::parse(answer).ok()?,
            }),
            _ => None,
        });
        newest.collect()
    }

    fn note(&self, question: Question) {
        let mut asked = self.asked.borrow_mut();
        if !asked.0.iter().any(|(known, _)| *known == question) {
            let answer = question.answer(self.packs);
            asked.0.push((question, answer));
        }
    }

    /// The version with a digest.
    #[must_use]
    pub fn with_digest(&self, name: &str, digest: &str) -> Option<&'a Version> {
        self.note(Question::WithDigest(name.to_owned(), digest.to_owned()));
        self.packs.with_digest(name, digest)
    }

    /// The version with this text, if it exists.
    #[must_use]
    pub fn version(&self, name: &str, written: &str) -> Option<Version> {
        Version::parse(written).ok().filter(|version| self.holds(name, version))
    }

    /// The digest of a version.
    #[must_use]
    pub fn digest(&self, name: &str, version: &Version) -> Option<&'a str> {
        self.note(Question::Sources(name.to_owned(), version.clone()));
        self.packs.digest(name, version)
    }

    /// Compiles a pack for its own status, with the defaults of its parameters. A pack whose parameters must
    /// be chosen gets a BW0206 finding, which the binding resolves.
    #[must_use]
    pub fn check(&self, name: &str, version: &str) -> Option<Compiled> {
        self.compile(name, &Version::parse(version).ok()?, Bindings::default())
    }

    /// Compiles a version with values for its parameters and nothing else, as a pool of executors runs it.
    #[must_use]
    pub fn compile(&self, name: &str, version: &Version, chosen: Bindings) -> Option<Compiled> {
        let sources = self.sources(name, version)?;
        Some(compile_locked(&[(&sources, chosen)], self, locking(&sources)))
    }
}

impl Library for Asked<'_> {
    fn versions(&self, name: &str) -> Vec<Version> {
        self.note(Question::Versions(name.to_owned()));
        self.packs.versions(name)
    }

    fn sources(&self, name: &str, version: &Version) -> Option<PackSources> {
        self.note(Question::Sources(name.to_owned(), version.clone()));
        self.packs.sources(name, version)
    }

    fn names(&self) -> Vec<String> {
        self.note(Question::Names);
        self.packs.names()
    }

    fn newest(&self, name: &str, requirement: &VersionReq) -> Option<Version> {
        self.note(Question::Newest(name.to_owned(), requirement.clone()));
        self.packs.newest(name, requirement)
    }

    fn knows(&self, name: &str) -> bool {
        self.note(Question::Knows(name.to_owned()));
        self.packs.knows(name)
    }

    fn holds(&self, name: &str, version: &Version) -> bool {
        self.digest(name, version).is_some()
    }
}
