//! [`crate::http`] over TLS on loopback, for requests to a webhook.

use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::http;
pub use crate::http::Answer;

/// A connection that is kept for many requests.
pub type Client = http::Client<StreamOwned<ClientConnection, TcpStream>>;

/// A configuration that trusts the certificates of a PEM file.
///
/// # Errors
/// The file cannot be read or holds no certificate.
pub fn trust(ca: &Path) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    for certificate in
        CertificateDer::pem_file_iter(ca).with_context(|| format!("cannot read {}", ca.display()))?
    {
        roots.add(certificate.context("not a certificate")?)?;
    }
    if roots.is_empty() {
        bail!("{} holds no certificate", ca.display());
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

impl Client {
    /// Connects to `address` (`127.0.0.1:8443`).
    ///
    /// # Errors
    /// No process listens there, or the certificate is not trusted (noticed at the first request).
    pub fn connect(address: &str, config: Arc<ClientConfig>) -> Result<Self> {
        let socket = TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(http::TIMEOUT))?;
        socket.set_write_timeout(Some(http::TIMEOUT))?;
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        let name = ServerName::try_from(host.to_owned()).context("not a host name")?;
        let connection = ClientConnection::new(config, name)?;
        Ok(Self::over(StreamOwned::new(connection, socket), address))
    }
}
