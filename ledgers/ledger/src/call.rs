//! What can be asked of a ledger.

use crate::bond::Bonding;
use crate::{Account, Amount, Asset, ChannelId, Digest, Reference, Signature, TxId};
use serde::{Deserialize, Serialize};

/// One thing to be done on a ledger by our own account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "call", rename_all = "snake_case")]
pub enum Call {
    /// Put digests where nobody can rewrite them.
    Anchor(Anchor),
    /// Pay somebody.
    Transfer(Transfer),
    /// Open a payment channel. Its id is computed beforehand; see [`crate::channel_id`].
    Open(Open),
    /// Add to a channel's deposit; cancels a pending close.
    TopUp(TopUp),
    /// Payee: take what a voucher allows and keep the channel open.
    Settle(Redeem),
    /// Payee: take what a voucher allows, give the rest back to the payer, finalize.
    Close(Redeem),
    /// Payer: start the grace period, after which it may withdraw.
    RequestClose(InChannel),
    /// Payer: take the rest after the grace period, finalize.
    Withdraw(InChannel),
    /// Payee: settle many channels at once.
    SettleMany(Batch),
    /// Payee: close many channels at once.
    CloseMany(Batch),
    /// Payer: let the escrow take deposits of an asset that asks for leave first.
    Approve(Approve),
    /// Either side of a bond: whatever is to be done about it.
    Bond(Box<Bonding>),
}

/// A digest under a reference, or the Merkle root of many of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "of", rename_all = "snake_case")]
pub enum Anchor {
    /// One record.
    One {
        /// The record's reference.
        reference: Reference,
        /// The record's digest.
        digest: Digest,
    },
    /// Many records: [`crate::merkle::root`] over [`Anchor::leaf`] of each, in order.
    Root {
        /// The Merkle root.
        root: Digest,
        /// How many records stand under it.
        count: u32,
    },
}

impl Anchor {
    /// The leaf that stands for one record under an [`Anchor::Root`].
    pub fn leaf(reference: &Reference, digest: &Digest) -> Digest {
        crate::keccak(&[&[0], &reference.0, &digest.0])
    }
}

/// A payment bound to what it pays for by the reference that it carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    /// Who is paid.
    pub to: Account,
    /// What is paid.
    pub asset: Asset,
    /// How much, in the asset's smallest unit.
    pub amount: Amount,
    /// What it pays for.
    pub reference: Reference,
}

/// A counterparty's word that a transaction makes a transfer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The transaction that is said to pay.
    pub tx: TxId,
    /// What it must pay: `amount` is the least that counts.
    pub transfer: Transfer,
}

/// Opens a channel with a deposit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    /// Who may claim from it.
    pub payee: Account,
    /// What is deposited.
    pub asset: Asset,
    /// How much, in the asset's smallest unit; never zero.
    pub deposit: Amount,
    /// Tells two channels of the same parties apart.
    pub salt: Digest,
    /// Whose vouchers count; `None` for the payer's own.
    pub signer: Option<Account>,
}

/// Adds to a channel's deposit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopUp {
    /// The channel.
    pub channel: ChannelId,
    /// How much is added, in the asset's smallest unit; never zero.
    pub amount: Amount,
}

/// Redeems a voucher.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redeem {
    /// The channel.
    pub channel: ChannelId,
    /// The voucher's cumulative amount, in the asset's smallest unit.
    pub amount: Amount,
    /// The signer's signature over [`crate::Voucher::digest`].
    pub signature: Signature,
}

/// Redeems vouchers of many channels, up to [`crate::Escrow::rows_at_most`]. A row that would be refused alone
/// is passed over and told in [`crate::Evidence::rows`]; it is never the batch's end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// One for each channel.
    pub rows: Vec<Redeem>,
}

/// Lets the escrow take deposits of an asset, without limit: it takes only what its caller
/// deposits itself, and a leave for each deposit would be spent by another that overtakes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approve {
    /// The asset.
    pub asset: Asset,
}

/// Names the channel that a call is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InChannel {
    /// The channel.
    pub channel: ChannelId,
}
