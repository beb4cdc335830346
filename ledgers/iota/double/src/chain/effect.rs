//! What a transaction does to the ledger: its costs, its effects, the coins before and after.

use std::collections::{BTreeMap, BTreeSet};

use iota_sdk_types::{
    ChangedObject, Command, ExecutionError, ExecutionStatus, GasCostSummary, IdOperation, Input,
    ObjectId, ObjectIn, ObjectOut, Owner, ProgrammableTransaction, TransactionDigest,
    TransactionEffects, TransactionEffectsV1, TransactionV1, Version,
};

use super::Rules;
use super::machine::{self, Failure, Ran};
use crate::coin::{COIN_STORAGE_COST, Coin};

/// What the least computation is charged, in units of gas. All that the double runs is that little.
const COMPUTATION_UNITS: u64 = 1_000;

/// A transaction that was executed, or could be.
#[derive(Debug, Clone)]
pub(crate) struct Executed {
    pub(crate) effects: TransactionEffects,
    /// Each coin before and after; none where it was not there, or is not any more.
    pub(crate) changes: Vec<Change>,
    /// What a dry run tells of a failure.
    pub(crate) source: Option<String>,
}

/// One coin before and after a transaction.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) before: Option<Coin>,
    pub(crate) after: Option<Coin>,
}

impl Executed {
    pub(crate) fn v1(&self) -> &TransactionEffectsV1 {
        match &self.effects {
            TransactionEffects::V1(effects) => effects,
            // This is made below alone, and there of this version.
            _ => unreachable!("effects are of version 1"),
        }
    }
}

/// The programmable part of a transaction, if it is one.
pub(crate) fn programmable(transaction: &TransactionV1) -> Option<&ProgrammableTransaction> {
    match &transaction.kind {
        iota_sdk_types::TransactionKind::Programmable(programmable) => Some(programmable),
        _ => None,
    }
}

/// Executes what was checked, on the coins that it names: those that pay the gas, first the one
/// that stays, and those among its inputs.
pub(crate) fn execute(
    rules: &Rules,
    epoch: u64,
    transaction: &TransactionV1,
    programmable: &ProgrammableTransaction,
    gas: &[Coin],
    inputs: &[Coin],
) -> Executed {
    let digest = transaction.digest();
    let budget = transaction.gas_payment.budget;
    let total: u64 = gas.iter().map(|coin| coin.balance).sum();
    let balances = inputs.iter().map(|coin| (coin.id, coin.balance)).collect();
    let spendable = total.saturating_sub(budget);
    let ran = machine::run(programmable, digest, transaction.sender, spendable, &balances);
    let touched = gas.len() + inputs.len();
    let price = transaction.gas_payment.price;
    let ran = ran.and_then(|ran| {
        let costs = costs(rules, price, ran.kept.len() + 1, touched);
        let due = costs.gas_used().saturating_sub(costs.storage_rebate);
        let enough = due <= budget;
        let error = Box::new(ExecutionError::InsufficientGas);
        enough.then_some(ran).ok_or(Failure { error, command: None, source: None })
    });
    let (ran, failure) = match ran {
        Ok(ran) => (ran, None),
        Err(failure) => (untouched(transaction, spendable, inputs), Some(failure)),
    };
    let costs = costs(rules, price, ran.kept.len() + 1, touched);
    let left = ran.gas_left + budget + costs.storage_rebate - costs.gas_used();
    Settled { rules, epoch, transaction, programmable, digest, gas, inputs }
        .settle(ran, left, costs, failure)
}

/// A failure changes nothing but versions, and what the gas costs.
fn untouched(transaction: &TransactionV1, gas_left: u64, inputs: &[Coin]) -> Ran {
    let sender = transaction.sender;
    let kept = inputs.iter().map(|coin| (coin.id, (sender, coin.balance))).collect();
    Ran { kept, gas_given_to: None, gas_left }
}

fn costs(rules: &Rules, price: u64, written: usize, touched: usize) -> GasCostSummary {
    let storage = |coins: usize| COIN_STORAGE_COST.saturating_mul(coins as u64);
    GasCostSummary::new(
        COMPUTATION_UNITS * price,
        COMPUTATION_UNITS * rules.gas_price,
        storage(written),
        storage(touched),
        0,
    )
}

