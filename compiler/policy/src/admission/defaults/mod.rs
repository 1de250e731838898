//! API defaulting: what the API server writes into an object before admission sees it, so that a manifest is
//! judged as the object that it becomes.
//!
//! Three sources: the OpenAPI defaults of [`super::schema`]; the literals of `code.txt`, which only the API
//! server's code has; and the defaults that depend on other fields ([`computed`]). Not here: what registries,
//! admission plugins and controllers write (uid, creationTimestamp, status, cluster addresses, service
//! account volumes, tolerations, priority), requests of a whole pod that follow from its containers', and
//! labels and selectors copied from a template. Empty lists, and values that Go treats as absent
//! (`hostNetwork: false`), stay as written, while the API server drops most of them: a rule should not use
//! `has` on such a field.
//!
//! Null members are removed, as decoding does. Applying the defaults twice changes nothing more.

mod computed;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::schema::{self, Type, TypeId};
use crate::json::{Json, Map};

const CODE: &str = include_str!("code.txt");

/// By type: a field and its default; `None`: no default, whatever the OpenAPI documents say.
type Defaults = BTreeMap<TypeId, Vec<(&'static str, Option<Json<'static>>)>>;

static TABLE: LazyLock<Defaults> = LazyLock::new(table);

static EVERYTHING: Plan = Plan { below: Below::Everything };

/// Writes every default into an object of a known type.
pub fn apply(object: &mut Json<'_>, ty: TypeId) {
    apply_plan(object, ty, &EVERYTHING);
}

/// Writes the defaults of only those parts that a plan names.
pub fn apply_plan(object: &mut Json<'_>, ty: TypeId, plan: &Plan) {
    if let Json::Map(map) = object {
        write_object(map, ty, plan);
    }
}

/// The parts of an object whose defaults are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    below: Below,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Below {
    Everything,
    /// By member name; `*` for the elements of a list or the values of a map.
    Members(BTreeMap<String, Plan>),
}

impl Plan {
    /// A plan of paths, each of member names and `*`; everything below the end of a path is part of it.
    #[must_use]
    pub fn of(paths: &[&[&str]]) -> Self {
        let mut plan = Self { below: Below::Members(BTreeMap::new()) };
        paths.iter().for_each(|path| plan.add(path));
        plan
    }

    fn add(&mut self, path: &[&str]) {
        match (path, &mut self.below) {
            ([], below) => *below = Below::Everything,
            ([first, rest @ ..], Below::Members(members)) => {
                let nothing = Self { below: Below::Members(BTreeMap::new()) };
                members.entry((*first).to_owned()).or_insert(nothing).add(rest);
            }
            (_, Below::Everything) => {}
        }
    }

    fn child(&self, name: &str) -> Option<&Self> {
        match &self.below {
            Below::Everything => Some(self),
            Below::Members(members) => members.get(name),
        }
    }
}

fn write_value(value: &mut Json<'_>, ty: Type, plan: &Plan) {
    match (ty, value) {
        (Type::Object(ty), Json::Map(map)) => write_object(map, ty, plan),
        (Type::List(element), Json::List(items)) => {
            let Some(plan) = plan.child("*") else { return };
            items.iter_mut().for_each(|item| write_value(item, *element, plan));
        }
        (Type::Map(element), Json::Map(map)) => {
            let Some(plan) = plan.child("*") else { return };
            map.iter_mut().for_each(|(_, value)| write_value(value, *element, plan));
        }
        _ => {}
    }
}

fn write_object(map: &mut Map<'_>, ty: TypeId, plan: &Plan) {
    map.retain(|key, value| *value != Json::Null || plan.child(key).is_none());
    for (name, default) in TABLE.get(&ty).into_iter().flatten() {
        if let Some(default) = default
            && plan.child(name).is_some()
            && is_absent(map.get(name))
        {
            map.insert(Cow::Borrowed(name), default.clone());
        }
    }
    let rules = computed::of(schema::name(ty));
    if let Some(before) = rules.before {
        before(map, plan);
    }
    for (key, value) in map.iter_mut() {
        if let Some(plan) = plan.child(key)
            && let Some(field) = schema::field(ty, key)
        {
            write_value(value, field.ty, plan);
        }
    }
    if let Some(after) = rules.after {
        after(map, plan);
    }
}

/// Whether a default replaces a value: in Go an empty string counts as absent.
fn is_absent(value: Option<&Json<'_>>) -> bool {
    value.is_none_or(|value| matches!(value, Json::Str(text) if text.is_empty()))
}

/// Both tables by type. Lines that do not parse are skipped; a test checks that there are none.
fn table() -> Defaults {
    let mut table: Defaults = BTreeMap::new();
    // The code's literals take precedence over the OpenAPI defaults, which are merely empty for a string
    // without a default.
    for (ty, name, default) in CODE.lines().filter_map(read_line) {
        table.entry(ty).or_default().push((name, default));
    }
    for ty in schema::types() {
        for field in schema::fields(ty) {
            let Some(default) = field.default.and_then(|text| Json::parse(text.as_bytes()).ok()) else {
                continue;
            };
            let defaults = table.entry(ty).or_default();
            if !defaults.iter().any(|(name, _)| *name == field.name) {
                defaults.push((field.name, Some(default)));
            }
        }
    }
    table
}

fn read_line(line: &'static str) -> Option<(TypeId, &'static str, Option<Json<'static>>)> {
    let mut words = line.splitn(3, ' ');
    let ty = schema::named(words.next()?)?;
    let name = words.next()?;
    schema::field(ty, name)?;
    match words.next()? {
        "-" => Some((ty, name, None)),
        json => Some((ty, name, Some(Json::parse(json.as_bytes()).ok()?))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn defaulted(kind: [&str; 3], text: &str) -> Json<'static> {
        let mut object = Json::parse(text.as_bytes()).unwrap().into_owned();
        apply(&mut object, schema::root(kind[0], kind[1], kind[2]).unwrap());
        object
    }

    #[test]
    fn every_line_of_the_code_table_is_read() {
        for line in CODE.lines().filter(|line| !line.starts_with('#')) {
            assert!(read_line(line).is_some(), "{line}");
        }
    }

    #[test]
    fn applies_once_and_for_all() {
        for (group, version, kind, ty) in schema::roots() {
            let mut object = defaulted([group, version, kind], "{}");
            let once = object.clone();
            apply(&mut object, ty);
            assert_eq!(object, once, "{kind}");
        }
    }

    #[test]
    fn a_plan_leaves_the_rest_alone() {
        let pod = schema::root("", "v1", "Pod").unwrap();
        let mut object =
            Json::parse(br#"{"spec": {"dnsPolicy": null, "containers": [{"image": "a:1", "ports": [{}]}]}}"#)
                .unwrap();
        apply_plan(
            &mut object,
            pod,
            &Plan::of(&[&["spec", "containers", "*", "imagePullPolicy"], &["spec", "restartPolicy"]]),
        );
        let wanted = br#"{"spec": {"dnsPolicy": null, "restartPolicy": "Always",
            "containers": [{"image": "a:1", "imagePullPolicy": "IfNotPresent", "ports": [{}]}]}}"#;
        assert_eq!(object, Json::parse(wanted).unwrap());
    }

    #[test]
    fn null_counts_as_absent() {
        let pod = defaulted(["", "v1", "Pod"], r#"{"spec": {"restartPolicy": null, "hostUsers": null}}"#);
        assert_eq!(pod.at(&["spec", "restartPolicy"]).and_then(Json::as_str), Some("Always"));
        assert_eq!(pod.at(&["spec", "hostUsers"]), None);
    }
}
