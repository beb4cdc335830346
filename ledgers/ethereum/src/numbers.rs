//! Numbers (nonces) of accounts: which one is free, and which transaction used one. Whoever is
//! told that another transaction did signs anew, so that is said on proof alone.

use crate::finality::stands;
use crate::ledger::{Chain, EthereumLedger, Own};
use crate::names;
use crate::proof::Proof;
use crate::rpc::{Answer, Rpc, Trouble};
use crate::view::{Seen, at};
use ethers_core::types::{Address, H256};
use sdpp_ledger::Result;
use serde_json::json;
use std::sync::Arc;

/// How far a number may be beyond what is known of an account: more than a pool takes of one.
const AHEAD_MAX: u64 = 512;

/// How many blocks are read to find who used a number, where older state is not kept.
const BODIES_MAX: u64 = 256;

impl EthereumLedger {
    /// The lowest number that was not seen used, in a block or in the pool.
    pub(crate) async fn free_number(&self) -> Result<u64> {
        self.chain.nodes.ask(|node| Box::pin(free_number(node, &self.own))).await
    }
}

async fn free_number(node: Arc<Rpc>, own: &Own) -> Answer<u64> {
    let used = node.count(own.address, json!("latest")).await?;
    let free = node.count(own.address, json!("pending")).await?;
    let known = own.known_number();
    let most = |number: u64| number.saturating_add(AHEAD_MAX);
    let is_absurd = free < used
        || known.is_some_and(|known| used > most(known))
        || free > most(known.unwrap_or_default().max(used));
    if is_absurd {
        let known = known.map_or("nothing".to_owned(), |known| known.to_string());
        let what =
            format!("absurd numbers of {}: {used} used, {free} free, {known} known", own.account);
        return Err(node.trouble(&what));
    }
    own.know_number(free);
    Ok(free)
}

impl Chain {
    /// Whether an account's number was used for good by another transaction than `own`, which
    /// the node does not know.
    pub async fn is_used_by_another(
        &self,
        node: &Rpc,
        account: Address,
        number: u64,
        own: H256,
    ) -> Answer<bool> {
        let head = node.head().await?;
        let Some(deep) = self.final_height(&head) else {
            return Ok(false);
        };
        let lost = |what: String| Trouble::Said {
            what: format!(
                "{what}: which transaction used number {number} of {} cannot be told. Name an \
                 endpoint that keeps old state (an archive) among the ledger's",
                names::account(account)
            ),
            said: None,
        };
        match node.count(account, at(deep)).await {
            Ok(count) if count <= number => return Ok(false),
            Err(Trouble::Said { what, .. }) => {
                let is_used = node.count(account, json!("latest")).await? > number;
                return if is_used { Err(lost(what)) } else { Ok(false) };
            }
            answer => answer?,
        };
        let user = match user_of(node, account, number, deep).await? {
            Some(user) => user,
            // While a block is made some nodes answer for the one before by the new state.
            None if node.count(account, at(deep)).await? <= number => return Ok(false),
            None => {
                return Err(lost(format!("{}: its newest blocks do not show it", node.endpoint())));
            }
        };
        if user == own {
            let what = "it holds a transaction in a block and does not know it by its id";
            return Err(lost(format!("{}: {what}", node.endpoint())));
        }
        stands(node, &head).await
    }
}

/// The transaction that used an account's number at or under a height at which it was used: by
/// the numbers of old blocks as far down as they are kept, then by what blocks hold. `None` where
/// that is not far enough.
async fn user_of(node: &Rpc, account: Address, number: u64, height: u64) -> Answer<Option<H256>> {
    let (mut used, mut unused, mut step) = (height, None, 1);
    while used > 0 && unused.is_none_or(|unused| used - unused > 1) {
        let middle = unused.map_or(used.saturating_sub(step), |low| low + (used - low) / 2);
        step = step.saturating_mul(2);
        match node.count(account, at(middle)).await {
            Ok(count) if count <= number => unused = Some(middle),
            Ok(_) => used = middle,
            Err(Trouble::Said { .. }) => break,
            Err(trouble) => return Err(trouble),
        }
    }
    let lowest = unused.map_or(0, |unused| unused + 1).max(used.saturating_sub(BODIES_MAX - 1));
    for height in (lowest..=used).rev() {
        let body = node.transactions(height).await?;
        let mut by = body.into_iter().filter(|tx| tx.is_by(account, number));
        if let Some(tx) = by.next() {
            return Ok(Some(shown(node, tx.read(node)?).await?));
        }
    }
    Ok(None)
}

/// The id of a transaction that a block is said to hold.
async fn shown(node: &Rpc, tx: Seen) -> Answer<H256> {
    let is_so = match tx.signed.proof(tx.hash, tx.from) {
        Proof::Shown => true,
        Proof::Broken => false,
        Proof::Unknown => node.seen(tx.hash).await?.as_ref() == Some(&tx),
    };
    if is_so { Ok(tx.hash) } else { Err(node.trouble("a block with a transaction that cannot be")) }
}
