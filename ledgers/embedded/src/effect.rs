//! What a call did: what it moved, and what its escrow tells of it.

use crate::Refusal;
use crate::escrow::id_of;
use crate::state::{Setting, State};
use sdpp_ledger::{Amount, Batch, ChangeKind, Channel, ChannelId, Open, Redeem, Row};

/// The most rows that one batch has here: what fits [`crate::TX_BYTES_MAX`].
pub const BATCH_ROWS_MAX: usize = 50;

/// What a call did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Effect {
    /// What it moved to a payee, in all rows of a batch.
    pub amount: Amount,
    /// What became of each row of a batch.
    pub rows: Vec<Row>,
    /// What happened to channels, in order.
    pub changes: Vec<(ChannelId, ChangeKind)>,
}

/// One of the escrow's calls on one channel.
type Act<'a> = &'a dyn Fn(&mut State) -> Result<Amount, Refusal>;

impl Effect {
    /// What moves money and touches no channel.
    pub fn of(amount: Amount) -> Self {
        Effect { amount, ..Effect::default() }
    }
}

impl State {
    /// Does something to a channel and tells what that changed: nothing, where it is as it was.
    pub(crate) fn change(
        &mut self,
        id: ChannelId,
        kind: impl Fn(&Channel) -> ChangeKind,
        act: Act<'_>,
    ) -> Result<Effect, Refusal> {
        let before = self.channels.get(&id).cloned();
        let amount = act(self)?;
        let after = self.channels.get(&id);
        let changed = after.filter(|after| before.as_ref() != Some(after));
        let changes = changed.map(|after| (id, kind(after))).into_iter().collect();
        Ok(Effect { amount, rows: Vec::new(), changes })
    }

    /// Opens a channel.
    pub(crate) fn opened(&mut self, open: &Open, setting: Setting<'_>) -> Result<Effect, Refusal> {
        let kind = |channel: &Channel| ChangeKind::Opened { deposit: channel.deposit };
        let id = id_of(open, setting);
        self.change(id, kind, &|state| state.open(open, setting))
    }

    /// Takes what a voucher allows.
    pub(crate) fn settled(
        &mut self,
        redeem: &Redeem,
        setting: Setting<'_>,
    ) -> Result<Effect, Refusal> {
        let kind = |channel: &Channel| ChangeKind::Settled { settled: channel.settled };
        self.change(redeem.channel, kind, &|state| state.settle(redeem, setting))
    }

    /// Takes what a voucher allows, and ends the channel.
    pub(crate) fn closed(
        &mut self,
        redeem: &Redeem,
        setting: Setting<'_>,
    ) -> Result<Effect, Refusal> {
        let kind = |channel: &Channel| ChangeKind::Closed { settled: channel.settled };
        self.change(redeem.channel, kind, &|state| state.close(redeem, setting))
    }

    /// Redeems each row as if it were alone; one that is refused is passed over and told.
    pub(crate) fn each_row(
        &mut self,
        batch: &Batch,
        mut redeem: impl FnMut(&mut State, &Redeem) -> Result<Effect, Refusal>,
    ) -> Result<Effect, Refusal> {
        check_rows(batch)?;
        let mut all = Effect::default();
        for row in &batch.rows {
            let (done, refused) = match redeem(self, row) {
                Ok(done) => (done, None),
                Err(refusal) => (Effect::default(), Some(refusal.code.to_owned())),
            };
            all.rows.push(Row { channel: row.channel, amount: done.amount, refused });
            all.changes.extend(done.changes);
            // A batch can pay in many assets; what each row moved is told with it.
            let sum = all.amount.checked_add(done.amount);
            all.amount = sum.unwrap_or(Amount::new(u128::MAX));
        }
        Ok(all)
    }
}

/// Whether a batch has no more rows than one may have.
pub(crate) fn check_rows(batch: &Batch) -> Result<(), Refusal> {
    if batch.rows.len() <= BATCH_ROWS_MAX {
        return Ok(());
    }
    let why = format!("{} rows, at most {BATCH_ROWS_MAX} are taken", batch.rows.len());
    Err(Refusal::new("BatchTooLarge", why))
}

/// Deposits are held without asking first.
pub(crate) fn nothing_to_approve() -> Refusal {
    Refusal::new("NothingToApprove", "this ledger's escrow needs no leave to take a deposit")
}

/// What a call of bonds is told here.
pub(crate) fn no_bonds() -> Refusal {
    Refusal::new("NoSuchAbility", "this ledger holds no bonds")
}
