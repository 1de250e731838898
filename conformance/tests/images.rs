//! The images' script: the same bytes for the same files, and no image that would not start.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use bailiwick_conformance::{images, programs};

fn script(args: &[&str]) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/image/build.py");
    Command::new(script).args(args).stdin(Stdio::null()).output().expect("python3 is there")
}

#[test]
fn the_same_programs_give_the_same_bytes() {
    let (one, other) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    for name in ["executor", "webhook"] {
        let first = images::build(name, one.path()).expect("an image");
        let second = images::build(name, other.path()).expect("an image");
        assert_eq!(first.reference, second.reference);
        let read = |path| std::fs::read(path).expect("an archive");
        assert!(read(&first.archive) == read(&second.archive), "the archives of `{name}` differ");
        assert!(
            first.reference.starts_with(&format!("localhost/bailiwick-{name}@sha256:")),
            "{}",
            first.reference
        );
    }
    // Both programs, outside what sandboxes see, and what sandboxes see.
    let listed = layers(&one.path().join("executor.tar"));
    for path in [
        "bailiwick/bailiwick-executor",
        "bailiwick/bailiwick-launcher",
        "usr/bin/bash",
        "usr/bin/python3",
        "usr/bin/tar",
    ] {
        let there = [format!("-rwxr-xr-x {path}\n"), format!("lrwxrwxrwx {path} -> ")];
        assert!(there.iter().any(|line| listed.contains(line)), "{path}: {listed}");
    }
    // No file gives a privilege to its user.
    assert!(!listed.lines().any(|line| line.starts_with("-rws") || line.starts_with("-rwxr-s")), "{listed}");
}

/// All files of all layers, one line each: mode and path.
fn layers(archive: &Path) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let unpacked = Command::new("tar")
        .arg("-C")
        .arg(folder.path())
        .arg("-xf")
        .arg(archive)
        .status()
        .expect("tar is there");
    assert!(unpacked.success());
    let mut out = String::new();
    for blob in std::fs::read_dir(folder.path().join("blobs/sha256")).expect("blobs") {
        let listed =
            Command::new("tar").args(["-tvf"]).arg(blob.expect("a blob").path()).output().expect("tar");
        for line in String::from_utf8_lossy(&listed.stdout).lines() {
            let parts: Vec<&str> = line.split_whitespace().collect();
            if let [mode, _owner, _size, _date, _time, path @ ..] = parts.as_slice() {
                out.push_str(&format!("{mode} {}\n", path.join(" ")));
            }
        }
    }
    out
}

#[test]
fn what_would_not_start_is_refused() {
    let (programs_at, out) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let (programs_at, out) =
        (programs_at.path().to_str().expect("UTF-8"), out.path().to_str().expect("UTF-8"));
    let build = |name: &str| script(&["--binaries", programs_at, "--out", out, name]);
    let missing = build("executor");
    assert!(!missing.status.success());
    assert!(String::from_utf8_lossy(&missing.stderr).contains("bailiwick-executor` is not there"));
    // A program linked to a library that does not exist.
    let source = programs::find("bailiwick-executor").expect("built");
    let mut bytes = std::fs::read(source).expect("a program");
    let name = b"libgcc_s.so.1\0";
    let at = bytes.windows(name.len()).position(|window| window == name).expect("it is linked to libgcc");
    bytes[at..at + 3].copy_from_slice(b"nix");
    for program in ["bailiwick-executor", "bailiwick-launcher"] {
        let path = Path::new(programs_at).join(program);
        std::fs::write(&path, &bytes).expect("written");
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&path, executable).expect("executable");
    }
    let broken = build("executor");
    assert!(!broken.status.success());
    assert!(
        String::from_utf8_lossy(&broken.stderr).contains("not found"),
        "{}",
        String::from_utf8_lossy(&broken.stderr)
    );
    let unknown = build("nobody");
    assert_eq!(unknown.status.code(), Some(2));
}
