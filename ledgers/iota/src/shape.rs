//! The commands of a transaction of ours: made here, and read back to the last argument. Whatever
//! has another shape is not ours, so no money is ever read out of commands that we do not know.
//!
//! A payment is `SplitCoins(Gas, [amount])` and `TransferObjects([that], payee)`; a record alone
//! splits nothing off and merges it back. Both may go on to split their change into coins of one
//! size for the sender, so that more transactions can be on their way at once. All inputs are
//! pure; the one that no command uses is the record. What is split off the gas coin is always the
//! network's own coin.

use iota_sdk_types::{
    Address, Argument, Command, Input, MergeCoins, ProgrammableTransaction, SplitCoins,
    TransferObjects,
};
use serde::de::DeserializeOwned;

/// What a transaction of ours does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shape {
    /// What it does with money.
    pub does: Does,
    /// What it carries: the bytes within the `vector<u8>`.
    pub record: Vec<u8>,
    /// The coins that it makes of its change, if any.
    pub split: Option<Split>,
}

/// What a transaction of ours does with money.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Does {
    /// It pays somebody, in NANOS.
    Pay {
        /// Whom.
        to: Address,
        /// How much.
        amount: u64,
    },
    /// Nothing.
    Record,
}

/// Change in coins of one size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Split {
    /// How many; one at least.
    pub count: u16,
    /// What each of them holds, in NANOS.
    pub share: u64,
}

impl Shape {
    /// The commands, for the account that signs.
    pub fn build(&self, sender: Address) -> ProgrammableTransaction {
        let record = Input::pure(&self.record);
        let (mut inputs, mut commands) = match self.does {
            Does::Pay { to, amount } => (
                vec![Input::pure(&to), Input::pure(&amount), record],
                vec![split(vec![1]), give(vec![Argument::Result(0)], 0)],
            ),
            Does::Record => (vec![record, Input::pure(&0_u64)], vec![split(vec![1]), merge()]),
        };
        if let Some(Split { count, share }) = self.split {
            // Two or three inputs stand before these.
            let at: u16 = if inputs.len() == 2 { 2 } else { 3 };
            inputs.extend([Input::pure(&share), Input::pure(&sender)]);
            commands.push(split(vec![at; count.into()]));
            commands.push(give(nested(count).collect(), at + 1));
        }
        ProgrammableTransaction { inputs, commands }
    }

    /// What commands do, if they are of this shape for the account that signed them.
    pub fn read(made: &ProgrammableTransaction, sender: Address) -> Option<Self> {
        let (base, rest) = made.commands.split_at_checked(2)?;
        let Command::SplitCoins(SplitCoins { coin: Argument::Gas, amounts }) = &base[0] else {
            return None;
        };
        let [Argument::Input(amount_at)] = amounts[..] else { return None };
        let mut used = vec![amount_at];
        let amount: u64 = pure(made, amount_at)?;
        let does = match &base[1] {
            Command::TransferObjects(TransferObjects { objects, address }) if is_first(objects) => {
                let Argument::Input(to_at) = *address else { return None };
                used.push(to_at);
                Does::Pay { to: pure(made, to_at)?, amount }
            }
            Command::MergeCoins(MergeCoins { coin: Argument::Gas, coins_to_merge })
                if is_first(coins_to_merge) && amount == 0 =>
            {
                Does::Record
            }
            _ => return None,
        };
        let split = match rest {
            [] => None,
            rest => Some(change(made, rest, sender, &mut used)?),
        };
        let record = the_unused(made, &used)?;
        Some(Shape { does, record, split })
    }
}

/// Change that goes back to the sender, and the inputs that it uses.
fn change(
    made: &ProgrammableTransaction,
    rest: &[Command],
    sender: Address,
    used: &mut Vec<u16>,
) -> Option<Split> {
    let [Command::SplitCoins(cut), Command::TransferObjects(back)] = rest else { return None };
    let &Argument::Input(share_at) = cut.amounts.first()? else { return None };
    let Argument::Input(own_at) = back.address else { return None };
    let count = u16::try_from(cut.amounts.len()).ok()?;
    let is_ours = cut.coin == Argument::Gas
        && cut.amounts.iter().all(|amount| *amount == Argument::Input(share_at))
        && back.objects.iter().copied().eq(nested(count))
        && pure::<Address>(made, own_at)? == sender;
    used.extend([share_at, own_at]);
    is_ours.then_some(Split { count, share: pure(made, share_at)? })
}

