//! Signatures: a bundle for a digest.

use std::sync::{Arc, LazyLock};

use bailiwick_policy::admission::evidence::{Signers, TrustRoot};

use crate::PUBLIC_TRUST_ROOT;
use crate::verify::{TrustRoots, verify};

/// From the first test of RFC 8032, section 7.1.
const KEY: &str = "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

/// Parsed once: reading the public root takes longer than anything else here.
static ROOTS: LazyLock<TrustRoots> = LazyLock::new(TrustRoots::default);

static SIGNERS: LazyLock<Signers> = LazyLock::new(|| Signers {
    keys: [KEY.to_owned()].into(),
    trust_roots: [Arc::new(TrustRoot::new(PUBLIC_TRUST_ROOT))].into(),
});

/// A digest on the first line, followed by the bytes of a bundle. Nothing verifies under a key that has
/// signed no image, nor under Sigstore's public trust root.
pub fn fuzz(data: &[u8]) {
    let at = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (digest, bundle) = data.split_at_checked(at).unwrap_or((data, &[]));
    let digest = String::from_utf8_lossy(digest);
    let verified = verify(bundle.trim_ascii_start(), &digest, &SIGNERS, &ROOTS);
    assert!(verified.is_err(), "{verified:?} over {digest}");
}
