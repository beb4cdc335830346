//! From an order to terms: everything that can be wrong with it, said before anything is owed.

use super::purse::Purse;
use super::{Counter, Offer, SellerPolicy, SellerRandomness};
use crate::door::Shut;
use crate::message::{
    BondOffer, Code, ENCODING, Envelope, Hello, Menu, Moment, Order, VERSION, Voucher, terms,
};
use crate::record::SignedMessage;
use crate::session::{BondView, ChannelView, Fault, Output, Outputs};
use crate::standing::Standing;
use crate::terms::{InEscrow, Role, SessionId, Terms};
use sdpp_ledger::bond::Held;
use sdpp_ledger::{Account, Amount, Bond, BondId, Channel, PublicKey};

/// An order that fits the menu.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) terms: Terms,
    pub(super) menu: SignedMessage,
    pub(super) order: SignedMessage,
    pub(super) encryption: PublicKey,
    pub(super) randomness: SellerRandomness,
    /// Both sides go on over another connection when this one breaks.
    pub(super) resumes: bool,
    /// Where payments come from.
    pub(super) payer: Account,
    pub(super) purse: Option<Purse>,
    /// What earlier sessions say of the buyer, where somebody was asked.
    pub(super) standing: Option<Standing>,
    pub(super) deadline_ms: u64,
    /// The bond that the menu asks for.
    asks: Option<BondOffer>,
}

/// Checks a hello: something in common must be there.
pub(super) fn speaks(hello: &Hello, menu: &Menu) -> Result<(), Fault> {
    let common = match hello {
        Hello::Plain(text) => text.is_empty(),
        Hello::Speaks(choice) => {
            menu.versions.iter().any(|v| choice.versions.contains(v))
                && menu.encodings.iter().any(|e| choice.encodings.contains(e))
        }
    };
    if common {
        return Ok(());
    }
    Err(Fault::theirs(Code::Version, format!("this seller speaks {VERSION} with {ENCODING}")))
}

/// An order that we do not take breaks no rule.
pub(super) fn shut(shut: Shut) -> Fault {
    let code = match shut {
        Shut::OnCredit(_) => Code::Credit,
        Shut::Altogether(_) => Code::OrderRefused,
    };
    Fault { code, ..Fault::ours(shut.why()) }
}

/// Checks an order against this connection's menu.
pub(super) fn accept(
    offer: &Offer,
    counter: &Counter,
    envelope: &Envelope<'_>,
    now_ms: u64,
) -> Result<Accepted, Fault> {
    let key = envelope.unproven::<Order>()?.public_key_signature;
    let verified = envelope.signed_by::<Order>(&key, SessionId::NONE)?;
    let message = verified.message.ok_or_else(|| Fault::ours("an order without its signature"))?;
    let order = verified.body;
    offer.policy.door.let_in(&order.public_key_signature).map_err(shut)?;
    check_menu(&order, counter, now_ms)?;
    let terms = terms(&counter.menu, &order, &message.data_digest)
        .map_err(|(code, why)| Fault::theirs(code, why))?;
    check_terms(&terms, &counter.menu)?;
    if message.data.is_none() {
        return Err(Fault::theirs(Code::OrderRefused, "the order is too long to be kept"));
    }
    let currency = &terms.currency;
    let asks = counter.menu.currency(&currency.name, currency.method).and_then(|offer| offer.bond);
    Ok(Accepted {
        asks,
        terms,
        menu: counter.message.clone(),
        order: message,
        encryption: order.public_key_encryption,
        randomness: counter.randomness.clone(),
        resumes: order.resumes && counter.menu.resume_ms.is_some(),
        payer: order.address,
        purse: None,
        standing: None,
        deadline_ms: now_ms + offer.policy.patience_ms,
    })
}

/// The order answers this connection's menu, in time, in a language that both speak.
fn check_menu(order: &Order, counter: &Counter, now_ms: u64) -> Result<(), Fault> {
    if order.menu_digest != counter.message.data_digest {
        return Err(Fault::theirs(Code::MenuExpired, "the order answers another menu"));
    }
    if now_ms >= counter.menu.expires_at.0 {
        let why = format!("the menu was good until {}; ask for a new one", counter.menu.expires_at);
        return Err(Fault::theirs(Code::MenuExpired, why));
    }
    if order.version != VERSION || order.encoding != ENCODING {
        let why = format!("this seller speaks {VERSION} with {ENCODING}");
        return Err(Fault::theirs(Code::Version, why));
    }
    let seller = &counter.menu.public_key;
    if order.public_key_signature == *seller || order.public_key_encryption == *seller {
        let why = "the buyer's keys must not be the seller's";
        return Err(Fault::theirs(Code::OrderRefused, why));
    }
    if order.public_key_encryption == order.public_key_signature {
        let why = "the key for encryption must be fresh, not the one that signs";
        return Err(Fault::theirs(Code::OrderRefused, why));
    }
    Ok(())
}

