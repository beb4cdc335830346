//! A seller that signs what it likes: items and invoices in any order, whatever the buyer said.

use crate::pair::*;
use proptest::prelude::*;
use sdpp::crypto::layout::MessageKind;
use sdpp::crypto::{Keys, leaf, running_digest, salt};
use sdpp::message::{
    Amend, Base64, Change, Complaint, CreditNote, Data, DataInvoice, Draft, Invoice, Moment, Path,
};
use sdpp::record::{Act, End, Record};
use sdpp::session::{Input, Output};
use sdpp::terms::{Agreed, Purpose, Rate, Role as Side, SessionId, Terms};
use sdpp_ledger::{Amount, Call, Digest, merkle};

/// The item of a seq, and its way up.
type Gives = fn(u64) -> (Vec<u8>, Option<Vec<Digest>>);

/// What it has sent so far. Everything fits, unless a story changes it.
pub struct LyingSeller {
    session: SessionId,
    keys: Keys,
    seq: u64,
    digest: Digest,
    leaves: Vec<Digest>,
    invoices: u64,
    invoiced: u128,
    notes: u64,
    agreed: Agreed,
    terms: Terms,
    /// What it gives as an item, and says to be its way up.
    pub gives: Gives,
}

impl LyingSeller {
    /// Takes the honest seller's place in a session by transfer or escrow under signatures.
    pub fn take_over(pair: &mut Pair) -> LyingSeller {
        while pair.buyer.terms().is_none() {
            assert!(pair.step());
        }
        let session = pair.b.session.unwrap();
        let keys = Keys::first(&zeroize::Zeroizing::new([33; 32]), session);
        let (digest, leaves) = (session.0, Vec::new());
        let terms = pair.buyer.terms().unwrap().clone();
        let agreed = Agreed::new(&terms);
        LyingSeller {
            session,
            keys,
            seq: 0,
            digest,
            leaves,
            invoices: 0,
            invoiced: 0,
            notes: 0,
            agreed,
            terms,
            gives: |seq| (item(seq), None),
        }
    }

    fn seal(&mut self, kind: MessageKind) -> (Base64, Digest, Option<Path>) {
        self.seq += 1;
        let (item, path) = (self.gives)(self.seq);
        let salt = salt(self.keys.salt_secret(), self.seq);
        let leaf = leaf(&self.session, self.seq, &salt, &item);
        self.digest = running_digest(&self.digest, &leaf);
        self.leaves.push(leaf);
        let path = path.map(|path| Path::of(&path, &salt));
        let lane = self.keys.from(Side::Seller);
        (Base64(lane.seal(kind, self.seq, &item).unwrap()), leaf, path)
    }

    /// One more item.
    pub fn data(&mut self) -> Vec<u8> {
        let (body, leaf, path) = self.seal(MessageKind::Data);
        let draft = Draft::new(self.session, &Data { seq: self.seq, body, leaf, path });
        match self.terms.signed_items {
            true => draft.sign(&key(1), "").1,
            false => draft.tag(self.keys.from(Side::Seller).mac()),
        }
    }

    /// A credit note of so much from the next window on, with more in all than that gives.
    pub fn credit(&mut self, amount: u128, more: u128) -> Vec<u8> {
        let open = self.leaves.len() as u64;
        let window = if open == 0 { 0 } else { u64::from(self.terms.granularity) };
        let from_seq = self.seq - open + window + 1;
        let amount = Amount::new(amount);
        let total = self.agreed.last_leg().credited().checked_add(amount).unwrap();
        let _ = self.agreed.credit(from_seq, total);
        let total = total.checked_add(Amount::new(more)).unwrap();
        let (items, reason, ask) = (vec![1], Complaint::Lost, None);
        let change = Change::Credit(CreditNote { amount, total, items, reason, ask });
        self.notes += 1;
        let amend = Amend { number: self.notes, by: Side::Seller, from_seq, change };
        Draft::new(self.session, &amend).sign(&key(1), "").1
    }

