//! What all requests share: the world, the clock, the faults, and the gate that holds requests.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use iota_sdk_types::TransactionDigest;
use tokio::sync::{Notify, watch};

use crate::faults::{Fault, Trouble, Troubles};
use crate::world::World;
use crate::{Clock, Options};

/// How long a wait sleeps where nothing tells that time has passed.
const PAUSE: Duration = Duration::from_millis(5);
/// How long a node waits until it has executed a transaction itself, in milliseconds.
const LOCAL_EXECUTION_MS: u64 = 10_000;
/// Where a manual clock begins: an evening in November 2026, in milliseconds since 1970.
const MANUAL_START_MS: u64 = 1_795_211_987_578;

#[derive(Debug)]
pub(crate) struct Shared {
    world: Mutex<World>,
    troubles: Mutex<Troubles>,
    clock: Clock,
    /// What a manual clock shows.
    manual_ms: AtomicU64,
    changed: Notify,
    /// Counts the releases.
    released: watch::Sender<u64>,
    /// How many requests are held.
    held: watch::Sender<usize>,
}

impl Shared {
    pub(crate) fn new(options: &Options) -> Shared {
        let manual_ms = AtomicU64::new(MANUAL_START_MS);
        let now_ms = now_ms(options.clock, &manual_ms);
        Shared {
            world: Mutex::new(World::new(options, now_ms)),
            troubles: Mutex::new(Troubles::default()),
            clock: options.clock,
            manual_ms,
            changed: Notify::new(),
            released: watch::Sender::new(0),
            held: watch::Sender::new(0),
        }
    }

    pub(crate) fn now_ms(&self) -> u64 {
        now_ms(self.clock, &self.manual_ms)
    }

    /// Lets a manual clock go on.
    pub(crate) fn advance(&self, by: Duration) {
        let by_ms = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.manual_ms.fetch_add(by_ms, Ordering::SeqCst);
        self.with(|_| ());
    }

    /// Looks at the world, or changes it, as it is now.
    pub(crate) fn with<T>(&self, deed: impl FnOnce(&mut World) -> T) -> T {
        let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        world.pass_time(self.now_ms());
        let done = deed(&mut world);
        world.pass_time(self.now_ms());
        drop(world);
        self.changed.notify_waiters();
        done
    }

    pub(crate) fn arm(&self, trouble: Trouble) {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner).arm(trouble);
    }

    pub(crate) fn clear(&self) {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.release();
    }

    /// Counts a request, and says which fault it meets.
    pub(crate) fn meet(&self, method: &str) -> Option<Fault> {
        self.with(|world| *world.tally.requests.entry(method.to_owned()).or_default() += 1);
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner).meet(method)
    }

    /// Holds a request until the next release.
    pub(crate) async fn hold(&self) {
        let mut released = self.released.subscribe();
        self.held.send_modify(|held| *held += 1);
        // The sender is in here, so this ends with a release.
        let _ = released.changed().await;
        self.held.send_modify(|held| *held -= 1);
    }

    pub(crate) fn release(&self) {
        self.released.send_modify(|releases| *releases += 1);
    }

    /// Waits until so many requests are held.
    pub(crate) async fn until_held(&self, requests: usize) {
        let _ = self.held.subscribe().wait_for(|held| *held >= requests).await;
    }

    /// Waits until the node that is asked knows a transaction, if it does in time. One that stands
    /// still does not, however long the wait is.
    pub(crate) async fn until_known(&self, digest: &TransactionDigest) -> bool {
        let deadline_ms = self.now_ms().saturating_add(LOCAL_EXECUTION_MS);
        loop {
            let (known, never) = self.with(|world| {
                let known = world.view.landed(&world.chain, digest).is_some();
                (known, world.view.is_behind())
            });
            if known || never || self.now_ms() >= deadline_ms {
                return known;
            }
            self.pause().await;
        }
    }

    /// Waits a little, for time to pass or something to happen.
    async fn pause(&self) {
        let _ = tokio::time::timeout(PAUSE, self.changed.notified()).await;
    }
}

fn now_ms(clock: Clock, manual_ms: &AtomicU64) -> u64 {
    match clock {
        Clock::Manual => manual_ms.load(Ordering::SeqCst),
        Clock::System => {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        }
    }
}
