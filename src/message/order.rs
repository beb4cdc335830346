//! `order`: what is bought. Signed by the buyer; with the menu it makes the terms.

use crate::crypto::layout::MessageKind;
use crate::message::envelope::{Body, Facts, reread};
use crate::message::error::Code;
use crate::message::menu::Menu;
use crate::message::price::Priced;
use crate::message::strict::left_out;
use crate::message::text::legible;
use crate::record::{EVIDENCE_MAX, SignedMessage};
use crate::terms::{BondTerms, Bonded, Dataset, InEscrow, Method, SessionId, Terms};
use sdpp_ledger::{Account, Amount, BondId, ChannelId, Digest, PublicKey};
use serde::{Deserialize, Serialize};

/// `data` of an `order`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The protocol version chosen.
    pub version: String,
    /// The encoding of items chosen.
    pub encoding: String,
    /// The topic.
    pub data_type: String,
    /// How many items; `null` for as many as there are.
    pub order_quantity: Option<u64>,
    /// The price of one item, in the default currency's smallest unit, where it is not the topic's:
    /// else left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Amount>,
    /// The currency chosen.
    pub currency_type: String,
    /// The method chosen.
    pub method: Method,
    /// The buyer's account on the paying ledger, which payments come from.
    pub address: Account,
    /// The key that signs orders, acks and payments.
    pub public_key_signature: PublicKey,
    /// Fresh for each session: what the session's key is wrapped to.
    pub public_key_encryption: PublicKey,
    /// Keccak-256 of the raw bytes of the menu's `data`.
    pub menu_digest: Digest,
    /// Fresh: makes the session's id unique.
    pub nonce: Digest,
    /// The channel, where the method is escrow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escrow: Option<EscrowChoice>,
    /// The buyer goes on with the session when its connection breaks, where the menu says that it can;
    /// else left out.
    #[serde(default, deserialize_with = "left_out", skip_serializing_if = "std::ops::Not::not")]
    pub resumes: bool,
    /// The bond that answers for this session, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bond: Option<BondChoice>,
}

/// The bond that an order is under.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BondChoice {
    /// The bond.
    pub id: BondId,
    /// What the menu names for the topic; zero where it names nothing.
    pub dataset: Digest,
    /// What follows from menu and order for the bond's contract: the order commits to it.
    pub terms: Digest,
}

/// The channel that an order will be paid from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EscrowChoice {
    /// The channel.
    pub channel: ChannelId,
    /// The last amount vouched on it.
    pub base: Amount,
}

impl EscrowChoice {
    /// The channel as terms have it.
    pub fn in_escrow(&self) -> InEscrow {
        InEscrow { channel: self.channel, base: self.base }
    }
}

impl Body for Order {
    const KIND: MessageKind = MessageKind::Order;

    fn facts(&self) -> Facts {
        let commitment = self.bond.as_ref().map_or(Digest::ZERO, |bond| bond.terms);
        Facts { commitment, ..Facts::default() }
    }
}

impl Order {
    /// The same order at the price that this menu has for it.
    #[must_use]
    pub fn priced(self, menu: &Menu) -> Self {
        let price = menu.price(&self.asks());
        let topics = menu.prices.get(&self.data_type);
        let price = price.filter(|price| Some(price) != topics);
        Order { price, ..self }
    }

    /// The same order under a bond, under this menu: unchanged where it makes no terms, which is said
    /// when they are asked for.
    #[must_use]
    pub fn under(self, menu: &Menu, bond: BondId) -> Self {
        let dataset = menu.datasets.get(&self.data_type).copied().unwrap_or_default();
        // What the contract is told does not hang on the order's own digest.
        let terms = all_terms(menu, &self, &Digest::ZERO).ok();
        let terms = terms.map(|terms| Terms { bond: Some(Bonded { id: bond, dataset }), ..terms });
        let terms = terms.as_ref().and_then(BondTerms::of).map(|terms| terms.digest());
        let terms = terms.unwrap_or_default();
        Order { bond: Some(BondChoice { id: bond, dataset, terms }), ..self }
    }

    fn asks(&self) -> Priced<'_> {
        Priced {
            topic: &self.data_type,
            currency: &self.currency_type,
            buyer: &self.public_key_signature,
            quantity: self.order_quantity,
        }
    }
}

