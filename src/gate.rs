//! How fast strangers may come: token buckets by address and for all. Pure: it is told the time.

use std::collections::BTreeMap;
use std::net::IpAddr;

/// The most addresses that are remembered. Beyond, the one that came longest ago is forgotten; what
/// all may do holds whoever is.
pub const ADDRESSES_MAX: usize = 4_096;

/// A minute, in milliseconds.
const MINUTE_MS: u64 = 60_000;

/// So much of a minute's number may come at once: ten seconds' worth.
const AT_ONCE: u32 = 6;

/// How many may come in a minute, over any time longer than that; at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PerMinute(pub u32);

/// A gate that lets through no more than a rate from one address, and no more than another from all.
#[derive(Debug)]
pub struct Gate {
    each: PerMinute,
    all: PerMinute,
    whole: Bucket,
    addresses: BTreeMap<IpAddr, Bucket>,
}

/// What is left of a rate: sixty thousand for each that may come, so that a millisecond brings as many
/// as may come in a minute.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    left: u64,
    at_ms: u64,
}

/// The addresses that one stranger has for the asking are one: IPv6 is given out in nets of 64 bits.
pub fn neighbourhood(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let net = address.to_bits() >> 64 << 64;
            std::net::Ipv6Addr::from_bits(net).into()
        }
    }
}

impl Gate {
    /// A gate through which nobody has come yet.
    pub fn new(each: PerMinute, all: PerMinute, now_ms: u64) -> Self {
        Gate { each, all, whole: Bucket::full(all, now_ms), addresses: BTreeMap::new() }
    }

    /// Lets one through from an address, or not.
    ///
    /// # Errors
    /// After how many milliseconds there is a place, if nobody else takes it.
    pub fn pass(&mut self, from: IpAddr, now_ms: u64) -> Result<(), u64> {
        let from = neighbourhood(from);
        if !self.addresses.contains_key(&from) {
            self.make_room();
        }
        let own = self.addresses.entry(from).or_insert_with(|| Bucket::full(self.each, now_ms));
        own.fill(self.each, now_ms);
        self.whole.fill(self.all, now_ms);
        // Who is held back by its own rate takes nothing from the others.
        let wait_ms = own.wait_ms(self.each).max(self.whole.wait_ms(self.all));
        if wait_ms > 0 {
            return Err(wait_ms);
        }
        own.take();
        self.whole.take();
        Ok(())
    }

    fn make_room(&mut self) {
        if self.addresses.len() < ADDRESSES_MAX {
            return;
        }
        let oldest = self.addresses.iter().min_by_key(|(_, bucket)| bucket.at_ms);
        if let Some(oldest) = oldest.map(|(address, _)| *address) {
            self.addresses.remove(&oldest);
        }
    }
}

impl Bucket {
    fn full(rate: PerMinute, now_ms: u64) -> Self {
        Bucket { left: Bucket::most(rate), at_ms: now_ms }
    }

    fn most(PerMinute(count): PerMinute) -> u64 {
        u64::from(count.div_ceil(AT_ONCE)) * MINUTE_MS
    }

    /// What the time since then has brought. A clock that was set back brings nothing.
    fn fill(&mut self, rate: PerMinute, now_ms: u64) {
        let since_ms = now_ms.saturating_sub(self.at_ms);
        let brought = since_ms.saturating_mul(rate.0.into());
        self.left = self.left.saturating_add(brought).min(Bucket::most(rate));
        self.at_ms = now_ms;
    }

    fn wait_ms(&self, PerMinute(count): PerMinute) -> u64 {
        MINUTE_MS.saturating_sub(self.left).div_ceil(u64::from(count).max(1))
    }

