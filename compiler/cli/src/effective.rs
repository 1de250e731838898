//! The effective policy of some packs, or that of a compiled bundle, with the text of its rules.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use bailiwick_compiler::diagnostic::FieldPath;
use bailiwick_policy::bundle::Bundle;
use bailiwick_policy::policy::Policy;

use crate::load::{self, Choices, Loaded};
use crate::places::Places;
use crate::render::Location;
use crate::review::read_bundle;

/// A policy, as it would be in force.
pub(crate) struct Effective {
    pub(crate) bundle: Bundle,
    /// By `name@version`; empty for a bundle.
    texts: BTreeMap<String, Places>,
}

impl Effective {
    /// Reads packs and compiles them together, or reads one bundle. `None` after the findings of packs that
    /// do not compile were printed.
    pub(crate) fn read(paths: &[PathBuf], library: Option<&Path>, choices: &Choices) -> Result<Option<Self>> {
        let is_bundle = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "json");
        match paths {
            [] => bail!("name the packs, or a compiled bundle.json"),
            paths if !choices.is_empty() && paths.iter().any(is_bundle) => {
                bail!("the parameters of a bundle are bound already; name the packs instead")
            }
            [path] if is_bundle(path) => {
                let bundle =
                    read_bundle(path).with_context(|| format!("cannot use the bundle {}", path.display()))?;
                return Ok(Some(Self { bundle, texts: BTreeMap::new() }));
            }
            paths if paths.iter().any(is_bundle) => {
                bail!("a bundle is an effective policy by itself; name it alone")
            }
            _ => {}
        }
        let loaded = Loaded::read_all(paths, library)?;
        choices.check_names(&loaded.packs)?;
        let compiled = loaded.compile(choices);
        if compiled.failed() {
            load::draw_compiled(&loaded, &compiled);
            return Ok(None);
        }
        let texts = loaded.places(&compiled);
        let policy = compiled.policy.context("the packs have no effective policy")?;
        Ok(Some(Self { bundle: load::bundle_of(&policy)?, texts }))
    }

    pub(crate) const fn policy(&self) -> &Policy {
        &self.bundle.policy
    }

    /// `name@version` of each pack in the policy.
    pub(crate) fn packs(&self) -> Vec<String> {
        self.policy().packs.iter().map(|pack| format!("{}@{}", pack.name, pack.version)).collect()
    }

    /// `name@version` of the pack with this index.
    pub(crate) fn label(&self, pack: u16) -> String {
        let pack = self.policy().packs.get(usize::from(pack));
        pack.map(|pack| format!("{}@{}", pack.name, pack.version)).unwrap_or_default()
    }

    /// The place of a field of a pack, or of a byte range of its text; `None` if the text is not available.
    pub(crate) fn place(&self, pack: &str, field: &str, within: Option<Range<usize>>) -> Option<Location> {
        self.texts.get(pack)?.find(&field.parse::<FieldPath>().ok()?, within)
    }
}
