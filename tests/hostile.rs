//! Bytes that nobody means well with: frames, messages, stored entries and configs, real ones that
//! were changed and such as never were real. Each is taken for what it is, or refused with a word of
//! why; nothing panics. The checks are those of the fuzz targets in tests/fuzz.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

#[path = "fuzz/checks.rs"]
mod checks;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use sdpp::config::templates;
use sdpp::crypto::layout::MessageKind;
use sdpp::journal::{Journal, Write};
use sdpp::record::{End, Leaves, Record, SignedMessage};
use sdpp::terms::{Role, SessionId};
use sdpp_ledger::{Amount, Digest, Key};
use std::sync::LazyLock;

/// One change to some bytes.
#[derive(Debug, Clone)]
enum Edit {
    Flip(Index, u8),
    End(Index),
    Remove(Index, usize),
    Insert(Index, Vec<u8>),
    /// A part of it stands somewhere else, too.
    Again(Index, Index, usize),
}

/// What parsers stumble over.
const TOKENS: [&str; 18] = [
    "null",
    "-1",
    "1e999",
    "18446744073709551616",
    "0.1",
    "\"\"",
    "\"0x\"",
    "\"\\u0000\"",
    "{}",
    "[[[[[[[[",
    "\"\\ud800\"",
    "true",
    "\n",
    "\r",
    "\"seq\":1,",
    "= [",
    "\"\"\"",
    "\u{202e}",
];

fn edit() -> impl Strategy<Value = Edit> {
    let token = select(&TOKENS[..]).prop_map(|token| token.as_bytes().to_vec());
    prop_oneof![
        3 => (any::<Index>(), 1u8..).prop_map(|(at, bits)| Edit::Flip(at, bits)),
        1 => any::<Index>().prop_map(Edit::End),
        2 => (any::<Index>(), 1usize..40).prop_map(|(at, length)| Edit::Remove(at, length)),
        2 => (any::<Index>(), vec(any::<u8>(), 1..9)).prop_map(|(at, new)| Edit::Insert(at, new)),
        3 => (any::<Index>(), token).prop_map(|(at, new)| Edit::Insert(at, new)),
        2 => (any::<Index>(), any::<Index>(), 1usize..200)
            .prop_map(|(from, at, length)| Edit::Again(from, at, length)),
    ]
}

impl Edit {
    fn make(&self, bytes: &mut Vec<u8>) {
        let place = |at: &Index| at.index(bytes.len() + 1);
        let part = |at: usize, length: usize| at..bytes.len().min(at + length);
        match self {
            Edit::Flip(at, bits) => {
                let at = place(at);
                bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= bits);
            }
            Edit::End(at) => bytes.truncate(place(at)),
            Edit::Remove(at, length) => drop(bytes.drain(part(place(at), *length))),
            Edit::Insert(at, new) => {
                let at = place(at);
                bytes.splice(at..at, new.iter().copied());
            }
            Edit::Again(from, at, length) => {
                let (at, again) = (place(at), bytes[part(place(from), *length)].to_vec());
                bytes.splice(at..at, again);
            }
        }
    }
}

/// One of these, and what some changes make of it.
fn changed(real: &[Vec<u8>]) -> impl Strategy<Value = Vec<u8>> + use<> {
    (select(real.to_vec()), vec(edit(), 0..6)).prop_map(|(mut bytes, edits)| {
        edits.iter().for_each(|edit| edit.make(&mut bytes));
        bytes
    })
}

/// Every frame of the sessions that are kept as vectors.
static FRAMES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors");
    let paths = std::fs::read_dir(dir).unwrap().map(|item| item.unwrap().path());
    let texts = paths
        .filter(|path| path.extension().is_some_and(|kind| kind == "txt"))
        .map(|path| std::fs::read_to_string(path).unwrap());
    let of = |text: String| {
        let frames = text.lines().filter_map(|line| line.split_once(" {"));
        frames.map(|(_, frame)| format!("{{{frame}").into_bytes()).collect::<Vec<_>>()
    };
    let mut frames: Vec<Vec<u8>> = texts.flat_map(of).collect();
    // Which of them a seed picks must not hang on the order of a folder.
    frames.sort();
    frames
});

