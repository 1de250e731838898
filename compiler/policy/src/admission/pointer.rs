//! JSON Pointers (RFC 6901) over [`Json`]: reading, and writing with missing parents created.

use std::borrow::Cow;

use crate::json::{Json, Map};

/// The most segments of a path that is written to. The deepest field of Kubernetes' own objects has some
/// twenty. Every segment may create an object, and thousands of nested objects overflow the stack of any code
/// that walks them.
pub const MAX_SEGMENTS: usize = 64;

/// Why a pointer cannot be followed or written.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PointerError {
    #[error("`{0}` does not start with `/`")]
    NotAPointer(String),
    #[error("`{0}` does not exist")]
    Missing(String),
    #[error("`{0}` is neither an object nor a list")]
    NotAContainer(String),
    #[error("`{0}` is not a position in the list")]
    BadIndex(String),
    #[error("a path of {0} segments is written to, the limit is {MAX_SEGMENTS}")]
    TooDeep(usize),
}

/// Escapes one segment.
pub(super) fn escape(segment: &str) -> String {
    segment.replace('~', "~0").replace('/', "~1")
}

/// The segments of a pointer, unescaped. The empty pointer means the whole object and has none.
pub(super) fn segments(pointer: &str) -> Result<Vec<String>, PointerError> {
    if pointer.is_empty() {
        return Ok(Vec::new());
    }
    let rest = pointer.strip_prefix('/').ok_or_else(|| PointerError::NotAPointer(pointer.to_owned()))?;
    Ok(rest.split('/').map(|segment| segment.replace("~1", "/").replace("~0", "~")).collect())
}

/// The value at these segments.
pub(super) fn get<'j, 'a>(object: &'j Json<'a>, segments: &[String]) -> Option<&'j Json<'a>> {
    segments.iter().try_fold(object, |here, segment| match here {
        Json::Map(members) => members.get(segment),
        Json::List(items) => items.get(position(segment)?),
        _ => None,
    })
}

/// A list position: digits without a leading zero.
pub(super) fn position(segment: &str) -> Option<usize> {
    let canonical =
        segment == "0" || (!segment.starts_with('0') && segment.bytes().all(|byte| byte.is_ascii_digit()));
    if canonical { segment.parse().ok() } else { None }
}

fn descend<'j, 'a>(here: &'j mut Json<'a>, segment: &str) -> Result<&'j mut Json<'a>, PointerError> {
    match here {
        Json::Map(members) => {
            members.get_mut(segment).ok_or_else(|| PointerError::Missing(segment.to_owned()))
        }
        Json::List(items) => position(segment)
            .and_then(|at| items.get_mut(at))
            .ok_or_else(|| PointerError::BadIndex(segment.to_owned())),
        _ => Err(PointerError::NotAContainer(segment.to_owned())),
    }
}

/// The value at these segments, for changing it.
pub(super) fn get_mut<'j, 'a>(
    object: &'j mut Json<'a>,
    segments: &[String],
) -> Result<&'j mut Json<'a>, PointerError> {
    let mut here = object;
    for segment in segments {
        here = descend(here, segment)?;
    }
    Ok(here)
}

/// Sets a member, creating objects where a parent is absent (or null). Lists are entered, never created or
/// extended.
pub(super) fn set<'a>(
    object: &mut Json<'a>,
    segments: &[String],
    value: Json<'a>,
) -> Result<(), PointerError> {
    if segments.len() > MAX_SEGMENTS {
        return Err(PointerError::TooDeep(segments.len()));
    }
    let Some((last, parents)) = segments.split_last() else {
        *object = value;
        return Ok(());
    };
    let mut here = object;
    for segment in parents {
        here = match here {
            Json::Map(members) => {
                if members.get(segment).is_none_or(|member| *member == Json::Null) {
                    members.insert(Cow::Owned(segment.clone()), Json::Map(Map::new()));
                }
                members.get_mut(segment).ok_or_else(|| PointerError::Missing(segment.clone()))?
            }
            other => descend(other, segment)?,
        };
    }
    match here {
        Json::Map(members) => {
            members.insert(Cow::Owned(last.clone()), value);
        }
        other => *descend(other, last)? = value,
    }
    Ok(())
}

