//! `sdpp bench judge`: how long the judge takes over a bundle of many windows, beside what the bare
//! verification of the signatures in it takes in the same run.

use super::setting::{Setting, Spread};
use crate::actors::random_key;
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::out;
use crate::crypto::layout::MessageKind;
use crate::dispute::{Body, Bundle, Keys, LedgerWords, judge};
use crate::message::{
    Base64, Cumulative, CurrencyOffer, DataInvoice, Draft, ENCODING, Exit as Farewell, Invoice,
    Menu, Moment, Order, OrderLimits, PaymentAck, Reason, VERSION,
};
use crate::record::SignedMessage;
use crate::terms::{Method, Purpose, Rate, Role, SessionId};
use clap::Args;
use sdpp_ledger::{Account, Amount, Asset, Digest, Key, PublicKey, keccak};
use serde::Serialize;
use std::collections::BTreeMap;
use std::num::NonZero;
use std::thread;
use std::time::Instant;

/// How long the judge may take.
const SECONDS_AT_MOST: f64 = 10.0;

/// K.
const GRANULARITY: u32 = 10;

/// The item that an invoice brings along, sealed, in bytes.
const ITEM_BYTES: usize = 116;

/// Judge a session of many windows by both sides' bundles.
///
/// The session is made up, signed and written first; then both files are read and judged. In each
/// run the same signatures are verified by themselves, on as many cores: what the judge takes
/// beyond that is its own.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sdpp bench judge --windows 10000 --runs 5")]
pub(super) struct Judge {
    /// How many windows the session has.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    windows: u64,
    /// How many runs.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=100))]
    runs: u8,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

/// All that was measured.
#[derive(Serialize)]
struct Figures {
    setting: Setting,
    windows: u64,
    signatures: usize,
    bundle_bytes: usize,
    /// Seconds to read one file, its own signature included.
    read: Spread,
    /// Seconds to judge one bundle.
    judge_one: Spread,
    /// Seconds to judge both.
    judge_both: Spread,
    /// Seconds to verify as many signatures and do nothing else.
    bound: Spread,
    /// Whether reading and judging both took no longer than they may, in each run.
    within_bound: bool,
}

impl Judge {
    /// Runs it.
    pub(super) fn run(self) -> Outcome {
        let new_key = || random_key().map_err(|error| Failure::new(Exit::Failed, error));
        let (seller, buyer) = (new_key()?, new_key()?);
        let body = Session::new(&seller, &buyer)?.play(self.windows)?;
        let bundles = [(Role::Seller, &seller), (Role::Buyer, &buyer)].map(|(role, key)| {
            let ledgers = LedgerWords { word_of: role, ..body.ledgers.clone() };
            Bundle::sign(Body { role, ledgers, ..body.clone() }, key)
        });
        let (mut read, mut one, mut both, mut bound) = (vec![], vec![], vec![], vec![]);
        let keys = Keys { seller: Some(seller.public()), buyer: Some(buyer.public()) };
        let files = bundles.map(|bundle| bundle.write());
        for _ in 0..self.runs {
            let (bundles, took) = timed(|| files.iter().map(|file| Bundle::parse(file)).collect());
            let bundles: Result<Vec<Bundle>, _> = bundles;
            let bundles = bundles.map_err(|error| Failure::new(Exit::Failed, error))?;
            read.push(took / 2.0);
            for (bundles, into) in [(&bundles[..1], &mut one), (&bundles[..], &mut both)] {
                let (verdict, took) = timed(|| judge(bundles, &keys));
                let verdict = verdict.map_err(|error| Failure::new(Exit::Failed, error))?;
                if !verdict.debts.is_empty() || verdict.misdeeds > 0 {
                    return Err(Failure::new(Exit::Failed, verdict.sentence()));
                }
                into.push(took);
            }
            bound.push(timed(|| verify(&body.messages, &seller.public(), &buyer.public())).1);
        }
        let within = |(read, judged): (&f64, &f64)| 2.0 * read + judged <= SECONDS_AT_MOST;
        let figures = Figures {
            setting: Setting::here(),
            windows: self.windows,
            signatures: body.messages.len(),
            bundle_bytes: files[0].len(),
            within_bound: read.iter().zip(&both).all(within),
            read: Spread::of(read),
            judge_one: Spread::of(one),
            judge_both: Spread::of(both),
            bound: Spread::of(bound),
        };
        if self.json { out::json(&figures) } else { figures.tell() }
    }
}

impl Figures {
    fn tell(&self) -> Outcome {
        let Figures { windows, signatures, bundle_bytes, .. } = self;
        out::line(self.setting.line())?;
        out::line(format_args!(
            "{windows} windows, {signatures} signatures, {bundle_bytes} bytes a bundle\n"
        ))?;
        out::table(&[
            ["seconds", "median", "min", "max"].map(str::to_owned),
            self.read.row("to read a bundle", 3),
            self.judge_one.row("to judge by one", 3),
            self.judge_both.row("to judge by both", 3),
            self.bound.row("to verify the signatures and nothing else", 3),
        ])?;
        let holds = if self.within_bound { "holds" } else { "does not hold" };
        out::line(format_args!(
            "\n\"two bundles read and judged within {SECONDS_AT_MOST} s\": {holds}"
        ))
    }
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let began = Instant::now();
    let done = work();
    (done, began.elapsed().as_secs_f64())
}

/// Verifies each message by its signer's key, on all cores. Gives how many are good.
fn verify(messages: &[SignedMessage], seller: &PublicKey, buyer: &PublicKey) -> usize {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let good = |messages: &[SignedMessage]| {
        let is_good = |message: &&SignedMessage| {
            let key = if message.kind == MessageKind::PaymentAck { buyer } else { seller };
            key.verify(&message.digest(), &message.signature)
        };
        messages.iter().filter(is_good).count()
    };
    thread::scope(|scope| {
        let parts = messages.chunks(messages.len().div_ceil(cores).max(1));
        let parts: Vec<_> = parts.map(|part| scope.spawn(move || good(part))).collect();
        parts.into_iter().filter_map(|part| part.join().ok()).sum()
    })
}

/// A session that is made up: every message is one that the real sides sign.
struct Session<'k> {
    seller: &'k Key,
    buyer: &'k Key,
    menu: SignedMessage,
    order: SignedMessage,
    id: SessionId,
    payee: Account,
}

