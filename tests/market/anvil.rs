//! Stories on a real Ethereum chain: a seller and buyers as processes of their own, and what the
//! chain itself tells afterwards.

use crate::chain::{Chain, PRICE};
use crate::place::{amount, assert_done, says_what_to_start, sdpp, told};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

/// What each side is given at first.
const FIRST: u128 = 100_000_000_000_000_000_000;

fn as_topic(account: &str) -> String {
    format!("0x{:0>64}", account.strip_prefix("0x").unwrap())
}

#[test]
fn what_two_books_say_of_ether_by_escrow_and_a_token_by_transfer_is_what_the_chain_says() {
    let Some(chain) = Chain::up() else { return };
    let (mut seller, address) = chain.sell();
    let by_escrow = chain.buy(&address, "buyer.toml", "ETH");
    assert_eq!((&by_escrow["end"], amount(&by_escrow["paid"])), (&"complete".into(), 10 * PRICE));
    assert_eq!(by_escrow["left"], json!([]), "the rest of the deposit is back when it ends");
    let by_transfer = chain.buy(&address, "buyer.toml", "USDX");
    assert_eq!((&by_transfer["end"], amount(&by_transfer["paid"])), (&"complete".into(), 10_000));
    seller.signal("TERM");
    assert!(seller.wait().success());

    let [selling, buying] = ["seller", "buyer"].map(|side| chain.account(side));
    ether_as_the_chain_has_it(&chain);
    token_as_the_chain_has_it(&chain, &selling, &buying);
    let mut sent = BTreeSet::new();
    for (side, account) in [("seller", &selling), ("buyer", &buying)] {
        sent.extend(anchors_as_the_chain_has_them(&chain, side, account));
    }
    let events = [
        "ChannelOpened(bytes32,address,address,address,address,bytes32,uint256)",
        "Settled(bytes32,uint256)",
        "ChannelClosed(bytes32,uint256)",
        "Transfer(address,address,uint256)",
        "Approval(address,address,uint256)",
    ];
    sent.extend(events.iter().flat_map(|name| chain.events(name)).map(|(.., tx)| tx));
    let held = |account: &str| chain.cast(&["balance", account]).parse::<u128>().unwrap();
    assert_eq!(held(&selling), FIRST + 10 * PRICE - chain.fees(&selling, &sent));
    assert_eq!(held(&buying), FIRST - 10 * PRICE - chain.fees(&buying, &sent));
    assert_eq!(held(&chain.recorded("escrow")), 0, "nobody's money stays behind");
}

fn ether_as_the_chain_has_it(chain: &Chain) {
    let opened =
        chain.events("ChannelOpened(bytes32,address,address,address,address,bytes32,uint256)");
    let closed = chain.events("ChannelClosed(bytes32,uint256)");
    assert_eq!((opened.len(), closed.len()), (1, 1), "one channel for the whole stream");
    assert_eq!(opened[0].0[1], closed[0].0[1], "and it is that one");
    for side in ["seller", "buyer"] {
        let told = chain.audit(side, "ETH");
        assert_eq!(amount(&told["invoiced"]), 10 * PRICE, "{told}");
        assert_eq!(amount(&told["settled"]), closed[0].1, "{told}");
        assert_eq!((&told["outstanding"], &told["problems"]), (&json!("0"), &json!([])), "{told}");
    }
}

fn token_as_the_chain_has_it(chain: &Chain, selling: &str, buying: &str) {
    let transfers = chain.events("Transfer(address,address,uint256)");
    let paid = transfers.iter().filter(|(topics, ..)| topics[1] == as_topic(buying));
    let amounts: Vec<u128> = paid
        .inspect(|(topics, ..)| assert_eq!(topics[2], as_topic(selling)))
        .map(|(_, amount, _)| *amount)
        .collect();
    assert_eq!(amounts, [5_000, 5_000], "a window of five readings each");
    for side in ["seller", "buyer"] {
        let told = chain.audit(side, "USDX");
        assert_eq!(amount(&told["settled"]), 10_000, "{told}");
        assert_eq!((&told["outstanding"], &told["problems"]), (&json!("0"), &json!([])), "{told}");
    }
    let has =
        chain.cast(&["call", &chain.recorded("token"), "balanceOf(address)(uint256)", selling]);
    assert_eq!(has.split(' ').next(), Some("10000"));
}

