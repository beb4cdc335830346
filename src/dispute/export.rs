//! From a journal's entries to a bundle: what counts of one session, as it was signed.
//!
//! Salts are derived where an item is disclosed; no secret of the session goes in.

use super::bundle::{
    Body, Bundle, ChannelWord, Disclosed, HeldVoucher, ItemProof, LedgerAct, LedgerWords, Said,
};
use crate::crypto::layout::MessageKind;
use crate::crypto::leaf;
use crate::journal::Entry;
use crate::message::{Amend, Base64, Change, Moment, Order, PaymentAck, reread};
use crate::record::{Act, Leaves, Owed, Record, SignedMessage, Stray};
use crate::terms::{InEscrow, Role, SessionId};
use sdpp_ledger::{
    Amount, Anchor, Call, ChannelId, Digest, Evidence, Key, Reference, TxId, merkle,
};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// An item that its owner wants to disclose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disclosure {
    /// Its place in the session, from 1.
    pub seq: u64,
    /// Its bytes.
    pub item: Vec<u8>,
    /// Its salt; see [`crate::crypto::salt`].
    pub salt: Digest,
}

/// Why nothing can be exported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExportError {
    /// The entries have no order of this session.
    #[error("the journal has no order of session {0}")]
    NoSession(SessionId),
    /// The item was not invoiced, or what proves it is not kept.
    #[error(
        "item {0} cannot be proven: it was not invoiced, its window is too large, or what proves \
         it was pruned"
    )]
    Unproven(u64),
    /// The item given is not the one that was sold.
    #[error("what was given as item {0} is not what was sold as item {0}")]
    OtherItem(u64),
}

/// The evidence of a session, out of its journal's entries in their order.
///
/// # Errors
/// [`ExportError`].
pub fn export<'a>(
    entries: impl IntoIterator<Item = &'a Entry>,
    session: SessionId,
    key: &Key,
    exported_at: Moment,
    disclosures: &[Disclosure],
) -> Result<Bundle, ExportError> {
    let mut gather = Gather::new(session);
    entries.into_iter().for_each(|entry| gather.take(entry));
    gather.finish(key, exported_at, disclosures)
}

/// Gathers one session's evidence, entry by entry.
pub struct Gather {
    session: SessionId,
    ground: Option<(Role, SignedMessage, SignedMessage)>,
    /// Of its legs, in their order.
    channels: Vec<ChannelId>,
    messages: Vec<SignedMessage>,
    /// The digests that were signed for each seq.
    digests: BTreeMap<u64, BTreeSet<Digest>>,
    /// The best on each channel.
    vouchers: Vec<HeldVoucher>,
    /// Of each window: its number, its first seq, its leaves.
    windows: Vec<(u64, u64, Leaves)>,
    strays: Vec<Stray>,
    acts: Vec<LedgerAct>,
    places: HashMap<Reference, usize>,
    changes: Vec<ChannelWord>,
}

impl Gather {
    /// Of this session.
    pub fn new(session: SessionId) -> Gather {
        Gather {
            session,
            ground: None,
            channels: Vec::new(),
            messages: Vec::new(),
            digests: BTreeMap::new(),
            vouchers: Vec::new(),
            windows: Vec::new(),
            strays: Vec::new(),
            acts: Vec::new(),
            places: HashMap::new(),
            changes: Vec::new(),
        }
    }

    /// Takes the journal's next entry, whichever session it belongs to.
    pub fn take(&mut self, entry: &Entry) {
        let is_ours = entry.session == Some(self.session);
        let is_channels = match &entry.record {
            Record::Redeeming { channel, .. } => self.channels.contains(channel),
            _ => false,
        };
        if let Some(owed) = entry.record.owed().filter(|_| is_ours || is_channels) {
            self.owe(owed);
        }
        match &entry.record {
            Record::Met { reference, evidence, proof } => {
                self.met(reference, evidence, proof.as_ref());
            }
            Record::Refused { reference, why } => {
                let said = Said::Refused { why: why.clone() };
                self.act(reference).into_iter().for_each(|act| act.said = said.clone());
            }
            Record::ChannelChange { ledger, change } if self.channels.contains(&change.channel) => {
                let (ledger, change) = (ledger.clone(), change.clone());
                self.changes.push(ChannelWord { ledger, change });
            }
            record if is_ours => self.record(record),
            _ => {}
        }
    }

