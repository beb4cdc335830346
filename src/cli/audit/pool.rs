//! Work on all cores, for one thread that gives it out and takes what came of it.
//!
//! Jobs are done in any order; whoever needs one numbers them. Nothing is bounded here: the giver
//! counts what is under way.

use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// The giver's end.
pub(in crate::cli) struct Pool<J, R> {
    jobs: Sender<J>,
    done: Receiver<thread::Result<R>>,
    /// Jobs under way.
    pub(in crate::cli) under_way: usize,
}

/// How many threads there are to work on.
pub(in crate::cli) fn cores() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

/// Has `drive` give out jobs, which one thread for each core does by `work`. All are at an end when
/// it is.
pub(in crate::cli) fn on_all_cores<J: Send, R: Send, T>(
    work: impl Fn(J) -> R + Sync,
    drive: impl FnOnce(&mut Pool<J, R>) -> T,
) -> T {
    let (jobs, waiting) = channel::<J>();
    let (tell, done) = channel::<thread::Result<R>>();
    let waiting = Mutex::new(waiting);
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
    thread::scope(|scope| {
        for _ in 0..cores() {
            let (tell, next, work) = (tell.clone(), &next, &work);
            scope.spawn(move || {
                while let Ok(job) = next() {
                    // Or who waits for it would wait for ever.
                    let outcome = catch_unwind(AssertUnwindSafe(|| work(job)));
                    if tell.send(outcome).is_err() {
                        return;
                    }
                }
            });
        }
        drop(tell);
        drive(&mut Pool { jobs, done, under_way: 0 })
    })
}

impl<J, R> Pool<J, R> {
    /// Gives out a job.
    pub(in crate::cli) fn give(&mut self, job: J) {
        // The workers are there for as long as this is.
        self.under_way += usize::from(self.jobs.send(job).is_ok());
    }

    /// What came of the next job that is done; `None` where none is under way. Panics where the
    /// job did.
    pub(in crate::cli) fn take(&mut self) -> Option<R> {
        let is_some = self.under_way > 0;
        let done = is_some.then(|| self.done.recv().ok()).flatten()?;
        self.under_way -= 1;
        Some(done.unwrap_or_else(|panic| resume_unwind(panic)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_job_is_done_once_whoever_does_it() {
        let squares = on_all_cores(
            |number: u64| number * number,
            |pool| {
                (1..=1_000).for_each(|number| pool.give(number));
                std::iter::from_fn(|| pool.take()).sum::<u64>()
            },
        );
        assert_eq!(squares, (1..=1_000_u64).map(|number| number * number).sum::<u64>());
    }

    #[test]
    #[should_panic(expected = "the third")]
    fn a_job_that_panics_is_not_waited_for() {
        let work = |number: u64| assert!(number != 3, "the third");
        on_all_cores(work, |pool| {
            (1..=10).for_each(|number| pool.give(number));
            while pool.take().is_some() {}
        });
    }
}
