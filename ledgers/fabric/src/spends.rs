//! Spends of account money. What was paid to an account waits, as credits, until the account sweeps
//! it into its balance, and two spends of one account in one block make one of them invalid: so one
//! goes after the other, and sweeps where the balance is too small.
//!
//! A crash anywhere in it does no harm: a sweep's reference is made of the credits that it names,
//! so the same again does nothing, and what was swept is a balance.

use crate::call::{Request, SWEEP};
use crate::gateway::{Answer, Trouble};
use crate::ledger::FabricLedger;
use crate::names;
use crate::rows::{Credit, Credits};
use sdpp_ledger::Amount;
use sha2::{Digest as _, Sha256};

/// The most credits that one sweep names.
const CREDITS_MAX: usize = 100;

/// The most sweeps for one payment before it is put off, so that another's turn comes.
const SWEEPS_MAX: usize = 50;

impl FabricLedger {
    /// Pays, in the account's turn.
    pub(crate) async fn spend(&self, request: &Request) -> Answer<()> {
        let _turn = self.own.spending.lock().await;
        let gateway = &self.own.gateway;
        match gateway.submit(request).await {
            Err(short) if short.is("InsufficientFunds") => {
                self.sweep_for(request, short).await?;
                match gateway.submit(request).await {
                    // Our own peer has it: an endorser that refuses is behind.
                    Err(short) if short.is("InsufficientFunds") => {
                        Err(gateway.doubt("an endorser does not know of the whole balance yet"))
                    }
                    answer => answer,
                }
            }
            answer => answer,
        }
    }

    /// Sweeps credits until the balance is enough for a payment; gives back why it was refused
    /// where all of them are not.
    async fn sweep_for(&self, payment: &Request, short: Trouble) -> Answer<()> {
        let [_, _, asset, amount] = payment.args.as_slice() else { return Err(short) };
        let Ok(amount) = amount.parse::<Amount>() else { return Err(short) };
        let account = self.own.account.as_str();
        for _ in 0..SWEEPS_MAX {
            let has = self.balance_of(account, asset).await?;
            if has.balance >= amount {
                return Ok(());
            }
            if has.total < amount && !has.more {
                return Err(short);
            }
            if !self.sweep(asset).await? {
                // They were counted a moment ago: whoever lists none is ahead, or behind.
                return Err(self.own.gateway.doubt("the credits that wait are not listed"));
            }
        }
        Err(self.own.gateway.doubt("many credits wait, and were not all swept yet"))
    }

    /// Sweeps the largest of the credits that are listed first; `false` where there is none.
    async fn sweep(&self, asset: &str) -> Answer<bool> {
        let gateway = &self.own.gateway;
        let asked = Request::new("ListCredits", &[self.own.account.as_str(), asset]);
        let Credits { credits } = gateway.query(&asked).await?;
        let Some(request) = sweeping(asset, credits) else { return Ok(false) };
        match gateway.submit(&request).await {
            // Another process of this account swept one of them: the list is another one now.
            Err(trouble) if trouble.is("NotFound") => Ok(true),
            // It says nothing of the payment, which may still be made.
            Err(Trouble::Refused { code, why }) => {
                Err(gateway.doubt(&format!("a sweep was refused: {code}: {why}")))
            }
            answer => answer.map(|()| true),
        }
    }
}

/// The sweep of the largest credits of a list.
fn sweeping(asset: &str, mut credits: Vec<Credit>) -> Option<Request> {
    credits.retain(|credit| names::is_hash(&credit.tx));
    credits.sort_by(|a, b| b.amount.cmp(&a.amount).then_with(|| a.tx.cmp(&b.tx)));
    credits.truncate(CREDITS_MAX);
    let mut txs: Vec<&str> = credits.iter().map(|credit| credit.tx.as_str()).collect();
    txs.sort_unstable();
    if txs.is_empty() {
        return None;
    }
    let credits = serde_json::json!(txs).to_string();
    let parts = ["sdpp/sweep", "\0", asset, "\0", &credits].concat();
    let reference = format!("0x{}", hex::encode(Sha256::digest(parts)));
    Some(Request::new(SWEEP.name, &[&reference, asset, &credits]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credits(amounts: &[u128]) -> Vec<Credit> {
        let credit = |(n, units): (usize, &u128)| Credit {
            tx: format!("{n:064x}"),
            amount: Amount::new(*units),
        };
        amounts.iter().enumerate().map(credit).collect()
    }

    #[test]
    fn the_same_credits_are_swept_under_the_same_reference() {
        let mut backwards = credits(&[1, 2, 3]);
        backwards.reverse();
        let forwards = sweeping("Org1MSP/USD", credits(&[1, 2, 3]));
        assert_eq!(forwards, sweeping("Org1MSP/USD", backwards));
        assert_ne!(forwards, sweeping("Org1MSP/USD", credits(&[1, 2])));
        assert_ne!(forwards, sweeping("Org1MSP/EUR", credits(&[1, 2, 3])));
        assert_eq!(sweeping("Org1MSP/USD", Vec::new()), None);
    }

    #[test]
    fn the_largest_credits_are_swept_first() {
        let mut amounts = vec![1; 150];
        amounts[149] = 1_000;
        let request = sweeping("Org1MSP/USD", credits(&amounts)).unwrap();
        let named: Vec<String> = serde_json::from_str(&request.args[2]).unwrap();
        assert_eq!(named.len(), CREDITS_MAX);
        assert!(named.contains(&format!("{:064x}", 149)));
    }
}
