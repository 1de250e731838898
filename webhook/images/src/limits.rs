//! Every limit of the image check, with its reason.

use std::time::Duration;

/// The largest manifest or index: what the distribution specification asks registries to take at least.
/// <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pushing-manifests>
pub(crate) const MANIFEST_BYTES: usize = 4 << 20;

/// The largest manifest of a referrer: a config, one layer and a few annotations.
pub(crate) const REFERRER_BYTES: usize = 64 << 10;

/// The largest bundle; with a certificate, a log entry and a timestamp it has some 10 kB.
pub(crate) const BUNDLE_BYTES: usize = 512 << 10;

/// The largest answer of a token service.
pub(crate) const TOKEN_BYTES: usize = 64 << 10;

/// How many referrers of one image are looked at: more than anybody signs with, few enough to read in time.
pub(crate) const REFERRERS: usize = 100;

/// Pages of a list of referrers; registries give 100 and more a page.
pub(crate) const REFERRER_PAGES: usize = 10;

/// Layers of one referrer; cosign writes one.
pub(crate) const LAYERS: usize = 8;

/// What all that is read about one image may come to, in bytes.
pub(crate) const IMAGE_BYTES: usize = 32 << 20;

/// What one image may take, however long the caller would wait.
pub(crate) const IMAGE_TIME: Duration = Duration::from_secs(6);

/// The time to open a connection, TLS included. A host that drops packets must not eat the time of the whole review.
pub(crate) const CONNECT_TIME: Duration = Duration::from_secs(3);

/// Requests in progress, over all registries.
pub(crate) const REQUESTS: usize = 64;

/// Referrers of one image that are read at the same time.
pub(crate) const READ_AT_ONCE: usize = 8;

/// Idle connections kept for one registry.
pub(crate) const IDLE_CONNECTIONS: usize = 16;

/// Registries with idle connections.
pub(crate) const IDLE_REGISTRIES: usize = 64;

/// How long a connection is kept idle: less than the minute after which common load balancers drop one silently.
pub(crate) const IDLE_TIME: Duration = Duration::from_secs(30);

/// Addresses of one host that are tried.
pub(crate) const ADDRESSES: usize = 4;

/// Names that are looked up at one time. A lookup takes a thread of the pool that also judges reviews, for as long as the resolver waits for a server
/// that is away, whoever has given up meanwhile; so few leave most of the pool's sixteen to the reviews.
pub(crate) const LOOKUPS: usize = 4;

/// Redirects of one blob: a registry sends to its storage, and that is that.
pub(crate) const REDIRECTS: usize = 2;

/// How often a server's own failure (500, 502, 504) is tried again.
pub(crate) const SERVER_FAILURES: u32 = 2;

/// The first wait after "too many requests" without a `Retry-After`; each further one doubles, up to the deadline.
pub(crate) const FIRST_WAIT: Duration = Duration::from_millis(100);

/// Tokens kept; one for each repository.
pub(crate) const TOKENS: usize = 1024;

/// How long a token without `expires_in` is good, and how much earlier than it says one is no longer used.
/// <https://distribution.github.io/distribution/spec/auth/token/>
pub(crate) const TOKEN_TIME: Duration = Duration::from_secs(60);
pub(crate) const TOKEN_MARGIN: Duration = Duration::from_secs(10);
/// However long a token service says that a token is good: one that was taken back is used no longer than that.
pub(crate) const TOKEN_LONGEST: Duration = Duration::from_secs(3600);

/// Digests whose evidence is kept.
pub(crate) const CACHED: usize = 10_000;

/// How long verified signatures are kept. They cannot be unmade, and what the policy asks is part of the key; an end all the same, so that
/// certificates and clocks are looked at again.
pub(crate) const SIGNED_TIME: Duration = Duration::from_secs(3600);

/// How long "no such signature" is kept: whoever signs and tries again should not wait, and whoever tries all the time should not
/// make us ask the registry as often.
pub(crate) const UNSIGNED_TIME: Duration = Duration::from_secs(5);

/// Images that one review may ask about. A pod has some dozens at most.
pub(crate) const DEMANDS: usize = 128;

/// How often a review joins another's flight that ends by the other's shorter deadline.
pub(crate) const BOARDINGS: usize = 4;

/// Trust roots that are kept parsed.
pub(crate) const TRUST_ROOTS: usize = 64;

/// What of one image is told about bundles that do not count, in entries.
pub(crate) const PASSED_OVER: usize = 16;
