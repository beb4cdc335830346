//! Stories of transfers, claims and numbers.

use super::*;

/// A transfer is known before it is sent, takes effect once however often it is sent, moves
/// exactly its amount, and its evidence names what happened.
pub async fn a_transfer_becomes_final(rig: &dyn Rig) {
    let (payer, payee) = (rig.payer(), rig.payee());
    let Some(payments) = payer.payments() else {
        return;
    };
    let (rich, poor) = (spendable(rig, payer).await, balance(rig, payee).await);
    let transfer = transfer(rig, 1_000);
    let number = answered(payer.next_number().await);
    let mut signed = answered(payments.transfer(number, &transfer).await);
    let before = answered(payer.finality(&signed).await);
    assert_eq!(before, Finality::Unknown, "nothing was sent yet");
    let tx = answered(payer.submit(&signed).await);
    if let Some(known) = &signed.tx {
        assert_eq!(*known, tx, "the id of prepared bytes was not the real one");
    }
    signed.tx = Some(tx);
    let sent = answered(payer.finality(&signed).await);
    let is_known = matches!(sent, Finality::Pending(_) | Finality::Final(_));
    assert!(is_known, "it was submitted, and yet it is {sent:?}");
    answered(payer.submit(&signed).await);
    let Finality::Final(evidence) = outcome(rig, payer, &signed).await else {
        panic!("a transfer of what the payer has did not become final");
    };
    answered(payer.submit(&signed).await);
    rig.mine(1).await;
    assert_eq!(Some(&evidence.tx), signed.tx.as_ref(), "evidence of another");
    assert_eq!(evidence.amount, transfer.amount, "evidence of the amount");
    assert!(!evidence.block.is_empty(), "evidence names no block");
    assert!(evidence.fee <= signed.fee, "a fee beyond what was agreed to");
    let again = answered(payer.finality(&signed).await);
    assert_eq!(again, Finality::Final(evidence.clone()), "final is for good");
    let fee = if rig.asset() == Asset::coin() { evidence.fee } else { Amount::ZERO };
    let spent = less(rich, spendable(rig, payer).await);
    assert_eq!(spent, sum(transfer.amount, fee), "what the payer spent");
    let got = less(balance(rig, payee).await, poor);
    assert_eq!(got, transfer.amount, "what the payee got");
}

/// A claim holds for the transfer that was made, or for less of it, and for nothing else; each
/// difference has its own answer.
pub async fn a_claim_is_checked(rig: &dyn Rig) {
    let (payer, payee) = (rig.payer(), rig.payee());
    let Some(payments) = payee.payments() else {
        return;
    };
    let made = transfer(rig, 500);
    let tx = done(rig, payer, &Call::Transfer(made.clone())).await.tx;
    let claim = |transfer: Transfer| Claim { tx: tx.clone(), transfer };
    for amount in [500, 499] {
        let amount = Amount::new(amount);
        let answer = payments.paid(&claim(Transfer { amount, ..made.clone() })).await;
        let Finality::Final(evidence) = answered(answer) else {
            panic!("a payment of 500 pays for {amount}");
        };
        assert_eq!(evidence.amount, made.amount, "what was paid, not claimed");
    }
    for (wrong, code) in wrong_claims(rig, &made) {
        assert_code(&payments.paid(&claim(wrong)).await, code);
    }
    let unknown = Claim { tx: stranger_id(&tx), transfer: made };
    assert_eq!(answered(payments.paid(&unknown).await), Finality::Unknown);
    if payer.records().is_some() {
        let tx = done(rig, payer, &anchor_call()).await.tx;
        let claim = Claim { tx, ..unknown };
        assert_code(&payments.paid(&claim).await, "NotATransfer");
    }
}

