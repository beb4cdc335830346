//! A session under a bond: what the other side complains of is answered, the verdict of misconduct becomes
//! a complaint of ours, and what comes of that is seen through, a step each time that the command is run.

use super::case::Case;
use super::shown::{challenge, demand, shown};
use crate::actors::Ledgers;
use crate::actors::funds::lack;
use crate::cli::bonding::{OnLedger, append, is_met, is_refused, name};
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::running::{Running, aside};
use crate::dispute::{Body, Bonded, Gather, Keys, judge_own};
use crate::journal::bonds::{act_of, bond_act};
use crate::journal::{Obligation, Reader};
use crate::message::Moment;
use crate::record::{Act, Owed, Record, SignedMessage};
use crate::terms::{Role, SessionId};
use sdpp_ledger::bond::{Demand, Held};
use sdpp_ledger::{Amount, Approve, BondAct, Call, Key, LedgerError, TopUp, Voucher};
use serde_json::{Value, json};

/// The most answers to one complaint: leave for a token there and here, taking back our request to close, and
/// the answer.
const ANSWERS_AT_MOST: usize = 4;

/// The time that leave for a token takes until something can be done with it, by how late a ledger is heard
/// of: it must be final, and what follows is to be in time yet.
const LAGS_OF_LEAVE: u64 = 2;

/// The same of a refutation that is refused at its end, leave, our request to close taken back, and a payment.
const LAGS_OF_TRY: u64 = 4;

/// What is left for the rounds in which all that is looked at, in milliseconds.
const ROUNDS_MS: u64 = 180_000;

/// Where everything is that a suit is made from.
pub(super) struct Chamber<'a> {
    /// The journal, to read.
    pub(super) reader: &'a Reader,
    /// Our ledgers.
    pub(super) ledgers: &'a Ledgers,
    /// The key that signs messages.
    pub(super) key: &'a Key,
}

/// A session's bond, and what is to be held against the other side.
pub(super) struct Suit {
    on: OnLedger,
    role: Role,
    /// What can be complained of, the best first.
    complaints: Vec<BondAct>,
    /// Why the other side's conduct could not be judged.
    unjudged: Option<String>,
    /// What the demand among them asks for.
    asked: Option<Demand>,
    /// What answers the other side.
    body: Body,
    /// The most that our challenges under this bond may stake in all, where that was said.
    stake_at_most: Option<Amount>,
    /// Nobody typed it: a person decides on each stake but the first.
    is_by_itself: bool,
}

/// What comes next.
enum Next {
    /// This is to be done.
    Do(Box<BondAct>),
    /// The other side may answer until then.
    Wait(u64),
    /// Nothing more.
    Nothing,
}

impl<'a> Chamber<'a> {
    pub(super) fn of(running: &'a Running) -> Chamber<'a> {
        Chamber { reader: &running.reader, ledgers: &running.ledgers, key: &running.key }
    }
}

impl Suit {
    /// Of a session that is under a bond.
    pub(super) async fn find(
        Chamber { reader, ledgers, key: own }: &Chamber<'_>,
        case: &Case,
        session: &SessionId,
    ) -> Outcome<Option<Suit>> {
        let Some(under) = case.terms.bond else { return Ok(None) };
        let ledger = &case.terms.currency.ledger;
        let lacks =
            || Failure::usage(format!("the session is on {ledger}, which the config lacks"));
        let ledger = ledgers.get(ledger).cloned().ok_or_else(lacks)?;
        let on = OnLedger::find(reader, ledger, under.id).await?;
        let (journal, id, role) = (Reader::clone(reader), *session, case.role);
        let keys = Keys::of(role, own.public());
        let gathered = aside(move || gathered(&journal, &id, role, &keys)).await?;
        let Gathered { body, mut complaints, mut asked, unjudged } = gathered;
        // What the buyer acknowledged and no voucher pays, once nothing is signed any more that could refute
        // a demand.
        if let Some(demand) = &asked {
            let has_ended = reader.session(session)?.is_some_and(|one| one.ended.is_some());
            // A later session's voucher pays for this one too, and so does one that answered in public.
            let best = reader.channel(&on.bond.channel)?.and_then(|facts| facts.voucher);
            let vouched = best.map_or(Amount::ZERO, |(amount, _)| amount);
            if !has_ended || vouched >= demand.voucher {
                (complaints, asked) = (Vec::new(), None);
            }
        }
        let (stake_at_most, is_by_itself) = (None, false);
        Ok(Some(Suit { on, role, complaints, unjudged, asked, body, stake_at_most, is_by_itself }))
    }

