#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::json::Pointer;
use super::price::{Price, Units};
use super::*;
use proptest::prelude::*;
use sdpp_ledger::Amount;

const START_MS: u64 = 1_700_000_000_000;

/// Ether for dollars in millionths.
const ETH: Units = Units { currency: 18, default: 6, is_inverted: false, places: None };

fn rate(numerator: u128, denominator: u128) -> Rate {
    Rate { numerator: Amount::new(numerator), denominator: Amount::new(denominator) }
}

fn ratio(price: &str, units: &Units) -> Result<(u128, u128), String> {
    let rate = price.parse::<Price>()?.rate(units)?;
    Ok((rate.numerator.units(), rate.denominator.units()))
}

#[test]
fn a_price_becomes_a_ratio_to_the_last_digit() {
    // An ether of 10^18 wei is 3012.55 dollars of 10^6 units: 10^14 wei for 301255 units.
    assert_eq!(ratio("3012.55", &ETH), Ok((20_000_000_000_000, 60_251)));
    let inverted = Units { is_inverted: true, ..ETH };
    assert_eq!(ratio("0.0005", &inverted), Ok((500_000_000, 1)));
    let alike = Units { currency: 6, default: 6, ..ETH };
    for (price, expected) in [
        ("1", (1, 1)),
        ("1.000", (1, 1)),
        ("0.5", (2, 1)),
        ("3000", (1, 3_000)),
        ("0.000001", (1_000_000, 1)),
        ("100.10", (10, 1_001)),
    ] {
        assert_eq!(ratio(price, &alike), Ok(expected), "{price}");
        let inverted = Units { is_inverted: true, ..alike };
        assert_eq!(ratio(price, &inverted), Ok((expected.1, expected.0)), "{price} inverted");
    }
    let coarse = Units { currency: 0, default: 18, ..ETH };
    assert_eq!(ratio("2", &coarse), Ok((1, 2_000_000_000_000_000_000)));
}

#[test]
fn what_does_not_fit_is_refused_unless_it_says_how_many_places_count() {
    let finer = Units { default: 2, ..ETH };
    let refused = ratio("3012.55123457", &finer).unwrap_err();
    assert!(refused.contains("below 2^63") && refused.contains("places"), "{refused}");
    let rounded = |is_inverted| Units { places: Some(2), is_inverted, ..ETH };
    // In the buyer's favour: a higher price of the coin that it pays in, a lower of the other.
    assert_eq!(ratio("3012.55123457", &rounded(false)), ratio("3012.56", &ETH));
    let inverted = Units { is_inverted: true, ..ETH };
    assert_eq!(ratio("3012.55923457", &rounded(true)), ratio("3012.55", &inverted));
    assert_eq!(ratio("3012.5", &rounded(false)), ratio("3012.5", &ETH));
    assert_eq!(ratio("3012.9999", &rounded(false)), ratio("3013", &ETH));
    let nothing = ratio("0.001", &rounded(true)).unwrap_err();
    assert!(nothing.contains("zero"), "{nothing}");
    for far in ["0.000000000000000000000000000001", "999999999999999999999999999999"] {
        assert!(ratio(far, &ETH).unwrap_err().contains("2^63"), "{far} was taken");
    }
}

#[test]
fn what_is_no_price_is_refused_with_a_sentence() {
    for (text, why) in [
        ("", "expected digits"),
        ("-3", "negative"),
        ("-0", "negative"),
        ("1e3", "exponent"),
        ("1E+3", "exponent"),
        ("3.0e2", "exponent"),
        ("0", "zero"),
        ("0.000", "zero"),
        ("00.5", "begins with a zero"),
        ("NaN", "expected digits"),
        ("Infinity", "expected digits"),
        (" 3", "expected digits"),
        ("3 ", "expected digits"),
        ("3 000", "expected digits"),
        ("3,000", "expected digits"),
        ("3.", "expected digits"),
        (".5", "expected digits"),
        ("1.2.3", "expected digits"),
        ("+3", "expected digits"),
        ("0x10", "expected digits"),
        ("\u{0663}", "expected digits"),
        ("1234567890123456789012345678901234567", "too many digits"),
        ("12345678901234567890123456789012345678901", "too long"),
    ] {
        let refused = text.parse::<Price>().unwrap_err();
        assert!(refused.contains(why), "{text:?}: {refused}");
    }
    assert!(Price::of(-5, 8).unwrap_err().contains("negative"));
    assert!(Price::of(0, 8).unwrap_err().contains("zero"));
    assert!(Price::of(5, 39).unwrap_err().contains("38 at most"));
    assert_eq!(Price::of(301_255_000_000, 8), "3012.55".parse());
}

