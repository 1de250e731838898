//! Which parts of a new pod no policy reads, so that reading a review need not build them: half of a typical
//! pod is environment, arguments, mounts and resources of its containers.
//!
//! Only for `/validate` of a pod that is created. Mutation writes into the whole object, an UPDATE is
//! compared with the object before it, and a template becomes another pod. Terms. *Candidate*: a field of a
//! container that no section reads; [`Reads`](super::reads) says whether a rule does.

use super::reviewer::Bound;

/// The lists of containers.
const LISTS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

/// Fields of a container that neither Pod Security nor any other section reads. A field that a section starts
/// to read must be removed here: `sections_do_not_read_what_is_left_out` compares.
pub(super) const CANDIDATES: [&str; 14] = [
    "args",
    "command",
    "env",
    "envFrom",
    "resizePolicy",
    "resources",
    "stdin",
    "stdinOnce",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "tty",
    "volumeDevices",
    "volumeMounts",
    "workingDir",
];

/// The candidates that no rule of the policies in force reads either.
#[derive(Debug, Default)]
pub(super) struct Unread {
    fields: Vec<&'static str>,
}

impl Unread {
    pub(super) fn new(policies: &[Bound]) -> Self {
        let mut reads = policies.iter().flat_map(|bound| &bound.ready).flat_map(|rule| rule.reads.all());
        let mut fields = CANDIDATES.to_vec();
        reads.all(|read| {
            fields.retain(|field| !LISTS.iter().any(|list| read.touches(&["spec", list, "*", field])));
            !fields.is_empty()
        });
        Self { fields }
    }

    /// The index of a field of a container among those that can be left out; less than the length of
    /// [`CANDIDATES`].
    pub(super) fn position(&self, field: &str) -> Option<usize> {
        self.fields.iter().position(|one| *one == field)
    }

    /// Whether this member of a pod's spec is a list of containers.
    pub(super) fn is_containers(member: &str) -> bool {
        LISTS.contains(&member)
    }
}
