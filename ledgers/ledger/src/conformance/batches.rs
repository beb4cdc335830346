//! Stories of batches and of what an escrow tells afterwards.

use super::escrow::{DEPOSIT, Lane, grace};
use super::money::{balance, less, sum};
use super::*;
use crate::{Approve, Batch, Change, ChangeKind, Changes, ChannelId, Row};

/// The most rows of a batch in these stories.
const ROWS: usize = 6;

/// An asset that asks for leave gets it once and for any deposit; others need none.
pub async fn an_approval_is_given_once(rig: &dyn Rig) {
    let Some(escrow) = rig.payer().escrow() else {
        return;
    };
    let asset = rig.asset();
    let deposit = Amount::new(DEPOSIT);
    if !answered(escrow.needs_approval(&asset, deposit).await) {
        return;
    }
    done(rig, rig.payer(), &Call::Approve(Approve { asset: asset.clone() })).await;
    for units in [1, DEPOSIT, 1_000_000] {
        let needs = answered(escrow.needs_approval(&asset, Amount::new(units)).await);
        assert!(!needs, "it was approved, and a deposit of {units} asks again");
    }
}

/// A batch pays its good rows and passes over the bad ones, each for the reason for which it
/// would have been refused alone.
pub async fn a_batch_passes_over_bad_rows(rig: &dyn Rig) {
    if !takes_batches(rig) {
        return;
    }
    let lanes = Lanes::open(rig).await;
    let Lanes { a, b, over } = &lanes;
    let nowhere = ChannelId(fresh());
    let altered = Redeem { amount: Amount::new(4_000), ..b.redeem(3_500) };
    let settled = vec![
        (a.redeem(1_000), Ok(1_000)),
        (altered, Err("InvalidSignature")),
        (a.redeem_of(nowhere, 500), Err("ChannelNotFound")),
        (over.redeem(100), Err("ChannelFinalized")),
        (a.redeem(1_000), Err("AmountNotIncreasing")),
        (b.redeem(2_000), Ok(2_000)),
    ];
    pays(rig, Call::SettleMany, settled).await;
    assert_eq!(a.now().await.settled, Amount::new(1_000));
    assert_eq!(b.now().await.settled, Amount::new(2_000));

    let before = balance(rig, rig.payer()).await;
    let unsigned = Redeem { signature: Signature([0; 65]), ..b.redeem(2_000) };
    let closed = vec![
        (a.redeem(DEPOSIT + 1), Err("AmountExceedsDeposit")),
        (a.redeem(3_500), Ok(2_500)),
        (unsigned.clone(), Ok(0)),
        (unsigned, Err("ChannelFinalized")),
    ];
    pays(rig, Call::CloseMany, closed).await;
    let rest = less(balance(rig, rig.payer()).await, before);
    assert_eq!(rest, Amount::new(2 * DEPOSIT - 3_500 - 2_000), "the payer's rests");
    for lane in [a, b] {
        assert!(lane.now().await.finalized, "{} was closed", lane.id);
    }
}

/// A stranger's batch is final and moves nothing, and one with too many rows is refused whole.
pub async fn a_batch_is_the_payees_and_bounded(rig: &dyn Rig) {
    if !takes_batches(rig) {
        return;
    }
    let Some(lane) = Lane::open(rig).await else {
        return;
    };
    let rows = vec![lane.redeem(1_000)];
    let others = done(rig, rig.stranger(), &Call::SettleMany(Batch { rows })).await;
    assert_row(&others.rows, &[(lane.id, Err("NotPayee"))]);
    assert_eq!(others.amount, Amount::ZERO, "a stranger was paid");
    assert_eq!(lane.now().await.settled, Amount::ZERO);

    let most = lane.escrow().rows_at_most();
    let too_many = Batch { rows: vec![lane.redeem(1); most + 1] };
    let call = Call::SettleMany(too_many);
    refused(rig, rig.payee(), &call, "BatchTooLarge").await;
    lane.close().await;
}

