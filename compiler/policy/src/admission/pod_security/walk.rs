//! The pass over a pod: what it reads, in which order, and what it finds.

use std::fmt;

use super::checks::{Check, Checks};
use super::security_context::SecurityContext;
use super::tables::{FORBIDDEN_VOLUMES, RESTRICTED_VOLUMES};
use crate::json::{Json, Map};

const APPARMOR_ANNOTATION: &str = "container.apparmor.security.beta.kubernetes.io/";
const SECCOMP_POD_ANNOTATION: &str = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP_CONTAINER_ANNOTATION: &str = "container.seccomp.security.alpha.kubernetes.io/";

/// From this version on, the seccomp profile is a field instead of an annotation.
pub(super) const SECCOMP_FIELD_SINCE: u16 = 19;
/// From this version on, pods with `os: windows` are exempt from Linux-only requirements.
const WINDOWS_SINCE: u16 = 25;
/// From this version on, fewer requirements apply to pods with a user namespace (`hostUsers: false`).
const USER_NAMESPACE_SINCE: u16 = 35;

/// Where a hit is: the pod as a whole or one of its containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Pod,
    /// Name of the list, index in it.
    Container(&'static str, usize),
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pod => out.write_str("spec"),
            Self::Container(list, index) => write!(out, "spec.{list}[{index}]"),
        }
    }
}

/// How a hit takes part in the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A field has a forbidden value.
    Set,
    /// A required field is missing.
    Missing,
    /// An annotation.
    Annotation,
}

/// A field at fault.
#[derive(Debug)]
pub(super) struct Hit<'j> {
    pub(super) check: Check,
    pub(super) place: Place,
    /// Name of the container or volume; empty for the pod.
    pub(super) name: &'j str,
    /// The full field path.
    pub(super) field: String,
    /// The value at fault, as the message shows it.
    pub(super) value: String,
    pub(super) kind: Kind,
}

/// The state of the pass.
pub(super) struct Walk<'j> {
    pub(super) minor: u16,
    pub(super) checks: Checks,
    /// The pod says `os: windows`, and the version takes that into account.
    pub(super) windows: bool,
    /// The pod has a user namespace, and the version takes that into account.
    pub(super) user_namespace: bool,
    /// The pod sets `runAsNonRoot: true` for its containers.
    pub(super) pod_non_root: bool,
    /// The pod sets a good seccomp profile for its containers.
    pub(super) pod_seccomp: bool,
    pub(super) annotations: Option<&'j Map<'j>>,
    pub(super) hits: Vec<Hit<'j>>,
    /// Field paths whose value has an impossible type.
    pub(super) malformed: Vec<String>,
}

impl<'j> Walk<'j> {
    pub(super) const fn new(minor: u16, checks: Checks) -> Self {
        Self {
            minor,
            checks,
            windows: false,
            user_namespace: false,
            pod_non_root: false,
            pod_seccomp: false,
            annotations: None,
            hits: Vec::new(),
            malformed: Vec::new(),
        }
    }

    /// Looks at the whole pod.
    pub(super) fn pod(&mut self, pod: &'j Json<'j>) {
        self.annotations(pod);
        let Some(Json::Map(spec)) = pod.get("spec") else {
            self.malformed.push("spec".to_owned());
            return;
        };
        let mut security_context = SecurityContext::default();
        let mut containers = [("initContainers", None), ("containers", None), ("ephemeralContainers", None)];
        for (key, value) in spec.iter().filter(|(_, value)| **value != Json::Null) {
            match key {
                "securityContext" => security_context = self.read_security_context(Place::Pod, value),
                "hostNetwork" | "hostPID" | "hostIPC" => self.host_namespace(key, value),
                "hostUsers" => {
                    self.user_namespace = self.minor >= USER_NAMESPACE_SINCE && *value == Json::Bool(false)
                }
                "os" => {
                    let name = value.get("name").and_then(Json::as_str);
                    self.windows = self.minor >= WINDOWS_SINCE && name == Some("windows");
                }
                "volumes" => self.volumes(value),
                _ => {
                    if let Some(list) = containers.iter_mut().find(|(list, _)| *list == key) {
                        list.1 = Some(value);
                    }
                }
            }
        }
        // Containers come last: what they must set depends on what the pod sets.
        self.pod_security_context(&security_context);
        for (list, value) in containers {
            let Some(value) = value else { continue };
            for (index, container) in self.list(Place::Pod, list, value).iter().enumerate() {
                self.container(Place::Container(list, index), container);
            }
        }
    }

