//! Exceptions: from the object to the form that a review uses, with the limit on how long one may last.

use bailiwick_crds::binding::{PolicyException, PolicyExceptionSpec};
use bailiwick_policy::admission::{Excepted, Exception, Moment};

/// Most seconds from the creation of an exception to its end: 30 days. A longer one belongs in the pack.
pub const MAX_EXCEPTION_S: i64 = 30 * 24 * 3600;

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
