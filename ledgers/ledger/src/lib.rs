//! What a ledger must offer to sdpp, and nothing about any one ledger.
//!
//! A ledger has up to four abilities, each a trait of its own: [`Records`] (put digests where
//! nobody can rewrite them), [`Payments`] (move money, and check that it was moved),
//! [`Escrow`] (payment channels with vouchers) and [`Bonds`] (what both sides of a channel can lose). What they have in common is [`Ledger`]:
//! whatever is to happen is first *prepared* into [`Signed`] bytes, which the caller writes
//! to disk, then *submitted*, then watched until its [`Finality`] is known. The same bytes may
//! be submitted any number of times and take effect at most once.
//!
//! Nothing here knows of sessions, messages, journals or actors.

#![forbid(unsafe_code)]

mod amount;
pub mod bond;
mod bytes;
mod call;
#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "endpoint")]
mod endpoint;
mod error;
mod finality;
#[cfg(feature = "http")]
pub mod http;
mod id;
#[cfg(feature = "http")]
pub mod jsonrpc;
mod key;
pub mod merkle;
mod voucher;

pub use amount::{Amount, AmountError};
pub use bond::{Bond, BondAct, Bonding};
pub use bytes::{BondId, ChannelId, Digest, ParseBytesError, Reference, keccak};
pub use call::{Anchor, Approve, Batch, Call, Claim, InChannel, Open, Redeem, TopUp, Transfer};
#[cfg(feature = "endpoint")]
pub use endpoint::{Endpoint, EndpointError, clean};
pub use error::LedgerError;
pub use finality::{Evidence, Finality, Inclusion, Row, Signed};
pub use id::{Account, Asset, IdError, LedgerId, TxId};
pub use key::{Key, KeyError, PublicKey, Signature};
pub use voucher::{Domain, Voucher, channel_id};

use async_trait::async_trait;
use bond::{BondChanges, Held};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The outcome of asking a ledger.
pub type Result<T, E = LedgerError> = std::result::Result<T, E>;

