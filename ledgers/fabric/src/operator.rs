//! What an operator asks and has done at its own account.

use crate::call::{MINT, Request};
use crate::finality::moved;
use crate::gateway::{Answer, Trouble};
use crate::ledger::FabricLedger;
use crate::names::{self, Kind};
use crate::rows::{self, Row};
use sdpp_ledger::{
    Account, Amount, Asset, Call, Evidence, Finality, LedgerError, Reference, Result, Transfer,
    TxId,
};
use serde_json::Value;
use std::time::Duration;
use tokio::time::Instant;

/// How long to wait before something is asked for again that was in doubt.
const AGAIN: Duration = Duration::from_millis(500);

/// A transaction as the ledger tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TxView {
    /// Its id.
    pub tx: TxId,
    /// Whose it is: the account, where the transaction tells it, else only the MSP id of whoever
    /// signed it.
    pub from: Account,
    /// What it asked for, where it is a call of ours to the last byte.
    pub call: Option<Call>,
    /// The chaincode's function that it called, in the ledger's words, cleaned.
    pub function: String,
    /// How final it is.
    pub finality: Finality,
}

/// What an account holds and owes in IOUs of a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ious {
    /// What others owe it.
    pub held: Debts,
    /// What it owes.
    pub owed: Debts,
}

/// IOUs added up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Debts {
    /// How many are open.
    pub count: u64,
    /// What is open of them, in the unit's smallest part.
    pub total: Amount,
    /// There are more than could be added up.
    pub more: bool,
}

impl FabricLedger {
    /// Opens our account, where it is not open yet. Only then can it be paid.
    ///
    /// # Errors
    /// `Unavailable`; `Refused` as the chaincode refuses.
    pub async fn open_account(&self) -> Result<()> {
        let deadline = self.deadline();
        loop {
            let opened = match self.is_open().await {
                Ok(true) => return Ok(()),
                Ok(false) => self.own.gateway.submit(&Request::new("OpenAccount", &[])).await,
                Err(error) => Err(error.into()),
            };
            match opened {
                Ok(()) => return Ok(()),
                Err(trouble) => wait_or_give_up(trouble, deadline).await?,
            }
        }
    }

