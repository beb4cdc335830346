//! An operator's one-off commands: they sign, send and wait, with nothing on disk. Whoever has a
//! journal uses the three steps instead.

use crate::abi::{self, Body, ESCROW};
use crate::ledger::EthereumLedger;
use crate::names;
use ethers_core::abi::{Token as Word, encode};
use ethers_core::types::U256;
use ethers_core::utils::get_contract_address;
use sdpp_ledger::{
    Account, Amount, Call, Evidence, Finality, Ledger, LedgerError, Result, Signed, TxId,
};
use std::time::Duration;

/// How often what was sent is looked after.
const LOOK: Duration = Duration::from_millis(250);

/// How many looks it is given.
const LOOKS_MAX: u32 = 2_400;

/// A contract that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployed {
    /// The transaction that made it.
    pub tx: TxId,
    /// Where it is.
    pub contract: Account,
    /// Height of its block.
    pub height: u64,
}

impl EthereumLedger {
    /// Makes an escrow contract and waits until it is final. Seconds are the unit of its grace
    /// period, from ten minutes to ninety days.
    ///
    /// # Errors
    /// `GracePeriodOutOfRange`, `Reverted`, `Replaced`, `Unavailable`.
    pub async fn deploy_escrow(&self, grace_period: Duration) -> Result<Deployed> {
        let words = [Word::Uint(grace_period.as_secs().into())];
        self.deployed(&ESCROW.bytecode, &words).await
    }

    /// Makes a token for test chains, with all of its supply ours and open to be minted by
    /// anyone, and waits until it is final.
    ///
    /// # Errors
    /// `Reverted`, `Replaced`, `Unavailable`.
    pub async fn deploy_token(
        &self,
        name: &str,
        symbol: &str,
        decimals: u8,
        supply: Amount,
    ) -> Result<Deployed> {
        let words = [
            Word::String(name.to_owned()),
            Word::String(symbol.to_owned()),
            Word::Uint(decimals.into()),
            Word::Address(self.own.address),
            Word::Uint(names::word(supply)),
        ];
        self.deployed(&abi::TEST_TOKEN.bytecode, &words).await
    }

    /// Does a call under the chain's next number and waits until it is final.
    ///
    /// # Errors
    /// What the call is refused with, `Replaced`, `Unavailable`: then it may still happen.
    pub async fn send_and_wait(&self, call: &Call) -> Result<Evidence> {
        let number = self.next_number().await?;
        let signed = self.prepared(number, call).await?;
        self.landed(&signed).await
    }

    async fn deployed(&self, bytecode: &[u8], words: &[Word]) -> Result<Deployed> {
        let data = [bytecode, &encode(words)].concat();
        let number = self.next_number().await?;
        let body = Body { to: None, value: U256::zero(), data };
        let signed = self.prepared_body(number, &body).await?;
        let evidence = self.landed(&signed).await?;
        let contract = names::account(get_contract_address(self.own.address, number));
        Ok(Deployed { tx: evidence.tx, contract, height: evidence.height })
    }

    /// Sends, and waits until it is final.
    async fn landed(&self, signed: &Signed) -> Result<Evidence> {
        let mut last = self.submit(signed).await.err();
        for _ in 0..LOOKS_MAX {
            match self.finality(signed).await {
                Ok(Finality::Final(evidence)) => return Ok(evidence),
                Ok(Finality::Reverted { why, .. }) => {
                    let name = why.split(':').next().unwrap_or(&why);
                    return Err(LedgerError::refused(name, why.clone()));
                }
                Ok(Finality::Replaced) => {
                    let why = "another transaction of this account took its number";
                    return Err(LedgerError::refused("Replaced", why));
                }
                Ok(Finality::Unknown) => last = self.submit(signed).await.err(),
                Ok(Finality::Pending(_)) => last = None,
                Err(error) => last = Some(error),
            }
            if let Some(LedgerError::Refused { .. }) = last {
                break;
            }
            tokio::time::sleep(LOOK).await;
        }
        let late = || LedgerError::unavailable("it was sent, and is not final yet");
        Err(last.unwrap_or_else(late))
    }
}
