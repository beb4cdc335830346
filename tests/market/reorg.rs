//! Small payments count when they stand in a block; the chain takes that block back, and in the end
//! each is made once, for good.

use crate::chain::Chain;
use crate::place::{Running, amount, sdpp, statements};
use std::fs;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// How many blocks the chain takes back; eight make something final.
const TAKEN_BACK: usize = 6;

fn change(chain: &Chain, side: &str, from: &str, to: &str) {
    let text = chain.read(&format!("{side}.toml"));
    assert!(text.contains(from), "{from:?} is not in {text}");
    fs::write(chain.path(&format!("{side}.toml")), text.replace(from, to)).unwrap();
}

/// What was paid in tokens to the seller, as the chain has it now: each amount.
fn paid(chain: &Chain) -> Vec<u128> {
    let account = chain.account("seller");
    let is_sellers = |topic: &String| topic.ends_with(account.trim_start_matches("0x"));
    let events = chain.events("Transfer(address,address,uint256)");
    let ours = events.into_iter().filter(|(topics, ..)| topics.get(2).is_some_and(is_sellers));
    ours.map(|(_, amount, _)| amount).collect()
}

/// How many invoices the seller has written, and how much it owed or waited for is final.
fn sold(chain: &Chain) -> (usize, usize) {
    let mut list = sdpp();
    list.args(["journal", "list", "--json", "--journal"]).arg(chain.path("seller-journal"));
    let entries = statements(&list.output().unwrap().stdout);
    let of = |kind: &str| entries.iter().filter(|e| e["record"]["record"] == kind).count();
    (of("invoice"), of("met"))
}

fn is_running(child: &mut Child) -> bool {
    child.try_wait().unwrap().is_none()
}

#[test]
fn a_payment_that_counted_early_and_was_taken_back_is_made_again_and_counted_once() {
    let Some(chain) = Chain::up() else { return };
    chain.buyer_pays_tokens_by("transfer");
    change(&chain, "buyer", "deposit = \"10000000\"\n", "");
    for side in ["seller", "buyer"] {
        change(&chain, side, "depth = 1\n", "depth = 8\n");
    }
    change(&chain, "seller", "credit_windows = 2", "credit_windows = 1");
    let early = "\n[[currencies.USDX.finality]]\nup_to = \"10000\"\nblocks = 1\n";
    let config = chain.read("seller.toml") + early;
    fs::write(chain.path("seller.toml"), config).unwrap();
    // What was set up before stays as it is.
    chain.rpc("anvil_mine", &"0x10".into());
    let had = paid(&chain).len();
    let (mut seller, address) = chain.sell();
    let mut buy = sdpp();
    buy.args(["buy", &address, "cpu_load", "10", "--trust-on-first-use", "--currency", "USDX"]);
    buy.args(["--json", "--config"]).arg(chain.path("buyer.toml"));
    buy.arg("--output").arg(chain.path("items")).stdout(Stdio::piped());
    let mut buyer = Running(buy.spawn().unwrap());

    let began = Instant::now();
    while sold(&chain).0 < 2 || paid(&chain).len() < had + 2 {
        assert!(is_running(&mut buyer.0) && began.elapsed() < PATIENCE, "{:?}", sold(&chain));
    }
    assert_eq!(sold(&chain), (2, 0), "the first counted, and none is final");
    chain.rpc("evm_setAutomine", &false.into());
    chain.cast(&["rpc", "anvil_reorg", &TAKEN_BACK.to_string(), "[]"]);
    assert!(paid(&chain).len() < had + 2, "the chain has taken one back at least");
    chain.rpc("evm_setAutomine", &true.into());
    while is_running(&mut buyer.0) {
        chain.rpc("anvil_mine", &"0x1".into());
        assert!(began.elapsed() < PATIENCE, "{:?}, {:?}", sold(&chain), paid(&chain));
    }
    assert!(buyer.wait().success());
    seller.signal("TERM");
    while is_running(&mut seller.0) {
        chain.rpc("anvil_mine", &"0x1".into());
        assert!(began.elapsed() < PATIENCE, "the seller does not end");
    }
    assert_eq!(paid(&chain)[had..], [5_000, 5_000], "each once");
    for side in ["seller", "buyer"] {
        let statement = chain.audit(side, "USDX");
        assert_eq!(amount(&statement["settled"]), 10_000, "{side}: {statement}");
        assert_eq!(statement["problems"], serde_json::json!([]), "{side}: {statement}");
        assert_eq!(statement["state"], "complete", "{side}: {statement}");
    }
}
