//! What an operator does by hand: gets coins where a network gives some away, and gives some of
//! its own to another account. None of it goes through a journal.

use crate::ledger::IotaLedger;
use crate::names;
use crate::rpc::{Answer, Rpc};
use crate::view::Text;
use iota_sdk_types::{Address, TransactionDigest};
use reqwest::StatusCode;
use sdpp_ledger::{
    Account, Amount, Asset, Endpoint, Evidence, Finality, Ledger, LedgerError, Payments, Reference,
    Result, Signed, Transfer, keccak,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long to wait before something is asked again.
const AGAIN: Duration = Duration::from_millis(200);

impl IotaLedger {
    /// Asks a faucet for coins for our account, and returns once the node shows them: what the
    /// faucet says that it sent, in NANOS. Asked twice it may send twice.
    ///
    /// # Errors
    /// `Unavailable` where the faucet does not answer or what it sent does not arrive in time;
    /// `Refused` with `NotFunded` where it gives none.
    pub async fn fund(&self, faucet: &Endpoint) -> Result<Amount> {
        let own = &self.own.signer.address;
        let before = self.chain.node.holds(own).await?;
        let node = Rpc::new(faucet.clone(), self.chain.settings.patience)?;
        let deadline = Instant::now() + self.landing;
        let asked = self.asked(&node, deadline).await;
        let gifts = asked.map_err(|error| self.not_given(faucet, error))?;
        let sent: u128 = gifts.iter().map(|gift| u128::from(gift.amount)).sum();
        if sent == 0 {
            return Err(LedgerError::refused("NotFunded", format!("{faucet} sent nothing")));
        }
        while self.chain.node.holds(own).await? < before.saturating_add(sent)
            && !self.has_all(&gifts).await
        {
            wait(deadline, "what the faucet sent has not arrived").await?;
        }
        Ok(Amount::new(sent))
    }

    /// What a faucet's trouble means for a person.
    fn not_given(&self, faucet: &Endpoint, error: LedgerError) -> LedgerError {
        match error {
            LedgerError::Unavailable { what, retry_after } => {
                let what = format!(
                    "the faucet gives nothing ({what}): see that it is up and that its URL is the \
                     one meant, or have somebody pay {}",
                    self.own.account
                );
                LedgerError::Unavailable { what, retry_after }
            }
            LedgerError::Refused { code, why } => {
                LedgerError::Refused { code, why: format!("{faucet}: {why}") }
            }
        }
    }

    /// Whether the node has what was sent, by its transactions: a balance does not show it where a
    /// seller or buyer with our key spends meanwhile.
    async fn has_all(&self, gifts: &[Gift]) -> bool {
        let digests: BTreeSet<_> = gifts.iter().map(|gift| gift.transfer_tx_digest.0).collect();
        for digest in digests {
            if !matches!(self.chain.node.has_indexed(&digest).await, Ok(true)) {
                return false;
            }
        }
        true
    }

    /// Gives some of our own coins to another account, in NANOS, and returns once that is final.
    /// Asked twice it gives twice. What it waits for before anything is signed is told, once each
    /// time that it is something else.
    ///
    /// # Errors
    /// As [`Payments::transfer`] and [`Ledger::submit`]; `Unavailable` where it is not final in
    /// time; `Refused` where it came to nothing, and with `Nobody` for address zero, where coins
    /// would be lost.
    pub async fn give(
        &self,
        to: &Account,
        amount: Amount,
        tell: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<Evidence> {
        if names::address(to)? == Address::ZERO {
            let why = "address zero is nobody's: what is paid to it is lost";
            return Err(LedgerError::refused("Nobody", why));
        }
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let nanos = since.map_or(0, |since| since.as_nanos());
        let reference = Reference(keccak(&[to.as_str().as_bytes(), &nanos.to_be_bytes()]).0);
        let transfer = Transfer { to: to.clone(), asset: Asset::coin(), amount, reference };
        let deadline = Instant::now() + self.landing;
        let mut told = String::new();
        let signed = loop {
            match self.transfer(0, &transfer).await {
                // Coins may be in use, or be on their way to us.
                Err(LedgerError::Unavailable { what, .. }) => {
                    if what != told {
                        tell(&format!("waiting up to {} s: {what}", self.landing.as_secs()));
                        told.clone_from(&what);
                    }
                    wait(deadline, &what).await?;
                }
                prepared => break prepared?,
            }
        };
        // It is out from here on, whatever is answered.
        self.settled(&signed, deadline).await.map_err(|error| match (error, &signed.tx) {
            (LedgerError::Unavailable { what, .. }, Some(tx)) => LedgerError::unavailable(format!(
                "{what}; {tx} may land all the same: look for it with `sdpp ledger tx {tx}` before \
                 anything is given again"
            )),
            (error, _) => error,
        })
    }

    /// Sends something until it has ended.
    async fn settled(&self, signed: &Signed, deadline: Instant) -> Result<Evidence> {
        loop {
            match self.finality(signed).await {
                Ok(Finality::Final(evidence)) => return Ok(evidence),
                Ok(Finality::Reverted { why, .. }) => {
                    return Err(LedgerError::refused("Reverted", why));
                }
                Ok(Finality::Replaced) => {
                    return Err(LedgerError::refused("Replaced", "its coins were spent elsewhere"));
                }
                Ok(Finality::Unknown) => match self.submit(signed).await {
                    Err(LedgerError::Unavailable { what, .. }) => wait(deadline, &what).await?,
                    Err(refused) => return Err(refused),
                    // A node that has it and does not tell of it is not asked without a pause.
                    Ok(_) => wait(deadline, "it is not told of").await?,
                },
                Ok(Finality::Pending(_)) => wait(deadline, "it is in no checkpoint").await?,
                Err(LedgerError::Unavailable { what, .. }) => wait(deadline, &what).await?,
                Err(refused) => return Err(refused),
            }
        }
    }

    /// What a faucet says that it sent: at once, or where it knows no such way, as a task.
    async fn asked(&self, faucet: &Rpc, deadline: Instant) -> Result<Vec<Gift>> {
        let order = json!({ "FixedAmountRequest": { "recipient": self.own.account } });
        let (status, bytes) = faucet.plain("gas", Some(&order)).await?;
        if status != StatusCode::NOT_FOUND {
            let gifts: Gifts = read(faucet, status, &bytes)?;
            return Ok(gifts.transferred_gas_objects);
        }
        let (status, bytes) = faucet.plain("v1/gas", Some(&order)).await?;
        let Task { task } = read(faucet, status, &bytes)?;
        if task.is_empty() || !task.bytes().all(|c| c.is_ascii_hexdigit() || c == b'-') {
            return Err(faucet.trouble("a task without a name").into());
        }
        loop {
            let (status, bytes) = faucet.plain(&format!("v1/status/{task}"), None).await?;
            let Progress { status } = read(faucet, status, &bytes)?;
            match (status.status.as_str(), status.transferred_gas_objects) {
                ("SUCCEEDED", Some(sent)) => return Ok(sent.sent),
                ("INPROGRESS", _) => wait(deadline, "the faucet is not done").await?,
                _ => return Err(LedgerError::refused("NotFunded", "the faucet gave it up")),
            }
        }
    }
}

async fn wait(deadline: Instant, what: &str) -> Result<()> {
    if Instant::now() >= deadline {
        return Err(LedgerError::unavailable(what));
    }
    sleep(AGAIN).await;
    Ok(())
}

fn read<T: DeserializeOwned>(faucet: &Rpc, status: StatusCode, bytes: &[u8]) -> Answer<T> {
    if !status.is_success() {
        let words = String::from_utf8_lossy(bytes);
        return Err(faucet.trouble(&format!("HTTP {}: {words}", status.as_u16())));
    }
    serde_json::from_slice(bytes).map_err(|e| faucet.trouble(&format!("the faucet: {e}")))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Gifts {
    transferred_gas_objects: Vec<Gift>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Gift {
    amount: u64,
    transfer_tx_digest: Text<TransactionDigest>,
}

#[derive(Deserialize)]
struct Task {
    task: String,
}

#[derive(Deserialize)]
struct Progress {
    status: Standing,
}

#[derive(Deserialize)]
struct Standing {
    status: String,
    #[serde(default)]
    transferred_gas_objects: Option<Sent>,
}

#[derive(Deserialize)]
struct Sent {
    sent: Vec<Gift>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorded::answer;

    #[test]
    fn what_faucets_were_recorded_to_say_is_read() {
        let gifts: Gifts = serde_json::from_str(&answer("03-faucet-gas")).unwrap();
        let sent: u64 = gifts.transferred_gas_objects.iter().map(|gift| gift.amount).sum();
        assert_eq!(sent, 1_000_000_000_000);
        let task: Task = serde_json::from_str(&answer("61-faucet-v1-gas")).unwrap();
        assert_eq!(task.task.len(), 36);
        let progress: Progress = serde_json::from_str(&answer("61-faucet-v1-status-0")).unwrap();
        assert_eq!(progress.status.transferred_gas_objects.unwrap().sent.len(), 5);
    }
}
