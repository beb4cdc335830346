//! A gateway as anybody can ask it, past the adapter: for what a story needs to be there before,
//! and for what it left behind.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "each test file is a program, uses its own part, and fails by panicking"
)]

use super::double::Double;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// A gateway, with one channel and chaincode of it.
#[derive(Clone)]
pub struct Gateway {
    pub url: String,
    pub channel: String,
    pub chaincode: String,
    pub authorization: Option<String>,
    http: reqwest::Client,
}

/// A signer of a gateway, with its account.
#[derive(Clone, Debug)]
pub struct Signer {
    pub name: String,
    pub account: String,
}

/// What a valid transaction told.
#[derive(Debug)]
pub struct Told {
    pub tx: String,
    pub height: u64,
    /// The event's name.
    pub what: String,
    pub owner: String,
    pub reference: String,
}

impl Gateway {
    /// The double's, where it lets everybody in.
    pub fn of(double: &Double) -> Gateway {
        let text = |name: &str| double.network[name].as_str().unwrap().to_owned();
        Gateway::at(double.url(), text("channel"), text("chaincode"), None)
    }

    /// The same gateway by another way to it.
    pub fn through(&self, url: String) -> Gateway {
        Gateway { url, ..self.clone() }
    }

    pub fn at(
        url: String,
        channel: String,
        chaincode: String,
        authorization: Option<String>,
    ) -> Gateway {
        // No connection is kept: a gateway closes an idle one whenever it likes.
        let http = reqwest::Client::builder().pool_max_idle_per_host(0).build().unwrap();
        Gateway { url, channel, chaincode, authorization, http }
    }

    /// Submits what must become valid: its transaction.
    pub async fn submit(&self, signer: &str, func: &str, args: &[&str]) -> String {
        self.try_submit(signer, func, args).await.unwrap_or_else(|text| panic!("{func}: {text}"))
    }

    /// Submits: the transaction, or what the gateway says against it.
    pub async fn try_submit(
        &self,
        signer: &str,
        func: &str,
        args: &[&str],
    ) -> Result<String, String> {
        let (status, answer) = self.call("/transactions", signer, func, args).await;
        match answer["transactionHash"].as_str() {
            Some(tx) if status == 200 => Ok(tx.to_owned()),
            _ => Err(answer.to_string()),
        }
    }

    /// Asks the chaincode what it must answer.
    pub async fn query(&self, signer: &str, func: &str, args: &[&str]) -> Value {
        let (status, answer) = self.call("/query", signer, func, args).await;
        assert_eq!(status, 200, "{func}: {answer}");
        answer["result"].clone()
    }

    async fn call(&self, path: &str, signer: &str, func: &str, args: &[&str]) -> (u16, Value) {
        let headers = json!({ "type": "SendTransaction" });
        let body = json!({ "headers": headers, "func": func, "args": args });
        self.request("POST", &self.for_signer(path, signer), Some(body)).await
    }

    fn for_signer(&self, path: &str, signer: &str) -> String {
        let Gateway { channel, chaincode, .. } = self;
        format!("{path}?fly-channel={channel}&fly-chaincode={chaincode}&fly-signer={signer}")
    }

