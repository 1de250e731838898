//! Objects of the tree: small objects are searched linearly, large ones through an index.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use super::Json;

/// The members of a JSON object in the order of the text. Keys are unique.
#[derive(Clone, Debug, Default)]
pub struct Map<'a> {
    /// The marks of all keys together, and perhaps of some removed ones. Most lookups by rules find nothing,
    /// and a missing mark says so without a search. See [`mark`].
    marks: u64,
    members: Members<'a>,
}

pub(super) type Member<'a> = (Cow<'a, str>, Json<'a>);

/// A member's name that is looked up repeatedly, with its mark computed in advance.
#[derive(Debug)]
pub(crate) struct Name {
    mark: u64,
    text: Box<str>,
    /// Where it was last found: objects of one kind mostly have their members in one order. Only ever a
    /// guess.
    position: AtomicUsize,
}

/// The most members for which a linear search beats an index.
const SMALL: usize = 32;

/// Kubernetes objects have a dozen members: comparing lengths first beats hashing and sorting. A hostile
/// object may have a hundred thousand, for which linear searches would take minutes.
#[derive(Clone, Debug)]
enum Members<'a> {
    Small(Vec<Member<'a>>),
    Large(Box<Indexed<'a>>),
}

/// Many members and their positions in the order of their keys.
#[derive(Clone, Debug)]
struct Indexed<'a> {
    members: Vec<Member<'a>>,
    by_key: Vec<u32>,
}

impl Default for Members<'_> {
    fn default() -> Self {
        Self::Small(Vec::new())
    }
}

impl<'a> Members<'a> {
    /// Takes members whose keys are known not to repeat.
    fn unique(members: Vec<Member<'a>>) -> Self {
        if members.len() <= SMALL {
            return Self::Small(members);
        }
        let by_key = index(&members);
        Self::Large(Box::new(Indexed { members, by_key }))
    }

    const fn list(&self) -> &Vec<Member<'a>> {
        match self {
            Self::Small(members) => members,
            Self::Large(indexed) => &indexed.members,
        }
    }

    /// The members, whose values may be changed, but not their keys.
    const fn list_mut(&mut self) -> &mut Vec<Member<'a>> {
        match self {
            Self::Small(members) => members,
            Self::Large(indexed) => &mut indexed.members,
        }
    }

    fn into_list(self) -> Vec<Member<'a>> {
        match self {
            Self::Small(members) => members,
            Self::Large(indexed) => indexed.members,
        }
    }

    fn position(&self, key: &str) -> Option<usize> {
        match self {
            Self::Small(members) => {
                // The first byte distinguishes most keys of one length without a call.
                let first = key.as_bytes().first();
                let is_key =
                    |name: &str| name.len() == key.len() && name.as_bytes().first() == first && name == key;
                members.iter().position(|(name, _)| is_key(name))
            }
            Self::Large(indexed) => {
                let at = indexed.search(key).ok()?;
                indexed.by_key.get(at).map(|position| *position as usize)
            }
        }
    }

    fn member_mut(&mut self, position: usize) -> Option<&mut Member<'a>> {
        match self {
            Self::Small(members) => members.get_mut(position),
            Self::Large(indexed) => indexed.members.get_mut(position),
        }
    }

    /// Adds a member whose key is not present yet.
    fn push(&mut self, member: Member<'a>) {
        match self {
            Self::Small(members) => {
                members.push(member);
                *self = Self::unique(std::mem::take(members));
            }
            Self::Large(indexed) => {
                let position = u32::try_from(indexed.members.len()).unwrap_or(u32::MAX);
                let at = indexed.search(&member.0).unwrap_or_else(|at| at);
                indexed.members.push(member);
                indexed.by_key.insert(at, position);
            }
        }
    }

    fn into_owned(self) -> Members<'static> {
        let own = |members: Vec<Member<'a>>| -> Vec<Member<'static>> {
            members
                .into_iter()
                .map(|(key, value)| (Cow::Owned(key.into_owned()), value.into_owned()))
                .collect()
        };
        match self {
            Self::Small(members) => Members::Small(own(members)),
            Self::Large(indexed) => {
                Members::Large(Box::new(Indexed { members: own(indexed.members), by_key: indexed.by_key }))
            }
        }
    }

    fn remove(&mut self, position: usize) -> Member<'a> {
        match self {
            Self::Small(members) => members.remove(position),
            Self::Large(indexed) => {
                let removed = indexed.members.remove(position);
                indexed.by_key = index(&indexed.members);
                removed
            }
        }
    }
}

