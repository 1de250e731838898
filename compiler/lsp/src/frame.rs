//! Messages on a stream: a header with the length, then that many bytes (the base protocol of LSP 3.17).
//!
//! Implemented here because existing libraries read whatever length a header names into memory.
//! <https://microsoft.github.io/language-server-protocol/specifications/lsp/3.17/specification/#baseProtocol>

use std::io::{self, BufRead, Read, Write};

use thiserror::Error;

use crate::limits::{MAX_HEADER_LINE, MAX_HEADER_LINES, MAX_MESSAGE_BYTES, MAX_SKIPPED_BYTES};

/// Why no message was read.
#[derive(Debug, Error)]
pub enum FrameError {
    /// The message was skipped; the next one can be read.
    #[error("a message of {bytes} bytes; {MAX_MESSAGE_BYTES} are read at most")]
    TooLarge {
        /// Its length.
        bytes: usize,
    },
    /// The beginning of the next message cannot be found.
    #[error("not the header of a message: {why}")]
    Header {
        /// What is wrong.
        why: &'static str,
    },
    /// The stream failed, or ended within a message.
    #[error("cannot read a message")]
    Io(#[from] io::Error),
}

/// The next message; `None` at the end of the stream.
///
/// # Errors
/// See [`FrameError`]; only after [`FrameError::TooLarge`] may this be called again.
pub fn read(input: &mut impl BufRead) -> Result<Option<Vec<u8>>, FrameError> {
    let Some(length) = header(input)? else { return Ok(None) };
    if length > MAX_SKIPPED_BYTES {
        return Err(FrameError::Header { why: "the length is absurd" });
    }
    if length > MAX_MESSAGE_BYTES {
        let skipped = io::copy(&mut input.take(length as u64), &mut io::sink())?;
        if skipped < length as u64 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        return Err(FrameError::TooLarge { bytes: length });
    }
    let mut message = Vec::new();
    input.take(length as u64).read_to_end(&mut message)?;
    if message.len() < length {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    Ok(Some(message))
}

/// The length that a header names; `None` at the end of the stream.
fn header(input: &mut impl BufRead) -> Result<Option<usize>, FrameError> {
    let mut length = None;
    for lines in 0..MAX_HEADER_LINES {
        let mut line = Vec::new();
        input.take(MAX_HEADER_LINE as u64).read_until(b'\n', &mut line)?;
        if line.is_empty() && lines == 0 {
            return Ok(None);
        }
        if line.last() != Some(&b'\n') {
            return Err(FrameError::Header { why: "a line does not end" });
        }
        let line = line.trim_ascii();
        if line.is_empty() {
            return length.map(Some).ok_or(FrameError::Header { why: "no Content-Length" });
        }
        let line = std::str::from_utf8(line).map_err(|_| FrameError::Header { why: "it is not text" })?;
        let (name, value) = line.split_once(':').ok_or(FrameError::Header { why: "a line has no colon" })?;
        if name.eq_ignore_ascii_case("content-length") {
            let value =
                value.trim().parse().map_err(|_| FrameError::Header { why: "a length is not a number" })?;
            length = Some(value);
        }
    }
    Err(FrameError::Header { why: "it has too many lines" })
}

/// Writes one message and flushes it.
///
/// # Errors
/// Those of the stream.
pub fn write(output: &mut impl Write, message: &[u8]) -> io::Result<()> {
    write!(output, "Content-Length: {}\r\n\r\n", message.len())?;
    output.write_all(message)?;
    output.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut bytes = Vec::new();
        write(&mut bytes, b"{}").unwrap();
        write(&mut bytes, "\"ä\"".as_bytes()).unwrap();
        let mut input = bytes.as_slice();
        assert_eq!(read(&mut input).unwrap().unwrap(), b"{}");
        assert_eq!(read(&mut input).unwrap().unwrap(), "\"ä\"".as_bytes());
        assert!(read(&mut input).unwrap().is_none());
    }

    #[test]
    fn a_message_that_is_too_large_is_skipped_and_the_next_is_read() {
        let mut bytes = format!("Content-Length: {}\r\n\r\n", MAX_MESSAGE_BYTES + 1).into_bytes();
        bytes.resize(bytes.len() + MAX_MESSAGE_BYTES + 1, b'x');
        write(&mut bytes, b"{}").unwrap();
        let mut input = bytes.as_slice();
        assert!(matches!(read(&mut input), Err(FrameError::TooLarge { .. })));
        assert_eq!(read(&mut input).unwrap().unwrap(), b"{}");
    }

    #[test]
    fn what_is_no_header_is_refused_without_reading_on() {
        let long = format!("Content-Length: 1{}\r\n\r\n", "0".repeat(MAX_HEADER_LINE));
        for text in [
            "GET / HTTP/1.1\r\n\r\n",
            "Content-Length: -1\r\n\r\n",
            "Content-Length: 99999999999999999999\r\n\r\n",
            "Content-Length: 9999999999999\r\n\r\n",
            "Content-Type: x\r\n\r\n{}",
            "Content-Length",
            &long,
        ] {
            assert!(matches!(read(&mut text.as_bytes()), Err(FrameError::Header { .. })), "{text:?}");
        }
        assert!(matches!(read(&mut &b"Content-Length: 9\r\n\r\n{}"[..]), Err(FrameError::Io(_))));
    }
}