    /// Whether our account is open.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn is_open(&self) -> Result<bool> {
        Ok(self.has_account(self.own.account.as_str()).await?)
    }

    /// Whether an account is open.
    pub(crate) async fn has_account(&self, account: &str) -> Answer<bool> {
        let told: Answer<Value> =
            self.own.gateway.query(&Request::new("GetAccount", &[account])).await;
        match told {
            Ok(told) if told["account"] == account => Ok(true),
            Ok(_) => Err(self.own.gateway.doubt("another account than was asked for")),
            Err(trouble) if trouble.is("NotFound") => Ok(false),
            Err(trouble) => Err(trouble),
        }
    }

    /// A transaction by its id; `None` where no block has it.
    ///
    /// # Errors
    /// `Malformed`, `Unavailable`.
    pub async fn transaction(&self, tx: &TxId) -> Result<Option<TxView>> {
        let Some(placed) = self.own.gateway.placed(&self.own.kept, tx).await? else {
            return Ok(None);
        };
        let told = placed.event.as_ref();
        let row = match told.and_then(|told| Some((told.function?, told))) {
            Some((function, told)) => {
                self.own.gateway.row(function, told.owner.as_str(), &told.reference).await?
            }
            None => None,
        };
        let row = row.filter(|row| row.tx == *tx);
        let evidence = placed.evidence(row.as_ref().map(moved).unwrap_or_default());
        let finality = match (placed.is_valid(), told, &placed.call) {
            (true, None, Some(_)) => {
                let why = "Repeated: it was done before".to_owned();
                Finality::Reverted { why, evidence }
            }
            (true, ..) => Finality::Final(evidence),
            (false, ..) => {
                let why = format!("Invalid: {}", self.own.gateway.clean(&placed.code));
                Finality::Reverted { why, evidence: placed.evidence(Amount::ZERO) }
            }
        };
        let msp = Some(&placed.msp).filter(|msp| names::is_msp(msp));
        let odd = || self.own.gateway.doubt("a transaction of nobody");
        let signed_by = msp.and_then(|msp| msp.parse().ok());
        let from = told.map(|told| told.owner.clone()).or(signed_by).ok_or_else(odd)?;
        let (call, function) = (placed.call.clone(), self.own.gateway.clean(&placed.function));
        Ok(Some(TxView { tx: tx.clone(), from, call, function, finality }))
    }

    /// Gives somebody something, and waits until that is final: makes it where we may make this
    /// money, else pays or promises it, a promise within what our account may owe. Each call gives
    /// anew.
    ///
    /// # Errors
    /// `Unavailable` where it was in doubt for too long, `Refused` as a payment is, and with
    /// `NoFaucet` where it is for ourselves and we may not make it.
    pub async fn give(&self, to: &Account, asset: &Asset, amount: Amount) -> Result<Evidence> {
        let mut bytes = [0; 32];
        let no_chance = |_| LedgerError::unavailable("the system gives no random bytes");
        getrandom::getrandom(&mut bytes).map_err(no_chance)?;
        let (to, asset, reference) = (to.clone(), asset.clone(), Reference(bytes));
        let transfer = Transfer { to, asset, amount, reference };
        let mut request = Request::of(&Call::Transfer(transfer.clone()))?;
        match names::kind(&transfer.asset)? {
            Kind::Money(money) if self.own.admin && names::msp_of(money) == self.own.msp => {
                request.func = MINT.name.to_owned();
            }
            _ if transfer.to == self.own.account => {
                let why = "we make none of it, and nobody pays itself";
                return Err(LedgerError::refused("NoFaucet", why));
            }
            Kind::Iou(unit) => self.may_owe(unit, &transfer).await?,
            Kind::Money(_) => {}
        }
        let deadline = self.deadline();
        loop {
            let landed = match self.land(&request).await {
                Ok(row) => self.given(&row, amount).await,
                Err(trouble) => Err(trouble),
            };
            match landed {
                Ok(evidence) => return Ok(evidence),
                Err(trouble) => wait_or_give_up(trouble, deadline).await?,
            }
        }
    }

    async fn given(&self, row: &Row, amount: Amount) -> Answer<Evidence> {
        let placed = self.own.gateway.placed(&self.own.kept, &row.tx).await?;
        let placed = placed.ok_or(Trouble::NoSuchTransaction)?;
        self.is_written_by(row, &placed)?;
        Ok(placed.evidence(amount))
    }

    /// What there is behind the gateway, as far as it can be known: a line of up to 100 characters.
    ///
    /// # Errors
    /// None: it was told when the gateway was reached.
    pub async fn software(&self) -> Result<String> {
        let version = self.own.gateway.clean(&self.own.version);
        let line = format!("FabConnect, chaincode sdpp {version}");
        Ok(line.chars().take(100).collect())
    }

    /// What an account holds and owes in IOUs of a unit.
    ///
    /// # Errors
    /// `Malformed`, `Unavailable`.
    pub async fn ious(&self, account: &Account, unit: &str) -> Result<Ious> {
        if !names::is_unit(unit) {
            return Err(LedgerError::refused("Malformed", "a unit is like Org1MSP/USD, or hours"));
        }
        let debts = self.debts_of(names::account(account)?, unit).await?;
        Ok(Ious { held: debts.held.into(), owed: debts.owed.into() })
    }

    /// Until when something is tried: there is time for one that is never answered, for finding out
    /// what became of it, and for another.
    fn deadline(&self) -> Instant {
        Instant::now() + self.own.gateway.settings().commit_patience.saturating_mul(2)
    }
}

impl From<rows::Debtors> for Debts {
    fn from(told: rows::Debtors) -> Self {
        Debts { count: told.count, total: told.total, more: told.more }
    }
}

/// Waits a little after a doubt; gives up where it is none, or lasts too long.
async fn wait_or_give_up(trouble: Trouble, deadline: Instant) -> Result<()> {
    let error = LedgerError::from(trouble);
    if matches!(error, LedgerError::Refused { .. }) || Instant::now() >= deadline {
        return Err(error);
    }
    tokio::time::sleep(AGAIN).await;
    Ok(())
}
