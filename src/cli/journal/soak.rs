//! `sdpp journal soak`: a journal under load, for pulling the plug from outside.

use crate::actors::now_ms;
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::out;
use crate::crypto::layout::MessageKind;
use crate::journal::{Journal, Write};
use crate::record::{Act, Leaves, Owed, Record, SignedMessage};
use crate::terms::{Purpose, Role, SessionId};
use clap::Args;
use sdpp_ledger::{Amount, Anchor, Call, Digest, Key, LedgerId, keccak};
use std::path::PathBuf;

/// How many appends share a sync.
const BATCH: u64 = 16;

/// Append as a busy seller would, for pulling the plug.
///
/// Prints the seq of each entry once it is durable, one a line, until it is stopped. What is
/// appended looks like a seller's records and is signed by nobody. So it goes only into a journal
/// that this command made, never into a seller's own; `sdpp journal verify --at-least SEQ` says
/// afterwards whether what was printed is there.
#[derive(Args)]
#[command(after_help = "Example:\n  sdpp journal soak --journal soak --entries 1000")]
pub(in crate::cli) struct Soak {
    /// The journal's folder; made if it is not there.
    #[arg(long, value_name = "DIR")]
    journal: PathBuf,
    /// Stop after so many.
    #[arg(long, value_name = "N", default_value_t = u64::MAX, hide_default_value = true)]
    entries: u64,
}

impl Soak {
    pub(super) fn run(self) -> Outcome {
        let busy = Busy::new()?;
        let mut journal = Journal::open(&self.journal, busy.key.public())?;
        let start = journal.reader().head()?.seq;
        let session = SessionId(keccak(&[b"soak", &start.to_be_bytes(), &now_ms().to_be_bytes()]));
        let mut writes = vec![append(session, busy.order())];
        let (mut done, mut number) = (0, 0);
        while done < self.entries {
            while (writes.len() as u64) < BATCH.min(self.entries - done) {
                number += 1;
                writes.push(append(session, busy.record(session, number)));
            }
            for answer in journal.commit(now_ms(), std::mem::take(&mut writes))? {
                let written = answer.map_err(|error| Failure::new(Exit::Failed, error))?;
                done += 1;
                out::line(written.seq.unwrap_or_default())?;
            }
        }
        Ok(())
    }
}

/// Somebody who owns no other journal.
struct Busy {
    key: Key,
    ledger: LedgerId,
}

impl Busy {
    fn new() -> Outcome<Busy> {
        let never = |what: &str| Failure::new(Exit::Failed, format!("{what} cannot be made"));
        let key = Key::from_bytes(&keccak(&[b"sdpp journal soak"]).0);
        let ledger = "sdpp:soak".parse();
        Ok(Busy {
            key: key.map_err(|_| never("the key"))?,
            ledger: ledger.map_err(|_| never("the ledger's name"))?,
        })
    }

    fn order(&self) -> Record {
        let message = |kind| Box::new(self.message(SessionId::NONE, kind, 0));
        Record::Order {
            role: Role::Seller,
            peer: self.key.public(),
            menu: message(MessageKind::Menu),
            order: message(MessageKind::Order),
            owed: None,
        }
    }

    /// What a seller writes for a window, in turn: the invoice with its anchor, the next range,
    /// the buyer's ack.
    fn record(&self, session: SessionId, number: u64) -> Record {
        let window = number.div_ceil(3);
        let last = window * 10;
        match number % 3 {
            1 => self.invoice(session, window, (last - 9, last)),
            2 => Record::Reserved { to_seq: last + 10 },
            _ => Record::Ack { message: self.message(session, MessageKind::Ack, last) },
        }
    }

    fn invoice(&self, session: SessionId, window: u64, (from_seq, to_seq): (u64, u64)) -> Record {
        let message = self.message(session, MessageKind::DataInvoice, window);
        let reference = session.reference(Purpose::Invoice, window);
        let digest = message.data_digest;
        let act = Act::Do(Call::Anchor(Anchor::One { reference, digest }));
        let (purpose, ledger) = (Purpose::Invoice, self.ledger.clone());
        let owed = Some(Owed { reference, purpose, ledger, act, held: false });
        let leaves =
            Leaves::of((from_seq..=to_seq).map(|seq| keccak(&[&seq.to_be_bytes()])).collect());
        Record::Invoice { message, from_seq, to_seq, digest, leaves, owed }
    }

    fn message(&self, session: SessionId, kind: MessageKind, number: u64) -> SignedMessage {
        let data = format!("{{\"number\":{number},\"filler\":\"{}\"}}", "x".repeat(300));
        SignedMessage {
            kind,
            session,
            number,
            commitment: Digest::ZERO,
            amount_total: Amount::new(number.into()),
            data_digest: keccak(&[data.as_bytes()]),
            data: Some(data),
            verification: String::new(),
            signature: sdpp_ledger::Signature([0; 65]),
        }
    }
}

fn append(session: SessionId, record: Record) -> Write {
    Write::Append { session: Some(session), record: Box::new(record) }
}