    /// Sends a request: the answer's status and JSON.
    pub async fn request(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let url = format!("{}{path}", self.url);
        let mut request = self.http.request(method.parse().unwrap(), url);
        request = request.header("Content-Type", "application/json");
        if let Some(authorization) = &self.authorization {
            request = request.header("Authorization", authorization);
        }
        if let Some(body) = body {
            request = request.body(body.to_string());
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// A new client of the gateway's CA with an open account; an admin can make money.
    pub async fn new_signer(&self, is_admin: bool) -> Signer {
        let signer = self.new_stranger(is_admin).await;
        self.submit(&signer.name, "OpenAccount", &[]).await;
        signer
    }

    /// The same without an account that is open.
    pub async fn new_stranger(&self, is_admin: bool) -> Signer {
        let name = fresh("sdpp");
        let attributes = if is_admin { json!({ "sdpp.admin": "true" }) } else { json!({}) };
        let asked = json!({ "name": name, "type": "client", "attributes": attributes });
        let (status, made) = self.request("POST", "/identities", Some(asked)).await;
        assert_eq!(status, 200, "a client must be registered, and: {made}");
        let attributes = if is_admin { json!({ "sdpp.admin": true }) } else { json!({}) };
        let asked = json!({ "secret": made["secret"], "attributes": attributes });
        let path = format!("/identities/{name}/enroll");
        let (status, made) = self.request("POST", &path, Some(asked)).await;
        assert_eq!(status, 200, "a client must be enrolled, and: {made}");
        let account = self.account(&name).await;
        Signer { name, account }
    }

    /// The account of a signer.
    pub async fn account(&self, signer: &str) -> String {
        self.query(signer, "WhoAmI", &[]).await["account"].as_str().unwrap().to_owned()
    }

    /// An admin makes money for an account: it is a credit that waits. The transaction.
    pub async fn mint(&self, admin: &str, to: &str, asset: &str, amount: u128) -> String {
        let (reference, amount) = (fresh("mint"), amount.to_string());
        self.submit(admin, "Mint", &[&reference, to, asset, &amount]).await
    }

    /// Takes all that waits, up to 100 credits, into the balance of a signer.
    pub async fn sweep(&self, signer: &Signer, asset: &str) {
        let listed = self.query(&signer.name, "ListCredits", &[&signer.account, asset]).await;
        let credits = listed["credits"].as_array().unwrap().iter().take(100);
        let names: Vec<&str> = credits.map(|credit| credit["tx"].as_str().unwrap()).collect();
        let names = json!(names).to_string();
        self.submit(&signer.name, "Sweep", &[&fresh("sweep"), asset, &names]).await;
    }

    /// What an account has in all.
    pub async fn total(&self, signer: &str, account: &str, asset: &str) -> u128 {
        let found = self.query(signer, "GetBalance", &[account, asset]).await;
        found["total"].as_str().unwrap().parse().unwrap()
    }

    /// The newest block's height.
    pub async fn height(&self, signer: &str) -> u64 {
        let path = self.for_signer("/chaininfo", signer);
        let (status, answer) = self.request("GET", &path, None).await;
        assert_eq!(status, 200, "{answer}");
        answer["result"]["height"].as_u64().unwrap() - 1
    }

    /// All transactions in a range of blocks, with the height of each.
    pub async fn transactions(
        &self,
        signer: &str,
        heights: std::ops::RangeInclusive<u64>,
    ) -> Vec<(u64, Value)> {
        let mut found = Vec::new();
        for height in heights {
            let path = self.for_signer(&format!("/blocks/{height}"), signer);
            let (status, answer) = self.request("GET", &path, None).await;
            assert_eq!(status, 200, "{answer}");
            let list = answer["result"]["block"]["transactions"].as_array().cloned();
            found.extend(list.unwrap_or_default().into_iter().map(|tx| (height, tx)));
        }
        found
    }

    /// All that valid transactions have told since a height, in order: what really happened.
    pub async fn told_since(&self, signer: &str, height: u64) -> Vec<Told> {
        let newest = self.height(signer).await;
        let all = self.transactions(signer, height..=newest).await;
        let valid = all.iter().filter(|(_, tx)| tx["status"] == "VALID");
        valid.filter_map(|(height, tx)| told(*height, tx)).collect()
    }
}

fn told(height: u64, tx: &Value) -> Option<Told> {
    let event = &tx["actions"][0]["event"];
    let what = event["eventName"].as_str().filter(|name| !name.is_empty())?;
    let payload = base64(event["payload"].as_str().unwrap());
    let row: Value = serde_json::from_slice(&payload).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Some(Told {
        tx: text(&tx["tx_id"]),
        height,
        what: what.to_owned(),
        owner: text(&row["owner"]),
        reference: text(&row["reference"]),
    })
}

/// The bytes that base64 stands for.
pub fn base64(text: &str) -> Vec<u8> {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0u32, 0);
    for letter in text.bytes().filter(|letter| *letter != b'=') {
        let value = LETTERS.iter().position(|known| *known == letter).expect("base64");
        bits = (bits << 6) | u32::try_from(value).unwrap();
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from((bits >> count) & 0xff).unwrap());
        }
    }
    bytes
}

/// A name that nobody had before, not even in another run on the same network.
pub fn fresh(what: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    format!("{what}-{nanos:x}-{}-{count}", std::process::id())
}
