//! The money of a case, leg by leg: what is due, what is paid for certain, and what only a ledger can
//! tell.

use super::bundle::{LedgerAct, Said};
use super::case::Case;
use super::figures::{On, acknowledged, invoiced, overcharged, receipted};
use super::judge::sum;
use super::papers::{InvoicePaper, Papers, VoucherPaper};
use super::verdict::{Condition, Debt, Figure, Misdeed, Offence, Paper, Vouched, Word};
use crate::message::{Moment, legible};
use crate::terms::{InEscrow, Leg, Method, Purpose, Role};
use sdpp_ledger::{Amount, ChangeKind, ChannelId, Domain, Reference, Signature, TxId, Voucher};
use std::collections::{BTreeMap, BTreeSet};

/// All of one leg. Amounts are in its currency's smallest unit.
#[derive(Default)]
pub(super) struct Money {
    /// The place of the leg.
    pub(super) leg: usize,
    pub(super) invoiced: Figure,
    pub(super) acknowledged: Figure,
    pub(super) receipted: Figure,
    /// For what was acknowledged, less the seller's credits.
    pub(super) due: Amount,
    /// What the seller's own bundle says that its ledger paid beyond its receipts.
    pub(super) admitted: Amount,
    pub(super) best: Option<Best>,
    /// What the vouchers in messages of this session are worth: one that the seller's bundle holds
    /// by itself may be of a later session.
    brought: Amount,
    /// The largest voucher that the seller's own bundle has.
    sellers: Amount,
    pub(super) conditions: Vec<Condition>,
    /// The payments that the conditions are about.
    pub(super) claims: Vec<Paper>,
    /// The most that anybody ever said was paid.
    pub(super) said_paid: Amount,
    pub(super) misdeeds: Vec<Misdeed>,
    pub(super) notes: Vec<String>,
    /// What the seller can owe at most: its credits, and what it asked for beyond the price.
    owable: Amount,
}

/// A voucher that somebody holds.
#[derive(Clone)]
struct Held {
    amount: Amount,
    signature: Signature,
    /// The message that it came in; `None` where the seller's bundle holds it by itself.
    paper: Option<Paper>,
    /// The seller's bundle has it.
    is_sellers: bool,
}

/// The best voucher for this session.
pub(super) struct Best {
    amount: Amount,
    worth: Amount,
    checked: bool,
    /// The message that it came in; `None` where the seller's bundle holds it by itself.
    pub(super) paper: Option<Paper>,
}

impl Money {
    /// Counts, leg by leg.
    pub(super) fn count(case: &Case<'_>, papers: &Papers<'_>) -> Vec<Money> {
        let legs = 0..papers.price.legs().count();
        legs.map(|leg| Money::of(leg, case, papers)).collect()
    }

    fn of(leg: usize, case: &Case<'_>, papers: &Papers<'_>) -> Money {
        let on = On::new(leg, papers);
        let (acknowledged, receipted) = (acknowledged(&on, papers), receipted(&on, papers));
        let credited = papers.price.credited(leg);
        let mut money = Money {
            leg,
            invoiced: invoiced(&on, papers),
            due: acknowledged.amount.saturating_sub(credited),
            owable: credited.checked_add(overcharged(&on, papers)).unwrap_or(credited),
            acknowledged,
            receipted,
            ..Money::default()
        };
        money.vouchers(&on, case, papers);
        match on.leg.currency.method {
            Method::Transfer => money.transfers(&on, case, papers),
            Method::Escrow => money.channel(&on, case, papers),
        }
        money.said_paid = money.most_said(&on, papers);
        money
    }

