//! Stories of rates that others tell: a currency is on the menu as long as there is evidence for its
//! rate, and off it, with a reason, as soon as there is not.

use crate::place::{Place, Setting, amount, assert_done, sdpp, told};
use crate::prices::{Prices, Way};
use sdpp::message::Moment;
use serde_json::{Value, json};
use std::fs;
use std::time::{Duration, Instant};

/// A second currency on the same ledger, whose price in the default one these sources tell.
fn currency(sources: &str) -> String {
    format!(
        "[currencies.EUR]\nledger = \"local\"\ndecimals = 6\n[currencies.EUR.rate]\nevery_s = 1\n\
         good_for_s = 30\nmax_age_s = 2\npatience_ms = 500\nleast_sources = 2\n\
         largest_spread_permille = 20\nlargest_jump_permille = 100\njump_within_s = 600\n\
         sources = [{sources}]\n"
    )
}

fn over_http(server: &Prices, name: &str) -> String {
    let url = server.url();
    format!("{{ kind = \"http\", url = \"{url}/v1\", pointer = \"/price\", name = \"{name}\" }},")
}

/// What the seller offers in the currency, where it does.
fn offered(address: &str) -> Option<Value> {
    let menu = until(|| menu(address));
    let mut accepted = menu["currencies_accepted"].as_array().unwrap().iter();
    accepted.find(|one| one["currency"] == "EUR").cloned()
}

/// The menu, unless we have asked too often.
fn menu(address: &str) -> Option<Value> {
    let (exit, text) = told(sdpp().args(["menu", address, "--json"]));
    if text.contains("menus are asked for faster") {
        return None;
    }
    assert_eq!(exit, 0, "{text}");
    Some(serde_json::from_str(&text).unwrap())
}

/// Looks again and again, so that nothing depends on when the sources are asked.
fn until<T>(look: impl Fn() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "it never came");
    }
}

/// Why the currency is off the menu; waits until a reason says this.
fn off_menu(place: &Place, part: &str) -> String {
    until(|| {
        let why = place.status()["left_out"][0]["why"].as_str().unwrap_or_default().to_owned();
        why.contains(part).then_some(why)
    })
}

fn on_menu(place: &Place, numerator: &str, denominator: &str) -> Value {
    let rate = json!({ "numerator": numerator, "denominator": denominator });
    until(|| offered(&place.address).filter(|offer| offer["rate"] == rate))
}

fn buyer_in_euro(place: &Place) {
    place.buyer("buyer", 1_000_000);
    let path = place.path("buyer.toml");
    let text = fs::read_to_string(&path).unwrap();
    let euro = "[currencies.EUR]\nledger = \"local\"\ndecimals = 6\n[records]";
    let spends = "[[buyer.currencies]]\ncurrency = \"EUR\"\nmax_total = \"1000000\"\n";
    fs::write(&path, format!("{}{spends}", text.replacen("[records]", euro, 1))).unwrap();
}

