//! `sdpp dispute` as a person has it: from two journals to a verdict, with the real binary.

use crate::line::Wire;
use crate::pair::{self, Pair, Setting, key};
use crate::told::{Paid, Told};
use crate::{broke_after, key_of};
use sdpp::admin::{Admin, Request, Response};
use sdpp::journal::{Journal, Write};
use sdpp::record::Record;
use sdpp::session::Buyer;
use sdpp::terms::{Method, Role, SessionId};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Evidence needs no ledger; a config does.
const LEDGER: &str = r#"
[ledgers.local]
kind = "embedded"
dir = "ledger"

[currencies.SDP]
ledger = "local"
asset = "coin"
decimals = 6
methods = ["transfer"]

[buyer]
currencies = [{ currency = "SDP", max_total = "1" }]
"#;

/// Both sides' journals and configs.
struct Desk {
    dir: tempfile::TempDir,
    session: String,
}

/// What a command came to.
struct Ran {
    code: i32,
    out: String,
    err: String,
}

impl Desk {
    fn of(pair: &Pair) -> Desk {
        Desk::with(pair.s.session.unwrap(), &pair.s.records, &pair.b.records)
    }

    fn with(session: SessionId, seller: &[Record], buyer: &[Record]) -> Desk {
        let dir = tempfile::tempdir().unwrap();
        let desk = Desk { dir, session: session.to_string() };
        for (role, records) in [(Role::Seller, seller), (Role::Buyer, buyer)] {
            let mut journal = desk.journal(role);
            for record in records {
                let write =
                    Write::Append { session: Some(session), record: Box::new(record.clone()) };
                journal.commit(pair::START_MS, vec![write]).unwrap().remove(0).unwrap();
            }
            let secret = desk.path(&format!("{role}.key"));
            let byte = if role == Role::Seller { "01" } else { "02" };
            fs::write(&secret, byte.repeat(32)).unwrap();
            fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
            let config = format!(
                "[identity]\nkey = \"file:{role}.key\"\n[journal]\ndir = \"{role}-journal\"\n{LEDGER}"
            );
            fs::write(desk.path(&format!("{role}.toml")), config).unwrap();
        }
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn journal(&self, role: Role) -> Journal {
        Journal::open(&self.path(&format!("{role}-journal")), key_of(role).public()).unwrap()
    }

    fn run(&self, args: &[&str]) -> Ran {
        self.sdpp(&[&["dispute"], args].concat())
    }

    fn sdpp(&self, args: &[&str]) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sdpp"));
        command.args(args).current_dir(self.dir.path());
        command.env_remove("SDPP_LOG").env("NO_COLOR", "1").stdin(Stdio::null());
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let (out, err) = (text(output.stdout), text(output.stderr));
        Ran { code: output.status.code().unwrap(), out, err }
    }

    fn bundle(&self, role: Role, more: &[&str]) -> Ran {
        let (journal, config) = (format!("{role}-journal"), format!("{role}.toml"));
        let output = format!("{role}.json");
        let args = ["bundle", &self.session, "--journal", &journal, "--config", &config];
        let _ = fs::remove_file(self.path(&output));
        self.run(&[&args[..], &["--output", &output], more].concat())
    }
}

impl Ran {
    #[track_caller]
    fn ends(self, code: i32) -> Ran {
        assert_eq!(self.code, code, "{}{}", self.out, self.err);
        self
    }

    #[track_caller]
    fn says(self, what: &str) -> Ran {
        assert!(format!("{}{}", self.out, self.err).contains(what), "{}{}", self.out, self.err);
        self
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|_| panic!("{}", self.out))
    }
}

