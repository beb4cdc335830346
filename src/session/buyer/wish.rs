//! What a buyer wants and brings, and what of a menu it takes.

use crate::message::{Code, CurrencyOffer, ENCODING, Menu, Order, VERSION, legible, terms};
use crate::session::Fault;
use crate::settling;
use crate::terms::{Agreed, Currency, Method, Terms};
use sdpp_ledger::{Account, Amount, Asset, Bond, BondId, Digest, Key, LedgerId, PublicKey};
use std::collections::BTreeMap;

/// What is wanted, and at what price at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// The topic.
    pub topic: String,
    /// How many items; `None` for as many as there are.
    pub quantity: Option<u64>,
    /// The currencies that we have, the best first.
    pub currencies: Vec<PinnedCurrency>,
    /// The most that the session may cost, in the chosen currency's smallest unit, where that
    /// one's own ceiling is not less.
    pub max_total: Option<Amount>,
    /// The seller's key; `None` trusts whoever answers.
    pub seller: Option<PublicKey>,
    /// The bond that the session must be under, where one is wanted.
    pub bond: Option<UnderBond>,
    /// The root of the dataset that the topic must be, where it must.
    pub dataset: Option<Digest>,
}

/// A currency as our own config has it: a menu that says otherwise is not believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedCurrency {
    /// Its name in menus.
    pub name: String,
    /// The ledger that it lives on.
    pub ledger: LedgerId,
    /// What it is there.
    pub asset: Asset,
    /// What people write behind an amount.
    pub symbol: String,
    /// How many decimals a whole coin has.
    pub decimals: u8,
    /// How we pay in it.
    pub method: Method,
    /// Our account there.
    pub account: Account,
    /// The most that a session may cost in it, in its smallest unit; `None` for no end.
    pub max_total: Option<Amount>,
    /// How we fund channels in it, and leave them.
    pub channels: ChannelPlan,
}

/// A bond that we want to be served under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnderBond {
    /// Its id.
    pub id: BondId,
    /// The bond, as its ledger has it.
    pub bond: Bond,
    /// Whether its ledger shows both parts of it, to both sides. Else its seller hears of it by our order,
    /// and nothing begins yet.
    pub is_in_force: bool,
}

impl UnderBond {
    /// Why it does not answer for an order that is paid from a channel.
    pub(super) fn refuse(&self, menu: &Menu, order: &Order) -> Option<String> {
        let UnderBond { id, bond, .. } = self;
        let channel = order.escrow.as_ref().map(|escrow| escrow.channel);
        let offer = menu.currency(&order.currency_type, order.method);
        let payee = offer.map(|offer| &offer.payment_address);
        if channel != Some(bond.channel) {
            return Some(format!("bond {id} is for channel {}: another would pay", bond.channel));
        }
        let parties = [&bond.buyer, &bond.seller];
        if parties != [&order.address, payee.unwrap_or(&bond.buyer)] {
            return Some(format!("bond {id} is not between who pays and who is paid here"));
        }
        let keys = [&bond.buyer_key, &bond.seller_key];
        let signers = [order.public_key_signature.account(), menu.public_key.account()];
        (keys != [&signers[0], &signers[1]])
            .then(|| format!("bond {id} answers for other keys than those that sign here"))
    }
}

impl Wish {
    /// The most that a session may cost that is paid in this currency of ours.
    pub(super) fn ceiling(&self, ours: &PinnedCurrency) -> Option<Amount> {
        [ours.max_total, self.max_total].into_iter().flatten().min()
    }

    /// Why a topic with this root, or with none, is not the dataset that is wanted.
    pub(super) fn refuse(&self, named: Option<&Digest>) -> Option<String> {
        let wanted = self.dataset.filter(|wanted| named != Some(wanted))?;
        let named = named.map_or("none".to_owned(), Digest::to_string);
        Some(format!("the dataset {wanted} is wanted, the seller names {named}"))
    }
}

/// How channels are funded and left. Amounts are in the asset's smallest unit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChannelPlan {
    /// What a new channel is funded with, and what a top-up adds, at least. Zero: a new one is
    /// funded with what the session must have, and none is topped up while a session runs.
    pub deposit: Amount,
    /// A channel is topped up when less than this is left of its deposit. At the least, and where
    /// this is `None`: when less is left than may be out on credit and one more window.
    pub top_up_below: Option<Amount>,
    /// The channel stays open for the next session.
    pub keep: bool,
}