/// One ledger as seen by one signing account.
///
/// Implementations are used by exactly one caller for each account, which gives out the
/// `number`s (nonces) in order; see [`Ledger::next_number`] and [`Ledger::has_numbers`].
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Which ledger this is: CAIP-2 where one exists.
    fn id(&self) -> &LedgerId;

    /// The account that signs here.
    fn account(&self) -> &Account;

    /// How the ledger is now. An error means that it cannot be reached.
    async fn status(&self) -> Result<Status>;

    /// Whether a transaction carries its account's number: then two with one number exclude each
    /// other, and none happens before those with smaller numbers. Where it does not, the numbers
    /// are the caller's own names for what it has prepared: they may come in any order and have
    /// gaps, what they name may be submitted at the same time, and nobody is asked for the next.
    fn has_numbers(&self) -> bool {
        true
    }

    /// The lowest number that the ledger, its pool included, has not seen used by our account;
    /// zero where there are no numbers.
    async fn next_number(&self) -> Result<u64>;

    /// Told before each preparation: all that is prepared and has not ended, the newest bytes of
    /// each. What a ledger has to keep apart for these (an object that only one transaction may
    /// spend) it knows from here alone, also after a restart.
    fn note_live(&self, signed: &[Signed]) {
        let _ = signed;
    }

    /// Waits until the ledger tells by itself that something happened under references, of our
    /// doing or to us, and names up to 256 of them; for ever where it does not tell. Whatever is
    /// not told is found by asking, so what is lost here costs time and nothing else.
    async fn heard(&self) -> Vec<Reference> {
        std::future::pending().await
    }

    /// Hands over what was prepared, any number of times; `Ok` means the ledger has it now or had
    /// it before, or that [`Ledger::finality`] is to be asked what became of it. Returns the transaction's id, which a gateway that signs tells only here.
    async fn submit(&self, signed: &Signed) -> Result<TxId>;

    /// How final something is that was submitted here before (or perhaps never arrived).
    async fn finality(&self, signed: &Signed) -> Result<Finality>;

    /// Prepares the same call under the same number for a higher fee, from all that was signed
    /// under it so far (the last is the newest). `None` where there is nothing to raise: the
    /// newest still offers enough, or the ledger knows no such thing. `Unavailable` where it does
    /// not and no more may be offered.
    async fn raise(&self, variants: &[Signed]) -> Result<Option<Signed>> {
        let _ = variants;
        Ok(None)
    }

    /// Prepares something without effect that uses up the number of these, for a fee that goes
    /// before theirs. `Refused` where a ledger cannot.
    async fn cancel(&self, variants: &[Signed]) -> Result<Signed> {
        let _ = variants;
        Err(LedgerError::refused("NotCancellable", "this ledger takes nothing back"))
    }

    /// What our account must hold of the ledger's own coin to do its part in one more session, in
    /// the coin's smallest unit, at today's fees.
    async fn reserve(&self) -> Result<Amount> {
        Ok(Amount::ZERO)
    }

    /// What a call of our account costs in fees as things stand, in the coin's smallest unit: an
    /// estimate, and nothing is signed for it. `Refused` where the ledger would refuse the call.
    async fn cost(&self, call: &Call) -> Result<Amount> {
        let _ = call;
        Ok(Amount::ZERO)
    }

    /// How much of an asset our account can pay with, in its smallest unit; what it holds, unless
    /// the ledger pays with something else than holdings.
    async fn spendable(&self, asset: &Asset) -> Result<Amount> {
        match self.payments() {
            Some(payments) => payments.balance(self.account(), asset).await,
            None => Ok(Amount::ZERO),
        }
    }

    /// How much of an asset is on its way to our account and pays for nothing yet, in its smallest
    /// unit: what a block will bring that is not made. Zero where the ledger does not show such things.
    async fn coming(&self, asset: &Asset) -> Result<Amount> {
        let _ = asset;
        Ok(Amount::ZERO)
    }

    /// What became of a call of our account that its caller may have had signed and has forgotten:
    /// under number `from`, or a larger one where there are numbers. `Refused` with
    /// `NoSuchAbility` where the ledger cannot tell, so that only a person can look.
    async fn done(&self, call: &Call, from: u64) -> Result<Done> {
        let _ = (call, from);
        let why = format!("ledger {} does not tell what an account signed before", self.id());
        Err(LedgerError::refused("NoSuchAbility", why))
    }

    /// What a price feed tells that a contract of this ledger keeps. `Refused` with `NotAFeed`
    /// where the contract keeps none, with `NoSuchAbility` where the ledger has no such contracts.
    async fn feed(&self, contract: &Account) -> Result<Feed> {
        let _ = contract;
        let why = format!("ledger {} has no contracts that tell prices", self.id());
        Err(LedgerError::refused("NoSuchAbility", why))
    }

    /// The ability to keep records, where the ledger has it.
    fn records(&self) -> Option<&dyn Records>;

    /// The ability to move money, where the ledger has it.
    fn payments(&self) -> Option<&dyn Payments>;

    /// The ability to hold payment channels, where the ledger has it.
    fn escrow(&self) -> Option<&dyn Escrow>;

    /// The ability to hold bonds for channels, where the ledger has it.
    fn bonds(&self) -> Option<&dyn Bonds> {
        None
    }
}

/// The ability to keep digests where nobody can rewrite them.
#[async_trait]
pub trait Records: Send + Sync {
    /// Prepares an anchor under our account's `number`.
    async fn anchor(&self, number: u64, anchor: &Anchor) -> Result<Signed>;

    /// Whether transaction `tx` holds exactly this anchor, and how final it is.
    /// `Refused` when the transaction is there and says something else.
    async fn anchored(&self, tx: &TxId, anchor: &Anchor) -> Result<Finality>;
}