    /// An invoice for all since the last one, with one more item or without, after a change.
    pub fn invoice(&mut self, with_item: bool, change: impl FnOnce(&mut Invoice)) -> Vec<u8> {
        let (body, leaf, path) = match with_item.then(|| self.seal(MessageKind::DataInvoice)) {
            Some((body, leaf, path)) => (Some(body), Some(leaf), path),
            None => (None, None, None),
        };
        let total = self.agreed.owed_for(self.seq).unwrap().units();
        self.invoices += 1;
        let leaves = std::mem::take(&mut self.leaves);
        let mut invoice = Invoice {
            number: self.invoices,
            from: self.seq + 1 - leaves.len() as u64,
            to: self.seq,
            amount: Amount::new(total - self.invoiced),
            amount_total: Amount::new(total),
            paid_total: Amount::ZERO,
            currency: "SDP".to_owned(),
            payment_address: key(1).public().account(),
            digest: self.digest,
            root: merkle::root(&leaves),
            reference: self.session.reference(Purpose::Payment, self.invoices),
            due_at: Moment(START_MS),
            rate: None,
            pace: None,
        };
        self.invoiced = total;
        change(&mut invoice);
        let message =
            DataInvoice { seq: self.seq, body, leaf, path, invoice, anchored: Vec::new() };
        Draft::new(self.session, &message).sign(&key(1), "").1
    }
}

/// What the buyer owes, or has vouched beyond `base`, in all.
pub fn spent(pair: &Pair) -> Amount {
    let (mut transfers, mut vouched) = (Amount::ZERO, pair.base);
    for record in &pair.b.records {
        match record.owed().map(|owed| &owed.act) {
            Some(Act::Do(Call::Transfer(transfer))) => {
                transfers = transfers.checked_add(transfer.amount).unwrap();
            }
            _ => {
                if let Record::Ceiling { amount, .. } = record {
                    vouched = vouched.max(*amount);
                }
            }
        }
    }
    transfers.checked_add(vouched.saturating_sub(pair.base)).unwrap()
}

/// What the buyer sees of a lying seller.
#[derive(Debug, Clone)]
enum Step {
    Item,
    /// An invoice, with one more item or without, that asks for so much more than is right.
    Invoice(bool, u128),
    /// As many items as make a window, and its invoice.
    Window,
    /// So much is credited, and so much more said to be.
    Credit(u128, u128),
    /// The ledger takes the buyer's payments.
    Ledger,
    Stop,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => Just(Step::Item),
        2 => any::<bool>().prop_map(|with_item| Step::Invoice(with_item, 0)),
        1 => (any::<bool>(), 1u128..20).prop_map(|(item, more)| Step::Invoice(item, more)),
        12 => Just(Step::Window),
        2 => (1u128..15).prop_map(|amount| Step::Credit(amount, 0)),
        1 => (0u128..3, 0u128..3).prop_map(|(amount, more)| Step::Credit(amount, more)),
        8 => Just(Step::Ledger),
        1 => Just(Step::Stop),
    ];
    prop::collection::vec(step, 1..60)
}

fn start(escrow: bool, max_total: u128, (granularity, credit_windows): (u32, u32)) -> Pair {
    start_at(1, escrow, max_total, (granularity, credit_windows))
}

