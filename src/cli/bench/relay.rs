//! What stands between a buyer and a seller and counts: how many messages of each kind pass, and how
//! many bytes they have. It changes nothing.

use crate::cli::exit::{Exit, Failure, Outcome};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A relay to one address, for one connection.
pub(super) struct Relay {
    /// Where it listens.
    pub(super) address: String,
    passed: Arc<Mutex<Passed>>,
}

/// What has passed, both ways.
#[derive(Debug, Clone, Default)]
pub(super) struct Passed {
    /// Messages and their bytes, by their kind.
    pub(super) kinds: BTreeMap<String, (u64, u64)>,
    /// Between the last message before an invoice and that invoice.
    pub(super) before_invoices: Vec<Duration>,
}

impl Passed {
    /// Of one kind: how many, and how many bytes.
    pub(super) fn of(&self, kind: &str) -> (u64, u64) {
        self.kinds.get(kind).copied().unwrap_or_default()
    }

    /// All bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.kinds.values().map(|(_, bytes)| bytes).sum()
    }
}

impl Relay {
    /// Listens, and relays the first connection to `to`.
    pub(super) fn to(to: &str) -> Outcome<Relay> {
        let failed = |error| Failure::new(Exit::Failed, format!("cannot relay to {to}: {error}"));
        let listener = TcpListener::bind("127.0.0.1:0").map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?.to_string();
        let passed = Arc::<Mutex<Passed>>::default();
        let (seller, counted) = (to.to_owned(), passed.clone());
        std::thread::spawn(move || {
            // Where it fails the buyer's session does, and says so.
            let Ok((buyer, _)) = listener.accept() else { return };
            let Ok(seller) = TcpStream::connect(seller) else { return };
            let both = buyer.try_clone().and_then(|other| Ok((other, seller.try_clone()?)));
            let Ok((from_buyer, to_seller)) = both else { return };
            let also = counted.clone();
            std::thread::spawn(move || pass(from_buyer, to_seller, &also));
            pass(seller, buyer, &counted);
        });
        Ok(Relay { address, passed })
    }

    /// What has passed up to now.
    pub(super) fn passed(&self) -> Passed {
        self.passed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Hands on what comes until no more does.
fn pass(mut from: TcpStream, mut to: TcpStream, passed: &Mutex<Passed>) {
    let _ = (from.set_nodelay(true), to.set_nodelay(true));
    let (mut buffer, mut lines) = (vec![0; 64 * 1024], Lines::default());
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
        let mut passed = passed.lock().unwrap_or_else(PoisonError::into_inner);
        lines.count(&buffer[..length], Instant::now(), &mut passed);
    }
    let _ = to.shutdown(Shutdown::Write);
}

/// The line that is passing, and when the one before it had passed.
#[derive(Default)]
struct Lines {
    start: Vec<u8>,
    bytes: u64,
    before: Option<Instant>,
}

/// As much of a line as says its kind.
const KIND_BYTES: usize = 64;

impl Lines {
    fn count(&mut self, bytes: &[u8], now: Instant, passed: &mut Passed) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let room = KIND_BYTES.saturating_sub(self.start.len()).min(piece.len());
            self.start.extend_from_slice(&piece[..room]);
            self.bytes += piece.len() as u64;
            if !piece.ends_with(b"\n") {
                continue;
            }
            let kind = kind_of(&self.start);
            if let ("data_invoice", Some(before)) = (kind.as_str(), self.before) {
                passed.before_invoices.push(now.saturating_duration_since(before));
            }
            let (count, all) = passed.kinds.entry(kind).or_default();
            (*count, *all) = (*count + 1, *all + self.bytes);
            *self = Lines { before: Some(now), ..Lines::default() };
        }
    }
}

/// Frames begin with their kind.
fn kind_of(start: &[u8]) -> String {
    let text = String::from_utf8_lossy(start);
    text.split('"').nth(3).unwrap_or("unknown").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_by_their_kinds_however_they_are_cut() {
        let frames =
            b"{\"message_type\":\"data\",\"data\":1}\n{\"message_type\":\"data_invoice\"}\n\
                       {\"message_type\":\"data\",\"data\":22}\n";
        for cut in [1, 7, frames.len()] {
            let (mut passed, mut lines) = (Passed::default(), Lines::default());
            for piece in frames.chunks(cut) {
                lines.count(piece, Instant::now(), &mut passed);
            }
            assert_eq!(passed.of("data"), (2, 33 + 34), "cut at {cut}");
            assert_eq!(passed.of("data_invoice").0, 1);
            assert_eq!(passed.before_invoices.len(), 1);
            assert_eq!(passed.bytes(), frames.len() as u64);
        }
    }
}
