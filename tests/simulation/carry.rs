//! The shell of a core, as the program's own: what the core wants is done in order, and nothing leaves
//! before the records in front of it are durable. A node may crash before and after each thing.

use crate::funding::Ask;
use crate::node::Want;
use crate::peer::{Core, Outcome};
use crate::plant::{Plant, Rule};
use crate::witness::Sent;
use crate::world::{Event, World};
use sdpp::door::Debtors;
use sdpp::journal::{NewsKind, Write, Written};
use sdpp::message::Voucher;
use sdpp::record::{Act, End, Record, SignedMessage};
use sdpp::session::{Input, NotResumed, Output};
use sdpp::standing::Standing;
use sdpp::terms::{Role, SessionId};
use sdpp_ledger::{Amount, Ledger, PublicKey, Reference};
use std::collections::BTreeSet;

impl World {
    /// Does what a core wants, in order, until records are on their way to the disk.
    pub fn drive(&mut self, peer: u64) {
        let mut records = Vec::new();
        while let Some(one) = self.peers.get_mut(&peer).filter(|one| !one.is_writing) {
            let node = one.node;
            let is_early = self.plant == Plant::SendBeforeRecord;
            let may_go = match one.core.peek() {
                Some(Output::Record { .. }) => true,
                next => records.is_empty() || is_early && matches!(next, Some(Output::Send(_))),
            };
            if !may_go {
                self.pull(peer, &mut records);
                if !self.write(peer, &mut records) {
                    return;
                }
                self.wait_for_disk(peer);
                continue;
            }
            let Some(output) = one.core.poll() else { break };
            match output {
                Output::Record { session, record } => {
                    self.take_note(peer, session, record, &mut records);
                }
                Output::Send(bytes) if is_early => self.leave(peer, &bytes),
                output => {
                    if self.burns(node) {
                        return;
                    }
                    self.carry_out(peer, output);
                }
            }
        }
        self.idle(peer);
    }

    fn take_note(
        &mut self,
        peer: u64,
        session: SessionId,
        record: Box<Record>,
        records: &mut Vec<(SessionId, Box<Record>)>,
    ) {
        let Some(one) = self.peers.get_mut(&peer) else { return };
        one.session = Some(session);
        let (node, beside) = (one.node, one.beside(&record));
        if matches!(*record, Record::Invoice { .. }) {
            self.keep_all(node);
        }
        records.push((session, record));
        records.extend(beside.map(|record| (session, record)));
    }

    /// Some records behind bytes go with those in front of these. What says that items have come, or counts
    /// them, waits until they are kept.
    fn pull(&mut self, peer: u64, records: &mut Vec<(SessionId, Box<Record>)>) {
        while self.dice.one_in(2)
            && let Some(one) = self.peers.get_mut(&peer)
            && self.nodes[one.node].memory.unkept.is_empty()
            && let Some(Output::Record { session, record }) = one.core.poll_record()
        {
            self.take_note(peer, session, record, records);
        }
    }

    /// The disk answers at once, or after a while in which the core hears more.
    fn wait_for_disk(&mut self, peer: u64) {
        if self.dice.one_in(3)
            && let Some(one) = self.peers.get_mut(&peer)
        {
            one.is_writing = true;
            let wait_ms = self.dice.below(80);
            self.after(wait_ms, Event::Written { peer });
        }
    }

    /// The records that a core waits for are durable.
    pub fn disk_answers(&mut self, peer: u64) {
        if let Some(one) = self.peers.get_mut(&peer)
            && std::mem::take(&mut one.is_writing)
        {
            self.drive(peer);
        }
    }

    /// Whether the node crashes here.
    pub fn burns(&mut self, node: usize) -> bool {
        let Some(left) = self.nodes[node].fuse.as_mut() else { return false };
        if *left > 0 {
            *left -= 1;
            return false;
        }
        self.crash(node);
        true
    }

