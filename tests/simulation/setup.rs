//! What a world begins with: who is there, what is sold, and what will go wrong when.

use crate::dice::Dice;
use sdpp::door::{Debtors, Door};
use sdpp::message::{CurrencyOffer, Menu, Moment, OrderLimits, RecordsOffer};
use sdpp::session::{BuyerPolicy, ChannelPlan, PinnedCurrency, SellerPolicy, Wish};
use sdpp::terms::{Method, Rate};
use sdpp_ledger::{Account, Amount, Asset, Digest, Key, LedgerId};
use std::collections::BTreeMap;

pub const START_MS: u64 = 1_767_225_600_000;

/// How long either side keeps a session without a line, where sessions outlive their lines.
const RESUME_MS: u64 = 8_000;

/// How long they wait for each other.
const PATIENCE_MS: u64 = 10_000;

/// Where the seller is found.
pub const ADDRESS: &str = "the seller";

/// The file that an errand's items go to.
pub fn file(errand: usize) -> String {
    format!("errand {errand}")
}

/// What one world is like.
pub struct Setup {
    pub menu: Menu,
    pub door: Door,
    pub anchor_before: bool,
    pub resumes: bool,
    pub keeps_channels: bool,
    pub hurries: bool,
    /// What each buyer is sent for.
    pub errands: Vec<Errand>,
    pub buyers: usize,
    /// A buyer whose account somebody else empties.
    pub poor: Option<usize>,
}

/// A buyer is sent for items, until it has come back with them or was sent often enough.
#[derive(Clone)]
pub struct Errand {
    /// The buyer's node.
    pub node: usize,
    pub quantity: u64,
    pub method: Method,
    /// On which of the ledgers it pays.
    pub ledger: usize,
    pub at_ms: u64,
    pub tries: u32,
    pub is_over: bool,
}

pub fn key(node: usize) -> Key {
    Key::from_bytes(&[u8::try_from(node + 1).unwrap(); 32]).unwrap()
}

pub fn ledger_id(ledger: usize) -> LedgerId {
    ["sdpp:first", "sdpp:second"][ledger].parse().unwrap()
}

pub fn asset(ledger: usize) -> Asset {
    if ledger == 0 { Asset::coin() } else { "oth".parse().unwrap() }
}

fn name(ledger: usize) -> String {
    ["SDP", "OTH"][ledger].to_owned()
}

impl Setup {
    pub fn new(dice: &mut Dice) -> Setup {
        let buyers = 1 + dice.place(1);
        let mut errands = Vec::new();
        for _ in 0..dice.within(1, 3) {
            errands.push(Errand {
                node: 1 + dice.place(buyers - 1),
                quantity: dice.within(1, 9),
                method: if dice.one_in(2) { Method::Escrow } else { Method::Transfer },
                ledger: dice.place(1),
                at_ms: START_MS + dice.below(1_500),
                tries: 0,
                is_over: false,
            });
        }
        let (is_signed, resumes) = (dice.one_in(3), !dice.one_in(3));
        let (granularity, credit_windows) = (dice.within(1, 3), dice.within(1, 2));
        let mut menu = menu(is_signed, u32::try_from(granularity).unwrap());
        menu.credit_windows = u32::try_from(credit_windows).unwrap();
        menu.resume_ms = resumes.then_some(RESUME_MS);
        if dice.one_in(2) {
            menu.records = None;
        }
        let debtors = if dice.one_in(2) { Debtors::Refuse } else { Debtors::Credit };
        Setup {
            menu,
            door: Door { debtors, ..Door::default() },
            anchor_before: dice.one_in(3),
            resumes,
            keeps_channels: dice.one_in(2),
            hurries: dice.one_in(2),
            errands,
            buyers,
            poor: dice.one_in(6).then(|| 1 + dice.place(buyers - 1)),
        }
    }

