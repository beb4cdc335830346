//! Stories of what a node may say and how much of it: answers of any length, with keys twice,
//! events that nobody asked for; and of what people are told then.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod rig;

use rig::proxy::{Fault, Proxy};
use rig::{Anvil, GRACE, account, evidence, key, settings, signed, transfer, until};
use sdpp_ledger::{
    Account, Amount, Anchor, Asset, Call, ChannelId, Digest, Escrow, Key, Ledger, LedgerError,
    Open, Signed, Transfer, channel_id, prepare,
};
use sdpp_ledger_ethereum::{EthereumLedger, Settings};
use serde_json::json;
use std::time::Duration;

async fn connected(settings: Settings) -> EthereumLedger {
    EthereumLedger::connect(settings, key(0)).await.unwrap()
}

/// Replaces one text in an answer by another.
fn altered(from: &str, to: &str) -> Fault {
    Fault::Altered(from.to_owned(), to.to_owned())
}

/// Makes an answer so much longer without saying more.
fn padded(bytes: usize) -> Fault {
    altered("\"id\"", &format!("{}\"id\"", " ".repeat(bytes)))
}

fn is_outage<T: std::fmt::Debug>(answer: Result<T, LedgerError>, part: &str) {
    match answer {
        Err(LedgerError::Unavailable { what, .. }) if what.contains(part) => {}
        other => panic!("not unavailable with {part:?}: {other:?}"),
    }
}

#[tokio::test]
async fn an_answer_is_as_long_as_its_question_can_need_and_no_longer() {
    let Some(anvil) = Anvil::start(&[]).await else { return };
    let proxy = Proxy::start(anvil.port).await;
    let ledger = connected(settings(&[proxy.url()], 1)).await;
    let sent = signed(&ledger, &Call::Transfer(transfer(7, 1))).await;
    ledger.submit(&sent).await.unwrap();
    evidence(&ledger, &sent).await;
    let (some, more, most) = (300 * 1024, 3 * 1024 * 1024, 17 * 1024 * 1024);
    for bytes in [some, more, most] {
        proxy.next("eth_getTransactionCount", padded(bytes));
        is_outage(ledger.next_number().await, "an answer of more than 262144 bytes");
    }
    proxy.next("eth_getTransactionReceipt", padded(some));
    evidence(&ledger, &sent).await;
    for bytes in [more, most] {
        proxy.next("eth_getTransactionReceipt", padded(bytes));
        is_outage(ledger.finality(&sent).await, "an answer of more than 2097152 bytes");
    }
    assert_eq!(proxy.waiting(), 0);
}

#[tokio::test]
async fn a_receipt_that_says_two_things_under_one_key_says_nothing() {
    let Some(anvil) = Anvil::start(&[]).await else { return };
    let proxy = Proxy::start(anvil.port).await;
    let ledger = connected(settings(&[proxy.url()], 1)).await;
    let sent = signed(&ledger, &Call::Transfer(transfer(7, 1))).await;
    ledger.submit(&sent).await.unwrap();
    evidence(&ledger, &sent).await;
    for (key, other) in
        [("\"status\"", "\"0x0\""), ("\"result\"", "null"), ("\"gasUsed\"", "\"0x1\"")]
    {
        proxy.next("eth_getTransactionReceipt", altered(key, &format!("{key}:{other},{key}")));
        is_outage(ledger.finality(&sent).await, "");
    }
    assert_eq!(proxy.waiting(), 0);
}

#[tokio::test]
async fn what_a_node_says_of_itself_is_cleaned_before_people_see_it() {
    let Some(anvil) = Anvil::start(&[]).await else { return };
    let proxy = Proxy::start(anvil.port).await;
    let ledger = connected(settings(&[format!("{}/?key=topsecret", proxy.url())], 1)).await;
    proxy.next("web3_clientVersion", altered("anvil/", "\\u202etopsecret\\u001b[2J anvil/"));
    let said = ledger.software().await.unwrap();
    assert!(said.starts_with(" *** [2J anvil/"), "{said:?}");
}

#[tokio::test]
async fn who_lacks_something_is_told_which_account_lacks_what() {
    let Some(anvil) = Anvil::start(&[]).await else { return };
    let with_escrow = rig::with_escrow(&anvil, 1).await;
    let token = rig::with_token(&anvil, &with_escrow).await;
    let rich = connected(with_escrow).await;
    let poor = rich.signed_by(Key::from_bytes(&[9; 32]).unwrap());
    let own = poor.account().to_string();
    let pay = |asset: &Asset| {
        let amount = Amount::new(10u128.pow(27));
        Call::Transfer(Transfer { asset: asset.clone(), amount, ..transfer(1, 1) })
    };
    let lacking = [
        (&poor, own.clone(), Asset::coin()),
        (&rich, account(0).to_string(), Asset::coin()),
        (&rich, account(0).to_string(), token),
    ];
    for (ledger, account, asset) in lacking {
        let number = ledger.next_number().await.unwrap();
        match prepare(ledger, number, &pay(&asset)).await {
            Err(LedgerError::Refused { code, why }) => {
                let is_named = why.contains(&account) && why.contains(asset.as_str());
                assert!(code == "InsufficientFunds" && is_named, "{code}: {why}");
            }
            other => panic!("{other:?}"),
        }
    }
    let anchor = Call::Anchor(Anchor::Root { root: Digest([1; 32]), count: 1 });
    is_outage(prepare(&poor, 0, &anchor).await, &format!("{own} holds 0 wei"));
}

