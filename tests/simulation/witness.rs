//! Who watches a world: all that is durable, all that leaves, and what the ledgers have, from outside.
//! It holds what no side may ever do, at each step, and lives through all crashes.

use crate::node::Node;
use crate::plant::{Rule, Wrong};
use crate::teller::Shared;
use sdpp::message::{Menu, Order, reread, terms};
use sdpp::record::Record;
use sdpp::terms::{Method, Purpose, Role, SessionId, Terms};
use sdpp_ledger::{Amount, ChannelId, Digest, PublicKey, keccak};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Default)]
pub struct Witness {
    /// The first thing that was wrong.
    pub wrong: Option<Wrong>,
    /// The seller's connections whose orders must not be taken.
    pub barred: BTreeSet<u64>,
    pub sessions: BTreeMap<SessionId, Known>,
    /// The last ceiling of each channel.
    ceilings: BTreeMap<ChannelId, Amount>,
    /// The most that was vouched on each channel.
    pub vouched: BTreeMap<ChannelId, Amount>,
    /// Which session a channel serves at its seller's.
    serving: BTreeMap<ChannelId, SessionId>,
    /// What each key was drawn for.
    drawn: BTreeMap<[u8; 32], (SessionId, u64)>,
    /// What was sealed under each key and nonce.
    sealed: BTreeMap<([u8; 32], u64), Digest>,
}

/// What is durable of a session, and what was said in it.
#[derive(Default)]
pub struct Known {
    pub terms: Option<Terms>,
    seller: Half,
    buyer: Half,
    /// What each number of each message was signed with.
    signed: BTreeMap<(String, u64), String>,
    /// What each item was sealed as: once under each key.
    bodies: BTreeMap<u64, BTreeSet<Digest>>,
    /// The vouchers that were said in it.
    vouchers: BTreeSet<Amount>,
    /// The best that its seller has.
    best: Option<Amount>,
}

/// What one side has durable.
#[derive(Default)]
struct Half {
    has_order: bool,
    epochs: BTreeSet<u64>,
    reserved: u64,
    invoices: BTreeSet<u64>,
    payments: BTreeSet<u64>,
    has_exit: bool,
}

/// Bytes of one side that leave.
pub struct Sent<'a> {
    pub session: SessionId,
    pub role: Role,
    /// What the key of the sender's epoch was drawn as.
    pub drawn: [u8; 32],
    pub bytes: &'a [u8],
}

impl Witness {
    pub fn blame(&mut self, rule: Rule, what: String) {
        self.wrong.get_or_insert(Wrong { rule, what });
    }

    fn hold(&mut self, is_good: bool, rule: Rule, what: impl FnOnce() -> String) {
        if !is_good {
            self.blame(rule, what());
        }
    }

    pub fn buyer_of(&self, session: &SessionId) -> Option<PublicKey> {
        Some(self.sessions.get(session)?.terms.as_ref()?.buyer)
    }

    /// A record is durable.
    pub fn durable(&mut self, session: SessionId, role: Role, record: &Record) {
        let known = self.sessions.entry(session).or_default();
        let half = known.half(role);
        match record {
            Record::Order { menu, order, .. } => {
                half.has_order = true;
                let menu = reread::<Menu>(menu).expect("it is on disk");
                let read = reread::<Order>(order).expect("it is on disk");
                let agreed = terms(&menu, &read, &order.data_digest).expect("both signed it");
                known.terms = Some(agreed);
                if role == Role::Seller {
                    self.serve(session);
                }
            }
            Record::Epoch { epoch, .. } => drop(half.epochs.insert(u64::from(*epoch))),
            Record::Reserved { to_seq } => half.reserved = *to_seq,
            Record::Invoice { message, .. } => drop(half.invoices.insert(message.number)),
            Record::Payment { message, .. } => drop(half.payments.insert(message.number)),
            Record::Exit { by, .. } if *by == role => half.has_exit = true,
            Record::Ceiling { channel, amount } | Record::Spent { channel, amount, .. } => {
                self.ceilings.insert(*channel, *amount);
            }
            Record::Voucher { channel, amount, .. } => {
                let grows = known.best.is_none_or(|best| *amount > best);
                known.best = Some(*amount);
                let what = || format!("the seller took {amount} on {channel} after more");
                self.hold(grows, Rule::VouchersGrow, what);
            }
            Record::Ended { .. } if role == Role::Seller => {
                self.serving.retain(|_, by| *by != session);
            }
            _ => {}
        }
    }

