//! One account's view of a [`Chain`].

use crate::chain::Chain;
use async_trait::async_trait;
use sdpp_ledger::{
    Account, Amount, Anchor, Asset, Call, Channel, ChannelId, Claim, Domain, Escrow, Finality,
    Ledger, LedgerId, Payments, Records, Result, Signed, Status, Transfer, TxId,
};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// A ledger that several accounts have a view of.
pub type Shared = Arc<Mutex<Chain>>;

pub struct Teller {
    id: LedgerId,
    domain: Domain,
    account: Account,
    chain: Shared,
}

impl Teller {
    pub fn new(chain: &Shared, account: Account) -> Teller {
        let (id, domain) = {
            let chain = chain.lock().unwrap();
            (chain.id.clone(), chain.domain.clone())
        };
        Teller { id, domain, account, chain: chain.clone() }
    }

    pub fn chain(&self) -> MutexGuard<'_, Chain> {
        self.chain.lock().unwrap()
    }

    fn sign(&self, number: u64, call: Call) -> Result<Signed> {
        let mut chain = self.chain();
        chain.request()?;
        let signed = chain.sign(&self.account, number, call);
        chain.answer(signed)
    }
}

#[async_trait]
impl Ledger for Teller {
    fn id(&self) -> &LedgerId {
        &self.id
    }

    fn account(&self) -> &Account {
        &self.account
    }

    async fn status(&self) -> Result<Status> {
        Ok(Status { height: self.chain().height(), at_ms: 0, depth: 3 })
    }

    async fn next_number(&self) -> Result<u64> {
        let mut chain = self.chain();
        chain.request()?;
        let next = chain.free_number(&self.account);
        chain.answer(next)
    }

    async fn submit(&self, signed: &Signed) -> Result<TxId> {
        let mut chain = self.chain();
        chain.request()?;
        let tx = chain.take(signed);
        chain.answer(tx)
    }

    async fn finality(&self, signed: &Signed) -> Result<Finality> {
        let mut chain = self.chain();
        chain.request()?;
        let finality = chain.look(&self.account, signed);
        chain.answer(finality)
    }

    fn records(&self) -> Option<&dyn Records> {
        Some(self)
    }

    fn payments(&self) -> Option<&dyn Payments> {
        Some(self)
    }

    fn escrow(&self) -> Option<&dyn Escrow> {
        Some(self)
    }
}

#[async_trait]
impl Records for Teller {
    async fn anchor(&self, number: u64, anchor: &Anchor) -> Result<Signed> {
        self.sign(number, Call::Anchor(anchor.clone()))
    }

    async fn anchored(&self, _: &TxId, _: &Anchor) -> Result<Finality> {
        Ok(Finality::Unknown)
    }
}

#[async_trait]
impl Payments for Teller {
    async fn transfer(&self, number: u64, transfer: &Transfer) -> Result<Signed> {
        self.sign(number, Call::Transfer(transfer.clone()))
    }

    async fn paid(&self, claim: &Claim) -> Result<Finality> {
        let mut chain = self.chain();
        chain.request()?;
        let paid = chain.pays(&claim.tx, &claim.transfer)?;
        chain.answer(paid)
    }

    async fn balance(&self, account: &Account, asset: &Asset) -> Result<Amount> {
        Ok(Amount::new(self.chain().tip().balance(account, asset)))
    }
}

#[async_trait]
impl Escrow for Teller {
    fn domain(&self) -> &Domain {
        &self.domain
    }

    fn grace_period(&self) -> Duration {
        Duration::from_secs(15 * 60)
    }

    async fn escrow_call(&self, number: u64, call: &Call) -> Result<Signed> {
        self.sign(number, call.clone())
    }

    async fn channel(&self, id: &ChannelId) -> Result<Option<Channel>> {
        let mut chain = self.chain();
        chain.request()?;
        let channel = chain.settled().channels.get(id).cloned();
        chain.answer(channel)
    }
}

/// Runs what never waits for anything outside.
pub fn now<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("this ledger answers at once"),
    }
}
