//! Which hosts receive a password.

use super::loopback::{
    Api, Content, LoopbackRegistry, Reply, Request, checker, digest, image, key, signatures,
};

const LOGIN: &str = r#", "username": "reader", "passwordFile": "secret""#;
/// `reader:s3cret`
const BASIC: &str = "Basic cmVhZGVyOnMzY3JldA==";

fn told(request: &Request) -> Option<&str> {
    request.headers.get("authorization").map(String::as_str)
}

#[tokio::test]
async fn a_token_is_fetched_with_the_password_and_used_without_it() {
    let content = Content::load();
    let signed = content.digest("signed");
    let registry = LoopbackRegistry::start(move |request| {
        if request.target.starts_with("/token") {
            return match told(request) {
                Some(BASIC) => Reply::bytes(br#"{"token": "t0ken", "expires_in": 300}"#.to_vec()),
                _ => Reply::status(401),
            };
        }
        match told(request) {
            Some("Bearer t0ken") => content.answer(request, Api::Referrers),
            _ => {
                let host = request.headers["host"].clone();
                // The scope asks for more than read access; we did not ask for it.
                let challenge = format!(r#"Bearer realm="http://{host}/token",service="s",scope="repository:agents/app:pull,push""#);
                Reply::status(401).with("WWW-Authenticate", challenge)
            }
        }
    })
    .await;
    let with_login = checker(&[&registry.host], LOGIN);
    let found = signatures(&with_login, &image(&registry, "").at(&signed), &key("ours.pub")).await.unwrap();
    assert_eq!(found.verified.len(), 1);
    let tokens: Vec<String> =
        registry.targets().into_iter().filter(|target| target.starts_with("/token")).collect();
    assert_eq!(tokens, ["/token?service=s&scope=repository:agents/app:pull"]);
    // Without the password the image is unknown, not "unsigned".
    let reason = digest(&checker(&[&registry.host], ""), &image(&registry, ":signed")).await.unwrap_err();
    assert!(reason.contains("no token from"), "{reason}");
}

#[tokio::test]
async fn a_password_is_told_to_no_other_host() {
    let thief = LoopbackRegistry::start(|_| Reply::bytes(br#"{"token": "x"}"#.to_vec())).await;
    let realm = thief.host.replace("127.0.0.1", "127.0.0.2");
    let registry = LoopbackRegistry::start(move |_| {
        Reply::status(401)
            .with("WWW-Authenticate", format!(r#"Bearer realm="http://{realm}/token",service="s""#))
    })
    .await;
    let reason = digest(&checker(&[&registry.host, &thief.host], LOGIN), &image(&registry, ":signed"))
        .await
        .unwrap_err();
    assert!(reason.contains("add it to `realms` in the registries file"), "{reason}");
    assert_eq!(thief.targets().len(), 0);
}

#[tokio::test]
async fn a_redirect_takes_no_credentials_along() {
    let content = Content::load();
    let signed = content.digest("signed");
    let registry = LoopbackRegistry::start(move |request| {
        if let Some(blob) = request.target.strip_prefix("/storage") {
            let asked = Request { target: blob.to_owned(), headers: request.headers.clone() };
            return content.answer(&asked, Api::Referrers);
        }
        if told(request) != Some(BASIC) {
            return Reply::status(401).with("WWW-Authenticate", "Basic realm=\"r\"");
        }
        if request.target.contains("/blobs/") {
            return Reply::status(307).with("Location", format!("/storage{}", request.target));
        }
        content.answer(request, Api::Referrers)
    })
    .await;
    let found =
        signatures(&checker(&[&registry.host], LOGIN), &image(&registry, "").at(&signed), &key("ours.pub"))
            .await;
    assert_eq!(found.unwrap().verified.len(), 1);
    let seen = registry.seen.lock().unwrap();
    let storage: Vec<_> = seen.iter().filter(|request| request.target.starts_with("/storage")).collect();
    assert!(!storage.is_empty() && storage.iter().all(|request| told(request).is_none()), "{storage:?}");
    // The control: the same request without the redirect had them.
    assert!(seen.iter().any(|request| request.target.contains("/blobs/") && told(request) == Some(BASIC)));
}
