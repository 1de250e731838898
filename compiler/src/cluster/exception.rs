//! Exceptions: from the object to what a review asks, with the bound on how long one may hold.

use bailiwick_crds::binding::{PolicyException, PolicyExceptionSpec};
use bailiwick_policy::admission::{Excepted, Exception, Moment};

/// Most seconds from the making of an exception to its end: 30 days. What lasts longer belongs into the pack.
pub const MAX_EXCEPTION_S: i64 = 30 * 24 * 3600;

/// Why an exception does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExceptionError {
    /// It stands where anybody might have written it.
    #[error("exceptions hold in namespace `{0}` only")]
    Namespace(String),
    /// Its end is no time.
    #[error("`{0}` is not an RFC 3339 time")]
    Expires(String),
    /// It would hold for too long.
    #[error("it ends more than 30 days after it was made")]
    TooLong,
    /// Nobody made it: admission did not see it.
    #[error("it has no approver: it was created while the webhook was not in force; delete and recreate it")]
    Unapproved,
    /// It says nothing of when it was made.
    #[error("it has no `metadata.creationTimestamp`")]
    Undated,
}

/// What a review asks of an exception. Whether it has expired is the review's to say, since only its caller has a clock.
///
/// # Errors
/// An exception that must not hold.
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