/// Entries as a journal writes them, in the shape that the check of an entry takes.
static ENTRIES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let dir = tempfile::tempdir().unwrap();
    let us = Key::from_bytes(&[7; 32]).unwrap();
    let mut journal = Journal::open(&dir.path().join("journal"), us.public()).unwrap();
    let message = |kind, data: &str| SignedMessage {
        kind,
        session: SessionId::NONE,
        number: 1,
        commitment: Digest::ZERO,
        amount_total: Amount::new(7),
        data: Some(data.to_owned()),
        data_digest: Digest::ZERO,
        verification: String::new(),
        signature: us.sign(&Digest::ZERO),
    };
    let records = [
        Record::Order {
            role: Role::Buyer,
            peer: us.public(),
            menu: Box::new(message(MessageKind::Menu, "{}")),
            order: Box::new(message(MessageKind::Order, "{}")),
            owed: None,
        },
        Record::Invoice {
            message: message(MessageKind::DataInvoice, "{\"seq\":3}"),
            from_seq: 1,
            to_seq: 3,
            digest: Digest::ZERO,
            leaves: Leaves::of(vec![Digest([5; 32]); 3]),
            owed: None,
        },
        Record::Ended {
            end: End::Complete,
            why: "all sent".to_owned(),
            evidence: Vec::new(),
            owed: None,
        },
    ];
    let writes = records.map(|record| Write::Append {
        session: Some(SessionId(Digest([3; 32]))),
        record: Box::new(record),
    });
    for answer in journal.commit(1_700_000_000_000, writes.to_vec()).unwrap() {
        answer.unwrap();
    }
    let entries = journal.reader().entries(0, 10).unwrap().into_iter();
    let stored = entries.map(|entry| {
        let body = serde_json::to_vec(&entry).unwrap();
        [&u16::try_from(body.len()).unwrap().to_be_bytes()[..], &body].concat()
    });
    stored.collect()
});

/// The configs that are shipped, with what is only suggested in them, too.
static CONFIGS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let both = [templates::SELLER, templates::BUYER];
    let said = both.map(|text| text.replace("\n# [", "\n[").replace("\n# ", "\n"));
    both.into_iter().map(str::to_owned).chain(said).map(String::into_bytes).collect()
});

#[test]
fn what_is_real_is_taken() {
    assert!(FRAMES.len() > 60 && ENTRIES.len() == 3, "{} frames", FRAMES.len());
    for frame in FRAMES.iter() {
        let kind = sdpp::message::Envelope::parse(frame).map(|envelope| envelope.kind());
        assert!(kind.is_ok(), "{kind:?}: {}", String::from_utf8_lossy(frame));
        checks::envelope(frame);
    }
    ENTRIES.iter().for_each(|entry| checks::entry(entry));
    CONFIGS.iter().for_each(|config| checks::config(config));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn frames_are_the_same_in_whatever_pieces_they_come(
        limit: u8,
        cut: u8,
        stream in vec(prop_oneof![2 => Just(b'\n'), 9 => any::<u8>()], 0..600),
    ) {
        checks::codec(&[&[limit, cut], &stream[..]].concat());
    }

    #[test]
    fn a_changed_frame_is_a_message_or_an_error(frame in changed(&FRAMES)) {
        checks::envelope(&frame);
    }

    #[test]
    fn a_changed_entry_is_an_entry_or_named_as_wrong(stored in changed(&ENTRIES)) {
        checks::entry(&stored);
    }

    #[test]
    fn bytes_of_nobody_are_refused(bytes in vec(any::<u8>(), 0..300)) {
        checks::envelope(&bytes);
        checks::entry(&bytes);
        checks::config(&bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn a_changed_config_is_shown_as_what_it_means_or_refused_with_its_line(
        text in changed(&CONFIGS),
    ) {
        checks::config(&text);
    }
}
