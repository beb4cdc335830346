//! What the journal knows of a session and of a channel without reading their entries again.

use crate::record::{Act, End, INTERRUPTED, Record};
use crate::standing::Tally;
use crate::terms::Role;
use sdpp_ledger::{Amount, BondAct, Call, ChannelId, Signature};
use serde::{Deserialize, Serialize};

use super::write::WriteError;

/// What the journal knows of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Which side we are.
    pub role: Role,
    /// The entry of its order, where the other side's key and all that was signed stands. The key
    /// is not here, because reading one costs more than all the rest of an append.
    pub first_seq: u64,
    /// The last item seq that may be signed; 0 when none was reserved.
    pub reserved_to_seq: u64,
    /// Its epochs, and the entry of each.
    pub epochs: Vec<(u32, u64)>,
    /// How it ended, if it has.
    pub ended: Option<End>,
    /// Up to which entry its payload was pruned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pruned_to_seq: Option<u64>,
    /// Seller: what it says of its buyer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tally: Option<Tally>,
}

/// What the journal knows of a payment channel.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Channel {
    /// The most that may be vouched on it in all.
    pub ceiling: Option<Amount>,
    /// What was vouched on it in all when its last session ended; a crash writes none.
    #[serde(default)]
    pub spent: Option<Amount>,
    /// The voucher with the largest amount: alone it is enough to redeem.
    pub voucher: Option<(Amount, Signature)>,
    /// The most that was vouched on it to answer a demand, of which no session knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered: Option<Amount>,
}

impl Session {
    /// Whether `record`, in entry `seq`, changes what is known here.
    pub(super) fn learn(&mut self, record: &Record, seq: u64) -> Result<bool, WriteError> {
        // A dispute may come at any time after.
        if self.ended.is_some() && !matches!(record, Record::Disputed { .. }) {
            return Err(WriteError::SessionEnded);
        }
        match record {
            Record::Epoch { epoch, .. } => {
                if let Some((last, _)) = self.epochs.last() {
                    grows("an epoch", u128::from(*last) + 1, (*epoch).into())?;
                }
                self.epochs.push((*epoch, seq));
            }
            Record::Reserved { to_seq } => {
                let least = u128::from(self.reserved_to_seq) + 1;
                grows("a reserved range", least, (*to_seq).into())?;
                self.reserved_to_seq = *to_seq;
            }
            Record::Ended { end, .. } => self.ended = Some(*end),
            _ => return Ok(self.tell(record)),
        }
        self.tell(record);
        Ok(true)
    }

    /// Counts what a record says of a buyer. Whether it says anything.
    fn tell(&mut self, record: &Record) -> bool {
        let Some(tally) = &mut self.tally else { return false };
        match record {
            Record::Priced(priced) => tally.price(priced.clone()),
            Record::Invoice { message, to_seq, .. } => {
                tally.invoice(message.number, *to_seq, message.amount_total);
            }
            Record::Void { from_seq, to_seq, billed: Some(billed), .. } => {
                tally.void((*from_seq, *to_seq), *billed);
            }
            Record::Ack { message } => tally.acknowledge(message.number),
            Record::Payment { message, .. } => tally.said(message.number),
            Record::Voucher { channel, amount, .. } => tally.vouched(channel, *amount),
            Record::Ended { end, why, .. } => tally.end(is_break(*end) && why != INTERRUPTED),
            _ => return false,
        }
        true
    }
}

/// Whether neither both sides nor we have ended a session that ended so.
fn is_break(end: End) -> bool {
    matches!(end, End::Broken | End::Misconduct | End::Refused)
}

impl Channel {
    /// The channel that a record says something of.
    pub(super) fn named(record: &Record) -> Option<ChannelId> {
        match record {
            Record::Ceiling { channel, .. }
            | Record::Voucher { channel, .. }
            | Record::Spent { channel, .. } => Some(*channel),
            record => answer_in(record).map(|(channel, _)| channel),
        }
    }

    /// Whether `record` changes what is known here.
    pub(super) fn learn(&mut self, record: &Record) -> Result<bool, WriteError> {
        match record {
            Record::Ceiling { amount, .. } => {
                let have = self.ceiling.unwrap_or_default();
                grows("a channel's ceiling", have.units(), amount.units())?;
                self.ceiling = Some(*amount);
                Ok(true)
            }
            // What lies above it never left, so it is nobody's: the next voucher may begin here.
            Record::Spent { amount, .. } => {
                let amount = self.answered.unwrap_or_default().max(*amount);
                let before = self.ceiling.unwrap_or_default();
                let after = (Some(before.min(amount)), Some(amount));
                let is_new = (self.ceiling, self.spent) != after;
                (self.ceiling, self.spent) = after;
                Ok(is_new)
            }
            Record::Voucher { amount, signature, .. } => {
                let is_best = self.voucher.is_none_or(|(best, _)| *amount > best);
                if is_best {
                    self.voucher = Some((*amount, *signature));
                }
                Ok(is_best)
            }
            record => {
                let answered = answer_in(record).map(|(_, amount)| amount);
                let is_more = answered > self.answered;
                self.answered = self.answered.max(answered);
                Ok(is_more)
            }
        }
    }
}

/// The voucher that answers a demand, and its channel.
fn answer_in(record: &Record) -> Option<(ChannelId, Amount)> {
    let Record::Bonding { owed, .. } = record else { return None };
    let Act::Do(Call::Bond(bonding)) = &owed.act else { return None };
    match &bonding.act {
        BondAct::Pay { amount, .. } => Some((bonding.bond.channel, *amount)),
        _ => None,
    }
}

fn grows(what: &'static str, least: u128, asked: u128) -> Result<(), WriteError> {
    if asked < least {
        return Err(WriteError::NotGrowing { what, least, asked });
    }
    Ok(())
}
