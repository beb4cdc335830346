//! What a watch does about what it has seen, beside keeping it: sessions whose channel pays no
//! more, or soon will not, are ended, and what was paid out against our will is said aloud. The
//! state is what counts: whatever happened between two looks, and in whatever order it is told, it
//! is in there.

use crate::actors::busy::Busy;
use crate::journal::watch::Life;
use crate::journal::{Reader, Unjust};
use crate::message::Reason;
use sdpp_ledger::{Amount, ChannelId, LedgerId};
use std::collections::BTreeMap;

/// What one watch has said aloud.
#[derive(Debug, Default)]
pub(super) struct Alarm {
    /// What each channel had paid out by then.
    said: BTreeMap<ChannelId, Amount>,
}

impl Alarm {
    /// After a look at a ledger.
    pub(super) fn look(&mut self, ledger: &LedgerId, reader: &Reader, busy: &Busy) {
        end_sessions(ledger, reader, busy);
        // A journal that cannot be read says so by itself.
        for unjust in reader.unjust().unwrap_or_default() {
            if unjust.ledger == *ledger {
                self.say(&unjust);
            }
        }
    }

    fn say(&mut self, unjust: &Unjust) {
        let Unjust { channel, ledger, settled, vouched } = unjust;
        if self.said.insert(*channel, *settled) != Some(*settled) {
            tracing::error!(
                %channel, %ledger, %settled, %vouched,
                "an unjust claim, or a journal that is older than the truth: more was paid out than \
                 was ever vouched; keep this journal, move what the key that signs vouchers can \
                 spend, and order nothing from that seller until it is explained"
            );
        }
    }
}

fn end_sessions(ledger: &LedgerId, reader: &Reader, busy: &Busy) {
    for channel in busy.serving_on(ledger) {
        // A journal that cannot be read ends every session by itself.
        let Ok(Some(watched)) = reader.watched(&channel) else { continue };
        match watched.life() {
            Life::Over if busy.end(&channel) => {
                tracing::warn!(%channel, "it is closed or withdrawn: its session is ended");
            }
            Life::Closing if busy.stop_selling(&channel, Reason::ChannelClosing) => {
                tracing::warn!(%channel, "its payer asked to close: its session is ended");
            }
            Life::Open | Life::Closing | Life::Over => {}
        }
    }
}
