//! Stories of a node behind a socket: what the other side may say, and what may become of it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod rig;

use rig::{Time, account, genesis, key};
use sdpp_ledger::{
    Anchor, Changes, ChannelId, Digest, Escrow, Finality, Ledger, LedgerError, Records, Reference,
};
use sdpp_ledger_embedded::{
    ANSWER_BYTES_MAX, CHANNELS_MAX, CONNECTIONS_MAX, EmbeddedLedger, Genesis, LocalNode, Node,
    Origin, QUESTION_BYTES_MAX, RemoteNode, serve,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

fn node(genesis: Genesis) -> Arc<LocalNode> {
    Arc::new(LocalNode::in_memory(genesis, Time::new().clock()).unwrap())
}

/// A served node that can be stopped and started again behind the same address.
struct Served {
    address: String,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Served {
    async fn start(node: &Arc<LocalNode>, address: &str) -> Served {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (stop, stopped) = oneshot::channel();
        let node = Arc::clone(node) as Arc<dyn Node>;
        let task = tokio::spawn(serve(listener, node, async {
            let _ = stopped.await;
        }));
        Served { address, stop, task }
    }

    async fn stop(self) -> String {
        self.stop.send(()).unwrap();
        self.task.await.unwrap();
        self.address
    }
}

/// Something behind an address that tells the right genesis first and then says `then` to
/// every question. Without `then` it says nothing at all.
async fn impostor(origin: &Origin, then: Option<Vec<u8>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let genesis = serde_json::to_string(origin.genesis()).unwrap();
    let first = format!("{{\"id\":1,\"ok\":{{\"genesis\":{genesis}}}}}\n");
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            let mut stream = BufReader::new(stream);
            let mut line = String::new();
            let _ = stream.read_line(&mut line).await;
            let _ = stream.write_all(first.as_bytes()).await;
            let _ = stream.read_line(&mut line).await;
            match &then {
                Some(then) => drop(stream.write_all(then).await),
                None => held.push(stream),
            }
        }
    });
    address
}

fn outage(result: Result<impl std::fmt::Debug, LedgerError>, address: &str) -> String {
    match result {
        Err(LedgerError::Unavailable { what, .. }) => {
            assert!(what.contains(address), "{what:?} names no address");
            what
        }
        other => panic!("no outage: {other:?}"),
    }
}

#[tokio::test]
async fn garbage_from_the_other_side_is_an_outage() {
    let origin = node(genesis()).origin().clone();
    let long = vec![b'x'; ANSWER_BYTES_MAX + 2];
    let too_long = format!("more than {ANSWER_BYTES_MAX} bytes");
    for (says, expected) in [
        (b"hello\n".to_vec(), "no ledger's answer"),
        (b"{\"id\":2}\n".to_vec(), "no ledger's answer"),
        (b"{\"id\":7,\"ok\":\"funded\"}\n".to_vec(), "answer 7"),
        (b"{\"id\":2,\"ok\":\"funded\"}\n".to_vec(), ""),
        (b"\xff\xfe\n".to_vec(), "no ledger's answer"),
        (long, too_long.as_str()),
        (b"{\"id\":2,".to_vec(), "middle of a line"),
        (Vec::new(), "closed without an answer"),
    ] {
        let address = impostor(&origin, Some(says)).await;
        let remote: Arc<dyn Node> = Arc::new(RemoteNode::new(address.as_str(), origin.clone()));
        let head = remote.head().await;
        if expected.is_empty() {
            assert!(matches!(head, Err(LedgerError::Unavailable { .. })));
        } else {
            let what = outage(head, &address);
            assert!(what.contains(expected), "{what}");
        }
    }
}

#[tokio::test]
async fn silence_is_an_outage_after_a_while() {
    let origin = node(genesis()).origin().clone();
    let address = impostor(&origin, None).await;
    let remote = RemoteNode::new(address.as_str(), origin).with_wait(Duration::from_millis(50));
    let remote: Arc<dyn Node> = Arc::new(remote);
    let what = outage(remote.head().await, &address);
    assert!(what.contains("50 ms"), "{what}");
}

#[tokio::test]
async fn a_node_that_restarts_is_found_again() {
    let node = node(genesis());
    let served = Served::start(&node, "127.0.0.1:0").await;
    let remote = RemoteNode::connect(served.address.as_str()).await.unwrap();
    let ledger = EmbeddedLedger::new(Arc::new(remote), key(1));
    ledger.status().await.unwrap();
    let address = served.stop().await;
    outage(ledger.status().await, &address);
    let served = Served::start(&node, &address).await;
    ledger.status().await.unwrap();
    // Stopped and started without a question in between: the first one afterwards is answered.
    let address = served.stop().await;
    let _served = Served::start(&node, &address).await;
    ledger.status().await.unwrap();
}

