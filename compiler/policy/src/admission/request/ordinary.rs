//! The fast reader for the review that an API server sends. Whatever it is not sure of, it leaves to the
//! general reader, which defines the rules.

use crate::json::{Found, Json, Map, Reader, Skip};

use super::{Level, Unread};

/// The members of a whole review; `None` where the general reader must decide.
pub(super) fn review<'a>(text: &'a str, unread: &Unread) -> Option<Map<'a>> {
    let mut reader = Reader::new(text);
    let review = reader.object(&mut |reader, key| match Level::Review.below(key) {
        Some(_) => kept(or_null(reader, |reader| request(reader, unread))),
        None => kept(reader.value()),
    })?;
    reader.end().map(|()| review)
}

fn kept(value: Option<Json<'_>>) -> Option<Found<'_>> {
    value.map(Found::Kept)
}

/// An object, or null; anything else is an error that the general reader words.
fn or_null<'a>(
    reader: &mut Reader<'a>,
    object: impl FnOnce(&mut Reader<'a>) -> Option<Map<'a>>,
) -> Option<Json<'a>> {
    if reader.null()? { Some(Json::Null) } else { object(reader).map(Json::Map) }
}

/// Whether a pod is being created, as far as has been read. The API server sends this before the object;
/// otherwise everything is read.
#[derive(Default)]
struct Seen {
    pods: bool,
    create: bool,
    sub_resource: bool,
}

impl Seen {
    fn note(&mut self, key: &str, value: &Json<'_>) {
        match key {
            "operation" => self.create = value.as_str() == Some("CREATE"),
            "resource" => {
                let is = |name, wanted| value.get(name).and_then(Json::as_str) == Some(wanted);
                let core = value.get("group").is_none_or(|group| group.as_str() == Some(""));
                self.pods = is("resource", "pods") && is("version", "v1") && core;
            }
            "subResource" => self.sub_resource = !matches!(value, Json::Null) && value.as_str() != Some(""),
            _ => {}
        }
    }

    const fn pod_is_created(&self) -> bool {
        self.pods && self.create && !self.sub_resource
    }
}

fn request<'a>(reader: &mut Reader<'a>, unread: &Unread) -> Option<Map<'a>> {
    let mut seen = Seen::default();
    let nothing = Unread::default();
    reader.object(&mut |reader, key| {
        if Level::Request.below(key).is_some() {
            let unread = if key == "object" && seen.pod_is_created() { unread } else { &nothing };
            return kept(or_null(reader, |reader| object(reader, unread)));
        }
        let value = reader.value()?;
        seen.note(key, &value);
        Some(Found::Kept(value))
    })
}

fn object<'a>(reader: &mut Reader<'a>, unread: &Unread) -> Option<Map<'a>> {
    reader.object(&mut |reader, key| {
        if Level::Object.below(key).is_some() {
            return kept(or_null(reader, metadata));
        }
        if key == "spec" && reader.at_object() {
            return kept(spec(reader, unread).map(Json::Map));
        }
        kept(reader.value())
    })
}

fn metadata<'a>(reader: &mut Reader<'a>) -> Option<Map<'a>> {
    reader.object(&mut |reader, key| {
        if key == "managedFields" {
            return reader.skip(Skip::WellFormed).map(|()| Found::Skipped);
        }
        kept(reader.value())
    })
}

fn spec<'a>(reader: &mut Reader<'a>, unread: &Unread) -> Option<Map<'a>> {
    reader.object(&mut |reader, key| {
        if Unread::is_containers(key) && reader.at_list() {
            return kept(reader.list(&mut |reader| container(reader, unread)));
        }
        kept(reader.value())
    })
}

fn container<'a>(reader: &mut Reader<'a>, unread: &Unread) -> Option<Json<'a>> {
    if !reader.at_object() {
        return reader.value();
    }
    let mut left_out = 0_u32;
    let members = reader.object(&mut |reader, key| {
        let Some(at) = unread.position(key) else { return kept(reader.value()) };
        let bit = 1 << at;
        if left_out & bit != 0 {
            // A duplicate field, which the general reader rejects.
            return None;
        }
        left_out |= bit;
        reader.skip(Skip::Readable).map(|()| Found::Skipped)
    });
    members.map(Json::Map)
}
