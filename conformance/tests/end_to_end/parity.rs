//! The command line and the webhook give the same answer, byte for byte, over the whole corpus and for both
//! phases.

use crate::corpus;
use crate::stage::Stage;

#[test]
fn review_and_webhook_answer_the_same_bytes() {
    let (allowed, denied) = answers(&Stage::new());
    // A corpus with only one verdict would prove little.
    assert!(allowed >= 30 && denied >= 100, "{allowed} allowed, {denied} denied");
}

#[test]
fn rules_in_rego_too() {
    let (allowed, denied) =
        answers(&Stage::of(concat!(env!("CARGO_MANIFEST_DIR"), "/rego/pod-security-restricted")));
    assert!(allowed >= 30 && denied >= 100, "{allowed} allowed, {denied} denied");
}

/// How many answers allow and how many deny, after both programs have given the same ones.
fn answers(stage: &Stage) -> (usize, usize) {
    let webhook = stage.webhook();
    let requests = corpus::requests();
    assert!(requests.len() >= 300, "the corpus has only {} requests", requests.len());
    let mut file = Vec::new();
    for request in &requests {
        file.extend(corpus::review(request));
        file.extend(b"\n---\n");
    }
    std::fs::write(stage.path().join("reviews.yaml"), file).expect("the reviews");
    let (mut allowed, mut denied) = (0, 0);
    for phase in ["mutate", "validate"] {
        let output = stage.bailiwick(&[
            "review",
            "bundles/code-interpreter.json",
            "--namespaces",
            "namespaces.yaml",
            "--phase",
            phase,
            "--format",
            "json",
            "-f",
            "reviews.yaml",
        ]);
        assert_eq!(output.status.code(), Some(4), "{}", String::from_utf8_lossy(&output.stderr));
        let printed = String::from_utf8(output.stdout).expect("UTF-8");
        let lines: Vec<&str> = printed.lines().collect();
        assert_eq!(lines.len(), requests.len());
        // Opened here: a connection that had waited for the command line might have been closed as idle.
        let mut client = webhook.client().expect("a connection");
        for (request, line) in requests.iter().zip(lines) {
            let answer = client.post(&format!("/{phase}"), &corpus::review(request)).expect("an answer");
            let body = String::from_utf8(answer.body).expect("UTF-8");
            assert_eq!(line, body, "for {} ({phase})", request.object);
            if line.contains("\"allowed\":true") {
                allowed += 1;
            } else {
                denied += 1;
            }
        }
    }
    (allowed, denied)
}
