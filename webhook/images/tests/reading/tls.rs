//! TLS to registries: which certificates are accepted, and that nothing is sent without TLS.

use std::fs;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use bailiwick_images::{Checker, Settings};
use bailiwick_policy::admission::images::Reference;
use rcgen::{CertificateParams, KeyPair};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use super::loopback::{
    Api, Content, LoopbackRegistry, Reply, Request, digest, image, key, serve, signatures,
};

/// A registry with a self-signed certificate for this name: its address, the certificate, and the requests it
/// received.
async fn registry(name: &str) -> (String, String, Arc<Mutex<Vec<Request>>>) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().self_signed(&key).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let requests = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, requests) = (acceptor.clone(), Arc::clone(&requests));
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let content = Content::load();
                let answers = move |request: &Request| content.answer(request, Api::Referrers);
                let _ = serve(stream, &answers, &requests, &AtomicU64::new(0)).await;
            });
        }
    });
    (host, certificate.pem(), seen)
}

fn checker(host: &str, authority: Option<&str>) -> Arc<Checker> {
    let folder = tempfile::tempdir().unwrap();
    let more = authority.map_or_else(String::new, |pem| {
        fs::write(folder.path().join("ca.pem"), pem).unwrap();
        r#", "caFile": "ca.pem""#.to_owned()
    });
    let path = folder.path().join("registries.json");
    let text = format!(r#"{{"registries": [{{"host": "{host}", "addresses": ["127.0.0.1"]{more}}}]}}"#);
    fs::write(&path, text).unwrap();
    Arc::new(Checker::new(Settings::load(&path).unwrap()))
}

#[tokio::test]
async fn a_registry_is_read_when_an_authority_vouches_for_it() {
    let (host, pem, _) = registry("127.0.0.1").await;
    let image = Reference::parse(&format!("{host}/agents/app:signed")).unwrap();
    let found = digest(&checker(&host, Some(&pem)), &image).await;
    assert_eq!(found, Ok(Content::load().digest("signed")));
}

#[tokio::test]
async fn nothing_is_asked_of_a_registry_that_nobody_vouches_for() {
    let (host, pem, seen) = registry("127.0.0.1").await;
    let (other, other_pem, other_seen) = registry("registry.example.org").await;
    for (host, authority) in
        [(&host, None), (&host, Some(&other_pem)), (&other, Some(&other_pem)), (&other, Some(&pem))]
    {
        let image = Reference::parse(&format!("{host}/agents/app:signed")).unwrap();
        let reason = digest(&checker(host, authority.map(String::as_str)), &image).await.unwrap_err();
        assert!(reason.contains("no TLS with"), "{reason}");
    }
    assert!(seen.lock().unwrap().is_empty() && other_seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn no_redirect_travels_over_a_connection_that_was_kept_for_a_private_registry() {
    let (private, pem, seen) = registry("127.0.0.1").await;
    let signed = Content::load().digest("signed");
    let location = format!("https://{private}/any/path");
    let other = LoopbackRegistry::start(move |request| {
        if request.target.contains("/blobs/") {
            return Reply::status(307).with("Location", location.clone());
        }
        Content::load().answer(request, Api::Referrers)
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("ca.pem"), pem).unwrap();
    let text = format!(
        r#"{{"registries": [
            {{"host": "{private}", "addresses": ["127.0.0.1"], "caFile": "ca.pem"}},
            {{"host": "{}", "addresses": ["127.0.0.1"], "plainHttp": true}}
        ]}}"#,
        other.host
    );
    let path = folder.path().join("registries.json");
    fs::write(&path, text).unwrap();
    let checker = Arc::new(Checker::new(Settings::load(&path).unwrap()));
    let warm = Reference::parse(&format!("{private}/agents/app:signed")).unwrap();
    assert_eq!(digest(&checker, &warm).await, Ok(signed.clone()));
    // The registry's own requests do use the kept connection.
    assert_eq!(digest(&checker, &warm).await, Ok(signed.clone()));
    let found = signatures(&checker, &image(&other, "").at(&signed), &key("ours.pub")).await.unwrap();
    let incomplete = found.incomplete.clone().unwrap_or_default();
    assert!(incomplete.contains("private address"), "{found:?}");
    let seen: Vec<String> = seen.lock().unwrap().iter().map(|request| request.target.clone()).collect();
    assert_eq!(seen, ["/v2/agents/app/manifests/signed", "/v2/agents/app/manifests/signed"]);
}
