//! Which registries need more than a name: credentials, a private authority, private addresses.
//!
//! The settings are a JSON file. A registry that is not in it is read anonymously, over TLS, at public
//! addresses. Terms. *Host*: the name in references (`registry.example.org:5000`). Credentials are sent to
//! exactly this host and to no other.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use bailiwick_policy::admission::images::Reference;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde::Deserialize;

use crate::net::Origin;

/// The largest settings, password or authority file, in bytes; a bundle of all public authorities is about
/// 200 kB.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Registries and how they are reached.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    registries: BTreeMap<String, Registry>,
}

/// How one registry is reached.
#[derive(Clone, Debug, Default)]
pub(crate) struct Registry {
    /// The host that it is listed under.
    pub(crate) host: String,
    pub(crate) credentials: Option<Credentials>,
    /// Authorities in addition to the system's.
    pub(crate) authorities: Vec<CertificateDer<'static>>,
    /// Private addresses that may be reached.
    pub(crate) addresses: Vec<Range>,
    /// Hosts of token services that may be used for this registry, in addition to its own; without the default
    /// port, as [`Origin::authority`] has them.
    pub(crate) realms: Vec<String>,
    /// Without TLS, on the local machine.
    pub(crate) plain_http: bool,
}

/// A name and a secret, never shown.
#[derive(Clone)]
pub(crate) struct Credentials {
    pub(crate) username: String,
    pub(crate) password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("username", &self.username).finish_non_exhaustive()
    }
}

/// A range of addresses: an address, and the number of leading bits that count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    network: IpAddr,
    prefix: u8,
}

