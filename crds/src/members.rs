//! Which members of an object exclude or need each other: our marks in a schema, as every reader of the schemas sees them.

use serde_json::{Map, Value};

/// The rules over the members of an object. A group holds if any of its members is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberRules<'s> {
    /// Of these groups exactly one holds, if there are any.
    pub exactly_one: Vec<Vec<&'s str>>,
    /// Of these groups at least one holds, if there are any.
    pub at_least_one: Vec<Vec<&'s str>>,
    /// Of these groups at most one holds.
    pub at_most_one: Vec<Vec<&'s str>>,
    /// A member, and the one that it needs.
    pub needs: Vec<(&'s str, &'s str)>,
}

impl<'s> MemberRules<'s> {
    /// The rules that the schema of an object carries.
    #[must_use]
    pub fn of(schema: &'s Map<String, Value>) -> Self {
        let groups = |mark: &str| {
            schema.get(mark).and_then(Value::as_array).into_iter().flatten().map(group).collect()
        };
        let needs = schema.get("x-bailiwick-requires").and_then(Value::as_object).into_iter().flatten();
        Self {
            exactly_one: groups("x-bailiwick-one-of"),
            at_least_one: groups("x-bailiwick-some-of"),
            at_most_one: groups("x-bailiwick-at-most-one-of"),
            needs: needs.filter_map(|(member, needed)| Some((member.as_str(), needed.as_str()?))).collect(),
        }
    }

    /// Members that one of those that are there excludes.
    pub fn excluded(&self, is_there: impl Fn(&str) -> bool) -> Vec<&'s str> {
        let mut found = Vec::new();
        for groups in [&self.exactly_one, &self.at_most_one] {
            let Some(chosen) = groups.iter().position(|group| group.iter().any(|name| is_there(name))) else {
                continue;
            };
            let others = groups.iter().enumerate().filter(|(at, _)| *at != chosen);
            found.extend(others.flat_map(|(_, group)| group));
        }
        found
    }
}

/// A member by itself is a group of one.
fn group(group: &Value) -> Vec<&str> {
    group
        .as_array()
        .map_or(std::slice::from_ref(group), Vec::as_slice)
        .iter()
        .filter_map(Value::as_str)
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_mark_of_a_schema_is_read() {
        let schema = json!({
            "x-bailiwick-one-of": [["a", "b"], ["c"]],
            "x-bailiwick-some-of": ["d", "e"],
            "x-bailiwick-at-most-one-of": ["f", ["g", "h"]],
            "x-bailiwick-requires": {"b": "a"},
        });
        let rules = MemberRules::of(schema.as_object().unwrap());
        assert_eq!(rules.exactly_one, [vec!["a", "b"], vec!["c"]]);
        assert_eq!(rules.at_least_one, [["d"], ["e"]]);
        assert_eq!(rules.at_most_one, [vec!["f"], vec!["g", "h"]]);
        assert_eq!(rules.needs, [("b", "a")]);
        assert_eq!(rules.excluded(|name| name == "c" || name == "g"), ["a", "b", "f"]);
        assert_eq!(rules.excluded(|name| name == "d"), Vec::<&str>::new());
        assert_eq!(MemberRules::of(&Map::new()), MemberRules::default());
    }
}
