//! How much can be written in a sandbox: exact, a comparison of the capacities of writable areas and of the
//! workspace, by their paths. Whether a path can be written at all is a matter of its files.

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
        if let Some(before) = at_path(&olds, room.path).or_else(|| instead(&olds, &news, room.path)) {
            tell(&room.name, before, room.capacity);
        }
    }
    for room in olds.iter().filter(|room| at_path(&news, room.path).is_none()) {
        if let Some(after) = instead(&news, &olds, room.path) {
            tell(&room.name, room.capacity, after);
        }
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

/// What files below a path count against where the path is no room of its own: the room around it. If the
/// side that has the path has that room too, the path adds to it, so that the other side has nothing instead.
/// `None`: nothing can be written there.
fn instead(rooms: &[Room<'_>], others: &[Room<'_>], path: &str) -> Option<Capacity> {
    let around = rooms.iter().filter(|room| below(path, room.path)).max_by_key(|room| room.path.len())?;
    Some(if at_path(others, around.path).is_some() { (0, 0) } else { around.capacity })
}
