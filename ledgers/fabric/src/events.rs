//! What the ledger tells by itself, over the gateway's websocket. It only wakes: whatever is said
//! here is found out by asking, so duplicate, late and lost events do no harm.

use crate::block::Told;
use crate::call::{OWE, PAY, reference_of};
use crate::gateway::{Answer, Gateway, Trouble};
use crate::ledger::FabricLedger;
use crate::settings::Settings;
use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::{Upgraded, header};
use sdpp_ledger::{Account, LedgerId, Reference};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Message, Role, WebSocketConfig};

/// The longest message that is read, in bytes.
const MESSAGE_MAX: usize = 1024 * 1024;

/// The most events in a batch, and so the most references that are handed out at once.
const BATCH_MAX: usize = 100;

/// How long the gateway waits for a batch to fill, in milliseconds.
const BATCH_MS: u64 = 50;

/// After how long a silence we ask whether anybody is there.
const SILENCE: Duration = Duration::from_secs(30);

/// The waits between attempts to connect: the first, doubled each time up to the last.
const WAIT: Duration = Duration::from_secs(1);
const WAIT_MAX: Duration = Duration::from_secs(60);

/// The events of what we do and of what is done to us.
const EVENTS: &str = "^(Anchored|Paid|Owed)$";

/// How far we are with listening.
pub(crate) struct Listening {
    /// What our stream, its topic and its subscription are called at the gateway, always the same
    /// for an account, so that they are found again.
    name: String,
    state: State,
}

enum State {
    /// The gateway tells nothing, or was not to be asked.
    Off,
    /// Not connected: the next attempt is then, after so many in vain.
    Waiting { until: Instant, failures: u32 },
    /// Connected.
    Open(Box<Open>),
}

/// A connection.
struct Open {
    socket: WebSocketStream<Upgraded>,
    /// A batch was taken in and the gateway was not told yet.
    owes_ack: bool,
    /// The gateway was asked whether it is there.
    is_asked: bool,
}

#[derive(Deserialize)]
struct Named {
    id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    stream: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    #[serde(default)]
    event_name: String,
    #[serde(default)]
    payload: Value,
}

impl FabricLedger {
    /// Waits for events of ours. It may be dropped and called again at any time.
    pub(crate) async fn listen(&self) -> Vec<Reference> {
        let mut listening = self.own.listening.lock().await;
        loop {
            let references = listening.turn(&self.own.gateway, &self.own.account).await;
            if !references.is_empty() {
                return references;
            }
        }
    }
}

impl Listening {
    pub fn new(settings: &Settings, ledger: &LedgerId, account: &Account) -> Self {
        let whose = Sha256::digest(format!("{ledger} {account}"));
        let name = format!("sdpp-{}", &hex::encode(whose)[..24]);
        let state = match settings.events {
            true => State::Waiting { until: Instant::now(), failures: 0 },
            false => State::Off,
        };
        Listening { name, state }
    }

    /// Does the next thing: waits, connects, or takes in a batch.
    async fn turn(&mut self, gateway: &Gateway, own: &Account) -> Vec<Reference> {
        match &mut self.state {
            State::Off => std::future::pending().await,
            State::Waiting { until, failures } => {
                let (until, failures) = (*until, *failures);
                sleep_until(until).await;
                self.state = match connect(gateway, &self.name).await {
                    Ok(socket) => {
                        State::Open(Box::new(Open { socket, owes_ack: false, is_asked: false }))
                    }
                    Err(trouble) => after(trouble, failures),
                };
                Vec::new()
            }
            State::Open(open) => match open.next(&self.name).await {
                Some(batch) => references(&batch, own),
                None => {
                    self.state = waiting(0);
                    Vec::new()
                }
            },
        }
    }
}

/// What to do after an attempt to connect that failed.
fn after(trouble: Trouble, failures: u32) -> State {
    if let Trouble::Closed { what } = trouble {
        tracing::info!(what, "the gateway tells no events: asking from time to time");
        return State::Off;
    }
    if failures == 0 {
        let error = sdpp_ledger::LedgerError::from(trouble);
        tracing::info!(%error, "the gateway's events cannot be heard: trying again and again");
    }
    waiting(failures + 1)
}

fn waiting(failures: u32) -> State {
    let wait = WAIT.saturating_mul(1 << failures.min(10)).min(WAIT_MAX);
    State::Waiting { until: Instant::now() + wait, failures }
}

impl Open {
    /// The next batch, empty where it was none; `None` where the connection is over.
    async fn next(&mut self, topic: &str) -> Option<Vec<Event>> {
        if self.owes_ack {
            self.send(json!({ "type": "ack", "topic": topic })).await?;
            self.owes_ack = false;
        }
        let Ok(message) = timeout(SILENCE, self.socket.next()).await else {
            if self.is_asked {
                return None;
            }
            self.is_asked = true;
            self.put(Message::Ping(Vec::new().into())).await?;
            return Some(Vec::new());
        };
        self.is_asked = false;
        let text = match message?.ok()? {
            Message::Text(text) => text,
            Message::Close(_) => return None,
            _ => return Some(Vec::new()),
        };
        // A batch is a list; whatever else it says is not for us.
        let Ok(batch) = serde_json::from_str::<Vec<Event>>(&text) else { return Some(Vec::new()) };
        self.owes_ack = true;
        Some(batch)
    }

    async fn send(&mut self, message: Value) -> Option<()> {
        self.put(Message::Text(message.to_string().into())).await
    }

