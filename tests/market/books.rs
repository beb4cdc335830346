//! What the books say, held against what accounts hold and what ledgers show: every unit of it.

use crate::place::*;
use crate::watch::buyer_does;
use sdpp_ledger::{Call, InChannel};

fn audited(place: &Place, side: &str, more: &[&str]) -> (i32, String) {
    let mut audit = sdpp();
    audit.args(["audit", "--journal"]).arg(place.journal(side));
    told(audit.arg("--config").arg(place.path(&format!("{side}.toml"))).args(more))
}

/// The buyer asks its escrow to close while the seller sleeps: nothing is wrong with the books,
/// and they say that their ledger knows more.
#[test]
fn a_ledger_that_is_ahead_of_the_books_is_a_note_and_no_problem() {
    let methods = "[\"escrow\"]";
    let mut place = Place::open(Setting { methods, ..Setting::default() });
    place.buyer("buyer", 1_000_000);
    let path = place.path("buyer.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, config.replace("\"5000\"\n", "\"5000\"\nkeep_channel = true\n")).unwrap();
    assert_done(&place.buy("buyer", "co2", "12").output().unwrap());
    place.close();
    let (exit, text) = audited(&place, "seller", &[]);
    assert!(exit == 0 && text.contains("1 channel stands on its ledger as it does here"), "{text}");
    let sold = place.audit("seller").remove(0);
    assert_eq!(
        (&sold["channel"]["said"], &sold["ledgers_asked"]),
        (&"agrees".into(), &true.into())
    );
    let channel = sold["channel"]["channel"].as_str().unwrap().parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let asked = Call::RequestClose(InChannel { channel });
    runtime.block_on(buyer_does(&place, asked)).unwrap();
    for side in ["seller", "buyer"] {
        let (exit, text) = audited(&place, side, &[]);
        assert_eq!(exit, 0, "{text}");
        // The buyer may be gone before the seller redeemed its vouchers: that is news to it as well.
        let news = text.split_once("knows more by now: ").map(|(_, news)| news);
        assert!(news.is_some_and(|news| news.contains("its payer asks to close it")), "{text}");
        assert!(text.contains("nothing is wrong"), "{text}");
    }
    let (exit, text) = audited(&place, "seller", &["--offline"]);
    assert!(exit == 0 && text.contains("nor how its 1 channel stands now; --offline"), "{text}");
}

/// Whoever audits a seller that sells on sees one moment of it, and all of that.
#[test]
fn a_running_sellers_books_are_audited_while_they_grow() {
    let place = Place::open(Setting { granularity: 2, ..Setting::default() });
    place.buyer("buyer", 1_000_000);
    let mut buyer = place.buy("buyer", "memory", "all").spawn().unwrap();
    let mut entries = Vec::new();
    while entries.len() < 5 || entries.first() == entries.last() {
        let (exit, text) = audited(&place, "seller", &[]);
        assert!(exit == 0 && text.contains("nothing is wrong"), "{text}");
        let end = text.split(" entries").next().unwrap();
        entries.push(end.rsplit(' ').next().unwrap().parse::<u64>().unwrap());
    }
    assert!(entries.is_sorted(), "{entries:?}");
    buyer.kill().unwrap();
    buyer.wait().unwrap();
}

#[cfg(feature = "ethereum")]
mod on_a_chain {
    use super::*;
    use crate::chain::{Chain, PRICE};
    use serde_json::Value;

    const FIRST: u128 = 100_000_000_000_000_000_000;

    fn audited(chain: &Chain, side: &str, more: &[&str]) -> (i32, String) {
        let mut audit = sdpp();
        audit.args(["audit", "--journal"]).arg(chain.path(&format!("{side}-journal")));
        told(audit.arg("--config").arg(chain.path(&format!("{side}.toml"))).args(more))
    }