/// There is enough of it, and the bill can be written.
fn check_terms(terms: &Terms, menu: &Menu) -> Result<(), Fault> {
    let available = menu.available_data.get(&terms.topic).copied().flatten();
    let quantity = terms.quantity;
    if quantity == Some(0) {
        return Err(Fault::theirs(Code::Quantity, "an order of no items"));
    }
    if let (Some(wanted), Some(there)) = (quantity, available)
        && wanted > there
    {
        let why = format!("{wanted} items of {} were ordered, there are {there}", terms.topic);
        return Err(Fault::theirs(Code::Quantity, why));
    }
    let offer = menu.currency(&terms.currency.name, terms.currency.method);
    if let Some(why) = offer.and_then(|offer| offer.limits.refuse(terms)) {
        return Err(Fault::theirs(Code::Quantity, why));
    }
    match terms.owed_for(quantity.unwrap_or(u64::from(u32::MAX))) {
        Some(Amount::ZERO) if terms.price != Amount::ZERO => {
            let why = "the price of this order rounds to nothing: order more";
            Err(Fault::theirs(Code::OrderRefused, why))
        }
        Some(_) => Ok(()),
        None => Err(Fault::theirs(Code::Quantity, "the price of this order passes 128 bits")),
    }
}

impl Accepted {
    /// What must be looked at before the session begins.
    pub(super) fn look(&self) -> Option<Output> {
        let escrow = self.terms.escrow.as_ref()?;
        let (ledger, channel) = (self.terms.currency.ledger.clone(), escrow.channel);
        let (signer, bond) = (self.terms.buyer.account(), self.terms.bond.map(|bond| bond.id));
        Some(Output::Look { ledger, channel, signer, bond })
    }

    /// Takes the channel, if it can pay for this session. Where its bond waits for our part, and for
    /// nothing else, that is asked for, and the order may come again.
    pub(super) fn check_channel(
        &mut self,
        view: ChannelView,
        policy: &SellerPolicy,
        out: &mut Outputs,
    ) -> Result<(), Fault> {
        let bond = view.bond.clone();
        if let Some(bonded) = self.terms.bond {
            if bond.is_none() && policy.joins.contains(&self.terms.currency.name) {
                // The buyer's own node may be some blocks ahead of ours.
                let why = format!("bond {}: our ledger does not show it as final yet", bonded.id);
                return Err(Fault { code: Code::Busy, ..Fault::ours(why) });
            }
            let refused =
                |why| Fault::theirs(Code::OrderRefused, format!("bond {}: {why}", bonded.id));
            let bond = self.check_bond(bond.as_deref(), policy).map_err(refused)?;
            check_period(Role::Seller, bond.period_ms, policy.outage_ms, view.lag_ms)
                .map_err(refused)?;
            check_answered(&self.terms, bond.held.answered, view.best.as_deref())
                .map_err(refused)?;
        }
        self.purse = Some(check_channel(view, &self.terms, &self.payer, policy)?);
        match bond.filter(|bond| !bond.held.is_good).zip(self.terms.bond) {
            Some((bond, bonded)) => Err(self.join(*bond, bonded.id, out)),
            None => Ok(()),
        }
    }

    /// Has our part of a bond pledged, where that was not refused. Why the order waits for it.
    fn join(&self, view: BondView, id: BondId, out: &mut Outputs) -> Fault {
        if let Some(why) = view.unjoined {
            let why = format!("bond {id}: {why}");
            return Fault { code: Code::OrderRefused, ..Fault::ours(why) };
        }
        out.push(Output::Join { ledger: self.terms.currency.ledger.clone(), bond: id });
        let why = format!(
            "bond {id}: our part of it is asked for: order again when its ledger shows that as final"
        );
        Fault { code: Code::Busy, ..Fault::ours(why) }
    }

