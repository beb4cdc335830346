//! Buying under TLS: who proves what to whom, what each refusal says, and that nothing else changes.

use crate::place::*;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use serde_json::Value;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Child;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Somebody who signs certificates, each in a file of its own.
struct Authority {
    dir: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new(name: &str) -> Authority {
        let dir = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        fs::write(dir.path().join("roots.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        Authority { dir, issuer: Issuer::new(params, key) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn roots(&self) -> String {
        self.path("roots.pem").display().to_string()
    }

    /// A certificate for these names, good from 2020 until a year begins.
    fn signs(&self, who: &str, names: &[&str], until: i32) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, who);
        (params.not_before, params.not_after) =
            (date_time_ymd(2020, 1, 1), date_time_ymd(until, 1, 1));
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        fs::write(self.path(&format!("{who}.pem")), certificate.pem()).unwrap();
        let file = self.path(&format!("{who}.key"));
        fs::write(&file, key.serialize_pem()).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// The keys of a config that name them.
    fn papers(&self, who: &str) -> String {
        let file = |end| self.path(&format!("{who}.{end}")).display().to_string();
        format!("certificate = \"{}\"\nkey = \"file:{}\"\n", file("pem"), file("key"))
    }
}

/// A seller under TLS, with more in its `[limits]` and `[seller.tls]`.
fn seller(authority: &Authority, limits: &str, tls: &str) -> Place {
    let papers = authority.papers("seller");
    let topics = format!("{limits}\n[seller.tls]\n{papers}{tls}\n");
    Place::open(Setting { granularity: 5, topics, ..Setting::default() })
}

/// A buyer with money and a `[buyer.tls]`.
fn buyer(place: &Place, name: &str, tls: &str) {
    place.buyer(name, 10_000);
    let file = place.path(&format!("{name}.toml"));
    let config = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{config}[buyer.tls]\n{tls}\n")).unwrap();
}

fn under_tls(place: &Place) -> String {
    format!("tls://{}", place.address)
}

/// Buys 23 items; the exit code and what was said.
fn buys(place: &Place, name: &str, address: &str) -> (i32, String) {
    told(&mut buy(place.dir.path(), name, &[address, "co2", "23"]))
}

/// Asks for the menu; the exit code and what was said.
fn asks(address: &str, more: &[&str]) -> (i32, String) {
    told(sdpp().args(["menu", address]).args(more))
}

#[test]
fn what_is_bought_under_tls_is_paid_and_audited() {
    let authority = Authority::new("ours");
    authority.signs("seller", &["127.0.0.1", "seller.example"], 4000);
    let mut place = seller(&authority, "", "");
    let (address, roots) = (under_tls(&place), authority.roots());
    let (exit, said) = asks(&address, &["--tls-roots", &roots]);
    assert!(exit == 0 && said.contains("co2"), "{said}");
    for tls in ["", "name = \"seller.example\"\n"] {
        let name = if tls.is_empty() { "by-address" } else { "by-name" };
        buyer(&place, name, &format!("roots = \"{roots}\"\n{tls}"));
        let mut dry = sdpp();
        dry.args(["buy", &address, "co2", "23", "--dry-run", "--trust-on-first-use", "--config"]);
        let (exit, said) = told(dry.arg(place.path(&format!("{name}.toml"))));
        assert!(exit == 0 && said.contains("0.000460"), "{said}");
        let (exit, said) = buys(&place, name, &address);
        assert_eq!(exit, 0, "{said}");
        let got = fs::read_to_string(place.items(name)).unwrap();
        assert_eq!(got.lines().collect::<Vec<_>>(), co2_items(23));
        let bought = place.audit(name).remove(0);
        assert_eq!((&bought["state"], &bought["settled"]), (&"complete".into(), &"460".into()));
    }
    place.close();
    assert!(place.audit("seller").iter().all(|one| one["state"] == "complete"));
    assert_eq!(place.balance("seller"), 920);
}

/// A seller that keeps sessions for a while and lets in only who shows a certificate, and Ann, who has
/// one.
fn a_seller_that_keeps_sessions() -> (Authority, Place) {
    let authority = Authority::new("ours");
    authority.signs("seller", &["127.0.0.1"], 4000);
    authority.signs("ann", &["ann.example"], 4000);
    let (papers, roots) = (authority.papers("seller"), authority.roots());
    let topics = format!("\n[seller.tls]\n{papers}client_roots = \"{roots}\"\n");
    let place = Place::open(Setting { resume_s: 60, topics, ..Setting::default() });
    buyer(&place, "ann", &format!("roots = \"{roots}\"\n{}", authority.papers("ann")));
    (authority, place)
}

#[test]
fn a_wire_that_breaks_a_dozen_times_costs_nothing_under_tls() {
    let (_authority, place) = a_seller_that_keeps_sessions();
    crate::lines::ann_buys_over_a_wire_that_breaks(place, "tls://");
}

#[test]
fn a_seller_that_is_killed_in_mid_stream_goes_on_under_tls() {
    let (_authority, place) = a_seller_that_keeps_sessions();
    crate::restarts::ann_buys_of_a_seller_that_is_killed(place, "tls://");
}

#[test]
fn one_seller_may_be_believed_by_other_authorities_than_all_others() {
    let (ours, others) = (Authority::new("ours"), Authority::new("others"));
    ours.signs("seller", &["127.0.0.1"], 4000);
    let place = seller(&ours, "", "");
    let (wrong, right) = (others.roots(), ours.roots());
    let at = format!("[buyer.tls_at.\"{}\"]\nroots = \"{right}\"\n", place.address);
    buyer(&place, "buyer", &format!("roots = \"{wrong}\"\n{at}"));
    let (exit, said) = buys(&place, "buyer", &under_tls(&place));
    assert_eq!(exit, 0, "{said}");
}

#[test]
fn a_certificate_that_proves_nothing_is_named_and_nothing_is_bought() {
    let (ours, others) = (Authority::new("ours"), Authority::new("others"));
    let roots = format!("roots = \"{}\"\n", ours.roots());
    let cases = [
        (&["seller.example"][..], 4000, roots.clone(), "its certificate is not for 127.0.0.1"),
        (&["127.0.0.1"], 2021, roots.clone(), "its certificate has expired"),
        (&["127.0.0.1"], 4000, format!("{roots}name = \"a.example\"\n"), "is not for a.example"),
        (&["127.0.0.1"], 4000, format!("roots = \"{}\"", others.roots()), "nobody whom we believe"),
        (&["127.0.0.1"], 4000, String::new(), "nobody whom we believe"),
    ];
    for (names, until, tls, says) in cases {
        ours.signs("seller", names, until);
        let place = seller(&ours, "", "");
        buyer(&place, "buyer", &tls);
        let (exit, said) = buys(&place, "buyer", &under_tls(&place));
        assert_eq!(exit, 4, "{said}");
        assert!(said.contains(says) && said.contains("buyer.tls"), "{said}");
        assert_eq!(place.balance("buyer"), 10_000);
        let (exit, said) = asks(&under_tls(&place), &["--tls-roots", &others.roots()]);
        assert!(exit == 4 && said.contains("does not prove who it is"), "{said}");
        assert!(place.audit("seller").is_empty());
    }
}

#[test]
fn a_seller_that_asks_for_certificates_lets_only_those_in() {
    let (ours, others) = (Authority::new("ours"), Authority::new("others"));
    ours.signs("seller", &["127.0.0.1"], 4000);
    ours.signs("member", &["member.example"], 4000);
    ours.signs("former", &["former.example"], 2021);
    others.signs("stranger", &["stranger.example"], 4000);
    let place = seller(&ours, "", &format!("client_roots = \"{}\"", ours.roots()));
    let roots = format!("roots = \"{}\"\n", ours.roots());
    let cases = [
        ("nobody", String::new(), "lets in only who shows a certificate"),
        ("stranger", others.papers("stranger"), "does not believe who has signed our certificate"),
        ("former", ours.papers("former"), "our certificate has expired"),
    ];
    for (name, papers, says) in cases {
        buyer(&place, name, &format!("{roots}{papers}"));
        let (exit, said) = buys(&place, name, &under_tls(&place));
        assert_eq!(exit, 2, "{said}");
        assert!(said.contains("does not let us in") && said.contains(says), "{said}");
    }
    buyer(&place, "member", &format!("{roots}{}", ours.papers("member")));
    let (exit, said) = buys(&place, "member", &under_tls(&place));
    assert_eq!(exit, 0, "{said}");
    let config = place.path("member.toml");
    let (exit, said) = asks(&under_tls(&place), &["--config", config.to_str().unwrap()]);
    assert!(exit == 0 && said.contains("co2"), "{said}");
    assert_eq!(place.audit("seller").len(), 1);
}

#[test]
fn who_speaks_in_the_clear_to_a_seller_under_tls_is_told_so() {
    let authority = Authority::new("ours");
    authority.signs("seller", &["127.0.0.1"], 4000);
    let place = seller(&authority, "first_message_ms = 300", "");
    buyer(&place, "buyer", "");
    let (exit, said) = buys(&place, "buyer", &place.address);
    assert_eq!(exit, 1, "{said}");
    assert!(said.contains("speaks TLS alone: dial tls://"), "{said}");
    let (exit, said) = asks(&place.address, &[]);
    assert!(exit == 4 && said.contains("speaks TLS alone: dial tls://"), "{said}");
    // And at once where it speaks first.
    let mut eager = TcpStream::connect(&place.address).unwrap();
    eager.write_all(b"{").unwrap();
    let mut heard = String::new();
    eager.read_to_string(&mut heard).unwrap();
    assert!(heard.contains("speaks TLS alone"), "{heard}");
    assert_eq!(place.balance("buyer"), 10_000);
}

#[test]
fn who_speaks_tls_to_a_seller_in_the_clear_is_told_so() {
    let place =
        Place::open(Setting { topics: "connections_max = 1\n".to_owned(), ..Setting::default() });
    buyer(&place, "buyer", "");
    let (exit, said) = buys(&place, "buyer", &under_tls(&place));
    assert_eq!(exit, 1, "{said}");
    let dial = format!(
        "answers in the clear, without TLS: where that is the seller that you mean, dial {}",
        place.address
    );
    assert!(said.contains(&dial), "{said}");
    let (exit, said) = asks(&under_tls(&place), &[]);
    assert!(exit == 1 && said.contains("answers in the clear"), "{said}");
}

#[test]
fn a_seller_that_is_full_says_so_without_a_handshake() {
    let authority = Authority::new("ours");
    authority.signs("seller", &["127.0.0.1"], 4000);
    let place = seller(&authority, "connections_max = 1", "");
    // It is counted when the seller's answer to the next one says so.
    let _first = TcpStream::connect(&place.address).unwrap();
    let (exit, said) = asks(&under_tls(&place), &["--tls-roots", &authority.roots()]);
    assert_eq!(exit, 1, "{said}");
    assert!(said.contains("answers in the clear: busy: 1 connections are open"), "{said}");
}

#[test]
fn a_pinned_key_is_checked_under_tls_too() {
    let authority = Authority::new("ours");
    authority.signs("seller", &["127.0.0.1"], 4000);
    let place = seller(&authority, "", "");
    buyer(&place, "buyer", &format!("roots = \"{}\"\n", authority.roots()));
    let pinned = |key: String| {
        let mut command = buy(place.dir.path(), "buyer", &[&under_tls(&place), "co2", "23"]);
        told(command.args(["--seller", &key]))
    };
    let (exit, said) = pinned(place.key("somebody else").public().to_string());
    assert_eq!(exit, 4, "{said}");
    assert_eq!(place.balance("buyer"), 10_000);
    let (exit, said) = pinned(place.key("seller").public().to_string());
    assert_eq!(exit, 0, "{said}");
    // The pin of a config is for the seller, however it is reached.
    let file = place.path("buyer.toml");
    let config = fs::read_to_string(&file).unwrap();
    let wrong = place.key("somebody else").public();
    let pin = format!("[buyer.sellers]\n\"{}\" = \"{wrong}\"\n", place.address);
    fs::write(&file, format!("{config}{pin}")).unwrap();
    fs::remove_file(place.items("buyer")).unwrap();
    let (exit, said) = buys(&place, "buyer", &under_tls(&place));
    assert_eq!(exit, 4, "{said}");
}

/// The beginning of a handshake that says: 16,000 more bytes follow.
const BEGINNING: [u8; 5] = [0x16, 3, 1, 0x3e, 0x80];

#[test]
fn who_stalls_in_the_handshake_is_closed_in_time_and_holds_up_nobody() {
    let authority = Authority::new("ours");
    authority.signs("seller", &["127.0.0.1"], 4000);
    let place = seller(&authority, "first_message_ms = 1500", "");
    buyer(&place, "buyer", &format!("roots = \"{}\"\n", authority.roots()));
    let began = Instant::now();
    let stall = |bytes: &[u8]| {
        let mut stream = TcpStream::connect(&place.address).unwrap();
        stream.write_all(bytes).unwrap();
        stream
    };
    let stalled: Vec<TcpStream> = (0..20).map(|n| stall(&BEGINNING[..1 + n % 5])).collect();
    let (exit, said) = buys(&place, "buyer", &under_tls(&place));
    assert_eq!(exit, 0, "{said}");
    for mut stream in stalled {
        let mut rest = Vec::new();
        // Whether it ends or is reset, it is over.
        let _ = stream.read_to_end(&mut rest);
        assert!(rest.len() < 100, "an alert at the most");
    }
    assert!(began.elapsed() < Duration::from_secs(9), "long before what a handshake may take");
    while place.status()["sessions"]["connections"].as_u64() != Some(0) {
        std::thread::yield_now();
    }
}

#[test]
fn twenty_buyers_at_once_under_tls() {
    let authority = Authority::new("ours");
    authority.signs("seller", &["127.0.0.1"], 4000);
    let mut place = seller(&authority, "", "");
    let names: Vec<String> = (0..20).map(|n| format!("buyer-{n}")).collect();
    let tls = format!("roots = \"{}\"\n", authority.roots());
    names.iter().for_each(|name| buyer(&place, name, &tls));
    let address = under_tls(&place);
    let order = [address.as_str(), "co2", "23"];
    let begin = |name: &String| buy(place.dir.path(), name, &order).spawn().unwrap();
    let children: Vec<Child> = names.iter().map(begin).collect();
    for (name, child) in names.iter().zip(children) {
        let output = child.wait_with_output().unwrap();
        assert_done(&output);
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&told["end"], &told["paid"]), (&"complete".into(), &"460".into()), "{told}");
        assert_eq!(place.lines(name), 23);
        assert_eq!(place.audit(name)[0]["outstanding"], "0");
    }
    place.close();
    let sold = place.audit("seller");
    assert_eq!(sold.len(), 20);
    assert_eq!(place.balance("seller"), 20 * 460);
}

