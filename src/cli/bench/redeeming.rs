//! One run of `sdpp bench settle`: channels of a payer made for it, a voucher on each, and a
//! seller's journal whose outbox redeems them.

use super::setting::{config, folder};
use crate::actors::journal::Commit;
use crate::actors::{random_digest, random_key};
use crate::cli::anvil::{ANVIL, Anvil, fund};
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::running::Running;
use crate::config::ledgers::Opened;
use crate::journal::{Obligation, Write, obligation};
use crate::record::{Act, Owed, Record};
use crate::terms::Purpose;
use sdpp_ledger::{
    Amount, Asset, Call, Escrow, Evidence, Finality, Key, Open, Redeem, Reference, Signed, TxId,
    Voucher, channel_id,
};
use serde::Serialize;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// What each channel is opened with, in wei. No two vouchers are worth the same.
const DEPOSIT: u128 = 1_000_000;

/// What each side is given for gas, in wei: a tenth of an ether.
const FOR_GAS: u128 = 100_000_000_000_000_000;

/// How many vouchers are redeemed one by one, to compare with.
const ALONE: usize = 3;

/// How long anything may take to be final.
const FINAL_WITHIN: Duration = Duration::from_secs(120);

/// How often the chain is asked whether it is.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What one run measured.
#[derive(Debug, Serialize)]
pub(super) struct Run {
    /// Transactions that redeemed all vouchers.
    pub(super) transactions: usize,
    /// Blocks from the one before the first submission to the one with the last transaction.
    pub(super) blocks: u64,
    /// And to the one that made it final.
    pub(super) blocks_to_final: u64,
    /// From the obligations' commit until the journal had all of them met.
    pub(super) seconds: f64,
    /// Of all transactions.
    pub(super) gas: u64,
    /// Of one voucher redeemed by itself, the dearest of some.
    pub(super) gas_alone: u64,
    /// What the chain paid out, in wei: what was owed.
    pub(super) settled: Amount,
}

/// Vouchers to redeem, and who redeems them.
pub(super) struct Redeeming {
    seller: Running,
    ledger: Opened,
    together: Vec<Redeem>,
    alone: Vec<Redeem>,
    depth: u64,
    // The journal lives in it; removed at the end.
    _dir: TempDir,
}

impl Redeeming {
    /// Opens so many channels to a new seller, and some to redeem alone.
    pub(super) async fn open(anvil: &Anvil, operator: &Opened, count: usize) -> Outcome<Redeeming> {
        let [payer, seller] = [new_key()?, new_key()?];
        let channels = count + ALONE;
        let need = FOR_GAS + DEPOSIT * channels as u128;
        for key in [&payer, &seller] {
            fund(operator, &key.public().account(), &Asset::coin(), Amount::new(need)).await?;
        }
        let mut together = vouchers(operator, &payer, &seller, channels).await?;
        let alone = together.split_off(count);
        let dir = folder()?;
        let config = config(&dir, "seller", &seller_toml(anvil)?)?;
        let ledger = operator.signed_by(seller.clone())?;
        let seller = Running::start(&config, seller, &[(ANVIL, &ledger)])?;
        Ok(Redeeming { seller, ledger, together, alone, depth: anvil.depth(), _dir: dir })
    }

    /// Redeems all of them, and looks at what the chain has of it.
    pub(super) async fn measure(self) -> Outcome<Run> {
        let before = self.ledger.ledger().status().await?.height;
        let (met, took) = self.redeem(&self.together).await?;
        let txs: BTreeSet<&TxId> = met.iter().map(|evidence| &evidence.tx).collect();
        let last = met.iter().map(|evidence| evidence.height).max().unwrap_or(before);
        let blocks = last.saturating_sub(before);
        let mut gas = 0;
        for tx in &txs {
            gas += self.gas(tx).await?;
        }
        let mut gas_alone = 0;
        for redeem in &self.alone {
            for evidence in self.redeem(std::slice::from_ref(redeem)).await?.0 {
                gas_alone = self.gas(&evidence.tx).await?.max(gas_alone);
            }
        }
        let run = Run {
            transactions: txs.len(),
            blocks,
            blocks_to_final: blocks + self.depth.saturating_sub(1),
            seconds: took.as_secs_f64(),
            gas,
            gas_alone,
            settled: self.settled().await?,
        };
        self.seller.stop();
        Ok(run)
    }

    /// Owes these to the chain, and waits until the outbox has met them all.
    async fn redeem(&self, vouchers: &[Redeem]) -> Outcome<(Vec<Evidence>, Duration)> {
        let gone = |error: &dyn std::fmt::Display| Failure::new(Exit::Failed, error);
        let references: Vec<Reference> = vouchers.iter().map(reference).collect();
        let owing = vouchers.iter().map(|redeem| self.owing(redeem)).collect();
        let started = Instant::now();
        let sent = self.seller.journal.send(Commit(owing)).await;
        let written = sent.map_err(|error| gone(&error))?.map_err(|error| gone(&error))?;
        written.into_iter().try_for_each(|one| one.map(drop)).map_err(|error| gone(&error))?;
        let left = self.seller.settle(FINAL_WITHIN).await?;
        let took = started.elapsed();
        if let Some(unsettled) = left.first() {
            let why = format!("{} vouchers are not redeemed in time", unsettled.count);
            return Err(Failure::new(Exit::Failed, why));
        }
        let row = |reference: &Reference| met(self.seller.reader.obligation(reference)?);
        Ok((references.iter().map(row).collect::<Outcome<_>>()?, took))
    }

