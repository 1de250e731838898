//! The serving certificate: read from files, or made at start for demonstrations. The one crypto provider is
//! aws-lc-rs; TLS is 1.2 or 1.3.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use tokio_rustls::rustls::pki_types::pem::{self, PemObject as _};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig, crypto};

use crate::snapshot::{SnapshotError, read_limited};

/// Enough for a chain of a dozen certificates.
const MAX_PEM_BYTES: u64 = 256 << 10;

/// The validity of a certificate that we make ourselves: longer than any demonstration, and short enough that
/// a forgotten one expires.
const SELF_SIGNED_VALIDITY: Duration = Duration::from_secs(90 * 86_400);

/// Clocks differ.
const CLOCK_SKEW: Duration = Duration::from_secs(3600);

/// Why there is no certificate to serve.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error(transparent)]
    Read(#[from] SnapshotError),
    #[error("`{path}` holds no readable PEM: {source}")]
    Pem { path: String, source: pem::Error },
    #[error("`{0}` holds no certificate")]
    NoCertificate(String),
    #[error("certificate and key cannot be served: {0}")]
    Rustls(#[from] rustls::Error),
    #[error("cannot make a certificate: {0}")]
    Make(#[from] rcgen::Error),
    #[error("cannot write `{path}`: {source}")]
    Write { path: PathBuf, source: std::io::Error },
}

/// Reads a chain and its key; an error if they do not match.
pub(crate) fn from_files(cert: &Path, key: &Path) -> Result<ServerConfig, TlsError> {
    let wrong = |path: &Path| {
        let path = path.display().to_string();
        move |source| TlsError::Pem { path, source }
    };
    let chain = read_limited(cert, MAX_PEM_BYTES)?;
    let chain = CertificateDer::pem_slice_iter(&chain).collect::<Result<Vec<_>, _>>().map_err(wrong(cert))?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate(cert.display().to_string()));
    }
    let key_text = read_limited(key, MAX_PEM_BYTES)?;
    let key = PrivateKeyDer::from_pem_slice(&key_text).map_err(wrong(key))?;
    config(chain, key)
}

/// Makes a certificate authority, used only once, and one certificate signed by it, for these names and
/// addresses and for loopback. Writes the authority's certificate, for `caBundle`, if a path is given.
pub(crate) fn self_signed(
    names: &[String],
    address: IpAddr,
    write_ca: Option<&Path>,
) -> Result<ServerConfig, TlsError> {
    let now = SystemTime::now();
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.distinguished_name.push(DnType::CommonName, "bailiwick-webhook self-signed authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    authority.not_before = (now - CLOCK_SKEW).into();
    authority.not_after = (now + SELF_SIGNED_VALIDITY).into();
    let authority_key = KeyPair::generate()?;
    let authority_cert = authority.self_signed(&authority_key)?;

    let mut subject_names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    if !address.is_unspecified() {
        subject_names.push(address.to_string());
    }
    subject_names.extend_from_slice(names);
    subject_names.sort();
    subject_names.dedup();
    let mut leaf = CertificateParams::new(subject_names)?;
    leaf.distinguished_name.push(DnType::CommonName, "bailiwick-webhook");
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    leaf.use_authority_key_identifier_extension = true;
    leaf.not_before = authority.not_before;
    leaf.not_after = authority.not_after;
    let leaf_key = KeyPair::generate()?;
    let leaf_cert = leaf.signed_by(&leaf_key, &Issuer::new(authority, authority_key))?;

    if let Some(path) = write_ca {
        fs::write(path, authority_cert.pem())
            .map_err(|source| TlsError::Write { path: path.to_owned(), source })?;
    }
    let key = PrivateKeyDer::Pkcs8(leaf_key.serialize_der().into());
    config(vec![leaf_cert.der().clone()], key)
}

fn config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, TlsError> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
