//! What only a ledger can tell: whether it holds what the journal says that it holds, and how the
//! journal's channels stand there now.
//!
//! Whatever shares a transaction is asked once, and a bounded number of questions wait for their
//! answers at a time; what is found does not depend on the order in which those come.

use crate::audit::{Escrowed, Expected, Problem, Report, Seen};
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::config::Config;
use crate::config::ledgers::Opened;
use sdpp_ledger::{Channel, Finality, Ledger, LedgerError, LedgerId, Reference, TxId};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use tokio::task::JoinSet;

/// How many questions wait for their answers at once.
const ASKED_AT_ONCE: usize = 16;

/// Open ledgers by id.
pub(super) type ById = BTreeMap<LedgerId, Arc<dyn Ledger>>;

/// What the ledgers said of channels, by their places in [`Report::escrowed`].
#[derive(Default)]
pub(super) struct Words {
    /// What a channel is there, and what that is beside the journal's word.
    pub(super) channels: HashMap<usize, (Option<Channel>, Seen)>,
}

/// Asks the ledgers of a config for each check and each channel, and adds what differs to the
/// report.
///
/// The outcome is an error where a ledger cannot be reached, or the config does not name one. What
/// the others said is in the report all the same.
pub(super) async fn ask(report: &mut Report, config: &Config) -> (Words, Outcome) {
    let has_checks = report.statements.iter().any(|one| one.checks().next().is_some());
    if !has_checks && report.escrowed.is_empty() {
        return (Words::default(), Ok(()));
    }
    let (ledgers, missing) = open(config).await;
    let (words, answered) = ask_all(report, &ledgers).await;
    (words, missing.and(answered))
}

/// As [`ask`], of ledgers that are open.
pub(super) async fn ask_all(report: &mut Report, ledgers: &ById) -> (Words, Outcome) {
    let questions = questions(report);
    let answers = answers(&questions, ledgers).await;
    let (mut words, mut missing) = (Words::default(), Ok(()));
    for (question, answer) in questions.into_iter().zip(answers) {
        match (question.of, answer) {
            (_, Err(failure)) => missing = missing.and(Err(failure)),
            (Of::Tx { askers, .. }, Ok(Answer::Tx(Some(what)))) => {
                askers.iter().for_each(|asker| asker.doubt(report, &what));
            }
            (Of::Channel { place, .. }, Ok(Answer::Channel(there, seen))) => {
                differs_on_channel(report, place, &question.ledger, &seen);
                words.channels.insert(place, (there, seen));
            }
            _ => {}
        }
    }
    report.problems.sort_by_key(Problem::place);
    (words, missing)
}

async fn open(config: &Config) -> (ById, Outcome) {
    let (mut ledgers, mut missing) = (ById::new(), Ok(()));
    for name in config.ledgers.keys() {
        match Opened::open_to_read(config, name).await {
            Ok(opened) => {
                let ledger = Arc::clone(opened.ledger());
                ledgers.insert(ledger.id().clone(), ledger);
            }
            Err(error) => missing = missing.and(Err(error.into())),
        }
    }
    (ledgers, missing)
}

/// A question to a ledger.
struct Question {
    ledger: LedgerId,
    of: Of,
}

enum Of {
    Tx { what: Expected, askers: Vec<Asker> },
    Channel { place: usize, channel: Box<Escrowed> },
}

/// Where a report says what a ledger is asked for.
struct Asker {
    statement: usize,
    entry: u64,
    reference: Reference,
}

enum Answer {
    /// What it says otherwise.
    Tx(Option<String>),
    Channel(Option<Channel>, Seen),
}

impl Asker {
    fn doubt(&self, report: &mut Report, what: &str) {
        let statement = &mut report.statements[self.statement];
        for line in statement.anchors.iter_mut().filter(|line| line.reference == self.reference) {
            line.ok = false;
        }
        let problem = Problem::new(self.entry, Some(statement.session), what.to_owned());
        statement.problems.push(problem.clone());
        report.problems.push(problem);
    }
}