/// How a buyer behaves.
#[derive(Debug, Clone)]
pub struct BuyerPolicy {
    /// How long to wait for the peer or an anchor, in milliseconds.
    pub patience_ms: u64,
    /// How long a connection that broke is made again, in milliseconds, where the seller keeps the
    /// session for as long; `None` where a session ends with its connection.
    pub resume_ms: Option<u64>,
    /// Where orders are anchored; `None` when they are not.
    pub records: Option<LedgerId>,
    /// The order waits for its anchor's transaction and names it.
    pub anchor_before: bool,
    /// The order's anchor waits for the session's end.
    pub hold_records: bool,
    /// The longest line taken, in bytes.
    pub frame_bytes_max: usize,
    /// How far the seller's clock may be off, in milliseconds.
    pub clock_skew_ms: u64,
    /// The largest K that we order under: so many leaves are kept until a window is invoiced. The
    /// shell's default is 100,000.
    pub granularity_max: u32,
    /// When invoices by transfer are paid that one payment may pay together, by the currency's name.
    /// Each at once where none is given.
    pub settling: BTreeMap<String, settling::Policy>,
    /// How long a payment may take to be final, in milliseconds, before the seller is asked to be paid
    /// in the next of our currencies; never where there is none.
    pub fail_over_after_ms: Option<u64>,
    /// By how many thousandths the rate of a currency that we turn to may be above the menu's. The
    /// shell's default is 50.
    pub rate_slack_permille: u64,
}

/// What a buyer's session is told instead of drawing it.
#[derive(Debug)]
pub struct BuyerRandomness {
    /// The fresh key that the session's key is wrapped to.
    pub encryption: Key,
    /// The order's nonce.
    pub nonce: Digest,
}

/// Whether this menu is one that we can order from at all.
pub(super) fn check_menu(
    menu: &Menu,
    wish: &Wish,
    policy: &BuyerPolicy,
    now_ms: u64,
) -> Result<(), Fault> {
    let bad = |code, why: String| Err(Fault::theirs(code, why));
    if let Some(known) = wish.seller
        && known != menu.public_key
    {
        let why = format!("this seller's key is {}, expected {known}", menu.public_key);
        return bad(Code::BadSignature, why);
    }
    if !menu.versions.iter().any(|v| v == VERSION) || !menu.encodings.iter().any(|e| e == ENCODING)
    {
        return bad(Code::Version, format!("the seller does not speak {VERSION} with {ENCODING}"));
    }
    let latest = now_ms + Menu::LIFETIME_MS_MAX + policy.clock_skew_ms;
    if menu.expires_at.0 + policy.clock_skew_ms < now_ms || menu.expires_at.0 > latest {
        let why = format!("the menu is good until {}, which is no good now", menu.expires_at);
        return bad(Code::MenuExpired, why);
    }
    if menu.payment_granularity == 0 || menu.credit_windows == 0 {
        return bad(Code::OrderRefused, "the menu's K or W is zero".to_owned());
    }
    if menu.payment_granularity > policy.granularity_max {
        let (k, max) = (menu.payment_granularity, policy.granularity_max);
        return bad(Code::OrderRefused, format!("the menu's K is {k}, we take {max} at most"));
    }
    if let Some(why) = wish.refuse(menu.datasets.get(&wish.topic)) {
        return Err(Fault { code: Code::OrderRefused, ..Fault::ours(why) });
    }
    Ok(())
}

/// What the menu says of a currency of ours, if it has that exactly as we know it, at a rate that is
/// what its quote says and that is offered at `now_ms`.
///
/// # Errors
/// What the menu has instead, as the end of a sentence; `None` where it has nothing of the name.
pub(super) fn offered<'a>(
    menu: &'a Menu,
    ours: &PinnedCurrency,
    now_ms: u64,
) -> Result<&'a CurrencyOffer, Option<String>> {
    let offer = menu.currency(&ours.name, ours.method).ok_or(None)?;
    match difference(ours, offer).or_else(|| no_quote(offer, now_ms)) {
        None => Ok(offer),
        Some(what) => Err(Some(what)),
    }
}

