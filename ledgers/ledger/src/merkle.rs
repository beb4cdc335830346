//! Merkle trees over leaves that are already digests.
//!
//! A node is `keccak(0x01 || left || right)`; an odd node at the end of a level moves up as it
//! is. Leaves are hashed with `0x00` in front where they are made, so no leaf passes for a node.

use crate::{Digest, keccak};
use serde::{Deserialize, Serialize};

/// The root over the leaves in order; 32 zero bytes when there are none.
pub fn root(leaves: &[Digest]) -> Digest {
    let mut level = leaves.to_vec();
    while level.len() > 1 {
        level = above(&level);
    }
    level.first().copied().unwrap_or(Digest::ZERO)
}

fn above(level: &[Digest]) -> Vec<Digest> {
    level.chunks(2).map(parent).collect()
}

fn parent(pair: &[Digest]) -> Digest {
    match pair {
        [left, right] => node(left, right),
        odd => odd[0],
    }
}

/// The parent of two nodes: `keccak(0x01 || left || right)`.
pub fn node(left: &Digest, right: &Digest) -> Digest {
    keccak(&[&[1], &left.0, &right.0])
}

/// That one leaf stands at `index` among `count` under a root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// The leaf's place, from 0.
    pub index: u32,
    /// How many leaves stand under the root.
    pub count: u32,
    /// The sisters from the leaf up, where there is one.
    pub path: Vec<Digest>,
}

/// A tree with all its nodes: for proofs of many of its leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// The leaves, then each level above them up to the root.
    levels: Vec<Vec<Digest>>,
}

impl Tree {
    /// The tree over these leaves in order.
    pub fn over(leaves: Vec<Digest>) -> Tree {
        let mut levels = vec![leaves];
        while let Some(level) = levels.last().filter(|level| level.len() > 1) {
            let next = above(level);
            levels.push(next);
        }
        Tree { levels }
    }

    /// The leaves, in order.
    pub fn leaves(&self) -> &[Digest] {
        self.levels.first().map_or(&[], Vec::as_slice)
    }

    /// The root over them; 32 zero bytes when there are none.
    pub fn root(&self) -> Digest {
        self.levels.last().and_then(|top| top.first()).copied().unwrap_or(Digest::ZERO)
    }

    /// The proof for the leaf at `index`, or `None` when there is no such leaf.
    pub fn prove(&self, index: usize) -> Option<Proof> {
        let leaves = self.levels.first().filter(|leaves| index < leaves.len())?;
        let count = u32::try_from(leaves.len()).ok()?;
        let below_root = self.levels.iter().take(self.levels.len() - 1);
        let sister =
            |(height, level): (usize, &Vec<Digest>)| level.get((index >> height) ^ 1).copied();
        let path = below_root.enumerate().filter_map(sister).collect();
        Some(Proof { index: index as u32, count, path })
    }
}

/// The proof for the leaf at `index`, or `None` when there is no such leaf. For several of the same
/// leaves see [`Tree`].
pub fn prove(leaves: &[Digest], index: usize) -> Option<Proof> {
    Tree::over(leaves.to_vec()).prove(index)
}

impl Proof {
    /// Whether `leaf` stands under `root` where the proof says.
    pub fn verify(&self, leaf: &Digest, root: &Digest) -> bool {
        self.root(leaf) == Some(*root)
    }

    /// The root that `leaf` stands under, or `None` when the path has not the length that its
    /// place asks for.
    pub fn root(&self, leaf: &Digest) -> Option<Digest> {
        if self.index >= self.count {
            return None;
        }
        let (mut node_here, mut place, mut width) = (*leaf, self.index, self.count);
        let mut path = self.path.iter();
        while width > 1 {
            if place ^ 1 < width {
                let sister = path.next()?;
                let left = place % 2 == 0;
                node_here = if left { node(&node_here, sister) } else { node(sister, &node_here) };
            }
            place /= 2;
            width = width.div_ceil(2);
        }
        path.next().is_none().then_some(node_here)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn leaves(count: usize) -> Vec<Digest> {
        (0..count).map(|i| keccak(&[&[0], &(i as u64).to_be_bytes()])).collect()
    }

    #[test]
    fn an_odd_node_moves_up() {
        let l = leaves(3);
        assert_eq!(root(&l), node(&node(&l[0], &l[1]), &l[2]));
        assert_eq!(root(&l[..1]), l[0]);
        assert_eq!(root(&[]), Digest::ZERO);
    }

    proptest! {
        #[test]
        fn each_leaf_and_no_other_is_proved(count in 1usize..40, at in 0usize..40, other in 0usize..40) {
            let (all, at, other) = (leaves(count), at % count, other % count);
            let proof = prove(&all, at).unwrap();
            prop_assert!(proof.verify(&all[at], &root(&all)));
            prop_assert_eq!(proof.verify(&all[other], &root(&all)), other == at);
            let moved = Proof { index: proof.index + 1, ..proof.clone() };
            prop_assert!(!moved.verify(&all[at], &root(&all)));
            let longer = Proof { path: [proof.path, vec![Digest::ZERO]].concat(), ..moved };
            prop_assert!(!longer.verify(&all[at], &root(&all)));
        }
    }
}