/// Everything that is to be asked, each thing once: many records may stand under one root.
fn questions(report: &Report) -> Vec<Question> {
    let mut questions: Vec<Question> = Vec::new();
    let mut places: HashMap<(Arc<LedgerId>, TxId), Vec<usize>> = HashMap::new();
    for (statement, one) in report.statements.iter().enumerate() {
        for check in one.checks() {
            let asker = Asker { statement, entry: check.entry, reference: check.reference };
            let same = places.entry((Arc::clone(&check.ledger), tx_of(&check.what).clone()));
            let same = same.or_default();
            let is_it = |place: &&usize| matches!(&questions[**place].of, Of::Tx { what, .. } if *what == check.what);
            match same.iter().find(is_it).copied() {
                Some(place) => {
                    if let Of::Tx { askers, .. } = &mut questions[place].of {
                        askers.push(asker);
                    }
                }
                None => {
                    same.push(questions.len());
                    let of = Of::Tx { what: check.what, askers: vec![asker] };
                    questions.push(Question { ledger: (*check.ledger).clone(), of });
                }
            }
        }
    }
    for (place, channel) in report.escrowed.iter().enumerate() {
        let (ledger, channel) = (channel.ledger.clone(), Box::new(channel.clone()));
        questions.push(Question { ledger, of: Of::Channel { place, channel } });
    }
    questions
}

fn tx_of(what: &Expected) -> &TxId {
    match what {
        Expected::Anchored(tx, _) => tx,
        Expected::Paid(claim) => &claim.tx,
    }
}

/// The answers, in the order of the questions.
async fn answers(questions: &[Question], ledgers: &ById) -> Vec<Outcome<Answer>> {
    let mut asking = JoinSet::new();
    let mut answers: Vec<Option<Outcome<Answer>>> = questions.iter().map(|_| None).collect();
    for (place, Question { ledger, of }) in questions.iter().enumerate() {
        let Some(opened) = ledgers.get(ledger).map(Arc::clone) else {
            answers[place] = Some(Err(unknown(ledger)));
            continue;
        };
        if asking.len() >= ASKED_AT_ONCE {
            take_next(&mut asking, &mut answers).await;
        }
        match of {
            Of::Tx { what, .. } => {
                let what = what.clone();
                asking.spawn(async move { (place, said(opened.as_ref(), &what).await) });
            }
            Of::Channel { channel, .. } => {
                let channel = channel.clone();
                asking.spawn(async move { (place, stands(opened.as_ref(), &channel).await) });
            }
        }
    }
    while !asking.is_empty() {
        take_next(&mut asking, &mut answers).await;
    }
    let lost = || Err(Failure::new(Exit::Failed, "a question to a ledger was cut off"));
    answers.into_iter().map(|answer| answer.unwrap_or_else(lost)).collect()
}

async fn take_next(
    asking: &mut JoinSet<(usize, Outcome<Answer>)>,
    answers: &mut [Option<Outcome<Answer>>],
) {
    if let Some(Ok((place, answer))) = asking.join_next().await {
        answers[place] = Some(answer);
    }
}

/// What a ledger says otherwise than the journal.
async fn said(ledger: &dyn Ledger, what: &Expected) -> Outcome<Answer> {
    let lacks =
        |what: &str| Err(LedgerError::refused("NoSuchAbility", format!("it keeps no {what}")));
    let said = match what {
        Expected::Anchored(tx, anchor) => match ledger.records() {
            Some(records) => records.anchored(tx, anchor).await,
            None => lacks("records"),
        },
        Expected::Paid(claim) => match ledger.payments() {
            Some(payments) => payments.paid(claim).await,
            None => lacks("payments"),
        },
    };
    let (id, tx) = (ledger.id(), tx_of(what));
    let otherwise =
        |what: &str| Ok(Answer::Tx(Some(format!("{tx} is recorded as final, {id} says: {what}"))));
    match said {
        Ok(Finality::Final(_)) => Ok(Answer::Tx(None)),
        Ok(Finality::Unknown) => otherwise("there is no such transaction"),
        Ok(Finality::Pending(_)) => otherwise("it is not final"),
        Ok(Finality::Replaced) => otherwise("another took its place"),
        Ok(Finality::Reverted { why, .. }) => otherwise(&format!("it had no effect: {why}")),
        Err(LedgerError::Refused { code, why }) => otherwise(&format!("{code}: {why}")),
        Err(error) => Err(unreachable(id, &error)),
    }
}