fn wrong_claims(rig: &dyn Rig, made: &Transfer) -> [(Transfer, &'static str); 4] {
    let other_asset: Asset = match rig.asset() == Asset::coin() {
        true => name("0x00000000000000000000000000000000000000ff"),
        false => Asset::coin(),
    };
    [
        (Transfer { amount: Amount::new(501), ..made.clone() }, "AmountTooLow"),
        (Transfer { to: rig.stranger().account().clone(), ..made.clone() }, "WrongPayee"),
        (Transfer { reference: Reference(fresh()), ..made.clone() }, "WrongReference"),
        (Transfer { asset: other_asset, ..made.clone() }, "WrongAsset"),
    ]
}

/// Nobody pays what it does not have, and trying costs nothing but a fee.
pub async fn what_cannot_be_paid_is_refused(rig: &dyn Rig) {
    let payer = rig.payer();
    if payer.payments().is_none() {
        return;
    }
    let poor = balance(rig, rig.payee()).await;
    let too_much = sum(spendable(rig, payer).await, Amount::new(1));
    let call = Call::Transfer(Transfer { amount: too_much, ..transfer(rig, 0) });
    refused(rig, payer, &call, "InsufficientFunds").await;
    assert_eq!(balance(rig, rig.payee()).await, poor, "nothing was paid");
    done(rig, payer, &transfer_call(rig, 1)).await;
}

/// Two transactions with numbers in a row both happen; of two with one number, one happens and
/// the other never can.
pub async fn numbers_are_used_once_each(rig: &dyn Rig) {
    let payer = rig.payer();
    if payer.payments().is_none() || !payer.has_numbers() {
        return;
    }
    let first = answered(payer.next_number().await);
    let a = answered(prepare(payer, first, &transfer_call(rig, 1)).await);
    let b = answered(prepare(payer, first + 1, &transfer_call(rig, 2)).await);
    let rival = answered(prepare(payer, first, &transfer_call(rig, 3)).await);
    assert!(a.tx != b.tx && a.tx != rival.tx, "ids that are not their own");
    answered(payer.submit(&a).await);
    answered(payer.submit(&b).await);
    // What the ledger says to the rival is its own affair: what counts is what becomes of it.
    let _ = payer.submit(&rival).await;
    let mut finals = 0;
    for signed in [&a, &rival] {
        match outcome(rig, payer, signed).await {
            Finality::Final(_) => finals += 1,
            Finality::Replaced => {}
            other => panic!("one of two with a number is neither: {other:?}"),
        }
    }
    assert_eq!(finals, 1, "of two with one number exactly one happens");
    let second = outcome(rig, payer, &b).await;
    assert!(matches!(second, Finality::Final(_)), "the second: {second:?}");
    let next = answered(payer.next_number().await);
    assert_eq!(next, first + 2, "the next number");
}

/// What one can pay with, which is no holding where a ledger pays with promises.
async fn spendable(rig: &dyn Rig, of: &dyn Ledger) -> Amount {
    answered(of.spendable(&rig.asset()).await)
}

pub(super) async fn balance(rig: &dyn Rig, of: &dyn Ledger) -> Amount {
    let asked = rig.payer();
    let payments = asked.payments().unwrap_or_else(|| panic!("no payments"));
    answered(payments.balance(of.account(), &rig.asset()).await)
}

pub(super) fn sum(a: Amount, b: Amount) -> Amount {
    a.checked_add(b).unwrap_or_else(|| panic!("{a} + {b} overflows"))
}

pub(super) fn less(from: Amount, amount: Amount) -> Amount {
    from.checked_sub(amount).unwrap_or_else(|| panic!("{from} became less than {amount}"))
}

/// An id of the same form that is no transaction's: the last visible digit is another.
fn stranger_id(tx: &TxId) -> TxId {
    let text = tx.as_str();
    let (start, last) = text.split_at(text.len() - 1);
    let other = if last == "1" { '2' } else { '1' };
    name(&format!("{start}{other}"))
}

fn name<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap_or_else(|e| panic!("{text}: {e:?}"))
}
