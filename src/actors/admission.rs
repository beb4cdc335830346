//! Who is let in: how fast menus and orders are asked for, how many sessions there are, how many of an
//! address owe something that no deposit secures, and whether the journal keeps up. The listener and
//! all sessions share it. Sessions that go on after a restart have their places before anybody else.
//!
//! Identities cost nothing, and addresses little: what one address may have out on credit is so many
//! sessions, whoever their buyers are. A session that ended unpaid counts for a day.

use crate::actors::lag::Lag;
use crate::actors::node::CLOSING;
use crate::gate::{Gate, PerMinute, neighbourhood};
use sdpp_ledger::PublicKey;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How long a session that ended unpaid counts against its address, in milliseconds: a day.
const UNPAID_MS: u64 = 24 * 60 * 60 * 1_000;

/// The most addresses of which is remembered that they left something unpaid. Beyond, the one whose
/// debt is the oldest is forgotten.
const ADDRESSES_MAX: usize = 4_096;

/// When to come again where nobody knows, in seconds.
const LATER_S: u64 = 5;

/// How many there may be.
#[derive(Debug, Clone, Copy)]
pub struct Crowding {
    /// Menus from one address, and from all.
    pub menus: [PerMinute; 2],
    /// Orders from one address, and from all.
    pub orders: [PerMinute; 2],
    /// Sessions at once.
    pub sessions_max: usize,
    /// Sessions at once with one buyer.
    pub per_buyer_max: usize,
    /// Sessions of one address that are on credit now, or ended unpaid in the last day.
    pub unpaid_per_address_max: usize,
    /// How long the journal may take for a write before no order is taken, in milliseconds.
    pub journal_lag_ms: u64,
}

/// Who is in; its clones show the same.
#[derive(Debug, Clone)]
pub struct Admission {
    crowding: Crowding,
    lag: Lag,
    crowd: Arc<Mutex<Crowd>>,
}

#[derive(Debug)]
struct Crowd {
    menus: Gate,
    orders: Gate,
    sessions: usize,
    buyers: BTreeMap<String, usize>,
    addresses: BTreeMap<IpAddr, OnCredit>,
    is_closing: bool,
}

/// What one address has on credit.
#[derive(Debug, Default)]
struct OnCredit {
    sessions: usize,
    /// When sessions ended that left something unpaid, the oldest first.
    unpaid_ms: Vec<u64>,
}

/// A session's place, given back when dropped.
#[derive(Debug)]
pub struct Seat {
    admission: Admission,
    buyer: String,
    /// Not known of a session from before this process, until its buyer is back.
    from: Option<IpAddr>,
    on_credit: bool,
}

impl Admission {
    /// Nobody is in yet.
    pub fn new(crowding: Crowding, lag: Lag, now_ms: u64) -> Self {
        let gate = |[each, all]: [PerMinute; 2]| Gate::new(each, all, now_ms);
        let crowd = Crowd {
            menus: gate(crowding.menus),
            orders: gate(crowding.orders),
            sessions: 0,
            buyers: BTreeMap::new(),
            addresses: BTreeMap::new(),
            is_closing: false,
        };
        Admission { crowding, lag, crowd: Arc::new(Mutex::new(crowd)) }
    }

    /// No more orders are taken; sessions that there are may go on over another connection.
    pub fn close(&self) {
        self.crowd().is_closing = true;
    }

    /// Somebody connects, and is shown a menu.
    ///
    /// # Errors
    /// Why not now, and when to come again, for a stranger.
    pub fn menu(&self, from: IpAddr, now_ms: u64) -> Result<(), String> {
        let passed = self.crowd().menus.pass(from, now_ms);
        passed.map_err(|wait_ms| too_fast("menus are asked for", wait_ms))
    }

