//! `sdpp buy --dry-run`: what it would cost in each of our currencies, and in which it would be paid.
//! The seller is asked for its menu, and hears who asks only where it has prices for single buyers;
//! ledgers are asked and nothing is signed.

use super::spending::{left_today, limit, pinned, spending, spent_today};
use super::{Buy, bonded, policy, seller_key};
use crate::actors::funds::lack;
use crate::actors::now_ms;
use crate::audit::Spent;
use crate::cli::book::Book;
use crate::cli::dial::host_port;
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::holdings::named;
use crate::cli::tls::Believing;
use crate::cli::{menu, out};
use crate::config::ledgers::{Keyring, Opened};
use crate::config::{Buyer as BuyerConfig, Config, Spending};
use crate::journal::{OpenChannel, PAGE_MAX};
use crate::message::{Menu, Quoted, legible};
use crate::rates::FIXED;
use crate::record::Act;
use crate::session::{Bid, PinnedCurrency, Wish, bids};
use crate::terms::{Method, Role, Terms};
use sdpp_ledger::{
    Amount, Anchor, Approve, Asset, Call, Digest, Ledger, LedgerError, Open, PublicKey, Reference,
    Transfer,
};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How long a seller may take to show its menu.
const MENU_WAIT: Duration = Duration::from_secs(10);

/// What it would cost in one currency by one method.
#[derive(Debug, Serialize)]
struct Line {
    currency: String,
    method: Method,
    ledger: String,
    /// What the items cost, in the smallest unit and for people.
    cost: Amount,
    cost_text: String,
    /// The same in the currency that the prices are in.
    in_default: Option<Amount>,
    /// The rate, and where it is from.
    rate: Option<String>,
    sources: Vec<String>,
    /// What our account pays the ledgers for it, as things stand.
    fees: Vec<Fee>,
    /// What goes into a new channel; `None` where one of ours has room, or where none is needed.
    deposit: Option<Amount>,
    /// What may be spent in the session, and today.
    ceiling: Option<Amount>,
    left_today: Option<Amount>,
    /// What our account can pay with.
    spendable: Option<Amount>,
    chosen: bool,
    /// Why it is the one, or why it is not.
    why: String,
}

/// A fee.
#[derive(Debug, Serialize)]
struct Fee {
    /// What for.
    of: &'static str,
    times: u64,
    /// For one, in the smallest unit of the ledger's coin; `None` where the ledger cannot tell yet.
    each: Option<Amount>,
    text: String,
}

/// What is asked.
struct Till<'a> {
    config: &'a Config,
    opened: BTreeMap<&'a str, Result<Opened, Failure>>,
    book: Option<Book>,
    spent: Spent,
    signer: PublicKey,
}

pub(super) async fn show(ask: &Buy, config: &Config, buyer: &BuyerConfig) -> Outcome {
    let known = seller_key(ask, buyer)?;
    let spending = bonded::allowed(spending(ask, buyer)?, ask.bond.as_ref())?;
    let mut keys = Keyring::default();
    let signer = keys.open(&config.identity)?.public();
    let believing = Believing::of(buyer, host_port(&ask.address));
    let menu = menu::ask(&ask.address, &believing, MENU_WAIT, Some(signer)).await?;
    let opened = open(config, &spending, &mut keys).await;
    let mut book = Book::find(&config.journal.dir)?;
    let spent = match &mut book {
        Some(book) => spent_today(&spending, None, |query| book.ask(query))?,
        None => Spent::since(0),
    };
    let till = Till { config, opened, book, spent, signer };
    let wish = till.wish(ask, &spending, known)?;
    let bids = bids(&menu, &wish, &policy(config, None), &signer, now_ms());
    let bids = bids.map_err(|why| Failure::new(Exit::Peer, format!("{}: {why}", ask.address)))?;
    let mut lines = Vec::new();
    for bid in &bids {
        let is_free = !lines.iter().any(|line: &Line| line.chosen);
        lines.push(till.line(bid, &spending, is_free).await);
    }
    lines.extend(till.away(&spending));
    tell(ask, &menu, &bids, &lines)
}

/// The ledgers that it is paid on, and where our orders are anchored. One that is not there takes its
/// currencies with it, and no others.
async fn open<'a>(
    config: &'a Config,
    spending: &[&Spending],
    keys: &mut Keyring,
) -> BTreeMap<&'a str, Result<Opened, Failure>> {
    let mut opened = BTreeMap::new();
    for name in config.ledgers.keys() {
        let is_paid_on = spending.iter().any(|one| {
            config.currencies.get(&one.currency).is_some_and(|currency| currency.ledger == *name)
        });
        if is_paid_on || config.records.as_ref().is_some_and(|records| records.ledger == *name) {
            let one = Opened::open(config, name, keys).await;
            opened.insert(name.as_str(), one.map_err(Failure::from));
        }
    }
    opened
}