    /// The same, where challenges may stake so much in all.
    pub(super) fn staking(self, stake_at_most: Option<Amount>) -> Suit {
        Suit { stake_at_most, ..self }
    }

    /// Does all that it is time for, and tells what was done and what is waited for.
    pub(super) async fn pursue(&self, running: &Running) -> Outcome<Value> {
        let (mut until_ms, mut steps) = (None, Vec::new());
        // Trouble with an answer keeps nobody from a complaint of its own.
        let failed = self.answer_all(running, &mut steps).await.err();
        if self.role == Role::Seller {
            self.on.keep_voucher(running, &self.on.held().await?).await?;
        }
        loop {
            match self.next(&running.reader).await? {
                Next::Do(act) => steps.push(self.on.done(running, *act).await?),
                Next::Wait(until) => {
                    until_ms = Some(until);
                    break;
                }
                Next::Nothing => break,
            }
        }
        let held = self.on.held().await?;
        let mut told = self.told(&running.reader, &steps, until_ms, &held)?;
        told["failed"] = json!(failed.map(|failure| failure.to_string()));
        Ok(told)
    }

    /// Goes on with what is under way, and answers what the other side complains of.
    async fn answer_all(&self, running: &Running, steps: &mut Vec<Value>) -> Outcome {
        steps.extend(self.on.under_way(running).await?.map(|(_, step)| step));
        for _ in 0..ANSWERS_AT_MOST {
            let Some(owed) = self.answered(running).await? else { break };
            steps.push(self.on.wait(running, &owed).await?);
        }
        Ok(())
    }

    /// What would be done next, and what that takes; nothing is.
    pub(super) async fn planned(&self, chamber: &Chamber<'_>) -> Outcome<Value> {
        let next = match self.answer(chamber).await? {
            Some(call) => Some(Act::Do(call)),
            None => match self.next(chamber.reader).await? {
                Next::Do(act) => Some(Act::Do(self.on.call(*act))),
                Next::Wait(_) | Next::Nothing => None,
            },
        };
        let takes =
            |act| bond_act(act).map(|act| act.takes(&self.on.bond, self.on.ledger.account()));
        let mut told = self.told(chamber.reader, &[], None, &self.on.held().await?)?;
        told["next"] = json!(next.as_ref().map(name));
        told["takes"] = json!(next.as_ref().and_then(takes));
        Ok(told)
    }

    /// Has the next thing owed that answers the other side, where it complains.
    pub(super) async fn answered(&self, running: &Running) -> Outcome<Option<Owed>> {
        let Some(call) = self.answer(&Chamber::of(running)).await? else { return Ok(None) };
        if let Call::Bond(bonding) = &call
            && let BondAct::Pay { amount, .. } = bonding.act
        {
            self.vouched(running, amount).await?;
        }
        self.on.begin(running, call).await.map(Some)
    }

    /// What we sign a voucher for is on disk before it, and the next session begins there.
    async fn vouched(&self, running: &Running, amount: Amount) -> Outcome {
        let channel = self.on.bond.channel;
        let known = running.reader.channel(&channel)?.unwrap_or_default();
        if known.ceiling.is_some_and(|ceiling| ceiling > amount) {
            return Ok(());
        }
        if known.ceiling != Some(amount) {
            append(running, Record::Ceiling { channel, amount }).await?;
        }
        if known.spent.is_some_and(|spent| spent < amount) {
            append(running, Record::Spent { channel, amount, kept: true }).await?;
        }
        Ok(())
    }

