//! What a request may still change of an object, and so what a mutation may write into it.
//!
//! Everything of a new object, and a few fields of a pod that exists. Two subresources change one part of its
//! spec each; the API server takes back, without a word, what a mutation writes anywhere else, or refuses the
//! whole request. So only that part of a mutation is written there.
//! <https://github.com/kubernetes/kubernetes/blob/master/pkg/registry/core/pod/strategy.go>,
//! `dropNonResizeUpdates` and `dropNonEphemeralContainerUpdates`;
//! <https://github.com/kubernetes/kubernetes/blob/master/pkg/apis/core/validation/validation.go>,
//! `ValidatePodResize` and `ValidatePodEphemeralContainersUpdate`

use std::borrow::Cow;

use crate::json::{Json, Map};
use crate::policy::Mutation;

use super::pointer::{get, remove, segments, set};
use super::request::{AdmissionRequest, Operation};
use super::targets;
use super::templates::Place;

const DEBUGGING: &str = "ephemeralContainers";

/// What a request may change.
#[derive(Clone, Copy, Debug)]
pub(super) enum Changeable<'m> {
    /// Everything: the object is new, or no pod.
    All,
    /// What an update changes of a pod that exists.
    StoredPod,
    /// What a subresource changes of a pod that exists; with that pod.
    Through(Way, &'m Json<'m>),
}

/// A subresource of pods that changes their spec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Adds debugging containers; those that are there stay as they are.
    EphemeralContainers,
    /// CPU and memory of containers that are there, and of the pod.
    Resize,
}

impl Way {
    /// Paths of what it changes: `*` is any segment, `|` separates alternatives.
    const fn paths(self) -> &'static [&'static [&'static str]] {
        match self {
            Self::EphemeralContainers => &[&["spec", DEBUGGING]],
            Self::Resize => &[
                &["spec", "containers|initContainers", "*", "resources", "limits|requests", "cpu|memory"],
                &["spec", "resources", "limits|requests", "cpu|memory"],
            ],
        }
    }
}

impl<'m> Changeable<'m> {
    /// What a request may change; `None`: nothing is written into it.
    pub(super) fn of(place: Option<Place>, request: &'m AdmissionRequest<'_>) -> Option<Self> {
        const NOTHING: &Json<'static> = &Json::Null;
        let update = match request.operation {
            Operation::Create => false,
            Operation::Update => true,
            Operation::Delete | Operation::Connect => return None,
        };
        let through = |way| Self::Through(way, request.old_object.as_ref().unwrap_or(NOTHING));
        match (&*request.sub_resource, place == Some(Place::Pod)) {
            ("", true) if update => Some(Self::StoredPod),
            ("", _) => Some(Self::All),
            ("ephemeralcontainers", true) => Some(through(Way::EphemeralContainers)),
            ("resize", true) => Some(through(Way::Resize)),
            _ => None,
        }
    }

    /// Whether the object is a pod that exists.
    pub(super) const fn is_stored_pod(self) -> bool {
        !matches!(self, Self::All)
    }

    /// Whether a write at this path may change something. A path ends above or below what changes; `*` in it
    /// stands for any segment.
    pub(super) fn takes(self, path: &[String]) -> bool {
        let along = |pattern: &[&str]| {
            path.iter().zip(pattern).all(|(segment, one)| {
                segment == "*" || *one == "*" || one.split('|').any(|other| other == segment)
            })
        };
        match self {
            Self::All => true,
            Self::StoredPod => !targets::immutable_in_stored_pod(path),
            Self::Through(way, _) => way.paths().iter().any(|pattern| along(pattern)),
        }
    }

    /// Whether a mutation may change something, as far as this can be told without evaluating it.
    pub(super) fn concerns(self, mutation: &Mutation) -> bool {
        match (self, mutation) {
            (Self::Through(..), Mutation::Field { path, .. }) => self.takes(path),
            _ => true,
        }
    }

    /// Whether some operation of a JSON Patch may change something. One that is not well formed may: it is
    /// refused when it is applied.
    pub(super) fn takes_some(self, operations: &Json<'_>) -> bool {
        let Json::List(operations) = operations else { return true };
        !matches!(self, Self::Through(..))
            || operations.iter().any(|operation| {
                let path = operation.get("path").and_then(Json::as_str).map(segments);
                !matches!(path, Some(Ok(path)) if !self.takes(&path))
            })
    }

