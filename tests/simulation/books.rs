//! What must hold when a world is over: every session ended, every obligation came to one thing, and the
//! books of both sides say what the ledgers moved.

use crate::node::Node;
use crate::peer::Outcome;
use crate::plant::{Rule, Wrong};
use crate::world::{World, item};
use sdpp::audit::Audit;
use sdpp::journal::{Entry, PAGE_MAX, obligation};
use sdpp::record::{Act, End, Record};
use sdpp::terms::{Method, Purpose, Role, SessionId};
use sdpp_ledger::{Amount, Call, Digest, Ledger, Reference, TxId, keccak};
use std::collections::{BTreeMap, BTreeSet};

type Checked = Result<(), Wrong>;

fn hold(is_good: bool, rule: Rule, what: impl FnOnce() -> String) -> Checked {
    if is_good { Ok(()) } else { Err(Wrong { rule, what: what() }) }
}

pub fn check(world: &World) -> Checked {
    nobody_is_blamed(world)?;
    for node in &world.nodes {
        let entries = entries(node);
        sessions_ended(node)?;
        obligations_met_once(node, &entries)?;
        audited(node, &entries)?;
    }
    effects_once(world)?;
    for session in world.witness.sessions.keys() {
        files_are_whole(world, session)?;
        books_agree(world, session)?;
    }
    channels_agree(world)
}

