//! Files whose root stands on the menu, sold by the program.

use crate::place::*;
use crate::restarts::{kill_and_start_again, lines_come};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// What a file comes to, by the program.
fn root(file: &Path, format: &str) -> Value {
    let mut ask = sdpp();
    ask.args(["dataset", "root", "--json", "--format", format]).arg(file);
    let (exit, told) = told(&mut ask);
    assert_eq!(exit, 0, "{told}");
    serde_json::from_str(&told).unwrap()
}

#[test]
fn a_file_that_was_promised_is_bought_whole_and_has_the_root_that_stood_on_the_menu() {
    let mut place = Place::open(Setting { committed: true, ..Setting::default() });
    place.buyer("ann", 1_000_000);
    let sold = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/data/mauna-loa-co2.csv");
    let sold = root(&sold, "csv");
    let (exit, menu) = told(sdpp().arg("menu").arg(&place.address));
    assert!(exit == 0 && menu.contains(sold["root"].as_str().unwrap()), "{menu}");
    let other = format!("0x{}", "07".repeat(32));
    let (exit, told) = told(place.buy("ann", "co2", "all").args(["--dataset", &other]));
    assert!(exit != 0 && told.contains("is wanted, the seller names"), "{exit}: {told}");
    let wanted = ["--dataset", sold["root"].as_str().unwrap()];
    assert_done(&place.buy("ann", "co2", "all").args(wanted).output().unwrap());
    assert_eq!(root(&place.items("ann"), "lines"), sold, "bought as it was promised");
    place.close();
    for name in ["seller", "ann"] {
        let audited = place.audit(name);
        assert_eq!((audited.len(), &audited[0]["dataset"]), (1, &sold["root"]));
        assert_eq!((&audited[0]["state"], audited[0].get("strays")), (&json!("complete"), None));
    }
}

const TOPICS: &str = "[topics.readings]\nprice = \"2\"\nunits = \"\"\n\
                      source = { kind = \"file\", path = \"readings.txt\", committed = true }\n";

fn readings(count: usize, other: Option<usize>) -> String {
    let line = |n: usize| format!("reading {}\n", if other == Some(n) { 0 } else { n });
    (1..=count).map(line).collect()
}

/// All that can still be proven is sold and paid, and no item of what is not what was promised.
#[test]
fn a_file_that_changes_under_its_seller_is_sold_no_further() {
    let topics = TOPICS.to_owned();
    let mut place = Place::before_the_seller(Setting { topics, ..Setting::default() });
    let file = place.path("readings.txt");
    fs::write(&file, readings(600, None)).unwrap();
    place.sell();
    fs::write(&file, readings(600, Some(300))).unwrap();
    place.buyer("ann", 1_000_000);
    place.buyer("ben", 1_000_000);
    assert_done(&place.buy("ann", "readings", "600").output().unwrap());
    let bought = fs::read_to_string(place.items("ann")).unwrap();
    assert_eq!(bought, readings(256, None), "the second block cannot be proven any more");
    // Nobody is to order, and open a channel for, what is not to be had.
    let (exit, said) = told(&mut place.buy("ben", "readings", "600"));
    assert!(exit != 0 && said.contains("readings"), "{said}");
    let _ = fs::remove_file(place.items("ben"));
    let (exit, menu) = told(sdpp().arg("menu").arg(&place.address));
    assert!(exit == 0 && menu.contains("co2") && !menu.contains("readings"), "{menu}");
    assert_eq!(place.status()["changed"], json!(["readings"]));
    place.close();
    let audited = place.audit("seller");
    assert_eq!((&audited[0]["state"], amount(&audited[0]["settled"])), (&json!("complete"), 512));
    assert_eq!(place.audit("ann")[0].get("strays"), None, "nothing was signed that is not so");
    // Started anew it promises the file as it is.
    place.sell();
    assert_done(&place.buy("ben", "readings", "600").output().unwrap());
    assert_eq!(fs::read_to_string(place.items("ben")).unwrap(), readings(600, Some(300)));
}

/// Who comes back to pay or to hear the last words is let in, though nothing is left to order.
#[test]
fn a_seller_whose_only_file_has_changed_still_shows_its_menu() {
    let topics = TOPICS.to_owned();
    let mut place = Place::before_the_seller(Setting { topics, ..Setting::default() });
    let config = fs::read_to_string(place.path("seller.toml")).unwrap();
    let (first, its_own) = (config.find("[topics.").unwrap(), config.find(TOPICS).unwrap());
    fs::write(place.path("seller.toml"), config[..first].to_owned() + &config[its_own..]).unwrap();
    let file = place.path("readings.txt");
    fs::write(&file, readings(600, None)).unwrap();
    place.sell();
    fs::write(&file, readings(600, Some(300))).unwrap();
    place.buyer("ann", 1_000_000);
    assert_done(&place.buy("ann", "readings", "600").output().unwrap());
    let (exit, menu) = told(sdpp().arg("menu").arg(&place.address).arg("--json"));
    assert_eq!(exit, 0, "{menu}");
    let menu: Value = serde_json::from_str(&menu).unwrap();
    assert_eq!(menu["available_data"], json!({}));
}

