//! A file that a session's items went to before a kill, read back: each line is an item. What was
//! accepted to be paid must stand there as it was delivered; behind that, as much as is whole. What came of
//! a void stays there too: its lines are fewer than its places.

use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::items::Items;
use crate::cli::lines::line_of;
use crate::crypto::{SaltSecret, leaf, running_digest, salt, void_leaf};
use crate::record::Record;
use crate::session::Buyer;
use crate::terms::{SessionId, Void};
use sdpp_ledger::Digest;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::path::Path;

/// What a file holds of a session.
pub(super) struct Kept {
    /// The items behind the last accepted invoice.
    pub(super) behind: Vec<Vec<u8>>,
    /// All that was acknowledged is there, or was invoiced.
    pub(super) all: bool,
    /// The file, where there is one, and how long it is up to its last whole line, in bytes.
    file: Option<(File, u64)>,
}

impl Kept {
    /// Of a session whose items went to nobody who keeps them.
    pub(super) fn nothing() -> Kept {
        Kept { behind: Vec::new(), all: false, file: None }
    }

    /// Where the next item goes. A last line that is not whole is cut off: only now is it known that the
    /// session goes on.
    pub(super) fn open(self, path: Option<&Path>) -> Outcome<Items> {
        let (Some((mut file, bytes)), Some(path)) = (self.file, path) else {
            return Items::open(path);
        };
        let cut = file.set_len(bytes).and_then(|()| file.seek(SeekFrom::Start(bytes)));
        cut.map_err(Failure::io("go on with", path))?;
        Items::go_on(file, path)
    }
}

/// What a session's invoices say of its items.
struct Invoiced<'a> {
    session: SessionId,
    secret: &'a SaltSecret,
    /// Each window's last item, and the running digest there.
    ends: Vec<(u64, Digest)>,
    /// What is void, and how many lines of each there are.
    voids: Vec<(Void, u64)>,
}

/// Where a line stands in a session: places that are void have fewer lines, or none.
struct Place<'a> {
    session: SessionId,
    seq: u64,
    digest: Digest,
    voids: &'a [(Void, u64)],
}

impl Place<'_> {
    /// Passes over what is void here.
    fn pass(&mut self) {
        while let Some((void, _)) =
            self.voids.iter().find(|(void, _)| void.from_seq == self.seq + 1)
        {
            self.digest = running_digest(&self.digest, &void_leaf(&self.session, *void));
            self.seq = void.to_seq;
        }
    }

    /// Whether the line of this number comes before the next item's: it is of what is void.
    fn is_void(&self, number: u64) -> bool {
        line_of(self.voids, self.seq + 1).is_some_and(|line| number < line)
    }

    /// The next line is an item's; `None` where it is of what is void.
    fn next(&mut self, secret: &SaltSecret, (number, line): (u64, &[u8])) -> Option<u64> {
        if self.is_void(number) {
            return None;
        }
        self.seq += 1;
        let salt = salt(secret, self.seq);
        self.digest = running_digest(&self.digest, &leaf(&self.session, self.seq, &salt, line));
        Some(self.seq)
    }
}

/// Reads the file back. Nothing is changed.
///
/// # Errors
/// What the file lacks, and what to do.
pub(super) fn read_back(
    path: &Path,
    session: SessionId,
    records: &[(u64, Record)],
) -> Outcome<Kept> {
    let secret = records.iter().find_map(|(_, record)| match record {
        Record::Epoch { salt_secret, .. } => Some(salt_secret),
        _ => None,
    });
    let secret = secret.ok_or_else(|| Failure::new(Exit::Failed, "the session had no key yet"))?;
    let ends = records.iter().filter_map(|(_, record)| match record {
        Record::Invoice { to_seq, digest, .. } => Some((*to_seq, *digest)),
        _ => None,
    });
    let voids = Buyer::voids_of(records.iter().map(|(_, record)| record));
    let invoiced = Invoiced { session, secret, ends: ends.collect(), voids };
    let came = invoiced.voids.iter().any(|(_, delivered)| *delivered > 0);
    if invoiced.ends.is_empty() && !came && !path.exists() {
        // Killed before the first item, and somebody has cleared away.
        return Ok(Kept::nothing());
    }
    let options = OpenOptions::new().read(true).write(true).open(path);
    let file = options.map_err(|error| invoiced.lost(path, &error.to_string()))?;
    let (behind, bytes) = read(&file, &invoiced, path)?;
    Ok(Kept { behind, all: true, file: Some((file, bytes)) })
}

/// The items behind the last invoice, and where the last whole line ends, in bytes.
fn read(file: &File, invoiced: &Invoiced<'_>, path: &Path) -> Outcome<(Vec<Vec<u8>>, u64)> {
    let failed = |error: io::Error| Failure::io("read", path)(error);
    let mut lines = BufReader::new(file);
    let (session, voids) = (invoiced.session, &invoiced.voids);
    let mut place = Place { session, seq: 0, digest: session.0, voids };
    let (mut bytes, mut number) = (0, 0u64);
    let (mut behind, mut ends) = (Vec::new(), invoiced.ends.iter().peekable());
    loop {
        place.pass();
        let mut line = Vec::new();
        let count = lines.read_until(b'\n', &mut line).map_err(failed)?;
        if line.pop_if(|last| *last == b'\n').is_none() {
            break;
        }
        (number, bytes) = (number + 1, bytes + count as u64);
        let Some(seq) = place.next(invoiced.secret, (number, &line)) else { continue };
        match ends.peek() {
            None => behind.push(line),
            Some((to_seq, there)) if *to_seq == seq => {
                if *there != place.digest {
                    let why = format!("a line up to line {number} is not what was delivered");
                    return Err(invoiced.lost(path, &why));
                }
                ends.next();
            }
            Some(_) => {}
        }
    }
    match ends.next() {
        // The lines of a void are on disk before it is signed, as those of an invoice are.
        None if !place.is_void(number + 1) => Ok((behind, bytes)),
        _ => Err(invoiced.lost(path, &format!("it ends with line {number}"))),
    }
}

impl Invoiced<'_> {
    /// The last item that was accepted to be paid.
    fn last(&self) -> u64 {
        self.ends.last().map_or(0, |(to_seq, _)| *to_seq)
    }

    fn lost(&self, path: &Path, why: &str) -> Failure {
        let (session, file) = (self.session, path.display());
        let last = self.last();
        let why = format!(
            "session {session} cannot go on: {file} should hold its items 1 to {last}, which are \
             owed or paid: {why}. Put the file back as it was, or end that session and begin \
             another with --new and another --output FILE"
        );
        Failure::new(Exit::Failed, why)
    }
}
