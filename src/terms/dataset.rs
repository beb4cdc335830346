//! A dataset whose root stood in the menu: all items that are ordered of its topic are its own, in its order.

use sdpp_ledger::{Digest, merkle};

/// The most sisters on the way up to a dataset's root.
pub const PATH_MAX: usize = 32;

/// The longest way up of which all places are tried: that of a dataset with a million items.
const TRIED_MAX: usize = 20;

/// What the menu named: item n of each session is the n-th of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dataset {
    /// The Merkle root over its leaves.
    pub root: Digest,
    /// How many items it has.
    pub count: u32,
}

impl Dataset {
    /// Whether the item of this seq is the one in its place, by the item's leaf in the dataset and the
    /// sisters from there up.
    pub fn has(&self, seq: u64, leaf: &Digest, path: &[Digest]) -> bool {
        let index = seq.checked_sub(1).and_then(|index| u32::try_from(index).ok());
        // Counted first: a path of a stranger's is not copied where it is longer than any is.
        index.filter(|_| path.len() <= PATH_MAX).is_some_and(|index| {
            let proof = merkle::Proof { index, count: self.count, path: path.to_vec() };
            proof.verify(leaf, &self.root)
        })
    }

    /// Whether the sisters lead from a leaf to the root, whatever place it has; `None` where there are too
    /// many for all places to be tried.
    pub fn has_anywhere(&self, leaf: &Digest, path: &[Digest]) -> Option<bool> {
        (path.len() <= TRIED_MAX).then(|| leads(leaf, path, &self.root))
    }
}

/// Whether sisters lead from a node to the root, each on whichever side.
fn leads(node: &Digest, sisters: &[Digest], root: &Digest) -> bool {
    let Some((sister, rest)) = sisters.split_first() else { return node == root };
    let parents = [merkle::node(node, sister), merkle::node(sister, node)];
    parents.iter().any(|parent| leads(parent, rest, root))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sdpp_ledger::keccak;

    #[test]
    fn an_item_is_in_its_own_place_and_in_no_other() {
        let leaves: Vec<Digest> = (0_u8..5).map(|n| keccak(&[&[0, n]])).collect();
        let dataset = Dataset { root: merkle::root(&leaves), count: 5 };
        let path = |at: usize| merkle::prove(&leaves, at).unwrap().path;
        for seq in 1..=5_u64 {
            for (at, leaf) in leaves.iter().enumerate() {
                let is_its = at as u64 + 1 == seq;
                assert_eq!(dataset.has(seq, leaf, &path(at)), is_its, "{seq}: {at}");
            }
        }
        assert!(!dataset.has(0, &leaves[0], &path(0)) && !dataset.has(6, &leaves[4], &path(4)));
        assert!(!dataset.has(1, &leaves[0], &[path(0), path(0)].concat()));
        assert!(!dataset.has(1, &leaves[0], &vec![Digest::ZERO; 1_000]));
        assert!(!dataset.has(u64::MAX, &leaves[0], &path(0)));
        for (at, leaf) in leaves.iter().enumerate() {
            assert_eq!(dataset.has_anywhere(leaf, &path(at)), Some(true), "{at}");
            assert_eq!(dataset.has_anywhere(leaf, &path((at + 1) % 5)), Some(false), "{at}");
            assert_eq!(dataset.has_anywhere(leaf, &[]), Some(false));
        }
        assert_eq!(dataset.has_anywhere(&leaves[0], &[Digest::ZERO; TRIED_MAX + 1]), None);
    }
}
