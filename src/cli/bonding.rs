//! What is done about one bond, through the journal's outbox: each thing once, and after a kill it goes
//! on where it was.

use super::exit::{Exit, Failure, Outcome};
use super::running::Running;
use crate::actors::journal::Await;
use crate::config::{BondAmounts, Config, Spending};
use crate::journal::bonds::bond_reference;
use crate::journal::obligation::State;
use crate::journal::{NewsKind, Obligation, Reader, Write};
use crate::record::{Act, Owed, Record};
use crate::session::check_period;
use crate::terms::{Purpose, Role};
use sdpp_ledger::bond::{BondChangeKind, Held};
use sdpp_ledger::{
    Amount, Asset, Bond, BondAct, BondId, Bonding, Bonds, Call, Evidence, Ledger, LedgerError,
    LedgerId, TxId, Voucher,
};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// How many blocks are read at once, backwards.
const BLOCKS_AT_ONCE: u64 = 1_000;

/// A bond on its ledger.
pub(super) struct OnLedger {
    pub(super) ledger: Arc<dyn Ledger>,
    pub(super) id: BondId,
    pub(super) bond: Bond,
}

/// The ability to hold bonds, or why there is none.
pub(super) fn bonds_of(ledger: &dyn Ledger) -> Outcome<&dyn Bonds> {
    let none = || {
        let why = format!(
            "ledger {} holds no bonds here: write bonds = \"0x...\" where the config names it",
            ledger.id()
        );
        Failure::usage(why)
    };
    ledger.bonds().ok_or_else(none)
}

/// How we spend what is on a ledger, where our config buys in it.
pub(super) fn spending_of<'a>(
    config: &'a Config,
    running: &Running,
    (ledger, asset): (&LedgerId, &Asset),
) -> Option<&'a Spending> {
    let is_it = |of: &&Spending| {
        config.currencies.get(&of.currency).is_some_and(|currency| {
            let on = running.ids.get(&currency.ledger);
            currency.asset == *asset && on == Some(ledger)
        })
    };
    let ours = config.buyer.as_ref()?.currencies.iter().filter(is_it);
    // Of two names for one asset the one counts that wants a bond.
    ours.min_by_key(|of| of.bond.is_none())
}

/// Whether a buyer takes a bond: of the seller's part no less than it wants, and of its own, the stake and
/// the fee no more.
pub(super) fn check_wanted(wanted: &BondAmounts, bond: &Bond) -> Result<(), String> {
    let BondAmounts { buyer, seller, stake, fee } = wanted;
    let Bond { buyer_amount, seller_amount, .. } = bond;
    let of = [
        (buyer_amount > buyer, "the buyer pledges", *buyer_amount, "at most", buyer),
        (seller_amount < seller, "the seller pledges", *seller_amount, "at least", seller),
        (bond.stake > *stake, "its stake is", bond.stake, "at most", stake),
        (bond.fee > *fee, "its fee is", bond.fee, "at most", fee),
    ];
    match of.into_iter().find(|(is_bad, ..)| *is_bad) {
        Some((_, what, is, how, bound)) => {
            Err(format!("{what} {is}, and {bound} was asked for {how}"))
        }
        None => Ok(()),
    }
}

/// Whether nothing of ours is in a bond that we pledged, by its ledger: who ended it may have been the other side,
/// of which our journal knows nothing. What is on its way is not in it yet, and is not gone either.
pub(super) async fn is_out(ledger: &dyn Ledger, bond: &Bond) -> Result<bool, LedgerError> {
    Ok(held_of(ledger, bond).await?.is_some_and(|(_, ours)| ours == Amount::ZERO))
}

/// The same of one into which nothing of ours can come again either.
pub(super) async fn is_over(ledger: &dyn Ledger, bond: &Bond) -> Result<bool, LedgerError> {
    let is_ended = |held: Held| held.revoked || held.ends_ms.is_some();
    let held = held_of(ledger, bond).await?;
    Ok(held.is_some_and(|(held, ours)| ours == Amount::ZERO && is_ended(held)))
}

/// A bond as its ledger has it, and what is left of our part; none where that is not pledged yet.
async fn held_of(ledger: &dyn Ledger, bond: &Bond) -> Result<Option<(Held, Amount)>, LedgerError> {
    let Some(bonds) = ledger.bonds() else { return Ok(None) };
    let held = bonds.held(bond).await?.map(|held| match bond.seller == *ledger.account() {
        true => (held.seller_in, held.of_seller, held),
        false => (held.buyer_in, held.of_buyer, held),
    });
    Ok(held.filter(|(is_in, ..)| *is_in).map(|(_, ours, held)| (held, ours)))
}

