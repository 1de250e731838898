//! Places: the groups of a sandbox other than its memory's, on cgroup v1. Whether a sandbox has left anything in
//! them can be asked when its processes are gone, so the next sandbox with the same limits has them.
//! Making and removing them took an eighth of the processor time of a sandbox. A group of memory is used once:
//! pages and kernel objects that outlive a sandbox stay charged to it (ADR 34).

use std::sync::{Mutex, PoisonError};

use crate::profile::CgroupLimits;

use super::Layout;
use super::files::Directory;
use super::meters::PlaceMeters;

/// How many are kept: as many as a busy executor clears away before it builds. Each takes some ten kilobytes
/// of kernel memory and five descriptors.
const KEPT: usize = 32;

/// A place without a sandbox.
#[derive(Debug)]
pub(super) struct Place {
    /// The limits that are written in it; that of memory means nothing here.
    pub(super) limits: CgroupLimits,
    /// The directory of memory in it does not exist any more.
    pub(super) layout: Layout<Directory>,
    pub(super) meters: PlaceMeters,
}

/// The places of a root.
#[derive(Debug, Default)]
pub(super) struct Places(Mutex<Vec<Place>>);

impl Places {
    /// One with these limits, the one that was used last.
    pub(super) fn take(&self, limits: &CgroupLimits) -> Option<Place> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.iter().rposition(|place| {
            (place.limits.processes, place.limits.cpu_milli) == (limits.processes, limits.cpu_milli)
        })?;
        Some(kept.remove(found))
    }

    /// Keeps one. Of too many, the one that nobody has wanted for longest is returned, to be removed.
    pub(super) fn keep(&self, place: Place) -> Option<Place> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push(place);
        (kept.len() > KEPT).then(|| kept.remove(0))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;

    fn place(processes: u64, name: &str) -> Place {
        let root = Arc::new(std::fs::File::open("/").unwrap().into());
        let group = Directory::of_root(Path::new("/").to_owned(), root).group(name);
        let limits = CgroupLimits { memory_bytes: None, processes: Some(processes), cpu_milli: None };
        let layout = Layout::V2 { group };
        let meters = PlaceMeters::open(&layout);
        Place { limits, layout, meters }
    }

    fn name(place: &Place) -> String {
        place.layout.memory().path.display().to_string()
    }

    #[test]
    fn the_last_one_with_the_limits_is_taken_and_the_first_one_makes_room() {
        let places = Places::default();
        assert!((0..KEPT).all(|at| places.keep(place(8, &format!("p{at}"))).is_none()));
        assert_eq!(places.keep(place(9, "last")).as_ref().map(name).as_deref(), Some("/p0"));
        let limits = place(8, "").limits;
        assert_eq!(places.take(&limits).as_ref().map(name), Some(format!("/p{}", KEPT - 1)));
        assert!(places.take(&place(7, "").limits).is_none());
        // Whatever the limit on memory is.
        let other = CgroupLimits { memory_bytes: Some(1), ..place(9, "").limits };
        assert_eq!(places.take(&other).as_ref().map(name).as_deref(), Some("/last"));
    }
}
