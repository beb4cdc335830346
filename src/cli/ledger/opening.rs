//! What a bond is to be: for a channel that is there, or for the one that is found or opened to whom a menu
//! says is paid.

use super::pledge::Place;
use super::pledged::Part;
use crate::actors::funding::channel_to;
use crate::cli::bonding::{OnLedger, bonds_of, spending_of};
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::running::Running;
use crate::config::{BondAmounts, Config};
use crate::message::{BondOffer, CurrencyOffer, Menu};
use crate::terms::Method;
use clap::Args;
use sdpp_ledger::{Account, Amount, Bond, Channel, ChannelId, Digest, Ledger, PublicKey, keccak};
use std::path::PathBuf;
use std::sync::Arc;

#[derive(Args)]
pub(super) struct Open {
    /// The channel, which is on its ledger and open.
    #[arg(required_unless_present = "menu", conflicts_with = "menu")]
    channel: Option<ChannelId>,
    /// Buyer: the seller's menu, as `sdpp menu --json` prints it: its key, the amounts that it offers, and
    /// whom our channel is to, which is opened where there is none.
    #[arg(long, value_name = "FILE", requires = "currency")]
    menu: Option<PathBuf>,
    /// The currency, as the menu names it.
    #[arg(long, requires = "menu")]
    currency: Option<String>,
    /// The key that signs for the seller; with a menu where [buyer.sellers] does not have it.
    #[arg(long, value_name = "KEY", required_unless_present = "menu")]
    seller_key: Option<PublicKey>,
    /// What the buyer pledges.
    #[arg(long, value_name = "AMOUNT", required_unless_present = "menu")]
    buyer: Option<Amount>,
    /// What the seller pledges.
    #[arg(long, value_name = "AMOUNT", required_unless_present = "menu")]
    seller: Option<Amount>,
    /// What a complaint is made with.
    #[arg(long, value_name = "AMOUNT", required_unless_present = "menu")]
    stake: Option<Amount>,
    /// What paying only when asked in public costs the buyer.
    #[arg(long, value_name = "AMOUNT", required_unless_present = "menu")]
    fee: Option<Amount>,
    /// Tells this bond of the channel from others of the same amounts.
    #[arg(long, value_name = "N", default_value_t = 1)]
    number: u64,
    #[command(flatten)]
    pub(super) place: Place,
}

impl Open {
    /// The bond of a channel as its ledger has that: parties, asset and the buyer's key are the
    /// channel's own.
    pub(super) async fn on(
        &self,
        ledger: Arc<dyn Ledger>,
        config: &Config,
        running: &Running,
    ) -> Outcome<OnLedger> {
        let menu = self.menu()?;
        let seller_key = self.seller_key(menu.as_ref().map(|(menu, _)| menu), config)?.account();
        // The seller wrote the menu: what it offers is taken where our config says what we take.
        let offered = menu.as_ref().and_then(|(_, offer)| {
            let spending = spending_of(config, running, (&offer.ledger, &offer.asset));
            offer.bond.filter(|_| spending.is_some_and(|of| of.bond.is_some()))
        });
        let amounts = self.amounts(offered)?;
        let id = match (&menu, self.channel) {
            (Some((_, offer)), _) => {
                // No money goes into a channel for a bond that we do not take.
                let bond = self.bond(amounts, &seller_key, planned(offer, &ledger, running));
                let on = on_ledger(ledger.clone(), bond)?;
                Part::of(&on, config, running).check(None).await?;
                channel_of(offer, ledger.clone(), config, running).await?
            }
            (None, Some(channel)) => channel,
            (None, None) => return Err(Failure::usage("name a channel or a menu")),
        };
        let none = || Failure::usage(format!("ledger {} has no channel {id}", ledger.id()));
        let escrow = ledger.escrow().ok_or_else(none)?;
        let channel = escrow.channel(&id).await?.ok_or_else(none)?;
        let bond = self.bond(amounts, &seller_key, (id, channel));
        on_ledger(ledger, bond)
    }

    /// A bond of so much for a channel.
    fn bond(
        &self,
        amounts: BondAmounts,
        seller_key: &Account,
        (id, channel): (ChannelId, Channel),
    ) -> Bond {
        let number = self.number.to_be_bytes();
        let salt: Digest = keccak(&[b"SDPP/1 bond's number", &id.0, &number]);
        Bond {
            buyer: channel.payer,
            seller: channel.payee,
            buyer_key: channel.signer,
            seller_key: seller_key.clone(),
            asset: channel.asset,
            channel: id,
            buyer_amount: amounts.buyer,
            seller_amount: amounts.seller,
            stake: amounts.stake,
            fee: amounts.fee,
            salt,
        }
    }

