//! The shipped examples load, and everything that can be wrong in one is named by line and key.

#![allow(missing_docs, clippy::unwrap_used)]

#[cfg(feature = "rates-http")]
use sdpp::config::RateSourceAt;
use sdpp::config::{Config, ConfigError, Embedded, LedgerAt, templates};
use sdpp::keystore::KeyFrom;
use sdpp::source::Origin;
use sdpp::terms::Pace;
use sdpp_ledger::Amount;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Every ledger is built.
const ALL: bool = cfg!(feature = "ethereum") && cfg!(feature = "fabric") && cfg!(feature = "iota");

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config")
}

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("seller.toml"), &examples())
}

/// The seller's example with one change; `from` must be in it.
fn changed(from: &str, to: &str) -> String {
    assert!(templates::SELLER.contains(from), "the example has no {from:?}");
    templates::SELLER.replacen(from, to, 1)
}

/// The same words of a buyer's say when invoices are paid together that one transfer may pay.
#[test]
fn a_buyer_says_when_windows_are_paid_together() {
    let mut said = templates::BUYER.to_owned();
    for key in ["[settlement.SDP]", "fee_below_permille", "age_s", "exposure"] {
        assert!(said.contains(&format!("# {key}")), "{key}");
        said = said.replace(&format!("# {key}"), key);
    }
    let config = parse(&said).unwrap();
    assert_eq!(parse(&config.show()), Ok(config.clone()));
    let policy = config.settling_payments()["SDP"];
    assert_eq!((policy.fee_below_permille, policy.age_ms), (Some(10), Some(3_600_000)));
    assert_eq!(policy.exposure, Some(Amount::new(50_000)));
    assert!(config.settling().is_empty(), "it redeems nothing");
    assert!(parse(templates::BUYER).unwrap().settling_payments().is_empty());
    let methods = "methods = [\"transfer\", \"escrow\"]";
    assert!(said.contains(methods));
    let wrong = parse(&said.replacen(methods, "methods = [\"escrow\"]", 1)).unwrap_err();
    assert_eq!(wrong.key, "settlement.SDP", "{wrong}");
    assert!(wrong.what.contains("it is for transfers"), "{wrong}");
}

#[test]
fn every_example_loads_and_what_is_shown_means_the_same() {
    let mut count = 0;
    let folders = [examples(), examples().join("ledgers")];
    for file in folders.iter().flat_map(|dir| std::fs::read_dir(dir).unwrap()) {
        let path = file.unwrap().path();
        let is_of = |kind| path.to_str().unwrap().contains(kind);
        let is_built = [
            ("ethereum", cfg!(feature = "ethereum")),
            ("fabric", cfg!(feature = "fabric")),
            ("iota-", cfg!(feature = "iota")),
            ("market", ALL),
        ];
        if is_built.iter().any(|(kind, is_built)| is_of(kind) && !is_built) {
            continue;
        }
        if path.extension().is_some_and(|extension| extension == "toml") {
            let config = Config::load(&path).unwrap();
            let shown = config.show();
            let again = Config::parse(&shown, Path::new("shown.toml"), &examples());
            assert_eq!(again, Ok(config), "{shown}");
            count += 1;
        }
    }
    let of = |is_built, count| if is_built { count } else { 0 };
    let more = [
        of(cfg!(feature = "ethereum"), 2),
        of(cfg!(feature = "fabric"), 1),
        of(cfg!(feature = "iota"), 3),
        of(ALL, 2),
    ];
    assert_eq!(count, 2 + more.iter().sum::<i32>());
}

#[test]
fn what_is_written_differently_is_shown_too() {
    let text = changed(
        "address = \"127.0.0.1:9630\"",
        "dir = \"l\"\ngenesis = { \"0x00000000000000000000000000000000000000aa\" = 5 }\nkey = \"env:K\"",
    );
    let text = text.replace("[topics.co2]", "[topics.a]\nprice = 2\nsource = { kind = \"stdin\" }\n[topics.b]\nprice = 2\nsource = { kind = \"command\", command = [\"ls\", \"-l\"] }\n[topics.co2]");
    let config = parse(&text).unwrap();
    let LedgerAt::Embedded(Embedded::InProcess { dir, genesis }) = &config.ledgers["local"].at
    else {
        panic!("the ledger is in this process");
    };
    assert_eq!((dir, genesis.len()), (&examples().join("l"), 1));
    assert_eq!(config.ledgers["local"].key, Some(KeyFrom::Env("K".to_owned())));
    assert_eq!(parse(&config.show()), Ok(config));
}

#[test]
fn the_data_of_the_example_can_be_sold() {
    let config = Config::load(&examples().join("seller.toml")).unwrap();
    let origin = &config.topics["co2"].source;
    assert!(matches!(origin, Origin::File(_)));
    assert_eq!(origin.check(config.limits.item_bytes_max).unwrap(), Some(2225));
    let (name, data) = templates::DATA;
    assert_eq!(std::fs::read_to_string(examples().join(name)).unwrap(), data);
}

#[test]
fn what_is_left_out_has_the_default_that_the_example_states() {
    let (before, _) = templates::SELLER.split_once("[limits]").unwrap();
    let short = before
        .replace("granularity = 10\ncredit_windows = 1\nsignature_required = true\n", "")
        .replace("patience_ms = 30000\nmenu_ttl_s = 600\n", "")
        .replace("outage_s = 300\n", "")
        .replace("drain_s = 60\n", "")
        .replace("default_currency = \"SDP\"\n", "")
        .replace("batch = \"each\" ", "#")
        .replace("anchor = \"before\" ", "#");
    assert_eq!(parse(&short), parse(templates::SELLER));
}

#[test]
fn when_vouchers_are_redeemed_early_is_as_the_example_shows() {
    let said =
        changed("# redeem_above", "redeem_above").replace("# redeem_every_s", "redeem_every_s");
    let config = parse(&said).unwrap();
    assert_eq!(parse(&config.show()), Ok(config.clone()));
    let seller = config.seller.unwrap();
    assert_eq!(seller.redeem_above["SDP"], sdpp_ledger::Amount::new(50_000));
    assert_eq!(seller.redeem_every_s, Some(86_400));
    let silent = parse(templates::SELLER).unwrap().seller.unwrap();
    assert_eq!((silent.redeem_above.len(), silent.redeem_every_s), (0, None));
    let transfer = said.replace("[\"transfer\", \"escrow\"]", "[\"transfer\"]");
    assert!(parse(&transfer).unwrap_err().what.contains("it is for escrow"));
}

/// The example with all that it only hints at switched on.
fn with_market() -> String {
    let peer = "\n[peers]\n\"Weather House\" = \"0x031b84c5567b126440995d3ed5aaba0565d71e1834604819ff9c17f5e9d5dd078f\"\n";
    let text = changed("# finality = ", "finality = ").replace("# limits = ", "limits = ");
    let (before, after) = text.split_once("# [[topics.co2.prices]]").unwrap();
    let (prices, after) = after.split_once("\n\n").unwrap();
    let prices = prices.replace("\n# ", "\n");
    format!("{before}[[topics.co2.prices]]{prices}\n\n{after}{peer}")
}

#[test]
fn limits_finality_and_special_prices_are_as_the_example_shows() {
    let config = parse(&with_market()).unwrap();
    assert_eq!(parse(&config.show()), Ok(config.clone()), "{}", config.show());
    let amount = |units| Some(sdpp_ledger::Amount::new(units));
    let sdp = &config.currencies["SDP"];
    assert_eq!(sdp.finality.to_string(), "blocks 1 up to 1000000, blocks 12");
    let limits = &sdp.limits;
    assert_eq!((limits.order_min, limits.order_max), (amount(100), amount(1_000_000)));
    assert_eq!((limits.credit_to_one, limits.credit_to_all), (amount(5_000), amount(50_000)));
    let [large, house] = &config.topics["co2"].prices[..] else { panic!("two prices") };
    assert_eq!((large.from_quantity, amount(large.price.units())), (Some(1_000), amount(18)));
    assert_eq!((large.currency.as_ref(), large.buyer.as_ref()), (None, None));
    assert_eq!(house.buyer.as_deref(), Some("Weather House"));
    assert_eq!((house.currency.as_deref(), house.from_quantity), (Some("SDP"), None));
    let silent = parse(templates::SELLER).unwrap();
    assert_eq!(silent.currencies["SDP"].finality.to_string(), "final");
    assert!(silent.currencies["SDP"].limits.is_none() && silent.topics["co2"].prices.is_empty());
    let word = with_market().replace(
        "finality = [{ up_to = \"1000000\", blocks = 1 }, { blocks = 12 }]",
        "finality = \"final\"",
    );
    assert_eq!(parse(&word).unwrap().currencies["SDP"].finality.to_string(), "final");
}

#[test]
fn what_is_wrong_with_limits_finality_and_special_prices_is_named() {
    let steps = "[{ up_to = \"1000000\", blocks = 1 }, { blocks = 12 }]";
    let cases = [
        ("order_min = \"100\"", "order_min = \"0\"", "limits.order_min", "at least 1"),
        ("order_min = \"100\"", "order_min = \"1000001\"", "limits.order_min", "above order_max"),
        (
            "credit_to_one = \"5000\"",
            "credit_to_one = 50001",
            "credit_to_one",
            "above credit_to_all",
        ),
        (steps, "\"safe\"", "finality", "write \"final\", or steps"),
        (steps, "[]", "finality", "at least one step"),
        (steps, "[{ blocks = 0 }]", "finality", "at least 1 block"),
        (steps, "[{ blocks = 1 }, { blocks = 2 }]", "finality.0", "add up_to"),
        (steps, "[{ up_to = 5, blocks = 3 }, { blocks = 2 }]", "finality", "no fewer blocks"),
        (steps, "[{ up_to = 5, depth = 3 }]", "finality.0.depth", "unknown field `depth`"),
        (steps, "7", "finality", "or a list of steps"),
        ("price = \"18\"", "price = 0", "co2.prices.0.price", "at least 1"),
        ("from_quantity = 1000\nprice", "price", "co2.prices.0.price", "for which orders?"),
        ("from_quantity = 1000", "from_quantity = 0", "co2.prices.0.from_quantity", "at least 1"),
        ("from_quantity = 1000", "currency = \"BTC\"", "co2.prices.0.currency", "no \"BTC\""),
        ("buyer = \"Weather House\"", "buyer = \"Nobody\"", "co2.prices.1.buyer", "in [peers]"),
        (
            "from_quantity = 1000",
            "currency = \"SDP\"\nbuyer = \"Weather House\"",
            "co2.prices.1.price",
            "for the same orders",
        ),
        (
            "methods = [\"transfer\", \"escrow\"]",
            "methods = [\"escrow\"]",
            "currencies.SDP.finality",
            "for payments by transfer",
        ),
    ];
    for (from, to, key, says) in cases {
        let text = with_market();
        assert!(text.contains(from), "{from}");
        let error = parse(&text.replacen(from, to, 1)).unwrap_err();
        assert!(error.key.ends_with(key), "{to}: {error}");
        assert!(error.what.contains(says), "{to}: {error}");
        assert!(error.line.is_some(), "{to}: {error}");
    }
}