    /// Whether the bond is for this channel and both keys, no less than is asked for, and in force, or
    /// lacks what we pledge by ourselves.
    fn check_bond<'v>(
        &self,
        view: Option<&'v BondView>,
        policy: &SellerPolicy,
    ) -> Result<&'v BondView, String> {
        let Some(view) = view else {
            return Err("its ledger has no such bond, or not final yet".to_owned());
        };
        let BondView { bond, held, .. } = view;
        let (terms, currency) = (&self.terms, &self.terms.currency);
        let channel = terms.escrow.map(|escrow| escrow.channel);
        if Some(bond.channel) != channel || bond.asset != currency.asset {
            return Err(format!("it is for channel {} in {}", bond.channel, bond.asset));
        }
        if bond.buyer != self.payer || bond.seller != currency.payee {
            return Err("it is not between the accounts that pay and are paid here".to_owned());
        }
        if [&bond.buyer_key, &bond.seller_key] != [&terms.buyer.account(), &terms.seller.account()]
        {
            return Err("it answers for other keys than those that sign here".to_owned());
        }
        let Some(BondOffer { buyer, seller, stake, fee }) = self.asks else {
            return Err("none is offered".to_owned());
        };
        if bond.buyer_amount < buyer || bond.seller_amount < seller {
            return Err(format!("{buyer} of the buyer's and {seller} of ours are asked for"));
        }
        if bond.stake != stake || bond.fee != fee {
            return Err(format!("a stake of {stake} and a fee of {fee} are asked for"));
        }
        if policy.joins.contains(&currency.name) && held.waits_for_seller() {
            // Whoever opened it wrote what it takes of us.
            let ours = format!("it takes {} of us, and we pledge {seller}", bond.seller_amount);
            return if bond.seller_amount == seller { Ok(view) } else { Err(ours) };
        }
        match hindrance(bond, held) {
            Some(why) => Err(format!("it is not in force: {why}")),
            None => Ok(view),
        }
    }
}

/// The channel that these terms name, if it can pay for them.
pub(super) fn check_channel(
    view: ChannelView,
    terms: &Terms,
    payer: &Account,
    policy: &SellerPolicy,
) -> Result<Purse, Fault> {
    let Some(escrow) = &terms.escrow else {
        return Err(Fault::ours("a channel was looked at that nobody named"));
    };
    if view.is_unwatched {
        let why = "this seller cannot watch channels on their ledger just now: try again later";
        return Err(Fault { code: Code::Busy, ..Fault::ours(why) });
    }
    if view.busy {
        let why = "the channel serves another session just now";
        return Err(Fault::theirs(Code::ChannelBusy, why));
    }
    let Some(channel) = view.channel else {
        let why = format!("the ledger has no channel {}, or not final yet", escrow.channel);
        return Err(Fault::theirs(Code::Channel, why));
    };
    if view.is_left {
        let why = format!("channel {} is about to be closed", escrow.channel);
        return Err(Fault::theirs(Code::Channel, why));
    }
    let InEscrow { channel: id, base } = *escrow;
    let bad = |why| Fault::theirs(Code::Channel, format!("channel {id}: {why}"));
    check(&channel, terms, payer).map_err(bad)?;
    check_grace(view.grace_ms, policy.outage_ms, view.lag_ms).map_err(bad)?;
    check_base(base, channel.settled, view.best)
        .map_err(|(why, voucher)| Fault { voucher, ..bad(why) })?;
    let (domain, signer) = (view.domain, channel.signer);
    let when = policy.settling(&terms.currency.name);
    Ok(Purse::new(id, domain, signer, base, channel.deposit, when))
}

/// Whether what is vouched can still be had when its payer asks to close while we are away: half
/// of the grace period to be back and to hear of it, the other half for the ledger to take it.
fn check_grace(grace_ms: u64, outage_ms: u64, lag_ms: u64) -> Result<(), String> {
    if grace_ms >= outage_ms.saturating_add(lag_ms).saturating_mul(2) {
        return Ok(());
    }
    let (grace_s, outage_s) = (grace_ms / 1_000, outage_ms / 1_000);
    let lag_s = lag_ms.div_ceil(1_000);
    Err(format!(
        "its grace period is {grace_s} s, we may be away for {outage_s} s and hear of a request to \
         close {lag_s} s late"
    ))
}

/// What was paid in public is vouched too, also where its voucher did not come to us yet.
fn check_answered(terms: &Terms, answered: Amount, best: Option<&Voucher>) -> Result<(), String> {
    let base = terms.escrow.map_or(Amount::ZERO, |escrow| escrow.base);
    // A larger voucher that is shown says it better.
    let is_shown = best.is_some_and(|best| best.cumulative_amount > base);
    if base >= answered || is_shown {
        return Ok(());
    }
    Err(format!(
        "the order's base is {base}, and {answered} was paid when it was asked for in public"
    ))
}

