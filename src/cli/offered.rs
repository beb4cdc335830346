//! What a buyer would see of a seller: the menu as it stands now, and what is left off it.

use super::exit::Outcome;
use super::running::Means;
use super::sell;
use super::stock::Stock;
use super::{menu, out, rating};
use crate::actors::now_ms;
use crate::actors::offering::{LeftOut, Offering};
use crate::config::Config;
use crate::message::{Menu, Moment};
use serde_json::{Value, json};

/// What a buyer would see.
pub(super) struct Offered {
    /// `None` where no currency is left.
    menu: Option<Menu>,
    left_out: Vec<LeftOut>,
}

/// What a seller's config would offer now; `None` where it is no seller's. The ledgers and the sources
/// of rates are asked, and nobody is told.
pub(super) async fn offered(
    config: &Config,
    means: &Means,
    stock: Stock,
) -> Outcome<Option<Offered>> {
    let Some(seller) = &config.seller else { return Ok(None) };
    let (offer, _) = sell::offer(config, seller, means, stock)?;
    let named = |name: &str| means.ids.get(name).and_then(|id| means.ledgers.get(id)).cloned();
    let tickers = rating::tickers(config, named)?;
    let offering = Offering::look(offer, means.ledgers.clone(), tickers).await;
    let menu = offering.now().ok().map(|offer| Menu {
        expires_at: Moment(now_ms() + seller.menu_ttl_s * 1_000),
        ..offer.menu.clone()
    });
    Ok(Some(Offered { menu, left_out: offering.left_out() }))
}

impl Offered {
    /// Whether a buyer would find a currency to pay in.
    pub(super) fn is_something(&self) -> bool {
        self.menu.is_some()
    }

    pub(super) fn json(&self) -> Value {
        let left_out = self.left_out.iter().map(|LeftOut { currency, method, why }| {
            json!({ "currency": currency, "method": method, "why": why })
        });
        json!({ "menu": self.menu, "left_out": left_out.collect::<Vec<_>>() })
    }

    pub(super) fn show(&self) -> Outcome {
        if let Some(offered) = &self.menu {
            out::line("\nA buyer would see:\n")?;
            menu::show(offered)?;
        }
        for LeftOut { currency, method, why } in &self.left_out {
            out::line(format_args!("{currency} by {method} is not on the menu: {why}"))?;
        }
        Ok(())
    }
}
