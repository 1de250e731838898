//! The load generator, a separate process so that it has a core of its own: one thread and one HTTP/1.1
//! connection per client, blocking reads and writes, every latency kept. Certificates are not verified: it
//! only ever talks to loopback.
//!
//! *Closed loop*: a client sends its next request as soon as the last is answered. *Open loop*: requests are
//! due at a fixed rate, evenly spaced, whatever the server does; a latency counts from the moment the request
//! was due, so that a server that falls behind shows it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};
use serde::{Deserialize, Serialize};

/// A run of these is replaced by a number that differs for each request.
const MARK: &[u8] = b"@@@@@@@@@@@@";

/// The path of reviews, as the API server sends them.
pub(crate) const VALIDATE: &str = "/validate?timeout=10s";

/// What to send, and how.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) address: String,
    pub(crate) path: String,
    /// Value of the `Authorization` header.
    pub(crate) authorization: Option<String>,
    pub(crate) body: std::path::PathBuf,
    pub(crate) clients: usize,
    /// Seconds before measurement starts.
    pub(crate) warm_up_s: f64,
    pub(crate) seconds: f64,
    /// Requests per second, all clients together; 0 is a closed loop.
    pub(crate) rate: f64,
    /// The server, for its processor time.
    pub(crate) server: u32,
}

/// The results of a run.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Seen {
    /// Latencies, unsorted.
    pub(crate) nanos: Vec<u64>,
    pub(crate) allowed: u64,
    pub(crate) denied: u64,
    /// Requests without an answer, or with a status other than 200.
    pub(crate) failed: u64,
    /// From the end of the warm-up to the last answer.
    pub(crate) took_s: f64,
    /// Processor time of the server's threads in that period.
    pub(crate) server_cpu_s: f64,
}

/// Reads a plan from the argument, runs it, prints the results.
pub(crate) fn run(argument: &str) -> anyhow::Result<()> {
    let plan: Plan = serde_json::from_str(argument)?;
    let body = std::fs::read(&plan.body).with_context(|| format!("cannot read {}", plan.body.display()))?;
    let request = Request::new(&plan.path, plan.authorization.as_deref(), &body);
    let tls = Arc::new(unverified()?);
    let start = Instant::now();
    let seen = std::thread::scope(|scope| -> anyhow::Result<Seen> {
        let clients: Vec<_> = (0..plan.clients)
            .map(|number| {
                let (plan, tls, request) = (&plan, &tls, &request);
                scope.spawn(move || client(plan, tls, request, number, start))
            })
            .collect();
        std::thread::sleep(Duration::from_secs_f64(plan.warm_up_s));
        let (from, cpu) = (Instant::now(), cpu_seconds(plan.server)?);
        let mut all = Seen::default();
        for client in clients {
            let seen = client.join().map_err(|_| anyhow::anyhow!("a client panicked"))??;
            all.nanos.extend(seen.nanos);
            all.allowed += seen.allowed;
            all.denied += seen.denied;
            all.failed += seen.failed;
        }
        all.took_s = from.elapsed().as_secs_f64();
        all.server_cpu_s = cpu_seconds(plan.server)? - cpu;
        Ok(all)
    })?;
    serde_json::to_writer(std::io::stdout().lock(), &seen)?;
    Ok(())
}

/// One review over a connection of its own; returns the whole answer.
pub(crate) fn ask(address: &str, body: &[u8]) -> anyhow::Result<String> {
    post(address, VALIDATE, None, body).map(|(_, answer)| answer)
}

/// One request over a connection of its own; returns the status and the whole answer.
pub(crate) fn post(
    address: &str,
    path: &str,
    authorization: Option<&str>,
    body: &[u8],
) -> anyhow::Result<(u16, String)> {
    let mut stream = connect(address, &Arc::new(unverified()?))?;
    let (mut out, mut answer) = (Vec::new(), Vec::new());
    Request::new(path, authorization, body).write(0, &mut out);
    let status = exchange(&mut stream, &out, &mut answer)?;
    Ok((status, String::from_utf8_lossy(&answer).into_owned()))
}

/// Processor time of a process with all its threads, those that have ended too.
fn cpu_seconds(pid: u32) -> anyhow::Result<f64> {
    let clock = clock_getcpuclockid(Pid::from_raw(pid.try_into()?))?;
    Ok(Duration::from(clock_gettime(clock)?).as_secs_f64())
}

/// A request, and where its running number goes.
struct Request {
    bytes: Vec<u8>,
    marks: Vec<usize>,
}

impl Request {
    fn new(path: &str, authorization: Option<&str>, body: &[u8]) -> Self {
        let authorization =
            authorization.map(|value| format!("Authorization: {value}\r\n")).unwrap_or_default();
        let mut bytes = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{authorization}\
             Accept: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        bytes.extend_from_slice(body);
        let found =
            bytes.windows(MARK.len()).enumerate().filter(|(_, window)| *window == MARK).map(|(at, _)| at);
        let marks = found.collect();
        Self { bytes, marks }
    }

