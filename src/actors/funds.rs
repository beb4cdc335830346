//! What an account can pay with, held against what is to be promised in its name.

use sdpp_ledger::{Account, Amount, Asset, Ledger, LedgerError, LedgerId};
use std::fmt;
use std::time::Duration;

/// How long to wait before a ledger is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// What every sentence about an account that can pay too little has in it.
const CAN_PAY: &str = " can pay ";

/// An account that can pay too little.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lack {
    ledger: LedgerId,
    account: Account,
    asset: Asset,
    has: Amount,
    needs: Amount,
    /// What of that is for fees.
    fees: Amount,
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Lack { ledger, account, asset, has, needs, fees } = self;
        let of =
            if *asset == Asset::coin() { "of the coin".to_owned() } else { format!("of {asset}") };
        // Where money is a promise it has none of it, and may still promise so much.
        write!(f, "account {account} on {ledger}{CAN_PAY}{has} {of}, it needs {needs}")?;
        match *fees {
            Amount::ZERO => Ok(()),
            all if all == *needs => f.write_str(", for fees"),
            fees => write!(f, ", {fees} of that for fees"),
        }
    }
}

/// Whether a sentence says that an account can pay too little.
pub fn is_lack(why: &str) -> bool {
    why.contains(CAN_PAY)
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
    let of = |asset: &Asset, needs, fees, has| Lack {
        ledger: ledger.id().clone(),
        account: ledger.account().clone(),
        asset: asset.clone(),
        has,
        needs,
        fees,
    };
    let for_coin = if *asset == coin { amount } else { Amount::ZERO };
    // Nobody has more than there can be.
    let needs = for_coin.checked_add(fees).unwrap_or(Amount::new(u128::MAX));
    if needs > Amount::ZERO {
        let has = ledger.spendable(&coin).await?;
        if has < needs {
            return Ok(Some(of(&coin, needs, fees, has)));
        }
    }
    if *asset != coin && amount > Amount::ZERO {
        let has = ledger.spendable(asset).await?;
        if has < amount {
            return Ok(Some(of(asset, amount, Amount::ZERO, has)));
        }
    }
    Ok(None)
}

/// Whether more of an asset, or of the coin that fees are paid in, is on its way to our account. A
/// ledger that does not say so shows nothing that could be waited for.
pub async fn is_coming(ledger: &dyn Ledger, asset: &Asset) -> bool {
    for asset in [asset, &Asset::coin()] {
        if ledger.coming(asset).await.is_ok_and(|coming| coming > Amount::ZERO) {
            return true;
        }
    }
    false
}

/// Waits until a ledger answers, so long at most.
///
/// # Errors
/// That it does not, as a sentence.
pub async fn answers(ledger: &dyn Ledger, at_most: Duration) -> Result<(), String> {
    let answer = async {
        while let Err(LedgerError::Unavailable { .. }) = ledger.status().await {
            tokio::time::sleep(ASK_AGAIN).await;
        }
    };
    let answered = tokio::time::timeout(at_most, answer).await;
    answered.map_err(|_| format!("{} does not answer", ledger.id()))
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