/// A window that is worth less than one smallest unit would cost nothing.
#[test]
fn a_special_price_is_checked_with_each_currency_that_it_holds_for() {
    let rated = with_market().replace("price = \"18\"", "price = \"1\"").replace(
        "[records]",
        "[currencies.BIG]\nledger = \"local\"\ndecimals = 0\nrate = { numerator = 1, denominator = 11 }\n[records]",
    );
    let rated = rated
        .replace("price = \"3\"", "price = \"30\"")
        .replace("price = \"1\"\nunits", "price = \"30\"\nunits");
    let error = parse(&rated).unwrap_err();
    assert_eq!(error.key, "topics.co2.prices.0.price");
    assert!(error.what.contains("less than the smallest unit of BIG"), "{error}");
    let only_sdp =
        rated.replace("from_quantity = 1000", "from_quantity = 1000\ncurrency = \"SDP\"");
    parse(&only_sdp).unwrap();
}

#[test]
fn how_trust_is_earned_and_when_it_is_settled_is_as_the_example_shows() {
    let mut said = changed("# [seller.trust]", "[seller.trust]");
    for key in ["granularity = 100", "credit_windows = 4", "earn_permille", "unconfirmed_most"] {
        said = said.replace(&format!("# {key}"), key);
    }
    for key in ["[settlement.SDP]", "fee_below_permille", "age_s", "exposure"] {
        said = said.replace(&format!("# {key}"), key);
    }
    let config = parse(&said).unwrap();
    assert_eq!(parse(&config.show()), Ok(config.clone()));
    let policy = config.seller.as_ref().unwrap().pace_policy();
    let pace = |granularity, credit_windows| Pace { granularity, credit_windows };
    assert_eq!((policy.floor, policy.most), (pace(10, 1), pace(100, 4)));
    assert_eq!((policy.earn_permille, policy.unconfirmed_most), (100, Some(Amount::new(5_000))));
    let settling = config.settling()["SDP"];
    assert_eq!((settling.fee_below_permille, settling.age_ms), (Some(10), Some(86_400_000)));
    assert_eq!(settling.exposure, Some(Amount::new(50_000)));
    let silent = parse(templates::SELLER).unwrap();
    assert!(
        silent.seller.as_ref().unwrap().pace_policy().is_fixed() && silent.settling().is_empty()
    );
    for (of, to, key, says) in [
        ("granularity = 100", "granularity = 9", "seller.trust.granularity", "everybody gets 10"),
        ("credit_windows = 4", "credit_windows = 0", "seller.trust.credit_windows", "gets 1"),
        ("credit_windows = 4", "credit_windows = 90000", "seller.trust.granularity", "1000000"),
        ("earn_permille = 100", "earn_permille = 1001", "seller.trust.earn_permille", "1 to 1000"),
        ("settlement.SDP", "settlement.SPD", "settlement.SPD", "name one of SDP"),
        (
            "fee_below_permille = 10",
            "fee_below_permille = 0",
            "settlement.SDP.fee_below_permille",
            "1 to",
        ),
        ("exposure = \"50000\"", "exposure = 0", "settlement.SDP.exposure", "at least 1"),
        ("# redeem_above", "redeem_above", "settlement.SDP.exposure", "remove one"),
        ("[\"transfer\", \"escrow\"]", "[\"transfer\"]", "settlement.SDP", "it is for escrow"),
    ] {
        assert!(said.contains(of), "{of}");
        let wrong = parse(&said.replacen(of, to, 1)).unwrap_err();
        assert_eq!(wrong.key, key, "{wrong}");
        assert!(wrong.what.contains(says), "{wrong}");
    }
}

#[test]
fn what_is_credited_without_a_person_is_as_the_example_shows() {
    let config = parse(&changed("# credit_up_to", "credit_up_to")).unwrap();
    assert_eq!(parse(&config.show()), Ok(config.clone()));
    let credits = |config: Config| config.seller.unwrap().credit_up_to;
    assert_eq!(credits(config)["SDP"], sdpp_ledger::Amount::new(30));
    assert!(credits(parse(templates::SELLER).unwrap()).is_empty());
}

#[test]
fn whatever_loads_can_be_shown() {
    for number in ["9223372036854775807", "9223372036854775808", "18446744073709551615"] {
        let text = changed("connections_max = 256", &format!("connections_max = {number}"));
        if let Ok(config) = parse(&text) {
            assert_eq!(parse(&config.show()), Ok(config), "{number}");
        }
    }
    let base = Path::new(std::ffi::OsStr::from_bytes(b"/\xff"));
    let refused = Config::parse(templates::SELLER, Path::new("seller.toml"), base).unwrap_err();
    assert!(refused.what.contains("not UTF-8"), "{refused}");
}

