//! Stories of the escrow on a real chain that the suite for all ledgers does not tell: batches,
//! what a watcher is told, leave for a token, and contracts that are not ours.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod rig;
mod suite;

use rig::{Anvil, GRACE, account, evidence, key, mining, signed};
use sdpp_ledger::conformance::Rig;
use sdpp_ledger::{
    Account, Amount, Asset, Batch, Call, ChangeKind, ChannelId, Digest, Escrow, Finality,
    InChannel, Ledger, LedgerError, Open, Redeem, Signature, TopUp, Voucher, channel_id, prepare,
};
use sdpp_ledger_ethereum::{EthereumLedger, Settings, Token};
use serde_json::json;
use std::time::Duration;
use suite::EthereumRig;

fn opening(asset: &Asset, salt: u8, deposit: u128) -> Open {
    let (payee, salt) = (account(1), Digest([salt; 32]));
    Open { payee, asset: asset.clone(), deposit: Amount::new(deposit), salt, signer: None }
}

fn id_of(ledger: &EthereumLedger, open: &Open) -> ChannelId {
    let domain = ledger.domain();
    channel_id(domain, &account(0), &open.payee, &open.asset, &open.salt, None)
}

fn redeem(ledger: &EthereumLedger, channel: ChannelId, units: u128) -> Redeem {
    let amount = Amount::new(units);
    let signature = Voucher { channel, amount }.sign(ledger.domain(), &key(0));
    Redeem { channel, amount, signature }
}

async fn rig(args: &[&str], depth: u64, is_token: bool) -> Option<EthereumRig> {
    Some(EthereumRig::new(Anvil::start(args).await?, depth, is_token).await)
}

/// Does a call on a chain that makes blocks by itself.
async fn done(ledger: &EthereumLedger, call: &Call) -> sdpp_ledger::Evidence {
    let signed = signed(ledger, call).await;
    ledger.submit(&signed).await.unwrap();
    evidence(ledger, &signed).await
}

#[tokio::test]
async fn a_batch_tells_what_became_of_each_row() {
    let Some(rig) = rig(&[], 1, true).await else { return };
    let [payer, payee, _] = &rig.ledgers;
    let mut ids = Vec::new();
    for salt in 0..4 {
        let open = opening(&rig.asset(), salt, 1_000);
        ids.push(id_of(payer, &open));
        done(payer, &Call::Open(open)).await;
    }
    done(payee, &Call::Settle(redeem(payee, ids[0], 100))).await;
    let rows = vec![
        redeem(payee, ids[0], 300),
        redeem(payee, ids[1], 1_001),
        redeem(payee, ChannelId([9; 32]), 5),
        Redeem { signature: Signature([0; 65]), ..redeem(payee, ids[2], 5) },
        redeem(payee, ids[0], 700),
        redeem(payee, ids[3], 50),
    ];
    let call = Call::SettleMany(Batch { rows: rows.clone() });
    let settled = done(payee, &call).await;
    let told: Vec<_> = settled.rows.iter().map(|r| (r.amount.units(), r.refused.clone())).collect();
    let refused = |why: &str| (0, Some(why.to_owned()));
    let expected = vec![
        (200, None),
        refused("AmountExceedsDeposit"),
        refused("ChannelNotFound"),
        refused("InvalidSignature"),
        (400, None),
        (50, None),
    ];
    assert_eq!(told, expected);
    assert_eq!(settled.amount, Amount::new(650));
    assert!(settled.rows.iter().zip(&rows).all(|(told, asked)| told.channel == asked.channel));
    let closing = Call::CloseMany(Batch { rows: vec![redeem(payee, ids[3], 70)] });
    assert_eq!(done(payee, &closing).await.amount, Amount::new(20));
    let view = payee.transaction(&settled.tx).await.unwrap().unwrap();
    assert_eq!(view.call, Some(call));
    assert_eq!(view.finality, Finality::Final(settled));

    for rows in [Vec::new(), vec![rows[0].clone(); payee.rows_at_most() + 1]] {
        let answer = prepare(payee, 0, &Call::SettleMany(Batch { rows })).await;
        assert!(
            matches!(&answer, Err(LedgerError::Refused { code, .. }) if code == "BatchTooLarge")
        );
    }
}