    async fn put(&mut self, message: Message) -> Option<()> {
        timeout(SILENCE, self.socket.send(message)).await.ok()?.ok()
    }
}

/// The references of what an account did, or was done to it.
fn references(batch: &[Event], own: &Account) -> Vec<Reference> {
    let told = |event: &Event| {
        let told = Told::read(&event.event_name, &event.payload)?;
        let is_paid = [&PAY, &OWE].iter().any(|&function| told.function == Some(function));
        let to = event.payload.get("to").and_then(Value::as_str);
        let is_ours = told.owner == *own || (is_paid && to == Some(own.as_str()));
        if is_ours { reference_of(&told.reference) } else { None }
    };
    batch.iter().filter_map(told).take(BATCH_MAX).collect()
}

/// Listens to our stream, which is made where it is not there.
async fn connect(gateway: &Gateway, name: &str) -> Answer<WebSocketStream<Upgraded>> {
    let stream = stream(gateway, name).await?;
    subscribe(gateway, name, &stream).await?;
    let key = generate_key();
    let headers = [
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", key.as_str()),
    ];
    let response = gateway.upgrade("ws", &headers).await?;
    let accepted = response.headers().get(header::SEC_WEBSOCKET_ACCEPT);
    if accepted
        .is_none_or(|accepted| accepted.as_bytes() != derive_accept_key(key.as_bytes()).as_bytes())
    {
        return Err(gateway.doubt("its websocket is none"));
    }
    let upgraded = response.upgrade().await;
    let upgraded = upgraded.map_err(|_| gateway.doubt("its websocket ended at once"))?;
    let limits = WebSocketConfig::default()
        .max_message_size(Some(MESSAGE_MAX))
        .max_frame_size(Some(MESSAGE_MAX));
    let socket = WebSocketStream::from_raw_socket(upgraded, Role::Client, Some(limits)).await;
    let mut open = Open { socket, owes_ack: false, is_asked: false };
    let listening = open.send(json!({ "type": "listen", "topic": name })).await;
    listening.ok_or_else(|| gateway.doubt("its websocket ended at once"))?;
    Ok(open.socket)
}

/// The id of our event stream.
async fn stream(gateway: &Gateway, name: &str) -> Answer<String> {
    let streams: Option<Vec<Named>> = gateway.own("eventstreams", None).await?;
    if let Some(stream) = streams.into_iter().flatten().find(|stream| stream.name == name) {
        return Ok(stream.id);
    }
    let wanted = json!({
        "name": name, "type": "websocket", "websocket": { "topic": name },
        "batchSize": BATCH_MAX, "batchTimeoutMS": BATCH_MS,
        "errorHandling": "block", "blockedRetryDelaySec": 2,
    });
    let made: Named = gateway.own("eventstreams", Some(wanted)).await?;
    Ok(made.id)
}

/// Has the chaincode's events put on the stream, from now on.
async fn subscribe(gateway: &Gateway, name: &str, stream: &str) -> Answer<()> {
    let subscriptions: Option<Vec<Named>> = gateway.own("subscriptions", None).await?;
    let is_ours = |one: &Named| one.name == name && one.stream == stream;
    if subscriptions.iter().flatten().any(is_ours) {
        return Ok(());
    }
    let Settings { channel, chaincode, signer, .. } = gateway.settings();
    let wanted = json!({
        "name": name, "stream": stream, "channel": channel, "signer": signer,
        "fromBlock": "newest", "payloadType": "json",
        "filter": { "chaincodeId": chaincode, "eventFilter": EVENTS },
    });
    let _: Named = gateway.own("subscriptions", Some(wanted)).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(n: u8) -> Account {
        format!("Org1MSP:{n:064}").parse().unwrap()
    }

    fn event(name: &str, row: &str, owner: u8, to: u8, reference: &str) -> Event {
        let payload = json!({
            "type": row, "owner": account(owner), "to": account(to), "reference": reference,
        });
        Event { event_name: name.to_owned(), payload }
    }

    #[test]
    fn only_events_of_ours_wake_us() {
        let one = Reference([1; 32]).to_string();
        let told = |event: Event| references(&[event], &account(7));
        assert_eq!(told(event("Paid", "payment", 1, 7, &one)), [Reference([1; 32])]);
        assert_eq!(told(event("Owed", "iou", 7, 1, &one)), [Reference([1; 32])]);
        assert_eq!(told(event("Anchored", "anchor", 7, 1, &one)), [Reference([1; 32])]);
        for other in [
            event("Paid", "payment", 1, 2, &one),
            event("Anchored", "anchor", 1, 7, &one),
            event("Paid", "payment", 1, 7, "INV-1"),
            Event { event_name: "Paid".to_owned(), payload: Value::Null },
        ] {
            assert_eq!(told(other), []);
        }
    }

    #[test]
    fn a_gateway_without_events_is_asked_no_more() {
        let closed = Trouble::Closed { what: "HTTP 405".to_owned() };
        assert!(matches!(after(closed, 0), State::Off));
        let State::Waiting { until, failures } = after(Trouble::doubt("away"), 3) else {
            panic!("an outage ends it");
        };
        assert_eq!(failures, 4);
        assert!(until <= Instant::now() + WAIT_MAX);
        let State::Waiting { until, .. } = waiting(u32::MAX) else { panic!("no wait") };
        assert!(until <= Instant::now() + WAIT_MAX);
    }
}
