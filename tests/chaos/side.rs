//! One account's journal and outbox, which die and come back.

use crate::dice::Dice;
use crate::fresh;
use crate::weather::Roads;
use sdpp::crypto::layout::MessageKind;
use sdpp::journal::delivery::State;
use sdpp::journal::outbox::{Outbox, Policy, Step, perform};
use sdpp::journal::{Delivery, Journal, Obligation, PAGE_MAX, Write};
use sdpp::record::{Act, Owed, Record, SignedMessage};
use sdpp::terms::{Purpose, SessionId};
use sdpp_ledger::{
    Account, Amount, Anchor, Asset, Call, ChannelId, Claim, Digest, Key, Ledger, Reference,
    Signature, Transfer, TxId, keccak, merkle,
};
use sdpp_ledger_ethereum::EthereumLedger;
use std::collections::BTreeSet;
use tempfile::TempDir;

struct Crash;

/// When a process dies, as seen from one step of its outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    BeforeItAsks,
    BeforeItWrites,
    AfterItWrote,
}

/// A step at which the process is to die, once.
type Doom = (fn(&Step) -> bool, Moment);

pub struct Side {
    pub ledger: EthereumLedger,
    key: Key,
    dir: TempDir,
    journal: Option<Journal>,
    outbox: Outbox,
    now_ms: u64,
    pub crashes: u32,
    pub doom: Option<Doom>,
    /// What the other side named as paying something, each once.
    named: BTreeSet<TxId>,
}

