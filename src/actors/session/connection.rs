//! The connection that a session goes over: taken, read, dropped, and given to another session.

use super::{Ctx, SessionActor, Side};
use crate::actors::wire::{Line, Wire};
use crate::actors::writer::Writer;
use crate::session::Input;
use actix::prelude::*;
use std::io;
use tokio_util::bytes::Bytes;
use tokio_util::io::ReaderStream;

/// How much is read at once, in bytes.
pub(super) const READ_BYTES: usize = 64 * 1024;

/// After how much no more is read while records are on their way to the disk, in bytes: what it makes the
/// core want waits in memory. Up to 16 reads more come before actix stops reading.
pub(super) const AHEAD_BYTES_MAX: usize = 256 * 1024;

impl<S: Side> SessionActor<S> {
    /// From here on this connection carries the session, and no other.
    pub fn take_line(&mut self, wire: Wire, ctx: &mut Ctx<S>) {
        self.drop_line(ctx);
        let line = Line::new(wire);
        self.writer = Writer::start(line.clone());
        self.line = Some(line);
        self.read_on(ctx);
        self.watch_silence(ctx);
    }

    /// The line is read, from here on or again.
    pub(super) fn read_on(&mut self, ctx: &mut Ctx<S>) {
        self.ahead = 0;
        if let (Some(line), None) = (&self.line, &self.reading) {
            let read = ReaderStream::with_capacity(line.clone(), READ_BYTES);
            self.listen_again();
            self.reading = Some(ctx.add_stream(read));
        }
    }

    /// So much was read. While records are on their way to the disk there is an end to that.
    fn read_so_far(&mut self, bytes: usize, ctx: &mut Ctx<S>) {
        self.ahead += if self.is_writing { bytes } else { 0 };
        if self.ahead > AHEAD_BYTES_MAX
            && let Some(reading) = self.reading.take()
        {
            ctx.cancel_future(reading);
        }
    }

    /// The session has no connection any more: what still comes over it is nobody's.
    pub fn drop_line(&mut self, ctx: &mut Ctx<S>) {
        self.leave_silence(ctx);
        if let Some(reading) = self.reading.take() {
            ctx.cancel_future(reading);
        }
        std::mem::replace(&mut self.writer, Writer::idle()).abort();
        // actix polls a cancelled stream once more: the end of this connection is not that of the next.
        drop(self.line.take().and_then(|line| line.take()));
    }

    /// The connection is about to be another session's: nothing is read from it here any more, nor
    /// written.
    pub fn hand_over(&mut self, ctx: &mut Ctx<S>) -> Option<Wire> {
        let wire = self.line.as_ref().and_then(Line::take);
        self.drop_line(ctx);
        wire
    }

    /// The connection is another session's: this actor ends without a word.
    pub fn release(&mut self, ctx: &mut Ctx<S>) -> Option<S> {
        ctx.stop();
        self.side.take()
    }
}

impl<S: Side> StreamHandler<io::Result<Bytes>> for SessionActor<S> {
    fn handle(&mut self, read: io::Result<Bytes>, ctx: &mut Ctx<S>) {
        match read {
            Ok(bytes) => {
                self.heard(&bytes, ctx);
                self.tell(Input::Read(&bytes), ctx);
                self.read_so_far(bytes.len(), ctx);
            }
            Err(_) => self.tell(Input::Hangup, ctx),
        }
    }

    fn finished(&mut self, ctx: &mut Ctx<S>) {
        self.tell(Input::Hangup, ctx);
    }
}
