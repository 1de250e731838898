//! A refusal as an HTTP answer: its status and its body.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::refusal::Refusal;
use crate::wire::Problem;

const fn status(refusal: &Refusal) -> StatusCode {
    use Refusal as R;
    use StatusCode as S;
    match refusal {
        R::Malformed(_) => S::BAD_REQUEST,
        R::TooLarge { .. } | R::TooHeavy { .. } => S::PAYLOAD_TOO_LARGE,
        R::TooSlow => S::REQUEST_TIMEOUT,
        R::UnknownSession | R::UnknownCall | R::UnknownApproval | R::NoSuchPath => S::NOT_FOUND,
        R::BadApproval(_) => S::FORBIDDEN,
        R::NoStdin
        | R::Ended
        | R::NotBegun
        | R::NotSignallable
        | R::KeyReused
        | R::KeysUsedUp { .. }
        | R::NotCancellable => S::CONFLICT,
        R::Dropped | R::WorkspaceLost => S::GONE,
        R::Busy(_) => S::TOO_MANY_REQUESTS,
        R::NotRecorded { .. } | R::Draining => S::SERVICE_UNAVAILABLE,
        R::Fault => S::INTERNAL_SERVER_ERROR,
        R::Method => S::METHOD_NOT_ALLOWED,
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = status(&self);
        let problem =
            Problem { error: self.word(), message: self.message(), help: self.help().map(str::to_owned) };
        let mut response = (status, Json(problem)).into_response();
        if status == StatusCode::TOO_MANY_REQUESTS {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
