//! What clients may do wrong and what they may request: the server answers, and continues or exits as it
//! should.

use bailiwick_lsp::limits::{MAX_MESSAGE_BYTES, MAX_OPEN_BYTES};
use serde_json::{Value, json};

use crate::client::Client;
use crate::stage::{PACK, Stage};

#[test]
fn the_life_of_a_server() {
    let mut client = Client::start();
    assert_eq!(client.ask("textDocument/hover", json!({}))["error"]["code"], -32002);
    client.tell("textDocument/didOpen", json!({}));
    let answer = client.ask("initialize", json!({ "capabilities": {} }));
    let capabilities = &answer["result"]["capabilities"];
    assert_eq!(capabilities["positionEncoding"], "utf-16");
    assert_eq!(capabilities["textDocumentSync"]["change"], 2);
    assert_eq!(client.ask("initialize", json!({ "capabilities": {} }))["error"]["code"], -32600);
    assert_eq!(client.ask("bailiwick/nothing", json!({}))["error"]["code"], -32601);
    assert_eq!(client.ask("textDocument/hover", json!({ "position": 7 }))["error"]["code"], -32602);
    client.tell("$/nothing", json!({}));
    client.tell("textDocument/didChange", json!({ "wrong": true }));
    client.until("a word about it", |client| client.said.pop());
    assert_eq!(client.ask("shutdown", Value::Null)["result"], Value::Null);
    assert_eq!(client.ask("textDocument/hover", json!({}))["error"]["code"], -32600);
    client.tell("exit", Value::Null);
    assert!(client.ended().success());
}

#[test]
fn the_exit_code_says_how_it_ended() {
    let mut client = Client::ready();
    client.tell("exit", Value::Null);
    assert_eq!(client.ended().code(), Some(1), "nobody said `shutdown`");
    let mut client = Client::ready();
    client.hang_up();
    assert_eq!(client.ended().code(), Some(1), "the client went away");
    assert!(Client::ready().end().success());
}

