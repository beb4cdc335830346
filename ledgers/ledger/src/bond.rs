//! Bonds: what both sides of a channel pledge, what is signed that one can be lost by, and how it
//! stands. The words are those of the contract (`contracts/ethereum/BONDS.md`); who knows what a session
//! is fills them in.

use crate::voucher::{word_account, word_text, word_u128};
use crate::{
    Account, Amount, Asset, BondId, ChannelId, Digest, Domain, Signature, TxId, keccak, merkle,
};
use serde::{Deserialize, Serialize};

mod evidence;

pub use evidence::{
    Challenge, Demand, Opened, Receipt, SignedAck, SignedInvoice, SignedItem, SignedTerms, Word,
};

/// A bond as both pledge it. Its id is its hash, so it is told whole with each call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bond {
    /// Who pledges for the buyer: the channel's payer.
    pub buyer: Account,
    /// Who pledges for the seller: the channel's payee.
    pub seller: Account,
    /// The account of the key that signs for the buyer, vouchers too.
    pub buyer_key: Account,
    /// The account of the key that signs for the seller.
    pub seller_key: Account,
    /// What both pledge in, and the channel pays in.
    pub asset: Asset,
    /// The channel.
    pub channel: ChannelId,
    /// What the buyer pledges, in the asset's smallest unit.
    pub buyer_amount: Amount,
    /// What the seller pledges.
    pub seller_amount: Amount,
    /// What a complaint is made with.
    pub stake: Amount,
    /// What paying only when asked in public costs the buyer.
    pub fee: Amount,
    /// Anything that makes the id new.
    pub salt: Digest,
}

impl Bond {
    /// The bond as words of 32 bytes, in which accounts are 20 bytes at the right.
    pub fn words(&self) -> [[u8; 32]; 11] {
        let amount = |amount: Amount| word_u128(amount.units());
        let coin = self.asset == Asset::coin();
        [
            word_account(&self.buyer),
            word_account(&self.seller),
            word_account(&self.buyer_key),
            word_account(&self.seller_key),
            if coin { [0; 32] } else { word_text(self.asset.as_str()) },
            self.channel.0,
            amount(self.buyer_amount),
            amount(self.seller_amount),
            amount(self.stake),
            amount(self.fee),
            self.salt.0,
        ]
    }

    /// Its id in one contract of one chain.
    pub fn id(&self, domain: &Domain) -> BondId {
        let words = self.words();
        let (contract, chain) = (word_account(&domain.contract), word_u128(domain.chain_id.into()));
        let mut parts: Vec<&[u8]> = words.iter().map(<[u8; 32]>::as_slice).collect();
        parts.extend([contract.as_slice(), chain.as_slice()]);
        BondId(keccak(&parts).0)
    }
}

/// Something to be done about a bond.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bonding {
    /// The bond.
    pub bond: Bond,
    /// What.
    pub act: BondAct,
}

/// What can be done about a bond.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "snake_case")]
pub enum BondAct {
    /// Let the bonds take an asset that asks for leave first.
    Allow,
    /// Pledge our part.
    Pledge,
    /// Take back what the other side has not answered with its own.
    Revoke,
    /// Add to our part.
    Add {
        /// How much.
        amount: Amount,
    },
    /// Start the time after which both parts go back.
    RequestEnd,
    /// Have back what is left, once that time is over.
    End,
    /// Let the other side's part go at once.
    Release,
    /// Take out what is credited to us in the bond's asset, of whichever bond.
    Withdraw,
    /// Buyer: the seller signed two leaves for one item.
    ConvictOfItems {
        /// The session that it was in, as the seller signed it.
        session: Box<SignedTerms>,
        /// The item.
        one: SignedItem,
        /// The same, with another leaf.
        other: SignedItem,
    },
    /// Buyer: the seller signed two invoices with one number.
    ConvictOfInvoices {
        /// The session, as the seller signed it.
        session: Box<SignedTerms>,
        /// The invoice.
        one: SignedInvoice,
        /// Another with its number.
        other: SignedInvoice,
    },
    /// Buyer: the seller must show that an item that it signed is under its invoice's root.
    ChallengeRoot {
        /// The session, as the seller signed it.
        session: Box<SignedTerms>,
        /// The item.
        item: SignedItem,
        /// The invoice of its window.
        invoice: SignedInvoice,
    },
    /// Buyer: the seller must show that an item that it signed is in the dataset.
    ChallengeItem {
        /// The session, as the seller signed it.
        session: Box<SignedTerms>,
        /// The item.
        item: SignedItem,
        /// The salt of its leaf.
        salt: Digest,
        /// Keccak-256 of the item itself.
        content: Digest,
    },
    /// Buyer: the same of any item of a window whose invoice the seller signed.
    ChallengeInvoiced {
        /// The session, as the seller signed it.
        session: Box<SignedTerms>,
        /// The invoice of the item's window.
        invoice: SignedInvoice,
        /// The item.
        opened: Opened,
    },
    /// Seller: what it was asked to show.
    Show {
        /// What was asked.
        challenge: Challenge,
        /// The leaf's place, and its sisters up to the root.
        proof: merkle::Proof,
    },
    /// Either side, once the seller has not answered in time.
    ConcludeChallenge,
    /// Seller: the buyer must pay an invoice for items that it acknowledged.
    Demand {
        /// The session, as the buyer signed it.
        session: Box<SignedTerms>,
        /// The buyer's word for what it has.
        ack: SignedAck,
        /// The invoice.
        invoice: SignedInvoice,
    },
    /// Seller: takes a demand back.
    Retract,
    /// Buyer: pays what was demanded, with a voucher.
    Pay {
        /// What was demanded.
        asked: Demand,
        /// The voucher's amount.
        amount: Amount,
        /// The voucher's signature.
        signature: Signature,
        /// The money that goes along, so that it pays where the channel is over by then. What is not
        /// due of it is credited to us.
        most: Amount,
    },
    /// Buyer: the seller demands what it has receipted, by an item that it signed.
    RefuteByItem {
        /// What was demanded.
        asked: Demand,
        /// The item.
        item: SignedItem,
    },
    /// Buyer: the same by an invoice.
    RefuteByInvoice {
        /// What was demanded.
        asked: Demand,
        /// The invoice.
        invoice: SignedInvoice,
    },
    /// Buyer: the same by the seller's exit.
    RefuteByExit {
        /// What was demanded.
        asked: Demand,
        /// The exit.
        receipt: Receipt,
    },
    /// Either side, once the buyer has not answered in time, or has paid.
    ConcludeDemand {
        /// What was demanded.
        asked: Demand,
    },
}

