//! A session's stream as it begins.

use super::Offer;
use super::accept::Accepted;
use super::amending::Amends;
use super::bills::Acks;
use super::credit::Granted;
use super::legs::priced;
use super::purse::Purse;
use super::stream::Stream;
use super::tab::Tab;
use crate::crypto::{Keys, wrap};
use crate::message::{Draft, SessionKey};
use crate::record::Record;
use crate::session::tabs::Tabs;
use crate::session::windows::Windows;
use crate::session::{Fault, Outputs};
use crate::standing::Standing;
use crate::terms::{Role, Terms};
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

impl Stream {
    /// The terms stand: they are recorded, and the session's key goes to the buyer.
    pub(super) fn begin(
        offer: Arc<Offer>,
        accepted: Accepted,
        out: &mut Outputs,
    ) -> Result<Stream, Fault> {
        let Accepted {
            terms, menu, order, encryption, randomness, resumes, purse, standing, ..
        } = accepted;
        out.begin(terms.session);
        let (role, peer) = (Role::Seller, terms.buyer);
        let (menu, order) = (Box::new(menu), Box::new(order));
        out.record(Record::Order { role, peer, menu, order, owed: None });
        let keys = Keys::first(&randomness.session_key, terms.session);
        let salt_secret = keys.salt_secret().clone();
        out.record(Record::Epoch { key: None, epoch: 0, salt_secret });
        let session = terms.session;
        let stream = Stream::new(offer, terms, keys, purse, standing);
        out.record(Record::Reserved { to_seq: stream.reserved_seq });
        out.record(priced(stream.agreed().last_leg()));
        let wrapped = wrap(
            &randomness.session_key,
            &encryption,
            &randomness.ephemeral,
            randomness.wrap_nonce,
            session,
        )
        .map_err(|error| Fault::ours(error.to_string()))?;
        let draft = Draft::new(session, &SessionKey::first(&wrapped).under(&stream.terms));
        out.leave(draft.sign(&stream.offer.key, "").1);
        if resumes {
            out.keep_line();
        }
        Ok(stream)
    }

    /// Nothing has left, and the first items are reserved.
    pub(super) fn new(
        offer: Arc<Offer>,
        terms: Terms,
        keys: Keys,
        purse: Option<Purse>,
        standing: Option<Standing>,
    ) -> Stream {
        let amends = Amends::new(&terms);
        let leg = amends.agreement.agreed().last_leg();
        Stream {
            tabs: Tabs::new(Tab::new(leg, 1, purse, offer.counts_when(&leg.currency))),
            credit: Granted::new(&terms, standing),
            reserved_seq: terms.credit_items(),
            windows: Windows::new(terms.session),
            // Nothing is changed under a bond.
            rule: offer.policy.pace.clone().filter(|_| terms.bond.is_none()),
            acks: Acks::default(),
            untold: Vec::new(),
            ready: VecDeque::new(),
            unwell: BTreeSet::new(),
            former: VecDeque::new(),
            again: None,
            forgot_keys: false,
            offer,
            terms,
            keys,
            amends,
        }
    }
}