/// The transactions that hold a side's anchors: as its statements name them, and as the contract
/// says that this account made them.
fn anchors_as_the_chain_has_them(chain: &Chain, side: &str, account: &str) -> BTreeSet<String> {
    let mut recorded = chain.events("Recorded(address,bytes32,uint16,bytes32)");
    recorded.extend(chain.events("RootRecorded(address,bytes32,uint32)"));
    let of_side = recorded.into_iter().filter(|(topics, ..)| topics[1] == as_topic(account));
    let on_chain: BTreeSet<String> = of_side.map(|(.., tx)| tx).collect();
    let told = ["ETH", "USDX"].map(|currency| chain.audit(side, currency));
    let anchors = told.iter().flat_map(|statement| statement["anchors"].as_array().unwrap());
    let in_book: BTreeSet<String> =
        anchors.map(|anchor| anchor["tx"].as_str().unwrap().to_owned()).collect();
    assert!(!in_book.is_empty(), "{side} anchored nothing: {told:?}");
    assert_eq!(in_book, on_chain, "{side}");
    on_chain
}

/// A token asks for leave before anybody may take it: that is given once, whatever is bought.
#[test]
fn a_buyer_lets_the_escrow_take_its_tokens_once_and_then_pays_by_voucher() {
    let Some(chain) = Chain::up() else { return };
    chain.buyer_pays_tokens_by("escrow");
    let (mut seller, address) = chain.sell();
    for _ in 0..2 {
        let told = chain.buy(&address, "buyer.toml", "USDX");
        assert_eq!((&told["end"], amount(&told["paid"])), (&"complete".into(), 10_000), "{told}");
        fs::remove_file(chain.path("USDX.items")).unwrap();
    }
    seller.signal("TERM");
    assert!(seller.wait().success());
    let (buying, escrow) = (chain.account("buyer"), chain.recorded("escrow"));
    let approvals = chain.events("Approval(address,address,uint256)");
    let [(topics, _, tx)] = &approvals[..] else { panic!("{approvals:?}") };
    assert_eq!(topics[1..], [as_topic(&buying), as_topic(&escrow)]);
    let opened =
        chain.events("ChannelOpened(bytes32,address,address,address,address,bytes32,uint256)");
    assert!(!opened.is_empty());

    let journal = chain.path("buyer-journal");
    let list =
        |what: &str| told(sdpp().args(["journal", "list", what, "--journal"]).arg(&journal)).1;
    let owed: Vec<String> =
        list("obligations").lines().filter(|l| l.contains("approve")).map(str::to_owned).collect();
    assert!(owed.len() == 1 && owed[0].contains("met"), "{owed:?}");
    assert!(list("entries").contains("approving"));
    let (exit, audit) = told(sdpp().args(["audit", "--offline", "--journal"]).arg(&journal));
    assert_eq!(exit, 0, "{audit}");
    let leave = audit.lines().find(|line| line.starts_with("leave for the escrow"));
    assert!(leave.is_some_and(|line| line.ends_with(&format!("is given in {tx}"))), "{audit}");
}