#[test]
fn two_journals_become_two_files_and_a_verdict() {
    let desk = Desk::of(&broke_after(7, Setting::default().no_records()));
    desk.bundle(Role::Seller, &[]).ends(0).says("signed messages, digest 0x");
    let made = desk.bundle(Role::Buyer, &["--json"]).ends(0).json();
    assert_eq!((&made["role"], &made["session"]), (&json!("buyer"), &json!(desk.session)));
    let [seller, buyer] = [1, 2].map(|byte| key(byte).public().to_string());
    let both =
        ["judge", "seller.json", "buyer.json", "--seller-key", &seller, "--buyer-key", &buyer];
    let told = desk.run(&both).ends(0).says("The buyer owes the seller 0.000035 SDP").out;
    let turned =
        ["judge", "buyer.json", "seller.json", "--seller-key", &seller, "--buyer-key", &buyer];
    assert_eq!(desk.run(&turned).ends(0).out, told, "whichever is named first");
    let verdict = desk.run(&[&both[..], &["--json"]].concat()).ends(0).json();
    assert_eq!(verdict["seller"], json!({ "key": seller, "identity_proven": true }));
    assert_eq!(verdict["debts"][0]["at_most"], "35", "amounts are text");
    assert_eq!(
        (&verdict["debts"][0]["by"], &verdict["debts"][0]["at_least"]),
        (&json!("buyer"), &json!("15"))
    );
    assert_eq!(verdict["unless"][0]["if"], "final");
    desk.run(&["judge", "seller.json"]).ends(0).says("identity unproven");
    desk.run(&["judge", "seller.json", "--buyer-key", &seller])
        .ends(3)
        .says("the session's buyer is");
    desk.run(&["judge", "seller.json", "buyer.json", "seller.json"]).ends(2);
}

#[test]
fn a_file_that_was_changed_is_refused_and_misconduct_has_its_own_exit_code() {
    let mut pair = broke_after(7, Setting::default().no_records());
    let Some(Record::Ended { evidence, .. }) = pair.s.records.last_mut() else {
        panic!("it ended")
    };
    let other =
        crate::signed(sdpp::crypto::layout::MessageKind::Ack, pair.s.session.unwrap(), 7, &key(2));
    evidence.push(other);
    let desk = Desk::of(&pair);
    desk.bundle(Role::Seller, &[]).ends(0);
    desk.run(&["judge", "seller.json"]).ends(4).says("Misconduct: the buyer acknowledged two");
    let text = fs::read_to_string(desk.path("seller.json")).unwrap();
    fs::write(desk.path("seller.json"), text.replacen("co2", "co3", 1)).unwrap();
    desk.run(&["judge", "seller.json"])
        .ends(3)
        .says("seller.json is refused: the exporter's signature");
    desk.run(&["judge", "nothing.json"]).ends(1).says("cannot read");
}

#[test]
fn one_item_is_disclosed_out_of_the_file_that_sdpp_buy_wrote() {
    let mut pair = Setting::default().start();
    pair.run();
    let desk = Desk::of(&pair);
    let items: Vec<Vec<u8>> = pair.b.delivered.iter().map(|(_, item)| item.clone()).collect();
    fs::write(desk.path("items"), [items.join(&b"\n"[..]), b"\n".to_vec()].concat()).unwrap();
    desk.bundle(Role::Buyer, &["--item", "3", "--items", "items"]).ends(0);
    desk.run(&["judge", "buyer.json"])
        .ends(0)
        .says("{\\\"ppm\\\":3}")
        .says("is what the seller sold");
    desk.bundle(Role::Buyer, &["--item", "9", "--items", "items"]).ends(2).says("has no line 9");
    fs::write(desk.path("others"), "a\nb\nc\n").unwrap();
    desk.bundle(Role::Buyer, &["--item", "3", "--items", "others"])
        .ends(3)
        .says("is not what was sold");
    desk.bundle(Role::Buyer, &["--item", "3"]).ends(2);
}

