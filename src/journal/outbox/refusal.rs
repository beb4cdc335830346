//! Whether a voucher that a ledger refused is tried again, and when.
//!
//! A refusal is the word of one node at one moment: it may lag behind the chain, stand on a fork,
//! or see in its pool what is never mined. Trying out costs nothing, and a voucher is money.

use super::WAIT_MS_MAX;
use super::outcome::SHORT_OF_FUNDS;

/// How often a voucher is refused before that is for good, the last time included.
const REFUSALS_MAX: u32 = 7;

/// The wait after a first refusal, in milliseconds; each next one is twice as long. All of them
/// together are some five minutes.
const AGAIN_AFTER_MS: u64 = 5_000;

/// How often it is tried after that while its channel's payer waits to withdraw, in milliseconds.
pub(in crate::journal) const THREATENED_AGAIN_MS: u64 = 60_000;

/// What stands behind a refusal.
#[derive(Debug, PartialEq, Eq)]
enum Ground {
    /// The bytes of the call, or what a channel's id fixes: no state of the ledger mends it.
    Bytes,
    /// Something that only the payee's own signature does: whatever the node stands on, that much
    /// was taken by something of ours, which is owed for itself.
    Ours,
    /// Something that cannot be undone once it is final, and can before.
    Finality,
    /// The account cannot pay the fee: it stays owed for as long as nobody funds it.
    Funds,
    /// What the ledger may know later, or again: the opening or a top-up that it has not seen, and
    /// all that we do not know.
    Sight,
}

/// The table: what stands behind each code.
fn ground(code: &str) -> Ground {
    match code {
        "InvalidSignature" | "NotPayee" | "Malformed" | "NoSuchAbility" | "NotAnEscrowCall" => {
            Ground::Bytes
        }
        "AmountNotIncreasing" => Ground::Ours,
        "ChannelFinalized" => Ground::Finality,
        SHORT_OF_FUNDS => Ground::Funds,
        _ => Ground::Sight,
    }
}

/// How long to wait, in milliseconds, before a voucher that was refused so often before is tried
/// again; `None` where this refusal is for good. `why` begins with the ledger's code;
/// `is_final` says that a transaction was mined for it, for good, and came to nothing: that costs
/// a fee each time, and so is tried once more and no further.
pub(in crate::journal) fn again_after_ms(why: &str, refusals: u32, is_final: bool) -> Option<u64> {
    let code = why.split(':').next().unwrap_or(why);
    let may_mend = match ground(code) {
        Ground::Bytes | Ground::Ours => false,
        Ground::Finality => !is_final && refusals.saturating_add(1) < REFUSALS_MAX,
        Ground::Funds => true,
        Ground::Sight if is_final => refusals == 0,
        Ground::Sight => refusals.saturating_add(1) < REFUSALS_MAX,
    };
    let doubled = AGAIN_AFTER_MS.saturating_mul(1 << refusals.min(16));
    may_mend.then_some(doubled.min(WAIT_MS_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All waits until it is refused for good, in seconds.
    fn waits(why: &str, is_final: bool) -> Vec<u64> {
        (0..20).map_while(|n| again_after_ms(why, n, is_final)).map(|ms| ms / 1_000).collect()
    }

    #[test]
    fn what_no_node_can_mend_is_refused_at_once() {
        for code in ["InvalidSignature", "NotPayee: 0x12", "AmountNotIncreasing: it was settled"] {
            assert_eq!((waits(code, false), waits(code, true)), (vec![], vec![]), "{code}");
        }
    }

    #[test]
    fn what_a_node_may_not_have_seen_yet_is_tried_for_five_minutes() {
        for code in ["ChannelNotFound: no such channel", "AmountExceedsDeposit", "reverted", ""] {
            assert_eq!(waits(code, false), [5, 10, 20, 40, 80, 160], "{code}");
            assert_eq!(waits(code, true), [5], "{code}");
        }
    }

    #[test]
    fn an_end_is_believed_once_it_is_final() {
        assert_eq!(waits("ChannelFinalized: it is over", true), [0; 0]);
        assert_eq!(waits("ChannelFinalized: it is over", false).len(), 6);
    }

    #[test]
    fn who_cannot_pay_the_fee_is_waited_for() {
        let waits = waits("InsufficientFunds: fund it", false);
        assert_eq!((waits.len(), waits[19]), (20, 600));
    }
}
