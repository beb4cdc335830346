//! What an item's arithmetic takes by itself, on all cores at once as in a session: no program that
//! does it can take less.

use super::clock::thread_cpu;
use crate::cli::audit::pool::{cores, on_all_cores};
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::crypto::layout::{Layout, MessageKind};
use crate::crypto::{Keys, leaf, running_digest, salt};
use crate::message::{Base64, Data};
use crate::terms::{Role, SessionId};
use sdpp_ledger::{Amount, Digest, Key, keccak, merkle};
use serde::Serialize;
use std::hint::black_box;
use std::time::Duration;
use zeroize::Zeroizing;

/// How long each is done over and over, more or less.
const EACH: Duration = Duration::from_millis(30);

/// Microseconds of a core for each.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Bare {
    sign: f64,
    verify: f64,
    /// Sealing an item, and opening it.
    seal_and_open: f64,
    /// A message's tag, made and checked.
    tag_and_check: f64,
    /// All that one side hashes for an item: salt, leaf, running digest, the message's data and
    /// layout, and its part of the window's root.
    hashes: f64,
    /// The same without what is under the signature alone.
    hashes_under_mac: f64,
}

/// What happens for each item in a session, beside sealing and hashing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Share {
    /// Signatures made, and verified.
    pub(super) signatures: f64,
    /// Tags made, and checked.
    pub(super) tags: f64,
}

impl std::fmt::Display for Bare {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Bare { sign, verify, seal_and_open, tag_and_check, hashes, .. } = self;
        write!(
            f,
            "a signature {sign:.1} us, its verification {verify:.1} us, an item sealed and opened \
             {seal_and_open:.2} us, a tag made and checked {tag_and_check:.2} us, one side's hashes of an \
             item {hashes:.2} us"
        )
    }
}

impl Bare {
    /// Measures it, for items and windows so long.
    pub(super) fn measure(item_bytes: usize, granularity: usize) -> Outcome<Bare> {
        let failed = |error: &dyn std::fmt::Display| Failure::new(Exit::Failed, error);
        let key = Key::from_bytes(&keccak(&[b"sdpp bench items"]).0).map_err(|e| failed(&e))?;
        let (public, digest, item) = (key.public(), keccak(&[b"digest"]), vec![b'7'; item_bytes]);
        let signature = key.sign(&digest);
        let session = SessionId(digest);
        let keys = Keys::first(&Zeroizing::new([9; 32]), session);
        let lane = keys.from(Role::Seller);
        let sealed = lane.seal(MessageKind::Data, 7, &item).map_err(|e| failed(&e))?;
        let data = Data { seq: 1_234_567, body: Base64(sealed), leaf: digest, path: None };
        let data = serde_json::to_vec(&data).map_err(|e| failed(&e))?;
        let layout = |data: Digest, verification: Digest| Layout {
            session,
            kind: MessageKind::Data,
            number: 1_234_567,
            commitment: digest,
            amount_total: Amount::ZERO,
            data,
            verification,
        };
        let hash = |signs: bool| {
            let salt = salt(keys.salt_secret(), 7);
            let leaf = leaf(&session, 7, &salt, black_box(&item));
            black_box(running_digest(&digest, &leaf));
            let layout = layout(keccak(&[black_box(&data)]), keccak(&[black_box(b"")]));
            if signs { layout.digest() } else { layout.data }
        };
        let leaves = vec![digest; granularity];
        let root = each(|| merkle::root(black_box(&leaves))) / granularity as f64;
        let tagged = layout(digest, digest);
        let tag = lane.mac().tag(&tagged);
        Ok(Bare {
            sign: each(|| key.sign(black_box(&digest))),
            verify: each(|| public.verify(black_box(&digest), &signature)),
            seal_and_open: each(|| {
                let sealed = lane.seal(MessageKind::Data, 7, black_box(&item));
                sealed.map(|body| lane.open(MessageKind::Data, 7, &body))
            }),
            tag_and_check: each(|| {
                let made = lane.mac().tag(black_box(&tagged));
                (made, lane.mac().verify(black_box(&tagged), &tag))
            }),
            hashes: each(|| hash(true)) + root,
            hashes_under_mac: each(|| hash(false)) + root,
        })
    }

    /// The middle of this one and another.
    pub(super) fn and(&self, other: &Bare) -> Bare {
        Bare {
            sign: f64::midpoint(self.sign, other.sign),
            verify: f64::midpoint(self.verify, other.verify),
            seal_and_open: f64::midpoint(self.seal_and_open, other.seal_and_open),
            tag_and_check: f64::midpoint(self.tag_and_check, other.tag_and_check),
            hashes: f64::midpoint(self.hashes, other.hashes),
            hashes_under_mac: f64::midpoint(self.hashes_under_mac, other.hashes_under_mac),
        }
    }

    /// What an item takes with this.
    pub(super) fn item(&self, share: Share) -> f64 {
        let hashes = if share.tags > 0.0 { self.hashes_under_mac } else { self.hashes };
        (self.sign + self.verify) * share.signatures
            + self.tag_and_check * share.tags
            + self.seal_and_open
            + 2.0 * hashes
    }
}

/// The microseconds of a core that something takes while all cores do it.
fn each<T>(what: impl Fn() -> T + Sync) -> f64 {
    let measure = |_| {
        let (began, mut times) = (thread_cpu(), 0_u32);
        loop {
            (0..16).for_each(|_| drop(black_box(what())));
            times += 16;
            let took = thread_cpu().saturating_sub(began);
            if took >= EACH {
                return took.as_secs_f64() * 1e6 / f64::from(times);
            }
        }
    };
    let all = on_all_cores(measure, |pool| {
        (0..cores()).for_each(|core| pool.give(core));
        std::iter::from_fn(|| pool.take()).collect::<Vec<_>>()
    });
    all.iter().sum::<f64>() / all.len() as f64
}