/// The file has what had come of a void, and no line for the rest of it.
#[test]
fn an_item_behind_a_void_is_disclosed_out_of_its_line() {
    let mut wire = Wire::new(Setting::default().order("co2", Some(10)).windows(3, 2));
    wire.run_to(5);
    wire.restart(false).unwrap();
    wire.finish();
    let side = &wire.pair.b;
    let voids = Buyer::voids_of(&side.records);
    let [(void, delivered)] = voids[..] else { panic!("{voids:?}") };
    assert!(delivered < void.places(), "{delivered} of {void:?}");
    let desk = Desk::of(&wire.pair);
    let items: Vec<&[u8]> = side.delivered.iter().map(|(_, item)| item.as_slice()).collect();
    fs::write(desk.path("items"), [items.join(&b"\n"[..]), b"\n".to_vec()].concat()).unwrap();
    let (last, _) = side.delivered.last().unwrap();
    for seq in [1, void.to_seq + 1, *last] {
        let item = seq.to_string();
        desk.bundle(Role::Buyer, &["--item", &item, "--items", "items"]).ends(0);
        desk.run(&["judge", "buyer.json"]).ends(0).says("is what the seller sold");
    }
    let (lost, items) = (void.from_seq.to_string(), ["--items", "items"]);
    desk.bundle(Role::Buyer, &["--item", &lost, items[0], items[1]]).ends(2).says("is void");
    let ask = ["ask", &desk.session, "--reason", "wrong", "--journal", "buyer-journal"];
    let asked = |item: &str| desk.run(&[&ask[..], &["--item", item], &items].concat());
    asked(&lost).ends(2).says("is void");
    asked(&(last + 1).to_string()).ends(2).says("has no line 1");
    asked(&last.to_string()).ends(1).says("no process answers for the journal");
}

#[test]
fn show_and_list_say_what_one_journal_proves() {
    let desk = Desk::of(&broke_after(7, Setting::default().no_records()));
    let show = ["show", &desk.session, "--journal", "seller-journal"];
    desk.run(&show)
        .ends(0)
        .says("This is the seller's own journal")
        .says("The buyer owes the seller");
    let shown = desk.run(&[&show[..], &["--json"]].concat()).ends(0).json();
    assert_eq!(shown["heard"], json!(["seller"]));
    let listed = desk.run(&["list", "--journal", "seller-journal", "--json"]).ends(0).json();
    assert_eq!((&listed["state"], &listed["session"]), (&json!("broken"), &json!(desk.session)));
    desk.run(&["list", "--journal", "buyer-journal"]).ends(0).says("broken");
    let mut well = Setting::default().start();
    well.run();
    let nothing = Desk::of(&well).run(&["list", "--journal", "seller-journal"]).ends(0).out;
    assert_eq!(nothing, "", "a session that ended well is none of these");
    let other = ["show", &format!("0x{}", "ab".repeat(32)), "--journal", "seller-journal"];
    desk.run(&other).ends(2).says("no order of session");
}

/// The same bytes come out of a journal that a node has open: only its own clock differs.
#[test]
fn evidence_is_exported_while_the_node_runs_and_no_secret_leaves_it() {
    let mut pair = Setting::default().start();
    pair.run();
    let desk = Desk::of(&pair);
    let items: Vec<Vec<u8>> = pair.b.delivered.iter().map(|(_, item)| item.clone()).collect();
    fs::write(desk.path("items"), items.join(&b"\n"[..])).unwrap();
    let wanted = ["--item", "2", "--items", "items"];
    desk.bundle(Role::Buyer, &wanted).ends(0);
    let parse = |desk: &Desk| {
        let bytes = fs::read(desk.path("buyer.json")).unwrap();
        sdpp::dispute::Bundle::parse(&bytes).unwrap()
    };
    let closed = parse(&desk);
    let journal = desk.journal(Role::Buyer);
    let reader = journal.reader();
    let handler = move |request: Request| {
        let reader = reader.clone();
        async move {
            match request {
                Request::Journal(query) => Response::Journal(reader.answer(&query).unwrap()),
                _ => Response::Failed("not asked for here".to_owned()),
            }
        }
    };
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let (bound, is_bound) = std::sync::mpsc::channel();
    let dir = desk.path("buyer-journal");
    let node = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let admin = Admin::bind(&dir).unwrap();
            bound.send(()).unwrap();
            tokio::select! {
                () = admin.serve(handler) => {}
                _ = stopped => {}
            }
        });
    });
    is_bound.recv().unwrap();
    desk.bundle(Role::Buyer, &wanted).ends(0);
    let open = parse(&desk);
    drop(stop);
    node.join().unwrap();
    drop(journal);
    let at = |body: &sdpp::dispute::Body| sdpp::dispute::Body {
        exported_at: sdpp::message::Moment(0),
        ..body.clone()
    };
    assert_eq!(at(open.body()), at(closed.body()));
    assert!(open.body().proofs[0].disclosed.is_some());
}

