//! What was published to the editor about each pack, and what to publish next.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use lsp_types::PublishDiagnosticsParams;

use crate::analysis::Analysis;
use crate::documents::Overlay;
use crate::packs::Home;
use crate::paths;

/// The files of each pack for which findings, or none, were published.
#[derive(Debug, Default)]
pub struct Published {
    files: BTreeMap<Home, BTreeSet<PathBuf>>,
}

impl Published {
    /// What an analysis publishes: for each open file, for each with a finding, and for each that had one.
    /// `None` if its texts have changed since: a newer analysis is under way.
    pub fn next(&mut self, analysis: &Analysis, overlay: &Overlay) -> Option<Vec<PublishDiagnosticsParams>> {
        let is_current = analysis
            .versions
            .iter()
            .all(|(path, version)| overlay.get(path).is_none_or(|(current, _)| current == version));
        if !is_current {
            return None;
        }
        let mut files: BTreeSet<PathBuf> =
            analysis.findings.keys().chain(analysis.versions.keys()).cloned().collect();
        // A file that was only a parent's here is covered by its own pack.
        files.retain(|file| {
            let source = analysis.view.sources.iter().find(|source| source.path == *file);
            source.is_none_or(|source| source.of == crate::view::Owner::Own)
        });
        let before = self.files.insert(analysis.home.clone(), files.clone()).unwrap_or_default();
        let all = files.union(&before);
        Some(all.filter_map(|file| one(file, analysis)).collect())
    }

    /// Messages that retract everything published about a pack.
    pub fn withdraw(&mut self, home: &Home) -> Vec<PublishDiagnosticsParams> {
        let files = self.files.remove(home).unwrap_or_default();
        let empty = |file: &PathBuf| {
            Some(PublishDiagnosticsParams { uri: paths::uri(file)?, diagnostics: Vec::new(), version: None })
        };
        files.iter().filter_map(empty).collect()
    }
}

fn one(file: &PathBuf, analysis: &Analysis) -> Option<PublishDiagnosticsParams> {
    let findings = analysis.findings.get(file).into_iter().flatten();
    Some(PublishDiagnosticsParams {
        uri: paths::uri(file)?,
        diagnostics: findings.map(|finding| finding.diagnostic.clone()).collect(),
        version: analysis.versions.get(file).copied(),
    })
}