impl<'k> Session<'k> {
    fn new(seller: &'k Key, buyer: &'k Key) -> Outcome<Session<'k>> {
        let payee = seller.public().account();
        let menu = Draft::new(SessionId::NONE, &menu(seller, &payee)?);
        let order = Order {
            version: VERSION.to_owned(),
            encoding: ENCODING.to_owned(),
            data_type: "lines".to_owned(),
            order_quantity: None,
            price: None,
            currency_type: "SDP".to_owned(),
            method: Method::Transfer,
            address: buyer.public().account(),
            public_key_signature: buyer.public(),
            public_key_encryption: buyer.public(),
            menu_digest: menu.data_digest(),
            nonce: Digest::ZERO,
            escrow: None,
            resumes: false,
            bond: None,
        };
        let order = Draft::new(SessionId::NONE, &order);
        let id = SessionId::of(&menu.data_digest(), &order.data_digest());
        let (menu, order) = (menu.sign(seller, "").0, order.sign(buyer, "").0);
        Ok(Session { seller, buyer, menu, order, id, payee })
    }

    /// So many windows, each paid, and the seller's exit.
    fn play(self, windows: u64) -> Outcome<Body> {
        let mut messages = Vec::new();
        let mut digest = self.id.0;
        for number in 1..=windows {
            digest = keccak(&[&digest.0]);
            let to = number * u64::from(GRANULARITY);
            messages.push(self.invoice(number, to, digest));
            let ack = Cumulative { seq: to, digest };
            let amount_total = Amount::new(to.into());
            let payment = PaymentAck { number, from: None, amount_total, ack, voucher: None };
            let tx = keccak(&[b"tx", &number.to_be_bytes()]).to_string();
            messages.push(Draft::new(self.id, &payment).sign(self.buyer, &tx).0);
        }
        let items = windows * u64::from(GRANULARITY);
        let total = Amount::new(items.into());
        let exit = Farewell {
            reason: Reason::Stopped,
            items,
            amount_total: total,
            paid_total: total,
            anchored: Vec::new(),
            channel: None,
            legs: Vec::new(),
            bonded: false,
        };
        messages.push(Draft::new(self.id, &exit).sign(self.seller, "").0);
        Ok(Body {
            session: self.id,
            role: Role::Seller,
            exported_at: Moment(0),
            menu: self.menu,
            order: self.order,
            messages,
            voucher: None,
            more_vouchers: Vec::new(),
            proofs: Vec::new(),
            strays: Vec::new(),
            ledgers: LedgerWords { word_of: Role::Seller, acts: Vec::new(), channel: Vec::new() },
        })
    }

    fn invoice(&self, number: u64, to: u64, digest: Digest) -> SignedMessage {
        let amount = Amount::new(GRANULARITY.into());
        let amount_total = Amount::new(to.into());
        let invoice = Invoice {
            number,
            from: to + 1 - u64::from(GRANULARITY),
            to,
            amount,
            amount_total,
            paid_total: amount_total.saturating_sub(amount),
            currency: "SDP".to_owned(),
            payment_address: self.payee.clone(),
            digest,
            root: keccak(&[b"root", &digest.0]),
            reference: self.id.reference(Purpose::Payment, number),
            due_at: Moment(0),
            rate: None,
            pace: None,
        };
        let (body, leaf) = (Some(Base64(vec![7; ITEM_BYTES])), Some(digest));
        let message =
            DataInvoice { seq: to, body, leaf, path: None, invoice, anchored: Vec::new() };
        Draft::new(self.id, &message).sign(self.seller, "").0
    }
}

fn menu(seller: &Key, payee: &Account) -> Outcome<Menu> {
    let ledger = "sdpp:bench".parse();
    let ledger = ledger.map_err(|error| Failure::new(Exit::Failed, error))?;
    let offer = CurrencyOffer {
        currency: "SDP".to_owned(),
        symbol: "SDP".to_owned(),
        decimals: 6,
        ledger,
        asset: Asset::coin(),
        method: Method::Transfer,
        payment_address: payee.clone(),
        rate: Rate::ONE,
        quote: None,
        finality: "final".to_owned(),
        limits: OrderLimits::default(),
        bond: None,
    };
    Ok(Menu {
        versions: vec![VERSION.to_owned()],
        encodings: vec![ENCODING.to_owned()],
        public_key: seller.public(),
        challenge: Digest::ZERO,
        available_data: BTreeMap::from([("lines".to_owned(), None)]),
        datasets: BTreeMap::new(),
        prices: BTreeMap::from([("lines".to_owned(), Amount::new(1))]),
        special_prices: Vec::new(),
        prices_by_buyer: false,
        unknown_by_escrow: false,
        units: BTreeMap::new(),
        default_currency: "SDP".to_owned(),
        currencies_accepted: vec![offer],
        payment_granularity: GRANULARITY,
        credit_windows: 1,
        payments_together: false,
        payment_address: payee.clone(),
        signature_required: true,
        records: None,
        resume_ms: None,
        expires_at: Moment(0),
    })
}
