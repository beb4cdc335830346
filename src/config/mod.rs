//! The config as it is meant: every reference resolved, every default filled in, nothing left
//! that could contradict itself.
//!
//! [`Config::load`] reads a file of at most [`FILE_BYTES_MAX`] bytes. A config holds no secret,
//! only where each comes from, so it may be printed and shown. Loading opens nothing: neither
//! keys nor ledgers nor sources; [`ledgers`] opens what a config names.

mod admin;
mod endpoint;
mod error;
mod fabric;
mod file;
mod iota;
pub mod ledgers;
mod limits;
mod pem;
mod place;
mod policy;
mod rate;
mod resolve;
mod shown;
mod taken;
pub mod templates;
mod tls;

pub use admin::Admin;
pub use endpoint::EndpointFrom;
pub use error::ConfigError;
pub use fabric::{Fabric, LoginFrom, SecretFrom, TlsFrom};
pub use iota::{Iota, IotaScheme};
pub use limits::Limits;
pub use policy::{Settlement, Trust};
pub use rate::{RateFrom, RateSource, RateSourceAt, ToldRate};
pub use taken::{CurrencyLimits, SpecialPrice};
pub use tls::{BuyerTls, PapersFrom, SellerTls};

use crate::door::{Debtors, UnknownBuyer};
use crate::keystore::KeyFrom;
use crate::source::Origin;
use crate::terms::{CountsWhen, Method};
use sdpp_ledger::{Account, Amount, Asset, PublicKey};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The largest config file that is read, in bytes.
pub const FILE_BYTES_MAX: u64 = 256 * 1024;

/// An embedded ledger makes its blocks at once, or as fast as somebody wanted to watch.
const EMBEDDED_POLL_MS: u64 = 50;

/// A seller's or a buyer's config, or both in one. Paths are relative to the file's folder when
/// written and resolved here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Config {
    /// The key that signs messages.
    #[serde(serialize_with = "shown::key")]
    pub identity: KeyFrom,
    /// Where the journal is.
    pub journal: Journal,
    /// Which ledgers there are, by the name that the rest of the config uses.
    pub ledgers: BTreeMap<String, LedgerConfig>,
    /// Currencies by name. A seller takes all of them.
    pub currencies: BTreeMap<String, CurrencyConfig>,
    /// Where orders, invoices and exits are anchored; `None` for nowhere.
    pub records: Option<Records>,
    /// What makes this a seller.
    pub seller: Option<Seller>,
    /// Seller: when a voucher in a currency is redeemed while its session goes on, by the currency's
    /// name; at the session's end alone where it is not here. Buyer: when invoices are paid that one
    /// transfer may pay together; each at once where it is not here.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub settlement: BTreeMap<String, Settlement>,
    /// What is sold, by topic. Empty without a seller.
    pub topics: BTreeMap<String, Topic>,
    /// What makes this a buyer.
    pub buyer: Option<Buyer>,
    /// What we call the other sides that we know, for people and books: names to keys.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub peers: BTreeMap<String, PublicKey>,
    /// What a peer cannot make us exceed.
    pub limits: Limits,
    /// Who is told how the process is, and when it is not well.
    pub admin: Admin,
}

/// Where the journal is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Journal {
    /// Its folder.
    pub dir: PathBuf,
    /// Where it can grow by less than so many megabytes (of 1,048,576 bytes), a seller takes no more
    /// orders and ends its sessions in good order: for that the rest must do.
    pub room_mb: u64,
}

/// One ledger and the account that signs on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LedgerConfig {
    /// Which, and where.
    #[serde(flatten)]
    pub at: LedgerAt,
    /// The key that signs there; the identity's unless another is named. `None` where no key of
    /// ours does: a gateway signs.
    #[serde(flatten, serialize_with = "shown::key_if_any")]
    pub key: Option<KeyFrom>,
    /// How long an answer may take, in milliseconds.
    pub patience_ms: u64,
}

/// Where a ledger is. Other ledgers become further variants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum LedgerAt {
    /// The ledger that comes with sdpp.
    Embedded(Embedded),
    /// An EVM chain.
    Ethereum(Ethereum),
    /// A channel of Hyperledger Fabric, through a gateway.
    Fabric(Box<Fabric>),
    /// A network of IOTA.
    Iota(Iota),
}

