//! The book against a node that lags, a process that crashes, and money that runs out.

use super::*;
use iota_sdk_types::ObjectDigest;
use proptest::prelude::*;
use std::collections::BTreeSet;

const FEE: u64 = 4_000_000;
const EACH: u64 = 1_000_000;

fn need(amount: u64) -> Need {
    Need { amount, fee: FEE, fee_each: EACH, ceiling: 100_000_000 }
}

fn coin(name: u64, version: u64, balance: u64) -> Coin {
    let mut id = [0; 32];
    id[..8].copy_from_slice(&name.to_be_bytes());
    let digest = ObjectDigest::new([version.to_be_bytes()[7]; 32]);
    Coin { at: ObjectReference::new(ObjectId::new(id), version.into(), digest), balance }
}

fn coins<const N: usize>(balances: [u64; N]) -> Vec<Coin> {
    (1..).zip(balances).map(|(name, balance)| coin(name, 1, balance)).collect()
}

#[test]
fn the_table_of_what_is_picked() {
    let million = 1_000_000;
    type Row = (&'static str, Vec<Coin>, u64, usize, Result<(Vec<u8>, u16), Short>);
    let table: [Row; 8] = [
        ("nothing is there", coins([]), 0, 5, Err(Short::Poor)),
        ("the fee is not there", coins([FEE - 1]), 0, 1, Err(Short::Poor)),
        ("it is just enough", coins([FEE + 1]), 1, 5, Ok((vec![1], 0))),
        ("the largest is taken", coins([9 * FEE, 10 * FEE]), 1, 1, Ok((vec![2], 0))),
        ("of equals the first", coins([10 * FEE, 10 * FEE]), 1, 2, Ok((vec![1], 0))),
        ("many small ones do too", coins([FEE, FEE, FEE]), 2 * FEE, 3, Ok((vec![1, 2, 3], 0))),
        ("it makes what lacks", coins([900 * million]), million, 5, Ok((vec![1], 4))),
        ("it sweeps up", coins([90 * million, 1, 0, 2, 3]), 1, 1, Ok((vec![1, 2, 3], 0))),
    ];
    for (what, coins, amount, aim, expected) in table {
        let picked = Book::default().pick(&coins, &need(amount), aim);
        let picked = picked.map(|pick| {
            let names = pick.gas.iter().map(|at| at.object_id.as_bytes()[7]).collect();
            (names, pick.split.map_or(0, |split| split.count))
        });
        assert_eq!(picked, expected, "{what}");
    }
}

#[test]
fn the_coins_that_are_made_are_worth_making_and_cost_no_more_than_the_ceiling() {
    let one = coins([1_000_000_000]);
    let pick = Book::default().pick(&one, &need(1_000_000), 24).unwrap();
    let split = pick.split.unwrap();
    assert_eq!((split.count, pick.fee), (23, FEE + 23 * EACH));
    assert!(split.share >= 2 * (FEE + 1_000_000), "{split:?}");
    let tight = Need { ceiling: FEE + 3 * EACH, ..need(1) };
    let pick = Book::default().pick(&one, &tight, 24).unwrap();
    assert_eq!((pick.split.unwrap().count, pick.fee), (3, tight.ceiling));
}

#[test]
fn a_coin_in_use_is_free_when_its_row_has_ended_and_not_before() {
    let (one, mut book) = (coins([50_000_000]), Book::default());
    let pick = book.pick(&one, &need(1), 1).unwrap();
    book.take(&pick);
    assert_eq!(book.pick(&one, &need(1), 1), Err(Short::Busy), "taken");
    book.note_live([(pick.gas.clone(), 0)]);
    let spent = vec![coin(1, 2, 40_000_000)];
    assert_eq!(book.pick(&spent, &need(1), 1), Err(Short::Busy), "its row has not ended");
    book.note_live([]);
    assert!(book.pick(&spent, &need(1), 1).is_ok(), "its row has ended");
    book.note_spent(&pick.gas);
    assert_eq!(book.pick(&one, &need(1), 1), Err(Short::Busy), "the node lags");
}

#[test]
fn after_a_restart_what_is_on_its_way_is_known_from_what_is_told() {
    let two = coins([50_000_000, 60_000_000]);
    let mut before = Book::default();
    let pick = before.pick(&two, &need(1), 2).unwrap();
    before.take(&pick);
    let mut after = Book::default();
    after.note_live([(pick.gas.clone(), 0)]);
    let other = after.pick(&two, &need(1), 2).unwrap();
    assert_ne!(pick.gas, other.gas);
    after.take(&other);
    assert_eq!(after.pick(&two, &need(1), 2), Err(Short::Busy));
}

#[test]
fn what_is_being_made_is_not_made_twice() {
    let (mut two, mut book) = (coins([900_000_000, 900_000_000]), Book::default());
    let first = book.pick(&two, &need(1), 10).unwrap();
    assert_eq!(first.split.unwrap().count, 8);
    book.take(&first);
    let second = book.pick(&two, &need(1), 10).unwrap();
    assert_eq!(second.split, None, "eight are on their way");
    two.truncate(1);
    book.note_live([(first.gas, 8)]);
    two[0] = coin(1, 2, 100_000_000);
    two.extend((10..18).map(|name| coin(name, 2, 90_000_000)));
    let third = book.pick(&two, &need(1), 10).unwrap();
    assert_eq!(third.split.map(|split| split.count), Some(1), "they are there now");
}

/// A node with what it has executed, and everything that was ever spent there.
struct Node {
    coins: Vec<Coin>,
    /// What it showed some time ago.
    before: Vec<Coin>,
    spent: BTreeSet<(ObjectId, Version)>,
    next_name: u64,
}

/// One row of what is owed, on its way.
struct Row {
    pick: Pick,
    amount: u64,
    is_executed: bool,
}

impl Node {
    fn new(balances: &[u64]) -> Self {
        let coins: Vec<Coin> =
            (1..).zip(balances).map(|(name, balance)| coin(name, 1, *balance)).collect();
        let (before, next_name) = (coins.clone(), 1_000_000);
        Node { coins, before, spent: BTreeSet::new(), next_name }
    }

    /// Whether it still could happen: all its coins are there as it names them.
    fn takes(&self, row: &Row) -> bool {
        row.pick.gas.iter().all(|at| self.coins.iter().any(|coin| coin.at == *at))
    }

    /// Does it as the network does: all coins become the first, which pays for all.
    fn execute(&mut self, row: &mut Row) {
        let gas = &row.pick.gas;
        let sum: u64 =
            self.coins.iter().filter(|coin| gas.contains(&coin.at)).map(|coin| coin.balance).sum();
        let version = gas.iter().map(|at| at.version.as_u64()).max().unwrap() + 1;
        self.coins.retain(|coin| !gas.contains(&coin.at));
        for at in gas {
            assert!(self.spent.insert((at.object_id, at.version)), "{at:?} was spent twice");
        }
        let made = row.pick.split.map_or(0, |split| u64::from(split.count) * split.share);
        let rest = sum.checked_sub(row.amount + made + row.pick.fee);
        let rest = rest.expect("a transaction cannot pay for itself");
        let mut main = coin(0, version, rest);
        main.at.object_id = gas[0].object_id;
        self.coins.push(main);
        for _ in 0..row.pick.split.map_or(0, |split| split.count) {
            self.next_name += 1;
            self.coins.push(coin(self.next_name, version, row.pick.split.unwrap().share));
        }
        row.is_executed = true;
    }
}

/// A caller with its rows, its book, and what happened.
struct Story {
    node: Node,
    book: Book,
    rows: Vec<Row>,
    paid: usize,
    most_at_once: usize,
}

impl Story {
    fn new(balances: &[u64]) -> Self {
        let (book, rows) = (Book::default(), Vec::new());
        Story { node: Node::new(balances), book, rows, paid: 0, most_at_once: 0 }
    }

    /// Prepares one more, as the caller of a ledger does: it tells first what is on its way.
    fn prepare(&mut self, amount: u64, is_lagging: bool) {
        let made = |row: &Row| row.pick.split.map_or(0, |split| split.count);
        let live = self.rows.iter().map(|row| (row.pick.gas.clone(), made(row)));
        self.book.note_live(live);
        let shown = if is_lagging { &self.node.before } else { &self.node.coins };
        let Ok(pick) = self.book.pick(shown, &need(amount), 24) else { return };
        self.book.take(&pick);
        for row in &self.rows {
            let is_shared = |at: &ObjectReference| {
                row.pick.gas.iter().any(|other| other.object_id == at.object_id)
            };
            assert!(!pick.gas.iter().any(is_shared), "two rows live on one coin");
        }
        self.rows.push(Row { pick, amount, is_executed: false });
        self.most_at_once = self.most_at_once.max(self.rows.len());
    }

    fn land(&mut self, nth: usize) {
        if self.rows.is_empty() {
            return;
        }
        let nth = nth % self.rows.len();
        if !self.rows[nth].is_executed {
            assert!(self.node.takes(&self.rows[nth]), "its coins were spent by another of ours");
            self.node.before = self.node.coins.clone();
            self.node.execute(&mut self.rows[nth]);
        }
    }

    fn end(&mut self, nth: usize) {
        if !self.rows.is_empty() && self.rows[nth % self.rows.len()].is_executed {
            let row = self.rows.remove(nth % self.rows.len());
            self.book.note_spent(&row.pick.gas);
            self.paid += 1;
        }
    }

    fn restart(&mut self) {
        self.book = Book::default();
        // What is read after a start is what the node has: it is one node.
        self.node.before = self.node.coins.clone();
    }
}

#[derive(Debug, Clone, Copy)]
enum Turn {
    Prepare { amount: u64, is_lagging: bool },
    Land(usize),
    End(usize),
    Restart,
    Receive(u64),
}

fn turns() -> impl Strategy<Value = Turn> {
    prop_oneof![
        4 => (1..5_000_000_u64, any::<bool>())
            .prop_map(|(amount, is_lagging)| Turn::Prepare { amount, is_lagging }),
        4 => any::<usize>().prop_map(Turn::Land),
        4 => any::<usize>().prop_map(Turn::End),
        1 => Just(Turn::Restart),
        1 => (0..9_000_000_u64).prop_map(Turn::Receive),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn no_two_rows_ever_live_on_one_coin(
        balances in prop::collection::vec(0..2_000_000_000_u64, 1..8),
        turns in prop::collection::vec(turns(), 1..400),
    ) {
        let mut story = Story::new(&balances);
        for turn in turns {
            match turn {
                Turn::Prepare { amount, is_lagging } => story.prepare(amount, is_lagging),
                Turn::Land(nth) => story.land(nth),
                Turn::End(nth) => story.end(nth),
                Turn::Restart => story.restart(),
                Turn::Receive(balance) => {
                    story.node.next_name += 1;
                    let received = coin(story.node.next_name, 1, balance);
                    story.node.coins.push(received);
                }
            }
        }
    }
}

#[test]
fn from_one_coin_ten_thousand_payments_go_out_with_twenty_at_once_and_none_collide() {
    let mut story = Story::new(&[1_000_000_000_000]);
    let mut turn = 0_usize;
    while story.paid < 10_000 {
        story.prepare(1_000_000, false);
        // As fast as they are prepared they land and end, once twenty are on their way.
        if story.rows.len() >= 20 || story.paid == 0 {
            story.land(turn.wrapping_mul(7));
            story.end(turn.wrapping_mul(7));
        }
        turn += 1;
        assert!(turn < 100_000, "only {} were paid", story.paid);
    }
    assert!(story.most_at_once >= 20, "{} at once", story.most_at_once);
    assert!(story.node.coins.len() <= 30, "{} coins", story.node.coins.len());
}

#[test]
fn a_seller_of_many_small_coins_sweeps_them_up() {
    let mut balances = vec![100_000_000];
    balances.extend([1_000; 500]);
    let mut story = Story::new(&balances);
    for _ in 0..40 {
        story.prepare(0, false);
        story.land(0);
        story.end(0);
    }
    assert!(story.node.coins.len() < 60, "{} coins", story.node.coins.len());
}

#[test]
fn what_lies_in_more_coins_than_one_transaction_lives_on_is_not_in_use() {
    let many = |balance: u64| (1..=300).map(|name| coin(name, 1, balance)).collect::<Vec<_>>();
    let scattered = Book::default().pick(&many(FEE), &need(270 * FEE), 24);
    assert_eq!(scattered, Err(Short::Scattered));
    assert!(Book::default().pick(&many(FEE), &need(200 * FEE), 24).is_ok());
    let mut book = Book::default();
    book.note_live(many(FEE).iter().take(100).map(|coin| (vec![coin.at], 0)));
    assert_eq!(book.pick(&many(FEE), &need(240 * FEE), 24), Err(Short::Busy));
}