/// How a channel stands on its ledger, beside the journal's word.
async fn stands(ledger: &dyn Ledger, channel: &Escrowed) -> Outcome<Answer> {
    let id = ledger.id();
    let there = match ledger.escrow() {
        Some(escrow) => match escrow.channel(&channel.channel).await {
            Ok(there) => there,
            Err(LedgerError::Refused { code, why }) => {
                return Ok(Answer::Channel(None, Seen::Differs(format!("{code}: {why}"))));
            }
            Err(error) => return Err(unreachable(id, &error)),
        },
        None => None,
    };
    let seen = channel.compare(there.as_ref());
    Ok(Answer::Channel(there, seen))
}

fn differs_on_channel(report: &mut Report, place: usize, ledger: &LedgerId, seen: &Seen) {
    let (Seen::Differs(what), Escrowed { entry, session, channel, .. }) =
        (seen, &report.escrowed[place])
    else {
        return;
    };
    let what = format!("channel {channel}: {ledger} says: {what}");
    let problem = Problem::new(*entry, *session, what);
    for statement in &mut report.statements {
        if Some(statement.session) == *session {
            statement.problems.push(problem.clone());
        }
    }
    report.problems.push(problem);
}

fn unreachable(ledger: &LedgerId, error: &LedgerError) -> Failure {
    Failure::new(Exit::Ledger, format!("ledger {ledger}: {error}"))
}

