//! Sandboxes that are made ready before a call needs them, and the workspaces of sessions.
//!
//! ```text
//! kind without workspace:  refill thread ► ready queue, N deep ► lease     (empty: built on demand)
//! kind with workspace:     after a call of a session ► one ready in its Home ► lease   (at most N over all sessions, `places`)
//! ```
//! A sandbox is leased once and cleared away. A sandbox with a workspace belongs to its session from the
//! start, because its programs run under the session's own id and see its files; so it can be made ready only
//! for a session that exists.
//!
//! Terms. *Kind*: one sandbox of the policy, with its launcher. *Home*: what a session owns: its identity,
//! its workspace, and what is ready for it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bailiwick_policy::policy::sandboxes::{Lifetime, Sandbox, Workspace as WorkspaceRule};
use bailiwick_sys::keeper::{Keeper, Workspace, WorkspaceError};
use bailiwick_sys::{Build, CgroupError, Identity, Launcher, Parked, Pool, Remains, SandboxError};
use thiserror::Error;

use crate::confine::{Refused, profile};
use crate::host::Host;
use crate::places::{Kept, Places};

/// Why there is no sandbox for a call. Nothing has run.
#[derive(Debug, Error)]
pub enum LeaseError {
    /// The policy has no sandbox with this name, although the bundle's loader checked that it has.
    #[error("there is no sandbox `{0}`")]
    Unknown(String),
    /// It could not be built.
    #[error(transparent)]
    Build(#[from] SandboxError),
    /// The session's workspace is gone with the process that held it.
    #[error("the session's workspace is gone with the process that held it")]
    WorkspaceLost,
    /// There is no room for another workspace.
    #[error("the workspaces of all sessions have {used} bytes, and {budget} is the most")]
    WorkspaceBudget {
        /// Bytes in use.
        used: u64,
        /// The most bytes allowed.
        budget: u64,
    },
    /// All ids for sessions are taken.
    #[error("all ids for sessions are taken")]
    Identities,
}

/// Why there are no sandboxes at all.
#[derive(Debug, Error)]
pub enum StartError {
    /// The machine cannot enforce what the policy requires.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// A launcher could not be started.
    #[error("sandbox `{sandbox}`: {source}")]
    Launcher {
        /// Which.
        sandbox: String,
        /// Why.
        source: SandboxError,
    },
    /// Two sandboxes of a session would share a workspace but describe it differently.
    #[error(
        "sandboxes `{one}` and `{other}` have workspaces of different size, inodes or lifetime; a session has one workspace, so give both the same"
    )]
    Clash {
        /// One.
        one: String,
        /// The other.
        other: String,
    },
    /// No thread could be started.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] std::io::Error),
}

/// All kinds of sandboxes of a policy.
pub struct Sandboxes {
    host: Host,
    keeper: Mutex<Option<Arc<Keeper>>>,
    kinds: BTreeMap<String, Arc<Kind>>,
    /// The sandbox in which files of sessions are read and written.
    with_workspace: Option<String>,
    workspace_budget: u64,
    workspace_used: Arc<AtomicU64>,
}

struct Kind {
    sandbox: Sandbox,
    launcher: Arc<Launcher>,
    /// Ready sandboxes of a kind without workspace.
    pool: Pool,
    /// Places for sandboxes that are ready in homes.
    in_homes: Places<Parked>,
}

/// What a session owns. Dropped in this order: the memory of its workspace is free only when no sandbox has it any
/// more.
#[derive(Default)]
pub struct Home {
    /// The sandboxes that are ready for its next call, except those whose place was given away.
    ready: BTreeMap<String, Kept<Parked>>,
    workspace: Option<Held>,
    identity: Option<Arc<Identity>>,
}

impl std::fmt::Debug for Home {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Home").field("ready", &self.ready.len()).finish_non_exhaustive()
    }
}

/// A workspace with its share of the budget, which is returned when its memory is free.
pub(crate) struct Held<W = Workspace> {
    workspace: W,
    _share: Share,
}

/// A sandbox for one call. Only [`crate::run`], which requires a permit on record, can reach the program in
/// it.
pub struct Lease {
    /// The sandbox.
    pub(crate) parked: Parked,
    /// A workspace that lives as long as the call.
    pub(crate) workspace: Option<Held>,
}

/// What is left of a lease when its program has ended. In this order: the memory of a workspace is free only when
/// no sandbox has it any more.
pub(crate) struct Left<R = Remains, W = Workspace> {
    remains: R,
    workspace: Option<Held<W>>,
}

impl Left {
    pub(crate) const fn new(remains: Remains, workspace: Option<Held>) -> Self {
        Self { remains, workspace }
    }

    /// Clears the sandbox away, and then its workspace.
    ///
    /// # Errors
    /// A cgroup is left.
    pub(crate) fn clear(self) -> Result<(), CgroupError> {
        self.clear_by(Remains::clear)
    }
}