impl Till<'_> {
    fn ledger(&self, name: &str) -> Option<&Arc<dyn Ledger>> {
        self.opened.get(name)?.as_ref().ok().map(Opened::ledger)
    }

    fn wish(&self, ask: &Buy, spending: &[&Spending], seller: Option<PublicKey>) -> Outcome<Wish> {
        let mut currencies = pinned(self.config, spending, |name| self.ledger(name))?;
        limit(&mut currencies, spending, &self.spent);
        let (topic, quantity) = (ask.topic.clone(), ask.quantity.0);
        let (max_total, dataset) = (ask.max_total, ask.dataset);
        Ok(Wish { topic, quantity, currencies, max_total, seller, bond: None, dataset })
    }

    /// One currency by one method. It is chosen where `is_free`, and nothing speaks against it.
    async fn line(&self, bid: &Bid, spending: &[&Spending], is_free: bool) -> Line {
        let ours = &bid.ours;
        let of = spending.iter().find(|of| of.currency == ours.name);
        let left_today = of.and_then(|of| left_today(of, self.spent.of(&ours.ledger, &ours.asset)));
        let money =
            |amount: Amount| format!("{} {}", amount.to_decimal(ours.decimals), ours.symbol);
        let mut line = Line {
            currency: ours.name.clone(),
            method: ours.method,
            ledger: ours.ledger.to_string(),
            cost: bid.cost,
            cost_text: money(bid.cost),
            in_default: bid.offer.as_ref().map(|offer| offer.rate.in_default(bid.cost)),
            rate: None,
            sources: Vec::new(),
            fees: Vec::new(),
            deposit: None,
            ceiling: ours.max_total,
            left_today,
            spendable: None,
            chosen: false,
            why: String::new(),
        };
        if let Some(offer) = &bid.offer {
            line.rate = Some(format!("{} for {}", offer.rate.numerator, offer.rate.denominator));
            let quoted = offer.quote.iter().flat_map(|quote| &quote.sources);
            line.sources = quoted.map(told_by).collect();
        }
        let Some(ledger) = self.ledger_of(bid) else { return line };
        line.spendable = ledger.spendable(&ours.asset).await.ok();
        if let (Some(terms), None) = (&bid.terms, &bid.why_not) {
            line.deposit = self.deposit(bid, terms);
            line.fees = self.fees(ledger.as_ref(), bid, terms, line.deposit).await;
        }
        let needed = match ours.method {
            Method::Transfer => Some(bid.cost),
            Method::Escrow => line.deposit,
        };
        line.why = match (&bid.why_not, needed) {
            (Some(why), _) => why.clone(),
            // One of our channels has room, and its deposit is there already.
            (None, None) => String::new(),
            (None, Some(needed)) => not_funded(ledger.as_ref(), &ours.asset, needed).await,
        };
        line.chosen = line.why.is_empty() && is_free;
        if line.chosen {
            line.why =
                "the first that the seller takes, our ceilings allow and our account can pay"
                    .to_owned();
        } else if line.why.is_empty() {
            line.why = "would do; another comes first".to_owned();
        }
        line
    }

    fn ledger_of(&self, bid: &Bid) -> Option<&Arc<dyn Ledger>> {
        let currency = self.config.currencies.get(&bid.ours.name)?;
        self.ledger(&currency.ledger)
    }

    /// What a new channel would be funded with; `None` where one of ours has room enough.
    fn deposit(&self, bid: &Bid, terms: &Terms) -> Option<Amount> {
        if bid.ours.method != Method::Escrow {
            return None;
        }
        let room = self.rooms(terms).into_iter().max();
        let is_new = room.is_none_or(|room| room < bid.cost);
        is_new.then(|| bid.cost.max(bid.ours.channels.deposit))
    }

    /// What our open channels to this seller have left, where the journal is not open elsewhere.
    fn rooms(&self, terms: &Terms) -> Vec<Amount> {
        let Some(Book::Ours(journal)) = &self.book else { return Vec::new() };
        let reader = journal.reader();
        let fits = |one: &OpenChannel| {
            let opening = one.watched.opening.as_ref()?;
            let row = reader.obligation(opening).ok()??;
            let Act::Do(Call::Open(open)) = row.owed.act else { return None };
            let wanted = (&terms.currency.ledger, &terms.currency.payee, &terms.currency.asset);
            ((&row.owed.ledger, &open.payee, &open.asset) == wanted).then_some(())
        };
        let page = reader.open_channels(None, PAGE_MAX).unwrap_or_default();
        let ours = page.into_iter().filter(|one| {
            one.watched.side == Role::Buyer && one.watched.may_open() && fits(one).is_some()
        });
        ours.map(|one| one.watched.deposit.saturating_sub(one.vouched)).collect()
    }

    /// What our account pays its ledgers for the session.
    async fn fees(
        &self,
        ledger: &dyn Ledger,
        bid: &Bid,
        terms: &Terms,
        deposit: Option<Amount>,
    ) -> Vec<Fee> {
        let on =
            self.config.currencies.get(&bid.ours.name).map(|currency| currency.ledger.as_str());
        let on = on.unwrap_or_default();
        let mut fees = Vec::new();
        let (asset, payee) = (&terms.currency.asset, &terms.currency.payee);
        match (bid.ours.method, deposit) {
            (Method::Transfer, _) => {
                let windows = bid.items.div_ceil(u64::from(terms.granularity).max(1));
                let amount = terms.owed_for(bid.items.min(u64::from(terms.granularity)));
                let reference = Reference([1; 32]);
                let amount = amount.unwrap_or_default();
                let (to, asset) = (payee.clone(), asset.clone());
                let call = Call::Transfer(Transfer { to, asset, amount, reference });
                fees.push(self.fee(ledger, on, ("paying a window", windows), &call).await);
            }
            (Method::Escrow, Some(deposit)) => {
                let escrow = ledger.escrow();
                if let Some(escrow) = escrow
                    && matches!(escrow.needs_approval(asset, deposit).await, Ok(true))
                {
                    let call = Call::Approve(Approve { asset: asset.clone() });
                    fees.push(self.fee(ledger, on, ("the escrow's leave", 1), &call).await);
                }
                let (payee, asset) = (payee.clone(), asset.clone());
                let salt = Digest([7; 32]);
                let signer = Some(self.signer.account()).filter(|s| s != ledger.account());
                let call = Call::Open(Open { payee, asset, deposit, salt, signer });
                fees.push(self.fee(ledger, on, ("opening a channel", 1), &call).await);
            }
            (Method::Escrow, None) => {}
        }
        if let Some(records) = &self.config.records
            && let Some(ledger) = self.ledger(&records.ledger)
        {
            let (reference, digest) = (Reference([1; 32]), Digest([7; 32]));
            let call = Call::Anchor(Anchor::One { reference, digest });
            let what = ("anchoring the order", 1);
            fees.push(self.fee(ledger.as_ref(), &records.ledger, what, &call).await);
        }
        fees
    }

    async fn fee(
        &self,
        ledger: &dyn Ledger,
        on: &str,
        (of, times): (&'static str, u64),
        call: &Call,
    ) -> Fee {
        let each = ledger.cost(call).await;
        let times_text = if times == 1 { String::new() } else { format!("{times} times ") };
        let text = match &each {
            Ok(each) if *each == Amount::ZERO => format!("{of}: {times_text}nothing"),
            Ok(each) => {
                let coin = named(self.config, on, &Asset::coin());
                format!("{of}: {times_text}{}", coin.money(*each))
            }
            // It may be there, and unable to tell what would come of what is not so yet.
            Err(LedgerError::Unavailable { what, .. }) => {
                format!("{of}: {times_text}not known yet: {what}")
            }
            Err(error) => format!("{of}: {times_text}not known: {error}"),
        };
        Fee { of, times, each: each.ok(), text }
    }

    /// Currencies whose ledger is not there.
    fn away(&self, spending: &[&Spending]) -> Vec<Line> {
        let mut lines = Vec::new();
        for of in spending {
            let Some(currency) = self.config.currencies.get(&of.currency) else { continue };
            let Some(Err(failure)) = self.opened.get(currency.ledger.as_str()) else { continue };
            for method in &currency.methods {
                lines.push(Line {
                    currency: of.currency.clone(),
                    method: *method,
                    ledger: currency.ledger.clone(),
                    cost: Amount::ZERO,
                    cost_text: "-".to_owned(),
                    in_default: None,
                    rate: None,
                    sources: Vec::new(),
                    fees: Vec::new(),
                    deposit: None,
                    ceiling: Some(of.max_total),
                    left_today: None,
                    spendable: None,
                    chosen: false,
                    why: failure.why.clone(),
                });
            }
        }
        lines
    }
}

