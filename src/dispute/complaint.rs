//! From a verdict to what the contract of a session's bond takes: complaints, and the answers to the
//! other side's. Pure: what a ledger says is told.

use super::bundle::Body;
use super::strays::{StrayEvidence, Way, stray_evidence};
use super::verdict::{Misdeed, Offence, Verdict};
use crate::crypto::layout::MessageKind;
use crate::message::reread_terms;
use crate::record::{SignedMessage, Stray};
use crate::terms::{BondTerms, Role, Terms};
use sdpp_ledger::bond::{
    Challenge, Demand, Opened, Receipt, SignedAck, SignedInvoice, SignedItem, SignedTerms, Word,
};
use sdpp_ledger::{Amount, BondAct, Digest, PublicKey, Signature, keccak, merkle};

/// A session under a bond, and what was signed in it.
pub struct Bonded<'a> {
    /// What both signed.
    pub terms: Terms,
    under: BondTerms,
    body: &'a Body,
    /// The seller's `session_key`, which the buyer keeps.
    key: Option<&'a SignedMessage>,
}

impl<'a> Bonded<'a> {
    /// A session by one side's evidence; `None` where it is under no bond, or its terms make none.
    pub fn open(body: &'a Body, key: Option<&'a SignedMessage>) -> Option<Bonded<'a>> {
        let (_, _, terms) = reread_terms(&body.menu, &body.order).ok()?;
        let under = BondTerms::of(&terms)?;
        Some(Bonded { terms, under, body, key })
    }

    /// The buyer's complaints, by what the verdict holds against the seller: those that need no answer
    /// first, and last those of which only one of many items is the right one.
    pub fn complaints(&self, verdict: &Verdict) -> Vec<BondAct> {
        let seller = &self.terms.seller;
        let Some(session) = self.key.map(|key| Box::new(self.signed(key, seller))) else {
            return Vec::new();
        };
        let of_seller = verdict.misconduct.iter().filter(|misdeed| misdeed.by == Role::Seller);
        let mut acts: Vec<BondAct> =
            of_seller.flat_map(|misdeed| self.complaint(&session, misdeed)).collect();
        acts.extend(self.strays(&session, verdict));
        acts.sort_by_key(|act| (act.is_challenge(), matches!(act, BondAct::ChallengeRoot { .. })));
        acts
    }

    fn complaint(&self, session: &SignedTerms, misdeed: &Misdeed) -> Vec<BondAct> {
        let session = || Box::new(session.clone());
        let proves = |message: &&SignedMessage| {
            let digest = message.digest();
            misdeed.proven_by.iter().any(|paper| paper.digest == digest)
        };
        let proof: Vec<&SignedMessage> = self.body.messages.iter().filter(proves).collect();
        let of = |kind| proof.iter().filter(move |message| message.kind == kind).copied();
        let (items, invoices) = (of(MessageKind::Data), of(MessageKind::DataInvoice));
        match misdeed.what {
            Offence::DoubleInvoice => {
                let invoices: Vec<_> = invoices.map(|one| self.invoice(one)).collect();
                let [one, other, ..] = &invoices[..] else { return Vec::new() };
                let (one, other) = (one.clone(), other.clone());
                vec![BondAct::ConvictOfInvoices { session: session(), one, other }]
            }
            Offence::OtherItem => {
                let items: Vec<_> = items.map(|one| self.item(one)).collect();
                if let [one, other] = &items[..]
                    && one.seq == other.seq
                {
                    let (one, other) = (one.clone(), other.clone());
                    return vec![BondAct::ConvictOfItems { session: session(), one, other }];
                }
                let Some(invoice) = invoices.map(|one| self.invoice(one)).next() else {
                    return Vec::new();
                };
                let asks = |item| BondAct::ChallengeRoot {
                    session: session(),
                    item,
                    invoice: invoice.clone(),
                };
                items.into_iter().map(asks).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Asks for the items that are not of the dataset. A contract asks whether one is anywhere in it: who
    /// asks for one that is there, in another's place, loses its stake.
    fn strays(&self, session: &SignedTerms, verdict: &Verdict) -> Vec<BondAct> {
        let misdeeds = verdict.misconduct.iter().filter(|one| one.what == Offence::StrayItem);
        let proven: Vec<Digest> =
            misdeeds.flat_map(|one| &one.proven_by).map(|paper| paper.digest).collect();
        if proven.is_empty() {
            return Vec::new();
        }
        let evidence = stray_evidence(self.body).unwrap_or_default();
        let nowhere = evidence
            .iter()
            .filter(|one| one.way == Way::Nowhere && proven.contains(&one.message.digest()));
        nowhere.filter_map(|one| self.stray(Box::new(session.clone()), one)).collect()
    }

    /// Asks for one of them, by the message that the seller signed it by.
    fn stray(&self, session: Box<SignedTerms>, one: &StrayEvidence<'_>) -> Option<BondAct> {
        let StrayEvidence { stray, message, .. } = one;
        if message.kind == MessageKind::Data {
            let (salt, content) = (stray.salt, stray.content);
            return Some(BondAct::ChallengeItem {
                session,
                item: self.item(message),
                salt,
                content,
            });
        }
        let Stray { seq, salt, content, invoiced } = (*stray).clone();
        let opened = Opened { seq, salt, content, proof: invoiced?.proof };
        Some(BondAct::ChallengeInvoiced { session, invoice: self.invoice(message), opened })
    }

    /// The seller's demand for what the buyer acknowledged, as far as the last invoice goes that it
    /// did so of, and what the contract then asks for.
    pub fn demand(&self) -> Option<(BondAct, Demand)> {
        let buyer = &self.terms.buyer;
        let session = Box::new(self.signed(&self.body.order, buyer));
        let of = |kind| self.body.messages.iter().filter(move |message| message.kind == kind);
        let k = u64::from(self.under.granularity);
        let acks = of(MessageKind::Ack).chain(of(MessageKind::PaymentAck));
        let reach = |ack: &&SignedMessage| match ack.kind {
            MessageKind::PaymentAck => ack.number.saturating_mul(k),
            _ => ack.number,
        };
        let mut invoices: Vec<&SignedMessage> = of(MessageKind::DataInvoice).collect();
        invoices.sort_by_key(|invoice| std::cmp::Reverse(invoice.number));
        let ack = acks.max_by_key(|ack| (reach(ack), ack.kind == MessageKind::Ack))?;
        let asked = |invoice: &&SignedMessage| self.asked(reach(&ack), ack, invoice);
        let (of, asked) = invoices.iter().find_map(|one| Some((one, asked(one)?)))?;
        let ack = SignedAck {
            kind: ack.kind as u8,
            number: ack.number,
            digest: ack.commitment,
            amount_total: ack.amount_total,
            word: word(ack, buyer),
        };
        Some((BondAct::Demand { session, ack, invoice: self.invoice(of) }, asked))
    }

    /// As the contract counts it; `None` where nothing that the invoice adds was acknowledged.
    fn asked(&self, acked: u64, ack: &SignedMessage, of: &SignedMessage) -> Option<Demand> {
        let (k, w) = (u64::from(self.under.granularity), u64::from(self.under.credit_windows));
        let last = of.number.checked_mul(k)?;
        let mut due = of.amount_total.min(self.under.price_of(acked.min(last))?);
        if ack.kind == MessageKind::PaymentAck {
            due = due.min(ack.amount_total);
        }
        let before = self.under.price_of(last.checked_sub(k)?)?;
        let voucher = self.under.base.checked_add(due)?;
        (due > before).then(|| Demand {
            session: self.terms.session.0,
            amount_total: due,
            voucher,
            paid_before: u128::from(last) + u128::from(w) * u128::from(k),
            last_unpaid: u128::from(of.number) + u128::from(w),
        })
    }

    /// What shows that a seller demands what it has receipted.
    pub fn refutation(&self, asked: &Demand) -> Option<BondAct> {
        if asked.session != self.terms.session.0 {
            return None;
        }
        let of_seller = |message: &&SignedMessage| message.is_by(&self.terms.seller);
        let mut messages = self.body.messages.iter();
        let refutes = |message: &SignedMessage| {
            let (asked, number) = (asked.clone(), u128::from(message.number));
            match message.kind {
                MessageKind::Exit => {
                    let paid_total = paid_by(message)?;
                    let amount_total = message.amount_total;
                    let word = word(message, &self.terms.seller);
                    let receipt = Receipt { amount_total, paid_total, word };
                    (paid_total >= asked.amount_total)
                        .then_some(BondAct::RefuteByExit { asked, receipt })
                }
                MessageKind::Data if number >= asked.paid_before => {
                    Some(BondAct::RefuteByItem { asked, item: self.item(message) })
                }
                MessageKind::DataInvoice if number > asked.last_unpaid => {
                    Some(BondAct::RefuteByInvoice { asked, invoice: self.invoice(message) })
                }
                _ => None,
            }
        };
        let refutes = |message| Some(message).filter(of_seller).and_then(refutes);
        messages.find_map(refutes)
    }

    /// The terms by who signed them: the buyer its order, the seller its `session_key`.
    fn signed(&self, by: &SignedMessage, signer: &PublicKey) -> SignedTerms {
        let BondTerms { base, price, rate, granularity, credit_windows, dataset, .. } = self.under;
        SignedTerms {
            menu: self.body.menu.data_digest,
            order: self.body.order.data_digest,
            base,
            price,
            numerator: rate.numerator,
            denominator: rate.denominator,
            granularity,
            windows: credit_windows,
            dataset,
            word: word(by, signer),
        }
    }

    fn item(&self, message: &SignedMessage) -> SignedItem {
        let word = word(message, &self.terms.seller);
        SignedItem { seq: message.number, leaf: message.commitment, word }
    }

    fn invoice(&self, message: &SignedMessage) -> SignedInvoice {
        SignedInvoice {
            number: message.number,
            root: message.commitment,
            amount_total: message.amount_total,
            word: word(message, &self.terms.seller),
        }
    }
}

/// What a seller shows that it was asked for, by the leaves of a window of its own.
pub fn showing(challenge: &Challenge, leaves: &[Digest]) -> Option<BondAct> {
    if leaves.len() > challenge.most as usize || merkle::root(leaves) != challenge.root {
        return None;
    }
    let is_it = |index: &usize| leaves.get(*index) == Some(&challenge.leaf);
    let index = match challenge.index {
        Challenge::ANYWHERE => leaves.iter().position(|leaf| *leaf == challenge.leaf),
        index => usize::try_from(index).ok().filter(is_it),
    };
    let proof = merkle::prove(leaves, index?)?;
    Some(BondAct::Show { challenge: challenge.clone(), proof })
}

/// The receipt in the layout of a seller's exit from a session under a bond.
fn paid_by(exit: &SignedMessage) -> Option<Amount> {
    let (zeros, paid) = exit.commitment.0.split_at(16);
    let paid = paid.try_into().ok().map(u128::from_be_bytes)?;
    zeros.iter().all(|byte| *byte == 0).then_some(Amount::new(paid))
}

/// What a contract takes of a message. It recovers the signer by v, which nobody verifies in a message: so
/// it is written here, as the signer's key gives it.
fn word(message: &SignedMessage, signer: &PublicKey) -> Word {
    let (digest, account) = (message.digest(), signer.account());
    let with = |v| {
        let mut signature = message.signature;
        signature.0[64] = v;
        signature
    };
    let gives = |one: &Signature| one.recover(&digest).as_ref() == Some(&account);
    Word {
        data: message.data_digest,
        verification: keccak(&[message.verification.as_bytes()]),
        signature: [27, 28].map(with).into_iter().find(gives).unwrap_or(message.signature),
    }
}