impl<R, W> Left<R, W> {
    fn clear_by<T>(self, clear: impl FnOnce(R) -> T) -> T {
        let cleared = clear(self.remains);
        drop(self.workspace);
        cleared
    }
}

impl Sandboxes {
    /// Starts a launcher for each of these sandboxes and begins to fill. Files of sessions are read and
    /// written in the first one that has a workspace, so sandboxes that calls are only narrowed to come last.
    ///
    /// # Errors
    /// See [`StartError`]: one unavailable sandbox is enough.
    pub fn start(
        host: Host,
        sandboxes: &[Sandbox],
        warm: usize,
        workspace_budget: u64,
    ) -> Result<Self, StartError> {
        check_workspaces(sandboxes)?;
        let mut kinds = BTreeMap::new();
        for sandbox in sandboxes {
            let launched = |source| StartError::Launcher { sandbox: sandbox.name.clone(), source };
            let launcher = Launcher::spawn(host.sys(), &profile(sandbox, &host)?).map_err(launched)?;
            let launcher = Arc::new(launcher);
            let depth = if sandbox.filesystem.workspace.is_none() { warm } else { 0 };
            let kind = Kind {
                sandbox: sandbox.clone(),
                pool: Pool::new(Arc::clone(host.sys()), Arc::clone(&launcher), depth)?,
                launcher,
                in_homes: Places::new(warm),
            };
            kinds.insert(sandbox.name.clone(), Arc::new(kind));
        }
        let with_workspace = sandboxes.iter().find(|sandbox| sandbox.filesystem.workspace.is_some());
        Ok(Self {
            host,
            keeper: Mutex::default(),
            kinds,
            with_workspace: with_workspace.map(|sandbox| sandbox.name.clone()),
            workspace_budget,
            workspace_used: Arc::default(),
        })
    }

    /// A sandbox for a call of a session.
    ///
    /// # Errors
    /// See [`LeaseError`].
    pub fn lease(&self, name: &str, home: &mut Home) -> Result<Lease, LeaseError> {
        let kind = self.kind(name)?;
        let Some(rule) = kind.workspace() else {
            return Ok(Lease { parked: kind.pool.take()?, workspace: None });
        };
        if rule.lifetime == Lifetime::Call {
            let identity = self.identity(home)?;
            let workspace = self.create(rule, &identity)?;
            let parked = kind.launcher.build(&Build { identity, workspace: Some(&workspace.workspace) })?;
            return Ok(Lease { parked, workspace: Some(workspace) });
        }
        let ready = home.ready.remove(name).and_then(Kept::take);
        if let Some(parked) = ready.filter(Parked::is_alive) {
            return Ok(Lease { parked, workspace: None });
        }
        let parked = self.build_at_home(kind, rule, home)?;
        Ok(Lease { parked, workspace: None })
    }

    /// Makes a sandbox ready for the session's next call, if a place is free, or held by a session that has
    /// not called for a while. The next call reports a failure.
    pub fn prepare(&self, name: &str, home: &mut Home) {
        let Ok(kind) = self.kind(name) else { return };
        let Some(rule) = kind.workspace().filter(|rule| rule.lifetime == Lifetime::Session) else { return };
        if home.ready.get(name).is_some_and(|kept| !kept.is_gone()) {
            return;
        }
        if let Some(kept) = kind.in_homes.keep(Instant::now(), || self.build_at_home(kind, rule, home).ok()) {
            home.ready.insert(name.to_owned(), kept);
        }
    }

    /// The sandbox in which a session's files are read and written: one that has its workspace.
    #[must_use]
    pub fn with_workspace(&self) -> Option<&str> {
        self.with_workspace.as_deref()
    }

    /// The policy's sandbox with this name.
    #[must_use]
    pub fn sandbox(&self, name: &str) -> Option<&Sandbox> {
        self.kinds.get(name).map(|kind| &kind.sandbox)
    }

    fn kind(&self, name: &str) -> Result<&Arc<Kind>, LeaseError> {
        self.kinds.get(name).ok_or_else(|| LeaseError::Unknown(name.to_owned()))
    }

    fn identity(&self, home: &mut Home) -> Result<Arc<Identity>, LeaseError> {
        if let Some(identity) = &home.identity {
            return Ok(Arc::clone(identity));
        }
        let identity = self.host.sys().identity().ok_or(LeaseError::Identities)?;
        home.identity = Some(Arc::clone(&identity));
        Ok(identity)
    }

