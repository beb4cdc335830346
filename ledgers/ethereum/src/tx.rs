//! Transactions: built, signed and read back. Signing is with the one key that there is, and
//! gives the same bytes for the same content each time.

use crate::abi::Body;
use crate::fees::Fees;
use crate::names;
use ethers_core::types::transaction::eip2718::TypedTransaction;
use ethers_core::types::{
    Address, Eip1559TransactionRequest, H256, NameOrAddress, Signature, U256,
};
use ethers_core::utils::rlp::Rlp;
use sdpp_ledger::{Amount, Digest, Key, LedgerError, Signed, keccak};

/// A transaction of ours, as the chain will have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tx {
    pub chain_id: u64,
    pub number: u64,
    pub gas: u64,
    pub fees: Fees,
    pub body: Body,
}

impl Tx {
    /// Signs it.
    ///
    /// # Errors
    /// `Unavailable` where its fee does not fit 128 bits, which an absurd gas price makes.
    pub fn sign(&self, key: &Key) -> Result<Signed, LedgerError> {
        let fee = Amount::new(self.fees.max).checked_mul(self.gas.into());
        let fee = fee.ok_or_else(|| LedgerError::unavailable("an absurd fee"))?;
        let request = self.request();
        let signature = key.sign(&Digest(request.sighash().0)).0;
        let signature = Signature {
            r: U256::from_big_endian(&signature[..32]),
            s: U256::from_big_endian(&signature[32..64]),
            // The parity alone: these transactions name their chain themselves.
            v: u64::from(signature[64]).saturating_sub(27),
        };
        let raw = request.rlp_signed(&signature).to_vec();
        let tx = Some(names::tx_id(id(&raw)));
        Ok(Signed { number: self.number, tx, raw, fee })
    }

    /// Reads back what was signed.
    ///
    /// # Errors
    /// `Malformed` where these are not the bytes of `signed`'s transaction, by this account.
    pub fn read(signed: &Signed, from: Address) -> Result<Tx, LedgerError> {
        let malformed = |why: &str| LedgerError::refused("Malformed", why);
        if signed.tx != Some(names::tx_id(id(&signed.raw))) {
            return Err(malformed("the bytes are not those of the transaction id"));
        }
        let decoded = TypedTransaction::decode_signed(&Rlp::new(&signed.raw));
        let (typed, _) = decoded.map_err(|_| malformed("the bytes are no transaction"))?;
        let TypedTransaction::Eip1559(request) = typed else {
            return Err(malformed("a transaction of another kind"));
        };
        if request.from != Some(from) {
            return Err(malformed("signed by another account"));
        }
        let tx = Tx::of(request).ok_or_else(|| malformed("numbers beyond all sense"))?;
        if tx.number != signed.number {
            return Err(malformed("signed under another number"));
        }
        Ok(tx)
    }

    fn of(request: Eip1559TransactionRequest) -> Option<Tx> {
        let to = match request.to {
            Some(NameOrAddress::Address(to)) => Some(to),
            Some(NameOrAddress::Name(_)) => return None,
            None => None,
        };
        Some(Tx {
            chain_id: request.chain_id?.as_u64(),
            number: u64::try_from(request.nonce?).ok()?,
            gas: u64::try_from(request.gas?).ok()?,
            fees: Fees {
                max: u128::try_from(request.max_fee_per_gas?).ok()?,
                tip: u128::try_from(request.max_priority_fee_per_gas?).ok()?,
            },
            body: Body {
                to,
                value: request.value.unwrap_or_default(),
                data: request.data.unwrap_or_default().to_vec(),
            },
        })
    }

    fn request(&self) -> TypedTransaction {
        TypedTransaction::Eip1559(Eip1559TransactionRequest {
            from: None,
            to: self.body.to.map(NameOrAddress::Address),
            gas: Some(self.gas.into()),
            value: Some(self.body.value),
            data: Some(self.body.data.clone().into()),
            nonce: Some(self.number.into()),
            access_list: Default::default(),
            max_priority_fee_per_gas: Some(self.fees.tip.into()),
            max_fee_per_gas: Some(self.fees.max.into()),
            chain_id: Some(self.chain_id.into()),
        })
    }
}

/// The id of a transaction by its bytes.
fn id(raw: &[u8]) -> H256 {
    H256(keccak(&[raw]).0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tx() -> Tx {
        let body = Body { to: Some(Address::repeat_byte(3)), value: 7.into(), data: vec![1, 2] };
        Tx { chain_id: 31337, number: 5, gas: 50_000, fees: Fees { max: 30, tip: 2 }, body }
    }

    #[test]
    fn what_was_signed_is_read_back_and_nothing_else_is() {
        let key = Key::from_bytes(&[7; 32]).unwrap();
        let own = names::address(&key.public().account()).unwrap();
        let signed = tx().sign(&key).unwrap();
        assert_eq!(signed, tx().sign(&key).unwrap(), "the same bytes each time");
        assert_eq!(signed.fee, Amount::new(1_500_000));
        assert_eq!(Tx::read(&signed, own).unwrap(), tx());
        let maker = Tx { body: Body { to: None, ..tx().body }, ..tx() };
        assert_eq!(Tx::read(&maker.sign(&key).unwrap(), own).unwrap(), maker);
        let mut cut = signed.clone();
        cut.raw.pop();
        cut.tx = Some(names::tx_id(id(&cut.raw)));
        let other = Signed { tx: maker.sign(&key).unwrap().tx, ..signed.clone() };
        let moved = Signed { number: 6, ..signed.clone() };
        for bad in [cut, other, moved] {
            assert!(Tx::read(&bad, own).is_err(), "{bad:?} was taken");
        }
        assert!(Tx::read(&signed, Address::zero()).is_err(), "another's was taken");
    }
}