    fn serve(&mut self, session: SessionId) {
        let Some(escrow) = self.terms(&session).and_then(|terms| terms.escrow) else { return };
        let other = self.serving.insert(escrow.channel, session);
        let what = || format!("{} serves {session} and {other:?}", escrow.channel);
        self.hold(other.is_none(), Rule::OneSessionAChannel, what);
    }

    fn terms(&self, session: &SessionId) -> Option<&Terms> {
        self.sessions.get(session)?.terms.as_ref()
    }

    /// What a session's seller has, for good: on the ledger, or in vouchers.
    pub fn paid(&self, session: &SessionId, chains: &[Shared]) -> u128 {
        let Some(known) = self.sessions.get(session) else { return 0 };
        let Some(terms) = &known.terms else { return 0 };
        if terms.currency.method == Method::Escrow {
            let base = terms.escrow.map_or(Amount::ZERO, |escrow| escrow.base);
            return known.best.map_or(0, |best| best.saturating_sub(base).units());
        }
        let numbers = known.seller.invoices.iter().chain(&known.buyer.invoices);
        let numbers: BTreeSet<u64> = numbers.copied().collect();
        let chain = chains.iter().map(|chain| chain.lock().unwrap());
        let chain = chain.into_iter().find(|chain| chain.id == terms.currency.ledger);
        let chain = chain.expect("the ledger is there");
        let under = |number: &u64| {
            chain.settled().paid_under(&session.reference(Purpose::Payment, *number))
        };
        numbers.iter().map(under).sum()
    }

