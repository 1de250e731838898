//! Merging a partial object into an object, as server-side apply merges what an applier states.
//!
//! Objects merge member by member. A list that is a map (`containers` by `name`, `ports` by `containerPort` and `protocol`) merges element by
//! element, as the API server's schema says; what is stated of an element that is not there adds it. Any other list stands for itself as a
//! whole. Where elements are there already that the partial object does not have, writing it would lose them, so that is refused: so are all lists
//! of custom resources, whose keys nobody knows here. The API server refuses in `MutatingAdmissionPolicy` what is atomic for the same reason.
//! <https://kubernetes.io/docs/reference/using-api/server-side-apply/#merge-strategy>

use std::collections::HashMap;

use crate::json::{Json, Map};

use super::allowance::Allowance;
use super::schema::{self, Field, Type, TypeId};

/// Why a partial object is refused, and at which field.
pub(super) type Refused = (String, String);

/// Merges a partial object into an object.
pub(super) fn merge<'a>(object: &mut Json<'a>, partial: Json<'a>) -> Result<(), Refused> {
    Allowance::new().take(&[], &partial).map_err(|message| (message, String::new()))?;
    let ty = type_of(object);
    into(object, partial, Known { ty, keys: "" }, &mut Vec::new())
}

/// What is known of a place: its type, and the keys of the list that it is.
#[derive(Clone, Copy)]
struct Known {
    ty: Type,
    keys: &'static str,
}

impl Known {
    const NOTHING: Self = Self { ty: Type::Dyn, keys: "" };

    fn member(self, name: &str) -> Self {
        match self.ty {
            Type::Object(ty) => schema::field(ty, name)
                .map_or(Self::NOTHING, |Field { ty, list_keys, .. }| Self { ty, keys: list_keys }),
            Type::Map(value) => Self { ty: *value, keys: "" },
            _ => Self::NOTHING,
        }
    }

    /// The object type of the elements, if the list is a map.
    fn keyed(self) -> Option<(TypeId, &'static str)> {
        match self.ty {
            Type::List(Type::Object(element)) if !self.keys.is_empty() => Some((*element, self.keys)),
            _ => None,
        }
    }
}

/// The type of an object by its own words; of a custom kind nothing is known.
fn type_of(object: &Json<'_>) -> Type {
    let text = |name: &str| object.get(name).and_then(Json::as_str).unwrap_or_default();
    let (group, version) = text("apiVersion").split_once('/').unwrap_or(("", text("apiVersion")));
    schema::root(group, version, text("kind")).map_or(Type::Dyn, Type::Object)
}

/// A segment of a field path.
enum Step {
    Member(String),
    At(usize),
}

fn shown(path: &[Step]) -> String {
    let mut out = String::new();
    for step in path {
        match step {
            Step::At(at) => out.push_str(&format!("[{at}]")),
            Step::Member(name) if name.contains('.') => out.push_str(&format!("[{name}]")),
            Step::Member(name) if out.is_empty() => out.push_str(name),
            Step::Member(name) => out.push_str(&format!(".{name}")),
        }
    }
    out
}

fn into<'a>(
    here: &mut Json<'a>,
    stated: Json<'a>,
    known: Known,
    path: &mut Vec<Step>,
) -> Result<(), Refused> {
    match (here, stated) {
        (Json::Map(members), Json::Map(stated)) => {
            // A null says nothing: the partial object leaves a field out by not naming it.
            for (key, value) in stated.into_iter().filter(|(_, value)| *value != Json::Null) {
                path.push(Step::Member(key.clone().into_owned()));
                let known = known.member(&key);
                match members.get_mut(&key) {
                    Some(member) => into(member, value, known, path)?,
                    None => {
                        members.insert(key, fresh(value, known, path)?);
                    }
                }
                path.pop();
            }
            Ok(())
        }
        (Json::List(items), Json::List(stated)) if !items.is_empty() => list(items, stated, known, path),
        (here, stated) => {
            *here = fresh(stated, known, path)?;
            Ok(())
        }
    }
}

/// A value where nothing was: the same, without the nulls in objects.
fn fresh<'a>(stated: Json<'a>, known: Known, path: &mut Vec<Step>) -> Result<Json<'a>, Refused> {
    match stated {
        Json::Map(_) => {
            let mut object = Json::Map(Map::new());
            into(&mut object, stated, known, path)?;
            Ok(object)
        }
        Json::List(items) => {
            let items = items.into_iter().map(|item| fresh(item, Known::NOTHING, path));
            items.collect::<Result<Vec<_>, _>>().map(Json::List)
        }
        other => Ok(other),
    }
}