impl Range {
    fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix.parse().ok()?)),
            None => (text, None),
        };
        let network: IpAddr = address.parse().ok()?;
        let bits = if network.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.unwrap_or(bits);
        (prefix <= bits).then_some(Self { network, prefix })
    }

    pub(crate) fn contains(self, address: IpAddr) -> bool {
        match (self.network, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let shift = 32 - u32::from(self.prefix.min(32));
                let cut = |bits: u32| bits.checked_shr(shift).unwrap_or(0);
                cut(network.to_bits()) == cut(address.to_bits())
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let shift = 128 - u32::from(self.prefix.min(128));
                let cut = |bits: u128| bits.checked_shr(shift).unwrap_or(0);
                cut(network.to_bits()) == cut(address.to_bits())
            }
            _ => false,
        }
    }
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum SettingsError {
    #[error("cannot read `{path}`: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("`{path}` is larger than {MAX_FILE_BYTES} bytes")]
    TooLarge { path: PathBuf },
    #[error("`{path}` is not a valid registries file: {source}")]
    Json { path: PathBuf, source: serde_json::Error },
    #[error("registry `{host}`: {what}")]
    Registry { host: String, what: String },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WireSettings {
    registries: Vec<WireRegistry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WireRegistry {
    host: String,
    username: Option<String>,
    password_file: Option<PathBuf>,
    ca_file: Option<PathBuf>,
    #[serde(default)]
    addresses: Vec<String>,
    #[serde(default)]
    realms: Vec<String>,
    #[serde(default)]
    plain_http: bool,
}

impl Settings {
    /// Reads a settings file and the files that it names, relative to its own folder.
    ///
    /// # Errors
    /// Anything that makes a part of it unusable: nothing is ignored silently.
    pub fn load(path: &Path) -> Result<Self, SettingsError> {
        let text = read(path)?;
        let wire: WireSettings = serde_json::from_slice(&text)
            .map_err(|source| SettingsError::Json { path: path.to_owned(), source })?;
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut registries = BTreeMap::new();
        for one in wire.registries {
            let registry = one.load(folder)?;
            let host = registry.host.clone();
            if registries.insert(host.clone(), registry).is_some() {
                return Err(SettingsError::Registry { host, what: "is listed twice".to_owned() });
            }
        }
        Ok(Self { registries })
    }

    /// The settings of a host.
    pub(crate) fn of(&self, host: &str) -> Option<&Registry> {
        self.registries.get(host)
    }
}

impl WireRegistry {
    fn load(self, folder: &Path) -> Result<Registry, SettingsError> {
        let host = self.host;
        let wrong = |what: String| SettingsError::Registry { host: host.clone(), what };
        let listed = in_references(&host).ok_or_else(|| {
            wrong("`host` is a host and perhaps a port, as it stands in references".to_owned())
        })?;
        let credentials = match (self.username, self.password_file) {
            (None, None) => None,
            (Some(username), Some(file)) => {
                let bytes = read(&folder.join(file))?;
                let text =
                    String::from_utf8(bytes).map_err(|_| wrong("the password is not text".to_owned()))?;
                Some(Credentials { username, password: text.trim_end_matches(['\r', '\n']).to_owned() })
            }
            _ => return Err(wrong("`username` and `passwordFile` go together".to_owned())),
        };
        let authorities = match self.ca_file {
            None => Vec::new(),
            Some(file) => {
                let bytes = read(&folder.join(&file))?;
                let read = CertificateDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>();
                let read = read
                    .map_err(|error| wrong(format!("`{}` holds no readable PEM: {error}", file.display())))?;
                if read.is_empty() {
                    return Err(wrong(format!("`{}` holds no certificate", file.display())));
                }
                read
            }
        };
        let range = |text: &String| {
            Range::parse(text).ok_or_else(|| wrong(format!("`{text}` is neither an address nor a CIDR")))
        };
        let addresses = self.addresses.iter().map(range).collect::<Result<_, _>>()?;
        let realm = |text: &String| {
            let origin = Origin::parse(text, false).filter(|_| !text.contains(['/', '@', ' ']));
            let origin =
                origin.ok_or_else(|| wrong(format!("`{text}` of `realms` is not a host and perhaps a port")));
            origin.map(|origin| origin.authority())
        };
        let realms = self.realms.iter().map(realm).collect::<Result<_, _>>()?;
        Ok(Registry {
            host: listed,
            credentials,
            authorities,
            addresses,
            realms,
            plain_http: self.plain_http,
        })
    }
}

/// The host of Docker Hub's registry, which has another name in references.
pub(crate) const DOCKER_HUB: &str = "registry-1.docker.io";

/// A host as it stands in normalised references: lower case, without the default port. `None`: it stands in
/// none, so that its settings would never be used.
fn in_references(host: &str) -> Option<String> {
    let reference = Reference::parse(&format!("{host}/x")).filter(|_| !host.contains('/'))?;
    let listed = reference.registry();
    // A plain word is a folder of Docker Hub.
    let is_host = listed != "docker.io" || host.to_ascii_lowercase().contains("docker.io");
    is_host.then(|| listed.to_owned())
}

fn read(path: &Path) -> Result<Vec<u8>, SettingsError> {
    use std::io::Read as _;
    let wrong = |source| SettingsError::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    fs::File::open(path).map_err(wrong)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(wrong)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(SettingsError::TooLarge { path: path.to_owned() });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_their_addresses_and_no_others() {
        for (range, inside, outside) in [
            ("10.1.0.0/16", "10.1.255.255", "10.2.0.0"),
            ("127.0.0.1", "127.0.0.1", "127.0.0.2"),
            ("0.0.0.0/0", "203.0.113.9", "::1"),
            ("fd00::/8", "fd12::1", "fe80::1"),
            ("::1", "::1", "127.0.0.1"),
        ] {
            let range = Range::parse(range).unwrap();
            assert!(range.contains(inside.parse().unwrap()), "{range:?} {inside}");
            assert!(!range.contains(outside.parse().unwrap()), "{range:?} {outside}");
        }
        for wrong in ["", "10.0.0.0/33", "::/129", "10.0.0", "host", "10.0.0.0/-1"] {
            assert_eq!(Range::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_host_is_listed_as_references_name_it_or_refused() {
        for (host, listed) in [
            ("registry.example.org", Some("registry.example.org")),
            ("Registry.Example.org:443", Some("registry.example.org")),
            ("registry.example.org:5000", Some("registry.example.org:5000")),
            ("localhost:5000", Some("localhost:5000")),
            ("[fd00::1]:5000", Some("[fd00::1]:5000")),
            ("docker.io", Some("docker.io")),
            ("index.docker.io", Some("docker.io")),
            // Only `index.docker.io` is another name: images of this one are read by its own settings.
            ("registry-1.docker.io", Some("registry-1.docker.io")),
            ("registry", None),
            ("a.b/c", None),
            ("https://a.b", None),
            ("user@a.b", None),
            ("a.b:", None),
            ("", None),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("registries.json");
            fs::write(&path, format!(r#"{{"registries": [{{"host": "{host}"}}]}}"#)).unwrap();
            match (Settings::load(&path), listed) {
                (Ok(settings), Some(listed)) => assert!(settings.of(listed).is_some(), "{host}"),
                (Err(error), None) => assert!(error.to_string().contains("references"), "{error}"),
                (loaded, _) => panic!("{host}: {loaded:?}"),
            }
        }
    }

    #[test]
    fn nothing_of_a_settings_file_is_left_out_silently() {
        let folder = tempfile::tempdir().unwrap();
        let load = |text: &str| {
            let path = folder.path().join("registries.json");
            fs::write(&path, text).unwrap();
            Settings::load(&path).map_err(|error| error.to_string())
        };
        fs::write(folder.path().join("secret"), "pass word\n").unwrap();
        let settings = load(
            r#"{"registries": [{"host": "Registry.Example.org:5000", "username": "u", "passwordFile": "secret", "addresses": ["10.0.0.0/8"]}]}"#,
        );
        let settings = settings.unwrap();
        let registry = settings.of("registry.example.org:5000").unwrap();
        assert_eq!(registry.credentials.as_ref().unwrap().password, "pass word");
        assert!(!format!("{settings:?}").contains("pass word"));
        let settings =
            load(r#"{"registries": [{"host": "a.b", "realms": ["Auth.a.b:443", "auth.a.b:8443"]}]}"#);
        assert_eq!(settings.unwrap().of("a.b").unwrap().realms, ["auth.a.b", "auth.a.b:8443"]);
        for (text, expected) in [
            (r#"{"registries": [{"host": "a.b", "pasword": "x"}]}"#, "unknown field"),
            (r#"{"registries": [{"host": "a.b", "username": "x"}]}"#, "go together"),
            (r#"{"registries": [{"host": "a.b", "addresses": ["x"]}]}"#, "neither an address nor a CIDR"),
            (r#"{"registries": [{"host": "a.b"}, {"host": "A.b:443"}]}"#, "listed twice"),
            (r#"{"registries": [{"host": "a.b", "username": "u", "passwordFile": "none"}]}"#, "cannot read"),
            (r#"{"registries": [{"host": "a.b", "caFile": "secret"}]}"#, "holds no certificate"),
            (r#"{"registries": [{"host": "a.b", "realms": ["https://auth.a.b"]}]}"#, "is not a host"),
            (r#"{"registries": [{"host": "a.b", "realms": ["auth.a.b/token"]}]}"#, "is not a host"),
        ] {
            let error = load(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