    fn take(&mut self) {
        self.left = self.left.saturating_sub(MINUTE_MS);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use proptest::prelude::*;

    const NOW_MS: u64 = 1_767_225_600_000;

    fn address(number: u32) -> IpAddr {
        std::net::Ipv4Addr::from_bits(number).into()
    }

    /// How many of so many come through at a time.
    fn come(gate: &mut Gate, from: u32, count: u32, now_ms: u64) -> usize {
        (0..count).filter(|_| gate.pass(address(from), now_ms).is_ok()).count()
    }

    #[test]
    fn an_address_comes_so_often_and_again_when_its_time_has_come() {
        let mut gate = Gate::new(PerMinute(60), PerMinute(6_000), NOW_MS);
        assert_eq!(come(&mut gate, 1, 100, NOW_MS), 10, "ten seconds' worth at once");
        assert_eq!(gate.pass(address(1), NOW_MS), Err(1_000));
        assert_eq!(come(&mut gate, 2, 100, NOW_MS), 10, "another has its own");
        assert_eq!(gate.pass(address(1), NOW_MS + 999), Err(1));
        assert_eq!(come(&mut gate, 1, 100, NOW_MS + 1_000), 1);
        assert_eq!(come(&mut gate, 1, 100, NOW_MS + 3_600_000), 10, "what is not used is not kept");
    }

    #[test]
    fn all_together_come_no_more_often_than_all_may() {
        let mut gate = Gate::new(PerMinute(60), PerMinute(120), NOW_MS);
        let through: usize = (0..100).map(|from| come(&mut gate, from, 1, NOW_MS)).sum();
        assert_eq!(through, 20);
        assert_eq!(gate.pass(address(500), NOW_MS), Err(500));
        assert_eq!(gate.pass(address(500), NOW_MS + 500), Ok(()));
    }

    #[test]
    fn who_is_held_back_takes_nothing_from_the_others() {
        let mut gate = Gate::new(PerMinute(60), PerMinute(120), NOW_MS);
        assert_eq!(come(&mut gate, 1, 1_000, NOW_MS), 10);
        assert_eq!(come(&mut gate, 2, 1_000, NOW_MS), 10);
    }

    #[test]
    fn a_net_of_addresses_that_one_stranger_has_is_one_address() {
        let one: IpAddr = "2001:db8:1:2::1".parse().unwrap();
        let same: IpAddr = "2001:db8:1:2:ffff::9".parse().unwrap();
        let other: IpAddr = "2001:db8:1:3::1".parse().unwrap();
        assert_eq!(neighbourhood(one), neighbourhood(same));
        assert_ne!(neighbourhood(one), neighbourhood(other));
        let mapped: IpAddr = "::ffff:10.0.0.1".parse().unwrap();
        assert_eq!(neighbourhood(mapped), "10.0.0.1".parse::<IpAddr>().unwrap());
    }

    #[test]
    fn no_more_addresses_are_remembered_than_there_is_room_for() {
        let mut gate = Gate::new(PerMinute(6), PerMinute(u32::MAX), NOW_MS);
        for number in 0..2 * u32::try_from(ADDRESSES_MAX).unwrap() {
            assert_eq!(gate.pass(address(number), NOW_MS + u64::from(number)), Ok(()));
        }
        assert_eq!(gate.addresses.len(), ADDRESSES_MAX);
        assert!(!gate.addresses.contains_key(&address(0)), "the oldest is forgotten");
    }

    proptest! {
        #[test]
        fn over_any_time_no_more_come_than_the_rate_and_what_may_come_at_once(
            rate in 1_u32..600,
            steps in prop::collection::vec(0_u64..5_000, 1..300),
        ) {
            let mut gate = Gate::new(PerMinute(rate), PerMinute(u32::MAX), NOW_MS);
            let (mut now_ms, mut through) = (NOW_MS, 0_u64);
            for step in steps {
                now_ms += step;
                match gate.pass(address(1), now_ms) {
                    Ok(()) => through += 1,
                    Err(wait_ms) => prop_assert!(wait_ms > 0),
                }
                let brought = (now_ms - NOW_MS) * u64::from(rate) / 60_000;
                prop_assert!(through <= u64::from(rate.div_ceil(6)) + brought);
            }
        }
    }
}
