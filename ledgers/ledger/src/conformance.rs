//! One suite of stories that every ledger runs in its own tests.
//!
//! A ledger brings a [`Rig`]: three funded accounts and a way to let blocks and time pass. Each
//! story is an async function that panics with a sentence; [`run_all`] tells them all. A story
//! about an ability that the ledger lacks checks only that it is refused with `NoSuchAbility`.
//!
//! A refusal may come when a call is prepared, when it is submitted, or as a transaction that is
//! final without effect: ledgers differ in when they notice. Its code must be the same.

mod batches;
mod escrow;
mod money;
mod records;

pub use batches::{
    a_batch_is_the_payees_and_bounded, a_batch_passes_over_bad_rows,
    a_cancelled_number_does_nothing_else, an_approval_is_given_once, changes_are_told_once_each,
    changes_of_a_batch_are_told, changes_wait_until_they_are_final,
};
pub use escrow::{
    a_channel_is_settled_and_closed, a_payer_gets_out_alone, a_top_up_cancels_a_pending_close,
    only_the_right_party_acts, vouchers_are_checked,
};
pub use money::{
    a_claim_is_checked, a_transfer_becomes_final, numbers_are_used_once_each,
    what_cannot_be_paid_is_refused,
};
pub use records::anchors_are_found;

use crate::{
    Amount, Anchor, Asset, Call, Claim, Digest, Escrow, Evidence, Finality, InChannel, Key, Ledger,
    LedgerError, Open, Records, Redeem, Reference, Result, Signature, Signed, TopUp, Transfer,
    TxId, Voucher, channel_id, keccak, prepare,
};
use async_trait::async_trait;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What a ledger brings to the suite.
///
/// Nobody else uses the three accounts while the suite runs. It may run more than once on one
/// ledger, as every story takes fresh references and salts.
#[async_trait]
pub trait Rig: Send + Sync {
    /// An account that can pay at least 1,000,000 of [`Rig::asset`], and coin for its fees.
    fn payer(&self) -> &dyn Ledger;

    /// Another account; coin for its fees is enough.
    fn payee(&self) -> &dyn Ledger;

    /// A third account with nothing to do with the other two; coin for its fees is enough.
    fn stranger(&self) -> &dyn Ledger;

    /// The key that signs the payer's vouchers; `None` where the ledger has no escrow.
    fn payer_key(&self) -> Option<&Key>;

    /// What is paid in.
    fn asset(&self) -> Asset;

    /// Lets so many blocks be made, with all that waits in them where it fits.
    async fn mine(&self, blocks: u64);

    /// Lets time pass on the ledger.
    async fn pass(&self, time: Duration);
}

/// Tells every story.
pub async fn run_all(rig: &dyn Rig) {
    an_ability_that_is_lacking_is_refused(rig).await;
    a_transfer_becomes_final(rig).await;
    a_claim_is_checked(rig).await;
    what_cannot_be_paid_is_refused(rig).await;
    numbers_are_used_once_each(rig).await;
    a_cancelled_number_does_nothing_else(rig).await;
    anchors_are_found(rig).await;
    an_approval_is_given_once(rig).await;
    a_channel_is_settled_and_closed(rig).await;
    vouchers_are_checked(rig).await;
    only_the_right_party_acts(rig).await;
    a_top_up_cancels_a_pending_close(rig).await;
    a_payer_gets_out_alone(rig).await;
    a_batch_passes_over_bad_rows(rig).await;
    a_batch_is_the_payees_and_bounded(rig).await;
    changes_are_told_once_each(rig).await;
    changes_wait_until_they_are_final(rig).await;
    changes_of_a_batch_are_told(rig).await;
}

