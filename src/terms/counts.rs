//! How final a payment by transfer must be before it counts for credit, by amount. What is counted
//! so is not settled: books, receipts and the end of a session wait for what is final.

use sdpp_ledger::Amount;
use std::fmt;
use std::str::FromStr;

/// From how many blocks on a payment counts, by how much is at stake. Without a step: when it is
/// final, whatever the amount.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CountsWhen {
    /// By amount, the smallest first; each asks for no fewer blocks than the one before.
    steps: Vec<Step>,
    /// What holds for more than that; `None` where only what is final counts.
    beyond: Option<u64>,
}

/// What holds up to an amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// At most so much is at stake, in the currency's smallest unit.
    pub up_to: Amount,
    /// So many blocks must hold the payment or stand on it; at least 1.
    pub blocks: u64,
}

impl CountsWhen {
    /// The most steps that there can be.
    pub const STEPS_MAX: usize = 8;

    /// A rule of these steps, and of what holds beyond the last.
    ///
    /// # Errors
    /// Why that is no rule, as a sentence.
    pub fn new(steps: Vec<Step>, beyond: Option<u64>) -> Result<Self, String> {
        if steps.len() > Self::STEPS_MAX {
            return Err(format!("there are more than {} steps", Self::STEPS_MAX));
        }
        let all = steps.iter().map(|step| step.blocks).chain(beyond);
        if all.clone().any(|blocks| blocks == 0) {
            return Err("what stands in no block does not count: at least 1 block".to_owned());
        }
        if !all.is_sorted() {
            return Err("more needs no fewer blocks than less".to_owned());
        }
        if !steps.iter().map(|step| step.up_to).is_sorted_by(|one, next| one < next) {
            return Err("each step goes further than the one before".to_owned());
        }
        Ok(CountsWhen { steps, beyond })
    }

    /// How many blocks it takes where so much is at stake; `None` where it must be final.
    pub fn blocks(&self, at_stake: Amount) -> Option<u64> {
        let step = self.steps.iter().find(|step| at_stake <= step.up_to);
        step.map(|step| step.blocks).or(self.beyond)
    }

    /// The steps, the smallest amount first.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// What holds beyond them; `None` where only what is final counts.
    pub fn beyond(&self) -> Option<u64> {
        self.beyond
    }
}

/// `final`, or the steps as in `blocks 1 up to 1000, blocks 3 up to 50000, final`.
impl fmt::Display for CountsWhen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Step { up_to, blocks } in &self.steps {
            write!(f, "blocks {blocks} up to {up_to}, ")?;
        }
        match self.beyond {
            Some(blocks) => write!(f, "blocks {blocks}"),
            None => f.write_str("final"),
        }
    }
}

impl FromStr for CountsWhen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |what: &str| format!("{what:?} is no step: blocks N up to AMOUNT");
        let blocks = |text: &str| text.parse::<u64>().map_err(|_| wrong(text));
        let (steps, last) = text.rsplit_once(", ").unwrap_or(("", text));
        let step = |text: &str| {
            let halves = text.strip_prefix("blocks ").and_then(|rest| rest.split_once(" up to "));
            let (count, up_to) = halves.ok_or_else(|| wrong(text))?;
            Ok(Step { blocks: blocks(count)?, up_to: up_to.parse().map_err(|_| wrong(text))? })
        };
        let steps = steps.split(", ").filter(|text| !text.is_empty()).map(step);
        let beyond = match last.strip_prefix("blocks ") {
            Some(count) => Some(blocks(count)?),
            None if last == "final" => None,
            None => return Err(wrong(last)),
        };
        CountsWhen::new(steps.collect::<Result<_, String>>()?, beyond)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<CountsWhen, String> {
        text.parse()
    }

    #[test]
    fn more_at_stake_takes_more_blocks_and_beyond_the_last_step_it_must_be_final() {
        let rule = read("blocks 1 up to 10, blocks 3 up to 99, final").unwrap();
        let of = |units| rule.blocks(Amount::new(units));
        assert_eq!(
            [of(0), of(10), of(11), of(99), of(100)],
            [Some(1), Some(1), Some(3), Some(3), None]
        );
        let endless = read("blocks 1 up to 10, blocks 12").unwrap();
        assert_eq!(endless.blocks(Amount::new(u128::MAX)), Some(12));
        assert_eq!(CountsWhen::default().blocks(Amount::ZERO), None);
    }

    #[test]
    fn what_is_written_is_read_as_the_same() {
        for text in [
            "final",
            "blocks 12",
            "blocks 1 up to 10, final",
            "blocks 1 up to 10, blocks 1 up to 11, blocks 9",
        ] {
            assert_eq!(read(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        let nine = "blocks 1 up to 1, blocks 1 up to 2, blocks 1 up to 3, blocks 1 up to 4, \
                    blocks 1 up to 5, blocks 1 up to 6, blocks 1 up to 7, blocks 1 up to 8, \
                    blocks 1 up to 9, final";
        for text in [
            "",
            "safe",
            "blocks",
            "blocks x",
            "blocks 0",
            "blocks 1 up to 5",
            "blocks 1 up to -5, final",
            "blocks 2 up to 5, blocks 1",
            "blocks 1 up to 5, blocks 2 up to 5, final",
            "final, blocks 2",
            nine,
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
