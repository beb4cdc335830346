//! A dataset whose root stood in the menu: all items that are ordered of its topic are its own, in its order.

use sdpp_ledger::{Digest, merkle};

/// The most sisters on the way up to a dataset's root.
pub const PATH_MAX: usize = 32;

/// The longest raw `data` of the one message that a session ends for, in bytes: as long as any that is
/// customary, and no item of a dataset comes in a longer one, so that nobody makes its own words too long
/// to be held against it.
pub const SHOWN_BYTES_MAX: usize = 1024 * 1024;

/// How many places are tried in all to find where ways up lead: those of a dataset with a million items.
pub const PLACES_MAX: u64 = 1 << 20;

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

    /// Whether the sisters lead from a leaf to the root, whatever place it has; `None` where that takes more
    /// than `places` to be tried, from which those are taken that are.
    pub fn has_anywhere(&self, leaf: &Digest, path: &[Digest], places: &mut u64) -> Option<bool> {
        // More than any way up has, whoever chose so many.
        if path.len() > self.depth() {
            return Some(false);
        }
        *places = places.checked_sub(1 << path.len())?;
        Some(leads(leaf, path, &self.root))
    }

    /// How many sisters the longest way up has.
    pub fn depth(&self) -> usize {
        (u32::BITS - self.count.saturating_sub(1).leading_zeros()) as usize
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
            let anywhere =
                |path: &[Digest]| dataset.has_anywhere(leaf, path, &mut PLACES_MAX.clone());
            assert_eq!(anywhere(&path(at)), Some(true), "{at}");
            assert_eq!(anywhere(&path((at + 1) % 5)), Some(false), "{at}");
            assert_eq!(anywhere(&[]), Some(false));
        }
    }

    /// How many sisters a path has its seller chooses: with some more nobody is to be left in doubt.
    #[test]
    fn a_path_longer_than_any_of_its_dataset_leads_nowhere() {
        for (count, depth) in
            [(1, 0), (2, 1), (5, 3), (8, 3), (9, 4), (1 << 20, 20), (u32::MAX, 32)]
        {
            let dataset = Dataset { root: Digest([7; 32]), count };
            let anywhere = |sisters: usize, mut places: u64| {
                let path = vec![Digest::ZERO; sisters];
                dataset.has_anywhere(&Digest::ZERO, &path, &mut places).map(|has| (has, places))
            };
            assert_eq!(anywhere(depth + 1, 0), Some((false, 0)), "{count}");
            assert_eq!(anywhere(depth, (1 << depth) - 1), None, "{count}: so many are not tried");
            let few = depth.min(4);
            assert_eq!(anywhere(few, 100), Some((false, 100 - (1 << few))), "{count}");
        }
    }
}
