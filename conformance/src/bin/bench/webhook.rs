//! The webhook over TLS on one core: latency, throughput and memory, compared with a webhook that does
//! nothing and, if they were built, the peers.
//!
//! The server has core 0, the load generator core 1. Candidates that are compared take turns within one round
//! (sixteen rules, a thousand rules, nothing). The rounds are repeated, and percentiles are taken from the
//! raw samples of all rounds together.

mod api_server;
mod bundles;
mod load;
mod null;
mod reviews;
mod server;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

pub(crate) use load::run as run_load;
pub(crate) use null::run as run_null;

use self::load::Seen;
use self::server::Server;
use crate::report::Report;

const ROUNDS: usize = 5;
const SECONDS: f64 = 1.5;

/// The bench `webhook`.
pub(crate) fn run() -> anyhow::Result<Report> {
    let folder = tempfile::tempdir()?;
    let files = Files::write(folder.path())?;
    let sixteen = Server::webhook(&files.folder(16))?;
    let thousand = Server::webhook(&files.folder(1000))?;
    let null = Server::null(&folder.path().join("null.pem"))?;
    check_verdicts(&sixteen, &files)?;
    check_verdicts(&thousand, &files)?;
    let mut seen = Rounds::default();
    for round in 0..ROUNDS {
        // Each round begins with another server, so that none always benefits from a drifting machine.
        for turn in 0..3 {
            match (round + turn) % 3 {
                0 => seen.of_sixteen(&sixteen, &files)?,
                1 => seen.thousand.add(thousand.load(&files.good, 1, 0.0, SECONDS)?),
                _ => {
                    seen.null.add(null.load(&files.good, 1, 0.0, SECONDS)?);
                    seen.null_full.add(null.load(&files.good, 16, 0.0, SECONDS)?);
                }
            }
        }
    }
    let mut report = Report::new("webhook");
    seen.report(&mut report);
    report.set("rss_mb_16_rules", sixteen.rss_mb()?, 1);
    report.set("rss_mb_1000_rules", thousand.rss_mb()?, 1);
    report.set("review_bytes", std::fs::metadata(&files.good)?.len() as f64, 1);
    report.set("real_review_bytes", std::fs::metadata(&files.real)?.len() as f64, 1);
    drop(thousand);
    api_server::measure(&mut report, folder.path(), &sixteen, &null)?;
    drop((sixteen, null));
    peers(&mut report, folder.path())?;
    Ok(report)
}

/// The files that are written for the servers and the load generator.
struct Files {
    root: PathBuf,
    good: PathBuf,
    bad: PathBuf,
    real: PathBuf,
}

impl Files {
    fn write(root: &Path) -> anyhow::Result<Self> {
        let files = Self {
            root: root.to_owned(),
            good: root.join("good"),
            bad: root.join("bad"),
            real: root.join("real"),
        };
        for rules in [16, 1000] {
            let folder = files.folder(rules);
            std::fs::create_dir_all(folder.join("bundles"))?;
            std::fs::write(folder.join("bundles/bundle.json"), bundles::bundle(rules)?)?;
            std::fs::write(
                folder.join("namespaces.yaml"),
                format!(
                    "{{apiVersion: v1, kind: Namespace, metadata: {{name: default}}}}\n---\n\
                     {{apiVersion: v1, kind: Namespace, metadata: {{name: {}}}}}\n---\n\
                     {{apiVersion: v1, kind: Namespace, metadata: {{name: {}}}}}\n",
                    api_server::WEBHOOK,
                    api_server::BOTH
                ),
            )?;
        }
        for (path, pod) in
            [(&files.good, reviews::good()), (&files.bad, reviews::bad()), (&files.real, reviews::as_sent())]
        {
            std::fs::write(path, reviews::review(&pod)?)?;
        }
        Ok(files)
    }

    fn folder(&self, rules: usize) -> PathBuf {
        self.root.join(format!("{rules}-rules"))
    }
}

/// Runs before anything is measured: the good reviews are allowed, and the bad one is denied for each broken
/// rule. A server that does nothing is fast.
fn check_verdicts(server: &Server, files: &Files) -> anyhow::Result<()> {
    for (path, allowed) in [(&files.good, true), (&files.real, true), (&files.bad, false)] {
        let seen = server.load(path, 1, 0.0, 0.2)?;
        let other = if allowed { seen.denied } else { seen.allowed };
        anyhow::ensure!(other == 0, "{}: the wrong verdict", path.display());
    }
    let answer = load::ask(&server.address, &std::fs::read(&files.bad)?)?;
    for rule in reviews::BROKEN {
        anyhow::ensure!(answer.contains(rule), "the answer does not name `{rule}`: {answer}");
    }
    Ok(())
}

