//! What a session wants done, on its way out.

use super::Output;
use super::line::Line;
use crate::record::Record;
use crate::terms::SessionId;
use std::collections::VecDeque;

/// Outputs on their way out. Bytes that follow one another leave as one.
#[derive(Debug)]
pub(super) struct Outputs {
    pub(super) session: SessionId,
    pub(super) queue: VecDeque<Output>,
    /// The line, of a session that outlives its connections.
    pub(super) line: Option<Box<Line>>,
}

impl Outputs {
    pub(super) fn new() -> Self {
        Outputs { session: SessionId::NONE, queue: VecDeque::new(), line: None }
    }

    /// From here on records belong to this session.
    pub(super) fn begin(&mut self, session: SessionId) {
        self.session = session;
    }

    pub(super) fn record(&mut self, record: Record) {
        let (session, record) = (self.session, Box::new(record));
        self.queue.push_back(Output::Record { session, record });
    }

    /// A paper leaves: it is said again until it was heard.
    pub(super) fn send(&mut self, frame: Vec<u8>) {
        if let Some(line) = &mut self.line {
            line.keep_paper(frame.clone());
        }
        if !self.holds_papers() {
            self.leave(frame);
        }
    }

    /// What is not said again leaves, while there is a connection.
    pub(super) fn leave(&mut self, frame: Vec<u8>) {
        if self.cut_until_ms().is_none() {
            self.leave_now(frame);
        }
    }

    /// The same, over a connection that the session does not go on over yet.
    pub(super) fn leave_now(&mut self, frame: Vec<u8>) {
        match self.queue.back_mut() {
            Some(Output::Send(bytes)) => bytes.extend_from_slice(&frame),
            _ => self.queue.push_back(Output::Send(frame)),
        }
    }

    pub(super) fn push(&mut self, output: Output) {
        self.queue.push_back(output);
    }

    pub(super) fn extend(&mut self, output: Option<Output>) {
        self.queue.extend(output);
    }

    pub(super) fn extend_records(&mut self, records: impl IntoIterator<Item = Record>) {
        records.into_iter().for_each(|record| self.record(record));
    }

    pub(super) fn peek(&self) -> Option<&Output> {
        self.queue.front()
    }

    /// The next record, where nothing but bytes that are to leave stand before it, and these and it may go. A
    /// session's end overtakes nothing: its last words can be asked for until it is written.
    pub(super) fn pop_record(&mut self, may_go: &dyn Fn(&Output) -> bool) -> Option<Output> {
        let is_bytes = |output: &&Output| matches!(output, Output::Send(_));
        let at = self.queue.iter().take_while(is_bytes).count();
        let Output::Record { record, .. } = self.queue.get(at)? else { return None };
        if at > 0 && matches!(**record, Record::Ended { .. }) {
            return None;
        }
        self.queue.iter().take(at + 1).all(may_go).then(|| self.queue.remove(at)).flatten()
    }

    /// The source is to be opened anew: what comes from it before that is for nobody.
    pub(super) fn has_rewind(&self) -> bool {
        self.queue.iter().any(|output| matches!(output, Output::Rewind { .. }))
    }

    pub(super) fn pop(&mut self) -> Option<Output> {
        self.queue.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::End;

    #[test]
    fn the_end_of_a_session_overtakes_no_last_word() {
        let mut out = Outputs::new();
        let (end, why) = (End::Complete, String::new());
        out.leave(vec![1]);
        out.record(Record::Ended { end, why, evidence: Vec::new(), owed: None });
        assert!(out.pop_record(&|_| true).is_none());
        assert!(matches!(out.pop(), Some(Output::Send(_))));
        assert!(out.pop_record(&|_| true).is_some());
    }

    #[test]
    fn a_record_overtakes_bytes_and_nothing_else() {
        let mut out = Outputs::new();
        let is_record = |output: &Output| matches!(output, Output::Record { .. });
        out.leave(vec![1]);
        out.record(Record::Reserved { to_seq: 1 });
        out.leave(vec![2]);
        out.push(Output::Deliver { seq: 1, item: Vec::new() });
        out.record(Record::Reserved { to_seq: 2 });
        assert!(out.pop_record(&|output| !is_record(output)).is_none(), "it may not go");
        assert!(out.pop_record(&is_record).is_none(), "what stands before it waits");
        assert!(out.pop_record(&|_| true).as_ref().is_some_and(is_record));
        assert!(out.pop_record(&|_| true).is_none(), "an item that was delivered stands before it");
        assert!(matches!(out.peek(), Some(Output::Send(bytes)) if *bytes == [1]));
        assert!(matches!(out.pop(), Some(Output::Send(bytes)) if bytes == [1]));
        assert!(matches!(out.pop(), Some(Output::Send(bytes)) if bytes == [2]));
        assert!(matches!(out.pop(), Some(Output::Deliver { .. })));
        assert!(out.pop_record(&|_| true).is_some());
    }
}
