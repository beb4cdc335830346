//! A transaction: JSON with a signature behind it.
//!
//! `raw = body || signature (65 bytes)`, where the body is
//! `{"chain":GENESIS DIGEST,"from":ACCOUNT,"number":N,"call":{..}}` and the signature is over
//! `keccak("sdpp embedded transaction" || 0 || body)`. The id is the Keccak-256 of `raw`. The
//! signature is checked over the bytes as they came, and only then are they parsed.

use crate::Refusal;
use crate::genesis::to_json;
use sdpp_ledger::{Account, Call, Digest, Key, Signature, TxId, keccak};
use serde::{Deserialize, Serialize};

/// The longest transaction that is taken, in bytes: a batch of [`crate::BATCH_ROWS_MAX`] rows.
pub const TX_BYTES_MAX: usize = 16 * 1024;

/// A transaction whose bytes, signature and chain were checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tx {
    pub id: TxId,
    pub from: Account,
    pub number: u64,
    pub call: Call,
    pub raw: Vec<u8>,
}

impl Tx {
    /// Signs a call for the chain with this genesis digest.
    pub fn sign(chain: &Digest, key: &Key, number: u64, call: &Call) -> Tx {
        let from = key.public().account();
        let body = Body { chain: *chain, from: from.clone(), number, call: call.clone() };
        let mut raw = to_json(&body);
        let signature = key.sign(&signing_digest(&raw));
        raw.extend(signature.0);
        Tx { id: id(&raw), from, number, call: body.call, raw }
    }

