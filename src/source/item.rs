//! One item: a line of text.

use super::SourceError;
use std::fmt;
use std::io::{BufRead, Read};

/// What is sold: UTF-8 text of at least one byte, without a newline, within the limit that its
/// source was opened with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item(String);

impl Item {
    /// Takes a line without its newline. `place` names it in the error.
    ///
    /// # Errors
    /// [`SourceError::Unfit`] when it is empty, too long, not UTF-8 or more than one line.
    pub fn new(
        line: Vec<u8>,
        bytes_max: usize,
        place: impl Fn() -> String,
    ) -> Result<Self, SourceError> {
        if line.len() > bytes_max {
            let why = format!("an item is {} bytes long, more than {bytes_max}", line.len());
            return Err(SourceError::unfit(place(), why));
        }
        let text =
            String::from_utf8(line).map_err(|_| SourceError::unfit(place(), "it is not UTF-8"))?;
        if text.is_empty() || text.contains('\n') {
            return Err(SourceError::unfit(place(), "an item is one line of text"));
        }
        Ok(Item(text))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text's bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0.into_bytes()
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A line, without its line end.
pub(super) struct Line {
    pub(super) text: Vec<u8>,
    /// Its end was there. Where it was not, who writes it may be in the middle of it.
    pub(super) is_ended: bool,
}

/// The next line of `from` that is not blank; `None` at the end. Never
/// holds more of a line than `bytes_max` and a byte, however long the line is. `number` counts
/// the lines, blank ones too.
pub(super) fn next_line(
    from: &mut impl BufRead,
    bytes_max: usize,
    number: &mut u64,
) -> std::io::Result<Option<Line>> {
    loop {
        let mut text = Vec::new();
        // Room for the longest line, its `\r\n`, and no more.
        let room = bytes_max as u64 + 2;
        Read::take(&mut *from, room).read_until(b'\n', &mut text)?;
        if text.is_empty() {
            return Ok(None);
        }
        *number += 1;
        let is_ended = text.ends_with(b"\n");
        if is_ended {
            text.pop();
        }
        if text.ends_with(b"\r") {
            text.pop();
        }
        if text.iter().any(|b| !b.is_ascii_whitespace()) {
            return Ok(Some(Line { text, is_ended }));
        }
    }
}
