//! Other readers of URLs and paths as oracles: Node's WHATWG parser, and coreutils.

use std::io::Write as _;
use std::process::{Command, Stdio};

use bailiwick_policy::facts::{path, url};

/// What a program prints for lines of input; `None`, loudly, where it is missing. Under CI that is a failure.
fn lines(program: &str, args: &[&str], input: &str) -> Option<Vec<String>> {
    let child = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut child) = child else {
        assert!(std::env::var_os("CI").is_none(), "`{program}` is missing; install it");
        eprintln!("SKIPPED: `{program}` is missing; install it");
        return None;
    };
    let mut stdin = child.stdin.take().expect("a pipe");
    let text = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    let output = child.wait_with_output().expect("the program ends");
    writer.join().expect("the writer ends").expect("the input is read");
    assert!(output.status.success(), "`{program}` failed");
    Some(String::from_utf8(output.stdout).expect("text").lines().map(str::to_owned).collect())
}

/// Reads JSON strings, a line each; prints scheme, host, port and path as the WHATWG URL Standard has them, or `null`.
const WHATWG: &str = r#"
for (const line of require("fs").readFileSync(0, "utf8").split("\n").filter(Boolean)) {
  try { const u = new URL(JSON.parse(line)); console.log(JSON.stringify([u.protocol, u.hostname, u.port, u.pathname])); }
  catch { console.log("null"); }
}"#;

/// The schemes that the standard gives a host of its own kind; others keep the text.
const SPECIAL: &[&str] = &["http", "https", "ws", "wss", "ftp"];

/// A URL that is known is what Node makes of it: host, port and path. Gives how many were compared.
pub(crate) fn assert_whatwg_agrees(texts: &[String]) -> usize {
    let input: String =
        texts.iter().map(|text| serde_json::to_string(text).expect("a string") + "\n").collect();
    let Some(answers) = lines("node", &["-e", WHATWG], &input) else { return usize::MAX };
    assert_eq!(answers.len(), texts.len());
    let mut compared = 0;
    for (text, answer) in texts.iter().zip(answers) {
        let parsed = url::parse(text);
        let Some(ours) = parsed.known().filter(|ours| SPECIAL.contains(&ours.scheme.as_str())) else {
            continue;
        };
        let theirs: Option<[String; 4]> = serde_json::from_str(&answer).expect("an answer");
        let Some([scheme, host, port, path]) = theirs else {
            // Punycode that says nothing is refused by some and a name to others, of nobody.
            assert!(ours.host.contains("xn--"), "{text:?}: Node refuses what is {ours:?}");
            continue;
        };
        assert_eq!(scheme, format!("{}:", ours.scheme), "{text:?}");
        // What an IPv6 address carries, and the dot at the end of a name, are ours.
        let canonical = url::parse_host(&host).map(|host| host.to_string());
        assert_eq!(canonical.as_ref(), Some(&ours.host), "{text:?}: Node reads {host}");
        if !port.is_empty() {
            assert_eq!(Some(port), ours.port.map(|port| port.to_string()), "{text:?}");
        }
        let again = url::parse(&format!("http://example.org{path}"));
        assert_eq!(again.known().map(|url| url.path.as_str()), Some(ours.path.as_str()), "{text:?}");
        compared += 1;
    }
    compared
}

/// A path that is known is what coreutils make of it where no part is a link. Gives how many were compared.
pub(crate) fn assert_realpath_agrees(texts: &[String]) -> usize {
    let known: Vec<(&String, path::Path)> =
        texts.iter().filter_map(|text| Some((text, path::parse(text, "/work").known()?.clone()))).collect();
    let from_work =
        |text: &String| if text.starts_with('/') { text.clone() } else { format!("/work/{text}") };
    let mut args = vec!["-m".to_owned(), "-s".to_owned(), "--".to_owned()];
    args.extend(known.iter().map(|(text, _)| from_work(text)));
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let Some(answers) = lines("realpath", &args, "") else { return usize::MAX };
    assert_eq!(answers.len(), known.len());
    for ((text, ours), theirs) in known.iter().zip(answers) {
        // POSIX lets two slashes at the beginning mean something; on Linux they do not.
        assert_eq!(format!("/{}", theirs.trim_start_matches('/')), ours.absolute, "{text:?}");
        assert_eq!(
            ours.in_workspace.is_some(),
            theirs == "/work" || theirs.starts_with("/work/"),
            "{text:?}"
        );
    }
    known.len()
}