/// The bytes of the only input that no command uses, where all inputs are pure.
fn the_unused(made: &ProgrammableTransaction, used: &[u16]) -> Option<Vec<u8>> {
    let mut unused = None;
    for (at, input) in made.inputs.iter().enumerate() {
        // There may be more than a command can name.
        let at = u16::try_from(at).ok()?;
        let Input::Pure(bytes) = input else { return None };
        if !used.contains(&at) && unused.replace(bytes).is_some() {
            return None;
        }
    }
    bcs::from_bytes(unused?).ok()
}

fn pure<T: DeserializeOwned>(made: &ProgrammableTransaction, at: u16) -> Option<T> {
    match made.inputs.get(usize::from(at))? {
        Input::Pure(bytes) => bcs::from_bytes(bytes).ok(),
        _ => None,
    }
}

/// Whether these are what the first command made: one thing has two names.
fn is_first(objects: &[Argument]) -> bool {
    matches!(objects, [Argument::Result(0) | Argument::NestedResult(0, 0)])
}

fn nested(count: u16) -> impl Iterator<Item = Argument> {
    (0..count).map(|at| Argument::NestedResult(2, at))
}

fn split(amounts: Vec<u16>) -> Command {
    let amounts = amounts.into_iter().map(Argument::Input).collect();
    Command::new_split_coins(Argument::Gas, amounts)
}

fn give(objects: Vec<Argument>, to: u16) -> Command {
    Command::new_transfer_objects(objects, Argument::Input(to))
}

fn merge() -> Command {
    Command::new_merge_coins(Argument::Gas, vec![Argument::Result(0)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OWN: Address = Address::new([7; 32]);
    const PAYEE: Address = Address::new([8; 32]);

    fn payment() -> Shape {
        let does = Does::Pay { to: PAYEE, amount: 1_000 };
        let split = Some(Split { count: 3, share: 5 });
        Shape { does, record: vec![1, 2, 3], split }
    }

    #[test]
    fn one_result_has_two_names() {
        let mut made = Shape { split: None, ..payment() }.build(OWN);
        made.commands[1] = give(vec![Argument::NestedResult(0, 0)], 0);
        assert!(Shape::read(&made, OWN).is_some());
        made.commands[1] = give(vec![Argument::NestedResult(0, 1)], 0);
        assert_eq!(Shape::read(&made, OWN), None);
    }

    #[test]
    fn whatever_is_a_little_different_is_not_ours() {
        type Change = fn(&mut ProgrammableTransaction);
        let changes: [(&str, Change); 9] = [
            ("pays from another coin", |made| {
                made.commands[0] =
                    Command::new_split_coins(Argument::Input(0), vec![Argument::Input(1)]);
            }),
            ("pays with the gas coin", |made| made.commands[1] = give(vec![Argument::Gas], 0)),
            ("gives back its own payment", |made| made.commands.push(merge())),
            ("does nothing", |made| made.commands.clear()),
            ("lacks the change's way back", |made| made.commands.truncate(3)),
            ("splits in unequal shares", |made| made.commands[2] = split(vec![3, 3, 1])),
            ("keeps a part of the change", |made| {
                made.commands[3] = give(nested(2).collect(), 4);
            }),
            ("gives the change to another", |made| made.inputs[4] = Input::pure(&PAYEE)),
            ("carries two records", |made| made.inputs.push(Input::pure(&vec![9_u8]))),
        ];
        assert_eq!(Shape::read(&payment().build(OWN), OWN), Some(payment()));
        for (what, change) in changes {
            let mut made = payment().build(OWN);
            change(&mut made);
            assert_eq!(Shape::read(&made, OWN), None, "it {what}");
        }
        assert_eq!(Shape::read(&payment().build(OWN), PAYEE), None, "another signed it");
    }

    fn shapes() -> impl Strategy<Value = Shape> {
        let pay = any::<([u8; 32], u64)>()
            .prop_map(|(to, amount)| Does::Pay { to: Address::new(to), amount });
        let split = (1..64_u16, any::<u64>()).prop_map(|(count, share)| Split { count, share });
        let does = prop_oneof![pay, Just(Does::Record)];
        let record = prop::collection::vec(any::<u8>(), 0..100);
        (does, record, prop::option::of(split)).prop_map(|(does, record, split)| Shape {
            does,
            record,
            split,
        })
    }

    proptest! {
        #[test]
        fn what_was_built_is_what_is_read(shape in shapes()) {
            prop_assert_eq!(Shape::read(&shape.build(OWN), OWN), Some(shape));
        }
    }
}
