//! `report.md`: the enforcement report for human readers.

use super::artifact::{Artifact, Target};
use super::report::{Report, Statement};

/// One line of Markdown text: pipes, angle brackets and line ends of a statement must not break the
/// document's structure.
fn text(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    for c in raw.chars() {
        match c {
            '|' => out.push_str("\\|"),
            '<' => out.push_str("&lt;"),
            '*' | '_' | '`' | '[' => {
                out.push('\\');
                out.push(c);
            }
            '\n' | '\r' | '\t' => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

pub(super) fn artifact(report: &Report) -> Artifact {
    let mut out = format!(
        "# Who enforces what\n\nPacks: {}  \nCell: {}  \nPolicy digest: sha256:{}\n\nGoverned: {}\n\n",
        text(&report.packs.join(", ")),
        text(&report.cell),
        text(&report.policy_digest),
        text(&report.subject)
    );
    out.push_str("## Gaps\n\n");
    if report.gaps.is_empty() {
        out.push_str("None: each statement is enforced fully by at least one layer.\n");
    }
    for gap in &report.gaps {
        out.push_str(&format!("- **{}**: {}\n", text(&gap.statement), text(&gap.why)));
    }
    out.push_str("\n## Statements\n");
    for statement in &report.statements {
        out.push_str(&section(statement));
    }
    out.push_str("\n## Notes\n\n");
    for note in &report.notes {
        out.push_str(&format!("- {}\n", text(note)));
    }
    Artifact { bytes: out.into_bytes(), target: Target::Report, from: Vec::new() }
}

fn section(statement: &Statement) -> String {
    let from: Vec<_> = statement.from.iter().map(|field| format!("{} {}", field.pack, field.at)).collect();
    let mut out = format!(
        "\n### {}\n\n{}\n\nFrom: {}\n\nEnforced: {:?} (floor: {:?})\n\n",
        text(&statement.id),
        text(&statement.says),
        text(&from.join(", ")),
        statement.enforced,
        statement.floor
    );
    if !statement.layers.is_empty() {
        out.push_str("| Layer | Enforces | |\n|---|---|---|\n");
    }
    for layer in &statement.layers {
        out.push_str(&format!(
            "| {} | {:?} | {} |\n",
            text(&layer.layer),
            layer.enforcement,
            text(&layer.note)
        ));
    }
    let remains = &statement.remains;
    for (when, what) in [
        ("Webhook away", &remains.without_webhook),
        ("NetworkPolicy not enforced", &remains.without_network_policy),
        ("gVisor or Kata", &remains.under_virtual_kernel),
        ("cgroup v1", &remains.on_cgroup_v1),
    ] {
        out.push_str(&format!("\n- {when}: {}", text(what)));
    }
    out.push('\n');
    out
}
