//! The config as it is written: TOML, nothing checked but its shape. Unknown keys are errors.

use crate::door::{Debtors, UnknownBuyer};
use crate::source::{Format, Sensor, WhenSlow};
use crate::terms::Method;
use sdpp_ledger::Amount;
use serde::de::value::SeqAccessDeserializer;
use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileConfig {
    pub identity: SignerFile,
    pub journal: JournalFile,
    pub ledgers: BTreeMap<String, LedgerFile>,
    pub currencies: BTreeMap<String, CurrencyFile>,
    pub records: Option<RecordsFile>,
    pub seller: Option<SellerFile>,
    #[serde(default)]
    pub settlement: BTreeMap<String, SettlementFile>,
    #[serde(default)]
    pub topics: BTreeMap<String, TopicFile>,
    pub buyer: Option<BuyerFile>,
    #[serde(default)]
    pub peers: BTreeMap<String, String>,
    #[serde(default)]
    pub limits: super::Limits,
    #[serde(default)]
    pub admin: AdminFile,
}

#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AdminFile {
    pub health: Option<String>,
    pub obligations_old_s: Option<u64>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SignerFile {
    pub key: SecretText,
    pub keystore: Option<PathBuf>,
    pub password: Option<SecretText>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct JournalFile {
    pub dir: PathBuf,
    #[serde(default = "room_mb")]
    pub room_mb: u64,
}

fn room_mb() -> u64 {
    64
}

#[derive(Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum LedgerKind {
    Embedded,
    Ethereum,
    Fabric,
    Iota,
}

/// All kinds in one, so that an error can say which key does not go with which kind, at its line.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LedgerFile {
    pub kind: LedgerKind,
    pub dir: Option<PathBuf>,
    pub genesis: Option<BTreeMap<String, Units>>,
    pub address: Option<String>,
    pub chain_id: Option<u64>,
    pub endpoints: Option<Vec<SecretText>>,
    pub escrow: Option<String>,
    pub bonds: Option<String>,
    pub depth: Option<u64>,
    pub fee_ceiling: Option<Units>,
    pub chain: Option<String>,
    pub endpoint: Option<SecretText>,
    pub faucet: Option<SecretText>,
    pub scheme: Option<super::IotaScheme>,
    pub coins: Option<u64>,
    pub gateway: Option<SecretText>,
    pub channel: Option<String>,
    pub chaincode: Option<String>,
    pub signer: Option<String>,
    pub token: Option<SecretText>,
    pub user: Option<String>,
    pub tls_ca: Option<PathBuf>,
    pub tls_certificate: Option<PathBuf>,
    pub tls_key: Option<SecretText>,
    pub commit_patience_ms: Option<u64>,
    pub in_flight: Option<u64>,
    pub events: Option<bool>,
    pub ious_from: Option<Vec<String>>,
    pub owe_at_most: Option<BTreeMap<String, Units>>,
    pub poll_ms: Option<u64>,
    pub key: Option<SecretText>,
    pub keystore: Option<PathBuf>,
    pub password: Option<SecretText>,
    pub patience_ms: Option<u64>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CurrencyFile {
    pub ledger: String,
    pub asset: Option<String>,
    pub symbol: Option<String>,
    pub decimals: u8,
    pub methods: Option<Vec<Method>>,
    pub payee: Option<String>,
    pub rate: Option<RateFile>,
    pub finality: Option<FinalityFile>,
    pub limits: Option<CurrencyLimitsFile>,
}

/// `final`, or a list of steps.
pub(super) enum FinalityFile {
    Word(String),
    Steps(Vec<FinalityStepFile>),
}

#[derive(Clone, Copy, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FinalityStepFile {
    pub up_to: Option<Units>,
    pub blocks: u64,
}

