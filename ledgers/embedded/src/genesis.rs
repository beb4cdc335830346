//! What a chain is founded on: its rules, its first balances, and the names that follow.
//!
//! A [`Genesis`] is as somebody wrote it; an [`Origin`] is one that was checked.

use crate::Refusal;
use crate::state::State;
use sdpp_ledger::{Account, Amount, Asset, Digest, Domain, LedgerId, keccak};
use serde::{Deserialize, Serialize};

/// The most first balances that a chain can be founded with.
pub const ALLOCATIONS_MAX: usize = 1_000;

/// The rules and first balances of a chain.
///
/// Two chains are the same only if all of this is, the start included. So two chains made from
/// one configuration at different times do not take each other's transactions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Genesis {
    /// The chain's id in the vouchers' EIP-712 domain.
    pub chain_id: u64,
    /// Time of block 0, in milliseconds since 1970 UTC.
    pub started_ms: u64,
    /// Time between blocks in milliseconds; 0 for a block of its own for each transaction, at
    /// once.
    pub block_time_ms: u64,
    /// How many blocks, the including one counted, make a transaction final; at least 1. With a
    /// block time of 0 only later transactions make later blocks, so more than 1 is for tests.
    pub depth: u64,
    /// How long a payee can still settle after the payer asked to close, in milliseconds.
    pub grace_period_ms: u64,
    /// The most that one `fund` may create, in any asset; `None` for a chain without a faucet.
    pub faucet: Option<Amount>,
    /// Who holds what in block 0.
    pub allocations: Vec<Allocation>,
}

/// A first balance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allocation {
    /// Who holds it.
    pub account: Account,
    /// What is held.
    pub asset: Asset,
    /// How much, in the asset's smallest unit.
    pub amount: Amount,
}

impl Default for Genesis {
    /// Blocks at once, final at once, a quarter of an hour of grace, no money and no faucet.
    fn default() -> Self {
        Genesis {
            chain_id: 7377,
            started_ms: 0,
            block_time_ms: 0,
            depth: 1,
            grace_period_ms: 15 * 60 * 1_000,
            faucet: None,
            allocations: Vec::new(),
        }
    }
}

/// A genesis that was checked, with the names that follow from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    genesis: Genesis,
    digest: Digest,
    ledger: LedgerId,
    domain: Domain,
}

impl Origin {
    /// Checks a genesis.
    ///
    /// # Errors
    /// Code `InvalidGenesis`: a depth of 0, too many allocations, or one that is not sound.
    pub fn new(genesis: Genesis) -> Result<Self, Refusal> {
        if genesis.depth == 0 {
            return Err(invalid("depth must be at least 1".to_owned()));
        }
        if genesis.allocations.len() > ALLOCATIONS_MAX {
            let count = genesis.allocations.len();
            return Err(invalid(format!(
                "{count} allocations, at most {ALLOCATIONS_MAX} are taken"
            )));
        }
        State::founded(&genesis).map_err(|refusal| invalid(refusal.why))?;
        let digest = keccak(&[&to_json(&genesis)]);
        Ok(Origin {
            ledger: named(&format!("sdpp:{}", hex::encode(&digest.0[..16]))),
            domain: Domain { chain_id: genesis.chain_id, contract: contract(&digest) },
            digest,
            genesis,
        })
    }

    /// What was checked.
    pub fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// Keccak-256 of the genesis: what every transaction is bound to, and block 0's hash.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The chain's CAIP-2 name: `sdpp:` and the digest's first 16 bytes in hex.
    pub fn ledger(&self) -> &LedgerId {
        &self.ledger
    }

    /// What vouchers are signed under; its contract's account follows from the digest.
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// The genesis as it stands in the file.
    pub(crate) fn json(&self) -> Vec<u8> {
        to_json(&self.genesis)
    }
}

/// Whether a text is an account of this ledger: `0x` and 40 lower-case hex digits.
pub(crate) fn is_account(account: &Account) -> bool {
    let lower_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    account
        .as_str()
        .strip_prefix("0x")
        .is_some_and(|digits| digits.len() == 40 && digits.bytes().all(lower_hex))
}

fn invalid(why: String) -> Refusal {
    Refusal::new("InvalidGenesis", why)
}

fn contract(digest: &Digest) -> Account {
    let hash = keccak(&[b"sdpp embedded escrow", &digest.0]);
    named(&format!("0x{}", hex::encode(&hash.0[12..])))
}

/// A name made of a short literal and hex.
fn named<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    // At most 42 visible ASCII characters, which every name may be.
    #[allow(clippy::expect_used)]
    text.parse().expect("hex is visible ASCII")
}

/// A value of ours as JSON, in its one form: fields in the order in which they are declared.
pub(crate) fn to_json<T: Serialize>(value: &T) -> Vec<u8> {
    // serde_json fails only on maps with keys that are not texts and on a type's own refusal;
    // the types written here have neither.
    #[allow(clippy::expect_used)]
    serde_json::to_vec(value).expect("plain structs can be written")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_genesis_makes_another_chain() {
        let plain = Genesis::default();
        let later = Genesis { started_ms: 1, ..plain.clone() };
        let deeper = Genesis { depth: 2, ..plain.clone() };
        let [a, b, c] = [plain, later, deeper].map(|g| Origin::new(g).unwrap());
        assert_ne!(a.ledger(), b.ledger());
        assert_ne!(a.ledger(), c.ledger());
        assert_ne!(a.domain().contract, b.domain().contract);
        assert_eq!(a.ledger().as_str().len(), "sdpp:".len() + 32);
    }

    #[test]
    fn a_genesis_that_is_not_sound_is_refused() {
        let allocation = |account: &str, units| Allocation {
            account: account.parse().unwrap(),
            asset: Asset::coin(),
            amount: Amount::new(units),
        };
        let account = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266";
        let all = allocation(account, u128::MAX);
        for allocations in [
            vec![allocation("0xF39fd6e51aad88f6f4ce6ab8827279cfffb92266", 1)],
            vec![allocation("bob", 1)],
            vec![all.clone(), allocation(account, 1)],
            vec![allocation(account, 0); ALLOCATIONS_MAX + 1],
        ] {
            let genesis = Genesis { allocations, ..Genesis::default() };
            assert_eq!(Origin::new(genesis).unwrap_err().code, "InvalidGenesis");
        }
        let depth_0 = Genesis { depth: 0, ..Genesis::default() };
        assert!(Origin::new(depth_0).is_err());
    }
}