/// It could anchor no invoice and redeem no voucher: nothing is promised that cannot be kept.
#[test]
fn a_seller_without_coin_for_its_part_offers_nothing_until_it_has_some() {
    let Some(chain) = Chain::up() else { return };
    chain.endow("seller", 1);
    let (_seller, address) = chain.sell();
    let said = Chain::offered(&address).unwrap_err();
    assert!(said.contains("can be paid in no currency just now"), "{said}");
    let status = || {
        let journal = chain.path("seller-journal");
        told(sdpp().args(["status", "--json", "--journal"]).arg(journal)).1
    };
    let shown: Value = serde_json::from_str(&status()).unwrap();
    assert_eq!((&shown["ready"], shown["left_out"].as_array().unwrap().len()), (&json!(false), 4));
    let why = shown["left_out"][0]["why"].as_str().unwrap();
    let account = format!(
        "account {} on eip155:31337 can pay 1 of the coin, it needs ",
        chain.account("seller")
    );
    assert!(why.starts_with(&account) && why.ends_with(", for fees"), "{why}");

    chain.endow("seller", FIRST);
    let offered = loop {
        if let Ok(offered) = Chain::offered(&address) {
            break offered;
        }
        std::thread::yield_now();
    };
    assert_eq!(offered.len(), 4, "{offered:?}");
    let shown: Value = serde_json::from_str(&status()).unwrap();
    assert_eq!((&shown["ready"], &shown["left_out"]), (&json!(true), &json!([])));
    let told = chain.buy(&address, "buyer.toml", "ETH");
    assert_eq!(told["end"], "complete", "{told}");
}

/// What is paid to it costs a seller nothing that keeps no records on the chain.
#[test]
fn a_seller_without_coin_and_records_takes_transfers_and_earns_its_first_coin() {
    let Some(chain) = Chain::up() else { return };
    for side in ["seller", "buyer"] {
        let text = chain.read(&format!("{side}.toml"));
        let (before, records) = text.split_once("[records]").unwrap();
        let rest = records.split_once("\n[").unwrap().1;
        fs::write(chain.path(&format!("{side}.toml")), format!("{before}[{rest}")).unwrap();
    }
    chain.endow("seller", 0);
    let (_seller, address) = chain.sell();
    let mut offered = Chain::offered(&address).unwrap();
    offered.sort();
    assert_eq!(offered, ["ETH transfer", "USDX transfer"]);
    let told = chain.buy(&address, "buyer.toml", "ETH");
    assert_eq!((&told["end"], amount(&told["paid"])), (&"complete".into(), 10 * PRICE), "{told}");
}

#[test]
fn a_buyer_without_the_money_is_told_what_it_lacks_and_orders_nothing() {
    let Some(chain) = Chain::up() else { return };
    let (_seller, address) = chain.sell();
    chain.buyer_pays_tokens_by("escrow");
    for (currency, what) in [("ETH", "no channel could be opened: "), ("USDX", "no channel")] {
        chain.endow("buyer", 12_345);
        let items = chain.path(&format!("{currency}.items"));
        let mut buy = sdpp();
        buy.args([
            "buy",
            &address,
            "cpu_load",
            "10",
            "--trust-on-first-use",
            "--currency",
            currency,
        ]);
        let config = chain.path("buyer.toml");
        let (exit, said) = told(buy.arg("--config").arg(config).arg("--output").arg(items));
        let account = chain.account("buyer");
        assert_ne!(exit, 0);
        let lack =
            format!("account {account} on eip155:31337 can pay 12345 of the coin, it needs ");
        assert!(said.contains(what) && said.contains(&lack), "{said}");
    }
    let journal = chain.path("buyer-journal");
    let (_, sessions) =
        told(sdpp().args(["journal", "list", "sessions", "--journal"]).arg(&journal));
    assert_eq!(sessions, "", "nothing was ordered");
    let nonce = chain.cast(&["nonce", &chain.account("buyer")]);
    assert_eq!(nonce, "0", "and nothing sent");
}