    pub fn seller_policy(&self) -> SellerPolicy {
        SellerPolicy {
            patience_ms: PATIENCE_MS,
            finality_ms: 10 * PATIENCE_MS,
            menu_lifetime_ms: 60_000,
            outage_ms: 60_000,
            settling: BTreeMap::new(),
            credit_up_to: BTreeMap::new(),
            pace: None,
            joins: Default::default(),
            fail_over: false,
            asks_credit: false,
            door: self.door.clone(),
            asks_admission: true,
            anchor_before: self.anchor_before,
            hold_records: self.hurries,
            frame_bytes_max: 1 << 20,
            item_bytes_max: 1 << 16,
            unacknowledged_bytes_max: 256 << 10,
        }
    }

    pub fn buyer_policy(&self) -> BuyerPolicy {
        BuyerPolicy {
            patience_ms: PATIENCE_MS,
            resume_ms: self.resumes.then_some(RESUME_MS),
            records: self.menu.records.as_ref().map(|records| records.ledger.clone()),
            anchor_before: self.anchor_before,
            hold_records: self.hurries,
            frame_bytes_max: 1 << 20,
            clock_skew_ms: 1_000,
            granularity_max: 1_000,
            settling: BTreeMap::new(),
            fail_over_after_ms: None,
            rate_slack_permille: 50,
        }
    }

    /// What a buyer asks the seller for.
    pub fn wish(&self, errand: &Errand, account: Account) -> Wish {
        let name = name(errand.ledger);
        let deposit = Amount::new(if self.keeps_channels { 60 } else { 0 });
        let pinned = PinnedCurrency {
            symbol: name.clone(),
            name,
            ledger: ledger_id(errand.ledger),
            asset: asset(errand.ledger),
            decimals: 6,
            method: errand.method,
            account,
            max_total: None,
            channels: ChannelPlan { deposit, top_up_below: None, keep: self.keeps_channels },
        };
        Wish {
            topic: "co2".to_owned(),
            quantity: Some(errand.quantity),
            currencies: vec![pinned],
            max_total: None,
            seller: Some(key(0).public()),
            bond: None,
            dataset: None,
        }
    }
}

/// `co2`, at 4 a reading; on the second ledger three of its units count as two.
fn menu(is_signed: bool, granularity: u32) -> Menu {
    let payee = key(0).public().account();
    let rate = |ledger| match ledger {
        0 => Rate::ONE,
        _ => Rate { numerator: Amount::new(3), denominator: Amount::new(2) },
    };
    let offer = |ledger, method| CurrencyOffer {
        currency: name(ledger),
        symbol: name(ledger),
        decimals: 6,
        ledger: ledger_id(ledger),
        asset: asset(ledger),
        method,
        payment_address: payee.clone(),
        rate: rate(ledger),
        quote: None,
        finality: "final".to_owned(),
        limits: OrderLimits::default(),
        bond: None,
    };
    let both = |ledger| [offer(ledger, Method::Transfer), offer(ledger, Method::Escrow)];
    Menu {
        versions: vec!["SDPP/1".to_owned()],
        encodings: vec!["json".to_owned()],
        public_key: key(0).public(),
        challenge: Digest::ZERO,
        available_data: BTreeMap::from([("co2".to_owned(), None)]),
        datasets: BTreeMap::new(),
        prices: BTreeMap::from([("co2".to_owned(), Amount::new(4))]),
        special_prices: Vec::new(),
        prices_by_buyer: false,
        unknown_by_escrow: false,
        units: BTreeMap::new(),
        default_currency: name(0),
        currencies_accepted: [both(0), both(1)].concat(),
        payment_granularity: granularity,
        credit_windows: 1,
        payments_together: false,
        payment_address: payee.clone(),
        signature_required: is_signed,
        records: Some(RecordsOffer {
            ledger: ledger_id(0),
            batch: "each".to_owned(),
            anchor: "after".to_owned(),
        }),
        resume_ms: None,
        expires_at: Moment(0),
    }
}
