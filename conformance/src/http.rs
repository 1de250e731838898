//! A minimal HTTP/1.1 client for our own servers: one connection kept alive, one request at a time, blocking.
//! It is for tests and the demo, and understands only what those servers answer (a `content-length`, or
//! chunks), not all of HTTP.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// How long one read or write may take: longer than any call that a test makes.
pub const TIMEOUT: Duration = Duration::from_secs(60);

/// A connection that is kept for many requests.
pub struct Client<S> {
    stream: BufReader<S>,
    host: String,
}

impl<S> std::fmt::Debug for Client<S> {
    fn fmt(&self, out: &mut std::fmt::Formatter) -> std::fmt::Result {
        out.debug_struct("Client").field("host", &self.host).finish_non_exhaustive()
    }
}

/// A status, the headers and a body.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Connects to a Unix socket.
///
/// # Errors
/// No process listens on it.
pub fn unix(path: &Path) -> Result<Client<UnixStream>> {
    let stream =
        UnixStream::connect(path).with_context(|| format!("cannot connect to {}", path.display()))?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    Ok(Client::over(stream, "localhost"))
}

impl<S: Read + Write> Client<S> {
    /// A client over a connection.
    pub fn over(stream: S, host: &str) -> Self {
        Self { stream: BufReader::new(stream), host: host.to_owned() }
    }

    /// Posts a JSON body.
    ///
    /// # Errors
    /// The connection broke or the answer is not HTTP with a length.
    pub fn post(&mut self, path: &str, body: &[u8]) -> Result<Answer> {
        self.request("POST", path, &[("content-type", "application/json")], body)
    }

    /// Gets a path.
    ///
    /// # Errors
    /// As for [`Client::post`].
    pub fn get(&mut self, path: &str) -> Result<Answer> {
        self.request("GET", path, &[], b"")
    }

    /// Sends any request.
    ///
    /// # Errors
    /// As for [`Client::post`].
    pub fn request(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer> {
        let mut answer = self.begin(method, path, headers, body)?;
        if answer.header("transfer-encoding") == Some("chunked") {
            while let Some(mut chunk) = self.chunk()? {
                answer.body.append(&mut chunk);
            }
        } else if answer.status != 204 {
            let length = answer.header("content-length").and_then(|length| length.parse().ok());
            answer.body = vec![0; length.context("the answer has no content-length")?];
            self.stream.read_exact(&mut answer.body)?;
        }
        Ok(answer)
    }

    /// Sends any request and reads the head of the answer; [`Client::chunk`] then reads a chunked body.
    ///
    /// # Errors
    /// As for [`Client::post`].
    pub fn begin(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer> {
        let mut head =
            format!("{method} {path} HTTP/1.1\r\nhost: {}\r\ncontent-length: {}\r\n", self.host, body.len());
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        // In one piece: the second of two small ones waits for the other end, which delays its acknowledgement
        // for 40 ms.
        let stream = self.stream.get_mut();
        stream.write_all(&[head.as_bytes(), body].concat())?;
        stream.flush()?;
        let status_line = self.line()?;
        let status = status_line.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.with_context(|| format!("not an HTTP answer: `{status_line}`"))?;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':') {
                headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
            }
        }
        Ok(Answer { status, headers, body: Vec::new() })
    }

    /// The next chunk of a body, `None` after the last.
    ///
    /// # Errors
    /// The connection broke, or the body is not chunked.
    pub fn chunk(&mut self) -> Result<Option<Vec<u8>>> {
        let line = self.line()?;
        let size =
            usize::from_str_radix(line.trim(), 16).with_context(|| format!("not a chunk: `{line}`"))?;
        let mut chunk = vec![0; size];
        self.stream.read_exact(&mut chunk)?;
        self.line()?;
        Ok((size > 0).then_some(chunk))
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            bail!("the server closed the connection");
        }
        Ok(line.trim_end().to_owned())
    }
}