impl Side {
    pub fn new(ledger: EthereumLedger, key: Key, dice: &mut Dice) -> Side {
        // No power is cut here, so nothing is lost in memory.
        let dir = TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).unwrap();
        let outbox = outbox(&ledger, dice);
        let (now_ms, crashes) = (1_700_000_000_000, 0);
        let (journal, doom, named) = (None, None, BTreeSet::new());
        let mut side = Side { ledger, key, dir, journal, outbox, now_ms, crashes, doom, named };
        side.restart(dice);
        side
    }

    fn restart(&mut self, dice: &mut Dice) {
        self.journal = None;
        let path = self.dir.path().join("journal");
        self.journal = Some(Journal::open(&path, self.key.public()).unwrap());
        self.outbox = outbox(&self.ledger, dice);
    }

    fn journal(&self) -> &Journal {
        self.journal.as_ref().unwrap()
    }

    fn commit(&mut self, writes: Vec<Write>) {
        let now_ms = self.now_ms;
        for answer in self.journal.as_mut().unwrap().commit(now_ms, writes).unwrap() {
            answer.unwrap();
        }
    }

    /// Writes something that nobody owes.
    pub fn write(&mut self, write: Write) {
        self.commit(vec![write]);
    }

    /// Writes down that a call is owed. A funding is the one record that owes something without a
    /// session around it.
    pub fn owe(&mut self, reference: Reference, call: Call) {
        let record = Record::Funding {
            channel: ChannelId(reference.0),
            payee: crate::rig::account(1),
            asset: Asset::coin(),
            owed: Owed {
                reference,
                purpose: Purpose::Open,
                ledger: self.ledger.id().clone(),
                act: Act::Do(call),
                held: false,
            },
        };
        self.commit(vec![Write::Append { session: None, record: Box::new(record) }]);
    }

    /// Writes down that the other side says that a transaction makes this transfer: the first such
    /// word, or one more after a fee was raised.
    pub fn hear_claim(&mut self, tx: &TxId, transfer: &Transfer) {
        if !self.named.insert(tx.clone()) {
            return;
        }
        let (tx, transfer) = (tx.clone(), transfer.clone());
        let owed = Owed {
            reference: transfer.reference,
            purpose: Purpose::Payment,
            ledger: self.ledger.id().clone(),
            act: Act::Check(Claim { tx, transfer }),
            held: false,
        };
        let record = Record::Payment { message: unread(), owed: Some(owed) };
        self.commit(vec![Write::Append { session: None, record: Box::new(record) }]);
    }

    /// What this side says to the one that it pays: each transaction that may pay, as it is signed.
    pub fn payments_made(&self) -> Vec<(TxId, Transfer)> {
        let mut made = Vec::new();
        for row in self.deliveries() {
            if let Call::Transfer(transfer) = &row.call {
                let txs = row.own().iter().filter_map(|signed| signed.tx.clone());
                made.extend(txs.map(|tx| (tx, transfer.clone())));
            }
        }
        made
    }

    /// Time that passes while nothing happens.
    pub fn wait(&mut self, ms: u64) {
        self.now_ms += ms;
    }

    /// One turn as an actor takes it; it may die in the middle, and comes back.
    pub async fn turn(&mut self, dice: &mut Dice, roads: &Roads, is_calm: bool) {
        if self.steps(dice, roads, is_calm).await.is_err() {
            self.crashes += 1;
            self.restart(dice);
        }
        let reader = self.journal().reader();
        let due_ms = self.outbox.next_due(&reader).unwrap().unwrap_or(0);
        self.now_ms = self.now_ms.max(due_ms) + dice.roll() % 50;
    }

    async fn steps(&mut self, dice: &mut Dice, roads: &Roads, is_calm: bool) -> Result<(), Crash> {
        let steps = self.outbox.plan(&self.journal().reader(), self.now_ms).unwrap();
        for step in steps {
            may_crash(dice, is_calm)?;
            self.may_die(&step, Moment::BeforeItAsks)?;
            if !is_calm && dice.one_in(4) {
                roads.trouble(dice);
            }
            let answer = perform(&self.ledger, &step).await;
            may_crash(dice, is_calm)?;
            self.may_die(&step, Moment::BeforeItWrites)?;
            let writes = self.outbox.outcome(step.clone(), answer, self.now_ms, dice.roll());
            self.commit(writes);
            self.may_die(&step, Moment::AfterItWrote)?;
        }
        Ok(())
    }

    fn may_die(&mut self, step: &Step, now: Moment) -> Result<(), Crash> {
        match self.doom {
            Some((is_at, moment)) if moment == now && is_at(step) => {
                self.doom = None;
                Err(Crash)
            }
            _ => Ok(()),
        }
    }

    pub fn is_settled(&self) -> bool {
        self.journal().reader().counts().unwrap().unsettled.is_empty()
    }

    pub fn obligations(&self) -> Vec<Obligation> {
        self.journal().reader().obligations(None, PAGE_MAX).unwrap()
    }

    pub fn deliveries(&self) -> Vec<Delivery> {
        self.journal().reader().deliveries(None, PAGE_MAX).unwrap()
    }

    pub fn raises(&self) -> usize {
        self.deliveries().iter().map(|row| row.again).sum()
    }

    pub fn account(&self) -> &Account {
        self.ledger.account()
    }

    /// The deliveries that took effect.
    pub fn landed(&self) -> usize {
        let is_final = |row: &&Delivery| matches!(row.state, State::Final { .. });
        self.deliveries().iter().filter(is_final).count()
    }

    /// Where something stands under the root that it was anchored with.
    pub fn proof(&self, of: &Reference) -> Option<merkle::Proof> {
        let entries = self.journal().reader().entries(0, PAGE_MAX).unwrap();
        entries.into_iter().find_map(|entry| match entry.record {
            Record::Met { reference, proof, .. } if reference == *of => proof,
            _ => None,
        })
    }

    pub fn verify(&self) {
        self.journal().reader().verify().unwrap().unwrap();
    }

    /// What is on its way, for whoever has to find out why it stays there.
    pub fn now(&self) -> String {
        let mut said = format!("\n{} at {}", self.account(), self.now_ms);
        for row in self.obligations().iter().filter(|row| !row.state.is_settled()) {
            said += &format!("\n  {:?} {:?} {}", row.owed.act, row.state, row.due_ms);
        }
        for row in self.deliveries().iter().filter(|row| row.state.is_live()) {
            said += &format!("\n  {} {:?} {}", row.id.number, row.state, row.due_ms);
        }
        said
    }
}

/// A digest to be anchored.
pub fn anchor(number: u128) -> (Reference, Call) {
    let reference = fresh(9_000 + number);
    let digest: Digest = keccak(&[b"digest", &number.to_be_bytes()]);
    (reference, Call::Anchor(Anchor::One { reference, digest }))
}

fn outbox(ledger: &EthereumLedger, dice: &mut Dice) -> Outbox {
    let mut up_to = |most: u64| 1 + usize::try_from(dice.roll() % most).unwrap();
    let policy = Policy {
        anchors_at_most: up_to(4),
        redeems_at_most: up_to(4),
        raise_after_ms: 2_000,
        in_flight_max: up_to(4),
        poll_ms: 500,
        backoff_base_ms: 50,
        backoff_max_ms: 1_000,
    };
    Outbox::new(ledger, policy)
}

fn may_crash(dice: &mut Dice, is_calm: bool) -> Result<(), Crash> {
    if !is_calm && dice.one_in(14) { Err(Crash) } else { Ok(()) }
}

/// A message of which nothing is read here.
fn unread() -> SignedMessage {
    SignedMessage {
        kind: MessageKind::PaymentAck,
        session: SessionId::NONE,
        number: 0,
        commitment: Digest::ZERO,
        amount_total: Amount::ZERO,
        data: None,
        data_digest: Digest::ZERO,
        verification: String::new(),
        signature: Signature([0; 65]),
    }
}
