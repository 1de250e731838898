//! What the editor was told of each pack, and what is to be told next.

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
    /// What an analysis has to say: of each open file, of each with a finding, and of each that had one. `None` if it is about texts that have
    /// changed since: a newer analysis is under way.
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
        // Of what was only a parent's file here its own pack speaks.
        files.retain(|file| {
            let source = analysis.view.sources.iter().find(|source| source.path == *file);
            source.is_none_or(|source| source.of == crate::view::Owner::Own)
        });
        let before = self.files.insert(analysis.home.clone(), files.clone()).unwrap_or_default();
        let all = files.union(&before);
        Some(all.filter_map(|file| one(file, analysis)).collect())
    }

    /// What takes everything back that was said of a pack.
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
