//! What a ledger is asked, what it answers, and the asking itself.

use crate::journal::delivery::{DeliveryId, Numbers};
use crate::journal::entry::Head;
use sdpp_ledger::{
    Account, Call, Claim, Finality, Inclusion, Ledger, LedgerError, LedgerId, Payments, Reference,
    Result, Signed, TxId,
};

/// One thing to ask of a ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Sign a call; nothing leaves yet.
    Prepare {
        /// What is to be done.
        call: Call,
        /// For which obligations.
        references: Vec<Reference>,
        /// The journal's head, where it is the last leaf under the root.
        head: Option<Head>,
        /// The account's next number by the journal.
        numbers: Numbers,
        /// What is on its way: the newest bytes of each.
        live: Vec<Signed>,
        /// A smaller number that nothing of ours uses, if the ledger still waits for it.
        at: Option<u64>,
        /// Whether the ledger has to be asked for its own next number first.
        ask: bool,
        /// How often in a row this has led to nothing.
        tries: u32,
    },
    /// Hand over what is prepared and durable.
    Submit {
        /// The delivery.
        delivery: DeliveryId,
        /// Its bytes.
        signed: Signed,
        /// What was signed before it for the same, the newest last: any of these may be out there.
        older: Vec<Signed>,
        /// How often in a row this has led to nothing.
        tries: u32,
    },
    /// Ask how final it is.
    Finality {
        /// The delivery.
        delivery: DeliveryId,
        /// All bytes that may be mined for it, the newest last.
        variants: Vec<Signed>,
        /// How often in a row this has led to nothing.
        tries: u32,
    },
    /// Sign the same call under the same number for a higher fee; nothing leaves yet.
    Raise {
        /// The delivery.
        delivery: DeliveryId,
        /// All bytes that may be mined for it, the newest last.
        variants: Vec<Signed>,
        /// The account's next number by the journal.
        next: u64,
        /// The numbers of what is on its way.
        live: Vec<u64>,
    },
    /// Sign something without effect under the same number; nothing leaves yet.
    Cancel {
        /// The delivery.
        delivery: DeliveryId,
        /// All bytes that may be mined for it, the newest last.
        variants: Vec<Signed>,
        /// How often in a row this has led to nothing.
        tries: u32,
    },
    /// Hand over once more what is done by the journal, and lost by the ledger: nothing with a
    /// larger number can happen before it.
    Fill {
        /// Its bytes.
        signed: Signed,
    },
    /// Ask whether a claim is true.
    Check {
        /// What it pays for.
        reference: Reference,
        /// The claim under each transaction that was named for it, the newest last.
        claims: Vec<Claim>,
        /// Since when it is to be checked, in milliseconds since 1970 UTC.
        since_ms: u64,
        /// How often in a row this has led to nothing.
        tries: u32,
    },
}

impl Step {
    /// That there was no answer to it.
    pub(super) fn unanswered(&self, error: LedgerError) -> Answer {
        match self {
            Step::Prepare { .. } => Answer::Prepared(Err(error)),
            Step::Raise { .. } => Answer::Raised(Err(error)),
            Step::Cancel { .. } => Answer::Cancelled(Err(error)),
            Step::Submit { .. } | Step::Fill { .. } => Answer::Submitted(Err(error)),
            Step::Finality { .. } | Step::Check { .. } => Answer::Finality(Err(error)),
        }
    }
}

/// What a ledger said to a [`Step`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// To [`Step::Prepare`].
    Prepared(Result<Signed>),
    /// To [`Step::Prepare`] and [`Step::Raise`]: nothing was signed.
    Gap(Gap),
    /// To [`Step::Raise`]; `None` where there is nothing to raise.
    Raised(Result<Option<Signed>>),
    /// To [`Step::Cancel`].
    Cancelled(Result<Signed>),
    /// To [`Step::Submit`] and [`Step::Fill`].
    Submitted(Result<TxId>),
    /// To [`Step::Finality`] and [`Step::Check`].
    Finality(Result<Finality>),
    /// To [`Step::Check`]: the payment is in a block that is not deep enough to be final, and so many
    /// blocks hold it or stand on it.
    Shallow {
        /// At least 1.
        blocks: u64,
    },
}

/// The ledger waits for a number of ours that the journal holds for used up: nothing with a larger
/// one can happen before something with this one does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The ledger.
    pub ledger: LedgerId,
    /// The account.
    pub account: Account,
    /// The number that the ledger waits for.
    pub free: u64,
    /// The account's next number by the journal.
    pub next: u64,
}

impl Gap {
    /// What to tell whoever waits, and what to do about it.
    pub fn error(&self) -> LedgerError {
        let Gap { ledger, account, free, next } = self;
        LedgerError::unavailable(format!(
            "{ledger} waits for number {free} of {account}, and the journal has used all below \
             {next}: the ledger lost a transaction, or is another one than before. What the \
             journal has of it is sent again, else the next thing owed takes the number; if \
             this stays, send any transaction with number {free} from {account}"
        ))
    }
}

