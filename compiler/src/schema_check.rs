//! Checks a document against its schema: unknown fields, types, required fields, words, forms, ranges, names.
//! Every error is reported with its field path; this module does not know what the fields mean.
//!
//! The schemas are those of [`bailiwick_crds::schema`], from which the CRDs are generated too; that module
//! explains the markers `x-bailiwick-…`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use bailiwick_crds::members::MemberRules;
use bailiwick_policy::cel::{Quantity, parse_cidr, parse_duration};
use regex::Regex;
use serde_json::{Map, Value as Json};

use crate::check::{
    bw0104_unknown_field, bw0107_wrong_type, bw0108_missing_field, bw0109_unknown_word, bw0110_bad_form,
    bw0111_out_of_range, bw0112_duplicate_name, bw0113_members, bw0213_parameter_place,
};
use crate::diagnostic::{Code, Diagnostic, FieldPath, Segment};
use crate::nearest::nearest;
use crate::parameters::parameter_name;
use crate::yaml::{Node, Value};

/// Every deviation of `node`, which is at `at`, from `schema`.
#[must_use]
pub fn check(node: &Node, schema: &Json, at: &FieldPath) -> Vec<Diagnostic> {
    let mut checker =
        Checker { path: at.segments().to_vec(), patterns: BTreeMap::new(), diagnostics: Vec::new() };
    checker.node(node, schema);
    checker.diagnostics
}

/// Schema of a whole PolicyPack document.
pub static PACK: LazyLock<Json> = LazyLock::new(|| with_metadata(bailiwick_crds::schema::pack()));

/// Schema of a whole PolicyTest document.
pub static POLICY_TEST: LazyLock<Json> =
    LazyLock::new(|| with_metadata(bailiwick_crds::schema::policy_test()));

fn with_metadata(mut schema: Json) -> Json {
    if let Some(place) = schema.pointer_mut("/properties/metadata") {
        *place = metadata();
    }
    schema
}

/// Schema of `metadata`: what an author writes, and what an API server adds.
fn metadata() -> Json {
    let any = serde_json::json!({ "x-kubernetes-preserve-unknown-fields": true });
    let texts = serde_json::json!({ "type": "object", "additionalProperties": { "type": "string" } });
    let name = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
    let mut properties = Map::new();
    properties.insert(
        "name".to_owned(),
        serde_json::json!({ "type": "string", "pattern": name, "maxLength": 253 }),
    );
    properties.insert("labels".to_owned(), texts.clone());
    properties.insert("annotations".to_owned(), texts);
    for added in [
        "namespace",
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "finalizers",
        "ownerReferences",
        "managedFields",
        "selfLink",
        "generateName",
    ] {
        properties.insert(added.to_owned(), any.clone());
    }
    serde_json::json!({ "type": "object", "required": ["name"], "properties": properties })
}

struct Checker {
    path: Vec<Segment>,
    patterns: BTreeMap<String, Option<Regex>>,
    diagnostics: Vec<Diagnostic>,
}

fn words<'a>(schema: &'a Json, key: &str) -> impl Iterator<Item = &'a str> + use<'a> {
    schema.get(key).and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str)
}

impl Checker {
    fn at(&self) -> FieldPath {
        FieldPath::from(self.path.clone())
    }

    fn report(&mut self, code: Code, message: String) -> &mut Diagnostic {
        let at = self.at();
        self.diagnostics.push(Diagnostic::new(code, at, message));
        let last = self.diagnostics.len() - 1;
        // A diagnostic was just pushed, so there is a last one; its index satisfies the borrow checker.
        #[expect(clippy::indexing_slicing, reason = "the element pushed above")]
        &mut self.diagnostics[last]
    }

    fn within(&mut self, segment: Segment, node: &Node, schema: &Json) {
        self.path.push(segment);
        self.node(node, schema);
        self.path.pop();
    }

    fn node(&mut self, node: &Node, schema: &Json) {
        if self.misplaced_parameter(node, schema) {
            return;
        }
        let either = schema.get("x-kubernetes-int-or-string").is_some();
        match (schema.get("type").and_then(Json::as_str), &node.value) {
            (None, Value::Str(text)) if either => self.text(text, schema),
            (None, Value::Int(number)) if either => self.text(&number.to_string(), schema),
            (None, _) if either => self.wrong_type(node, "a string or an integer"),
            (None, _) => {}
            (Some("object"), Value::Map(_)) => self.object(node, schema),
            (Some("array"), Value::List(items)) => self.list(items, schema),
            (Some("string"), Value::Str(text)) => self.text(text, schema),
            (Some("integer"), Value::Int(number)) => self.integer(*number, schema),
            (Some("boolean"), Value::Bool(_)) => {}
            (Some("object"), _) => self.wrong_type(node, "an object"),
            (Some("array"), _) => self.wrong_type(node, "a list"),
            (Some("string"), _) => self.wrong_type(node, "a string"),
            (Some("integer"), _) => self.wrong_type(node, "an integer"),
            (Some("boolean"), _) => self.wrong_type(node, "a boolean"),
            (Some(other), _) => self.wrong_type(node, other),
        }
    }

