//! What a seller's session is told beside its items: how far its buyer is trusted, and what settling
//! costs.

use crate::actors::asking::{self, Asking};
use crate::actors::fees::Fees;
use crate::actors::selling::Selling;
use crate::actors::session::{Ctx, SessionActor};
use crate::session::PaceRule;
use crate::standing::PacePolicy;

type Actor = SessionActor<Selling>;

/// How a session's buyer is trusted, and what the session was told.
#[derive(Debug, Clone)]
pub struct Trusting {
    policy: PacePolicy,
    /// What it was told of fees.
    pub(super) asking: Asking,
    has_begun: bool,
}

impl Trusting {
    /// Before the session's order.
    pub fn new(policy: PacePolicy, fees: Fees) -> Self {
        Trusting { policy, asking: Asking::new(fees), has_begun: false }
    }
}

/// Once there is an order: the session follows what its buyer has earned before, and hears of fees.
pub(super) fn begin(actor: &mut Actor, ctx: &mut Ctx<Selling>) {
    let Some((buyer, side)) = actor.core.buyer().zip(actor.side.as_mut()) else { return };
    if std::mem::replace(&mut side.trusting.has_begun, true) {
        return;
    }
    let policy = side.trusting.policy;
    if !policy.is_fixed() {
        match side.reader.standing(&buyer) {
            Ok(standing) => {
                actor.core.follow(PaceRule::new(move |facts| policy.pace(&standing, facts)));
            }
            // It goes on as everybody does.
            Err(error) => tracing::error!(%error, "what the buyer has earned cannot be read"),
        }
    }
    asking::begin(actor, ctx);
}