    /// Something leaves.
    pub fn sent(&mut self, sent: &Sent<'_>, nodes: &[Node], chains: &[Shared]) {
        for line in sent.bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let frame: Value = serde_json::from_slice(line).expect("a frame is JSON");
            let kind = frame["message_type"].as_str().expect("it has a type").to_owned();
            self.explained(sent, &kind, &frame["data"]);
            match kind.as_str() {
                "session_key" => self.key(sent, &frame["data"]),
                "data" | "data_invoice" => {
                    self.sealed_once(sent, &kind, &frame);
                    self.within_credit(sent, &frame["data"], chains);
                }
                "ack" | "payment_ack" => {
                    self.kept(sent, &frame["data"], nodes);
                    self.voucher(sent, &frame["data"], chains);
                }
                _ => {}
            }
        }
    }

    /// What leaves stands on disk, as far as it must.
    fn explained(&mut self, sent: &Sent<'_>, kind: &str, data: &Value) {
        let known = self.sessions.entry(sent.session).or_default();
        let half = known.half(sent.role);
        let number = |of: &Value| of.as_u64().unwrap_or_default();
        let is_good = match kind {
            "order" => half.has_order,
            "session_key" => half.has_order && half.epochs.contains(&number(&data["epoch"])),
            "data" => number(&data["seq"]) <= half.reserved,
            "data_invoice" => {
                let is_reserved = number(&data["seq"]) <= half.reserved;
                is_reserved && half.invoices.contains(&number(&data["invoice"]["number"]))
            }
            "ack" => !half.epochs.is_empty(),
            "payment_ack" => half.payments.contains(&number(&data["number"])),
            "exit" => half.has_exit,
            _ => true,
        };
        let what = || format!("a {}'s {kind} left, and no record explains it: {data}", sent.role);
        self.hold(is_good, Rule::RecordBeforeAct, what);
    }

    fn key(&mut self, sent: &Sent<'_>, data: &Value) {
        let of = (sent.session, data["epoch"].as_u64().unwrap_or_default());
        let before = *self.drawn.entry(sent.drawn).or_insert(of);
        let what = || format!("one key was drawn for {before:?} and for {of:?}");
        self.hold(before == of, Rule::KeyOnce, what);
    }

    fn sealed_once(&mut self, sent: &Sent<'_>, kind: &str, frame: &Value) {
        let data = &frame["data"];
        let seq = data["seq"].as_u64().unwrap_or_default();
        if let Some(body) = data["body"].as_str() {
            let digest = keccak(&[body.as_bytes()]);
            let keys = self.drawn.values().filter(|(session, _)| *session == sent.session).count();
            let known = self.sessions.entry(sent.session).or_default();
            let bodies = known.bodies.entry(seq).or_default();
            bodies.insert(digest);
            // An invoice that waited for its anchor keeps an item that an earlier key sealed.
            let is_good = match kind {
                "data" => *self.sealed.entry((sent.drawn, seq)).or_insert(digest) == digest,
                _ => bodies.len() <= keys,
            };
            let what = || format!("nonce {seq} sealed two bodies under one key");
            self.hold(is_good, Rule::KeyOnce, what);
            let leaf = data["leaf"].to_string();
            self.signed_once(sent, ("item", seq), leaf);
        }
        if kind == "data_invoice" {
            let number = data["invoice"]["number"].as_u64().unwrap_or_default();
            self.signed_once(sent, (kind, number), frame["signature"].to_string());
        }
    }

    fn signed_once(&mut self, sent: &Sent<'_>, (kind, number): (&str, u64), content: String) {
        let known = self.sessions.entry(sent.session).or_default();
        let before =
            known.signed.entry((kind.to_owned(), number)).or_insert_with(|| content.clone());
        let (is_same, before) = (*before == content, before.clone());
        let what = || format!("{kind} {number} is {before} and {content}");
        self.hold(is_same, Rule::SignedOnce, what);
    }

    fn within_credit(&mut self, sent: &Sent<'_>, data: &Value, chains: &[Shared]) {
        let Some(terms) = self.terms(&sent.session).cloned() else { return };
        let seq = data["seq"].as_u64().unwrap_or_default();
        let must_be_paid = seq.saturating_sub(terms.credit_items());
        let due = terms.owed_for(must_be_paid).expect("it is a small sum").units();
        let paid = self.paid(&sent.session, chains);
        let what = || format!("item {seq} of {} left, {paid} of {due} are paid", sent.session);
        self.hold(due <= paid, Rule::WithinCredit, what);
    }

    fn kept(&mut self, sent: &Sent<'_>, data: &Value, nodes: &[Node]) {
        let seq = data["seq"].as_u64().or(data["ack"]["seq"].as_u64()).unwrap_or_default();
        let files = nodes.iter().filter_map(|node| node.files.get(&sent.session));
        let kept = files.map(Vec::len).max().unwrap_or(0) as u64;
        let what = || format!("{seq} items are acknowledged, {kept} are kept");
        self.hold(seq <= kept, Rule::KeptBeforeAck, what);
    }

    fn voucher(&mut self, sent: &Sent<'_>, data: &Value, chains: &[Shared]) {
        let amount = data["voucher"]["cumulative_amount"].as_str().and_then(|one| one.parse().ok());
        let Some(amount) = amount.map(Amount::new) else { return };
        let Some(terms) = self.terms(&sent.session).cloned() else { return };
        let Some(escrow) = terms.escrow else { return };
        let channel = escrow.channel;
        let ceiling = self.ceilings.get(&channel).copied().unwrap_or_default();
        let what = || format!("{amount} is vouched on {channel}, the ceiling is {ceiling}");
        self.hold(amount <= ceiling, Rule::WithinCeiling, what);
        let deposits = chains.iter().filter_map(|chain| {
            let chain = chain.lock().unwrap();
            chain.settled().channels.get(&channel).map(|channel| channel.deposit)
        });
        let deposit = deposits.max().unwrap_or_default();
        let what = || format!("{amount} is vouched on {channel}, the deposit is {deposit}");
        self.hold(amount <= deposit, Rule::WithinCeiling, what);
        let known = self.sessions.entry(sent.session).or_default();
        let last = known.vouchers.last().copied().unwrap_or(escrow.base);
        let grows = amount > last || known.vouchers.contains(&amount);
        known.vouchers.insert(amount);
        let what = || format!("{amount} is vouched on {channel} after {last}");
        self.hold(grows, Rule::VouchersGrow, what);
        let most = self.vouched.entry(channel).or_default();
        *most = amount.max(*most);
    }
}

impl Known {
    fn half(&mut self, role: Role) -> &mut Half {
        match role {
            Role::Seller => &mut self.seller,
            Role::Buyer => &mut self.buyer,
        }
    }
}
