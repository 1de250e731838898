//! Whether a pod has the form that the decision relies on.
//!
//! The API server always sends this form; a manifest from a file may have another. A `containers` that is not
//! a list would be read as "no containers" and pass every rule, so such a pod is denied.

use crate::json::Json;

/// Members of `spec` that are lists of objects.
const LISTS: &[&str] = &["containers", "initContainers", "ephemeralContainers", "volumes"];

/// A field of the wrong form, and what it should be.
pub(super) type Fault = (String, &'static str);

/// The first such field of a pod.
pub(super) fn fault(pod: &Json<'_>) -> Option<Fault> {
    let spec = match pod.get("spec") {
        Some(Json::Map(spec)) => spec,
        _ => return Some(("spec".to_owned(), "an object")),
    };
    for name in LISTS {
        match spec.get(name) {
            None | Some(Json::Null) => {}
            Some(Json::List(items)) => {
                if let Some(at) = items.iter().position(|item| item.as_map().is_none()) {
                    return Some((format!("spec.{name}[{at}]"), "an object"));
                }
            }
            Some(_) => return Some((format!("spec.{name}"), "a list")),
        }
    }
    if !matches!(spec.get("securityContext"), None | Some(Json::Null | Json::Map(_))) {
        return Some(("spec.securityContext".to_owned(), "an object"));
    }
    label_fault(pod)
}

fn label_fault(pod: &Json<'_>) -> Option<(String, &'static str)> {
    match pod.get("metadata") {
        None | Some(Json::Null) => return None,
        Some(Json::Map(_)) => {}
        Some(_) => return Some(("metadata".to_owned(), "an object")),
    }
    match pod.at(&["metadata", "labels"]) {
        None | Some(Json::Null) => None,
        Some(Json::Map(labels)) => labels
            .iter()
            .find(|(_, value)| value.as_str().is_none())
            .map(|(key, _)| (format!("metadata.labels[{key}]"), "a string")),
        Some(_) => Some(("metadata.labels".to_owned(), "an object")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_read_as_empty_is_a_fault() {
        for (pod, want) in [
            (r#"{}"#, Some("spec")),
            (r#"{"spec": null}"#, Some("spec")),
            (r#"{"spec": {"containers": {}}}"#, Some("spec.containers")),
            (r#"{"spec": {"initContainers": [{}, "x"]}}"#, Some("spec.initContainers[1]")),
            (r#"{"spec": {"ephemeralContainers": "x"}}"#, Some("spec.ephemeralContainers")),
            (r#"{"spec": {"volumes": 1}}"#, Some("spec.volumes")),
            (r#"{"spec": {"securityContext": []}}"#, Some("spec.securityContext")),
            (r#"{"spec": {}, "metadata": []}"#, Some("metadata")),
            (r#"{"spec": {}, "metadata": {"labels": {"a": 1}}}"#, Some("metadata.labels[a]")),
            (r#"{"spec": {"containers": [{}], "volumes": null}, "metadata": {"labels": {"a": "1"}}}"#, None),
        ] {
            let fault = fault(&Json::parse(pod.as_bytes()).unwrap());
            assert_eq!(fault.as_ref().map(|(field, _)| field.as_str()), want, "{pod}");
        }
    }
}
