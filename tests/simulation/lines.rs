//! What lines do: bytes arrive in pieces, lines are cut and made again.

use crate::peer::Line;
use crate::plant::Plant;
use crate::world::{Event, World};
use sdpp::session::Input;
use sdpp::terms::Role;

impl World {
    /// Bytes go on their way.
    pub fn send(&mut self, line: u64, from: Role, bytes: &[u8]) {
        let Some(way) = self.lines.get_mut(&line).filter(|line| !line.is_cut) else { return };
        way.way(from).bytes.extend(bytes);
        let wait_ms = 1 + self.dice.below(30);
        self.after(wait_ms, Event::Arrive { line, from });
    }

    /// Some of what is on its way arrives, or that no more will.
    pub fn arrive(&mut self, line: u64, from: Role) {
        let Some(way) = self.lines.get_mut(&line).map(|line| line.way(from)) else { return };
        let Some(reader) = way.reader else {
            way.bytes.clear();
            return;
        };
        if way.bytes.is_empty() {
            if way.is_over && !std::mem::replace(&mut way.is_told, true) {
                self.hang_up(line, from, reader);
            }
            return;
        }
        let len = way.bytes.len();
        let piece = if self.dice.one_in(2) { len } else { 1 + self.dice.place(len - 1) };
        let bytes: Vec<u8> = self
            .lines
            .get_mut(&line)
            .map_or_else(Vec::new, |line| line.way(from).bytes.drain(..piece).collect());
        let wait_ms = self.dice.below(20);
        self.after(wait_ms, Event::Arrive { line, from });
        self.tell(reader, Input::Read(&bytes));
    }

    fn hang_up(&mut self, line: u64, from: Role, reader: u64) {
        if let Some(peer) = self.peers.get_mut(&reader).filter(|peer| peer.line == Some(line)) {
            peer.line = None;
        }
        // Who reads nothing any more says nothing there, either.
        let back = if from == Role::Seller { Role::Buyer } else { Role::Seller };
        self.close(line, back);
        self.tell(reader, Input::Hangup);
    }

    /// One side writes nothing more; what it wrote still arrives.
    pub fn close(&mut self, line: u64, from: Role) {
        let Some(known) = self.lines.get_mut(&line) else { return };
        known.way(from).is_over = true;
        let wait_ms = self.dice.below(200);
        self.after(wait_ms, Event::Arrive { line, from });
    }

    /// A peer has no connection any more.
    pub fn drop_line(&mut self, peer: u64) {
        let Some(one) = self.peers.get_mut(&peer) else { return };
        let (role, line) = (one.core.role(), one.line.take());
        let Some(line) = line else { return };
        let theirs = if role == Role::Seller { Role::Buyer } else { Role::Seller };
        if let Some(known) = self.lines.get_mut(&line) {
            known.way(theirs).reader = None;
        }
        self.close(line, role);
    }

    /// Some line is cut, at any byte.
    pub fn cut(&mut self) {
        let open = |(id, line): (&u64, &Line)| (!line.is_cut).then_some(*id);
        let lines: Vec<u64> = self.lines.iter().filter_map(open).collect();
        // The last ones are those that somebody is on.
        let recent = &lines[lines.len().saturating_sub(3)..];
        if !recent.is_empty() {
            let line = recent[self.dice.place(recent.len() - 1)];
            self.note(b"cut");
            self.cuts += 1;
            self.cut_line(line);
        }
    }

    pub fn cut_line(&mut self, line: u64) {
        for from in [Role::Seller, Role::Buyer] {
            let Some(known) = self.lines.get_mut(&line) else { return };
            known.is_cut = true;
            let way = known.way(from);
            way.is_over = true;
            let len = way.bytes.len();
            let kept = self.dice.place(len);
            if let Some(known) = self.lines.get_mut(&line) {
                known.way(from).bytes.truncate(kept);
            }
            // It may be long before somebody hears of it.
            let at_most_ms = if self.dice.one_in(4) { 6_000 } else { 300 };
            let wait_ms = self.dice.below(at_most_ms);
            self.after(wait_ms, Event::Arrive { line, from });
        }
    }

    /// A buyer makes another connection for its session.
    pub fn dial(&mut self, peer: u64) {
        if !self.peers.contains_key(&peer) {
            return;
        }
        if self.nodes[0].journal.is_none() {
            let wait_ms = 100 + self.dice.below(400);
            return self.after(wait_ms, Event::Dial { peer });
        }
        let line = self.connect();
        let encryption = self.draw_key();
        let Some(one) = self.peers.get_mut(&peer) else { return };
        one.line = Some(line);
        if let Some(made) = self.lines.get_mut(&line) {
            made.way(Role::Seller).reader = Some(peer);
        }
        self.tell(peer, Input::Connected { encryption });
    }

    /// A session goes on over the line that another peer of the seller's has.
    pub fn hand_over(&mut self, door: u64, to: u64) {
        self.drop_line(to);
        let Some(from) = self.peers.remove(&door) else { return };
        let Some(one) = self.peers.get_mut(&to) else { return };
        (one.line, one.drawn) = (from.line, from.drawn);
        if self.plant == Plant::RewindSource {
            one.given = 0;
        }
        let known = from.line.and_then(|line| self.lines.get_mut(&line));
        known.into_iter().for_each(|known| known.way(Role::Buyer).reader = Some(to));
        if self.plant == Plant::ForgetDebtOnResume {
            self.forget_debts(to);
        }
        self.drive(to);
    }
}