#[tokio::test]
async fn another_chain_behind_the_address_is_refused() {
    let served = Served::start(&node(genesis()), "127.0.0.1:0").await;
    let remote = RemoteNode::connect(served.address.as_str()).await.unwrap();
    let ledger = EmbeddedLedger::new(Arc::new(remote), key(1));
    let reference = Reference([1; 32]);
    let digest = Digest([2; 32]);
    let anchor = Anchor::One { reference, digest };
    let signed = ledger.anchor(0, &anchor).await.unwrap();
    let address = served.stop().await;
    let other = node(Genesis { chain_id: 1, ..genesis() });
    let _served = Served::start(&other, &address).await;
    for _ in 0..2 {
        let away = ledger.submit(&signed).await.unwrap_err();
        assert!(matches!(away, LedgerError::Unavailable { .. }), "ours may come back: {away}");
        let away = away.to_string();
        assert!(away.contains(&address), "{away}");
        assert!(away.contains(ledger.id().as_str()), "{away}");
    }
    let there = EmbeddedLedger::new(other, key(1));
    assert_eq!(there.finality(&signed).await, Ok(Finality::Unknown));
    assert!(there.submit(&signed).await.is_err(), "bound to its chain");
}

#[tokio::test]
async fn garbage_to_the_node_ends_that_connection_only() {
    let served = Served::start(&node(genesis()), "127.0.0.1:0").await;
    let remote = RemoteNode::connect(served.address.as_str()).await.unwrap();
    let remote: Arc<dyn Node> = Arc::new(remote);
    let long = vec![b'{'; QUESTION_BYTES_MAX + 2];
    for says in [
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        b"{\"id\":1,\"ask\":\"sing\"}\n".to_vec(),
        b"{\"id\":1,\"ask\":\"head\",\"ask\":\"head\"}\n".to_vec(),
        b"\xff\n".to_vec(),
        vec![b'['; 9_000].into_iter().chain([b'\n']).collect(),
        long,
    ] {
        let mut stream = TcpStream::connect(&served.address).await.unwrap();
        stream.write_all(&says).await.unwrap();
        let mut told = String::new();
        // The node may close before it has read everything: then the rest is a reset.
        let _ = stream.read_to_string(&mut told).await;
        let unread = says.len() > QUESTION_BYTES_MAX;
        assert!(unread || told.contains("Malformed"), "{told:?}");
        remote.head().await.unwrap();
    }
}

#[tokio::test]
async fn a_connection_too_many_is_told_so() {
    let served = Served::start(&node(genesis()), "127.0.0.1:0").await;
    let mut held = Vec::new();
    for _ in 0..CONNECTIONS_MAX {
        held.push(RemoteNode::connect(served.address.as_str()).await.unwrap());
    }
    let refused = RemoteNode::connect(served.address.as_str()).await;
    let what = outage(refused.map(drop), &served.address);
    assert!(what.contains("64 connections"), "{what}");
}

#[tokio::test(start_paused = true)]
async fn a_silent_connection_is_closed() {
    let served = Served::start(&node(genesis()), "127.0.0.1:0").await;
    let mut stream = TcpStream::connect(&served.address).await.unwrap();
    stream.write_all(b"{\"id\":1,").await.unwrap();
    let mut told = Vec::new();
    stream.read_to_end(&mut told).await.unwrap();
    assert!(told.is_empty(), "{told:?}");
}

#[tokio::test]
async fn money_from_the_faucet_is_not_asked_for_twice() {
    let node = node(genesis());
    let served = Served::start(&node, "127.0.0.1:0").await;
    let remote = RemoteNode::connect(served.address.as_str()).await.unwrap();
    let remote: Arc<dyn Node> = Arc::new(remote);
    let address = served.stop().await;
    let served = Served::start(&node, &address).await;
    let (coin, amount) = (sdpp_ledger::Asset::coin(), sdpp_ledger::Amount::new(5));
    // The connection broke; whether the question arrived is unknown, and so it is told.
    outage(remote.fund(&account(3), &coin, amount).await, &served.address);
    remote.fund(&account(3), &coin, amount).await.unwrap();
    assert_eq!(remote.balance(&account(3), &coin).await, Ok(amount));
}

#[tokio::test]
async fn a_question_about_too_many_channels_is_asked_in_parts() {
    let node: Arc<dyn Node> = node(genesis());
    let many = vec![ChannelId([7; 32]); CHANNELS_MAX + 1];
    let refused = node.changes(&many, 0).await;
    assert!(matches!(refused, Err(LedgerError::Refused { code, .. }) if code == "TooManyChannels"));
    let ledger = EmbeddedLedger::new(node, key(1));
    let told = ledger.changes(&many, 0).await.unwrap();
    assert_eq!(told, Changes { list: Vec::new(), next: 1 });
}
