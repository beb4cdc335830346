//! What a node tells, read into values and checked as far as one answer can be: a transaction is
//! what its own bytes say, its effects are those of this transaction, a checkpoint is the one that
//! was asked for.

use crate::coins::Coin;
use crate::names;
use crate::rpc::{Answer, Rpc, is_not_found};
use crate::tx::Tx;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use iota_sdk_types::{
    Address, CheckpointDigest, ExecutionStatus, ObjectId, ObjectReference, TransactionDigest,
    TransactionEffects, TransactionEffectsV1,
};
use serde::{Deserialize, Deserializer, de};
use serde_json::json;
use std::str::FromStr;

/// The coin that is paid in.
const COIN_TYPE: &str = "0x2::iota::IOTA";

/// How many coins are asked for at once, and the most pages that are read.
const PAGE: usize = 50;
const PAGES_MAX: usize = 20;

/// A transaction that the node has executed.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// Its own bytes.
    pub tx: Tx,
    /// What it did.
    pub effects: TransactionEffectsV1,
    /// In which checkpoint it stands, once it does.
    pub checkpoint: Option<u64>,
}

/// A checkpoint.
#[derive(Debug, Clone)]
pub(crate) struct Checkpoint {
    /// Its number in the chain of checkpoints.
    pub height: u64,
    /// Its digest.
    pub digest: CheckpointDigest,
    /// Its time, in milliseconds since 1970 UTC.
    pub at_ms: u64,
    /// What stands in it.
    pub transactions: Vec<TransactionDigest>,
}

/// The coins of an account.
#[derive(Debug, Clone, Default)]
pub(crate) struct Held {
    /// Those that were read.
    pub list: Vec<Coin>,
    /// Whether there are more.
    pub is_cut: bool,
}

/// What a transaction would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trial {
    /// Why it would fail, in the node's words, clean.
    pub failure: Option<String>,
    /// What it would cost.
    pub gas: Gas,
}

/// What a transaction costs, in NANOS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Gas {
    /// For what is computed.
    #[serde(deserialize_with = "number")]
    pub computation_cost: u64,
    /// For what is stored.
    #[serde(deserialize_with = "number")]
    pub storage_cost: u64,
    /// What is given back for what is no longer stored.
    #[serde(deserialize_with = "number")]
    pub storage_rebate: u64,
}

impl Gas {
    /// What must be there for it, before anything is given back; nothing for an absurd sum.
    pub fn most(&self) -> Option<u64> {
        self.computation_cost.checked_add(self.storage_cost)
    }

    /// What it comes to. Who has more given back than it pays for has paid nothing.
    pub fn net(&self) -> u64 {
        self.most().unwrap_or(u64::MAX).saturating_sub(self.storage_rebate)
    }
}

impl Rpc {
    /// Which chain the node is of.
    pub async fn chain(&self) -> Answer<String> {
        self.ask("iota_getChainIdentifier", json!([])).await
    }

    /// What a unit of gas costs at least, in NANOS.
    pub async fn price(&self) -> Answer<u64> {
        Ok(self.ask::<Number>("iotax_getReferenceGasPrice", json!([])).await?.0)
    }

    /// What an account holds, in NANOS.
    pub async fn holds(&self, owner: &Address) -> Answer<u128> {
        let params = json!([owner.to_hex(), COIN_TYPE]);
        let told: Balance = self.ask("iotax_getBalance", params).await?;
        let odd = || self.trouble("a balance that is no number");
        told.total_balance.parse().map_err(|_| odd())
    }

    /// The coins of an account, so many at most as are ever needed.
    pub async fn coins(&self, owner: &Address) -> Answer<Held> {
        let (mut coins, mut cursor) = (Held::default(), None);
        for _ in 0..PAGES_MAX {
            let params = json!([owner.to_hex(), COIN_TYPE, cursor, PAGE]);
            let page: Page = self.ask("iotax_getCoins", params).await?;
            coins.list.extend(page.data.iter().map(CoinTold::coin));
            coins.is_cut = page.has_next_page;
            if !page.has_next_page || page.next_cursor.is_none() {
                break;
            }
            cursor = page.next_cursor;
        }
        // A page is another view each time: a coin may move from one to the next in between.
        coins.list.sort_by_key(|coin| (coin.at.object_id, coin.at.version));
        coins.list.dedup_by_key(|coin| coin.at.object_id);
        Ok(coins)
    }