    /// What answers a complaint of the other side's about this session, or comes before that, where one
    /// waits, there is time, and there is such an answer.
    async fn answer(&self, chamber: &Chamber<'_>) -> Outcome<Option<Call>> {
        let held = self.on.held().await?;
        let until_ms = match self.role {
            Role::Seller => held.challenged_until_ms,
            Role::Buyer => held.demanded_until_ms,
        };
        let now_ms = self.on.ledger.status().await?.at_ms;
        let left_ms = until_ms.unwrap_or_default().saturating_sub(now_ms);
        if left_ms == 0 {
            return Ok(None);
        }
        let act = match self.role {
            Role::Seller => {
                let Some(asked) = self.on.last(challenge).await? else { return Ok(None) };
                let (reader, bond) = (chamber.reader.clone(), self.on.id);
                aside(move || shown(&reader, &bond, &asked)).await?
            }
            Role::Buyer => {
                let asked = self.demanded().await?;
                let Some(asked) = asked.filter(|asked| asked.session == self.body.session.0) else {
                    return Ok(None);
                };
                let bonded = Bonded::open(&self.body, None);
                match bonded.and_then(|one| one.refutation(&asked)) {
                    Some(act) if self.is_tried(chamber.reader, &act, left_ms).await? => Some(act),
                    // What is refused is no answer: to pay is, and costs a fee.
                    _ => match self.payment(chamber, asked, left_ms).await? {
                        Call::Bond(bonding) => Some(bonding.act),
                        before => return Ok(Some(before)),
                    },
                }
            }
        };
        let Some(act) = act else { return Ok(None) };
        let leave = self.on.leave(&act).await?;
        Ok(Some(leave.unwrap_or_else(|| self.on.call(act))))
    }

    /// Whether what refutes a demand is tried: once more after a refusal, as an account may lack gas for a
    /// moment and an endpoint be a block behind, where there is time for that and for a payment after it.
    async fn is_tried(&self, reader: &Reader, act: &BondAct, left_ms: u64) -> Outcome<bool> {
        Ok(match self.refusals(reader, act)? {
            0 => true,
            1 => {
                let takes_ms = self.on.lag_ms().await?.saturating_mul(LAGS_OF_TRY);
                left_ms > takes_ms.saturating_add(ROUNDS_MS)
            }
            _ => false,
        })
    }

    /// How often the ledger has refused this very thing.
    fn refusals(&self, reader: &Reader, act: &BondAct) -> Outcome<usize> {
        let rows = reader.bond_rows(&self.on.id)?;
        Ok(rows.iter().filter(|row| act_of(row) == Some(act) && is_refused(row)).count())
    }

    /// What the seller asks for, as the contract has it.
    async fn demanded(&self) -> Outcome<Option<Demand>> {
        self.on.last(demand).await
    }

    /// A voucher for what is asked: the contract takes no demand for more than we have signed for, and our
    /// journal has no acks of ours to hold against it. Beside it the money, so that no close in front of it
    /// is in its way. A request of ours to close is taken back before.
    async fn payment(&self, chamber: &Chamber<'_>, asked: Demand, left_ms: u64) -> Outcome<Call> {
        let (channel, amount) = (self.on.bond.channel, asked.voucher);
        let no_escrow = || Failure::usage(format!("ledger {} has no escrow", self.on.ledger.id()));
        let escrow = self.on.ledger.escrow().ok_or_else(no_escrow)?;
        let gone = || Failure::new(Exit::Ledger, format!("its ledger shows no channel {channel}"));
        let shown = escrow.channel(&channel).await?.ok_or_else(gone)?;
        if shown.close_requested_ms.is_some() && !shown.finalized {
            let (asset, least) = (shown.asset, Amount::new(1));
            return Ok(match escrow.needs_approval(&asset, least).await? {
                true => Call::Approve(Approve { asset }),
                false => Call::TopUp(TopUp { channel, amount: least }),
            });
        }
        let signature = Voucher { channel, amount }.sign(escrow.domain(), chamber.key);
        let pay = |most| BondAct::Pay { asked: asked.clone(), amount, signature, most };
        let due = amount.saturating_sub(shown.settled);
        let goes_alone = !shown.finalized
            && (self.lacks(due).await?
                || self.refusals(chamber.reader, &pay(due))? > 0
                || self.is_late(&pay(due), left_ms).await?);
        Ok(self.on.call(pay(if goes_alone { Amount::ZERO } else { due })))
    }

