//! What of a transaction nobody can tell wrongly: its hash is made from its signed fields, and
//! its signature shows who signed. So what a node tells of it is what was signed, or is found out.

use crate::names;
use ethers_core::types::{Address, Bytes, H256, U64, U256};
use ethers_core::utils::rlp::RlpStream;
use sdpp_ledger::{Digest, Signature, keccak};
use serde::Deserialize;

/// What is signed in a transaction, and the signature. What a kind has not is not told.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Signable {
    /// By EIP-2718; the oldest transactions name none.
    #[serde(rename = "type", default)]
    kind: U64,
    chain_id: Option<U256>,
    pub nonce: U256,
    gas_price: Option<U256>,
    max_priority_fee_per_gas: Option<U256>,
    max_fee_per_gas: Option<U256>,
    pub gas: U256,
    pub to: Option<Address>,
    pub value: U256,
    pub input: Bytes,
    access_list: Option<Vec<Access>>,
    max_fee_per_blob_gas: Option<U256>,
    blob_versioned_hashes: Option<Vec<H256>>,
    authorization_list: Option<Vec<Authorization>>,
    y_parity: Option<U256>,
    v: Option<U256>,
    r: Option<U256>,
    s: Option<U256>,
}

/// EIP-2930.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Access {
    address: Address,
    storage_keys: Vec<H256>,
}

/// EIP-7702.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Authorization {
    chain_id: U256,
    address: Address,
    nonce: U256,
    y_parity: U256,
    r: U256,
    s: U256,
}

/// How far a transaction can be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proof {
    /// It is what was signed, by whom it is said to be.
    Shown,
    /// It is not what was signed.
    Broken,
    /// A kind that is not known here: there is but the node's word.
    Unknown,
}

/// The last of the kinds that are known here.
const KIND_MAX: u64 = 4;

impl Signable {
    /// Whether this is the transaction with a hash, signed by an account.
    pub fn proof(&self, hash: H256, from: Address) -> Proof {
        if self.kind > KIND_MAX.into() {
            return Proof::Unknown;
        }
        match self.hash_and_signer() {
            Some(signed) if signed == (hash, from) => Proof::Shown,
            _ => Proof::Broken,
        }
    }

    fn hash_and_signer(&self) -> Option<(H256, Address)> {
        let (r, s, v) = (self.r?, self.s?, self.v.or(self.y_parity)?);
        let (parity, unsigned) = match self.kind.as_u64() {
            0 if v >= 35.into() => {
                ((v - 35) % 2, self.bytes(&[(v - 35) / 2, U256::zero(), U256::zero()])?)
            }
            0 => (v.checked_sub(27.into())?, self.bytes(&[])?),
            _ => (v, self.bytes(&[])?),
        };
        let mut signature = [0; 65];
        r.to_big_endian(&mut signature[..32]);
        s.to_big_endian(&mut signature[32..64]);
        signature[64] = if parity.is_zero() { 27 } else { 28 };
        let signer = Signature(signature).recover(&keccak(&[&unsigned]))?;
        let Digest(hash) = keccak(&[&self.bytes(&[v, r, s])?]);
        Some((H256(hash), names::address(&signer).ok()?))
    }

    /// Its bytes with something at the end; nothing where it lacks what its kind must have.
    fn bytes(&self, end: &[U256]) -> Option<Vec<u8>> {
        let mut rlp = RlpStream::new();
        rlp.begin_unbounded_list();
        let kind = u8::try_from(self.kind.as_u64()).ok()?;
        if kind > 0 {
            rlp.append(&self.chain_id?);
        }
        rlp.append(&self.nonce);
        if kind < 2 {
            rlp.append(&self.gas_price?);
        } else {
            rlp.append(&self.max_priority_fee_per_gas?).append(&self.max_fee_per_gas?);
        }
        rlp.append(&self.gas);
        match self.to {
            Some(to) => rlp.append(&to),
            None => rlp.append_empty_data(),
        };
        rlp.append(&self.value).append(&self.input.as_ref());
        if kind > 0 {
            append_access(&mut rlp, self.access_list.as_ref()?);
        }
        match kind {
            3 => {
                rlp.append(&self.max_fee_per_blob_gas?);
                rlp.append_list(self.blob_versioned_hashes.as_ref()?);
            }
            4 => append_authorizations(&mut rlp, self.authorization_list.as_ref()?),
            _ => {}
        }
        end.iter().for_each(|number| {
            rlp.append(number);
        });
        rlp.finalize_unbounded_list();
        let prefix: &[u8] = if kind > 0 { &[kind] } else { &[] };
        Some([prefix, &rlp.out()].concat())
    }
}

fn append_access(rlp: &mut RlpStream, list: &[Access]) {
    rlp.begin_list(list.len());
    for access in list {
        rlp.begin_list(2).append(&access.address).append_list(&access.storage_keys);
    }
}

fn append_authorizations(rlp: &mut RlpStream, list: &[Authorization]) {
    rlp.begin_list(list.len());
    for Authorization { chain_id, address, nonce, y_parity, r, s } in list {
        rlp.begin_list(6).append(chain_id).append(address).append(nonce);
        rlp.append(y_parity).append(r).append(s);
    }
}