/// Menu times order. `order` is the digest of the order's raw data. Says what does not fit.
///
/// # Errors
/// A code and a sentence for the other side, when the order asks for what is not on the menu.
pub fn terms(menu: &Menu, order: &Order, order_digest: &Digest) -> Result<Terms, (Code, String)> {
    let terms = all_terms(menu, order, order_digest)?;
    let refused = |why: &str| Err((Code::OrderRefused, why.to_owned()));
    let Some(choice) = &order.bond else { return Ok(terms) };
    let Some(under) = BondTerms::of(&terms) else {
        return refused("a bond is for a channel: the order names none");
    };
    let offer = menu.currency(&terms.currency.name, terms.currency.method);
    if offer.is_none_or(|offer| offer.bond.is_none()) {
        return refused("the menu offers no bond for this currency by escrow");
    }
    if !terms.signed_items {
        return refused("a session under a bond has its items and acks signed");
    }
    if let Some(Dataset { count, .. }) =
        terms.dataset.filter(|one| one.count > BondTerms::ITEMS_MAX)
    {
        let most = BondTerms::ITEMS_MAX;
        let why =
            format!("under a bond a dataset has at most {most} items, and this one has {count}");
        return refused(&why);
    }
    const _: () = assert!(BondTerms::GRANULARITY_MAX as usize <= EVIDENCE_MAX);
    if terms.granularity > BondTerms::GRANULARITY_MAX {
        let most = BondTerms::GRANULARITY_MAX;
        let why = format!("under a bond K is at most {most}: what must be shown is kept then");
        return refused(&why);
    }
    let dataset = terms.dataset.map_or(Digest::ZERO, |dataset| dataset.root);
    if under.digest() != choice.terms || choice.dataset != dataset {
        return refused("what the order says of its bond does not follow from menu and order");
    }
    Ok(terms)
}

fn all_terms(menu: &Menu, order: &Order, order_digest: &Digest) -> Result<Terms, (Code, String)> {
    let topic = &order.data_type;
    let (Some(topics), Some(_)) = (menu.prices.get(topic), menu.available_data.get(topic)) else {
        return Err((Code::UnknownTopic, format!("the menu has no topic {:?}", legible(topic))));
    };
    let (name, method) = (&order.currency_type, order.method);
    let Some(offer) = menu.currency(name, method) else {
        let why = format!("the menu has no currency {:?} by {method}", legible(name));
        return Err((Code::UnknownCurrency, why));
    };
    if order.escrow.is_some() != (method == Method::Escrow) {
        let why = "an order names a channel exactly when its method is escrow";
        return Err((Code::OrderRefused, why.to_owned()));
    }
    let (price, named) =
        (menu.price(&order.asks()).unwrap_or(*topics), order.price.unwrap_or(*topics));
    if price != named {
        let why = format!("an item costs {price} in this order by the menu, and {named} by itself");
        return Err((Code::OrderRefused, why));
    }
    let dataset = dataset(menu, topic)?;
    Ok(Terms {
        session: SessionId::of(&order.menu_digest, order_digest),
        seller: menu.public_key,
        buyer: order.public_key_signature,
        topic: topic.clone(),
        quantity: order.order_quantity,
        price,
        currency: offer.currency(),
        granularity: menu.payment_granularity,
        credit_windows: menu.credit_windows,
        signed_items: menu.signature_required,
        escrow: order.escrow.as_ref().map(EscrowChoice::in_escrow),
        bond: order.bond.as_ref().map(|bond| Bonded { id: bond.id, dataset: bond.dataset }),
        records: menu.records.as_ref().map(|records| records.ledger.clone()),
        dataset,
    })
}

/// The dataset that a topic's items are of, where the menu names one: it has a root and an end.
fn dataset(menu: &Menu, topic: &str) -> Result<Option<Dataset>, (Code, String)> {
    let Some(root) = menu.datasets.get(topic).copied() else { return Ok(None) };
    let count = menu.available_data.get(topic).copied().flatten();
    match count.and_then(|count| u32::try_from(count).ok()) {
        Some(count) if root != Digest::ZERO => Ok(Some(Dataset { root, count })),
        _ => {
            let why = "the menu names a dataset that has no end, or nothing in it";
            Err((Code::OrderRefused, why.to_owned()))
        }
    }
}

/// What both sides signed, read back from what was kept of it, and the terms that it makes.
///
/// # Errors
/// Why it makes none, as a sentence.
pub fn reread_terms(
    menu: &SignedMessage,
    order: &SignedMessage,
) -> Result<(Menu, Order, Terms), String> {
    let read_menu: Menu = reread(menu).map_err(|error| error.to_string())?;
    let read_order: Order = reread(order).map_err(|error| error.to_string())?;
    let terms = terms(&read_menu, &read_order, &order.data_digest).map_err(|(_, why)| why)?;
    Ok((read_menu, read_order, terms))
}
