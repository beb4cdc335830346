//! Supervision: what is to run as long as its process does is started again when it breaks, after a
//! wait that doubles, and said in the log and in the status. Whatever breaks has all that counts in
//! the journal, so its next life goes on from there; only the journal's own actor is not kept here,
//! because nothing can be promised without it and the process ends.
//!
//! No mailbox is used: it is one task for each part, on the thread that starts it, and ends when the
//! part ends by itself.

use actix::prelude::*;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// How long what broke stays down the first time.
const WAIT_FIRST: Duration = Duration::from_millis(200);

/// How long it stays down at the longest.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// What lived for so long is well: when it breaks, it is the first time again.
const WELL_AFTER: Duration = Duration::from_secs(60);

/// Keeps the parts of a process running; its clones know the same.
#[derive(Debug, Clone, Default)]
pub struct Keeper {
    parts: Arc<Mutex<BTreeMap<String, Part>>>,
    #[cfg(test)]
    faults: Arc<fault::Faults>,
}

/// How a part is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Part {
    /// It broke and does not run again yet.
    pub is_down: bool,
    /// How often it broke.
    pub broke: u64,
}

/// An actor that is kept: its address is another one after it broke. Clones know the same.
#[derive(Debug)]
pub struct Kept<A: Actor>(Arc<RwLock<Addr<A>>>);

