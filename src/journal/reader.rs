//! Reading the journal: from any thread, and only what is durable.

use super::delivery::{Delivery, DeliveryId, Numbers};
use super::entry::{self, Entry, Head};
use super::facts::{Channel, Session};
use super::folder::{self, Mark};
use super::obligation::Obligation;
use super::outbox;
use super::query::PAGE_MAX;
use super::tree::{PAGE_BYTES_MAX, Pair, Store, Tree};
use super::write::Rated;
use super::{JournalError, Shared, damaged, keys};
use crate::crypto::SaltSecret;
use crate::record::Record;
use crate::standing::Standing;
use crate::terms::SessionId;
use sdpp_ledger::{Account, ChannelId, LedgerId, PublicKey, Reference, Signed};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, PoisonError};

/// Reads a journal while it is written. A clone costs nothing.
///
/// All its methods fail with `Damaged` when a row cannot be read, with `Io` when the disk refuses,
/// and with `Stopped` after that.
#[derive(Clone)]
pub struct Reader(Arc<Shared>);

/// What is still owed to one ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unsettled {
    /// The ledger.
    pub ledger: LedgerId,
    /// How many obligations are neither met nor refused.
    pub count: u64,
    /// Since when the oldest is owed, in milliseconds since 1970 UTC.
    pub oldest_ms: u64,
}

/// How much there is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// The last entry.
    pub head: Head,
    /// How many sessions there ever were.
    pub sessions: u64,
    /// What is still owed, ledger by ledger.
    pub unsettled: Vec<Unsettled>,
}