/// All that happens to a channel is told: once each, in order, from a height on, and only when
/// it is for good.
pub async fn changes_are_told_once_each(rig: &dyn Rig) {
    if !tells_changes(rig).await {
        return;
    }
    let start = answered(rig.payer().status().await).height + 1;
    let lane = whole_life(rig).await;
    let other = withdrawn(rig).await;
    let (list, next) = told(rig, &[lane.id], start).await;
    let expected = [
        ChangeKind::Opened { deposit: Amount::new(DEPOSIT) },
        ChangeKind::CloseRequested { ready_ms: 0 },
        ChangeKind::ToppedUp { deposit: Amount::new(DEPOSIT + 500) },
        ChangeKind::Settled { settled: Amount::new(3_000) },
        ChangeKind::Closed { settled: Amount::new(4_000) },
    ];
    assert_kinds(&list, &expected);
    assert!(list.is_sorted_by_key(|change| change.height), "out of order: {list:?}");
    assert!(list.iter().all(|change| change.channel == lane.id), "of another: {list:?}");
    let (again, _) = told(rig, &[lane.id], next).await;
    assert_eq!(again, [], "told again");
    let (later, _) = told(rig, &[lane.id], list[2].height).await;
    assert_eq!(later, list[2..], "from a height on");

    let (list, _) = told(rig, &[other.id], start).await;
    let expected = [
        ChangeKind::Opened { deposit: Amount::new(DEPOSIT) },
        ChangeKind::CloseRequested { ready_ms: 0 },
        ChangeKind::Withdrawn,
    ];
    assert_kinds(&list, &expected);
    let grace_ms = u64::try_from(other.escrow().grace_period().as_millis());
    let ChangeKind::CloseRequested { ready_ms } = list[1].kind else {
        panic!("checked above");
    };
    assert_eq!(Ok(ready_ms - list[1].at_ms), grace_ms, "when it may withdraw");
    let (both, _) = told(rig, &[lane.id, other.id], start).await;
    assert_eq!(both.len(), 8, "of two channels: {both:?}");
}

/// What is not final is not told.
pub async fn changes_wait_until_they_are_final(rig: &dyn Rig) {
    if !tells_changes(rig).await {
        return;
    }
    let start = answered(rig.payer().status().await).height + 1;
    let Some(lane) = Lane::open(rig).await else {
        return;
    };
    let payer = rig.payer();
    let signed = answered(submitted(payer, &lane.top_up(700)).await);
    for _ in 0..BLOCKS_MAX {
        let asked = answered(lane.escrow().changes(&[lane.id], start).await);
        let is_told = asked.list.iter().any(|change| Some(&change.tx) == signed.tx.as_ref());
        let is_final = matches!(answered(payer.finality(&signed).await), Finality::Final(_));
        assert!(is_final || !is_told, "told before it is final");
        if is_final {
            let (list, _) = told(rig, &[lane.id], start).await;
            assert_eq!(list.len(), 2, "opened and topped up: {list:?}");
            return lane.close().await;
        }
        rig.mine(1).await;
    }
    panic!("a top up had no outcome in {BLOCKS_MAX} blocks");
}

