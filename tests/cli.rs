//! Stories told with the real binary. What it prints is searched for secrets each time it runs.

// Outside its tests too: what a story cannot find, it cannot tell.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[allow(dead_code)]
#[path = "session/pair.rs"]
mod pair;

use pair::{Setting, key};
use sdpp::admin::{Admin, Request, Response};
use sdpp::config::Config;
use sdpp::config::ledgers::{Keyring, Opened};
use sdpp::journal::outbox::{Outbox, Policy, perform};
use sdpp::journal::{Journal, Write, obligation};
use sdpp_ledger::{Amount, Asset, keccak};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A folder to work in, and what must never be printed there.
struct Shop {
    dir: tempfile::TempDir,
    secrets: Vec<String>,
}

/// What a command came to.
struct Ran {
    code: i32,
    out: String,
    err: String,
}

impl Shop {
    fn new() -> Shop {
        Shop { dir: tempfile::tempdir().unwrap(), secrets: Vec::new() }
    }

    /// A folder that `sdpp init` has filled.
    fn open() -> Shop {
        let mut shop = Shop::new();
        shop.run(&["init", "--dir", "."]).done();
        let password = fs::read_to_string(shop.path("password")).unwrap();
        shop.secrets.push(password);
        shop
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sdpp"));
        command.args(args).current_dir(self.dir.path());
        command.env_remove("SDPP_LOG").env("NO_COLOR", "1").stdin(Stdio::null());
        command
    }

    fn run(&self, args: &[&str]) -> Ran {
        self.finish(self.command(args))
    }

    fn finish(&self, mut command: Command) -> Ran {
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let ran = Ran {
            code: output.status.code().unwrap(),
            out: text(output.stdout),
            err: text(output.stderr),
        };
        for secret in &self.secrets {
            let all = format!("{}{}", ran.out, ran.err).to_lowercase();
            assert!(!all.contains(&secret.to_lowercase()), "a secret was printed: {all}");
        }
        ran
    }

    fn edit(&self, name: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.path(name)).unwrap();
        assert!(text.contains(from), "{name} has no {from}");
        fs::write(self.path(name), text.replace(from, to)).unwrap();
    }

    /// Serves a ledger on a free port and has both configs point there.
    fn serve(&self) -> Served {
        let args = ["ledger", "serve", "--dir", "chain", "--listen", "127.0.0.1:0"];
        let mut child = self.command(&args).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.strip_prefix("listening ").expect(&line).trim().to_owned();
        for config in ["seller.toml", "buyer.toml"] {
            self.edit(config, "127.0.0.1:9630", &address);
        }
        Served(child)
    }
}

impl Ran {
    #[track_caller]
    fn done(self) -> Ran {
        assert_eq!(self.code, 0, "{}{}", self.out, self.err);
        self
    }

    /// Ends with this code, and says why in one line.
    #[track_caller]
    fn failed(self, code: i32) -> Ran {
        assert_eq!(self.code, code, "{}{}", self.out, self.err);
        assert!(self.err.starts_with("error: "), "{}", self.err);
        self
    }

    #[track_caller]
    fn code(self, code: i32) -> Ran {
        assert_eq!(self.code, code, "{}{}", self.out, self.err);
        self
    }

    #[track_caller]
    fn says(&self, what: &str) -> &Ran {
        assert!(format!("{}{}", self.out, self.err).contains(what), "{}{}", self.out, self.err);
        self
    }

