//! Stories of strangers who say that a transaction pays, and of what our own gateway says to that.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod rig;

use rig::proxy::{Fault, Proxy};
use rig::{
    Gateway, IOUS, MONEY, Market, anchor, claim, connected, done, evidence, fresh, id, is_refused,
    is_unavailable, landed, sent_past, settings, signed, transfer, with_ious,
};
use sdpp_ledger::{
    Amount, Call, Finality, Ledger, LedgerError, Payments, Records, Transfer, TxId, prepare,
};
use sdpp_ledger_fabric::FabricLedger;
use serde_json::json;

/// Pays, and says in which transaction.
async fn paid(market: &Market, asset: &str, units: u128) -> (Transfer, TxId) {
    let transfer = market.transfer(asset, units);
    let tx = done(&market.buyer, &Call::Transfer(transfer.clone())).await.tx;
    (transfer, tx)
}

#[tokio::test]
async fn a_payment_pays_for_what_it_was_made_for_and_for_nothing_else() {
    let Some(market) = Market::open().await else { return };
    for asset in [MONEY, IOUS] {
        let (first, first_tx) = paid(&market, asset, 100).await;
        let (second, second_tx) = paid(&market, asset, 100).await;
        let ask = async |tx: &TxId, transfer| market.seller.paid(&claim(tx, &transfer)).await;
        let Finality::Final(told) = ask(&first_tx, first.clone()).await.unwrap() else {
            panic!("it is paid");
        };
        assert_eq!((told.tx, told.amount), (first_tx.clone(), Amount::new(100)), "{asset}");
        is_refused(&ask(&second_tx, first.clone()).await, "WrongReference");
        is_refused(&ask(&first_tx, second).await, "WrongReference");
        let too_much = Transfer { amount: Amount::new(101), ..first.clone() };
        is_refused(&ask(&first_tx, too_much).await, "AmountTooLow");
        let stranger = market.double.account("stranger").parse().unwrap();
        let other = Transfer { to: stranger, ..first.clone() };
        is_refused(&ask(&first_tx, other).await, "WrongPayee");
        for other in ["Org2MSP/USD", "iou:hours", if asset == MONEY { IOUS } else { MONEY }] {
            let other = Transfer { asset: other.parse().unwrap(), ..first.clone() };
            is_refused(&ask(&first_tx, other).await, "WrongAsset");
        }
        let nobody = id(&"ab".repeat(32));
        assert_eq!(ask(&nobody, first).await, Ok(Finality::Unknown));
    }
}

/// The buyer really paid this invoice, in another transaction: the one that it names did not.
#[tokio::test]
async fn a_transaction_that_the_block_has_as_invalid_pays_nothing() {
    let Some(market) = Market::open_with(&["--retry-ms", "20"]).await else { return };
    let transfer = market.transfer(MONEY, 70);
    market.double.faults.arm(json!({ "fault": "conflict", "func": "Pay" }));
    let landed = done(&market.buyer, &Call::Transfer(transfer.clone())).await.tx;
    let [(invalid, code)] = &invalid(&market.gateway).await[..] else { panic!("not one") };
    assert_ne!(*invalid, landed);
    let why = is_refused(&market.seller.paid(&claim(invalid, &transfer)).await, "Invalid");
    assert!(why.contains(code), "{why}");
    assert!(matches!(market.seller.paid(&claim(&landed, &transfer)).await, Ok(Finality::Final(_))));
}

/// Two spends of one account meet in one block, and one of them is invalid: no fault is needed.
#[tokio::test]
async fn a_transaction_that_lost_a_race_pays_nothing() {
    let Some(market) = Market::open_with(&["--block-ms", "150", "--retry-ms", "20"]).await else {
        return;
    };
    let transfers = [market.transfer(MONEY, 1), market.transfer(MONEY, 1)];
    let mut both = Vec::new();
    for transfer in &transfers {
        both.push(signed(&market.buyer, &Call::Transfer(transfer.clone())).await);
    }
    let send = |signed| sent_past(&market.gateway, "buyer", signed);
    let (a, b) = tokio::join!(send(&both[0]), send(&both[1]));
    let [(lost, code)] = &invalid(&market.gateway).await[..] else { panic!("not one") };
    assert_eq!(code, "MVCC_READ_CONFLICT");
    for (transfer, tx) in transfers.iter().zip([a.unwrap(), b.unwrap()]) {
        let claimed = market.seller.paid(&claim(&id(&tx), transfer)).await;
        assert!(matches!(claimed, Ok(Finality::Final(_))), "{claimed:?}");
        is_refused(&market.seller.paid(&claim(lost, transfer)).await, "Invalid");
    }
}

