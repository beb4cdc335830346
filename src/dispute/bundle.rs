//! An evidence bundle: what one side can show of one session, in one file that it has signed.
//!
//! The file is one line of JSON, and there is one way to write it: whoever reads it writes it again
//! and compares, so no byte of it can differ from what its exporter signed.

use crate::message::{Base64, Moment};
use crate::record::{SignedMessage, Stray};
use crate::terms::{Purpose, Role, SessionId};
use sdpp_ledger::{
    Amount, Change, ChannelId, Digest, Domain, Evidence, Key, LedgerId, PublicKey, Reference,
    Signature, TxId, keccak, merkle,
};
use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// The longest file that is read, in bytes: 10,000 windows, each of whose invoices brings an item
/// as long as any that is kept, fit.
pub const BUNDLE_BYTES_MAX: usize = 256 * 1024 * 1024;

/// The most messages in a bundle, and the most rows of each other kind.
pub const ROWS_MAX: usize = 500_000;

/// The most transactions that are named for one thing owed. A short name takes many times its own
/// bytes in memory, so these are counted as they are read.
const TXS_MAX: usize = 64;

/// What a bundle says that it is.
const VERSION: &str = "SDPP/1 bundle 1";

/// What one side can show of one session, as it signed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    exporter: PublicKey,
    body: Body,
    raw: String,
    signature: Signature,
}

/// What is in a bundle. The field names are the file's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Body {
    /// The session.
    pub session: SessionId,
    /// Which side the exporter was.
    pub role: Role,
    /// When it was exported, by the exporter's clock. Nothing is decided by it.
    pub exported_at: Moment,
    /// The seller's menu.
    pub menu: SignedMessage,
    /// The buyer's order.
    pub order: SignedMessage,
    /// Invoices, acks, payments, exits, amends and what shows misconduct, in the order in which the
    /// exporter wrote them down. Who must have signed each follows from its kind.
    pub messages: Vec<SignedMessage>,
    /// The best voucher that the exporter holds, where it is the seller.
    pub voucher: Option<HeldVoucher>,
    /// The best voucher on each further channel, where the session's legs draw on several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub more_vouchers: Vec<HeldVoucher>,
    /// That items stand under invoiced roots.
    pub proofs: Vec<ItemProof>,
    /// What opens items that a buyer did not take, because they are not of the dataset on the menu.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub strays: Vec<Stray>,
    /// What ledgers said: the exporter's word, and nobody else's.
    pub ledgers: LedgerWords,
}

/// A voucher and what it is signed under.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeldVoucher {
    /// The channel.
    pub channel: ChannelId,
    /// The escrow's domain, by the exporter's word.
    pub domain: Domain,
    /// What the payee may have in all, in the asset's smallest unit.
    pub amount: Amount,
    /// The signer's signature.
    pub signature: Signature,
}

/// That a leaf stands under an invoiced root; and, where the exporter discloses it, the item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ItemProof {
    /// The item's place in the session, from 1.
    pub seq: u64,
    /// The number of the invoice.
    pub invoice: u64,
    /// The item's salted digest.
    pub leaf: Digest,
    /// Its place under the invoice's root.
    pub proof: merkle::Proof,
    /// The item itself.
    pub disclosed: Option<Disclosed>,
}

/// An item, and what its leaf is made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disclosed {
    /// The item's bytes.
    pub item: Base64,
    /// The salt of this item alone.
    pub salt: Digest,
}

/// What the exporter says that ledgers said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerWords {
    /// Whose word all of this is.
    pub word_of: Role,
    /// Anchors, payments and redeemed vouchers.
    pub acts: Vec<LedgerAct>,
    /// What happened to the session's channel.
    pub channel: Vec<ChannelWord>,
}

/// One thing that was owed to a ledger, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerAct {
    /// What it carries.
    pub reference: Reference,
    /// What it is for.
    pub purpose: Purpose,
    /// The ledger.
    pub ledger: LedgerId,
    /// What is paid or redeemed, in the asset's smallest unit; zero for an anchor.
    pub amount: Amount,
    /// The channel that a voucher is redeemed on, where the session's legs draw on several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<ChannelId>,
    /// What is anchored.
    pub digest: Option<Digest>,
    /// The transactions that were named for it, at most [`TXS_MAX`].
    #[serde(deserialize_with = "few")]
    pub txs: Vec<TxId>,
    /// What the ledger said.
    pub said: Said,
}

/// What a ledger said of something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Said {
    /// Nothing that counts yet.
    Nothing,
    /// It is done, for good.
    Final {
        /// The ledger's evidence.
        evidence: Box<Evidence>,
        /// Its place under the anchored root, where many shared one anchor.
        proof: Option<merkle::Proof>,
    },
    /// It will never be done.
    Refused {
        /// The ledger's reason.
        why: String,
    },
}

/// Something that happened to the channel, for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelWord {
    /// The ledger.
    pub ledger: LedgerId,
    /// What happened.
    pub change: Change,
}