/// The ability to move money.
#[async_trait]
pub trait Payments: Send + Sync {
    /// Prepares a transfer from our account under its `number`.
    async fn transfer(&self, number: u64, transfer: &Transfer) -> Result<Signed>;

    /// Whether a counterparty's transaction pays what it is claimed to pay: payee, asset, amount
    /// (at least) and reference, and how final it is. `Refused` names what differs.
    async fn paid(&self, claim: &Claim) -> Result<Finality>;

    /// What an account holds, in the asset's smallest unit.
    async fn balance(&self, account: &Account, asset: &Asset) -> Result<Amount>;
}

/// The ability to hold payment channels: a deposit that vouchers draw on
/// (the escrow interface of `draft-evm-session-00`).
#[async_trait]
pub trait Escrow: Send + Sync {
    /// The EIP-712 domain that vouchers are signed under.
    fn domain(&self) -> &Domain;

    /// How long the payee can still settle after the payer asked to close.
    fn grace_period(&self) -> Duration;

    /// How long after it happened something is told here, as things stand: the age of the newest
    /// final block by the ledger's own clock. So much of the grace period is over when a request
    /// to close is known. Zero where a block is final at once.
    async fn lag(&self) -> Result<Duration> {
        Ok(Duration::ZERO)
    }

    /// Prepares an escrow call under our account's `number`.
    /// `Refused` for a [`Call`] that is not the escrow's.
    async fn escrow_call(&self, number: u64, call: &Call) -> Result<Signed>;

    /// A channel's state at the depth that counts as final, `None` when there is no such channel.
    async fn channel(&self, id: &ChannelId) -> Result<Option<Channel>>;

    /// The most rows that a [`Batch`] may have here; 1 where batches are not known.
    fn rows_at_most(&self) -> usize {
        1
    }

    /// Whether our account has to [`Call::Approve`] an asset before it can deposit so much of it.
    async fn needs_approval(&self, asset: &Asset, amount: Amount) -> Result<bool> {
        let _ = (asset, amount);
        Ok(false)
    }

    /// What happened to these channels in the final blocks from height `from` on, in order. A
    /// ledger may answer up to some height only: [`Changes::next`] says where to go on.
    /// Nothing but [`Changes::next`] comes from a ledger that does not tell.
    async fn changes(&self, channels: &[ChannelId], from: u64) -> Result<Changes> {
        let _ = channels;
        Ok(Changes { list: Vec::new(), next: from })
    }
}

/// The ability to hold bonds: what both sides of a channel pledge, and lose to proof or to silence.
#[async_trait]
pub trait Bonds: Send + Sync {
    /// The contract and its chain, which a bond's id is of.
    fn domain(&self) -> &Domain;

    /// How long a complaint waits for its answer, and who leaves for complaints.
    fn period(&self) -> Duration;

    /// Prepares a call under our account's `number`. `Refused` for a [`Call`] that is not of bonds.
    async fn bond_call(&self, number: u64, call: &Call) -> Result<Signed>;

    /// How a bond stands at the depth that counts as final; `None` where nobody has pledged it.
    async fn held(&self, bond: &Bond) -> Result<Option<Held>>;

    /// What was pledged under an id, by final blocks; `None` where nothing was.
    async fn pledged(&self, id: &BondId) -> Result<Option<Bond>>;

    /// What our account can take out of an asset.
    async fn credited(&self, asset: &Asset) -> Result<Amount>;

    /// Whether our account has to let the bonds take an asset ([`BondAct::Allow`]) before it can bring
    /// so much of it.
    async fn needs_leave(&self, asset: &Asset, amount: Amount) -> Result<bool>;

    /// What happened to these bonds in the final blocks from height `from` on, in order; as
    /// [`Escrow::changes`].
    async fn bond_changes(&self, bonds: &[BondId], from: u64) -> Result<BondChanges>;
}