/// What a batch did is told for each channel that it paid from, and for no other.
pub async fn changes_of_a_batch_are_told(rig: &dyn Rig) {
    if !takes_batches(rig) || !tells_changes(rig).await {
        return;
    }
    let start = answered(rig.payer().status().await).height + 1;
    let Lanes { a, b, .. } = &Lanes::open(rig).await;
    let rows = vec![a.redeem(1_000), b.redeem(DEPOSIT + 1)];
    let batch = done(rig, rig.payee(), &Call::SettleMany(Batch { rows })).await;
    let rows = vec![b.redeem(2_000), a.redeem(1_500)];
    done(rig, rig.payee(), &Call::CloseMany(Batch { rows })).await;
    let opened = ChangeKind::Opened { deposit: Amount::new(DEPOSIT) };
    let (of_a, _) = told(rig, &[a.id], start).await;
    let settled = ChangeKind::Settled { settled: Amount::new(1_000) };
    let closed = ChangeKind::Closed { settled: Amount::new(1_500) };
    assert_kinds(&of_a, &[opened.clone(), settled, closed]);
    assert_eq!(of_a[1].tx, batch.tx);
    let (of_b, _) = told(rig, &[b.id], start).await;
    assert_kinds(&of_b, &[opened, ChangeKind::Closed { settled: Amount::new(2_000) }]);
}

/// Where a ledger can take something back, the number does nothing else, for good; and what was
/// sent before happens, or its cancellation, never both.
pub async fn a_cancelled_number_does_nothing_else(rig: &dyn Rig) {
    let (payer, payee) = (rig.payer(), rig.payee());
    if payer.payments().is_none() || !payer.has_numbers() {
        return;
    }
    for is_sent in [false, true] {
        let number = answered(payer.next_number().await);
        let paying = answered(prepare(payer, number, &transfer_call(rig, 700)).await);
        let poor = balance(rig, payee).await;
        if is_sent {
            answered(payer.submit(&paying).await);
        }
        let cancelling = match payer.cancel(std::slice::from_ref(&paying)).await {
            Err(LedgerError::Refused { code, .. }) if code == "NotCancellable" => {
                // What was sent must be out of the way of the stories that follow.
                if is_sent {
                    outcome(rig, payer, &paying).await;
                }
                continue;
            }
            cancelling => answered(cancelling),
        };
        assert_eq!(cancelling.number, number, "it cancels another number");
        // Too late is no error: what counts is what becomes of it.
        let _ = payer.submit(&cancelling).await;
        let paid = outcome(rig, payer, &paying).await;
        let cancelled = outcome(rig, payer, &cancelling).await;
        let got = less(balance(rig, payee).await, poor);
        match (paid, cancelled) {
            (Finality::Replaced, Finality::Final(evidence)) => {
                assert_eq!(evidence.amount, Amount::ZERO, "a cancellation pays nobody");
                assert_eq!(got, Amount::ZERO, "it was cancelled");
            }
            (Finality::Final(_), Finality::Replaced) if is_sent => {
                assert_eq!(got, Amount::new(700), "it was too late to cancel");
            }
            other => panic!("of a payment and its cancellation: {other:?}"),
        }
        assert_eq!(answered(payer.next_number().await), number + 1, "the next number");
    }
}

fn takes_batches(rig: &dyn Rig) -> bool {
    rig.payee().escrow().is_some_and(|escrow| escrow.rows_at_most() >= ROWS)
}

/// A ledger that does not tell never gets on.
async fn tells_changes(rig: &dyn Rig) -> bool {
    let Some(escrow) = rig.payer().escrow() else {
        return false;
    };
    let nobody = ChannelId(fresh());
    answered(escrow.changes(&[nobody], 0).await).next > 0
}

/// Two channels, and one that is closed.
struct Lanes<'a> {
    a: Lane<'a>,
    b: Lane<'a>,
    over: Lane<'a>,
}

