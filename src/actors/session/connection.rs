//! The connection that a session goes over: taken, read, dropped, and given to another session.

use super::{Ctx, SessionActor, Side};
use crate::actors::wire::Wire;
use crate::actors::writer::Writer;
use crate::session::Input;
use actix::prelude::*;
use std::io;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::tcp::OwnedWriteHalf;
use tokio_util::bytes::Bytes;
use tokio_util::io::ReaderStream;

/// How much is read at once, in bytes.
const READ_BYTES: usize = 64 * 1024;

impl<S: Side> SessionActor<S> {
    /// From here on this connection carries the session, and no other.
    pub fn take_line(&mut self, wire: Wire, ctx: &mut Ctx<S>) {
        self.drop_line(ctx);
        match wire {
            Wire::Plain(stream) => self.carry(stream.into_split(), OwnedWriteHalf::forget, ctx),
            Wire::Tls(stream) => self.carry(tokio::io::split(*stream), drop, ctx),
        }
        self.watch_silence(ctx);
    }

    fn carry<R, W>(&mut self, (reader, writer): (R, W), leave: fn(W), ctx: &mut Ctx<S>)
    where
        R: AsyncRead + 'static,
        W: AsyncWrite + Unpin + 'static,
    {
        self.reading = Some(ctx.add_stream(ReaderStream::with_capacity(reader, READ_BYTES)));
        self.writer = Writer::start(writer, leave);
    }

    /// The session has no connection any more: what still comes over it is nobody's.
    pub fn drop_line(&mut self, ctx: &mut Ctx<S>) {
        self.stop_reading(ctx);
        std::mem::replace(&mut self.writer, Writer::idle()).abort();
    }

    /// The connection is about to be another session's, which gets this handle of it: nothing is read
    /// from it here any more.
    pub fn hand_over(&mut self, ctx: &mut Ctx<S>) -> Option<std::net::TcpStream> {
        self.stop_reading(ctx);
        self.spare.take()
    }

    /// The connection is another session's: this actor ends without a word, and leaves it open.
    pub fn release(&mut self, ctx: &mut Ctx<S>) -> Option<S> {
        self.writer.leave_open();
        ctx.stop();
        self.side.take()
    }

    fn stop_reading(&mut self, ctx: &mut Ctx<S>) {
        self.leave_silence(ctx);
        if let Some(reading) = self.reading.take() {
            ctx.cancel_future(reading);
        }
    }
}

impl<S: Side> StreamHandler<io::Result<Bytes>> for SessionActor<S> {
    fn handle(&mut self, read: io::Result<Bytes>, ctx: &mut Ctx<S>) {
        match read {
            Ok(bytes) => {
                self.heard(&bytes, ctx);
                self.tell(Input::Read(&bytes), ctx);
            }
            Err(_) => self.tell(Input::Hangup, ctx),
        }
    }

    fn finished(&mut self, ctx: &mut Ctx<S>) {
        self.tell(Input::Hangup, ctx);
    }
}