    fn json(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// A ledger that is served, until this is dropped.
struct Served(Child);

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn what_init_writes_works_at_once() {
    let shop = Shop::open();
    for config in ["seller.toml", "buyer.toml"] {
        shop.run(&["config", "check", config]).done().says("is good");
    }
    let mode = fs::metadata(shop.path("password")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let listed = shop.run(&["keys", "list", "--json"]).done().json();
    assert_eq!([&listed[0]["name"], &listed[1]["name"]], ["buyer", "seller"]);
    let seller = listed[1]["public_key"].as_str().unwrap();
    let shown = shop.run(&["config", "show", "buyer.toml", "--json"]).done().json();
    assert_eq!(shown[0]["buyer"]["sellers"]["127.0.0.1:9620"], seller);
    shop.run(&["keys", "show", "seller"]).done().says(seller);
    let again = shop.run(&["init"]).failed(2);
    again.says("seller.toml exists already: nothing was written");
    assert!(!again.err.contains("cut short"), "{}", again.err);
    assert_eq!(fs::read_to_string(shop.path("password")).unwrap(), shop.secrets[0]);
}

#[test]
fn where_an_init_was_cut_short_the_next_says_what_to_remove() {
    let shop = Shop::new();
    fs::create_dir_all(shop.path("my shop/keys")).unwrap();
    fs::write(shop.path("my shop/password"), "0123456789abcdef").unwrap();
    let init = ["init", "--dir", "my shop"];
    let cut = shop.run(&init).failed(2);
    cut.says("my shop/password exists already: nothing was written");
    cut.says("cut short").says("remove 'my shop/password' 'my shop/keys' and type this again");
    fs::remove_file(shop.path("my shop/password")).unwrap();
    fs::remove_dir(shop.path("my shop/keys")).unwrap();
    // What is to be typed next can be typed, whatever the folder is called.
    let done = shop.run(&init).done();
    done.says("sdpp ledger serve --dir 'my shop/ledger'");
    done.says("--config 'my shop/buyer.toml'").says("sdpp sell --config 'my shop/seller.toml'");
}

#[test]
fn a_config_whose_secrets_cannot_be_fetched_is_not_good() {
    let mut shop = Shop::open();
    let check = || shop.run(&["config", "check", "seller.toml"]);
    let mode = |mode| fs::set_permissions(shop.path("password"), fs::Permissions::from_mode(mode));
    mode(0o644).unwrap();
    check().failed(2).says("seller.toml: identity.key: ").says("chmod 600");
    mode(0o600).unwrap();
    check().done();
    let secret = fs::read_to_string(shop.path("password")).unwrap();
    fs::write(shop.path("password"), "").unwrap();
    check().failed(2).says("the password is empty");
    fs::write(shop.path("password"), secret).unwrap();
    shop.edit("seller.toml", "password = \"file:password\"", "password = \"env:NOT_SET_AT_ALL\"");
    check().failed(2).says("env:NOT_SET_AT_ALL").says("is not set");
    shop.edit("seller.toml", "password = \"env:NOT_SET_AT_ALL\"", "password = \"prompt\"");
    check().done();
    shop.edit("seller.toml", "password = \"prompt\"", "");
    shop.edit("seller.toml", "keystore = \"keys\"", "");
    shop.edit("seller.toml", "key = \"keystore:seller\"", "key = \"env:NOT_SET_AT_ALL\"");
    check().failed(2).says("env:NOT_SET_AT_ALL");
    shop.edit("seller.toml", "key = \"env:NOT_SET_AT_ALL\"", "key = \"file:seller.key\"");
    fs::write(shop.path("seller.key"), "").unwrap();
    fs::set_permissions(shop.path("seller.key"), fs::Permissions::from_mode(0o600)).unwrap();
    check().failed(2).says("seller.key holds no usable secret");
    let half = "4c0883a69102937d6231471b5dbb6204";
    fs::write(shop.path("seller.key"), half).unwrap();
    shop.secrets.push(half.to_owned());
    shop.run(&["config", "check", "seller.toml"]).failed(2).says("64 hex digits");
}

#[test]
fn a_served_ledger_is_funded_and_asked() {
    let shop = Shop::open();
    // Port 1 is nobody's; the template's own may well be in use here.
    shop.edit("seller.toml", "127.0.0.1:9630", "127.0.0.1:1");
    let down = shop.run(&["config", "check", "seller.toml", "--online"]).failed(5);
    down.says("ledger local at 127.0.0.1:1").says("sdpp ledger serve");
    shop.edit("seller.toml", "127.0.0.1:1", "127.0.0.1:9630");
    let served = shop.serve();
    shop.run(&["config", "check", "seller.toml", "--online"]).done().says("all ledgers answer");
    shop.run(&["ledger", "open", "--config", "buyer.toml"]).done().says("nothing to open");
    let opened = shop.run(&["ledger", "open", "--config", "buyer.toml", "--json"]).done().json();
    assert_eq!((&opened[0]["opened"], opened.len()), (&"never".into(), 1));
    let status = shop.run(&["ledger", "status", "--config", "buyer.toml", "--json"]).done().json();
    assert_eq!((&status[0]["ledger"], status[0]["depth"].as_u64()), (&"local".into(), Some(1)));
    assert!(status[0]["head_age_s"].is_u64(), "{status:?}");
    let status = shop.run(&["ledger", "status", "--config", "buyer.toml"]).done();
    status.says("its head is of ").says(" ago, final at depth 1");
    let fund = ["ledger", "fund", "1500000", "--config", "buyer.toml"];
    shop.run(&fund).done().says("was given 1.500000 SDP on local and holds 1.500000 SDP");
    shop.run(&["ledger", "balance", "--config", "buyer.toml"]).done().says("1.500000 SDP");
    let args = ["ledger", "balance", "--config", "seller.toml", "--json"];
    assert_eq!(shop.run(&args).done().json()[0]["amount"], "0");
    let unknown = shop.run(&["ledger", "tx", "0xabc", "--config", "buyer.toml"]).failed(1);
    unknown.says("no ledger that was asked knows transaction 0xabc");
    let too_much = shop.run(&["ledger", "fund", "9999999999999", "--config", "buyer.toml"]);
    too_much.failed(5).says("ledger local: the ledger refused");
    let pid = rustix::process::Pid::from_child(&served.0);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let mut served = served;
    assert_eq!(served.0.wait().unwrap().code(), Some(0), "it ends in good order");
}

#[test]
fn what_is_wrong_in_a_config_is_named_with_file_line_and_key() {
    let shop = Shop::open();
    shop.edit("seller.toml", "granularity = 10", "granularty = 10");
    let text = fs::read_to_string(shop.path("seller.toml")).unwrap();
    let line = 1 + text.lines().position(|line| line.contains("granularty")).unwrap();
    let wrong = shop.run(&["config", "check", "seller.toml"]).failed(2);
    wrong.says(&format!("seller.toml:{line}: seller.granularty"));
    wrong.says("did you mean `granularity`?");
    assert_eq!((wrong.out.as_str(), wrong.err.lines().count()), ("", 1));
    shop.edit("buyer.toml", "keystore:buyer", "keystore:nobody");
    let missing = shop.run(&["config", "check", "buyer.toml"]).failed(2);
    missing.says("identity.key").says("sdpp keys new nobody");
    shop.run(&["ledger", "list", "--config", "none.toml"]).failed(2).says("sdpp init");
}

/// Nobody is asked, so it is not the ledger that is wrong.
#[cfg(feature = "fabric")]
#[test]
fn what_can_never_work_at_a_gateway_is_a_wrong_config() {
    let shop = Shop::new();
    let text = include_str!("../config/ledgers/fabric.toml");
    fs::write(shop.path("no.pem"), "no certificate").unwrap();
    let gateway = "gateway = \"https://127.0.0.1:1\"";
    let text = text.replace("gateway = \"http://127.0.0.1:3000\"", gateway);
    let said = [
        ("# token = \"env:SDPP_FABRIC_TOKEN\"", "token = \"env:TOKEN\"", "token"),
        ("# tls_ca = \"tls/ca.pem\"", "tls_ca = \"no.pem\"", "certificate"),
        (gateway, "gateway = \"env:URL\"\ntoken = \"env:GOOD\"", "https"),
    ];
    for (from, to, word) in said {
        assert!(text.contains(from), "{from}");
        fs::write(shop.path("fabric.toml"), text.replacen(from, to, 1)).unwrap();
        let mut command = shop.command(&["ledger", "status", "--config", "fabric.toml"]);
        command.env("TOKEN", "two words").env("GOOD", "word").env("URL", "http://192.0.2.1");
        let ran = shop.finish(command).failed(2);
        ran.says(word).says("mend it in [ledgers.consortium]");
    }
    // Here somebody was asked, and did not answer.
    fs::write(shop.path("fabric.toml"), text).unwrap();
    shop.run(&["ledger", "status", "--config", "fabric.toml"]).failed(5).says("consortium");
}

#[test]
fn a_secret_goes_in_and_never_comes_out() {
    let mut shop = Shop::open();
    let secret = "4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318";
    let password = "correct horse battery staple";
    shop.secrets.extend([secret.to_owned(), password.to_owned(), "hunter2".to_owned()]);
    fs::write(shop.path("secret.hex"), secret).unwrap();
    fs::set_permissions(shop.path("secret.hex"), fs::Permissions::from_mode(0o644)).unwrap();
    let args = ["keys", "import", "wallet", "--file", "secret.hex", "--password", "env:WORD"];
    let import = || {
        let mut command = shop.command(&args);
        command.env("WORD", password).env("SDPP_LOG", "trace");
        shop.finish(command)
    };
    import().failed(2).says("chmod 600");
    fs::set_permissions(shop.path("secret.hex"), fs::Permissions::from_mode(0o600)).unwrap();
    import().done().says("0x2c7536e3605d9c16a7a3d7b1898e529396a65c23");
    import().failed(2).says("exists already");
    let mut piped = shop.command(&["keys", "import", "piped", "--password", "file:password"]);
    piped.stdin(fs::File::open(shop.path("secret.hex")).unwrap());
    shop.finish(piped).done().says("piped");
    shop.run(&["keys", "new", "x", "--password", "hunter2"]).failed(2).says("another");
    shop.run(&["keys", "new", "x"]).failed(2).says("say `--password file:PATH`");
    fs::write(shop.path("wrong"), "hunter2").unwrap();
    fs::set_permissions(shop.path("wrong"), fs::Permissions::from_mode(0o600)).unwrap();
    shop.edit("seller.toml", "file:password", "file:wrong");
    let status = ["ledger", "status", "--config", "seller.toml", "-vvv"];
    shop.run(&status).failed(2).says("wrong password");
}

#[test]
fn a_dataset_that_is_not_there_is_what_is_wrong() {
    let shop = Shop::open();
    let none = shop.run(&["dataset", "root", "nofile"]).failed(1);
    none.says("cannot read nofile");
    assert!(!none.err.contains("--format"), "{}", none.err);
    shop.run(&["dataset", "root", "password"]).failed(2).says("--format csv, ndjson or lines");
}

#[test]
fn a_journal_has_what_was_printed_and_no_more() {
    let shop = Shop::new();
    let soak = shop.run(&["journal", "soak", "--journal", "j", "--entries", "40"]).done();
    let printed: Vec<u64> = soak.out.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(printed, (1..=40).collect::<Vec<_>>());
    let verify =
        |least: &str| shop.run(&["journal", "verify", "--journal", "j", "--at-least", least]);
    verify("40").done().says("from entry 1 to 40");
    verify("41").failed(3).says("entry 41 is not there: the journal ends at 40");
    let list = |what: &str, more: &[&str]| {
        let args = [&["journal", "list", what, "--journal", "j", "--json"], more].concat();
        shop.run(&args).done().json()
    };
    assert_eq!(list("entries", &[]).len(), 40);
    let some = list("entries", &["--after", "5", "--limit", "2"]);
    assert_eq!([&some[0]["seq"], &some[1]["seq"]], [6, 7]);
    assert_eq!(list("sessions", &[])[0]["role"], "seller");
    let owed = list("obligations", &["--unsettled"]);
    let reference = owed[3]["owed"]["reference"].as_str().unwrap();
    let shown = shop.run(&["journal", "show", reference, "--journal", "j", "--json"]).done();
    assert_eq!(shown.json()[0], owed[3]);
    shop.run(&["journal", "show", "41", "--journal", "j"]).failed(1).says("no 41");
    shop.run(&["journal", "show", "x", "--journal", "j"]).failed(2);
    let retry = shop.run(&["journal", "retry", reference, "--journal", "j"]).failed(1);
    retry.says("cannot happen to what is");
    let none = shop.run(&["journal", "list", "--journal", "none"]).failed(2);
    none.says("none holds no journal; give the folder of one\n");
}

/// What `sdpp journal soak` prints it has synced before, file by file, as the system saw it.
#[test]
fn what_is_printed_was_written_and_synced_before() {
    if Command::new("strace").arg("-V").output().is_err() {
        println!("SKIPPED: strace is not installed, so nobody watched the syncs");
        return;
    }
    let shop = Shop::new();
    let mut watched = Command::new("strace");
    watched.args(["-f", "-y", "-s", "32", "-o", "trace"]).current_dir(shop.dir.path());
    watched.args(["-e", "trace=write,pwrite64,pwritev,fdatasync,fsync"]);
    watched.arg(env!("CARGO_BIN_EXE_sdpp"));
    watched.args(["journal", "soak", "--journal", "j", "--entries", "320"]);
    let soak = shop.finish(watched).done();
    let printed: Vec<u64> = soak.out.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(printed, (1..=320).collect::<Vec<_>>());
    let (mut is_dirty, mut syncs, mut answers) = (false, 0, 0_u64);
    for line in fs::read_to_string(shop.path("trace")).unwrap().lines() {
        // A call that is told in two parts has its file in the first.
        if line.contains("/j/db>") && line.contains("pwrite") {
            is_dirty = true;
        } else if line.contains("/j/db>") && line.contains("fdatasync(") {
            (is_dirty, syncs) = (false, syncs + 1);
        } else if line.contains("write(1<") && line.contains(&format!("\"{}\\n\"", answers + 1)) {
            assert!(!is_dirty, "printed before it was synced: {line}");
            answers += 1;
        }
    }
    // Sixteen share a sync, and the journal's own making has one.
    assert_eq!(answers, 320);
    assert!(syncs > 320 / 16, "{syncs} syncs");
}

/// A damaged journal is told in one line, with the way back.
#[test]
fn damage_is_named_with_the_folder_and_the_way_back_and_nothing_panics() {
    let shop = Shop::new();
    shop.run(&["journal", "soak", "--journal", "sound", "--entries", "400"]).done();
    let items = fs::read_dir(shop.path("sound")).unwrap().map(|item| item.unwrap().path());
    let files: Vec<PathBuf> = items.filter(|path| path.is_file()).collect();
    let mut told = 0;
    for part in 0..20 {
        // Each in a folder of its own: who opens one may write there.
        let name = format!("j{part}");
        fs::create_dir(shop.path(&name)).unwrap();
        for file in &files {
            let mut bytes = fs::read(file).unwrap();
            if file.ends_with("db") {
                let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
                bytes[end * part / 20 + 50] ^= 0x10;
            }
            fs::write(shop.path(&name).join(file.file_name().unwrap()), bytes).unwrap();
        }
        let ran = shop.run(&["journal", "verify", "--journal", &name, "--at-least", "400"]);
        assert!(!ran.err.contains("panicked"), "{}", ran.err);
        if ran.code == 3 {
            told += 1;
            ran.says(&format!(" in {name}")).says("sdpp journal restore");
        } else {
            ran.done();
        }
    }
    println!("{told} of 20 flipped bits stood in what is read again");
    assert!(told > 0);
}

/// A reader that goes away in the middle, as `| head` does.
#[test]
fn a_pipe_that_nobody_reads_is_no_error() {
    let shop = Shop::new();
    let mut soak = shop.command(&["journal", "soak", "--journal", "j"]);
    let mut soak = soak.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(soak.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let output = soak.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
}

/// Writes one side of a real session into a journal, every claim and call still owed.
fn write_session(dir: &Path, setting: Setting, owner: u8) -> Journal {
    let mut pair = setting.start();
    pair.run();
    write_side(dir, if owner == 1 { &pair.s } else { &pair.b }, owner)
}

fn write_side(dir: &Path, side: &pair::Side, owner: u8) -> Journal {
    let mut journal = Journal::open(dir, key(owner).public()).unwrap();
    for record in &side.records {
        let record = Box::new(record.clone());
        let write = Write::Append { session: side.session, record };
        journal.commit(pair::START_MS, vec![write]).unwrap().remove(0).unwrap();
    }
    journal
}

#[test]
fn the_statement_of_a_session_for_people_programs_and_spreadsheets() {
    let shop = Shop::new();
    let dir = shop.path("buyer");
    drop(write_session(&dir, Setting::default(), 2));
    let table = shop.run(&["audit", "--journal", "buyer"]).done();
    table.says("paid         0.000018 SDP by transfer").says("outstanding  0.000018 SDP");
    table.says("state        complete").says("anchors      0/1 final").says("nothing is wrong");
    let [one] = &shop.run(&["audit", "--journal", "buyer", "--json"]).done().json()[..] else {
        panic!("one session, one line")
    };
    let names = "session role peer seller_key buyer_key topic currency ledger records granularity \
        items_delivered items_acked windows invoiced paid settled outstanding state anchors problems";
    for name in names.split_whitespace() {
        assert!(one.get(name).is_some(), "{name} is missing in {one}");
    }
    assert_eq!((&one["role"], &one["topic"]), (&"buyer".into(), &"gas".into()));
    assert_eq!((&one["invoiced"], &one["windows"]), (&"18".into(), &2.into()));
    assert_eq!(one["anchors"][0]["kind"], "order");
    assert_eq!(one["anchors"][0]["finality"], "pending");
    let csv = shop.run(&["audit", "--journal", "buyer", "--format", "csv"]).done();
    let lines: Vec<&str> = csv.out.lines().collect();
    let [heading, first, second] = lines[..] else { panic!("a line a payment: {}", csv.out) };
    assert!(heading.starts_with("session,date,peer,peer_name,role,topic,items,currency,"));
    assert!(first.contains(",2026-01-01,") && first.contains(",gas,4,SDP,12,0.000012,"), "{first}");
    assert!(second.contains(",gas,2,SDP,6,0.000006,,sdpp:story,,pending,0x"), "{second}");
    let session = one["session"].as_str().unwrap();
    shop.run(&["audit", "--journal", "buyer", "--session", session]).done().says(session);
    let other = session.replace(['1', '2', '3', '4', '5', '6', '7', '8', '9'], "0");
    shop.run(&["audit", "--journal", "buyer", "--session", &other])
        .failed(2)
        .says("no such session");
}

#[test]
fn from_a_broken_chain_nothing_is_exported() {
    let shop = Shop::new();
    let dir = shop.path("j");
    drop(write_session(&dir, Setting::default(), 2));
    flip_in_entry(&dir, 3);
    for format in ["table", "json", "csv"] {
        let audit = shop.run(&["audit", "--journal", "j", "--format", format]).failed(3);
        audit.says("entry 4: does not follow from the entry before it");
        assert_eq!(audit.out, "");
    }
    shop.run(&["journal", "verify", "--journal", "j"]).failed(3).says("the chain is broken");
}

/// The chain holds, and one signature in it is nobody's.
#[test]
fn from_a_journal_with_a_false_signature_nothing_is_exported() {
    let shop = Shop::new();
    let mut pair = Setting::default().start();
    pair.run();
    let mut forged = None;
    for record in &mut pair.b.records {
        if let sdpp::record::Record::Invoice { message, .. } = record {
            message.signature = key(9).sign(&message.digest());
            forged = forged.or(Some(message.number));
        }
    }
    assert_eq!(forged, Some(1));
    drop(write_side(&shop.path("j"), &pair.b, 2));
    shop.run(&["journal", "verify", "--journal", "j"]).done();
    let session = pair.b.session.unwrap().to_string();
    let elsewhere = "0x".to_owned() + &"0".repeat(64);
    let asked = ["--format json", "--format csv", "--totals", "--until 1999-01-01"];
    for more in asked
        .map(str::to_owned)
        .into_iter()
        .chain([format!("--session {session}"), format!("--session {elsewhere}")])
    {
        let more: Vec<&str> = more.split(' ').collect();
        let audit = shop.run(&[&["audit", "--journal", "j"], &more[..]].concat()).failed(3);
        audit.says("nothing is exported: entry 4: the signature of the invoice is false");
        audit.says("and so is another one");
        assert_eq!(audit.out, "", "{more:?}");
    }
}

/// By a name for the other side, a currency, and days in UTC.
#[test]
fn a_statement_is_cut_to_what_is_asked_for_and_summed() {
    let shop = Shop::new();
    drop(write_session(&shop.path("j"), Setting::default(), 2));
    fs::write(shop.path("key"), hex::encode([2; 32])).unwrap();
    fs::set_permissions(shop.path("key"), fs::Permissions::from_mode(0o600)).unwrap();
    let peer = key(1).public().to_string();
    let names = format!("[peers]\n\"=Sensors Ltd\" = \"{peer}\"\n");
    fs::write(shop.path("buyer.toml"), format!("{BUYER}{names}")).unwrap();
    let audit = |more: &str| {
        let more: Vec<&str> = more.split_whitespace().collect();
        let named = ["audit", "--journal", "j", "--config", "buyer.toml", "--offline"];
        shop.run(&[&named, &more[..]].concat())
    };
    let count = |more: &str| audit(&format!("{more} --json")).done().json().len();
    assert_eq!(count("--since 2026-01-01 --until 2026-01-01"), 1);
    assert_eq!(count("--until 2025-12-31"), 0);
    assert_eq!(count("--until 2026-01-01T00:00:00Z"), 0, "it began that very moment");
    assert_eq!(count("--since 2026-01-02"), 0);
    assert_eq!(count("--currency SDP"), 1);
    assert_eq!(count("--currency ETH"), 0);
    assert_eq!(count(&format!("--peer {peer}")), 1);
    assert_eq!(count(&format!("--peer {}", key(2).public())), 0, "that is ourselves");
    audit("--peer nobody").failed(2).says("[peers] of the config (--config) has no such name");
    audit("--since tomorrow").code(2).says("expected a day in UTC like 2026-01-31");
    let whole = audit("--json --totals").done();
    whole.says("note: no ledger was asked").says("--offline");
    let [one, totals] = &whole.json()[..] else { panic!("a session and the totals") };
    assert_eq!((&one["peer_name"], &one["ledgers_asked"]), (&"=Sensors Ltd".into(), &false.into()));
    let money = totals["totals"]["money"].as_array().unwrap();
    let by: Vec<_> = money.iter().map(|sum| sum["by"].as_str().unwrap()).collect();
    assert_eq!(by, ["peer", "topic", "currency", "day"]);
    assert!(money.iter().all(|sum| sum["invoiced"] == "18" && sum["settled"] == "0"), "{totals}");
    assert_eq!((&money[3]["of"], &money[2]["direction"]), (&"2026-01-01".into(), &"spent".into()));
    let csv = audit("--format csv").done();
    assert!(
        csv.out.lines().skip(1).all(|line| line.contains(",'=Sensors Ltd,buyer,")),
        "{}",
        csv.out
    );
    assert_eq!(audit("--format csv --until 2025-12-31").done().out.lines().count(), 1);
    audit("").done().says("(=Sensors Ltd)").says("signed for   0.000018 SDP");
}

/// Changes an entry behind the journal's back: its time, by one millisecond.
fn flip_in_entry(dir: &Path, seq: u64) {
    // The one place beside the journal's own that opens its files, because it does damage.
    // A child that another test is just starting holds the journal's lock, too, until it is exec'd.
    let since = std::time::Instant::now();
    let db = loop {
        match sled::open(dir) {
            Err(error) if since.elapsed().as_secs() < 10 => {
                assert!(error.to_string().contains("lock"), "{error}");
                std::thread::yield_now();
            }
            opened => break opened.unwrap(),
        }
    };
    let row = [&[2][..], &seq.to_be_bytes()].concat();
    let (key, value) = db.scan_prefix(row).next().unwrap().unwrap();
    let was = pair::START_MS.to_string();
    let at = value.windows(was.len()).position(|bytes| bytes == was.as_bytes()).unwrap();
    let mut changed = value.to_vec();
    changed[at + was.len() - 1] += 1;
    db.insert(key, changed).unwrap();
    db.flush().unwrap();
}

#[test]
fn a_journal_that_a_node_has_open_is_read_through_the_node() {
    let shop = Shop::new();
    let dir = shop.path("j");
    let journal = write_session(&dir, Setting::default(), 2);
    let reader = journal.reader();
    let head = reader.head().unwrap().seq.to_string();
    let pid = std::process::id().to_string();
    let read = |args: &[&str]| shop.run(&[args, &["--journal", "j"]].concat());
    let alone = read(&["journal", "verify"]).failed(1);
    alone.says(&format!("process {pid}")).says("does not answer on its socket");
    let served = reader.clone();
    let handler = move |request| {
        let served = served.clone();
        async move {
            match request {
                Request::Journal(query) => Response::Journal(served.answer(&query).unwrap()),
                Request::Retry(_) => Response::Retried,
                Request::Cancel(_) => Response::Cancelling,
                Request::Prune(_) | Request::Status => Response::Status(Value::Null),
                Request::Settle(_) => Response::Settling(Value::Null),
                _ => Response::Failed("nobody asks that here".to_owned()),
            }
        }
    };
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let (bound, is_bound) = std::sync::mpsc::channel();
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
    read(&["journal", "verify", "--at-least", &head]).done();
    let through_node = [
        read(&["journal", "list", "--json"]).done().out,
        read(&["journal", "list", "obligations", "--json"]).done().out,
        read(&["audit", "--json"]).done().out,
    ];
    let reference = reader.obligations(None, 1).unwrap()[0].owed.reference.to_string();
    read(&["journal", "retry", &reference]).done().says("will be tried again");
    read(&["journal", "cancel", &reference]).done().says("will not be done");
    drop(stop);
    node.join().unwrap();
    drop((reader, journal));
    let by_ourselves = [
        read(&["journal", "list", "--json"]).done().out,
        read(&["journal", "list", "obligations", "--json"]).done().out,
        read(&["audit", "--json"]).done().out,
    ];
    assert_eq!(through_node, by_ourselves);
    assert!(through_node.iter().all(|out| !out.is_empty()));
}

#[test]
fn what_a_ledger_refused_is_tried_again_when_somebody_says_so() {
    let shop = Shop::new();
    let mut journal = write_session(&shop.path("j"), Setting::default(), 2);
    let reference = journal.reader().obligations(None, 1).unwrap()[0].owed.reference;
    let event = obligation::Event::Refused { why: "TooPoor: no coin".to_owned() };
    let refused = Write::Obligation { reference, event };
    journal.commit(pair::START_MS, vec![refused]).unwrap().remove(0).unwrap();
    drop(journal);
    let (reference, show) = (reference.to_string(), ["journal", "show", "--journal", "j"]);
    let show = || shop.run(&[&show[..], &[reference.as_str()]].concat()).done();
    show().says("TooPoor: no coin");
    shop.run(&["journal", "retry", &reference, "--journal", "j"]).done();
    show().says("\"state\": \"open\"");
}

#[test]
fn what_is_not_signed_yet_is_cancelled_when_somebody_says_so() {
    let shop = Shop::new();
    let journal = write_session(&shop.path("j"), Setting::default(), 2);
    let reference = journal.reader().obligations(None, 1).unwrap()[0].owed.reference.to_string();
    drop(journal);
    let run = |verb: &str| shop.run(&["journal", verb, &reference, "--journal", "j"]);
    run("cancel").done().says("will not be done, unless it is done before");
    run("show").done().says("cancelled by the operator");
    run("cancel").failed(1).says("cannot happen");
    run("retry").done();
}

const BUYER: &str = r#"
    identity = { key = "file:key" }
    journal = { dir = "j" }
    ledgers.local = { kind = "embedded", dir = "chain" }
    currencies.SDP = { ledger = "local", decimals = 6 }
    [[buyer.currencies]]
    currency = "SDP"
    max_total = 1000
"#;

/// A journal whose anchors and payments are on a real chain, in a folder of its own.
#[tokio::test]
async fn audit_asks_the_ledgers_whether_they_hold_what_the_journal_says() {
    let shop = Shop::new();
    fs::write(shop.path("key"), hex::encode([2; 32])).unwrap();
    fs::set_permissions(shop.path("key"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(shop.path("buyer.toml"), BUYER).unwrap();
    let config = Config::load(&shop.path("buyer.toml")).unwrap();
    let opened = Opened::open(&config, "local", &mut Keyring::default()).await.unwrap();
    let ledger = opened.ledger().clone();
    opened.fund(ledger.account(), &Asset::coin(), Amount::new(100)).await.unwrap();
    let mut setting = Setting::default();
    for offer in &mut setting.menu.currencies_accepted {
        offer.ledger = ledger.id().clone();
    }
    setting.menu.records.as_mut().unwrap().ledger = ledger.id().clone();
    setting.buyer.records = Some(ledger.id().clone());
    setting.wish.currencies[0].ledger = ledger.id().clone();
    let mut journal = write_session(&shop.path("j"), setting, 2);
    let policy = Policy {
        anchors_at_most: 1,
        redeems_at_most: 1,
        raise_after_ms: 30_000,
        in_flight_max: 4,
        poll_ms: 1,
        backoff_base_ms: 1,
        backoff_max_ms: 1,
    };
    let mut outbox = Outbox::new(ledger.as_ref(), policy);
    let mut now_ms = pair::START_MS;
    while let Some(due_ms) = outbox.next_due(&journal.reader()).unwrap() {
        now_ms = now_ms.max(due_ms);
        for step in outbox.plan(&journal.reader(), now_ms).unwrap() {
            let answer = perform(ledger.as_ref(), &step).await;
            let writes = outbox.outcome(step, answer, now_ms, 0);
            journal.commit(now_ms, writes).unwrap();
        }
    }
    drop((journal, ledger, opened));
    let audit = |more: &[&str]| shop.run(&[&["audit", "--journal", "j"], more].concat());
    audit(&[]).done().says("no ledger was asked").says("settled      0.000018 SDP");
    let asked = audit(&["--config", "buyer.toml"]).done();
    asked.says("anchors      1/1 final").says("nothing is wrong");
    assert_eq!(asked.err, "");
    // Another chain has never heard of it, and is not the one that the journal names.
    shop.edit("buyer.toml", "chain", "other");
    let part = audit(&["--config", "buyer.toml"]).failed(5);
    part.says("the config names none with this id").says("its ledgers hold was not all checked");
    let offline = audit(&["--config", "buyer.toml", "--offline"]).done();
    offline.says("no ledger was asked whether it holds the 3 transactions").says("; --offline");
    // The same chain, cut back to its genesis: what was final is gone.
    shop.edit("buyer.toml", "other", "chain");
    let blocks = shop.path("chain/blocks");
    let text = fs::read_to_string(&blocks).unwrap();
    fs::write(&blocks, format!("{}\n", text.lines().next().unwrap())).unwrap();
    let lost = audit(&["--config", "buyer.toml", "--json"]).failed(3);
    lost.says("there is no such transaction");
    assert_eq!(lost.json()[0]["anchors"][0]["ok"], false);
    assert_eq!(lost.json()[0]["problems"].as_array().unwrap().len(), 3);
}

/// Nothing is wrong with the history that the bench makes, or it would say so and end.
#[test]
fn the_bench_audits_a_journal_that_it_makes() {
    let shop = Shop::new();
    let bench = shop
        .run(&["bench", "audit", "--entries", "300", "--runs", "1", "--dir", ".", "--json"])
        .done();
    let [told] = &bench.json()[..] else { panic!("one object: {}", bench.out) };
    // Two sessions at least, one of either kind, each with fifty windows of three signatures.
    let note = told["notes"][0].as_str().unwrap();
    let numbers: Vec<u64> = note.split(' ').filter_map(|word| word.parse().ok()).collect();
    assert!(numbers[0] >= 2 * 150 && numbers[1] >= 300, "{note}");
    let [verified, memory] = &told["figures"].as_array().unwrap()[..] else { panic!("{told}") };
    for figure in [&verified["median"], &verified["bound"]["median"], &memory["median"]] {
        assert!(figure.as_f64().is_some_and(|figure| figure > 0.0), "{told}");
    }
    assert_eq!(fs::read_dir(shop.dir.path()).unwrap().count(), 0, "nothing stays behind");
}

/// From a menu as it was signed, and from figures.
#[test]
fn bonds_are_suggested_for_what_a_menu_sells() {
    let shop = Shop::new();
    let vectors = include_str!("vectors/by-escrow.txt");
    let frame = vectors.lines().next().unwrap().trim_start_matches("seller ");
    let frame: Value = serde_json::from_str(frame).unwrap();
    fs::write(shop.path("menu.json"), frame["data"].to_string()).unwrap();
    let menu = |more: &[&str]| {
        let args = ["ledger", "bond", "suggest", "--menu", "menu.json", "--topic", "gas"];
        let more = [&["--currency", "SDP", "--million-gas", "1"], more].concat();
        shop.run(&[&args, &more[..]].concat())
    };
    let told = menu(&["--json"]).done().json();
    let amounts = |told: &Value| {
        let names = ["buyer", "seller", "stake", "fee", "least_debt", "window", "credit"];
        names.map(|name| told[name].as_str().unwrap().parse::<u64>().unwrap())
    };
    assert_eq!(amounts(&told[0]), [27, 27, 1, 0, 2, 12, 12]);
    let told = menu(&["--granularity", "100", "--windows", "2", "--json"]).done().json();
    assert_eq!(amounts(&told[0]), [1203, 603, 1, 0, 2, 300, 600]);
    menu(&[]).done().says("the buyer pledges     27");

    // To show an item of a large dataset costs more, and a complaint's stake pays for that.
    let stake = || {
        let args = ["ledger", "bond", "suggest", "--menu", "menu.json", "--topic", "gas"];
        let more = ["--currency", "SDP", "--million-gas", "1000000", "--json"];
        amounts(&shop.run(&[&args[..], &more].concat()).done().json()[0])[2]
    };
    let of_a_window = stake();
    let mut large = frame["data"].clone();
    large["available_data"]["gas"] = json!(1 << 20);
    large["datasets"] = json!({ "gas": keccak(&[b"a dataset"]) });
    fs::write(shop.path("menu.json"), large.to_string()).unwrap();
    assert_eq!(stake(), of_a_window + 12 * 1_020, "it has twelve levels more");
    large["available_data"]["gas"] = json!((1 << 20) + 1);
    fs::write(shop.path("menu.json"), large.to_string()).unwrap();
    menu(&[]).failed(2).says("a dataset of more than 1048576 items");

    let figures = |gas: &str, more: &[&str]| {
        let args = ["ledger", "bond", "suggest", "--price", "1000", "--million-gas", gas];
        shop.run(&[&args[..], &["--granularity", "10", "--windows", "2"], more].concat())
    };
    figures("1000..4000", &[]).done().says("at 1000 to 4000");
    // A ledger on which a demand costs more than all that can be owed, and what to do then.
    figures("1000..1000000", &[]).failed(2).says("larger windows");
    figures("9..7", &[]).failed(2).says("more than");
    shop.run(&["ledger", "bond", "suggest", "--million-gas", "1"]).failed(2).says("--menu");
    let topic = ["--menu", "menu.json", "--currency", "SDP", "--million-gas", "1", "--topic"];
    let co = shop.run(&[&["ledger", "bond", "suggest"], &topic[..], &["co"]].concat());
    co.failed(2).says("no topic");
}

#[test]
fn wrong_usage_is_told_apart_from_failure() {
    let shop = Shop::new();
    shop.run(&[]).failed_or_help();
    shop.run(&["jurnal"]).failed(2).says("journal");
    shop.run(&["audit"]).failed(2).says("--journal");
    shop.run(&["--version"]).done().says("sdpp 0.1.0");
    shop.run(&["audit", "--help"]).done().says("Example:\n  sdpp audit");
    // Before anything else that such an order lacks.
    for address in ["127.0.0.1", "127.0.0.1:99999", ":9620", "tls://127.0.0.1:"] {
        let buy = ["buy", address, "co2", "5", "--config", "buyer.toml"];
        shop.run(&buy).failed(2).says(&format!("{address:?} is no HOST:PORT"));
        shop.run(&["menu", address]).failed(2).says(&format!("{address:?} is no HOST:PORT"));
    }
}

impl Ran {
    /// Without a verb the help is the answer, and still it is wrong usage.
    #[track_caller]
    fn failed_or_help(self) {
        assert_eq!(self.code, 2);
        self.says("Usage: sdpp");
    }
}