/// What became of a call that may have been signed before; see [`Ledger::done`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// Nothing, as far as the ledger has it, its pool included; or it is done once however often it
    /// is sent. It may be sent.
    No,
    /// This does it: its [`Finality`] says how far it is.
    Found(Signed),
}

/// What happened to channels in a range of final blocks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// What happened, in the order of the ledger.
    pub list: Vec<Change>,
    /// The height to ask from the next time: one above the last block that was read.
    pub next: u64,
}

/// One thing that happened to a channel, for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The channel.
    pub channel: ChannelId,
    /// What happened.
    pub kind: ChangeKind,
    /// The transaction that did it.
    pub tx: TxId,
    /// Height of its block.
    pub height: u64,
    /// Time of its block, in milliseconds since 1970 UTC.
    pub at_ms: u64,
}

/// What can happen to a channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum ChangeKind {
    /// It was opened.
    Opened {
        /// With this deposit, in the asset's smallest unit.
        deposit: Amount,
    },
    /// The payer added to it, which takes back a request to close.
    ToppedUp {
        /// The deposit in all.
        deposit: Amount,
    },
    /// The payer asked to close.
    CloseRequested {
        /// From when on it may withdraw, in milliseconds since 1970 UTC.
        ready_ms: u64,
    },
    /// The payee redeemed a voucher.
    Settled {
        /// What it has had in all.
        settled: Amount,
    },
    /// The payee closed.
    Closed {
        /// What it has had in all.
        settled: Amount,
    },
    /// The payer withdrew the rest.
    Withdrawn,
}

/// Prepares any [`Call`] by the ability that it needs.
///
/// # Errors
/// `Refused` when the ledger lacks the ability, else what the ability answers.
pub async fn prepare(ledger: &dyn Ledger, number: u64, call: &Call) -> Result<Signed> {
    match call {
        Call::Anchor(anchor) => match ledger.records() {
            Some(records) => records.anchor(number, anchor).await,
            None => Err(lacks(ledger, "records")),
        },
        Call::Transfer(transfer) => match ledger.payments() {
            Some(payments) => payments.transfer(number, transfer).await,
            None => Err(lacks(ledger, "payments")),
        },
        Call::Bond(_) => match ledger.bonds() {
            Some(bonds) => bonds.bond_call(number, call).await,
            None => Err(lacks(ledger, "bonds")),
        },
        escrow_call => match ledger.escrow() {
            Some(escrow) => escrow.escrow_call(number, escrow_call).await,
            None => Err(lacks(ledger, "escrow")),
        },
    }
}

fn lacks(ledger: &dyn Ledger, ability: &str) -> LedgerError {
    LedgerError::refused("NoSuchAbility", format!("ledger {} keeps no {ability}", ledger.id()))
}

/// How a ledger is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Height of the newest block.
    pub height: u64,
    /// Time of the newest block, in milliseconds since 1970 UTC.
    pub at_ms: u64,
    /// How many blocks must stand on top of another, itself included, before it counts as final.
    pub depth: u64,
}

/// What a price feed tells: `answer * 10^-decimals`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feed {
    /// The digits of the price; whoever uses it sees that it is above zero.
    pub answer: i128,
    /// How many of them stand behind the point.
    pub decimals: u8,
    /// When the feed was told, in milliseconds since 1970 UTC.
    pub at_ms: u64,
}

/// A payment channel as its ledger has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Channel {
    /// Who deposited.
    pub payer: Account,
    /// Who may claim.
    pub payee: Account,
    /// What was deposited.
    pub asset: Asset,
    /// Whose vouchers count; the payer itself unless it named another.
    pub signer: Account,
    /// All that was ever deposited, in the asset's smallest unit.
    pub deposit: Amount,
    /// All that was ever paid out to the payee.
    pub settled: Amount,
    /// When the payer asked to close, in milliseconds since 1970 UTC.
    pub close_requested_ms: Option<u64>,
    /// Closed or withdrawn: nothing more can happen to it.
    pub finalized: bool,
}
