//! The report of one bench: its file, its table, its goals.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

/// What one bench measured.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) name: String,
    /// Figures by key; a key ends in its unit or in `_ratio`.
    pub(crate) metrics: BTreeMap<String, f64>,
    /// The number of samples behind each figure.
    pub(crate) samples: BTreeMap<String, usize>,
    /// Figures that could not be measured here, with the reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) absent: BTreeMap<String, String>,
    pub(crate) machine: BTreeMap<String, String>,
    pub(crate) versions: BTreeMap<String, String>,
}

/// The goal of a figure.
#[derive(Clone, Copy)]
enum Goal {
    AtMost(f64),
    AtLeast(f64),
    /// It is measured to be compared by people, or its report says why it is not.
    Open,
}

/// Bench, key, goal: what `docs/benchmarks.md` lists.
const GOALS: &[(&str, &str, Goal)] = &[
    ("audit", "durable_per_s_1_writers", Goal::Open),
    ("audit", "durable_per_s_8_writers", Goal::Open),
    ("audit", "durable_per_s_64_writers", Goal::AtLeast(80_000.0)),
    ("audit", "append_over_fdatasync_us", Goal::AtMost(50.0)),
    ("audit", "verify_mb_per_s", Goal::AtLeast(300.0)),
    ("audit", "recover_1gb_s", Goal::AtMost(1.0)),
    ("compile", "five_packs_cold_ms", Goal::AtMost(150.0)),
    ("compile", "pack_100_rules_ms", Goal::AtMost(1000.0)),
    ("compile", "diff_100_rules_ms", Goal::AtMost(5000.0)),
    ("compile", "check_1000_manifests_ms", Goal::AtMost(300.0)),
    ("compile", "check_rss_mb", Goal::AtMost(60.0)),
    ("compile", "completion_2000_lines_ms", Goal::AtMost(50.0)),
    ("engine", "tool_decision_1_rules_p50_us", Goal::Open),
    ("engine", "tool_decision_100_rules_p50_us", Goal::AtMost(3.0)),
    ("engine", "tool_decision_100_rules_p99_us", Goal::AtMost(15.0)),
    ("engine", "tool_decision_1000_rules_p50_us", Goal::Open),
    ("engine", "admission_16_rules_p50_us", Goal::AtMost(10.0)),
    ("engine", "admission_1000_over_16_p50_ratio", Goal::AtMost(2.0)),
    ("engine", "cel015_over_ours_ratio", Goal::AtLeast(4.0)),
    ("engine", "ours_over_handwritten_ratio", Goal::AtMost(3.0)),
    ("engine", "regorus_rvm_over_ours_ratio", Goal::Open),
    ("images", "warm_p99_ms", Goal::AtMost(1.0)),
    ("images", "cold_one_signature_ms", Goal::AtMost(25.0)),
    ("images", "cold_100x5_ms", Goal::AtMost(1000.0)),
    ("operator", "pack_to_enforced_p50_s", Goal::AtMost(2.0)),
    ("operator", "drift_back_p99_s", Goal::AtMost(2.0)),
    ("operator", "drift_edited_p99_s", Goal::AtMost(2.0)),
    ("operator", "cold_500_bindings_s", Goal::AtMost(60.0)),
    ("operator", "steady_writes_per_s", Goal::AtMost(0.0)),
    ("operator", "rss_mb", Goal::AtMost(150.0)),
    ("operator", "node_claim_p50_ms", Goal::Open),
    ("sandbox", "cold_exec_p50_ratio", Goal::AtMost(2.5)),
    ("sandbox", "nsjail_over_cold_p50", Goal::AtLeast(5.0)),
    ("sandbox", "warm_exec_p50_ratio", Goal::AtMost(1.05)),
    ("sandbox", "warm_exec_p99_ratio", Goal::AtMost(1.25)),
    ("sandbox", "api_over_command_output_p50_ratio", Goal::AtMost(0.95)),
    ("sandbox", "call_over_formula_p50_ratio", Goal::AtMost(1.0)),
    ("sandbox", "call_tmpfs_p50_ratio", Goal::AtMost(1.3)),
    ("sandbox", "session_workspace_p50_ratio", Goal::AtMost(1.15)),
    ("sandbox", "python_zygote_result_ratio", Goal::Open),
    ("sandbox", "python_zygote_exit_ratio", Goal::Open),
    ("sandbox", "nsjail_over_ours_p50", Goal::AtLeast(14.0)),
    ("sandbox", "nsjail_over_ours_p99", Goal::AtLeast(18.0)),
    ("sandbox", "bwrap_over_ours_p50", Goal::Open),
    ("sandbox", "per_core_per_s", Goal::AtLeast(450.0)),
    ("sandbox", "parked_mb", Goal::AtMost(0.35)),
    ("sandbox", "kill_tree_ms", Goal::AtMost(0.5)),
    ("sandbox", "slowest_of_100k_over_median", Goal::Open),
    ("webhook", "one_client_p50_ms", Goal::AtMost(0.15)),
    ("webhook", "one_client_p99_ms", Goal::AtMost(0.5)),
    ("webhook", "max_rps_one_core", Goal::AtLeast(8000.0)),
    ("webhook", "real_review_cpu_ms", Goal::AtMost(0.15)),
    ("webhook", "p50_ms_at_2000rps", Goal::AtMost(0.3)),
    ("webhook", "p99_ms_at_2000rps", Goal::AtMost(2.0)),
    ("webhook", "p99_1000_over_16_rules_ratio", Goal::AtMost(2.0)),
    ("webhook", "rss_mb_16_rules", Goal::AtMost(40.0)),
    ("webhook", "rss_mb_1000_rules", Goal::AtMost(150.0)),
    ("webhook", "kyverno_over_ours_p99", Goal::Open),
    ("webhook", "gatekeeper_over_ours_p99", Goal::Open),
    ("webhook", "apiserver_added_p50_ms", Goal::AtMost(1.1)),
    ("webhook", "vap_added_p50_ms", Goal::Open),
];