#[tokio::test]
async fn a_batch_that_is_too_dear_is_told_from_a_call_that_waits_for_money() {
    let Some(rig) = rig(&[], 1, false).await else { return };
    let [payer, payee, _] = &rig.ledgers;
    let mut rows = Vec::new();
    for salt in 0..8 {
        let open = opening(&Asset::coin(), salt, 1_000);
        rows.push(redeem(payee, id_of(payer, &open), 10));
        done(payer, &Call::Open(open)).await;
    }
    let number = payee.next_number().await.unwrap();
    let one = Call::Settle(rows[0].clone());
    let many = Call::SettleMany(Batch { rows: rows.clone() });
    let cost = prepare(payee, number, &one).await.unwrap().fee;
    let poor = async |wei: u128| {
        let wei = format!("{wei:#x}");
        rig.anvil.ask("anvil_setBalance", json!([account(1).as_str(), wei])).await;
    };
    poor(cost.units() * 3 / 2).await;
    let refused = prepare(payee, number, &many).await;
    let is_short = |error: &LedgerError| matches!(error, LedgerError::Refused { code, .. } if code == "InsufficientFunds");
    assert!(refused.as_ref().is_err_and(is_short), "{refused:?}");
    assert!(prepare(payee, number, &one).await.is_ok(), "alone it goes");
    poor(cost.units() / 2).await;
    let waits = prepare(payee, number, &one).await;
    assert!(matches!(waits, Err(LedgerError::Unavailable { .. })), "{waits:?}");
}

#[tokio::test]
async fn the_most_rows_that_fit_a_batch_are_settled_at_once() {
    let Some(rig) = rig(&["--no-mining"], 2, false).await else { return };
    let [payer, payee, _] = &rig.ledgers;
    let first = payer.next_number().await.unwrap();
    let (mut ids, mut last) = (Vec::new(), None);
    for place in 0..200u64 {
        let mut open = opening(&Asset::coin(), 0, 1_000);
        open.salt.0[..8].copy_from_slice(&place.to_be_bytes());
        ids.push(id_of(payer, &open));
        let signed = prepare(payer, first + place, &Call::Open(open)).await.unwrap();
        payer.submit(&signed).await.unwrap();
        last = Some(signed);
    }
    rig.mine(20).await;
    evidence(payer, &last.unwrap()).await;
    let rows = ids.iter().map(|id| redeem(payee, *id, 10)).collect();
    let batch = signed(payee, &Call::SettleMany(Batch { rows })).await;
    payee.submit(&batch).await.unwrap();
    rig.mine(2).await;
    let told = evidence(payee, &batch).await;
    assert_eq!(told.amount, Amount::new(2_000));
    assert_eq!(told.rows.len(), 200);

    let changes = payee.changes(&ids, 0).await.unwrap();
    assert_eq!(changes.list.len(), 400, "each was opened and settled");
    assert!(changes.list.is_sorted_by_key(|change| change.height));
}

#[tokio::test]
async fn what_was_settled_before_is_read_from_events_where_the_state_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state.json");
    let args = ["--state", state.to_str().unwrap()];
    let Some(rig) = rig(&args, 1, false).await else { return };
    let [payer, payee, _] = &rig.ledgers;
    let open = opening(&Asset::coin(), 1, 1_000);
    let id = id_of(payer, &open);
    done(payer, &Call::Open(open)).await;
    done(payee, &Call::Settle(redeem(payee, id, 100))).await;
    let second = signed(payee, &Call::Settle(redeem(payee, id, 300))).await;
    payee.submit(&second).await.unwrap();
    let told = evidence(payee, &second).await;
    assert_eq!(told.amount, Amount::new(200));
    let port = rig.anvil.port;
    rig.anvil.end().await;
    let again = Anvil::start_on(port, &args).await.unwrap();
    let answer = again.answer("eth_getBalance", json!([account(0).as_str(), "0x2"])).await;
    assert!(answer.get("error").is_some(), "the state is still there: {answer}");
    assert_eq!(evidence(payee, &second).await, told);
}

