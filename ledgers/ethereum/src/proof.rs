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
        let (r, s) = (self.r?, self.s?);
        let v = if self.kind.is_zero() { self.v? } else { self.y_parity.or(self.v)? };
        let (parity, unsigned) = match self.kind.as_u64() {
            // EIP-155.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::Seen;
    use sdpp_ledger::Key;
    use serde_json::json;

    fn proof(told: &serde_json::Value) -> Proof {
        let seen: Seen = serde_json::from_value(told.clone()).unwrap();
        seen.signed.proof(seen.hash, seen.from)
    }

    /// Made by cast, told by Anvil. The other kinds are in a story on a real chain.
    #[test]
    fn a_transaction_with_blobs_is_what_was_signed() {
        let told = json!({
            "type": "0x3", "chainId": "0x7a69", "nonce": "0x0", "gas": "0x5406",
            "maxFeePerGas": "0x77359401", "maxPriorityFeePerGas": "0x1",
            "to": "0x70997970c51812dc3a010c7d01b50e0d17dc79c8", "value": "0x7", "accessList": [],
            "blobVersionedHashes":
                ["0x015569d40014594e4a9d8bae5b06809d143620627e258e767319fe6109e0c47a"],
            "maxFeePerBlobGas": "0x64",
            "input": "0xb3de648b0000000000000000000000000000000000000000000000000000000000000007",
            "r": "0x44286859edbc71c76c8b9cc2b28f40b8a42be5c9785a7e49e78c8c2e75f035e",
            "s": "0x419ebd5d2168bd9a4d444c76837c0e750966d1eaac2d5c964ce58c52993e6bcc",
            "yParity": "0x1", "v": "0x1",
            "hash": "0x0dd522737f88537b29882117c5539e505d17efad7251c543aec1d1e07c459505",
            "from": "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266",
        });
        assert_eq!(proof(&told), Proof::Shown);
        for field in ["maxFeePerBlobGas", "value", "nonce", "gas", "chainId", "yParity"] {
            let mut altered = told.clone();
            altered[field] = json!("0x9");
            assert_eq!(proof(&altered), Proof::Broken, "another {field}");
            altered[field] = json!(null);
            let is_optional = serde_json::from_value::<Seen>(altered.clone()).is_ok();
            // Where the parity stands twice, once is enough.
            let expected = if field == "yParity" { Proof::Shown } else { Proof::Broken };
            assert!(!is_optional || proof(&altered) == expected, "no {field}");
        }
        let mut other = told.clone();
        other["type"] = json!("0x5");
        assert_eq!(proof(&other), Proof::Unknown);
    }

    /// As it was before transactions named their chain.
    #[test]
    fn a_transaction_of_the_oldest_kind_is_what_was_signed() {
        let key = Key::from_bytes(&[7; 32]).unwrap();
        let from = key.public().account();
        let mut told = json!({
            "nonce": "0x5", "gasPrice": "0x3b9aca00", "gas": "0x5208", "to": null, "value": "0x0",
            "input": "0x6001", "hash": H256::zero(), "from": from.as_str(), "v": "0x1b",
            "r": "0x1", "s": "0x1",
        });
        assert_eq!(proof(&told), Proof::Broken);
        let unsigned: Signable = serde_json::from_value(told.clone()).unwrap();
        let Signature(signature) = key.sign(&keccak(&[&unsigned.bytes(&[]).unwrap()]));
        told["r"] = json!(U256::from_big_endian(&signature[..32]));
        told["s"] = json!(U256::from_big_endian(&signature[32..64]));
        told["v"] = json!(U256::from(signature[64]));
        let signed: Signable = serde_json::from_value(told.clone()).unwrap();
        let end = [signed.v.unwrap(), signed.r.unwrap(), signed.s.unwrap()];
        told["hash"] = json!(H256(keccak(&[&signed.bytes(&end).unwrap()]).0));
        assert_eq!(proof(&told), Proof::Shown);
        told["v"] = json!("0x0");
        assert_eq!(proof(&told), Proof::Broken);
    }
}
