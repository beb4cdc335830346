//! An operator's one-off commands: they sign, send and wait, with nothing on disk. Whoever has a
//! journal uses the three steps instead.

use crate::abi::Body;
use crate::artifact::{BONDS, ESCROW, TEST_TOKEN};
use crate::finality::own_id;
use crate::ledger::EthereumLedger;
use crate::names;
use ethers_core::abi::{Token as Word, encode};
use ethers_core::types::U256;
use ethers_core::utils::get_contract_address;
use sdpp_ledger::{
    Account, Amount, Call, Evidence, Finality, Ledger, LedgerError, Result, Signed, TxId,
};
use std::time::{Duration, Instant};

/// How often what was sent is looked after.
const LOOK: Duration = Duration::from_millis(250);

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
    /// The same, waiting so long for what these commands send to be final; ten minutes where
    /// nothing is said.
    pub fn waiting(self, landing: Duration) -> Self {
        EthereumLedger { landing, ..self }
    }

    /// Makes an escrow contract and waits until it is final. Seconds are the unit of its grace
    /// period, from ten minutes to ninety days.
    ///
    /// # Errors
    /// `GracePeriodOutOfRange`, `Reverted`, `Replaced`, `Unavailable`: then it may still happen,
    /// and the error says by which transaction and where.
    pub async fn deploy_escrow(&self, grace_period: Duration) -> Result<Deployed> {
        let words = [Word::Uint(grace_period.as_secs().into())];
        self.deployed(&ESCROW.bytecode, &words).await
    }

    /// Makes a contract of bonds for the channels of an escrow, and waits until it is final. Seconds
    /// are the unit of its period, from ten minutes to ninety days.
    ///
    /// # Errors
    /// `PeriodOutOfRange`, `Malformed` for what is no account, and as [`Self::deploy_escrow`].
    pub async fn deploy_bonds(&self, escrow: &Account, period: Duration) -> Result<Deployed> {
        let words = [Word::Address(names::address(escrow)?), Word::Uint(period.as_secs().into())];
        self.deployed(&BONDS.bytecode, &words).await
    }

    /// Makes a token for test chains, with all of its supply ours and open to be minted by
    /// anyone, and waits until it is final.
    ///
    /// # Errors
    /// `Reverted`, `Replaced`, `Unavailable`: then it may still happen, as above.
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
        self.deployed(&TEST_TOKEN.bytecode, &words).await
    }

    /// Does a call under the chain's next number and waits until it is final.
    ///
    /// # Errors
    /// What the call is refused with, `Replaced`, `Unavailable`: then it may still happen, and the
    /// error says by which transaction.
    pub async fn send_and_wait(&self, call: &Call) -> Result<Evidence> {
        let number = self.next_number().await?;
        let signed = self.prepared(number, call).await?;
        self.landed(&signed, None).await
    }

    async fn deployed(&self, bytecode: &[u8], words: &[Word]) -> Result<Deployed> {
        let data = [bytecode, &encode(words)].concat();
        let number = self.next_number().await?;
        let body = Body { to: None, value: U256::zero(), data };
        let signed = self.prepared_body(number, &body).await?;
        let contract = names::account(get_contract_address(self.own.address, number));
        let evidence = self.landed(&signed, Some(&contract)).await?;
        Ok(Deployed { tx: evidence.tx, contract, height: evidence.height })
    }

    /// Sends, and waits until it is final; `contract` is what it makes.
    async fn landed(&self, signed: &Signed, contract: Option<&Account>) -> Result<Evidence> {
        let since = Instant::now();
        let mut last = self.submit(signed).await.err();
        while since.elapsed() < self.landing {
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
            if let Some(error @ LedgerError::Refused { .. }) = last {
                return Err(error);
            }
            tokio::time::sleep(LOOK).await;
        }
        Err(late(own_id(signed)?, contract, since.elapsed(), last))
    }
}

/// What to tell an operator who has waited long enough: what was sent can still happen, and must
/// not be sent again under another number.
fn late(
    tx: &TxId,
    contract: Option<&Account>,
    time: Duration,
    last: Option<LedgerError>,
) -> LedgerError {
    let seconds = time.as_secs();
    let heard = last.map_or(String::new(), |error| format!(" ({error})"));
    let then = contract.map_or(String::new(), |contract| {
        format!(", and once it is final put the contract's address into the config: {contract}")
    });
    LedgerError::unavailable(format!(
        "transaction {tx} was sent {seconds} s ago and is not final yet{heard}; it may still \
         happen: look with `sdpp ledger tx {tx}`{then}"
    ))
}