/// The session goes on with what it was begun with, whatever is promised by now; and with nothing else.
#[test]
fn a_file_that_grew_is_sold_on_by_a_seller_started_anew_and_one_that_is_another_is_not() {
    let setting = Setting { topics: TOPICS.to_owned(), resume_s: 60, ..Setting::default() };
    let mut place = Place::before_the_seller(setting);
    let file = place.path("readings.txt");
    fs::write(&file, readings(600, None)).unwrap();
    place.sell();
    place.buyer("ann", 1_000_000);
    let mut buying = buy(place.dir.path(), "ann", &[&place.address, "readings", "600"]);
    let mut buying = buying.spawn().unwrap();
    lines_come(&place, &mut buying, 25);
    // Whoever has the old one open does not see it.
    let new = place.path("new.txt");
    let becomes = |text: String| {
        fs::write(&new, text).unwrap();
        fs::rename(&new, &file).unwrap();
    };
    becomes(readings(700, None));
    let config = fs::read_to_string(place.path("seller.toml")).unwrap();
    fs::write(place.path("seller.toml"), config.replace(", committed = true", "")).unwrap();
    kill_and_start_again(&mut place);
    lines_come(&place, &mut buying, 150);
    becomes(readings(700, Some(550)));
    kill_and_start_again(&mut place);
    let bought = buying.wait_with_output().unwrap();
    // Where nothing had to be said again it ends in good order.
    println!("{}: {}", bought.status, String::from_utf8_lossy(&bought.stderr));
    let whole = readings(600, None);
    let got = fs::read_to_string(place.items("ann")).unwrap();
    assert!(whole.starts_with(&got) && got.len() < whole.len(), "{got}");
    place.close();
    assert_eq!(place.audit("ann")[0].get("strays"), None);
    assert_eq!(place.audit("seller").len(), 1);
}

/// What cannot be promised is said before anything is sold; and any item that is sold has a root.
#[test]
fn an_empty_file_is_no_dataset_and_a_long_item_is_one() {
    let setting = Setting { topics: TOPICS.to_owned(), ..Setting::default() };
    let place = Place::before_the_seller(setting);
    let file = place.path("readings.txt");
    fs::write(&file, "\n").unwrap();
    let (exit, said) = told(sdpp().args(["config", "check"]).arg(place.path("seller.toml")));
    assert!(exit != 0 && said.contains("there is nothing to commit to"), "{exit}: {said}");
    fs::write(&file, format!("{}\n", "x".repeat(3 << 20))).unwrap();
    assert_eq!(root(&file, "lines")["items"], 1);
}

/// Nothing of a dataset is declared void, whatever its topic's source is by now.
#[test]
fn a_topic_that_is_a_dataset_no_more_loses_nothing_of_it() {
    let setting = Setting { topics: TOPICS.to_owned(), resume_s: 60, ..Setting::default() };
    let mut place = Place::before_the_seller(setting);
    fs::write(place.path("readings.txt"), readings(600, None)).unwrap();
    place.sell();
    place.buyer("ann", 1_000_000);
    let order = [place.address.as_str(), "readings", "600"];
    let mut buying = buy(place.dir.path(), "ann", &order).spawn().unwrap();
    lines_come(&place, &mut buying, 25);
    let config = fs::read_to_string(place.path("seller.toml")).unwrap();
    let live = "kind = \"host\", sensor = \"memory\", interval_ms = 10 }\n# ";
    let was = "kind = \"file\", path = \"readings.txt\"";
    assert!(config.contains(was), "{config}");
    fs::write(place.path("seller.toml"), config.replace(was, live)).unwrap();
    kill_and_start_again(&mut place);
    buying.wait().unwrap();
    let whole = readings(600, None);
    let got = fs::read_to_string(place.items("ann")).unwrap();
    assert!(whole.starts_with(&got) && got.len() < whole.len(), "{got}");
    place.close();
    for name in ["seller", "ann"] {
        let journal = place.path(&format!("{name}-journal"));
        let (exit, listed) =
            told(sdpp().args(["journal", "list", "entries", "--journal"]).arg(journal));
        assert!(exit == 0 && listed.contains("invoice"), "{listed}");
        assert!(!listed.contains("void") && !listed.contains("amend"), "{name}: {listed}");
    }
}
