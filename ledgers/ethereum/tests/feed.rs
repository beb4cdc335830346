//! Stories of price feeds: contracts on the chain that tell a price, and contracts that do not.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod rig;

use rig::code::{Code, number};
use rig::{Anvil, key, settings};
use sdpp_ledger::{Account, Feed, Ledger, LedgerError};
use sdpp_ledger_ethereum::EthereumLedger;

const AT_S: u128 = 1_700_000_000;

fn feed() -> Account {
    "0x00000000000000000000000000000000000feed0".parse().unwrap()
}

/// A feed in the ninth round with an answer in hundred-millionths.
fn telling(answer: u128, at_s: u128) -> Code {
    let decimals = Code::default().answer(number(8));
    let round = [9, answer, at_s, at_s, 9].map(number);
    let round = Code::default().answer_all(&round);
    Code::default().when("decimals()", decimals).when("latestRoundData()", round)
}

#[tokio::test]
async fn a_feed_tells_its_newest_answer_and_what_is_none_is_refused() {
    let Some(anvil) = Anvil::start(&[]).await else { return };
    let ledger = EthereumLedger::connect(settings(&[anvil.url()], 12), key(0)).await.unwrap();
    let (answer, at_ms) = (301_255_000_000, 1_000 * AT_S as u64);
    telling(301_255_000_000, AT_S).put(&anvil, &feed()).await;
    let told = ledger.feed(&feed()).await.unwrap();
    assert_eq!(told, Feed { answer, decimals: 8, at_ms });

    telling(310_000_000_000, AT_S + 60).put(&anvil, &feed()).await;
    let told = ledger.feed(&feed()).await.unwrap();
    let (answer, at_ms) = (310_000_000_000, at_ms + 60_000);
    assert_eq!(told, Feed { answer, decimals: 8, at_ms }, "a new round is told at once");

    telling(310_000_000_000, 0).put(&anvil, &feed()).await;
    let unanswered = ledger.feed(&feed()).await;
    Code::default().answer(number(8)).put(&anvil, &feed()).await;
    let short = ledger.feed(&feed()).await;
    let nobody = ledger.feed(&rig::account(1)).await;
    for refused in [unanswered, short, nobody] {
        match refused {
            Err(LedgerError::Refused { code, .. }) => assert_eq!(code, "NotAFeed"),
            other => panic!("not refused: {other:?}"),
        }
    }
}