    /// Who owes whom.
    pub(super) fn debts(&self, leg: &Leg) -> Vec<Debt> {
        let debt = |by, to, at_most, at_least| {
            let (currency, decimals) = (leg.currency.name.clone(), leg.currency.decimals);
            Debt { by, to, from_seq: leg.from_seq, currency, decimals, at_most, at_least }
        };
        let open = sum(&self.conditions);
        let certain = self.certain();
        let at_most = self.due.saturating_sub(certain);
        let mut debts = Vec::new();
        if at_most > Amount::ZERO {
            let at_least = at_most.saturating_sub(open);
            debts.push(debt(Role::Buyer, Role::Seller, at_most, at_least));
        }
        // A receipt proves that money came, and not what for: whoever brings it may have left out
        // what it acknowledged. So the seller owes no more than it signed that it would give back.
        let credited = self.acknowledged.amount.saturating_sub(self.due);
        let earned = self.due.max(self.brought.saturating_sub(credited));
        let back = |paid: Amount| paid.saturating_sub(earned).min(self.owable);
        let (at_least, at_most) = match certain.checked_add(open) {
            Some(all) => (back(certain), back(all)),
            None => (back(certain), back(certain)),
        };
        if at_most > Amount::ZERO {
            debts.push(debt(Role::Seller, Role::Buyer, at_most, at_least));
        }
        debts
    }

    pub(super) fn vouched(&self) -> Option<Vouched> {
        let Best { amount, worth, checked, .. } = self.best.as_ref()?;
        Some(Vouched { cumulative: *amount, worth: *worth, checked: *checked })
    }

    /// What is paid whatever a ledger says: by the seller's receipts and admissions.
    fn certain(&self) -> Amount {
        let receipted = self.receipted.amount;
        receipted.checked_add(self.admitted).unwrap_or(receipted)
    }

    fn most_said(&self, on: &On<'_>, papers: &Papers<'_>) -> Amount {
        let payments = papers.payments.iter().filter(|(window, _)| on.has_window(papers, **window));
        let payments = payments.flat_map(|(_, all)| all).map(|payment| payment.total());
        let worth = self.best.iter().map(|best| best.worth);
        let admitted = (self.admitted > Amount::ZERO).then(|| self.certain());
        let said = payments.chain(on.said_paid(papers)).chain(worth).chain(admitted);
        said.max().unwrap_or_default()
    }

    /// The best voucher on the leg's channel.
    fn vouchers(&mut self, on: &On<'_>, case: &Case<'_>, papers: &Papers<'_>) {
        let Some(InEscrow { channel, base }) = on.leg.escrow else { return };
        let buyer = case.terms.buyer.account();
        let is_good = |domain: &Domain, amount: Amount, signature: &Signature| {
            let voucher = Voucher { channel, amount };
            signature.recover(&voucher.digest(domain)).as_ref() == Some(&buyer)
        };
        let brought = |one: &VoucherPaper| Held {
            amount: one.voucher.cumulative_amount,
            signature: one.voucher.signature,
            paper: Some(one.paper.clone()),
            is_sellers: one.is_sellers,
        };
        let its = papers.vouchers.iter().filter(|one| one.channel == channel);
        let mut found: Vec<Held> = its.map(brought).collect();
        // A domain that the buyer has signed under is the right one, whoever names it.
        let mut proven: Option<&Domain> = None;
        let sellers = case.bodies.iter().filter(|body| body.role == Role::Seller);
        for held in sellers.flat_map(|body| body.held()) {
            // One on another leg's channel is looked at there; one on none, with the first.
            let is_elsewhere = held.channel != channel
                && (papers.price.has_channel(&held.channel) || on.number > 0);
            if is_elsewhere {
                continue;
            }
            if held.channel != channel || !is_good(&held.domain, held.amount, &held.signature) {
                self.blame_voucher(held.amount);
                continue;
            }
            proven = Some(&held.domain);
            let (amount, signature) = (held.amount, held.signature);
            found.push(Held { amount, signature, paper: None, is_sellers: true });
        }
        // The largest first; of two that say the same, the one that a message brought.
        found.sort_by(|one, other| (other.amount, &other.paper).cmp(&(one.amount, &one.paper)));
        let is_taken =
            |one: &&Held| proven.is_none_or(|domain| is_good(domain, one.amount, &one.signature));
        let (mut best, mut sellers, mut brought) = (None, None, None);
        for one in &found {
            let is_wanted = best.is_none()
                || (sellers.is_none() && one.is_sellers)
                || (brought.is_none() && one.paper.is_some());
            if is_wanted && is_taken(&one) {
                best = best.or(Some(one));
                sellers = sellers.or(one.is_sellers.then_some(one.amount));
                brought = brought.or(one.paper.as_ref().map(|_| one.amount));
            }
        }
        self.sellers = on.within(sellers.unwrap_or_default());
        self.brought = on.within(brought.unwrap_or_default()).saturating_sub(base);
        let Some(Held { amount, paper, .. }) = best.cloned() else { return };
        let worth = on.within(amount).saturating_sub(base);
        if worth == Amount::ZERO {
            self.notes.push(format!(
                "the voucher for {amount} is worth nothing here: {base} was vouched on the channel \
                 before this session"
            ));
            return;
        }
        self.best = Some(Best { amount, worth, checked: proven.is_some(), paper });
    }

