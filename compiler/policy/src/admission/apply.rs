//! Merging a partial object into an object, as server-side apply merges an applied configuration.
//!
//! Objects merge member by member. A list that is a map (`containers` by `name`, `ports` by `containerPort`
//! and `protocol`) merges element by element, as the API server's schema says; a stated element that the
//! object lacks is added. The partial object may state an element only once. Where the object has that
//! element several times, the stated one replaces all of them, because a container uses the last variable of
//! a name. Any other list is atomic: it may equal the object's list, with the defaults that the API server
//! wrote into it. Otherwise elements that the partial object lacks would be lost, so that is refused. The
//! same applies to all lists of custom resources, because their keys are not known here. The API server
//! rejects atomic lists in `MutatingAdmissionPolicy` for the same reason.
//! <https://kubernetes.io/docs/reference/using-api/server-side-apply/#merge-strategy>
//!
//! Bounded: since no element is stated twice, each partial object visits each element of the object once.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};

use crate::json::{Json, Map};

use super::allowance::Allowance;
use super::defaults;
use super::schema::{self, Field, Type, TypeId};

/// Why a partial object is refused, and at which field, as the segments of its path.
pub(super) type Refused = (String, Vec<String>);

/// Merges a partial object into an object.
pub(super) fn merge<'a>(object: &mut Json<'a>, partial: Json<'a>) -> Result<(), Refused> {
    Allowance::new().take(&[], &partial).map_err(|message| (message, Vec::new()))?;
    let ty = type_of(object);
    into(object, partial, Known { ty, keys: "" }, &mut Vec::new())
}