#[tokio::test]
async fn a_watcher_is_told_what_is_final_and_nothing_twice() {
    let Some(rig) = rig(&["--no-mining"], 3, false).await else { return };
    let [payer, payee, _] = &rig.ledgers;
    let (open, other) = (opening(&Asset::coin(), 1, 1_000), opening(&Asset::coin(), 2, 77));
    let (id, unasked) = (id_of(payer, &open), id_of(payer, &other));
    let (mut from, mut told) = (0, Vec::new());
    let in_it = InChannel { channel: id };
    let top_up = TopUp { channel: id, amount: Amount::new(500) };
    let steps = [
        (payer, Call::Open(open)),
        (payer, Call::Open(other)),
        (payer, Call::RequestClose(in_it.clone())),
        (payer, Call::TopUp(top_up)),
        (payee, Call::Settle(redeem(payee, id, 300))),
        (payer, Call::RequestClose(in_it)),
        (payee, Call::Close(redeem(payee, id, 400))),
    ];
    for (ledger, call) in steps {
        let sent = signed(ledger, &call).await;
        ledger.submit(&sent).await.unwrap();
        rig.mine(2).await;
        assert!(matches!(ledger.finality(&sent).await, Ok(Finality::Pending(Some(_)))));
        let early = payee.changes(&[id], from).await.unwrap();
        assert!(early.list.iter().all(|change| Some(&change.tx) != sent.tx.as_ref()), "too early");
        rig.mine(1).await;
        evidence(ledger, &sent).await;
        let changes = payee.changes(&[id], from).await.unwrap();
        assert!(changes.next > from);
        (from, told) = (changes.next, [told, changes.list].concat());
    }
    let kinds: Vec<_> = told.iter().map(|change| change.kind.clone()).collect();
    let units = Amount::new;
    assert_eq!(kinds.len(), 6, "{kinds:?}");
    assert_eq!(kinds[0], ChangeKind::Opened { deposit: units(1_000) });
    let ChangeKind::CloseRequested { ready_ms } = kinds[1] else { panic!("{:?}", kinds[1]) };
    assert_eq!(Duration::from_millis(ready_ms - told[1].at_ms), GRACE);
    assert_eq!(kinds[2], ChangeKind::ToppedUp { deposit: units(1_500) });
    assert_eq!(kinds[3], ChangeKind::Settled { settled: units(300) });
    assert!(matches!(kinds[4], ChangeKind::CloseRequested { .. }));
    assert_eq!(kinds[5], ChangeKind::Closed { settled: units(400) });
    assert!(told.iter().all(|change| change.channel == id));
    let again = payee.changes(&[id], from).await.unwrap();
    assert_eq!((again.list, again.next), (Vec::new(), from), "nothing is told twice");
    let all = payee.changes(&[unasked, id], 0).await.unwrap();
    assert_eq!(all.list.len(), 7);
    assert_eq!(payee.changes(&[], 0).await.unwrap().list, Vec::new());
}

#[tokio::test]
async fn a_long_silence_is_read_in_parts() {
    let Some(rig) = rig(&[], 1, false).await else { return };
    let [payer, payee, _] = &rig.ledgers;
    rig.anvil.ask("anvil_mine", json!(["0x9c4"])).await;
    let open = opening(&Asset::coin(), 1, 1_000);
    let id = id_of(payer, &open);
    done(payer, &Call::Open(open)).await;
    let (mut from, mut told, mut parts) = (0, 0, 0);
    while from <= rig.anvil.height().await {
        let changes = payee.changes(&[id], from).await.unwrap();
        (from, told, parts) = (changes.next, told + changes.list.len(), parts + 1);
    }
    assert_eq!((told, parts), (1, 3));
}

#[tokio::test]
async fn a_channel_is_read_at_the_depth_and_forgotten_with_its_block() {
    let Some(rig) = rig(&["--no-mining"], 3, false).await else { return };
    let payer = &rig.ledgers[0];
    let open = opening(&Asset::coin(), 1, 1_000);
    let id = id_of(payer, &open);
    let sent = signed(payer, &Call::Open(open)).await;
    payer.submit(&sent).await.unwrap();
    rig.mine(2).await;
    assert_eq!(payer.channel(&id).await, Ok(None), "not deep enough");
    rig.anvil.ask("anvil_reorg", json!([2, []])).await;
    rig.mine(3).await;
    assert_eq!(payer.channel(&id).await, Ok(None), "it never was");
    payer.submit(&sent).await.unwrap();
    rig.mine(3).await;
    assert!(payer.channel(&id).await.unwrap().is_some());
}

#[tokio::test]
async fn how_late_a_request_is_told_is_the_age_of_the_newest_final_block() {
    for (depth, lag_s) in [(1, 0), (3, 24), (5, 48)] {
        let Some(rig) = rig(&["--no-mining"], depth, false).await else { return };
        rig.anvil.ask("anvil_mine", json!([8, 12])).await;
        assert_eq!(rig.ledgers[0].lag().await, Ok(Duration::from_secs(lag_s)), "depth {depth}");
    }
}