/// Why a file is no bundle. It is always the fault of whoever made or changed it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// Longer than [`BUNDLE_BYTES_MAX`].
    #[error("it has {0} bytes, {BUNDLE_BYTES_MAX} are allowed")]
    TooLong(usize),
    /// Not of the shape of a bundle.
    #[error("it is no evidence bundle: {0}")]
    Malformed(String),
    /// A bundle of another version.
    #[error("it says that it is {0:?}, this program reads {VERSION:?}")]
    Version(String),
    /// It says the same as a bundle would, in other bytes than a bundle has.
    #[error("its bytes are not as a bundle is written: it was changed after it was exported")]
    Changed,
    /// The signature is not the exporter's over what the bundle says.
    #[error("the exporter's signature is false: the bundle was changed, or another signed it")]
    Signature,
    /// More rows than [`ROWS_MAX`].
    #[error("it has more than {ROWS_MAX} {0}")]
    TooMany(&'static str),
}

impl Body {
    /// The vouchers that the exporter holds.
    pub fn held(&self) -> impl Iterator<Item = &HeldVoucher> {
        self.voucher.iter().chain(&self.more_vouchers)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Frame<'a> {
    #[serde(borrow)]
    bundle: Cow<'a, str>,
    exporter: PublicKey,
    #[serde(borrow)]
    body: &'a RawValue,
    signature: Signature,
}

impl Bundle {
    /// A bundle of this, signed by who exports it.
    pub fn sign(body: Body, key: &Key) -> Bundle {
        let raw = written(&body);
        let signature = key.sign(&digest(&raw));
        Bundle { exporter: key.public(), body, raw, signature }
    }

    /// Reads a file, and refuses all that is not, byte for byte, what its exporter wrote.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn parse(bytes: &[u8]) -> Result<Bundle, BundleError> {
        if bytes.len() > BUNDLE_BYTES_MAX {
            return Err(BundleError::TooLong(bytes.len()));
        }
        let malformed = |why: String| BundleError::Malformed(crate::message::legible(&why));
        let text = std::str::from_utf8(bytes).map_err(|error| malformed(error.to_string()))?;
        let frame: Frame<'_> =
            serde_json::from_str(text).map_err(|error| malformed(error.to_string()))?;
        if frame.bundle != VERSION {
            return Err(BundleError::Version(crate::message::legible(&frame.bundle)));
        }
        if written(&frame) != text.strip_suffix('\n').unwrap_or_default() {
            return Err(BundleError::Changed);
        }
        let (exporter, raw, signature) = (frame.exporter, frame.body.get(), frame.signature);
        // Recovered, not only verified: the last byte of the signature counts too.
        if signature.recover(&digest(raw)) != Some(exporter.account()) {
            return Err(BundleError::Signature);
        }
        let body: Body = serde_json::from_str(raw).map_err(|error| malformed(error.to_string()))?;
        if written(&body) != raw {
            return Err(BundleError::Changed);
        }
        within_limits(&body)?;
        Ok(Bundle { exporter, body, raw: raw.to_owned(), signature })
    }

    /// The file's bytes.
    pub fn write(&self) -> Vec<u8> {
        // The raw body was written by `written`, or read from a frame: it is JSON.
        #[allow(clippy::expect_used)]
        let body: &RawValue = serde_json::from_str(&self.raw).expect("the body is JSON");
        let (exporter, signature) = (self.exporter, self.signature);
        let mut text = written(&Frame { bundle: VERSION.into(), exporter, body, signature });
        text.push('\n');
        text.into_bytes()
    }

    /// Who exported it.
    pub fn exporter(&self) -> &PublicKey {
        &self.exporter
    }

    /// What is in it.
    pub fn body(&self) -> &Body {
        &self.body
    }

    /// What its exporter signed: `keccak("\x19SDPP/1 bundle\n" || keccak(raw bytes of body))`. It
    /// names the bundle, on a ledger too.
    pub fn digest(&self) -> Digest {
        digest(&self.raw)
    }
}

fn digest(raw: &str) -> Digest {
    keccak(&[b"\x19SDPP/1 bundle\n", &keccak(&[raw.as_bytes()]).0])
}

fn written(value: &impl Serialize) -> String {
    // Plain structs, lists and texts, which serde_json always writes.
    #[allow(clippy::expect_used)]
    serde_json::to_string(value).expect("a bundle has text keys only")
}

fn few<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<TxId>, D::Error> {
    struct Few;

    impl<'de> Visitor<'de> for Few {
        type Value = Vec<TxId>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "at most {TXS_MAX} transactions")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<Self::Value, A::Error> {
            let mut txs = Vec::new();
            while let Some(tx) = all.next_element()? {
                if txs.len() == TXS_MAX {
                    return Err(de::Error::invalid_length(TXS_MAX + 1, &self));
                }
                txs.push(tx);
            }
            Ok(txs)
        }
    }

    deserializer.deserialize_seq(Few)
}

fn within_limits(body: &Body) -> Result<(), BundleError> {
    let counts = [
        ("messages", body.messages.len()),
        ("proofs", body.proofs.len()),
        ("stray items", body.strays.len()),
        ("vouchers", body.more_vouchers.len()),
        ("words of ledgers", body.ledgers.acts.len() + body.ledgers.channel.len()),
    ];
    match counts.into_iter().find(|(_, count)| *count > ROWS_MAX) {
        Some((what, _)) => Err(BundleError::TooMany(what)),
        None => Ok(()),
    }
}