    fn blame_voucher(&mut self, amount: Amount) {
        let why = format!(
            "its bundle brings a voucher for {amount} that is not the buyer's on this channel"
        );
        let (by, what) = (Role::Seller, Offence::FalseEvidence);
        self.misdeeds.push(Misdeed { by, what, why, proven_by: Vec::new() });
    }

    /// By escrow the channel must pay what the best voucher allows, and whatever the buyer may have
    /// vouched in words that nobody brings.
    fn channel(&mut self, on: &On<'_>, case: &Case<'_>, papers: &Papers<'_>) {
        let Some(InEscrow { channel, base }) = on.leg.escrow else { return };
        let worth = self.best.as_ref().map_or(Amount::ZERO, |best| best.worth);
        let settled = case.bodies.iter().filter(|body| body.role == Role::Seller);
        let settled = settled.flat_map(|body| {
            let its = body.ledgers.channel.iter().filter(|word| word.change.channel == channel);
            let changes = its.filter_map(|word| match word.change.kind {
                ChangeKind::Settled { settled } | ChangeKind::Closed { settled } => Some(settled),
                _ => None,
            });
            let acts = body.ledgers.acts.iter();
            // Where a session has one channel, what is redeemed is redeemed on that.
            let its = acts.filter(|act| act.channel.is_none_or(|redeemed| redeemed == channel));
            changes.chain(its.filter_map(redeemed))
        });
        // What it paid beyond the seller's vouchers of this session was for a later one.
        let settled = settled.max().unwrap_or_default().min(self.sellers).saturating_sub(base);
        if settled < self.receipted.amount && worth > Amount::ZERO {
            let why = "the seller's receipts count vouchers that it took as money: to redeem them \
                       in time is its own business";
            self.notes.push(why.to_owned());
        }
        self.admitted = settled.saturating_sub(self.receipted.amount);
        let may_be = papers.may_be_vouched.get(&on.number).copied().unwrap_or_default();
        let vouched = on.said_paid(papers).chain([worth, may_be]).max().unwrap_or_default();
        let covers = vouched.min(self.due);
        let rest = covers.saturating_sub(self.certain());
        if worth > self.due {
            let more = worth.saturating_sub(self.due);
            self.notes.push(format!(
                "the voucher is worth {more} more than is due by the papers here: on the ledger it \
                 is good for all that the buyer signed on it"
            ));
        }
        if rest > Amount::ZERO {
            self.conditions.push(Condition::Channel {
                from_seq: on.leg.from_seq,
                ledger: on.leg.currency.ledger.clone(),
                channel,
                pays: base.checked_add(covers).unwrap_or(Amount::new(u128::MAX)),
                amount: rest,
                said: channel_words(case, &channel),
            });
        }
    }

