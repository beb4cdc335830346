//! Stories of payment channels.

use super::money::{balance, less};
use super::*;
use crate::{Approve, Channel, ChannelId};

pub(super) const DEPOSIT: u128 = 10_000;

/// A payee takes what vouchers allow, step by step; a close pays the last of it and gives the
/// rest back; and an id is used once, for ever.
pub async fn a_channel_is_settled_and_closed(rig: &dyn Rig) {
    let Some(lane) = Lane::open(rig).await else {
        return;
    };
    let (payer, payee) = (rig.payer(), rig.payee());
    let opened = lane.now().await;
    assert_eq!(opened.payer, *payer.account());
    assert_eq!(opened.payee, *payee.account());
    assert_eq!(opened.signer, *payer.account(), "the payer signs for itself");
    assert_eq!(opened.deposit, Amount::new(DEPOSIT));
    assert_eq!((opened.settled, opened.finalized), (Amount::ZERO, false));
    refused(rig, payer, &lane.opening, "ChannelAlreadyExists").await;

    let settled = done(rig, payee, &Call::Settle(lane.redeem(4_000))).await;
    assert_eq!(settled.amount, Amount::new(4_000), "evidence of a settle");
    let more = done(rig, payee, &Call::Settle(lane.redeem(5_000))).await;
    assert_eq!(more.amount, Amount::new(1_000), "only what is new");
    assert_eq!(lane.now().await.settled, Amount::new(5_000));

    let before = balance(rig, payer).await;
    let closed = done(rig, payee, &Call::Close(lane.redeem(7_000))).await;
    assert_eq!(closed.amount, Amount::new(2_000), "evidence of a close");
    let refund = less(balance(rig, payer).await, before);
    assert_eq!(refund, Amount::new(DEPOSIT - 7_000), "the payer's rest");
    let now = lane.now().await;
    assert_eq!((now.settled, now.finalized), (Amount::new(7_000), true));

    refused(rig, payer, &lane.opening, "ChannelAlreadyExists").await;
    let again = Call::Settle(lane.redeem(8_000));
    refused(rig, payee, &again, "ChannelFinalized").await;
    let top_up = lane.top_up(1);
    refused(rig, payer, &top_up, "ChannelFinalized").await;
}

/// A voucher counts for the signer's amount in its channel, once, and within the deposit. A
/// payee that has nothing new may still close.
pub async fn vouchers_are_checked(rig: &dyn Rig) {
    let Some(lane) = Lane::open(rig).await else {
        return;
    };
    let payee = rig.payee();
    done(rig, payee, &Call::Settle(lane.redeem(3_000))).await;
    let altered = Redeem { amount: Amount::new(4_000), ..lane.redeem(3_500) };
    let elsewhere = Redeem { channel: lane.id, ..lane.redeem_of(ChannelId(fresh()), 4_000) };
    let nobody = Redeem { signature: Signature([0; 65]), ..lane.redeem(4_000) };
    for (redeem, code) in [
        (lane.redeem(3_000), "AmountNotIncreasing"),
        (lane.redeem(2_000), "AmountNotIncreasing"),
        (lane.redeem(DEPOSIT + 1), "AmountExceedsDeposit"),
        (altered, "InvalidSignature"),
        (elsewhere, "InvalidSignature"),
        (nobody.clone(), "InvalidSignature"),
    ] {
        refused(rig, payee, &Call::Settle(redeem), code).await;
    }
    for (redeem, code) in
        [(lane.redeem(DEPOSIT + 1), "AmountExceedsDeposit"), (nobody.clone(), "InvalidSignature")]
    {
        refused(rig, payee, &Call::Close(redeem), code).await;
    }
    let at_settled = Redeem { amount: Amount::new(3_000), ..nobody };
    let closed = done(rig, payee, &Call::Close(at_settled)).await;
    assert_eq!(closed.amount, Amount::ZERO, "nothing was left to take");
    assert!(lane.now().await.finalized);
}

/// Payer and payee each do what is theirs, a stranger does nothing, and there is nothing to do
/// on a channel that is not there.
pub async fn only_the_right_party_acts(rig: &dyn Rig) {
    let Some(lane) = Lane::open(rig).await else {
        return;
    };
    let channel = InChannel { channel: lane.id };
    for wrong in [rig.payer(), rig.stranger()] {
        let settle = Call::Settle(lane.redeem(1_000));
        refused(rig, wrong, &settle, "NotPayee").await;
        refused(rig, wrong, &Call::Close(lane.redeem(1_000)), "NotPayee").await;
    }
    for wrong in [rig.payee(), rig.stranger()] {
        let request = Call::RequestClose(channel.clone());
        refused(rig, wrong, &request, "NotPayer").await;
        let withdraw = Call::Withdraw(channel.clone());
        refused(rig, wrong, &withdraw, "NotPayer").await;
    }
    let nowhere = ChannelId(fresh());
    let settle = Call::Settle(lane.redeem_of(nowhere, 1));
    refused(rig, rig.payee(), &settle, "ChannelNotFound").await;
    assert_eq!(answered(lane.escrow().channel(&nowhere).await), None);
    let Call::Open(opening) = &lane.opening else {
        panic!("a lane is opened by an opening");
    };
    let empty =
        Call::Open(Open { deposit: Amount::ZERO, salt: Digest(fresh()), ..opening.clone() });
    refused(rig, rig.payer(), &empty, "ZeroDeposit").await;
    lane.close().await;
}