impl OnLedger {
    /// A bond by our own journal's words or, where it has none, by its ledger's events.
    pub(super) async fn look(
        reader: &Reader,
        ledger: Arc<dyn Ledger>,
        id: BondId,
    ) -> Outcome<Option<OnLedger>> {
        let bonds = bonds_of(ledger.as_ref())?;
        let first = reader.obligation(&bond_reference(&id, 1))?;
        let own = first.and_then(|row| match row.owed.act {
            Act::Do(Call::Bond(bonding)) => Some(bonding.bond),
            _ => None,
        });
        let bond = match own.filter(|bond| bond.id(bonds.domain()) == id) {
            Some(bond) => Some(bond),
            None => bonds.pledged(&id).await?,
        };
        Ok(bond.map(|bond| OnLedger { ledger, id, bond }))
    }

    /// The same, where there must be one.
    pub(super) async fn find(
        reader: &Reader,
        ledger: Arc<dyn Ledger>,
        id: BondId,
    ) -> Outcome<OnLedger> {
        let none = Failure::usage(format!("ledger {} has no bond {id}", ledger.id()));
        OnLedger::look(reader, ledger, id).await?.ok_or(none)
    }

    /// How it stands; an error where nobody has pledged it.
    pub(super) async fn held(&self) -> Outcome<Held> {
        let none =
            || Failure::usage(format!("ledger {} has no bond {}", self.ledger.id(), self.id));
        bonds_of(self.ledger.as_ref())?.held(&self.bond).await?.ok_or_else(none)
    }

    /// Whether there is time for our answers, with an outage of ours as long as that.
    pub(super) async fn check_period(&self, outage: Duration) -> Outcome {
        let period_ms = ms(bonds_of(self.ledger.as_ref())?.period());
        let role = if self.is_sellers() { Role::Seller } else { Role::Buyer };
        check_period(role, period_ms, ms(outage), self.lag_ms().await?)
            .map_err(|why| Failure::usage(format!("bond {}: {why}", self.id)))
    }

    /// How late we hear of what has happened to it, in milliseconds.
    pub(super) async fn lag_ms(&self) -> Outcome<u64> {
        Ok(match self.ledger.escrow() {
            Some(escrow) => ms(escrow.lag().await?),
            None => 0,
        })
    }

    /// What our account can take out of the bond's asset.
    pub(super) async fn credited(&self) -> Outcome<Amount> {
        Ok(bonds_of(self.ledger.as_ref())?.credited(&self.bond.asset).await?)
    }

    /// Whether we are its seller.
    pub(super) fn is_sellers(&self) -> bool {
        *self.ledger.account() == self.bond.seller
    }

    /// The last thing of a kind that happened to it, by final blocks. They are read backwards, as what
    /// waits is young, and no further than to a pledge.
    pub(super) async fn last<T>(
        &self,
        of: impl Fn(BondChangeKind) -> Option<T>,
    ) -> Outcome<Option<T>> {
        let mut to = self.ledger.status().await?.height.saturating_add(1);
        while to > 0 {
            let from = to.saturating_sub(BLOCKS_AT_ONCE);
            let (found, is_first) = self.last_in(from, to, &of).await?;
            if found.is_some() || is_first {
                return Ok(found);
            }
            to = from;
        }
        Ok(None)
    }

    /// The last in a range of blocks, and whether it was pledged there.
    async fn last_in<T>(
        &self,
        mut from: u64,
        to: u64,
        of: impl Fn(BondChangeKind) -> Option<T>,
    ) -> Outcome<(Option<T>, bool)> {
        let bonds = bonds_of(self.ledger.as_ref())?;
        let (mut found, mut is_first) = (None, false);
        while from < to {
            let changes = bonds.bond_changes(&[self.id], from).await?;
            for change in changes.list.into_iter().filter(|change| change.height < to) {
                is_first |= matches!(change.kind, BondChangeKind::Pledged { .. });
                found = of(change.kind).or(found);
            }
            if changes.next <= from {
                break;
            }
            from = changes.next;
        }
        Ok((found, is_first))
    }

