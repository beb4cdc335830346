//! Runs the commands of a programmable transaction on coins: split, merge, transfer, and the one
//! Move function that is known, whose result nobody can see and which therefore is not computed.

use std::collections::BTreeMap;

use iota_sdk_types::{
    Address, Argument, Command, CommandArgumentError, ExecutionError, Identifier, Input,
    MergeCoins, MoveCall, ObjectId, ProgrammableTransaction, SplitCoins, TransactionDigest,
    TransferObjects,
};

/// Why a transaction that was accepted failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) error: Box<ExecutionError>,
    /// The command in which it failed, from 0.
    pub(crate) command: Option<u64>,
    /// What a dry run tells beyond that.
    pub(crate) source: Option<String>,
}

/// What the commands did.
#[derive(Debug, Default)]
pub(crate) struct Ran {
    /// Owner and balance of each coin that is there afterwards, the gas coin apart.
    pub(crate) kept: BTreeMap<ObjectId, (Address, u64)>,
    /// To whom the gas coin was given, if it was.
    pub(crate) gas_given_to: Option<Address>,
    /// What is left in the gas coin, in NANOS, without the budget that was set aside.
    pub(crate) gas_left: u64,
}

/// Whether a Move call is of the function that is known: `0x1::hash::sha2_256`.
pub(crate) fn is_known(call: &MoveCall) -> bool {
    let is = |name: &Identifier, text: &str| name.as_str() == text;
    call.package == ObjectId::from(Address::STD)
        && is(&call.module, "hash")
        && is(&call.function, "sha2_256")
        && call.type_arguments.is_empty()
        && call.arguments.len() == 1
}

/// Runs all commands. `gas` is what the gas coin may spend, `coins` are the balances of the coins
/// among the inputs, all owned by `sender`.
pub(crate) fn run(
    transaction: &ProgrammableTransaction,
    digest: TransactionDigest,
    sender: Address,
    gas: u64,
    coins: &BTreeMap<ObjectId, u64>,
) -> Result<Ran, Failure> {
    let input = |input: &Input| match input {
        Input::ImmutableOrOwned(reference) => {
            let balance = coins.get(&reference.object_id).copied().unwrap_or(0);
            Value::Coin { id: reference.object_id, balance }
        }
        Input::Pure(bytes) => Value::Pure(bytes.clone()),
        _ => Value::Taken,
    };
    let mut machine = Machine {
        digest,
        made: 0,
        gas: Value::Coin { id: ObjectId::ZERO, balance: gas },
        inputs: transaction.inputs.iter().map(input).collect(),
        results: Vec::new(),
        ran: Ran::default(),
    };
    for (number, command) in (0u64..).zip(&transaction.commands) {
        let results = machine.command(command).map_err(|trap| Failure {
            error: trap.0,
            command: Some(number),
            source: trap.1,
        })?;
        machine.results.push(results);
    }
    machine.finish(sender)
}

/// What went wrong in a command, and what a dry run tells beyond that.
struct Trap(Box<ExecutionError>, Option<String>);

impl From<ExecutionError> for Trap {
    fn from(error: ExecutionError) -> Trap {
        Trap(Box::new(error), None)
    }
}

/// Something that a command can take.
#[derive(Debug, Clone)]
enum Value {
    Coin {
        id: ObjectId,
        balance: u64,
    },
    Pure(Vec<u8>),
    /// What a Move function answered. It may be left over.
    Answer,
    Taken,
}

struct Machine {
    digest: TransactionDigest,
    /// How many objects were made, of which each has its id.
    made: u64,
    gas: Value,
    inputs: Vec<Value>,
    results: Vec<Vec<Value>>,
    ran: Ran,
}

impl Machine {
    fn command(&mut self, command: &Command) -> Result<Vec<Value>, Trap> {
        match command {
            Command::SplitCoins(split) => self.split(split),
            Command::MergeCoins(merge) => self.merge(merge),
            Command::TransferObjects(transfer) => self.transfer(transfer),
            Command::MoveCall(call) => self.call(call),
            _ => Err(ExecutionError::FeatureNotYetSupported.into()),
        }
    }

    fn split(&mut self, split: &SplitCoins) -> Result<Vec<Value>, Trap> {
        let mut parts = Vec::new();
        for (position, amount) in (1u16..).zip(&split.amounts) {
            let amount = u64::from_le_bytes(self.pure(*amount, position)?);
            let (_, balance) = self.coin(split.coin, 0)?;
            let Some(left) = balance.checked_sub(amount) else {
                let source = format!("balance: {balance} required: {amount}");
                let error = Box::new(ExecutionError::InsufficientCoinBalance);
                return Err(Trap(error, Some(source)));
            };
            self.set_balance(split.coin, left)?;
            parts.push(Value::Coin { id: self.next_id(), balance: amount });
        }
        Ok(parts)
    }