/// What was executed, on its way to effects.
struct Settled<'a> {
    rules: &'a Rules,
    epoch: u64,
    transaction: &'a TransactionV1,
    programmable: &'a ProgrammableTransaction,
    digest: TransactionDigest,
    gas: &'a [Coin],
    inputs: &'a [Coin],
}

impl Settled<'_> {
    fn settle(
        &self,
        mut ran: Ran,
        gas_left: u64,
        costs: GasCostSummary,
        failure: Option<Failure>,
    ) -> Executed {
        let gas_owner = ran.gas_given_to.unwrap_or(self.transaction.sender);
        let gas_id = self.gas[0].id;
        ran.kept.insert(gas_id, (gas_owner, gas_left));
        let changes = self.changes(&ran);
        let changed: Vec<ChangedObject> = changes.values().map(changed).collect();
        let at = changes.keys().position(|id| *id == gas_id);
        let source = failure.as_ref().and_then(|failure| failure.source.clone());
        let status = failure.map_or(ExecutionStatus::Success, |failure| {
            ExecutionStatus::new_failure(*failure.error, failure.command)
        });
        let effects = TransactionEffectsV1 {
            status,
            epoch: self.epoch,
            gas_cost_summary: costs,
            transaction_digest: self.digest,
            gas_object_index: at.and_then(|at| u32::try_from(at).ok()),
            events_digest: None,
            dependencies: self.dependencies(),
            lamport_version: Version::from_u64(self.version()),
            changed_objects: changed,
            unchanged_shared_objects: Vec::new(),
            auxiliary_data_digest: None,
        };
        Executed {
            effects: TransactionEffects::V1(Box::new(effects)),
            changes: changes.into_values().collect(),
            source,
        }
    }

    fn changes(&self, ran: &Ran) -> BTreeMap<ObjectId, Change> {
        let mut changes: BTreeMap<ObjectId, Change> = self
            .touched()
            .map(|coin| (coin.id, Change { before: Some(coin.clone()), after: None }))
            .collect();
        for (id, (owner, balance)) in &ran.kept {
            let coin = Coin::new(*id, self.version(), *owner, *balance, self.digest);
            changes.entry(*id).or_insert(Change { before: None, after: None }).after = Some(coin);
        }
        changes
    }

    fn touched(&self) -> impl Iterator<Item = &Coin> {
        self.gas.iter().chain(self.inputs)
    }

    /// One above all that it takes: the version of all that it writes.
    fn version(&self) -> u64 {
        self.touched().map(|coin| coin.version).max().unwrap_or(0) + 1
    }

    fn dependencies(&self) -> Vec<TransactionDigest> {
        let calls = self.programmable.commands.iter();
        let calls = calls.filter(|command| matches!(command, Command::MoveCall(_)));
        let packages = calls.map(|_| self.rules.genesis);
        let all: BTreeSet<_> = self.touched().map(|coin| coin.previous).chain(packages).collect();
        all.into_iter().collect()
    }
}

fn changed(change: &Change) -> ChangedObject {
    let input_state = change.before.as_ref().map_or(ObjectIn::Missing, |coin| ObjectIn::Data {
        version: Version::from_u64(coin.version),
        digest: coin.digest,
        owner: Owner::Address(coin.owner),
    });
    let output_state = change.after.as_ref().map_or(ObjectOut::Missing, |coin| {
        ObjectOut::ObjectWrite { digest: coin.digest, owner: Owner::Address(coin.owner) }
    });
    let (id, id_operation) = match (&change.before, &change.after) {
        (None, Some(coin)) => (coin.id, IdOperation::Created),
        (Some(coin), None) => (coin.id, IdOperation::Deleted),
        (Some(coin), Some(_)) => (coin.id, IdOperation::None),
        // A change is made of a coin that was there, or is.
        (None, None) => (ObjectId::ZERO, IdOperation::None),
    };
    ChangedObject { object_id: id, input_state, output_state, id_operation }
}

/// The ids of the coins among the inputs of a transaction.
pub(crate) fn coins_among(
    inputs: &[Input],
) -> impl Iterator<Item = &iota_sdk_types::ObjectReference> {
    inputs.iter().filter_map(|input| match input {
        Input::ImmutableOrOwned(reference) => Some(reference),
        _ => None,
    })
}
