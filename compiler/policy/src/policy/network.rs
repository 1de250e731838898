//! Connections of governed pods: the section `network`, with selectors and address ranges as its peers.

use serde::{Deserialize, Serialize};

use super::{LabelSelector, Origin};

/// Which connections governed pods may open and accept. Both directions are denied unless a rule allows them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Network {
    /// Outgoing, by name; empty: none.
    pub egress: Vec<NetworkRule>,
    /// Incoming, by name; empty: none.
    pub ingress: Vec<NetworkRule>,
    /// The origins of this section.
    pub from: Vec<Origin>,
}

/// Connections that are allowed: any of the peers at any of the ports.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NetworkRule {
    /// Name, unique within its direction.
    pub name: String,
    /// The peers; empty: none.
    pub peers: Vec<Peer>,
    /// The ports; empty: none. "All ports" is written as one range per protocol.
    pub ports: Vec<PortRange>,
    /// The origins of the permission.
    pub from: Vec<Origin>,
}

/// The other end of a connection.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Peer {
    /// Pods: every namespace selector and every pod selector must match. `namespaces` `None`: the pod's own
    /// namespace.
    Pods {
        /// Selectors over the namespace's labels.
        namespaces: Option<Vec<LabelSelector>>,
        /// Selectors over the pod's labels.
        pods: Vec<LabelSelector>,
    },
    /// Addresses: a CIDR in canonical form without the excepted ones (inside it, sorted).
    Cidr {
        /// Network and prefix length, host bits zero.
        cidr: String,
        /// Excluded networks.
        except: Vec<String>,
    },
}

/// A range of ports.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PortRange {
    /// Transport protocol.
    pub protocol: Protocol,
    /// First port.
    pub first: u16,
    /// Last port, inclusive.
    pub last: u16,
}

/// Transport protocols of NetworkPolicy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "the names are the protocols'")]
pub enum Protocol {
    Tcp,
    Udp,
    Sctp,
}