// By hand: what serde derives for "one or the other" says of neither what is wrong with it.
impl<'de> Deserialize<'de> for FinalityFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = FinalityFile;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"final\", or a list of steps")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<FinalityFile, E> {
                Ok(FinalityFile::Word(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<FinalityFile, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(seq)).map(FinalityFile::Steps)
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CurrencyLimitsFile {
    pub order_min: Option<Units>,
    pub order_max: Option<Units>,
    pub credit_to_one: Option<Units>,
    pub credit_to_all: Option<Units>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RateFile {
    pub numerator: Option<Units>,
    pub denominator: Option<Units>,
    pub sources: Option<Vec<RateSourceFile>>,
    pub max_age_s: Option<u64>,
    pub largest_spread_permille: Option<u32>,
    pub largest_jump_permille: Option<u32>,
    pub jump_within_s: Option<u64>,
    pub least_sources: Option<u64>,
    pub every_s: Option<u64>,
    pub good_for_s: Option<u64>,
    pub patience_ms: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RateSourceKind {
    Http,
    File,
    Feed,
}

/// All kinds in one, so that an error can say which key does not go with which kind, at its line.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RateSourceFile {
    pub kind: RateSourceKind,
    pub name: Option<String>,
    pub url: Option<SecretText>,
    pub path: Option<PathBuf>,
    pub pointer: Option<String>,
    pub at: Option<String>,
    pub ledger: Option<String>,
    pub contract: Option<String>,
    pub invert: Option<bool>,
    pub places: Option<u64>,
    pub max_age_s: Option<u64>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RecordsFile {
    pub ledger: String,
    pub batch: Option<super::RecordsBatch>,
    pub anchor: Option<super::AnchorWhen>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SellerFile {
    pub listen: String,
    pub default_currency: Option<String>,
    pub granularity: Option<u32>,
    pub credit_windows: Option<u32>,
    pub signature_required: Option<bool>,
    pub patience_ms: Option<u64>,
    pub resume_s: Option<u64>,
    pub menu_ttl_s: Option<u64>,
    pub outage_s: Option<u64>,
    pub drain_s: Option<u64>,
    #[serde(default)]
    pub redeem_above: BTreeMap<String, Units>,
    pub redeem_every_s: Option<u64>,
    #[serde(default)]
    pub credit_up_to: BTreeMap<String, Units>,
    pub fail_over: Option<bool>,
    pub unknown_buyer: Option<UnknownBuyer>,
    pub debtors: Option<Debtors>,
    pub allow: Option<Vec<String>>,
    #[serde(default)]
    pub deny: Vec<String>,
    #[serde(default)]
    pub trust: TrustFile,
    #[serde(default)]
    pub bonds: BTreeMap<String, OfferedBondFile>,
    pub tls: Option<SellerTlsFile>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OfferedBondFile {
    pub buyer: Units,
    pub seller: Units,
    pub stake: Units,
    pub fee: Units,
    pub pledge_at_most: Option<Units>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BondFile {
    pub buyer: Units,
    pub seller: Units,
    pub stake: Units,
    pub fee: Units,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SellerTlsFile {
    pub certificate: Option<PathBuf>,
    pub key: Option<SecretText>,
    pub client_roots: Option<PathBuf>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BuyerTlsFile {
    pub roots: Option<PathBuf>,
    pub name: Option<String>,
    pub certificate: Option<PathBuf>,
    pub key: Option<SecretText>,
}

#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TrustFile {
    pub granularity: Option<u32>,
    pub credit_windows: Option<u32>,
    pub earn_permille: Option<u32>,
    pub unconfirmed_most: Option<Units>,
}

#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SettlementFile {
    pub fee_below_permille: Option<u32>,
    pub age_s: Option<u64>,
    pub exposure: Option<Units>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TopicFile {
    pub price: Units,
    #[serde(default)]
    pub prices: Vec<SpecialPriceFile>,
    pub units: Option<String>,
    pub source: SourceFile,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SpecialPriceFile {
    pub currency: Option<String>,
    pub buyer: Option<String>,
    pub from_quantity: Option<u64>,
    pub price: Units,
}

#[derive(Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum SourceKind {
    Host,
    File,
    Stdin,
    Command,
}

/// All kinds in one, so that an error can say which key does not go with which kind, at its line.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SourceFile {
    pub kind: SourceKind,
    pub sensor: Option<Sensor>,
    pub interval_ms: Option<u64>,
    pub path: Option<PathBuf>,
    pub format: Option<Format>,
    pub committed: Option<bool>,
    pub command: Option<Vec<String>>,
    pub when_slow: Option<WhenSlow>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BuyerFile {
    pub currencies: Vec<SpendingFile>,
    #[serde(default)]
    pub sellers: BTreeMap<String, String>,
    pub trust_on_first_use: Option<bool>,
    pub patience_ms: Option<u64>,
    pub reclaim_after_s: Option<u64>,
    pub fail_over_after_s: Option<u64>,
    pub rate_slack_permille: Option<u64>,
    pub tls: Option<BuyerTlsFile>,
    #[serde(default)]
    pub tls_at: BTreeMap<String, BuyerTlsFile>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SpendingFile {
    pub currency: String,
    pub max_total: Units,
    pub max_per_day: Option<Units>,
    pub deposit: Option<Units>,
    pub top_up_below: Option<Units>,
    pub keep_channel: Option<bool>,
    pub bond: Option<BondFile>,
}

/// An amount: a decimal string as everywhere, or a plain integer, which TOML can hold up to 2^63.
#[derive(Clone, Copy)]
pub(super) struct Units(pub Amount);

impl<'de> Deserialize<'de> for Units {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = Units;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of smallest units, such as 1500 or \"1500\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Units, E> {
                text.parse().map(Units).map_err(E::custom)
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Units, E> {
                let units =
                    u64::try_from(number).map_err(|_| E::custom("an amount cannot be negative"))?;
                Ok(Units(Amount::new(units.into())))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

/// Where a secret comes from, unless somebody wrote the secret itself here: so whatever it is,
/// reading it makes no error that would echo it, and it cannot be printed.
pub(super) struct SecretText(pub Option<zeroize::Zeroizing<String>>);

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = SecretText;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("where the secret is")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<SecretText, E> {
                Ok(SecretText(Some(text.to_owned().into())))
            }

            fn visit_i64<E: de::Error>(self, _: i64) -> Result<SecretText, E> {
                Ok(SecretText(None))
            }

            fn visit_u64<E: de::Error>(self, _: u64) -> Result<SecretText, E> {
                Ok(SecretText(None))
            }

            fn visit_i128<E: de::Error>(self, _: i128) -> Result<SecretText, E> {
                Ok(SecretText(None))
            }

            fn visit_u128<E: de::Error>(self, _: u128) -> Result<SecretText, E> {
                Ok(SecretText(None))
            }

            fn visit_f64<E: de::Error>(self, _: f64) -> Result<SecretText, E> {
                Ok(SecretText(None))
            }

            fn visit_bool<E: de::Error>(self, _: bool) -> Result<SecretText, E> {
                Ok(SecretText(None))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<SecretText, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(SecretText(None))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<SecretText, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(SecretText(None))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}
