//! What the adapter's own work for a payment takes, beside what no payment can do without.

use super::accounts::Accounts;
use crate::actors::random_digest;
use crate::cli::bench::clock::cpu;
use crate::cli::bench::work::{self, failed, joined, landed};
use crate::cli::exit::Outcome;
use ed25519_dalek::{Signer as _, SigningKey};
use sdpp_ledger::{
    Account, Amount, Asset, Call, Evidence, Ledger, LedgerError, Transfer, keccak, prepare,
};
use serde::Serialize;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// How many are on their way at once.
const AT_ONCE: usize = 16;

/// How often it is asked whether something is final, as configs do where they say nothing.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// When something is prepared again for which there was no coin.
const AGAIN: Duration = Duration::from_millis(100);

/// How many bytes of a payment are signed, and how often they are hashed: for the digest, for what
/// is signed, and for the digest that the answer is compared with.
const SIGNED_BYTES: usize = 400;
const HASHES: usize = 3;

/// What each payment moves, in NANOS.
pub(super) const AMOUNT: u128 = 7;

/// What one run measured.
#[derive(Serialize)]
pub(super) struct Cpu {
    /// From the preparation of one lone payment until it is final, in milliseconds.
    pub(super) ms_for_one: f64,
    /// How often the node was asked, by its own count.
    pub(super) exchanges_per_payment: f64,
    /// Of this process, in milliseconds.
    pub(super) ms_per_payment: f64,
    /// Of this process for a signature, its hashes, as many exchanges, and nothing else, in
    /// milliseconds.
    pub(super) bare_ms_per_payment: f64,
}

impl Cpu {
    /// Pays so many times, once the account's coin is split.
    pub(super) async fn measure(accounts: &Accounts<'_>, payments: u32) -> Outcome<Cpu> {
        let (payer, payee) =
            (accounts.with_one_coin(payments + 1).await?, accounts.with_nothing()?);
        let began = Instant::now();
        done(payer.opened.ledger().as_ref(), &Call::Transfer(payment(payee.account())?)).await?;
        let ms_for_one = began.elapsed().as_secs_f64() * 1_000.0;
        let slots = Arc::new(Semaphore::new(AT_ONCE));
        let asked = accounts.tally().await?.exchanges();
        let before = cpu();
        let mut tasks = JoinSet::new();
        for _ in 0..payments {
            let (ledger, slots) = (payer.opened.ledger().clone(), slots.clone());
            let call = Call::Transfer(payment(payee.account())?);
            tasks.spawn(async move {
                // Nobody closes them.
                let _slot = slots.acquire().await.ok();
                Ok(done(ledger.as_ref(), &call).await?)
            });
        }
        joined(tasks).await?;
        let ours = cpu().saturating_sub(before);
        let exchanges = accounts.tally().await?.exchanges() - asked;
        let (owed, has) = (AMOUNT * (u128::from(payments) + 1), payee.holds().await?);
        if has != Amount::new(owed) {
            return Err(failed(format!("the payee has {has}, and was paid {owed}")));
        }
        let ms = |cpu: Duration| cpu.as_secs_f64() * 1_000.0 / f64::from(payments);
        let bare = bare(accounts, payments, exchanges).await?;
        Ok(Cpu {
            ms_for_one,
            exchanges_per_payment: exchanges as f64 / f64::from(payments),
            ms_per_payment: ms(ours),
            bare_ms_per_payment: ms(bare),
        })
    }
}

/// A payment under a reference that was never used.
pub(super) fn payment(to: &Account) -> Outcome<Transfer> {
    work::payment(to, &Asset::coin(), AMOUNT)
}

/// Has something done, and waits until it is final.
async fn done(ledger: &dyn Ledger, call: &Call) -> Result<Evidence, LedgerError> {
    let signed = loop {
        match prepare(ledger, 0, call).await {
            Err(LedgerError::Unavailable { .. }) => tokio::time::sleep(AGAIN).await,
            prepared => break prepared?,
        }
    };
    landed(ledger, &signed, LOOK_EVERY).await
}

/// What so many payments cannot do without, and nothing else.
async fn bare(accounts: &Accounts<'_>, payments: u32, exchanges: u64) -> Outcome<Duration> {
    let key = SigningKey::from_bytes(&random_digest().map_err(failed)?.0);
    let bytes = [7_u8; SIGNED_BYTES];
    let before = cpu();
    for _ in 0..payments {
        let hashed = std::array::from_fn::<_, HASHES, _>(|_| keccak(&[&bytes]));
        // Otherwise none of it needs to be done.
        std::hint::black_box(key.sign(&hashed[0].0));
    }
    for _ in 0..exchanges {
        accounts.exchange().await?;
    }
    Ok(cpu().saturating_sub(before))
}