#[test]
fn a_chain_that_was_stopped_or_killed_goes_on_where_it_was_and_the_demo_runs_on_it() {
    let Some(chain) = Chain::up() else { return };
    let first = chain.read("chain");
    assert_done(&chain.script("up"));
    assert_eq!(chain.read("chain"), first, "there is one chain, however often it is started");
    let told = chain.script("status");
    assert_done(&told);
    assert!(String::from_utf8_lossy(&told.stdout).contains(&chain.recorded("url")));

    let demo = chain.demo();
    assert_done(&demo);
    let told: Value = serde_json::from_slice(&demo.stdout).unwrap();
    assert_eq!(
        (&told["items"], &told["windows"], &told["currency"]),
        (&json!(20), &json!(2), &json!("ETH"))
    );
    assert_eq!((amount(&told["owed"]), amount(&told["paid"])), (20 * PRICE, 20 * PRICE), "{told}");

    let height = |chain: &Chain| chain.cast(&["block-number"]).parse::<u64>().unwrap();
    let stopped_at = height(&chain);
    assert_done(&chain.script("down"));
    assert_eq!(chain.script("status").status.code(), Some(1));
    assert_done(&chain.script("down"));
    let away = chain.demo();
    assert_eq!(away.status.code(), Some(5));
    let said = String::from_utf8_lossy(&away.stderr).into_owned();
    assert!(said.contains("scripts/anvil up"), "{said}");

    assert_done(&chain.script("up"));
    assert_eq!((height(&chain), chain.read("chain")), (stopped_at, first.clone()));
    let kill = Command::new("kill").args(["-KILL", &chain.read("pid")]).status().unwrap();
    assert!(kill.success());
    assert_done(&chain.script("up"));
    assert_eq!((height(&chain), chain.read("chain")), (stopped_at, first));
}

#[test]
fn the_demo_says_what_to_start_where_no_chain_was_ever_started() {
    says_what_to_start(&["demo", "--ledger", "anvil"], "anvil");
}

/// Vouchers that are not redeemed yet may be in them.
#[test]
fn journals_stay_where_they_are_unless_the_chain_is_another() {
    let Some(chain) = Chain::up() else { return };
    let (mut seller, _) = chain.sell();
    let failed = chain.script_with("up", "false");
    assert_eq!(failed.status.code(), Some(1));
    let said = String::from_utf8_lossy(&failed.stderr).into_owned();
    assert!(
        said.contains("does not suit this sdpp") && said.contains("move that folder"),
        "{said}"
    );

    let recorded = chain.read("chain");
    let genesis = chain.recorded("genesis");
    fs::write(chain.path("chain"), recorded.replace(&genesis, "0x00")).unwrap();
    let failed = chain.script("up");
    assert_eq!(failed.status.code(), Some(1));
    let said = String::from_utf8_lossy(&failed.stderr).into_owned();
    assert!(said.contains(&format!("stop process {} first", seller.0.id())), "{said}");
    assert!(chain.path("seller-journal").exists());

    seller.signal("TERM");
    assert!(seller.wait().success());
    assert_done(&chain.script("up"));
    assert!(!chain.path("seller-journal").exists());
    assert_eq!(chain.recorded("genesis"), genesis);
    assert_ne!(chain.read("chain"), recorded, "the contracts are new");
}

#[test]
fn a_config_that_means_another_chain_contract_or_token_is_told_so() {
    let Some(chain) = Chain::up() else { return };
    let (escrow, token) = (chain.recorded("escrow"), chain.recorded("token"));
    let url = format!("[\"{}\"]", chain.recorded("url"));
    let text = chain.read("buyer.toml");
    let config = chain.path("changed.toml");
    let check = |text: &str| {
        fs::write(&config, text).unwrap();
        let mut check = sdpp();
        // Nobody listens at port 1, and the path is a secret.
        check.env("SECRET_URL", "http://127.0.0.1:1/v3/9aa3d95b3bc440fa");
        told(check.args(["config", "check", "--online"]).arg(&config))
    };
    assert_eq!(check(&text).0, 0, "{}", check(&text).1);
    let asset = format!("asset = \"{token}\"");
    let no_token = format!("asset = \"0x{:0>40}\"", "aa");
    let no_token_but_code = format!("asset = \"{escrow}\"");
    let changes = [
        ("decimals = 6", "decimals = 8", 2, "currencies.USDX.decimals: 8 here, but anvil says"),
        ("symbol = \"USDX\"", "symbol = \"USDY\"", 2, "currencies.USDX.symbol: \"USDY\" here"),
        (&asset, &no_token, 5, "NotAToken"),
        (&asset, &no_token_but_code, 5, "NotAToken"),
        (&escrow, &token, 5, "NotTheEscrow"),
        ("chain_id = 31337", "chain_id = 1", 5, "refused: WrongChain: http"),
        (&url, "[\"http://127.0.0.1:1\"]", 5, "mend the endpoints in [ledgers.anvil]"),
        (&url, "[\"env:SECRET_URL\"]", 5, "ledger anvil at env:SECRET_URL"),
        (&url, "[\"env:NOT_SET_AT_ALL\"]", 2, "an endpoint of ledger anvil: env:NOT_SET_AT_ALL"),
        (&url, "[\"file:password\"]", 2, "it is no URL"),
        (&url, "[\"file:nowhere\"]", 2, "ledgers.anvil.endpoints: cannot read"),
    ];
    for (from, to, code, says) in changes {
        assert!(text.contains(from), "{from}");
        let (exit, said) = check(&text.replacen(from, to, 1));
        assert_eq!(exit, code, "{to}: {said}");
        assert!(said.contains(says) && !said.contains("9aa3d95b3bc440fa"), "{to}: {said}");
    }
    let cold = "methods = [\"escrow\", \"transfer\"]\npayee = \"0x00000000000000000000000000000000000000aa\"";
    let methods = "methods = [\"escrow\", \"transfer\"]";
    let (exit, said) = check(&chain.read("seller.toml").replacen(methods, cold, 1));
    assert_eq!(exit, 2, "{said}");
    assert!(said.contains("currencies.ETH.payee") && said.contains("only the payee"), "{said}");
}

