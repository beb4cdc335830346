//! What a seller offers and to whom: prices of some orders, limits, and payments that count before
//! they are final.

use crate::place::*;
use serde_json::Value;
use std::fs::OpenOptions;
use std::io::Write as _;

/// A place whose seller's config says this too, from the end of the file on.
fn open(setting: Setting, more: impl Fn(&Place) -> String) -> Place {
    let mut place = Place::open(setting);
    let mut config = OpenOptions::new().append(true).open(place.path("seller.toml")).unwrap();
    write!(config, "\n{}", more(&place)).unwrap();
    place.sell();
    place
}

/// Buys, and tells what came of it.
fn bought(place: &Place, name: &str, quantity: &str) -> Value {
    let output = place.buy(name, "co2", quantity).output().unwrap();
    assert_done(&output);
    serde_json::from_slice(&output.stdout).unwrap()
}

fn menu(place: &Place, more: &[&str]) -> String {
    let (exit, text) = told(sdpp().args(["menu", &place.address]).args(more));
    assert_eq!(exit, 0, "{text}");
    text
}

/// Of a table as a person sees it: a row that has all of these.
fn has_row(text: &str, cells: &[&str]) -> bool {
    text.lines().any(|line| cells.iter().all(|cell| line.contains(cell)))
}

#[test]
fn who_buys_much_or_is_known_pays_its_price_and_the_books_agree() {
    let special = |place: &Place| {
        let house = place.key("house").public();
        format!(
            "[[topics.co2.prices]]\nfrom_quantity = 30\nprice = \"18\"\n\
             [[topics.co2.prices]]\nbuyer = \"Weather House\"\nprice = \"15\"\n\
             [[topics.co2.prices]]\ncurrency = \"SDP\"\nbuyer = \"Weather House\"\n\
             from_quantity = 40\nprice = \"16\"\n\
             [peers]\n\"Weather House\" = \"{house}\"\n"
        )
    };
    let mut place = open(Setting::default(), special);
    for (name, quantity, cost) in
        [("small", "20", 400), ("large", "30", 540), ("house", "20", 300), ("house", "40", 600)]
    {
        let items = place.items(name);
        if items.exists() {
            std::fs::remove_file(&items).unwrap();
        } else {
            place.buyer(name, 10_000);
        }
        let told = bought(&place, name, quantity);
        assert_eq!((amount(&told["owed"]), amount(&told["paid"])), (cost, cost), "{name} {told}");
        for statement in place.audit(name) {
            assert_eq!(statement["problems"], serde_json::json!([]), "{statement}");
        }
    }
    let strangers = menu(&place, &[]);
    assert!(has_row(&strangers, &["co2", "0.000018 SDP", "30 items or more"]), "{strangers}");
    assert!(strangers.contains("see them with --buyer KEY"), "{strangers}");
    assert!(!strangers.contains("ordered by"), "{strangers}");
    let key = place.key("house").public().to_string();
    let own = menu(&place, &["--buyer", &key]);
    assert!(has_row(&own, &["co2", "0.000015 SDP", &format!("ordered by {key}")]), "{own}");
    place.close();
    let sold = place.audit("seller");
    assert_eq!(sold.len(), 4);
    assert!(sold.iter().all(|s| s["problems"] == serde_json::json!([])), "{sold:?}");
    assert_eq!(place.balance("seller"), 1_840);
}

#[test]
fn a_menu_shows_at_a_glance_what_is_sold_how_it_is_paid_and_what_is_taken() {
    let more = |_: &Place| {
        "[[currencies.SDP.finality]]\nup_to = \"2000\"\nblocks = 1\n\
         [currencies.SDP.limits]\norder_min = \"100\"\norder_max = \"2000\"\n\
         [currencies.BIG]\nledger = \"local\"\ndecimals = 2\nmethods = [\"escrow\"]\n\
         rate = { numerator = \"1\", denominator = \"7\" }\n"
            .to_owned()
    };
    let place = open(Setting { methods: "[\"transfer\", \"escrow\"]", ..Setting::default() }, more);
    let text = menu(&place, &[]);
    for cells in [
        &["terms", "K = 10", "W = 2"][..],
        &["topic", "items", "one in BIG", "one in SDP"],
        &["co2", "2225", "ppm", "~0.02857142", "0.000020"],
        &["memory", "no end", "bytes"],
        &["currency", "counts when", "orders", "one SDP is"],
        &["SDP", "transfer", "blocks 1 up to 2000, final", "from 0.000100 to 0.002000", "1.000000"],
        &["SDP", "escrow", "final", "from 0.000100 to 0.002000"],
        &["BIG", "escrow", "final", "any", "~1428.57142857"],
        &["SDP", "sdpp:", "coin", "0x"],
    ] {
        assert!(has_row(&text, cells), "{cells:?} in\n{text}");
    }
    let menu: Value = serde_json::from_str(&menu(&place, &["--json"])).unwrap();
    let sdp = &menu["currencies_accepted"][1];
    assert_eq!(sdp["finality"], "blocks 1 up to 2000, final", "{menu}");
    assert_eq!(sdp["limits"]["order_max"], "2000", "{menu}");
    // Too small, too large, and as it may be.
    place.buyer("buyer", 10_000);
    for (quantity, says) in [
        ("4", "the order comes to 80 SDP, the smallest taken is 100"),
        ("101", "the order comes to 2020 SDP, the largest taken is 2000"),
    ] {
        let (exit, text) = told(&mut place.buy("buyer", "co2", quantity));
        assert!(exit != 0 && text.contains(says), "{exit} {text}");
    }
    assert_eq!(bought(&place, "buyer", "5")["paid"], "100");
}

/// How many invoices the seller had written before the first payment was final.
fn invoices_before_the_first_final_payment(place: &Place) -> usize {
    let mut list = sdpp();
    list.args(["journal", "list", "--json", "--journal"]).arg(place.journal("seller"));
    let output = list.output().unwrap();
    assert_done(&output);
    let entries = statements(&output.stdout);
    let before = entries.iter().take_while(|entry| entry["record"]["record"] != "met");
    before.filter(|entry| entry["record"]["record"] == "invoice").count()
}

/// A block each 50 ms, and final after 40: two seconds a window, where only what is final counts.
#[test]
fn small_payments_count_when_they_stand_in_a_block_and_books_wait_for_what_is_final() {
    let settings = || Setting {
        credit_windows: 1,
        batch: "session",
        anchor: "after",
        ledger: &["--block-time-ms", "50", "--depth", "40"],
        ..Setting::default()
    };
    let early = "[[currencies.SDP.finality]]\nup_to = \"800\"\nblocks = 1\n";
    for (finality, least, most) in [(early, 3, 5), ("", 1, 1)] {
        let mut place = open(settings(), |_| finality.to_owned());
        place.buyer("buyer", 10_000);
        let told = bought(&place, "buyer", "40");
        assert_eq!((amount(&told["owed"]), amount(&told["paid"])), (800, 800), "{told}");
        place.close();
        let invoiced = invoices_before_the_first_final_payment(&place);
        assert!((least..=most).contains(&invoiced), "{finality:?}: {invoiced}");
        for name in ["seller", "buyer"] {
            let statement = place.audit(name).remove(0);
            assert_eq!(
                (&statement["settled"], &statement["state"]),
                (&"800".into(), &"complete".into())
            );
            assert_eq!(statement["problems"], serde_json::json!([]), "{statement}");
        }
    }
}
