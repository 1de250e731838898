//! Connections: which addresses may be reached, and TLS.
//!
//! The address that is checked is the address that is connected to. The name is resolved once, here, so a
//! name that resolves to something else a moment later gains nothing. Private, loopback, link-local and other
//! special ranges are refused unless the settings list them for this very registry: a reference in a pod must
//! not make the webhook send requests to the cluster's own network or to a cloud's metadata service.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::limits::{ADDRESSES, CONNECT_TIME, LOOKUPS};
use crate::settings::Registry;

/// The destination of requests.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Origin {
    /// A name, or an address without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Without TLS; only ever on the local machine.
    pub(crate) plain: bool,
}

impl Origin {
    /// From `host` or `host:port`. Brackets are around an IPv6 address and nowhere else (RFC 3986, 3.2.2).
    pub(crate) fn parse(authority: &str, plain: bool) -> Option<Self> {
        let default = if plain { 80 } else { 443 };
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, port.parse().ok()?),
            _ => (authority, default),
        };
        let bare = match host.strip_prefix('[') {
            Some(rest) => rest.strip_suffix(']').filter(|address| address.parse::<Ipv6Addr>().is_ok()),
            None => Some(host).filter(|name| !name.is_empty() && !name.contains(['[', ']', ':'])),
        };
        Some(Self { host: bare?.to_ascii_lowercase(), port, plain })
    }

    /// `host:port`, without a default port.
    pub(crate) fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let default = if self.plain { 80 } else { 443 };
        if self.port == default { host } else { format!("{host}:{}", self.port) }
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("`{host}` cannot be resolved: {source}")]
    Resolve { host: String, source: io::Error },
    #[error("`{host}` is at {address}, a private address that is not listed for it")]
    Private { host: String, address: IpAddr },
    #[error("`{host}` is at {address}; plain HTTP is allowed only to loopback addresses")]
    PlainAbroad { host: String, address: IpAddr },
    #[error("`{host}` cannot be reached: {source}")]
    Connect { host: String, source: io::Error },
    #[error("`{host}` did not answer in time")]
    TimedOut { host: String },
    #[error("no TLS with `{host}`: {reason}")]
    Tls { host: String, reason: String },
}

/// Connects, or says why not. `registry`: its settings.
pub(crate) async fn connect(
    origin: &Origin,
    registry: Option<&Registry>,
    deadline: Instant,
) -> Result<Stream, ConnectError> {
    let host = || origin.host.clone();
    let until = deadline.min(Instant::now() + CONNECT_TIME);
    let late = |_| ConnectError::TimedOut { host: host() };
    let named = (origin.host.clone(), origin.port);
    let resolving = looked_up(&LOOKING_UP, move || Ok(named.to_socket_addrs()?.take(ADDRESSES).collect()));
    let resolved = timeout_at(until, resolving).await.map_err(late)?;
    let addresses = resolved.map_err(|source| ConnectError::Resolve { host: host(), source })?;
    // One forbidden address rules out all: a name that mixes them is suspicious.
    for address in &addresses {
        allowed(origin, registry, address.ip())?;
    }
    let nowhere = io::Error::from(io::ErrorKind::AddrNotAvailable);
    let mut failure = ConnectError::Connect { host: host(), source: nowhere };
    for address in addresses {
        match timeout_at(until, TcpStream::connect(address)).await.map_err(late)? {
            Ok(stream) => {
                let _ = stream.set_nodelay(true);
                return secured(origin, registry, stream, until).await;
            }
            Err(source) => failure = ConnectError::Connect { host: host(), source },
        }
    }
    Err(failure)
}

/// Lookups in progress, over all registries.
static LOOKING_UP: Semaphore = Semaphore::const_new(LOOKUPS);

/// Runs a lookup, which blocks, in the pool of blocking threads. Its permit lasts until the lookup ends, even
/// when no caller waits for it any more.
async fn looked_up(
    turns: &'static Semaphore,
    lookup: impl FnOnce() -> io::Result<Vec<SocketAddr>> + Send + 'static,
) -> io::Result<Vec<SocketAddr>> {
    let turn = turns.acquire().await.map_err(io::Error::other)?;
    let looking = spawn_blocking(move || {
        let _turn = turn;
        lookup()
    });
    looking.await.map_err(io::Error::other)?
}

async fn secured(
    origin: &Origin,
    registry: Option<&Registry>,
    stream: TcpStream,
    until: Instant,
) -> Result<Stream, ConnectError> {
    if origin.plain {
        return Ok(Stream::Plain(stream));
    }
    let wrong = |reason: String| ConnectError::Tls { host: origin.host.clone(), reason };
    let name = ServerName::try_from(origin.host.clone()).map_err(|error| wrong(error.to_string()))?;
    let authorities = registry.map(|one| one.authorities.as_slice()).unwrap_or_default();
    let config = client_config(authorities).map_err(wrong)?;
    let shaking = TlsConnector::from(config).connect(name, stream);
    match timeout_at(until, shaking).await {
        Err(_) => Err(ConnectError::TimedOut { host: origin.host.clone() }),
        Ok(Err(error)) => Err(wrong(error.to_string())),
        Ok(Ok(stream)) => Ok(Stream::Tls(Box::new(stream))),
    }
}

