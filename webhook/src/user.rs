//! Who sent a request to the API server.

use std::collections::BTreeMap;

use bailiwick_policy::admission::AdmissionRequest;
use k8s_openapi::api::authorization::v1::SubjectAccessReviewSpec;
use serde::Deserialize;

/// The user who sent the request, from `AdmissionRequest.userInfo`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct UserInfo {
    pub(crate) username: String,
    uid: Option<String>,
    groups: Vec<String>,
    extra: BTreeMap<String, Vec<String>>,
}

impl UserInfo {
    /// The user of a request.
    ///
    /// # Errors
    /// A malformed `userInfo`.
    pub(crate) fn of(request: &AdmissionRequest<'_>) -> Result<Self, String> {
        let Some(user) = request.attributes.get("userInfo") else { return Ok(Self::default()) };
        let user = serde_json::to_value(user).unwrap_or_default();
        serde_json::from_value(user).map_err(|error| format!("`userInfo` cannot be read: {error}"))
    }

    /// The user in the form of a SubjectAccessReview.
    pub(crate) fn spec(&self) -> SubjectAccessReviewSpec {
        SubjectAccessReviewSpec {
            user: Some(self.username.clone()),
            uid: self.uid.clone(),
            groups: Some(self.groups.clone()),
            extra: (!self.extra.is_empty()).then(|| self.extra.clone()),
            ..SubjectAccessReviewSpec::default()
        }
    }
}