/// Samples of several runs of one kind.
#[derive(Default)]
struct Pool {
    nanos: Vec<u64>,
    /// Of each run.
    per_second: Vec<f64>,
    cpu_us: Vec<f64>,
}

impl Pool {
    fn add(&mut self, seen: Seen) {
        let count = seen.nanos.len() as f64;
        self.per_second.push(count / seen.took_s);
        self.cpu_us.push(seen.server_cpu_s * 1e6 / count);
        self.nanos.extend(seen.nanos);
        self.nanos.sort_unstable();
    }

    /// The latency that this share of the requests did not exceed, in milliseconds.
    fn quantile_ms(&self, share: f64) -> f64 {
        let rank = (share * self.nanos.len() as f64).ceil().max(1.0) as usize;
        self.nanos.get(rank - 1).map_or(f64::NAN, |nanos| *nanos as f64 / 1e6)
    }

    fn count(&self) -> usize {
        self.nanos.len()
    }
}

/// The median of some figures.
fn middle(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    crate::sampling::median(&sorted)
}

/// All samples.
#[derive(Default)]
struct Rounds {
    one: Pool,
    bad: Pool,
    full: Pool,
    real: Pool,
    open: Pool,
    thousand: Pool,
    null: Pool,
    null_full: Pool,
}

impl Rounds {
    fn of_sixteen(&mut self, server: &Server, files: &Files) -> anyhow::Result<()> {
        self.one.add(server.load(&files.good, 1, 0.0, SECONDS)?);
        self.bad.add(server.load(&files.bad, 1, 0.0, SECONDS)?);
        self.full.add(server.load(&files.good, 16, 0.0, SECONDS)?);
        self.real.add(server.load(&files.real, 16, 0.0, SECONDS)?);
        self.open.add(server.load(&files.good, 64, 2000.0, SECONDS)?);
        Ok(())
    }

    fn report(&self, report: &mut Report) {
        for (key, pool, share) in [
            ("one_client_p50_ms", &self.one, 0.5),
            ("one_client_p99_ms", &self.one, 0.99),
            ("one_client_denied_p50_ms", &self.bad, 0.5),
            ("p50_ms_at_2000rps", &self.open, 0.5),
            ("p99_ms_at_2000rps", &self.open, 0.99),
            ("null_one_client_p50_ms", &self.null, 0.5),
            ("null_one_client_p99_ms", &self.null, 0.99),
            ("one_client_1000_rules_p99_ms", &self.thousand, 0.99),
        ] {
            report.set(key, pool.quantile_ms(share), pool.count());
        }
        report.set("max_rps_one_core", middle(&self.full.per_second), self.full.count());
        report.set("null_max_rps_one_core", middle(&self.null_full.per_second), self.null_full.count());
        report.set("review_cpu_ms", middle(&self.full.cpu_us) / 1e3, self.full.count());
        report.set("real_review_cpu_ms", middle(&self.real.cpu_us) / 1e3, self.real.count());
        let ratio = |over: &Pool, under: &Pool, share| over.quantile_ms(share) / under.quantile_ms(share);
        report.set(
            "p99_1000_over_16_rules_ratio",
            ratio(&self.thousand, &self.one, 0.99),
            self.thousand.count(),
        );
        report.set("p50_over_null_ratio", ratio(&self.one, &self.null, 0.5), self.one.count());
        // Separates our tail from the machine's, which a webhook that does nothing also has.
        report.set("p99_over_null_ratio", ratio(&self.one, &self.null, 0.99), self.one.count());
        // Ratios, in which the machine's speed and its other load cancel out.
        let null_rps = middle(&self.null_full.per_second) / middle(&self.full.per_second);
        report.set("null_rps_over_ours_ratio", null_rps, self.full.count());
        let null_cpu = middle(&self.full.cpu_us) / middle(&self.null_full.cpu_us);
        report.set("cpu_over_null_ratio", null_cpu, self.full.count());
    }
}

/// A peer: the prefix of its figures, its program, and how the scripts of `../shared/peers` call it.
struct Peer {
    name: &'static str,
    program: &'static str,
    kind: &'static str,
}

const PEERS: [Peer; 2] = [
    Peer { name: "kyverno", program: "kyverno", kind: "kyverno" },
    Peer { name: "gatekeeper", program: "gatekeeper", kind: "gatekeeper-cel" },
];

impl Peer {
    /// Its p99 with one client over ours, and our throughput over its own.
    fn keys(&self) -> [String; 2] {
        [format!("{}_over_ours_p99", self.name), format!("ours_over_{}_rps_ratio", self.name)]
    }

