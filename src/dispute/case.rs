//! What is put before the judge: the ground that both stand on, and every message of either bundle
//! whose signature holds. The others count for nothing, and are held against who brought them.

use super::bundle::{Body, Bundle};
use super::verdict::{Misdeed, Offence, Paper};
use crate::crypto::layout::MessageKind;
use crate::message::{Menu, Order, reread, terms};
use crate::record::SignedMessage;
use crate::terms::{Role, SessionId, Terms};
use sdpp_ledger::{Digest, PublicKey};
use std::num::NonZero;
use std::thread;

/// From so many messages on all cores verify.
const MANY: usize = 256;

/// The keys that whoever asks for a verdict knows the parties by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Keys {
    /// The seller's.
    pub seller: Option<PublicKey>,
    /// The buyer's.
    pub buyer: Option<PublicKey>,
}

impl Keys {
    /// One party knows its own key, and takes the other's from the evidence.
    pub fn of(role: Role, key: PublicKey) -> Keys {
        match role {
            Role::Seller => Keys { seller: Some(key), buyer: None },
            Role::Buyer => Keys { seller: None, buyer: Some(key) },
        }
    }
}

/// Why no verdict can be given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JudgeError {
    /// Too many bundles, or none.
    #[error("one or two bundles are judged, not {0}")]
    Count(usize),
    /// The bundles are of two sessions.
    #[error("the bundles are of two sessions: {0} and {1}")]
    Sessions(SessionId, SessionId),
    /// A bundle shows no session.
    #[error("the {by}'s bundle is refused: {why}")]
    Ground {
        /// Whose bundle, by its own word.
        by: Role,
        /// What is wrong with it.
        why: String,
    },
    /// The session is another party's.
    #[error("the session's {who} is {found}, not {given}")]
    OtherKey {
        /// Which party.
        who: Role,
        /// Its key by menu and order.
        found: Box<PublicKey>,
        /// The key that was given.
        given: Box<PublicKey>,
    },
}

/// Which sides' bundles have a message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Held {
    seller: bool,
    buyer: bool,
}

impl Held {
    fn by(role: Role) -> Held {
        Held { seller: role == Role::Seller, buyer: role == Role::Buyer }
    }

    fn join(&mut self, other: Held) {
        self.seller |= other.seller;
        self.buyer |= other.buyer;
    }

    /// Whether this side's bundle has it.
    pub(super) fn has(self, role: Role) -> bool {
        match role {
            Role::Seller => self.seller,
            Role::Buyer => self.buyer,
        }
    }
}

/// A message whose signature holds.
#[derive(Debug, Clone)]
pub(super) struct Signed<'a> {
    pub(super) message: &'a SignedMessage,
    pub(super) paper: Paper,
    pub(super) held: Held,
}

/// What is put before the judge.
pub(super) struct Case<'a> {
    pub(super) terms: Terms,
    /// The session outlives its connection: its seller may have lost items, and others follow in their place.
    pub(super) resumes: bool,
    /// The seller's first, whichever was named first.
    pub(super) bodies: Vec<&'a Body>,
    /// By kind, number and digest.
    pub(super) signed: Vec<Signed<'a>>,
    /// What is false in the bundles.
    pub(super) misdeeds: Vec<Misdeed>,
}

struct Row<'a> {
    message: &'a SignedMessage,
    digest: Digest,
    held: Held,
}