    /// A stream paid in ether by escrow, one in a token by transfer, anchors, a channel, leave to
    /// take tokens: what an account holds is what it had, and what its books say since then.
    #[test]
    fn every_unit_that_an_account_lost_or_won_is_in_its_books() {
        let Some(chain) = Chain::up() else { return };
        let before: Value = serde_json::from_str(&chain.cast(&["rpc", "evm_snapshot"])).unwrap();
        let (mut seller, address) = chain.sell();
        for currency in ["ETH", "USDX"] {
            assert_eq!(chain.buy(&address, "buyer.toml", currency)["end"], "complete");
        }
        seller.signal("TERM");
        assert!(seller.wait().success());
        for side in ["seller", "buyer"] {
            as_the_account_has_it(&chain, side);
        }
        let sold = chain.audit("seller", "ETH");
        assert_eq!(sold["channel"]["said"], "agrees", "{sold}");
        assert_eq!(sold["channel"]["there"]["finalized"], true, "{sold}");

        // A chain that forgot all of it: each thing that was final is missed, and the channel.
        chain.rpc("evm_revert", &before);
        let (exit, text) = audited(&chain, "seller", &[]);
        assert_eq!(exit, 3, "{text}");
        assert!(text.contains("there is no such transaction"), "{text}");
        assert!(text.contains("says: there is no such channel"), "{text}");
        assert_eq!(audited(&chain, "seller", &["--offline"]).0, 0);
    }

    fn as_the_account_has_it(chain: &Chain, side: &str) {
        let (exit, text) = audited(chain, side, &["--json", "--totals"]);
        assert_eq!(exit, 0, "{text}");
        let totals = statements(text.as_bytes()).pop().unwrap()["totals"].clone();
        let sums = |what: &str| totals[what].as_array().unwrap().clone();
        let fee_by = |by: &str| {
            let fees = sums("fees").into_iter().filter(|fee| fee["by"] == by);
            fees.map(|fee| amount(&fee["fee"])).sum::<u128>()
        };
        let money = sums("money");
        let in_coin = money.iter().find(|sum| sum["by"] == "currency" && sum["asset"] == "coin");
        assert_eq!(amount(&in_coin.unwrap()["settled"]), 10 * PRICE, "{totals}");
        let held = chain.cast(&["balance", &chain.account(side)]).parse::<u128>().unwrap();
        let had = match side {
            "seller" => FIRST + 10 * PRICE,
            _ => FIRST - 10 * PRICE,
        };
        assert_eq!(held, had - fee_by("currency"), "{side}: {totals}");
        assert_eq!(fee_by("currency"), fee_by("day"), "{totals}");
        let (_, text) = audited(chain, side, &["--format", "csv"]);
        let (csv, note) = text.split_once("note: of our fees, ").unwrap();
        let lines: Vec<Vec<&str>> =
            csv.lines().skip(1).map(|line| line.split(',').collect()).collect();
        // No unit is left out without a word.
        let rest: u128 = note.split(' ').next().unwrap().parse().unwrap();
        let in_lines = lines.iter().filter_map(|line| line[10].parse::<u128>().ok());
        assert_eq!(in_lines.sum::<u128>() + rest, fee_by("currency"), "{text}");
        let of = |currency: &str| {
            let lines = lines.iter().filter(|line| line[7] == currency);
            lines.map(|line| (line[6], line[8], line[13])).collect::<Vec<_>>()
        };
        let all = (10 * PRICE).to_string();
        assert_eq!(of("ETH"), [("10", all.as_str(), "final")], "{csv}");
        assert_eq!(of("USDX"), [("5", "5000", "final"); 2], "{csv}");
        // Who sent the transaction has paid for it.
        let paid_fee = |currency: &str| {
            lines.iter().filter(|line| line[7] == currency).all(|line| !line[10].is_empty())
        };
        assert_eq!(
            (paid_fee("ETH"), paid_fee("USDX")),
            (side == "seller", side == "buyer"),
            "{csv}"
        );
        assert_eq!(lines.len(), 3, "{csv}");
    }
}
