//! The API server over plain HTTP, through one `kubectl proxy` with the credentials of the kubeconfig. A look
//! then costs one request, and not a process that reads a kubeconfig and first discovers every kind. For
//! tests that look often.

use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::http;
use crate::programs::Running;

/// The kinds that tests look at: singular, plural, group and version, and whether they are namespaced.
const KINDS: &[(&str, &str, &str, bool)] = &[
    ("configmap", "configmaps", "api/v1", true),
    ("secret", "secrets", "api/v1", true),
    ("pod", "pods", "api/v1", true),
    ("namespace", "namespaces", "api/v1", false),
    ("event", "events", "apis/events.k8s.io/v1", true),
    ("lease", "leases", "apis/coordination.k8s.io/v1", true),
    ("deployment", "deployments", "apis/apps/v1", true),
    ("networkpolicy", "networkpolicies", "apis/networking.k8s.io/v1", true),
    ("runtimeclass", "runtimeclasses", "apis/node.k8s.io/v1", false),
    ("validatingadmissionpolicy", "validatingadmissionpolicies", ADMISSION, false),
    ("validatingadmissionpolicybinding", "validatingadmissionpolicybindings", ADMISSION, false),
    ("mutatingwebhookconfiguration", "mutatingwebhookconfigurations", ADMISSION, false),
    ("validatingwebhookconfiguration", "validatingwebhookconfigurations", ADMISSION, false),
    ("clusterrole", "clusterroles", "apis/rbac.authorization.k8s.io/v1", false),
    ("clusterrolebinding", "clusterrolebindings", "apis/rbac.authorization.k8s.io/v1", false),
    ("policypack", "policypacks", OURS, false),
    ("policybinding", "policybindings", OURS, false),
    ("policyexception", "policyexceptions", OURS, true),
    ("sandboxpool", "sandboxpools", OURS, true),
];
const ADMISSION: &str = "apis/admissionregistration.k8s.io/v1";
const OURS: &str = "apis/bailiwick.dev/v1alpha1";

/// A connection to the API server; it ends when dropped.
#[derive(Debug)]
pub struct Api {
    _proxy: Running,
    address: String,
    /// Idle connections: as many as there were concurrent requests at any time.
    resting: Mutex<Vec<http::Client<TcpStream>>>,
}

/// The path of an object or, without a name, of all objects of a kind; `kind` is singular or plural, in any
/// case.
///
/// # Errors
/// The kind is not in the list.
pub fn path(kind: &str, namespace: Option<&str>, name: &str) -> Result<String> {
    let wanted = kind.to_ascii_lowercase();
    let known = KINDS.iter().find(|(one, many, ..)| *one == wanted || *many == wanted);
    let (_, plural, version, namespaced) = known.with_context(|| format!("`{kind}` is not in the list"))?;
    let place = namespace.filter(|_| *namespaced).map(|namespace| format!("/namespaces/{namespace}"));
    let name = if name.is_empty() { String::new() } else { format!("/{name}") };
    Ok(format!("/{version}{}/{plural}{name}", place.unwrap_or_default()))
}