    /// Whether this is a parameter; reports one that is not allowed here. An unknown one was already
    /// reported.
    fn misplaced_parameter(&mut self, node: &Node, schema: &Json) -> bool {
        let unresolved = node.as_str().and_then(parameter_name);
        let Some(name) = node.parameter.as_deref().or(unresolved).map(str::to_owned) else { return false };
        let kind = schema.get("type").and_then(Json::as_str);
        let (place, help) = match schema.get("x-bailiwick-format").and_then(Json::as_str) {
            Some("cel") => ("in a CEL expression", format!("write `params.{name}` in it")),
            Some("rego") => ("for a module or its name", format!("read `input.params.{name}` in the module")),
            _ if kind == Some("boolean") => ("for a boolean", "write `true` or `false`".to_owned()),
            _ if kind == Some("array") => ("for a whole list", format!("write `[\"${{{name}}}\"]`")),
            _ if kind == Some("object") => ("for an object", "write the object out".to_owned()),
            // The value of a parameter is a text like any other, even one that looks like a parameter.
            _ => return node.parameter.is_none(),
        };
        self.report(bw0213_parameter_place::CODE, format!("parameter `{name}` stands {place}")).help = help;
        true
    }

    fn wrong_type(&mut self, node: &Node, expected: &str) {
        let mut message = format!("expected {expected}, found {}", node.kind());
        if let Some(parameter) = &node.parameter {
            message.push_str(&format!(", the value of parameter `{parameter}`"));
        }
        let help = match &node.value {
            Value::Null => Some("leave the field out, or give it a value".to_owned()),
            Value::Bool(_) | Value::Int(_) | Value::Float(_) if expected.contains("string") => {
                Some("put it in quotes".to_owned())
            }
            Value::Str(text) if expected == "an integer" && text.parse::<i64>().is_ok() => {
                Some("take the quotes away".to_owned())
            }
            Value::Str(_) | Value::Map(_) if expected == "a list" => Some("write `[…]` around it".to_owned()),
            _ => None,
        };
        let found = self.report(bw0107_wrong_type::CODE, message);
        if let Some(help) = help {
            found.help = help;
        }
    }

    fn object(&mut self, node: &Node, schema: &Json) {
        let properties = schema.get("properties").and_then(Json::as_object);
        let additional = schema.get("additionalProperties");
        for entry in node.entries() {
            let segment = Segment::Member(entry.key.clone());
            match (properties.and_then(|known| known.get(&entry.key)), additional) {
                (Some(child), _) | (None, Some(child)) => self.within(segment, &entry.value, child),
                (None, None) => {
                    let Some(known) = properties else { continue };
                    self.path.push(segment);
                    let near = nearest(&entry.key, known.keys().map(String::as_str));
                    let help = near.map_or_else(
                        || format!("known here: {}", quoted(known.keys().map(String::as_str))),
                        |name| format!("did you mean `{name}`?"),
                    );
                    let diagnostic =
                        self.report(bw0104_unknown_field::CODE, format!("unknown field `{}`", entry.key));
                    diagnostic.about = crate::diagnostic::About::Key;
                    diagnostic.help = help;
                    self.path.pop();
                }
            }
        }
        for name in words(schema, "required").filter(|name| node.get(name).is_none()) {
            self.report(bw0108_missing_field::CODE, format!("field `{name}` is missing")).help =
                format!("add `{name}`");
        }
        self.members(node, schema);
    }

    /// Checks members that exclude or require each other.
    fn members(&mut self, node: &Node, schema: &Json) {
        let rules = schema.as_object().map(MemberRules::of).unwrap_or_default();
        let present = |name: &&str| node.get(name).is_some();
        let holds = |group: &&Vec<&str>| group.iter().any(present);
        let all = |groups: &[Vec<&str>]| quoted(groups.iter().flatten().copied());
        let found = rules.exactly_one.iter().filter(holds).count();
        if found != 1 && !rules.exactly_one.is_empty() {
            let choices: Vec<_> =
                rules.exactly_one.iter().map(|group| quoted(group.iter().copied())).collect();
            let message = match found {
                0 => format!("one of {} must be there", choices.join(" or ")),
                _ => format!("only one of {} may be there", choices.join(" or ")),
            };
            self.report(bw0113_members::CODE, message);
        }
        if !rules.at_least_one.is_empty() && !rules.at_least_one.iter().any(|group| holds(&group)) {
            let message = format!("at least one of {} must be there", all(&rules.at_least_one));
            self.report(bw0113_members::CODE, message);
        }
        let there: Vec<Vec<&str>> = rules
            .at_most_one
            .iter()
            .filter(holds)
            .map(|group| group.iter().copied().filter(present).collect())
            .collect();
        if there.len() > 1 {
            self.report(bw0113_members::CODE, format!("{} exclude each other", all(&there)));
        }
        for (member, needed) in rules.needs {
            if present(&member) && !present(&needed) {
                self.report(bw0113_members::CODE, format!("`{member}` needs `{needed}`"));
            }
        }
    }