impl Reader {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Reader(shared)
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.0
    }

    /// The disk takes nothing of the next commit.
    #[cfg(test)]
    pub(crate) fn refuse_next_write(&self) {
        let refuse = &self.0.store.watch.refuse_next_write;
        refuse.store(true, std::sync::atomic::Ordering::SeqCst);
    }

    /// The disk refuses whatever is looked up, until the files are opened anew.
    #[cfg(test)]
    pub(crate) fn refuse_gets(&self) {
        let refuse = &self.0.store.watch.refuse_gets;
        refuse.store(true, std::sync::atomic::Ordering::SeqCst);
    }

    /// Whose journal this is.
    pub fn identity(&self) -> PublicKey {
        self.0.identity
    }

    /// How many bytes the journal may still grow by. Asks the system, and none of the trees.
    pub fn room(&self) -> Result<u64, JournalError> {
        let folder = self.0.folder.lock().unwrap_or_else(PoisonError::into_inner);
        folder::room(folder.path()).map_err(|error| super::io_in(&folder, error))
    }

    /// The same error, and which journal it is of.
    pub(super) fn in_folder(&self, error: JournalError) -> JournalError {
        let folder = self.0.folder.lock().unwrap_or_else(PoisonError::into_inner);
        error.in_folder(folder.path())
    }

    /// The last entry.
    pub fn head(&self) -> Result<Head, JournalError> {
        let head = self.row(Tree::Meta, b"head")?;
        head.ok_or_else(|| damaged("it has lost its head"))
    }

    /// One entry.
    pub fn entry(&self, seq: u64) -> Result<Option<Entry>, JournalError> {
        let found = self.0.read(|store| {
            let key = keys::seq(seq);
            let Some(body) = store.get(Tree::Entries, &key)? else { return Ok(None) };
            Ok(Some((key.to_vec(), body, store.get(Tree::Payloads, &key)?)))
        })?;
        found.map(whole).transpose()
    }

    /// Up to `limit` entries after entry `after`, in order.
    pub fn entries(&self, after: u64, limit: usize) -> Result<Vec<Entry>, JournalError> {
        self.stored(after, limit)?.into_iter().map(whole).collect()
    }

    /// Up to `limit` entries of a session after entry `after`, in order.
    pub fn session_entries(
        &self,
        session: &SessionId,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Entry>, JournalError> {
        let seqs = self.session_seqs(session, after, limit)?.into_iter();
        seqs.map(|seq| self.entry(seq)?.ok_or_else(|| gone(seq))).collect()
    }

    /// The same without their payload, pruned or not.
    pub(super) fn session_bodies(
        &self,
        session: &SessionId,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Entry>, JournalError> {
        let seqs = self.session_seqs(session, after, limit)?.into_iter();
        let body = |seq| self.row(Tree::Entries, &keys::seq(seq))?.ok_or_else(|| gone(seq));
        seqs.map(body).collect()
    }

    fn session_seqs(
        &self,
        session: &SessionId,
        after: u64,
        limit: usize,
    ) -> Result<Vec<u64>, JournalError> {
        let start = keys::in_session(session, after);
        let prefix = &session.0.0;
        let index = self.page(Tree::SessionEntries, prefix, Some(&start), limit)?;
        let seqs = index.iter().flat_map(|(_, row)| keys::seqs(row));
        Ok(seqs.filter(|seq| *seq > after).take(limit.min(PAGE_MAX)).collect())
    }

    /// What is known of a session.
    pub fn session(&self, session: &SessionId) -> Result<Option<Session>, JournalError> {
        self.row(Tree::Sessions, &session.0.0)
    }

    /// Up to `limit` sessions after session `after`, by id.
    pub fn sessions(
        &self,
        after: Option<&SessionId>,
        limit: usize,
    ) -> Result<Vec<(SessionId, Session)>, JournalError> {
        let after = after.map(|session| &session.0.0[..]);
        let pairs = self.page(Tree::Sessions, &[], after, limit)?;
        let named = pairs.into_iter().map(|(key, value)| {
            let id = key.try_into().map_err(|_| damaged("a session's row"))?;
            let session = read_row(Tree::Sessions, &value)?;
            Ok((SessionId(sdpp_ledger::Digest(id)), session))
        });
        named.collect()
    }

    /// What the salts of one epoch of a session are made from.
    pub fn salt_secret(
        &self,
        session: &SessionId,
        epoch: u32,
    ) -> Result<Option<SaltSecret>, JournalError> {
        let known = self.session(session)?;
        let epochs = known.map(|known| known.epochs).unwrap_or_default();
        let Some((_, seq)) = epochs.into_iter().find(|(e, _)| *e == epoch) else {
            return Ok(None);
        };
        let entry = self.entry(seq)?;
        Ok(entry.and_then(|entry| match entry.record {
            Record::Epoch { salt_secret, .. } => Some(salt_secret),
            _ => None,
        }))
    }

    /// What is known of a channel.
    pub fn channel(&self, channel: &ChannelId) -> Result<Option<Channel>, JournalError> {
        self.row(Tree::Channels, &channel.0)
    }

    /// What a buyer has earned with us, or owes us, over all of its sessions.
    pub fn standing(&self, buyer: &PublicKey) -> Result<Standing, JournalError> {
        let row = self.row(Tree::Standings, buyer.to_string().as_bytes())?;
        Ok(row.unwrap_or_default())
    }

    /// The last rate that a currency was quoted at in another.
    pub fn rated(&self, currency: &str, default: &str) -> Result<Option<Rated>, JournalError> {
        let row = self.row(Tree::Meta, &keys::rated(currency, default))?;
        Ok(row.map(|(rate, at_ms)| {
            let [currency, default] = [currency, default].map(str::to_owned);
            Rated { currency, default, rate, at_ms }
        }))
    }

    /// One obligation.
    pub fn obligation(&self, reference: &Reference) -> Result<Option<Obligation>, JournalError> {
        self.row(Tree::Obligations, &reference.0)
    }

    /// Up to `limit` obligations after `after`, by reference.
    pub fn obligations(
        &self,
        after: Option<&Reference>,
        limit: usize,
    ) -> Result<Vec<Obligation>, JournalError> {
        let after = after.map(|reference| &reference.0[..]);
        rows(Tree::Obligations, self.page(Tree::Obligations, &[], after, limit)?)
    }

    /// Up to `limit` obligations to a ledger that are neither met nor refused, the oldest first,
    /// after the one given.
    pub fn unsettled(
        &self,
        ledger: &LedgerId,
        after: Option<&Obligation>,
        limit: usize,
    ) -> Result<Vec<Obligation>, JournalError> {
        let after = after.map(|row| keys::unsettled(ledger, row.at_ms, &row.owed.reference));
        let prefix = keys::ledger(ledger);
        let index = self.page(Tree::Unsettled, &prefix, after.as_deref(), limit)?;
        self.pointed_at(index)
    }

    /// One delivery.
    pub fn delivery(&self, id: &DeliveryId) -> Result<Option<Delivery>, JournalError> {
        let key = keys::delivery(&id.ledger, &id.account, id.number);
        self.row(Tree::Deliveries, &key)
    }

    /// Up to `limit` deliveries of all accounts after `after`, by ledger, account and number.
    pub fn deliveries(
        &self,
        after: Option<&DeliveryId>,
        limit: usize,
    ) -> Result<Vec<Delivery>, JournalError> {
        let after = after.map(|id| keys::delivery(&id.ledger, &id.account, id.number));
        rows(Tree::Deliveries, self.page(Tree::Deliveries, &[], after.as_deref(), limit)?)
    }

    /// Up to `limit` deliveries of one account from number `from` on.
    pub fn account_deliveries(
        &self,
        ledger: &LedgerId,
        account: &Account,
        from: u64,
        limit: usize,
    ) -> Result<Vec<Delivery>, JournalError> {
        let prefix = keys::account(ledger, account);
        let after = from.checked_sub(1).map(|number| keys::delivery(ledger, account, number));
        rows(Tree::Deliveries, self.page(Tree::Deliveries, &prefix, after.as_deref(), limit)?)
    }

    /// The newest bytes of all that may still happen for an account.
    pub fn live(&self, ledger: &LedgerId, account: &Account) -> Result<Vec<Signed>, JournalError> {
        let mut live = Vec::new();
        for (_, number) in self.live_numbers(ledger, account)? {
            let id = DeliveryId { ledger: ledger.clone(), account: account.clone(), number };
            live.extend(self.delivery(&id)?.and_then(|mut row| row.variants.pop()));
        }
        Ok(live)
    }

    /// Which numbers of an account come next, as far as this journal knows.
    pub fn numbers(&self, ledger: &LedgerId, account: &Account) -> Result<Numbers, JournalError> {
        let numbers = self.row(Tree::Accounts, &keys::account(ledger, account))?;
        Ok(numbers.unwrap_or_default())
    }

    /// How much there is. Reads the keys of all sessions and of all that is unsettled.
    pub fn counts(&self) -> Result<Counts, JournalError> {
        let mut sessions = 0;
        self.each(Tree::Sessions, |_| sessions += 1)?;
        let mut unsettled: Vec<Unsettled> = Vec::new();
        self.each(Tree::Unsettled, |key| {
            let Some((ledger, since_ms)) = read_unsettled(key) else {
                return;
            };
            match unsettled.last_mut() {
                Some(last) if last.ledger == ledger => last.count += 1,
                _ => unsettled.push(Unsettled { ledger, count: 1, oldest_ms: since_ms }),
            }
        })?;
        Ok(Counts { head: self.head()?, sessions, unsettled })
    }

    /// Whether a delivery's call is what its obligations, and its head where it has one, make of
    /// it: what audit asks before it looks for the call on the ledger.
    pub fn holds(&self, delivery: &Delivery) -> Result<bool, JournalError> {
        let owed = delivery.references.iter().map(|r| self.obligation(r));
        let owed: Option<Vec<_>> = owed.collect::<Result<_, _>>()?;
        let head_stands = match delivery.head {
            Some(head) => self.digest_of(head.seq)? == Some(head.digest),
            None => true,
        };
        let packed = owed.and_then(|owed| outbox::pack(&owed, delivery.head, &self.0.identity));
        Ok(head_stands && packed.is_some_and(|packed| packed.call == delivery.call))
    }

    fn digest_of(&self, seq: u64) -> Result<Option<sdpp_ledger::Digest>, JournalError> {
        self.0.read(|store| {
            let bytes = store.get(Tree::Entries, &keys::seq(seq))?;
            Ok(bytes.map(|bytes| entry::digest(&bytes)))
        })
    }

    /// An account's deliveries that may still happen: when each is to be looked at, in
    /// milliseconds since 1970 UTC, and its number.
    pub(super) fn live_numbers(
        &self,
        ledger: &LedgerId,
        account: &Account,
    ) -> Result<Vec<(u64, u64)>, JournalError> {
        let mut live = Vec::new();
        for (due_ms, key) in self.due(ledger, keys::LIVE, usize::MAX)? {
            let number = keys::tail(&key).ok_or_else(|| damaged("a due row"))?;
            if key == keys::in_account(account, number) {
                live.push((due_ms, number));
            }
        }
        Ok(live)
    }

    /// Up to `limit` live rows of one kind, by when they are due: the moment, and which.
    pub(super) fn due(
        &self,
        ledger: &LedgerId,
        kind: u8,
        limit: usize,
    ) -> Result<Vec<(u64, Vec<u8>)>, JournalError> {
        let prefix = keys::due_kind(ledger, kind);
        let pairs = self.0.read(|store| Ok(store.scan(Tree::Due, &prefix, None, limit)?))?;
        let split = pairs.into_iter().map(|(key, _)| {
            let rest = key.get(prefix.len()..).unwrap_or_default();
            let (at, what) = rest.split_first_chunk()?;
            Some((u64::from_be_bytes(*at), what.to_vec()))
        });
        split.collect::<Option<_>>().ok_or_else(|| damaged("a due row is too short"))
    }

    /// The obligations whose references end these keys.
    pub(super) fn pointed_at(&self, index: Vec<Pair>) -> Result<Vec<Obligation>, JournalError> {
        let rows = index.iter().map(|(key, _)| {
            let reference = key.last_chunk().ok_or_else(|| damaged("an index row"))?;
            self.obligation(&Reference(*reference))?
                .ok_or_else(|| damaged("an index row without its obligation"))
        });
        rows.collect()
    }

    fn each(&self, tree: Tree, mut look: impl FnMut(&[u8])) -> Result<(), JournalError> {
        let mut last: Option<Vec<u8>> = None;
        loop {
            let pairs = self.page(tree, &[], last.as_deref(), PAGE_MAX)?;
            pairs.iter().for_each(|(key, _)| look(key));
            match pairs.into_iter().next_back() {
                Some((key, _)) => last = Some(key),
                None => return Ok(()),
            }
        }
    }

    /// A page is short, so that the writer never waits long for its readers.
    pub(super) fn page(
        &self,
        tree: Tree,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Pair>, JournalError> {
        let limit = limit.min(PAGE_MAX);
        self.0.read(|store| Ok(store.page(tree, prefix, after, (limit, PAGE_BYTES_MAX))?.0))
    }

    /// Up to `limit` entries after entry `after` as they are stored, each with its payload as it
    /// is at the same moment.
    pub(super) fn stored(&self, after: u64, limit: usize) -> Result<Vec<StoredRow>, JournalError> {
        let (after, limit) = (keys::seq(after), limit.min(PAGE_MAX));
        let ((mut bodies, _), (payloads, is_cut)) = self.0.read(|store| {
            let page = |tree| store.page(tree, &[], Some(&after), (limit, PAGE_BYTES_MAX));
            Ok((page(Tree::Entries)?, page(Tree::Payloads)?))
        })?;
        // What stands behind the last payload of a page may have one of its own.
        if let Some((last, _)) = payloads.last().filter(|_| is_cut) {
            bodies.retain(|(key, _)| key <= last);
        }
        let mut payloads = payloads.into_iter().peekable();
        let beside = |(key, body)| {
            // Both are in order; what belongs to no entry is passed over.
            while payloads.next_if(|(other, _)| *other < key).is_some() {}
            let payload = payloads.next_if(|(other, _)| *other == key);
            (key, body, payload.map(|(_, bytes)| bytes))
        };
        Ok(bodies.into_iter().map(beside).collect())
    }

    /// How many bytes of payload an entry has.
    pub(super) fn payload_bytes(&self, seq: u64) -> Result<Option<usize>, JournalError> {
        let payload = self.0.read(|store| Ok(store.get(Tree::Payloads, &keys::seq(seq))?))?;
        Ok(payload.map(|bytes| bytes.len()))
    }

    pub(super) fn row<T: DeserializeOwned>(
        &self,
        tree: Tree,
        key: &[u8],
    ) -> Result<Option<T>, JournalError> {
        let bytes = self.0.read(|store| Ok(store.get(tree, key)?))?;
        bytes.map(|bytes| read_row(tree, &bytes)).transpose()
    }
}

/// An entry as it is stored: its key, its body, its payload.
pub(super) type StoredRow = (Vec<u8>, Vec<u8>, Option<Vec<u8>>);

/// An entry with its payload, checked.
fn whole((_, body, payload): StoredRow) -> Result<Entry, JournalError> {
    let entry: Entry = read_row(Tree::Entries, &body)?;
    let seq = entry.seq;
    entry.complete(payload.as_deref()).map_err(|what| damaged(format!("entry {seq} {what}")))
}

fn gone(seq: u64) -> JournalError {
    damaged(format!("entry {seq} is gone"))
}

fn rows<T: DeserializeOwned>(tree: Tree, pairs: Vec<Pair>) -> Result<Vec<T>, JournalError> {
    pairs.iter().map(|(_, value)| read_row(tree, value)).collect()
}

fn read_unsettled(key: &[u8]) -> Option<(LedgerId, u64)> {
    let end = key.iter().position(|byte| *byte == 0)?;
    let (ledger, rest) = key.split_at_checked(end)?;
    let since = rest.get(1..)?.first_chunk()?;
    let ledger = std::str::from_utf8(ledger).ok()?.parse().ok()?;
    Some((ledger, u64::from_be_bytes(*since)))
}

/// Reads a row; what serde says of a bad one names a place, never the secret that stands there.
pub(super) fn read_row<T: DeserializeOwned>(tree: Tree, bytes: &[u8]) -> Result<T, JournalError> {
    serde_json::from_slice(bytes).map_err(|e| {
        let (line, column) = (e.line(), e.column());
        damaged(format!("a row of {tree:?} cannot be read at {line}:{column}"))
    })
}

/// The bytes of a row.
pub(super) fn row_bytes<T: Serialize>(row: &T) -> Result<Vec<u8>, JournalError> {
    serde_json::to_vec(row).map_err(|e| damaged(format!("a row cannot be written: {e}")))
}

/// The head, if it is indeed the last entry.
pub(super) fn checked_head(store: &Store, identity: &PublicKey) -> Result<Head, JournalError> {
    let head: Head = match store.get(Tree::Meta, b"head")? {
        Some(bytes) => read_row(Tree::Meta, &bytes)?,
        None => return Err(damaged("it has lost its head")),
    };
    let last = match store.last(Tree::Entries)? {
        Some((key, bytes)) => {
            let entry: Entry = read_row(Tree::Entries, &bytes)?;
            let seq = keys::tail(&key).filter(|seq| *seq == entry.seq);
            seq.map(|seq| Head { seq, digest: entry::digest(&bytes), at_ms: entry.at_ms })
        }
        None => Some(Head { seq: 0, digest: entry::genesis(identity), at_ms: 0 }),
    };
    if last != Some(head) {
        return Err(damaged("its head is not its last entry"));
    }
    Ok(head)
}

/// Whether the journal still has the last entry that was acknowledged.
pub(super) fn check_mark(
    store: &Store,
    head: &Head,
    mark: Option<Mark>,
) -> Result<(), JournalError> {
    let Some((seq, digest)) = mark.filter(|(seq, _)| *seq > 0) else {
        return Ok(());
    };
    if seq > head.seq {
        return Err(damaged(format!(
            "it ends at entry {}, but entry {seq} was acknowledged",
            head.seq
        )));
    }
    let bytes = store.get(Tree::Entries, &keys::seq(seq))?;
    if bytes.map(|bytes| entry::digest(&bytes)) != Some(digest) {
        return Err(damaged(format!("entry {seq} is not the one that was acknowledged")));
    }
    Ok(())
}
