//! What an order would come to in each of our currencies, for whoever wants to see the bill before
//! there is a session. Nothing is signed for it, and nobody hears of it.

use super::wish::{self, BuyerPolicy, PinnedCurrency, Wish};
use crate::message::{CurrencyOffer, ENCODING, EscrowChoice, Menu, Order, VERSION};
use crate::terms::{Method, Terms};
use sdpp_ledger::{Amount, Digest, PublicKey};

/// What an order would come to in a currency of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bid {
    /// Which, and how it would be paid.
    pub ours: PinnedCurrency,
    /// What the menu says of it, where it has it exactly as we know it.
    pub offer: Option<CurrencyOffer>,
    /// What both sides would sign.
    pub terms: Option<Terms>,
    /// How many items are counted: what is ordered or, of a stream without an end, what may be out on
    /// credit.
    pub items: u64,
    /// What they cost, in the currency's smallest unit.
    pub cost: Amount,
    /// Why nothing can be ordered in it.
    pub why_not: Option<String>,
}

/// What an order would come to under a menu, in each of our currencies, in our order of preference:
/// a session takes the first without a `why_not` that our account can pay.
///
/// # Errors
/// Why nothing can be ordered under this menu at all, as a sentence.
pub fn bids(
    menu: &Menu,
    wish: &Wish,
    policy: &BuyerPolicy,
    buyer: &PublicKey,
    now_ms: u64,
) -> Result<Vec<Bid>, String> {
    wish::check_menu(menu, wish, policy, now_ms).map_err(|fault| fault.why)?;
    let latest_ms = now_ms.saturating_sub(policy.clock_skew_ms);
    let bid = |ours: &PinnedCurrency| bid(menu, wish, ours, buyer, latest_ms);
    Ok(wish.currencies.iter().map(bid).collect())
}

fn bid(menu: &Menu, wish: &Wish, ours: &PinnedCurrency, buyer: &PublicKey, latest_ms: u64) -> Bid {
    let (ours, none) = (ours.clone(), Amount::ZERO);
    let mut bid = Bid { ours, offer: None, terms: None, items: 0, cost: none, why_not: None };
    match wish::offered(menu, &bid.ours, latest_ms) {
        Ok(offer) => bid.offer = Some(offer.clone()),
        Err(what) => {
            let what = what.map(|what| format!("the seller's has {what}"));
            bid.why_not = Some(what.unwrap_or_else(|| "the seller does not take it".to_owned()));
            return bid;
        }
    }
    let order = order(menu, wish, &bid.ours, buyer);
    match wish::check_order(menu, &order, None, None) {
        Ok(terms) => {
            bid.items = terms.quantity.unwrap_or(terms.credit_items());
            bid.cost = terms.owed_for(bid.items).unwrap_or_default();
            bid.terms = Some(terms);
        }
        Err(fault) => bid.why_not = Some(fault.why),
    }
    let ceiling = wish.ceiling(&bid.ours);
    if bid.why_not.is_none()
        && let Err(fault) = wish::check_order(menu, &order, ceiling, None)
    {
        bid.why_not = Some(fault.why);
    }
    bid
}

/// Any channel, key and nonce will do to see what a session would cost.
fn order(menu: &Menu, wish: &Wish, ours: &PinnedCurrency, buyer: &PublicKey) -> Order {
    let any = EscrowChoice { channel: Default::default(), base: Amount::ZERO };
    Order {
        version: VERSION.to_owned(),
        encoding: ENCODING.to_owned(),
        data_type: wish.topic.clone(),
        order_quantity: wish.quantity,
        price: None,
        currency_type: ours.name.clone(),
        method: ours.method,
        address: ours.account.clone(),
        public_key_signature: *buyer,
        public_key_encryption: *buyer,
        menu_digest: Digest::ZERO,
        nonce: Digest::ZERO,
        escrow: (ours.method == Method::Escrow).then_some(any),
        resumes: false,
        bond: None,
    }
    .priced(menu)
}
