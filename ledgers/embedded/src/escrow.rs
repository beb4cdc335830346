//! The rules of the payment channels, those of `draft-evm-session-00` and of its contract.
//!
//! Checks come in the contract's order, so that both refuse with the same code: the channel is
//! there, the caller is the right one, it is not finalized, the amount, the signature. Where
//! the draft is silent, this is what was chosen:
//!
//! - A payee may close at exactly what is settled, zero included, and no signature is looked
//!   at: nothing moves to the payee, and the payer gets its rest sooner. So a payee that was
//!   never given a voucher can still free the payer's money. Less than what is settled is
//!   `AmountNotIncreasing`: whoever asks for it is mistaken about the channel.
//! - Asking to close twice keeps the first time: a payer cannot be made to wait longer by its
//!   own retry.
//! - A deposit or a top up of zero is `ZeroDeposit`.
//! - Address zero is nobody: as a payee it is `InvalidPayee`, as a signer it is the payer.
//!
//! Batches are in `effect`: each row is redeemed as it would be alone.

use crate::Refusal;
use crate::state::{Setting, State, must_be_account};
use sdpp_ledger::{Account, Amount, Channel, ChannelId, Open, Redeem, TopUp, Voucher, channel_id};

impl State {
    pub(crate) fn open(&mut self, open: &Open, setting: Setting<'_>) -> Result<Amount, Refusal> {
        must_be_account(&open.payee)?;
        open.signer.as_ref().map_or(Ok(()), must_be_account)?;
        if is_nobody(&open.payee) {
            return Err(Refusal::new("InvalidPayee", "address zero cannot redeem"));
        }
        must_not_be_zero(open.deposit)?;
        let payer = setting.from;
        let id = id_of(open, setting);
        if self.channels.contains_key(&id) {
            let why = format!("{id} is or was a channel; take another salt");
            return Err(Refusal::new("ChannelAlreadyExists", why));
        }
        self.take(payer, &open.asset, open.deposit)?;
        let channel = Channel {
            payer: payer.clone(),
            payee: open.payee.clone(),
            asset: open.asset.clone(),
            signer: open.signer.as_ref().filter(|s| !is_nobody(s)).unwrap_or(payer).clone(),
            deposit: open.deposit,
            settled: Amount::ZERO,
            close_requested_ms: None,
            finalized: false,
        };
        self.channels.insert(id, channel);
        Ok(Amount::ZERO)
    }

    pub(crate) fn top_up(
        &mut self,
        top_up: &TopUp,
        setting: Setting<'_>,
    ) -> Result<Amount, Refusal> {
        let channel = self.for_payer(&top_up.channel, setting.from)?;
        must_not_be_zero(top_up.amount)?;
        let deposit = channel.deposit.checked_add(top_up.amount).ok_or_else(|| {
            let why = format!("{} on top of {}", top_up.amount, channel.deposit);
            Refusal::new("DepositOverflow", why)
        })?;
        self.take(setting.from, &channel.asset, top_up.amount)?;
        let topped_up = Channel { deposit, close_requested_ms: None, ..channel };
        self.channels.insert(top_up.channel, topped_up);
        Ok(Amount::ZERO)
    }

    pub(crate) fn settle(
        &mut self,
        redeem: &Redeem,
        setting: Setting<'_>,
    ) -> Result<Amount, Refusal> {
        let channel = self.for_payee(&redeem.channel, setting.from)?;
        if redeem.amount == channel.settled {
            return Err(not_increasing(redeem, &channel));
        }
        self.pay_out(redeem, channel, setting)
    }

    pub(crate) fn close(
        &mut self,
        redeem: &Redeem,
        setting: Setting<'_>,
    ) -> Result<Amount, Refusal> {
        let channel = self.for_payee(&redeem.channel, setting.from)?;
        let paid = if redeem.amount == channel.settled {
            Amount::ZERO
        } else {
            self.pay_out(redeem, channel, setting)?
        };
        self.finalize(&redeem.channel);
        Ok(paid)
    }

    pub(crate) fn request_close(
        &mut self,
        id: &ChannelId,
        setting: Setting<'_>,
    ) -> Result<Amount, Refusal> {
        let channel = self.for_payer(id, setting.from)?;
        let asked = channel.close_requested_ms.unwrap_or(setting.at_ms);
        let closing = Channel { close_requested_ms: Some(asked), ..channel };
        self.channels.insert(*id, closing);
        Ok(Amount::ZERO)
    }

