#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use crate::terms::Rate;
use prices::{Prices, Way};
use sdpp_ledger::Amount;
use std::time::SystemTime;

#[path = "../../../tests/market/prices.rs"]
#[allow(dead_code, reason = "shared with the stories of the market")]
mod prices;

const NOW_MS: u64 = 1_700_000_000_000;

const PATIENCE: Duration = Duration::from_millis(1_000);

fn at(place: Place) -> Source {
    let units = Units { currency: 6, default: 6, is_inverted: true, places: None };
    Source { name: "prices".to_owned(), place, units, max_age_ms: 60_000 }
}

fn pointers(price: &str, at: Option<&str>) -> Pointers {
    let at = at.map(|at| at.parse().unwrap());
    Pointers { price: price.parse().unwrap(), at }
}

fn over_http(url: &str, pointers: Pointers) -> Source {
    at(Place::Http { server: Server::new(url.parse().unwrap()).unwrap(), pointers })
}

fn said(numerator: u128, denominator: u128, at_ms: u64) -> Heard {
    let (numerator, denominator) = (Amount::new(numerator), Amount::new(denominator));
    Heard::Said { rate: Rate { numerator, denominator }, at_ms }
}

#[tokio::test]
async fn a_server_tells_a_price_and_perhaps_when_it_was_so() {
    let server = Prices::start(Way::Say(r#"{"data":{"price":"3012.55","t":5}}"#.to_owned()));
    let now = over_http(&server.url(), pointers("/data/price", None));
    assert_eq!(now.ask(NOW_MS, PATIENCE).await, said(60_251, 20, NOW_MS));
    let then = over_http(&server.url(), pointers("/data/price", Some("/data/t")));
    assert_eq!(then.ask(NOW_MS, PATIENCE).await, said(60_251, 20, 5_000));
    server.say(r#"{"data":{"price":3012.550}}"#);
    assert_eq!(now.ask(NOW_MS, PATIENCE).await, said(60_251, 20, NOW_MS));
    let timeless = then.ask(NOW_MS, PATIENCE).await;
    assert!(matches!(&timeless, Heard::Nonsense(why) if why.contains("no \"/data/t\"")));
}

#[tokio::test]
async fn whatever_a_server_does_is_silence_or_nonsense_and_neither_waits_nor_grows() {
    let other = Prices::start(Way::Say("5".to_owned()));
    let moved = format!(
        "HTTP/1.1 302 Found\r\nlocation: {}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        other.url()
    );
    let failing = "HTTP/1.1 500 No\r\ncontent-length: 1\r\nconnection: close\r\n\r\n5";
    let server = Prices::start(Way::HangUp);
    let source = over_http(&server.url(), pointers("", None));
    let nonsense = |document: &str, why| (Way::Say(document.to_owned()), true, why);
    for (way, is_nonsense, part) in [
        (Way::HangUp, false, "the connection broke"),
        (Way::Stall, false, "no answer within 1000 ms"),
        (Way::Drip("3012.550000000000".to_owned()), false, "no answer within 1000 ms"),
        (Way::Raw(b"\x00\xff garbage".to_vec()), false, "the connection broke"),
        (Way::Raw(moved.into_bytes()), false, "HTTP 302"),
        (Way::Raw(failing.as_bytes().to_vec()), false, "HTTP 500"),
        (Way::Pad(10 * 1024 * 1024, "5".to_owned()), true, "more than 65536 bytes"),
        nonsense("5e3", "exponent"),
        nonsense("-5", "negative"),
        nonsense("0.0", "zero"),
        nonsense("\" 5\"", "expected digits"),
        nonsense("NaN", "no JSON"),
        nonsense("null", "neither a number nor a text"),
        nonsense("<html>", "no JSON"),
        nonsense("", "no JSON"),
        nonsense("99999999999999999999", "below 2^63"),
    ] {
        server.turn(way);
        let heard = source.ask(NOW_MS, PATIENCE).await;
        let (why, was_nonsense) = match &heard {
            Heard::Silent(why) => (why, false),
            Heard::Nonsense(why) => (why, true),
            Heard::Said { .. } => panic!("{heard:?} was taken, and not said: {part}"),
        };
        assert!(why.contains(part) && was_nonsense == is_nonsense, "{heard:?}, not {part:?}");
    }
    assert_eq!(other.asked(), 0, "a redirect was followed");
    server.turn(Way::Pad(60 * 1024, "5".to_owned()));
    assert_eq!(source.ask(NOW_MS, PATIENCE).await, said(5, 1, NOW_MS));
}

#[tokio::test]
async fn what_is_secret_in_a_url_is_not_repeated() {
    let key = "0123456789abcdef";
    let server = Prices::start(Way::Say(format!("\"{key}\"")));
    let source = over_http(&format!("{}/v1/{key}", server.url()), pointers("", None));
    let heard = source.ask(NOW_MS, PATIENCE).await;
    assert!(matches!(&heard, Heard::Nonsense(why) if why.contains("***")), "{heard:?}");
    drop(server);
    let heard = source.ask(NOW_MS, PATIENCE).await;
    assert!(!format!("{heard:?}").contains(key), "{heard:?}");
}

#[tokio::test]
async fn all_sources_are_asked_at_once_and_told_in_their_order() {
    let (slow, quick) = (Prices::start(Way::Stall), Prices::start(Way::Say("7".to_owned())));
    let urls = [slow.url(), quick.url(), slow.url(), slow.url()];
    let sources = urls.iter().map(|url| over_http(url, pointers("", None))).collect();
    let limits = Limits {
        least_sources: 1,
        largest_spread_permille: 0,
        largest_jump_permille: 0,
        jump_within_ms: 0,
        good_for_ms: 0,
    };
    let ticker = Ticker { sources, limits, every: PATIENCE, patience: PATIENCE };
    let begun = std::time::Instant::now();
    let heard = ticker.ask(NOW_MS).await;
    assert!(begun.elapsed() < 2 * PATIENCE, "they wait for one another");
    assert_eq!(heard[1], said(7, 1, NOW_MS));
    assert!([0, 2, 3].iter().all(|at| matches!(heard[*at], Heard::Silent(_))), "{heard:?}");
}

#[tokio::test]
async fn a_file_that_is_being_rewritten_is_silent_and_its_price_is_as_old_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("price");
    let source = |pointers| at(Place::File { path: path.clone(), pointers });
    let (plain, json) = (source(pointers("", None)), source(pointers("/p", Some("/t"))));
    let write = |text: &str| {
        std::fs::write(&path, text).unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_millis(77_000)).unwrap();
    };
    let absent = plain.ask(NOW_MS, PATIENCE).await;
    assert!(matches!(&absent, Heard::Silent(why) if why.contains("cannot be read")), "{absent:?}");
    let long = format!("{}5\n", " ".repeat(ANSWER_BYTES_MAX));
    // A program writes 3012.55 over what was there, and we look at each moment.
    for half in ["", "3", "3012", "3012.", "3012.5", "3012.55", "NaN\n", long.as_str()] {
        write(half);
        let heard = plain.ask(NOW_MS, PATIENCE).await;
        assert!(matches!(heard, Heard::Silent(_)), "{half:?}: {heard:?}");
    }
    write("3012.55\n");
    assert_eq!(plain.ask(NOW_MS, PATIENCE).await, said(60_251, 20, 77_000));
    let whole = r#"{"t": 70, "p": "3012.55"}"#;
    for end in 0..whole.len() {
        write(&whole[..end]);
        let heard = json.ask(NOW_MS, PATIENCE).await;
        assert!(matches!(heard, Heard::Silent(_)), "{:?}: {heard:?}", &whole[..end]);
    }
    write(whole);
    assert_eq!(json.ask(NOW_MS, PATIENCE).await, said(60_251, 20, 70_000));
    let folder = at(Place::File { path: dir.path().to_owned(), pointers: pointers("", None) });
    let heard = folder.ask(NOW_MS, PATIENCE).await;
    assert!(matches!(&heard, Heard::Silent(why) if why.contains("no file")), "{heard:?}");
}
