//! What a buyer has left in a channel comes back, whatever its seller does: by itself when it buys
//! again, or when a person asks.

use crate::place::*;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

/// What `sdpp ledger close` says of channels, and its exit code.
fn closed(args: &[&str], config: &Path) -> (i32, Vec<Value>, String) {
    let mut close = sdpp();
    let output = close.args(["ledger", "close", "--json"]).args(args);
    let output = output.arg("--config").arg(config).output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap(), statements(&output.stdout), errors)
}

fn session(command: &mut Command) -> Value {
    let output = command.output().unwrap();
    assert_done(&output);
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_kept_channel_is_closed_by_a_persons_word_and_its_rest_is_back() {
    let mut place = place("", "keep_channel = true");
    let path = place.path("buyer.toml");
    let bought = session(&mut place.buy("buyer", "co2", "30"));
    let left = &bought["left"][0];
    assert_eq!(
        (&left["left"], &left["kept"], &left["doing"]),
        (&json!("4400"), &json!(true), &json!("nothing"),)
    );
    let channel = left["channel"].as_str().unwrap();
    while place.balance("seller") < 600 {
        std::thread::yield_now();
    }

    assert_eq!(told_by_a_node(&place, &path), "4400 left");
    let (_, book) = told(sdpp().args(["audit", "--journal"]).arg(place.journal("buyer")));
    assert!(book.contains("4400 of coin left of 5000, open"), "{book}");

    // While a session uses it nobody closes it.
    std::fs::remove_file(place.items("buyer")).unwrap();
    let mut buyer = Running(place.buy("buyer", "memory", "all").spawn().unwrap());
    while place.lines("buyer") < 10 {
        std::thread::yield_now();
    }
    let (exit, lines, said) = closed(&["--all"], &path);
    let pid = format!("process {}", buyer.0.id());
    assert!(exit == 1 && lines.is_empty() && said.contains(&pid), "{said}");
    buyer.signal("INT");
    assert!(buyer.wait().success());
    let paid = 600 + 3 * place.lines("buyer") as u128;
    while place.balance("seller") < paid {
        std::thread::yield_now();
    }

    let stranger = format!("0x{:064}", 7);
    let (exit, _, said) = closed(&[&stranger], &path);
    assert!(exit == 2 && said.contains("pays into no channel"), "{said}");
    for _ in 0..2 {
        let (exit, lines, said) = closed(&[channel], &path);
        assert_eq!((exit, lines.len()), (0, 1), "{said}");
        assert_eq!(lines[0]["state"], "closed", "{lines:?}");
        assert_eq!((amount(&lines[0]["left"]), amount(&lines[0]["settled"])), (5000 - paid, paid));
    }
    assert_eq!(place.balance("buyer"), 1_000_000 - paid, "it is back");
    let (exit, lines, said) = closed(&["--all"], &path);
    assert_eq!((exit, lines, said.as_str()), (0, vec![], ""), "there is nothing to say");
    place.close();
    assert_eq!(place.balance("seller"), paid);
    for side in ["seller", "buyer"] {
        for session in place.audit(side) {
            assert_eq!(session["outstanding"], "0", "{side}: {session}");
        }
    }
}

/// A buyer of these stories, with further lines in its config.
fn place(buyer: &str, currency: &str) -> Place {
    let setting =
        Setting { methods: "[\"escrow\"]", grace_ms: 0, outage_s: 0, ..Setting::default() };
    let place = Place::open(setting);
    place.buyer("buyer", 1_000_000);
    let path = place.path("buyer.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    let config = config.replace("[buyer]\n", &format!("[buyer]\n{buyer}\n"));
    let config = config.replace("\"5000\"\n", &format!("\"5000\"\n{currency}\n"));
    std::fs::write(&path, config).unwrap();
    place
}

#[test]
fn a_channel_that_is_asked_for_serves_no_further_session_and_comes_back_with_the_next() {
    let mut place = place("reclaim_after_s = 0", "");
    let buyer = place.buy("buyer", "memory", "all").spawn().unwrap();
    while place.lines("buyer") < 20 {
        std::thread::yield_now();
    }
    place.seller().signal("KILL");
    place.seller().wait();
    let output = buyer.wait_with_output().unwrap();
    let broken: Value = serde_json::from_slice(&output.stdout).unwrap();
    let (first, left) = (&broken["left"][0]["channel"], amount(&broken["left"][0]["left"]));
    assert_eq!(broken["left"][0]["doing"], "closing", "{broken}");
    assert!((1..5000).contains(&left), "{broken}");
    place.sell();

    std::fs::remove_file(place.items("buyer")).unwrap();
    let mut again = sdpp();
    again.args(["buy", &place.address, "co2", "10", "--trust-on-first-use", "--config"]);
    again.arg(place.path("buyer.toml")).arg("--output").arg(place.items("buyer"));
    let (exit, said) = told(&mut again);
    assert_eq!(exit, 0, "{said}");
    let line = said.lines().find(|line| line.contains("is left in channel")).unwrap_or_default();
    // The new one is its seller's to close, where that has not been done already.
    assert!(!line.contains(first.as_str().unwrap()), "{said}");
    assert!(line.is_empty() || line.contains("0.004800 SDP is left"), "{said}");

    let (exit, lines, said) = closed(&[first.as_str().unwrap()], &place.path("buyer.toml"));
    assert_eq!((exit, &lines[0]["state"]), (0, &json!("closed")), "{said}");
    let (exit, lines, said) = closed(&["--all"], &place.path("buyer.toml"));
    assert!(exit == 0 && lines.iter().all(|one| one["state"] == "closed"), "{said} {lines:?}");
    place.close();
    let sold = place.balance("seller");
    assert_eq!(place.balance("buyer"), 1_000_000 - sold, "nothing stays behind");
    assert!(sold >= 200, "{sold}");
}

#[test]
fn a_seller_that_is_gone_for_good_keeps_nobody_from_what_is_left() {
    let mut place = place("reclaim_after_s = 0", "");
    let buyer = place.buy("buyer", "memory", "all").spawn().unwrap();
    while place.lines("buyer") < 20 {
        std::thread::yield_now();
    }
    place.seller().signal("KILL");
    place.seller().wait();
    let output = buyer.wait_with_output().unwrap();
    let broken: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(broken["left"][0]["doing"], "closing", "{broken}");
    assert_eq!(place.balance("buyer"), 1_000_000 - 5000);
    std::fs::remove_file(place.items("buyer")).unwrap();
    let (exit, said) = told(&mut place.buy("buyer", "memory", "all"));
    assert!(exit == 1 && said.contains("cannot connect"), "{said}");
    assert_eq!(place.balance("buyer"), 1_000_000, "it redeemed nothing in time");
    assert!(!place.audit("buyer").is_empty());
}

/// What a node that both buys and sells says of the one channel that it pays into.
fn told_by_a_node(place: &Place, path: &Path) -> String {
    let config = std::fs::read_to_string(path).unwrap();
    let both = place.path("both.toml");
    let selling = "[seller]\nlisten = \"127.0.0.1:0\"\ndefault_currency = \"SDP\"\n\
                   [topics.memory]\nprice = \"3\"\n\
                   source = { kind = \"host\", sensor = \"memory\" }\n";
    std::fs::write(&both, format!("{config}\n{selling}")).unwrap();
    let (mut node, _) = listening(sdpp().args(["sell", "--config"]).arg(&both));
    let mut status = sdpp();
    let (exit, text) = told(status.args(["status", "--journal"]).arg(place.journal("buyer")));
    // Its only method is escrow, and this ledger's escrow leaves it no time: it sells nothing.
    assert!(exit == 1 && text.starts_with("not ready: this seller can be paid in no"), "{text}");
    node.signal("TERM");
    assert!(node.wait().success());
    let line = text.lines().find(|line| line.contains(" as buyer: ")).unwrap();
    line.split(", ").last().unwrap().to_owned()
}

#[cfg(feature = "ethereum")]
mod on_a_chain {
    use super::*;
    use crate::killed::{BEFORE_IT_LEAVES, BEFORE_ITS_ANSWER, Market, SIDES, change};
    use std::process::Stdio;
    use std::time::{Duration, Instant};

    /// How long a process may take for anything.
    const PATIENCE: Duration = Duration::from_secs(30);

    /// A market whose buyer reclaims each channel that it does not use just now.
    fn market() -> Option<Market> {
        let market = Market::open()?;
        market.without_records();
        change(&market.chain, "buyer", "[buyer]\n", "[buyer]\nreclaim_after_s = 0\n");
        Some(market)
    }

    fn until_received(market: &Market, count: usize) {
        let since = Instant::now();
        let lines = || std::fs::read_to_string(market.chain.path("items")).unwrap_or_default();
        while lines().lines().count() < count {
            assert!(since.elapsed() < PATIENCE, "{count} items never came");
            std::thread::yield_now();
        }
    }

    /// The escrow's grace period passes on the chain.
    fn pass_grace(market: &Market) {
        let escrow = market.chain.recorded("escrow");
        let grace = market.chain.cast(&["call", &escrow, "CLOSE_GRACE_PERIOD()(uint64)"]);
        let seconds = grace.split(' ').next().unwrap();
        market.chain.cast(&["rpc", "evm_increaseTime", seconds]);
        market.chain.cast(&["rpc", "evm_mine"]);
    }

    fn told(child: std::process::Child) -> (i32, Value) {
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let told = serde_json::from_slice(&output.stdout);
        (output.status.code().unwrap(), told.unwrap_or_else(|error| panic!("{error}: {said}")))
    }

    fn close(market: &Market) -> Value {
        let (exit, mut lines, said) = closed(&["--all"], &market.chain.path("buyer.toml"));
        assert_eq!((exit, lines.len()), (0, 1), "{said}");
        lines.remove(0)
    }

    /// Books, balances and the chain's own events agree: what was not settled was withdrawn.
    fn all_is_back(market: &Market, transferred: u128) {
        let chain = &market.chain;
        let opened =
            chain.events("ChannelOpened(bytes32,address,address,address,address,bytes32,uint256)");
        let asked = chain.events("CloseRequested(bytes32,uint256)");
        let withdrawn = chain.events("Withdrawn(bytes32,uint256)");
        assert_eq!((opened.len(), asked.len(), withdrawn.len()), (1, 1, 1));
        let settled = chain.events("Settled(bytes32,uint256)");
        let settled = settled.iter().map(|(_, amount, _)| *amount).max().unwrap_or_default();
        assert!(settled > 0);
        assert_eq!(chain.cast(&["balance", &chain.recorded("escrow")]), "0");
        let paid = i128::try_from(settled + transferred).unwrap();
        assert_eq!((market.gained("seller"), market.gained("buyer")), (paid, -paid));
        assert!(withdrawn[0].1 > 0, "{withdrawn:?}");
        for side in ["seller", "buyer"] {
            market.book_is_the_chain_s(side);
            assert!(market.told(side, "paid") > 0);
        }
    }

    #[test]
    fn a_seller_that_never_closes_gives_the_rest_back_all_the_same() {
        let Some(market) = market() else { return };
        let (mut seller, address) = market.chain.sell();
        let buyer = market.buy(&address, "2000");
        until_received(&market, 20);
        seller.signal("KILL");
        seller.wait();
        let (exit, bought) = told(buyer);
        assert_eq!((exit, &bought["end"]), (1, &json!("broken")), "{bought}");
        let doing = bought["left"][0]["doing"].as_str().unwrap();
        assert!(["asking", "closing"].contains(&doing), "{bought}");

        // It comes back in time for what it has earned, and closes nothing.
        (seller, _) = market.chain.sell();
        market.seller_settles();
        let closing = close(&market);
        assert_eq!(closing["state"], "closing", "{closing}");
        assert!(closing["ready_ms"].is_u64());
        let left = closing["left"].as_str().unwrap();
        let book = market.chain.path("buyer-journal");
        let (_, book) = crate::place::told(sdpp().args(["audit", "--journal"]).arg(book));
        assert!(book.contains(&format!("{left} of coin left of ")), "{book}");
        assert!(book.contains("asked to close, can be withdrawn from "), "{book}");
        pass_grace(&market);
        let closed = close(&market);
        assert_eq!(closed["state"], "closed", "{closed}");
        assert!(amount(&closed["left"]) >= amount(&closing["left"]), "{closed} {closing}");
        seller.signal("TERM");
        assert!(seller.wait().success());
        all_is_back(&market, 0);
    }

    #[test]
    fn a_killed_buyer_that_goes_on_by_transfer_gets_its_channels_rest_back_by_itself() {
        let Some(market) = market() else { return };
        let (mut seller, address) = market.chain.sell();
        let mut buyer = Running(market.buy(&address, "2000"));
        until_received(&market, 20);
        buyer.signal("KILL");
        buyer.wait();
        market.seller_settles();
        let config = market.chain.read("buyer.toml");
        market.pays_by("transfer", &config);
        let (exit, bought) = told(market.buy(&address, "100"));
        assert_eq!((exit, &bought["end"]), (0, &json!("complete")), "{bought}");
        let doing = bought["left"][0]["doing"].as_str().unwrap();
        assert!(["asking", "closing"].contains(&doing), "{bought}");
        pass_grace(&market);
        let (exit, bought) = told(market.buy(&address, "100"));
        assert_eq!((exit, &bought["end"]), (0, &json!("complete")), "{bought}");
        seller.signal("TERM");
        assert!(seller.wait().success());
        let (exit, lines, said) = closed(&["--all"], &market.chain.path("buyer.toml"));
        assert!(exit == 0 && lines.iter().all(|one| one["state"] == "closed"), "{said} {lines:?}");
        all_is_back(&market, 200 * crate::chain::PRICE);
    }

    /// Starts the command that closes all channels; it is for the story to end it.
    fn closing(market: &Market) -> Running {
        let mut close = sdpp();
        close.args(["ledger", "close", "--all", "--config"]);
        close.arg(market.chain.path("buyer.toml")).stdout(Stdio::null()).stderr(Stdio::null());
        Running(close.spawn().unwrap())
    }

    /// A market whose buyer has bought ten items on a channel that it keeps, and its channel.
    fn kept() -> Option<(Market, String)> {
        let market = market()?;
        change(&market.chain, "buyer", "deposit = ", "keep_channel = true\ndeposit = ");
        let (mut seller, address) = market.chain.sell();
        let (exit, bought) = told(market.buy(&address, "10"));
        assert_eq!((exit, &bought["left"][0]["kept"]), (0, &json!(true)), "{bought}");
        seller.signal("TERM");
        assert!(seller.wait().success());
        let channel = bought["left"][0]["channel"].as_str().unwrap().to_owned();
        Some((market, channel))
    }

    #[test]
    fn a_command_killed_at_a_step_asks_once_and_withdraws_once() {
        let Some((market, _)) = kept() else { return };
        for (step, state) in [(BEFORE_IT_LEAVES, "closing"), (BEFORE_ITS_ANSWER, "closed")] {
            let doomed = market.doomed("buyer", &step);
            let is_held = market.hold(&doomed);
            market.kill(&mut closing(&market), &doomed, &is_held);
            assert_eq!(close(&market)["state"], state);
            if state == "closing" {
                pass_grace(&market);
            }
        }
        all_is_back(&market, 0);
    }

    #[test]
    fn a_seller_that_closes_after_the_request_leaves_nothing_to_be_withdrawn() {
        let Some((market, channel)) = kept() else { return };
        assert_eq!(close(&market)["state"], "closing");
        // What is settled already needs no signature.
        let paid = 10 * crate::chain::PRICE;
        let (_, key, _) = SIDES.iter().find(|(side, ..)| *side == "seller").unwrap();
        let (escrow, signature) = (market.chain.recorded("escrow"), "close(bytes32,uint128,bytes)");
        let amount = paid.to_string();
        let arguments = [&escrow, signature, &channel, &amount, "0x", "--private-key", key];
        market.chain.cast(&[&["send"], &arguments[..]].concat());
        pass_grace(&market);
        let (exit, lines, said) = closed(&[&channel], &market.chain.path("buyer.toml"));
        assert_eq!((exit, &lines[0]["state"]), (0, &json!("closed")), "{said} {lines:?}");
        assert_eq!(market.chain.events("Withdrawn(bytes32,uint256)"), []);
        assert_eq!(market.chain.cast(&["balance", &escrow]), "0");
        let paid = i128::try_from(paid).unwrap();
        assert_eq!((market.gained("seller"), market.gained("buyer")), (paid, -paid));
        market.book_is_the_chain_s("buyer");
    }
}
