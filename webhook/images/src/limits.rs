//! Every limit of the image check, with its reason.

use std::time::Duration;

/// The largest manifest or index: the size that the distribution specification expects every registry to
/// accept. <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pushing-manifests>
pub(crate) const MANIFEST_BYTES: usize = 4 << 20;

/// The largest manifest of a referrer: a config, one layer and a few annotations.
pub(crate) const REFERRER_BYTES: usize = 64 << 10;

/// The largest bundle. One with a certificate, a log entry and a timestamp is about 10 kB.
pub(crate) const BUNDLE_BYTES: usize = 512 << 10;

/// The largest answer of a token service.
pub(crate) const TOKEN_BYTES: usize = 64 << 10;

/// Referrers of one image that are read: more than any real image has, and few enough to read in time.
pub(crate) const REFERRERS: usize = 100;

/// Pages of a list of referrers; registries return 100 or more per page.
pub(crate) const REFERRER_PAGES: usize = 10;

/// Layers of one referrer; cosign writes one.
pub(crate) const LAYERS: usize = 8;

/// Log entries, and timestamps, of one bundle; cosign writes one of each. Each costs a signature to check, on the
/// threads that serve, and anybody can get timestamps: a bundle has room for five hundred.
pub(crate) const PROOFS: usize = 8;

/// Total bytes that may be read for one image.
pub(crate) const IMAGE_BYTES: usize = 32 << 20;

/// The time that one image may take, however long the caller would wait.
pub(crate) const IMAGE_TIME: Duration = Duration::from_secs(6);

/// The time to open a connection, TLS included. A host that drops packets must not use up the time of the
/// whole review.
pub(crate) const CONNECT_TIME: Duration = Duration::from_secs(3);

/// Requests in progress, over all registries.
pub(crate) const REQUESTS: usize = 64;

/// Total size that the answers of all requests in progress may have, each counted with the largest that it may
/// be: sixteen manifests, or 128 bundles. What is looked at after it was read comes on top: one answer for each
/// thing that is worked on.
pub(crate) const READING_BYTES: usize = 64 << 20;

/// The longest digest in a list or a manifest: SHA-512 has 135 characters.
pub(crate) const DIGEST_CHARS: usize = 160;

/// The longest explanation, in characters. A registry chooses some of its words, and they are cached.
pub(crate) const WORDS_CHARS: usize = 300;

/// The longest text of a registry that is quoted in an explanation, in characters before escaping.
pub(crate) const QUOTED_CHARS: usize = 80;

/// Referrers of one image that are read concurrently.
pub(crate) const READ_AT_ONCE: usize = 8;

/// Idle connections kept per registry: as many as may be in use, so that a review of many images does not close
/// connections only to open them again.
pub(crate) const IDLE_CONNECTIONS: usize = REQUESTS;

/// Registries with idle connections.
pub(crate) const IDLE_REGISTRIES: usize = 64;

/// How long a connection is kept idle: less than the minute after which common load balancers silently drop
/// one.
pub(crate) const IDLE_TIME: Duration = Duration::from_secs(30);

/// Addresses that are tried for one host.
pub(crate) const ADDRESSES: usize = 4;

/// Concurrent name lookups. A lookup occupies a thread of the pool that also judges reviews for as long as
/// the resolver waits for an unreachable server, even after every caller has given up. This limit leaves most
/// of the pool's sixteen threads to the reviews.
pub(crate) const LOOKUPS: usize = 4;

/// Redirects of one blob: a registry redirects to its storage, and the storage no further.
pub(crate) const REDIRECTS: usize = 2;

/// How often a request is retried after a server failure (500, 502, 504).
pub(crate) const SERVER_FAILURES: u32 = 2;

/// The first wait after "too many requests"; each further wait is twice as long, up to the deadline. The
/// registry's `Retry-After` can only make a wait longer: with zero, it would be asked without pause.
pub(crate) const FIRST_WAIT: Duration = Duration::from_millis(100);

/// Cached tokens; one per repository.
pub(crate) const TOKENS: usize = 1024;

/// How long a token without `expires_in` is valid, and how long before its expiry a token is no longer used.
/// <https://distribution.github.io/distribution/spec/auth/token/>
pub(crate) const TOKEN_TIME: Duration = Duration::from_secs(60);
pub(crate) const TOKEN_MARGIN: Duration = Duration::from_secs(10);
/// The longest use of a token, whatever the token service says, so that a revoked one is used no longer than
/// this.
pub(crate) const TOKEN_LONGEST: Duration = Duration::from_secs(3600);

/// Digests whose evidence is cached.
pub(crate) const CACHED: usize = 10_000;

/// How long verified signatures are cached. They cannot be revoked, and the signers that the policy requires
/// are part of the key; the limit makes sure that certificates and clocks are checked again.
pub(crate) const SIGNED_TIME: Duration = Duration::from_secs(3600);

/// How long a missing signature is known to be missing, whatever else was found. After signing, a retry should
/// not have to wait, and constant retries should not cause as many requests to the registry.
pub(crate) const UNSIGNED_TIME: Duration = Duration::from_secs(5);

/// Images that one review may ask about. A pod has a few dozen at most.
pub(crate) const DEMANDS: usize = 128;

/// How often a review joins the flight of another one that ends at the other's earlier deadline.
pub(crate) const BOARDINGS: usize = 4;

/// Trust roots that are kept in parsed form.
pub(crate) const TRUST_ROOTS: usize = 64;

/// Entries reported for one image about bundles that do not count.
pub(crate) const PASSED_OVER: usize = 16;
