//! SDPP as a value. A session is told bytes, items, time, randomness and what the ledgers say;
//! it answers with outputs, in order. No socket, clock, disk, randomness or `async` in here.
//!
//! The order of outputs *is* the write-ahead rule: whoever carries them out makes each
//! [`Output::Record`] durable before anything that comes after it.

mod buyer;
mod line;
mod outputs;
mod seller;
mod tabs;
mod windows;

pub use buyer::{
    Answer, Bid, Buyer, BuyerPolicy, BuyerRandomness, ChannelPlan, Complain, Left, LeftChannel,
    PinnedCurrency, UnderBond, Wish, bids,
};
pub use seller::{
    Claim, Grant, NotResumed, NoteEnd, Offer, OpenAsk, PaceRule, Restart, Seller, SellerPolicy,
    SellerRandomness, check_period, hindrance,
};

use crate::message::{
    Code, CurrencyOffer, ErrorMessage, FrameTooLong, LegReason, Menu, Reason, Voucher, WireError,
    legible,
};
use crate::record::{End, Record, SignedMessage};
use crate::settling::fee_in;
use crate::standing::Standing;
use crate::terms::{Currency, Method, Role, SessionId};
use outputs::Outputs;
use sdpp_ledger::bond::Held;
use sdpp_ledger::{
    Account, Amount, Asset, Bond, BondId, Channel, ChannelId, Digest, Domain, Key, LedgerId,
    PublicKey, Reference, TxId,
};
use std::sync::Arc;

/// The most requests for a credit note that a session has open at once.
const ASKS_OPEN_MAX: usize = 16;

/// An item of a committed dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The item.
    pub item: Vec<u8>,
    /// The sisters on its way up to the dataset's root.
    pub path: Vec<Digest>,
}

impl From<Vec<u8>> for Row {
    /// An item that nobody committed to.
    fn from(item: Vec<u8>) -> Row {
        Row { item, path: Vec::new() }
    }
}

