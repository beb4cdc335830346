//! How long the other side of a connection may say nothing. Whoever is gone without a word, because its
//! machine or the line between died, is not waited for without an end: the connection counts as broken.

use super::{Core, Ctx, SessionActor, Side};
use crate::session::Input;
use actix::prelude::*;
use std::time::{Duration, Instant};

/// How long a peer may say nothing.
#[derive(Debug, Clone, Copy)]
pub struct SilenceMax {
    /// At first, until a whole message is there; no limit but the core's and the next where `None`.
    pub first: Option<Duration>,
    /// At any time.
    pub idle: Duration,
}

/// What was heard on a connection, and who looks for it.
#[derive(Debug)]
pub(super) struct Silence {
    max: SilenceMax,
    /// When the last message ended.
    heard: Instant,
    /// Looks whether anything was heard.
    watch: Option<SpawnHandle>,
    /// Ends the connection unless a message comes before.
    first: Option<SpawnHandle>,
}

impl Silence {
    /// Nothing is listened to yet.
    pub(super) fn new(max: SilenceMax) -> Self {
        Silence { max, heard: Instant::now(), watch: None, first: None }
    }
}

impl<S: Side> SessionActor<S> {
    /// The peer's first message on this connection is to come within so long.
    pub fn expect_word(&mut self, within: Duration, ctx: &mut Ctx<S>) {
        self.cancel_first(ctx);
        self.silence.first = Some(ctx.run_later(within, |actor, ctx| {
            actor.silence.first = None;
            actor.tell(Input::Hangup, ctx);
        }));
    }

    /// The session begins, and its peer is to say something.
    pub(super) fn expect_first_word(&mut self, ctx: &mut Ctx<S>) {
        if let Some(within) = self.silence.max.first {
            self.expect_word(within, ctx);
        }
    }

    /// A connection was taken.
    pub(super) fn watch_silence(&mut self, ctx: &mut Ctx<S>) {
        self.listen_again();
        self.look_in(self.silence.max.idle, ctx);
    }

    /// Nobody is listened to any more.
    pub(super) fn leave_silence(&mut self, ctx: &mut Ctx<S>) {
        if let Some(watch) = self.silence.watch.take() {
            ctx.cancel_future(watch);
        }
        self.cancel_first(ctx);
    }

    /// Bytes came. Those that make no message are no sign of life: somebody may hold a connection so.
    pub(super) fn heard(&mut self, bytes: &[u8], ctx: &mut Ctx<S>) {
        if bytes.contains(&b'\n') {
            self.silence.heard = Instant::now();
            self.cancel_first(ctx);
        }
    }

    /// While we did not read, nothing could be heard.
    pub(super) fn listen_again(&mut self) {
        self.silence.heard = Instant::now();
    }

    fn cancel_first(&mut self, ctx: &mut Ctx<S>) {
        if let Some(first) = self.silence.first.take() {
            ctx.cancel_future(first);
        }
    }

    fn look_in(&mut self, wait: Duration, ctx: &mut Ctx<S>) {
        self.silence.watch = Some(ctx.run_later(wait, |actor, ctx| {
            if actor.reading.is_none() {
                actor.listen_again();
            }
            let Silence { max, heard, .. } = actor.silence;
            let left = max.idle.saturating_sub(heard.elapsed());
            match left.is_zero() {
                true => actor.give_line_up(ctx),
                false => actor.look_in(left, ctx),
            }
        }));
    }

    /// A session that can go on over another connection waits for that one; any other ends.
    fn give_line_up(&mut self, ctx: &mut Ctx<S>) {
        self.silence.watch = None;
        let session = self.session.map(tracing::field::display);
        let idle_ms = self.silence.max.idle.as_millis();
        tracing::warn!(
            session,
            idle_ms,
            "nothing was heard from the peer for longer than idle_ms in [limits] allows: the \
             connection counts as broken"
        );
        self.tell(Input::Hangup, ctx);
        if self.core.is_away() {
            self.drop_line(ctx);
        }
    }
}
