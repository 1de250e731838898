//! The webhook that does nothing: it reads a review, finds the uid and allows. Its time is the least that any
//! webhook costs.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;

use anyhow::Context as _;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// Serves until it is killed; writes its certificate to a file and prints its address.
pub(crate) fn run(certificate: &str) -> anyhow::Result<()> {
    let key = rcgen::KeyPair::generate()?;
    let cert = rcgen::CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])?;
    let cert = cert.self_signed(&key)?;
    std::fs::write(certificate, cert.pem())?;
    let config = ServerConfig::builder_with_provider(rustls::crypto::aws_lc_rs::default_provider().into())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))?;
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("listening on https://{}", listener.local_addr()?);
    loop {
        let (tcp, _) = listener.accept()?;
        let config = Arc::clone(&config);
        std::thread::spawn(move || -> anyhow::Result<()> {
            tcp.set_nodelay(true)?;
            serve(StreamOwned::new(ServerConnection::new(config)?, tcp))
        });
    }
}

fn find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    hay.windows(needle.len()).position(|window| window == needle)
}

fn serve(mut stream: impl Read + Write) -> anyhow::Result<()> {
    let mut got = Vec::new();
    let mut chunk = [0; 65536];
    loop {
        let (mut whole, mut start) = (usize::MAX, 0);
        while got.len() < whole {
            let n = stream.read(&mut chunk)?;
            if n == 0 {
                return Ok(());
            }
            got.extend_from_slice(chunk.get(..n).unwrap_or_default());
            if start == 0
                && let Some(at) = find(&got, b"\r\n\r\n")
            {
                start = at + 4;
                let head = String::from_utf8_lossy(got.get(..at).unwrap_or_default()).to_ascii_lowercase();
                let length = head
                    .lines()
                    .find_map(|line| line.strip_prefix("content-length:"))
                    .context("no length")?;
                whole = start + length.trim().parse::<usize>()?;
            }
        }
        let body = got.get(start..).unwrap_or_default();
        let after = find(body, b"\"uid\":\"").and_then(|at| body.get(at + 7..)).unwrap_or_default();
        let uid = after.split(|byte| *byte == b'"').next().unwrap_or_default();
        let answer = format!(
            r#"{{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","response":{{"uid":"{}","allowed":true}}}}"#,
            String::from_utf8_lossy(uid)
        );
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            answer.len()
        );
        stream.write_all((head + &answer).as_bytes())?;
        stream.flush()?;
        got.clear();
    }
}
