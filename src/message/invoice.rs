//! `data_invoice` and `payment_ack`: the last item of a window with the demand for it, and the
//! answer that it is paid.

use crate::crypto::layout::MessageKind;
use crate::message::amend::PaceChange;
use crate::message::data::Voucher;
use crate::message::envelope::{Body, Facts};
use crate::message::moment::Moment;
use crate::message::path::Path;
use crate::message::quote::Quote;
use crate::message::text::Base64;
use crate::terms::Rate;
use sdpp_ledger::{Account, Amount, Digest, Reference, TxId, merkle};
use serde::{Deserialize, Serialize};

/// `data` of a `data_invoice`. `body` and `leaf` are `null` together, when a window is closed
/// before it is full and its last item has left already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataInvoice {
    /// The window's last seq.
    pub seq: u64,
    /// The sealed item.
    pub body: Option<Base64>,
    /// The item's salted digest.
    pub leaf: Option<Digest>,
    /// The item's way up to the root of its dataset; left out without an item, and where the menu names
    /// none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<Path>,
    /// The demand.
    pub invoice: Invoice,
    /// What was anchored since the last message that told.
    pub anchored: Vec<Anchored>,
}

/// A demand for one window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invoice {
    /// From 1, without gaps.
    pub number: u64,
    /// The window's first seq.
    pub from: u64,
    /// The window's last seq.
    pub to: u64,
    /// What this window costs.
    pub amount: Amount,
    /// What the session cost so far, this window included.
    pub amount_total: Amount,
    /// What was paid so far, for good: the seller's running receipt.
    pub paid_total: Amount,
    /// The currency.
    pub currency: String,
    /// Who is to be paid.
    pub payment_address: Account,
    /// The running digest up to the window's end.
    pub digest: Digest,
    /// The Merkle root over the window's leaves.
    pub root: Digest,
    /// What the payment must carry.
    pub reference: Reference,
    /// When the payment is late.
    pub due_at: Moment,
    /// The rate that the amounts are counted at and where it comes from, where prices are in
    /// another currency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<InvoiceRate>,
    /// How many items make a window and how many windows may be unpaid, where that is not what the
    /// menu said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pace: Option<InvoicePace>,
}

/// The rate of an invoice, for whoever checks it later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvoiceRate {
    /// The currency's units for one unit of the default currency: as ordered, or as agreed since.
    #[serde(flatten)]
    pub rate: Rate,
    /// Where it comes from, as the menu or the change said; left out where neither did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quote: Option<Quote>,
}

/// The pace of an invoice that is not the menu's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvoicePace {
    /// The number of the seller's amend that changed it.
    pub amend: u64,
    /// What it said.
    #[serde(flatten)]
    pub change: PaceChange,
}

/// Where a record of this session stands on the records ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anchored {
    /// The record's reference.
    pub reference: Reference,
    /// The transaction.
    pub tx: TxId,
    /// The record's place under the root, where many share the transaction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<merkle::Proof>,
}

impl Body for DataInvoice {
    const KIND: MessageKind = MessageKind::DataInvoice;

    fn facts(&self) -> Facts {
        let Invoice { number, root, amount_total, .. } = self.invoice;
        Facts { number, commitment: root, amount_total }
    }
}

/// `data` of a `payment_ack`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentAck {
    /// The invoice that is paid; the last of them, where several are paid together.
    pub number: u64,
    /// The first of those that are paid together; left out where it is `number`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    /// What was paid so far, this payment included.
    pub amount_total: Amount,
    /// The buyer's word for the items.
    pub ack: Cumulative,
    /// The payment itself, where the method is escrow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voucher: Option<Voucher>,
}

impl PaymentAck {
    /// The first invoice that is paid.
    pub fn first(&self) -> u64 {
        self.from.unwrap_or(self.number)
    }
}

/// Items that arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cumulative {
    /// The last item that arrived.
    pub seq: u64,
    /// The running digest up to it.
    pub digest: Digest,
}

impl Body for PaymentAck {
    const KIND: MessageKind = MessageKind::PaymentAck;

    fn facts(&self) -> Facts {
        let PaymentAck { number, amount_total, .. } = *self;
        Facts { number, amount_total, ..Facts::default() }
    }
}