/// So many items cost 5.
fn start_at(per: u128, escrow: bool, max_total: u128, (k, w): (u32, u32)) -> Pair {
    let setting = Setting::default().anchored_after().no_records().order("co2", None);
    let mut setting = setting.windows(k, w);
    for offer in &mut setting.menu.currencies_accepted {
        offer.rate = Rate { numerator: Amount::new(1), denominator: Amount::new(per) };
    }
    let mut setting = if escrow { setting.by_escrow() } else { setting };
    setting.base = Amount::new(if escrow { 7 } else { 0 });
    setting.wish.max_total = Some(Amount::new(max_total));
    setting.start()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    /// Whatever a seller signs: the buyer never owes more than its ceiling, nor takes more on
    /// credit than W * K items, nor delivers what it did not open.
    #[test]
    fn no_seller_makes_a_buyer_spend_more_than_its_ceiling(
        escrow: bool,
        (granularity, credit_windows) in (1u32..4, 1u32..3),
        more in 0u128..80,
        per in prop_oneof![2 => Just(1u128), 1 => Just(20)],
        in_one_read: bool,
        steps in steps(),
    ) {
        let credit = u128::from(granularity * credit_windows);
        // What costs less than a unit comes before that.
        let free = (per - 1) / 5;
        let max_total = ((free + credit) * 5 + more) / per;
        let mut pair = start_at(per, escrow, max_total, (granularity, credit_windows));
        let mut liar = LyingSeller::take_over(&mut pair);
        let mut unread = Vec::new();
        for step in steps {
            match step {
                Step::Item => unread.extend(liar.data()),
                Step::Invoice(with_item, extra) => {
                    unread.extend(liar.invoice(with_item, |invoice| {
                        let more = |amount: Amount| amount.checked_add(Amount::new(extra)).unwrap();
                        invoice.amount = more(invoice.amount);
                        invoice.amount_total = more(invoice.amount_total);
                    }));
                }
                Step::Window => {
                    (1..granularity).for_each(|_| unread.extend(liar.data()));
                    unread.extend(liar.invoice(true, |_| ()));
                }
                Step::Credit(amount, more) => unread.extend(liar.credit(amount, more)),
                Step::Ledger => while pair.settle_one() {},
                Step::Stop => pair.tell(Role::Buyer, Input::Stop(sdpp::message::Reason::Stopped)),
            }
            if !in_one_read {
                pair.tell(Role::Buyer, Input::Read(&std::mem::take(&mut unread)));
            }
            while pair.drain_outputs(Role::Buyer) {}
            prop_assert!(spent(&pair) <= Amount::new(max_total), "{} spent", spent(&pair));
        }
        pair.tell(Role::Buyer, Input::Read(&unread));
        while pair.drain_outputs(Role::Buyer) {}
        prop_assert!(spent(&pair) <= Amount::new(max_total), "{} spent", spent(&pair));
        let (delivered, given) = (pair.b.delivered.len() as u128, liar.agreed.last_leg().credited().units());
        let paid = (spent(&pair).units() + given) * per / 5;
        let rounded = per / 5;
        prop_assert!(delivered <= paid + credit + rounded, "{delivered} delivered, {paid} paid");
    }
}

/// Each item invoiced by itself though K is 4.
#[test]
fn after_an_invoice_for_less_than_a_window_nothing_but_an_exit_is_taken() {
    let mut pair = start(false, 1000, (4, 2));
    let mut liar = LyingSeller::take_over(&mut pair);
    let frames = [liar.invoice(true, |_| ()), liar.invoice(true, |_| ())].concat();
    pair.tell(Role::Buyer, Input::Read(&frames));
    while pair.drain_outputs(Role::Buyer) {}
    crate::liars::ends_with(&mut pair, Role::Seller, "bad_invoice", "for less than a window");
    assert_eq!(spent(&pair), Amount::new(5), "the first was owed, the second is not");
    let Some(Record::Ended { evidence, .. }) = pair.b.records.last() else {
        panic!("it ended");
    };
    assert_eq!(evidence.len(), 1, "the lie is kept as evidence");
}

/// The ledger is down, so nothing is paid; the seller sends on.
#[test]
fn more_than_is_on_credit_is_not_taken() {
    let mut pair = start(false, 1000, (2, 2));
    let mut liar = LyingSeller::take_over(&mut pair);
    for _ in 0..2 {
        let frames = [liar.data(), liar.invoice(true, |_| ())].concat();
        pair.tell(Role::Buyer, Input::Read(&frames));
    }
    pair.tell(Role::Buyer, Input::Read(&liar.data()));
    while pair.drain_outputs(Role::Buyer) {}
    crate::liars::ends_with(&mut pair, Role::Seller, "bad_item", "more than 4 items are not paid");
    assert_eq!(pair.b.delivered.len(), 4);
}