    /// Whether we have too little to send so much beside a voucher. A voucher alone is good for as long as its
    /// channel is open.
    async fn lacks(&self, due: Amount) -> Result<bool, LedgerError> {
        let lack = lack(self.on.ledger.as_ref(), &self.on.bond.asset, due).await?;
        if let Some(lack) = &lack {
            tracing::warn!(bond = %self.on.id, "the voucher goes without money beside it: {lack}");
        }
        Ok(lack.is_some())
    }

    /// Whether leave for what goes along would be final too late: a voucher alone needs none.
    async fn is_late(&self, act: &BondAct, left_ms: u64) -> Outcome<bool> {
        let waits_ms = self.on.lag_ms().await?.saturating_mul(LAGS_OF_LEAVE);
        Ok(left_ms < waits_ms && self.on.leave(act).await?.is_some())
    }

    async fn next(&self, reader: &Reader) -> Outcome<Next> {
        let held = self.on.held().await?;
        let now_ms = self.on.ledger.status().await?.at_ms;
        let over = |act| Ok(Next::Do(Box::new(act)));
        match (self.role, held.challenged_until_ms, held.demanded_until_ms) {
            (Role::Buyer, Some(until_ms), _) if now_ms >= until_ms => {
                return over(BondAct::ConcludeChallenge);
            }
            (Role::Buyer, Some(until_ms), _) => return Ok(Next::Wait(until_ms)),
            (Role::Seller, _, Some(until_ms)) => {
                let lost =
                    || Failure::new(Exit::Ledger, "its ledger does not show what was demanded");
                let asked = self.demanded().await?.ok_or_else(lost)?;
                return match now_ms >= until_ms || self.is_paid(&asked).await? {
                    true => over(BondAct::ConcludeDemand { asked }),
                    false => Ok(Next::Wait(until_ms)),
                };
            }
            _ => {}
        }
        let rows = reader.bond_rows(&self.on.id)?;
        if let Some((act, None)) = self.complaint(&rows, &held) {
            return over(act.clone());
        }
        let credited = self.on.credited().await?;
        if credited > Amount::ZERO {
            return over(BondAct::Withdraw);
        }
        Ok(Next::Nothing)
    }

    /// Whether the channel has paid what is asked for.
    async fn is_paid(&self, asked: &Demand) -> Outcome<bool> {
        let Some(escrow) = self.on.ledger.escrow() else { return Ok(false) };
        let shown = escrow.channel(&self.on.bond.channel).await?;
        Ok(shown.is_some_and(|channel| channel.settled >= asked.voucher))
    }

    /// Whether there is a bond to lose, that a complaint of this side can still be about.
    fn is_open(&self, held: &Held) -> bool {
        let is_in = held.buyer_in && held.seller_in;
        is_in
            && match self.role {
                Role::Buyer => held.of_seller > Amount::ZERO,
                Role::Seller => {
                    let more = self.asked.as_ref().is_some_and(|a| a.voucher > held.answered);
                    held.of_buyer > Amount::ZERO && more
                }
            }
    }

    /// The next complaint, where it can be made; else one that is kept back, and why. None is made while another
    /// waits for its answer, and one that was answered not a second time.
    fn complaint(&self, rows: &[Obligation], held: &Held) -> Option<(&BondAct, Option<String>)> {
        let made: Vec<_> = rows.iter().filter(|row| is_met(row)).filter_map(act_of).collect();
        let is_new = |act: &&BondAct| {
            let is_it = |made: &&BondAct| {
                *made == *act || act.sought().is_some_and(|sought| made.sought() == Some(sought))
            };
            !made.iter().any(is_it)
        };
        let waits = match self.role {
            Role::Buyer => held.challenged_until_ms,
            Role::Seller => held.demanded_until_ms,
        };
        let is_open = self.is_open(held) && waits.is_none();
        let new = self.complaints.iter().filter(|_| is_open).filter(is_new);
        let mut new: Vec<_> = new.map(|act| (act, self.costs_too_much(act, &made))).collect();
        let at = new.iter().position(|(_, why)| why.is_none()).unwrap_or_default();
        (!new.is_empty()).then(|| new.swap_remove(at))
    }