/// Asks a ledger. The only thing here that waits for anything.
pub async fn perform(ledger: &dyn Ledger, step: &Step) -> Answer {
    match step {
        Step::Prepare { call, numbers, live, at, ask, .. } => {
            ledger.note_live(live);
            let number = match ask {
                true => number(ledger, numbers, live, *at).await,
                false => Ok(numbers.next),
            };
            match number {
                Ok(number) => Answer::Prepared(sdpp_ledger::prepare(ledger, number, call).await),
                Err(answer) => answer,
            }
        }
        Step::Submit { signed, older, .. } => {
            Answer::Submitted(submit(ledger, signed, older).await)
        }
        Step::Fill { signed } => Answer::Submitted(ledger.submit(signed).await),
        Step::Finality { variants, .. } => Answer::Finality(finality(ledger, variants).await),
        Step::Raise { variants, next, live, .. } => {
            let gap = match ledger.has_numbers() {
                true => gap(ledger, *next, live).await.map(|(_, gap)| gap),
                false => Ok(None),
            };
            match gap {
                Ok(Some(gap)) => Answer::Gap(gap),
                Ok(None) => Answer::Raised(ledger.raise(variants).await),
                Err(error) => Answer::Raised(Err(error)),
            }
        }
        Step::Cancel { variants, .. } => Answer::Cancelled(ledger.cancel(variants).await),
        Step::Check { claims, .. } => match checked(ledger, claims).await {
            Ok(Finality::Pending(Some(place))) => {
                Answer::Shallow { blocks: depth(ledger, &place).await }
            }
            answer => Answer::Finality(answer),
        },
    }
}

/// Hands over the newest that was signed for something, and where that is refused those before it:
/// one that arrived, its answer lost, makes the ledger refuse all others, and one may still be good
/// that offers less. So what is refused is refused of all that may ever happen.
async fn submit(ledger: &dyn Ledger, newest: &Signed, older: &[Signed]) -> Result<TxId> {
    let mut answer = ledger.submit(newest).await;
    for signed in older.iter().rev() {
        if !matches!(answer, Err(LedgerError::Refused { .. })) {
            break;
        }
        let earlier = ledger.submit(signed).await;
        // The newest is what people are told of.
        if !matches!(earlier, Err(LedgerError::Refused { .. })) {
            answer = earlier;
        }
    }
    answer
}

async fn checked(ledger: &dyn Ledger, claims: &[Claim]) -> Result<Finality> {
    match ledger.payments() {
        Some(payments) => paid(payments, claims).await,
        None => Err(LedgerError::refused(
            "NoSuchAbility",
            format!("ledger {} moves no money", ledger.id()),
        )),
    }
}

/// How many blocks there are from this one on: its own at least, where the ledger does not say.
async fn depth(ledger: &dyn Ledger, place: &Inclusion) -> u64 {
    let newest = ledger.status().await.map_or(place.height, |status| status.height);
    newest.saturating_sub(place.height).saturating_add(1)
}

/// The number to sign under: never beyond a gap, but in it where it is ours to fill.
async fn number(
    ledger: &dyn Ledger,
    numbers: &Numbers,
    live: &[Signed],
    at: Option<u64>,
) -> Result<u64, Answer> {
    let live: Vec<u64> = live.iter().map(|signed| signed.number).collect();
    match gap(ledger, numbers.next, &live).await {
        Ok((_, Some(gap))) if at == Some(gap.free) => Ok(gap.free),
        Ok((_, Some(gap))) => Err(Answer::Gap(gap)),
        Ok((free, None)) => Ok(numbers.next.max(free)),
        Err(error) => Err(Answer::Prepared(Err(error))),
    }
}

/// The ledger's next number, and the gap that it shows.
async fn gap(ledger: &dyn Ledger, next: u64, live: &[u64]) -> Result<(u64, Option<Gap>)> {
    let free = ledger.next_number().await?;
    let is_gap = free < next && !live.contains(&free);
    let (id, account) = (ledger.id().clone(), ledger.account().clone());
    Ok((free, is_gap.then_some(Gap { ledger: id, account, free, next })))
}

/// How final something is of which any variant may be mined: what decides for one decides for
/// all, and what is said of all is said of the whole.
async fn finality(ledger: &dyn Ledger, variants: &[Signed]) -> Result<Finality> {
    let mut is_pending = false;
    let mut is_replaced = !variants.is_empty();
    for signed in variants.iter().rev() {
        match ledger.finality(signed).await? {
            Finality::Pending(None) => (is_pending, is_replaced) = (true, false),
            Finality::Unknown => is_replaced = false,
            Finality::Replaced => {}
            decided => return Ok(decided),
        }
    }
    Ok(match (is_pending, is_replaced) {
        (true, _) => Finality::Pending(None),
        (false, true) => Finality::Replaced,
        (false, false) => Finality::Unknown,
    })
}

/// How final a payment is for which several transactions were named: one that pays is enough, and
/// it fails only when all do.
async fn paid(payments: &dyn Payments, claims: &[Claim]) -> Result<Finality> {
    let mut waiting = None;
    let mut failed = None;
    for claim in claims.iter().rev() {
        match payments.paid(claim).await {
            Ok(paid @ (Finality::Final(_) | Finality::Pending(Some(_)))) => return Ok(paid),
            Ok(open @ (Finality::Unknown | Finality::Pending(None))) => waiting = Some(open),
            Err(error @ LedgerError::Unavailable { .. }) => return Err(error),
            over => failed = failed.or(Some(over)),
        }
    }
    match (waiting, failed) {
        (Some(open), _) => Ok(open),
        (None, Some(over)) => over,
        (None, None) => Ok(Finality::Unknown),
    }
}