#[test]
fn a_currency_leaves_the_menu_when_its_rate_is_stale_or_wild_and_comes_back_by_itself() {
    let say = |price: &str| Way::Say(format!("{{\"price\": {price}}}"));
    let (one, two) = (Prices::start(say("0.5")), Prices::start(say("\"0.505\"")));
    let sources = format!("{}{}", over_http(&one, "one"), over_http(&two, "two"));
    let mut place = Place::open(Setting { topics: currency(&sources), ..Setting::default() });
    let offer = offered(&place.address).expect("it was asked for before the first connection");
    // Half a whole coin of ours for one of it, or a little more: the lower rate of the two.
    assert_eq!(offer["rate"], json!({ "numerator": "200", "denominator": "101" }));
    let quote = &offer["quote"];
    let names: Vec<&str> = quote["sources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["source"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["one", "two"]);
    let moment = |value: &Value| value.as_str().unwrap().parse::<Moment>().unwrap().0;
    assert_eq!(moment(&quote["expires_at"]) - moment(&quote["at"]), 30_000);
    let menu = until(|| menu(&place.address));
    let mut accepted = menu["currencies_accepted"].as_array().unwrap().iter();
    let euro = accepted.find(|one| one["currency"] == "EUR").unwrap();
    assert_eq!(menu["expires_at"], euro["quote"]["expires_at"], "it is good as long as that");

    // What was asked for in it is paid in it, at that rate.
    buyer_in_euro(&place);
    let mut buy = place.buy("buyer", "co2", "20");
    let output = buy.args(["--currency", "EUR"]).output().unwrap();
    assert_done(&output);
    let bought: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (amount(&bought["paid"]), &bought["end"]),
        (20 * 20 * 200 / 101, &json!("complete"))
    );

    one.turn(Way::Stall);
    let why = off_menu(&place, "1 of at least 2");
    assert!(why.contains("one: no answer within 500 ms, what it said is"), "{why}");
    assert_eq!(offered(&place.address), None);
    assert_eq!(place.status()["ready"], true, "it still sells in its own currency");
    let (_, text) = told(sdpp().args(["status", "--journal"]).arg(place.journal("seller")));
    assert!(text.contains("off menu  EUR by transfer: 1 of at least 2"), "{text}");
    one.turn(say("0.5"));
    on_menu(&place, "200", "101");

    one.turn(say("0.47"));
    let why = off_menu(&place, "differ by more than 20 permille");
    assert!(why.contains("two says 200 for 101, one says 100 for 47"), "{why}");
    two.turn(say("0.44"));
    one.turn(say("0.44"));
    let why = off_menu(&place, "jumps by more than 100 permille");
    assert!(why.contains("from 200 for 101 at ") && why.ends_with("to 25 for 11"), "{why}");
    one.turn(say("5e-1"));
    two.turn(say("0.5"));
    let why = off_menu(&place, "exponent");
    assert!(!why.contains("no answer"), "{why}");
    one.turn(say("0.5"));
    on_menu(&place, "2", "1");
    place.close();
}

#[test]
fn a_seller_that_restarts_in_the_moment_of_a_wild_quote_does_not_believe_it() {
    let say = |price: &str| Way::Say(format!("{{\"price\": {price}}}"));
    let (one, two) = (Prices::start(say("0.5")), Prices::start(say("0.5")));
    let sources = format!("{}{}", over_http(&one, "one"), over_http(&two, "two"));
    let mut place = Place::open(Setting { topics: currency(&sources), ..Setting::default() });
    on_menu(&place, "2", "1");
    place.close();
    one.turn(say("0.05"));
    two.turn(say("0.05"));
    place.sell();
    assert_eq!(offered(&place.address), None, "not even to the first who asks");
    let why = off_menu(&place, "jumps by more than 100 permille");
    assert!(why.contains("from 2 for 1 at ") && why.ends_with("to 20 for 1"), "{why}");
    one.turn(say("0.5"));
    two.turn(say("0.5"));
    on_menu(&place, "2", "1");
    place.close();
}

#[test]
fn a_file_is_a_source_and_what_each_source_answers_is_told_before_anything_is_sold() {
    let server = Prices::start(Way::Say("{\"price\": \"2.5\"}".to_owned()));
    let file = "{ kind = \"file\", path = \"eur.txt\", max_age_s = 86400 },";
    let sources = format!("{}{file}", over_http(&server, "one"));
    let place = Place::open(Setting { topics: currency(&sources), ..Setting::default() });
    let why = off_menu(&place, "1 of at least 2");
    assert!(why.contains("eur.txt: it cannot be read"), "{why}");
    let check = || {
        let mut check = sdpp();
        told(check.args(["config", "check", "--online"]).arg(place.path("seller.toml")))
    };
    let (exit, text) = check();
    assert_eq!(exit, 0, "{text}");
    for part in [
        "EUR  one says 2 for 5 of SDP, at 2",
        "EUR  eur.txt says nothing: it cannot be read",
        "EUR  is not offered now: 1 of at least 2",
    ] {
        assert!(text.contains(part), "{text}");
    }
    fs::write(place.path("eur.txt"), "2.5\n").unwrap();
    on_menu(&place, "2", "5");
    let (_, text) = check();
    assert!(text.contains("EUR  is offered at 2 for 5 units of SDP"), "{text}");
    // Whoever rewrites it is not done yet, and the last that was told is not old.
    fs::write(place.path("eur.txt"), "2").unwrap();
    let before = server.asked();
    until(|| (server.asked() >= before + 3).then_some(()));
    assert!(offered(&place.address).is_some());
    fs::write(place.path("eur.txt"), "2.5\n").unwrap();
    on_menu(&place, "2", "5");
}