    fn build_at_home(
        &self,
        kind: &Kind,
        rule: &WorkspaceRule,
        home: &mut Home,
    ) -> Result<Parked, LeaseError> {
        let identity = self.identity(home)?;
        if home.workspace.is_none() {
            home.workspace = Some(self.create(rule, &identity)?);
        }
        let workspace = home.workspace.as_ref().map(|held| &held.workspace);
        kind.launcher.build(&Build { identity, workspace }).map_err(|error| match error {
            SandboxError::Workspace(WorkspaceError::Lost) => LeaseError::WorkspaceLost,
            other => other.into(),
        })
    }

    /// A new workspace. A keeper that died took the workspaces of its sessions with it; new sessions get a
    /// new keeper.
    fn create(&self, rule: &WorkspaceRule, owner: &Identity) -> Result<Held, LeaseError> {
        let used = self.workspace_used.fetch_add(rule.size_bytes, Ordering::SeqCst);
        let share = Share { bytes: rule.size_bytes, used: Arc::clone(&self.workspace_used) };
        if used.saturating_add(rule.size_bytes) > self.workspace_budget {
            return Err(LeaseError::WorkspaceBudget { used, budget: self.workspace_budget });
        }
        // A panic cannot have left the content in a partial state.
        let mut keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..2 {
            let current = match &*keeper {
                Some(current) => Arc::clone(current),
                None => {
                    let fresh = Keeper::spawn(self.host.sys()).map_err(SandboxError::Setup)?;
                    *keeper = Some(Arc::clone(&fresh));
                    fresh
                }
            };
            match current.create(owner, rule.size_bytes, rule.inodes) {
                Ok(workspace) => return Ok(Held { workspace, _share: share }),
                Err(WorkspaceError::Lost) => *keeper = None,
                Err(error) => return Err(SandboxError::Workspace(error).into()),
            }
        }
        Err(LeaseError::WorkspaceLost)
    }
}

/// A share of the budget.
struct Share {
    bytes: u64,
    used: Arc<AtomicU64>,
}

impl Drop for Share {
    fn drop(&mut self) {
        self.used.fetch_sub(self.bytes, Ordering::SeqCst);
    }
}

impl Kind {
    fn workspace(&self) -> Option<&WorkspaceRule> {
        self.sandbox.filesystem.workspace.as_ref()
    }
}

fn check_workspaces(sandboxes: &[Sandbox]) -> Result<(), StartError> {
    let mut first: Option<(&str, &WorkspaceRule)> = None;
    for sandbox in sandboxes {
        let Some(rule) = &sandbox.filesystem.workspace else { continue };
        let Some((one, known)) = first else {
            first = Some((&sandbox.name, rule));
            continue;
        };
        let facts = |rule: &WorkspaceRule| (rule.size_bytes, rule.inodes, rule.lifetime);
        if facts(known) != facts(rule) {
            return Err(StartError::Clash { one: one.to_owned(), other: sandbox.name.clone() });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use bailiwick_policy::bundle;

    use super::*;

    /// Otherwise all workspaces together could take more memory than the budget.
    #[test]
    fn a_share_of_the_budget_is_returned_when_the_memory_is_free() {
        struct Memory(Arc<AtomicU64>);
        impl Drop for Memory {
            fn drop(&mut self) {
                assert_eq!(self.0.load(Ordering::SeqCst), 7, "it is not free before");
            }
        }
        let used = Arc::new(AtomicU64::new(0));
        let memory = || Memory(Arc::clone(&used));
        let left = || {
            used.store(7, Ordering::SeqCst);
            let share = Share { bytes: 7, used: Arc::clone(&used) };
            Left { remains: memory(), workspace: Some(Held { workspace: memory(), _share: share }) }
        };
        // The sandbox has the memory too, for as long as it is not cleared away.
        for clear in [|left: Left<_, _>| left.clear_by(drop), drop] {
            clear(left());
            assert_eq!(used.load(Ordering::SeqCst), 0);
        }
    }

    /// The compiler refuses such a pack (BW0428), but a bundle may come from elsewhere.
    #[test]
    fn sandboxes_that_differ_over_the_workspace_of_a_session_are_refused() {
        let bundle = include_bytes!("../../policy-packs/code-interpreter/expected/bundle.json");
        let sandboxes = bundle::load(bundle).unwrap().policy.sandboxes;
        let one = sandboxes.into_iter().find(|sandbox| sandbox.filesystem.workspace.is_some()).unwrap();
        let other = |change: fn(&mut WorkspaceRule)| {
            let mut other = Sandbox { name: "other".to_owned(), ..one.clone() };
            change(other.filesystem.workspace.as_mut().unwrap());
            check_workspaces(&[one.clone(), other])
        };
        assert!(other(|_| ()).is_ok());
        for change in
            [|rule: &mut WorkspaceRule| rule.size_bytes += 1, |rule: &mut WorkspaceRule| rule.inodes += 1]
        {
            let refused = other(change).unwrap_err().to_string();
            assert!(refused.contains("a session has one workspace, so give both the same"), "{refused}");
        }
    }
}