/// Passes on what two sides say, and keeps it.
fn listener_between(seller: String) -> (String, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let heard = Arc::<Mutex<Vec<u8>>>::default();
    let kept = heard.clone();
    std::thread::spawn(move || {
        for buyer in listener.incoming() {
            let (buyer, seller) = (buyer.unwrap(), TcpStream::connect(&seller).unwrap());
            let pairs =
                [(buyer.try_clone().unwrap(), seller.try_clone().unwrap()), (seller, buyer)];
            for (mut from, mut to) in pairs {
                let kept = kept.clone();
                std::thread::spawn(move || {
                    let mut bytes = [0; 4096];
                    while let Ok(count @ 1..) = from.read(&mut bytes) {
                        kept.lock().unwrap().extend_from_slice(&bytes[..count]);
                        if to.write_all(&bytes[..count]).is_err() {
                            break;
                        }
                    }
                    // Whoever is gone already needs not be told.
                    let _ = to.shutdown(std::net::Shutdown::Write);
                });
            }
        }
    });
    (address, heard)
}

#[test]
fn nobody_between_reads_what_is_said() {
    let authority = Authority::new("ours");
    authority.signs("seller", &["127.0.0.1"], 4000);
    for is_tls in [false, true] {
        let place = match is_tls {
            true => seller(&authority, "", ""),
            false => Place::open(Setting::default()),
        };
        buyer(&place, "buyer", &format!("roots = \"{}\"\n", authority.roots()));
        let (address, heard) = listener_between(place.address.clone());
        let address = if is_tls { format!("tls://{address}") } else { address };
        let (exit, said) = buys(&place, "buyer", &address);
        assert_eq!(exit, 0, "{said}");
        let heard = heard.lock().unwrap();
        let is_read = heard.windows(13).any(|bytes| bytes == b"message_type\"");
        assert_eq!(is_read, !is_tls);
    }
}

