//! Where mutations may write: the targets of a field path, and the fields that no mutation may touch.

use crate::json::Json;

use super::pointer::position;
use super::templates::Place;

/// The most targets of one field path; a pod has some dozens of containers.
const MAX_TARGETS: usize = 10_000;

/// The concrete paths of a field path with `*`, which means every element of a list or member of an object
/// that exists.
pub(super) fn expand(object: &Json<'_>, path: &[String]) -> Vec<Vec<String>> {
    let mut done = vec![Vec::new()];
    for segment in path {
        done = done
            .into_iter()
            .flat_map(|stem: Vec<String>| below(object, stem, segment))
            .take(MAX_TARGETS)
            .collect();
    }
    done
}

fn below(object: &Json<'_>, stem: Vec<String>, segment: &str) -> Vec<Vec<String>> {
    let with = |last: String| stem.iter().cloned().chain([last]).collect();
    if segment != "*" {
        return vec![with(segment.to_owned())];
    }
    match super::pointer::get(object, &stem) {
        Some(Json::List(items)) => (0..items.len()).map(|at| with(at.to_string())).collect(),
        Some(Json::Map(members)) => members.iter().map(|(key, _)| with(key.to_owned())).collect(),
        _ => Vec::new(),
    }
}

/// Why a leaf may not be written, if so. `selected`: whether a selector reads a label.
pub(super) fn forbidden(
    path: &[String],
    place: Option<Place>,
    selected: impl Fn(&str) -> bool,
) -> Option<String> {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    let identity = |path: &[&str]| match path {
        ["metadata", "namespace"] => Some("`namespace`".to_owned()),
        ["metadata", "labels", label] if selected(label) => {
            Some(format!("label `{label}`, which a selector reads"))
        }
        ["spec", field @ ("serviceAccountName" | "serviceAccount" | "nodeName")] => {
            Some(format!("`{field}`"))
        }
        _ => None,
    };
    let of_object = match path.as_slice() {
        [
            "metadata",
            field
            @ ("name" | "generateName" | "uid" | "ownerReferences" | "finalizers" | "deletionTimestamp"),
            ..,
        ] => Some(format!("`metadata.{field}`")),
        [field @ ("apiVersion" | "kind" | "status"), ..] => Some(format!("`{field}`")),
        other => identity(other),
    };
    let of_template = match place {
        Some(Place::Template(stem)) => path.strip_prefix(stem).and_then(identity),
        _ => None,
    };
    of_object.or(of_template)
}

/// Whether a field of a stored pod cannot be changed.
/// <https://kubernetes.io/docs/concepts/workloads/pods/#pod-update-and-replacement>
pub(super) fn immutable_in_stored_pod(path: &[String]) -> bool {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    !matches!(
        path.as_slice(),
        // If the whole object may change, a part may.
        [] | ["metadata", "labels" | "annotations", ..]
            | ["spec", "containers" | "initContainers", _, "image"]
            | ["spec", "activeDeadlineSeconds" | "terminationGracePeriodSeconds"]
    )
}

/// A path as findings write it.
pub(super) fn field(path: &[String]) -> String {
    let mut out = String::new();
    for segment in path {
        if position(segment).is_some() || segment.contains(['.', '/']) {
            out.push_str(&format!("[{segment}]"));
        } else {
            if !out.is_empty() {
                out.push('.');
            }
            out.push_str(segment);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Vec<String> {
        text.split('|').map(str::to_owned).collect()
    }

    #[test]
    fn a_star_stands_for_what_is_there() {
        let object = Json::parse(br#"{"spec": {"containers": [{}, {}], "m": {"a": 1}}}"#).unwrap();
        let shown =
            |text: &str| expand(&object, &path(text)).iter().map(|one| field(one)).collect::<Vec<_>>();
        assert_eq!(shown("spec|containers|*|x"), ["spec.containers[0].x", "spec.containers[1].x"]);
        assert_eq!(shown("spec|m|*"), ["spec.m.a"]);
        assert_eq!(shown("spec|initContainers|*|x"), Vec::<String>::new());
        assert_eq!(shown("metadata|labels|a.b/c"), ["metadata.labels[a.b/c]"]);
    }

    #[test]
    fn what_identifies_or_places_a_pod_is_forbidden_in_templates_too() {
        let selected = |label: &str| label == "app";
        let template = Some(Place::Template(&["spec", "template"]));
        for (text, place, want) in [
            ("metadata|namespace", None, true),
            ("metadata|labels|app", None, true),
            ("metadata|labels|other", None, false),
            ("spec|nodeName", Some(Place::Pod), true),
            ("spec|serviceAccountName", Some(Place::Pod), true),
            ("spec|serviceAccount", Some(Place::Pod), true),
            ("spec|template|spec|nodeName", template, true),
            ("spec|template|metadata|labels|app", template, true),
            ("spec|template|spec|priority", template, false),
            ("status|phase", None, true),
            ("metadata|ownerReferences|0|name", None, true),
        ] {
            assert_eq!(forbidden(&path(text), place, selected).is_some(), want, "{text}");
        }
    }
}