/// Each change of the seller's example, the line (as its text) and key that the error must name,
/// and a part of what it must say.
const WRONG: &[(&str, &str, &str, &str, &str)] = &[
    // Shape.
    (
        "granularity = 10",
        "granularty = 10",
        "granularty = 10",
        "seller.granularty",
        "did you mean `granularity`?",
    ),
    ("[journal]", "[jurnal]", "[jurnal]", "jurnal", "did you mean `journal`?"),
    (
        "sensor = \"cpu_load\"",
        "sensor = \"cpu_laod\"",
        "cpu_laod",
        "topics.cpu_load.source.sensor",
        "did you mean `cpu_load`?",
    ),
    ("kind = \"file\"", "kind = \"ftp\"", "\"ftp\"", "topics.co2.source.kind", "`stdin`"),
    ("kind = \"embedded\"", "kind = \"embeded\"", "\"embeded\"", "ledgers.local.kind", "embedded"),
    ("listen = \"127.0.0.1:9620\"\n", "", "[seller]", "seller", "missing field `listen`"),
    (
        "granularity = 10",
        "granularity = 10\ngranularity = 10",
        "granularity = 10\ngran",
        "",
        "duplicate",
    ),
    (
        "granularity = 10",
        "granularity = -1",
        "granularity = -1",
        "seller.granularity",
        "invalid value",
    ),
    (
        "drain_s = 60",
        "drain_s = 1000000",
        "drain_s = 1000000",
        "seller.drain_s",
        "write 0 to 172800",
    ),
    (
        "# health = \"127.0.0.1:9640\"",
        "health = \"0.0.0.0:9630\"",
        "health = \"0.0.0.0:9630\"",
        "admin.health",
        "can be reached by others",
    ),
    (
        "obligations_old_s = 86400",
        "obligations_old_s = 0",
        "obligations_old_s = 0",
        "admin.obligations_old_s",
        "write 1 to 2592000",
    ),
    (
        "outage_s = 300",
        "outage_s = 300\nredeem_above = { SPD = 5 }",
        "SPD = 5",
        "seller.redeem_above.SPD",
        "name one of SDP",
    ),
    (
        "outage_s = 300",
        "outage_s = 300\nredeem_above = { SDP = \"0\" }",
        "SDP = \"0\"",
        "seller.redeem_above.SDP",
        "at least 1",
    ),
    (
        "outage_s = 300",
        "outage_s = 300\ncredit_up_to = { SPD = 5 }",
        "SPD = 5",
        "seller.credit_up_to.SPD",
        "name one of SDP",
    ),
    (
        "outage_s = 300",
        "outage_s = 300\ncredit_up_to = { SDP = \"0\" }",
        "SDP = \"0\"",
        "seller.credit_up_to.SDP",
        "at least 1",
    ),
    (
        "outage_s = 300",
        "outage_s = 300\nredeem_every_s = 0",
        "redeem_every_s = 0",
        "seller.redeem_every_s",
        "write 1 to 2592000",
    ),
    // References.
    (
        "ledger = \"local\"\nasset",
        "ledger = \"locl\"\nasset",
        "ledger = \"locl\"",
        "currencies.SDP.ledger",
        "name one of local",
    ),
    (
        "ledger = \"local\"\nbatch",
        "ledger = \"x\"\nbatch",
        "ledger = \"x\"",
        "records.ledger",
        "add [ledgers.x]",
    ),
    (
        "default_currency = \"SDP\"",
        "default_currency = \"ETH\"",
        "default_currency",
        "seller.default_currency",
        "name one of SDP",
    ),
    // Numbers.
    ("granularity = 10", "granularity = 0", "granularity = 0", "seller.granularity", "at least 1"),
    (
        "credit_windows = 1",
        "credit_windows = 0",
        "credit_windows = 0",
        "seller.credit_windows",
        "at least 1",
    ),
    (
        "credit_windows = 1",
        "credit_windows = 200000",
        "granularity = 10",
        "seller.granularity",
        "1000000 items",
    ),
    (
        "menu_ttl_s = 600",
        "menu_ttl_s = 601",
        "menu_ttl_s = 601",
        "seller.menu_ttl_s",
        "write 1 to 600",
    ),
    (
        "patience_ms = 30000",
        "patience_ms = 0",
        "patience_ms = 0",
        "seller.patience_ms",
        "write 100 to",
    ),
    (
        "interval_ms = 1000",
        "interval_ms = 10",
        "cpu_load\", interval",
        "topics.cpu_load.source.interval_ms",
        "write 200 to",
    ),
    ("decimals = 6", "decimals = 39", "decimals = 39", "currencies.SDP.decimals", "38"),
    // Money.
    ("price = \"3\"", "price = 0", "price = 0", "topics.cpu_load.price", "at least 1"),
    ("price = \"3\"", "price = \"03\"", "price = \"03\"", "topics.cpu_load.price", "not an amount"),
    (
        "price = \"3\"",
        "price = \"340282366920938463463374607431768211456\"",
        "price = \"340282366920938463463374607431768211456\"",
        "topics.cpu_load.price",
        "too large for an amount: the most is 340282366920938463463374607431768211455",
    ),
    ("price = \"3\"", "price = -3", "price = -3", "topics.cpu_load.price", "cannot be negative"),
    ("price = \"3\"", "price = 0.5", "price = 0.5", "topics.cpu_load.price", "smallest units"),
    (
        "price = \"3\"",
        "price = \"340282366920938463463374607431768211455\"",
        "price = \"34",
        "topics.cpu_load.price",
        "more than any amount",
    ),
    (
        "decimals = 6",
        "decimals = 6\nrate = { numerator = 1, denominator = \"0\" }",
        "rate = ",
        "currencies.SDP.rate.denominator",
        "not zero",
    ),
    (
        "decimals = 6",
        "decimals = 6\nrate = { numerator = 1, denominator = 2 }",
        "rate = ",
        "currencies.SDP.rate",
        "one to one",
    ),
    (
        "decimals = 6",
        "decimals = 6\n[currencies.B]\nledger = \"local\"\ndecimals = 0\nrate = { numerator = 1, denominator = 11 }\n[currencies.SDP.x]",
        "[currencies.SDP.x]",
        "currencies.SDP.x",
        "unknown field",
    ),
    (
        "[records]",
        "[currencies.B]\nledger = \"local\"\ndecimals = 0\nrate = { numerator = 1, denominator = 11 }\n[records]",
        "price = \"1\"",
        "topics.memory.price",
        "smallest unit of B",
    ),
    (
        "# payee = \"0x...\"",
        "payee = \"0xAB\" #",
        "payee = ",
        "currencies.SDP.payee",
        "40 lower-case hex",
    ),
    (
        "methods = [\"transfer\", \"escrow\"]",
        "methods = []",
        "methods = []",
        "currencies.SDP.methods",
        "at least one",
    ),
    (
        "methods = [\"transfer\", \"escrow\"]",
        "methods = [\"escrow\", \"escrow\"]",
        "methods = ",
        "currencies.SDP.methods",
        "each once",
    ),
    // Things that do not go together.
    (
        "batch = \"each\"",
        "batch = \"session\"",
        "anchor = ",
        "records.anchor",
        "anchor = \"after\"",
    ),
    ("address = \"127.0.0.1:9630\"", "", "[ledgers.local]", "ledgers.local", "sdpp ledger serve"),
    (
        "address = \"127.0.0.1:9630\"",
        "address = \"127.0.0.1:9630\"\ndir = \"x\"",
        "address = ",
        "ledgers.local.address",
        "either here",
    ),
    (
        "address = \"127.0.0.1:9630\"",
        "address = \"127.0.0.1\"",
        "address = ",
        "ledgers.local.address",
        "host and a port",
    ),
    (
        "listen = \"127.0.0.1:9620\"",
        "listen = \"localhost\"",
        "listen = ",
        "seller.listen",
        "127.0.0.1:9620",
    ),
    (
        "format = \"csv\"",
        "interval_ms = 5",
        "mauna",
        "topics.co2.source.interval_ms",
        "change the kind",
    ),
    (
        "path = \"data/mauna-loa-co2.csv\", ",
        "",
        "kind = \"file\"",
        "topics.co2.source.path",
        "which file?",
    ),
    (
        "mauna-loa-co2.csv\", format = \"csv\"",
        "mauna-loa-co2\"",
        "kind = \"file\"",
        "topics.co2.source.format",
        "does not tell",
    ),
    (
        "sensor = \"cpu_load\", ",
        "",
        "kind = \"host\"",
        "topics.cpu_load.source.sensor",
        "which one?",
    ),
    ("[topics.co2]", "[topics.\"c o2\"]", "[topics.\"c o2\"]", "topics.c o2", "visible ASCII"),
    (
        "frame_bytes_max = 1048576",
        "frame_bytes_max = 65536",
        "frame_bytes_max = ",
        "limits.frame_bytes_max",
        "write at least 95596",
    ),
    (
        "unacknowledged_bytes_max = 262144",
        "unacknowledged_bytes_max = 9",
        "unacknowledged_bytes_max",
        "limits.unacknowledged_bytes_max",
        "write at least 95596",
    ),
    (
        "connections_max = 256",
        "connections_max = 0",
        "connections_max = ",
        "limits.connections_max",
        "write at least 1",
    ),
    (
        "orders_per_minute = 1200",
        "orders_per_minute = 0",
        "orders_per_minute = ",
        "limits.orders_per_minute",
        "write at least 1",
    ),
    (
        "sessions_per_buyer_max = 16",
        "sessions_per_buyer_max = 0",
        "sessions_per_buyer_max = ",
        "limits.sessions_per_buyer_max",
        "write at least 1",
    ),
    (
        "unacknowledged_bytes_all_max = 16777216",
        "unacknowledged_bytes_all_max = 262143",
        "unacknowledged_bytes_all_max = ",
        "limits.unacknowledged_bytes_all_max",
        "write at least 262144",
    ),
    ("idle_ms = 3600000", "idle_ms = 86400001", "idle_ms = ", "limits.idle_ms", "write 100 to"),
    (
        "journal_lag_ms = 10000",
        "journal_lag_ms = 99",
        "journal_lag_ms = ",
        "limits.journal_lag_ms",
        "write 100 to",
    ),
    ("debtors = \"credit\"", "debtors = \"prison\"", "debtors = ", "seller.debtors", "`refuse`"),
    (
        "# allow = [\"Weather House\"]",
        "allow = [\"Nobody\"]",
        "allow = [\"Nobody\"]",
        "seller.allow",
        "there is no \"Nobody\" in [peers]",
    ),
    (
        "# allow = [\"Weather House\"]",
        "allow = []",
        "allow = []",
        "seller.allow",
        "nobody could buy",
    ),
    (
        "# deny = [\"Weather House\"]",
        "deny = [\"Nobody\"]",
        "deny = [\"Nobody\"]",
        "seller.deny",
        "add it there, with its key",
    ),
    (
        "key = \"keystore:seller\"",
        "key = \"keystore:../x\"",
        "key = ",
        "identity.key",
        "a key's name",
    ),
];

#[test]
fn everything_wrong_is_named_by_file_line_and_key() {
    for (from, to, at, key, what) in WRONG {
        let text = changed(from, to);
        let error = parse(&text).expect_err(to);
        let mut offset = text.find(at).unwrap();
        if *what == "duplicate" {
            offset += "granularity = 10\n".len();
        }
        let line = 1 + text[..offset].matches('\n').count();
        assert_eq!((error.key.as_str(), error.line), (*key, Some(line)), "{to}: {error}");
        assert!(error.what.contains(what), "{to}: {error}");
        assert!(error.to_string().starts_with(&format!("seller.toml:{line}: ")), "{error}");
    }
}

/// A buyer keeps what brings an item of a dataset as it was signed, and takes nothing that is too long for that.
#[test]
fn items_of_a_committed_file_are_short_enough_to_be_held_against_their_seller() {
    let said = |item_bytes: usize, committed: &str| {
        let limits = "frame_bytes_max = 1048576\nitem_bytes_max = 65536\n";
        let larger = format!("frame_bytes_max = 4194304\nitem_bytes_max = {item_bytes}\n");
        let said =
            changed(limits, &larger).replacen("_bytes_max = 262144", "_bytes_max = 4194304", 1);
        parse(&said.replacen("format = \"csv\" }", &format!("format = \"csv\"{committed} }}"), 1))
    };
    assert!(said(780_272, ", committed = true").is_ok() && said(780_273, "").is_ok());
    let wrong = said(780_273, ", committed = true").unwrap_err();
    assert_eq!(wrong.key, "topics.co2.source.committed", "{wrong}");
    assert!(wrong.what.contains("at most 780272 bytes"), "{wrong}");
}

/// A seller's config with a second currency whose rate is this.
fn rated(rate: &str) -> String {
    let second = format!("[currencies.B]\nledger = \"local\"\ndecimals = 8\n{rate}\n[records]");
    changed("[records]", &second)
}

