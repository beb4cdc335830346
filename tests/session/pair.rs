//! The driver of every story: a seller, a buyer, their two journals and a ledger that all do what
//! a story wants, and nothing that takes time.

use sdpp::crypto::dataset_leaf;
use sdpp::door::Door;
use sdpp::message::{
    Complaint, CurrencyOffer, Menu, Moment, OrderLimits, Reason, RecordsOffer, Voucher,
};
use sdpp::record::{Act, End, Record};
use sdpp::session::{
    BondView, Buyer, BuyerPolicy, BuyerRandomness, ChannelView, Complain, Input, Offer, Output,
    PinnedCurrency, Progress, Row, Seller, SellerPolicy, SellerRandomness, Wish,
};
use sdpp::settling::Policy;
use sdpp::standing::Standing;
use sdpp::terms::{Method, Rate, SessionId};
use sdpp_ledger::{
    Account, Amount, Asset, Call, Channel, ChannelId, Digest, Domain, Key, LedgerId, Reference,
    TxId, keccak, merkle,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use zeroize::Zeroizing;

pub const START_MS: u64 = 1_767_225_600_000;

pub fn key(byte: u8) -> Key {
    Key::from_bytes(&[byte; 32]).unwrap()
}

pub fn other_ledger() -> LedgerId {
    "sdpp:other".parse().unwrap()
}

pub fn third_ledger() -> LedgerId {
    "sdpp:third".parse().unwrap()
}

pub fn coin() -> Asset {
    Asset::coin()
}

/// What `OTH` is on its ledger.
pub fn token() -> Asset {
    "oth".parse().unwrap()
}

/// `OTH`, on another ledger than the menu's own.
pub fn offer_other(method: Method, rate: Rate) -> CurrencyOffer {
    CurrencyOffer {
        currency: "OTH".to_owned(),
        symbol: "OTH".to_owned(),
        decimals: 6,
        ledger: other_ledger(),
        asset: token(),
        method,
        payment_address: key(1).public().account(),
        rate,
        quote: None,
        finality: "final".to_owned(),
        limits: OrderLimits::default(),
        bond: None,
    }
}

/// The same as the buyer knows it.
pub fn pinned_other(method: Method) -> PinnedCurrency {
    let (name, symbol) = ("OTH".to_owned(), "OTH".to_owned());
    let (ledger, asset) = (other_ledger(), token());
    PinnedCurrency { name, symbol, ledger, asset, ..pinned(method) }
}

pub fn ledger() -> LedgerId {
    "sdpp:story".parse().unwrap()
}

/// The menu of the paper's own run, Fig. 4: `gas`, K = 4.
pub fn menu() -> Menu {
    let payee = key(1).public().account();
    let offer = |method| CurrencyOffer {
        currency: "SDP".to_owned(),
        symbol: "SDP".to_owned(),
        decimals: 6,
        ledger: ledger(),
        asset: Asset::coin(),
        method,
        payment_address: payee.clone(),
        rate: Rate::ONE,
        quote: None,
        finality: "final".to_owned(),
        limits: OrderLimits::default(),
        bond: None,
    };
    Menu {
        versions: vec!["SDPP/1".to_owned()],
        encodings: vec!["json".to_owned()],
        public_key: key(1).public(),
        challenge: Digest::ZERO,
        available_data: BTreeMap::from([("gas".to_owned(), Some(100)), ("co2".to_owned(), None)]),
        datasets: BTreeMap::new(),
        prices: BTreeMap::from([
            ("gas".to_owned(), Amount::new(3)),
            ("co2".to_owned(), Amount::new(5)),
        ]),
        special_prices: Vec::new(),
        prices_by_buyer: false,
        unknown_by_escrow: false,
        units: BTreeMap::new(),
        default_currency: "SDP".to_owned(),
        currencies_accepted: vec![offer(Method::Transfer), offer(Method::Escrow)],
        payment_granularity: 4,
        credit_windows: 1,
        payments_together: false,
        payment_address: payee.clone(),
        signature_required: true,
        records: Some(RecordsOffer {
            ledger: ledger(),
            batch: "each".to_owned(),
            anchor: "before".to_owned(),
        }),
        resume_ms: None,
        expires_at: Moment(0),
    }
}

/// A story's setting; change what the story is about.
pub struct Setting {
    pub menu: Menu,
    pub seller: SellerPolicy,
    pub buyer: BuyerPolicy,
    pub wish: Wish,
    pub deposit: Amount,
    pub base: Amount,
}

impl Default for Setting {
    fn default() -> Self {
        let seller = SellerPolicy {
            patience_ms: 10_000,
            finality_ms: 100_000,
            menu_lifetime_ms: 60_000,
            outage_ms: 5 * 60 * 1_000,
            settling: BTreeMap::new(),
            credit_up_to: BTreeMap::new(),
            pace: None,
            joins: BTreeSet::new(),
            fail_over: true,
            asks_credit: false,
            door: Door::default(),
            asks_admission: false,
            anchor_before: true,
            hold_records: false,
            frame_bytes_max: 1 << 20,
            item_bytes_max: 1 << 16,
            unacknowledged_bytes_max: 256 << 10,
        };
        let buyer = BuyerPolicy {
            patience_ms: 10_000,
            resume_ms: None,
            records: Some(ledger()),
            anchor_before: true,
            hold_records: false,
            frame_bytes_max: 1 << 20,
            clock_skew_ms: 1_000,
            granularity_max: 100_000,
            settling: BTreeMap::new(),
            fail_over_after_ms: None,
            rate_slack_permille: 50,
        };
        let wish = Wish {
            topic: "gas".to_owned(),
            quantity: Some(6),
            currencies: vec![pinned(Method::Transfer)],
            max_total: None,
            seller: Some(key(1).public()),
            bond: None,
            dataset: None,
        };
        let (deposit, base) = (Amount::new(1000), Amount::ZERO);
        Setting { menu: menu(), seller, buyer, wish, deposit, base }
    }
}

pub fn pinned(method: Method) -> PinnedCurrency {
    PinnedCurrency {
        name: "SDP".to_owned(),
        ledger: ledger(),
        asset: Asset::coin(),
        symbol: "SDP".to_owned(),
        decimals: 6,
        method,
        account: key(2).public().account(),
        max_total: None,
        channels: sdpp::session::ChannelPlan::default(),
    }
}

impl Setting {
    /// All that there is of what is bought is a dataset of so many items.
    pub fn committed(mut self, count: u64) -> Self {
        let topic = self.wish.topic.clone();
        self.menu.available_data.insert(topic.clone(), Some(count));
        self.menu.datasets.insert(topic, dataset(count).root());
        self
    }

    /// Everything after the fact, nothing waits for a ledger.
    pub fn anchored_after(mut self) -> Self {
        (self.seller.anchor_before, self.buyer.anchor_before) = (false, false);
        self
    }

    pub fn no_records(mut self) -> Self {
        self.menu.records = None;
        self.buyer.records = None;
        self
    }

    pub fn under_mac(mut self) -> Self {
        self.menu.signature_required = false;
        self
    }

    pub fn by_escrow(mut self) -> Self {
        self.wish.currencies = vec![pinned(Method::Escrow)];
        self
    }

    pub fn order(mut self, topic: &str, quantity: Option<u64>) -> Self {
        (self.wish.topic, self.wish.quantity) = (topic.to_owned(), quantity);
        self
    }

    /// How it is paid, proven and recorded.
    pub fn in_mode(self, escrow: bool, signed: bool, before: bool, records: bool) -> Self {
        let setting = if escrow { self.by_escrow() } else { self };
        let setting = if signed { setting } else { setting.under_mac() };
        let setting = if before { setting } else { setting.anchored_after() };
        if records { setting } else { setting.no_records() }
    }

    pub fn windows(mut self, granularity: u32, credit_windows: u32) -> Self {
        self.menu.payment_granularity = granularity;
        self.menu.credit_windows = credit_windows;
        self
    }

    /// The seller takes one payment for several windows, and the buyer pays them together when this
    /// says so.
    pub fn together(mut self, policy: Policy) -> Self {
        self.menu.payments_together = true;
        let names = self.menu.currencies_accepted.iter().map(|offer| offer.currency.clone());
        self.buyer.settling = names.map(|name| (name, policy)).collect();
        self
    }

    pub fn start(self) -> Pair {
        Pair::new(self)
    }
}

/// What a side did, in order.
#[derive(Default)]
pub struct Side {
    /// Everything that came out, with records where they stood.
    pub log: Vec<Output>,
    pub records: Vec<Record>,
    /// Bytes on their way to the other side.
    pub wire: VecDeque<u8>,
    pub delivered: Vec<(u64, Vec<u8>)>,
    pub closed: Option<(End, String, Progress)>,
    /// What it would order the next time.
    pub again: Option<Box<Wish>>,
    pub session: Option<SessionId>,
}

impl Side {
    pub fn end(&self) -> End {
        self.closed.as_ref().unwrap_or_else(|| panic!("the session is not over")).0
    }

    pub fn progress(&self) -> Progress {
        self.closed.as_ref().unwrap_or_else(|| panic!("the session is not over")).2
    }

    pub fn why(&self) -> &str {
        &self.closed.as_ref().unwrap_or_else(|| panic!("the session is not over")).1
    }
}

pub struct Pair {
    pub seller: Seller,
    pub buyer: Buyer,
    pub s: Side,
    /// The bond that the ledger shows.
    pub bond: Option<Box<BondView>>,
    pub b: Side,
    pub now_ms: u64,
    /// What the ledger has: a transaction for each thing owed.
    pub ledger: Vec<(Reference, Call, TxId)>,
    /// The ledger does not answer while this is set.
    pub ledger_down: bool,
    /// The ledger takes transactions and never makes one final.
    pub never_final: bool,
    /// Ledgers of which the same holds.
    pub stalled: BTreeSet<LedgerId>,
    /// Ledgers that show no channel.
    pub blind: BTreeSet<LedgerId>,
    /// What is owed to them.
    kept: Vec<(Role, Record)>,
    /// What the seller's shell was asked to let be out, and how much it lets.
    pub credits: Vec<(String, Amount)>,
    pub credit_room: Amount,
    /// What the seller's shell says of the buyer, or why there is no room for it.
    pub admits: Result<Standing, String>,
    /// What the seller offered, and what it offers now.
    pub offer: Arc<Offer>,
    pub quoted: Option<Arc<Offer>>,
    /// How often the fee of each transaction is raised before one is mined: the last.
    pub raises: u8,
    /// The transactions before it, which nobody will ever see.
    replaced: Vec<TxId>,
    /// What the buyer's account holds.
    pub holds: Amount,
    /// What is on its way to it.
    pub coming: Amount,
    /// What the seller knows to be vouched, where that is not the buyer's base.
    pub known: Option<Amount>,
    /// Whose vouchers the seller shows.
    pub vouches: u8,
    /// What this side sends does not arrive while this is set.
    pub muted: Option<Role>,
    /// How many bytes a read brings at most.
    pub read_max: usize,
    /// Items left in the source; `None` for a source that never ends.
    pub source: Option<u64>,
    /// The items are of this dataset.
    pub dataset: Option<merkle::Tree>,
    pub produced: u64,
    /// The source has no past: it goes on, whatever it is opened behind.
    pub is_live: bool,
    /// The source is asked while a record of the seller's is on its way to the disk, before anything behind
    /// that is done.
    pub feeds_early: bool,
    pub deposit: Amount,
    pub base: Amount,
    /// The most that the buyer may have vouched.
    pub ceiling: Amount,
    /// Top-ups that the buyer wanted.
    pub top_ups: Vec<Amount>,
    /// Each is done as soon as it is wanted.
    pub tops_up: bool,
    /// The seller's own ledger is behind, and shows this deposit.
    pub shown: Option<Amount>,
    /// How often the seller looked at the channel.
    pub looks: usize,
    waiting: VecDeque<(Role, Record)>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    Seller,
    Buyer,
}

impl Pair {
    pub fn new(setting: Setting) -> Pair {
        let now_ms = START_MS;
        let topic = &setting.wish.topic;
        let count = setting.menu.available_data.get(topic).copied().flatten();
        let is_one = setting.menu.datasets.contains_key(topic);
        let dataset = count.filter(|count| is_one && *count < 1_000).map(dataset);
        let offer = Arc::new(Offer { key: key(1), menu: setting.menu, policy: setting.seller });
        let randomness = SellerRandomness {
            challenge: keccak(&[b"challenge"]),
            session_key: Zeroizing::new([33; 32]),
            ephemeral: key(3),
            wrap_nonce: [7; 12],
        };
        let seller = Seller::new(offer.clone(), randomness, now_ms);
        let randomness = BuyerRandomness { encryption: key(4), nonce: keccak(&[b"nonce"]) };
        let buyer = Buyer::new(key(2), setting.wish, setting.buyer, randomness, now_ms);
        Pair {
            seller,
            buyer,
            s: Side::default(),
            b: Side::default(),
            now_ms,
            ledger: Vec::new(),
            ledger_down: false,
            never_final: false,
            stalled: BTreeSet::new(),
            blind: BTreeSet::new(),
            kept: Vec::new(),
            credits: Vec::new(),
            credit_room: Amount::new(u128::MAX),
            admits: Ok(Standing::default()),
            quoted: Some(offer.clone()),
            offer,
            raises: 0,
            replaced: Vec::new(),
            holds: Amount::new(u128::MAX),
            coming: Amount::ZERO,
            known: None,
            bond: None,
            vouches: 2,
            muted: None,
            read_max: usize::MAX,
            source: None,
            dataset,
            produced: 0,
            is_live: false,
            feeds_early: false,
            deposit: setting.deposit,
            base: setting.base,
            ceiling: setting.base,
            top_ups: Vec::new(),
            tops_up: false,
            shown: None,
            looks: 0,
            waiting: VecDeque::new(),
        }
    }

    /// Runs until nothing moves any more.
    pub fn run(&mut self) -> &mut Self {
        while self.step() {}
        self
    }

    /// Runs until the seller has sent so many items, or nothing moves.
    pub fn run_to(&mut self, items: u64) -> &mut Self {
        while self.seller.progress().items < items && self.step() {}
        self
    }

    /// The next deadline of either side.
    pub fn next_timeout(&self) -> Option<u64> {
        [self.seller.poll_timeout(), self.buyer.poll_timeout()].into_iter().flatten().min()
    }

    /// Lets time pass to the next deadline of either side and runs on.
    pub fn wait(&mut self) -> &mut Self {
        self.pass_time();
        self.run()
    }

    /// As [`Pair::wait`], and the source gives nothing.
    pub fn wait_without_feeding(&mut self) {
        self.pass_time();
        self.run_without_feeding();
    }

    /// From here on the seller offers this.
    pub fn offers(&mut self, menu: Menu) {
        let (key, policy) = (self.offer.key.clone(), self.offer.policy.clone());
        self.quoted = Some(Arc::new(Offer { key, menu, policy }));
    }

    /// The ledgers that stalled make final what they took.
    pub fn resume(&mut self) -> &mut Self {
        while self.settle_again() {}
        self.run()
    }

    /// Whether a stalled ledger took a payment and has not made it final.
    pub fn is_kept(&self, reference: Reference) -> bool {
        let is_it = |(role, record): &(Role, Record)| {
            *role == Role::Buyer && record.owed().is_some_and(|owed| owed.reference == reference)
        };
        self.kept.iter().any(is_it)
    }

    /// One thing that a stalled ledger took, and makes final now.
    pub fn settle_again(&mut self) -> bool {
        let is_well = |(_, record): &(Role, Record)| {
            record.owed().is_some_and(|owed| !self.stalled.contains(&owed.ledger))
        };
        let Some(at) = self.kept.iter().position(is_well) else { return false };
        let (role, record) = self.kept.remove(at);
        let owed = record.owed().expect("only what is owed is kept").clone();
        let (reference, tx) = match owed.act {
            Act::Do(_) => (owed.reference, tx_of(&owed.reference)),
            Act::Check(claim) => (owed.reference, claim.tx),
        };
        self.tell(role, Input::Met { reference, tx });
        true
    }

    pub fn pass_time(&mut self) {
        self.now_ms = self.next_timeout().expect("somebody waits").max(self.now_ms);
        self.seller.handle_timeout(self.now_ms);
        self.buyer.handle_timeout(self.now_ms);
    }

    /// As [`Pair::run`], and the source gives nothing.
    pub fn run_without_feeding(&mut self) {
        while self.step_without_feeding() {}
    }

    pub fn stop(&mut self, role: Role) -> &mut Self {
        let stop = Input::Stop(Reason::Stopped);
        match role {
            Role::Seller => self.seller.handle(stop, self.now_ms),
            Role::Buyer => self.buyer.handle(stop, self.now_ms),
        }
        self.run()
    }

    /// Gives the seller bytes that the buyer did not send.
    pub fn forge_to_seller(&mut self, bytes: &[u8]) -> &mut Self {
        self.seller.handle(Input::Read(bytes), self.now_ms);
        self.run()
    }

    /// One thing that can happen next, if any.
    pub fn step(&mut self) -> bool {
        self.step_without_feeding() || self.feed()
    }

    /// The seller says all that it may before its buyer hears any of it.
    pub fn run_ahead(&mut self) {
        while self.drain_outputs(Role::Seller) || self.settle_one() || self.feed() {}
    }

    /// As [`Pair::step`], and the source gives nothing.
    pub fn step_without_feeding(&mut self) -> bool {
        self.drain_outputs(Role::Seller)
            || self.drain_outputs(Role::Buyer)
            || self.settle_one()
            || self.carry(Role::Seller)
            || self.carry(Role::Buyer)
    }

    fn side(&mut self, role: Role) -> &mut Side {
        match role {
            Role::Seller => &mut self.s,
            Role::Buyer => &mut self.b,
        }
    }

    /// Whether the session is over on both sides.
    pub fn is_over(&self) -> bool {
        self.s.closed.is_some() && self.b.closed.is_some()
    }

    pub fn tell(&mut self, role: Role, input: Input<'_>) {
        match role {
            Role::Seller => self.seller.handle(input, self.now_ms),
            Role::Buyer => self.buyer.handle(input, self.now_ms),
        }
    }

    pub fn drain_outputs(&mut self, role: Role) -> bool {
        let output = match role {
            Role::Seller => self.seller.poll(),
            Role::Buyer => self.buyer.poll(),
        };
        let Some(output) = output else { return false };
        let is_asked =
            self.feeds_early && matches!((role, &output), (Role::Seller, Output::Record { .. }));
        self.take(role, output);
        if is_asked {
            self.feed();
        }
        true
    }

    /// Does what a side wants.
    pub fn take(&mut self, role: Role, output: Output) {
        let side = self.side(role);
        side.log.push(output.clone());
        match output {
            Output::Record { session, record } => {
                side.session = Some(session);
                if let Record::Reserved { to_seq } = *record {
                    let before = side.records.iter().rev().find_map(|record| match record {
                        Record::Reserved { to_seq } => Some(*to_seq),
                        _ => None,
                    });
                    assert!(before < Some(to_seq), "the journal takes no range that does not grow");
                }
                side.records.push((*record).clone());
                if record.owed().is_some() {
                    self.waiting.push_back((role, *record));
                }
            }
            Output::Send(bytes) => side.wire.extend(bytes),
            Output::Deliver { seq, item } => side.delivered.push((seq, item)),
            Output::Close { end, why, progress, again } => {
                side.closed = Some((end, why, progress));
                side.again = again;
            }
            Output::Admit { .. } => {
                let admitted = self.admits.clone();
                self.tell(role, Input::Admitted(admitted));
            }
            Output::Credit { currency, amount, .. } => {
                self.credits.push((currency, amount));
                let room = amount <= self.credit_room;
                let why = || format!("no room for {amount}");
                self.tell(role, Input::Credit(room.then_some(()).ok_or_else(why)));
            }
            Output::Quote => self.tell(role, Input::Offer(self.quoted.clone())),
            Output::Look { ledger: on, .. } if self.blind.contains(&on) => {}
            Output::Look { channel, .. } => {
                self.looks += 1;
                let view = self.view_of(channel);
                self.tell(role, Input::Channel(view));
            }
            Output::TopUp { amount, .. } => {
                self.top_ups.push(amount);
                if self.tops_up {
                    self.top_up();
                }
            }
            Output::Afford { amount, .. } => match amount > self.holds {
                true => {
                    let why = format!("too little for {amount}");
                    let is_coming = self.coming > Amount::ZERO;
                    self.tell(role, Input::NotFunded { why, is_coming });
                }
                false => self.tell(role, Input::Afforded),
            },
            Output::Rewind { .. } if self.is_live => {}
            Output::Rewind { skip } => self.produced = skip,
            Output::Paying(_)
            | Output::Join { .. }
            | Output::Unfunded { .. }
            | Output::Redial
            | Output::Resume { .. } => {}
            Output::Fund { ledger: on, .. } => {
                let (base, ceiling, deposit) = (self.base, self.ceiling, self.deposit);
                let id = if on == ledger() { 5 } else { 6 };
                let (channel, domain) = (ChannelId([id; 32]), domain());
                self.tell(role, Input::Funded { channel, domain, base, ceiling, deposit });
            }
        }
    }

    /// Tells a seller that was started anew what became of what its journal says to be owed.
    pub fn tell_outcomes(&mut self) {
        for reference in self.seller.awaited() {
            let is_it = |(_, record): &(Role, Record)| {
                record.owed().is_some_and(|owed| owed.reference == reference)
            };
            let is_open = |(role, record): &(Role, Record)| {
                *role == Role::Seller && is_it(&(*role, record.clone()))
            };
            if self.waiting.iter().any(is_open) || self.kept.iter().any(is_open) {
                continue;
            }
            let done = self.ledger.iter().find(|(done, ..)| *done == reference);
            if let Some((_, _, tx)) = done.cloned() {
                self.tell(Role::Seller, Input::Signed { reference, tx: tx.clone() });
                self.tell(Role::Seller, Input::Met { reference, tx });
            }
        }
    }

    /// The top-up that the buyer wanted last is done.
    pub fn top_up(&mut self) {
        let amount = *self.top_ups.last().expect("a top-up was wanted");
        self.deposit = self.deposit.checked_add(amount).unwrap();
        let deposit = self.deposit;
        let channel = ChannelId([5; 32]);
        self.tell(Role::Buyer, Input::ToppedUp { channel, deposit });
    }

    pub fn view(&self) -> ChannelView {
        self.view_of(ChannelId([5; 32]))
    }

    fn view_of(&self, id: ChannelId) -> ChannelView {
        let asset = if id == ChannelId([5; 32]) { coin() } else { token() };
        let channel = Channel {
            payer: key(2).public().account(),
            payee: key(1).public().account(),
            asset,
            signer: key(2).public().account(),
            deposit: self.shown.unwrap_or(self.deposit),
            settled: Amount::ZERO,
            close_requested_ms: None,
            finalized: false,
        };
        let amount = self.known.unwrap_or(self.base);
        let voucher = sdpp_ledger::Voucher { channel: id, amount };
        let signature = voucher.sign(&domain(), &key(self.vouches));
        let best = Some(Box::new(Voucher { cumulative_amount: amount, signature }));
        let (channel, domain, grace_ms) = (Some(channel), domain(), 10 * 60 * 1_000);
        ChannelView {
            id,
            channel,
            domain,
            best,
            busy: false,
            is_left: false,
            is_unwatched: false,
            lag_ms: 0,
            grace_ms,
            bond: self.bond.clone(),
        }
    }

    /// The ledger does one thing that is owed to it.
    pub fn settle_one(&mut self) -> bool {
        if self.ledger_down {
            return false;
        }
        let Some((role, record)) = self.waiting.pop_front() else {
            return false;
        };
        let owed = record.owed().expect("only what is owed waits").clone();
        let reference = owed.reference;
        let stalled = self.stalled.contains(&owed.ledger);
        if stalled {
            self.kept.push((role, record));
        }
        match owed.act {
            Act::Do(call) => {
                for raise in 0..self.raises {
                    let tx = raised(&reference, raise);
                    self.replaced.push(tx.clone());
                    self.tell(role, Input::Signed { reference, tx });
                }
                let tx = tx_of(&reference);
                self.ledger.push((reference, call, tx.clone()));
                self.tell(role, Input::Signed { reference, tx: tx.clone() });
                if !self.never_final && !stalled {
                    self.tell(role, Input::Met { reference, tx });
                }
            }
            Act::Check(claim)
                if stalled || self.never_final || self.replaced.contains(&claim.tx) => {}
            Act::Check(claim) => {
                let paid = self.ledger.iter().any(|(_, call, tx)| {
                    *tx == claim.tx && matches!(call, Call::Transfer(t) if *t == claim.transfer)
                });
                let tx = claim.tx;
                let answer = if paid {
                    Input::Met { reference, tx }
                } else {
                    Input::Refused { reference, why: "there is no such payment".to_owned() }
                };
                self.tell(role, answer);
            }
        }
        true
    }

    pub fn carry(&mut self, from: Role) -> bool {
        if self.muted == Some(from) {
            return false;
        }
        let read_max = self.read_max;
        let wire = &mut self.side(from).wire;
        let bytes: Vec<u8> = wire.drain(..wire.len().min(read_max)).collect();
        if bytes.is_empty() {
            return false;
        }
        match from {
            Role::Seller => self.tell(Role::Buyer, Input::Read(&bytes)),
            Role::Buyer => self.tell(Role::Seller, Input::Read(&bytes)),
        }
        true
    }

    pub fn feed(&mut self) -> bool {
        let wants = self.seller.wants();
        if wants == 0 {
            return false;
        }
        let items: Vec<Vec<u8>> = match self.source {
            Some(0) => {
                self.tell(Role::Seller, Input::SourceEnded);
                return true;
            }
            Some(left) => (0..wants.min(left).min(3)).map(|i| self.item(i)).collect(),
            None => (0..wants.min(3)).map(|i| self.item(i)).collect(),
        };
        self.produced += items.len() as u64;
        self.source = self.source.map(|left| left - items.len() as u64);
        match &self.dataset {
            None => self.tell(Role::Seller, Input::Items(items)),
            Some(tree) => {
                let first = self.produced - items.len() as u64;
                let row = |(at, item)| {
                    let path = tree.prove(first as usize + at).expect("it is in the dataset").path;
                    Row { item, path }
                };
                let rows = items.into_iter().enumerate().map(row).collect();
                self.tell(Role::Seller, Input::Rows(rows));
            }
        }
        true
    }

    fn item(&self, ahead: u64) -> Vec<u8> {
        item(self.produced + ahead + 1)
    }

    /// What the ledgers moved to the seller by transfers of an asset.
    pub fn transferred_of(&self, asset: &Asset) -> u128 {
        let of = |(_, call, _): &(Reference, Call, TxId)| match call {
            Call::Transfer(transfer) if transfer.asset == *asset => transfer.amount.units(),
            _ => 0,
        };
        self.ledger.iter().map(of).sum()
    }

    /// What the ledger moved to the seller by transfers.
    pub fn transferred(&self) -> Amount {
        self.ledger.iter().fold(Amount::ZERO, |sum, (_, call, _)| match call {
            Call::Transfer(transfer) => sum.checked_add(transfer.amount).unwrap(),
            _ => sum,
        })
    }
}

pub fn item(seq: u64) -> Vec<u8> {
    format!("{{\"ppm\":{seq}}}").into_bytes()
}

/// The tree over the first so many items of a source.
pub fn dataset(count: u64) -> merkle::Tree {
    merkle::Tree::over((1..=count).map(|seq| dataset_leaf(&keccak(&[&item(seq)]))).collect())
}

pub fn domain() -> Domain {
    let contract: Account = "0x00000000000000000000000000000000000000aa".parse().unwrap();
    Domain { chain_id: 7, contract }
}

pub fn tx_of(reference: &Reference) -> TxId {
    keccak(&[b"tx", &reference.0]).to_string().parse().unwrap()
}

/// What a transaction was called before its fee was raised once more.
pub fn raised(reference: &Reference, raise: u8) -> TxId {
    keccak(&[b"tx", &reference.0, &[raise]]).to_string().parse().unwrap()
}

/// The messages in what a side sent, by type.
pub fn sent(side: &Side) -> Vec<serde_json::Value> {
    let bytes: Vec<u8> = side
        .log
        .iter()
        .filter_map(|output| if let Output::Send(bytes) = output { Some(bytes) } else { None })
        .flatten()
        .copied()
        .collect();
    String::from_utf8(bytes)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

pub fn types(side: &Side) -> Vec<String> {
    sent(side).iter().map(|m| m["message_type"].as_str().unwrap().to_owned()).collect()
}

/// What the buyer's journal has of an item, and the item.
pub fn complaint(pair: &Pair, seq: u64) -> Complain {
    let of_window = |record: &Record| match record {
        Record::Invoice { message, from_seq, to_seq, leaves, .. }
            if (*from_seq..=*to_seq).contains(&seq) =>
        {
            Some((message.number, *from_seq, leaves.as_slice().to_vec()))
        }
        _ => None,
    };
    let window = pair.b.records.iter().find_map(of_window);
    let (invoice, from_seq, leaves) = window.expect("the item is invoiced");
    let reason = Complaint::Wrong;
    Complain { seq, reason, amount: None, item: item(seq), invoice, from_seq, leaves }
}

/// Runs until the buyer has taken so many invoices.
pub fn run_to_invoice(pair: &mut Pair, number: usize) {
    let is_invoice = |record: &&Record| matches!(record, Record::Invoice { .. });
    while pair.b.records.iter().filter(is_invoice).count() < number {
        assert!(pair.step(), "so many windows are not invoiced");
    }
}
