//! What holds for any bytes, whoever sends or writes them: each check takes bytes as a fuzzer gives
//! them, and panics where it does not hold. The suite calls them with properties (tests/hostile.rs),
//! the targets beside this file as long as one wants.

use sdpp::config::Config;
use sdpp::crypto::layout::MessageKind;
use sdpp::journal::entry::digest;
use sdpp::journal::{Entry, Head, Unlinked, Walk};
use sdpp::message::{
    Ack, Amend, Body, Codec, Data, DataInvoice, Draft, Envelope, ErrorMessage, Exit, FrameTooLong,
    Hello, Menu, Order, PaymentAck, SessionKey,
};
use sdpp::terms::SessionId;
use sdpp_ledger::{Key, PublicKey};
use std::fmt::Debug;
use std::path::Path;

/// However a stream of bytes is cut, its frames are the same, up to the first that is too long. The
/// first byte gives the limit, the second how it is cut.
pub fn codec(bytes: &[u8]) {
    let [limit, cut, stream @ ..] = bytes else { return };
    let limit = usize::from(*limit);
    let mut lines: Vec<&[u8]> = stream.split(|byte| *byte == b'\n').collect();
    let good = lines.iter().position(|line| line.len() > limit);
    // What stands behind the last line's end is no frame yet.
    lines.truncate(good.unwrap_or(lines.len() - 1));
    let ends = match good {
        Some(_) => Err(FrameTooLong { frame_bytes_max: limit }),
        None => Ok(()),
    };
    let mut dice = u32::from(*cut);
    let mut piece = || {
        dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        1 + (dice >> 24) as usize % (1 + usize::from(*cut))
    };
    assert_eq!(
        frames(stream, limit, || stream.len().max(1)),
        (lines.clone(), ends),
        "in one piece"
    );
    assert_eq!(frames(stream, limit, &mut piece), (lines, ends), "in many");
}

type Frames<'a> = (Vec<&'a [u8]>, Result<(), FrameTooLong>);

/// The frames of a stream that comes in such pieces, as parts of it.
fn frames(stream: &[u8], limit: usize, mut piece: impl FnMut() -> usize) -> Frames<'_> {
    let (mut codec, mut rest, mut at) = (Codec::new(limit), stream, 0);
    let mut found = Vec::new();
    loop {
        loop {
            match codec.next_frame() {
                Ok(Some(frame)) => {
                    let there = &stream[at..at + frame.len()];
                    assert_eq!(frame, there, "frame {} is another", found.len());
                    at += frame.len() + 1;
                    found.push(there);
                }
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(codec.next_frame().map(drop), Err(error), "it stays so");
                    return (found, Err(error));
                }
            }
        }
        if rest.is_empty() {
            return (found, Ok(()));
        }
        let (now, later) = rest.split_at(piece().min(rest.len()));
        codec.push(now);
        rest = later;
    }
}

/// A frame is a message or an error; what it says is said again as the same, and it is signed by
/// nobody who did not sign it.
pub fn envelope(frame: &[u8]) {
    let Ok(envelope) = Envelope::parse(frame) else { return };
    let again = envelope.frame();
    let again = Envelope::parse(&again[..again.len() - 1]).expect("what was read is read again");
    assert_eq!(again.kind(), envelope.kind());
    match envelope.kind() {
        MessageKind::Hello => message::<Hello>(&envelope),
        MessageKind::Menu => message::<Menu>(&envelope),
        MessageKind::Order => message::<Order>(&envelope),
        MessageKind::SessionKey => message::<SessionKey>(&envelope),
        MessageKind::Data => message::<Data>(&envelope),
        MessageKind::Ack => message::<Ack>(&envelope),
        MessageKind::DataInvoice => message::<DataInvoice>(&envelope),
        MessageKind::PaymentAck => message::<PaymentAck>(&envelope),
        MessageKind::Amend => message::<Amend>(&envelope),
        MessageKind::Exit => message::<Exit>(&envelope),
        MessageKind::Error => message::<ErrorMessage>(&envelope),
    }
}

fn message<T: Body + PartialEq + Debug>(envelope: &Envelope<'_>) {
    let session = SessionId(digest(b"a session that nobody signs in"));
    assert!(envelope.signed_by::<T>(&nobody(), session).is_err(), "nobody signed this");
    let Ok(body) = envelope.unproven::<T>() else { return };
    let mut said = Draft::new(session, &body).bare();
    said.pop();
    let heard = Envelope::parse(&said).and_then(|again| again.unproven::<T>());
    assert_eq!(heard.as_ref(), Ok(&body), "it is said as {}", String::from_utf8_lossy(&said));
}

/// A key that signs nothing.
fn nobody() -> PublicKey {
    // Any number from 1 to the order of the curve is a key.
    Key::from_bytes(&[7; 32]).expect("a key").public()
}

/// What stands in a journal's first place is its first entry, or is named as wrong there. The first
/// two bytes say how many belong to the entry's body; its payload follows, where there is any.
pub fn entry(bytes: &[u8]) {
    let [high, low, stored @ ..] = bytes else { return };
    let length = usize::from(u16::from_be_bytes([*high, *low])).min(stored.len());
    let (body, payload) = stored.split_at(length);
    let payload = (!payload.is_empty()).then_some(payload);
    let mut walk = Walk::new(&nobody());
    match walk.take(Unlinked::read(1, body, payload)) {
        Ok(entry) => {
            let json = serde_json::to_vec(&entry).expect("what was read can be written");
            let again: Entry = serde_json::from_slice(&json).expect("and read again");
            assert_eq!(again, entry);
            let head = Head { seq: 1, digest: digest(body), at_ms: entry.at_ms };
            assert!(walk.end(head).is_ok(), "it is the last");
        }
        Err(broken) => assert!(broken.seq == 1 && !broken.what.is_empty(), "{broken}"),
    }
}

/// A config is refused with a word of where and why, or is shown as what it means.
pub fn config(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let read = |text: &str| Config::parse(text, Path::new("any.toml"), Path::new("/any"));
    match read(text) {
        Ok(config) => {
            let shown = config.show();
            assert_eq!(read(&shown).as_ref(), Ok(&config), "shown as {shown}");
        }
        Err(error) => {
            assert!(!error.what.is_empty(), "{error:?}");
            let lines = 1 + text.matches('\n').count();
            assert!(error.line.is_none_or(|line| (1..=lines).contains(&line)), "{error:?}");
        }
    }
}