/// The system's authorities and those of the settings. Without any, the handshake fails.
fn client_config(more: &[CertificateDer<'static>]) -> Result<Arc<ClientConfig>, String> {
    static SYSTEM: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    static CONFIG: OnceLock<Result<Arc<ClientConfig>, String>> = OnceLock::new();
    let system = SYSTEM.get_or_init(|| {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Arc::new(store)
    });
    if more.is_empty() {
        return CONFIG.get_or_init(|| config_with(Arc::clone(system))).clone();
    }
    let mut store = RootCertStore::clone(system);
    for authority in more {
        store.add(authority.clone()).map_err(|error| error.to_string())?;
    }
    config_with(Arc::new(store))
}

fn config_with(store: Arc<RootCertStore>) -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(Arc::new(builder.with_root_certificates(store).with_no_client_auth()))
}

fn allowed(origin: &Origin, registry: Option<&Registry>, address: IpAddr) -> Result<(), ConnectError> {
    let address = address.to_canonical();
    let host = || origin.host.clone();
    if origin.plain && !address.is_loopback() {
        return Err(ConnectError::PlainAbroad { host: host(), address });
    }
    let listed = registry.is_some_and(|one| one.addresses.iter().any(|range| range.contains(address)));
    if listed || is_public(address) { Ok(()) } else { Err(ConnectError::Private { host: host(), address }) }
}

/// Whether an address is public, by the special-purpose registries of IANA
/// (<https://www.iana.org/assignments/iana-ipv4-special-registry>, `iana-ipv6-special-registry`). An address
/// that embeds another one counts as private.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = matches!(
        (a, b, c),
        (0 | 10 | 127 | 224..=255, _, _)
            | (100, 64..=127, _)
            | (169, 254, _)
            | (172, 16..=31, _)
            | (192, 168, _)
            | (198, 18..=19, _)
            | (192, 0, 0 | 2)
            | (192, 88, 99)
            | (198, 51, 100)
            | (203, 0, 113)
    );
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    // Only 2000::/3 is allocated. In it, Teredo and the rest of 2001::/23, documentation and 6to4 are not
    // plain addresses.
    let given_out = a & 0xe000 == 0x2000;
    let special = matches!((a, b), (0x2001, 0..0x0200 | 0x0db8) | (0x2002 | 0x3fff, _));
    given_out && !special
}

/// A connection, with TLS or on the own machine.
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_addresses_are_not_public() {
        for private in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.31.0.1",
            "192.168.0.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fd00::1",
            "fe80::1",
            "ff02::1",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "2001:db8::1",
            "2001::1",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
        for public in
            ["1.1.1.1", "100.63.0.1", "172.32.0.1", "192.0.1.1", "2606:4700::1111", "2001:4860::8888"]
        {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
    }

    #[test]
    fn lookups_that_hang_leave_threads_to_others() {
        static TURNS: Semaphore = Semaphore::const_new(LOOKUPS);
        let pool = LOOKUPS + 1;
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(pool).build();
        runtime.unwrap().block_on(async {
            let (end, ends) = std::sync::mpsc::channel::<()>();
            let ends = Arc::new(std::sync::Mutex::new(ends));
            // More lookups than the pool has threads, all of a resolver that does not answer until `end` is
            // dropped; no caller waits for them.
            for _ in 0..2 * pool {
                let ends = Arc::clone(&ends);
                let hanging = looked_up(&TURNS, move || {
                    let _ = ends.lock().unwrap().recv();
                    Ok(Vec::new())
                });
                assert!(tokio::time::timeout(std::time::Duration::from_millis(5), hanging).await.is_err());
            }
            let other = timeout_at(Instant::now() + std::time::Duration::from_secs(20), spawn_blocking(|| 1));
            assert_eq!(other.await.expect("a thread is left").unwrap(), 1);
            drop(end);
            let next = looked_up(&TURNS, || Ok(vec![SocketAddr::from(([127, 0, 0, 1], 1))]));
            assert_eq!(next.await.unwrap().len(), 1, "their turns come back");
        });
    }

    #[test]
    fn an_address_in_disguise_is_the_address() {
        let origin = Origin::parse("registry.example.org", false).unwrap();
        for disguised in ["::ffff:169.254.169.254", "::ffff:127.0.0.1"] {
            assert!(allowed(&origin, None, disguised.parse().unwrap()).is_err(), "{disguised}");
        }
    }

    #[test]
    fn origins_are_read_as_references_spell_them() {
        for (text, host, port) in [
            ("registry.example.org", "registry.example.org", 443),
            ("REGISTRY.example.org:5000", "registry.example.org", 5000),
            ("[::1]:5000", "::1", 5000),
            ("[::1]", "::1", 443),
        ] {
            let origin = Origin::parse(text, false).unwrap();
            assert_eq!((origin.host.as_str(), origin.port), (host, port), "{text}");
        }
        assert_eq!(Origin::parse("[::1]:5000", true).unwrap().authority(), "[::1]:5000");
        assert_eq!(Origin::parse("a:443", false).unwrap().authority(), "a");
        for wrong in ["", ":5000", "a:b", "a:70000", "[[]]", "[]", "[a]", "[::1", "a]", "::1", "a:1:2"] {
            assert_eq!(Origin::parse(wrong, false), None, "{wrong}");
        }
    }
}
