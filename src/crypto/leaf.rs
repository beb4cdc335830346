//! An item's salted digest, and the digest that runs over them.

use crate::terms::{SessionId, Void};
use sdpp_ledger::{Digest, keccak};
use serde::{Deserialize, Serialize};
use std::fmt;
use zeroize::Zeroize;

/// A secret that has to be kept: what a session's salts are made from. Never printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SaltSecret(pub Digest);

impl fmt::Debug for SaltSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SaltSecret(kept secret)")
    }
}

impl Drop for SaltSecret {
    fn drop(&mut self) {
        self.0.0.zeroize();
    }
}

/// The salt of one item: `keccak("SDPP/1 salt" || secret || seq)`. With it a reading like
/// "21.3" cannot be guessed from its leaf, and one item can be disclosed without the others.
pub fn salt(secret: &SaltSecret, seq: u64) -> Digest {
    keccak(&[b"SDPP/1 salt", &secret.0.0, &seq.to_be_bytes()])
}

/// `keccak(0x00 || session || seq || salt || keccak(item))`.
pub fn leaf(session: &SessionId, seq: u64, salt: &Digest, item: &[u8]) -> Digest {
    leaf_of(session, seq, salt, &keccak(&[item]))
}

/// The same of an item that is known by its digest alone.
pub fn leaf_of(session: &SessionId, seq: u64, salt: &Digest, content: &Digest) -> Digest {
    keccak(&[&[0], &session.0.0, &seq.to_be_bytes(), &salt.0, &content.0])
}

/// The leaf of an item in its dataset, by the item's digest: `keccak(0x00 || keccak(item))`. Without a
/// salt, as whoever sells it has told the root before.
pub fn dataset_leaf(content: &Digest) -> Digest {
    keccak(&[&[0], &content.0])
}

/// The sisters on an item's way up to its dataset's root as they travel, or as they are again: each is xored
/// with `keccak("SDPP/1 path" || salt || level)`, level 0 first. The first of them is a neighbour's leaf, which
/// has no salt: whoever saw it could guess that item before it is sold. The item's own salt shows what its
/// seller signed.
pub fn masked(salt: &Digest, path: &[Digest]) -> Vec<Digest> {
    let pad = |level: u32| keccak(&[b"SDPP/1 path", &salt.0, &level.to_be_bytes()]);
    let join = |(level, sister): (u32, &Digest)| {
        let pad = pad(level);
        Digest(std::array::from_fn(|at| sister.0[at] ^ pad.0[at]))
    };
    (0..).zip(path).map(join).collect()
}

/// What stands in the running digest for all the places of a void: `keccak(0x02 || session || from_seq ||
/// to_seq)`.
pub fn void_leaf(session: &SessionId, void: Void) -> Digest {
    let Void { from_seq, to_seq } = void;
    keccak(&[&[2], &session.0.0, &from_seq.to_be_bytes(), &to_seq.to_be_bytes()])
}

/// `keccak(digest before || leaf)`; the digest before the first leaf is the session's id.
pub fn running_digest(before: &Digest, leaf: &Digest) -> Digest {
    keccak(&[&before.0, &leaf.0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leaf_depends_on_session_seq_salt_and_item() {
        let (session, secret) = (SessionId(Digest([1; 32])), SaltSecret(Digest([2; 32])));
        let one = leaf(&session, 1, &salt(&secret, 1), b"21.3");
        assert_ne!(one, leaf(&SessionId::NONE, 1, &salt(&secret, 1), b"21.3"));
        assert_ne!(one, leaf(&session, 2, &salt(&secret, 1), b"21.3"));
        assert_ne!(one, leaf(&session, 1, &salt(&secret, 2), b"21.3"));
        assert_ne!(one, leaf(&session, 1, &salt(&secret, 1), b"21.4"));
    }

    #[test]
    fn a_path_is_known_to_who_has_the_salt_and_no_two_sisters_have_one_pad() {
        let (one, other) = (Digest([1; 32]), Digest([2; 32]));
        let path = [Digest::ZERO, Digest::ZERO, Digest([9; 32])];
        let on_the_way = masked(&one, &path);
        assert_eq!(masked(&one, &on_the_way), path);
        let mut seen = [on_the_way, masked(&other, &path)].concat();
        seen.extend(path);
        let all: std::collections::BTreeSet<Digest> = seen.iter().copied().collect();
        assert_eq!(all.len(), seen.len() - 1, "what is twice there is twice in the path");
        assert!(masked(&one, &[]).is_empty());
    }
}
