//! Reads `PolicyTest` documents: text to wire types, held to the schema. Running them is the command line's.

use bailiwick_crds::policy_test::PolicyTestSpec;

use crate::check::bw0107_wrong_type;
use crate::diagnostic::{Diagnostic, FieldPath, has_errors};
use crate::schema_check;
use crate::source::SourceFile;
use crate::yaml::{Limits, Node, SourceMap};

/// One document of tests.
#[derive(Clone, Debug)]
pub struct TestDocument {
    /// `metadata.name`.
    pub name: String,
    /// The cases.
    pub spec: PolicyTestSpec,
    /// Where each field stands.
    pub map: SourceMap,
}

/// Reads every document of a file. Documents with errors are left out; diagnostics have their places.
#[must_use]
pub fn read(file: &SourceFile) -> (Vec<TestDocument>, Vec<Diagnostic>) {
    let (maps, mut diagnostics) = SourceMap::read(&file.name, &file.bytes, &Limits::PACK);
    let mut schema = bailiwick_crds::schema::policy_test();
    if let Some(metadata) = schema.pointer_mut("/properties/metadata") {
        *metadata = schema_check::metadata();
    }
    let mut tests = Vec::new();
    for map in maps {
        let mut found = schema_check::check(map.root(), &schema, &FieldPath::root());
        let spec = map.root().get("spec").map(Node::to_json).unwrap_or_default();
        if !has_errors(&found) {
            match serde_json::from_value(spec) {
                Ok(spec) => {
                    let name = map.root().get("metadata").and_then(|metadata| metadata.get("name"));
                    let name = name.and_then(Node::as_str).unwrap_or_default().to_owned();
                    tests.push(TestDocument { name, spec, map: map.clone() });
                }
                Err(error) => {
                    found.push(Diagnostic::new(bw0107_wrong_type::CODE, FieldPath::spec(), error.to_string()));
                }
            }
        }
        found.iter_mut().for_each(|problem| map.locate(problem));
        diagnostics.extend(found);
    }
    (tests, diagnostics)
}
