//! A seller with an honest session under way, which all liars come beside. Tests that run at the same time
//! share one: it is closed behind the last of them, and then all that was honest must be whole.

use crate::place::{self, Place, Running, Setting, amount, assert_done, statements, told};
use crate::relay::{Lie, Relay};
use sdpp::terms::Role;
use sdpp_ledger::Key;
use serde_json::{Value, json};
use std::fs;
use std::io::Read;
use std::process::Output;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

/// How long anything is waited for.
const PATIENCE: Duration = Duration::from_secs(90);

/// K, and the items that may be out unpaid.
pub const WINDOW: u64 = 5;
pub const ON_CREDIT: u64 = 2 * WINDOW;

/// What an item of the topic costs that liars order.
pub const PRICE: u64 = 20;

/// The least that the honest session goes on by while a liar is at work: more than its credit, so that it
/// pays meanwhile too.
const GOES_ON: usize = 3 * WINDOW as usize;

/// A seller, its honest buyer, and liars.
pub struct Shop {
    pub place: Place,
    honest: Option<Running>,
    liars: AtomicUsize,
}

/// What became of a liar's purchase, or of a purchase from a liar.
pub struct Bought {
    pub name: String,
    pub exit: i32,
    pub said: String,
    pub relay: Relay,
}

impl Bought {
    /// It ended so, and said this.
    #[track_caller]
    pub fn ends(&self, exit: i32, says: &str) -> &Self {
        assert_eq!(self.exit, exit, "{}", self.said);
        assert!(self.said.contains(says), "{says:?} is not in {}", self.said);
        self
    }
}

static OPEN: Mutex<Weak<Shop>> = Mutex::new(Weak::new());

/// The shop that tests share.
pub fn shop() -> Arc<Shop> {
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    open.upgrade().unwrap_or_else(|| {
        let shop = Arc::new(Shop::open(Setting::default(), ""));
        *open = Arc::downgrade(&shop);
        shop
    })
}

impl Shop {
    /// A shop whose seller's config says this too, at the end of `[limits]`.
    pub fn open(setting: Setting, limits: &str) -> Shop {
        // Whoever lies here comes from one address, and often.
        let topics = format!(
            "credit_sessions_per_address_max = 10000\norders_per_minute_per_address = 6000\n\
             orders_per_minute = 6000\nmenus_per_minute = 60000\n\
             menus_per_minute_per_address = 60000\n{limits}"
        );
        let (granularity, credit_windows) = (WINDOW as u32, (ON_CREDIT / WINDOW) as u32);
        let methods = "[\"transfer\", \"escrow\"]";
        let setting =
            Setting { topics, granularity, credit_windows, methods, anchor: "after", ..setting };
        let place = Place::open(setting);
        place.buyer("honest", 10_000_000);
        let honest = Running(place.buy("honest", "memory", "all").spawn().unwrap());
        let shop = Shop { place, honest: Some(honest), liars: AtomicUsize::new(0) };
        shop.until("the honest session begins", || shop.items() >= GOES_ON);
        shop
    }

    /// How many items the honest buyer has.
    pub fn items(&self) -> usize {
        self.place.lines("honest")
    }

    /// Waits for what must come.
    #[track_caller]
    pub fn until(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        until(what, &mut is_so);
    }

    /// Tells a lie, beside which the honest session goes on.
    #[track_caller]
    pub fn beside<T>(&self, lie: impl FnOnce(&Shop) -> T) -> T {
        let before = self.items();
        let told = lie(self);
        until("the honest session goes on", &mut || self.items() >= before + GOES_ON);
        told
    }

    /// A buyer with money that none had before, who pays by this method.
    pub fn liar(&self, method: &str) -> String {
        let name = format!("liar{}", self.liars.fetch_add(1, Ordering::Relaxed));
        self.place.buyer(&name, 100_000);
        let path = self.place.path(&format!("{name}.toml"));
        let config = fs::read_to_string(&path).unwrap();
        let config = config.replace("\"transfer\", \"escrow\"", &format!("\"{method}\""));
        let config = match method {
            "escrow" => config,
            _ => config.replace("deposit = \"5000\"\n", ""),
        };
        fs::write(path, config).unwrap();
        name
    }