    /// The bundle, signed by the journal's owner.
    ///
    /// # Errors
    /// [`ExportError`].
    pub fn finish(
        self,
        key: &Key,
        exported_at: Moment,
        disclosures: &[Disclosure],
    ) -> Result<Bundle, ExportError> {
        Ok(Bundle::sign(self.body(exported_at, disclosures)?, key))
    }

    /// The same, not signed: for the journal's owner alone.
    ///
    /// # Errors
    /// [`ExportError`].
    pub fn body(
        mut self,
        exported_at: Moment,
        disclosures: &[Disclosure],
    ) -> Result<Body, ExportError> {
        let ground = self.ground.take().ok_or(ExportError::NoSession(self.session))?;
        let (role, menu, order) = ground;
        let proofs = self.proofs(disclosures)?;
        self.keep_what_counts();
        if self.channels.len() < 2 {
            self.acts.iter_mut().for_each(|act| act.channel = None);
        }
        let mut vouchers = self.vouchers.into_iter();
        let voucher = vouchers.next();
        let ledgers = LedgerWords { word_of: role, acts: self.acts, channel: self.changes };
        Ok(Body {
            session: self.session,
            role,
            exported_at,
            menu,
            order,
            messages: self.messages,
            voucher,
            more_vouchers: vouchers.collect(),
            proofs,
            strays: self.strays,
            ledgers,
        })
    }

    fn record(&mut self, record: &Record) {
        match record {
            Record::Order { role, menu, order, .. } => {
                let body = reread::<Order>(order).ok();
                let escrow = body.and_then(|order| order.escrow);
                self.channels.extend(escrow.map(|escrow| escrow.channel));
                self.ground = Some((*role, (**menu).clone(), (**order).clone()));
            }
            Record::Invoice { message, from_seq, leaves, .. } => {
                self.messages.push(message.clone());
                self.windows.push((message.number, *from_seq, leaves.clone()));
            }
            Record::Payment { message, .. } => {
                if let Ok(PaymentAck { ack, .. }) = reread(message) {
                    self.digests.entry(ack.seq).or_default().insert(ack.digest);
                }
                self.messages.push(message.clone());
            }
            Record::Ack { message } => {
                self.digests.entry(message.number).or_default().insert(message.commitment);
                self.messages.push(message.clone());
            }
            Record::Amend { message, .. } => {
                self.turn(message);
                self.messages.push(message.clone());
            }
            Record::Exit { message, .. } => self.messages.push(message.clone()),
            Record::Stray(stray) => self.strays.push(stray.clone()),
            Record::Ended { evidence, .. } => {
                for message in evidence.iter().filter(|m| m.kind == MessageKind::Ack) {
                    self.digests.entry(message.number).or_default().insert(message.commitment);
                }
                self.messages.extend(evidence.iter().cloned());
            }
            Record::Voucher { channel, domain, amount, signature } => {
                let (channel, domain) = (*channel, domain.clone());
                let (amount, signature) = (*amount, *signature);
                self.hold(HeldVoucher { channel, domain, amount, signature });
            }
            _ => {}
        }
    }

    fn hold(&mut self, voucher: HeldVoucher) {
        match self.vouchers.iter_mut().find(|best| best.channel == voucher.channel) {
            Some(best) if best.amount < voucher.amount => *best = voucher,
            Some(_) => {}
            None => self.vouchers.push(voucher),
        }
    }

    /// A leg may draw on a channel of its own.
    fn turn(&mut self, message: &SignedMessage) {
        let body = message.changes_terms().then(|| reread::<Amend>(message).ok()).flatten();
        if let Some(Amend { change: Change::Leg(leg), .. }) = body
            && let Some(InEscrow { channel, .. }) = leg.in_escrow()
            && !self.channels.contains(&channel)
        {
            self.channels.push(channel);
        }
    }

