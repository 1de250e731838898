//! The tree's mathematics against the vectors of transparency-dev/merkle, which are next to the checkout, and
//! against itself.

use std::path::{Path, PathBuf};

use bailiwick_audit::Hash;
use bailiwick_audit::merkle::{Tree, inclusion_proof, verify_inclusion};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// How many vectors there are; fewer means that this is the wrong folder.
const VECTORS: usize = 98;

/// The vectors; `None`, with a message, where they are absent and not required.
fn vectors() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fixtures/merkle/inclusion");
    if folder.is_dir() {
        return Some(folder);
    }
    let how = "the Merkle vectors of transparency-dev/merkle must lie in ../shared/fixtures/merkle, beside the checkout";
    assert!(std::env::var_os("CI").is_none(), "{how}");
    eprintln!("SKIPPED: {how}");
    None
}

fn files(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, into) } else { into.push(path) }
    }
}

/// A hash of a vector; `None` if it does not have 32 bytes, so that nothing can be proven with it.
fn hash(value: &Value) -> Option<Hash> {
    let bytes = STANDARD.decode(value.as_str().unwrap_or_default()).unwrap();
    Some(Hash::new(bytes.try_into().ok()?))
}

fn proof(value: &Value) -> Option<Vec<Hash>> {
    value.as_array().map_or(Some(Vec::new()), |items| items.iter().map(hash).collect())
}

fn holds(vector: &Value) -> Option<bool> {
    let number = |key: &str| vector[key].as_u64();
    let proof = proof(&vector["proof"])?;
    let (leaf, root) = (hash(&vector["leafHash"])?, hash(&vector["root"])?);
    Some(verify_inclusion(number("leafIdx")?, number("treeSize")?, &leaf, &proof, &root).is_ok())
}

#[test]
fn every_vector_comes_out() {
    let Some(folder) = vectors() else { return };
    let mut paths = Vec::new();
    files(&folder, &mut paths);
    assert_eq!(paths.len(), VECTORS);
    let mut good = 0;
    for path in paths {
        let vector: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let must_fail = vector["wantErr"].as_bool().unwrap();
        let holds = holds(&vector).unwrap_or(false);
        assert_eq!(holds, !must_fail, "{}", path.display());
        good += usize::from(holds);
    }
    assert!(good >= 5, "only {good} vectors hold");
}

fn leaves(count: usize) -> Vec<Hash> {
    (0..count).map(|number| Hash::leaf(&number.to_be_bytes())).collect()
}

/// MTH of RFC 6962, 2.1, as it is written there.
fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Hash::of(&[]),
        [one] => *one,
        _ => {
            let split = (leaves.len() - 1).ilog2();
            let (left, right) = leaves.split_at(1 << split);
            Hash::node(&root(left), &root(right))
        }
    }
}

#[test]
fn a_growing_tree_has_the_roots_of_the_rfc() {
    let leaves = leaves(130);
    let mut tree = Tree::default();
    for size in 0..=leaves.len() {
        assert_eq!(tree.root(), root(&leaves[..size]), "{size}");
        assert_eq!(Tree::from_parts(tree.size(), tree.peaks().to_vec()).unwrap(), tree);
        tree.push(leaves.get(size).copied().unwrap_or(Hash::ZERO));
    }
}

#[test]
fn every_proof_holds_and_no_other_does() {
    for size in 1..=33 {
        let leaves = leaves(size);
        let whole = root(&leaves);
        for index in 0..size {
            let proof = inclusion_proof(&leaves, index).unwrap();
            verify_inclusion(index as u64, size as u64, &leaves[index], &proof, &whole).unwrap();
            for other in (0..size).filter(|other| *other != index) {
                let wrong = verify_inclusion(other as u64, size as u64, &leaves[index], &proof, &whole);
                assert!(wrong.is_err(), "{index} as {other} of {size}");
            }
            let forged = Hash::leaf(b"another record");
            assert!(verify_inclusion(index as u64, size as u64, &forged, &proof, &whole).is_err());
            assert!(verify_inclusion(index as u64, size as u64, &leaves[index], &proof, &forged).is_err());
        }
        assert!(inclusion_proof(&leaves, size).is_none());
    }
}