/// No currency of ours is on the menu. `differences` says what it has of those names.
pub(super) fn nothing_in_common(menu: &Menu, differences: &[String]) -> Fault {
    let offered: Vec<String> = menu
        .currencies_accepted
        .iter()
        .map(|offer| format!("{} by {} on {}", offer.currency, offer.method, offer.ledger))
        .collect();
    let offered = legible(&offered.join(", "));
    let differences: String = differences.iter().map(|what| format!("; {what}")).collect();
    let why = format!("no currency in common: the seller takes {offered}{differences}");
    Fault { code: Code::UnknownCurrency, ..Fault::ours(why) }
}

/// Why a rate does not stand by its quote, where it has one.
pub(super) fn no_quote(offer: &CurrencyOffer, now_ms: u64) -> Option<String> {
    let quote = offer.quote.as_ref()?;
    if !offer.is_as_quoted() {
        return Some("a rate that its quote does not make".to_owned());
    }
    let expires_at = quote.expires_at;
    (expires_at.0 < now_ms).then(|| format!("a quote that was good until {expires_at}"))
}

pub(super) fn difference(ours: &PinnedCurrency, offer: &CurrencyOffer) -> Option<String> {
    if offer.ledger != ours.ledger {
        return Some(format!("ledger {}, ours is {}", offer.ledger, ours.ledger));
    }
    if offer.asset != ours.asset {
        return Some(format!("asset {}, ours is {}", offer.asset, ours.asset));
    }
    if offer.symbol != ours.symbol {
        return Some(format!("symbol {}, ours is {}", offer.symbol, ours.symbol));
    }
    if offer.decimals != ours.decimals {
        return Some(format!("{} decimals, ours has {}", offer.decimals, ours.decimals));
    }
    (offer.rate.denominator == Amount::ZERO).then(|| "a rate over zero".to_owned())
}

/// So many items can be out before we could say that it is enough: on credit, and what is free before that.
pub(super) fn out_at_first(terms: &Terms) -> u64 {
    let agreed = Agreed::new(terms);
    agreed.credited_to(0, agreed.pace(1))
}

/// What the order would bind us to: everything that we would refuse to pay is found here. `ceiling`
/// is the most that it may cost, `room` what the channel has for us, where there is one already.
pub(super) fn check_order(
    menu: &Menu,
    order: &Order,
    ceiling: Option<Amount>,
    room: Option<Amount>,
) -> Result<Terms, Fault> {
    let ours = |(code, why)| Fault { code, ..Fault::ours(why) };
    let terms = terms(menu, order, &Digest::ZERO).map_err(ours)?;
    let there = menu.available_data.get(&terms.topic).copied().flatten();
    if let (Some(wanted), Some(there)) = (terms.quantity, there)
        && wanted > there
    {
        let why = format!("{wanted} items of {} are wanted, there are {there}", terms.topic);
        return Err(ours((Code::Quantity, why)));
    }
    if terms.quantity == Some(0) {
        return Err(ours((Code::Quantity, "an order of no items".to_owned())));
    }
    let at_first = out_at_first(&terms);
    let wanted = (terms.quantity.unwrap_or(at_first), "our ceiling", ceiling);
    let at_once = (at_first, "the channel's room", room);
    for (items, what, max) in [wanted, at_once] {
        let Some(cost) = terms.owed_for(items) else {
            let why = "the price of this order passes 128 bits".to_owned();
            return Err(ours((Code::Quantity, why)));
        };
        if let Some(max) = max.filter(|max| cost > *max) {
            let Currency { name, decimals, .. } = &terms.currency;
            let [cost, max] = [cost, max].map(|amount| amount.to_decimal(*decimals));
            let why = format!("{items} items cost {cost} {name}, {what} is {max}");
            return Err(ours((Code::OrderRefused, why)));
        }
    }
    let offer = menu.currency(&terms.currency.name, terms.currency.method);
    if let Some(why) = offer.and_then(|offer| offer.limits.refuse(&terms)) {
        // Another currency may have others.
        return Err(ours((Code::OrderRefused, why)));
    }
    Ok(terms)
}
