//! How much can be written in a sandbox: exact, a comparison of the capacities of writable areas and of the
//! workspace, by their paths. Whether a path can be written at all is a matter of its files.

use std::collections::BTreeMap;

use bailiwick_policy::policy::sandboxes::Filesystem;

use super::{Diff, limits};
use crate::paths::below;

/// A directory that can be written.
struct Room<'p> {
    path: &'p str,
    /// Its name in a pack.
    name: String,
    capacity: Capacity,
}

/// In bytes and in files.
type Capacity = (u64, u64);

pub(super) fn compare(at: &str, old: &Filesystem, new: &Filesystem, out: &mut Diff) {
    let (olds, news) = (rooms(old), rooms(new));
    let mut tell = |name: &str, old: Capacity, new: Capacity| {
        let of = |what: &str| format!("{at}.filesystem.{name}.{what}");
        out.changes.extend(limits::amount(&of("size"), "bytes", Some(old.0), Some(new.0)));
        out.changes.extend(limits::amount(&of("inodes"), "", Some(old.1), Some(new.1)));
    };
    for room in &news {
        if let Some(before) = at_path(&olds, room.path) {
            tell(&room.name, before, room.capacity);
        }
    }
    for (room, within) in apart(&news, &olds) {
        tell(room.name, room.capacity, within);
    }
    for (room, within) in apart(&olds, &news) {
        tell(room.name, within, room.capacity);
    }
}

fn rooms(files: &Filesystem) -> Vec<Room<'_>> {
    let areas = files.writable.iter().map(|area| Room {
        path: &area.path,
        name: format!("writable.{}", area.path),
        capacity: (area.size_bytes, area.inodes),
    });
    let workspace = files.workspace.iter().map(|workspace| Room {
        path: &workspace.path,
        name: "workspace".to_owned(),
        capacity: (workspace.size_bytes, workspace.inodes),
    });
    areas.chain(workspace).collect()
}

fn at_path(rooms: &[Room<'_>], path: &str) -> Option<Capacity> {
    rooms.iter().find(|room| room.path == path).map(|room| room.capacity)
}

/// A room of the other side, and what it is compared with.
struct Around<'p> {
    name: &'p str,
    capacity: Capacity,
}

/// The rooms of one side at paths that are no room of the other, all together by the room of the other side around
/// them: that, and what all of them hold. If their own side has that room too, they add to it, so that they are
/// compared with nothing. Where the other side has no room around, nothing can be written there, and the files
/// themselves are the difference.
fn apart<'p>(own: &[Room<'_>], others: &'p [Room<'p>]) -> Vec<(Around<'p>, Capacity)> {
    let mut found: BTreeMap<&str, (Around<'p>, Capacity)> = BTreeMap::new();
    for room in own.iter().filter(|room| at_path(others, room.path).is_none()) {
        let around = others.iter().filter(|other| below(room.path, other.path));
        let Some(around) = around.max_by_key(|other| other.path.len()) else { continue };
        let adds = at_path(own, around.path).is_some();
        let capacity = if adds { (0, 0) } else { around.capacity };
        let (_, within) =
            found.entry(around.path).or_insert((Around { name: &around.name, capacity }, (0, 0)));
        *within = (within.0.saturating_add(room.capacity.0), within.1.saturating_add(room.capacity.1));
    }
    found.into_values().collect()
}