#[test]
fn a_fixed_rate_says_that_it_is_fixed_and_the_default_currency_says_nothing() {
    let fixed = "[currencies.EUR]\nledger = \"local\"\ndecimals = 6\n\
                 rate = { numerator = 3, denominator = 7 }\n";
    let place = Place::open(Setting { topics: fixed.to_owned(), ..Setting::default() });
    let offer = offered(&place.address).unwrap();
    assert_eq!(offer["quote"]["sources"][0]["source"], "fixed");
    assert_eq!(offer["quote"]["sources"][0]["rate"], offer["rate"]);
    let (_, text) = told(sdpp().args(["menu", &place.address, "--json"]));
    let menu: Value = serde_json::from_str(&text).unwrap();
    let all = menu["currencies_accepted"].as_array().unwrap();
    let default = all.iter().find(|one| one["currency"] == "SDP").unwrap();
    assert_eq!(default.get("quote"), None, "{default}");
}

/// Code of a feed in its ninth round, as Chainlink's answer, with hundred-millionths.
#[cfg(feature = "ethereum")]
fn feed_code(answer: u128, at_s: u64) -> String {
    format!(
        "0x60003560e01c63313ce567141561001b57600860005260206000f35b6009600052\
         6f{answer:032x}60205267{at_s:016x}60405267{at_s:016x}606052600960805260a06000f3"
    )
}

#[cfg(feature = "ethereum")]
#[test]
fn a_contract_on_a_ledger_tells_the_rate_of_another_currency() {
    let Some(chain) = crate::chain::Chain::up() else { return };
    let feed = "0x00000000000000000000000000000000000feed0";
    let path = chain.path("seller.toml");
    let text = fs::read_to_string(&path).unwrap();
    let line = text.lines().find(|line| line.starts_with("rate = ")).unwrap();
    let rate = format!(
        "rate.sources = [{{ kind = \"feed\", ledger = \"anvil\", contract = \"{feed}\", \
         invert = true, max_age_s = 3600 }}]\nrate.every_s = 1\nrate.good_for_s = 60"
    );
    // The menu is asked for as fast as it comes.
    let limits = "\n[limits]\nmenus_per_minute = 1000000\nmenus_per_minute_per_address = 1000000\n";
    fs::write(&path, text.replacen(line, &rate, 1) + limits).unwrap();
    let tell = |answer, at_s| {
        chain.cast(&["rpc", "anvil_setCode", feed, &feed_code(answer, at_s)]);
    };
    let now_s = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let now_s = now_s.as_secs();
    tell(301_255_000_000, now_s - 3_700);
    let (_seller, address) = chain.sell();
    let offered = || crate::chain::Chain::offered(&address).unwrap();
    assert!(!offered().iter().any(|one| one.starts_with("USDX")), "the answer is an hour old");
    tell(301_255_000_000, now_s);
    until(|| offered().contains(&"USDX transfer".to_owned()).then_some(()));
    let (_, text) = told(sdpp().args(["menu", &address, "--json"]));
    let menu: Value = serde_json::from_str(&text).unwrap();
    let all = menu["currencies_accepted"].as_array().unwrap();
    let token = all.iter().find(|one| one["currency"] == "USDX").unwrap();
    // 3012.55 tokens of 10^6 for a coin of 10^18.
    assert_eq!(token["rate"], json!({ "numerator": "60251", "denominator": "20000000000000" }));
    let named = format!("eip155:31337/{feed}");
    assert_eq!(token["quote"]["sources"][0]["source"], named.as_str());
    let bought = chain.buy(&address, "buyer.toml", "USDX");
    let owed = 10 * crate::chain::PRICE * 60_251 / 20_000_000_000_000;
    assert_eq!((amount(&bought["paid"]), &bought["end"]), (owed, &json!("complete")), "{bought}");
}
