//! Items on their way to a file or standard output, and the progress that a person sees: on a
//! thread of its own, because whoever reads may be slow, and nothing else may wait for that.

use super::exit::{Exit, Failure, Outcome};
use crate::actors::buying::Event;
use crate::session::{Paying, Progress};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use sdpp_ledger::Amount;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use tokio::sync::mpsc;

/// Where items go. A file that nothing was written to is removed again, unless it was closed:
/// whoever tries once more shall not find it in the way.
pub(super) struct Items {
    to: Box<dyn Write + Send>,
    /// The file beneath, where it is one.
    file: Option<File>,
    empty: Option<PathBuf>,
    failed: Option<Failure>,
    money: Option<Money>,
}

impl Items {
    /// A new file, an empty one, or standard output.
    pub(super) fn open(path: Option<&Path>) -> Outcome<Items> {
        let Some(path) = path else {
            let to: Box<dyn Write + Send> = Box::new(BufWriter::new(io::stdout()));
            return Ok(Items { to, file: None, empty: None, failed: None, money: None });
        };
        let (file, is_new) = match File::create_new(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                (left_empty(path)?, false)
            }
            made => (made.map_err(Failure::io("make the new file", path))?, true),
        };
        sync_folder_of(path).map_err(Failure::io("make the new file", path))?;
        let mut items = Items::go_on(file, path)?;
        items.empty = is_new.then(|| path.to_owned());
        Ok(items)
    }

    /// A file that items are in: the next one is written where it stands. Nobody else writes there.
    pub(super) fn go_on(file: File, path: &Path) -> Outcome<Items> {
        file.try_lock().map_err(|error| {
            let file = path.display();
            Failure::new(
                Exit::Failed,
                format!("cannot write to {file}: another command does: {error}"),
            )
        })?;
        let beneath = file.try_clone().map_err(Failure::io("write to", path))?;
        let to: Box<dyn Write + Send> = Box::new(BufWriter::new(file));
        Ok(Items { to, file: Some(beneath), empty: None, failed: None, money: None })
    }

    /// Writes what comes until no more does. `broke` is called once when writing fails; after
    /// that, what comes is dropped.
    pub(super) fn drain(
        mut self,
        mut events: mpsc::Receiver<Event>,
        bar: Bar,
        broke: impl FnOnce() + Send + 'static,
    ) -> Outcome<JoinHandle<Items>> {
        let mut broke = Some(broke);
        let drain = move || {
            while let Some(event) = events.blocking_recv() {
                self.take(&event);
                if self.failed.is_some() {
                    broke.take().into_iter().for_each(|broke| broke());
                }
                match event {
                    Event::Paying(paying) => self.money = Some(Money::of(&paying)),
                    Event::Progress(progress) => bar.show(&progress, self.money.as_ref()),
                    // Whoever waited for it may be gone.
                    Event::Keep { done, .. } => drop(done.send(())),
                    Event::Item { .. } => {}
                }
            }
            bar.0.finish_and_clear();
            self.write(|to| to.flush());
            self
        };
        let thread = std::thread::Builder::new().name("sdpp-items".to_owned()).spawn(drain);
        thread
            .map_err(|error| Failure::new(Exit::Failed, format!("cannot start a thread: {error}")))
    }

    /// What was paid in, where something was ordered.
    pub(super) fn money(&self) -> Option<&Money> {
        self.money.as_ref()
    }

    /// Why an item could not be written, if one could not.
    pub(super) fn close(mut self) -> Outcome {
        self.empty = None;
        self.failed.take().map_or(Ok(()), Err)
    }

    /// Takes an item, or writes out those that were taken.
    fn take(&mut self, event: &Event) {
        match event {
            Event::Item { seq, item } => self.put(*seq, item),
            Event::Progress(_) => self.write(|to| to.flush()),
            Event::Keep { on_disk, .. } => {
                self.write(|to| to.flush());
                if *on_disk {
                    self.sync();
                }
            }
            Event::Paying(_) => {}
        }
    }

    /// Writes an item as a line. In a file each line is an item: that is how it is read back.
    fn put(&mut self, seq: u64, item: &[u8]) {
        if self.file.is_some() && item.contains(&b'\n') {
            let why = format!("item {seq} holds a line break, and the file has an item a line");
            self.failed.get_or_insert_with(|| Failure::new(Exit::Failed, why));
        }
        self.write(|to| to.write_all(item).and_then(|()| to.write_all(b"\n")));
        self.empty = None;
    }

    fn sync(&mut self) {
        let Some(file) = self.file.as_ref().filter(|_| self.failed.is_none()) else { return };
        self.failed = file.sync_data().err().map(Failure::output);
    }

    fn write(&mut self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) {
        if self.failed.is_none() {
            self.failed = write(&mut *self.to).err().map(Failure::output);
        }
    }
}

/// A file that is there already: a kill before the first item leaves an empty one, which is in nobody's
/// way. What is in any other was paid for, and is never written over.
fn left_empty(path: &Path) -> Outcome<File> {
    let failed = Failure::io("write to", path);
    let found = std::fs::symlink_metadata(path).map_err(failed)?;
    if !found.is_file() || found.len() > 0 {
        let file = path.display();
        let why = format!(
            "{file} is there already, and nothing is written over: no interrupted session of this order \
             goes on in it (one can for a while, where its seller's config has `resume_s`): give another \
             --output FILE"
        );
        return Err(Failure::new(Exit::Failed, why));
    }
    OpenOptions::new().append(true).open(path).map_err(Failure::io("write to", path))
}

/// A file's name is on the disk once its folder is.
fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

impl Drop for Items {
    fn drop(&mut self) {
        if let Some(path) = &self.empty {
            // It was ours and is empty; if it stays, the next try says that it is there.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// The currency of a session, for people.
#[derive(Clone)]
pub(super) struct Money {
    /// Its name.
    pub(super) currency: String,
    decimals: u8,
}

impl Money {
    /// The currency that is paid in.
    fn of(paying: &Paying) -> Money {
        Money { currency: paying.currency.clone(), decimals: paying.decimals }
    }

    /// Such as `0.001000 of 0.002000 SDP`.
    pub(super) fn paid_of_owed(&self, progress: &Progress) -> String {
        let whole = |amount: Amount| amount.to_decimal(self.decimals);
        format!("{} of {} {}", whole(progress.paid), whole(progress.owed), self.currency)
    }
}

/// A progress bar, on a terminal only.
pub(super) struct Bar(ProgressBar);

impl Bar {
    /// A bar for so many items, or for a stream without an end.
    pub(super) fn new(quantity: Option<u64>) -> Bar {
        let template = "{elapsed_precise} {bar:30} {pos}/{len} items, {msg}";
        let bar = match quantity {
            Some(quantity) => ProgressBar::new(quantity),
            None => ProgressBar::no_length(),
        };
        if !io::stderr().is_terminal() {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        let style = ProgressStyle::with_template(template);
        Bar(bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())))
    }

    fn show(&self, progress: &Progress, money: Option<&Money>) {
        let Bar(bar) = self;
        bar.set_position(progress.items);
        let paid = money.map_or("nothing".to_owned(), |money| money.paid_of_owed(progress));
        let (windows, rate) = (progress.windows, bar.per_sec());
        bar.set_message(format!("{windows} windows, {paid} paid, {rate:.0} items/s"));
    }
}