/// What is known about a place: its type, and the keys if it is a list.
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

    /// The same for an element of a list.
    fn element(self) -> Self {
        match self.ty {
            Type::List(element) => Self { ty: *element, keys: "" },
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

/// The type of an object by its own `apiVersion` and `kind`; nothing is known about a custom kind.
fn type_of(object: &Json<'_>) -> Type {
    let text = |name: &str| object.get(name).and_then(Json::as_str).unwrap_or_default();
    let (group, version) = text("apiVersion").split_once('/').unwrap_or(("", text("apiVersion")));
    schema::root(group, version, text("kind")).map_or(Type::Dyn, Type::Object)
}

fn into<'a>(
    here: &mut Json<'a>,
    stated: Json<'a>,
    known: Known,
    path: &mut Vec<String>,
) -> Result<(), Refused> {
    match (here, stated) {
        (Json::Map(members), Json::Map(stated)) => {
            // Null has no effect: the partial object leaves a field out by not naming it.
            for (key, value) in stated.into_iter().filter(|(_, value)| *value != Json::Null) {
                path.push(key.clone().into_owned());
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

/// A value for an empty place: the same, without the nulls in objects.
fn fresh<'a>(stated: Json<'a>, known: Known, path: &mut Vec<String>) -> Result<Json<'a>, Refused> {
    match stated {
        Json::Map(_) => {
            let mut object = Json::Map(Map::new());
            into(&mut object, stated, known, path)?;
            Ok(object)
        }
        Json::List(stated) => match known.keyed() {
            Some(keyed) => {
                let mut items = Vec::new();
                by_keys(&mut items, stated, keyed, path)?;
                Ok(Json::List(items))
            }
            None => {
                let items = stated.into_iter().map(|item| fresh(item, known.element(), path));
                items.collect::<Result<Vec<_>, _>>().map(Json::List)
            }
        },
        other => Ok(other),
    }
}

/// Into a list that has elements.
fn list<'a>(
    items: &mut Vec<Json<'a>>,
    stated: Vec<Json<'a>>,
    known: Known,
    path: &mut Vec<String>,
) -> Result<(), Refused> {
    if let Some(keyed) = known.keyed() {
        return by_keys(items, stated, keyed, path);
    }
    let Json::List(mut stated) = fresh(Json::List(stated), known, path)? else { return Ok(()) };
    if *items == stated {
        return Ok(());
    }
    if let Type::Object(element) = known.element().ty {
        stated.iter_mut().for_each(|one| defaults::apply(one, element));
        if *items == stated {
            return Ok(());
        }
    }
    let message = "the list stands for itself as a whole, and elements that are there would be lost; write it with `jsonPatch`";
    Err((message.to_owned(), path.clone()))
}

/// Where the elements of one identity are.
struct Place {
    first: usize,
    others: Vec<usize>,
    stated: bool,
}

/// Into a list that is a map.
fn by_keys<'a>(
    items: &mut Vec<Json<'a>>,
    stated: Vec<Json<'a>>,
    (element, keys): (TypeId, &'static str),
    path: &mut Vec<String>,
) -> Result<(), Refused> {
    let mut places: HashMap<Vec<Option<String>>, Place> = HashMap::new();
    for (at, item) in items.iter().enumerate() {
        match places.entry(identity(item, element, keys)) {
            Entry::Occupied(mut place) => place.get_mut().others.push(at),
            Entry::Vacant(place) => {
                place.insert(Place { first: at, others: Vec::new(), stated: false });
            }
        }
    }
    let known = Known { ty: Type::Object(element), keys: "" };
    let mut replaced = BTreeSet::new();
    for one in stated {
        let identity = identity(&one, element, keys);
        if identity.iter().any(Option::is_none) {
            return Err((format!("an element has no `{keys}`, by which the list is merged"), path.clone()));
        }
        let end = items.len();
        let place = places.entry(identity).or_insert(Place { first: end, others: Vec::new(), stated: false });
        if std::mem::replace(&mut place.stated, true) {
            return Err((
                format!("two elements have the same `{keys}`, by which the list is merged"),
                path.clone(),
            ));
        }
        path.push(place.first.to_string());
        match items.get_mut(place.first) {
            Some(item) if place.others.is_empty() => into(item, one, known, path)?,
            Some(item) => *item = fresh(one, known, path)?,
            None => items.push(fresh(one, known, path)?),
        }
        replaced.append(&mut place.others.drain(..).collect());
        path.pop();
    }
    if !replaced.is_empty() {
        let mut at = 0..;
        items.retain(|_| at.next().is_none_or(|at| !replaced.contains(&at)));
    }
    Ok(())
}

/// The values of an element's keys; a missing key counts as its default, `TCP` for a protocol. An empty
/// string, which the schema gives as the default of many names, does not count as one.
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
        let (message, path) = merged(POD, &args(r#"["y"]"#)).unwrap_err();
        assert_eq!(path, ["spec", "containers", "0", "args"]);
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

    /// A pod whose one container has these variables.
    fn env(variables: &str) -> String {
        format!(
            r#"{{"apiVersion": "v1", "kind": "Pod", "spec": {{"containers": [{{"name": "a", "env": [{variables}]}}]}}}}"#
        )
    }

    /// The container gets the last variable of a name, so a value merged into the first would not be in
    /// force.
    #[test]
    fn what_is_stated_takes_the_place_of_every_element_of_its_keys() {
        let evasive = env(
            r#"{"name": "P", "value": "x"}, {"name": "Q"}, {"name": "P", "valueFrom": {"fieldRef": {"fieldPath": "f"}}}, {"name": "P", "value": "evil"}"#,
        );
        let forced = env(r#"{"name": "P", "value": "proxy"}"#);
        let want = env(r#"{"name": "P", "value": "proxy"}, {"name": "Q"}"#);
        assert_eq!(merged(&evasive, &forced).unwrap(), json(&want));
        assert_eq!(merged(&want, &forced).unwrap(), json(&want));
        let unrelated = env(r#"{"name": "R"}"#);
        let kept = merged(&evasive, &unrelated).unwrap();
        let kept = kept
            .at(&["spec", "containers"])
            .unwrap()
            .items()
            .first()
            .unwrap()
            .get("env")
            .unwrap()
            .items()
            .len();
        assert_eq!(kept, 5, "what nothing is stated of stays as it is");
    }

    #[test]
    fn an_element_is_stated_once() {
        let twice = env(r#"{"name": "P", "value": "1"}, {"name": "P", "value": "2"}"#);
        for object in
            [env(r#"{"name": "P"}"#), r#"{"apiVersion": "v1", "kind": "Pod", "spec": {}}"#.to_owned()]
        {
            let (message, path) = merged(&object, &twice).unwrap_err();
            assert_eq!(message, "two elements have the same `name`, by which the list is merged");
            assert_eq!(path, ["spec", "containers", "0", "env"], "{object}");
        }
    }

    /// Otherwise each stated element would scan all variables of the first container again: 10,000 times
    /// 9,000.
    #[test]
    fn one_container_stated_ten_thousand_times_is_not_gone_through_as_often() {
        let variables: Vec<String> = (0..9_000).map(|at| format!(r#"{{"name": "V{at}"}}"#)).collect();
        let stated: Vec<String> = (0..10_000)
            .map(|_| r#"{"name": "a", "env": [{"name": "X", "value": "1"}]}"#.to_owned())
            .collect();
        let stated = format!(r#"{{"spec": {{"containers": [{}]}}}}"#, stated.join(","));
        assert!(merged(&env(&variables.join(",")), &stated).unwrap_err().0.starts_with("two elements"));
    }

    #[test]
    fn a_list_without_keys_is_there_already_with_its_defaults() {
        let pod = |source: &str| {
            format!(
                r#"{{"apiVersion": "v1", "kind": "Pod", "spec": {{"volumes": [{{"name": "t", "projected": {{"sources": [{source}]}}}}]}}}}"#
            )
        };
        let stated = pod(r#"{"serviceAccountToken": {"path": "token", "audience": null}}"#);
        let stored = pod(r#"{"serviceAccountToken": {"path": "token", "expirationSeconds": 3600}}"#);
        assert_eq!(merged(&stored, &stated).unwrap(), json(&stored));
        let other = pod(r#"{"serviceAccountToken": {"path": "token", "expirationSeconds": 600}}"#);
        let (_, path) = merged(&other, &stated).unwrap_err();
        assert_eq!(path, ["spec", "volumes", "0", "projected", "sources"]);
    }

    #[test]
    fn maps_merge_and_nulls_say_nothing() {
        let object = merged(r#"{"a": {"b": 1}, "x": 1}"#, r#"{"a": {"c": 2}, "x": null, "n": {"m": null}}"#);
        assert_eq!(object.unwrap(), json(r#"{"a": {"b": 1, "c": 2}, "x": 1, "n": {}}"#));
    }
}