    /// Of acks the last is enough, and those that contradict another word for the same seq.
    fn keep_what_counts(&mut self) {
        let acks = self.messages.iter().filter(|message| message.kind == MessageKind::Ack);
        let last = acks.map(|ack| ack.number).max();
        let digests = &self.digests;
        let contradicts = |seq: u64| digests.get(&seq).is_some_and(|signed| signed.len() > 1);
        self.messages.retain(|message| {
            message.kind != MessageKind::Ack
                || Some(message.number) == last
                || contradicts(message.number)
        });
    }

    /// Proofs of the items that are disclosed, and of what was invoiced where items were signed
    /// that are evidence by themselves.
    fn proofs(&self, disclosures: &[Disclosure]) -> Result<Vec<ItemProof>, ExportError> {
        let mut proofs = Vec::new();
        for Disclosure { seq, item, salt } in disclosures {
            let proof = self.proof(*seq).ok_or(ExportError::Unproven(*seq))?;
            if leaf(&self.session, *seq, salt, item) != proof.leaf {
                return Err(ExportError::OtherItem(*seq));
            }
            let disclosed = Some(Disclosed { item: Base64(item.clone()), salt: *salt });
            proofs.push(ItemProof { disclosed, ..proof });
        }
        let items = self.messages.iter().filter(|message| message.kind == MessageKind::Data);
        proofs.extend(items.filter_map(|message| self.proof(message.number)));
        Ok(proofs)
    }

    fn proof(&self, seq: u64) -> Option<ItemProof> {
        let holds = |(_, from, leaves): &&(u64, u64, Leaves)| {
            seq.checked_sub(*from).is_some_and(|at| at < leaves.as_slice().len() as u64)
        };
        let (invoice, from, leaves) = self.windows.iter().find(holds)?;
        let at = usize::try_from(seq - from).ok()?;
        let leaf = *leaves.as_slice().get(at)?;
        let proof = merkle::prove(leaves.as_slice(), at)?;
        Some(ItemProof { seq, invoice: *invoice, leaf, proof, disclosed: None })
    }

    fn owe(&mut self, owed: &Owed) {
        let (amount, digest, tx) = what(&owed.act);
        if let Some(act) = self.act(&owed.reference) {
            act.txs.extend(tx);
            return;
        }
        self.places.insert(owed.reference, self.acts.len());
        self.acts.push(LedgerAct {
            reference: owed.reference,
            purpose: owed.purpose,
            ledger: owed.ledger.clone(),
            amount,
            channel: redeemed(&owed.act),
            digest,
            txs: tx.into_iter().collect(),
            said: Said::Nothing,
        });
    }

    fn met(&mut self, reference: &Reference, evidence: &Evidence, proof: Option<&merkle::Proof>) {
        if let Some(act) = self.act(reference) {
            let (evidence, proof) = (Box::new(evidence.clone()), proof.cloned());
            act.said = Said::Final { evidence, proof };
        }
    }

    fn act(&mut self, reference: &Reference) -> Option<&mut LedgerAct> {
        self.places.get(reference).and_then(|place| self.acts.get_mut(*place))
    }
}

/// The channel that a voucher is redeemed on.
fn redeemed(act: &Act) -> Option<ChannelId> {
    match act {
        Act::Do(Call::Settle(redeem) | Call::Close(redeem)) => Some(redeem.channel),
        _ => None,
    }
}

/// The amount that is moved, what is anchored, and the transaction that was named.
fn what(act: &Act) -> (Amount, Option<Digest>, Option<TxId>) {
    match act {
        Act::Check(claim) => (claim.transfer.amount, None, Some(claim.tx.clone())),
        Act::Do(Call::Transfer(transfer)) => (transfer.amount, None, None),
        Act::Do(Call::Settle(redeem) | Call::Close(redeem)) => (redeem.amount, None, None),
        Act::Do(Call::Anchor(Anchor::One { digest, .. })) => (Amount::ZERO, Some(*digest), None),
        Act::Do(Call::Anchor(Anchor::Root { root, .. })) => (Amount::ZERO, Some(*root), None),
        Act::Do(_) => (Amount::ZERO, None, None),
    }
}
