//! A transaction as bytes: what is signed, what is journaled and sent, and what a node gives back.
//! The bytes are BCS by the network's own types; the digest is computed from them and never taken
//! from anybody.

use crate::names;
use crate::shape::{Does, Shape};
use crate::signer::{Signer, signer_of};
use iota_sdk_types::{
    Address, GasPayment, Input, ObjectId, ObjectReference, SenderSignedTransaction,
    SignedTransaction, Transaction, TransactionDigest, TransactionExpiration, TransactionKind,
    TransactionV1, UserSignature, Version,
};
use sdpp_ledger::{Amount, LedgerError, Result, Signed};

/// The bytes from which on a network takes no pure input, and no transaction.
const INPUT_BYTES_MAX: usize = 16 * 1024;
const BYTES_MAX: usize = 128 * 1024;

/// What is made of coins for a fee.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Draft {
    /// What it does.
    pub shape: Shape,
    /// The coins that it lives on, all of which become the first.
    pub gas: Vec<ObjectReference>,
    /// What a unit of gas costs, in NANOS.
    pub price: u64,
    /// The most that it may cost, in NANOS.
    pub budget: u64,
}

impl Draft {
    /// The transaction, not yet signed.
    pub fn build(&self, sender: Address) -> Transaction {
        let kind = TransactionKind::new_programmable(self.shape.build(sender));
        let (price, budget) = (self.price, self.budget);
        let gas_payment = GasPayment { objects: self.gas.clone(), owner: sender, price, budget };
        let expiration = TransactionExpiration::None;
        Transaction::V1(TransactionV1 { kind, sender, gas_payment, expiration })
    }

    /// What must be on its coins, in NANOS: what it gives away or splits off, and its budget.
    pub fn takes(&self) -> u128 {
        let pays = match self.shape.does {
            Does::Pay { amount, .. } => amount,
            Does::Record => 0,
        };
        let made =
            self.shape.split.map_or(0, |split| u128::from(split.count) * u128::from(split.share));
        u128::from(pays) + made + u128::from(self.budget)
    }

    /// The transaction, signed under a number of the caller's.
    pub fn sign(&self, number: u64, signer: &Signer) -> Signed {
        let transaction = self.build(signer.address);
        let tx = Some(names::tx(&transaction.digest()));
        let signatures = vec![signer.sign(&transaction)];
        let raw = SenderSignedTransaction::new(transaction, signatures).to_bcs();
        Signed { number, tx, raw, fee: Amount::new(self.budget.into()) }
    }
}

/// A signed transaction, read from bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tx {
    transaction: Transaction,
    body: TransactionV1,
    signatures: Vec<UserSignature>,
    /// How many bytes all of it has.
    length: usize,
    /// Its digest, computed from its bytes.
    pub digest: TransactionDigest,
}

impl Tx {
    /// Reads the bytes of a signed transaction.
    pub fn read(raw: &[u8]) -> Option<Self> {
        let signed = SenderSignedTransaction::from_bcs(raw).ok()?.into_signed_transaction();
        let SignedTransaction { transaction, signatures } = signed;
        let (digest, body) = (transaction.digest(), transaction.as_opt_v1()?.clone());
        Some(Tx { transaction, body, signatures, length: raw.len(), digest })
    }

    /// Reads what we signed ourselves.
    ///
    /// # Errors
    /// `Refused` with `Malformed` where these are not the bytes of the transaction that they are
    /// said to be, by this account.
    pub fn own(signed: &Signed, sender: Address) -> Result<Self> {
        let malformed = |why: &str| LedgerError::refused("Malformed", why);
        let tx = Tx::read(&signed.raw).ok_or_else(|| malformed("no signed transaction"))?;
        if signed.tx.as_ref() != Some(&names::tx(&tx.digest)) {
            return Err(malformed("these bytes are another transaction"));
        }
        if tx.sender() != sender {
            return Err(malformed("another account signed it"));
        }
        Ok(tx)
    }

    /// Who is said to have signed it.
    pub fn sender(&self) -> Address {
        self.body.sender
    }

    /// The coins that it lives on.
    pub fn gas(&self) -> &GasPayment {
        &self.body.gas_payment
    }

    /// Whether it takes an object at a version, for its gas or for its commands.
    pub fn takes(&self, id: &ObjectId, version: Version) -> bool {
        let is_it = |at: &ObjectReference| at.object_id == *id && at.version == version;
        let is_among = |input: &Input| matches!(input, Input::ImmutableOrOwned(at) if is_it(at));
        self.gas().objects.iter().any(is_it)
            || matches!(&self.body.kind, TransactionKind::Programmable(made)
                if made.inputs.iter().any(is_among))
    }

    /// Whether its sender signed it, and nobody else had to, by a scheme that is looked at here.
    pub fn is_signed(&self) -> bool {
        let [signature] = &self.signatures[..] else { return false };
        signer_of(&self.transaction, signature) == Some(self.sender())
    }

    /// Whether it is larger than a network takes.
    pub fn is_too_large(&self) -> bool {
        let inputs = match &self.body.kind {
            TransactionKind::Programmable(made) => &made.inputs[..],
            _ => &[],
        };
        let is_long =
            |input: &Input| matches!(input, Input::Pure(bytes) if bytes.len() >= INPUT_BYTES_MAX);
        self.length >= BYTES_MAX || inputs.iter().any(is_long)
    }

    /// What it does, if it is of our shape, lives on its sender's coins and never expires.
    pub fn shape(&self) -> Option<Shape> {
        let body = &self.body;
        let TransactionKind::Programmable(made) = &body.kind else { return None };
        let is_ours =
            body.gas_payment.owner == body.sender && body.expiration == TransactionExpiration::None;
        is_ours.then(|| Shape::read(made, body.sender)).flatten()
    }

    /// What it was drafted as, if it is of our shape.
    pub fn draft(&self) -> Option<Draft> {
        let GasPayment { objects, price, budget, .. } = self.gas().clone();
        Some(Draft { shape: self.shape()?, gas: objects, price, budget })
    }

    /// As a node takes it: the transaction and its signatures, in base64.
    pub fn to_send(&self) -> (String, Vec<String>) {
        let signatures = self.signatures.iter().map(|one| one.to_base64()).collect();
        (self.transaction.to_base64(), signatures)
    }
}