    /// The elements of a value that must be a list; anything else is a fault.
    pub(super) fn list(&mut self, place: Place, at: &str, value: &'j Json<'j>) -> &'j [Json<'j>] {
        match value {
            Json::List(items) => items,
            Json::Null => &[],
            _ => {
                self.malformed.push(format!("{place}.{at}"));
                &[]
            }
        }
    }

    /// A value that must be an object; anything else except null is a fault.
    pub(super) fn object(&mut self, place: Place, at: &str, value: &'j Json<'j>) -> Option<&'j Map<'j>> {
        match value {
            Json::Map(map) => Some(map),
            Json::Null => None,
            _ => {
                self.malformed.push(format!("{place}.{at}"));
                None
            }
        }
    }

    /// Records a field at fault; `at` is its path below the place.
    pub(super) fn hit(
        &mut self,
        check: Check,
        place: Place,
        name: &'j str,
        at: &str,
        value: String,
        kind: Kind,
    ) {
        let field = if kind == Kind::Annotation {
            format!("metadata.annotations[{at}]")
        } else {
            format!("{place}.{at}")
        };
        self.hits.push(Hit { check, place, name, field, value, kind });
    }

    fn annotations(&mut self, pod: &'j Json<'j>) {
        let metadata = pod.get("metadata").unwrap_or(&Json::Null);
        if !matches!(metadata, Json::Map(_) | Json::Null) {
            self.malformed.push("metadata".to_owned());
        }
        let annotations = match metadata.get("annotations") {
            None | Some(Json::Null) => return,
            Some(Json::Map(annotations)) => annotations,
            Some(_) => return self.malformed.push("metadata.annotations".to_owned()),
        };
        self.annotations = Some(annotations);
        for (key, value) in annotations.iter().filter(|(key, _)| key.starts_with(APPARMOR_ANNOTATION)) {
            let good = matches!(value.as_str(), Some(text) if text.is_empty() || text == "runtime/default" || text.starts_with("localhost/"));
            if self.checks.has(Check::AppArmorProfile) && !good {
                let shown = format!("{key}={:?}", shown(value));
                self.hit(Check::AppArmorProfile, Place::Pod, "", key, shown, Kind::Annotation);
            }
        }
        self.seccomp_annotation(SECCOMP_POD_ANNOTATION);
    }

    /// The annotation of a container, which names its seccomp profile in versions before the field existed.
    pub(super) fn seccomp_container_annotation(&mut self, name: &str) {
        if self.annotations.is_some() && self.minor < SECCOMP_FIELD_SINCE {
            self.seccomp_annotation(&format!("{SECCOMP_CONTAINER_ANNOTATION}{name}"));
        }
    }

    fn seccomp_annotation(&mut self, key: &str) {
        if self.minor >= SECCOMP_FIELD_SINCE || !self.checks.has(Check::SeccompBaseline) {
            return;
        }
        let Some(value) = self.annotations.and_then(|annotations| annotations.get(key)) else { return };
        let good = matches!(value.as_str(), Some(text) if ["runtime/default", "docker/default"].contains(&text) || text.starts_with("localhost/"));
        if !good {
            let shown = format!("{key}={:?}", shown(value));
            self.hit(Check::SeccompBaseline, Place::Pod, "", key, shown, Kind::Annotation);
        }
    }

    fn host_namespace(&mut self, key: &str, value: &Json<'_>) {
        if self.checks.has(Check::HostNamespaces) && *value != Json::Bool(false) {
            self.hit(Check::HostNamespaces, Place::Pod, "", key, format!("{key}=true"), Kind::Set);
        }
    }

    fn volumes(&mut self, value: &'j Json<'j>) {
        let Some(check) = self.checks.either(Check::RestrictedVolumes, Check::HostPathVolumes) else {
            return;
        };
        for (index, volume) in self.list(Place::Pod, "volumes", value).iter().enumerate() {
            let _ = self.object(Place::Pod, "volumes", volume);
            let name = volume.get("name").and_then(Json::as_str).unwrap_or("");
            let source = match check {
                Check::HostPathVolumes => is_set(volume, "hostPath").then_some("hostPath"),
                _ => forbidden_source(volume),
            };
            let Some(source) = source else { continue };
            let at = if source == "unknown" {
                format!("volumes[{index}]")
            } else {
                format!("volumes[{index}].{source}")
            };
            self.hit(check, Place::Pod, name, &at, source.to_owned(), Kind::Set);
        }
    }
}

fn is_set(object: &Json<'_>, key: &str) -> bool {
    !matches!(object.get(key), None | Some(Json::Null))
}

/// Why restricted does not allow a volume: its source, or `unknown`. The API server turns a volume without a
/// source into an emptyDir.
fn forbidden_source(volume: &Json<'_>) -> Option<&'static str> {
    let set = |source: &&&str| is_set(volume, source);
    let has_source = volume
        .as_map()
        .is_none_or(|volume| volume.iter().any(|(key, value)| key != "name" && *value != Json::Null));
    if !has_source || RESTRICTED_VOLUMES.iter().any(|source| set(&source)) {
        return None;
    }
    Some(FORBIDDEN_VOLUMES.iter().find(set).copied().unwrap_or("unknown"))
}

/// A scalar as messages show it.
pub(super) fn shown(value: &Json<'_>) -> String {
    match value {
        Json::Str(text) => text.clone().into_owned(),
        Json::Int(number) => number.to_string(),
        Json::Bool(value) => value.to_string(),
        Json::Double(number) => number.to_string(),
        Json::Null => String::new(),
        Json::List(_) => "a list".to_owned(),
        Json::Map(_) => "an object".to_owned(),
    }
}
