//! What an account has, held against what is to be promised in its name.

use sdpp_ledger::{Account, Amount, Asset, Ledger, LedgerError, LedgerId};
use std::fmt;
use std::time::Duration;

/// How long to wait before a ledger is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// An account that holds too little.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lack {
    ledger: LedgerId,
    account: Account,
    asset: Asset,
    holds: Amount,
    needs: Amount,
    /// What of that is for fees.
    fees: Amount,
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Lack { ledger, account, asset, holds, needs, fees } = self;
        let of =
            if *asset == Asset::coin() { "of the coin".to_owned() } else { format!("of {asset}") };
        write!(f, "account {account} on {ledger} holds {holds} {of}, it needs {needs}")?;
        match *fees {
            Amount::ZERO => Ok(()),
            all if all == *needs => f.write_str(", for fees"),
            fees => write!(f, ", {fees} of that for fees"),
        }
    }
}

/// What our account on a ledger lacks to pay so much of an asset and to do its part in a session
/// besides; nothing where it has enough, and where the ledger moves no money.
///
/// # Errors
/// What the ledger says.
pub async fn lack(
    ledger: &dyn Ledger,
    asset: &Asset,
    amount: Amount,
) -> Result<Option<Lack>, LedgerError> {
    if ledger.payments().is_none() {
        return Ok(None);
    }
    let (coin, fees) = (Asset::coin(), ledger.reserve().await?);
    let of = |asset: &Asset, needs, fees, holds| Lack {
        ledger: ledger.id().clone(),
        account: ledger.account().clone(),
        asset: asset.clone(),
        holds,
        needs,
        fees,
    };
    let for_coin = if *asset == coin { amount } else { Amount::ZERO };
    // Nobody holds more than there can be.
    let needs = for_coin.checked_add(fees).unwrap_or(Amount::new(u128::MAX));
    if needs > Amount::ZERO {
        let holds = ledger.spendable(&coin).await?;
        if holds < needs {
            return Ok(Some(of(&coin, needs, fees, holds)));
        }
    }
    if *asset != coin && amount > Amount::ZERO {
        let holds = ledger.spendable(asset).await?;
        if holds < amount {
            return Ok(Some(of(asset, amount, Amount::ZERO, holds)));
        }
    }
    Ok(None)
}

/// Sees to it that our account can pay so much, and waits for a ledger that does not answer.
///
/// # Errors
/// What is lacking, or what the ledger says, as a sentence.
pub async fn afford(ledger: &dyn Ledger, asset: &Asset, amount: Amount) -> Result<(), String> {
    loop {
        match lack(ledger, asset, amount).await {
            Ok(None) => return Ok(()),
            Ok(Some(lack)) => return Err(lack.to_string()),
            Err(LedgerError::Unavailable { .. }) => tokio::time::sleep(ASK_AGAIN).await,
            Err(refused) => return Err(refused.to_string()),
        }
    }
}