    /// A transaction that the node has executed; none where it has not, or has forgotten it.
    pub async fn seen(&self, digest: &TransactionDigest) -> Answer<Option<Seen>> {
        let options = json!({ "showRawInput": true, "showRawEffects": true });
        let params = json!([digest.to_base58(), options]);
        match self.ask::<Block>("iota_getTransactionBlock", params).await {
            Ok(block) => match block.seen() {
                Some(seen) if seen.tx.digest == *digest => Ok(Some(seen)),
                _ => Err(self.trouble("a transaction that cannot be read")),
            },
            Err(trouble) if is_not_found(&trouble) => Ok(None),
            Err(trouble) => Err(trouble),
        }
    }

    /// Whether the node has executed a transaction, whatever it is.
    pub async fn knows(&self, digest: &TransactionDigest) -> Answer<bool> {
        let name = digest.to_base58();
        match self.ask::<Named>("iota_getTransactionBlock", json!([name])).await {
            Ok(told) => Ok(told.digest == name),
            Err(trouble) if is_not_found(&trouble) => Ok(false),
            Err(trouble) => Err(trouble),
        }
    }

    /// Whether coins and balances are told as a transaction left them.
    pub async fn has_indexed(&self, digest: &TransactionDigest) -> Answer<bool> {
        self.ask("iota_isTransactionIndexedOnNode", json!([digest.to_base58()])).await
    }

    /// A checkpoint by its height.
    pub async fn checkpoint(&self, height: u64) -> Answer<Checkpoint> {
        let told: CheckpointTold =
            self.ask("iota_getCheckpoint", json!([height.to_string()])).await?;
        let checkpoint = told.checkpoint();
        if checkpoint.height != height {
            return Err(self.trouble("another checkpoint than was asked for"));
        }
        Ok(checkpoint)
    }

    /// The height of the newest checkpoint.
    pub async fn height(&self) -> Answer<u64> {
        Ok(self.ask::<Number>("iota_getLatestCheckpointSequenceNumber", json!([])).await?.0)
    }

    /// What a transaction would do, without doing it. Its bytes are in base64.
    pub async fn tried(&self, bytes: &str) -> Answer<Trial> {
        let told: TrialTold = self.ask("iota_dryRunTransactionBlock", json!([bytes])).await?;
        let TrialEffects { status, gas_used } = told.effects;
        let failure = (status.status != "success").then(|| {
            let words = status.error.unwrap_or_else(|| "it fails".to_owned());
            sdpp_ledger::clean(&words, std::iter::empty())
        });
        Ok(Trial { failure, gas: gas_used })
    }

    /// Has a transaction executed, and gives the digest that the node has it under. Its bytes and
    /// signatures are in base64.
    pub async fn execute(&self, (bytes, signatures): (String, Vec<String>)) -> Answer<String> {
        let params = json!([bytes, signatures, {}, "WaitForLocalExecution"]);
        let told: Named = self.ask("iota_executeTransactionBlock", params).await?;
        Ok(told.digest)
    }
}

/// A number in decimal digits within quotes.
#[derive(Deserialize)]
struct Number(#[serde(deserialize_with = "number")] u64);

fn number<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
    text.parse().map_err(|_| de::Error::custom("a number that is none"))
}

/// Something of the network's in its text form.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text<T>(pub T);

impl<'de, T: FromStr> Deserialize<'de> for Text<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
        text.parse().map(Text).map_err(|_| de::Error::custom("a name that is none"))
    }
}

