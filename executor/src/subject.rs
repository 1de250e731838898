//! Who calls: fixed for a listener by the operator's configuration, never taken from a request.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use bailiwick_policy::tool::Subject;
use thiserror::Error;

/// Largest subject file: names, groups and labels of one principal.
const MAX_FILE_BYTES: u64 = 64 << 10;

/// Why there is no subject.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum SubjectError {
    #[error("cannot read the subject file `{}`", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("the subject file `{}` has more than {MAX_FILE_BYTES} bytes", path.display())]
    TooLarge { path: PathBuf },
    #[error(
        "the subject file `{}` is not a subject; it is JSON as {{\"agent\": \"…\", \"user\": \"…\", \"namespace\": \"…\", \"groups\": [], \"labels\": {{}}, \"chain\": []}}",
        path.display()
    )]
    Malformed { path: PathBuf, source: serde_json::Error },
}

/// The subject in a file; without a file, the user that runs the executor, such as `uid:1000`.
///
/// # Errors
/// A file that cannot be read, is too large, or is not a subject.
pub fn subject(file: Option<&Path>) -> Result<Subject, SubjectError> {
    let Some(path) = file else { return Ok(local_user()) };
    let read = |source| SubjectError::Read { path: path.to_owned(), source };
    let mut text = String::new();
    fs::File::open(path).map_err(read)?.take(MAX_FILE_BYTES + 1).read_to_string(&mut text).map_err(read)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(SubjectError::TooLarge { path: path.to_owned() });
    }
    serde_json::from_str(&text).map_err(|source| SubjectError::Malformed { path: path.to_owned(), source })
}

fn local_user() -> Subject {
    let user = format!("uid:{}", nix::unistd::geteuid());
    Subject { agent: "local".to_owned(), chain: vec![user.clone()], user, ..Subject::default() }
}
