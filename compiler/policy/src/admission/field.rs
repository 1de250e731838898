//! Field paths as findings write them: `spec.containers[0].securityContext.privileged`,
//! `metadata.labels[a.b/c]`.
//!
//! Not JSON Pointers (see `pointer`): these are for readers, and for comparing the values at one path in two
//! objects.

use crate::json::Json;

/// The value at a path; `None` where there is none or the path is not understood.
pub(super) fn lookup<'j>(object: &'j Json<'j>, path: &str) -> Option<&'j Json<'j>> {
    let mut here = object;
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(tail) = rest.strip_prefix('[') {
            let (key, after) = tail.split_once(']')?;
            let key = key.trim_matches(|quote| quote == '"' || quote == '\'');
            here = match here {
                Json::List(items) => items.get(key.parse::<usize>().ok()?)?,
                _ => here.get(key)?,
            };
            rest = after;
        } else {
            let member = rest.strip_prefix('.').unwrap_or(rest);
            let end = member.find(['.', '[']).unwrap_or(member.len());
            let (key, after) = member.split_at_checked(end)?;
            if key.is_empty() {
                return None;
            }
            here = here.get(key)?;
            rest = after;
        }
    }
    Some(here)
}

/// Whether both objects have the same value at a path; absent in both counts as the same.
pub(super) fn unchanged(path: &str, one: &Json<'_>, other: &Json<'_>) -> bool {
    lookup(one, path) == lookup(other, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_indices_and_bracketed_keys_are_followed() {
        let text = br#"{"spec": {"containers": [{"a": 1}, {"a": {"b": 2}}]}, "metadata": {"labels": {"x.y/z": "v"}}}"#;
        let object = Json::parse(text).unwrap();
        assert_eq!(lookup(&object, "spec.containers[1].a.b"), Some(&Json::Int(2)));
        assert_eq!(lookup(&object, "metadata.labels[x.y/z]").unwrap().as_str(), Some("v"));
        assert_eq!(lookup(&object, "metadata.labels[\"x.y/z\"]").unwrap().as_str(), Some("v"));
        for absent in
            ["spec.containers[2]", "spec.containers[x]", "spec..containers", "spec.containers[1", "a.b"]
        {
            assert_eq!(lookup(&object, absent), None, "{absent}");
        }
        assert_eq!(lookup(&object, ""), Some(&object));
    }
}
