//! Stories of a journal, and what they are told with.

mod backup;
mod batches;
mod bonds;
mod claims;
mod commit;
mod datasets;
mod entries;
mod health;
mod ledger;
mod node;
mod numbers;
mod open;
mod outbox;
mod power;
mod prune;
mod reclaim;
mod refused;
mod restored;
mod settle;
mod simulation;
mod standing;
mod tables;
mod turns;
mod unnumbered;
mod variants;
mod watch;
mod whole;

use super::*;
use crate::crypto::SaltSecret;
use crate::crypto::layout::MessageKind;
use crate::record::{Act, End, Leaves, Owed, Record, SignedMessage};
use crate::terms::{Purpose, Role, SessionId};
use sdpp_ledger::{
    Account, Amount, Anchor, Asset, Call, ChannelId, Claim, Digest, Domain, Key, LedgerId, Redeem,
    Reference, Signature, Transfer, TxId, keccak,
};
use std::collections::BTreeMap;
use std::sync::LazyLock;
use tempfile::TempDir;

pub(crate) const NOW: u64 = 1_700_000_000_000;

pub(super) fn key(n: u8) -> Key {
    Key::from_bytes(&[n; 32]).unwrap()
}

pub(super) fn us() -> PublicKey {
    static US: LazyLock<PublicKey> = LazyLock::new(|| key(1).public());
    *US
}

pub(super) fn ledger_id() -> LedgerId {
    "embedded:test".parse().unwrap()
}

pub(super) fn account(n: u8) -> Account {
    format!("0x{}", format!("{n:02x}").repeat(20)).parse().unwrap()
}

pub(crate) fn session(n: u8) -> SessionId {
    SessionId(Digest([n; 32]))
}

pub(super) fn tx(text: &str) -> TxId {
    text.parse().unwrap()
}

/// A journal in a folder of its own, closed and opened at will.
pub(super) struct Dir(pub(super) TempDir);

impl Dir {
    pub(super) fn new() -> Self {
        Dir(TempDir::new().unwrap())
    }

    pub(super) fn path(&self) -> std::path::PathBuf {
        self.0.path().join("journal")
    }

    pub(super) fn open(&self) -> Journal {
        Journal::open(&self.path(), us()).unwrap()
    }
}

/// Commits one write and expects it to be taken.
pub(super) fn done(journal: &mut Journal, write: Write) -> Written {
    one(journal, write).unwrap()
}

pub(super) fn one(journal: &mut Journal, write: Write) -> Result<Written, WriteError> {
    journal.commit(NOW, vec![write]).unwrap().remove(0)
}

pub(super) fn append(session: SessionId, record: Record) -> Write {
    Write::Append { session: Some(session), record: Box::new(record) }
}

pub(super) fn message(kind: MessageKind, number: u64) -> SignedMessage {
    SignedMessage {
        kind,
        session: SessionId::NONE,
        number,
        commitment: Digest::ZERO,
        amount_total: Amount::new(7),
        data: Some(format!("{{\"number\":{number}}}")),
        data_digest: Digest::ZERO,
        verification: String::new(),
        signature: some_signature(),
    }
}

pub(crate) fn order() -> Record {
    Record::Order {
        role: Role::Seller,
        peer: key(2).public(),
        menu: Box::new(message(MessageKind::Menu, 0)),
        order: Box::new(message(MessageKind::Order, 0)),
        owed: None,
    }
}

pub(super) fn voucher(channel: u8, units: u128) -> Record {
    Record::Voucher {
        channel: ChannelId([channel; 32]),
        domain: Domain { chain_id: 1, contract: key(3).public().account() },
        amount: Amount::new(units),
        signature: some_signature(),
    }
}

fn some_signature() -> Signature {
    static SIGNATURE: LazyLock<Signature> = LazyLock::new(|| key(2).sign(&Digest::ZERO));
    *SIGNATURE
}

pub(super) fn invoice(number: u64, owed: Option<Owed>) -> Record {
    Record::Invoice {
        message: message(MessageKind::DataInvoice, number),
        from_seq: number,
        to_seq: number,
        digest: Digest::ZERO,
        leaves: Leaves::default(),
        owed,
    }
}

pub(crate) fn ended(why: &str) -> Record {
    Record::Ended { end: End::Complete, why: why.to_owned(), evidence: Vec::new(), owed: None }
}

pub(super) fn anchor(session: SessionId, number: u64, held: bool) -> Owed {
    let reference = session.reference(Purpose::Invoice, number);
    let digest = keccak(&[b"record", &number.to_be_bytes()]);
    Owed {
        reference,
        purpose: Purpose::Invoice,
        ledger: ledger_id(),
        act: Act::Do(Call::Anchor(Anchor::One { reference, digest })),
        held,
    }
}

pub(super) fn transfer(reference: Reference, units: u128) -> Transfer {
    Transfer { to: account(9), asset: Asset::coin(), amount: Amount::new(units), reference }
}

pub(super) fn payment(session: SessionId, number: u64) -> Owed {
    let reference = session.reference(Purpose::Payment, number);
    Owed {
        reference,
        purpose: Purpose::Payment,
        ledger: ledger_id(),
        act: Act::Do(Call::Transfer(transfer(reference, 10))),
        held: false,
    }
}

/// A voucher to be redeemed on a channel.
pub(super) fn settle(session: SessionId, number: u64, channel: u8, units: u128) -> Owed {
    let (channel, amount) = (ChannelId([channel; 32]), Amount::new(units));
    Owed {
        reference: session.reference(Purpose::Settle, number),
        purpose: Purpose::Settle,
        ledger: ledger_id(),
        act: Act::Do(Call::Settle(Redeem { channel, amount, signature: some_signature() })),
        held: false,
    }
}

pub(super) fn claim(session: SessionId, number: u64, tx: TxId) -> Record {
    let reference = session.reference(Purpose::Payment, number);
    let transfer = transfer(reference, 10);
    Record::Payment {
        message: message(MessageKind::PaymentAck, number),
        owed: Some(Owed {
            reference,
            purpose: Purpose::Payment,
            ledger: ledger_id(),
            act: Act::Check(Claim { tx, transfer }),
            held: false,
        }),
    }
}

pub(super) fn epoch(epoch: u32) -> Record {
    Record::Epoch {
        key: None,
        epoch,
        salt_secret: SaltSecret(keccak(&[b"salt", &epoch.to_be_bytes()])),
    }
}
