//! `sdpp bench iota` on a double in this process: what it says that it did the node has.

use crate::place::{assert_done, says_what_to_start, sdpp};
use sdpp_iota_double::{Double, Options};
use serde_json::{Value, json};

#[test]
fn what_the_bench_says_was_paid_from_one_coin_the_node_has() {
    let dir = tempfile::tempdir().unwrap();
    // Nearly at a network's own pace: so it is the coins that bound what is on its way.
    let paced = Options { checkpoint_ms: 250, read_lag_ms: 1_000, ..Options::default() };
    let double = Double::start(paced).unwrap();
    let network = json!({
        "double": "this is no IOTA node, and nothing of it lasts",
        "url": double.url(), "faucet": double.faucet_url(), "control": double.admin_url(),
        "chain_id": double.chain_id(), "pids": { "double": std::process::id() },
    });
    std::fs::write(dir.path().join("network.json"), network.to_string()).unwrap();
    let mut bench = sdpp();
    bench.args(["bench", "iota", "--json", "--runs", "2", "--payments", "144", "--alone", "20"]);
    let output = bench.env("SDPP_IOTA_DIR", dir.path()).output().unwrap();
    assert_done(&output);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();

    let tally = double.tally();
    // In each run: both payers' first coins, what is paid through the adapter alone, and from one
    // coin.
    assert_eq!(tally.executed, 2 * (2 + 21 + 72), "each once: {told}");
    assert_eq!((tally.failed, tally.conflicts), (0, 0), "{told}");
    assert_eq!(tally.strange, Vec::<String>::new());

    assert_eq!((&told["payments"], &told["equivocations"]), (&json!(144), &json!(0)), "{told}");
    let median = |name: &str| told[name]["median"].as_f64().unwrap();
    assert!(median("on_way_at_most") <= 24.0, "no more than there are coins: {told}");
    // How many there are is a figure, of a machine that is not asked to do much else. That twenty
    // fit at once is the coin book's own story.
    let least = told["on_way"]["min"].as_f64().unwrap();
    assert_eq!(told["keeps_on_way"], json!(least >= 20.0), "{told}");
    for measured in ["ms_for_one", "cpu_ms_per_payment", "bare_cpu_ms_per_payment"] {
        assert!(median(measured) > 0.0, "{told}");
    }
    assert!(median("exchanges_per_payment") >= 6.0, "{told}");
}

#[test]
fn the_bench_says_what_to_start_where_no_double_of_iota_is() {
    says_what_to_start(&["bench", "iota"], "iota");
}