impl Keeper {
    /// Keeps something running. `begin` gives its next life, or nothing where nobody needs one any
    /// more; it must not panic, while the life that it gives may.
    pub fn keep<L: Future<Output = ()> + 'static>(
        &self,
        name: impl Into<String>,
        mut begin: impl FnMut() -> Option<L> + 'static,
    ) {
        let (keeper, name) = (self.clone(), name.into());
        let Some(life) = begin() else { return };
        self.note(&name, |_| {});
        let mut task = self.start(&name, life);
        actix::spawn(async move {
            let (mut wait, mut began) = (WAIT_FIRST, Instant::now());
            while task.await.is_err() {
                if began.elapsed() >= WELL_AFTER {
                    wait = WAIT_FIRST;
                }
                keeper.fell(&name, wait).await;
                wait = wait.saturating_mul(2).min(WAIT_MAX);
                let Some(life) = begin() else { break };
                began = Instant::now();
                task = keeper.start(&name, life);
                keeper.note(&name, |part| part.is_down = false);
            }
            keeper.parts().remove(&name);
        });
    }

    /// Starts an actor, and keeps it running while anybody has its address.
    pub fn actor<A: Actor<Context = Context<A>>>(
        &self,
        name: impl Into<String>,
        mut make: impl FnMut() -> A + 'static,
    ) -> Kept<A> {
        let mut next = move || {
            let context = Context::new();
            (context.address(), context.into_future(make()))
        };
        let (address, life) = next();
        let kept = Kept(Arc::new(RwLock::new(address)));
        let (shown, mut first) = (Arc::downgrade(&kept.0), Some(life));
        self.keep(name, move || {
            if let Some(life) = first.take() {
                return Some(life);
            }
            let shown = shown.upgrade()?;
            let (address, life) = next();
            *shown.write().unwrap_or_else(PoisonError::into_inner) = address;
            Some(life)
        });
        kept
    }

    /// What is kept, by name.
    pub fn all(&self) -> BTreeMap<String, Part> {
        self.parts().clone()
    }

    /// A part broke: it stays down for a while.
    async fn fell(&self, name: &str, wait: Duration) {
        self.note(name, |part| *part = Part { is_down: true, broke: part.broke + 1 });
        let again_ms = wait.as_millis();
        tracing::error!(part = name, again_ms, "it broke, and is started again");
        tokio::time::sleep(wait).await;
        #[cfg(test)]
        self.faults.passed().await;
    }

    fn start(&self, name: &str, life: impl Future<Output = ()> + 'static) -> JoinHandle<()> {
        #[cfg(test)]
        let life = self.faults.within(name, life);
        #[cfg(not(test))]
        let _ = name;
        actix::spawn(life)
    }

    fn note(&self, name: &str, note: impl FnOnce(&mut Part)) {
        note(self.parts().entry(name.to_owned()).or_default());
    }

    fn parts(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Part>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<A: Actor> Kept<A> {
    /// Its address now.
    pub fn addr(&self) -> Addr<A> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl<A: Actor> Clone for Kept<A> {
    fn clone(&self) -> Self {
        Kept(self.0.clone())
    }
}

#[cfg(test)]
impl<A: Actor> From<Addr<A>> for Kept<A> {
    /// One that nobody keeps.
    fn from(address: Addr<A>) -> Self {
        Kept(Arc::new(RwLock::new(address)))
    }
}

/// Faults that tests plant; they are in no program.
#[cfg(test)]
pub(crate) mod fault {
    use super::Keeper;
    use std::collections::BTreeMap;
    use std::sync::{Arc, Mutex};
    use tokio::sync::{Notify, OwnedRwLockWriteGuard, RwLock};

    /// What is to break, by the name of its part.
    #[derive(Debug, Default)]
    pub(super) struct Faults {
        parts: Mutex<BTreeMap<String, Arc<Notify>>>,
        gate: Arc<RwLock<()>>,
    }

    impl Faults {
        fn of(&self, name: &str) -> Arc<Notify> {
            self.parts.lock().unwrap().entry(name.to_owned()).or_default().clone()
        }

        /// A life that panics when it is told to.
        pub(super) fn within(
            &self,
            name: &str,
            life: impl Future<Output = ()> + 'static,
        ) -> impl Future<Output = ()> + 'static {
            let told = self.of(name);
            async move {
                tokio::select! {
                    () = told.notified() => panic!("a planted fault"),
                    () = life => {}
                }
            }
        }

        /// Waits while tests want what broke to stay down.
        pub(super) async fn passed(&self) {
            drop(self.gate.read().await);
        }
    }

    impl Keeper {
        /// Has a part panic.
        pub(crate) fn breaks(&self, name: &str) {
            self.faults.of(name).notify_one();
        }

        /// Nothing that broke is started again until this is dropped.
        pub(crate) async fn stay_down(&self) -> OwnedRwLockWriteGuard<()> {
            self.faults.gate.clone().write_owned().await
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use std::cell::Cell;
    use std::rc::Rc;

    struct Counter(Rc<Cell<u32>>);

    #[derive(Message)]
    #[rtype(result = "u32")]
    struct Ask;

    impl Actor for Counter {
        type Context = Context<Self>;

        fn started(&mut self, _: &mut Context<Self>) {
            self.0.set(self.0.get() + 1);
        }
    }

    impl Handler<Ask> for Counter {
        type Result = u32;

        fn handle(&mut self, _: Ask, _: &mut Context<Self>) -> u32 {
            assert_ne!(self.0.get(), 2, "a mistake of ours, in its second life");
            self.0.get()
        }
    }

    async fn paused<T>(story: impl Future<Output = T>) -> T {
        tokio::time::pause();
        story.await
    }

    #[test]
    fn an_actor_that_breaks_is_started_again_each_time_and_answers_at_its_new_address() {
        System::new().block_on(paused(async {
            let (keeper, lives) = (Keeper::default(), Rc::new(Cell::new(0)));
            let counted = lives.clone();
            let kept = keeper.actor("counter", move || Counter(counted.clone()));
            assert_eq!(kept.addr().send(Ask).await.unwrap(), 1);
            keeper.breaks("counter");
            until_down(&keeper, true).await;
            assert!(kept.addr().send(Ask).await.is_err(), "in between nobody answers");
            until_down(&keeper, false).await;
            assert!(kept.addr().send(Ask).await.is_err(), "it breaks by itself");
            until_down(&keeper, true).await;
            until_down(&keeper, false).await;
            assert_eq!(kept.addr().send(Ask).await.unwrap(), 3);
            assert_eq!(keeper.all()["counter"], Part { is_down: false, broke: 2 });
            drop(kept);
            while !keeper.all().is_empty() {
                tokio::task::yield_now().await;
            }
        }));
    }

    #[test]
    fn what_breaks_again_and_again_is_left_alone_for_longer_each_time_and_not_for_ever() {
        System::new().block_on(paused(async {
            let (keeper, began) = (Keeper::default(), Instant::now());
            let starts = Rc::new(Cell::new(Vec::new()));
            let noted = starts.clone();
            keeper.keep("hopeless", move || {
                let mut all = noted.take();
                all.push(began.elapsed().as_secs());
                noted.set(all);
                Some(async { panic!("a mistake of ours, in each life") })
            });
            tokio::time::sleep(Duration::from_secs(130)).await;
            assert!(keeper.all()["hopeless"].is_down);
            // 0.2 s, 0.4 s, ... 25.6 s, and 30 s from then on.
            assert_eq!(starts.take(), [0, 0, 0, 1, 3, 6, 12, 25, 51, 81, 111]);
        }));
    }

    async fn until_down(keeper: &Keeper, is_down: bool) {
        while keeper.all()["counter"].is_down != is_down {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}