/// All transactions that are in blocks and invalid, with their codes.
async fn invalid(gateway: &Gateway) -> Vec<(TxId, String)> {
    let newest = gateway.height("seller").await;
    let all = gateway.transactions("seller", 1..=newest).await;
    let invalid = all.into_iter().filter(|(_, tx)| tx["status"] != "VALID");
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    invalid.map(|(_, tx)| (id(&text(&tx["tx_id"])), text(&tx["status"]))).collect()
}

#[tokio::test]
async fn a_repeat_is_valid_and_pays_nothing() {
    let Some(market) = Market::open().await else { return };
    for asset in [MONEY, IOUS] {
        let transfer = market.transfer(asset, 60);
        let signed = signed(&market.buyer, &Call::Transfer(transfer.clone())).await;
        let first = market.buyer.submit(&signed).await.unwrap();
        let again = sent_past(&market.gateway, "buyer", &signed).await.unwrap();
        assert_ne!(first.as_str(), again, "a gateway does not see that it is the same");
        is_refused(&market.seller.paid(&claim(&id(&again), &transfer)).await, "Repeated");
        let claimed = market.seller.paid(&claim(&first, &transfer)).await;
        assert!(matches!(claimed, Ok(Finality::Final(_))), "{claimed:?}");
        assert_eq!(market.buyer.submit(&signed).await.unwrap(), first, "what is told is the first");
        assert_eq!(evidence(&market.buyer, &signed).await.tx, first);
    }
}

#[tokio::test]
async fn what_is_no_payment_pays_nothing() {
    let Some(market) = Market::open().await else { return };
    let wanted = market.transfer(MONEY, 5);
    let Market { gateway, seller, buyer, .. } = &market;
    let anchored = done(buyer, &anchor()).await.tx;
    let minted = gateway.mint("admin", seller.account().as_str(), MONEY, 5).await;
    let names = json!([minted]).to_string();
    let swept = gateway.submit("seller", "Sweep", &[&fresh("sweep"), MONEY, &names]).await;
    for tx in [anchored, id(&minted), id(&swept)] {
        is_refused(&seller.paid(&claim(&tx, &wanted)).await, "NotATransfer");
    }
}

/// A payment under a reference of somebody else's: two payers may use the same words.
#[tokio::test]
async fn who_pays_does_not_matter_and_each_payment_is_found_under_its_payer() {
    let Some(market) = Market::open().await else { return };
    let (transfer, by_buyer) = paid(&market, MONEY, 20).await;
    let stranger = connected(settings(&market.gateway, "stranger")).await;
    let by_stranger = done(&stranger, &Call::Transfer(transfer.clone())).await.tx;
    for tx in [by_buyer, by_stranger] {
        let claimed = market.seller.paid(&claim(&tx, &transfer)).await;
        assert!(matches!(claimed, Ok(Finality::Final(_))), "{claimed:?}");
    }
}

#[tokio::test]
async fn an_iou_of_who_is_not_trusted_pays_nothing() {
    let Some(market) = Market::open().await else { return };
    let (transfer, tx) = paid(&market, IOUS, 30).await;
    let (debtor, stranger) = (market.double.account("buyer"), market.double.account("stranger"));
    let trusted = [vec![], vec!["Org1MSP"], vec![stranger.as_str()], vec!["Org2"]];
    for ious_from in trusted {
        let settings = with_ious(settings(&market.gateway, "seller"), MONEY, 0, &ious_from);
        let seller = connected(settings).await;
        let why = is_refused(&seller.paid(&claim(&tx, &transfer)).await, "UntrustedDebtor");
        assert!(why.contains(&debtor), "{why}");
    }
    for ious_from in [["Org2MSP"], [debtor.as_str()]] {
        let settings = with_ious(settings(&market.gateway, "seller"), MONEY, 0, &ious_from);
        let claimed = connected(settings).await.paid(&claim(&tx, &transfer)).await;
        assert!(matches!(claimed, Ok(Finality::Final(_))), "{claimed:?}");
    }
}

/// A payment of the buyer, and what a seller says to it whose gateway alters its answers. What was
/// read of a block is not asked for again, so each time the seller has just begun.
struct Altered {
    market: Market,
    proxy: Proxy,
    transfer: Transfer,
    tx: TxId,
}

