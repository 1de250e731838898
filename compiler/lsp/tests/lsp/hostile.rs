//! Documents that try to make the server fail, stop answering, or read what is not open.

use bailiwick_lsp::limits::{MAX_NODES, MAX_READ_BYTES};
use bailiwick_lsp::outline::Outline;
use bailiwick_lsp::position::Lines;
use serde_json::{Value, json};

use crate::client::Client;
use crate::stage::{PACK, Stage, codes, opened, shipped, uri};

/// Positions at which a text is cut off and changed.
const PLACES: usize = 12;

/// Pieces that are inserted into a text.
const PIECES: [&str; 12] = [
    "\"",
    "'",
    "{",
    "[",
    ": ",
    "\n- ",
    "\t",
    "|\n",
    "${",
    "\u{1f600}",
    "&a *a ",
    "(((((((((((((((((((((((((((((((((((",
];

/// Requests about a position.
const METHODS: [&str; 4] = ["completion", "hover", "definition", "references"];

/// xorshift64*: the same numbers every time.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % bound.max(1)
    }
}

/// The text cut off, and the text with another piece inserted, at each of some positions.
fn mutants(text: &str, random: &mut Random) -> Vec<String> {
    let mut made = Vec::new();
    let step = (text.len() / PLACES).max(1);
    for place in (0..text.len()).step_by(step) {
        let at = text.ceil_char_boundary(place + random.below(step));
        let end = text.ceil_char_boundary(at + random.below(24));
        let (before, after) = (&text[..at], &text[end..]);
        made.push(before.to_owned());
        made.push(format!("{before}{}{after}", PIECES[random.below(PIECES.len())]));
        made.push(format!("{before}{after}"));
    }
    made
}

/// No message reports a failure of the server itself.
fn assert_sound(client: &Client) {
    for said in &client.said {
        let text = said["params"]["message"].as_str().unwrap_or_default();
        assert!(!text.contains("bug") && !text.contains("failed"), "{said}");
    }
}

#[test]
fn whatever_is_written_it_answers() {
    let packs = shipped();
    let mut client = Client::of(&json!([opened(packs[0].parent().unwrap())]));
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut answered = 0;
    for pack in packs {
        let path = pack.join("pack.yaml");
        let (text, uri) = (std::fs::read_to_string(&path).unwrap(), uri(&path));
        let document = json!({ "uri": uri, "languageId": "yaml", "version": 0, "text": text });
        client.tell("textDocument/didOpen", json!({ "textDocument": document }));
        client.findings(&uri, 0);
        let mutants = mutants(&text, &mut random);
        let last = mutants.len();
        let mut asked = Vec::new();
        for (version, mutant) in (1..).zip(mutants) {
            let document = json!({ "uri": uri, "version": version });
            let changes = json!([{ "text": mutant }]);
            client.tell(
                "textDocument/didChange",
                json!({ "textDocument": document, "contentChanges": changes }),
            );
            let lines = Lines::of(&mutant);
            for method in METHODS {
                let position =
                    lines.position(&mutant, mutant.floor_char_boundary(random.below(mutant.len() + 1)));
                let mut params = json!({ "textDocument": { "uri": uri }, "position": position });
                if method == "references" {
                    params["context"] = json!({ "includeDeclaration": true });
                }
                asked.push((client.request(&format!("textDocument/{method}"), params), method));
            }
        }
        for (id, method) in asked {
            let answer = client.answer(id);
            assert!(answer.get("error").is_none(), "{method} of {}: {answer}", path.display());
            answered += 1;
        }
        client.findings(&uri, last as i64);
        client.tell("textDocument/didClose", json!({ "textDocument": { "uri": uri } }));
    }
    assert!(answered > 500, "{answered}");
    assert_sound(&client);
    assert!(client.end().success());
}

const CHILD: &str = "apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyPack\nmetadata: {name: sample-1.0.0}\nspec:\n  pack: sample\n  version: 1.0.0\n  extends: [{name: base, version: \"^1\"}]\n";