    /// Why it cannot be measured, if that is so.
    fn missing(&self, bin: Option<&Path>, script: &Path) -> Option<String> {
        if !script.exists() {
            return Some("the scripts of ../shared/peers are not there".to_owned());
        }
        let Some(bin) = bin else {
            return Some(
                "BAILIWICK_PEERS names no folder; ../shared/peers/README.md says how one is built".to_owned(),
            );
        };
        let programs = [self.program, "load"].into_iter().find(|program| !bin.join(program).exists());
        programs.map(|program| format!("BAILIWICK_PEERS has no `{program}`"))
    }
}

/// Measures the peers on the same machine in the same run, as far as they were built by hand:
/// `BAILIWICK_PEERS` is their folder. The file lists what was not measured as absent.
fn peers(report: &mut Report, folder: &Path) -> anyhow::Result<()> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/peers/webhook.sh");
    let bin = std::env::var_os("BAILIWICK_PEERS").map(PathBuf::from);
    for peer in PEERS {
        let [p99, rps] = peer.keys();
        match (peer.missing(bin.as_deref(), &script), &bin) {
            (None, Some(bin)) => {
                let output = Command::new(&script)
                    .arg(bin)
                    .arg(folder.join(peer.name))
                    .args([peer.kind, "16"])
                    .output()?;
                let said = String::from_utf8_lossy(&output.stderr);
                anyhow::ensure!(output.status.success(), "{}: {said}", peer.name);
                let lines = String::from_utf8(output.stdout)?;
                let (figure, samples) = figure_of(&lines, " good-1\"", "p99_us")?;
                let ours = report.metrics.get("one_client_p99_ms").context("ours was not measured")?;
                report.set(&p99, figure / 1e3 / ours, samples);
                let (figure, samples) = figure_of(&lines, " good-16\"", "rps")?;
                let ours = report.metrics.get("max_rps_one_core").context("ours was not measured")?;
                report.set(&rps, ours / figure, samples);
            }
            (why, _) => {
                let why = why.unwrap_or_default();
                eprintln!("SKIPPED: {}: {why}", peer.name);
                report.lacks(&p99, &why);
                report.lacks(&rps, &why);
            }
        }
    }
    Ok(())
}

/// A figure from the line with this label, and the number of its requests.
fn figure_of(lines: &str, label: &str, name: &str) -> anyhow::Result<(f64, usize)> {
    let line = lines.lines().find(|line| line.contains(label));
    let figures: serde_json::Value =
        serde_json::from_str(line.with_context(|| format!("no figures of{label}"))?)?;
    let figure = |name: &str| {
        let figure = figures.get(name).and_then(serde_json::Value::as_f64);
        figure.with_context(|| format!("no `{name}` in{label}"))
    };
    Ok((figure(name)?, figure("n")? as usize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_is_not_there_is_named_with_what_it_lacks() {
        let folder = tempfile::tempdir().unwrap();
        let [kyverno, gatekeeper] = PEERS;
        let (script, bin) = (folder.path().join("webhook.sh"), folder.path());
        assert!(kyverno.missing(Some(bin), &script).unwrap().contains("scripts"));
        std::fs::write(&script, "").unwrap();
        assert!(kyverno.missing(None, &script).unwrap().contains("BAILIWICK_PEERS names no folder"));
        std::fs::write(bin.join("kyverno"), "").unwrap();
        assert_eq!(kyverno.missing(Some(bin), &script).unwrap(), "BAILIWICK_PEERS has no `load`");
        std::fs::write(bin.join("load"), "").unwrap();
        assert_eq!(kyverno.missing(Some(bin), &script), None);
        assert_eq!(gatekeeper.missing(Some(bin), &script).unwrap(), "BAILIWICK_PEERS has no `gatekeeper`");
        assert_eq!(kyverno.keys(), ["kyverno_over_ours_p99", "ours_over_kyverno_rps_ratio"]);
    }

    #[test]
    fn figures_are_read_of_the_line_that_is_meant() {
        let lines = "{\"label\":\"kyverno 16 workloads good-16\",\"rps\":150.5,\"n\":750}\n{\"label\":\"kyverno 16 workloads good-1\",\"p99_us\":7000,\"n\":100}\n";
        assert_eq!(figure_of(lines, " good-1\"", "p99_us").unwrap(), (7000.0, 100));
        assert_eq!(figure_of(lines, " good-16\"", "rps").unwrap(), (150.5, 750));
        assert!(figure_of(lines, " bad-1\"", "rps").is_err());
    }
}