    /// Makes records durable; false where the node is down then.
    fn write(&mut self, peer: u64, records: &mut Vec<(SessionId, Box<Record>)>) -> bool {
        let Some(one) = self.peers.get(&peer) else { return false };
        let node = one.node;
        let records = std::mem::take(records);
        if records.is_empty() {
            return true;
        }
        if self.burns(node) {
            return false;
        }
        for (session, record) in &records {
            if matches!(**record, Record::Order { .. }) && self.witness.barred.contains(&peer) {
                let what = format!("{session} serves who owes for a window or more");
                self.witness.blame(Rule::WithinCredit, what);
            }
            self.note_last_words(node, *session, record);
        }
        let is_kept = |record: &Record| match record {
            Record::Epoch { .. } => self.plant != Plant::EpochInMemory,
            Record::Ceiling { .. } => self.plant != Plant::CeilingInMemory,
            _ => true,
        };
        let kept = records.into_iter().filter(|(_, record)| is_kept(record));
        let writes = kept.map(|(session, record)| Write::Append { session: Some(session), record });
        self.commit(node, writes.collect());
        !self.burns(node)
    }

    fn note_last_words(&mut self, node: usize, session: SessionId, record: &Record) {
        let Record::Exit { by: Role::Seller, message, .. } = record else { return };
        let Some(buyer) = self.witness.buyer_of(&session) else { return };
        self.nodes[node].memory.last_words.insert(session, (buyer, message.clone()));
    }

    /// Commits, and tells whoever wants to know what came of it.
    pub fn commit(&mut self, node: usize, writes: Vec<Write>) {
        if writes.is_empty() {
            return;
        }
        let (now_ms, role) = (self.now_ms, self.nodes[node].role);
        let Some(journal) = self.nodes[node].journal.as_mut() else { return };
        let answers = journal.commit(now_ms, writes.clone()).unwrap();
        for (write, answer) in writes.iter().zip(answers) {
            match answer {
                Ok(written) => {
                    self.learn(role, write);
                    self.spread(node, &written);
                }
                Err(error) => {
                    let what = format!("{role}: {error}: {write:?}");
                    self.witness.blame(Rule::JournalTakes, what);
                }
            }
        }
    }

    /// What is durable now is seen by whoever checks.
    fn learn(&mut self, role: Role, write: &Write) {
        let Write::Append { session: Some(session), record } = write else { return };
        let text = format!("{role} {session} {record:?}");
        self.note(text.as_bytes());
        self.witness.durable(*session, role, record);
    }

    /// News of what is owed goes to the sessions that owe it.
    fn spread(&mut self, node: usize, written: &Written) {
        for news in &written.news {
            let (reference, kind) = (news.reference, news.kind.clone());
            let of = |peer: &&crate::peer::Peer| peer.node == node && peer.session == news.session;
            let known = self.peers.iter().find(|(_, peer)| peer.session.is_some() && of(peer));
            let Some(peer) = known.map(|(id, _)| *id) else { continue };
            let input = self.news(node, reference, kind);
            self.after(0, Event::Tell { peer, input: Box::new(input) });
        }
        for id in &written.ledgers {
            let ledger = self.nodes[node].ledger(id);
            self.wake(node, ledger, 1);
        }
    }

