//! `sdpp bench` on a chain of its own: it tells what the chain itself has.

use crate::chain::Chain;
use crate::place::{assert_done, says_what_to_start, sdpp};
use serde_json::Value;
use std::collections::BTreeSet;

#[test]
fn what_the_bench_says_was_settled_is_what_the_contract_says() {
    let Some(chain) = Chain::up() else { return };
    let mut bench = sdpp();
    bench.args(["bench", "settle", "--channels", "7", "--runs", "2", "--json"]);
    let output = bench.env("SDPP_ANVIL_DIR", chain.path("")).output().unwrap();
    assert_done(&output);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();

    // Seven together and three alone in each of two runs, and one channel of the session that is
    // timed, which closes its own.
    let settled = chain.events("Settled(bytes32,uint256)");
    assert_eq!(settled.len(), 2 * (7 + 3));
    let channels: BTreeSet<_> = settled.iter().map(|(topics, ..)| &topics[1]).collect();
    assert_eq!(channels.len(), settled.len(), "each channel once");
    let runs = told["runs"].as_array().unwrap();
    let said = runs.iter().map(|run| run["settled"].as_str().unwrap().parse::<u128>().unwrap());
    assert_eq!(said.sum::<u128>(), settled.iter().map(|(_, amount, _)| amount).sum::<u128>());

    let mut transactions: Vec<_> = settled.iter().map(|(.., tx)| tx).collect();
    transactions.dedup();
    assert_eq!(transactions.len(), 2 * (1 + 3), "seven vouchers ride in one transaction");
    for (run, together) in runs.iter().zip(transactions.chunks(4)) {
        assert_eq!((&run["transactions"], &run["blocks"]), (&1.into(), &1.into()), "{told}");
        assert_eq!(run["gas"], chain.gas(together[0]), "{told}");
        assert!(run["gas"].as_u64() < run["gas_alone"].as_u64().map(|alone| 7 * alone), "{told}");
    }
    assert_eq!(told["within_two_blocks"], true, "{told}");
    for ledger in ["chain", "embedded"] {
        assert!(told["ms_per_window"][ledger]["median"].as_f64().unwrap() > 0.0, "{told}");
    }
}

#[test]
fn the_bench_says_what_to_start_where_no_chain_is() {
    says_what_to_start(&["bench", "settle"], "anvil");
}
