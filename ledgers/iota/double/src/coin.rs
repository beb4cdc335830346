//! A coin of IOTA as an object of the ledger: the only kind of object that the double has.

use iota_sdk_types::{
    Address, MoveObjectType, MoveStruct, Object, ObjectData, ObjectDigest, ObjectId,
    ObjectReference, Owner, StructTag, TransactionDigest, Version,
};

/// The type of a coin of IOTA, as a node writes it.
pub(crate) const COIN_TYPE: &str = "0x2::iota::IOTA";
/// The type of the object that such a coin is, as a node writes it.
pub(crate) const COIN_OBJECT_TYPE: &str = "0x2::coin::Coin<0x2::iota::IOTA>";
/// What it costs to keep one coin, in NANOS. It is given back when the coin goes.
pub(crate) const COIN_STORAGE_COST: u64 = 980_400;

/// One version of a coin. Its digest is that of the object as the network's own types write it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Coin {
    pub(crate) id: ObjectId,
    pub(crate) version: u64,
    pub(crate) owner: Address,
    /// In NANOS.
    pub(crate) balance: u64,
    /// The transaction that made this version.
    pub(crate) previous: TransactionDigest,
    pub(crate) digest: ObjectDigest,
}

impl Coin {
    pub(crate) fn new(
        id: ObjectId,
        version: u64,
        owner: Address,
        balance: u64,
        previous: TransactionDigest,
    ) -> Coin {
        let mut contents = Vec::from(id);
        contents.extend(balance.to_le_bytes());
        let kind = MoveObjectType::new(StructTag::new_gas_coin());
        // Its contents begin with the 32 bytes of the id, which is all that can be refused.
        #[allow(clippy::expect_used)]
        let object = MoveStruct::new(kind, Version::from_u64(version), contents)
            .expect("contents begin with an id");
        let object = Object::new(
            ObjectData::Struct(object),
            Owner::Address(owner),
            previous,
            COIN_STORAGE_COST,
        );
        Coin { id, version, owner, balance, previous, digest: object.digest() }
    }

    pub(crate) fn reference(&self) -> ObjectReference {
        ObjectReference::new(self.id, Version::from_u64(self.version), self.digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first coin of the recorded faucet answer, and the digest that the node gave for it.
    #[test]
    fn a_coin_has_the_digest_that_a_real_node_gave_it() {
        let coin = Coin::new(
            "0x6ad5856e0d92aa7c7281f5ea416789dcb1e8e7bddfcfe37e13069d235bd62bd9".parse().unwrap(),
            2,
            "0x8d2d1c260127c74476b27136c5e38c003b66b889f5c80032fb81ebc3f44f45a3".parse().unwrap(),
            200_000_000_000,
            "9NCUDMB5TKQJ2ueVVR9bdinSuQrkpSorPUUR3h3nz7FE".parse().unwrap(),
        );
        assert_eq!(coin.digest.to_string(), "9nzMby54owWTnrN4wDBynN2FkHeKwfx3fWubRYSfiVZo");
    }
}