/// What happened, told to a session.
#[derive(Debug)]
pub enum Input<'a> {
    /// The peer sent bytes: any number of messages, whole or not.
    Read(&'a [u8]),
    /// Seller: the source gave items, no more than [`Seller::wants`].
    Items(Vec<Vec<u8>>),
    /// Seller: the same of a committed dataset.
    Rows(Vec<Row>),
    /// Seller: the source has no more items.
    SourceEnded,
    /// The transaction for something owed is signed, durable and sent.
    Signed {
        /// What was owed.
        reference: Reference,
        /// The transaction.
        tx: TxId,
    },
    /// Seller: so many blocks hold a payment that was claimed, or stand on it, and it is not final.
    Included {
        /// What is paid.
        reference: Reference,
        /// How many; 0 where none does, or none any more.
        blocks: u64,
    },
    /// Something owed is done, for good.
    Met {
        /// What was owed.
        reference: Reference,
        /// The transaction.
        tx: TxId,
    },
    /// Something owed will never be done.
    Refused {
        /// What was owed.
        reference: Reference,
        /// The ledger's reason.
        why: String,
    },
    /// Seller: the answer to [`Output::Look`].
    Channel(ChannelView),
    /// Seller: the other answer to it: the ledger refuses to show the channel.
    NotShown {
        /// Which.
        channel: ChannelId,
        /// Why, for us.
        why: String,
    },
    /// Seller: the answer to [`Output::Admit`]: what earlier sessions say of the buyer; or, where there
    /// is no room for one more, why not, for the buyer.
    Admitted(Result<Standing, String>),
    /// Seller: the answer to [`Output::Credit`]; where there is no room, why not, for the buyer.
    Credit(Result<(), String>),
    /// Seller: the answer to [`Output::Quote`]: what is offered now, if anything is.
    Offer(Option<Arc<Offer>>),
    /// A ledger does not do what it is asked to, or does again.
    Ledger {
        /// Which.
        ledger: LedgerId,
        /// What is wrong with it.
        trouble: Option<LegReason>,
    },
    /// What settling costs on a ledger as things stand, in its coin's smallest unit: redeeming a
    /// voucher for a seller, a transfer for a buyer. `None` where nobody knows any more.
    Fee {
        /// The ledger.
        ledger: LedgerId,
        /// The fee.
        fee: Option<Amount>,
    },
    /// Buyer: the answer to [`Output::Fund`].
    Funded {
        /// The channel.
        channel: ChannelId,
        /// What vouchers on it are signed under.
        domain: Domain,
        /// The last amount that is known to be vouched on it.
        base: Amount,
        /// The most that may have been: more than that only where a crash hid how much it was.
        ceiling: Amount,
        /// Its deposit.
        deposit: Amount,
    },
    /// Buyer: the answer to [`Output::TopUp`]: the ledger shows this deposit, for good.
    ToppedUp {
        /// The channel.
        channel: ChannelId,
        /// All that was ever deposited.
        deposit: Amount,
    },
    /// Buyer: the other answer to [`Output::TopUp`].
    NotToppedUp {
        /// The channel.
        channel: ChannelId,
        /// The ledger's reason.
        why: String,
    },
    /// Buyer: the answer to [`Output::Afford`].
    Afforded,
    /// Buyer: the other answer to [`Output::Fund`] and [`Output::Afford`]: we cannot pay so.
    NotFunded {
        /// Why, for us.
        why: String,
        /// More is on its way to our account there.
        is_coming: bool,
    },
    /// Buyer: the answer to [`Output::Redial`]: another connection was made, and a fresh key for what
    /// is sealed to us over it.
    Connected {
        /// The key.
        encryption: Key,
    },
    /// Seller: the buyer of this session has begun another where this one stands in its way. Without a
    /// connection, this one is over; with one, it is not.
    Superseded,
    /// Seller: an answer to [`Output::Resume`]: that session does not go on.
    NotResumed(NotResumed),
    /// Seller: another answer to it: that session is over, and this was our last word in it.
    Parted {
        /// Whose session it was.
        buyer: PublicKey,
        /// Our exit.
        exit: Box<SignedMessage>,
    },
    /// Somebody wants this side to end in good order.
    Stop(Reason),
    /// The same because of a channel: a session that needs that one no more goes on.
    StopOn {
        /// Which.
        channel: ChannelId,
        /// What the session ends for, where it does.
        reason: Reason,
    },
    /// A channel is closed or withdrawn for good. Whatever is owed, nothing more is paid on it.
    ChannelOver(ChannelId),
    /// The peer closed the connection, or it broke.
    Hangup,
    /// This side cannot go on. The reason is for us; the other side hears only that it is so.
    Failed(String),
}