impl LedgerAt {
    /// How often a transaction under way is looked for, in milliseconds.
    pub fn poll_ms(&self) -> u64 {
        match self {
            LedgerAt::Embedded(_) => EMBEDDED_POLL_MS,
            LedgerAt::Ethereum(chain) => chain.poll_ms,
            LedgerAt::Fabric(fabric) => fabric.poll_ms,
            LedgerAt::Iota(iota) => iota.poll_ms,
        }
    }
}

/// Where an embedded ledger is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Embedded {
    /// In this process, which alone can use it.
    InProcess {
        /// Its folder.
        dir: PathBuf,
        /// What accounts hold at the beginning, in the coin's smallest unit.
        genesis: BTreeMap<Account, Amount>,
    },
    /// In another process: `sdpp ledger serve`.
    Served {
        /// Its address, `HOST:PORT`.
        address: String,
    },
}

/// An EVM chain, and how we use it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ethereum {
    /// Its id as in EIP-155; at least 1.
    pub chain_id: u64,
    /// Who answers for it, in JSON-RPC over HTTP; at least one.
    pub endpoints: Vec<EndpointFrom>,
    /// The escrow contract, which keeps records too; `None` for transfers alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub escrow: Option<Account>,
    /// The contract of bonds for that escrow's channels; `None` where nobody pledges.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bonds: Option<Account>,
    /// How many blocks must stand on top of another, itself included, before it counts as final;
    /// at least 1.
    pub depth: u64,
    /// The most that is offered for one unit of gas, in wei.
    pub fee_ceiling: Amount,
    /// How often a transaction under way is looked for, in milliseconds.
    pub poll_ms: u64,
}

/// A currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CurrencyConfig {
    /// The ledger that it lives on: a name in [`Config::ledgers`].
    pub ledger: String,
    /// What it is there.
    pub asset: Asset,
    /// What people write behind an amount.
    pub symbol: String,
    /// How many decimals a whole coin has.
    pub decimals: u8,
    /// How it may be paid, at least one way, in order of preference.
    pub methods: Vec<Method>,
    /// Seller: who is paid; `None` for our own account on that ledger.
    pub payee: Option<Account>,
    /// Seller: its smallest units for one of the default currency's. Shown where it is not one to one.
    #[serde(skip_serializing_if = "RateFrom::is_one_to_one")]
    pub rate: RateFrom,
    /// Seller: how final a payment by transfer must be before it counts for credit; shown where it is
    /// not when it is final.
    #[serde(serialize_with = "shown::counts_when", skip_serializing_if = "is_final")]
    pub finality: CountsWhen,
    /// Seller: how much is sold in it.
    #[serde(skip_serializing_if = "CurrencyLimits::is_none")]
    pub limits: CurrencyLimits,
}

impl CurrencyConfig {
    /// Who is paid, where `own` is our account on the currency's ledger.
    ///
    /// # Errors
    /// A sentence, where vouchers or promises would be for an account that is not ours: nobody here
    /// could redeem them.
    pub fn payee<'a>(&'a self, own: &'a Account) -> Result<&'a Account, String> {
        let payee = self.payee.as_ref().unwrap_or(own);
        if payee != own && self.methods.contains(&Method::Escrow) {
            return Err(format!(
                "{payee} is not the account that signs on {} ({own}), and only the payee of a \
                 channel can redeem its vouchers: remove \"escrow\" from methods, or the payee",
                self.ledger
            ));
        }
        if payee != own && Fabric::unit_of(&self.asset).is_some() {
            return Err(format!(
                "{payee} is not our account on {} ({own}), and an IOU pays its holder alone: \
                 remove the payee",
                self.ledger
            ));
        }
        Ok(payee)
    }
}

/// Where records are anchored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Records {
    /// A name in [`Config::ledgers`].
    pub ledger: String,
    /// How many records share one anchor.
    pub batch: RecordsBatch,
    /// Whether a message waits for its anchor.
    pub anchor: AnchorWhen,
}

/// How many records share one anchor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordsBatch {
    /// One anchor for each record.
    Each,
    /// One anchor for all records of a session, when it ends.
    Session,
}

/// Whether a message waits for its anchor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnchorWhen {
    /// It waits, as long as the ledger's patience, and carries the transaction.
    Before,
    /// It leaves at once; the transaction is told later.
    After,
}