/// Whether a complaint that comes while we are away can still be answered, in as much of the time for
/// answers as [`check_grace`] leaves of a grace period. What a buyer answers with may have to wait until
/// something else is final: its request to close taken back, or leave for a token.
///
/// # Errors
/// Why not, as a sentence.
pub fn check_period(role: Role, period_ms: u64, outage_ms: u64, lag_ms: u64) -> Result<(), String> {
    let (late_ms, waits) = match role {
        Role::Seller => (lag_ms, ""),
        Role::Buyer => (lag_ms.saturating_mul(2), ", and what goes before an answer takes as long"),
    };
    if period_ms >= outage_ms.saturating_add(late_ms).saturating_mul(2) {
        return Ok(());
    }
    let (period_s, outage_s) = (period_ms / 1_000, outage_ms / 1_000);
    let lag_s = lag_ms.div_ceil(1_000);
    Err(format!(
        "its complaints are answered within {period_s} s, we may be away for {outage_s} s and hear of \
         one {lag_s} s late{waits}"
    ))
}

/// Whether an order's base is what was vouched on its channel, or more: what the buyer pays is
/// voucher less base, so a larger one costs it and nobody else. A smaller one can be an honest
/// buyer's that crashed: its own voucher shows it.
fn check_base(
    base: Amount,
    settled: Amount,
    best: Option<Box<Voucher>>,
) -> Result<(), (String, Option<Box<Voucher>>)> {
    let shown = best.filter(|best| best.cumulative_amount > base);
    let known = shown.as_ref().map_or(settled, |best| best.cumulative_amount.max(settled));
    if base >= known {
        return Ok(());
    }
    let why = format!("the order's base is {base}, the last amount vouched is {known}");
    Err((why, shown))
}

/// Whether a channel is good for these terms.
fn check(channel: &Channel, terms: &Terms, payer: &Account) -> Result<(), String> {
    let currency = &terms.currency;
    if channel.finalized || channel.close_requested_ms.is_some() {
        return Err("it is closed, or its payer asked to close it".to_owned());
    }
    if channel.payee != currency.payee || channel.asset != currency.asset {
        return Err(format!("it pays {} in {}, not us", channel.payee, channel.asset));
    }
    if channel.signer != terms.buyer.account() || channel.payer != *payer {
        return Err("its vouchers are not signed by the key of this order".to_owned());
    }
    let base = terms.escrow.map_or(Amount::ZERO, |escrow| escrow.base);
    let first = terms.quantity.unwrap_or(u64::MAX).min(terms.granularity.into());
    let first = terms.owed_for(first).and_then(|one| one.checked_add(base));
    if first.is_none_or(|first| first > channel.deposit) {
        return Err(format!("its deposit {} does not cover one window", channel.deposit));
    }
    Ok(())
}

/// Why no session may begin under a bond; none where one may.
pub fn hindrance(bond: &Bond, held: &Held) -> Option<String> {
    if held.is_good && !held.is_complained_of() {
        return None;
    }
    let Held { of_buyer, of_seller, .. } = held;
    let left = |side: &str, left: &Amount, agreed: &Amount| {
        format!(
            "of the {side}'s {agreed} there are {left} left: `sdpp ledger bond add` fills that up"
        )
    };
    let until = |ms: u64| Moment(ms).to_string();
    Some(if held.revoked {
        "its pledge was taken back".to_owned()
    } else if let Some(ends_ms) = held.ends_ms {
        match of_buyer.saturating_add(*of_seller) {
            Amount::ZERO => "it is over, and nothing is in it any more".to_owned(),
            _ => format!("its end was asked for, with complaints until {}", until(ends_ms)),
        }
    } else if !held.buyer_in {
        "its buyer has not pledged, or that is not final yet".to_owned()
    } else if !held.seller_in {
        "its seller has not pledged, or that is not final yet".to_owned()
    } else if let Some(until_ms) = held.challenged_until_ms {
        format!("a complaint waits, for its seller's answer until {}", until(until_ms))
    } else if let Some(until_ms) = held.demanded_until_ms {
        format!("a complaint waits, for its buyer's payment until {}", until(until_ms))
    } else if *of_buyer < bond.buyer_amount {
        left("buyer", of_buyer, &bond.buyer_amount)
    } else if *of_seller < bond.seller_amount {
        left("seller", of_seller, &bond.seller_amount)
    } else {
        "its channel is closed, or is to be".to_owned()
    })
}
