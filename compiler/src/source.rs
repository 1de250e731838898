//! The files of a pack, in memory. The compiler opens no files; its caller reads them.

/// One file of a pack.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceFile {
    /// Name as shown in diagnostics, relative to the pack's folder: `pack.yaml`, `rego/images.rego`.
    pub name: String,
    /// The bytes, not yet known to be valid text.
    pub bytes: Vec<u8>,
}

impl SourceFile {
    /// A file of this name and content.
    #[must_use]
    pub fn new(name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self { name: name.into(), bytes: bytes.into() }
    }
}

/// All files of a pack that the compiler reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PackSources {
    /// `pack.yaml` and the fragments next to it (`*.yaml` in the same folder), in any order.
    pub files: Vec<SourceFile>,
    /// `pack.lock`, if there is one.
    pub lock: Option<SourceFile>,
    /// `rego/*.rego`.
    pub rego: Vec<SourceFile>,
}

impl PackSources {
    /// A pack with a single file `pack.yaml` and no lock.
    #[must_use]
    pub fn single(text: impl Into<Vec<u8>>) -> Self {
        Self { files: vec![SourceFile::new("pack.yaml", text)], ..Self::default() }
    }
}
