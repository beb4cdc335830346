//! The items of a session so far, cut into windows. Seller and buyer count alike.

use crate::crypto::{running_digest, void_leaf};
use crate::terms::{Agreed, SessionId, Void};
use sdpp_ledger::{Digest, merkle};

/// Items so far: the leaves of the open window, and the digest that runs over all.
#[derive(Debug)]
pub(super) struct Windows {
    /// Items so far.
    items: u64,
    /// Windows closed so far.
    closed: u64,
    /// The running digest.
    digest: Digest,
    /// The same, at the end of the last window that was closed.
    closed_digest: Digest,
    /// Leaves of the open window.
    leaves: Vec<Digest>,
}

/// A window that was just closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Window {
    pub number: u64,
    pub from_seq: u64,
    pub to_seq: u64,
    pub digest: Digest,
    pub root: Digest,
    pub leaves: Vec<Digest>,
}

impl Windows {
    pub(super) fn new(session: SessionId) -> Self {
        let (digest, closed_digest) = (session.0, session.0);
        Windows { items: 0, closed: 0, digest, closed_digest, leaves: Vec::new() }
    }

    /// The last place, be it an item's or void.
    pub(super) fn items(&self) -> u64 {
        self.items
    }

    pub(super) fn closed(&self) -> u64 {
        self.closed
    }

    pub(super) fn digest(&self) -> Digest {
        self.digest
    }

    /// Items in the open window.
    pub(super) fn open_items(&self) -> u64 {
        self.leaves.len() as u64
    }

    /// The leaf of the open window's last item.
    pub(super) fn last_leaf(&self) -> Option<&Digest> {
        self.leaves.last()
    }

    /// The root of the open window, were it closed with this leaf, and the leaf's place under it.
    pub(super) fn proof_with(&self, leaf: Digest) -> (Digest, Option<merkle::Proof>) {
        let tree = merkle::Tree::over([self.leaves.as_slice(), &[leaf]].concat());
        (tree.root(), tree.prove(self.leaves.len()))
    }

    /// Whether a window was closed before it was full: nothing may follow it.
    pub(super) fn ended_short(&self, agreed: &Agreed) -> bool {
        let closed = self.items - self.open_items();
        agreed.next_from(closed) != closed + 1
    }

    /// Adds the next item's leaf.
    pub(super) fn push(&mut self, leaf: Digest) {
        self.items += 1;
        self.digest = running_digest(&self.digest, &leaf);
        self.leaves.push(leaf);
    }

    /// A window that was closed before, as it is known from somewhere else.
    pub(super) fn recall(&mut self, number: u64, to_seq: u64, digest: Digest) {
        (self.items, self.closed) = (to_seq, number);
        (self.digest, self.closed_digest) = (digest, digest);
        self.leaves.clear();
    }

    /// The places behind a digest are void, up to the window of this number.
    pub(super) fn void(
        &mut self,
        session: &SessionId,
        before: &Digest,
        (void, number): (Void, u64),
    ) -> Digest {
        let digest = running_digest(before, &void_leaf(session, void));
        self.recall(number, void.to_seq, digest);
        digest
    }

    /// The digest behind the last window that was closed.
    pub(super) fn closed_digest(&self) -> Digest {
        self.closed_digest
    }

    /// Closes the open window, which must not be empty.
    pub(super) fn close(&mut self) -> Window {
        debug_assert!(!self.leaves.is_empty(), "no window without items");
        (self.closed, self.closed_digest) = (self.closed + 1, self.digest);
        Window {
            number: self.closed,
            from_seq: self.items + 1 - self.open_items(),
            to_seq: self.items,
            digest: self.digest,
            root: merkle::root(&self.leaves),
            leaves: std::mem::take(&mut self.leaves),
        }
    }
}