    /// By transfer each window was paid, or was not, by a transaction of its own or by one with those
    /// after it.
    fn transfers(&mut self, on: &On<'_>, case: &Case<'_>, papers: &Papers<'_>) {
        let claims = claims(on, case, papers);
        for (window, claim) in claims {
            let Some(before) = claim.before(window, papers) else { continue };
            // A window is paid for what it costs, whatever else a payment says.
            let total = claim.total.min(most_for(papers, window));
            let covered = self.receipted.amount.max(before);
            let pays = total.saturating_sub(before);
            // What the seller itself says that it got is certain; the rest the ledger must tell.
            let paid = claim.admitted.unwrap_or_default().min(pays);
            let paid_to = before.checked_add(paid).unwrap_or(before).max(covered);
            let paid = paid_to.saturating_sub(covered);
            self.admitted = self.admitted.checked_add(paid).unwrap_or(self.admitted);
            let amount = total.saturating_sub(paid_to);
            if amount == Amount::ZERO {
                continue;
            }
            let currency = &on.leg.currency;
            self.claims.extend(claim.papers);
            self.conditions.push(Condition::Final {
                from_seq: on.leg.from_seq,
                window,
                ledger: currency.ledger.clone(),
                payee: currency.payee.clone(),
                reference: case.terms.session.reference(Purpose::Payment, window),
                pays,
                amount,
                txs: claim.txs.into_iter().collect(),
                said: claim.said,
            });
        }
    }
}

/// What is said of one payment, by the last window that it pays.
#[derive(Default)]
struct ClaimOf {
    /// The first window that it pays, as the buyer said it.
    from: Option<u64>,
    /// How much it was to pay, by the words of who owed it or looked for it.
    owed: Option<Amount>,
    total: Amount,
    txs: BTreeSet<TxId>,
    papers: Vec<Paper>,
    said: Vec<Word>,
    /// The seller's own bundle says that its ledger paid so much.
    admitted: Option<Amount>,
}

/// By window: what the buyer's payments say, and what either says that its ledger said.
fn claims(on: &On<'_>, case: &Case<'_>, papers: &Papers<'_>) -> BTreeMap<u64, ClaimOf> {
    let mut claims: BTreeMap<u64, ClaimOf> = BTreeMap::new();
    let is_its = |number: &u64| on.has_window(papers, *number);
    for (number, payments) in papers.payments.iter().filter(|(number, _)| is_its(number)) {
        let claim = claims.entry(*number).or_default();
        for payment in payments {
            claim.from = claim.from.or(payment.from);
            claim.total = claim.total.max(payment.total());
            claim.txs.extend(payment.tx.clone());
            claim.papers.push(payment.signed.paper.clone());
        }
    }
    let numbers = papers.payments.keys().chain(papers.invoices.keys());
    let numbers = numbers.filter(|number| is_its(number));
    let reference =
        |number: &u64| (case.terms.session.reference(Purpose::Payment, *number), *number);
    let numbers: BTreeMap<Reference, u64> = numbers.map(reference).collect();
    for body in &case.bodies {
        for act in body.ledgers.acts.iter().filter(|act| act.purpose == Purpose::Payment) {
            let Some(number) = numbers.get(&act.reference) else { continue };
            let said = matches!(act.said, Said::Final { .. });
            if !said && !claims.contains_key(number) {
                // Owed to a ledger, and neither done nor told.
                continue;
            }
            let claim = claims.entry(*number).or_default();
            claim.take(act, body.role, papers.invoices.get(number).map_or(&[], Vec::as_slice));
        }
    }
    claims
}

impl ClaimOf {
    /// What was owed of the leg before the first window that it pays: the one that the buyer named.
    /// Where its words were dropped, one from which on what was owed to the ledger is the cost; else
    /// it pays one window.
    fn before(&self, window: u64, papers: &Papers<'_>) -> Option<Amount> {
        let owed_before = |window: u64| {
            let (first, _) = papers.price.window(window)?;
            papers.price.owed_before(first)
        };
        if let Some(from) = self.from {
            return owed_before(from.min(window));
        }
        let before = owed_before(window)?;
        let told = self.owed.and_then(|owed| self.total.checked_sub(owed));
        let begins = |told: &Amount| {
            let is_behind = |one: u64| {
                let total = owed_before(one).filter(|_| papers.is_one_leg(one, window));
                total.is_some_and(|total| total >= *told)
            };
            // What is owed never falls within a leg, so the first such window is found by halves.
            let (mut low, mut high) = (1, window);
            while low < high {
                let middle = low + (high - low) / 2;
                (low, high) = if is_behind(middle) { (low, middle) } else { (middle + 1, high) };
            }
            owed_before(low) == Some(*told)
        };
        Some(told.filter(|told| *told < before && begins(told)).unwrap_or(before))
    }

