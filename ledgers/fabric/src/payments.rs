//! Payments in account money and in promises (IOUs), and the check of somebody's word that one was
//! made.

use crate::call::{OWE, Request, reference_of};
use crate::finality::refused;
use crate::gateway::{Answer, Trouble};
use crate::ledger::FabricLedger;
use crate::names::{self, Kind};
use crate::rows::{Balance, Debts, Row};
use async_trait::async_trait;
use sdpp_ledger::{
    Account, Amount, Asset, Call, Claim, Finality, LedgerError, Payments, Reference, Result,
    Signed, Transfer,
};
use std::fmt::Display;
use std::sync::PoisonError;

/// A promise of ours that is prepared and has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Promise {
    unit: String,
    reference: Reference,
    amount: Amount,
}

#[async_trait]
impl Payments for FabricLedger {
    /// A promise beyond what our account may owe is refused here, which asks what it owes; money is
    /// counted when it is paid.
    async fn transfer(&self, number: u64, transfer: &Transfer) -> Result<Signed> {
        let signed = self.prepared(number, &Call::Transfer(transfer.clone()))?;
        if transfer.to == self.own.account {
            return Err(LedgerError::refused("Malformed", "nobody pays itself"));
        }
        if let Kind::Iou(unit) = names::kind(&transfer.asset)?
            && let Err(short) = self.may_owe(unit, transfer).await
        {
            let (request, _) = Request::read(&signed.raw)?;
            let row = self.own.gateway.row_of(&request, &self.own.account).await?;
            // What is owed already, as before a journal was restored, is not owed twice.
            row.filter(|row| row.request == request).ok_or(short)?;
        }
        Ok(signed)
    }

    async fn paid(&self, claim: &Claim) -> Result<Finality> {
        Ok(self.is_paid(claim).await?)
    }

    async fn balance(&self, account: &Account, asset: &Asset) -> Result<Amount> {
        let account = names::account(account)?;
        Ok(match names::kind(asset)? {
            Kind::Money(asset) => self.balance_of(account, asset).await?.total,
            Kind::Iou(unit) => self.debts_of(account, unit).await?.held.total,
        })
    }
}

impl FabricLedger {
    /// What an account has of an asset.
    pub(crate) async fn balance_of(&self, account: &str, asset: &str) -> Answer<Balance> {
        self.own.gateway.query(&Request::new("GetBalance", &[account, asset])).await
    }

    /// What an account holds and owes in a unit.
    pub(crate) async fn debts_of(&self, account: &str, unit: &str) -> Answer<Debts> {
        self.own.gateway.query(&Request::new("GetIous", &[account, unit])).await
    }

    /// What our account can pay with: what it has, or how much more it may owe.
    pub(crate) async fn can_spend(&self, asset: &Asset) -> Answer<Amount> {
        let account = self.own.account.as_str();
        match names::kind(asset)? {
            Kind::Money(asset) => Ok(self.balance_of(account, asset).await?.total),
            Kind::Iou(unit) => {
                let most = self.owe_at_most(unit);
                if most == Amount::ZERO {
                    return Ok(most);
                }
                let owed = self.debts_of(account, unit).await?.owed;
                // Of a debt that nobody can add up it is not known how much there is.
                Ok(if owed.more { Amount::ZERO } else { most.saturating_sub(owed.total) })
            }
        }
    }

    fn owe_at_most(&self, unit: &str) -> Amount {
        let limits = &self.own.gateway.settings().owe_at_most;
        limits.get(unit).copied().unwrap_or_default()
    }

    /// Takes note of all that is prepared and has not ended: promises that are not yet on the
    /// ledger count as owed.
    pub(crate) fn note_promises(&self, signed: &[Signed]) {
        let promises = signed.iter().filter_map(promise).collect();
        // Nothing panics while it is held.
        *self.own.promises.lock().unwrap_or_else(PoisonError::into_inner) = promises;
    }

