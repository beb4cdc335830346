//! A seller's sessions after a crash: each is built again from its records alone.

use crate::peer::{Core, Peer};
use crate::world::World;
use sdpp::actors::interrupted;
use sdpp::journal::{PAGE_MAX, obligation};
use sdpp::record::Record;
use sdpp::session::{Input, Restart, Seller};
use sdpp::terms::SessionId;
use sdpp_ledger::{Escrow, Ledger};
use zeroize::Zeroizing;

impl World {
    /// A session that waits for its buyer, or is ended where it cannot go on.
    pub fn rebuild(&mut self, session: SessionId) {
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
        let (awaited, channels) = (core.awaited(), core.channels());
        let peer = self.name();
        let mut one = Peer::new(0, Core::Seller(Box::new(core)), None);
        one.session = Some(session);
        self.peers.insert(peer, one);
        for (_, channel) in channels {
            self.nodes[0].memory.busy.insert(channel, peer);
        }
        for reference in awaited {
            let row = self.nodes[0].reader().obligation(&reference).unwrap();
            match row.map(|row| row.state) {
                Some(obligation::State::Met { evidence }) => {
                    self.later(peer, Input::Signed { reference, tx: evidence.tx.clone() });
                    self.later(peer, Input::Met { reference, tx: evidence.tx });
                }
                Some(obligation::State::Refused { why }) => {
                    self.later(peer, Input::Refused { reference, why });
                }
                _ => {}
            }
        }
        self.drive(peer);
    }
}
