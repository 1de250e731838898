//! Who may talk to whom, and which images may run.
//!
//! Wire types: they say what can be written, not what it means. Doc comments become the descriptions of the CRD.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scalar::Cidr;
use crate::scalar::closed;
use crate::selector::LabelSelector;

/// Connections of governed pods. Both directions are denied unless a rule allows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Network {
    /// Who carries the rules by host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<Proxy>,
    /// Outgoing connections that are allowed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub egress: Vec<EgressRule>,
    /// Incoming connections that are allowed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub ingress: Vec<IngressRule>,
}

closed! {
    /// Who carries rules by host.
    pub enum Proxy {
        /// One egress gateway, which alone may leave the namespace.
        Gateway = "Gateway",
        /// A sidecar in each pod.
        Sidecar = "Sidecar",
    }
}

/// Outgoing connections to a peer at any of the ports.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EgressRule {
    /// Name of the rule.
    #[schemars(extend("pattern" = crate::scalar::NAME_PATTERN, "maxLength" = 63))]
    pub name: String,
    /// Where governed pods may connect to.
    pub to: EgressPeer,
    /// Ports on the side that is connected to.
    #[schemars(extend("minItems" = 1))]
    pub ports: Vec<NetworkPort>,
    /// What the proxy does with TLS; only with `hosts`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Requests that are allowed; only with `tls: Terminate`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub http: Vec<HttpRule>,
}

/// The other end of an outgoing connection: hosts, or one CIDR, or pods.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-bailiwick-one-of" = [["hosts"], ["cidr"], ["namespaces", "pods"]]))]
#[schemars(extend("x-bailiwick-requires" = { "except": "cidr" }))]
pub struct EgressPeer {
    /// Host names; carried by the proxy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hosts: Option<Vec<String>>,
    /// Addresses, in CIDR notation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cidr: Option<Cidr>,
    /// Networks taken out of `cidr`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<Cidr>,
    /// Pods of namespaces with these labels; absent: of the pod's own namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<LabelSelector>,
    /// Pods with these labels; absent: all pods of `namespaces`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods: Option<LabelSelector>,
}

/// Incoming connections from a peer to any of the ports.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IngressRule {
    /// Name of the rule.
    #[schemars(extend("pattern" = crate::scalar::NAME_PATTERN, "maxLength" = 63))]
    pub name: String,
    /// Who may connect to governed pods.
    pub from: IngressPeer,
    /// Ports on the side that is connected to.
    #[schemars(extend("minItems" = 1))]
    pub ports: Vec<NetworkPort>,
}

/// The other end of an incoming connection: one CIDR, or pods.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-bailiwick-one-of" = [["cidr"], ["namespaces", "pods"]]))]
#[schemars(extend("x-bailiwick-requires" = { "except": "cidr" }))]
pub struct IngressPeer {
    /// Addresses, in CIDR notation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cidr: Option<Cidr>,
    /// Networks taken out of `cidr`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<Cidr>,
    /// Pods of namespaces with these labels; absent: of the pod's own namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<LabelSelector>,
    /// Pods with these labels; absent: all pods of `namespaces`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods: Option<LabelSelector>,
}

/// A port or a range of ports.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NetworkPort {
    /// The port, or the first of a range.
    #[schemars(schema_with = "crate::scalar::port")]
    pub port: i64,
    /// The last port of a range, inclusive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::scalar::port")]
    pub end_port: Option<i64>,
    /// The transport protocol.
    #[serde(default, skip_serializing_if = "crate::scalar::is_default")]
    pub protocol: Protocol,
}

closed! {
    /// Transport protocols of NetworkPolicy.
    pub enum Protocol {
        /// Transmission Control Protocol.
        Tcp = "TCP",
        /// User Datagram Protocol.
        Udp = "UDP",
        /// Stream Control Transmission Protocol.
        Sctp = "SCTP",
    }
    default Tcp
}

closed! {
    /// What the proxy does with TLS.
    pub enum Tls {
        /// Passes it on; the name asked for must be the name in the handshake.
        Passthrough = "Passthrough",
        /// Ends it with a name-constrained authority of its own, so that requests can be seen.
        Terminate = "Terminate",
    }
}

/// Requests that are allowed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpRule {
    /// Methods; none named: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
    /// Path patterns; none named: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
}

/// What is asked of images. All entries that match an image apply: their requirements add up, and one that denies
/// wins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-bailiwick-at-most-one-of" = [["deny"], ["digest", "require"]]))]
pub struct Image {
    /// Patterns over the normalised reference without tag and digest: `*` within a path segment, `**` across.
    #[serde(rename = "match")]
    #[schemars(extend("minItems" = 1))]
    pub matches: Vec<String>,
    /// Whether matching images are refused.
    #[serde(default, skip_serializing_if = "crate::scalar::is_default")]
    pub deny: bool,
    /// What is asked of the digest.
    #[serde(default, skip_serializing_if = "crate::scalar::is_default")]
    pub digest: ImageDigest,
    /// Evidence that must be there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub require: Vec<ImageRequirement>,
}

closed! {
    /// What is asked of an image's digest.
    pub enum ImageDigest {
        /// It is looked up and written in where it is missing.
        Resolve = "Resolve",
        /// The reference must hold one.
        Required = "Required",
        /// A tag or a digest will do.
        Any = "Any",
    }
    default Required
}

/// Evidence that an image must have.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-bailiwick-one-of" = [["signature"], ["attestation"]]))]
pub struct ImageRequirement {
    /// A signature over the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<Signature>,
    /// A signed statement about the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attestation: Option<Attestation>,
}

/// A signature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Signature {
    /// The key or identity that must have signed.
    pub identity: Identity,
}

/// A signed in-toto statement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Attestation {
    /// Type of the predicate, a URI.
    pub predicate_type: String,
    /// The key or identity that must have signed.
    pub identity: Identity,
    /// A condition over `predicate`, in CEL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-bailiwick-format" = "cel"))]
    pub when: Option<String>,
}

/// Who signed: a keyless identity of an issuer, or the holder of a key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-bailiwick-one-of" = [["issuer", "subject", "subjectPattern", "trustRoot"], ["publicKey"]]))]
#[schemars(extend("x-bailiwick-at-most-one-of" = ["subject", "subjectPattern"]))]
pub struct Identity {
    /// The OIDC issuer, exactly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The whole subject of the certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// A regular expression, anchored, that the whole subject must match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject_pattern: Option<String>,
    /// Whose certificates count: a Sigstore trusted root, JSON, as `cosign trusted-root create` writes it. Absent: Sigstore's public one, as of the
    /// version that compiles the pack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust_root: Option<String>,
    /// An Ed25519 or ECDSA P-256 public key, PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key: Option<String>,
}
