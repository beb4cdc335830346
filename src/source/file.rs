//! Items from a file: CSV, NDJSON or plain lines. Its quantity is known, and it can be read
//! again from any item, so a session on it can resume after a restart.

use super::item::{self, Line};
use super::{Batch, Item, SourceError};
use serde::{Deserialize, Serialize};
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// How much is read from the disk at once, in bytes.
const READ_BYTES: usize = 64 * 1024;

/// A file to sell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Where it is.
    pub path: PathBuf,
    /// What its lines are.
    pub format: Format,
    /// Its Merkle root is to stand on the menu.
    pub committed: bool,
}

/// What the lines of a file are. Blank lines are no items in any of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// A header and records; each record becomes a JSON object, its values strings.
    Csv,
    /// A JSON value in each line, sold as it stands.
    Ndjson,
    /// Text, sold as it stands.
    Lines,
}

impl Format {
    /// What a file's name tells of its lines.
    pub fn of(path: &Path) -> Option<Format> {
        match path.extension()?.to_str()? {
            "csv" => Some(Format::Csv),
            "ndjson" | "jsonl" => Some(Format::Ndjson),
            "txt" => Some(Format::Lines),
            _ => None,
        }
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "csv" => Ok(Format::Csv),
            "ndjson" => Ok(Format::Ndjson),
            "lines" => Ok(Format::Lines),
            _ => Err("expected csv, ndjson or lines".to_owned()),
        }
    }
}

impl File {
    /// How many items the file has. Reads all of it, and keeps none of it.
    pub(super) fn count(&self, item_bytes_max: usize) -> Result<u64, SourceError> {
        let mut open = self.open(item_bytes_max, 0)?;
        let mut count = 0;
        while open.next_item()?.is_some() {
            count += 1;
        }
        Ok(count)
    }

    /// Opens the file behind its first `skip` items.
    pub(super) fn open(&self, item_bytes_max: usize, skip: u64) -> Result<Open, SourceError> {
        let place = self.path.display();
        // Asked before it is opened: to open a pipe would wait for somebody to write to it.
        let about = std::fs::metadata(&self.path).map_err(SourceError::io("open", &place))?;
        if !about.is_file() {
            let why = "it is no regular file: sell a pipe as `stdin` or `command`";
            return Err(SourceError::unfit(place, why));
        }
        let file = std::fs::File::open(&self.path).map_err(SourceError::io("open", &place))?;
        let mut open = Open {
            reader: Reader::new(file, self, item_bytes_max)?,
            path: self.path.clone(),
            item_bytes_max,
            ended_only: false,
            broken: None,
        };
        for _ in 0..skip {
            if open.next_item()?.is_none() {
                break;
            }
        }
        Ok(open)
    }
}

/// A file that is being read.
#[derive(Debug)]
pub(super) struct Open {
    reader: Reader,
    path: PathBuf,
    item_bytes_max: usize,
    /// A last line without its end is no item.
    ended_only: bool,
    /// What was met behind items that had to be given first.
    broken: Option<SourceError>,
}

impl Open {
    /// Where the next item is read from, in bytes.
    pub(super) fn place(&mut self) -> Result<u64, SourceError> {
        match &mut self.reader {
            Reader::Csv(csv) => Ok(csv.reader.position().byte()),
            Reader::Lines { file, .. } => {
                file.stream_position().map_err(SourceError::io("read", self.path.display()))
            }
        }
    }

    /// Goes on behind a line that ends at such a place. The lines before it are not counted then.
    pub(super) fn go_to(&mut self, place: u64) -> Result<(), SourceError> {
        let path = &self.path;
        match &mut self.reader {
            Reader::Csv(csv) => csv.go_to(place).map_err(|error| unfit_csv(path, &error)),
            Reader::Lines { file, .. } => {
                let to = file.seek(SeekFrom::Start(place));
                to.map(drop).map_err(SourceError::io("read", path.display()))
            }
        }
    }