    fn menu(&self) -> Outcome<Option<(Menu, CurrencyOffer)>> {
        let (Some(path), Some(name)) = (&self.menu, &self.currency) else { return Ok(None) };
        let menu = super::bond::menu(path)?;
        let offer = menu.currency(name, Method::Escrow).cloned().ok_or_else(|| {
            let why = "bonds are for channels";
            Failure::usage(format!("the menu has no currency {name:?} by escrow: {why}"))
        })?;
        Ok(Some((menu, offer)))
    }

    /// Whose bond it is: anybody can sign a menu, so a menu's is one that we know.
    fn seller_key(&self, menu: Option<&Menu>, config: &Config) -> Outcome<PublicKey> {
        let Some(Menu { public_key, .. }) = menu else {
            return self.seller_key.ok_or_else(|| Failure::usage("say --seller-key"));
        };
        let mut known = config.buyer.iter().flat_map(|buyer| buyer.sellers.values());
        match self.seller_key {
            Some(said) if said != *public_key => {
                Err(Failure::usage(format!("the menu is {public_key}'s, not {said}'s")))
            }
            None if !known.any(|one| one == public_key) => Err(Failure::usage(format!(
                "the menu is {public_key}'s, and no seller of this config: write it in [buyer.sellers], or \
                 say --seller-key"
            ))),
            _ => Ok(*public_key),
        }
    }

    /// What was said, and else what is offered.
    fn amounts(&self, offered: Option<BondOffer>) -> Outcome<BondAmounts> {
        let one = |said: Option<Amount>, offered: Option<Amount>, flag| {
            let none = || {
                format!(
                    "say {flag}, or what you take of a bond that a menu offers, as bond = {{ ... }} in \
                     [buyer] currencies"
                )
            };
            said.or(offered).ok_or_else(|| Failure::usage(none()))
        };
        Ok(BondAmounts {
            buyer: one(self.buyer, offered.map(|offer| offer.buyer), "--buyer")?,
            seller: one(self.seller, offered.map(|offer| offer.seller), "--seller")?,
            stake: one(self.stake, offered.map(|offer| offer.stake), "--stake")?,
            fee: one(self.fee, offered.map(|offer| offer.fee), "--fee")?,
        })
    }
}

fn on_ledger(ledger: Arc<dyn Ledger>, bond: Bond) -> Outcome<OnLedger> {
    let id = bond.id(bonds_of(ledger.as_ref())?.domain());
    Ok(OnLedger { ledger, id, bond })
}

/// The channel that would be opened.
fn planned(
    offer: &CurrencyOffer,
    ledger: &Arc<dyn Ledger>,
    running: &Running,
) -> (ChannelId, Channel) {
    let channel = Channel {
        payer: ledger.account().clone(),
        payee: offer.payment_address.clone(),
        asset: offer.asset.clone(),
        signer: running.key.public().account(),
        deposit: Amount::ZERO,
        settled: Amount::ZERO,
        close_requested_ms: None,
        finalized: false,
    };
    (ChannelId(Digest::ZERO.0), channel)
}

/// Our channel to whom a menu says is paid: one that is open and serves nobody, or a new one.
async fn channel_of(
    offer: &CurrencyOffer,
    ledger: Arc<dyn Ledger>,
    config: &Config,
    running: &Running,
) -> Outcome<ChannelId> {
    let CurrencyOffer { payment_address: payee, asset, currency, .. } = offer;
    if offer.ledger != *ledger.id() {
        let why = format!("the menu's {currency} is on {}, not on {}", offer.ledger, ledger.id());
        return Err(Failure::usage(why));
    }
    let spending = spending_of(config, running, (ledger.id(), asset));
    let deposit = spending.and_then(|of| of.deposit.filter(|_| of.keep_channel));
    let deposit = deposit.ok_or_else(|| {
        let what = "name it in [buyer] currencies, with a deposit and keep_channel = true";
        Failure::usage(format!("no channel of this config stays open for {currency}: {what}"))
    })?;
    let signer: Account = running.key.public().account();
    let kept = (running.journal.clone(), running.reader.clone(), running.busy.clone());
    let channel = channel_to(payee.clone(), (asset.clone(), deposit), (ledger, signer), kept);
    channel.await.map_err(|why| Failure::new(Exit::Ledger, why))
}
