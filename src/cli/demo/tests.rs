//! What runs breaks, part by part, while items are sold and paid.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use super::stage::{self, Open, Stage};
use super::{TOPIC, audit, buy};
use crate::actors::keeper::Keeper;
use crate::actors::node::{AllAsked, Count, Find};
use crate::actors::session::{Break, Ended};
use crate::admin::{Client, Request, Response};
use crate::cli::answering;
use crate::cli::exit::Exit;
use crate::cli::running::Running;
use crate::cli::sell::Selling;
use crate::cli::status::{Asked, health};
use crate::config::Config;
use crate::record::End;
use crate::session::Wish;
use actix::prelude::*;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

/// More than any story takes.
const ITEMS: u64 = 1_000_000;

/// A second currency, whose rate a file tells.
const EUR: &str = "\n[currencies.EUR]\nledger = \"local\"\ndecimals = 6\n[currencies.EUR.rate]\n\
    sources = [{ kind = \"file\", path = \"eur.txt\" }]\n";

/// Both sides, in one process.
struct Market {
    dir: tempfile::TempDir,
    seller: Running,
    selling: Selling,
    buyer: Running,
    buyers: Config,
    asked: Arc<Asked>,
}

/// A session of the buyer's, whose items are taken.
struct Stream {
    items: Rc<Cell<u64>>,
    done: oneshot::Receiver<Ended>,
}

impl Market {
    async fn open() -> Market {
        let dir = tempfile::tempdir().unwrap();
        let mut stage = Stage::set(dir.path(), 10, stage::embedded(ITEMS)).unwrap();
        let file = dir.path().join("seller.toml");
        let text = std::fs::read_to_string(&file).unwrap() + EUR;
        let text = text.replace("[seller]\n", "[seller]\ndefault_currency = \"SDP\"\n");
        std::fs::write(&file, text).unwrap();
        std::fs::write(dir.path().join("eur.txt"), "2\n").unwrap();
        stage.seller = Config::load(&file).unwrap();
        stage.seller.admin.health = Some("127.0.0.1:0".parse().unwrap());
        let Open { seller_key, buyer_key, sellers_ledger, buyers_ledger } =
            stage.open().await.unwrap();
        let Stage { seller: sellers, buyer: buyers, .. } = stage;
        let seller = Running::start(&sellers, seller_key, &[("local", &sellers_ledger)]).unwrap();
        let buyer = Running::start(&buyers, buyer_key, &[("local", &buyers_ledger)]).unwrap();
        let selling = Selling::start(&sellers, &seller).await.unwrap();
        answering::answer(&sellers, &seller, &selling).await.unwrap();
        let asked = Arc::new(Asked::new(&sellers, &seller, &selling, None));
        Market { dir, seller, selling, buyer, buyers, asked }
    }

    async fn order(&self) -> Stream {
        let spending = self.buyers.buyer.as_ref().unwrap().currencies.iter().collect::<Vec<_>>();
        let ledger = |name: &str| self.buyer.ledger(name);
        let wish = Wish {
            topic: TOPIC.to_owned(),
            quantity: Some(ITEMS),
            currencies: buy::pinned(&self.buyers, &spending, ledger).unwrap(),
            max_total: None,
            seller: Some(self.seller.key.public()),
            bond: None,
            dataset: None,
        };
        let address = self.selling.address.to_string();
        let session = buy::start(&address, &self.buyers, wish, &self.buyer).await.unwrap();
        let (mut events, items) = (session.events, Rc::new(Cell::new(0)));
        let taken = items.clone();
        actix::spawn(async move {
            while let Some(event) = events.recv().await {
                if let crate::actors::buying::Event::Item { seq, .. } = event {
                    taken.set(seq);
                }
            }
        });
        Stream { items, done: session.done }
    }

    /// The seller does all that it is there for.
    async fn works(&self, stream: &Stream) {
        let told = health(self.asked.clone()).await;
        assert!(told.is_ready, "{told:?}");
        let mut line = String::new();
        let mut stranger = BufReader::new(TcpStream::connect(self.selling.address).await.unwrap());
        stranger.read_line(&mut line).await.unwrap();
        assert!(line.starts_with("{\"message_type\":\"menu\""), "{line}");
        let dir = self.dir.path().join("seller-journal");
        let asked = move || Client::connect(&dir).unwrap().ask(&Request::Status).unwrap();
        let status = tokio::task::spawn_blocking(asked).await.unwrap();
        let Response::Status(status) = status else { panic!("{status:?}") };
        assert_eq!(status["ready"], true, "{status}");
        // An invoice waits for its anchor, and items wait for their payment.
        let enough = stream.items.get() + 30;
        until("the stream goes on", || stream.items.get() >= enough).await;
        self.buyer.look().await;
        self.seller.look().await;
    }