    /// The same without its last line while the end of that is not there: who writes the file may be in the
    /// middle of it.
    pub(super) fn of_ended_lines(self) -> Open {
        Open { ended_only: true, ..self }
    }

    /// Blocks for as long as the disk does, which for a local file that is read in order is not
    /// worth a thread.
    pub(super) fn next(
        &mut self,
        at_most: NonZeroUsize,
        bytes: usize,
    ) -> Result<Batch, SourceError> {
        if let Some(error) = self.broken.take() {
            return Err(error);
        }
        let (mut items, mut brought) = (Vec::new(), 0);
        while items.len() < at_most.get() && (items.is_empty() || brought < bytes) {
            match self.next_item() {
                Ok(Some(item)) => {
                    brought += item.as_str().len();
                    items.push(item);
                }
                Ok(None) => break,
                Err(error) if items.is_empty() => return Err(error),
                Err(error) => {
                    self.broken = Some(error);
                    break;
                }
            }
        }
        Ok(if items.is_empty() { Batch::End } else { Batch::Items(items) })
    }

    pub(super) fn next_item(&mut self) -> Result<Option<Item>, SourceError> {
        let (path, bytes_max) = (&self.path, self.item_bytes_max);
        match self.reader.next(path, bytes_max, self.ended_only)? {
            Next::Item(line, number) => {
                Item::new(line, bytes_max, || at_line(path, number)).map(Some)
            }
            Next::Unended(number) => {
                let (file, line) = (path.display(), number);
                tracing::warn!(%file, line, "the last line has no end yet: it is left out");
                Ok(None)
            }
            Next::None => Ok(None),
        }
    }
}

/// What a reader came to.
enum Next {
    /// The next item's bytes and the number of its line.
    Item(Vec<u8>, u64),
    /// The last line, by its number, of which the end is not there.
    Unended(u64),
    /// There are no more.
    None,
}

#[derive(Debug)]
enum Reader {
    Lines { file: BufReader<std::fs::File>, line: u64, json: bool },
    Csv(Box<Csv>),
}

impl Reader {
    fn new(file: std::fs::File, of: &File, item_bytes_max: usize) -> Result<Self, SourceError> {
        Ok(match of.format {
            Format::Csv => Reader::Csv(Box::new(Csv::new(file, &of.path, item_bytes_max)?)),
            json_or_not => Reader::Lines {
                file: BufReader::with_capacity(READ_BYTES, file),
                line: 0,
                json: json_or_not == Format::Ndjson,
            },
        })
    }

    fn next(
        &mut self,
        path: &Path,
        bytes_max: usize,
        ended_only: bool,
    ) -> Result<Next, SourceError> {
        match self {
            Reader::Csv(csv) => csv.next(path, bytes_max, ended_only),
            Reader::Lines { file, line, json } => {
                let read = item::next_line(file, bytes_max, line)
                    .map_err(SourceError::io("read", path.display()))?;
                let Some(Line { text, is_ended }) = read else { return Ok(Next::None) };
                // A line that is too long was cut and can be no JSON: its length is the error.
                let fits = text.len() <= bytes_max;
                if ended_only && fits && !is_ended {
                    return Ok(Next::Unended(*line));
                }
                if *json && fits {
                    serde_json::from_slice::<serde::de::IgnoredAny>(&text)
                        .map_err(|e| SourceError::unfit(at_line(path, *line), no_json(&e)))?;
                }
                Ok(Next::Item(text, *line))
            }
        }
    }
}

/// A CSV file that is being read.
#[derive(Debug)]
struct Csv {
    reader: csv::Reader<Metered<std::fs::File>>,
    record: csv::StringRecord,
    /// For each column what stands before its value: `{"name":` or `,"name":`.
    before: Vec<Vec<u8>>,
}