/// Into a list that has elements.
fn list<'a>(
    items: &mut Vec<Json<'a>>,
    stated: Vec<Json<'a>>,
    known: Known,
    path: &mut Vec<Step>,
) -> Result<(), Refused> {
    let Some((element, keys)) = known.keyed() else {
        if *items == stated {
            return Ok(());
        }
        let message = "the list stands for itself as a whole, and elements that are there would be lost; write it with `jsonPatch`";
        return Err((message.to_owned(), shown(path)));
    };
    let mut places = HashMap::new();
    for (at, item) in items.iter().enumerate() {
        places.entry(identity(item, element, keys)).or_insert(at);
    }
    let known = Known { ty: Type::Object(element), keys: "" };
    for one in stated {
        let identity = identity(&one, element, keys);
        if identity.iter().any(Option::is_none) {
            return Err((format!("an element has no `{keys}`, by which the list is merged"), shown(path)));
        }
        let at = places.get(&identity).copied().unwrap_or(items.len());
        path.push(Step::At(at));
        match items.get_mut(at) {
            Some(item) => into(item, one, known, path)?,
            None => {
                items.push(fresh(one, known, path)?);
                places.insert(identity, at);
            }
        }
        path.pop();
    }
    Ok(())
}

/// The values of an element's keys; one that is not there counts as its default, `TCP` of a protocol. An empty text, which the schema calls the
/// default of many names, is none.
fn identity(item: &Json<'_>, element: TypeId, keys: &str) -> Vec<Option<String>> {
    let default = |key: &str| schema::field(element, key)?.default.filter(|text| *text != r#""""#);
    let value = |key: &str| match item.get(key) {
        None | Some(Json::Null) => default(key).map(str::to_owned),
        Some(value) => serde_json::to_string(value).ok(),
    };
    keys.split(',').map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Json<'static> {
        Json::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{error}: {text}")).into_owned()
    }

    fn merged(object: &str, partial: &str) -> Result<Json<'static>, Refused> {
        let mut object = json(object);
        merge(&mut object, json(partial))?;
        Ok(object)
    }

    const POD: &str = r#"{"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [
        {"name": "app", "image": "a", "ports": [{"containerPort": 80}], "args": ["x"]}, {"name": "sidecar", "image": "s"}]}}"#;

    #[test]
    fn containers_merge_by_name_and_none_is_lost() {
        let partial = r#"{"spec": {"containers": [
            {"name": "sidecar", "imagePullPolicy": "Always", "env": [{"name": "A", "value": "1"}]},
            {"name": "new", "image": "n", "stdin": null},
            {"name": "app", "ports": [{"containerPort": 80, "protocol": "TCP", "name": "http"}, {"containerPort": 80, "protocol": "UDP"}]}]}}"#;
        let want = r#"{"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [
            {"name": "app", "image": "a", "ports": [{"containerPort": 80, "protocol": "TCP", "name": "http"}, {"containerPort": 80, "protocol": "UDP"}], "args": ["x"]},
            {"name": "sidecar", "image": "s", "imagePullPolicy": "Always", "env": [{"name": "A", "value": "1"}]},
            {"name": "new", "image": "n"}]}}"#;
        assert_eq!(merged(POD, partial).unwrap(), json(want));
    }

    #[test]
    fn nulls_are_left_out_of_lists_that_are_new_too() {
        let partial = r#"{"spec": {"initContainers": [{"name": "x", "securityContext": null}]}}"#;
        let merged = merged(POD, partial).unwrap();
        let added = merged.at(&["spec", "initContainers"]);
        assert_eq!(added, Some(&json(r#"[{"name": "x"}]"#)));
    }

    #[test]
    fn a_list_without_keys_is_written_where_none_is_and_refused_where_one_is() {
        let args =
            |args: &str| format!(r#"{{"spec": {{"containers": [{{"name": "app", "args": {args}}}]}}}}"#);
        assert_eq!(merged(POD, &args(r#"["x"]"#)).unwrap(), json(POD));
        let (message, field) = merged(POD, &args(r#"["y"]"#)).unwrap_err();
        assert_eq!(field, "spec.containers[0].args");
        assert!(message.contains("would be lost"), "{message}");
        let tolerations = r#"{"spec": {"tolerations": [{"operator": "Exists"}]}}"#;
        assert!(merged(POD, tolerations).unwrap().at(&["spec", "tolerations"]).is_some());
        let custom =
            r#"{"apiVersion": "example.org/v1", "kind": "Pod", "spec": {"containers": [{"name": "a"}]}}"#;
        assert!(merged(custom, r#"{"spec": {"containers": [{"name": "b"}]}}"#).is_err());
        assert!(
            merged(POD, r#"{"spec": {"containers": [{"image": "b"}]}}"#)
                .unwrap_err()
                .0
                .contains("has no `name`")
        );
    }

    #[test]
    fn maps_merge_and_nulls_say_nothing() {
        let object = merged(r#"{"a": {"b": 1}, "x": 1}"#, r#"{"a": {"c": 2}, "x": null, "n": {"m": null}}"#);
        assert_eq!(object.unwrap(), json(r#"{"a": {"b": 1, "c": 2}, "x": 1, "n": {}}"#));
    }
}
