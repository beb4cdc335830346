//! Vouchers: a payer's signed word that a payee may have so much, in all, out of a channel.
//!
//! EIP-712 typed data of the Machine Payments Protocol's EVM session draft
//! (`draft-evm-session-00`), so that other projects' tools can check ours.

use crate::{Account, Amount, Asset, ChannelId, Digest, Key, Signature, keccak};
use serde::{Deserialize, Serialize};

/// The EIP-712 domain of one escrow: no voucher is good on another chain or contract.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Domain {
    /// The chain's id as in EIP-155; the embedded ledger has one too.
    pub chain_id: u64,
    /// The escrow contract's account: 20 bytes as `0x` hex.
    pub contract: Account,
}

impl Domain {
    fn separator(&self) -> Digest {
        let kind =
            b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)";
        keccak(&[
            &keccak(&[kind]).0,
            &keccak(&[b"EVM Payment Channel"]).0,
            &keccak(&[b"1"]).0,
            &word_u128(self.chain_id.into()),
            &word_account(&self.contract),
        ])
    }
}

/// "The payee may have `amount` in all out of `channel`." Cumulative: the latest replaces all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Voucher {
    /// The channel.
    pub channel: ChannelId,
    /// What the payee may have in all, in the asset's smallest unit.
    pub amount: Amount,
}

impl Voucher {
    /// The EIP-712 digest that is signed.
    pub fn digest(&self, domain: &Domain) -> Digest {
        let kind = keccak(&[b"Voucher(bytes32 channelId,uint128 cumulativeAmount)"]);
        let body = keccak(&[&kind.0, &self.channel.0, &word_u128(self.amount.units())]);
        keccak(&[b"\x19\x01", &domain.separator().0, &body.0])
    }

    /// Signs it. Whoever signs has the amount on disk first.
    pub fn sign(&self, domain: &Domain, key: &Key) -> Signature {
        key.sign(&self.digest(domain))
    }
}

/// The id of a channel, as the escrow computes it:
/// `keccak256(abi.encode(payer, payee, token, salt, authorizedSigner, contract, chainId))`.
///
/// Accounts that are 20 bytes of hex stand as themselves, any other text (the embedded ledger's
/// asset `coin` is address zero) by the last 20 bytes of its Keccak-256. `signer` is address
/// zero where the payer signs for itself.
pub fn channel_id(
    domain: &Domain,
    payer: &Account,
    payee: &Account,
    asset: &Asset,
    salt: &Digest,
    signer: Option<&Account>,
) -> ChannelId {
    let token = if *asset == Asset::coin() { [0; 32] } else { word_text(asset.as_str()) };
    let id = keccak(&[
        &word_account(payer),
        &word_account(payee),
        &token,
        &salt.0,
        &signer.map_or([0; 32], word_account),
        &word_account(&domain.contract),
        &word_u128(domain.chain_id.into()),
    ]);
    ChannelId(id.0)
}

pub(crate) fn word_account(account: &Account) -> [u8; 32] {
    word_text(account.as_str())
}

/// 20 bytes of hex, or the last 20 of the text's digest, as an ABI word.
pub(crate) fn word_text(text: &str) -> [u8; 32] {
    let mut word = [0; 32];
    let digits = text.strip_prefix("0x").unwrap_or_default();
    if hex::decode_to_slice(digits, &mut word[12..]).is_err() {
        word = keccak(&[text.as_bytes()]).0;
        word[..12].fill(0);
    }
    word
}

pub(crate) fn word_u128(number: u128) -> [u8; 32] {
    let mut word = [0; 32];
    word[16..].copy_from_slice(&number.to_be_bytes());
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain(chain_id: u64) -> Domain {
        let contract = "0x5fbdb2315678afecb367f032d93f642f64180aa3".parse().unwrap();
        Domain { chain_id, contract }
    }

    #[test]
    fn a_voucher_is_good_in_one_domain_and_channel_for_one_amount() {
        let voucher = Voucher { channel: ChannelId([3; 32]), amount: Amount::new(5) };
        let digest = voucher.digest(&domain(1));
        assert_ne!(digest, voucher.digest(&domain(2)));
        let more = Voucher { amount: Amount::new(6), ..voucher.clone() };
        assert_ne!(digest, more.digest(&domain(1)));
        let elsewhere = Voucher { channel: ChannelId([4; 32]), ..voucher };
        assert_ne!(digest, elsewhere.digest(&domain(1)));
    }

    /// Made with an independent implementation (eth-account 0.14, `encode_typed_data`).
    #[test]
    fn the_digest_is_the_one_that_others_compute() {
        let voucher = Voucher { channel: ChannelId([0x11; 32]), amount: Amount::new(1_000_000) };
        assert_eq!(voucher.digest(&domain(31337)).to_string(), DIGEST_BY_OTHERS);
    }

    const DIGEST_BY_OTHERS: &str =
        "0x769b7bf0894a4e74c16a4e3717165a896b64655f8c54ea0546385eef9ea7ba37";
}