impl Csv {
    fn new(file: std::fs::File, path: &Path, item_bytes_max: usize) -> Result<Self, SourceError> {
        let metered = Metered { inner: file, left: allowance(item_bytes_max), is_at_end: false };
        let mut reader = csv::ReaderBuilder::new().buffer_capacity(READ_BYTES).from_reader(metered);
        let header = reader.headers().map_err(|e| unfit_csv(path, &e))?.clone();
        let mut before: Vec<Vec<u8>> = Vec::new();
        for (column, name) in header.iter().enumerate() {
            if name.is_empty() || header.iter().take(column).any(|other| other == name) {
                let why = format!(
                    "column {} is called {name:?}: each column of the header needs a name of its own",
                    column + 1
                );
                return Err(SourceError::unfit(at_line(path, 1), why));
            }
            let mut text = vec![if column == 0 { b'{' } else { b',' }];
            push_json(&mut text, name);
            text.push(b':');
            before.push(text);
        }
        if before.is_empty() {
            return Err(SourceError::unfit(path.display(), "it has no header"));
        }
        Ok(Csv { reader, record: csv::StringRecord::new(), before })
    }

    /// What follows on the header is there already. Else it is begun with the end of the line before: what
    /// stands at the very beginning of what is read is taken for a mark of its encoding.
    fn go_to(&mut self, place: u64) -> csv::Result<()> {
        if self.reader.position().byte() == place {
            return Ok(());
        }
        let mut position = csv::Position::new();
        position.set_byte(place.saturating_sub(1));
        self.reader.seek(position)
    }

    fn next(
        &mut self,
        path: &Path,
        bytes_max: usize,
        ended_only: bool,
    ) -> Result<Next, SourceError> {
        let metered = self.reader.get_mut();
        (metered.left, metered.is_at_end) = (allowance(bytes_max), false);
        let more = self.reader.read_record(&mut self.record);
        let line = self.record.position().map_or(0, csv::Position::line);
        // Who finds the end of a record reads no further: whatever was made of it, it has none.
        if ended_only && self.reader.get_ref().is_at_end {
            return Ok(if matches!(more, Ok(false)) { Next::None } else { Next::Unended(line) });
        }
        if !more.map_err(|e| unfit_csv(path, &e))? {
            return Ok(Next::None);
        }
        // Names, values, and the quotes around each value: one allocation, unless text is escaped.
        let names: usize = self.before.iter().map(|before| before.len() + 2).sum();
        let mut json = Vec::with_capacity(names + self.record.as_slice().len() + 1);
        for (before, value) in self.before.iter().zip(&self.record) {
            json.extend_from_slice(before);
            push_json(&mut json, value);
        }
        json.push(b'}');
        Ok(Next::Item(json, line))
    }
}

/// How many bytes a record may take from the file: an item, its quotes doubled, and what the
/// reader fetches ahead.
fn allowance(item_bytes_max: usize) -> u64 {
    2 * (item_bytes_max + READ_BYTES) as u64
}

/// Ends the reading of a record that never ends, such as one whose quote is never closed.
#[derive(Debug)]
struct Metered<R> {
    inner: R,
    left: u64,
    /// The end of what there is was met.
    is_at_end: bool,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let got = self.inner.read(into)?;
        self.is_at_end |= got == 0;
        self.left = self.left.checked_sub(got as u64).ok_or_else(|| {
            std::io::Error::other("a record is longer than an item may be; is a quote not closed?")
        })?;
        Ok(got)
    }
}

impl<R: Seek> Seek for Metered<R> {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.inner.seek(to)
    }
}

fn push_json(into: &mut Vec<u8>, text: &str) {
    // Writing to memory cannot fail, and every str is a JSON string.
    let _ = serde_json::to_writer(into, text);
}

fn no_json(error: &serde_json::Error) -> String {
    format!("the line is not JSON ({error}): sell other text with `format = \"lines\"`")
}

fn unfit_csv(path: &Path, error: &csv::Error) -> SourceError {
    match error.position() {
        Some(position) => SourceError::unfit(at_line(path, position.line()), error),
        None => SourceError::unfit(path.display(), error),
    }
}

fn at_line(path: &Path, line: u64) -> String {
    format!("{}:{line}", path.display())
}