    /// A buyer orders: its session has a place while the answer is held.
    ///
    /// # Errors
    /// Why not now, and when to come again, for the buyer.
    pub fn order(&self, buyer: &PublicKey, from: IpAddr, now_ms: u64) -> Result<Seat, String> {
        if let Some(why) = self.behind(now_ms) {
            // What is wrong with our disk is not a stranger's business.
            tracing::warn!(why, "an order was not taken");
            return Err(format!("this seller takes no orders just now: {}", again_in(LATER_S)));
        }
        let mut crowd = self.crowd();
        if crowd.is_closing {
            return Err(CLOSING.to_owned());
        }
        let passed = crowd.orders.pass(from, now_ms);
        passed.map_err(|wait_ms| too_fast("orders come", wait_ms))?;
        let Crowding { sessions_max, per_buyer_max, .. } = self.crowding;
        if crowd.sessions >= sessions_max {
            let again = again_in(LATER_S);
            return Err(format!("{sessions_max} sessions are open, which is the most: {again}"));
        }
        let buyer = buyer.to_string();
        if crowd.buyers.get(&buyer).is_some_and(|own| *own >= per_buyer_max) {
            return Err(format!(
                "{per_buyer_max} sessions with your key are open, which is the most: end one first"
            ));
        }
        Ok(self.seat(&mut crowd, buyer, Some(neighbourhood(from))))
    }

    /// A session that was let in before this process began has its place again, however many there are:
    /// it goes on when its buyer is back.
    pub fn keep(&self, buyer: &PublicKey) -> Seat {
        self.seat(&mut self.crowd(), buyer.to_string(), None)
    }

    fn seat(&self, crowd: &mut Crowd, buyer: String, from: Option<IpAddr>) -> Seat {
        *crowd.buyers.entry(buyer.clone()).or_default() += 1;
        crowd.sessions += 1;
        Seat { admission: self.clone(), buyer, from, on_credit: false }
    }

    /// Why no order is taken because of the journal, for our own people.
    pub fn behind(&self, now_ms: u64) -> Option<String> {
        let (is, most) = (self.lag.ms(now_ms), self.crowding.journal_lag_ms);
        (is > most).then(|| {
            format!(
                "the journal takes {is} ms for a write, journal_lag_ms is {most}: no order is taken"
            )
        })
    }

    fn crowd(&self) -> MutexGuard<'_, Crowd> {
        self.crowd.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// The session wants to have something out that no deposit secures.
    ///
    /// # Errors
    /// Why not, for the buyer; then all is as it was.
    pub fn lend(&mut self, now_ms: u64) -> Result<(), String> {
        let Some(from) = self.from.filter(|_| !self.on_credit) else {
            self.on_credit = true;
            return Ok(());
        };
        let most = self.admission.crowding.unpaid_per_address_max;
        let mut crowd = self.admission.crowd();
        crowd.forget_address();
        let own = crowd.addresses.entry(from).or_default();
        own.unpaid_ms.retain(|since_ms| now_ms.saturating_sub(*since_ms) < UNPAID_MS);
        if own.sessions + own.unpaid_ms.len() >= most {
            return Err(format!(
                "{most} sessions from your address are on credit or ended unpaid in the last day, \
                 which is the most: pay by escrow, or come again when one is paid"
            ));
        }
        own.sessions += 1;
        drop(crowd);
        self.on_credit = true;
        Ok(())
    }

    /// Its buyer is here. Where that was not known, what it has on credit counts there, however much that
    /// address has.
    pub fn is_from(&mut self, from: IpAddr) {
        if self.from.is_some() {
            return;
        }
        let from = *self.from.insert(neighbourhood(from));
        if self.on_credit {
            let mut crowd = self.admission.crowd();
            crowd.forget_address();
            crowd.addresses.entry(from).or_default().sessions += 1;
        }
    }