/// What makes this a seller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Seller {
    /// Where buyers connect.
    pub listen: SocketAddr,
    /// The currency of the prices: a name in [`Config::currencies`], its rate one to one.
    pub default_currency: String,
    /// K: items in a window; at least 1.
    pub granularity: u32,
    /// W: windows that may be unpaid; at least 1.
    pub credit_windows: u32,
    /// Whether items and acks are signed, or only under a MAC.
    pub signature_required: bool,
    /// How long to wait for the buyer, in milliseconds.
    pub patience_ms: u64,
    /// How long a session whose connection broke is kept for its buyer to go on with, in seconds; 0
    /// where it ends with its connection.
    pub resume_s: u64,
    /// How long a menu is valid, in seconds; at most 600.
    pub menu_ttl_s: u64,
    /// The longest that this seller may be away, in seconds: a channel must stay open for twice
    /// as long after its payer asked to close, or it is not sold on.
    pub outage_s: u64,
    /// How long this seller takes to end in good order at the most, in seconds: then it just ends.
    pub drain_s: u64,
    /// A voucher that is worth so much more than what is redeemed is redeemed while its session
    /// goes on: by the currency's name, in its smallest unit, at least 1.
    pub redeem_above: BTreeMap<String, Amount>,
    /// How long a voucher may be in hand before that, in seconds; `None` for as long as its
    /// session lasts.
    pub redeem_every_s: Option<u64>,
    /// How much is credited in one session without a person, where a buyer asks for it with the
    /// proof of an item: by the currency's name, in its smallest unit, at least 1. Nothing where
    /// none is given.
    pub credit_up_to: BTreeMap<String, Amount>,
    /// Whether a buyer may be paid for in another currency from one window on to the next: then what
    /// may be unpaid is that of two currencies.
    pub fail_over: bool,
    /// How a buyer that has never paid us is served.
    pub unknown_buyer: UnknownBuyer,
    /// How a buyer that owes us from a session that broke is served.
    pub debtors: Debtors,
    /// Nobody but these buys here, names in [`Config::peers`]; everybody where it is `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow: Option<Vec<String>>,
    /// None of these does, names in [`Config::peers`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<String>,
    /// How much faster it goes with a buyer that has paid.
    pub trust: Trust,
    /// The bonds that orders by escrow may be under, by the currency's name, and no smaller part will do;
    /// with any, K is at most 256.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub bonds: BTreeMap<String, OfferedBond>,
    /// How it speaks TLS; in the clear where this is `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<SellerTls>,
}

/// A bond that orders may be under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct OfferedBond {
    /// What both pledge.
    #[serde(flatten)]
    pub amounts: BondAmounts,
    /// The most of ours that is pledged at one time where we join by ourselves what buyers open; `None`: we do not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pledge_at_most: Option<Amount>,
}

/// What both sides of a channel pledge, in the currency's smallest unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct BondAmounts {
    /// The buyer's part.
    pub buyer: Amount,
    /// The seller's part.
    pub seller: Amount,
    /// What a complaint is made with; at least 1, and no more than either part.
    pub stake: Amount,
    /// What paying only when asked in public costs the buyer; no more than its part.
    pub fee: Amount,
}

/// What is sold under one name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Topic {
    /// The price of one item, in the default currency's smallest unit; at least 1.
    pub price: Amount,
    /// The unit of the readings, for people.
    pub units: String,
    /// What an item costs instead, in some orders: the lowest of those that hold for an order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub prices: Vec<SpecialPrice>,
    /// Where the items come from.
    #[serde(serialize_with = "shown::origin")]
    pub source: Origin,
}

/// What makes this a buyer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Buyer {
    /// What we pay in, in order of preference; at least one.
    pub currencies: Vec<Spending>,
    /// The keys of the sellers that we know, by the address that they are dialled at.
    pub sellers: BTreeMap<String, PublicKey>,
    /// Whether a seller that we do not know is believed the first time.
    pub trust_on_first_use: bool,
    /// How long to wait for the seller, in milliseconds.
    pub patience_ms: u64,
    /// How long no session may have used an escrow channel that is not kept until the escrow is
    /// asked to close it, in seconds: so long its seller has to close it first.
    pub reclaim_after_s: u64,
    /// How long a payment may take to be final, in seconds, before the seller is asked to be paid in
    /// the next of our currencies; never where this is `None`.
    pub fail_over_after_s: Option<u64>,
    /// By how many thousandths the rate of that currency may then be above the menu's; at most 1,000.
    pub rate_slack_permille: u64,
    /// How TLS is spoken to sellers that are dialled so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<BuyerTls>,
    /// The same for single sellers, by the address that they are dialled at, in place of that.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tls_at: BTreeMap<String, BuyerTls>,
}