/// One of 64 bits, by length and ends of a key. Keys of different marks differ.
#[inline]
fn mark(key: &str) -> u64 {
    let bytes = key.as_bytes();
    let (first, last) = match bytes {
        [] => (0, 0),
        [only] => (*only, *only),
        [first, .., last] => (*first, *last),
    };
    let sum = (bytes.len() as u64) ^ (u64::from(first) << 8) ^ (u64::from(last) << 16);
    1 << (sum.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58)
}

fn marks(members: &[Member<'_>]) -> u64 {
    members.iter().fold(0, |marks, (key, _)| marks | mark(key))
}

/// The first duplicate key among few members, and the marks of all.
fn repeated<'m, 'a>(members: &'m [Member<'a>]) -> (Option<&'m Cow<'a, str>>, u64) {
    let mut marks = 0_u64;
    let mut all = members.iter().enumerate();
    let found = all.find(|(at, (key, _))| {
        let mark = mark(key);
        // Only a key whose mark was already seen can be a duplicate.
        let suspect = marks & mark != 0;
        marks |= mark;
        suspect && members.iter().take(*at).any(|(known, _)| known == key)
    });
    (found.map(|(_, (key, _))| key), marks)
}

impl<'a> Indexed<'a> {
    fn repeated(&self) -> Option<&Cow<'a, str>> {
        let key = |position: &u32| self.members.get(*position as usize).map(|(key, _)| key);
        self.by_key.windows(2).find_map(|pair| match pair {
            [left, right] if key(left) == key(right) => key(left),
            _ => None,
        })
    }

    /// Where the key is in `by_key`, or where it would be.
    fn search(&self, key: &str) -> Result<usize, usize> {
        self.by_key.binary_search_by(|position| {
            self.members.get(*position as usize).map_or("", |(name, _)| name.as_ref()).cmp(key)
        })
    }
}

/// The positions of members in the order of their keys. A text with 2^32 members is larger than any that is
/// read.
fn index(members: &[Member<'_>]) -> Vec<u32> {
    let mut by_key: Vec<u32> = (0..u32::try_from(members.len()).unwrap_or(u32::MAX)).collect();
    by_key.sort_by_key(|position| members.get(*position as usize).map_or("", |(name, _)| name.as_ref()));
    by_key
}

impl Name {
    pub(crate) fn new(text: &str) -> Self {
        Self { mark: mark(text), text: text.into(), position: AtomicUsize::new(0) }
    }

    pub(crate) const fn as_str(&self) -> &str {
        &self.text
    }
}

impl PartialEq for Map<'_> {
    /// Objects are equal whatever the order of members.
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().all(|(key, value)| other.get(key) == Some(value))
    }
}

impl<'a> Map<'a> {
    /// An empty object.
    #[must_use]
    pub const fn new() -> Self {
        Self { marks: 0, members: Members::Small(Vec::new()) }
    }

