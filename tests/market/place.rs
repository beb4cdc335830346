//! A market place in a folder of its own: starts the programs on free ports, and stops what it
//! started.

use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use tempfile::TempDir;

/// How the seller sells; change what the story is about.
#[derive(Clone)]
pub struct Setting {
    pub granularity: u32,
    pub credit_windows: u32,
    pub signed: bool,
    pub methods: &'static str,
    pub batch: &'static str,
    pub anchor: &'static str,
    pub topics: String,
    /// The root of the co2 topic stands on the menu.
    pub committed: bool,
    pub patience_ms: u64,
    /// How long a payee can still settle after the payer asked to close.
    pub grace_ms: u64,
    pub outage_s: u64,
    /// How long the seller keeps a session whose connection broke.
    pub resume_s: u64,
    /// How the ledger is served, beside that.
    pub ledger: &'static [&'static str],
}

impl Default for Setting {
    fn default() -> Self {
        Setting {
            granularity: 10,
            credit_windows: 2,
            signed: true,
            methods: "[\"transfer\"]",
            batch: "each",
            anchor: "before",
            topics: String::new(),
            committed: false,
            patience_ms: 20_000,
            grace_ms: 900_000,
            outage_s: 300,
            resume_s: 0,
            ledger: &[],
        }
    }
}

/// A program that runs until it is dropped.
pub struct Running(pub Child);