#[cfg(feature = "rates-http")]
const TOLD: &str = "rate.largest_jump_permille = 50
rate.sources = [
  { kind = \"http\", url = \"https://prices.example/v1/b-sdp\", pointer = \"/data/price\", at = \"/time\" },
  { kind = \"http\", url = \"env:PRICES\", pointer = \"\", name = \"exchange\", invert = true, places = 6 },
  { kind = \"file\", path = \"b.json\", max_age_s = 3600 },
]";

#[cfg(feature = "rates-http")]
#[test]
fn a_rate_is_told_by_sources_and_what_is_not_said_has_a_default() {
    let config = parse(&rated(TOLD)).unwrap();
    assert_eq!(parse(&config.show()), Ok(config.clone()), "{}", config.show());
    let told = config.currencies["B"].rate.told().unwrap();
    assert_eq!((told.least_sources, told.largest_spread_permille), (2, 20), "most of them");
    assert_eq!((told.largest_jump_permille, told.jump_within_s), (50, 600));
    assert_eq!((told.every_s, told.good_for_s, told.patience_ms), (10, 120, 5_000));
    let ages: Vec<u64> = told.sources.iter().map(|source| source.max_age_s).collect();
    assert_eq!(ages, [120, 120, 3_600]);
    let RateSourceAt::File { path, pointer, time } = &told.sources[2].at else {
        panic!("the third is a file");
    };
    assert_eq!((path, time.is_none()), (&examples().join("b.json"), true));
    assert_eq!(pointer.to_string(), "\"\"");
    assert_eq!((told.sources[1].invert, told.sources[1].places), (true, Some(6)));
    assert!(config.currencies["SDP"].rate.is_one_to_one());
}

#[cfg(feature = "rates-http")]
#[test]
fn a_told_rate_is_as_the_example_shows_which_states_the_defaults() {
    let (before, after) = templates::SELLER.split_once("# [currencies.EUR]\n").unwrap();
    let (euro, after) = after.split_once("# A price feed's contract").unwrap();
    let rates = |euro: &str| {
        let euro = format!("[currencies.EUR]\n{}", euro.replace("# ", ""));
        let config = parse(&format!("{before}{euro}# {after}")).unwrap();
        assert_eq!(parse(&config.show()), Ok(config.clone()), "{}", config.show());
        config.currencies["EUR"].rate.told().unwrap().clone()
    };
    let told = rates(&euro.replace("  # ", "  ## "));
    assert_eq!(told.sources.len(), 2);
    assert_eq!((told.sources[0].max_age_s, told.sources[1].max_age_s), (120, 3_600));
    let (head, tail) = euro.split_once("# every_s").unwrap();
    let sources = tail.split_once("# [[").unwrap().1;
    assert_eq!(rates(&format!("{head}# [[{sources}").replace("  # ", "  ## ")), told);
}

#[cfg(not(feature = "rates-http"))]
#[test]
fn a_build_without_http_says_so_of_a_rate_that_is_told_over_it() {
    let http = "rate.sources = [{ kind = \"http\", url = \"https://h/v1\", pointer = \"\" }]";
    let error = parse(&rated(http)).unwrap_err();
    assert_eq!(error.key, "currencies.B.rate.sources.0.kind");
    assert!(error.what.contains("--features rates-http") && error.line.is_some(), "{error}");
    let file = "rate.sources = [{ kind = \"file\", path = \"b.txt\" }]";
    assert!(parse(&rated(file)).is_ok(), "a file needs no HTTP");
}

#[cfg(feature = "rates-http")]
#[test]
fn everything_wrong_with_a_rate_is_named_by_line_and_key() {
    for (from, to, key, what) in [
        ("50", "50\nrate.numerator = 1", "numerator", "fixed"),
        ("50", "50\nrate.largest_spread = 1", "largest_spread", "unknown field"),
        ("50", "50\nrate.least_sources = 4", "least_sources", "write 1 to 3"),
        ("50", "50\nrate.least_sources = 0", "least_sources", "write 1 to 3"),
        ("50", "50\nrate.every_s = 0", "every_s", "out of bounds"),
        ("50", "50\nrate.good_for_s = 15", "good_for_s", "which are 15 s"),
        ("50", "50\nrate.patience_ms = 99999", "patience_ms", "out of bounds"),
        ("https://", "ftp://", "sources.0.url", "http://HOST"),
        ("b-sdp", "b-sdp?key=1", "sources.0.url", "no query"),
        ("\"/data/price\"", "\"data\"", "sources.0.pointer", "JSON pointer"),
        ("\"/time\"", "\"time\"", "sources.0.at", "JSON pointer"),
        ("pointer = \"\", ", "", "sources.1", "pointer = "),
        ("exchange", "an exchange", "sources.1.name", "visible ASCII"),
        ("places = 6", "places = 39", "sources.1.places", "write 0 to 38"),
        ("path = \"b.json\", ", "", "sources.2", "which file"),
        ("path = \"b.json\"", "path = \"b\", url = \"env:A\"", "sources.2.url", "no such key"),
        ("3600", "0", "sources.2.max_age_s", "out of bounds"),
        ("kind = \"file\", path = \"b.json\"", "kind = \"feed\"", "sources.2", "which contract"),
        (
            "kind = \"file\", path = \"b.json\"",
            "kind = \"feed\", ledger = \"local\", contract = \"0xe7f1725e7734ce288f8367e1bb143e90bb3f0512\"",
            "sources.2.ledger",
            "no contracts that tell prices",
        ),
    ] {
        assert!(TOLD.contains(from), "{from}");
        let error = parse(&rated(&TOLD.replacen(from, to, 1))).expect_err(to);
        assert_eq!(error.key, format!("currencies.B.rate.{key}"), "{to}: {error}");
        assert!(error.what.contains(what) && error.line.is_some(), "{to}: {error}");
    }
    for (rate, key, what) in [
        ("rate = { numerator = 1 }", "", "which rate?"),
        ("rate = { sources = [] }", ".sources", "who tells it? 1 to 8"),
        ("rate = { numerator = 1, denominator = 2, every_s = 5 }", ".every_s", "goes with sources"),
        (
            "rate = { numerator = \"9223372036854775808\", denominator = 1 }",
            ".numerator",
            "below 2^63",
        ),
    ] {
        let error = parse(&rated(rate)).expect_err(rate);
        assert_eq!(error.key, format!("currencies.B.rate{key}"), "{error}");
        assert!(error.what.contains(what), "{error}");
    }
    let default = changed("decimals = 6", &format!("decimals = 6\n{TOLD}"));
    assert!(parse(&default).unwrap_err().what.contains("one to one"));
}

#[test]
fn a_buyer_says_what_it_spends_in_a_currency_that_it_knows() {
    let wrong = [
        ("currency = \"SDP\"", "currency = \"ETH\"", "buyer.currencies.0.currency"),
        (
            "methods = [\"transfer\", \"escrow\"]",
            "methods = [\"transfer\"]",
            "buyer.currencies.0.deposit",
        ),
        ("max_total = \"100000\"", "max_total = \"0\"", "buyer.currencies.0.max_total"),
        (
            "max_total = \"100000\"",
            "max_total = \"100000\"\nmax_per_day = 0",
            "buyer.currencies.0.max_per_day",
        ),
        ("deposit = \"50000\"", "", "buyer.currencies.0.deposit"),
        (
            "[buyer.sellers]",
            "[[buyer.currencies]]\ncurrency = \"CASH\"\nmax_total = 1\ntop_up_below = \"10\"\n\
             [currencies.CASH]\nledger = \"local\"\ndecimals = 6\n[buyer.sellers]",
            "buyer.currencies.1.top_up_below",
        ),
        (
            "[buyer.sellers]",
            "[[buyer.currencies]]\ncurrency = \"CASH\"\nmax_total = 1\nkeep_channel = true\n\
             [currencies.CASH]\nledger = \"local\"\ndecimals = 6\n[buyer.sellers]",
            "buyer.currencies.1.keep_channel",
        ),
        ("reclaim_after_s = 600", "reclaim_after_s = 604801", "buyer.reclaim_after_s"),
        ("# fail_over_after_s = 120", "fail_over_after_s = 0", "buyer.fail_over_after_s"),
        ("# rate_slack_permille = 50", "rate_slack_permille = 1001", "buyer.rate_slack_permille"),
        (
            "[buyer.sellers]",
            "[[buyer.currencies]]\ncurrency = \"SDP\"\nmax_total = 1\ndeposit = 1\n[buyer.sellers]",
            "buyer.currencies.1.currency",
        ),
        (
            "# \"127.0.0.1:9620\" = \"0x02...\"",
            "\"127.0.0.1:9620\" = \"0x02\"",
            "buyer.sellers.127.0.0.1:9620",
        ),
        (
            "decimals = 6",
            "decimals = 6\nrate = { numerator = 1, denominator = 1 }",
            "currencies.SDP.rate",
        ),
        (
            "[buyer.sellers]",
            "[topics.x]\nprice = 1\nsource = { kind = \"stdin\" }\n[buyer.sellers]",
            "topics.x",
        ),
    ];
    for (from, to, key) in wrong {
        assert!(templates::BUYER.contains(from), "{from}");
        let text = templates::BUYER.replacen(from, to, 1);
        let error = parse(&text).expect_err(to);
        assert_eq!(error.key, key, "{error}");
        let line = text.lines().nth(error.line.unwrap() - 1).unwrap();
        let last = key.rsplit('.').next().unwrap();
        assert!(to.is_empty() || line.contains(last) || line.contains("127.0.0.1"), "{error}");
    }
}

#[test]
fn a_secret_in_the_file_is_refused_and_not_echoed() {
    let secret = "4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318";
    let number = "4917402938471203";
    let forms = [
        ("key = \"keystore:seller\"", format!("key = \"0x{secret}\"")),
        ("key = \"keystore:seller\"", format!("key = {number}")),
        ("key = \"keystore:seller\"", format!("key = [\"{secret}\"]")),
        ("key = \"keystore:seller\"", format!("key = {{ hex = \"{secret}\" }}")),
        ("password = \"env:SDPP_PASSWORD\"", format!("password = \"env:{secret}\"")),
        ("key = \"keystore:seller\"", format!("key = \"{secret}")),
        ("key = \"keystore:seller\"", format!("secret = \"{secret}\"")),
        ("password = \"env:SDPP_PASSWORD\"", format!("password = \"{secret}\"")),
        ("password = \"env:SDPP_PASSWORD\"", format!("password = {number}.5")),
        ("password = \"env:SDPP_PASSWORD\"", format!("password = {number}{number}")),
        ("password = \"env:SDPP_PASSWORD\"", format!("password = {secret}")),
        ("password = \"env:SDPP_PASSWORD\"", "password = 2026-11-20".to_owned()),
    ];
    for (from, to) in forms {
        let error = parse(&changed(from, &to)).expect_err(&to);
        for text in [error.to_string(), format!("{error:?}")] {
            assert!(!text.contains(secret) && !text.contains(number), "{text}");
            assert!(!text.contains("2026"), "{text}");
        }
        assert!(error.line.is_some(), "{error}");
    }
}

#[test]
fn a_key_may_be_named_for_one_ledger() {
    let text = changed(
        "address = \"127.0.0.1:9630\"",
        "address = \"127.0.0.1:9630\"\nkey = \"keystore:payments\"",
    );
    let config = parse(&text).unwrap();
    let Some(KeyFrom::Keystore { dir, name, password }) = &config.ledgers["local"].key else {
        panic!("it is in the keystore");
    };
    assert_eq!((dir, name.as_str()), (&examples().join("keys"), "payments"));
    assert_eq!(password.to_string(), "env:SDPP_PASSWORD");
    let own_password = changed("kind = \"embedded\"", "kind = \"embedded\"\npassword = \"prompt\"");
    assert_eq!(parse(&own_password).unwrap_err().key, "ledgers.local.password");
    let stray = changed("key = \"keystore:seller\"\nkeystore = \"keys\"", "key = \"env:KEY\"");
    assert_eq!(parse(&stray).unwrap_err().key, "identity.password");
    let own = text.replace("payments\"", "payments\"\nkeystore = \"k\"\npassword = \"file:p\"");
    let own = parse(&own).unwrap();
    let Some(KeyFrom::Keystore { dir, password, .. }) = &own.ledgers["local"].key else {
        panic!("it is in a keystore of its own");
    };
    assert_eq!(dir, &examples().join("k"));
    let path = examples().join("p");
    assert_eq!(password.to_string(), format!("file:{}", path.display()));
}

#[test]
fn a_file_that_cannot_be_read_or_is_too_large_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let missing = Config::load(&dir.path().join("none.toml")).unwrap_err().to_string();
    assert!(missing.contains("none.toml") && missing.contains("sdpp init"), "{missing}");
    let large = dir.path().join("large.toml");
    std::fs::write(&large, "#".repeat(300_000)).unwrap();
    assert!(Config::load(&large).unwrap_err().what.contains("larger than"));
}

#[test]
fn a_config_that_makes_nobody_is_refused() {
    let (before, _) = templates::SELLER.split_once("[seller]").unwrap();
    assert!(parse(before).unwrap_err().what.contains("add [seller] or [buyer]"));
    let (before, _) = templates::SELLER.split_once("[topics.cpu_load]").unwrap();
    assert_eq!(parse(before).unwrap_err().key, "seller");
}

#[test]
fn a_config_that_was_cut_anywhere_is_an_error_or_a_config() {
    for (end, _) in templates::SELLER.char_indices() {
        let _ = parse(&templates::SELLER[..end]);
    }
}

#[cfg(not(feature = "ethereum"))]
#[test]
fn a_program_without_chains_says_so() {
    let error = Config::load(&examples().join("seller-ethereum.toml")).unwrap_err();
    assert_eq!(error.key, "ledgers.chain.kind", "{error}");
    assert!(error.what.contains("built without Ethereum"), "{error}");
}

#[cfg(feature = "ethereum")]
mod on_a_chain {
    use super::*;
    use sdpp::config::{EndpointFrom, Ethereum};

    const ON_CHAIN: &str = include_str!("../config/seller-ethereum.toml");

    /// The example of a seller on a chain, with one change; `from` must be in it.
    fn chain_changed(from: &str, to: &str) -> String {
        assert!(ON_CHAIN.contains(from), "the example has no {from:?}");
        ON_CHAIN.replacen(from, to, 1)
    }

    fn chain(config: &Config) -> &Ethereum {
        match &config.ledgers["chain"].at {
            LedgerAt::Ethereum(chain) => chain,
            _ => panic!("it is a chain"),
        }
    }

    const TOKEN: &str = "0xe7f1725e7734ce288f8367e1bb143e90bb3f0512";
    const ESCROW: &str = "escrow = \"0x5fbdb2315678afecb367f032d93f642f64180aa3\"";
    const ENDPOINTS: &str = "endpoints = [\"http://127.0.0.1:8545\"]";
    const ZERO: &str = "0x0000000000000000000000000000000000000000";

    #[test]
    fn a_chain_has_the_defaults_that_the_example_states() {
        let short = ["depth = 12 ", "fee_ceiling = ", "poll_ms = ", "patience_ms = 10000 "];
        let short = short.iter().fold(ON_CHAIN.to_owned(), |text, line| {
            assert!(text.contains(line), "{line}");
            text.replacen(line, &format!("# {line}"), 1)
        });
        assert_eq!(parse(&short), parse(ON_CHAIN));
    }

    #[test]
    fn everything_wrong_with_a_chain_is_named_by_line_and_key() {
        let zero_token = format!("asset = \"{ZERO}\"");
        let zero_escrow = format!("escrow = \"{ZERO}\"");
        let token = format!("asset = \"{TOKEN}\"");
        let mixed = format!("asset = \"{}\"", TOKEN.replace('e', "E"));
        let many = format!("endpoints = [{}]", "\"http://h:1\", ".repeat(9));
        // Each change, the key that the error names, and a part of what it says.
        let wrong: &[(&str, &str, &str, &str)] = &[
            ("kind = \"ethereum\"", "kind = \"etherium\"", "ledgers.chain.kind", "did you mean"),
            ("chain_id = 31337", "", "ledgers.chain", "chain_id = 1 is Ethereum"),
            ("chain_id = 31337", "chain_id = 0", "ledgers.chain.chain_id", "write 1 to"),
            ("depth = 12 ", "depth = 0 ", "ledgers.chain.depth", "write 1 to"),
            ("poll_ms = 1000 ", "poll_ms = 1 ", "ledgers.chain.poll_ms", "write 10 to"),
            ("\"100000000000\"", "\"0\"", "ledgers.chain.fee_ceiling", "for nothing"),
            ("\"100000000000\"", "1.5", "ledgers.chain.fee_ceiling", "smallest units"),
            ("chain_id = 31337", "chain_id = 1\ndir = \"x\"", "ledgers.chain.dir", "no such key"),
            (
                "chain_id = 31337",
                "chain_id = 1\naddress = \"h:1\"",
                "ledgers.chain.address",
                "no such",
            ),
            (
                "chain_id = 31337",
                "chain_id = 1\ngenesis = {}",
                "ledgers.chain.genesis",
                "no such key",
            ),
            (ENDPOINTS, "", "ledgers.chain", "who answers"),
            (ENDPOINTS, "endpoints = []", "ledgers.chain", "who answers"),
            (ENDPOINTS, &many, "ledgers.chain.endpoints", "up to 8"),
            (ENDPOINTS, "endpoints = [\"ws://h:1\"]", "ledgers.chain.endpoints.0", "env:NAME"),
            (ENDPOINTS, "endpoints = [\"http://\"]", "ledgers.chain.endpoints.0", "env:NAME"),
            (ENDPOINTS, "endpoints = [\"env:2\"]", "ledgers.chain.endpoints.0", "env:NAME"),
            (ENDPOINTS, "endpoints = [\"http://h:1\", 7]", "ledgers.chain.endpoints.1", "env:NAME"),
            (&token, &mixed, "currencies.USDX.asset", "lower-case hex"),
            (&token, &zero_token, "currencies.USDX.asset", "write \"coin\""),
            (&token, "asset = \"usdx\"", "currencies.USDX.asset", "lower-case hex"),
            ("decimals = 18", "decimals = 6", "currencies.ETH.decimals", "decimals = 18"),
            (ESCROW, &zero_escrow, "ledgers.chain.escrow", "nobody's"),
            (ESCROW, "escrow = \"0xAB\"", "ledgers.chain.escrow", "lower-case hex"),
            (ESCROW, "", "currencies.ETH.methods", "sdpp ledger deploy chain"),
            (
                "# payee = \"0x...\"",
                "payee = \"0x0000000000000000000000000000000000000000\"",
                "currencies.USDX.payee",
                "nobody's",
            ),
        ];
        for (from, to, key, what) in wrong {
            let error = parse(&chain_changed(from, to)).expect_err(to);
            assert_eq!(error.key, *key, "{to}: {error}");
            assert!(error.what.contains(what) && error.line.is_some(), "{to}: {error}");
        }
        let transfers = chain_changed(ESCROW, "").replace("\"escrow\", ", "");
        let error = parse(&transfers).unwrap_err();
        assert_eq!(error.key, "records.ledger", "{error}");
        assert!(error.what.contains("keeping records needs the contract"), "{error}");
        let (before, after) = transfers.split_once("[records]").unwrap();
        let (_, after) = after.split_once("[seller]").unwrap();
        let meant = parse(&format!("{before}[seller]{after}")).unwrap();
        assert_eq!(chain(&meant).escrow, None, "transfers alone need no contract");
    }

    const BONDS: &str = "[seller.bonds.ETH]\nbuyer = \"400\"\nseller = \"301\"\nstake = \"20\"\nfee = \"10\"\n\
                         [topics.cpu_load]";

    #[test]
    fn bonds_are_offered_where_they_can_be_pledged_and_answered_for() {
        let whole = |ledger: &str, granularity: &str, bonds: &str| {
            let text = ON_CHAIN.replacen(ESCROW, &format!("{ESCROW}\n{ledger}"), 1);
            text.replacen("granularity = 10", granularity, 1).replacen(
                "[topics.cpu_load]",
                bonds,
                1,
            )
        };
        let holds = "bonds = \"0xe7f1725e7734ce288f8367e1bb143e90bb3f0512\"";
        let config = parse(&whole(holds, "granularity = 256", BONDS)).unwrap();
        assert_eq!(config.seller.as_ref().unwrap().bonds["ETH"].amounts.buyer, Amount::new(400));
        assert_eq!(parse(&config.show()), Ok(config.clone()));
        let joins = |at_most: &str| {
            let more = format!("fee = \"10\"\npledge_at_most = \"{at_most}\"");
            BONDS.replace("fee = \"10\"", &more)
        };
        let config = parse(&whole(holds, "granularity = 10", &joins("301"))).unwrap();
        let at_most = config.seller.as_ref().unwrap().bonds["ETH"].pledge_at_most;
        assert_eq!(at_most, Some(Amount::new(301)));
        assert_eq!(parse(&config.show()), Ok(config.clone()));
        let (joins_none, at) = (joins("300"), "seller.bonds.ETH.pledge_at_most");
        let on_usdx = BONDS.replace("bonds.ETH", "bonds.USDX");
        let dear = BONDS.replace("\"20\"", "\"302\"");
        for (ledger, granularity, bonds, key, says) in [
            ("", "granularity = 10", BONDS, "seller.bonds.ETH", "holds no bonds"),
            (holds, "granularity = 257", BONDS, "seller.granularity", "at most 256"),
            (holds, "granularity = 10", &on_usdx, "seller.bonds.USDX", "add \"escrow\""),
            (holds, "granularity = 10", &dear, "seller.bonds.ETH", "the stake is"),
            (holds, "granularity = 10", &joins_none, at, "our part of one bond is 301"),
        ] {
            let error = parse(&whole(ledger, granularity, bonds)).unwrap_err();
            assert_eq!(error.key, key, "{error}");
            assert!(error.what.contains(says), "{error}");
        }
    }

    #[test]
    fn a_buyer_wants_bonds_where_they_can_be_pledged_and_their_channel_is_kept() {
        const BUYER: &str = include_str!("../config/buyer-ethereum.toml");
        const DEPOSIT: &str = "deposit = \"2000000000000000\"";
        const WANTS: &str =
            "bond = { buyer = \"400\", seller = \"301\", stake = \"20\", fee = \"10\" }";
        let holds = "bonds = \"0xe7f1725e7734ce288f8367e1bb143e90bb3f0512\"";
        let whole = |ledger: &str, more: &str| {
            let text = BUYER.replacen(ESCROW, &format!("{ESCROW}\n{ledger}"), 1);
            assert!(text.contains(DEPOSIT));
            text.replacen(DEPOSIT, more, 1)
        };
        let kept = format!("deposit = \"5\"\nkeep_channel = true\n{WANTS}");
        let config = parse(&whole(holds, &kept)).unwrap();
        assert_eq!(
            config.buyer.as_ref().unwrap().currencies[0].bond.unwrap().seller,
            Amount::new(301)
        );
        assert_eq!(parse(&config.show()), Ok(config.clone()));
        let dear = kept.replace("\"20\"", "\"302\"");
        for (ledger, more, key, says) in [
            ("", kept.as_str(), "buyer.currencies.0.bond", "holds no bonds"),
            (
                holds,
                &kept.replace("keep_channel = true\n", ""),
                "buyer.currencies.0.bond",
                "keep_channel",
            ),
            (holds, &dear, "buyer.currencies.0.bond", "the stake is"),
        ] {
            let error = parse(&whole(ledger, more)).unwrap_err();
            assert_eq!(error.key, key, "{error}");
            assert!(error.what.contains(says), "{error}");
        }
    }

    #[test]
    fn an_embedded_ledger_has_no_key_of_a_chain() {
        let keys = [
            "chain_id = 1",
            "endpoints = []",
            "escrow = \"x\"",
            "depth = 1",
            "fee_ceiling = 1",
            "poll_ms = 50",
        ];
        for key in keys {
            let error =
                parse(&changed("kind = \"embedded\"", &format!("kind = \"embedded\"\n{key}")))
                    .unwrap_err();
            let name = key.split(' ').next().unwrap();
            assert_eq!(error.key, format!("ledgers.local.{name}"), "{error}");
        }
    }

    #[test]
    fn an_api_key_in_a_url_is_refused_and_not_echoed_and_may_stand_elsewhere() {
        let secret = "9aa3d95b3bc440fa88ea12eaa4456161";
        let urls = [
            format!("https://chain.example/v3/{secret}"),
            format!("https://chain.example?key={secret}"),
            format!("https://user:{secret}@chain.example"),
            format!("https://chain.example#{secret}"),
            format!("wss://chain.example/{secret}"),
            secret.to_owned(),
        ];
        for url in urls {
            let error =
                parse(&chain_changed(ENDPOINTS, &format!("endpoints = [\"{url}\"]"))).unwrap_err();
            for text in [error.to_string(), format!("{error:?}")] {
                assert!(!text.contains(secret), "{text}");
            }
            assert_eq!(error.key, "ledgers.chain.endpoints.0");
        }
        let elsewhere =
            "endpoints = [\"http://[::1]:1\", \"https://h/\", \"env:URL\", \"file:url\"]";
        let config = parse(&chain_changed(ENDPOINTS, elsewhere)).unwrap();
        let meant = [
            EndpointFrom::Url("http://[::1]:1".to_owned()),
            EndpointFrom::Url("https://h".to_owned()),
            EndpointFrom::Env("URL".to_owned()),
            EndpointFrom::File(examples().join("url")),
        ];
        assert_eq!(chain(&config).endpoints, meant);
        assert_eq!(parse(&config.show()), Ok(config));
    }

    /// Vouchers are redeemed by the payee alone, a transfer reaches anybody.
    #[test]
    fn a_cold_payee_is_paid_by_transfer_alone() {
        let own = "0x00000000000000000000000000000000000000aa".parse().unwrap();
        let cold: sdpp_ledger::Account =
            "0x00000000000000000000000000000000000000bb".parse().unwrap();
        let text = chain_changed("# payee = \"0x...\"", &format!("payee = \"{cold}\""));
        let config = parse(&text).unwrap();
        assert_eq!(config.currencies["USDX"].payee(&own), Ok(&cold));
        assert_eq!(config.currencies["ETH"].payee(&own), Ok(&own));
        let both = text.replace("methods = [\"transfer\"]", "methods = [\"transfer\", \"escrow\"]");
        let config = parse(&both).unwrap();
        assert_eq!(config.currencies["USDX"].payee(&cold), Ok(&cold));
        let refused = config.currencies["USDX"].payee(&own).unwrap_err();
        assert!(refused.contains("only the payee of a channel"), "{refused}");
    }
}

/// The buyer's and the seller's example with TLS.
#[cfg(feature = "tls")]
const BUYERS_TLS: &str = "[buyer.tls]\nroots = \"authorities.pem\"\nname = \"shop.example\"\n\
    certificate = \"purse.pem\"\nkey = \"file:purse.key\"\n\
    [buyer.tls_at.\"10.0.0.1:9620\"]\nroots = \"other.pem\"\n[buyer.sellers]";
const SELLERS_TLS: &str = "[seller.tls]\ncertificate = \"shop.pem\"\n\
    key = \"file:shop.key\"\nclient_roots = \"members.pem\"\n[topics.cpu_load]";

/// The example under TLS: its sessions go on over other connections all the same.
fn under_tls() -> String {
    changed("[topics.cpu_load]", SELLERS_TLS)
}

#[cfg(not(feature = "tls"))]
#[test]
fn a_program_without_tls_says_so() {
    let error = parse(&under_tls()).unwrap_err();
    assert_eq!(error.key, "seller.tls", "{error}");
    assert!(error.what.contains("built without TLS"), "{error}");
}

#[cfg(feature = "tls")]
#[test]
fn tls_is_spoken_with_the_files_that_are_named_and_what_is_shown_means_the_same() {
    let seller = parse(&under_tls()).unwrap();
    assert_eq!(seller.seller.as_ref().unwrap().resume_s, 30);
    let tls = seller.seller.as_ref().unwrap().tls.as_ref().unwrap();
    assert_eq!(tls.papers.certificate, examples().join("shop.pem"));
    assert_eq!(tls.client_roots, Some(examples().join("members.pem")));
    assert_eq!(parse(&seller.show()), Ok(seller));
    let buyer = parse(&templates::BUYER.replacen("[buyer.sellers]", BUYERS_TLS, 1)).unwrap();
    let of = buyer.buyer.as_ref().unwrap();
    assert_eq!(of.tls.as_ref().unwrap().name.as_deref(), Some("shop.example"));
    assert_eq!(of.tls_at["10.0.0.1:9620"].roots, Some(examples().join("other.pem")));
    assert_eq!(parse(&buyer.show()), Ok(buyer));
    assert!(parse(templates::SELLER).unwrap().seller.unwrap().tls.is_none());
}

#[cfg(feature = "tls")]
#[test]
fn everything_wrong_with_tls_is_named_by_line_and_key() {
    let secret = "-----BEGIN PRIVATE KEY-----";
    let literal = format!("key = \"{secret}\"");
    let buyer = templates::BUYER.replacen("[buyer.sellers]", BUYERS_TLS, 1);
    let seller = under_tls();
    let (file, at) = ("key = \"file:shop.key\"", "buyer.tls_at.");
    let buyers = "key = \"file:purse.key\"";
    let cases = [
        (&seller, "certificate = \"shop.pem\"\n", "", "seller.tls.key", "go together"),
        (&seller, file, "", "seller.tls.certificate", "go together"),
        (&seller, file, "roots = \"a.pem\"", "seller.tls.roots", "unknown field"),
        (&seller, file, literal.as_str(), "seller.tls.key", "where the secret is"),
        (&buyer, buyers, literal.as_str(), "buyer.tls.key", "where the secret is"),
        (&buyer, "name = \"shop.example\"", "name = \"a b\"", "buyer.tls.name", "host's name"),
        (&buyer, "t.\"10.0.0.1:9620\"", "t.\"tls://h:1\"", at, "without what stands before"),
        (&buyer, "t.\"10.0.0.1:9620\"", "t.\"h\"", at, "expected a host and a port"),
    ];
    for (text, from, to, key, what) in cases {
        assert!(text.contains(from), "{from:?}");
        let error = parse(&text.replacen(from, to, 1)).expect_err(to);
        assert!(error.key.starts_with(key) && error.line.is_some(), "{to}: {error}");
        assert!(error.what.contains(what) && !error.what.contains(secret), "{to}: {error}");
    }
    let neither = seller.replacen("certificate = \"shop.pem\"\n", "", 1).replacen(file, "", 1);
    assert!(parse(&neither).unwrap_err().what.contains("a seller shows a certificate"));
}

#[cfg(not(feature = "fabric"))]
#[test]
fn a_program_without_fabric_says_so() {
    let error = Config::load(&examples().join("ledgers/fabric.toml")).unwrap_err();
    assert_eq!(error.key, "ledgers.consortium.kind", "{error}");
    assert!(error.what.contains("built without Fabric"), "{error}");
}

#[cfg(feature = "fabric")]
mod on_fabric {
    use super::*;
    use sdpp::config::{EndpointFrom, Fabric, LoginFrom, SecretFrom};
    use sdpp_ledger::Amount;

    const ON_FABRIC: &str = include_str!("../config/ledgers/fabric.toml");
    const GATEWAY: &str = "gateway = \"http://127.0.0.1:3000\"";
    const OWE: &str = "owe_at_most = { \"Org1MSP/USD\" = \"100000000\" }";
    const FROM: &str = "ious_from = [\"Org2MSP\"]";

    /// The example with one change; `from` must be in it.
    fn changed(from: &str, to: &str) -> String {
        assert!(ON_FABRIC.contains(from), "the example has no {from:?}");
        ON_FABRIC.replacen(from, to, 1)
    }

    fn fabric(config: &Config) -> &Fabric {
        match &config.ledgers["consortium"].at {
            LedgerAt::Fabric(fabric) => fabric,
            _ => panic!("it is a channel of Fabric"),
        }
    }

    #[test]
    fn a_channel_has_the_defaults_that_the_example_states() {
        let short = [
            "patience_ms = 10000 ",
            "commit_patience_ms = ",
            "in_flight = ",
            "events = ",
            "poll_ms = ",
        ];
        let short = short.iter().fold(ON_FABRIC.to_owned(), |text, line| {
            assert!(text.contains(line), "{line}");
            text.replacen(line, &format!("# {line}"), 1)
        });
        assert_eq!(parse(&short), parse(ON_FABRIC));
    }

    #[test]
    fn a_gateway_signs_so_no_key_does() {
        let config = parse(ON_FABRIC).unwrap();
        assert_eq!(config.ledgers["consortium"].key, None);
        assert!(!config.show().split("[ledgers.").nth(1).unwrap().contains("key ="));
        for key in ["key = \"keystore:x\"", "keystore = \"keys\""] {
            let error = parse(&changed(GATEWAY, &format!("{GATEWAY}\n{key}"))).unwrap_err();
            let name = key.split(' ').next().unwrap();
            assert_eq!(error.key, format!("ledgers.consortium.{name}"), "{error}");
            assert!(error.what.contains("the gateway does"), "{error}");
        }
    }

    #[test]
    fn everything_wrong_with_a_channel_is_named_by_line_and_key() {
        let account = format!("Org1MSP:{}", "a".repeat(64));
        let twice = format!("ious_from = [\"{account}\", \"Org2MSP\", \"{account}\"]");
        let payee = |text: &str| format!("payee = \"{text}\"");
        let with = |line: &str| format!("{GATEWAY}\n{line}");
        let remote = "gateway = \"http://gateway.example:3000\"";
        // Each change, the key that the error names, and a part of what it says.
        let wrong: &[(&str, &str, &str, &str)] = &[
            (GATEWAY, "", "ledgers.consortium", "where is it?"),
            (GATEWAY, "gateway = \"ftp://h\"", "ledgers.consortium.gateway", "env:NAME"),
            (GATEWAY, "gateway = \"http://\"", "ledgers.consortium.gateway", "env:NAME"),
            (GATEWAY, "gateway = 5", "ledgers.consortium.gateway", "env:NAME"),
            ("channel = \"sdpp\"", "", "ledgers.consortium", "which channel?"),
            ("chaincode = \"sdpp\"", "", "ledgers.consortium", "which chaincode?"),
            ("signer = \"user1\"", "", "ledgers.consortium", "which signer?"),
            ("channel = \"sdpp\"", "channel = \"a b\"", "ledgers.consortium.channel", "letters"),
            ("\"user1\"", "\"\"", "ledgers.consortium.signer", "visible ASCII"),
            ("in_flight = 8", "in_flight = 0", "ledgers.consortium.in_flight", "write 1 to 256"),
            ("poll_ms = 1000", "poll_ms = 1", "ledgers.consortium.poll_ms", "write 10 to"),
            (
                "commit_patience_ms = 75000",
                "commit_patience_ms = 1",
                "ledgers.consortium.commit_patience_ms",
                "write 100 to",
            ),
            (GATEWAY, &with("depth = 1"), "ledgers.consortium.depth", "no such key"),
            (GATEWAY, &with("escrow = \"0x\""), "ledgers.consortium.escrow", "no such key"),
            (GATEWAY, &with("user = \"u\""), "ledgers.consortium.user", "go together"),
            (GATEWAY, &with("password = \"env:P\""), "ledgers.consortium.password", "go together"),
            (
                GATEWAY,
                &with("token = \"env:T\"\nuser = \"u\"\npassword = \"env:P\""),
                "ledgers.consortium.token",
                "remove one of them",
            ),
            (
                GATEWAY,
                &with("user = \"u:v\"\npassword = \"env:P\""),
                "ledgers.consortium.user",
                "colon",
            ),
            (
                GATEWAY,
                &format!("{remote}\ntoken = \"env:T\""),
                "ledgers.consortium.gateway",
                "write https://",
            ),
            (GATEWAY, &with("tls_ca = \"ca.pem\""), "ledgers.consortium.tls_ca", "https://"),
            (
                GATEWAY,
                "gateway = \"https://h\"\ntls_certificate = \"c\"",
                "ledgers.consortium.tls_certificate",
                "go together",
            ),
            (FROM, "ious_from = [\"Org 2\"]", "ledgers.consortium.ious_from.0", "an MSP id"),
            (FROM, &twice, "ledgers.consortium.ious_from.0", "in the list already"),
            (
                OWE,
                "owe_at_most = { \"Org1MSP/USD\" = 0 }",
                "ledgers.consortium.owe_at_most.Org1MSP/USD",
                "at least 1",
            ),
            (
                OWE,
                "owe_at_most = { \"U S D\" = 1 }",
                "ledgers.consortium.owe_at_most.U S D",
                "what IOUs are counted in",
            ),
            ("asset = \"Org1MSP/USD\"", "", "currencies.USD.asset", "has no coin"),
            (
                "asset = \"Org1MSP/USD\"",
                "asset = \"coin\"",
                "currencies.USD.asset",
                "asset = \"Org1MSP/USD\"",
            ),
            (
                "asset = \"iou:Org1MSP/USD\"",
                "asset = \"iou:\"",
                "currencies.USD-IOU.asset",
                "iou:Org1MSP/USD",
            ),
            (
                "methods = [\"transfer\"]                      # there",
                "methods = [\"transfer\", \"escrow\"] # there",
                "currencies.USD.methods",
                "no escrow on this ledger",
            ),
            (
                "# payee = \"Org1MSP:...\"",
                &payee("0x00000000000000000000000000000000000000aa"),
                "currencies.USD.payee",
                "an MSP id, a colon and 64",
            ),
            ("# payee = \"Org1MSP:...\"", &payee("Org1MSP:AB"), "currencies.USD.payee", "64"),
        ];
        for (from, to, key, what) in wrong {
            let error = parse(&changed(from, to)).expect_err(to);
            assert_eq!(error.key, *key, "{to}: {error}");
            assert!(error.what.contains(what) && error.line.is_some(), "{to}: {error}");
        }
        let config = parse(&changed("# payee = \"Org1MSP:...\"", &payee(&account))).unwrap();
        assert_eq!(config.currencies["USD"].payee, Some(account.parse().unwrap()));
    }

    /// Neither has a default: whose promises are worth something is for a person to say.
    #[test]
    fn a_seller_says_whose_promises_it_takes_and_a_buyer_how_much_it_may_promise() {
        for nothing in ["", "ious_from = []"] {
            let error = parse(&changed(FROM, nothing)).unwrap_err();
            assert_eq!(error.key, "ledgers.consortium.ious_from", "{error}");
            assert!(error.what.contains("write ious_from = [\"Org1MSP\"]"), "{error}");
        }
        for nothing in ["", "owe_at_most = {}", "owe_at_most = { EUR = \"5\" }"] {
            let error = parse(&changed(OWE, nothing)).unwrap_err();
            assert_eq!(error.key, "ledgers.consortium.owe_at_most", "{error}");
            assert!(error.what.contains("{ \"Org1MSP/USD\" = \"1000000\" }"), "{error}");
        }
        // Who only sells owes nothing, and who only buys takes no IOUs.
        let (seller, _) = ON_FABRIC.split_once("\n[buyer]\n").unwrap();
        let config = parse(&seller.replacen(OWE, "", 1)).unwrap();
        assert!(fabric(&config).owe_at_most.is_empty());
        let (before, _) = ON_FABRIC.split_once("\n[seller]\n").unwrap();
        let (_, buyer) = ON_FABRIC.split_once("\n[buyer]\n").unwrap();
        let config = parse(&format!("{before}\n[buyer]\n{buyer}").replacen(FROM, "", 1)).unwrap();
        assert!(fabric(&config).ious_from.is_empty());
        assert_eq!(fabric(&config).owe_at_most["Org1MSP/USD"], Amount::new(100_000_000));
        // Whoever pays in account money alone needs neither.
        let (before, after) = ON_FABRIC.split_once("[currencies.USD-IOU]").unwrap();
        let (_, after) = after.split_once("[records]").unwrap();
        let money = format!("{before}[records]{after}").replacen("\"USD-IOU\"", "\"USD\"", 1);
        let (money, _) = money.rsplit_once("[[buyer.currencies]]").unwrap();
        parse(&money.replacen(OWE, "", 1).replacen(FROM, "", 1)).unwrap();
    }

    #[test]
    fn a_secret_of_a_gateway_is_refused_and_not_echoed_and_stands_elsewhere() {
        let secret = "9aa3d95b3bc440fa88ea12eaa4456161";
        let user = "user = \"u\"\npassword";
        let forms = [
            format!("gateway = \"https://h?key={secret}\""),
            format!("gateway = \"https://user:{secret}@h\""),
            format!("gateway = \"https://h#{secret}\""),
            format!("{GATEWAY}\ntoken = \"{secret}\""),
            format!("{GATEWAY}\ntoken = [\"{secret}\"]"),
            format!("{GATEWAY}\n{user} = \"{secret}\""),
            format!("{GATEWAY}\ntls_certificate = \"c\"\ntls_key = \"{secret}\""),
        ];
        for form in forms {
            let error = parse(&changed(GATEWAY, &form)).expect_err(&form);
            for text in [error.to_string(), format!("{error:?}")] {
                assert!(!text.contains(secret), "{text}");
            }
            assert!(error.what.contains("has been in the open"), "{error}");
        }
        let elsewhere = "gateway = \"https://h/fab/connect/\"\nuser = \"u\"\n\
                         password = \"env:P\"\ntls_ca = \"ca.pem\"\n\
                         tls_certificate = \"c.pem\"\ntls_key = \"file:k.pem\"";
        let config = parse(&changed(GATEWAY, elsewhere)).unwrap();
        let meant = fabric(&config);
        assert_eq!(meant.gateway, EndpointFrom::Url("https://h/fab/connect".to_owned()));
        let password = SecretFrom::Env("P".to_owned());
        assert_eq!(meant.login, Some(LoginFrom::Basic { user: "u".to_owned(), password }));
        let tls_key = SecretFrom::File(examples().join("k.pem"));
        assert_eq!(meant.tls.as_ref().unwrap().tls_key, tls_key);
        assert_eq!(meant.files().len(), 3, "{:?}", meant.files());
        assert_eq!(parse(&config.show()), Ok(config.clone()));
        for place in ["env:URL", "file:url"] {
            let text = format!("gateway = \"{place}\"\ntoken = \"file:token\"");
            let config = parse(&changed(GATEWAY, &text)).unwrap();
            assert_eq!(parse(&config.show()), Ok(config));
        }
    }

    #[test]
    fn other_ledgers_have_no_key_of_a_gateway() {
        let keys = [
            GATEWAY,
            "channel = \"c\"",
            "chaincode = \"c\"",
            "signer = \"s\"",
            "token = \"env:T\"",
            "user = \"u\"",
            "tls_ca = \"p\"",
            "tls_certificate = \"p\"",
            "tls_key = \"env:K\"",
            "commit_patience_ms = 1000",
            "in_flight = 1",
            "events = true",
            "ious_from = []",
            "owe_at_most = {}",
        ];
        for key in keys {
            let to = format!("kind = \"embedded\"\n{key}");
            let error = parse(&super::changed("kind = \"embedded\"", &to)).unwrap_err();
            let name = key.split(' ').next().unwrap();
            assert_eq!(error.key, format!("ledgers.local.{name}"), "{error}");
        }
    }
}

#[test]
fn whom_a_seller_sells_to_is_by_the_names_of_its_peers() {
    let key = "0x031b84c5567b126440995d3ed5aaba0565d71e1834604819ff9c17f5e9d5dd078f";
    let with = |lists: &str| {
        let text = changed("# allow = [\"Weather House\"]", lists);
        parse(&format!("{text}\n[peers]\n\"Weather House\" = \"{key}\""))
    };
    let config = with("allow = [\"Weather House\"]").unwrap();
    let door = config.door();
    assert_eq!((door.allow.unwrap()[0].to_string(), door.deny.len()), (key.to_owned(), 0));
    assert_eq!(parse(&config.show()), Ok(config));
    let config = with("deny = [\"Weather House\"]").unwrap();
    assert_eq!((config.door().allow, config.door().deny[0].to_string()), (None, key.to_owned()));
    assert_eq!(parse(&config.show()), Ok(config));
    let both = with("allow = [\"Weather House\"]\ndeny = [\"Weather House\"]").unwrap_err();
    assert!(both.what.contains("stands in deny too"), "{both}");
}

#[test]
fn somebody_new_can_buy_in_some_way() {
    let text = changed("unknown_buyer = \"credit\"", "unknown_buyer = \"escrow\"");
    let config = parse(&text).unwrap();
    assert_eq!(config.door().unknown_buyer, sdpp::door::UnknownBuyer::Escrow);
    assert_eq!(parse(&config.show()), Ok(config));
    let methods = "methods = [\"transfer\", \"escrow\"]";
    let error = parse(&text.replacen(methods, "methods = [\"transfer\"]", 1)).unwrap_err();
    assert_eq!(error.key, "seller.unknown_buyer");
    assert!(error.what.contains("nobody new could buy here"), "{error}");
}

#[test]
fn the_other_sides_have_names_each_of_its_own() {
    let key = "0x031b84c5567b126440995d3ed5aaba0565d71e1834604819ff9c17f5e9d5dd078f";
    let named = |peers: &str| parse(&format!("{}\n[peers]\n{peers}", templates::SELLER));
    let config = named(&format!("\"Sensors Ltd\" = \"{key}\"")).unwrap();
    assert_eq!(config.peers["Sensors Ltd"].to_string(), key);
    assert_eq!(parse(&config.show()), Ok(config));
    for (peers, says) in [
        (format!("a = \"{key}\"\nb = \"{key}\""), "this key is \"a\" already"),
        ("a = \"0x03\"".to_owned(), "expected a secp256k1 public key"),
        (format!("\" a\" = \"{key}\""), "no space at either end"),
        (format!("\"a\\u001b\" = \"{key}\""), "of ASCII"),
        (format!("\"\" = \"{key}\""), "1 to 64 letters"),
    ] {
        let error = named(&peers).unwrap_err();
        assert!(error.key.starts_with("peers") && error.what.contains(says), "{error}");
    }
}

#[cfg(not(feature = "iota"))]
#[test]
fn a_program_without_iota_says_so() {
    let error = Config::load(&examples().join("ledgers/iota-mainnet.toml")).unwrap_err();
    assert_eq!(error.key, "ledgers.iota.kind", "{error}");
    assert!(error.what.contains("built without IOTA"), "{error}");
}

#[cfg(feature = "iota")]
mod on_iota {
    use super::*;
    use sdpp::config::{EndpointFrom, Iota, IotaScheme};

    const ON_IOTA: &str = include_str!("../config/ledgers/iota-mainnet.toml");
    const CHAIN: &str = "chain = \"6364aad5\"";
    const NODE: &str = "endpoint = \"https://api.mainnet.iota.cafe\"";

    /// The example with one change; `from` must be in it.
    fn changed(from: &str, to: &str) -> String {
        assert!(ON_IOTA.contains(from), "the example has no {from:?}");
        ON_IOTA.replacen(from, to, 1)
    }

    fn iota(config: &Config) -> &Iota {
        match &config.ledgers["iota"].at {
            LedgerAt::Iota(iota) => iota,
            _ => panic!("it is a network of IOTA"),
        }
    }

    #[test]
    fn a_network_has_the_defaults_that_the_example_states() {
        let lines =
            ["coins = ", "fee_ceiling = ", "poll_ms = ", "scheme = ", "patience_ms = 10000 "];
        let short = lines.iter().fold(ON_IOTA.to_owned(), |text, line| {
            assert!(text.contains(line), "{line}");
            text.replacen(line, &format!("# {line}"), 1)
        });
        assert_eq!(parse(&short), parse(ON_IOTA));
    }

    #[test]
    fn the_examples_name_the_public_networks_and_faucets_only_where_there_are_some() {
        for (file, chain, has_faucet) in
            [("mainnet", "6364aad5", false), ("testnet", "2304aa97", true)]
        {
            let config = Config::load(&examples().join(format!("ledgers/iota-{file}.toml")));
            let config = config.unwrap();
            assert_eq!(
                (iota(&config).chain.as_str(), iota(&config).faucet.is_some()),
                (chain, has_faucet)
            );
        }
    }

    #[test]
    fn everything_wrong_with_a_network_is_named_by_line_and_key() {
        let payee = |text: &str| format!("payee = \"{text}\"");
        let evm = payee(&format!("0x{}", "a".repeat(40)));
        let upper = payee(&format!("0x{}", "A".repeat(64)));
        let nobody = payee(&format!("0x{}", "0".repeat(64)));
        let payee = "# payee = \"0x...\"";
        let cases = [
            (CHAIN, "", "ledgers.iota", "which network?"),
            (CHAIN, "chain = \"mainnet\"", "ledgers.iota.chain", "8 lower-case hex"),
            (CHAIN, "chain = \"6364AAD5\"", "ledgers.iota.chain", "8 lower-case hex"),
            (NODE, "", "ledgers.iota", "where is a node"),
            (NODE, "endpoint = \"ftp://x\"", "ledgers.iota.endpoint", "expected"),
            (NODE, "endpoint = \"https://x/SECRET\"", "ledgers.iota.endpoint", "replace it"),
            (NODE, "endpoint = \"https://me:SECRET@x\"", "ledgers.iota.endpoint", "replace it"),
            (NODE, &format!("{NODE}\nfaucet = \"SECRET\""), "ledgers.iota.faucet", "expected"),
            (NODE, &format!("{NODE}\ndepth = 5"), "ledgers.iota.depth", "no such key"),
            (NODE, &format!("{NODE}\nescrow = \"x\""), "ledgers.iota.escrow", "no such key"),
            (NODE, &format!("{NODE}\nchain_id = 1"), "ledgers.iota.chain_id", "write chain ="),
            ("coins = 24", "coins = 0", "ledgers.iota.coins", "1 to 500"),
            ("coins = 24", "coins = 501", "ledgers.iota.coins", "1 to 500"),
            ("\"100000000\"", "\"4999999\"", "ledgers.iota.fee_ceiling", "out of bounds"),
            (
                "\"100000000\"",
                &format!("\"{}\"", u128::MAX),
                "ledgers.iota.fee_ceiling",
                "out of bounds",
            ),
            ("poll_ms = 500", "poll_ms = 1", "ledgers.iota.poll_ms", "out of bounds"),
            (
                "scheme = \"ed25519\"",
                "scheme = \"ed25518\"",
                "ledgers.iota.scheme",
                "did you mean `ed25519`",
            ),
            (
                "asset = \"coin\"",
                "asset = \"0x2::iota::IOTA\"",
                "currencies.IOTA.asset",
                "write \"coin\"",
            ),
            ("decimals = 9", "decimals = 6", "currencies.IOTA.decimals", "decimals = 9"),
            ("[\"transfer\"]", "[\"escrow\"]", "currencies.IOTA.methods", "no escrow"),
            (payee, &evm, "currencies.IOTA.payee", "64 lower-case hex"),
            (payee, &upper, "currencies.IOTA.payee", "64 lower-case hex"),
            (payee, &nobody, "currencies.IOTA.payee", "nobody's"),
        ];
        for (from, to, key, what) in cases {
            let error = parse(&changed(from, to)).unwrap_err();
            assert_eq!(error.key, key, "{error}");
            assert!(error.what.contains(what), "{error}");
            assert!(error.line.is_some() && !error.to_string().contains("SECRET"), "{error}");
        }
    }

    #[test]
    fn what_only_goes_with_iota_is_refused_elsewhere() {
        for key in ["chain", "endpoint", "faucet", "coins"] {
            let value = if key == "coins" { "5" } else { "\"x\"" };
            let line = "address = \"127.0.0.1:9630\"";
            let text = super::changed(line, &format!("{line}\n{key} = {value}"));
            let error = parse(&text).unwrap_err();
            assert_eq!(error.key, format!("ledgers.local.{key}"), "{error}");
        }
    }

    #[test]
    fn a_network_is_read_as_it_is_written() {
        let text = changed(NODE, "endpoint = \"env:NODE\"\nfaucet = \"file:faucet-url\"");
        let text = text.replacen("scheme = \"ed25519\"", "scheme = \"secp256k1\"", 1);
        let cold = format!("0x{}", "c0".repeat(32));
        let text = text.replacen("# payee = \"0x...\"", &format!("payee = \"{cold}\""), 1);
        let config = parse(&text).unwrap();
        assert_eq!(parse(&config.show()), Ok(config.clone()));
        let meant = iota(&config);
        assert_eq!(meant.scheme, IotaScheme::Secp256k1);
        assert_eq!(meant.endpoint, EndpointFrom::Env("NODE".to_owned()));
        assert_eq!(meant.files(), [("faucet", examples().join("faucet-url").as_path())]);
        let own = format!("0x{}", "0a".repeat(32)).parse().unwrap();
        assert_eq!(config.currencies["IOTA"].payee(&own).unwrap().as_str(), cold);
        let of_its_own = parse(&changed("# key = \"keystore:iota\"", "key = \"env:K\"")).unwrap();
        assert_eq!(of_its_own.ledgers["iota"].key, Some(KeyFrom::Env("K".to_owned())));
    }
}