/// What a session wants done, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Make this durable before anything after it.
    Record {
        /// The session that it belongs to.
        session: SessionId,
        /// The fact.
        record: Box<Record>,
    },
    /// Send these bytes.
    Send(Vec<u8>),
    /// Buyer: an item, opened and acknowledged.
    Deliver {
        /// Its place in the session, from 1.
        seq: u64,
        /// Its bytes.
        item: Vec<u8>,
    },
    /// Seller: see whether there is room for one more session, with this buyer, and answer with
    /// [`Input::Admitted`].
    Admit {
        /// The buyer.
        buyer: PublicKey,
    },
    /// Seller: look at this channel on its ledger, and answer with [`Input::Channel`]: before the
    /// session begins, and when a voucher passes the deposit that was seen.
    Look {
        /// The ledger.
        ledger: LedgerId,
        /// The channel.
        channel: ChannelId,
        /// Whose vouchers must count there: the channel is held for who signs as this, and for
        /// nobody else.
        signer: Account,
        /// A bond that is to be looked at too.
        bond: Option<BondId>,
    },
    /// Seller: an order is under a bond that waits for our part alone: pledge it, where it is good.
    Join {
        /// Its ledger.
        ledger: LedgerId,
        /// The bond.
        bond: BondId,
    },
    /// Seller: see whether a buyer may have so much out unsecured in this session, and answer with
    /// [`Input::Credit`]. It stands in the place of what was granted in this currency before.
    Credit {
        /// The buyer.
        buyer: PublicKey,
        /// The currency's name.
        currency: String,
        /// How much in all, in its smallest unit.
        amount: Amount,
    },
    /// Seller: open the source anew, behind so many items: what follows them left before, or is next.
    /// What it gives that was asked for before this is not for the session.
    Rewind {
        /// How many.
        skip: u64,
    },
    /// Seller: say what is offered now, and answer with [`Input::Offer`].
    Quote,
    /// Buyer: see whether our account can pay so much by transfer, and answer with
    /// [`Input::Afforded`] or [`Input::NotFunded`].
    Afford {
        /// The ledger.
        ledger: LedgerId,
        /// What is paid.
        asset: Asset,
        /// How much there must be, beside fees, in the asset's smallest unit.
        amount: Amount,
    },
    /// Buyer: this is what is paid in from here on.
    Paying(Paying),
    /// Buyer: none of our currencies is funded, and something is on its way: we look again and again.
    Unfunded {
        /// What is not paid in, and why, each a sentence.
        passed: Vec<String>,
        /// How long we look at most, in milliseconds.
        within_ms: u64,
    },
    /// Buyer: find or open a channel, and answer with [`Input::Funded`] or [`Input::NotFunded`].
    Fund {
        /// What there must be room for: the session's cost where that is known, else what may be
        /// out on credit.
        least: Amount,
        /// What a new channel is funded with, and one that has too little room is filled up to.
        ample: Amount,
        /// The ledger.
        ledger: LedgerId,
        /// Who may claim from it.
        payee: Account,
        /// What is deposited.
        asset: Asset,
        /// This channel and no other, which a bond is for.
        only: Option<ChannelId>,
    },
    /// Buyer: add to the deposit, and answer with [`Input::ToppedUp`] or [`Input::NotToppedUp`].
    TopUp {
        /// The ledger.
        ledger: LedgerId,
        /// The channel.
        channel: ChannelId,
        /// How much is added, in the asset's smallest unit; never zero.
        amount: Amount,
    },
    /// Buyer: the connection is of no use any more. Drop it, make another, and answer with
    /// [`Input::Connected`]; where that does not succeed, try again until the session ends.
    Redial,
    /// Seller: a buyer wants this session to go on over this connection. Give [`Seller::claim`] to
    /// the session's [`Seller::resume`], and where that takes it, the connection to whoever carries
    /// that session; else answer with [`Input::NotResumed`] or [`Input::Parted`].
    Resume {
        /// The session.
        session: SessionId,
    },
    /// Close the connection: the session is over.
    Close {
        /// How.
        end: End,
        /// A sentence for people.
        why: String,
        /// Where it stood at the end.
        progress: Progress,
        /// Buyer: what can be ordered on another connection: the same, where the seller has shown what we
        /// had forgotten, or once its bond is in force; otherwise paid, where we may have no more on credit.
        again: Option<Box<Wish>>,
    },
}

/// A channel as its ledger and our journal have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelView {
    /// Which.
    pub id: ChannelId,
    /// The ledger's word; `None` when it has no such channel.
    pub channel: Option<Channel>,
    /// What vouchers on it are signed under.
    pub domain: Domain,
    /// The best voucher on it that our journal has.
    pub best: Option<Box<Voucher>>,
    /// It serves another session just now.
    pub busy: bool,
    /// How long its payee can still settle after its payer asked to close, in milliseconds.
    pub grace_ms: u64,
    /// How long after it happened its ledger tells of something, in milliseconds.
    pub lag_ms: u64,
    /// Its last session left it to be closed, and we owe that to the ledger.
    pub is_left: bool,
    /// What happens to channels on its ledger could not be read for longer than we planned for.
    pub is_unwatched: bool,
    /// The bond that was looked at, where its ledger has it.
    pub bond: Option<Box<BondView>>,
}

/// A bond as its ledger has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BondView {
    /// What both agreed on.
    pub bond: Bond,
    /// How it stands.
    pub held: Held,
    /// How long an answer to a complaint may take, in milliseconds.
    pub period_ms: u64,
    /// Why our part of it is not pledged, for the buyer, where whoever pledges has said so.
    pub unjoined: Option<String>,
}

/// What a buyer pays in, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paying {
    /// The currency's name.
    pub currency: String,
    /// How many decimals a whole coin has.
    pub decimals: u8,
    /// By which method.
    pub method: Method,
    /// What we would rather have paid in, and why it was not: a sentence for each, for us.
    pub passed: Vec<String>,
}

