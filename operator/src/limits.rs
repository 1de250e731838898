//! Every limit of the operator, with its reason.

use std::time::Duration;

/// The one field manager of everything that the operator writes.
pub const FIELD_MANAGER: &str = "bailiwick-operator";

/// Longest wait for one request that writes. Ordinary writes take milliseconds, with webhooks of the cluster in their way up to some
/// seconds; what takes longer is given up and tried again. The fence keeps so much of the lease in hand.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(3);

/// Longest time between two looks at the lease: a successor takes over so soon after it was given back.
pub const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Writes in flight at once: some hundred objects are written within seconds, and an API server hardly notices.
pub const WRITES_AT_ONCE: usize = 8;

/// Wait before a pass that failed is tried again, doubled each time up to the second figure.
pub const RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(30));

/// Wait for more events before a pass: an apply of several files comes as several events.
pub const SETTLE: Duration = Duration::from_millis(30);

/// A pass without any event: what no event tells, as an expiry, is noticed this late at most. It reads nothing from the API server.
pub const IDLE_PASS: Duration = Duration::from_secs(30);

/// Waits of a watch that broke: first and longest. Drift must be repaired within two seconds even after the API server was away.
pub const WATCH_BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));

/// The election and the passes each must have done something within this, or `/livez` says so and the process is replaced.
pub const STUCK: Duration = Duration::from_secs(120);

/// Most bytes of a request's head or of an answer of a webhook that is probed: both are some kilobytes.
pub const MAX_ANSWER_BYTES: usize = 256 << 10;

/// Most connections to `/metrics` and the probes: a kubelet and some collectors.
pub const MAX_CONNECTIONS: usize = 64;

/// Longest wait for the head of a request, and for one whole probe of a webhook.
pub const PROBE_TIMEOUT: Duration = Duration::from_secs(3);

/// Between two probes of the webhook's replicas while it is not armed, or an update of its configuration waits.
pub const PROBE_EVERY: Duration = Duration::from_secs(1);

/// Most replicas that are probed in one pass: nobody runs more.
pub const MAX_REPLICAS: usize = 64;

/// Most events of one pass: whoever deletes a thousand objects is told by the metric.
pub const MAX_EVENTS: usize = 32;

/// Longest note of an event, which the API bounds at 1 KiB.
pub const MAX_NOTE: usize = 1000;

/// Longest message of a condition; the API takes 32 KiB, a terminal shows less.
pub const MAX_MESSAGE: usize = 4 << 10;
