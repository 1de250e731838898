//! The fields of the language, from the schemas: what is allowed at a path, what it is for, and which words
//! it accepts.

use bailiwick_compiler::diagnostic::Segment;
use bailiwick_compiler::schema_check;
use serde_json::Value as Json;

/// The kind of documents in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Language {
    /// A PolicyPack, or a fragment of one.
    Pack,
    /// PolicyTests.
    Test,
}

impl Language {
    /// The schema of a whole document.
    #[must_use]
    pub fn schema(self) -> &'static Json {
        match self {
            Self::Pack => &schema_check::PACK,
            Self::Test => &schema_check::POLICY_TEST,
        }
    }
}

/// The schema at a path; `None` where the language defines none.
#[must_use]
pub fn at<'s>(schema: &'s Json, path: &[Segment]) -> Option<&'s Json> {
    path.iter().try_fold(schema, |here, step| match step {
        Segment::Member(name) => member(here, name),
        Segment::Index(_) => here.get("items"),
    })
}

fn member<'s>(schema: &'s Json, name: &str) -> Option<&'s Json> {
    let known = schema.get("properties").and_then(|fields| fields.get(name));
    known.or_else(|| schema.get("additionalProperties").filter(|more| more.is_object()))
}

/// The fields of an object: name, schema, and whether it is required.
pub fn fields(schema: &Json) -> impl Iterator<Item = (&str, &Json, bool)> {
    let required: Vec<&str> = words(schema, "required").collect();
    let fields = schema.get("properties").and_then(Json::as_object).into_iter().flatten();
    fields.map(move |(name, field)| (name.as_str(), field, required.contains(&name.as_str())))
}

/// The words of a list of the schema: `enum`, `required`.
pub fn words<'s>(schema: &'s Json, key: &str) -> impl Iterator<Item = &'s str> + use<'s> {
    schema.get(key).and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str)
}

/// What a field is for.
#[must_use]
pub fn description(schema: &Json) -> &str {
    schema.get("description").and_then(Json::as_str).unwrap_or_default()
}

/// What one word of a closed set means.
#[must_use]
pub fn about_word<'s>(schema: &'s Json, word: &str) -> Option<&'s str> {
    Some(schema.get("x-bailiwick-words")?.get(word)?.as_str()?.trim())
}

/// Whether the text is an expression.
#[must_use]
pub fn is_cel(schema: &Json) -> bool {
    form(schema) == Some("cel")
}

fn form(schema: &Json) -> Option<&str> {
    schema.get("x-bailiwick-format").and_then(Json::as_str)
}

/// The type of value, named for a person.
#[must_use]
pub fn kind(schema: &Json) -> String {
    let one = schema.get("type").and_then(Json::as_str);
    match (one, form(schema)) {
        (_, Some("cel")) => "CEL".to_owned(),
        (_, Some(form)) => form.replace('-', " "),
        (Some("array"), _) => match schema.get("items") {
            Some(items) => format!("list of {}", kind(items)),
            None => "list".to_owned(),
        },
        (Some("string"), _) if schema.get("enum").is_some() => {
            words(schema, "enum").map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" | ")
        }
        (Some("string"), _) => "text".to_owned(),
        (Some(other), _) => other.to_owned(),
        (None, _) if schema.get("x-kubernetes-int-or-string").is_some() => "text or integer".to_owned(),
        (None, _) => "any value".to_owned(),
    }
}

/// The description of a field for a person, in Markdown.
#[must_use]
pub fn documentation(name: &str, schema: &Json) -> String {
    let mut text = format!("**{name}**: {}", kind(schema));
    if let Some(default) = words(schema, "x-bailiwick-default").next() {
        text.push_str(&format!(", `{default}` if absent"));
    }
    let about = description(schema);
    if !about.is_empty() {
        text.push_str(&format!("\n\n{about}"));
    }
    let meant: Vec<String> = words(schema, "enum")
        .filter_map(|word| Some(format!("- `{word}`: {}", about_word(schema, word)?)))
        .collect();
    if !meant.is_empty() {
        text.push_str(&format!("\n\n{}", meant.join("\n")));
    }
    let required: Vec<String> = words(schema, "required").map(|field| format!("`{field}`")).collect();
    if !required.is_empty() {
        text.push_str(&format!("\n\nNeeds {}.", required.join(", ")));
    }
    text
}

/// The beginning of a value for an inserted field; empty if only the author knows it.
#[must_use]
pub fn seed(schema: &Json) -> Option<String> {
    let word = words(schema, "x-bailiwick-default").next().or_else(|| {
        let mut all = words(schema, "enum");
        let only = all.next();
        only.filter(|_| all.next().is_none())
    });
    if let Some(word) = word {
        return Some(word.to_owned());
    }
    match schema.get("type").and_then(Json::as_str) {
        Some("array") => Some("[]".to_owned()),
        Some("object") => Some("{}".to_owned()),
        Some("boolean") => Some("false".to_owned()),
        _ => None,
    }
}