/// Who tops up stays: a pending close is cancelled, and the deposit is the sum.
pub async fn a_top_up_cancels_a_pending_close(rig: &dyn Rig) {
    let Some(lane) = Lane::open(rig).await else {
        return;
    };
    let (payer, channel) = (rig.payer(), InChannel { channel: lane.id });
    done(rig, payer, &Call::RequestClose(channel.clone())).await;
    let asked = lane.now().await.close_requested_ms;
    assert!(asked.is_some(), "the close that was asked for is not told");
    done(rig, payer, &lane.top_up(500)).await;
    let now = lane.now().await;
    assert_eq!(now.close_requested_ms, None, "the close is cancelled");
    assert_eq!(now.deposit, Amount::new(DEPOSIT + 500));
    rig.pass(grace(lane.escrow())).await;
    let withdraw = Call::Withdraw(channel);
    refused(rig, payer, &withdraw, "CloseNotReady").await;
    refused(rig, payer, &lane.top_up(0), "ZeroDeposit").await;
    lane.close().await;
}

/// A payer whose payee is gone gets its rest after the grace period and not before, and in the
/// meantime the payee can still take what is its own.
pub async fn a_payer_gets_out_alone(rig: &dyn Rig) {
    let Some(lane) = Lane::open(rig).await else {
        return;
    };
    let (payer, channel) = (rig.payer(), InChannel { channel: lane.id });
    let withdraw = Call::Withdraw(channel.clone());
    refused(rig, payer, &withdraw, "CloseNotReady").await;
    done(rig, payer, &Call::RequestClose(channel)).await;
    refused(rig, payer, &withdraw, "CloseNotReady").await;
    let own = Call::Settle(lane.redeem(6_000));
    done(rig, rig.payee(), &own).await;
    rig.pass(grace(lane.escrow())).await;
    let before = lane.now().await;
    let evidence = done(rig, payer, &withdraw).await;
    assert_eq!(evidence.amount, Amount::ZERO, "a withdrawal pays no payee");
    let now = lane.now().await;
    assert_eq!(now.settled, before.settled, "what was the payee's stays so");
    assert!(now.finalized);
    refused(rig, payer, &withdraw, "ChannelFinalized").await;
    refused(rig, payer, &lane.opening, "ChannelAlreadyExists").await;
}

/// A channel between the rig's payer and payee.
pub(super) struct Lane<'a> {
    rig: &'a dyn Rig,
    key: &'a Key,
    opening: Call,
    pub(super) id: ChannelId,
}

impl<'a> Lane<'a> {
    /// `None` where the ledger has no escrow. Opening takes exactly the deposit.
    pub(super) async fn open(rig: &'a dyn Rig) -> Option<Lane<'a>> {
        let (payer, escrow) = (rig.payer(), rig.payer().escrow()?);
        if answered(escrow.needs_approval(&rig.asset(), Amount::new(DEPOSIT)).await) {
            done(rig, payer, &Call::Approve(Approve { asset: rig.asset() })).await;
        }
        let key = rig.payer_key();
        let key = key.unwrap_or_else(|| panic!("a rig with an escrow brings the payer's key"));
        let (payee, salt) = (rig.payee().account().clone(), Digest(fresh()));
        let (domain, asset) = (escrow.domain(), rig.asset());
        let id = channel_id(domain, payer.account(), &payee, &asset, &salt, None);
        let opening =
            Call::Open(Open { payee, asset, deposit: Amount::new(DEPOSIT), salt, signer: None });
        done(rig, payer, &opening).await;
        Some(Lane { rig, key, opening, id })
    }

    pub(super) fn escrow(&self) -> &'a dyn Escrow {
        let escrow = self.rig.payer().escrow();
        escrow.unwrap_or_else(|| panic!("a lane was opened, so there is an escrow"))
    }

    /// The channel as the ledger has it.
    pub(super) async fn now(&self) -> Channel {
        let channel = answered(self.escrow().channel(&self.id).await);
        channel.unwrap_or_else(|| panic!("channel {} is not there", self.id))
    }

    pub(super) fn redeem(&self, units: u128) -> Redeem {
        self.redeem_of(self.id, units)
    }

    /// A voucher with the payer's signature, for any channel at all.
    pub(super) fn redeem_of(&self, channel: ChannelId, units: u128) -> Redeem {
        let amount = Amount::new(units);
        let voucher = Voucher { channel, amount };
        Redeem { channel, amount, signature: voucher.sign(self.escrow().domain(), self.key) }
    }

    pub(super) fn top_up(&self, units: u128) -> Call {
        Call::TopUp(TopUp { channel: self.id, amount: Amount::new(units) })
    }

    /// Closes without a voucher for anything, so that the payer has its money for the next story.
    pub(super) async fn close(&self) {
        let nothing = Redeem { signature: Signature([0; 65]), ..self.redeem(0) };
        let closed = done(self.rig, self.rig.payee(), &Call::Close(nothing)).await;
        assert_eq!(closed.amount, Amount::ZERO, "nothing was signed away");
    }
}

/// A little more than the grace period, as blocks do not fall on every moment.
pub(super) fn grace(escrow: &dyn Escrow) -> Duration {
    escrow.grace_period() + Duration::from_secs(2)
}