    /// Seller: keeps the voucher that the buyer answered with in public, where it is better than what
    /// we have. From then on it is as any other.
    pub(super) async fn keep_voucher(&self, running: &Running, held: &Held) -> Outcome {
        let channel = self.bond.channel;
        let known = running.reader.channel(&channel)?.and_then(|facts| facts.voucher);
        let best = known.map_or(Amount::ZERO, |(best, _)| best);
        let Some(escrow) = self.ledger.escrow().filter(|_| held.answered > best) else {
            return Ok(());
        };
        // Of a channel that is over it was paid in money, and what is settled needs no voucher.
        let shown = escrow.channel(&channel).await?;
        if shown.is_none_or(|shown| shown.finalized || shown.settled >= held.answered) {
            return Ok(());
        }
        let domain = escrow.domain().clone();
        let is_good = |amount, signature: &sdpp_ledger::Signature| {
            let signer = signature.recover(&Voucher { channel, amount }.digest(&domain));
            amount > best && signer.as_ref() == Some(&self.bond.buyer_key)
        };
        let paid = |kind| match kind {
            BondChangeKind::Paid { amount, signature } => {
                signature.filter(|signature| is_good(amount, signature)).map(|one| (amount, one))
            }
            _ => None,
        };
        let Some((amount, signature)) = self.last(paid).await? else { return Ok(()) };
        append(running, Record::Voucher { channel, domain, amount, signature }).await
    }

    /// Waits for what is on its way, if anything is, and tells what that was.
    pub(super) async fn under_way(&self, running: &Running) -> Outcome<Option<(Act, Value)>> {
        match running.reader.bond_rows(&self.id)?.pop() {
            Some(row) if !row.state.is_settled() => {
                let step = self.wait(running, &row.owed).await?;
                Ok(Some((row.owed.act, step)))
            }
            _ => Ok(None),
        }
    }

    /// The leave for a token's contract that something needs first, where that is missing.
    pub(super) async fn leave(&self, act: &BondAct) -> Outcome<Option<Call>> {
        let takes = act.takes(&self.bond, self.ledger.account());
        let needs = bonds_of(self.ledger.as_ref())?.needs_leave(&self.bond.asset, takes).await?;
        Ok(needs.then(|| self.call(BondAct::Allow)))
    }

    /// Does something, with leave before it where that is missing, and waits until it is final.
    pub(super) async fn done(&self, running: &Running, act: BondAct) -> Outcome<Value> {
        if let Some(leave) = self.leave(&act).await? {
            let owed = self.begin(running, leave).await?;
            self.wait(running, &owed).await?;
        }
        let owed = self.begin(running, self.call(act)).await?;
        self.wait(running, &owed).await
    }

    /// What does something.
    pub(super) fn call(&self, act: BondAct) -> Call {
        Call::Bond(Box::new(Bonding { bond: self.bond.clone(), act }))
    }

    /// Has a call owed that is about the bond.
    pub(super) async fn begin(&self, running: &Running, call: Call) -> Outcome<Owed> {
        let number = running.reader.bond_rows(&self.id)?.len() as u64 + 1;
        let (reference, act) = (bond_reference(&self.id, number), Act::Do(call));
        let (purpose, ledger) = (Purpose::Bond, self.ledger.id().clone());
        let owed = Owed { reference, purpose, ledger, act, held: false };
        append(running, Record::Bonding { bond: self.id, owed: owed.clone() }).await?;
        Ok(owed)
    }

    /// Waits until something owed is final.
    pub(super) async fn wait(&self, running: &Running, owed: &Owed) -> Outcome<Value> {
        let stopped = || Failure::new(Exit::Failed, "the journal stopped");
        loop {
            let news = running.journal.send(Await(owed.reference)).await.map_err(|_| stopped())?;
            match news.ok_or_else(stopped)? {
                NewsKind::Met(Evidence { tx, .. }) => return Ok(step(&owed.act, &tx)),
                NewsKind::Refused(why) => {
                    let name = name(&owed.act);
                    let why = format!("bond {}: {name} was refused: {why}", self.id);
                    return Err(Failure::new(Exit::Ledger, why));
                }
                NewsKind::Signed(_) | NewsKind::Included { .. } => {}
            }
        }
    }
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Writes what is no session's.
pub(super) async fn append(running: &Running, record: Record) -> Outcome {
    running.commit(vec![Write::Append { session: None, record: Box::new(record) }]).await
}

/// Whether something was done, for good.
pub(super) fn is_met(row: &Obligation) -> bool {
    matches!(row.state, State::Met { .. })
}

/// Whether the ledger has refused something.
pub(super) fn is_refused(row: &Obligation) -> bool {
    matches!(row.state, State::Refused { .. })
}

/// An act's name, for people and programs.
pub(super) fn name(act: &Act) -> String {
    let named = match act {
        Act::Do(Call::Bond(bonding)) => serde_json::to_value(&bonding.act),
        Act::Do(call) => serde_json::to_value(call),
        Act::Check(_) => Ok(Value::Null),
    };
    let named = named.unwrap_or_default();
    let name = ["act", "call"].into_iter().find_map(|tag| named[tag].as_str());
    name.unwrap_or_default().to_owned()
}

/// Something that was done, for programs.
fn step(act: &Act, tx: &TxId) -> Value {
    json!({ "act": name(act), "tx": tx })
}