/// A buyer said that it leaves, and goes on paying what was under way: that buys nothing new.
#[test]
fn what_is_paid_after_our_exit_gives_no_more_credit() {
    let mut pair = start(false, 1000, (2, 1));
    let mut liar = LyingSeller::take_over(&mut pair);
    pair.tell(Role::Buyer, Input::Stop(sdpp::message::Reason::Stopped));
    for _ in 0..2 {
        let frames = [liar.data(), liar.invoice(true, |_| ())].concat();
        pair.tell(Role::Buyer, Input::Read(&frames));
        while pair.drain_outputs(Role::Buyer) || pair.settle_one() {}
    }
    crate::liars::ends_with(&mut pair, Role::Seller, "bad_item", "more than 2 items are not paid");
    assert_eq!(pair.b.delivered.len(), 2);
    assert_eq!(pair.transferred(), Amount::new(10));
}

/// A seller that does not hear the exit of a buyer whose ceiling is reached.
#[test]
fn a_seller_that_ignores_our_exit_is_not_paid_beyond_the_ceiling() {
    for in_one_read in [false, true] {
        let mut pair = start(false, 42, (2, 1));
        let mut liar = LyingSeller::take_over(&mut pair);
        let mut frames = Vec::new();
        for _ in 0..50 {
            frames.extend([liar.data(), liar.invoice(true, |_| ())].concat());
            if !in_one_read {
                pair.tell(Role::Buyer, Input::Read(&std::mem::take(&mut frames)));
                while pair.drain_outputs(Role::Buyer) || pair.settle_one() {}
            }
        }
        pair.tell(Role::Buyer, Input::Read(&frames));
        while pair.drain_outputs(Role::Buyer) || pair.settle_one() {}
        assert_eq!(pair.b.end(), End::Misconduct, "{}", pair.b.why());
        assert!(spent(&pair) <= Amount::new(42), "{} spent", spent(&pair));
        let sends = |output: &&Output| matches!(output, Output::Send(_));
        assert!(pair.b.log.iter().filter(sends).count() < 40, "no end to it");
    }
}

/// Four items cost one unit, so every other window costs nothing and gives the seller credit
/// without a word of ours: that is looked past, and we are gone before it passes our ceiling.
#[test]
fn windows_that_cost_nothing_do_not_lead_past_the_ceiling() {
    for escrow in [false, true] {
        let mut pair = start_at(20, escrow, 1, (2, 1));
        let mut liar = LyingSeller::take_over(&mut pair);
        for _ in 0..6 {
            let frames = [liar.data(), liar.invoice(true, |_| ())].concat();
            pair.tell(Role::Buyer, Input::Read(&frames));
            while pair.drain_outputs(Role::Buyer) || pair.settle_one() {}
        }
        assert_eq!(spent(&pair), Amount::new(1));
        assert_eq!(
            (pair.b.end(), pair.b.why()),
            (End::Misconduct, "item 6: more than 2 items are not paid")
        );
        assert_eq!(crate::liars::last_error(&pair.b).0, "bad_item");
    }
}

/// What a coin is, what it is called and how it is counted stand in our own config.
#[test]
fn a_menu_that_lies_about_a_coin_is_not_ordered_from() {
    type Case = (fn(&mut sdpp::message::CurrencyOffer), &'static str);
    let cases: [Case; 4] = [
        (|o| o.asset = "0x00000000000000000000000000000000000000ff".parse().unwrap(), "asset 0x"),
        (|o| o.symbol = "EUR".to_owned(), "symbol EUR, ours is SDP"),
        (|o| o.decimals = 18, "18 decimals, ours has 6"),
        (|o| o.ledger = "sdpp:other".parse().unwrap(), "ledger sdpp:other, ours is sdpp:story"),
    ];
    for (change, says) in cases {
        for setting in [Setting::default(), Setting::default().by_escrow()] {
            let mut setting = setting;
            setting.menu.currencies_accepted.iter_mut().for_each(change);
            let mut pair = setting.start();
            pair.run();
            let (code, message) = crate::liars::last_error(&pair.b);
            assert_eq!((code.as_str(), pair.b.end()), ("unknown_currency", End::Failed));
            assert!(message.contains(says), "{message:?} does not say {says:?}");
            assert!(pair.ledger.is_empty() && !types(&pair.b).contains(&"order".to_owned()));
        }
    }
}
