//! The wire: frames, the signed envelope, and one file for each listing of the paper. The only
//! place that knows wire names. PROTOCOL.md is this folder in words.

mod agreement;
mod amend;
mod codec;
mod data;
mod envelope;
mod error;
mod exit;
mod hello;
mod invoice;
mod limits;
mod menu;
mod moment;
mod order;
mod path;
mod price;
mod quote;
mod resume;
mod session_key;
mod strict;
mod text;

pub use agreement::{Agreement, Paced, Word};
pub use amend::{
    Amend, Ask, AskLeg, Change, Complaint, CreditNote, LegChange, LegReason, PaceChange, Refused,
    VoidChange,
};
pub use codec::{Codec, FrameTooLong};
pub use data::{Ack, Data, Voucher};
pub use envelope::{Body, Draft, Envelope, Facts, Verified, WireError, reread, said_again};
pub use error::{Code, ErrorMessage};
pub use exit::{AfterExit, Exit, ExitLeg, Reason};
pub use hello::{Choice, Hello};
pub use invoice::{
    Anchored, Cumulative, DataInvoice, Invoice, InvoicePace, InvoiceRate, PaymentAck,
};
pub use limits::OrderLimits;
pub use menu::{BondOffer, CurrencyOffer, Menu, RecordsOffer};
pub use moment::Moment;
pub use order::{BondChoice, EscrowChoice, Order, reread_terms, terms};
pub use path::Path;
pub use price::{Priced, SpecialPrice};
pub use quote::{Quote, Quoted};
pub use resume::{Resume, Resumed};
pub use session_key::SessionKey;
pub use text::{Base64, Hex, legible};

pub use crate::terms::PaceReason;

/// The protocol's version as menus and orders name it.
pub const VERSION: &str = "SDPP/1";

/// The one encoding of this version.
pub const ENCODING: &str = "json";
