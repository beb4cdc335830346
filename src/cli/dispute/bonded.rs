//! A session under a bond: what the other side complains of is answered, the verdict of misconduct becomes
//! a complaint of ours, and what comes of that is seen through, a step each time that the command is run.

use super::case::Case;
use crate::cli::bonding::{OnLedger, act_of};
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::running::Running;
use crate::dispute::{Body, Bonded, Gather, Keys, judge_own, showing};
use crate::journal::Reader;
use crate::journal::obligation::State;
use crate::message::Moment;
use crate::record::{Record, SignedMessage};
use crate::terms::{Role, SessionId};
use sdpp_ledger::bond::{BondChangeKind, Demand, Held};
use sdpp_ledger::{Amount, BondAct, Call, Digest, Redeem, Voucher};
use serde_json::{Value, json};

/// A session's bond, and what is to be held against the other side.
pub(super) struct Suit {
    on: OnLedger,
    role: Role,
    /// What can be complained of, the best first.
    complaints: Vec<BondAct>,
    /// What the demand among them asks for.
    asked: Option<Demand>,
    /// What answers the other side.
    body: Body,
    /// The leaves of our windows, as far as they are kept.
    windows: Vec<Vec<Digest>>,
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
        let Evidence { body, key, windows } = evidence(&running.reader, session)?;
        let none = || Failure::new(Exit::Wrong, "the session's terms make no bond's");
        let bonded = Bonded::open(&body, key.as_ref()).ok_or_else(none)?;
        let (complaints, asked) = match case.role {
            Role::Buyer => {
                let verdict = judge_own(&body, &Keys::of(case.role, running.key.public()));
                let verdict = verdict.map_err(|error| Failure::new(Exit::Wrong, error))?;
                (bonded.complaints(&verdict), None)
            }
            // What the buyer acknowledged and no voucher pays.
            Role::Seller => {
                let vouched = body.voucher.as_ref().map_or(Amount::ZERO, |held| held.amount);
                let unpaid = bonded.demand().filter(|(_, asked)| vouched < asked.voucher);
                unpaid.map_or((Vec::new(), None), |(act, asked)| (vec![act], Some(asked)))
            }
        };
        Ok(Some(Suit { on, role: case.role, complaints, asked, body, windows }))
    }

    /// Does all that it is time for, and tells what was done and what is waited for.
    pub(super) async fn pursue(&self, running: &Running) -> Outcome<Value> {
        let mut until_ms = None;
        let mut steps: Vec<Value> = self.on.under_way(running).await?.into_iter().collect();
        steps.extend(self.answered(running).await?);
        if let Some(redeem) = self.voucher(&running.reader).await? {
            steps.push(self.on.owe(running, Call::Settle(redeem)).await?);
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
        Ok(self.told(&steps, until_ms, &self.on.held().await?))
    }

    /// Answers what the other side complains of, if it does.
    pub(super) async fn answered(&self, running: &Running) -> Outcome<Option<Value>> {
        match self.answer(running).await? {
            Some(act) => self.on.done(running, act).await.map(Some),
            None => Ok(None),
        }
    }

    /// What answers a complaint of the other side's about this session, where one waits and there is
    /// such an answer.
    async fn answer(&self, running: &Running) -> Outcome<Option<BondAct>> {
        let held = self.on.held().await?;
        match self.role {
            Role::Seller if held.challenged_until_ms.is_some() => {
                let challenges = |kind| match kind {
                    BondChangeKind::Challenged { challenge, .. } => Some(challenge),
                    _ => None,
                };
                let asked = self.on.last(&running.reader, challenges).await?;
                let shows = |asked| self.windows.iter().find_map(|leaves| showing(&asked, leaves));
                Ok(asked.and_then(shows))
            }
            Role::Buyer if held.demanded_until_ms.is_some() => {
                let demands = |kind| match kind {
                    BondChangeKind::Demanded { demand, .. } => Some(demand),
                    _ => None,
                };
                let asked = self.on.last(&running.reader, demands).await?;
                let asked = asked.filter(|asked| asked.session == self.body.session.0);
                asked.map(|asked| self.refute_or_pay(running, asked)).transpose()
            }
            _ => Ok(None),
        }
    }

    /// Seller: the voucher that the buyer answered with, where it brings anything.
    async fn voucher(&self, reader: &Reader) -> Outcome<Option<Redeem>> {
        if self.role == Role::Buyer || self.on.held().await?.answered == Amount::ZERO {
            return Ok(None);
        }
        let paid = |kind| match kind {
            BondChangeKind::Paid { amount, signature } => Some((amount, signature?)),
            _ => None,
        };
        let channel = self.on.bond.channel;
        let Some((amount, signature)) = self.on.last(reader, paid).await? else { return Ok(None) };
        let Some(escrow) = self.on.ledger.escrow() else { return Ok(None) };
        let open = escrow.channel(&channel).await?.filter(|one| !one.finalized);
        let is_more = open.is_some_and(|one| one.settled < amount);
        Ok(is_more.then_some(Redeem { channel, amount, signature }))
    }

    /// A receipt, where there is one; else a voucher, within what was ever to be vouched.
    fn refute_or_pay(&self, running: &Running, asked: Demand) -> Outcome<BondAct> {
        if let Some(act) = Bonded::open(&self.body, None).and_then(|one| one.refutation(&asked)) {
            return Ok(act);
        }
        let (channel, amount) = (self.on.bond.channel, asked.voucher);
        let ceiling = running.reader.channel(&channel)?.and_then(|facts| facts.ceiling);
        if ceiling.is_none_or(|ceiling| amount > ceiling) {
            let ceiling = ceiling.unwrap_or_default();
            let why = format!(
                "bond {}: the seller asks for a voucher of {amount}, above the {ceiling} that was \
                 ever to be vouched on channel {channel}: it is not answered",
                self.on.id
            );
            return Err(Failure::new(Exit::Failed, why));
        }
        let no_escrow = || Failure::usage(format!("ledger {} has no escrow", self.on.ledger.id()));
        let domain = self.on.ledger.escrow().ok_or_else(no_escrow)?.domain();
        let signature = Voucher { channel, amount }.sign(domain, &running.key);
        Ok(BondAct::Pay { asked, amount, signature })
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
                Role::Buyer => Next::Do(Box::new(BondAct::ConcludeChallenge)),
                Role::Seller => match &self.asked {
                    Some(asked) => {
                        let asked = asked.clone();
                        Next::Do(Box::new(BondAct::ConcludeDemand { asked }))
                    }
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
            return Ok(Next::Do(Box::new(act.clone())));
        }
        let credited = self.on.credited().await?;
        Ok(if credited > Amount::ZERO {
            Next::Do(Box::new(BondAct::Withdraw))
        } else {
            Next::Nothing
        })
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

/// What the journal has of a session under a bond.
struct Evidence {
    body: Body,
    /// The seller's `session_key`.
    key: Option<SignedMessage>,
    /// The leaves of each window.
    windows: Vec<Vec<Digest>>,
}

fn evidence(reader: &Reader, session: &SessionId) -> Outcome<Evidence> {
    let (mut gather, mut key, mut windows) = (Gather::new(*session), None, Vec::new());
    reader.each_session_entry(session, |entry| {
        match &entry.record {
            Record::Epoch { key: Some(message), .. } => {
                key.get_or_insert_with(|| message.as_ref().clone());
            }
            Record::Invoice { leaves, .. } => windows.push(leaves.as_slice().to_vec()),
            _ => {}
        }
        gather.take(&entry);
    })?;
    let body = gather.body(Moment(0), &[]);
    let body = body.map_err(|error| Failure::new(Exit::Wrong, error))?;
    Ok(Evidence { body, key, windows })
}