impl Altered {
    async fn open() -> Option<Altered> {
        let market = Market::open().await?;
        let (transfer, tx) = paid(&market, MONEY, 40).await;
        let proxy = Proxy::start(market.double.host()).await;
        Some(Altered { market, proxy, transfer, tx })
    }

    async fn paid(&self) -> Result<Finality, LedgerError> {
        let through = self.market.gateway.through(self.proxy.url());
        let seller = connected(settings(&through, "seller")).await;
        seller.paid(&claim(&self.tx, &self.transfer)).await
    }

    async fn with(
        &self,
        what: &'static str,
        from: &str,
        to: &str,
    ) -> Result<Finality, LedgerError> {
        let fault = Fault::Altered(from.to_owned(), to.to_owned());
        self.proxy.rule(move |asked| {
            (asked.func == what || asked.what.starts_with(what)).then(|| fault.clone())
        });
        let answer = self.paid().await;
        self.proxy.calm();
        answer
    }
}

const BLOCK: &str = "GET /blockByTxId";

/// No double has a second chaincode on its channel, so what a block of a real peer says of one is
/// put in the answers here, by the name alone: of a transaction that another chaincode really made
/// this proves nothing.
#[tokio::test]
async fn a_transaction_of_another_chaincode_pays_nothing() {
    let Some(altered) = Altered::open().await else { return };
    assert!(matches!(altered.paid().await, Ok(Finality::Final(_))));
    let answer = altered.with(BLOCK, r#""name": "sdpp""#, r#""name": "sdpp2""#).await;
    is_refused(&answer, "OtherChaincode");
    let answer = altered.with(BLOCK, "ENDORSER_TRANSACTION", "CONFIG").await;
    is_refused(&answer, "OtherChaincode");
    // An event that another chaincode told is none of ours.
    let answer = altered.with(BLOCK, r#""chaincodeId": "sdpp""#, r#""chaincodeId": "sdp""#).await;
    assert!(matches!(answer, Err(LedgerError::Refused { .. })), "{answer:?}");
}

/// What a gateway may leave out or get wrong is a reason to ask again, and none to believe it or
/// to refuse somebody's money.
#[tokio::test]
async fn a_block_that_is_not_as_it_should_be_proves_nothing() {
    let Some(altered) = Altered::open().await else { return };
    let tx = altered.tx.as_str();
    let other = "cd".repeat(32);
    for (what, from, to) in [
        (BLOCK, tx, other.as_str()),
        (BLOCK, "\"transactions\"", "\"others\""),
        (BLOCK, "\"block_number\"", "\"other\""),
        (BLOCK, "\"data_hash\"", "\"other\""),
        (BLOCK, "\"VALID\"", "\"\""),
        (BLOCK, "\"VALID\"", "\"valid\""),
        (BLOCK, "\"VALID\"", "\"NOT_VALIDATED\""),
        (BLOCK, "\"VALID\"", "0"),
        (BLOCK, "\"block\"", "\"other\""),
        ("Get", "\"payment\"", "\"iou\""),
        ("Get", "\"tx\"", "\"other\""),
        ("Get", "\"amount\"", "\"other\""),
        ("Get", "\"owner\"", "\"other\""),
        ("Get", "\"result\"", "\"other\""),
    ] {
        let answer = altered.with(what, from, to).await;
        assert!(matches!(answer, Err(LedgerError::Unavailable { .. })), "{from} {to}: {answer:?}");
    }
    // A row that another transaction wrote, or that is less, is an answer.
    is_refused(&altered.with("Get", tx, &other).await, "Repeated");
    is_refused(&altered.with("Get", "\"40\"", "\"39\"").await, "AmountTooLow");
    assert!(matches!(altered.paid().await, Ok(Finality::Final(_))));
}

/// A gateway that once said nonsense is believed when it comes to its senses.
#[tokio::test]
async fn nonsense_about_a_block_is_not_kept() {
    let Some(altered) = Altered::open().await else { return };
    let through = altered.market.gateway.through(altered.proxy.url());
    let seller = connected(settings(&through, "seller")).await;
    let claimed = claim(&altered.tx, &altered.transfer);
    for nonsense in ["", "valid", "NOT_VALIDATED"] {
        let said = Fault::Altered("\"VALID\"".into(), format!("\"{nonsense}\""));
        altered.proxy.always(BLOCK, said);
        is_unavailable(&seller.paid(&claimed).await);
    }
    altered.proxy.calm();
    assert!(matches!(seller.paid(&claimed).await, Ok(Finality::Final(_))));
}

#[tokio::test]
async fn an_outage_is_no_answer_to_a_claim() {
    let Some(market) = Market::open().await else { return };
    let (transfer, tx) = paid(&market, MONEY, 10).await;
    for on in ["lookup", "query"] {
        for text in ["CONNECTION_FAILED", "TIMEOUT", "something that nobody has seen before"] {
            market.double.faults.arm(json!({ "fault": "refuse", "on": on, "text": text }));
            is_unavailable(&market.seller.paid(&claim(&tx, &transfer)).await);
        }
        market.double.faults.arm(json!({ "fault": "close", "on": on }));
        is_unavailable(&market.seller.paid(&claim(&tx, &transfer)).await);
    }
    assert!(matches!(market.seller.paid(&claim(&tx, &transfer)).await, Ok(Finality::Final(_))));
}

#[tokio::test]
async fn an_anchor_is_there_by_its_own_transaction_alone() {
    let Some(market) = Market::open_with(&["--retry-ms", "20"]).await else { return };
    let Call::Anchor(one) = anchor() else { panic!("an anchor") };
    let Call::Anchor(other) = anchor() else { panic!("an anchor") };
    market.double.faults.arm(json!({ "fault": "conflict", "func": "Anchor" }));
    let signed = prepare(&market.buyer, 0, &Call::Anchor(one.clone())).await.unwrap();
    let (tx, _) = landed(&market.buyer, &signed).await;
    let again = sent_past(&market.gateway, "buyer", &signed).await.unwrap();
    let [(invalid, _)] = &invalid(&market.gateway).await[..] else { panic!("not one") };
    let seller: &FabricLedger = &market.seller;
    assert!(matches!(seller.anchored(&tx, &one).await, Ok(Finality::Final(_))));
    is_refused(&seller.anchored(&tx, &other).await, "NotThisAnchor");
    is_refused(&seller.anchored(invalid, &one).await, "Invalid");
    is_refused(&seller.anchored(&id(&again), &one).await, "Repeated");
    let (_, payment) = paid(&market, MONEY, 1).await;
    is_refused(&seller.anchored(&payment, &one).await, "NotThisAnchor");
    assert_eq!(seller.anchored(&id(&"ab".repeat(32)), &one).await, Ok(Finality::Unknown));
}

#[tokio::test]
async fn what_is_under_our_reference_and_something_else_is_never_taken_for_ours() {
    let Some(market) = Market::open().await else { return };
    for (asset, func) in [(MONEY, "Pay"), (IOUS, "Owe")] {
        let wanted = market.transfer(asset, 10);
        let signed = signed(&market.buyer, &Call::Transfer(wanted.clone())).await;
        let (_, args) = rig::asked_of_chaincode(&signed);
        let other = [args[0].as_str(), &args[1], &args[2], "9"];
        market.gateway.submit("buyer", func, &other).await;
        is_refused(&market.buyer.submit(&signed).await, "Conflict");
        // Also where it is in doubt whether what stands there is of an earlier submission.
        market.double.faults.arm(json!({ "fault": "close", "func": func }));
        is_unavailable(&market.buyer.submit(&signed).await);
        is_refused(&market.buyer.submit(&signed).await, "Conflict");
        match market.buyer.finality(&signed).await {
            Ok(Finality::Reverted { why, evidence }) => {
                assert!(why.contains("Conflict") && evidence.amount == Amount::ZERO, "{why}");
            }
            Ok(Finality::Unknown | Finality::Replaced) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_payee_without_an_account_cannot_be_paid_until_it_has_one() {
    let Some(market) = Market::open().await else { return };
    let nobody = market.gateway.new_stranger(false).await;
    let mut prepared = Vec::new();
    for asset in [MONEY, IOUS] {
        let transfer = transfer(&nobody.account.parse().unwrap(), asset, 1);
        let signed = signed(&market.buyer, &Call::Transfer(transfer)).await;
        is_refused(&market.buyer.submit(&signed).await, "NoSuchAccount");
        assert_eq!(market.buyer.finality(&signed).await, Ok(Finality::Unknown));
        prepared.push(signed);
    }
    let somebody = connected(settings(&market.gateway, &nobody.name)).await;
    assert_eq!(somebody.is_open().await, Ok(false));
    somebody.open_account().await.unwrap();
    somebody.open_account().await.unwrap();
    assert_eq!(somebody.is_open().await, Ok(true));
    for signed in prepared {
        let tx = market.buyer.submit(&signed).await.unwrap();
        assert_eq!(evidence(&market.buyer, &signed).await.tx, tx);
    }
}