#[tokio::test]
async fn what_fails_in_its_block_is_told_with_the_contracts_reason() {
    let Some(rig) = rig(&["--no-mining"], 1, false).await else { return };
    let [payer, payee, _] = &rig.ledgers;
    let open = opening(&Asset::coin(), 1, 1_000);
    let id = id_of(payer, &open);
    let opened = signed(payer, &Call::Open(open)).await;
    payer.submit(&opened).await.unwrap();
    rig.mine(1).await;
    let number = payee.next_number().await.unwrap();
    let call = Call::Settle(redeem(payee, id, 10));
    let first = prepare(payee, number, &call).await.unwrap();
    let second = prepare(payee, number + 1, &call).await.unwrap();
    payee.submit(&first).await.unwrap();
    // Tried out after the first, and with a gap before it that may hold what it needs.
    let refused = prepare(payee, number + 1, &call).await;
    assert!(
        matches!(&refused, Err(LedgerError::Refused { code, .. }) if code == "AmountNotIncreasing")
    );
    let waits = prepare(payee, number + 2, &call).await;
    assert!(matches!(waits, Err(LedgerError::Unavailable { retry_after: Some(_), .. })));
    payee.submit(&second).await.unwrap();
    rig.mine(1).await;
    assert_eq!(evidence(payee, &first).await.amount, Amount::new(10));
    let told = payee.finality(&second).await;
    let Ok(Finality::Reverted { why, evidence }) = told else { panic!("{told:?}") };
    assert_eq!(why, "AmountNotIncreasing");
    assert_eq!(evidence.amount, Amount::ZERO);
    assert!(evidence.fee > Amount::ZERO, "it cost its fee");
}

#[tokio::test]
async fn a_token_is_deposited_with_leave_and_not_before() {
    let Some(rig) = rig(&["--no-mining"], 1, true).await else { return };
    let [payer, payee, _] = &rig.ledgers;
    let asset = rig.asset();
    assert_eq!(payer.token(&asset).await, Ok(Token { symbol: "TEST".to_owned(), decimals: 6 }));
    assert_eq!(payer.needs_approval(&asset, Amount::new(u128::MAX)).await, Ok(false));
    assert_eq!(payee.needs_approval(&Asset::coin(), Amount::new(1)).await, Ok(false));
    assert_eq!(payee.needs_approval(&asset, Amount::new(1)).await, Ok(true));

    // Account 1 has some of it, and has given no leave.
    let some = sdpp_ledger::Transfer { asset: asset.clone(), ..rig::transfer(100, 1) };
    mining(&rig.anvil, payer.send_and_wait(&Call::Transfer(some))).await.unwrap();
    let open = Call::Open(Open { payee: account(0), ..opening(&asset, 1, 100) });
    let number = payee.next_number().await.unwrap();
    let early = prepare(payee, number, &open).await;
    assert!(
        matches!(early, Err(LedgerError::Unavailable { retry_after: Some(_), .. })),
        "{early:?}"
    );
    let leave = signed(payee, &Call::Approve(sdpp_ledger::Approve { asset: asset.clone() })).await;
    payee.submit(&leave).await.unwrap();
    let after = prepare(payee, number + 1, &open).await.unwrap();
    payee.submit(&after).await.unwrap();
    rig.mine(1).await;
    evidence(payee, &after).await;
    assert_eq!(payee.needs_approval(&asset, Amount::new(100)).await, Ok(false));
}

#[tokio::test]
async fn a_contract_that_is_not_ours_is_not_taken_for_the_escrow() {
    let Some(rig) = rig(&[], 1, true).await else { return };
    let with = |escrow: &str| {
        let escrow: Account = escrow.parse().unwrap();
        Settings { escrow: Some(escrow), ..rig.settings.clone() }
    };
    let ours = rig.settings.escrow.clone().unwrap();
    let code = rig.anvil.ask("eth_getCode", json!([ours.as_str(), "latest"])).await;
    // The right code elsewhere checks vouchers for where it was made; a changed one does anything.
    let moved = "0x00000000000000000000000000000000000000aa";
    rig.anvil.ask("anvil_setCode", json!([moved, code])).await;
    let patched = code.as_str().unwrap().replacen("6080", "6081", 1);
    let changed = "0x00000000000000000000000000000000000000bb";
    rig.anvil.ask("anvil_setCode", json!([changed, patched])).await;
    for other in [rig.asset().as_str(), account(4).as_str(), changed, moved] {
        let answer = EthereumLedger::connect(with(other), key(0)).await;
        let is_refused =
            matches!(&answer, Err(LedgerError::Refused { code, .. }) if code == "NotTheEscrow");
        assert!(is_refused, "{other}: {answer:?}");
    }
    assert!(EthereumLedger::connect(with(ours.as_str()), key(0)).await.is_ok());
}