#[test]
fn the_value_of_a_document_is_taken_as_it_is_written() {
    let price = |pointer: &str, json: &str| pointer.parse::<Pointer>().unwrap().price(json);
    let exact = "3012.550000000000000001";
    let json = format!(r#"{{"x":[1,{{"a/b":{exact},"~":"7"}}],"data":{{"price":"3012.55"}}}}"#);
    assert_eq!(price("/data/price", &json), "3012.55".parse());
    assert_eq!(price("/x/1/a~1b", &json), exact.parse(), "no float comes near it");
    assert_eq!(price("/x/1/~0", &json), "7".parse());
    assert_eq!(price("", "3012.55\n"), "3012.55".parse());
    for (pointer, json, why) in [
        ("/price", "{\"price\": 1e3}", "exponent"),
        ("/price", "{\"price\": -1}", "negative"),
        ("/price", "{\"price\": \" 5\"}", "expected digits"),
        ("/price", "{\"price\": NaN}", "no JSON"),
        ("/price", "{\"price\": null}", "neither a number nor a text"),
        ("/price", "{\"price\": [5]}", "neither a number nor a text"),
        ("/price", "{\"price\": 5, \"price\": 6}", "more than once"),
        ("/price", "{\"pri", "no JSON"),
        ("/price", "5", "there is no \"/price\""),
        ("/price/0", "{\"price\": 5}", "there is no"),
        ("/01", "[4, 5]", "there is no"),
        ("/2", "[4, 5]", "there is no"),
        ("", "{\"price\": 5}", "neither"),
        ("", "5 6", "no JSON"),
        ("", "", "no JSON"),
    ] {
        let refused = price(pointer, json).unwrap_err();
        assert!(refused.contains(why), "{json}: {refused}");
    }
    for bad in ["price", "/\u{202e}", &format!("/{}", "x".repeat(300))] {
        assert!(bad.parse::<Pointer>().is_err(), "{bad:?} was taken");
    }
}

#[test]
fn a_time_is_in_seconds_or_milliseconds_or_as_people_write_it() {
    let at: Pointer = "/at".parse().unwrap();
    let time = |text: &str| at.time_ms(&format!("{{\"at\": {text}}}"));
    for same in [
        "1700000000.123",
        "1700000000123",
        "\"1700000000123\"",
        "\"2023-11-14T22:13:20.123Z\"",
        "\"2023-11-14T23:13:20.123+01:00\"",
    ] {
        assert_eq!(time(same), Ok(START_MS + 123), "{same}");
    }
    for bad in ["-5", "\"yesterday\"", "null", "1e9", "\"2023-11-14\"", "99999999999999999999999"] {
        assert!(time(bad).is_err(), "{bad} was taken");
    }
}

/// A book that one source or more tell, and the clock that it goes by.
struct Told {
    book: Book,
    now_ms: u64,
}

impl Told {
    fn by(sources: usize, change: impl FnOnce(&mut Limits)) -> Told {
        let mut limits = Limits {
            least_sources: 1,
            largest_spread_permille: 20,
            largest_jump_permille: 100,
            jump_within_ms: 600_000,
            good_for_ms: 120_000,
        };
        change(&mut limits);
        let names = (0..sources).map(|which| (format!("source{which}"), 60_000));
        Told { book: Book::new(limits, names), now_ms: START_MS }
    }

    /// What is made of it when they say so now.
    fn take(&mut self, heard: &[Heard]) -> Result<Quote, String> {
        self.book.take(heard.to_vec(), self.now_ms).map_err(|why| why.to_string())
    }

    /// The same of rates for 1,000 units.
    fn say(&mut self, rates: &[u128]) -> Result<u128, String> {
        let heard: Vec<Heard> = rates.iter().map(|units| said(*units, self.now_ms)).collect();
        self.take(&heard).map(|quote| quote.rate().unwrap().numerator.units())
    }

    fn later(&mut self, seconds: u64) -> &mut Self {
        self.now_ms += 1_000 * seconds;
        self
    }
}

fn said(units: u128, at_ms: u64) -> Heard {
    Heard::Said { rate: rate(units, 1_000), at_ms }
}

fn silent() -> Heard {
    Heard::Silent("no connection".to_owned())
}

fn nonsense() -> Heard {
    Heard::Nonsense("\"NaN\" is no price".to_owned())
}

#[test]
fn the_rate_is_the_one_in_the_middle_and_its_evidence_stands_beside_it() {
    let mut told = Told::by(4, |_| ());
    assert_eq!(told.say(&[1_003, 1_000, 1_002, 1_001]), Ok(1_001), "the lower of two");
    let quote = told.later(10).take(&[said(1_000, START_MS), silent(), nonsense(), silent()]);
    let quote = quote.unwrap();
    let sources: Vec<(&str, u64)> =
        quote.sources.iter().map(|one| (one.source.as_str(), one.at.0 - START_MS)).collect();
    assert_eq!(sources, [("source0", 0), ("source1", 0), ("source3", 0)]);
    assert_eq!((quote.at.0, quote.expires_at.0), (START_MS + 10_000, START_MS + 130_000));
}

#[test]
fn a_silent_source_counts_until_its_word_is_old_and_comes_back() {
    let mut told = Told::by(1, |_| ());
    assert_eq!(told.say(&[1_000]), Ok(1_000));
    assert!(told.later(60).take(&[silent()]).is_ok(), "its word is as old as it may be");
    let why = told.later(1).take(&[silent()]).unwrap_err();
    for part in ["0 of at least 1", "source0: no connection", "61 s old, 60 at most"] {
        assert!(why.contains(part), "{why}");
    }
    assert_eq!(told.say(&[1_010]), Ok(1_010));
}

#[test]
fn an_answer_that_is_old_already_counts_no_more_than_one_that_came_then() {
    let mut told = Told::by(1, |_| ());
    assert!(told.take(&[said(1_000, START_MS - 60_001)]).is_err());
    assert!(told.take(&[said(1_000, START_MS - 60_000)]).is_ok());
    let ahead = told.take(&[said(1_000, START_MS + 60_001)]).unwrap_err();
    assert!(ahead.contains("yet to come"), "{ahead}");
    let quote = told.take(&[said(1_000, START_MS + 60_000)]).unwrap();
    assert_eq!(quote.sources[0].at.0, START_MS, "by our clock it was said now");
}

#[test]
fn a_source_that_talks_nonsense_counts_no_more() {
    let mut told = Told::by(2, |limits| limits.least_sources = 2);
    assert_eq!(told.say(&[1_000, 1_001]), Ok(1_000));
    let why = told.take(&[said(1_000, START_MS), nonsense()]).unwrap_err();
    assert!(why.contains("1 of at least 2") && why.contains("NaN"), "{why}");
    let large = Heard::Said { rate: rate(1 << 63, 1), at_ms: START_MS };
    let why = told.take(&[said(1_000, START_MS), large]).unwrap_err();
    assert!(why.contains("2^63"), "{why}");
    assert_eq!(told.say(&[1_000, 1_001]), Ok(1_000));
}

#[test]
fn sources_that_differ_too_much_make_no_quote() {
    let mut told = Told::by(3, |_| ());
    assert_eq!(told.say(&[1_000, 1_020, 1_010]), Ok(1_010), "20 permille are allowed");
    let why = told.say(&[1_000, 1_021, 1_010]).unwrap_err();
    for part in ["20 permille", "source0 says 1000 for 1000", "source1 says 1021 for 1000"] {
        assert!(why.contains(part), "{why}");
    }
    let huge = Rate::PLAIN_MAX;
    let wide = [rate(huge, 1), rate(huge - 1, 1), rate(1, huge)];
    assert!(is_above(&wide[0], &wide[1], 0) && !is_above(&wide[0], &wide[1], 1));
    assert!(is_above(&wide[0], &wide[2], u32::MAX) && is_below(&wide[2], &wide[0], 999));
    assert!(!is_below(&wide[2], &wide[0], 1_000));
}

#[test]
fn a_jump_takes_a_quote_away_until_its_time_is_over() {
    let mut told = Told::by(1, |_| ());
    assert_eq!(told.say(&[1_000]), Ok(1_000));
    assert_eq!(told.later(10).say(&[1_100]), Ok(1_100), "100 permille are allowed");
    let why = told.later(10).say(&[1_101]).unwrap_err();
    assert!(why.contains("jumps by more than 100 permille: from 1000 for 1000"), "{why}");
    assert!(told.say(&[899]).is_err());
    assert_eq!(told.say(&[900]), Ok(900));
    // What holds for ten minutes is believed, measured by the last that was offered.
    assert!(told.later(600).say(&[1_500]).is_err());
    assert_eq!(told.later(1).say(&[1_500]), Ok(1_500));
}

#[test]
fn small_steps_do_not_add_up_to_a_jump() {
    let mut told = Told::by(1, |_| ());
    let mut units = 1_000;
    while told.say(&[units]).is_ok() {
        units += 30;
        told.later(10);
    }
    assert_eq!(units, 1_120, "it came to 1,090 and no further");
    assert!(told.later(500).say(&[1_120]).is_err(), "the time has begun with 1,000");
    assert_eq!(told.later(100).say(&[1_120]), Ok(1_120), "the next began with 1,090");
}

#[test]
fn a_wild_quote_is_no_less_wild_after_a_restart() {
    let mut before = Told::by(1, |_| ());
    assert_eq!(before.say(&[1_000]), Ok(1_000));
    let last = before.book.last().unwrap();
    assert_eq!((last.rate, last.at_ms), (rate(1_000, 1_000), START_MS));
    let restart = |after_s| {
        let mut told = Told::by(1, |_| ());
        told.later(after_s);
        told.book.go_on_from(last, told.now_ms);
        told
    };
    let why = restart(600).say(&[1_101]).unwrap_err();
    assert!(why.contains("jumps by more than 100 permille: from 1000 for 1000"), "{why}");
    assert_eq!(restart(600).say(&[1_100]), Ok(1_100));
    assert_eq!(restart(601).say(&[5_000]), Ok(5_000), "it is too long ago to measure by");

    // A clock that was ahead then does not hold up the menu for longer than one that was right.
    let mut told = Told::by(1, |_| ());
    told.book.go_on_from(Made { at_ms: START_MS + 1_000_000_000, ..last }, told.now_ms);
    assert!(told.say(&[5_000]).is_err());
    assert_eq!(told.later(601).say(&[5_000]), Ok(5_000));
}

#[test]
fn a_fixed_rate_has_a_quote_that_makes_it() {
    let quote = fixed(rate(3, 7), START_MS, 5_000);
    assert_eq!((quote.rate(), quote.sources[0].source.as_str()), (Some(rate(3, 7)), "fixed"));
    assert_eq!(quote.expires_at.0, START_MS + 5_000);
}

proptest! {
    /// A rate is the price exactly: multiplied out again nothing is lost. Counted with the digits.
    #[test]
    fn no_rate_is_rounded_in_silence(
        digits in 1_u64..10_000_000, places in 0_u32..8, currency in 0_u8..19, default in 0_u8..19,
        is_inverted: bool,
    ) {
        let whole = u128::from(digits) / 10_u128.pow(places);
        let part = u128::from(digits) % 10_u128.pow(places);
        let width = places as usize;
        let text =
            if places == 0 { format!("{whole}") } else { format!("{whole}.{part:0width$}") };
        let units = Units { currency, default, is_inverted, places: None };
        if let Ok((numerator, denominator)) = ratio(&text, &units) {
            let ten = |power: u8| 10_u128.pow(power.into());
            let scale = 10_u128.pow(places);
            let (left, right) = match is_inverted {
                false => ([numerator, digits.into(), ten(default)], [denominator, ten(currency), scale]),
                true => ([numerator, ten(default), scale], [denominator, digits.into(), ten(currency)]),
            };
            prop_assert_eq!(factors(left), factors(right), "{}", text);
            prop_assert_eq!(Rate::reduced(numerator, denominator), rate(numerator, denominator));
        }
    }

    /// With places the rate is at most the exact one, and no further off than one step of the price.
    #[test]
    fn what_is_rounded_is_the_buyers(cents in 1_u64..100_000_000, places in 0_u8..4) {
        let text = format!("{}.{:04}", cents / 10_000, cents % 10_000);
        for is_inverted in [false, true] {
            let units = Units { currency: 6, default: 6, is_inverted, places: None };
            let exact = text.parse::<Price>().unwrap().rate(&units).unwrap();
            let rounded = Units { places: Some(places), ..units };
            if let Ok(rounded) = text.parse::<Price>().unwrap().rate(&rounded) {
                prop_assert!(rounded.compare(&exact).is_le() || rounded == exact);
            }
        }
    }

    /// Whatever is written, it is read without a panic.
    #[test]
    fn any_text_is_read(text in ".{0,60}", at in "(/[a-c0-2~/]{0,3}){0,3}") {
        let pointer: Pointer = at.parse().unwrap();
        let _ = (text.parse::<Price>(), pointer.price(&text), pointer.time_ms(&text));
        let json = serde_json::json!({ "a": [text], "b": { "c": text } }).to_string();
        let _ = (pointer.price(&json), pointer.time_ms(&json));
    }
}

/// A product as the powers of its small primes and what is left of each factor, so that it needs no
/// more than 128 bits: two products are the same number exactly when reduced they leave one.
fn factors(product: [u128; 3]) -> Vec<u128> {
    let mut primes = Vec::new();
    for mut factor in product {
        let mut prime = 2;
        while prime * prime <= factor {
            while factor.is_multiple_of(prime) {
                primes.push(prime);
                factor /= prime;
            }
            prime += 1;
        }
        if factor > 1 {
            primes.push(factor);
        }
    }
    primes.sort_unstable();
    primes
}
