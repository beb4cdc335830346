//! A Fabric network of a test's own: the double of `contracts/fabric` with the real chaincode,
//! started on free ports and ended with the test. Shared by path with the tests of the whole
//! project.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "each test file is a program, uses its own part, and fails by panicking"
)]

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// The money that the double gives each trader, where it is seeded.
pub const MONEY: &str = "Org1MSP/USD";

/// How much of it each has at first.
pub const FIRST: u128 = 1_000_000_000_000;

/// How long a block waits for more transactions, in milliseconds.
pub const BLOCK_MS: u64 = 50;

/// A network in a process of its own.
pub struct Double {
    child: Child,
    pub dir: TempDir,
    pub network: Value,
    pub faults: Faults,
}

impl Double {
    /// Starts one whose traders have money; `None`, said aloud, where there is no Node or nothing
    /// was installed from npm. Under `CI=true` there must be both.
    pub fn start(options: &[&str]) -> Option<Double> {
        Double::start_guarded(options, &[])
    }

    /// The same with variables in its environment, which say whom it lets in.
    pub fn start_guarded(options: &[&str], guards: &[(&str, &str)]) -> Option<Double> {
        if let Some(missing) = missing() {
            let is_ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
            assert!(!is_ci, "there is no double: {missing}");
            eprintln!("SKIPPED: there is no double: {missing}");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new("node");
        command.arg(home().join("double/main.js")).arg("--dir").arg(dir.path());
        command.args(["--port", "0", "--seed", "--block-ms", &BLOCK_MS.to_string()]);
        command.args(options).envs(guards.iter().copied());
        let mut child = command.stdout(Stdio::piped()).spawn().expect("node starts");
        until_it_serves(&mut child);
        let text = std::fs::read_to_string(dir.path().join("network.json")).unwrap();
        let network: Value = serde_json::from_str(&text).unwrap();
        let faults = Faults(network["faults"].as_str().unwrap().to_owned());
        Some(Double { child, dir, network, faults })
    }

    pub fn url(&self) -> String {
        self.network["url"].as_str().unwrap().to_owned()
    }

    /// Where the gateway listens, without the scheme.
    pub fn host(&self) -> String {
        self.url().split_once("://").unwrap().1.to_owned()
    }

    /// The account of one of the signers that the network comes with.
    pub fn account(&self, signer: &str) -> String {
        let signers = self.network["signers"].as_array().unwrap();
        let found = signers.iter().find(|one| one["name"] == signer);
        found.expect("a signer of the double")["account"].as_str().unwrap().to_owned()
    }

    /// What it wrote next to `network.json`: the certificates, where it serves TLS.
    pub fn file(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.dir.path().join(name)).unwrap()
    }
}

impl Drop for Double {
    fn drop(&mut self) {
        // Its chaincode ends with it, however it ends.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What can be made to go wrong at a double, from any thread.
#[derive(Clone)]
pub struct Faults(String);

impl Faults {
    /// Arms a fault, as `contracts/fabric/README.md` lists them.
    pub fn arm(&self, fault: Value) {
        self.ask("POST", "/faults", Some(fault));
    }

    /// Takes back all that is armed, and plugs the chaincode in again.
    pub fn calm(&self) {
        self.ask("DELETE", "/faults", None);
    }

    /// Ends the gateway and starts it again on the same ledger, so much later.
    pub fn restart(&self, down_ms: u64) {
        self.ask("POST", "/restart", Some(json!({ "downMs": down_ms })));
    }

    /// How often a fault of a kind happened.
    pub fn fired(&self, kind: &str) -> u64 {
        self.told()["fired"][kind].as_u64().unwrap_or(0)
    }

    /// How many transactions are in blocks with a code.
    pub fn count(&self, code: &str) -> u64 {
        self.told()["counts"][code].as_u64().unwrap()
    }

    /// What is armed, and what happened so far.
    pub fn told(&self) -> Value {
        self.ask("GET", "/", None)
    }

    fn ask(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let address = self.0.strip_prefix("http://").unwrap();
        let body = body.map_or(String::new(), |body| body.to_string());
        let mut stream = TcpStream::connect(address).unwrap();
        // The old version, so that the answer is all that comes.
        let head = format!("{method} {path} HTTP/1.0\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap();
        assert_eq!(status, "200", "{method} {path}: {body}");
        serde_json::from_str(body).unwrap()
    }
}

fn home() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let found = here.ancestors().map(|dir| dir.join("contracts/fabric")).find(|dir| dir.is_dir());
    found.expect("the project holds contracts/fabric")
}

fn missing() -> Option<String> {
    let node = Command::new("node").arg("--version").output();
    if !node.is_ok_and(|node| node.status.success()) {
        return Some("Node is not installed".to_owned());
    }
    let shim = home().join("node_modules/fabric-shim");
    (!shim.is_dir()).then(|| "run `npm ci --ignore-scripts` in contracts/fabric".to_owned())
}

/// Waits until it says where it is, and reads all that it says from then on, or the pipe would
/// fill.
fn until_it_serves(child: &mut Child) {
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let serves = |line: std::io::Result<String>| line.unwrap().starts_with("double: gateway at ");
    assert!(lines.by_ref().any(serves), "the double ended before it served");
    std::thread::spawn(move || lines.for_each(drop));
}