    fn list(&mut self, items: &[Node], schema: &Json) {
        if let Some(least) =
            schema.get("minItems").and_then(Json::as_u64).filter(|least| (items.len() as u64) < *least)
        {
            self.report(
                bw0111_out_of_range::CODE,
                format!("at least {least} element must be there, found {}", items.len()),
            );
        }
        if let Some(child) = schema.get("items") {
            for (index, item) in items.iter().enumerate() {
                self.within(Segment::Index(index), item, child);
            }
        }
        for key in words(schema, "x-kubernetes-list-map-keys") {
            let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
            for (index, item) in items.iter().enumerate() {
                let Some(name) = item.get(key).and_then(Node::as_str) else { continue };
                let Some(first) = seen.get(name).copied() else {
                    seen.insert(name, index);
                    continue;
                };
                let list = self.at();
                let at = list.index(index).member(key);
                let message = format!("`{name}` is the {key} of another element of this list");
                self.diagnostics.push(
                    Diagnostic::new(bw0112_duplicate_name::CODE, at, message)
                        .with_help("give each element a name of its own")
                        .with_related(list.index(first).member(key), "first used here"),
                );
            }
        }
    }

    fn integer(&mut self, number: i64, schema: &Json) {
        let minimum = schema.get("minimum").and_then(Json::as_i64);
        let maximum = schema.get("maximum").and_then(Json::as_i64);
        if minimum.is_some_and(|least| number < least) || maximum.is_some_and(|most| number > most) {
            let range = match (minimum, maximum) {
                (Some(least), Some(most)) => format!("from {least} to {most}"),
                (Some(least), None) => format!("at least {least}"),
                (None, Some(most)) => format!("at most {most}"),
                (None, None) => String::new(),
            };
            self.report(bw0111_out_of_range::CODE, format!("`{number}` is out of range: {range}"));
        }
    }

    fn text(&mut self, text: &str, schema: &Json) {
        let known: Vec<_> = words(schema, "enum").collect();
        if !known.is_empty() && !known.contains(&text) {
            let near = nearest(text, known.iter().copied());
            let all = quoted(known.iter().copied());
            let help =
                near.map_or(format!("one of {all}"), |name| format!("did you mean `{name}`? One of {all}"));
            self.report(bw0109_unknown_word::CODE, format!("unknown word `{}`", shortened(text))).help = help;
            return;
        }
        if let Some(most) = schema.get("maxLength").and_then(Json::as_u64)
            && text.chars().count() as u64 > most
        {
            let message = format!("`{}` is longer than {most} characters", shortened(text));
            self.report(bw0111_out_of_range::CODE, message);
        }
        if let Some(pattern) = schema.get("pattern").and_then(Json::as_str) {
            let compiled =
                self.patterns.entry(pattern.to_owned()).or_insert_with(|| Regex::new(pattern).ok());
            if !compiled.as_ref().is_some_and(|regex| regex.is_match(text)) {
                let message = format!("`{}` has not the form `{pattern}`", shortened(text));
                self.report(bw0110_bad_form::CODE, message);
            }
        }
        if let Some(problem) =
            schema.get("x-bailiwick-format").and_then(Json::as_str).and_then(|form| form_problem(form, text))
        {
            let (message, help) = problem;
            self.report(bw0110_bad_form::CODE, format!("`{}` is {message}", shortened(text))).help =
                help.to_owned();
        }
    }
}

/// What is wrong with a text of this form, and how to write it correctly.
fn form_problem(form: &str, text: &str) -> Option<(&'static str, &'static str)> {
    match form {
        "duration" => match parse_duration(text) {
            Err(_) => Some(("no duration", "write it as Go does: `1h30m`, `10s`, `500ms`")),
            Ok(nanos) if nanos < 0 => Some(("a negative duration", "write one from 0")),
            Ok(_) => None,
        },
        "quantity" => match Quantity::parse(text) {
            None => Some(("no quantity", "write it as Kubernetes does: `64Mi`, `500m`, `2`")),
            Some(_) if text.starts_with('-') => Some(("a negative quantity", "write one from 0")),
            Some(_) => None,
        },
        "cidr" => match parse_cidr(text) {
            Err(_) => Some(("no network in CIDR notation", "write it as `192.0.2.0/24` or `2001:db8::/32`")),
            Ok(cidr) if cidr.masked().address != cidr.address => {
                Some(("an address inside a network, not a network", "the bits after the prefix must be zero"))
            }
            Ok(_) => None,
        },
        "version-requirement" => semver::VersionReq::parse(text)
            .is_err()
            .then_some(("no version requirement", "write it as Cargo does: `^1.0`, `>=1.2, <2`")),
        _ => None,
    }
}

fn quoted<'a>(words: impl Iterator<Item = &'a str>) -> String {
    words.map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

/// The beginning of a long text, for messages.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