/// What a ledger cannot do it refuses by name, and it says who and where it is.
pub async fn an_ability_that_is_lacking_is_refused(rig: &dyn Rig) {
    let ledger = rig.payer();
    assert!(!ledger.account().as_str().is_empty());
    let named = ledger.id().as_str().split_once(':');
    assert!(named.is_some(), "{} is no CAIP-2 name", ledger.id());
    let depth = answered(ledger.status().await).depth;
    assert!(depth >= 1, "nothing can be final at a depth of {depth}");
    let channel = crate::ChannelId([0; 32]);
    let withdraw = Call::Withdraw(InChannel { channel });
    for (is_able, call) in [
        (ledger.records().is_some(), anchor_call()),
        (ledger.payments().is_some(), transfer_call(rig, 1)),
        (ledger.escrow().is_some(), withdraw),
    ] {
        if !is_able {
            let refused = prepare(ledger, 0, &call).await;
            assert_code(&refused, "NoSuchAbility");
        }
    }
}

/// The most blocks that the suite lets pass before it gives up on a transaction.
const BLOCKS_MAX: u64 = 200;

/// Prepares and submits a call under the account's next number.
async fn submitted(ledger: &dyn Ledger, call: &Call) -> Result<Signed> {
    let number = ledger.next_number().await?;
    let mut signed = prepare(ledger, number, call).await?;
    let told = ledger.submit(&signed).await?;
    if let Some(known) = &signed.tx {
        assert_eq!(*known, told, "the id of prepared bytes was not the real one");
    }
    signed.tx = Some(told);
    Ok(signed)
}

/// Lets blocks pass until it is known for good what became of a transaction.
async fn outcome(rig: &dyn Rig, ledger: &dyn Ledger, signed: &Signed) -> Finality {
    for _ in 0..BLOCKS_MAX {
        match answered(ledger.finality(signed).await) {
            Finality::Unknown | Finality::Pending(_) => rig.mine(1).await,
            known => return known,
        }
    }
    panic!("{:?} had no outcome in {BLOCKS_MAX} blocks", signed.tx);
}

/// Does a call that must work, and waits until it is final.
async fn done(rig: &dyn Rig, ledger: &dyn Ledger, call: &Call) -> Evidence {
    let signed = answered(submitted(ledger, call).await);
    let Finality::Final(evidence) = outcome(rig, ledger, &signed).await else {
        panic!("{call:?} did not become final");
    };
    assert_eq!(Some(&evidence.tx), signed.tx.as_ref(), "evidence of another");
    evidence
}

/// Does a call that must be refused with this code, at whatever step the ledger notices.
async fn refused(rig: &dyn Rig, ledger: &dyn Ledger, call: &Call, code: &str) {
    let signed = match submitted(ledger, call).await {
        Ok(signed) => signed,
        refusal => return assert_code(&refusal, code),
    };
    match outcome(rig, ledger, &signed).await {
        Finality::Reverted { why, evidence } => {
            assert!(why.contains(code), "reverted with {why:?}, not {code}");
            assert_eq!(evidence.amount, Amount::ZERO, "it moved something");
        }
        other => panic!("{call:?} had to be refused with {code}, but is {other:?}"),
    }
}

fn assert_code<T: std::fmt::Debug>(result: &Result<T>, expected: &str) {
    match result {
        Err(LedgerError::Refused { code, .. }) if code == expected => {}
        other => panic!("expected a refusal with {expected}, got {other:?}"),
    }
}

/// The value of a question that must be answered.
fn answered<T>(result: Result<T>) -> T {
    result.unwrap_or_else(|error| panic!("the ledger did not answer: {error}"))
}

/// 32 bytes that no story had before, not even in another run of the suite.
fn fresh() -> [u8; 32] {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let nanos = since.map_or(0, |d| d.as_nanos());
    keccak(&[&count.to_be_bytes(), &nanos.to_be_bytes()]).0
}

fn anchor_call() -> Call {
    Call::Anchor(Anchor::One { reference: Reference(fresh()), digest: Digest(fresh()) })
}

fn transfer_call(rig: &dyn Rig, units: u128) -> Call {
    Call::Transfer(transfer(rig, units))
}

fn transfer(rig: &dyn Rig, units: u128) -> Transfer {
    Transfer {
        to: rig.payee().account().clone(),
        asset: rig.asset(),
        amount: Amount::new(units),
        reference: Reference(fresh()),
    }
}