#[tokio::test]
async fn who_waited_long_enough_for_a_contract_is_told_where_it_will_be() {
    let Some(anvil) = Anvil::start(&["--no-mining"]).await else { return };
    let ledger = connected(settings(&[anvil.url()], 1)).await.waiting(Duration::from_millis(300));
    let text = ledger.deploy_escrow(GRACE).await.unwrap_err().to_string();
    let word = |before: &str| {
        let (_, rest) = text.split_once(before).unwrap_or_else(|| panic!("{text}"));
        rest.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap().to_owned()
    };
    let tx = word("`sdpp ledger tx ").parse().unwrap();
    assert_eq!(ledger.transaction(&tx).await.unwrap().unwrap().to, None);
    anvil.mine(1).await;
    let contract: Account = word("into the config: ").parse().unwrap();
    connected(Settings { escrow: Some(contract), ..settings(&[anvil.url()], 1) }).await;

    let call = Call::Transfer(transfer(1, 1));
    is_outage(ledger.send_and_wait(&call).await, "`sdpp ledger tx 0x");
}

/// A channel that was opened some blocks ago, by a ledger behind a proxy.
async fn watched(anvil: &Anvil, proxy: &Proxy) -> (EthereumLedger, ChannelId) {
    let with_escrow = rig::with_escrow(anvil, 1).await;
    let settings = Settings { endpoints: vec![proxy.url().parse().unwrap()], ..with_escrow };
    let ledger = connected(settings).await;
    let (asset, deposit, salt) = (Asset::coin(), Amount::new(9), Digest([1; 32]));
    let open = Open { payee: account(1), asset, deposit, salt, signer: None };
    let domain = ledger.domain();
    let id = channel_id(domain, &account(0), &open.payee, &open.asset, &open.salt, None);
    let opened: Signed = signed(&ledger, &Call::Open(open)).await;
    ledger.submit(&opened).await.unwrap();
    anvil.mine(1).await;
    evidence(&ledger, &opened).await;
    anvil.mine(5).await;
    assert_eq!(ledger.changes(&[id], 0).await.unwrap().list.len(), 1);
    (ledger, id)
}

#[tokio::test]
async fn events_that_were_not_asked_for_are_no_changes() {
    let Some(anvil) = Anvil::start(&["--no-mining"]).await else { return };
    let proxy = Proxy::start(anvil.port).await;
    let (ledger, id) = watched(&anvil, &proxy).await;
    let told = ledger.changes(&[id], 0).await.unwrap();
    let change = &told.list[0];
    let contract = ledger.domain().contract.to_string();
    let at = |height: u64| format!("\"blockNumber\":\"0x{height:x}\"");
    let block = anvil.ask("eth_getBlockByNumber", json!([format!("0x{:x}", change.height), false]));
    let hash = block.await["hash"].as_str().unwrap().to_owned();
    let channel = hex::encode(id.0);
    let faults = [
        (altered(&contract, &format!("0x{}", "7".repeat(40))), "not asked for"),
        (altered(&channel, &"7".repeat(64)), "not asked for"),
        (altered("\"removed\":false", "\"removed\":true"), "not asked for"),
        (altered(&at(change.height), &at(told.next + 1)), "not asked for"),
        (altered(&at(change.height), &at(change.height + 1)), "does not stand"),
        (altered(&hash, &format!("0x{}", "7".repeat(64))), "does not stand"),
    ];
    for (fault, part) in faults {
        proxy.next("eth_getLogs", fault);
        is_outage(ledger.changes(&[id], 0).await, part);
    }
    assert_eq!((proxy.waiting(), ledger.changes(&[id], 0).await), (0, Ok(told)));
}

#[tokio::test]
async fn a_chain_that_is_rewritten_while_it_is_read_tells_no_changes() {
    let Some(anvil) = Anvil::start(&["--no-mining"]).await else { return };
    let proxy = Proxy::start(anvil.port).await;
    let (ledger, id) = watched(&anvil, &proxy).await;
    let asked = proxy.asked("eth_getLogs");
    proxy.next("eth_getLogs", Fault::Late(Duration::from_millis(400)));
    let rewritten = async {
        let is_asked = async || (proxy.asked("eth_getLogs") > asked).then_some(());
        until("the events are asked for", is_asked).await;
        anvil.ask("anvil_reorg", json!([3, []])).await;
    };
    let channels = [id];
    let (told, ()) = tokio::join!(ledger.changes(&channels, 0), rewritten);
    is_outage(told, "the chain was rewritten while it was read");
    assert_eq!(ledger.changes(&[id], 0).await.unwrap().list.len(), 1);
}
