//! The lines of a file that `sdpp buy --output` wrote: each is an item. Places that are void have fewer
//! lines than places, or none: what had come of them stays in the file.

use super::book::Book;
use super::exit::{Failure, Outcome};
use crate::record::Record;
use crate::session::Buyer;
use crate::terms::{SessionId, Void};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

/// What is void of a session, and how many lines of each there are: by the buyer's journal.
pub(super) fn voids_in(book: &mut Book, session: SessionId) -> Outcome<Vec<(Void, u64)>> {
    let mut records = Vec::new();
    let says = |record: &Record| {
        matches!(record, Record::Order { .. } | Record::Amend { .. } | Record::Void { .. })
    };
    book.each_entry(Some(session), 0, u64::MAX, |entry| {
        records.extend(Some(entry.record).filter(says));
        Ok(())
    })?;
    Ok(Buyer::voids_of(&records))
}

/// The number of the line, from 1, that an item is; `None` of what is void.
pub(super) fn line_of(voids: &[(Void, u64)], seq: u64) -> Option<u64> {
    if voids.iter().any(|(void, _)| void.has(seq)) {
        return None;
    }
    let before = voids.iter().filter(|(void, _)| void.to_seq < seq);
    let line = |line: u64, (void, delivered): &(Void, u64)| {
        line.saturating_sub(void.places()).saturating_add(*delivered)
    };
    Some(before.fold(seq, line))
}

/// An item out of the file.
pub(super) fn read_item(path: &Path, voids: &[(Void, u64)], seq: u64) -> Outcome<Vec<u8>> {
    let line = line_of(voids, seq);
    let line =
        line.ok_or_else(|| Failure::usage(format!("item {seq} is void: it was not sold")))?;
    let file = File::open(path).map_err(Failure::io("open", path))?;
    let none = || Failure::usage(format!("{} has no line {line} for item {seq}", path.display()));
    let before = line.checked_sub(1).and_then(|before| usize::try_from(before).ok());
    let read = BufReader::new(file).split(b'\n').nth(before.ok_or_else(none)?);
    read.ok_or_else(none)?.map_err(Failure::io("read", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_behind_a_void_has_its_line_behind_what_had_come_of_it() {
        let void = |from_seq, to_seq, delivered| (Void { from_seq, to_seq }, delivered);
        let voids = [void(4, 9, 2), void(13, 15, 0), void(16, 18, 3)];
        let lines: Vec<_> = (1..=20).map(|seq| line_of(&voids, seq)).collect();
        let [a, b, c] = [1, 2, 3].map(Some);
        let behind = [10, 11, 12].map(|seq| Some(seq - 4));
        let mut expected = vec![a, b, c];
        expected.extend([None; 6]);
        expected.extend(behind);
        expected.extend([None; 6]);
        expected.extend([Some(12), Some(13)]);
        assert_eq!(lines, expected);
        assert_eq!(line_of(&[], 7), Some(7));
    }
}