/// How much may be spent in one currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Spending {
    /// A name in [`Config::currencies`].
    pub currency: String,
    /// The most that one session may cost, in its smallest unit.
    pub max_total: Amount,
    /// The most that may be spent in it from one midnight (UTC) to the next, whatever the sessions,
    /// in its smallest unit; at least 1. `None` for no end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_per_day: Option<Amount>,
    /// What a new escrow channel is funded with, and what a top-up adds, at least; `None` where
    /// escrow is no method.
    pub deposit: Option<Amount>,
    /// An escrow channel is topped up when less than this is left of its deposit; `None` for what
    /// may be out on credit and one more window.
    pub top_up_below: Option<Amount>,
    /// An escrow channel stays open for the next session with the same seller.
    pub keep_channel: bool,
    /// Nothing is ordered in it but under a bond: of the seller's part no less than this, and of our
    /// own, the stake and the fee no more. `None` where a bond is not asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bond: Option<BondAmounts>,
}

impl Config {
    /// Reads and resolves a config.
    ///
    /// # Errors
    /// [`ConfigError`] for the first thing that is wrong: the file, the line, the key, and what
    /// to write instead.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let unreadable =
            |what| ConfigError { file: path.to_owned(), line: None, key: String::new(), what };
        let text = read(path).map_err(unreadable)?;
        let whole = std::path::absolute(path).map_err(|e| unreadable(e.to_string()))?;
        let base = whole.parent().unwrap_or(Path::new("/"));
        Self::parse(&text, path, base)
    }

    /// Resolves the text of a config. `file` names it in errors, and its paths are relative to
    /// `base`, an absolute folder.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(text: &str, file: &Path, base: &Path) -> Result<Self, ConfigError> {
        let error = |offset: Option<usize>, key: place::KeyPath, what| ConfigError {
            file: file.to_owned(),
            line: offset.map(|offset| place::line_of(text, offset)),
            key: key.join("."),
            what,
        };
        if base.to_str().is_none() {
            let what = "its folder's name is not UTF-8, so its paths could not be shown: move it";
            return Err(error(None, Vec::new(), what.to_owned()));
        }
        // The error's own Display would echo the line, and a secret with it.
        let table = toml::de::DeTable::parse(text).map_err(|e| {
            let offset = e.span().map(|span| span.start);
            error(offset, Vec::new(), e.message().to_owned())
        })?;
        let table = table.get_ref();
        let written: file::FileConfig = toml::from_str(text).map_err(|e| {
            let span = e.span().unwrap_or(0..0);
            error(Some(span.start), place::key_at(table, &span), suggest(e.message()))
        })?;
        resolve::config(written, base)
            .map_err(|wrong| error(place::offset_of(table, &wrong.key), wrong.key, wrong.what))
    }

    /// This config as TOML, defaults filled in and paths resolved: it can be loaded again and
    /// means the same.
    pub fn show(&self) -> String {
        // Every field is a string, a number that TOML held before, a list or a table with string
        // keys; paths are UTF-8, which `parse` saw to.
        #[allow(clippy::expect_used)]
        toml::to_string(self).expect("a config is TOML")
    }
}

fn read(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text))
        .map_err(|e| format!("cannot read it ({e}): `sdpp init` writes one to start from"))?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("it is larger than {FILE_BYTES_MAX} bytes, which no config is"));
    }
    Ok(text)
}

/// Adds the nearest known key to serde's "unknown field `x`, expected one of `a`, `b`".
fn suggest(message: &str) -> String {
    let names: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let unknown = message.starts_with("unknown field") || message.starts_with("unknown variant");
    let Some((name, known)) = names.split_first().filter(|_| unknown) else {
        return message.to_owned();
    };
    let nearest = known
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .min()
        .filter(|(distance, candidate)| *distance <= candidate.len() / 2);
    match nearest {
        Some((_, candidate)) => format!("{message}; did you mean `{candidate}`?"),
        None => message.to_owned(),
    }
}

fn is_final(when: &CountsWhen) -> bool {
    *when == CountsWhen::default()
}