impl<'a> Lanes<'a> {
    async fn open(rig: &'a dyn Rig) -> Lanes<'a> {
        let lane = async || Lane::open(rig).await.unwrap_or_else(|| panic!("no escrow"));
        let (a, b, over) = (lane().await, lane().await, lane().await);
        over.close().await;
        Lanes { a, b, over }
    }
}

/// What must come of each row: how many units it moves, or the code of its refusal.
type Expected = std::result::Result<u128, &'static str>;

/// Redeems rows as the payee, and checks what came of each and of all.
async fn pays(rig: &dyn Rig, call: fn(Batch) -> Call, rows: Vec<(Redeem, Expected)>) {
    let before = balance(rig, rig.payee()).await;
    let expected: Vec<_> = rows.iter().map(|(row, expected)| (row.channel, *expected)).collect();
    let batch = Batch { rows: rows.into_iter().map(|(row, _)| row).collect() };
    let evidence = done(rig, rig.payee(), &call(batch)).await;
    assert_row(&evidence.rows, &expected);
    let moved: u128 = expected.iter().filter_map(|(_, expected)| expected.ok()).sum();
    assert_eq!(evidence.amount, Amount::new(moved), "evidence of all rows");
    let after = balance(rig, rig.payee()).await;
    let fee = if rig.asset() == Asset::coin() { evidence.fee } else { Amount::ZERO };
    assert_eq!(sum(after, fee), sum(before, Amount::new(moved)), "what the payee got");
}

fn assert_row(rows: &[Row], expected: &[(ChannelId, Expected)]) {
    assert_eq!(rows.len(), expected.len(), "a row for each: {rows:?}");
    for (row, (channel, expected)) in rows.iter().zip(expected) {
        assert_eq!(row.channel, *channel, "rows in another order: {rows:?}");
        assert_eq!(row.amount, Amount::new(expected.unwrap_or(0)), "{row:?}");
        match (&row.refused, expected) {
            (None, Ok(_)) => {}
            (Some(why), Err(code)) if why.contains(code) => {}
            _ => panic!("expected {expected:?} of {row:?}"),
        }
    }
}

/// Compares kinds; when a close is ready is the ledger's affair here.
fn assert_kinds(list: &[Change], expected: &[ChangeKind]) {
    let kinds = list.iter().map(|change| match &change.kind {
        ChangeKind::CloseRequested { .. } => ChangeKind::CloseRequested { ready_ms: 0 },
        kind => kind.clone(),
    });
    assert_eq!(kinds.collect::<Vec<_>>(), expected, "of {list:?}");
}

/// Opened, asked to close, topped up, settled, closed.
async fn whole_life(rig: &dyn Rig) -> Lane<'_> {
    let lane = Lane::open(rig).await.unwrap_or_else(|| panic!("no escrow"));
    let (payer, payee) = (rig.payer(), rig.payee());
    let asking = Call::RequestClose(InChannel { channel: lane.id });
    done(rig, payer, &asking).await;
    // The first time counts, so the second changes nothing and is not told.
    done(rig, payer, &asking).await;
    done(rig, payer, &lane.top_up(500)).await;
    done(rig, payee, &Call::Settle(lane.redeem(3_000))).await;
    done(rig, payee, &Call::Close(lane.redeem(4_000))).await;
    lane
}

/// Opened, asked to close, withdrawn.
async fn withdrawn(rig: &dyn Rig) -> Lane<'_> {
    let lane = Lane::open(rig).await.unwrap_or_else(|| panic!("no escrow"));
    let channel = InChannel { channel: lane.id };
    done(rig, rig.payer(), &Call::RequestClose(channel.clone())).await;
    rig.pass(grace(lane.escrow())).await;
    done(rig, rig.payer(), &Call::Withdraw(channel)).await;
    lane
}

/// All changes from a height on, and where to go on.
async fn told(rig: &dyn Rig, channels: &[ChannelId], from: u64) -> (Vec<Change>, u64) {
    let escrow = rig.payee().escrow().unwrap_or_else(|| panic!("no escrow"));
    let (mut all, mut from) = (Vec::new(), from);
    loop {
        let Changes { list, next } = answered(escrow.changes(channels, from).await);
        assert!(next >= from, "it went back from {from} to {next}");
        let in_range = list.iter().all(|change| (from..next).contains(&change.height));
        assert!(in_range, "outside of {from}..{next}: {list:?}");
        all.extend(list);
        if next == from {
            return (all, next);
        }
        from = next;
    }
}