    /// The session is over; `unpaid`, where it leaves something unpaid.
    pub fn leave(mut self, unpaid: bool, now_ms: u64) {
        let Some(from) = self.from else { return };
        if unpaid && std::mem::replace(&mut self.on_credit, false) {
            let mut crowd = self.admission.crowd();
            let own = crowd.addresses.entry(from).or_default();
            own.sessions = own.sessions.saturating_sub(1);
            own.unpaid_ms.push(now_ms);
        }
    }
}

impl Crowd {
    /// Makes room for one address more; those with a session are bounded by the sessions.
    fn forget_address(&mut self) {
        if self.addresses.len() < ADDRESSES_MAX {
            return;
        }
        let idle = self.addresses.iter().filter(|(_, own)| own.sessions == 0);
        let oldest = idle.min_by_key(|(_, own)| own.unpaid_ms.last().copied());
        if let Some(oldest) = oldest.map(|(from, _)| *from) {
            self.addresses.remove(&oldest);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut crowd = self.admission.crowd();
        crowd.sessions = crowd.sessions.saturating_sub(1);
        if let Some(own) = crowd.buyers.get_mut(&self.buyer) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                crowd.buyers.remove(&self.buyer);
            }
        }
        let Some(from) = self.from.filter(|_| self.on_credit) else { return };
        let Some(own) = crowd.addresses.get_mut(&from) else { return };
        own.sessions = own.sessions.saturating_sub(1);
        if own.sessions == 0 && own.unpaid_ms.is_empty() {
            crowd.addresses.remove(&from);
        }
    }
}

fn too_fast(what: &str, wait_ms: u64) -> String {
    format!("{what} faster than this seller answers: {}", again_in(wait_ms.div_ceil(1_000)))
}

