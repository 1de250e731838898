//! What an executor that was started as root keeps of root: the capabilities that making sandboxes needs, and
//! no others.
//!
//! It stays uid 0, because launchers are started again when they die or when a policy changes, and only root
//! may map a range of ids and place processes in cgroups of version 1. It gives up what root has beyond that:
//! mounts, modules, tracing, raw sockets, the network's settings, device nodes, `bpf`, the clock. Its
//! launchers inherit the same bound.

use crate::call::{Errno, identity};

/// Capabilities that are kept, by number (`linux/capability.h`): CHOWN and DAC_OVERRIDE for cgroups and a
/// state directory owned by another user, KILL for sandboxes, whose ids are not ours, SETGID and SETUID for
/// their id maps.
const KEPT: [u32; 5] = [0, 1, 5, 6, 7];

/// The kept set in the form of `/proc/<pid>/status`.
#[must_use]
pub fn kept_mask() -> u64 {
    KEPT.iter().fold(0, |mask, capability| mask | 1 << capability)
}

/// Gives up every capability of this process that making sandboxes does not need. Call it while the process
/// has one thread: the sets belong to a thread. Does nothing for an ordinary user, who has none.
///
/// # Errors
/// Errors of `capset(2)`. The capabilities are then unchanged, and the caller must not continue.
pub fn give_up_the_rest() -> Result<(), Errno> {
    identity::narrow_bounding_set(kept_mask())?;
    identity::clear_ambient_set()?;
    identity::narrow_capabilities(kept_mask())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_mask_is_what_status_shows() {
        assert_eq!(super::kept_mask(), 0xe3);
    }
}
