//! Conversion between URIs of the protocol and file paths.

use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use lsp_types::Uri;

/// The path of a `file:` URI; `None` for any other.
#[must_use]
pub fn path(uri: &Uri) -> Option<PathBuf> {
    let rest = uri.as_str().strip_prefix("file://")?;
    // An authority other than this machine's would be a file elsewhere.
    let rest = rest.strip_prefix("localhost").unwrap_or(rest);
    let rest = rest.split(['?', '#']).next().unwrap_or(rest);
    let path = PathBuf::from(decoded(rest)?);
    (path.is_absolute() && !path.components().any(|part| part == Component::ParentDir)).then_some(path)
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        let (high, low) = (digit(rest.next())?, digit(rest.next())?);
        bytes.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(bytes).ok().filter(|path| !path.contains('\0'))
}

/// The `file:` URI of a path; `None` for one with `..` in it, which may lead elsewhere than it says.
#[must_use]
pub fn uri(path: &Path) -> Option<Uri> {
    if path.components().any(|part| part == Component::ParentDir) {
        return None;
    }
    let mut text = "file://".to_owned();
    for part in path.components() {
        if let Component::Normal(name) = part {
            text.push('/');
            for byte in name.as_encoded_bytes() {
                match byte {
                    b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                        text.push(char::from(*byte))
                    }
                    other => text.push_str(&format!("%{other:02X}")),
                }
            }
        }
    }
    Uri::from_str(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_come_back() {
        for path_text in ["/srv/packs/a b/päck.yaml", "/x/%/?.yaml", "/x/base@1.0.0/pack.yaml"] {
            let there = uri(Path::new(path_text)).unwrap();
            assert_eq!(path(&there), Some(PathBuf::from(path_text)), "{}", there.as_str());
        }
    }

    #[test]
    fn what_names_no_file_of_this_machine_has_no_path() {
        for text in [
            "untitled:x",
            "https://example.org/a",
            "file://host/a",
            "file:///a/../b",
            "file:///%00",
            "file:///%zz",
        ] {
            let Ok(uri) = Uri::from_str(text) else { continue };
            assert_eq!(path(&uri), None, "{text}");
        }
    }
}