#[test]
fn an_operator_deploys_pays_and_looks_transactions_up() {
    let Some(chain) = Chain::up() else { return };
    let operator = chain.path("operator.toml");
    let ledger = |args: &[&str], config: &Path| {
        told(sdpp().arg("ledger").args(args).arg("--config").arg(config).arg("--json"))
    };
    let (exit, said) = ledger(&["deploy", "anvil", "--grace-period", "2h"], &operator);
    assert_eq!(exit, 0, "{said}");
    let made: Value = serde_json::from_str(&said).unwrap();
    let contract = made["contract"].as_str().unwrap();
    assert_ne!(contract, chain.recorded("escrow"), "it is another one");
    let (exit, said) = ledger(&["channels"], &operator);
    assert!(exit == 5 && said.contains("`sdpp audit --format json --config FILE` names"), "{said}");
    let grace_period = chain.cast(&["call", contract, "CLOSE_GRACE_PERIOD()(uint64)"]);
    assert_eq!(grace_period, "7200");
    let (_, said) = ledger(&["tx", made["tx"].as_str().unwrap()], &operator);
    let found: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&found["call"], &found["other"]["to"]), (&Value::Null, &Value::Null), "{said}");

    let stranger = "0x00000000000000000000000000000000000000aa";
    let (exit, said) = ledger(&["fund", "12345", "--account", stranger], &operator);
    assert_eq!((exit, chain.cast(&["balance", stranger]).as_str()), (0, "12345"), "{said}");
    let (exit, said) = ledger(&["fund", "12345"], &operator);
    assert!(exit == 5 && said.contains("--account"), "nobody is funded by itself: {said}");
    let (_, said) = ledger(&["status"], &operator);
    let status: Value = serde_json::from_str(&said).unwrap();
    assert!(status["head_age_s"].as_u64().is_some_and(|age_s| age_s < 600), "{said}");
    let unknown = format!("0x{:064}", 7);
    assert_eq!(ledger(&["tx", &unknown], &operator).0, 1);
    for listed in ["tx", "channels"] {
        let (exit, said) = ledger(&[listed], &operator);
        assert!(exit == 5 && said.contains("NotListed"), "{said}");
    }
    let (mut seller, _) = chain.sell();
    let (exit, said) = ledger(&["fund", "1", "--account", stranger], &chain.path("seller.toml"));
    let pid = format!("process {}", seller.0.id());
    assert!(exit == 1 && said.contains(&pid), "its numbers are the node's: {said}");
    seller.signal("TERM");
    assert!(seller.wait().success());
    let (exit, said) = ledger(&["fund", "1", "--account", stranger], &chain.path("seller.toml"));
    assert_eq!((exit, chain.cast(&["balance", stranger]).as_str()), (0, "12346"), "{said}");
}