impl<'a> Case<'a> {
    /// Opens the case.
    pub(super) fn open(bundles: &'a [Bundle], keys: &Keys) -> Result<Case<'a>, JudgeError> {
        let mut bundles: Vec<&Bundle> = bundles.iter().collect();
        bundles.sort_by_key(|bundle| (bundle.body().role == Role::Buyer, bundle.digest()));
        for bundle in &bundles {
            is_exporters(bundle)?;
        }
        Case::by(bundles.into_iter().map(Bundle::body).collect(), keys)
    }

    /// The same of what nobody had to sign: the owner's own journal.
    pub(super) fn by(bodies: Vec<&'a Body>, keys: &Keys) -> Result<Case<'a>, JudgeError> {
        let [first, rest @ ..] = bodies.as_slice() else { return Err(JudgeError::Count(0)) };
        if rest.len() > 1 {
            return Err(JudgeError::Count(bodies.len()));
        }
        let (terms, resumes) = ground(first)?;
        for other in rest {
            let (also, _) = ground(other)?;
            if also.session != terms.session {
                return Err(JudgeError::Sessions(terms.session, also.session));
            }
        }
        let known =
            [(Role::Seller, keys.seller, terms.seller), (Role::Buyer, keys.buyer, terms.buyer)];
        for (who, given, found) in known {
            if let Some(given) = given.filter(|given| *given != found) {
                let (found, given) = (Box::new(found), Box::new(given));
                return Err(JudgeError::OtherKey { who, found, given });
            }
        }
        let (signed, misdeeds) = sort_out(&bodies, &terms);
        Ok(Case { terms, resumes, bodies, signed, misdeeds })
    }

    /// Whether this side's bundle is judged.
    pub(super) fn hears(&self, role: Role) -> bool {
        self.bodies.iter().any(|body| body.role == role)
    }

    /// What of this kind was signed by this side.
    pub(super) fn of(&self, kind: MessageKind, by: Role) -> impl Iterator<Item = &Signed<'a>> {
        self.signed.iter().filter(move |one| one.message.kind == kind && one.paper.signed_by == by)
    }
}

/// A bundle is signed by the side that it says it is of.
fn is_exporters(bundle: &Bundle) -> Result<(), JudgeError> {
    let (by, (terms, _)) = (bundle.body().role, ground(bundle.body())?);
    let owner = if by == Role::Seller { &terms.seller } else { &terms.buyer };
    let why = || format!("it is not signed by the session's {by}");
    let is_owners = bundle.exporter() == owner && bundle.body().ledgers.word_of == by;
    is_owners.then_some(()).ok_or_else(|| JudgeError::Ground { by, why: why() })
}

/// What menu and order make, once both signatures hold, and whether the session outlives its connection.
fn ground(body: &Body) -> Result<(Terms, bool), JudgeError> {
    let by = body.role;
    let refused = |why: String| JudgeError::Ground { by, why };
    let menu: Menu = reread(&body.menu).map_err(|error| refused(error.to_string()))?;
    let order: Order = reread(&body.order).map_err(|error| refused(error.to_string()))?;
    let signatures = [
        ("menu", &body.menu, &menu.public_key),
        ("order", &body.order, &order.public_key_signature),
    ];
    for (what, message, key) in signatures {
        if message.session != SessionId::NONE || !message.is_by(key) {
            return Err(refused(format!("the signature of the {what} is false")));
        }
    }
    if order.menu_digest != body.menu.data_digest {
        return Err(refused("the order is for another menu".to_owned()));
    }
    let terms = terms(&menu, &order, &body.order.data_digest).map_err(|(_, why)| refused(why))?;
    if terms.session != body.session {
        return Err(refused(format!("menu and order make session {}", terms.session)));
    }
    if terms.seller == terms.buyer || terms.granularity == 0 {
        return Err(refused("menu and order are none that an honest side accepts".to_owned()));
    }
    Ok((terms, menu.resume_ms.is_some() && order.resumes))
}

/// The union of what the bundles bring, each message once, and what of it is false.
fn sort_out<'a>(bodies: &[&'a Body], terms: &Terms) -> (Vec<Signed<'a>>, Vec<Misdeed>) {
    let rows = bodies.iter().flat_map(|body| {
        let row = |message| Row { message, digest: message.digest(), held: Held::by(body.role) };
        body.messages.iter().map(row)
    });
    let mut rows: Vec<Row<'a>> = rows.collect();
    // Copies with their words come before those without.
    rows.sort_by_key(|row| (key(row), row.message.data.is_none(), row.message.signature.0));
    rows.dedup_by(|row, kept| {
        let is_same = row.message == kept.message;
        if is_same {
            kept.held.join(row.held);
        }
        is_same
    });
    let signers = signers(&rows, terms);
    let (mut signed, mut misdeeds): (Vec<Signed<'a>>, Vec<Misdeed>) = (Vec::new(), Vec::new());
    for (Row { message, digest, held }, signer) in rows.into_iter().zip(signers) {
        let kind = message.kind;
        match signer {
            Ok(signed_by) => {
                let paper = Paper { signed_by, kind, number: message.number, digest };
                // Both sides sign the same words of a change, so one digest can have two signers.
                match signed.iter_mut().rev().take(2).find(|one| one.paper == paper) {
                    Some(one) => one.held.join(held),
                    None => signed.push(Signed { message, paper, held }),
                }
            }
            Err(why) => {
                let why = format!("its bundle brings {}{}: {why}", a(message.kind), message.number);
                misdeeds.extend(holders(held).map(|by| Misdeed {
                    by,
                    what: Offence::FalseEvidence,
                    why: why.clone(),
                    proven_by: Vec::new(),
                }));
            }
        }
    }
    (signed, misdeeds)
}

fn key(row: &Row<'_>) -> (u8, u64, Digest) {
    (row.message.kind as u8, row.message.number, row.digest)
}

fn a(kind: MessageKind) -> String {
    let article = if matches!(kind, MessageKind::Ack | MessageKind::Amend) { "an" } else { "a" };
    format!("{article} {kind} with number ")
}

fn holders(held: Held) -> impl Iterator<Item = Role> {
    [Role::Seller, Role::Buyer].into_iter().filter(move |role| held.has(*role))
}

/// Who signed each, or why it counts for nothing. What takes time, on all cores where it is much.
fn signers(rows: &[Row<'_>], terms: &Terms) -> Vec<Result<Role, &'static str>> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let part = rows.len().div_ceil(cores).max(1);
    let verify = |rows: &[Row<'_>]| -> Vec<_> {
        rows.iter().map(|row| signer(row.message, terms)).collect()
    };
    if rows.len() < MANY || cores == 1 {
        return verify(rows);
    }
    thread::scope(|scope| {
        let threads: Vec<_> = rows
            .chunks(part)
            .map(|rows| (rows, thread::Builder::new().spawn_scoped(scope, move || verify(rows))))
            .collect();
        // A thread that could not start, or died, leaves its part to us.
        let done = threads.into_iter().flat_map(|(rows, thread)| {
            thread.ok().and_then(|thread| thread.join().ok()).unwrap_or_else(|| verify(rows))
        });
        done.collect()
    })
}

/// Who signed a message, by its kind.
fn signer(message: &SignedMessage, terms: &Terms) -> Result<Role, &'static str> {
    let may: &[Role] = match message.kind {
        MessageKind::Data | MessageKind::DataInvoice => &[Role::Seller],
        MessageKind::Ack | MessageKind::PaymentAck => &[Role::Buyer],
        MessageKind::Amend | MessageKind::Exit => &[Role::Seller, Role::Buyer],
        _ => return Err("no such message is evidence"),
    };
    if message.session != terms.session {
        return Err("it is of another session");
    }
    let is_by = |role: &&Role| match role {
        Role::Seller => message.is_by(&terms.seller),
        Role::Buyer => message.is_by(&terms.buyer),
    };
    may.iter().find(is_by).copied().ok_or("its signature is false")
}