    pub fn news(&self, node: usize, reference: Reference, kind: NewsKind) -> Input<'static> {
        match kind {
            NewsKind::Signed(tx) => Input::Signed { reference, tx },
            NewsKind::Included { blocks } => Input::Included { reference, blocks },
            NewsKind::Met(evidence) => Input::Met { reference, tx: evidence.tx },
            NewsKind::Refused(why) => {
                let row = self.nodes[node].reader().obligation(&reference).unwrap();
                match row.map(|row| row.owed.act) {
                    Some(Act::Check(claim)) if self.plant == Plant::CountRefusedAsPaid => {
                        Input::Met { reference, tx: claim.tx }
                    }
                    _ => Input::Refused { reference, why },
                }
            }
        }
    }

    /// A planted fault: all that is claimed and not known to be paid is taken to be paid.
    pub fn forget_debts(&mut self, peer: u64) {
        let Some(one) = self.peers.get(&peer) else { return };
        let (node, session) = (one.node, one.session);
        let rows = self.nodes[node].reader().obligations(None, 1_000).unwrap();
        for row in rows.into_iter().filter(|row| row.session == session) {
            if let Act::Check(claim) = row.owed.act {
                let input = Input::Met { reference: row.owed.reference, tx: claim.tx };
                self.after(0, Event::Tell { peer, input: Box::new(input) });
            }
        }
    }

    /// Bytes leave.
    fn leave(&mut self, peer: u64, bytes: &[u8]) {
        self.note(bytes);
        let Some(one) = self.peers.get(&peer) else { return };
        let (role, session, drawn, line) = (one.core.role(), one.session, one.drawn, one.line);
        let node = one.node;
        if self.plant != Plant::AckBeforeKept {
            self.keep_all(node);
        }
        if let Some(session) = session {
            let sent = Sent { session, role, drawn, bytes };
            self.witness.sent(&sent, &self.nodes, &self.chains);
        }
        line.into_iter().for_each(|line| self.send(line, role, bytes));
    }

    fn carry_out(&mut self, peer: u64, output: Output) {
        match output {
            Output::Send(bytes) => self.leave(peer, &bytes),
            Output::Close { end, why, progress, again } => {
                self.close_peer(peer, (end, why, progress), again);
            }
            Output::Deliver { seq, item } => self.keep(peer, seq, item),
            Output::Admit { buyer } => self.admit(peer, &buyer),
            Output::Look { ledger, channel, signer, .. } => {
                let ledger = self.nodes[0].ledger(&ledger);
                self.look(peer, Ask { ledger, channel, signer }, 0);
            }
            Output::Credit { .. } => self.later(peer, Input::Credit(Ok(()))),
            Output::Quote => {
                let offer = Some(self.offer.clone());
                self.later(peer, Input::Offer(offer));
            }
            Output::Resume { session } => self.resume(peer, session),
            Output::Rewind { skip } => {
                let one = self.peers.get_mut(&peer);
                one.into_iter().for_each(|one| one.given = skip);
            }
            Output::Redial => {
                self.drop_line(peer);
                let wait_ms = 50 + self.dice.below(1_000);
                self.after(wait_ms, Event::Dial { peer });
            }
            Output::Afford { ledger, asset, amount } => {
                let Some(one) = self.peers.get(&peer) else { return };
                let node = &self.nodes[one.node];
                let teller = &node.tellers[node.ledger(&ledger)];
                let has = teller.chain().settled().balance(teller.account(), &asset);
                self.later(
                    peer,
                    match amount.units() <= has {
                        true => Input::Afforded,
                        false => {
                            Input::NotFunded { why: "too little".to_owned(), is_coming: false }
                        }
                    },
                );
            }
            Output::Fund { least, ample, ledger, payee, asset, .. } => {
                let Some(one) = self.peers.get(&peer) else { return };
                let node = one.node;
                let (ledger, passed) = (self.nodes[node].ledger(&ledger), BTreeSet::new());
                let want = Want { ledger, least, ample, payee, asset, channel: None, passed };
                self.nodes[node].memory.wants.insert(peer, want);
                self.after(0, Event::Fund { peer });
            }
            Output::TopUp { channel, .. } => {
                let why = "nobody tops up here".to_owned();
                self.later(peer, Input::NotToppedUp { channel, why });
            }
            Output::Record { .. }
            | Output::Paying(_)
            | Output::Join { .. }
            | Output::Unfunded { .. } => {}
        }
    }

    pub fn later(&mut self, peer: u64, input: Input<'static>) {
        self.after(0, Event::Tell { peer, input: Box::new(input) });
    }

    /// An item is on its way to the buyer's file, and in it before anything says that it came.
    fn keep(&mut self, peer: u64, seq: u64, item: Vec<u8>) {
        let Some(one) = self.peers.get(&peer) else { return };
        let memory = &mut self.nodes[one.node].memory;
        memory.unkept.extend(one.session.map(|session| (session, seq, item)));
    }

    /// What was on its way to a buyer's files is in them.
    fn keep_all(&mut self, node: usize) {
        let node = &mut self.nodes[node];
        for (session, seq, item) in std::mem::take(&mut node.memory.unkept) {
            node.files.entry(session).or_default().push((seq, item));
        }
    }

    fn admit(&mut self, peer: u64, buyer: &PublicKey) {
        let known = self.nodes[0].reader().standing(buyer).unwrap();
        let window = u128::from(self.setup.menu.payment_granularity) * 4;
        if self.setup.door.debtors == Debtors::Refuse && known.is_debtor(Amount::new(window)) {
            self.witness.barred.insert(peer);
        }
        let forgets = self.plant == Plant::ForgetDebtors;
        let standing = if forgets { Standing::default() } else { known };
        self.later(peer, Input::Admitted(Ok(standing)));
    }

    /// A connection brings a buyer back to its session.
    fn resume(&mut self, door: u64, session: SessionId) {
        let now_ms = self.now_ms;
        let is_its = |peer: &crate::peer::Peer| peer.node == 0 && peer.session == Some(session);
        let of = self.peers.iter().find(|(_, peer)| is_its(peer)).map(|(id, _)| *id);
        // A session takes a connection when nothing of it is on its way to the disk.
        while let Some(of) = of
            && self.peers.get(&of).is_some_and(|one| one.is_writing)
        {
            self.disk_answers(of);
        }
        let claim = match self.peers.get(&door).map(|one| &one.core) {
            Some(Core::Seller(seller)) => seller.claim().cloned(),
            _ => None,
        };
        let known = of.and_then(|of| self.peers.get_mut(&of)).and_then(|one| one.seller());
        match (known, claim, of) {
            (Some(seller), Some(claim), Some(of)) => match seller.resume(&claim, now_ms) {
                Ok(()) => self.hand_over(door, of),
                Err(why) => self.later(door, Input::NotResumed(why)),
            },
            _ => {
                let parted = self.nodes[0].memory.last_words.get(&session).cloned();
                self.later(door, parted.map_or(Input::NotResumed(NotResumed::unknown()), over));
            }
        }
    }

    /// A session is over on one side.
    fn close_peer(
        &mut self,
        peer: u64,
        (end, why, progress): (End, String, sdpp::session::Progress),
        again: Option<Box<sdpp::session::Wish>>,
    ) {
        self.drop_line(peer);
        let Some(one) = self.peers.remove(&peer) else { return };
        let memory = &mut self.nodes[one.node].memory;
        memory.busy.retain(|_, by| *by != peer);
        memory.wants.remove(&peer);
        let (session, role) = (one.session, one.core.role());
        self.note(format!("{role} {end:?} {why}").as_bytes());
        self.outcomes.push(Outcome { session, role, end, why, progress });
        let Some(errand) = one.errand else { return };
        if end == End::Complete {
            self.errands[errand].is_over = true;
        } else {
            let wait_ms = 100 + self.dice.below(1_000);
            self.after(wait_ms, Event::Errand { errand, wish: again });
        }
    }

    /// All that a core wanted is done for now, or waits for the disk.
    fn idle(&mut self, peer: u64) {
        let Some(one) = self.peers.get_mut(&peer) else { return };
        let (node, is_writing) = (one.node, one.is_writing);
        let wants = one.seller().map_or(0, |seller| seller.wants());
        let is_fed = wants == 0 || std::mem::replace(&mut one.is_fed, true);
        let wakes_ms = one.core.poll_timeout();
        let is_new = wakes_ms.is_some() && wakes_ms != one.timer_ms;
        if wakes_ms != one.timer_ms {
            one.timer_ms = wakes_ms;
        }
        if let (true, Some(at_ms)) = (is_new, wakes_ms) {
            let wait_ms = at_ms.saturating_sub(self.now_ms);
            self.after(wait_ms, Event::Timer { peer, at_ms });
        }
        if !is_fed {
            let wait_ms = self.dice.below(60);
            self.after(wait_ms, Event::Feed { peer });
        }
        if !is_writing {
            self.keep_all(node);
        }
    }
}

fn over((buyer, exit): (PublicKey, SignedMessage)) -> Input<'static> {
    Input::Parted { buyer, exit: Box::new(exit) }
}

/// The best voucher that a journal has.
pub fn best(known: Option<sdpp::journal::Channel>) -> Option<Box<Voucher>> {
    let (cumulative_amount, signature) = known?.voucher?;
    Some(Box::new(Voucher { cumulative_amount, signature }))
}