    /// The member of this name.
    #[must_use]
    #[inline]
    pub fn get(&self, key: &str) -> Option<&Json<'a>> {
        if self.marks & mark(key) == 0 {
            return None;
        }
        self.find(key)
    }

    /// Like [`Map::get`].
    #[inline]
    pub(crate) fn get_named(&self, name: &Name) -> Option<&Json<'a>> {
        if self.marks & name.mark == 0 {
            return None;
        }
        let guess = self.members.list().get(name.position.load(Relaxed));
        match guess {
            Some((key, value)) if *key == *name.text => Some(value),
            _ => self.find_anew(name),
        }
    }

    fn find_anew(&self, name: &Name) -> Option<&Json<'a>> {
        let position = self.members.position(&name.text)?;
        name.position.store(position, Relaxed);
        self.members.list().get(position).map(|(_, value)| value)
    }

    fn find(&self, key: &str) -> Option<&Json<'a>> {
        self.at(self.members.position(key)?).map(|(_, value)| value)
    }

    /// Members whose keys are known not to repeat.
    pub(super) fn of_unique(members: Vec<Member<'a>>) -> Self {
        Self { marks: marks(&members), members: Members::unique(members) }
    }

    /// The same object, borrowing nothing.
    pub(super) fn into_owned(self) -> Map<'static> {
        Map { marks: self.marks, members: self.members.into_owned() }
    }

    /// The member of this name, for changing it.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Json<'a>> {
        let position = self.members.position(key)?;
        self.members.member_mut(position).map(|(_, value)| value)
    }

    /// Sets a member, replacing one of the same name; returns the replaced value.
    pub fn insert(&mut self, key: Cow<'a, str>, value: Json<'a>) -> Option<Json<'a>> {
        if let Some(old) = self.get_mut(&key) {
            return Some(std::mem::replace(old, value));
        }
        self.marks |= mark(&key);
        self.members.push((key, value));
        None
    }

    /// Removes a member.
    pub fn remove(&mut self, key: &str) -> Option<Json<'a>> {
        let at = self.members.position(key)?;
        Some(self.members.remove(at).1)
    }

    /// Members in the order of the text.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Json<'a>)> {
        self.members.list().iter().map(|(key, value)| (key.as_ref(), value))
    }

    /// Takes members as they were read.
    ///
    /// # Errors
    /// A duplicate key, named in the message.
    pub(crate) fn of_read(members: Vec<(Cow<'a, str>, Json<'a>)>) -> Result<Self, String> {
        let repeats = |key: &Cow<'a, str>| format!("duplicate key `{key}`");
        if members.len() <= SMALL {
            return match repeated(&members) {
                (Some(key), _) => Err(repeats(key)),
                (None, marks) => Ok(Self { marks, members: Members::Small(members) }),
            };
        }
        let map = Self::of_unique(members);
        match &map.members {
            Members::Large(indexed) => match indexed.repeated() {
                Some(key) => Err(repeats(key)),
                None => Ok(map),
            },
            Members::Small(_) => Ok(map),
        }
    }

    /// Members in the order of the text, with values that may be changed.
    pub fn iter_mut(&mut self) -> impl ExactSizeIterator<Item = (&str, &mut Json<'a>)> {
        self.members.list_mut().iter_mut().map(|(key, value)| {
            let key: &Cow<'a, str> = key;
            (key.as_ref(), value)
        })
    }

    /// Keeps the members for which `keep` holds.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &Json<'a>) -> bool) {
        let mut members = std::mem::take(&mut self.members).into_list();
        members.retain(|(key, value)| keep(key, value));
        *self = Self::of_unique(members);
    }

    /// The number of members.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.members.list().len()
    }

    /// Whether it has no members.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.members.list().is_empty()
    }

    /// The member at a position of the text's order; for evaluators that walk by index.
    #[must_use]
    pub fn at(&self, index: usize) -> Option<(&str, &Json<'a>)> {
        self.members.list().get(index).map(|(key, value)| (key.as_ref(), value))
    }
}

impl<'a> IntoIterator for Map<'a> {
    type Item = (Cow<'a, str>, Json<'a>);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        match self.members {
            Members::Small(members) => members.into_iter(),
            Members::Large(indexed) => indexed.members.into_iter(),
        }
    }
}

impl<'a> FromIterator<(Cow<'a, str>, Json<'a>)> for Map<'a> {
    /// Collects members; of equal keys the last one wins.
    fn from_iter<T: IntoIterator<Item = (Cow<'a, str>, Json<'a>)>>(iter: T) -> Self {
        let mut positions: BTreeMap<Cow<'a, str>, usize> = BTreeMap::new();
        let mut members: Vec<Member<'a>> = Vec::new();
        for (key, value) in iter {
            // A duplicate key replaces the first one.
            let known = positions.get(&key).and_then(|at| members.get_mut(*at));
            match known {
                Some(known) => known.1 = value,
                None => {
                    positions.insert(key.clone(), members.len());
                    members.push((key, value));
                }
            }
        }
        Self::of_unique(members)
    }
}