    fn take(&mut self, act: &LedgerAct, word_of: Role, invoices: &[InvoicePaper<'_>]) {
        if self.total == Amount::ZERO {
            let sound = invoices.iter().find(|invoice| invoice.is_sound());
            self.total = sound.map_or(Amount::ZERO, |invoice| invoice.total());
        }
        // It was the buyer who paid: where the two differ, its word stands.
        let is_better = self.owed.is_none() || word_of == Role::Buyer;
        self.owed = if is_better { Some(act.amount) } else { self.owed };
        self.txs.extend(act.txs.iter().cloned());
        let says = match &act.said {
            Said::Nothing => return,
            Said::Final { evidence, .. } => {
                self.txs.insert(evidence.tx.clone());
                if word_of == Role::Seller {
                    self.admitted = self.admitted.max(Some(evidence.amount));
                }
                let (tx, height) = (&evidence.tx, evidence.height);
                format!("{tx} is final in block {height} and paid {}", evidence.amount)
            }
            Said::Refused { why } => format!("there is no such payment: {}", legible(why)),
        };
        self.said.push(Word { word_of, says });
    }
}

/// The most that can be owed when a window is paid: what is asked with it, or what a full one costs.
fn most_for(papers: &Papers<'_>, window: u64) -> Amount {
    let invoices = papers.invoices.get(&window).map_or(&[][..], Vec::as_slice);
    let sound = invoices.iter().filter(|invoice| invoice.is_sound());
    let asked = sound.map(InvoicePaper::total).max();
    let full = || papers.price.window(window).and_then(|(_, last)| papers.price.owed(last));
    asked.or_else(full).unwrap_or_default()
}

/// What a voucher's redeeming paid out in all, if it did.
fn redeemed(act: &LedgerAct) -> Option<Amount> {
    let redeems = matches!(act.purpose, Purpose::Settle | Purpose::Close);
    let is_final = matches!(act.said, Said::Final { .. });
    (redeems && is_final).then_some(act.amount)
}

/// The last thing that each side says of the channel.
fn channel_words(case: &Case<'_>, channel: &ChannelId) -> Vec<Word> {
    let word = |body: &&super::bundle::Body| {
        let its = || body.ledgers.channel.iter().filter(|word| word.change.channel == *channel);
        let last = its().next_back()?;
        let says = match last.change.kind {
            ChangeKind::Opened { deposit } => format!("it was opened with {deposit}"),
            ChangeKind::ToppedUp { deposit } => format!("{deposit} is deposited in it"),
            ChangeKind::CloseRequested { ready_ms } => {
                format!("its payer asked to close it, and may withdraw from {}", Moment(ready_ms))
            }
            ChangeKind::Settled { settled } => format!("it has paid {settled}"),
            ChangeKind::Closed { settled } => format!("it is closed, and has paid {settled}"),
            ChangeKind::Withdrawn => "its payer has withdrawn the rest".to_owned(),
        };
        // What it paid before its end counts, and is what the condition asks for.
        let changes = its().map(|word| &word.change.kind);
        let paid = changes.filter_map(|kind| match kind {
            ChangeKind::Settled { settled } => Some(settled),
            _ => None,
        });
        let is_later =
            matches!(last.change.kind, ChangeKind::CloseRequested { .. } | ChangeKind::Withdrawn);
        let says = match paid.max().filter(|_| is_later) {
            Some(paid) => format!("it has paid {paid}, and {says}"),
            None => says,
        };
        Some(Word { word_of: body.role, says })
    };
    case.bodies.iter().filter_map(word).collect()
}