impl Api {
    /// Opens the proxy with a kubectl and a kubeconfig.
    ///
    /// # Errors
    /// kubectl cannot be run, or does not serve.
    pub fn open(kubectl: &Path, kubeconfig: &Path) -> Result<Self> {
        let mut command = Command::new("bash");
        command
            .env("KUBECONFIG", kubeconfig)
            // It ends when its input does, and so also with a process that is killed.
            .args(["-c", r#""$0" "$@" & read -r _; kill $!"#])
            .arg(kubectl)
            // Nothing is rejected: the kubeconfig decides what a test may do.
            .args(["proxy", "--port=0", "--reject-methods=^$", "--reject-paths=^$"])
            .stdout(Stdio::piped());
        let mut proxy = Running::until_input_ends(&mut command)?;
        let line = proxy.line()?;
        let address = line.trim().rsplit(' ').next().unwrap_or_default().to_owned();
        let api = Self { _proxy: proxy, address, resting: Mutex::default() };
        if !api.address.contains(':') {
            bail!("kubectl proxy does not serve: {line}");
        }
        Ok(api)
    }

    /// Sends a request; returns the status and the answer.
    ///
    /// # Errors
    /// No answer, as when the API server is unreachable.
    pub fn ask(&self, method: &str, path: &str, kind: &str, body: &str) -> Result<(u16, Value)> {
        let answer = self.answer(method, path, kind, body)?;
        Ok((answer.status, serde_json::from_slice(&answer.body).unwrap_or_default()))
    }

    /// Sends JSON; returns the status and the API server's warnings.
    ///
    /// # Errors
    /// No answer.
    pub fn warnings(&self, method: &str, path: &str, body: &str) -> Result<(u16, Vec<String>)> {
        let answer = self.answer(method, path, "application/json", body)?;
        let warnings = answer.headers.into_iter().filter(|(name, _)| name == "warning");
        Ok((answer.status, warnings.map(|(_, text)| text).collect()))
    }

    fn answer(&self, method: &str, path: &str, kind: &str, body: &str) -> Result<http::Answer> {
        let rested = self.resting().pop();
        let mut client = match rested {
            Some(client) => client,
            None => {
                let stream = TcpStream::connect(&self.address)?;
                stream.set_read_timeout(Some(http::TIMEOUT))?;
                http::Client::over(stream, &self.address)
            }
        };
        let answer = client.request(method, path, &[("content-type", kind)], body.as_bytes())?;
        let closes = answer.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        if !closes {
            self.resting().push(client);
        }
        Ok(answer)
    }

    fn resting(&self) -> std::sync::MutexGuard<'_, Vec<http::Client<TcpStream>>> {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The object at a path; `None` if it does not exist, or without an answer.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<Value> {
        let asked = || self.ask("GET", path, "application/json", "");
        let (status, answer) = asked()
            .or_else(|_| {
                // The idle connections may have been closed meanwhile.
                self.resting().clear();
                asked()
            })
            .ok()?;
        (status == 200).then_some(answer)
    }

    /// Sends an object or a patch that must be accepted.
    ///
    /// # Errors
    /// It is rejected, or there is no answer.
    pub fn send(&self, method: &str, path: &str, body: &Value) -> Result<Value> {
        let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let (status, answer) = self.ask(method, path, kind, &body.to_string())?;
        if !(200..300).contains(&status) {
            bail!("{method} {path}: {status} {answer}");
        }
        Ok(answer)
    }

    /// Applies an object, written as YAML, by server-side apply.
    ///
    /// # Errors
    /// It is rejected, or there is no answer.
    pub fn apply(&self, manifest: &str) -> Result<Value> {
        let object: Value = serde_saphyr::from_str(manifest).context("YAML")?;
        let text = |at: &str| object.pointer(at).and_then(Value::as_str);
        let kind = text("/kind").unwrap_or_default();
        let path = path(kind, text("/metadata/namespace"), text("/metadata/name").unwrap_or_default())?;
        let path = format!("{path}?fieldManager=test&force=true");
        let (status, answer) = self.ask("PATCH", &path, "application/apply-patch+yaml", manifest)?;
        if !(200..300).contains(&status) {
            bail!("PATCH {path}: {status} {answer}");
        }
        Ok(answer)
    }

    /// Deletes all objects of a kind, or those with labels.
    ///
    /// # Errors
    /// It is rejected, or there is no answer.
    pub fn clear(&self, kind: &str, labels: &str) -> Result<()> {
        let all = path(kind, None, "")?;
        let list = self.get(&format!("{all}?labelSelector={labels}")).context("a list")?;
        for item in list.get("items").and_then(Value::as_array).into_iter().flatten() {
            let text = |at: &str| item.pointer(at).and_then(Value::as_str);
            let one = path(kind, text("/metadata/namespace"), text("/metadata/name").unwrap_or_default())?;
            let (status, answer) = self.ask("DELETE", &one, "application/json", "")?;
            // Another client may have deleted it first.
            if !(200..300).contains(&status) && status != 404 {
                bail!("DELETE {one}: {status} {answer}");
            }
        }
        Ok(())
    }
}
