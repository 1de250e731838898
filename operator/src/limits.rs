//! Every limit of the operator, with its reason.

use std::time::Duration;

/// The field manager of everything that the operator writes.
pub const FIELD_MANAGER: &str = "bailiwick-operator";

/// Longest wait for one write request. Ordinary writes take milliseconds, or up to a few seconds with other
/// webhooks of the cluster in their path; a longer one is given up and tried again. The fence reserves this
/// much of the lease.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(3);

/// Longest time between two looks at the lease, so a successor takes over this soon after it was given back.
pub const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Concurrent writes: a few hundred objects are written within seconds, with hardly any load on an API
/// server.
pub const WRITES_AT_ONCE: usize = 8;

/// Pause before a failed pass is repeated, doubled each time up to the second value.
pub const RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(30));

/// Passes on end in which somebody else may write an object before the operator does. Until then statuses wait for the
/// next comparison; one that goes on longer is reported.
pub const MAX_RACES: u32 = 10;

/// Pause for more events before a pass: an apply of several files arrives as several events.
pub const SETTLE: Duration = Duration::from_millis(30);

/// Interval of passes without any event: what no event reports, such as an expiry, is noticed this late at
/// most. Such a pass reads nothing from the API server.
pub const IDLE_PASS: Duration = Duration::from_secs(30);

/// Pauses of a broken watch: first and longest. Drift must be repaired within two seconds even after the API
/// server was unreachable.
pub const WATCH_BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));

/// The election and the passes must each have done something within this time, or `/livez` fails and the
/// process is replaced.
pub const STUCK: Duration = Duration::from_secs(120);

/// Most bytes of a request's head, or of the answer of a probed webhook: both are a few kilobytes.
pub const MAX_ANSWER_BYTES: usize = 256 << 10;

/// Most connections to `/metrics` and the health endpoints: a kubelet and a few collectors.
pub const MAX_CONNECTIONS: usize = 64;

/// Longest wait for the head of a request, and for one whole probe of a webhook.
pub const PROBE_TIMEOUT: Duration = Duration::from_secs(3);

/// Pause between two probes of the webhook's replicas while it is not armed, or while an update of its
/// configuration waits.
pub const PROBE_EVERY: Duration = Duration::from_secs(1);

/// Most replicas that are probed in one pass: more than any installation has.
pub const MAX_REPLICAS: usize = 64;

/// Most events of one pass: for the deletion of a thousand objects, the metric has the count.
pub const MAX_EVENTS: usize = 32;

/// Longest note of an event, which the API limits to 1 KiB.
pub const MAX_NOTE: usize = 1000;

/// Longest message of a condition; the API accepts 32 KiB, a terminal shows less.
pub const MAX_MESSAGE: usize = 4 << 10;