/// `add` of RFC 6902: inserts into a list (`-` at its end), sets a member of an object. Parents must exist.
pub(super) fn add<'a>(
    object: &mut Json<'a>,
    segments: &[String],
    value: Json<'a>,
) -> Result<(), PointerError> {
    let Some((last, parents)) = segments.split_last() else {
        *object = value;
        return Ok(());
    };
    match get_mut(object, parents)? {
        Json::Map(members) => {
            members.insert(Cow::Owned(last.clone()), value);
            Ok(())
        }
        Json::List(items) => {
            let at = if last == "-" { Some(items.len()) } else { position(last) };
            let at =
                at.filter(|at| *at <= items.len()).ok_or_else(|| PointerError::BadIndex(last.clone()))?;
            items.insert(at, value);
            Ok(())
        }
        _ => Err(PointerError::NotAContainer(last.clone())),
    }
}

/// `remove` of RFC 6902: the target must exist.
pub(super) fn remove<'a>(object: &mut Json<'a>, segments: &[String]) -> Result<Json<'a>, PointerError> {
    let Some((last, parents)) = segments.split_last() else {
        return Ok(std::mem::take(object));
    };
    match get_mut(object, parents)? {
        Json::Map(members) => members.remove(last).ok_or_else(|| PointerError::Missing(last.clone())),
        Json::List(items) => {
            let at = position(last).filter(|at| *at < items.len());
            Ok(items.remove(at.ok_or_else(|| PointerError::BadIndex(last.clone()))?))
        }
        _ => Err(PointerError::NotAContainer(last.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(pointer: &str) -> Vec<String> {
        segments(pointer).unwrap()
    }

    #[test]
    fn escapes_are_read_and_written() {
        assert_eq!(at("/metadata/labels/a.b~1c~0d"), ["metadata", "labels", "a.b/c~d"]);
        assert_eq!(escape("a.b/c~d"), "a.b~1c~0d");
        assert!(segments("metadata").is_err());
    }

    #[test]
    fn parents_are_made_and_lists_are_not() {
        let mut object = Json::parse(br#"{"spec": {"containers": [{}], "securityContext": null}}"#).unwrap();
        set(&mut object, &at("/metadata/labels/x"), Json::Int(1)).unwrap();
        set(&mut object, &at("/spec/securityContext/y"), Json::Int(2)).unwrap();
        set(&mut object, &at("/spec/containers/0/z"), Json::Int(3)).unwrap();
        assert_eq!(
            set(&mut object, &at("/spec/containers/1/z"), Json::Int(3)),
            Err(PointerError::BadIndex("1".into()))
        );
        let want = br#"{"spec": {"containers": [{"z": 3}], "securityContext": {"y": 2}}, "metadata": {"labels": {"x": 1}}}"#;
        assert_eq!(object, Json::parse(want).unwrap());
    }

    #[test]
    fn list_positions_are_canonical_numbers() {
        let mut list = Json::parse(b"[1, 3]").unwrap();
        add(&mut list, &at("/1"), Json::Int(2)).unwrap();
        add(&mut list, &at("/-"), Json::Int(4)).unwrap();
        assert_eq!(list, Json::parse(b"[1, 2, 3, 4]").unwrap());
        for wrong in ["/01", "/+1", "/5", "/x", "/"] {
            assert!(add(&mut list, &at(wrong), Json::Null).is_err(), "{wrong}");
        }
        assert_eq!(remove(&mut list, &at("/0")).unwrap(), Json::Int(1));
        assert!(remove(&mut list, &at("/-")).is_err());
    }
}
