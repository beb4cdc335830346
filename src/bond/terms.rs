//! What both sides sign of a bond, to the byte (PROTOCOL.md, section 16).

use crate::terms::Rate;
use sdpp_ledger::{Account, Amount, Digest, keccak};

/// A bond as both pledge it. Its id is its hash, so it is told whole with each call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bond {
    /// Who pledges for the buyer: the channel's payer. Accounts are as the contract has them.
    pub buyer: [u8; 20],
    /// Who pledges for the seller: the channel's payee.
    pub seller: [u8; 20],
    /// The account of the key that signs for the buyer.
    pub buyer_key: [u8; 20],
    /// The account of the key that signs for the seller.
    pub seller_key: [u8; 20],
    /// What both pledge in, and the channel pays in; zero for the coin.
    pub token: [u8; 20],
    /// The channel.
    pub channel: [u8; 32],
    /// What the buyer pledges.
    pub buyer_amount: Amount,
    /// What the seller pledges.
    pub seller_amount: Amount,
    /// What a complaint is made with.
    pub stake: Amount,
    /// What paying only when asked in public costs the buyer.
    pub fee: Amount,
    /// Anything that makes the id new.
    pub salt: Digest,
}

impl Bond {
    /// The bond as the contract's calls begin: eleven words of 32 bytes.
    pub fn words(&self) -> [[u8; 32]; 11] {
        let amount = |amount: Amount| word(&amount.units().to_be_bytes());
        [
            word(&self.buyer),
            word(&self.seller),
            word(&self.buyer_key),
            word(&self.seller_key),
            word(&self.token),
            self.channel,
            amount(self.buyer_amount),
            amount(self.seller_amount),
            amount(self.stake),
            amount(self.fee),
            self.salt.0,
        ]
    }

    /// Its id in one contract of one chain.
    pub fn id(&self, contract: &[u8; 20], chain_id: u64) -> Digest {
        let words = self.words();
        let (contract, chain_id) = (word(contract), word(&chain_id.to_be_bytes()));
        let mut parts: Vec<&[u8]> = words.iter().map(<[u8; 32]>::as_slice).collect();
        parts.extend([contract.as_slice(), chain_id.as_slice()]);
        keccak(&parts)
    }
}

/// The terms of a session as far as its bond is about them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BondTerms {
    /// The bond's id.
    pub bond: Digest,
    /// What was vouched on the channel before.
    pub base: Amount,
    /// The price of one item, in the default currency's smallest unit.
    pub price: Amount,
    /// The currency's rate.
    pub rate: Rate,
    /// K.
    pub granularity: u32,
    /// W.
    pub credit_windows: u32,
    /// The root of the dataset that all items are of; zero where none was named.
    pub dataset: Digest,
}

impl BondTerms {
    /// What `order` and `session_key` commit to.
    pub fn digest(&self) -> Digest {
        let BondTerms { base, price, rate, granularity, credit_windows, .. } = self;
        let amount = |amount: &Amount| amount.units().to_be_bytes();
        keccak(&[
            b"SDPP/1 bond",
            &self.bond.0,
            &amount(base),
            &amount(price),
            &amount(&rate.numerator),
            &amount(&rate.denominator),
            &granularity.to_be_bytes(),
            &credit_windows.to_be_bytes(),
            &self.dataset.0,
        ])
    }
}

/// The 20 bytes of an account that is written as EVM ledgers write it.
pub fn address(account: &Account) -> Option<[u8; 20]> {
    let digits = account.as_str().strip_prefix("0x")?;
    let mut bytes = [0; 20];
    hex::decode_to_slice(digits, &mut bytes).ok()?;
    Some(bytes)
}

/// Bytes at the right of a word.
fn word(bytes: &[u8]) -> [u8; 32] {
    let mut word = [0; 32];
    let at = 32_usize.saturating_sub(bytes.len());
    for (into, byte) in word[at..].iter_mut().zip(bytes) {
        *into = *byte;
    }
    word
}