/// Where a session stands, for people.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Items sent (seller) or opened (buyer), but for those that are void.
    pub items: u64,
    /// Places that hold no item: what stood there was lost with a process of the seller's, and is not
    /// billed.
    pub void: u64,
    /// Windows invoiced.
    pub windows: u64,
    /// What the items invoiced cost.
    pub owed: Amount,
    /// What was paid: for good (seller), or sent (buyer).
    pub paid: Amount,
    /// How many legs there are: what is owed and paid is told of the one that the last item stands in.
    pub legs: usize,
}

/// Why a session cannot go on.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Fault {
    end: End,
    code: Code,
    why: String,
    /// What the other side is told, where our reason is nothing for a stranger.
    said: Option<String>,
    evidence: Vec<SignedMessage>,
    /// The buyer's own voucher, which shows the buyer that its order's base is too low.
    voucher: Option<Box<Voucher>>,
}

impl Fault {
    /// The other side broke the rules.
    fn theirs(code: Code, why: impl Into<String>) -> Self {
        Fault { end: End::Misconduct, code, ..Fault::ours(why) }
    }

    /// The other side sent `error`: what it says goes no further than it can be read.
    fn told(by: Role, error: &ErrorMessage) -> Self {
        let why = format!("the {by} says: {}: {}", error.code, legible(&error.message));
        let voucher = error.voucher.clone().map(Box::new);
        Fault { end: End::Refused, code: error.code, voucher, ..Fault::ours(why) }
    }

    /// This side cannot go on.
    fn ours(why: impl Into<String>) -> Self {
        let (end, code, why) = (End::Failed, Code::Internal, why.into());
        Fault { end, code, why, said: None, evidence: Vec::new(), voucher: None }
    }

    /// Something of this side's own failed: a path, a password, an address may stand in the reason.
    fn private(role: Role, why: impl Into<String>) -> Self {
        Fault { said: Some(format!("the {role} cannot go on")), ..Fault::ours(why) }
    }

    /// Nothing came in time.
    fn timed_out(why: impl Into<String>) -> Self {
        Fault { end: End::Broken, code: Code::TimedOut, ..Fault::ours(why) }
    }

    /// The messages that show it.
    fn shown_by(self, evidence: impl IntoIterator<Item = SignedMessage>) -> Self {
        Fault { evidence: evidence.into_iter().collect(), ..self }
    }

    /// One more, before those that show it already.
    fn shown_first_by(self, message: Option<SignedMessage>) -> Self {
        let evidence = message.into_iter().chain(self.evidence);
        Fault { evidence: evidence.collect(), ..self }
    }

    fn frame(&self) -> Vec<u8> {
        let message = self.said.as_ref().unwrap_or(&self.why).clone();
        let voucher = self.voucher.as_deref().cloned();
        ErrorMessage { code: self.code, message, voucher }.frame()
    }
}

impl From<WireError> for Fault {
    fn from(error: WireError) -> Self {
        let code = match error {
            WireError::Malformed { .. } => Code::Malformed,
            WireError::BadSignature(_) => Code::BadSignature,
        };
        Fault::theirs(code, error.to_string())
    }
}

impl From<FrameTooLong> for Fault {
    fn from(error: FrameTooLong) -> Self {
        Fault::theirs(Code::FrameTooLong, error.to_string())
    }
}

/// Who ended the channel is not said: its payee may have, by other means.
fn channel_over() -> Fault {
    let why = "the channel that pays is over: nothing more can be paid on it";
    Fault { code: Code::Channel, ..Fault::ours(why) }
}

/// A message that came where it has no place.
fn unexpected(what: &str, session: Option<SessionId>) -> Fault {
    let of = session.map_or(String::new(), |session| format!(" in session {session}"));
    Fault::theirs(Code::Unexpected, format!("{what} has no place here{of}"))
}

/// A fee in a ledger's coin, in a currency there: as they stand on the menu. `None` where the menu
/// has no such coin.
fn fee_in_currency(fee: Amount, currency: &Currency, menu: &Menu) -> Option<Amount> {
    let coin = Asset::coin();
    if currency.asset == coin || fee.is_zero() {
        return Some(fee);
    }
    let is_coin = |offer: &&CurrencyOffer| offer.ledger == currency.ledger && offer.asset == coin;
    let paid_in = menu.currencies_accepted.iter().find(is_coin)?;
    fee_in(fee, &paid_in.rate, &currency.rate)
}
