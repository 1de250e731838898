//! Derives one request from another: with a way's wishes in its objects, namespace and user, with a workload
//! around its pod, or with a debugging container in it.

use bailiwick_policy::ir::Root;
use serde_json::Value;

use super::super::shape;
use super::super::wishes::{FRESH, Place, Step, Want, Way};
use super::{objects, security};
use crate::policy_test::{AdmissionCase, CaseUser};

/// The same request as a Deployment of the pod.
pub(super) fn wrapped(case: &AdmissionCase) -> AdmissionCase {
    let mut case = case.clone();
    case.object = case.object.as_ref().map(objects::deployment);
    case
}

/// A request with the wishes of a way.
pub(super) fn apply(case: &AdmissionCase, way: &Way) -> AdmissionCase {
    let mut case = case.clone();
    for (place, want) in way {
        match place.root {
            Root::Object => {
                if let Some(object) = &mut case.object {
                    shape::put(object, &place.steps, want);
                }
            }
            Root::OldObject => {
                if let Some(object) = &mut case.old_object {
                    shape::put(object, &place.steps, want);
                }
            }
            Root::Request => request(&mut case, place, want),
            Root::NamespaceObject => namespace(&mut case, place, want),
            _ => {}
        }
    }
    case
}

fn request(case: &mut AdmissionCase, place: &Place, want: &Want) {
    let text = match want {
        Want::Is(Value::String(text)) | Want::Holds(Value::String(text)) => text.clone(),
        _ => return,
    };
    match place.names().as_slice() {
        ["userInfo", "username"] => {
            case.user_info.get_or_insert_with(CaseUser::default).username = Some(text)
        }
        ["userInfo", "groups"] => case.user_info.get_or_insert_with(CaseUser::default).groups.push(text),
        _ => {}
    }
}

fn namespace(case: &mut AdmissionCase, place: &Place, want: &Want) {
    let Some(namespace) = &mut case.namespace else { return };
    match (place.names().as_slice(), want) {
        (["metadata", "labels", key], Want::Is(Value::String(value))) => {
            namespace.labels.insert((*key).to_owned(), value.clone());
        }
        (["metadata", "labels", key], Want::Absent) => drop(namespace.labels.remove(*key)),
        (["metadata", "labels"], Want::Holds(Value::String(key))) => {
            namespace.labels.insert(key.clone(), "a".to_owned());
        }
        _ => {}
    }
}

/// With a debugging container.
pub(super) fn debugged(case: &AdmissionCase) -> AdmissionCase {
    let mut case = case.clone();
    if let Some(object) = &mut case.object {
        let mut container = object.pointer("/spec/containers/0").cloned().unwrap_or_default();
        if let Some(members) = container.as_object_mut() {
            members.insert("name".to_owned(), "debug".into());
            members.remove("resources");
        }
        security::change(object, &["spec", "ephemeralContainers"], Value::Array(vec![container]));
    }
    case
}

/// The field that a mutation writes: with its value, with another value, and missing.
pub(super) fn field_ways(path: &[String], value: &Value) -> Vec<Way> {
    let step = |name: &String| if name == "*" { Step::Element } else { Step::Member(name.clone()) };
    let place = Place { root: Root::Object, steps: path.iter().map(step).collect() };
    let other = match value {
        Value::Bool(value) => Value::Bool(!value),
        Value::Number(_) => Value::from(1),
        _ => Value::from(FRESH),
    };
    let wants = [Want::Is(value.clone()), Want::Is(other), Want::Absent];
    wants.into_iter().map(|want| vec![(place.clone(), want)]).collect()
}
