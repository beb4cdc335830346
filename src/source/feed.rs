//! Lines from a pipe: a thread reads them, because a pipe blocks, and a bounded queue brings
//! them to the session. What the thread does while nobody wants lines is [`WhenSlow`].

use super::item::{self, Line};
use super::{Batch, Item, SourceError, WhenSlow};
use std::io::{BufReader, Read};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use tokio::sync::{Mutex, OwnedMutexGuard, mpsc};

/// The most lines that wait between thread and session.
const QUEUE_LINES: usize = 64;

/// Our standard input. There is one, so one session at a time reads it; lines that wait when it
/// ends are the next one's.
static STDIN: OnceLock<Arc<Mutex<Option<Feed>>>> = OnceLock::new();

/// Opens standard input for one session.
pub(super) fn stdin(item_bytes_max: usize, when_slow: WhenSlow) -> Result<Stdin, SourceError> {
    let feed = Arc::clone(STDIN.get_or_init(Arc::default));
    let mut held = feed.try_lock_owned().map_err(|_| SourceError::Taken)?;
    let mut feed = match held.take() {
        Some(feed) => feed,
        None => Feed::start(std::io::stdin(), "standard input", item_bytes_max)?,
    };
    feed.begin(when_slow);
    *held = Some(feed);
    Ok(Stdin(held))
}

/// Standard input, held by one session until this is dropped.
#[derive(Debug)]
pub(super) struct Stdin(OwnedMutexGuard<Option<Feed>>);

impl Stdin {
    pub(super) async fn next(
        &mut self,
        at_most: NonZeroUsize,
        bytes: usize,
    ) -> Result<Batch, SourceError> {
        match &mut *self.0 {
            Some(feed) => feed.next(at_most, bytes).await,
            None => Ok(Batch::End),
        }
    }

    pub(super) fn skipped(&self) -> u64 {
        self.0.as_ref().map_or(0, Feed::skipped)
    }
}

impl Drop for Stdin {
    fn drop(&mut self) {
        if let Some(feed) = &mut *self.0 {
            feed.pause();
        }
    }
}

/// The session's end of the queue.
#[derive(Debug)]
pub(super) struct Feed {
    gate: Arc<Gate>,
    lines: mpsc::Receiver<Result<Item, SourceError>>,
    /// Lines that were wanted and have not been received: in the queue, or still to come.
    outstanding: usize,
    /// What was met behind items that had to be given first.
    broken: Option<SourceError>,
}

/// What the session tells the thread, and the thread the session.
#[derive(Debug, Default)]
struct Gate {
    skip: AtomicBool,
    wanted: AtomicUsize,
    skipped: AtomicU64,
}

impl Feed {
    /// Starts to read lines of `input`, which `place` names in errors. The thread ends with the
    /// input, with the first line that is no item, or when nobody listens any more.
    pub(super) fn start(
        input: impl Read + Send + 'static,
        place: &'static str,
        item_bytes_max: usize,
    ) -> Result<Self, SourceError> {
        let gate = Arc::new(Gate::default());
        let (sender, lines) = mpsc::channel(QUEUE_LINES);
        let pump = Pump { gate: Arc::clone(&gate), sender, place, item_bytes_max };
        std::thread::Builder::new()
            .name("sdpp-lines".to_owned())
            .spawn(move || pump.run(input))
            .map_err(SourceError::io("start a thread for", place))?;
        Ok(Feed { gate, lines, outstanding: 0, broken: None })
    }

    /// A session begins here; until it asks, nobody wants anything.
    pub(super) fn begin(&mut self, when_slow: WhenSlow) {
        self.gate.skipped.store(0, Ordering::Relaxed);
        self.gate.skip.store(when_slow == WhenSlow::Skip, Ordering::Relaxed);
    }

    pub(super) async fn next(
        &mut self,
        at_most: NonZeroUsize,
        bytes: usize,
    ) -> Result<Batch, SourceError> {
        if let Some(error) = self.broken.take() {
            return Err(error);
        }
        let more = at_most.get().saturating_sub(self.outstanding);
        self.outstanding += more;
        self.gate.wanted.fetch_add(more, Ordering::Relaxed);

        let mut line = self.lines.recv().await;
        let (mut items, mut brought) = (Vec::new(), 0);
        while let Some(next) = line {
            self.outstanding = self.outstanding.saturating_sub(1);
            match next {
                Ok(item) => {
                    brought += item.as_str().len();
                    items.push(item);
                }
                // Nothing follows an error: the thread ends with it.
                Err(error) if items.is_empty() => return Err(error),
                Err(error) => self.broken = Some(error),
            }
            let is_enough = items.len() == at_most.get() || brought >= bytes;
            line = if is_enough { None } else { self.lines.try_recv().ok() };
        }
        Ok(if items.is_empty() { Batch::End } else { Batch::Items(items) })
    }

    pub(super) fn skipped(&self) -> u64 {
        self.gate.skipped.load(Ordering::Relaxed)
    }

    /// The session is over: nobody wants anything until the next one asks, and where time goes
    /// on, what waits is stale.
    fn pause(&mut self) {
        self.gate.wanted.store(0, Ordering::Relaxed);
        self.outstanding = 0;
        if self.gate.skip.load(Ordering::Relaxed) {
            while let Ok(Ok(_)) = self.lines.try_recv() {}
        }
    }
}