fn unknown(ledger: &LedgerId) -> Failure {
    let why = format!("ledger {ledger} was not asked: the config names none with this id");
    Failure::new(Exit::Ledger, why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{AnchorLine, LegStatement, State, Statement, Told};
    use crate::terms::{Method, Purpose, Rate, Role, SessionId};
    use async_trait::async_trait;
    use sdpp_ledger::{
        Account, Amount, Anchor, Asset, Digest, Escrow, Evidence, Key, Payments, Records, Result,
        Signed, Status,
    };
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// A ledger that holds every anchor it is asked for, and counts.
    struct Counting {
        id: LedgerId,
        account: Account,
        asked: AtomicUsize,
        waiting: AtomicUsize,
        waiting_most: AtomicUsize,
    }

    impl Counting {
        fn new() -> Arc<Counting> {
            let count = AtomicUsize::default;
            Arc::new(Counting {
                id: "sdpp:counting".parse().unwrap(),
                account: "somebody".parse().unwrap(),
                asked: count(),
                waiting: count(),
                waiting_most: count(),
            })
        }
    }

    #[async_trait]
    impl Ledger for Counting {
        fn id(&self) -> &LedgerId {
            &self.id
        }

        fn account(&self) -> &Account {
            &self.account
        }

        async fn status(&self) -> Result<Status> {
            Err(LedgerError::unavailable("not asked"))
        }

        async fn next_number(&self) -> Result<u64> {
            Err(LedgerError::unavailable("not asked"))
        }

        async fn submit(&self, _: &Signed) -> Result<TxId> {
            Err(LedgerError::unavailable("not asked"))
        }

        async fn finality(&self, _: &Signed) -> Result<Finality> {
            Err(LedgerError::unavailable("not asked"))
        }

        fn records(&self) -> Option<&dyn Records> {
            Some(self)
        }

        fn payments(&self) -> Option<&dyn Payments> {
            None
        }

        fn escrow(&self) -> Option<&dyn Escrow> {
            None
        }
    }

    #[async_trait]
    impl Records for Counting {
        async fn anchor(&self, _: u64, _: &Anchor) -> Result<Signed> {
            Err(LedgerError::unavailable("not asked"))
        }

        async fn anchored(&self, tx: &TxId, _: &Anchor) -> Result<Finality> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            let waiting = self.waiting.fetch_add(1, Ordering::SeqCst) + 1;
            self.waiting_most.fetch_max(waiting, Ordering::SeqCst);
            for _ in 0..3 {
                tokio::task::yield_now().await;
            }
            self.waiting.fetch_sub(1, Ordering::SeqCst);
            if tx.as_str() == "0xlost" {
                return Ok(Finality::Unknown);
            }
            Ok(Finality::Final(Evidence::new(tx.clone(), 1, "block", 1)))
        }
    }

    fn statement(session: u8, anchors: Vec<AnchorLine>) -> Statement {
        let key = |byte| Key::from_bytes(&[byte; 32]).unwrap().public();
        Statement {
            session: SessionId(Digest([session; 32])),
            began_ms: 0,
            last_ms: 0,
            role: Role::Seller,
            seller: key(1),
            buyer: key(2),
            topic: "gas".to_owned(),
            records: None,
            granularity: 1,
            paces: Vec::new(),
            voids: Vec::new(),
            dataset: None,
            strays: Vec::new(),
            items_delivered: 0,
            items_acked: 0,
            windows: 0,
            windows_recomputed: 0,
            unrated: 0,
            earlier: Vec::new(),
            last: leg(),
            state: State::Open,
            pruned: 0,
            settlements: Vec::new(),
            anchors,
            problems: Vec::new(),
        }
    }

    fn leg() -> LegStatement {
        LegStatement {
            from_seq: 1,
            currency: "SDP".to_owned(),
            decimals: 6,
            method: Method::Transfer,
            ledger: "sdpp:counting".parse().unwrap(),
            asset: Asset::coin(),
            payee: "somebody".parse().unwrap(),
            price: Amount::new(1),
            rate: Rate::ONE,
            escrow: None,
            items_delivered: 0,
            items_acked: 0,
            acked_amount: Amount::ZERO,
            invoices: Vec::new(),
            invoiced: Amount::ZERO,
            credited: Amount::ZERO,
            credit_left: Amount::ZERO,
            paid: Amount::ZERO,
            settled: Amount::ZERO,
            outstanding: Amount::ZERO,
            payouts: Vec::new(),
        }
    }

    /// A record under a root of its transaction's.
    fn record(entry: u64, tx: &str) -> AnchorLine {
        let reference = Reference([u8::try_from(entry % 251).unwrap(); 32]);
        let told = Told {
            entry,
            at_ms: 0,
            tx: tx.parse().unwrap(),
            height: 1,
            amount: Amount::ZERO,
            fee: None,
            rebate: Amount::ZERO,
            stands: Some(Box::new(Anchor::Root { root: Digest([1; 32]), count: 9 })),
            can_be_asked: true,
        };
        AnchorLine {
            reference,
            purpose: Purpose::Invoice,
            ledger: Arc::new("sdpp:counting".parse().unwrap()),
            evidence: Some(told),
            refused: None,
            ok: true,
        }
    }

    #[tokio::test]
    async fn what_shares_a_root_is_asked_once_and_the_rest_side_by_side() {
        let ledger = Counting::new();
        let open: Arc<dyn Ledger> = ledger.clone();
        let ledgers = ById::from([(ledger.id.clone(), open)]);
        let shared = (0..100).map(|entry| record(entry, "0xshared")).collect();
        let own = (100..200).map(|entry| record(entry, &format!("0x{entry}"))).collect();
        let lost = (200..203).map(|entry| record(entry, "0xlost")).collect();
        let statements = vec![statement(1, shared), statement(2, own), statement(3, lost)];
        let mut report = Report { statements, ..Report::default() };
        let (_, asked) = ask_all(&mut report, &ledgers).await;
        assert_eq!(asked, Ok(()));
        assert_eq!(ledger.asked.load(Ordering::SeqCst), 1 + 100 + 1);
        let most = ledger.waiting_most.load(Ordering::SeqCst);
        assert!((2..=ASKED_AT_ONCE).contains(&most), "{most} at once");
        // Everything that rode in what is lost is named.
        let named: Vec<u64> = report.problems.iter().map(|problem| problem.entry).collect();
        assert_eq!(named, [200, 201, 202]);
        assert!(report.statements[2].anchors.iter().all(|line| !line.ok));
        assert!(report.statements[..2].iter().all(|one| one.problems.is_empty()));
    }

    #[tokio::test]
    async fn a_ledger_that_the_config_does_not_name_is_an_outage_and_no_verdict() {
        let anchors = vec![record(1, "0xa")];
        let mut report = Report { statements: vec![statement(1, anchors)], ..Report::default() };
        let (_, asked) = ask_all(&mut report, &ById::new()).await;
        assert_eq!(asked.unwrap_err().exit, Exit::Ledger);
        assert_eq!(report.problems, []);
    }
}
