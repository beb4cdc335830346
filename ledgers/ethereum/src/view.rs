//! What a node tells of its chain: blocks, receipts, transactions, logs. Only what is used is
//! read, and an answer that contradicts its question is no answer.

use crate::abi::Body;
use crate::proof::{Proof, Signable};
use crate::rpc::{Answer, Rpc};
use ethers_core::types::{Address, Bytes, H256, U64, U256};
use serde::Deserialize;
use serde_json::{Value, json};

/// A block's head.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Block {
    pub number: U64,
    pub hash: H256,
    timestamp: U64,
    pub base_fee_per_gas: Option<U256>,
}

impl Block {
    pub fn height(&self) -> u64 {
        self.number.as_u64()
    }

    /// Its time in milliseconds since 1970 UTC.
    pub fn at_ms(&self) -> u64 {
        self.timestamp.as_u64().saturating_mul(1000)
    }
}

/// What a transaction did.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Receipt {
    pub transaction_hash: H256,
    pub block_hash: H256,
    pub block_number: U64,
    status: U64,
    pub gas_used: U256,
    pub effective_gas_price: U256,
    pub logs: Vec<Log>,
}

impl Receipt {
    pub fn height(&self) -> u64 {
        self.block_number.as_u64()
    }

    pub fn took_effect(&self) -> bool {
        self.status == U64::one()
    }
}

/// An event.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Log {
    pub address: Address,
    pub topics: Vec<H256>,
    pub data: Bytes,
    pub block_hash: Option<H256>,
    pub block_number: Option<U64>,
    pub log_index: Option<U64>,
    pub transaction_hash: Option<H256>,
    pub removed: Option<bool>,
}

impl Log {
    /// Its place in the chain: the height of its block, and its number in there.
    pub fn place(&self) -> Option<(u64, u64)> {
        Some((self.block_number?.as_u64(), self.log_index?.as_u64()))
    }

    /// A word of its data.
    pub fn word(&self, at: usize) -> Option<U256> {
        self.data.get(at * 32..(at + 1) * 32).map(U256::from_big_endian)
    }
}

/// A transaction. Where its kind is known here, it is the one that was signed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Seen {
    pub hash: H256,
    pub from: Address,
    #[serde(flatten)]
    pub signed: Signable,
}

impl Seen {
    pub fn body(&self) -> Body {
        let Signable { to, value, input, .. } = &self.signed;
        Body { to: *to, value: *value, data: input.to_vec() }
    }

    /// Whether there is but a node's word for it.
    pub fn is_hearsay(&self) -> bool {
        self.signed.proof(self.hash, self.from) == Proof::Unknown
    }
}

#[derive(Deserialize)]
struct FullBlock {
    number: U64,
    transactions: Vec<Passing>,
}

/// A transaction in a block, read when it is the one: a block holds kinds that are not ours.
#[derive(Debug, Clone, Deserialize)]
#[serde(transparent)]
pub(crate) struct Passing(Value);

impl Passing {
    /// Whether it is said to be an account's under a number.
    pub fn is_by(&self, account: Address, number: u64) -> bool {
        let from = Address::deserialize(&self.0["from"]);
        let nonce = U256::deserialize(&self.0["nonce"]);
        from.is_ok_and(|from| from == account) && nonce.is_ok_and(|nonce| nonce == number.into())
    }

    /// All of it.
    pub fn read(self, node: &Rpc) -> Answer<Seen> {
        serde_json::from_value(self.0).map_err(|e| node.trouble(&format!("a transaction: {e}")))
    }
}

/// A block by its height, as a node wants it.
pub(crate) fn at(height: u64) -> Value {
    json!(format!("0x{height:x}"))
}

impl Rpc {
    pub async fn chain_id(&self) -> Answer<u64> {
        let id: U64 = self.ask("eth_chainId", json!([])).await?;
        Ok(id.as_u64())
    }

    /// The newest block.
    pub async fn head(&self) -> Answer<Block> {
        let head: Option<Block> =
            self.ask("eth_getBlockByNumber", json!(["latest", false])).await?;
        let head = head.ok_or_else(|| self.trouble("there is no newest block"))?;
        self.note_height(head.height());
        Ok(head)
    }

    /// The block that stands at a height.
    pub async fn block(&self, height: u64) -> Answer<Option<Block>> {
        let params = json!([at(height), false]);
        let block: Option<Block> = self.ask("eth_getBlockByNumber", params).await?;
        match block {
            Some(other) if other.height() != height => Err(self.trouble("told another block")),
            block => Ok(block),
        }
    }

    /// The transactions of the block at a height.
    pub async fn transactions(&self, height: u64) -> Answer<Vec<Passing>> {
        let params = json!([at(height), true]);
        let block: Option<FullBlock> = self.ask("eth_getBlockByNumber", params).await?;
        let block = block.filter(|block| block.number.as_u64() == height);
        block.map(|block| block.transactions).ok_or_else(|| self.trouble("told no such block"))
    }

    pub async fn receipt(&self, tx: H256) -> Answer<Option<Receipt>> {
        let receipt: Option<Receipt> = self.ask("eth_getTransactionReceipt", json!([tx])).await?;
        match receipt {
            Some(other) if other.transaction_hash != tx => Err(self.trouble("another's receipt")),
            receipt => Ok(receipt),
        }
    }

    pub async fn seen(&self, tx: H256) -> Answer<Option<Seen>> {
        let seen: Option<Seen> = self.ask("eth_getTransactionByHash", json!([tx])).await?;
        match seen {
            Some(told) if told.hash != tx || told.signed.proof(tx, told.from) == Proof::Broken => {
                Err(self.trouble("told another transaction"))
            }
            seen => Ok(seen),
        }
    }

    /// How many numbers an account has used at a block.
    pub async fn count(&self, account: Address, block: Value) -> Answer<u64> {
        let count: U64 = self.ask("eth_getTransactionCount", json!([account, block])).await?;
        Ok(count.as_u64())
    }

    pub async fn coin(&self, account: Address, block: &str) -> Answer<U256> {
        self.ask("eth_getBalance", json!([account, block])).await
    }

    pub async fn code(&self, contract: Address) -> Answer<Vec<u8>> {
        let code: Bytes = self.ask("eth_getCode", json!([contract, "latest"])).await?;
        Ok(code.to_vec())
    }

    /// What a contract answers to a question at a block.
    pub async fn call(&self, contract: Address, input: &[u8], block: Value) -> Answer<Vec<u8>> {
        let call = json!({ "to": contract, "data": hex_text(input) });
        let answer: Bytes = self.ask("eth_call", json!([call, block])).await?;
        Ok(answer.to_vec())
    }

    pub async fn logs(&self, filter: Value) -> Answer<Vec<Log>> {
        self.ask("eth_getLogs", json!([filter])).await
    }
}

/// Bytes as a node wants them.
pub(crate) fn hex_text(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}