    async fn end(self, stream: Stream) {
        self.selling.drain().await;
        let ended = stream.done.await.unwrap();
        assert_eq!(ended.end, End::Complete, "{ended:?}");
        for side in [&self.seller, &self.buyer] {
            assert_eq!(side.settle(Duration::from_secs(30)).await.unwrap(), []);
            let book = audit::of(&side.reader, &side.ledgers).await.unwrap();
            assert!(book.problems.is_empty(), "{:?}", book.problems);
            let statement = &book.statements[0];
            assert_eq!(statement.items_delivered, stream.items.get());
        }
        assert_eq!(self.selling.node.addr().send(Count).await.unwrap().connections, 0);
        self.selling.stop();
        self.seller.stop();
        self.buyer.stop();
    }
}

/// Has a part break, and holds it down while `meanwhile` looks.
async fn breaks(keeper: &Keeper, name: &str, meanwhile: impl AsyncFnOnce()) {
    let held = keeper.stay_down().await;
    keeper.breaks(name);
    until("it breaks", || keeper.all()[name].is_down).await;
    meanwhile().await;
    drop(held);
    until("it is started again", || !keeper.all()[name].is_down).await;
    assert_eq!(keeper.all()[name].broke, 1, "{name}");
}

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(60), "it never came: {what}");
        tokio::task::yield_now().await;
    }
}

fn names(keeper: &Keeper, ledger: &str) -> Vec<String> {
    keeper.all().into_keys().map(|name| name.replace(ledger, "LEDGER")).collect()
}

#[test]
fn whatever_breaks_turns_the_node_red_and_is_started_again_and_all_that_is_sold_is_paid() {
    System::new().block_on(async {
        let market = Market::open().await;
        let ledger = market.seller.ids["local"].to_string();
        let kept = [
            "admin socket",
            "asking ledgers",
            "health",
            "ledger LEDGER",
            "listener",
            "menu",
            "node",
            "rate of EUR",
            "room",
            "watch LEDGER",
        ];
        assert_eq!(names(&market.seller.keeper, &ledger), kept);
        let stream = market.order().await;
        market.works(&stream).await;
        for name in market.seller.keeper.all().into_keys() {
            breaks(&market.seller.keeper, &name, async || {
                let told = health(market.asked.clone()).await;
                let why = format!("{name} broke and is started again");
                assert!(!told.is_ready && told.words.contains(&why), "{told:?}");
            })
            .await;
            market.works(&stream).await;
        }
        let kept = ["ledger LEDGER", "reclaiming", "watch LEDGER"];
        assert_eq!(names(&market.buyer.keeper, &ledger), kept);
        for name in market.buyer.keeper.all().into_keys() {
            breaks(&market.buyer.keeper, &name, async || {}).await;
            market.works(&stream).await;
        }
        market.end(stream).await;
    });
}

#[test]
fn a_session_that_breaks_gives_its_place_back_and_is_ended_as_one_that_a_kill_has_left() {
    System::new().block_on(async {
        let market = Market::open().await;
        let broken = market.order().await;
        until("it streams", || broken.items.get() >= 30).await;
        let node = market.selling.node.addr();
        let (session, _) = market.seller.reader.sessions(None, 9).unwrap().remove(0);
        let actor = node.send(Find(session)).await.unwrap().unwrap();
        actor.do_send(Break);
        assert_ne!(broken.done.await.unwrap().end, End::Complete, "the line broke");
        let began = Instant::now();
        while node.send(Count).await.unwrap().connections > 0 {
            assert!(began.elapsed() < Duration::from_secs(60), "its place is lost");
        }
        market.seller.written().await.unwrap();
        let row = market.seller.reader.session(&session).unwrap().unwrap();
        assert_eq!(row.ended, Some(End::Broken), "before the process ends");
        assert!(node.send(AllAsked { at_most: 9 }).await.unwrap().is_empty());
        let stream = market.order().await;
        market.works(&stream).await;
        market.selling.drain().await;
        assert_eq!(stream.done.await.unwrap().end, End::Complete);
    });
}

#[test]
fn a_process_whose_journal_breaks_ends_and_says_why() {
    System::new().block_on(async {
        let market = Market::open().await;
        market.seller.journal.do_send(crate::actors::journal::Break);
        let failure = market.seller.stopped().await;
        assert_eq!(failure.exit, Exit::Failed);
        assert!(failure.why.contains("what writes the journal has broken"), "{failure}");
    });
}
