//! Channels as the two shells see them: a buyer's takes or opens one, a seller's looks at one.

use crate::carry::best;
use crate::node::Want;
use crate::plant::Plant;
use crate::teller::now;
use crate::world::{Event, World};
use sdpp::journal::{Write, obligation};
use sdpp::record::{Act, Owed, Record};
use sdpp::session::{ChannelView, Input};
use sdpp::terms::{Purpose, Role, SessionId};
use sdpp_ledger::{
    Account, Amount, Call, Channel, ChannelId, Digest, Escrow, Ledger, Open, channel_id,
};

/// How often a seller's shell waits for a channel that serves another session.
const LOOKS: u32 = 5;

/// What a seller's core asked to be looked at.
#[derive(Clone)]
pub struct Ask {
    pub ledger: usize,
    pub channel: ChannelId,
    pub signer: Account,
}

/// How a channel is that a buyer's session waits for.
enum Stands {
    NotYet,
    OfNoUse(String),
    Ready { base: Amount, ceiling: Amount, deposit: Amount },
}

impl World {
    /// One look whether the channel stands that a session waits for; opens one where none fits.
    pub fn fund(&mut self, peer: u64) {
        let Some(node) = self.peers.get(&peer).map(|one| one.node) else { return };
        let Some(want) = self.nodes[node].memory.wants.get(&peer).cloned() else { return };
        let chosen = want.channel.or_else(|| self.candidate(node, &want));
        let Some(channel) = chosen else {
            self.open(node, peer, want);
            return self.after(100, Event::Fund { peer });
        };
        let memory = &mut self.nodes[node].memory;
        memory.busy.insert(channel, peer);
        match self.stands(node, &want, channel) {
            Stands::NotYet => {
                self.want(node, peer, |want| want.channel = Some(channel));
                self.after(100, Event::Fund { peer });
            }
            Stands::OfNoUse(why) => {
                self.nodes[node].memory.busy.remove(&channel);
                let opened_it = want.channel.is_some();
                self.want(node, peer, |want| {
                    want.channel = None;
                    want.passed.insert(channel);
                });
                match opened_it {
                    true => self.later(peer, Input::NotFunded { why, is_coming: false }),
                    false => self.after(0, Event::Fund { peer }),
                }
            }
            Stands::Ready { base, ceiling, deposit } => {
                self.nodes[node].memory.wants.remove(&peer);
                let domain = Escrow::domain(self.nodes[node].tellers[want.ledger].as_ref()).clone();
                self.later(peer, Input::Funded { channel, domain, base, ceiling, deposit });
            }
        }
    }

    fn want(&mut self, node: usize, peer: u64, change: impl FnOnce(&mut Want)) {
        if let Some(want) = self.nodes[node].memory.wants.get_mut(&peer) {
            change(want);
        }
    }

    /// A channel of ours that is free and was opened for this.
    fn candidate(&self, node: usize, want: &Want) -> Option<ChannelId> {
        let shares = self.plant == Plant::ShareChannels;
        let node = &self.nodes[node];
        let open = node.reader().open_channels(None, 100).unwrap();
        let fits = |channel: &ChannelId| {
            let is_free = shares || !node.memory.busy.contains_key(channel);
            is_free && !want.passed.contains(channel)
        };
        let mut fitting = open.into_iter().filter(|open| fits(&open.channel));
        let of_use = fitting.find(|open| {
            let is_ours = open.watched.side == Role::Buyer && open.watched.may_open();
            let row = open.watched.opening.and_then(|of| node.reader().obligation(&of).unwrap());
            let is_there =
                row.is_some_and(|row| row.owed.ledger == *node.tellers[want.ledger].id());
            is_ours && is_there
        });
        of_use.map(|open| open.channel)
    }

    fn stands(&self, node: usize, want: &Want, channel: ChannelId) -> Stands {
        let node = &self.nodes[node];
        let reader = node.reader();
        let watched = reader.watched(&channel).unwrap().expect("our journal has it");
        let opening = watched.opening.expect("we opened it");
        match reader.obligation(&opening).unwrap().expect("it is owed").state {
            obligation::State::Met { .. } => {}
            obligation::State::Refused { why } => return Stands::OfNoUse(why),
            _ => return Stands::NotYet,
        }
        let Ok(Some(shown)) = now(node.tellers[want.ledger].channel(&channel)) else {
            return Stands::NotYet;
        };
        let facts = reader.channel(&channel).unwrap().unwrap_or_default();
        let base = facts.spent.unwrap_or_default().max(shown.settled);
        let ceiling = facts.ceiling.unwrap_or_default().max(base);
        let Channel { deposit, finalized, .. } = shown;
        if finalized || deposit.saturating_sub(base) < want.least {
            return Stands::OfNoUse("it has too little room".to_owned());
        }
        Stands::Ready { base, ceiling, deposit }
    }

    fn open(&mut self, node: usize, peer: u64, want: Want) {
        let salt = Digest(self.dice.bytes());
        let teller = self.nodes[node].tellers[want.ledger].clone();
        let Want { payee, asset, ample, .. } = want;
        let domain = Escrow::domain(teller.as_ref());
        let channel = channel_id(domain, teller.account(), &payee, &asset, &salt, None);
        let reference = SessionId(Digest(channel.0)).reference(Purpose::Open, 0);
        let (ledger, deposit) = (teller.id().clone(), ample);
        let call = Call::Open(Open {
            payee: payee.clone(),
            asset: asset.clone(),
            deposit,
            salt,
            signer: None,
        });
        let owed =
            Owed { reference, purpose: Purpose::Open, ledger, act: Act::Do(call), held: false };
        let record = Box::new(Record::Funding { channel, payee, asset, owed });
        self.nodes[node].memory.busy.insert(channel, peer);
        self.want(node, peer, |want| want.channel = Some(channel));
        self.commit(node, vec![Write::Append { session: None, record }]);
    }

    /// A seller's shell looks at a channel, until the ledger shows it and it is free.
    pub fn look(&mut self, peer: u64, ask: Ask, times: u32) {
        if !self.peers.contains_key(&peer) || self.nodes[0].journal.is_none() {
            return;
        }
        let teller = self.nodes[0].tellers[ask.ledger].clone();
        let Ok(shown) = now(teller.channel(&ask.channel)) else {
            return self.after(100, Event::Look { peer, ask, times });
        };
        let holder = self.nodes[0].memory.busy.get(&ask.channel).copied();
        let shares = self.plant == Plant::ShareChannels;
        let holder = holder.filter(|holder| *holder != peer && !shares);
        if let Some(holder) = holder.filter(|_| times < LOOKS) {
            self.later(holder, Input::Superseded);
            return self.after(200, Event::Look { peer, ask, times: times + 1 });
        }
        let fits = shown.as_ref().is_some_and(|channel| channel.signer == ask.signer);
        let busy = fits && holder.is_some();
        if fits && !busy {
            self.nodes[0].memory.busy.insert(ask.channel, peer);
        }
        let reader = self.nodes[0].reader();
        let watched = reader.watched(&ask.channel).unwrap();
        let view = ChannelView {
            id: ask.channel,
            channel: shown,
            domain: Escrow::domain(teller.as_ref()).clone(),
            best: best(reader.channel(&ask.channel).unwrap()),
            busy,
            grace_ms: 15 * 60 * 1_000,
            lag_ms: 0,
            is_left: watched.is_some_and(|watched| watched.is_left || watched.is_over),
            is_unwatched: false,
            bond: None,
        };
        self.later(peer, Input::Channel(view));
    }
}