#[test]
fn a_check_of_the_config_finds_what_tls_lacks() {
    let authority = Authority::new("ours");
    authority.signs("seller", &["127.0.0.1"], 4000);
    authority.signs("other", &["127.0.0.1"], 4000);
    authority.signs("former", &["127.0.0.1"], 2021);
    authority.signs("open", &["127.0.0.1"], 4000);
    let key = authority.path("open.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    for name in ["empty.pem", "empty.key"] {
        fs::write(authority.path(name), "nothing\n").unwrap();
        fs::set_permissions(authority.path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }
    let place = Place::open(Setting::default());
    place.buyer("buyer", 1);
    let path = |name: &str| authority.path(name).display().to_string();
    let mixed = |certificate: &str, key: &str| {
        format!("certificate = \"{}\"\nkey = \"file:{}\"\n", path(certificate), path(key))
    };
    let good = authority.papers("seller");
    let of_seller = [
        (good.clone(), "is good"),
        (mixed("gone.pem", "seller.key"), "gone.pem"),
        (mixed("seller.pem", "gone.key"), "gone.key"),
        (mixed("seller.pem", "other.key"), "it is not the key of that certificate"),
        (mixed("seller.pem", "empty.key"), "it holds no private key in PEM"),
        (mixed("empty.pem", "seller.key"), "it holds no certificate in PEM"),
        (authority.papers("former"), "it expired at 2021-01-01"),
        (authority.papers("open"), "chmod 600"),
        (format!("{good}client_roots = \"{}\"", path("gone.pem")), "gone.pem"),
        (format!("{good}client_roots = \"{}\"", path("empty.pem")), "seller.tls.client_roots"),
    ];
    let of_buyer = [
        (format!("roots = \"{}\"", authority.roots()), "is good"),
        (format!("roots = \"{}\"", path("gone.pem")), "gone.pem"),
        (authority.papers("former"), "it expired at 2021-01-01"),
        (mixed("seller.pem", "other.key"), "buyer.tls.key"),
    ];
    let seller = of_seller.into_iter().map(|(tls, says)| ("seller", tls, says));
    let buyer = of_buyer.into_iter().map(|(tls, says)| ("buyer", tls, says));
    for (who, tls, says) in seller.chain(buyer) {
        let config = fs::read_to_string(place.path(&format!("{who}.toml"))).unwrap();
        let file = place.path("checked.toml");
        fs::write(&file, format!("{config}[{who}.tls]\n{tls}\n")).unwrap();
        let (exit, said) = told(sdpp().args(["config", "check"]).arg(&file));
        assert!(said.contains(says), "{said} does not say {says}");
        assert_eq!(exit, if says == "is good" { 0 } else { 2 }, "{said}");
        assert!(exit == 0 || said.contains(&format!("{who}.tls")), "{said}");
    }
}