fn entries(node: &Node) -> Vec<Entry> {
    let (reader, mut all) = (node.reader(), Vec::new());
    loop {
        let after = all.last().map_or(0, |entry: &Entry| entry.seq);
        let page = reader.entries(after, PAGE_MAX).unwrap();
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}

fn nobody_is_blamed(world: &World) -> Checked {
    // Who has spent elsewhere what it owes is not honest. Who orders on a channel that its seller is
    // about to close could not know, and is refused before there is a session.
    let is_meant = |outcome: &&Outcome| {
        outcome.session.is_some() && !outcome.why.contains("InsufficientFunds")
    };
    let mut all = world.outcomes.iter().filter(is_meant);
    let blamed = all.find(|outcome| outcome.end == End::Misconduct);
    hold(blamed.is_none(), Rule::NobodyIsBlamed, || format!("{blamed:?}"))
}

fn sessions_ended(node: &Node) -> Checked {
    let sessions = node.reader().sessions(None, PAGE_MAX).unwrap();
    let open = sessions.iter().find(|(_, session)| session.ended.is_none());
    hold(open.is_none(), Rule::Ends, || format!("the {} has {open:?}", node.role))
}

fn obligations_met_once(node: &Node, entries: &[Entry]) -> Checked {
    let mut came_to: BTreeMap<Reference, Vec<bool>> = BTreeMap::new();
    for entry in entries {
        match &entry.record {
            Record::Met { reference, .. } => came_to.entry(*reference).or_default().push(true),
            Record::Refused { reference, .. } => {
                came_to.entry(*reference).or_default().push(false);
            }
            _ => {}
        }
    }
    let reader = node.reader();
    for row in reader.obligations(None, PAGE_MAX).unwrap() {
        let once = came_to.remove(&row.owed.reference).unwrap_or_default();
        hold(once.len() == 1, Rule::MetOnce, || format!("{:?} came to {once:?}", row.owed))?;
        if let obligation::State::Met { evidence } = &row.state {
            let teller = &node.tellers[node.ledger(&row.owed.ledger)];
            let is_there = has_happened(&teller.chain(), &evidence.tx);
            hold(is_there, Rule::MetOnce, || {
                format!("{:?} is met by {}, which the ledger has not", row.owed, evidence.tx)
            })?;
        }
    }
    hold(came_to.is_empty(), Rule::MetOnce, || format!("nobody owed {came_to:?}"))
}

fn has_happened(chain: &crate::chain::Chain, tx: &TxId) -> bool {
    chain.happened().any(|mined| crate::chain::tx_of(&mined.raw) == *tx)
}

fn audited(node: &Node, entries: &[Entry]) -> Checked {
    let chained = node.reader().verify().unwrap();
    hold(chained.is_ok(), Rule::AuditClean, || format!("{chained:?}"))?;
    let mut audit = Audit::new(node.key.public());
    entries.iter().for_each(|entry| audit.take(entry));
    let problems = audit.finish().problems;
    hold(problems.is_empty(), Rule::AuditClean, || format!("the {}: {problems:?}", node.role))
}

/// Nothing that must happen once happened twice, and nothing that nobody owed happened at all.
fn effects_once(world: &World) -> Checked {
    for chain in &world.chains {
        let chain = chain.lock().unwrap();
        let mut done = BTreeSet::new();
        for mined in chain.happened() {
            let what = match &mined.call {
                Call::Transfer(transfer) => Digest(transfer.reference.0),
                call => keccak(&[&serde_json::to_vec(call).unwrap()]),
            };
            let is_first = done.insert(what);
            let call = &mined.call;
            hold(is_first, Rule::MetOnce, || format!("{call:?} took effect twice"))?;
            let Call::Transfer(transfer) = call else { continue };
            let owed = world.nodes.iter().find_map(|node| {
                let is_its = node.account() == mined.from;
                let row = is_its.then(|| node.reader().obligation(&transfer.reference).unwrap());
                row.flatten()
            });
            let is_owed = owed.is_some_and(|row| row.owed.act == Act::Do(call.clone()));
            hold(is_owed, Rule::BooksAgree, || format!("nobody owed {call:?}"))?;
        }
    }
    Ok(())
}

/// What a buyer has is what was sold: every item up to some place, each once.
fn files_are_whole(world: &World, session: &SessionId) -> Checked {
    let mut files = world.nodes.iter().filter_map(|node| node.files.get(session));
    let Some(file) = files.next() else { return Ok(()) };
    for (at, (seq, kept)) in file.iter().enumerate() {
        let place = at as u64 + 1;
        let is_it = *seq == place && *kept == item(place);
        hold(is_it, Rule::FileIsWhole, || {
            format!("in place {place} of {session} stands {seq}: {}", String::from_utf8_lossy(kept))
        })?;
    }
    let quantity = world.witness.sessions[session].terms.as_ref().and_then(|of| of.quantity);
    let is_whole = quantity.is_none_or(|quantity| file.len() as u64 == quantity);
    hold(is_whole || !is_complete(world, session), Rule::FileIsWhole, || {
        format!("{} items of {session}, which is complete", file.len())
    })
}

/// Whether both sides say that all went well.
fn is_complete(world: &World, session: &SessionId) -> bool {
    let of = world.outcomes.iter().filter(|outcome| outcome.session == Some(*session));
    of.filter(|outcome| outcome.end == End::Complete).count() == 2
}

fn books_agree(world: &World, session: &SessionId) -> Checked {
    let Some(terms) = &world.witness.sessions[session].terms else { return Ok(()) };
    let paid = world.witness.paid(session, &world.chains);
    let items = world.nodes.iter().filter_map(|node| node.files.get(session)).map(Vec::len);
    let items = items.max().unwrap_or(0) as u64;
    let worth = terms.owed_for(items).expect("it is a small sum").units();
    hold(paid <= worth, Rule::NothingForNothing, || {
        format!("{paid} are paid in {session} for {items} items, worth {worth}")
    })?;
    let ends = world.outcomes.iter().filter(|outcome| outcome.session == Some(*session));
    if is_complete(world, session) {
        hold(paid == worth, Rule::BooksAgree, || {
            format!("{paid} are paid in {session}, which is complete, of {worth}")
        })?;
        for outcome in ends {
            let of = (outcome.progress.owed, outcome.progress.paid);
            let is_same = of == (Amount::new(worth), Amount::new(paid));
            hold(is_same, Rule::BooksAgree, || format!("{worth} were owed: {outcome:?}"))?;
        }
    }
    if terms.currency.method == Method::Transfer { payments_agree(world, session) } else { Ok(()) }
}

/// What a seller's journal has as paid is what the ledger moved under the same references.
fn payments_agree(world: &World, session: &SessionId) -> Checked {
    for node in world.nodes.iter().filter(|node| node.role == Role::Seller) {
        for row in node.reader().obligations(None, PAGE_MAX).unwrap() {
            let is_its = row.session == Some(*session) && row.owed.purpose == Purpose::Payment;
            let Act::Check(claim) = &row.owed.act else { continue };
            if !is_its {
                continue;
            }
            let teller = &node.tellers[node.ledger(&row.owed.ledger)];
            let moved = teller.chain().settled().paid_under(&row.owed.reference);
            let believed = matches!(row.state, obligation::State::Met { .. });
            let is_same = believed == (moved >= claim.transfer.amount.units());
            hold(is_same, Rule::BooksAgree, || {
                format!("{moved} moved on {}: {:?} is {:?}", teller.id(), claim, row.state)
            })?;
        }
    }
    Ok(())
}

/// What channels paid out is the best voucher that their seller's journal has, and was vouched.
fn channels_agree(world: &World) -> Checked {
    for chain in &world.chains {
        let chain = chain.lock().unwrap();
        for (id, channel) in &chain.settled().channels {
            let known = world.nodes[0].reader().channel(id).unwrap().unwrap_or_default();
            let best = known.voucher.map_or(Amount::ZERO, |(amount, _)| amount);
            hold(channel.settled == best, Rule::BooksAgree, || {
                format!("{id} paid {}, its seller has {best}", channel.settled)
            })?;
            let vouched = world.witness.vouched.get(id).copied().unwrap_or_default();
            hold(best <= vouched, Rule::BooksAgree, || {
                format!("{id}: the seller has {best}, {vouched} were vouched")
            })?;
        }
    }
    Ok(())
}