    /// Each challenge that is answered costs its stake: no more is staked than would be won. Which item a root
    /// leaves out is not known, and whether an item is of its dataset only its seller knows. It may have left out
    /// none, or sent the item without its way, so that we ask: of a dataset, or by itself, that is done once
    /// under a bond.
    fn costs_too_much(&self, act: &BondAct, made: &[&BondAct]) -> Option<String> {
        let challenges = made.iter().filter(|one| one.is_challenge()).count() as u128;
        let staked = self.on.bond.stake.units().saturating_mul(challenges + 1);
        let won = self.on.bond.seller_amount.units().div_ceil(2);
        let is_worth = match self.stake_at_most {
            Some(most) => staked <= most.units(),
            None if self.is_by_itself || act.sought().is_some() => challenges == 0 && staked <= won,
            None => staked <= won,
        };
        let is_kept = act.is_challenge() && !is_worth;
        is_kept.then(|| {
            format!(
                "{challenges} complaints under this bond were answered, each for its stake, and another \
                 would make that {staked} in all, {won} to be won: --stake {staked} makes it"
            )
        })
    }

    fn told(
        &self,
        reader: &Reader,
        steps: &[Value],
        until_ms: Option<u64>,
        held: &Held,
    ) -> Outcome<Value> {
        let rows = reader.bond_rows(&self.on.id)?;
        let kept_back = self.complaint(&rows, held).and_then(|(_, why)| why);
        Ok(json!({
            "bond": self.on.id, "session": self.body.session, "role": self.role,
            "complaints": self.complaints.len(), "steps": steps, "until_ms": until_ms, "why": self.unjudged.clone().or(kept_back),
            "of_buyer": held.of_buyer, "of_seller": held.of_seller,
        }))
    }
}

/// What can be complained of in a session that has just ended is, once, where it is under a bond. What we are
/// asked for ourselves is answered elsewhere.
pub(in crate::cli) async fn complain(
    running: &Running,
    session: &SessionId,
) -> Outcome<Option<Value>> {
    let case = Case::find(&running.reader, session, None)?;
    let Some(suit) = Suit::find(&Chamber::of(running), &case, session).await? else {
        return Ok(None);
    };
    let suit = Suit { is_by_itself: true, ..suit };
    let mut steps: Vec<Value> =
        suit.on.under_way(running).await?.into_iter().map(|(_, step)| step).collect();
    let rows = running.reader.bond_rows(&suit.on.id)?;
    if let Some((act, None)) = suit.complaint(&rows, &suit.on.held().await?) {
        steps.push(suit.on.done(running, act.clone()).await?);
    }
    let held = suit.on.held().await?;
    suit.told(&running.reader, &steps, held.challenged_until_ms, &held).map(Some)
}

/// What a session under a bond left behind.
struct Gathered {
    body: Body,
    complaints: Vec<BondAct>,
    asked: Option<Demand>,
    unjudged: Option<String>,
}

/// What the journal has of a session under a bond, and what that gives against the other side.
fn gathered(reader: &Reader, session: &SessionId, role: Role, keys: &Keys) -> Outcome<Gathered> {
    let (body, key) = evidence(reader, session)?;
    let none = || Failure::new(Exit::Wrong, "the session's terms make no bond's");
    let bonded = Bonded::open(&body, key.as_ref()).ok_or_else(none)?;
    let (mut complaints, mut asked, mut unjudged) = (Vec::new(), None, None);
    match role {
        Role::Buyer => match judge_own(&body, keys) {
            Ok(verdict) => complaints = bonded.complaints(&verdict),
            // What we are asked for is answered all the same.
            Err(error) => unjudged = Some(error.to_string()),
        },
        Role::Seller => {
            if let Some((act, demand)) = bonded.demand() {
                (complaints, asked) = (vec![act], Some(demand));
            }
        }
    }
    Ok(Gathered { body, complaints, asked, unjudged })
}

/// What the journal has of a session under a bond, and the seller's `session_key`.
fn evidence(reader: &Reader, session: &SessionId) -> Outcome<(Body, Option<SignedMessage>)> {
    let (mut gather, mut key) = (Gather::new(*session), None);
    reader.each_session_entry(session, |entry| {
        if let Record::Epoch { key: Some(message), .. } = &entry.record {
            key.get_or_insert_with(|| message.as_ref().clone());
        }
        gather.take(&entry);
    })?;
    let body = gather.body(Moment(0), &[]);
    Ok((body.map_err(|error| Failure::new(Exit::Wrong, error))?, key))
}
