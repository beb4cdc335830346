//! Disputes: evidence in, a verdict out. Pure: no network, no journal at hand, no clock.
//!
//! A [`Bundle`] is what one side can show of a session, signed by it. The judge believes nobody:
//! it verifies each signed message against the terms that menu and order make, computes every
//! amount again, and leaves what only a ledger could tell as a condition. A message counts whoever
//! brought it. What is missing is never held against a side that was not heard.

mod bundle;
mod case;
mod complaint;
mod export;
mod figures;
mod judge;
mod misconduct;
mod money;
mod papers;
mod parting;
mod price;
mod strays;
mod tell;
mod verdict;

pub use bundle::{
    BUNDLE_BYTES_MAX, Body, Bundle, BundleError, ChannelWord, Disclosed, HeldVoucher, ItemProof,
    LedgerAct, LedgerWords, ROWS_MAX, Said,
};
pub use case::{JudgeError, Keys};
pub use complaint::{Bonded, showing};
pub use export::{Disclosure, ExportError, Gather, export};
pub use judge::{judge, judge_own};
pub use strays::{StrayEvidence, Way, stray_evidence};
pub use verdict::{
    Condition, Debt, DisclosedItem, Figure, LegVerdict, MISDEEDS_MAX, Misdeed, Offence, Paper,
    Parting, Party, Pay, Trade, Verdict, Vouched, Word,
};