    fn owing(&self, redeem: &Redeem) -> Write {
        let owed = Owed {
            reference: reference(redeem),
            purpose: Purpose::Settle,
            ledger: self.ledger.ledger().id().clone(),
            act: Act::Do(Call::Settle(redeem.clone())),
            held: false,
        };
        let record = Box::new(Record::Redeeming { channel: redeem.channel, owed });
        Write::Append { session: None, record }
    }

    async fn gas(&self, tx: &TxId) -> Outcome<u64> {
        let unknown = || Failure::new(Exit::Failed, format!("the chain does not know {tx}"));
        self.ledger.gas_used(tx).await?.ok_or_else(unknown)
    }

    /// What the chain paid out of all channels: each what its voucher says, or it is a failure.
    async fn settled(&self) -> Outcome<Amount> {
        let escrow = escrow(&self.ledger)?;
        let mut all = Amount::ZERO;
        for Redeem { channel, amount, .. } in self.together.iter().chain(&self.alone) {
            let shown = escrow.channel(channel).await?;
            let settled = shown.map_or(Amount::ZERO, |channel| channel.settled);
            if settled != *amount {
                let why = format!("channel {channel} was settled with {settled}, owed {amount}");
                return Err(Failure::new(Exit::Failed, why));
            }
            all = all.checked_add(settled).ok_or_else(|| Failure::new(Exit::Failed, "too much"))?;
        }
        Ok(all)
    }
}

/// Opens so many channels, waits until they are final, and signs a voucher on each.
async fn vouchers(
    operator: &Opened,
    payer: &Key,
    seller: &Key,
    count: usize,
) -> Outcome<Vec<Redeem>> {
    let opened = operator.signed_by(payer.clone())?;
    let (ledger, escrow) = (opened.ledger(), escrow(&opened)?);
    let (payee, coin) = (seller.public().account(), Asset::coin());
    let first = ledger.next_number().await?;
    let (mut vouchers, mut last) = (Vec::with_capacity(count), None);
    for number in (first..).take(count) {
        let salt = random_digest().map_err(|error| Failure::new(Exit::Failed, error))?;
        let id = channel_id(escrow.domain(), ledger.account(), &payee, &coin, &salt, None);
        let (payee, asset, deposit) = (payee.clone(), coin.clone(), Amount::new(DEPOSIT));
        let call = Call::Open(Open { payee, asset, deposit, salt, signer: None });
        let signed = sdpp_ledger::prepare(ledger.as_ref(), number, &call).await?;
        ledger.submit(&signed).await?;
        last = Some(signed);
        let voucher = Voucher { channel: id, amount: Amount::new(1 + u128::from(number)) };
        let signature = voucher.sign(escrow.domain(), payer);
        let Voucher { channel, amount } = voucher;
        vouchers.push(Redeem { channel, amount, signature });
    }
    // The one with the largest number is final after all others.
    if let Some(last) = last {
        until_final(&opened, &last).await?;
    }
    Ok(vouchers)
}

async fn until_final(ledger: &Opened, signed: &Signed) -> Outcome {
    let since = Instant::now();
    while since.elapsed() < FINAL_WITHIN {
        match ledger.ledger().finality(signed).await? {
            Finality::Final(_) => return Ok(()),
            Finality::Pending(_) | Finality::Unknown => tokio::time::sleep(LOOK_EVERY).await,
            Finality::Replaced | Finality::Reverted { .. } => break,
        }
    }
    Err(Failure::new(Exit::Ledger, "a channel could not be opened, or not in time"))
}

/// What the journal knows of something that is met; else why it is not.
fn met(row: Option<Obligation>) -> Outcome<Evidence> {
    let failed = |why: String| Err(Failure::new(Exit::Failed, why));
    match row.map(|row| row.state) {
        Some(obligation::State::Met { evidence }) => Ok(evidence),
        Some(obligation::State::Refused { why }) => {
            failed(format!("the chain refused a voucher: {why}"))
        }
        _ => failed("the journal has lost a voucher".to_owned()),
    }
}

/// A channel's id is as good a name for the one thing that is owed on it.
fn reference(redeem: &Redeem) -> Reference {
    Reference(redeem.channel.0)
}

fn escrow(opened: &Opened) -> Outcome<&dyn Escrow> {
    let none = || Failure::new(Exit::Ledger, "this chain has no escrow");
    opened.ledger().escrow().ok_or_else(none)
}

fn new_key() -> Outcome<Key> {
    random_key().map_err(|error| Failure::new(Exit::Failed, error))
}

/// The key that it names is never opened: it is in memory alone.
fn seller_toml(anvil: &Anvil) -> Outcome<String> {
    let chain = anvil.toml()?;
    Ok(format!(
        r#"{chain}
[buyer]
currencies = [{{ currency = "ETH", max_total = "1", deposit = "1" }}]
"#
    ))
}