impl BondAct {
    /// What it takes from who does it, in the bond's asset.
    pub fn takes(&self, bond: &Bond, by: &Account) -> Amount {
        match self {
            BondAct::Pledge if *by == bond.seller => bond.seller_amount,
            BondAct::Pledge => bond.buyer_amount,
            BondAct::Add { amount } => *amount,
            BondAct::Pay { most, .. } => *most,
            BondAct::Demand { .. } => bond.stake,
            act if act.is_challenge() => bond.stake,
            _ => Amount::ZERO,
        }
    }

    /// The root of a dataset and the digest of an item, where the seller is asked to show that it is in that:
    /// the same question by whatever message of whatever session it is put.
    pub fn sought(&self) -> Option<(Digest, Digest)> {
        match self {
            BondAct::ChallengeItem { session, content, .. } => Some((session.dataset, *content)),
            BondAct::ChallengeInvoiced { session, opened, .. } => {
                Some((session.dataset, opened.content))
            }
            _ => None,
        }
    }

    /// Whether the seller is asked to show something: it costs the stake where it can.
    pub fn is_challenge(&self) -> bool {
        matches!(
            self,
            BondAct::ChallengeRoot { .. }
                | BondAct::ChallengeItem { .. }
                | BondAct::ChallengeInvoiced { .. }
        )
    }
}

/// How a bond stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// What is left of the buyer's part.
    pub of_buyer: Amount,
    /// What is left of the seller's part.
    pub of_seller: Amount,
    /// The buyer has pledged.
    pub buyer_in: bool,
    /// The seller has pledged.
    pub seller_in: bool,
    /// Who had pledged alone took it back.
    pub revoked: bool,
    /// When complaints are over because somebody wants out, in milliseconds since 1970 UTC.
    pub ends_ms: Option<u64>,
    /// The largest voucher that was asked for in public and given.
    pub answered: Amount,
    /// Until when the seller must show what it was asked for.
    pub challenged_until_ms: Option<u64>,
    /// Until when the buyer must pay what was demanded.
    pub demanded_until_ms: Option<u64>,
    /// A session may begin under it: all is there, and nobody wants out.
    pub is_good: bool,
}

impl Held {
    /// The seller's part is all that is lacking for it to be in force.
    pub fn waits_for_seller(&self) -> bool {
        let is_leaving = self.revoked || self.ends_ms.is_some() || self.is_complained_of();
        self.buyer_in && !self.seller_in && !is_leaving
    }

    /// A complaint waits for its answer.
    pub fn is_complained_of(&self) -> bool {
        self.challenged_until_ms.is_some() || self.demanded_until_ms.is_some()
    }
}

/// What happened to bonds in a range of final blocks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BondChanges {
    /// What happened, in the order of the ledger.
    pub list: Vec<BondChange>,
    /// The height to ask from the next time: one above the last block that was read.
    pub next: u64,
}

/// One thing that happened to a bond, for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BondChange {
    /// The bond.
    pub bond: BondId,
    /// What happened.
    pub kind: BondChangeKind,
    /// The transaction that did it.
    pub tx: TxId,
    /// Height of its block.
    pub height: u64,
    /// Time of its block, in milliseconds since 1970 UTC.
    pub at_ms: u64,
}

/// What can happen to a bond.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum BondChangeKind {
    /// A side pledged.
    Pledged {
        /// Which account.
        by: Account,
    },
    /// Who had pledged alone took it back.
    Revoked,
    /// A side added to its part.
    Added {
        /// How much.
        amount: Amount,
    },
    /// A side wants out.
    EndRequested {
        /// When complaints are over, in milliseconds since 1970 UTC.
        ends_ms: u64,
    },
    /// What was left went back to both.
    Ended,
    /// One side let the other's part go.
    Released {
        /// The seller's part.
        of_seller: bool,
    },
    /// The seller must show a leaf.
    Challenged {
        /// Which.
        challenge: Challenge,
        /// Until when, in milliseconds since 1970 UTC.
        until_ms: u64,
    },
    /// The seller showed it.
    Shown,
    /// The buyer must pay.
    Demanded {
        /// What.
        demand: Demand,
        /// Until when, in milliseconds since 1970 UTC.
        until_ms: u64,
    },
    /// The seller took its demand back.
    Retracted,
    /// The buyer paid.
    Paid {
        /// All that the channel then pays.
        amount: Amount,
        /// The voucher's signature; `None` where it was paid otherwise.
        signature: Option<Signature>,
    },
    /// A side lost its part.
    Lost {
        /// The seller did.
        by_seller: bool,
        /// All of it.
        amount: Amount,
        /// What of it is nobody's.
        burned: Amount,
    },
}

#[cfg(test)]
mod tests;