    /// Checks bytes that came from anywhere.
    ///
    /// # Errors
    /// `Malformed`, `InvalidSignature` or `WrongChain`.
    pub fn read(chain: &Digest, raw: &[u8]) -> Result<Tx, Refusal> {
        if raw.len() > TX_BYTES_MAX {
            let why = format!("{} bytes, at most {TX_BYTES_MAX} are taken", raw.len());
            return Err(malformed(why));
        }
        let (body, signature) = raw
            .split_last_chunk::<65>()
            .ok_or_else(|| malformed("shorter than a signature".to_owned()))?;
        // The signer is recovered, which also holds the signature's last byte to its one right
        // value: checked against a known key, a stranger could flip it and so change the id.
        let signer = Signature(*signature).recover(&signing_digest(body));
        let signer = signer.ok_or_else(|| invalid_signature("nobody's signature"))?;
        let body = parse(body)?;
        if body.from != signer {
            return Err(invalid_signature("not the signature of the account named"));
        }
        if body.chain != *chain {
            let why = format!("signed for chain {}, this is {chain}", body.chain);
            return Err(Refusal::new("WrongChain", why));
        }
        Ok(Tx {
            id: id(raw),
            from: body.from,
            number: body.number,
            call: body.call,
            raw: raw.to_vec(),
        })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    chain: Digest,
    from: Account,
    number: u64,
    call: Call,
}

/// Parses a body and refuses any but its one form: keys twice, keys unknown, keys in another
/// order and blanks would let two readers see two things in what was signed once.
fn parse(bytes: &[u8]) -> Result<Body, Refusal> {
    let body: Body = serde_json::from_slice(bytes).map_err(|e| malformed(e.to_string()))?;
    if to_json(&body) == bytes {
        Ok(body)
    } else {
        Err(malformed("not written in the one form".to_owned()))
    }
}

fn signing_digest(body: &[u8]) -> Digest {
    keccak(&[b"sdpp embedded transaction\0", body])
}

fn id(raw: &[u8]) -> TxId {
    // 66 visible ASCII characters.
    #[allow(clippy::expect_used)]
    keccak(&[raw]).to_string().parse().expect("hex is visible ASCII")
}

fn malformed(why: String) -> Refusal {
    Refusal::new("Malformed", why)
}

fn invalid_signature(why: &str) -> Refusal {
    Refusal::new("InvalidSignature", why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sdpp_ledger::{Amount, Asset, Batch, ChannelId, Redeem, Reference, Transfer};

    fn key() -> Key {
        Key::from_bytes(&[7; 32]).unwrap()
    }

    fn transfer() -> Call {
        Call::Transfer(Transfer {
            to: key().public().account(),
            asset: Asset::coin(),
            amount: Amount::new(5),
            reference: Reference([1; 32]),
        })
    }

    fn signed() -> Tx {
        Tx::sign(&Digest([9; 32]), &key(), 3, &transfer())
    }

    /// Signs any bytes at all, as an attacker with a key of its own can.
    fn signed_bytes(body: &str) -> Vec<u8> {
        let signature = key().sign(&signing_digest(body.as_bytes()));
        [body.as_bytes(), &signature.0].concat()
    }

    #[test]
    fn what_was_signed_is_read_back() {
        let tx = signed();
        assert_eq!(Tx::read(&Digest([9; 32]), &tx.raw).unwrap(), tx);
    }

    /// Chains on disk hold these bytes for ever: a change here makes them unreadable.
    #[test]
    fn the_form_on_disk_has_not_changed() {
        let body = signed().raw;
        let body = String::from_utf8_lossy(&body[..body.len() - 65]).into_owned();
        let account = key().public().account();
        let nines = "09".repeat(32);
        let ones = "01".repeat(32);
        let expected = format!(
            "{{\"chain\":\"0x{nines}\",\"from\":\"{account}\",\"number\":3,\"call\":{{\
             \"call\":\"transfer\",\"to\":\"{account}\",\"asset\":\"coin\",\"amount\":\"5\",\
             \"reference\":\"0x{ones}\"}}}}"
        );
        assert_eq!(body, expected);
    }

    #[test]
    fn another_chain_refuses_it() {
        let refusal = Tx::read(&Digest([8; 32]), &signed().raw).unwrap_err();
        assert_eq!(refusal.code, "WrongChain");
    }

    #[test]
    fn only_the_one_form_is_read() {
        let raw = signed().raw;
        let good = String::from_utf8(raw[..raw.len() - 65].to_vec()).unwrap();
        assert!(Tx::read(&Digest([9; 32]), &signed_bytes(&good)).is_ok());
        for bad in [
            good.replace("\"number\":3", "\"number\":3,\"number\":4"),
            good.replace("\"number\":3", "\"number\":4,\"number\":3"),
            good.replace("\"amount\":\"5\"", "\"amount\":\"5\",\"amount\":\"6\""),
            good.replace("\"amount\":\"5\"", "\"amount\":\"5\",\"x\":1,\"x\":2"),
            good.replace("\"number\":3", "\"number\":3,\"more\":true"),
            good.replace("\"number\":3", "\"number\": 3"),
            good.replace("\"number\":3", "\"number\":3.0"),
            good.replace("\"number\":3", "\"number\":-3"),
            format!("{good} "),
            "{}".to_owned(),
            String::new(),
        ] {
            let refusal = Tx::read(&Digest([9; 32]), &signed_bytes(&bad)).unwrap_err();
            assert_eq!(refusal.code, "Malformed", "{bad}");
        }
    }

    #[test]
    fn a_stranger_cannot_give_it_another_id() {
        let mut raw = signed().raw;
        let v = raw.len() - 1;
        raw[v] = 27 + 28 - raw[v];
        let refusal = Tx::read(&Digest([9; 32]), &raw).unwrap_err();
        assert_eq!(refusal.code, "InvalidSignature");
    }

    #[test]
    fn a_long_one_is_refused_unread() {
        let refusal = Tx::read(&Digest([9; 32]), &vec![b'x'; TX_BYTES_MAX + 1]).unwrap_err();
        assert_eq!(refusal.code, "Malformed");
    }

    #[test]
    fn a_batch_of_the_most_rows_fits() {
        let row = Redeem {
            channel: ChannelId([255; 32]),
            amount: Amount::new(u128::MAX),
            signature: Signature([255; 65]),
        };
        let full = Call::SettleMany(Batch { rows: vec![row; crate::BATCH_ROWS_MAX] });
        let tx = Tx::sign(&Digest([9; 32]), &key(), u64::MAX, &full);
        assert_eq!(Tx::read(&Digest([9; 32]), &tx.raw).unwrap(), tx);
    }

    proptest! {
        #[test]
        fn no_changed_byte_passes(at in 0usize..500, flip in 1u8..) {
            let mut raw = signed().raw;
            let at = at % raw.len();
            raw[at] ^= flip;
            prop_assert!(Tx::read(&Digest([9; 32]), &raw).is_err());
        }

        #[test]
        fn no_bytes_at_all_make_it_panic(raw: Vec<u8>) {
            prop_assert!(Tx::read(&Digest([9; 32]), &raw).is_err());
        }
    }
}
