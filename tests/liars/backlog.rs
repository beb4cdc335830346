//! Buyers that take and never acknowledge: all of them together hold no more of the seller's memory than it
//! allows, and none of its honest buyers waits for them.

use crate::place::Setting;
use crate::shop::Shop;
use crate::stranger::Stranger;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What one connection may have out, and all of them.
const EACH: usize = 262_144;
const ALL: usize = 3 * EACH;

/// How many take.
const TAKERS: usize = 8;

/// What a message with an item of 40,000 bytes needs, and a little more.
const MESSAGE: usize = 56_000;

#[test]
fn takers_that_never_acknowledge_hold_no_more_than_all_may() {
    let limits = format!(
        "unacknowledged_bytes_max = {EACH}\nunacknowledged_bytes_all_max = {ALL}\nsessions_max = 64\n\
         [topics.bulk]\nprice = \"1\"\nsource = {{ kind = \"command\", command = [\"sh\", \"-c\", \
         \"yes $(head -c 40000 /dev/zero | tr '\\\\0' x)\"] }}\n"
    );
    let shop = Shop::open(Setting { patience_ms: 60_000, ..Setting::default() }, &limits);
    let taken = AtomicUsize::new(0);
    shop.beside(|shop| {
        std::thread::scope(|scope| {
            let mut ends = Vec::new();
            for _ in 0..TAKERS {
                let mut taker = Stranger::served(&shop.place.address, "bulk", None);
                ends.push(taker.hangs_up_by());
                let taken = &taken;
                scope.spawn(move || {
                    while let Some(frame) = taker.hear() {
                        taken.fetch_add(frame.bytes.len(), Ordering::Relaxed);
                    }
                });
            }
            shop.until("they have what they may", || {
                let (bytes, before) = (taken.load(Ordering::Relaxed), shop.items());
                // Nothing more comes to them while much comes to somebody honest.
                shop.until("the honest session goes on", || shop.items() >= before + 100);
                bytes > 0 && bytes == taken.load(Ordering::Relaxed)
            });
            let bytes = taken.load(Ordering::Relaxed);
            // Each of them may have begun one message more when there was still room for it.
            assert!(bytes <= ALL + TAKERS * MESSAGE, "{bytes} bytes are out");
            assert!(bytes > ALL - MESSAGE, "{bytes} bytes are out: something else holds them back");
            ends.into_iter().for_each(|end| end());
        });
    });
    // What they held is free again.
    let mut taker = Stranger::served(&shop.place.address, "bulk", Some(4));
    taker.takes(4);
}