    /// Refuses a promise beyond the limit of its unit.
    pub(crate) async fn may_owe(&self, unit: &str, transfer: &Transfer) -> Answer<()> {
        let most = self.owe_at_most(unit);
        let short = |owed: &str| {
            let amount = transfer.amount;
            let why = format!("{amount} more than {owed} of {unit} is above the limit of {most}");
            Trouble::refused("InsufficientFunds", why)
        };
        if transfer.amount > most {
            return Err(short("0"));
        }
        let owed = self.debts_of(self.own.account.as_str(), unit).await?.owed;
        if owed.more {
            return Err(short("more than can be added up"));
        }
        let mut total = Some(owed.total);
        for promise in self.promises_in(unit, &transfer.reference) {
            let text = promise.reference.to_string();
            let is_listed = owed.ious.iter().any(|debt| debt.reference == text);
            if !is_listed && !self.is_promised(&owed, &text).await? {
                total = total.and_then(|total| total.checked_add(promise.amount));
            }
        }
        let told = total.map_or_else(|| "too much".to_owned(), |total| total.to_string());
        match total.and_then(|total| total.checked_add(transfer.amount)) {
            Some(total) if total <= most => Ok(()),
            _ => Err(short(&told)),
        }
    }

    /// Whether a promise stands on the ledger that the first ones of a list are not.
    async fn is_promised(&self, owed: &crate::rows::Debtors, reference: &str) -> Answer<bool> {
        let listed = u64::try_from(owed.ious.len()).unwrap_or(u64::MAX);
        if owed.count <= listed {
            return Ok(false);
        }
        let row = self.own.gateway.row(&OWE, self.own.account.as_str(), reference).await?;
        Ok(row.is_some())
    }

    fn promises_in(&self, unit: &str, but: &Reference) -> Vec<Promise> {
        let promises = self.own.promises.lock().unwrap_or_else(PoisonError::into_inner);
        let is_other = |p: &&Promise| p.unit == unit && p.reference != *but;
        promises.iter().filter(is_other).cloned().collect()
    }

    async fn is_paid(&self, claim: &Claim) -> Answer<Finality> {
        let Some(written) = self.written(&claim.tx, &["Paid", "Owed"], "NotATransfer").await?
        else {
            return Ok(Finality::Unknown);
        };
        let made = made(&written.row)?;
        fits(&made, &claim.transfer)?;
        self.counts(&written.row, &made)?;
        Ok(Finality::Final(written.placed.evidence(made.amount)))
    }

    /// Refuses an IOU that is no money to us: of somebody whose IOUs we do not take, or to
    /// somebody else. Of our own promises we know ourselves.
    fn counts(&self, row: &Row, made: &Transfer) -> Answer<()> {
        if matches!(names::kind(&made.asset)?, Kind::Money(_)) || row.owner == self.own.account {
            return Ok(());
        }
        if made.to != self.own.account {
            return refused("WrongPayee", format!("it is owed to {}, not to us", made.to));
        }
        match self.own.gateway.settings().trusts(row.owner.as_str()) {
            true => Ok(()),
            false => refused("UntrustedDebtor", format!("IOUs of {} pay nothing here", row.owner)),
        }
    }
}

/// The promise that bytes of ours make, if they make one.
fn promise(signed: &Signed) -> Option<Promise> {
    let (_, call) = Request::read(&signed.raw).ok()?;
    let Call::Transfer(Transfer { asset, reference, amount, .. }) = call else { return None };
    match names::kind(&asset) {
        Ok(Kind::Iou(unit)) => Some(Promise { unit: unit.to_owned(), reference, amount }),
        _ => None,
    }
}

/// The transfer that a row stands for.
fn made(row: &Row) -> Answer<Transfer> {
    match row.request.call() {
        Some(Call::Transfer(transfer)) => Ok(transfer),
        _ if reference_of(row.request.reference()).is_none() => {
            refused("WrongReference", "it pays for something that is no reference of ours")
        }
        _ => refused("NotATransfer", "it pays in a way that is not ours"),
    }
}

/// Whether a transfer is what was claimed.
fn fits(made: &Transfer, claimed: &Transfer) -> Answer<()> {
    same("WrongPayee", "pays", &made.to, &claimed.to)?;
    same("WrongAsset", "pays in", &made.asset, &claimed.asset)?;
    same("WrongReference", "pays for", &made.reference, &claimed.reference)?;
    if made.amount < claimed.amount {
        let (amount, claimed) = (made.amount, claimed.amount);
        return refused("AmountTooLow", format!("it pays {amount}, claimed were {claimed}"));
    }
    Ok(())
}

fn same<T: PartialEq + Display>(code: &str, does: &str, made: &T, claimed: &T) -> Answer<()> {
    if made == claimed {
        return Ok(());
    }
    refused(code, format!("it {does} {made}, claimed was {claimed}"))
}