impl Running {
    pub fn signal(&self, name: &str) {
        let id = self.0.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    pub fn wait(&mut self) -> std::process::ExitStatus {
        self.0.wait().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub struct Place {
    // Dropped in this order: nobody is left without a ledger for long.
    pub seller: Option<Running>,
    pub address: String,
    pub ledger: Running,
    ledger_address: String,
    setting: Setting,
    pub dir: TempDir,
}

pub fn sdpp() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sdpp"));
    command.stdin(Stdio::null());
    command
}

/// Starts a program and reads the address that its first line tells.
pub fn listening(command: &mut Command) -> (Running, String) {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let Some(address) = line.strip_prefix("listening ") else {
        let output = child.wait_with_output().unwrap();
        panic!("it did not start: {line:?} {}", String::from_utf8_lossy(&output.stderr));
    };
    // What it says must go somewhere, or it stops when the pipe is full.
    let errors = child.stderr.take().unwrap();
    std::thread::spawn(move || BufReader::new(errors).lines().for_each(drop));
    let address = address.trim().to_owned();
    (Running(child), address)
}

impl Place {
    pub fn open(setting: Setting) -> Place {
        let mut place = Place::before_the_seller(setting);
        place.sell();
        place
    }

    /// A ledger that is served, and the config of a seller that was never started.
    pub fn before_the_seller(setting: Setting) -> Place {
        let dir = tempfile::tempdir().unwrap();
        let mut serve = sdpp();
        serve.args(["ledger", "serve", "--listen", "127.0.0.1:0", "--grace-period-ms"]);
        serve.arg(setting.grace_ms.to_string()).args(setting.ledger).arg("--dir");
        let (ledger, ledger_address) = listening(serve.arg(dir.path().join("ledger")));
        let place =
            Place { seller: None, address: String::new(), ledger, ledger_address, setting, dir };
        let seller = place.seller_toml();
        place.write_side("seller", &seller);
        place
    }

    /// Starts the seller, again where it was stopped.
    pub fn sell(&mut self) {
        drop(self.seller.take());
        let (seller, address) = sell(&self.path("seller.toml"));
        (self.seller, self.address) = (Some(seller), address);
    }

    /// Ends the seller in good order: what it owed is settled when it is gone.
    pub fn close(&mut self) {
        self.seller().signal("TERM");
        assert!(self.seller().wait().success());
    }

    /// From here on no file of the running seller may grow beyond so many bytes, which a full disk
    /// looks like; `None` makes room again.
    pub fn limit_files(&mut self, bytes: Option<u64>) {
        use rustix::process::{Pid, Resource, Rlimit, prlimit};
        let id = i32::try_from(self.seller().0.id()).unwrap();
        let limit = Rlimit { current: bytes, maximum: None };
        prlimit(Pid::from_raw(id), Resource::Fsize, limit).unwrap();
    }

    pub fn seller(&mut self) -> &mut Running {
        self.seller.as_mut().unwrap()
    }

    /// A buyer with so much money.
    pub fn buyer(&self, name: &str, funds: u64) {
        self.write_side(name, &self.buyer_toml(name));
        let config = self.path(&format!("{name}.toml"));
        let funds = funds.to_string();
        let funded = sdpp().args(["ledger", "fund", &funds, "--config"]).arg(config).output();
        assert_done(&funded.unwrap());
    }

    /// A buyer's command to buy; its items go to a file of its name.
    pub fn buy(&self, name: &str, topic: &str, quantity: &str) -> Command {
        buy(self.dir.path(), name, &[&self.address, topic, quantity])
    }

    pub fn items(&self, name: &str) -> PathBuf {
        self.path(&format!("{name}.items"))
    }

    /// How many items have come to a buyer's file.
    pub fn lines(&self, name: &str) -> usize {
        lines(&self.items(name))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn journal(&self, name: &str) -> PathBuf {
        self.path(&format!("{name}-journal"))
    }

    /// A side's statements, read back from the ledger too. Fails where anything is wrong.
    pub fn audit(&self, name: &str) -> Vec<Value> {
        audit(self.dir.path(), name)
    }

    /// What the running seller says of itself. Its exit says whether it is ready.
    pub fn status(&self) -> Value {
        let output =
            sdpp().args(["status", "--json", "--journal"]).arg(self.journal("seller")).output();
        let output = output.unwrap();
        let status: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
        assert_eq!(output.status.code(), Some(i32::from(status["ready"] != true)), "{status}");
        status
    }

    /// Changes the seller's config, and starts it again.
    pub fn sell_with(&mut self, from: &str, to: &str) {
        let path = self.path("seller.toml");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(path, text.replacen(from, to, 1)).unwrap();
        self.sell();
    }

    pub fn balance(&self, name: &str) -> u128 {
        let config = self.path(&format!("{name}.toml"));
        let output =
            sdpp().args(["ledger", "balance", "--json", "--config"]).arg(config).output().unwrap();
        assert_done(&output);
        let text = String::from_utf8(output.stdout).unwrap();
        let found: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        amount(&found["amount"])
    }

    fn write_side(&self, name: &str, config: &str) {
        let dir = self.dir.path();
        let key = sdpp_ledger::keccak(&[name.as_bytes(), dir.as_os_str().as_encoded_bytes()]);
        write_side(dir, name, &key.to_string(), config);
    }

    /// The key of a side, which its config names too.
    pub fn key(&self, name: &str) -> sdpp_ledger::Key {
        let dir = self.dir.path().as_os_str().as_encoded_bytes();
        sdpp_ledger::Key::from_bytes(&sdpp_ledger::keccak(&[name.as_bytes(), dir]).0).unwrap()
    }

    /// Where the ledger is served.
    pub fn ledger_address(&self) -> &str {
        &self.ledger_address
    }

    fn shared(&self, name: &str) -> String {
        let (ledger, setting) = (&self.ledger_address, &self.setting);
        let (methods, batch, anchor) = (setting.methods, setting.batch, setting.anchor);
        format!(
            "[identity]\nkey = \"file:{name}.key\"\n[journal]\ndir = \"{name}-journal\"\n\
             [ledgers.local]\nkind = \"embedded\"\naddress = \"{ledger}\"\n\
             [currencies.SDP]\nledger = \"local\"\ndecimals = 6\nmethods = {methods}\n\
             [records]\nledger = \"local\"\nbatch = \"{batch}\"\nanchor = \"{anchor}\"\n"
        )
    }

    fn seller_toml(&self) -> String {
        let Setting { granularity, credit_windows, signed, topics, patience_ms, .. } =
            &self.setting;
        let Setting { outage_s, resume_s, .. } = &self.setting;
        let committed = if self.setting.committed { ", committed = true" } else { "" };
        let co2 = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/data/mauna-loa-co2.csv");
        format!(
            "{}[seller]\nlisten = \"127.0.0.1:0\"\ndefault_currency = \"SDP\"\n\
             granularity = {granularity}\ncredit_windows = {credit_windows}\n\
             signature_required = {signed}\npatience_ms = {patience_ms}\n\
             outage_s = {outage_s}\nresume_s = {resume_s}\n\
             [topics.co2]\nprice = \"20\"\nunits = \"ppm\"\n\
             source = {{ kind = \"file\", path = \"{}\", format = \"csv\"{committed} }}\n\
             [topics.memory]\nprice = \"3\"\nunits = \"bytes\"\n\
             source = {{ kind = \"host\", sensor = \"memory\", interval_ms = 10 }}\n\
             [limits]\nconnections_per_address_max = 64\n{topics}",
            self.shared("seller"),
            co2.display()
        )
    }

    fn buyer_toml(&self, name: &str) -> String {
        let deposit =
            if self.setting.methods.contains("escrow") { "deposit = \"5000\"\n" } else { "" };
        format!(
            "{}[buyer]\npatience_ms = {}\n[[buyer.currencies]]\ncurrency = \"SDP\"\nmax_total = \"1000000\"\n{deposit}",
            self.shared(name),
            self.setting.patience_ms
        )
    }
}

/// Starts a seller by its config.
pub fn sell(config: &Path) -> (Running, String) {
    listening(sdpp().args(["sell", "--config"]).arg(config))
}

/// A command to buy, as the buyer of this name: where, what, and how much. Its items go to a file
/// of its name.
pub fn buy(dir: &Path, name: &str, order: &[&str]) -> Command {
    let mut command = sdpp();
    command.arg("buy").args(order).args(["--trust-on-first-use", "--json", "--config"]);
    command.arg(dir.join(format!("{name}.toml")));
    command.arg("--output").arg(dir.join(format!("{name}.items")));
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// How many lines a file has; none where it is not there.
pub fn lines(file: &Path) -> usize {
    fs::read_to_string(file).map_or(0, |text| text.lines().count())
}

/// The statements of a side's journal, read back from its ledgers too. Fails where anything is
/// wrong.
pub fn audit(dir: &Path, name: &str) -> Vec<Value> {
    let mut command = sdpp();
    command.args(["audit", "--format", "json", "--journal"]);
    command.arg(dir.join(format!("{name}-journal")));
    let output = command.arg("--config").arg(dir.join(format!("{name}.toml"))).output().unwrap();
    assert_done(&output);
    statements(&output.stdout)
}

/// Writes a side's key, which nobody else may read, and its config.
pub fn write_side(dir: &Path, name: &str, key: &str, config: &str) {
    let file = dir.join(format!("{name}.key"));
    fs::write(&file, format!("{key}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(dir.join(format!("{name}.toml")), config).unwrap();
}

pub fn assert_done(output: &Output) {
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}: {out}{err}", output.status);
}

pub fn amount(value: &Value) -> u128 {
    value.as_str().unwrap_or_else(|| panic!("{value} is no amount")).parse().unwrap()
}

/// Statements as JSON: one object a line, or an array.
pub fn statements(stdout: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(stdout).unwrap();
    let values = text.lines().map(|line| serde_json::from_str(line).unwrap());
    values
        .flat_map(|value| match value {
            Value::Array(values) => values,
            value => vec![value],
        })
        .collect()
}

/// The first lines that the co2 topic sells.
pub fn co2_items(count: usize) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/data/mauna-loa-co2.csv");
    let text = fs::read_to_string(path).unwrap();
    let mut rows = text.lines();
    let keys: Vec<&str> = rows.next().unwrap().split(',').collect();
    let item = |row: &str| {
        let cells = keys.iter().zip(row.split(','));
        let pairs: Vec<String> = cells.map(|(key, cell)| format!("\"{key}\":\"{cell}\"")).collect();
        format!("{{{}}}", pairs.join(","))
    };
    rows.take(count).map(item).collect()
}

/// Runs a command; what it printed, with the exit code.
pub fn told(command: &mut Command) -> (i32, String) {
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    (output.status.code().unwrap(), text.concat())
}

/// A command on a ledger that was never started: it says which script starts it.
#[cfg(any(feature = "ethereum", feature = "fabric", feature = "iota"))]
pub fn says_what_to_start(command: &[&str], script: &str) {
    let dir = tempfile::tempdir().unwrap();
    let variable = format!("SDPP_{}_DIR", script.to_uppercase());
    let (exit, said) = told(sdpp().args(command).env_remove(variable).current_dir(&dir));
    assert_eq!(exit, 5, "{said}");
    assert!(said.contains(&format!("scripts/{script} up")), "{said}");
}
