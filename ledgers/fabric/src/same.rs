//! Whether the same ledger still answers. A gateway can be pointed at another channel while we run,
//! or begin a new one: nothing that is owed on one ledger is paid on another, and what is not there
//! says nothing of what is here.

use crate::gateway::{Answer, Gateway, Trouble};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// How old a look at the channel's first block may be.
const GAP: Duration = Duration::from_secs(5);

/// The ledger that was met at first.
pub(crate) struct Met {
    /// The hash of its first block.
    genesis: [u8; 32],
    /// Held while somebody looks: all others wait for what that finds.
    look: Mutex<Look>,
    /// How often the gateway was in trouble, after which another may be there.
    troubles: AtomicU64,
}

/// A look at who answers.
struct Look {
    began: Instant,
    ended: Instant,
    /// How many troubles there were when it began.
    troubles: u64,
    found: Answer<()>,
}

impl Met {
    fn new(genesis: [u8; 32]) -> Self {
        let now = Instant::now();
        let look = Look { began: now, ended: now, troubles: 0, found: Ok(()) };
        Met { genesis, look: Mutex::new(look), troubles: AtomicU64::new(0) }
    }

    /// Takes note of how a request went. What the chaincode refuses is an answer like any other.
    pub fn heed<T>(&self, answer: &Answer<T>) {
        match answer {
            Ok(_) | Err(Trouble::Refused { .. } | Trouble::NoSuchTransaction) => {}
            Err(_) => drop(self.troubles.fetch_add(1, Ordering::SeqCst)),
        }
    }
}

impl Gateway {
    /// Reads which ledger answers, by the hash of its first block, and answers from no other one
    /// from then on.
    pub async fn meet(&mut self) -> Answer<[u8; 32]> {
        let genesis = self.genesis().await?;
        self.met = Some(Met::new(genesis));
        Ok(genesis)
    }

    /// Checks that it is still the ledger that was met: looks where the last look is too old, or
    /// where there was trouble since. However many ask at once, one looks.
    pub async fn is_same(&self) -> Answer<()> {
        let Some(met) = &self.met else { return Ok(()) };
        let came = Instant::now();
        let mut look = met.look.lock().await;
        let (began, troubles) = (Instant::now(), met.troubles.load(Ordering::SeqCst));
        let is_fresh = look.troubles == troubles && came.duration_since(look.began) < GAP;
        match &look.found {
            Ok(()) if is_fresh => return Ok(()),
            Err(trouble) if look.ended >= came => return Err(trouble.clone()),
            _ => {}
        }
        let found = match self.genesis().await {
            Ok(genesis) if genesis == met.genesis => Ok(()),
            Ok(_) => Err(self.doubt(
                "another ledger answers here than at the start: nothing is sent to it or believed \
                 of it, point the gateway back or start again",
            )),
            Err(trouble) => Err(trouble),
        };
        *look = Look { began, ended: Instant::now(), troubles, found: found.clone() };
        found
    }
}
