//! Sessions after a crash: a seller's is built again from its records alone, as it starts; a buyer's
//! from its records and its file, when its command is typed again.

use crate::peer::{Core, Peer};
use crate::plant::{Plant, Rule};
use crate::setup::file;
use crate::teller::now;
use crate::world::{Event, World};
use sdpp::actors::interrupted;
use sdpp::actors::waiting::{Waiting, entries, ledger_of};
use sdpp::journal::PAGE_MAX;
use sdpp::record::Record;
use sdpp::session::{Buyer, Left, LeftChannel, Restart, Seller};
use sdpp::terms::{Purpose, SessionId};
use sdpp_ledger::{ChannelId, Digest, Escrow, Ledger, Reference};
use std::collections::BTreeMap;
use std::sync::Arc;
use zeroize::Zeroizing;

impl World {
    /// A session that waits for its buyer, or is ended where it cannot go on.
    pub fn rebuild(&mut self, session: SessionId) {
        if self.nodes[0].journal.is_none() {
            // It crashed once more over the one before.
            return;
        }
        let drawn = self.dice.bytes();
        let node = &self.nodes[0];
        let reader = node.reader();
        let entries = reader.session_entries(&session, 0, PAGE_MAX).unwrap();
        let records: Vec<Record> = entries.into_iter().map(|entry| entry.record).collect();
        let buyer = self.witness.buyer_of(&session).expect("its order is on record");
        let domains = node
            .tellers
            .iter()
            .map(|teller| (teller.id().clone(), Escrow::domain(teller.as_ref()).clone()));
        let restart = Restart {
            rereads: true,
            may_void: true,
            session_key: Zeroizing::new(drawn),
            domains: domains.collect(),
            standing: Some(reader.standing(&buyer).unwrap()),
        };
        match Seller::rebuilt(&self.offer, &records, restart, self.now_ms) {
            Ok(core) => self.take_up(session, core),
            Err(why) => {
                self.note(why.as_bytes());
                let ends = interrupted::end(&reader, &self.nodes[0].ledgers(), session).unwrap();
                drop(reader);
                self.commit(0, ends);
            }
        }
    }

    fn take_up(&mut self, session: SessionId, core: Seller) {
        self.went_on[0] += 1;
        let (awaited, channels) = (core.awaited(), core.channels());
        let peer = self.name();
        let mut one = Peer::new(0, Core::Seller(Box::new(core)), None);
        one.session = Some(session);
        self.peers.insert(peer, one);
        for (_, channel) in channels {
            self.nodes[0].memory.busy.insert(channel, peer);
        }
        self.tell_became(0, peer, awaited);
        self.drive(peer);
    }
}

impl World {
    /// A buyer's session is left for its command: nobody else draws on its channels meanwhile.
    pub fn leave_waiting(&mut self, node: usize, session: Waiting) {
        let peer = self.name();
        let memory = &mut self.nodes[node].memory;
        let held = session.channels.iter().map(|channel| (*channel, peer));
        memory.busy.extend(held);
        memory.waiting.push((peer, session));
    }

    /// The same command once more: whether a kill left something that it goes on with.
    pub fn goes_on(&mut self, errand: usize) -> bool {
        let node = self.errands[errand].node;
        let waiting = &mut self.nodes[node].memory.waiting;
        let its = Some(file(errand));
        let Some(at) = waiting.iter().position(|(_, session)| session.file == its) else {
            return false;
        };
        let (peer, session) = waiting.remove(at);
        let Some(channels) = self.channels_left(node, &session) else {
            // Its ledger does not answer: the command is typed once more.
            self.nodes[node].memory.waiting.push((peer, session));
            self.after(500, Event::Errand { errand, wish: None });
            return true;
        };
        let left = self.left(node, session.session, channels);
        let (wish, policy) = (self.wish(errand), self.setup.buyer_policy());
        let (key, nobodys) = (self.nodes[node].key.clone(), Digest(self.dice.bytes()));
        match Buyer::rebuilt(key, wish, policy, nobodys, &left, self.now_ms) {
            Ok(core) => self.go_on((node, errand), (peer, &session), core, &left),
            Err(why) => {
                let what = format!("{} does not go on: {why}", session.session);
                self.witness.blame(Rule::GoesOn, what);
            }
        }
        true
    }

    /// A session's channels as their ledgers have them; nothing where one does not answer.
    fn channels_left(
        &self,
        node: usize,
        session: &Waiting,
    ) -> Option<BTreeMap<ChannelId, LeftChannel>> {
        let (node, mut channels) = (&self.nodes[node], BTreeMap::new());
        let (reader, ledgers) = (node.reader(), Arc::new(node.ledgers()));
        for id in &session.channels {
            let ledger = ledger_of(&reader, &ledgers, id).unwrap();
            let teller = &node.tellers[node.ledger(&ledger)];
            let shown = now(teller.channel(id)).ok()?.expect("a session draws on what is there");
            let ceiling = reader.channel(id).unwrap().unwrap_or_default().ceiling;
            let domain = Escrow::domain(teller.as_ref()).clone();
            let (deposit, is_over) = (shown.deposit, shown.finalized);
            let ceiling = ceiling.unwrap_or_default();
            channels.insert(*id, LeftChannel { domain, deposit, ceiling, is_over });
        }
        Some(channels)
    }

    /// What the disk has of a session.
    fn left(
        &self,
        node: usize,
        session: SessionId,
        channels: BTreeMap<ChannelId, LeftChannel>,
    ) -> Left {
        let node = &self.nodes[node];
        let all = entries(&node.reader(), &session).unwrap().into_iter();
        let mut records: Vec<_> = all.map(|entry| (entry.at_ms, entry.record)).collect();
        let invoiced = Buyer::invoiced_by(records.iter().map(|(_, record)| record));
        let file = node.files.get(&session).map_or(&[][..], Vec::as_slice);
        let behind = file.iter().skip(usize::try_from(invoiced).unwrap());
        let mut items: Vec<_> = behind.map(|(_, item)| item.clone()).collect();
        match self.plant {
            Plant::ForgetFile => items.clear(),
            Plant::ForgetInvoices => {
                items = file.iter().map(|(_, item)| item.clone()).collect();
                let of = |record: &Record| {
                    matches!(record, Record::Invoice { .. } | Record::Payment { .. })
                };
                records.retain(|(_, record)| !of(record));
            }
            _ => {}
        }
        Left { records, items, keeps_all: true, channels }
    }

    fn go_on(
        &mut self,
        (node, errand): (usize, usize),
        (peer, waiting): (u64, &Waiting),
        core: Buyer,
        left: &Left,
    ) {
        self.went_on[1] += 1;
        let session = waiting.session;
        let mut one = Peer::new(node, Core::Buyer(Box::new(core)), None);
        (one.session, one.errand) = (Some(session), Some(errand));
        self.peers.insert(peer, one);
        let owed = left.records.iter().filter_map(|(_, record)| record.owed());
        let owed = owed.filter(|owed| owed.purpose == Purpose::Payment);
        let owed = owed.map(|owed| owed.reference).collect();
        self.tell_became(node, peer, owed);
        self.drive(peer);
    }
    /// Tells a core that was built again what became of what it owes.
    fn tell_became(&mut self, node: usize, peer: u64, owed: Vec<Reference>) {
        for reference in owed {
            let became = self.nodes[node].reader().became(&reference).unwrap();
            if let Some(kind) = became {
                let input = self.news(node, reference, kind);
                self.later(peer, input);
            }
        }
    }
}
