//! The faucet: an account with a key that anybody can know, which pays with real transactions.

use ed25519_dalek::{Signer, SigningKey};
use iota_sdk_types::{
    Address, Argument, Command, Ed25519PublicKey, Ed25519Signature, GasPayment, Input, ObjectId,
    ProgrammableTransaction, SignedTransaction, SimpleSignature, Transaction, TransactionDigest,
    TransactionExpiration, TransactionKind, TransactionV1, UserSignature,
};

use crate::chain::Chain;
use crate::chain::refusal::Refusal;
use crate::coin::Coin;

/// In how many coins it gives, as the recorded one does.
const COINS: u16 = 5;
/// What it has, in NANOS.
const TREASURE: u64 = 900_000_000_000_000_000;
const BUDGET: u64 = 50_000_000;
const KEY: [u8; 32] = [0xfa; 32];

#[derive(Debug)]
pub(crate) struct Faucet {
    address: Address,
    coin: ObjectId,
    /// What each coin has that it gives, in NANOS.
    amount: u64,
}

impl Faucet {
    /// A faucet, and its coin.
    pub(crate) fn new(genesis: TransactionDigest, amount: u64) -> (Faucet, Coin) {
        let address = public_key().derive_address();
        let id = ObjectId::derive_id(genesis, 0);
        let coin = Coin::new(id, 1, address, TREASURE, genesis);
        (Faucet { address, coin: id, amount }, coin)
    }

    /// A signed transaction that gives to `payee` what the faucet gives.
    pub(crate) fn pay(&self, chain: &Chain, payee: Address) -> Result<SignedTransaction, Refusal> {
        let empty = || Refusal::Input("the faucet is empty".to_owned());
        let coin = chain.coin(&self.coin).ok_or_else(empty)?;
        let inputs = vec![Input::pure(&self.amount), Input::pure(&payee)];
        let amounts = vec![Argument::Input(0); usize::from(COINS)];
        let parts = (0..COINS).map(|part| Argument::NestedResult(0, part)).collect();
        let commands = vec![
            Command::new_split_coins(Argument::Gas, amounts),
            Command::new_transfer_objects(parts, Argument::Input(1)),
        ];
        let transaction = TransactionV1 {
            kind: TransactionKind::new_programmable(ProgrammableTransaction { inputs, commands }),
            sender: self.address,
            gas_payment: GasPayment {
                objects: vec![coin.reference()],
                owner: self.address,
                price: chain.rules.gas_price,
                budget: BUDGET,
            },
            expiration: TransactionExpiration::None,
        };
        let signature = SigningKey::from_bytes(&KEY).sign(&transaction.signing_digest());
        let signature = Ed25519Signature::new(signature.to_bytes());
        let signature = SimpleSignature::new_ed25519(signature, public_key());
        Ok(SignedTransaction {
            transaction: Transaction::V1(transaction),
            signatures: vec![UserSignature::Simple(signature)],
        })
    }
}

fn public_key() -> Ed25519PublicKey {
    Ed25519PublicKey::new(SigningKey::from_bytes(&KEY).verifying_key().to_bytes())
}
