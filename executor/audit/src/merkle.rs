//! The Merkle tree of RFC 6962 over the leaves of the log: its root after each record, in O(log n) memory,
//! and proofs that a leaf is in it. That the log only grows is shown by verifying it against kept checkpoints.
//!
//! It does not store the tree: it keeps the roots of the perfect subtrees that cover the leaves so far, which
//! is all that appending needs. Proofs are made from a list of leaves.

use crate::hash::Hash;

/// A growing tree: how many leaves it has, and the roots of the perfect subtrees that cover them, the largest
/// first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    size: u64,
    peaks: Vec<Hash>,
}

impl Tree {
    /// A tree from its parts; `None` if a tree of this size has another number of peaks.
    #[must_use]
    pub fn from_parts(size: u64, peaks: Vec<Hash>) -> Option<Self> {
        (peaks.len() == size.count_ones() as usize).then_some(Self { size, peaks })
    }

    /// How many leaves it has.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The roots of the perfect subtrees, the largest first; one for each bit that is set in the size.
    #[must_use]
    pub fn peaks(&self) -> &[Hash] {
        &self.peaks
    }

    /// Adds a leaf.
    pub fn push(&mut self, leaf: Hash) {
        // Each trailing one bit of the old size is a perfect subtree that the new leaf completes to one twice
        // as large.
        let mut node = leaf;
        for _ in 0..self.size.trailing_ones() {
            let Some(left) = self.peaks.pop() else { break };
            node = Hash::node(&left, &node);
        }
        self.peaks.push(node);
        self.size = self.size.saturating_add(1);
    }

    /// The root; of no leaves, SHA-256 of nothing.
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev();
        let Some(last) = peaks.next() else { return Hash::of(&[]) };
        peaks.fold(*last, |right, left| Hash::node(left, &right))
    }
}

/// Why a proof does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// There is no such leaf.
    #[error("no leaf {index} is in a tree of {size}")]
    Range {
        /// Size of the tree.
        size: u64,
        /// Index of the leaf.
        index: u64,
    },
    /// A proof for this leaf has another number of hashes.
    #[error("a proof of {found} hashes where {expected} are needed")]
    Length {
        /// How many there are.
        found: usize,
        /// How many there must be.
        expected: usize,
    },
    /// The hashes lead to another root.
    #[error("the proof leads to another root")]
    Root,
}

/// Levels within the subtree that also holds the last leaf, and perfect subtrees left of it.
fn decompose(index: u64, size: u64) -> (u32, u32) {
    let inner = u64::BITS - (index ^ (size - 1)).leading_zeros();
    let border = index.checked_shr(inner).unwrap_or(0).count_ones();
    (inner, border)
}

/// Climbs the inner part of a proof: at level n the sibling is on the left if bit n of the index is set.
fn climb(seed: Hash, proof: &[Hash], index: u64) -> Hash {
    proof.iter().enumerate().fold(seed, |node, (level, sibling)| {
        if index >> level & 1 == 1 { Hash::node(sibling, &node) } else { Hash::node(&node, sibling) }
    })
}

/// Climbs with siblings that are all on the left.
fn climb_left(seed: Hash, proof: &[Hash]) -> Hash {
    proof.iter().fold(seed, |node, left| Hash::node(left, &node))
}

/// Checks that the leaf is at this index of the tree with this root (RFC 9162, 2.1.3.2).
///
/// # Errors
/// See [`ProofError`].
pub fn verify_inclusion(
    index: u64,
    size: u64,
    leaf: &Hash,
    proof: &[Hash],
    root: &Hash,
) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::Range { size, index });
    }
    let (inner, border) = decompose(index, size);
    let expected = (inner + border) as usize;
    let Some((below, left)) = proof.split_at_checked(inner as usize).filter(|_| proof.len() == expected)
    else {
        return Err(ProofError::Length { found: proof.len(), expected });
    };
    let reached = climb_left(climb(*leaf, below, index), left);
    if reached == *root { Ok(()) } else { Err(ProofError::Root) }
}

/// The root of these leaves, by the recursion of the RFC.
fn root_of(leaves: &[Hash]) -> Hash {
    let mut tree = Tree::default();
    leaves.iter().for_each(|leaf| tree.push(*leaf));
    tree.root()
}

/// The largest power of two smaller than `count`, which is at least 2.
const fn split(count: usize) -> usize {
    1 << (count - 1).ilog2()
}

/// The proof that the leaf at `index` is in the tree of these leaves; `None` if there is no such leaf.
#[must_use]
pub fn inclusion_proof(leaves: &[Hash], index: usize) -> Option<Vec<Hash>> {
    let (mut leaves, mut index) = (leaves, index);
    leaves.get(index)?;
    let mut proof = Vec::new();
    while leaves.len() > 1 {
        let (left, right) = leaves.split_at_checked(split(leaves.len()))?;
        if index < left.len() {
            proof.push(root_of(right));
            leaves = left;
        } else {
            proof.push(root_of(left));
            index -= left.len();
            leaves = right;
        }
    }
    proof.reverse();
    Some(proof)
}
