//! A session under a bond: the verdict of misconduct becomes a complaint, and what comes of that is
//! seen through, a step each time that the command is run.

use super::case::Case;
use crate::cli::bonding::{OnLedger, act_of, step};
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::running::Running;
use crate::dispute::{Body, Bonded, Gather, Keys, judge_own};
use crate::journal::Reader;
use crate::journal::obligation::State;
use crate::message::Moment;
use crate::record::{Record, SignedMessage};
use crate::terms::{Role, SessionId};
use sdpp_ledger::bond::{Demand, Held};
use sdpp_ledger::{Amount, BondAct, Evidence};
use serde_json::{Value, json};

/// A session's bond, and what is to be held against the other side.
pub(super) struct Suit {
    on: OnLedger,
    role: Role,
    /// What can be complained of, the best first.
    complaints: Vec<BondAct>,
    /// What the demand among them asks for.
    asked: Option<Demand>,
}

/// What comes next.
enum Next {
    /// This is to be done.
    Do(BondAct),
    /// The other side may answer until then.
    Wait(u64),
    /// Nothing more.
    Nothing,
}

impl Suit {
    /// Of a session that is under a bond.
    pub(super) async fn find(
        running: &Running,
        case: &Case,
        session: &SessionId,
    ) -> Outcome<Option<Suit>> {
        let Some(under) = case.terms.bond else { return Ok(None) };
        let ledger = &case.terms.currency.ledger;
        let lacks =
            || Failure::usage(format!("the session is on {ledger}, which the config lacks"));
        let ledger = running.ledgers.get(ledger).cloned().ok_or_else(lacks)?;
        let on = OnLedger::find(ledger, under.id).await?;
        let (body, key) = evidence(&running.reader, session)?;
        let none = || Failure::new(Exit::Wrong, "the session's terms make no bond's");
        let bonded = Bonded::open(&body, key.as_ref()).ok_or_else(none)?;
        let mut suit = Suit { on, role: case.role, complaints: Vec::new(), asked: None };
        match case.role {
            Role::Buyer => {
                let verdict = judge_own(&body, &Keys::of(case.role, running.key.public()));
                let verdict = verdict.map_err(|error| Failure::new(Exit::Wrong, error))?;
                suit.complaints = bonded.complaints(&verdict);
            }
            Role::Seller => suit.demands(&bonded, &body),
        }
        Ok(Some(suit))
    }

    /// What the buyer acknowledged and no voucher pays.
    fn demands(&mut self, bonded: &Bonded<'_>, body: &Body) {
        let Some((act, asked)) = bonded.demand() else { return };
        let vouched = body.voucher.as_ref().map_or(Amount::ZERO, |voucher| voucher.amount);
        if vouched < asked.voucher {
            self.complaints.push(act);
            self.asked = Some(asked);
        }
    }

    /// Does all that it is time for, and tells what was done and what is waited for.
    pub(super) async fn pursue(&self, running: &Running) -> Outcome<Value> {
        let (mut steps, mut until_ms) = (Vec::new(), None);
        let mut told = |act: &BondAct, evidence: &Evidence| steps.push(step(act, &evidence.tx));
        if let Some((act, evidence)) = self.on.under_way(running).await? {
            told(&act, &evidence);
        }
        loop {
            match self.next(&running.reader).await? {
                Next::Do(act) => {
                    let evidence = self.on.done(running, act.clone()).await?;
                    told(&act, &evidence);
                }
                Next::Wait(until) => {
                    until_ms = Some(until);
                    break;
                }
                Next::Nothing => break,
            }
        }
        Ok(self.told(&steps, until_ms, &self.on.held().await?))
    }

    async fn next(&self, reader: &Reader) -> Outcome<Next> {
        let held = self.on.held().await?;
        let now_ms = self.on.ledger.status().await?.at_ms;
        let waits = match self.role {
            Role::Buyer => held.challenged_until_ms,
            Role::Seller => held.demanded_until_ms,
        };
        let rows = self.on.rows(reader)?;
        if let Some(until_ms) = waits {
            if now_ms < until_ms {
                return Ok(Next::Wait(until_ms));
            }
            return Ok(match self.role {
                Role::Buyer => Next::Do(BondAct::ConcludeChallenge),
                Role::Seller => match &self.asked {
                    Some(asked) => Next::Do(BondAct::ConcludeDemand { asked: asked.clone() }),
                    None => Next::Nothing,
                },
            });
        }
        // A complaint that was answered is not made a second time.
        let was_made = |act: &BondAct| {
            let is_it = |row: &_| act_of(row) == Some(act);
            rows.iter().any(|row| is_it(row) && matches!(row.state, State::Met { .. }))
        };
        if let Some(act) = self.complaints.iter().find(|act| !was_made(act))
            && self.is_open(&held)
        {
            return Ok(Next::Do(act.clone()));
        }
        let credited = self.on.credited().await?;
        Ok(if credited > Amount::ZERO { Next::Do(BondAct::Withdraw) } else { Next::Nothing })
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

    fn told(&self, steps: &[Value], until_ms: Option<u64>, held: &Held) -> Value {
        json!({
            "bond": self.on.id, "role": self.role, "complaints": self.complaints.len(), "steps": steps, "until_ms": until_ms,
            "of_buyer": held.of_buyer, "of_seller": held.of_seller,
        })
    }
}

/// What a person is told of it.
pub(super) fn lines(told: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or("unknown").to_owned();
    let (id, buyers, sellers) =
        (text(&told["bond"]), text(&told["of_buyer"]), text(&told["of_seller"]));
    let mut lines =
        vec![format!("bond {id}: {buyers} of the buyer's and {sellers} of the seller's")];
    let steps = told["steps"].as_array().into_iter().flatten();
    lines.extend(steps.map(|step| {
        let act = text(&step["act"]).replace('_', " ");
        format!("done: {act}, in {}", text(&step["tx"]))
    }));
    if let Some(until_ms) = told["until_ms"].as_u64() {
        let until = Moment(until_ms);
        lines.push(format!("the other side may answer until {until}: run this again then"));
    }
    lines
}

/// What the journal has of a session, and the seller's `session_key`.
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
