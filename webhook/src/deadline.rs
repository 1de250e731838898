//! The deadline of a review: the API server sends it in `?timeout=`, as a Go duration.

use std::time::{Duration, Instant};

/// The API server's default when a webhook configuration sets no timeout (admissionregistration.k8s.io/v1).
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// The API server's upper limit for webhook timeouts; a larger one in a request is cut to it.
const MAX_TIMEOUT: Duration = Duration::from_secs(30);

/// Reserved for sending the answer, since an answer that arrives after the deadline is lost. At most a
/// quarter of the timeout.
const MARGIN: Duration = Duration::from_millis(250);

/// The moment by which the answer to one request must have been written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    at: Instant,
    timeout: Duration,
}

impl Deadline {
    /// From the query of the request's URL. An unreadable timeout counts as the default, as in Kubernetes'
    /// own servers.
    pub(crate) fn from_query(query: Option<&str>, received: Instant) -> Self {
        let timeout = query
            .and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("timeout=")))
            .and_then(|text| parse_duration(text).ok())
            .unwrap_or(DEFAULT_TIMEOUT)
            .min(MAX_TIMEOUT);
        let at = received + timeout.saturating_sub(MARGIN.min(timeout / 4));
        Self { at, timeout }
    }

    /// The deadline, or this long from now, whichever is sooner.
    pub(crate) fn or_in(self, wait: Duration) -> tokio::time::Instant {
        self.at.min(Instant::now() + wait).into()
    }

    /// The deadline.
    pub(crate) fn at(self) -> tokio::time::Instant {
        self.at.into()
    }

    /// This long before the deadline.
    pub(crate) fn before(self, margin: Duration) -> Instant {
        self.at.checked_sub(margin).unwrap_or(self.at)
    }

    /// Whether the deadline has passed.
    pub(crate) fn passed(self) -> bool {
        Instant::now() >= self.at
    }

    /// The client's timeout, for messages.
    pub(crate) const fn timeout(self) -> Duration {
        self.timeout
    }
}

/// Reads a duration as Go's `time.ParseDuration` does, without signs: decimal numbers, each with a unit of
/// `ns`, `us`, `ms`, `s`, `m`, `h`.
///
/// # Errors
/// A text that is not a duration, or a duration beyond a year.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    const YEAR_SECONDS: f64 = 366.0 * 86_400.0;
    let wrong = || format!("`{text}` is not a duration such as `10s` or `1m30s`");
    let mut rest = text;
    let mut seconds = 0.0;
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).ok_or_else(wrong)?;
        let (number, tail) = rest.split_at(digits);
        let unit_len = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_len);
        let number: f64 = number.parse().map_err(|_| wrong())?;
        let unit = match unit {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(wrong()),
        };
        seconds += number * unit;
        rest = tail;
    }
    if text.is_empty() || !(0.0..=YEAR_SECONDS).contains(&seconds) {
        return Err(wrong());
    }
    Duration::try_from_secs_f64(seconds).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_writes_them() {
        for (text, ms) in [
            ("10s", 10_000),
            ("1m30s", 90_000),
            ("500ms", 500),
            ("1.5s", 1500),
            ("0s", 0),
            ("0", 0),
            ("1h", 3_600_000),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "10", "s", "-1s", "10 s", "1.2.3s", "10d", "9999999h", "٣s"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_deadline_leaves_time_for_the_way_home() {
        let now = Instant::now();
        let of = |query| Deadline::from_query(query, now).at.duration_since(now);
        assert_eq!(of(Some("timeout=5s")), Duration::from_millis(4750));
        assert_eq!(of(Some("a=b&timeout=400ms")), Duration::from_millis(300));
        assert_eq!(of(Some("timeout=5h")), Duration::from_millis(29_750));
        assert_eq!(of(Some("timeout=soon")), Duration::from_millis(9750));
        assert_eq!(of(None), Duration::from_millis(9750));
    }
}
