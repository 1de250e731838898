//! Exceptions: from the object to the form that a review uses, with the limits on how long one may last and how many
//! there may be.

use std::collections::BTreeMap;

use bailiwick_crds::binding::{PolicyException, PolicyExceptionSpec};
use bailiwick_policy::admission::{Excepted, Exception, Moment};

use crate::emit::excepted_length;

/// Most seconds from the creation of an exception to its end: 30 days. A longer one belongs in the pack.
pub const MAX_EXCEPTION_S: i64 = 30 * 24 * 3600;

/// Most characters of the expression of all exceptions to one rule: the API server accepts 100,000 in an expression,
/// and refuses a policy with a longer one as a whole. An object takes some 200, at most 900.
const MAX_OF_RULE: usize = 64_000;

/// The same of all rules together, which may be in one policy: etcd takes 1.5 MiB of an object.
const MAX_OF_ALL: usize = 500_000;

/// Why an exception does not apply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExceptionError {
    /// It is in a namespace where any user might have written it.
    #[error("exceptions hold in namespace `{0}` only")]
    Namespace(String),
    /// Its end is not a valid time.
    #[error("`{0}` is not an RFC 3339 time")]
    Expires(String),
    /// It would last too long.
    #[error("it ends more than 30 days after it was made")]
    TooLong,
    /// It names no user who made it, so admission did not see it.
    #[error("it has no approver: it was created while the webhook was not in force; delete and recreate it")]
    Unapproved,
    /// It does not say when it was created.
    #[error("it has no `metadata.creationTimestamp`")]
    Undated,
    /// It holds no more.
    #[error("it has expired")]
    Expired,
    /// The admission policies have no room for it.
    #[error(
        "there are too many exceptions beside it for one admission policy, and older ones come first: delete those to rule `{0}` that nobody needs, or change the pack"
    )]
    NoRoom(String),
    /// All admission policies together have no room for it.
    #[error(
        "there are too many exceptions beside it, and older ones come first: delete those that nobody needs, of whatever rule"
    )]
    NoRoomAtAll,
}

/// What becomes of all exceptions, in their order. At a time, so many hold as the admission policies have room for,
/// the oldest first: a policy that is too large is refused, and then not even an exception that expires is taken out.
#[must_use]
pub fn exceptions(
    objects: &[&PolicyException],
    policy_namespace: &str,
    now: Moment,
) -> Vec<Result<Exception, ExceptionError>> {
    let mut oldest_first: Vec<(usize, &&PolicyException)> = objects.iter().enumerate().collect();
    oldest_first.sort_by_cached_key(|(at, object)| {
        let metadata = &object.metadata;
        (metadata.creation_timestamp.as_ref().map(|time| time.0), metadata.name.clone(), *at)
    });
    let mut room = Room::default();
    let verdicts = oldest_first.into_iter().map(|(at, object)| {
        let read = exception(object, policy_namespace).and_then(|one| match one.expires <= now {
            true => Err(ExceptionError::Expired),
            false => room.take(one),
        });
        (at, read)
    });
    verdicts.collect::<BTreeMap<_, _>>().into_values().collect()
}

/// The characters that are taken.
#[derive(Default)]
struct Room {
    all: usize,
    rules: BTreeMap<(String, String), usize>,
}

impl Room {
    fn take(&mut self, one: Exception) -> Result<Exception, ExceptionError> {
        let length = excepted_length(&one.objects);
        let of_rule = self.rules.entry((one.pack.clone(), one.rule.clone())).or_default();
        if *of_rule + length > MAX_OF_RULE {
            return Err(ExceptionError::NoRoom(one.rule));
        }
        if self.all + length > MAX_OF_ALL {
            return Err(ExceptionError::NoRoomAtAll);
        }
        *of_rule += length;
        self.all += length;
        Ok(one)
    }
}

/// The form of an exception that a review uses. The review decides whether it has expired, since only its
/// caller has a clock.
///
/// # Errors
/// An exception that must not apply.
pub fn exception(object: &PolicyException, policy_namespace: &str) -> Result<Exception, ExceptionError> {
    let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
    if namespace != policy_namespace {
        return Err(ExceptionError::Namespace(policy_namespace.to_owned()));
    }
    let PolicyExceptionSpec { pack, rule, objects, expires, approver, .. } = &object.spec;
    let ends: k8s_openapi::jiff::Timestamp =
        expires.parse().map_err(|_| ExceptionError::Expires(expires.clone()))?;
    let made = object.metadata.creation_timestamp.as_ref().ok_or(ExceptionError::Undated)?.0;
    let expires = ends.as_second();
    if expires - made.as_second() > MAX_EXCEPTION_S {
        return Err(ExceptionError::TooLong);
    }
    let approver = approver.clone().filter(|one| !one.is_empty()).ok_or(ExceptionError::Unapproved)?;
    let excepted = objects.iter().map(|one| Excepted {
        resource: one.resource.clone(),
        namespace: one.namespace.clone(),
        name: one.name.clone().or_else(|| one.name_prefix.clone()).unwrap_or_default(),
        prefix: one.name.is_none(),
    });
    Ok(Exception {
        name: format!("{namespace}/{}", object.metadata.name.as_deref().unwrap_or_default()),
        pack: pack.clone(),
        rule: rule.clone(),
        objects: excepted.filter(|one| !one.name.is_empty()).collect(),
        expires: Moment(expires),
        approver,
    })
}