fn again_in(seconds: u64) -> String {
    format!("come again in {seconds} s")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use sdpp_ledger::Key;

    const NOW_MS: u64 = 1_767_225_600_000;
    const FAST: [PerMinute; 2] = [PerMinute(60_000), PerMinute(60_000)];

    fn buyer(byte: u8) -> PublicKey {
        Key::from_bytes(&[byte; 32]).unwrap().public()
    }

    fn address(byte: u8) -> IpAddr {
        [10, 0, 0, byte].into()
    }

    fn admission() -> Admission {
        let crowding = Crowding {
            menus: [PerMinute(6), PerMinute(60)],
            orders: FAST,
            sessions_max: 4,
            per_buyer_max: 2,
            unpaid_per_address_max: 2,
            journal_lag_ms: 1_000,
        };
        Admission::new(crowding, Lag::default(), NOW_MS)
    }

    #[test]
    fn menus_come_no_faster_than_they_may_and_who_waits_is_told_how_long() {
        let admission = admission();
        assert_eq!(admission.menu(address(1), NOW_MS), Ok(()));
        let told = admission.menu(address(1), NOW_MS).unwrap_err();
        assert!(told.contains("come again in 10 s"), "{told}");
        assert_eq!(admission.menu(address(2), NOW_MS), Ok(()));
        assert_eq!(admission.menu(address(1), NOW_MS + 10_000), Ok(()));
    }

    #[test]
    fn there_are_no_more_sessions_of_one_buyer_and_of_all_than_there_may_be() {
        let admission = admission();
        let order = |of: u8| admission.order(&buyer(of), address(of), NOW_MS);
        let mut seats = vec![order(1).unwrap(), order(1).unwrap()];
        assert!(order(1).unwrap_err().contains("2 sessions with your key"));
        seats.extend([order(2).unwrap(), order(3).unwrap()]);
        assert!(order(4).unwrap_err().contains("4 sessions are open"));
        seats.remove(0);
        seats.push(order(1).unwrap());
        seats.clear();
        let crowd = admission.crowd();
        assert_eq!((crowd.sessions, crowd.buyers.len()), (0, 0), "who has left is forgotten");
    }

    #[test]
    fn one_address_has_so_many_sessions_on_credit_whoever_its_buyers_are() {
        let admission = admission();
        let order = |of: u8| admission.order(&buyer(of), address(1), NOW_MS).unwrap();
        let [mut one, mut two, mut three] = [order(1), order(2), order(3)];
        one.lend(NOW_MS).unwrap();
        one.lend(NOW_MS).unwrap();
        two.lend(NOW_MS).unwrap();
        assert!(three.lend(NOW_MS).unwrap_err().contains("2 sessions from your address"));
        let mut elsewhere = admission.order(&buyer(4), address(2), NOW_MS).unwrap();
        elsewhere.lend(NOW_MS).unwrap();
        one.leave(false, NOW_MS);
        three.lend(NOW_MS).unwrap();
        drop((two, three, elsewhere));
        assert!(admission.crowd().addresses.is_empty(), "who owes nothing is forgotten");
    }

    #[test]
    fn a_session_that_ended_unpaid_counts_against_its_address_for_a_day() {
        let admission = admission();
        for of in [1, 2] {
            let mut seat = admission.order(&buyer(of), address(1), NOW_MS).unwrap();
            seat.lend(NOW_MS).unwrap();
            seat.leave(true, NOW_MS);
        }
        let mut new = admission.order(&buyer(3), address(1), NOW_MS).unwrap();
        assert!(new.lend(NOW_MS + UNPAID_MS - 1).is_err(), "another key is no other address");
        new.lend(NOW_MS + UNPAID_MS).unwrap();
        let crowd = admission.crowd();
        assert_eq!(crowd.sessions, 1);
        drop(crowd);
        // By escrow nothing is out that could be left unpaid.
        new.leave(false, NOW_MS);
        admission.order(&buyer(3), address(1), NOW_MS).unwrap().leave(true, NOW_MS);
        assert!(admission.crowd().addresses.values().all(|own| own.unpaid_ms.is_empty()));
    }

    #[test]
    fn sessions_from_before_this_process_have_their_places_and_an_address_once_it_is_known() {
        let admission = admission();
        let order = |of: u8| admission.order(&buyer(of), address(1), NOW_MS);
        // More than there may be of one buyer.
        let mut kept: Vec<Seat> = (0..3).map(|_| admission.keep(&buyer(1))).collect();
        assert!(order(1).unwrap_err().contains("2 sessions with your key"));
        let mut new = order(2).unwrap();
        assert!(order(3).unwrap_err().contains("4 sessions are open"));
        kept.iter_mut().for_each(|seat| seat.lend(NOW_MS).unwrap());
        assert!(admission.crowd().addresses.is_empty(), "nobody knows where they are");
        kept.iter_mut().for_each(|seat| seat.is_from(address(1)));
        assert!(new.lend(NOW_MS).unwrap_err().contains("2 sessions from your address"));
        kept.remove(0).leave(true, NOW_MS);
        assert!(new.lend(NOW_MS).is_err(), "it left something unpaid there");
        drop(kept);
        new.lend(NOW_MS).unwrap();
        drop(new);
        let crowd = admission.crowd();
        assert_eq!((crowd.sessions, crowd.buyers.len()), (0, 0));
        assert_eq!(crowd.addresses[&address(1)].sessions, 0);
    }

    #[test]
    fn while_the_journal_lags_no_order_is_taken() {
        let admission = admission();
        admission.lag.begin(NOW_MS);
        assert!(admission.order(&buyer(1), address(1), NOW_MS + 1_000).is_ok());
        let told = admission.order(&buyer(1), address(1), NOW_MS + 1_001).unwrap_err();
        assert!(told.contains("no orders just now") && told.contains("come again"), "{told}");
        assert!(admission.behind(NOW_MS + 1_001).is_some());
        admission.lag.end(NOW_MS + 1_500);
        assert!(admission.behind(NOW_MS + 1_500).is_some(), "one write was slow just now");
        admission.lag.begin(NOW_MS + 2_000);
        admission.lag.end(NOW_MS + 2_010);
        assert!(admission.order(&buyer(1), address(1), NOW_MS + 2_010).is_ok());
    }
}
