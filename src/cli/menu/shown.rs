//! A menu at a glance. Every text in it is a stranger's, and is cleaned before it is shown.

use crate::cli::exit::Outcome;
use crate::cli::out;
use crate::message::{BondOffer, CurrencyOffer, Menu, Priced, SpecialPrice, legible};
use crate::rates::FIXED;
use crate::terms::Rate;
use sdpp_ledger::{Amount, Digest};

/// How many digits are shown beyond a currency's smallest unit, where a price is not whole.
const FURTHER_DIGITS: u8 = 6;

/// Shows a menu to a person.
pub(in crate::cli) fn show(menu: &Menu) -> Outcome {
    for (name, value) in terms(menu) {
        out::line(format_args!("{name:<9}{value}"))?;
    }
    let special = special_prices(menu);
    let tables =
        [topics(menu), datasets(menu), special, currencies(menu), bonds(menu), ledgers(menu)];
    for table in tables.iter().filter(|table| table.len() > 1) {
        out::line("")?;
        out::table(table)?;
    }
    Ok(())
}

type Table = Vec<Vec<String>>;

/// The offers with each currency once: what is different by method is told by method.
fn distinct(menu: &Menu) -> Vec<&CurrencyOffer> {
    let mut offers: Vec<&CurrencyOffer> = Vec::new();
    for offer in &menu.currencies_accepted {
        if offers.iter().all(|other| other.currency != offer.currency) {
            offers.push(offer);
        }
    }
    offers
}

fn terms(menu: &Menu) -> Vec<(&'static str, String)> {
    let (k, w) = (menu.payment_granularity, menu.credit_windows);
    let signed = if menu.signature_required { "signed" } else { "under a MAC" };
    let terms = format!("K = {k} items a window, W = {w} unpaid, items {signed}");
    let mut lines = vec![("seller", menu.public_key.to_string()), ("terms", terms)];
    if let Some(records) = &menu.records {
        let (batch, anchor) = (legible(&records.batch), legible(&records.anchor));
        lines.push(("records", format!("on {}, {batch}, anchored {anchor}", records.ledger)));
    }
    lines.push(("good", format!("until {}", menu.expires_at)));
    if menu.payments_together {
        lines.push(("payments", "one transfer may pay several windows".to_owned()));
    }
    if menu.prices_by_buyer {
        lines.push(("prices", "some buyers have others: see them with --buyer KEY".to_owned()));
    }
    if menu.unknown_by_escrow {
        let new = "pay by escrow: this seller serves who has never paid it by escrow alone";
        lines.push(("new here", new.to_owned()));
    }
    lines
}

/// Topics, and what one item costs in each currency.
fn topics(menu: &Menu) -> Table {
    let offers = distinct(menu);
    let mut head = cells(["topic", "items", "units"]);
    head.extend(offers.iter().map(|offer| format!("one in {}", legible(&offer.currency))));
    let mut table = vec![head];
    for (topic, count) in &menu.available_data {
        let count = count.map_or("no end".to_owned(), |count| count.to_string());
        let units = menu.units.get(topic).map(|units| legible(units)).unwrap_or_default();
        let mut row = vec![legible(topic), count, units];
        row.extend(offers.iter().map(|offer| {
            // Nobody's own prices: a seller buys nothing from itself.
            let (currency, buyer) = (offer.currency.as_str(), &menu.public_key);
            let price = menu.price(&Priced { topic, currency, buyer, quantity: None });
            price.map_or_else(String::new, |price| worth(price, &offer.rate, offer.decimals))
        }));
        table.push(row);
    }
    table
}

/// The topics whose items each buyer holds against a root.
fn datasets(menu: &Menu) -> Table {
    let row = |(topic, root): (&String, &Digest)| vec![legible(topic), root.to_string()];
    std::iter::once(cells(["topic", "dataset"])).chain(menu.datasets.iter().map(row)).collect()
}

/// What both sides pledge where an order is under a bond.
fn bonds(menu: &Menu) -> Table {
    let row = |offer: &CurrencyOffer| {
        let BondOffer { buyer, seller, stake, fee } = offer.bond?;
        let amounts = [buyer, seller, stake, fee].map(|amount| amount.to_decimal(offer.decimals));
        Some([&[legible(&offer.currency)][..], &amounts].concat())
    };
    let head = cells(["bonds in", "the buyer's", "the seller's", "a stake", "the fee"]);
    std::iter::once(head).chain(menu.currencies_accepted.iter().filter_map(row)).collect()
}

fn special_prices(menu: &Menu) -> Table {
    let decimals = menu.currencies_accepted.iter().find(|c| c.currency == menu.default_currency);
    let decimals = decimals.map_or(0, |default| default.decimals);
    let name = legible(&menu.default_currency);
    let row = |special: &SpecialPrice| {
        let price = format!("{} {name}", special.price.to_decimal(decimals));
        vec![legible(&special.topic), price, conditions(special)]
    };
    let head = cells(["topic", "one for", "where"]);
    std::iter::once(head).chain(menu.special_prices.iter().map(row)).collect()
}