    fn write(&self, number: u64, into: &mut Vec<u8>) {
        into.clear();
        into.extend_from_slice(&self.bytes);
        let text = format!("{number:012}");
        for at in &self.marks {
            if let Some(place) = into.get_mut(*at..at + MARK.len()) {
                place.copy_from_slice(text.as_bytes());
            }
        }
    }
}

static NUMBER: AtomicU64 = AtomicU64::new(0);

fn client(
    plan: &Plan,
    tls: &Arc<ClientConfig>,
    request: &Request,
    which: usize,
    start: Instant,
) -> anyhow::Result<Seen> {
    let mut seen = Seen::default();
    let mut stream = connect(&plan.address, tls)?;
    let (mut out, mut answer) = (Vec::new(), Vec::with_capacity(1 << 16));
    let from = start + Duration::from_secs_f64(plan.warm_up_s);
    let end = from + Duration::from_secs_f64(plan.seconds);
    let mut turn = which;
    loop {
        request.write(NUMBER.fetch_add(1, Relaxed), &mut out);
        let due = if plan.rate > 0.0 {
            let due = start + Duration::from_secs_f64(turn as f64 / plan.rate);
            turn += plan.clients;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            due
        } else {
            Instant::now()
        };
        if due >= end {
            return Ok(seen);
        }
        let status = exchange(&mut stream, &out, &mut answer);
        let took = due.elapsed();
        if status.is_err() {
            stream = connect(&plan.address, tls)?;
        }
        if due < from {
            continue;
        }
        let says = |text: &[u8]| answer.windows(text.len()).any(|window| window == text);
        match status {
            Ok(200) if says(b"\"allowed\":true") => seen.allowed += 1,
            Ok(200) if says(b"\"allowed\":false") => seen.denied += 1,
            // The API server's status for a created object.
            Ok(201) => seen.allowed += 1,
            Ok(403 | 422) => seen.denied += 1,
            _ => seen.failed += 1,
        }
        seen.nanos.push(u64::try_from(took.as_nanos())?);
    }
}

type Stream = StreamOwned<ClientConnection, TcpStream>;

fn connect(address: &str, tls: &Arc<ClientConfig>) -> anyhow::Result<Stream> {
    let tcp = TcpStream::connect(address)?;
    tcp.set_nodelay(true)?;
    tcp.set_read_timeout(Some(Duration::from_secs(60)))?;
    Ok(StreamOwned::new(ClientConnection::new(Arc::clone(tls), ServerName::try_from("localhost")?)?, tcp))
}

/// Sends a request and reads its answer; returns the status.
fn exchange(stream: &mut Stream, request: &[u8], answer: &mut Vec<u8>) -> anyhow::Result<u16> {
    stream.write_all(request)?;
    stream.flush()?;
    answer.clear();
    let mut chunk = [0; 16384];
    let mut end = None;
    loop {
        let n = stream.read(&mut chunk)?;
        anyhow::ensure!(n > 0, "closed by the server");
        answer.extend_from_slice(chunk.get(..n).unwrap_or_default());
        if end.is_none()
            && let Some(at) = answer.windows(4).position(|window| window == b"\r\n\r\n")
        {
            end = Some(End::of(answer.get(..at).unwrap_or_default(), at + 4)?);
        }
        match end {
            Some(End::At(end)) if answer.len() >= end => break,
            Some(End::LastChunk) if answer.ends_with(b"\r\n0\r\n\r\n") => break,
            _ => {}
        }
    }
    let status = answer.get(9..12).and_then(|text| str::from_utf8(text).ok()).context("no status")?;
    Ok(status.parse()?)
}

/// The end of an answer.
#[derive(Clone, Copy)]
enum End {
    At(usize),
    /// The body is chunked, and no JSON in it looks like the last chunk.
    LastChunk,
}

impl End {
    fn of(head: &[u8], body: usize) -> anyhow::Result<Self> {
        let head = String::from_utf8_lossy(head).to_ascii_lowercase();
        if head.lines().any(|line| line.trim() == "transfer-encoding: chunked") {
            return Ok(Self::LastChunk);
        }
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length:"))
            .context("no content-length")?;
        Ok(Self::At(body + length.trim().parse::<usize>()?))
    }
}

fn unverified() -> anyhow::Result<ClientConfig> {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let schemes = provider.signature_verification_algorithms.supported_schemes();
    Ok(ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Unverified(schemes)))
        .with_no_client_auth())
}

/// Accepts any certificate.
#[derive(Debug)]
struct Unverified(Vec<SignatureScheme>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.clone()
    }
}

#[cfg(test)]
mod tests {
    use nix::time::ClockId;

    use super::*;

    #[test]
    fn the_time_of_threads_that_have_ended_counts() {
        let before = cpu_seconds(std::process::id()).unwrap();
        let busy = || {
            for number in 0..2_000_000u64 {
                std::hint::black_box(number);
            }
            Duration::from(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap()).as_secs_f64()
        };
        let used = std::thread::spawn(busy).join().unwrap();
        assert!(used > 0.0 && cpu_seconds(std::process::id()).unwrap() - before >= used);
    }
}