#[test]
fn what_is_no_message_is_answered_and_the_next_one_is_read() {
    let mut client = Client::ready();
    for (body, code) in [
        ("{", -32700),
        ("\u{fffd}", -32700),
        ("[]", -32600),
        ("7", -32600),
        (r#"{"id": {}, "method": "x"}"#, -32600),
        (r#"{"id": 1, "method": []}"#, -32600),
    ] {
        client.send_bytes(format!("Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes());
        let said = client.until("a refusal", |client| client.said.pop());
        assert_eq!((&said["id"], &said["error"]["code"]), (&Value::Null, &json!(code)), "{body}: {said}");
    }
    client.send_bytes(
        format!("content-length: {}\r\nContent-Type: x\r\n\r\n", MAX_MESSAGE_BYTES + 1).as_bytes(),
    );
    let piece = vec![b' '; 1 << 20];
    for _ in 0..MAX_MESSAGE_BYTES / piece.len() {
        client.send_bytes(&piece);
    }
    client.send_bytes(b" ");
    let said = client.until("a refusal", |client| client.said.pop());
    assert_eq!(said["error"]["code"], -32600, "{said}");
    assert!(client.end().success());
}

#[test]
fn after_a_header_that_is_none_it_ends() {
    for header in
        ["GET / HTTP/1.1\r\n\r\n", "Content-Length: 99999999999999\r\n\r\n", "Content-Length: x\r\n\r\n"]
    {
        let mut client = Client::ready();
        client.send_bytes(header.as_bytes());
        assert_eq!(client.ended().code(), Some(1), "{header}");
    }
}

#[test]
fn a_request_that_is_taken_back_is_answered_so() {
    let mut client = Client::ready();
    // The cancellation is read before the request is answered: because the request waits behind a slow one
    // or, as here, because the cancellation is sent first.
    client.tell("$/cancelRequest", json!({ "id": 1000 }));
    client.send(&json!({ "id": 1000, "method": "textDocument/hover", "params": {} }));
    assert_eq!(client.answer(1000)["error"]["code"], -32800);
    // A request that was already answered may be cancelled too.
    let id = client.request("bailiwick/nothing", json!({}));
    client.answer(id);
    client.tell("$/cancelRequest", json!({ "id": id }));
    client.tell("$/cancelRequest", json!({ "id": 1.5 }));
    assert!(client.end().success());
}

#[test]
fn documents_that_are_no_packs_or_are_too_large_do_no_harm() {
    let mut stage = Stage::new();
    let open = |stage: &mut Stage, uri: &str, text: &str| {
        let document = json!({ "uri": uri, "languageId": "yaml", "version": 1, "text": text });
        stage.client.tell("textDocument/didOpen", json!({ "textDocument": document }));
    };
    let manifest = stage.uri("../other/pod.yaml");
    for uri in ["untitled:Untitled-1", "https://example.org/pack.yaml", &manifest] {
        open(&mut stage, uri, "kind: Pod\n");
        let params = json!({ "textDocument": { "uri": uri }, "position": { "line": 0, "character": 2 } });
        assert_eq!(stage.client.result("textDocument/completion", params), Value::Null);
    }
    let large = format!("{PACK}#{}", "x".repeat(5 << 20));
    let found = stage.open("pack.yaml", &large);
    assert_eq!(found.iter().map(|one| &one["code"]).collect::<Vec<_>>(), ["BW0103"], "{found:?}");
    let answer = stage.at("textDocument/completion", "pack.yaml", &large, 10);
    assert_eq!(answer, Value::Null, "too large to be looked into");
    let piece = "x".repeat(4 << 20);
    for number in 0..=MAX_OPEN_BYTES / piece.len() {
        open(&mut stage, &format!("untitled:{number}"), &piece);
    }
    let said = stage.client.until("a word about too much", |client| client.said.pop());
    assert!(said["params"]["message"].as_str().unwrap().contains("too much is open"), "{said}");
    // A document that grows beyond the limit is no longer read, and its earlier findings are retracted.
    let uri = stage.uri("pack.yaml");
    let found = |client: &Client| client.published[&uri]["diagnostics"].as_array().unwrap().len();
    assert_eq!(found(&stage.client), 1);
    let grown = format!("{PACK}#{}", "x".repeat(20 << 20));
    stage.edit("pack.yaml", &[json!({ "text": grown })]);
    stage.client.until("the findings to be taken back", |client| (found(client) == 0).then_some(()));
    assert!(stage.client.end().success());
}

#[test]
fn positions_and_ranges_that_are_nowhere_do_no_harm() {
    let mut stage = Stage::new();
    stage.open("pack.yaml", PACK);
    let uri = stage.uri("pack.yaml");
    let far = u32::MAX;
    for (line, character) in [(0, far), (far, 0), (far, far), (7, 40_000)] {
        for method in ["completion", "hover", "definition", "references"] {
            let position = json!({ "line": line, "character": character });
            let mut params = json!({ "textDocument": { "uri": uri }, "position": position });
            if method == "references" {
                params["context"] = json!({ "includeDeclaration": true });
            }
            stage.client.result(&format!("textDocument/{method}"), params);
        }
    }
    let backwards =
        json!({ "start": { "line": far, "character": far }, "end": { "line": 0, "character": 0 } });
    let version = stage.edit("pack.yaml", &[json!({ "range": backwards, "text": "# end\n" })]);
    assert_eq!(stage.client.findings(&uri, version), [] as [Value; 0]);
}

#[test]
fn the_command_line_forwards_to_it() {
    // `bailiwick lsp` runs the program next to it, so the usage is that program's.
    let own = std::path::Path::new(env!("CARGO_BIN_EXE_bailiwick-lsp"));
    let output = std::process::Command::new(own).arg("--help").output().unwrap();
    assert!(output.status.success() && String::from_utf8(output.stdout).unwrap().contains("language server"));
    assert_eq!(std::process::Command::new(own).arg("--nonsense").output().unwrap().status.code(), Some(2));
    let bailiwick = own.with_file_name("bailiwick");
    assert!(bailiwick.is_file(), "`cargo build --locked --workspace` builds it");
    let output = std::process::Command::new(bailiwick).args(["lsp", "--version"]).output().unwrap();
    assert!(String::from_utf8(output.stdout).unwrap().starts_with("bailiwick-lsp "));
}