fn conditions(special: &SpecialPrice) -> String {
    let currency = special.currency.as_ref().map(|name| format!("paid in {}", legible(name)));
    let many = special.from_quantity.map(|from| format!("{from} items or more"));
    let buyer = special.buyer.map(|buyer| format!("ordered by {buyer}"));
    let all: Vec<String> = [many, currency, buyer].into_iter().flatten().collect();
    all.join(", ")
}

/// What each currency is worth, by when a payment counts, and which orders are taken.
fn currencies(menu: &Menu) -> Table {
    let default = menu.currencies_accepted.iter().find(|c| c.currency == menu.default_currency);
    let (name, decimals) = (legible(&menu.default_currency), default.map_or(0, |c| c.decimals));
    let one = 10_u128.checked_pow(decimals.into()).map(Amount::new).unwrap_or_default();
    let head = ["currency", "by", "counts when", "orders", &format!("one {name} is"), "quoted"];
    let mut table = vec![cells(head)];
    for offer in &menu.currencies_accepted {
        let currency = legible(&offer.currency);
        table.push(vec![
            currency.clone(),
            offer.method.to_string(),
            legible(&offer.finality),
            orders(offer),
            format!("{} {currency}", worth(one, &offer.rate, offer.decimals)),
            quoted(offer),
        ]);
    }
    table
}

fn orders(offer: &CurrencyOffer) -> String {
    let limit = |word: &str, amount: Option<Amount>| {
        amount.map(|amount| format!("{word} {}", amount.to_decimal(offer.decimals)))
    };
    let limits = [limit("from", offer.limits.order_min), limit("to", offer.limits.order_max)];
    let limits: Vec<String> = limits.into_iter().flatten().collect();
    if limits.is_empty() { "any".to_owned() } else { limits.join(" ") }
}

fn quoted(offer: &CurrencyOffer) -> String {
    let Some(quote) = &offer.quote else { return String::new() };
    let doubt = if offer.is_as_quoted() { "" } else { ", which do NOT make this rate" };
    let (at, until) = (quote.at, quote.expires_at);
    match quote.sources.as_slice() {
        // The menu as a whole says until when.
        [one] if one.source == FIXED => format!("{FIXED}{doubt}"),
        sources => {
            let sources: Vec<String> = sources.iter().map(|one| legible(&one.source)).collect();
            let sources = legible(&sources.join(", "));
            format!("{at} by {sources}{doubt}, good until {until}")
        }
    }
}

/// Where each currency lives, and who is paid there.
fn ledgers(menu: &Menu) -> Table {
    let mut table = vec![cells(["currency", "ledger", "asset", "paid to"])];
    for offer in &menu.currencies_accepted {
        let (ledger, asset) = (offer.ledger.to_string(), offer.asset.to_string());
        let row = vec![legible(&offer.currency), ledger, asset, offer.payment_address.to_string()];
        if !table.contains(&row) {
            table.push(row);
        }
    }
    table
}

/// An amount of the default currency in another, in whole coins. What is less than the smallest unit
/// is shown too, as far as it goes: a session is charged for the sum, not item by item.
fn worth(amount: Amount, rate: &Rate, decimals: u8) -> String {
    let (up, down) = (rate.numerator.units(), rate.denominator.units());
    let exact = amount.checked_mul(up).map(Amount::units);
    let Some((whole, rest)) =
        exact.and_then(|e| Some((e.checked_div(down)?, e.checked_rem(down)?)))
    else {
        return "?".to_owned();
    };
    let further = 10_u128.pow(FURTHER_DIGITS.into());
    let finer = whole.checked_mul(further).zip(rest.checked_mul(further));
    let finer = finer.and_then(|(whole, rest)| whole.checked_add(rest / down));
    match finer.filter(|_| rest > 0) {
        Some(finer) => {
            let text = Amount::new(finer).to_decimal(decimals.saturating_add(FURTHER_DIGITS));
            let is_exact = rest * further % down == 0;
            let sign = if is_exact { "" } else { "~" };
            format!("{sign}{}", text.trim_end_matches('0').trim_end_matches('.'))
        }
        None => Amount::new(whole).to_decimal(decimals),
    }
}

fn cells<const N: usize>(texts: [&str; N]) -> Vec<String> {
    texts.map(str::to_owned).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(numerator: u128, denominator: u128) -> Rate {
        Rate { numerator: Amount::new(numerator), denominator: Amount::new(denominator) }
    }

    #[test]
    fn a_price_is_shown_in_whole_coins_and_finer_than_the_smallest_unit_where_it_is() {
        let shown = |units, rate, decimals| worth(Amount::new(units), &rate, decimals);
        assert_eq!(shown(20, Rate::ONE, 6), "0.000020");
        assert_eq!(shown(20, rate(3, 1), 0), "60");
        assert_eq!(shown(5, rate(1, 2), 0), "2.5");
        assert_eq!(shown(5, rate(1, 2), 2), "0.025");
        assert_eq!(shown(20, rate(1, 3), 0), "~6.666666");
        assert_eq!(shown(1, rate(1, 10_000_000), 0), "~0");
        assert_eq!(shown(u128::MAX, rate(2, 1), 0), "?");
        assert_eq!(shown(1, rate(1, 0), 0), "?");
        assert_eq!(shown(1, rate(1, u128::MAX), 255), "~0");
    }
}