    pub(crate) fn withdraw(
        &mut self,
        id: &ChannelId,
        setting: Setting<'_>,
    ) -> Result<Amount, Refusal> {
        let channel = self.for_payer(id, setting.from)?;
        let asked = channel
            .close_requested_ms
            .ok_or_else(|| Refusal::new("CloseNotReady", "the payer has not asked to close it"))?;
        let ready = asked.saturating_add(setting.grace_period_ms);
        if setting.at_ms < ready {
            let why = format!("ready at {ready} ms, it is {} ms", setting.at_ms);
            return Err(Refusal::new("CloseNotReady", why));
        }
        self.finalize(id);
        Ok(Amount::ZERO)
    }

    /// Pays what a voucher allows beyond what was settled; returns how much that was.
    fn pay_out(
        &mut self,
        redeem: &Redeem,
        channel: Channel,
        setting: Setting<'_>,
    ) -> Result<Amount, Refusal> {
        if redeem.amount > channel.deposit {
            let why = format!("{} of a deposit of {}", redeem.amount, channel.deposit);
            return Err(Refusal::new("AmountExceedsDeposit", why));
        }
        let paid = redeem.amount.checked_sub(channel.settled);
        let paid = paid.ok_or_else(|| not_increasing(redeem, &channel))?;
        must_be_signed(redeem, &channel, setting)?;
        self.give(&channel.payee, &channel.asset, paid);
        let settled = redeem.amount;
        self.channels.insert(redeem.channel, Channel { settled, ..channel });
        Ok(paid)
    }

    /// Gives the rest back to the payer; the record stays, so the id is never opened again.
    fn finalize(&mut self, id: &ChannelId) {
        let Some(channel) = self.channels.get_mut(id) else {
            return;
        };
        channel.finalized = true;
        let rest = channel.deposit.saturating_sub(channel.settled);
        let (payer, asset) = (channel.payer.clone(), channel.asset.clone());
        self.give(&payer, &asset, rest);
    }

    fn for_payer(&self, id: &ChannelId, caller: &Account) -> Result<Channel, Refusal> {
        self.live(id, caller, "NotPayer", |channel| &channel.payer)
    }

    fn for_payee(&self, id: &ChannelId, caller: &Account) -> Result<Channel, Refusal> {
        self.live(id, caller, "NotPayee", |channel| &channel.payee)
    }

    /// The channel, when this caller may act on it and it is not finalized.
    fn live(
        &self,
        id: &ChannelId,
        caller: &Account,
        code: &'static str,
        allowed: fn(&Channel) -> &Account,
    ) -> Result<Channel, Refusal> {
        let channel = self
            .channels
            .get(id)
            .ok_or_else(|| Refusal::new("ChannelNotFound", format!("no channel {id}")))?;
        if allowed(channel) != caller {
            let why = format!("only {} may do this, not {caller}", allowed(channel));
            return Err(Refusal::new(code, why));
        }
        if channel.finalized {
            return Err(Refusal::new("ChannelFinalized", format!("{id} is closed")));
        }
        Ok(channel.clone())
    }
}

pub(crate) fn id_of(open: &Open, setting: Setting<'_>) -> ChannelId {
    let signer = open.signer.as_ref();
    let Setting { domain, from, .. } = setting;
    channel_id(domain, from, &open.payee, &open.asset, &open.salt, signer)
}

fn is_nobody(account: &Account) -> bool {
    account.as_str() == "0x0000000000000000000000000000000000000000"
}

fn must_not_be_zero(deposit: Amount) -> Result<(), Refusal> {
    if deposit == Amount::ZERO {
        return Err(Refusal::new("ZeroDeposit", "nothing would be deposited"));
    }
    Ok(())
}

fn must_be_signed(redeem: &Redeem, channel: &Channel, setting: Setting<'_>) -> Result<(), Refusal> {
    let voucher = Voucher { channel: redeem.channel, amount: redeem.amount };
    let signer = redeem.signature.recover(&voucher.digest(setting.domain));
    if signer.as_ref() == Some(&channel.signer) {
        return Ok(());
    }
    let why = format!("not {}'s signature over {}", channel.signer, redeem.amount);
    Err(Refusal::new("InvalidSignature", why))
}

fn not_increasing(redeem: &Redeem, channel: &Channel) -> Refusal {
    let why = format!("{} asked, {} settled", redeem.amount, channel.settled);
    Refusal::new("AmountNotIncreasing", why)
}
