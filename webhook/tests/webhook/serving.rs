//! What a well-behaved client sees: endpoints, verdicts, HTTP/1.1 and HTTP/2, metrics.

use std::sync::Arc;

use crate::support::{Client, Server, review, trusting};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

#[test]
fn reviews_are_decided_over_one_connection() {
    let server = Server::start(&[]);
    let mut client = server.client();
    for number in 0..20 {
        let (uid, bad) = (format!("uid-{number}"), number % 2 == 1);
        let body = review(&uid, if bad { r#""hostPID":true"# } else { "" });
        let answer = client.post("/validate?timeout=10s", &body);
        assert_eq!(answer.status, 200);
        assert!(answer.head.contains("content-type: application/json"));
        let review: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(review["kind"], "AdmissionReview");
        assert_eq!(review["response"]["uid"], uid);
        assert_eq!(review["response"]["allowed"], !bad, "{review}");
        if bad {
            assert!(
                review["response"]["status"]["message"].as_str().unwrap().contains("hostPID is forbidden"),
                "{review}"
            );
        }
    }
    let mutated = client.post("/mutate", &review("m", ""));
    assert!(mutated.text().contains(r#""allowed":true"#), "{}", mutated.text());
    let log = server.log();
    assert_eq!(log.matches(" denied ").count(), 10, "one line for each denial: {log}");
}

#[test]
fn an_unknown_namespace_is_denied() {
    let server = Server::start(&[]);
    let body = String::from_utf8(review("u", ""))
        .unwrap()
        .replace(r#""namespace":"agents""#, r#""namespace":"new""#);
    let answer = server.ask("/validate", body.as_bytes()).text();
    assert!(answer.contains(r#""allowed":false"#), "{answer}");
}

#[test]
fn other_paths_methods_and_types_get_a_clear_answer() {
    let server = Server::start(&[]);
    let mut client = server.client();
    for (request, status, says) in [
        ("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n", 200, "ok"),
        ("GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n", 200, "bundle bundle.json sha256:"),
        ("GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n", 404, "no such path"),
        ("GET /validate HTTP/1.1\r\nHost: x\r\n\r\n", 405, "sent by POST"),
        ("POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 405, "only GET"),
        ("POST /validate HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", 415, "application/json"),
        (
            "POST /validate HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}",
            415,
            "application/json",
        ),
        (
            "POST /validate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: 2\r\n\r\n{}",
            400,
            "missing",
        ),
    ] {
        let mut fresh = server.client();
        let answer = fresh.send(request.as_bytes());
        assert_eq!(answer.status, status, "{request}");
        assert!(answer.text().contains(says), "{request}: {}", answer.text());
    }
    assert_eq!(client.post("/validate", &review("u", "")).status, 200);
}

#[test]
fn metrics_count_what_happened() {
    let server = Server::start(&[]);
    server.assert_guards();
    assert_eq!(server.ask("/validate", b"garbage").status, 400);
    let metrics = server.get("/metrics").text();
    for line in [
        r#"bailiwick_webhook_requests_total{path="validate",verdict="allowed"} 1"#,
        r#"bailiwick_webhook_requests_total{path="validate",verdict="denied"} 1"#,
        r#"bailiwick_webhook_requests_total{path="validate",verdict="refused"} 1"#,
        r#"bailiwick_webhook_refused_total{reason="malformed"} 1"#,
        r#"bailiwick_webhook_review_duration_seconds_count{path="validate"} 3"#,
        r#"bailiwick_webhook_bundle_info{file="bundle.json",digest=""#,
        "bailiwick_webhook_in_flight 0",
        "bailiwick_webhook_stale 0",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
}

#[test]
fn a_self_signed_certificate_has_the_names_that_are_asked_for() {
    let named = ["--self-signed-name", "webhook.example.org", "--self-signed-name", "192.0.2.7"];
    let server = Server::start(&named);
    let connect = |server: &Server, name| {
        Client::try_connect_as(name, server.address, trusting(&server.path("ca.pem")))
    };
    for name in ["localhost", "webhook.example.org", "192.0.2.7"] {
        assert!(connect(&server, name).is_ok(), "{name}");
    }
    assert!(connect(&server, "other.example.org").is_err());
    assert!(connect(&Server::start(&[]), "webhook.example.org").is_err(), "nobody asked for it");
}

#[test]
fn http_2_serves_reviews_side_by_side() {
    let server = Server::start(&[]);
    let mut config = trusting(&server.path("ca.pem"));
    config.alpn_protocols = vec![b"h2".to_vec()];
    let address = server.address;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async move {
        let tcp = tokio::net::TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let tls = TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap();
        assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (sender, connection) = hyper::client::conn::http2::handshake::<_, _, Full<Bytes>>(
            TokioExecutor::new(),
            TokioIo::new(tls),
        )
        .await
        .unwrap();
        tokio::spawn(connection);
        let asks = (0..50).map(|number| {
            let mut sender = sender.clone();
            let body = review(&format!("u{number}"), if number % 2 == 0 { "" } else { r#""hostPID":true"# });
            let request = hyper::Request::post("https://localhost/validate")
                .header("content-type", "application/json")
                .body(Full::new(Bytes::from(body)))
                .unwrap();
            tokio::spawn(async move {
                let answer = sender.send_request(request).await.unwrap();
                assert_eq!(answer.status(), 200);
                let text = answer.into_body().collect().await.unwrap().to_bytes();
                let text = String::from_utf8(text.to_vec()).unwrap();
                assert!(text.contains(&format!(r#""uid":"u{number}""#)), "{text}");
                assert!(text.contains(&format!(r#""allowed":{}"#, number % 2 == 0)), "{text}");
            })
        });
        for ask in asks.collect::<Vec<_>>() {
            ask.await.unwrap();
        }
    });
}
