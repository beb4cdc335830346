//! What is left in the channels that a journal pays into, and what is done to get it back, is told
//! by its entries alone.

use crate::pair::Setting;
use crate::{audit, both, ledger};
use sdpp::journal::watch::Step;
use sdpp::journal::{Doing, Entry};
use sdpp::record::{Act, Owed, Record};
use sdpp::terms::{Purpose, SessionId};
use sdpp_ledger::{
    Amount, Asset, Call, Change, ChangeKind, ChannelId, Digest, Evidence, InChannel, Open,
};

const CHANNEL: ChannelId = ChannelId([7; 32]);

fn owed(purpose: Purpose, number: u64, call: Call) -> Owed {
    let reference = SessionId(Digest(CHANNEL.0)).reference(purpose, number);
    Owed { reference, purpose, ledger: ledger(), act: Act::Do(call), held: false }
}

fn funding(payee: &sdpp_ledger::Account, units: u128) -> Record {
    let (payee, asset, salt) = (payee.clone(), Asset::coin(), Digest::ZERO);
    let deposit = Amount::new(units);
    let open = Open { payee: payee.clone(), asset: asset.clone(), deposit, salt, signer: None };
    let owed = owed(Purpose::Open, 0, Call::Open(open));
    Record::Funding { channel: CHANNEL, payee, asset, owed }
}

fn reclaiming(step: Step, number: u64) -> Record {
    let at = InChannel { channel: CHANNEL };
    let call = match step {
        Step::RequestClose => Call::RequestClose(at),
        Step::Withdraw => Call::Withdraw(at),
    };
    Record::Reclaiming { channel: CHANNEL, owed: owed(step.purpose(), number, call) }
}

fn met(record: &Record) -> Record {
    let evidence = Evidence::new("0x01".parse().unwrap(), 9, "0xb9", 9);
    Record::Met { reference: record.owed().unwrap().reference, evidence, proof: None }
}

fn refused(record: &Record) -> Record {
    let why = "InsufficientFunds: none".to_owned();
    Record::Refused { reference: record.owed().unwrap().reference, why }
}

fn told(kind: ChangeKind) -> Record {
    let tx = "0x01".parse().unwrap();
    let change = Change { channel: CHANNEL, kind, tx, height: 9, at_ms: 9 };
    Record::ChannelChange { ledger: ledger(), change }
}

#[test]
fn each_step_of_getting_a_rest_back_is_told_with_what_is_left() {
    let mut pair = Setting::default().start();
    pair.run();
    let (owner, entries) = both(&pair).into_iter().nth(1).unwrap();
    let last = entries.last().unwrap().clone();
    let payee = owner.account();
    let (ask, again, take) = (
        reclaiming(Step::RequestClose, 1),
        reclaiming(Step::RequestClose, 2),
        reclaiming(Step::Withdraw, 3),
    );
    let amount = Amount::new;
    let why = "InsufficientFunds: none".to_owned();
    let closing = told(ChangeKind::CloseRequested { ready_ms: 77 });
    let settled = told(ChangeKind::Settled { settled: amount(30) });
    let life = [
        (funding(&payee, 100), None),
        (met(&funding(&payee, 100)), Some((100, Doing::Nothing))),
        (told(ChangeKind::Opened { deposit: amount(100) }), Some((100, Doing::Nothing))),
        (Record::Ceiling { channel: CHANNEL, amount: amount(50) }, Some((50, Doing::Nothing))),
        (
            Record::Spent { channel: CHANNEL, amount: amount(30), kept: true },
            Some((70, Doing::Nothing)),
        ),
        (ask.clone(), Some((70, Doing::Owed(Step::RequestClose)))),
        (refused(&ask), Some((70, Doing::Refused(Step::RequestClose, why)))),
        (again.clone(), Some((70, Doing::Owed(Step::RequestClose)))),
        (met(&again), Some((70, Doing::Owed(Step::RequestClose)))),
        (closing, Some((70, Doing::Closing(77)))),
        (settled, Some((70, Doing::Closing(77)))),
        (take.clone(), Some((70, Doing::Owed(Step::Withdraw)))),
        (met(&take), Some((70, Doing::Owed(Step::Withdraw)))),
        (told(ChangeKind::Withdrawn), None),
    ];
    let records = life.iter().map(|(record, _)| record.clone());
    let entry = |(at, record)| Entry {
        seq: last.seq + 1 + at as u64,
        session: None,
        record,
        ..last.clone()
    };
    let more: Vec<Entry> = records.enumerate().map(entry).collect();
    for (at, (record, expected)) in life.iter().enumerate() {
        let report = audit(&owner, entries.iter().chain(&more[..=at]));
        let found: Vec<_> =
            report.remainders.iter().map(|one| (one.left.units(), one.doing.clone())).collect();
        assert_eq!(found, expected.iter().cloned().collect::<Vec<_>>(), "after {record:?}");
        for one in report.remainders {
            let place = (one.channel, one.deposit, one.entry);
            assert_eq!(place, (CHANNEL, amount(100), last.seq + 1));
        }
    }
}
