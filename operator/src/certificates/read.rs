//! Reads certificates: when they expire, which names they are for, who signed them.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use rcgen::{KeyPair, PublicKeyData as _};
use x509_parser::extensions::GeneralName;
use x509_parser::pem::Pem;
use x509_parser::prelude::X509Certificate;

use super::{Pair, UnixTime};

/// Why a text is not a certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a certificate in PEM: {0}")]
pub struct ReadError(String);

/// The facts that decisions use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Start of its validity.
    pub not_before: UnixTime,
    /// End of its validity.
    pub not_after: UnixTime,
    /// DNS names and addresses.
    pub names: BTreeSet<String>,
}

fn pem(text: &str) -> Result<Pem, ReadError> {
    let mut blocks = Pem::iter_from_buffer(text.as_bytes());
    blocks
        .next()
        .ok_or_else(|| ReadError("nothing there".to_owned()))?
        .map_err(|error| ReadError(error.to_string()))
}

fn parse(pem: &Pem) -> Result<X509Certificate<'_>, ReadError> {
    pem.parse_x509().map_err(|error| ReadError(error.to_string()))
}

impl Facts {
    /// The facts of the first certificate in a text.
    ///
    /// # Errors
    /// The text has none.
    pub fn of(text: &str) -> Result<Self, ReadError> {
        let pem = pem(text)?;
        let certificate = parse(&pem)?;
        let alternatives = certificate.subject_alternative_name().ok().flatten();
        let names = alternatives.iter().flat_map(|names| &names.value.general_names);
        Ok(Self {
            not_before: certificate.validity().not_before.timestamp(),
            not_after: certificate.validity().not_after.timestamp(),
            names: names.filter_map(name).collect(),
        })
    }

    /// Whether two thirds of its life are over: of its own, or of the life that a new one would get, if that
    /// is shorter.
    #[must_use]
    pub fn is_old(&self, now: UnixTime, life: Duration) -> bool {
        let own = self.not_after - self.not_before;
        let life = own.min(super::seconds(life));
        now >= self.not_after - life / 3 || now < self.not_before
    }
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes).ok().map(|octets| IpAddr::from(octets).to_string()),
            16 => <[u8; 16]>::try_from(*bytes).ok().map(|octets| IpAddr::from(octets).to_string()),
            _ => None,
        },
        _ => None,
    }
}

/// Whether the key belongs to the certificate.
pub(super) fn belongs(pair: &Pair) -> bool {
    let Ok(key) = KeyPair::from_pem(&pair.key) else { return false };
    let Ok(pem) = pem(&pair.certificate) else { return false };
    let Ok(certificate) = parse(&pem) else { return false };
    certificate.public_key().raw == key.subject_public_key_info()
}

/// Whether a leaf matches its key, is signed by this authority and is for exactly these names.
pub(super) fn fits(leaf: &Pair, authority: &Pair, names: &[String]) -> bool {
    let wanted: BTreeSet<String> = names.iter().cloned().collect();
    let (Ok(leaf_pem), Ok(authority_pem)) = (pem(&leaf.certificate), pem(&authority.certificate)) else {
        return false;
    };
    let (Ok(certificate), Ok(signer)) = (parse(&leaf_pem), parse(&authority_pem)) else { return false };
    belongs(leaf)
        && certificate.verify_signature(Some(signer.public_key())).is_ok()
        && Facts::of(&leaf.certificate).is_ok_and(|facts| facts.names == wanted)
}

/// The certificates of a text, one by one.
pub(super) fn split(text: &str) -> Vec<String> {
    const END: &str = "-----END CERTIFICATE-----";
    let whole = text.split_inclusive(END).filter(|part| part.ends_with(END));
    whole.map(|part| format!("{}\n", part.trim())).filter(|part| Facts::of(part).is_ok()).collect()
}