    fn merge(&mut self, merge: &MergeCoins) -> Result<Vec<Value>, Trap> {
        for (position, coin) in (1u16..).zip(&merge.coins_to_merge) {
            if *coin == Argument::Gas {
                return Err(argument(position, CommandArgumentError::InvalidGasCoinUsage));
            }
            let (_, more) = self.take(*coin, position)?;
            let (_, balance) = self.coin(merge.coin, 0)?;
            let sum = balance.checked_add(more).ok_or(ExecutionError::CoinBalanceOverflow)?;
            self.set_balance(merge.coin, sum)?;
        }
        Ok(Vec::new())
    }

    fn transfer(&mut self, transfer: &TransferObjects) -> Result<Vec<Value>, Trap> {
        let position = u16::try_from(transfer.objects.len()).unwrap_or(u16::MAX);
        let payee = Address::new(self.pure(transfer.address, position)?);
        for (position, object) in (0u16..).zip(&transfer.objects) {
            let (id, balance) = self.take(*object, position)?;
            if *object == Argument::Gas {
                self.ran.gas_given_to = Some(payee);
                self.ran.gas_left = balance;
            } else {
                self.ran.kept.insert(id, (payee, balance));
            }
        }
        Ok(Vec::new())
    }

    fn call(&mut self, call: &MoveCall) -> Result<Vec<Value>, Trap> {
        for (position, given) in (0u16..).zip(&call.arguments) {
            let bytes = match self.value(*given, position)? {
                Value::Pure(bytes) => bcs::from_bytes::<Vec<u8>>(bytes),
                _ => return Err(argument(position, CommandArgumentError::TypeMismatch)),
            };
            bytes.map_err(|_| argument(position, CommandArgumentError::InvalidBcsBytes))?;
        }
        Ok(vec![Value::Answer])
    }

    /// What is left over: coins of the sender stay, new ones that nobody took are a failure.
    fn finish(mut self, sender: Address) -> Result<Ran, Failure> {
        for (result, values) in (0u16..).zip(&self.results) {
            for (subresult, value) in (0u16..).zip(values) {
                if matches!(value, Value::Coin { .. }) {
                    let error =
                        Box::new(ExecutionError::UnusedValueWithoutDrop { result, subresult });
                    return Err(Failure { error, command: None, source: None });
                }
            }
        }
        for value in &self.inputs {
            if let Value::Coin { id, balance } = value {
                self.ran.kept.insert(*id, (sender, *balance));
            }
        }
        if let Value::Coin { balance, .. } = self.gas {
            self.ran.gas_left = balance;
        }
        Ok(self.ran)
    }

    fn next_id(&mut self) -> ObjectId {
        let id = ObjectId::derive_id(self.digest, self.made);
        self.made += 1;
        id
    }

    fn pure<const N: usize>(&mut self, given: Argument, position: u16) -> Result<[u8; N], Trap> {
        match self.value(given, position)? {
            Value::Pure(bytes) => <[u8; N]>::try_from(bytes.as_slice())
                .map_err(|_| argument(position, CommandArgumentError::InvalidBcsBytes)),
            _ => Err(argument(position, CommandArgumentError::TypeMismatch)),
        }
    }

    fn coin(&mut self, given: Argument, position: u16) -> Result<(ObjectId, u64), Trap> {
        match self.value(given, position)? {
            Value::Coin { id, balance } => Ok((*id, *balance)),
            Value::Taken => Err(argument(position, CommandArgumentError::InvalidValueUsage)),
            _ => Err(argument(position, CommandArgumentError::TypeMismatch)),
        }
    }

    fn take(&mut self, given: Argument, position: u16) -> Result<(ObjectId, u64), Trap> {
        let coin = self.coin(given, position)?;
        *self.value(given, position)? = Value::Taken;
        Ok(coin)
    }

    /// Of a coin that was looked at just now.
    fn set_balance(&mut self, given: Argument, left: u64) -> Result<(), Trap> {
        if let Value::Coin { balance, .. } = self.value(given, 0)? {
            *balance = left;
        }
        Ok(())
    }

    fn value(&mut self, given: Argument, position: u16) -> Result<&mut Value, Trap> {
        let outside = |index| argument(position, CommandArgumentError::IndexOutOfBounds { index });
        let (result, subresult) = match given {
            Argument::Gas => return Ok(&mut self.gas),
            Argument::Input(index) => {
                return self.inputs.get_mut(usize::from(index)).ok_or_else(|| outside(index));
            }
            Argument::Result(result) => {
                let values =
                    self.results.get(usize::from(result)).ok_or_else(|| outside(result))?;
                if values.len() != 1 {
                    let kind = CommandArgumentError::InvalidResultArity { result };
                    return Err(argument(position, kind));
                }
                (result, 0)
            }
            Argument::NestedResult(result, subresult) => (result, subresult),
            _ => return Err(ExecutionError::FeatureNotYetSupported.into()),
        };
        let values = self.results.get_mut(usize::from(result)).ok_or_else(|| outside(result))?;
        values.get_mut(usize::from(subresult)).ok_or_else(|| {
            argument(
                position,
                CommandArgumentError::SecondaryIndexOutOfBounds { result, subresult },
            )
        })
    }
}

fn argument(argument: u16, kind: CommandArgumentError) -> Trap {
    ExecutionError::CommandArgumentError { argument, kind }.into()
}
