//! Whether our part of a bond may be pledged: it answers for what our own key signs, and is what was agreed
//! on. Whoever opened it wrote the rest.

use crate::cli::bonding::{OnLedger, check_wanted, spending_of};
use crate::cli::exit::{Failure, Outcome};
use crate::cli::running::Running;
use crate::config::{BondAmounts, Config, OfferedBond};
use crate::terms::Method;
use clap::Args;
use sdpp_ledger::{Account, Amount, Bond, BondAct};
use std::time::Duration;

/// What a buyer takes of a bond that its seller has opened. A seller's config says what it asks for.
#[derive(Args)]
pub(super) struct Wants {
    /// Buyer: the least that the seller pledges.
    #[arg(long, value_name = "AMOUNT")]
    seller_at_least: Option<Amount>,
    /// Buyer: the most that a complaint of ours may take.
    #[arg(long, value_name = "AMOUNT")]
    stake_at_most: Option<Amount>,
    /// Buyer: the most that paying only when asked in public may cost us.
    #[arg(long, value_name = "AMOUNT")]
    fee_at_most: Option<Amount>,
}

/// Our part of a bond.
pub(super) struct Part<'a> {
    on: &'a OnLedger,
    /// Our key's account.
    key: Account,
    /// What our config asks for, where we sell in this currency: one for each of its names.
    asked: Vec<OfferedBond>,
    /// The same, where we buy in it.
    wanted: Option<BondAmounts>,
    /// How long we may be away: a seller's.
    outage: Duration,
}

impl<'a> Part<'a> {
    pub(super) fn of(on: &'a OnLedger, config: &Config, running: &Running) -> Part<'a> {
        let is_it = |name: &&String| {
            let Some(currency) = config.currencies.get(*name) else { return false };
            let ledger = running.ledger(&currency.ledger);
            currency.asset == on.bond.asset
                && currency.methods.contains(&Method::Escrow)
                && ledger.is_some_and(|ledger| ledger.id() == on.ledger.id())
        };
        let seller = config.seller.as_ref();
        let bonds = seller.into_iter().flat_map(|seller| &seller.bonds);
        let asked = bonds.filter(|(name, _)| is_it(name)).map(|(_, offered)| *offered).collect();
        let spending = spending_of(config, running, (on.ledger.id(), &on.bond.asset));
        let wanted = spending.and_then(|of| of.bond);
        let outage = seller.map_or(Duration::ZERO, |seller| Duration::from_secs(seller.outage_s));
        Part { on, key: running.key.public().account(), asked, wanted, outage }
    }

    /// Whether it may be pledged. `joined` is what was said beside the id of a bond that the other side
    /// has opened, and the most that it may take.
    pub(super) async fn check(&self, joined: Option<(&Wants, Amount)>) -> Outcome {
        let OnLedger { bond, id, ledger } = self.on;
        let refused = |why: String| Failure::usage(format!("bond {id}: {why}"));
        let (own, takes) = (ledger.account(), BondAct::Pledge.takes(bond, ledger.account()));
        let is_seller = *own == bond.seller;
        let (key, theirs) = match is_seller {
            true => (&bond.seller_key, &bond.buyer_key),
            false => (&bond.buyer_key, &bond.seller_key),
        };
        if *key != self.key || *theirs == self.key {
            let why = format!(
                "our part would answer for what {key} signs, and this config's key is {}: whoever \
                 has that key could take what we pledge",
                self.key
            );
            return Err(refused(why));
        }
        if let Some((_, at_most)) = joined.filter(|(_, at_most)| takes > *at_most) {
            return Err(refused(format!(
                "it takes {takes} of us, above the {at_most} of --at-most"
            )));
        }
        match (is_seller, joined) {
            (true, _) => self.check_sellers(bond).map_err(refused),
            (false, Some((wants, _))) => wants.check(self.wanted, bond).map_err(refused),
            (false, None) => {
                self.wanted.map_or(Ok(()), |wanted| check_wanted(&wanted, bond)).map_err(refused)
            }
        }?;
        let outage = if is_seller { self.outage } else { Duration::ZERO };
        self.on.check_period(outage).await
    }

    /// The most that is pledged at one time where a seller joins a bond that nobody named to it; none where
    /// it takes more than the seller asks of itself, or the config says nothing.
    pub(super) fn by_itself_at_most(&self) -> Option<Amount> {
        let bond = &self.on.bond;
        let is_it = |asked: &&OfferedBond| {
            fits(&asked.amounts, bond) && bond.seller_amount == asked.amounts.seller
        };
        self.asked.iter().filter(is_it).filter_map(|asked| asked.pledge_at_most).max()
    }

    /// A seller's bond is one that its own sessions may be under.
    fn check_sellers(&self, bond: &Bond) -> Result<(), String> {
        if !self.asked.iter().any(|asked| fits(&asked.amounts, bond)) {
            return Err(match self.asked.first().map(|asked| asked.amounts) {
                Some(BondAmounts { buyer, seller, stake, fee }) => format!(
                    "[seller.bonds] asks for {buyer} of the buyer's, {seller} of ours, a stake of \
                     {stake} and a fee of {fee}: no session would be taken under this one"
                ),
                None => "no session of ours could be under it: write its amounts as [seller.bonds.NAME], \
                         NAME being the currency"
                    .to_owned(),
            });
        }
        Ok(())
    }
}

/// Whether a bond is what a seller asks for.
fn fits(asked: &BondAmounts, bond: &Bond) -> bool {
    bond.buyer_amount >= asked.buyer
        && bond.seller_amount >= asked.seller
        && (bond.stake, bond.fee) == (asked.stake, asked.fee)
}

impl Wants {
    /// What was said, and else what the config has.
    fn check(&self, wanted: Option<BondAmounts>, bond: &Bond) -> Result<(), String> {
        let said = |said: Option<Amount>, of: fn(BondAmounts) -> Amount| said.or(wanted.map(of));
        let (Some(seller), Some(stake), Some(fee)) = (
            said(self.seller_at_least, |of| of.seller),
            said(self.stake_at_most, |of| of.stake),
            said(self.fee_at_most, |of| of.fee),
        ) else {
            return Err(format!(
                "the seller wrote its amounts: say with --seller-at-least, --stake-at-most and \
                 --fee-at-most what you take. It has {} of the seller's, a stake of {} and a fee of {}",
                bond.seller_amount, bond.stake, bond.fee
            ));
        };
        check_wanted(&BondAmounts { buyer: bond.buyer_amount, seller, stake, fee }, bond)
    }
}
