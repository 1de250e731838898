//! `/v1/drain`, on the admin socket: stops accepting calls, and reports how many still run. Ending the
//! executor once none runs interrupts no call.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;

use super::{App, Params};
use crate::limits::MAX_LONG_POLL;
use crate::refusal::Refusal;
use crate::wire::Drained;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct DrainQuery {
    /// How many milliseconds to wait for the end of what still runs.
    #[serde(default)]
    wait_ms: u64,
}

pub(super) async fn drain(
    State(app): State<App>,
    Params(query): Params<DrainQuery>,
) -> Result<Json<Drained>, Refusal> {
    app.drain();
    let wait = Duration::from_millis(query.wait_ms).min(MAX_LONG_POLL);
    // The answer says whether it was in time.
    let _ = tokio::time::timeout(wait, app.all_ended()).await;
    Ok(Json(Drained { running: app.seated() }))
}
