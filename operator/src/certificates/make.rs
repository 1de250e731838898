//! Making certificates: ECDSA P-256 with SHA-256, which every API server verifies.

use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use super::{MakeError, Pair, Profile, UnixTime};

/// Seconds by which a certificate's validity starts before it was made, since clocks in a cluster differ.
pub(super) const SKEW_S: i64 = 300;

fn moment(seconds: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}

fn lifetime(params: &mut CertificateParams, life: Duration, now: UnixTime) {
    params.not_before = moment(now - SKEW_S).into();
    params.not_after = moment(now.saturating_add(super::seconds(life))).into();
}

/// An authority that can sign leaves and no other authority.
pub(super) fn authority(life: Duration, now: UnixTime) -> Result<Pair, MakeError> {
    let mut params = CertificateParams::new(Vec::new())?;
    // A verifier finds authorities by name: two in one bundle must differ.
    params.distinguished_name.push(DnType::CommonName, format!("bailiwick-webhook-ca-{now}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    lifetime(&mut params, life, now);
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    Ok(Pair { certificate: certificate.pem(), key: key.serialize_pem() })
}

/// A leaf signed by this authority, which does not outlive it.
pub(super) fn leaf(authority: &Pair, profile: &Profile, now: UnixTime) -> Result<Pair, MakeError> {
    let issuer = Issuer::from_ca_cert_pem(&authority.certificate, KeyPair::from_pem(&authority.key)?)?;
    let mut params = CertificateParams::new(profile.names.clone())?;
    params.distinguished_name.push(DnType::CommonName, "bailiwick-webhook");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    lifetime(&mut params, profile.leaf, now);
    if let Ok(facts) = super::Facts::of(&authority.certificate) {
        params.not_after = params.not_after.min(moment(facts.not_after).into());
    }
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, &issuer)?;
    Ok(Pair { certificate: certificate.pem(), key: key.serialize_pem() })
}