    /// The key of the seller.
    pub fn seller(&self) -> Key {
        self.place.key("seller")
    }

    /// Has this one buy so many items, with a liar on the line.
    pub fn buys(&self, name: &str, quantity: u64, lie: Lie) -> Bought {
        let relay = Relay::to(&self.place.address, lie);
        let order = [relay.address.as_str(), "co2", &quantity.to_string()];
        let _ = fs::remove_file(self.place.items(name));
        let mut buy = place::buy(self.place.dir.path(), name, &order);
        // The key of the one that is lied about is known, so no liar passes as somebody else.
        buy.args(["--seller", &self.seller().public().to_string()]);
        let (exit, said) = told(&mut buy);
        Bought { name: name.to_owned(), exit, said, relay }
    }

    /// How many items this one has.
    pub fn got(&self, name: &str) -> u64 {
        self.place.lines(name) as u64
    }

    /// The verdict on this buyer's only session, out of its own journal.
    pub fn verdict(&self, name: &str, session: &str) -> Value {
        let mut show = place::sdpp();
        show.args(["dispute", "show", session, "--json", "--journal"]);
        let (exit, verdict) = told(show.arg(self.place.journal(name)));
        assert_eq!(exit, 0, "{verdict}");
        serde_json::from_str(&verdict).unwrap()
    }

    /// The honest session ends in good order; it and both books are whole.
    fn close(&mut self) {
        let Some(honest) = self.honest.take() else { return };
        honest.signal("INT");
        let output = output_of(honest);
        assert_done(&output);
        let told = statements(&output.stdout).remove(0);
        assert_eq!(told["end"], json!("complete"), "{told}");
        assert_eq!(told["owed"], told["paid"], "{told}");
        assert_eq!(told["items"], json!(self.items()), "each item once: {told}");
        self.place.close();
        let key = self.place.key("honest").public().to_string();
        for (side, peer) in [("honest", None), ("seller", Some(&key))] {
            let mut audit = place::sdpp();
            audit.args(["audit", "--format", "json", "--journal"]).arg(self.place.journal(side));
            audit.arg("--config").arg(self.place.path(&format!("{side}.toml")));
            audit.args(peer.iter().flat_map(|key| ["--peer", key.as_str()]));
            let output = audit.output().unwrap();
            let statement = statements(&output.stdout).remove(0);
            assert_eq!(statement["state"], json!("complete"), "{side}: {statement}");
            assert_eq!(statement["problems"], json!([]), "{side}: {statement}");
            assert_eq!(amount(&statement["outstanding"]), 0, "{side}: {statement}");
            assert_done(&output);
        }
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        // Whoever fails already has said enough.
        if !std::thread::panicking() {
            self.close();
        }
    }
}

/// What a program prints that ends.
fn output_of(mut running: Running) -> Output {
    let read = |pipe: Option<&mut dyn Read>| {
        let mut text = Vec::new();
        pipe.unwrap().read_to_end(&mut text).unwrap();
        text
    };
    let stdout = read(running.0.stdout.as_mut().map(|pipe| pipe as &mut dyn Read));
    let stderr = read(running.0.stderr.as_mut().map(|pipe| pipe as &mut dyn Read));
    Output { status: running.wait(), stdout, stderr }
}

#[track_caller]
pub fn until(what: &str, is_so: &mut dyn FnMut() -> bool) {
    let since = Instant::now();
    while !is_so() {
        assert!(since.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

impl Relay {
    /// A side found the lie, and says so.
    #[track_caller]
    pub fn finds(&self, from: Role, code: &str, says: &str) {
        until("an error", &mut || !self.said(from, "error").is_empty());
        let error = self.said(from, "error").remove(0);
        let text = |key: &str| error.data[key].as_str().unwrap().to_owned();
        assert_eq!(text("code"), code, "{}", text("message"));
        assert!(text("message").contains(says), "{says:?} is not in {:?}", text("message"));
    }
}