/// The thread's end of the queue.
struct Pump {
    gate: Arc<Gate>,
    sender: mpsc::Sender<Result<Item, SourceError>>,
    place: &'static str,
    item_bytes_max: usize,
}

impl Pump {
    fn run(self, input: impl Read) {
        let mut input = BufReader::new(input);
        let mut number = 0;
        loop {
            let item = match item::next_line(&mut input, self.item_bytes_max, &mut number) {
                Ok(None) => return,
                Ok(Some(_)) if !self.gate.admits() => {
                    if self.sender.is_closed() {
                        return;
                    }
                    continue;
                }
                Ok(Some(Line { text, .. })) => {
                    Item::new(text, self.item_bytes_max, || format!("{} line {number}", self.place))
                }
                Err(error) => Err(SourceError::io("read", self.place)(error)),
            };
            let last = item.is_err();
            if self.sender.blocking_send(item).is_err() || last {
                return;
            }
        }
    }
}

impl Gate {
    /// Whether the line that has just been read goes to the session; counts it where not.
    fn admits(&self) -> bool {
        let one_less = |wanted: usize| wanted.checked_sub(1);
        let (relaxed, wanted) = (Ordering::Relaxed, &self.wanted);
        let is_wanted = wanted.fetch_update(relaxed, relaxed, one_less).is_ok();
        let admitted = is_wanted || !self.skip.load(relaxed);
        if !admitted {
            self.skipped.fetch_add(1, relaxed);
        }
        admitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn count(n: usize) -> NonZeroUsize {
        NonZeroUsize::new(n).unwrap()
    }

    fn feed(when_slow: WhenSlow) -> (std::io::PipeWriter, Feed) {
        let (reader, writer) = std::io::pipe().unwrap();
        let mut feed = Feed::start(reader, "the test", 100).unwrap();
        feed.begin(when_slow);
        (writer, feed)
    }

    async fn texts(feed: &mut Feed, at_most: usize) -> Vec<String> {
        match feed.next(count(at_most), usize::MAX).await.unwrap() {
            Batch::Items(items) => items.iter().map(Item::to_string).collect(),
            Batch::End => Vec::new(),
            Batch::Rows(_) => panic!("nobody promised them"),
        }
    }

    #[tokio::test]
    async fn what_nobody_wanted_is_counted_and_gone() {
        let (mut pipe, mut feed) = feed(WhenSlow::Skip);
        pipe.write_all(b"1\n2\n3\n").unwrap();
        while feed.skipped() < 3 {
            tokio::task::yield_now().await;
        }
        let (got, ()) = tokio::join!(texts(&mut feed, 1), async {
            pipe.write_all(b"4\n5\n").unwrap();
        });
        assert_eq!(got, ["4"]);
        while feed.skipped() < 4 {
            tokio::task::yield_now().await;
        }
        drop(pipe);
        assert_eq!(texts(&mut feed, 1).await, Vec::<String>::new());
    }

    #[tokio::test]
    async fn credit_that_was_not_used_keeps_a_burst_together() {
        let (mut pipe, mut feed) = feed(WhenSlow::Skip);
        let mut got = Vec::new();
        let (first, ()) = tokio::join!(texts(&mut feed, 3), async {
            pipe.write_all(b"1\n2\n3\n4\n").unwrap();
            drop(pipe);
        });
        got.extend(first);
        while got.len() < 3 {
            got.extend(texts(&mut feed, 3 - got.len()).await);
        }
        assert_eq!(got, ["1", "2", "3"]);
        while feed.skipped() < 1 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn where_the_source_waits_nothing_is_missed() {
        let (mut pipe, mut feed) = feed(WhenSlow::Wait);
        let writer = std::thread::spawn(move || {
            (0..20_000).for_each(|i| writeln!(pipe, "{i}").unwrap());
        });
        let mut got = Vec::new();
        loop {
            let more = texts(&mut feed, 7).await;
            assert!(more.len() <= 7);
            if more.is_empty() {
                break;
            }
            got.extend(more);
        }
        writer.join().unwrap();
        let all: Vec<_> = (0..20_000).map(|i| i.to_string()).collect();
        assert_eq!(got, all);
        assert_eq!(feed.skipped(), 0);
    }

    #[tokio::test]
    async fn what_came_before_a_bad_line_is_given_before_its_error() {
        let (mut pipe, mut feed) = feed(WhenSlow::Wait);
        pipe.write_all(b"good\r\n\n").unwrap();
        pipe.write_all(&[b'x'; 300]).unwrap();
        drop(pipe);
        assert_eq!(texts(&mut feed, 1).await, ["good"]);
        let error = feed.next(count(5), usize::MAX).await.unwrap_err().to_string();
        assert!(error.contains("the test line 3"), "{error}");
        assert_eq!(feed.next(count(5), usize::MAX).await.unwrap(), Batch::End);
    }

    #[tokio::test]
    async fn a_session_that_ends_wants_nothing_any_more() {
        let (mut pipe, mut feed) = feed(WhenSlow::Skip);
        assert!(
            tokio::time::timeout(std::time::Duration::ZERO, feed.next(count(5), usize::MAX))
                .await
                .is_err()
        );
        feed.pause();
        feed.begin(WhenSlow::Skip);
        pipe.write_all(b"1\n2\n").unwrap();
        while feed.skipped() < 2 {
            tokio::task::yield_now().await;
        }
    }
}