impl Goal {
    fn is_met(self, figure: f64) -> bool {
        match self {
            Self::AtMost(bound) => figure <= bound,
            Self::AtLeast(bound) => figure >= bound,
            Self::Open => true,
        }
    }

    fn text(self) -> String {
        match self {
            Self::AtMost(bound) => format!("at most {bound}"),
            Self::AtLeast(bound) => format!("at least {bound}"),
            Self::Open => "no goal".to_owned(),
        }
    }
}

pub(crate) fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bench")
}

impl Report {
    pub(crate) fn new(name: &str) -> Self {
        let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let machine =
            [("cpu", model.trim_start_matches(['\t', ' ', ':']).to_owned()), ("cores", cores.to_string())];
        let versions = [("bailiwick", env!("CARGO_PKG_VERSION").to_owned())];
        let named = |(key, value): (&str, String)| (key.to_owned(), value);
        Self {
            name: name.to_owned(),
            metrics: BTreeMap::new(),
            samples: BTreeMap::new(),
            absent: BTreeMap::new(),
            machine: machine.map(named).into(),
            versions: versions.map(named).into(),
        }
    }

    pub(crate) fn set(&mut self, key: &str, figure: f64, samples: usize) {
        self.metrics.insert(key.to_owned(), figure);
        self.samples.insert(key.to_owned(), samples);
    }

    /// Records that a figure is missing, with the reason, so that a reader of the file does not take it for
    /// forgotten.
    pub(crate) fn lacks(&mut self, key: &str, why: &str) {
        self.absent.insert(key.to_owned(), why.to_owned());
    }

    /// Writes the file and prints the table.
    pub(crate) fn publish(&self) -> anyhow::Result<()> {
        let directory = directory();
        std::fs::create_dir_all(&directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
        let path = directory.join(format!("{}.json", self.name));
        std::fs::write(&path, serde_json::to_vec_pretty(self)?)
            .with_context(|| format!("cannot write {}", path.display()))?;
        for (key, figure) in &self.metrics {
            let goal = goal(&self.name, key).map(Goal::text).unwrap_or_default();
            println!("{key:40} {figure:>12.3}   {goal}");
        }
        for (key, why) in &self.absent {
            println!("{key:40} {:>12}   {why}", "absent");
        }
        Ok(())
    }
}

fn goal(bench: &str, key: &str) -> Option<Goal> {
    GOALS.iter().find(|(of, named, _)| *of == bench && *named == key).map(|(_, _, goal)| *goal)
}

/// Compares all files of a folder with the goals; returns whether none is missed. A goal without a figure is
/// missed, and so is a figure without a goal that is neither there nor said to be absent.
pub(crate) fn check(directory: &Path) -> anyhow::Result<bool> {
    let mut reports: BTreeMap<&str, Option<Report>> = BTreeMap::new();
    let mut all_met = true;
    for (bench, key, goal) in GOALS {
        let report = match reports.entry(bench) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unread) => unread.insert(read(&directory.join(format!("{bench}.json")))?),
        };
        let figure = report.as_ref().and_then(|report| report.metrics.get(*key));
        let absent = report.as_ref().and_then(|report| report.absent.get(*key));
        let is_excused = matches!(goal, Goal::Open) && absent.is_some();
        let met = is_excused || figure.is_some_and(|figure| goal.is_met(*figure));
        let shown = figure.map_or_else(|| "not measured".to_owned(), |figure| format!("{figure:.3}"));
        println!("{} {bench} {key} {shown} ({})", if met { "met   " } else { "MISSED" }, goal.text());
        all_met &= met;
    }
    Ok(all_met)
}

/// `None`: the bench was not run.
fn read(path: &Path) -> anyhow::Result<Option<Report>> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let report = serde_json::from_slice(&text);
    report.map(Some).with_context(|| format!("{} is not a report of a bench", path.display()))
}