/// A person sees both legs at a glance, and a script finds each by itself.
#[test]
fn a_session_with_two_legs_is_shown_leg_by_leg() {
    let mut told = Told::order("SDP", Method::Transfer);
    told.window(Paid::Final);
    assert!(told.pace(6, 1));
    told.window(Paid::Pending);
    assert!(told.begin_leg("FAR", Method::Transfer, 10));
    told.window(Paid::Final).end();
    let desk = Desk::with(told.session, &told.s, &told.b);
    let audit = ["audit", "--journal", "seller-journal", "--offline"];
    // Nobody told this journal what its ledgers say, and its seller has receipted what it got.
    let table = desk.sdpp(&audit).ends(3);
    let rows = [
        "windows      3 of at most 4 items, 6 from item 5 on (earned)",
        "  leg          1: items 1 to 10, in SDP by transfer on sdpp:story",
        "    invoiced     0.000100 SDP",
        "  leg          2: items 11 to 16, in FAR by transfer on sdpp:elsewhere",
        "    invoiced     0.000000025 FAR",
    ];
    let table = rows.into_iter().fold(table, Ran::says);
    assert_eq!(table.out.matches("  outstanding  ").count(), 2, "{}", table.out);
    let line = desk.sdpp(&[&audit[..], &["--format", "json", "--totals"]].concat()).ends(3);
    let lines: Vec<Value> =
        line.out.lines().map(|one| serde_json::from_str(one).unwrap()).collect();
    let [one, totals] = &lines[..] else { panic!("{}", line.out) };
    assert_eq!((&one["currency"], &one["invoiced"]), (&json!("FAR"), &json!("25")));
    let legs: Vec<_> = one["legs"].as_array().unwrap().iter().map(|leg| &leg["invoiced"]).collect();
    assert_eq!(legs, [&json!("100"), &json!("25")]);
    assert_eq!(one["paces"][0]["granularity"], 6);
    let money = totals["totals"]["money"].as_array().unwrap();
    let all = money.iter().filter(|one| one["by"] == "currency");
    let all: Vec<_> = all.map(|one| (&one["currency"], &one["invoiced"])).collect();
    assert_eq!(all, [(&json!("FAR"), &json!("25")), (&json!("SDP"), &json!("100"))]);
    let sheet = desk.sdpp(&[&audit[..], &["--format", "csv"]].concat()).ends(3);
    assert_eq!(sheet.out.lines().filter(|line| line.contains(",FAR,25,")).count(), 1);

    [Role::Seller, Role::Buyer].into_iter().for_each(|role| drop(desk.bundle(role, &[]).ends(0)));
    let judged = desk.run(&["judge", "seller.json", "buyer.json"]).ends(0);
    let rows = [
        "Both agreed that from item 11 on it costs 10 of the menu's own unit an item",
        "from item 1 on, paid by transfer on sdpp:story",
        "from item 11 on, paid by transfer on sdpp:elsewhere",
    ];
    let _ = rows.into_iter().fold(judged, Ran::says);
    let found = desk.run(&["judge", "seller.json", "buyer.json", "--json"]).ends(0).json();
    let debts = found["debts"].as_array().unwrap().iter();
    let debts: Vec<_> = debts.map(|debt| (&debt["currency"], &debt["from_seq"])).collect();
    assert_eq!(debts, [(&json!("SDP"), &json!(1))], "{found}");
}