#[derive(Deserialize)]
struct Named {
    digest: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Balance {
    total_balance: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    data: Vec<CoinTold>,
    #[serde(default)]
    next_cursor: Option<String>,
    has_next_page: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CoinTold {
    coin_object_id: Text<ObjectId>,
    #[serde(deserialize_with = "number")]
    version: u64,
    digest: Text<iota_sdk_types::ObjectDigest>,
    #[serde(deserialize_with = "number")]
    balance: u64,
}

impl CoinTold {
    fn coin(&self) -> Coin {
        let (Text(id), Text(digest)) = (self.coin_object_id, self.digest);
        let at = ObjectReference::new(id, self.version.into(), digest);
        Coin { at, balance: self.balance }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Block {
    raw_transaction: String,
    raw_effects: Vec<u8>,
    #[serde(default)]
    checkpoint: Option<Number>,
}

impl Block {
    /// The transaction, if its bytes and its effects are of one.
    fn seen(self) -> Option<Seen> {
        let tx = Tx::read(&STANDARD.decode(self.raw_transaction).ok()?)?;
        let effects = TransactionEffects::from_bcs(&self.raw_effects).ok()?.into_opt_v1()?;
        let is_its = effects.transaction_digest == tx.digest;
        let checkpoint = self.checkpoint.map(|Number(height)| height);
        is_its.then_some(Seen { tx, effects, checkpoint })
    }
}

impl Seen {
    /// Why it came to nothing; none where it took effect.
    pub fn failure(&self) -> Option<String> {
        match &self.effects.status {
            ExecutionStatus::Success => None,
            ExecutionStatus::Failure { error, .. } => Some(names::failure(error)),
            _ => Some("Failed".to_owned()),
        }
    }

    /// What it cost.
    pub fn gas(&self) -> Gas {
        let gas = &self.effects.gas_cost_summary;
        Gas {
            computation_cost: gas.computation_cost,
            storage_cost: gas.storage_cost,
            storage_rebate: gas.storage_rebate,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CheckpointTold {
    #[serde(deserialize_with = "number")]
    sequence_number: u64,
    digest: Text<CheckpointDigest>,
    #[serde(deserialize_with = "number")]
    timestamp_ms: u64,
    transactions: Vec<Text<TransactionDigest>>,
}

impl CheckpointTold {
    fn checkpoint(self) -> Checkpoint {
        let Text(digest) = self.digest;
        let transactions = self.transactions.into_iter().map(|Text(digest)| digest).collect();
        let (height, at_ms) = (self.sequence_number, self.timestamp_ms);
        Checkpoint { height, digest, at_ms, transactions }
    }
}

#[derive(Deserialize)]
struct TrialTold {
    effects: TrialEffects,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TrialEffects {
    status: Status,
    gas_used: Gas,
}

#[derive(Deserialize)]
struct Status {
    status: String,
    #[serde(default)]
    error: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::tests::read;

    #[test]
    fn the_recorded_transactions_are_read() {
        let seen = read::<Block>("10-get-tx-all").unwrap().seen().unwrap();
        assert_eq!((seen.checkpoint, seen.failure()), (Some(157), None));
        assert_eq!(seen.gas().net(), 1_980_400);
        assert!(seen.tx.is_signed());
        let failed = read::<Block>("22-execute-insufficient-funds").unwrap().seen().unwrap();
        assert_eq!(failed.checkpoint, None, "the answer to execute names none");
        assert_eq!(failed.gas().net(), 1_000_000, "trying costs all the same");
        let why = failed.failure().unwrap();
        assert!(why.starts_with("InsufficientFunds"), "{why}");
        let merged = read::<Block>("10-get-tx-all").map(|mut block| {
            block.raw_effects = vec![1];
            block.seen()
        });
        assert!(merged.unwrap().is_none(), "effects that are none");
    }

    #[test]
    fn the_recorded_checkpoint_lists_its_transactions() {
        let told: CheckpointTold = read("14-get-checkpoint").unwrap();
        let checkpoint = told.checkpoint();
        assert_eq!((checkpoint.height, checkpoint.at_ms), (157, 1_795_211_987_578));
        let paid = read::<Named>("09-execute-pay-record32").unwrap().digest;
        assert!(checkpoint.transactions.contains(&paid.parse().unwrap()));
    }

    #[test]
    fn the_recorded_coins_price_balance_and_trial_are_read() {
        let page: Page = read("07-coins").unwrap();
        assert_eq!((page.data.len(), page.has_next_page), (5, false));
        assert_eq!(page.data[0].coin().balance, 200_000_000_000);
        assert_eq!(read::<Number>("04-reference-gas-price").unwrap().0, 1_000);
        let balance: Balance = read("05-balance").unwrap();
        assert_eq!(balance.total_balance, "1000000000000");
        let trial: TrialTold = read("08-dryrun-pay-record32").unwrap();
        assert_eq!(trial.effects.gas_used.most(), Some(2_960_800));
        let failing: TrialTold = read("21-dryrun-insufficient-funds").unwrap();
        assert_eq!(failing.effects.status.status, "failure");
    }

    #[test]
    fn who_is_given_back_more_than_it_paid_has_paid_nothing() {
        let gas = Gas { computation_cost: 5, storage_cost: 2, storage_rebate: 9 };
        assert_eq!((gas.net(), gas.most()), (0, Some(7)));
        let absurd = Gas { computation_cost: u64::MAX, storage_cost: 2, storage_rebate: 0 };
        assert_eq!(absurd.most(), None);
    }

    #[test]
    fn a_number_is_written_in_digits_within_quotes() {
        let read = |text: &str| serde_json::from_str::<Number>(text).ok().map(|number| number.0);
        assert_eq!(read(r#""18446744073709551615""#), Some(u64::MAX));
        for bad in ["7", r#""-1""#, r#""18446744073709551616""#, r#"" 1""#, "null"] {
            assert_eq!(read(bad), None, "{bad} was taken");
        }
    }
}