#[test]
fn packs_beside_a_pack_are_read_only_where_the_editor_has_them_open() {
    let mut stage = Stage::closed();
    stage.write("../base/pack.yaml", &PACK.replace("sample", "base"));
    let unknown = |found: &[Value]| {
        let one = found.iter().find(|one| one["code"] == "BW0207")?;
        Some(one["message"].as_str().unwrap().to_owned())
    };
    let found = stage.open("pack.yaml", CHILD);
    let said = unknown(&found).unwrap_or_else(|| panic!("{found:?}"));
    assert!(said.contains("no folder that is open in the editor"), "{said}");
    // The pack's own folder is open, but not the one that contains the others.
    let own = stage.path("pack.yaml").parent().unwrap().to_owned();
    std::fs::create_dir_all(&own).unwrap();
    let change = |stage: &mut Stage, added: Value| {
        let event = json!({ "event": { "added": [added], "removed": [] } });
        stage.client.tell("workspace/didChangeWorkspaceFolders", event);
    };
    change(&mut stage, opened(&own));
    assert!(unknown(&stage.change("pack.yaml", CHILD)).is_some());
    change(&mut stage, opened(own.parent().unwrap()));
    let found = stage.change("pack.yaml", CHILD);
    assert_eq!(unknown(&found), None, "{found:?}");
    assert!(codes(&found).contains(&"BW0209"), "it is found, and not locked: {found:?}");
}

#[cfg(unix)]
#[test]
fn a_link_that_leads_out_is_not_followed() {
    let outside = tempfile::tempdir().unwrap();
    let secret = outside.path().join("secret.yaml");
    std::fs::write(&secret, "secret: 1\n").unwrap();
    let mut stage = Stage::new();
    stage.write("more.yaml", "");
    std::fs::remove_file(stage.path("more.yaml")).unwrap();
    std::os::unix::fs::symlink(&secret, stage.path("more.yaml")).unwrap();
    assert_eq!(stage.open("pack.yaml", PACK), [] as [Value; 0], "it is as if it were not there");
    let said = stage.client.until("a word about it", |client| client.said.pop());
    assert!(said["params"]["message"].as_str().unwrap().contains("leads out"), "{said}");
}

#[test]
fn of_a_folder_full_of_packs_only_so_much_is_read() {
    let mut stage = Stage::new();
    let filling = format!("#{}\n", "x".repeat(1 << 20));
    for number in 0..MAX_READ_BYTES / filling.len() + 4 {
        stage.write(
            &format!("../full-{number}/pack.yaml"),
            &format!("{filling}{}", PACK.replace("sample", "full")),
        );
    }
    assert_eq!(stage.open("pack.yaml", PACK), [] as [Value; 0], "the pack itself comes first");
    let said = stage.client.until("a word about it", |client| client.said.pop());
    assert!(said["params"]["message"].as_str().unwrap().contains("have more than"), "{said}");
    // A pack that is too large by itself gets that as its only finding.
    for number in 0..3 {
        stage.write(&format!("part-{number}.yaml"), &format!("#{}\n", "x".repeat(3 << 20)));
    }
    let version = stage.edit("pack.yaml", &[json!({ "text": PACK })]);
    let too_much = stage.uri("part-2.yaml");
    stage.client.until("a finding", |client| {
        let found = client.published.get(&too_much)?["diagnostics"].as_array()?.clone();
        (codes(&found) == ["BW0103"]).then_some(())
    });
    assert!(version > 0 && stage.client.end().success());
}

#[test]
fn an_outline_has_so_many_nodes_whatever_the_text() {
    for dense in ["a:\n", "- \n", "[a,", "{a,", "a,", "[{a: ", "a\n"] {
        let text = format!("[{}", dense.repeat(MAX_NODES));
        for text in [&text[..], &text[1..]] {
            let outline = Outline::read(text);
            assert!(outline.nodes <= MAX_NODES + 64, "{dense:?}: {} nodes", outline.nodes);
        }
    }
}