    /// A partial object without what a subresource does not change: a list that cannot be merged there must
    /// not keep out what can be written.
    pub(super) fn pruned(self, partial: Json<'static>) -> Json<'static> {
        let Self::Through(way, old) = self else { return partial };
        let mut members = match partial {
            Json::Map(members) => members,
            other => return other,
        };
        let Some(Json::Map(mut spec)) = members.remove("spec") else {
            return Json::Map(Map::new());
        };
        match way {
            Way::EphemeralContainers => {
                spec.retain(|key, _| key == DEBUGGING);
                if let Some(Json::List(containers)) = spec.get_mut(DEBUGGING) {
                    containers.retain(|one| named(old, DEBUGGING, one).is_none());
                }
            }
            Way::Resize => {
                spec.retain(|key, _| matches!(key, "containers" | "initContainers" | "resources"));
                for list in ["containers", "initContainers"] {
                    let Some(Json::List(containers)) = spec.get_mut(list) else { continue };
                    for container in containers {
                        if let Json::Map(container) = container {
                            container.retain(|key, _| matches!(key, "name" | "resources"));
                        }
                    }
                }
            }
        }
        Json::Map(std::iter::once((Cow::Borrowed("spec"), Json::Map(spec))).collect())
    }

    /// The object after a mutation, with no more of it than a subresource changes.
    pub(super) fn kept<'a>(self, before: &Json<'a>, after: Json<'a>) -> Json<'a> {
        match self {
            Self::All | Self::StoredPod => after,
            Self::Through(Way::EphemeralContainers, old) => debugged(before, &after, old),
            Self::Through(Way::Resize, old) => resized(before, &after, old),
        }
    }
}

/// The container of this one's name.
fn named<'j, 'a>(pod: &'j Json<'a>, list: &str, container: &Json<'_>) -> Option<&'j Json<'a>> {
    pod.at(&["spec", list])?.items().iter().find(|one| one.get("name") == container.get("name"))
}

/// The pod with the debugging containers that are new as they are after the mutation.
fn debugged<'a>(before: &Json<'a>, after: &Json<'a>, old: &Json<'_>) -> Json<'a> {
    let containers =
        |pod: &Json<'a>| pod.at(&["spec", DEBUGGING]).map(Json::items).unwrap_or_default().to_vec();
    let stays = |one: &Json<'a>| named(old, DEBUGGING, one).is_some();
    let mut all: Vec<Json<'a>> = containers(before);
    all.retain(|one| stays(one) && named(after, DEBUGGING, one).is_none());
    all.extend(containers(after).into_iter().map(|one| match named(before, DEBUGGING, &one) {
        Some(as_it_was) if stays(&one) => as_it_was.clone(),
        _ => one,
    }));
    let mut kept = before.clone();
    if all != containers(before) {
        // Cannot fail for a pod whose shape was checked: its spec is an object.
        let _ = set(&mut kept, &["spec".to_owned(), DEBUGGING.to_owned()], Json::List(all));
    }
    kept
}

/// The pod with the CPU and memory that its containers, and it as a whole, have after the mutation, as far as the
/// request changes them. An amount that it leaves alone stays: with another one, the API server may refuse the
/// resize of a pod that is older than the mutation, since no resize changes a pod's class of service.
fn resized<'a>(before: &Json<'a>, after: &Json<'a>, old: &Json<'_>) -> Json<'a> {
    const RESOURCES: &str = "resources";
    let mut kept = before.clone();
    for list in ["containers", "initContainers"] {
        let containers = before.at(&["spec", list]).map(Json::items).unwrap_or_default();
        for (index, container) in containers.iter().enumerate() {
            let was = named(old, list, container).and_then(|one| one.get(RESOURCES));
            if let Some(written) = named(after, list, container) {
                let at = ["spec", list, &index.to_string(), RESOURCES].map(str::to_owned);
                amounts(&mut kept, &at, written.get(RESOURCES), was);
            }
        }
    }
    let at = ["spec", RESOURCES];
    amounts(&mut kept, &at.map(str::to_owned), after.at(&at), old.at(&at));
    kept
}

/// Takes over CPU and memory that the request changes. What the stored pod has, no request can take away.
fn amounts<'a>(pod: &mut Json<'a>, at: &[String], written: Option<&Json<'a>>, was: Option<&Json<'_>>) {
    for path in [["limits", "cpu"], ["limits", "memory"], ["requests", "cpu"], ["requests", "memory"]] {
        let target: Vec<String> = at.iter().cloned().chain(path.map(str::to_owned)).collect();
        let (here, stored) = (get(pod, &target), was.and_then(|was| was.at(&path)));
        match written.and_then(|written| written.at(&path)) {
            _ if here == stored => {}
            amount if amount == here => {}
            // Cannot fail where the mutation wrote it.
            Some(amount) => drop(set(pod, &target, amount.clone())),
            None if stored.is_some() => {}
            None => drop(remove(pod, &target)),
        }
    }
}