/// Who says a rate, and when.
fn told_by(one: &Quoted) -> String {
    match one.source.as_str() {
        FIXED => "the seller, fixed".to_owned(),
        source => format!("{} at {}", legible(source), one.at),
    }
}

/// Why our account cannot pay so much; empty where it can.
async fn not_funded(ledger: &dyn Ledger, asset: &Asset, needed: Amount) -> String {
    match lack(ledger, asset, needed).await {
        Ok(None) => String::new(),
        Ok(Some(lack)) => lack.to_string(),
        Err(LedgerError::Unavailable { .. }) => format!("{} does not answer", ledger.id()),
        Err(error) => error.to_string(),
    }
}

fn tell(ask: &Buy, menu: &Menu, bids: &[Bid], lines: &[Line]) -> Outcome {
    let chosen = lines.iter().find(|line| line.chosen);
    let counted = bids.iter().map(|bid| bid.items).max().unwrap_or_default();
    if ask.json {
        out::json(&serde_json::json!({
            "seller": menu.public_key,
            "topic": ask.topic,
            "quantity": ask.quantity.0,
            "items": counted,
            "price": menu.prices.get(&ask.topic),
            "default_currency": menu.default_currency,
            "granularity": menu.payment_granularity,
            "credit_windows": menu.credit_windows,
            "choices": lines,
            "chosen": chosen.map(|line| serde_json::json!({
                "currency": line.currency, "method": line.method,
            })),
        }))?;
    } else {
        heading(ask, menu, counted)?;
        table(bids, lines)?;
    }
    if chosen.is_none() {
        let all: Vec<String> = lines.iter().map(|l| format!("{}: {}", l.currency, l.why)).collect();
        let why = format!("nothing would be ordered: {}", all.join("; "));
        return Err(Failure::new(Exit::Failed, why));
    }
    Ok(())
}

fn heading(ask: &Buy, menu: &Menu, counted: u64) -> Outcome {
    out::line(format_args!("seller   {}", menu.public_key))?;
    let items = match ask.quantity.0 {
        Some(items) => format!("{items} items"),
        None => format!("all items; counted are the {counted} that may be out on credit"),
    };
    out::line(format_args!("order    {items} of {}", ask.topic))?;
    let of = menu.currencies_accepted.iter().find(|one| one.currency == menu.default_currency);
    let decimals = of.map_or(0, |of| of.decimals);
    if let Some(price) = menu.prices.get(&ask.topic) {
        let (price, currency) = (price.to_decimal(decimals), legible(&menu.default_currency));
        out::line(format_args!("price    {price} {currency} for one"))?;
    }
    let (k, w) = (menu.payment_granularity, menu.credit_windows);
    out::line(format_args!("windows  K = {k} items, W = {w} unpaid\n"))
}

fn table(bids: &[Bid], lines: &[Line]) -> Outcome {
    let mut rows = vec![["", "currency", "by", "cost", "rate", "can pay"].map(str::to_owned)];
    for line in lines {
        let is_of =
            |one: &&PinnedCurrency| (&one.name, one.method) == (&line.currency, line.method);
        let ours = bids.iter().map(|bid| &bid.ours).find(is_of);
        let whole = |amount: Amount| match ours {
            Some(ours) => format!("{} {}", amount.to_decimal(ours.decimals), ours.symbol),
            None => amount.to_string(),
        };
        rows.push([
            if line.chosen { "->" } else { "" }.to_owned(),
            line.currency.clone(),
            line.method.to_string(),
            if line.rate.is_some() { line.cost_text.clone() } else { "-".to_owned() },
            line.rate.clone().unwrap_or_else(|| "-".to_owned()),
            line.spendable.map_or("-".to_owned(), whole),
        ]);
    }
    out::table(&rows)?;
    for line in lines {
        out::line(format_args!(
            "\n{} by {} on {}: {}",
            line.currency, line.method, line.ledger, line.why
        ))?;
        line.sources.iter().try_for_each(|one| out::line(format_args!("  rate by {one}")))?;
        line.fees.iter().try_for_each(|fee| out::line(format_args!("  fee for {}", fee.text)))?;
        let ours = bids.iter().map(|bid| &bid.ours).find(|one| one.name == line.currency);
        let Some(ours) = ours else { continue };
        let money =
            |amount: Amount| format!("{} {}", amount.to_decimal(ours.decimals), ours.symbol);
        if let Some(deposit) = line.deposit {
            out::line(format_args!(
                "  deposit of {} in a new channel, whose rest comes back",
                money(deposit)
            ))?;
        }
        if let Some(left) = line.left_today {
            out::line(format_args!("  {} may still be spent today (UTC)", money(left)))?;
        }
    }
    Ok(())
}
