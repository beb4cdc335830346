//! Whom a seller sells to, and whom on credit. Pure: lists decide by the buyer's key alone, the rest
//! by what is known of the buyer from earlier sessions.

use crate::standing::Standing;
use crate::terms::Method;
use sdpp_ledger::{Amount, PublicKey};
use serde::{Deserialize, Serialize};

/// How a buyer that has never paid us anything is served.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownBuyer {
    /// As everybody is.
    #[default]
    Credit,
    /// By escrow alone.
    Escrow,
}

/// How a buyer is served that owes us something from a session that broke.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Debtors {
    /// As everybody is: an honest buyer whose line broke may have paid without our knowing.
    #[default]
    Credit,
    /// By escrow alone, until it has paid.
    Escrow,
    /// Not at all, until it has paid.
    Refuse,
}

/// Whom a seller sells to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Door {
    /// Nobody but these; everybody where it is `None`.
    pub allow: Option<Vec<PublicKey>>,
    /// None of these.
    pub deny: Vec<PublicKey>,
    /// How who has never paid is served.
    pub unknown_buyer: UnknownBuyer,
    /// How who owes is served.
    pub debtors: Debtors,
}

/// Why a buyer is not served so, for the buyer: it says what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shut {
    /// Not on credit.
    OnCredit(&'static str),
    /// Not at all.
    Altogether(&'static str),
}

impl Shut {
    /// The sentence.
    pub fn why(&self) -> &'static str {
        match self {
            Shut::OnCredit(why) | Shut::Altogether(why) => why,
        }
    }
}

impl Door {
    /// Whether the lists let this buyer in.
    ///
    /// # Errors
    /// [`Shut::Altogether`]; who is on which list is not said.
    pub fn let_in(&self, buyer: &PublicKey) -> Result<(), Shut> {
        let is_allowed = self.allow.as_ref().is_none_or(|allow| allow.contains(buyer));
        match is_allowed && !self.deny.contains(buyer) {
            true => Ok(()),
            false => Err(Shut::Altogether(
                "this seller does not sell to the key of this order: ask whoever runs it to be let \
                 in",
            )),
        }
    }

    /// Whether a buyer that the lists let in may pay by this method, where a window of what it orders
    /// costs so much in the default currency's smallest unit.
    ///
    /// # Errors
    /// [`Shut`], with what the buyer can do.
    pub fn judge(&self, standing: &Standing, method: Method, window: Amount) -> Result<(), Shut> {
        if self.debtors != Debtors::Credit && standing.is_debtor(window) {
            return match (self.debtors, method) {
                (Debtors::Refuse, _) => Err(Shut::Altogether(
                    "something is unpaid of a session that broke: this seller takes your orders \
                     again when that is paid",
                )),
                (Debtors::Escrow, Method::Transfer) => Err(Shut::OnCredit(
                    "something is unpaid of a session that broke: pay by escrow, or pay that first",
                )),
                (Debtors::Escrow, Method::Escrow) | (Debtors::Credit, _) => Ok(()),
            };
        }
        match (self.unknown_buyer, method) {
            (UnknownBuyer::Escrow, Method::Transfer) if !standing.has_paid() => {
                Err(Shut::OnCredit(
                    "this seller serves who has never paid it by escrow alone: pay by escrow, and \
                     by transfer from the next order on",
                ))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use sdpp_ledger::Key;

    const WINDOW: Amount = Amount::new(5);

    fn buyer(byte: u8) -> PublicKey {
        Key::from_bytes(&[byte; 32]).unwrap().public()
    }

    #[test]
    fn lists_say_who_is_let_in_and_to_deny_goes_before_to_allow() {
        let door = |allow: Option<&[u8]>, deny: &[u8]| Door {
            allow: allow.map(|allow| allow.iter().copied().map(buyer).collect()),
            deny: deny.iter().copied().map(buyer).collect(),
            ..Door::default()
        };
        let lets = |door: Door| [1, 2, 3].map(|byte| door.let_in(&buyer(byte)).is_ok());
        assert_eq!(lets(door(None, &[])), [true, true, true]);
        assert_eq!(lets(door(None, &[2])), [true, false, true]);
        assert_eq!(lets(door(Some(&[1]), &[])), [true, false, false]);
        assert_eq!(lets(door(Some(&[1, 2]), &[2])), [true, false, false]);
        assert_eq!(lets(door(Some(&[]), &[])), [false, false, false]);
    }

    /// What becomes of an order by transfer and of one by escrow.
    fn served(door: &Door, standing: &Standing) -> [Result<(), Shut>; 2] {
        [Method::Transfer, Method::Escrow].map(|method| door.judge(standing, method, WINDOW))
    }

    #[test]
    fn who_never_paid_is_served_on_credit_or_by_escrow_alone() {
        let new = Standing::default();
        let mut known = new;
        known.pay(Amount::new(1), 1);
        assert_eq!(served(&Door::default(), &new), [Ok(()), Ok(())]);
        let door = Door { unknown_buyer: UnknownBuyer::Escrow, ..Door::default() };
        let [by_transfer, by_escrow] = served(&door, &new);
        assert!(matches!(by_transfer, Err(Shut::OnCredit(_))), "{by_transfer:?}");
        assert_eq!(by_escrow, Ok(()));
        assert_eq!(served(&door, &known), [Ok(()), Ok(())]);
    }

    #[test]
    fn who_owes_from_a_session_that_broke_has_no_credit_until_it_has_paid() {
        let mut debtor = Standing::default();
        debtor.pay(Amount::new(100), 10);
        debtor.part(Amount::new(4), true);
        let by_escrow_alone = Door { debtors: Debtors::Escrow, ..Door::default() };
        assert_eq!(served(&by_escrow_alone, &debtor), [Ok(()), Ok(())], "a part of a window");
        debtor.part(Amount::new(1), true);
        let [by_transfer, by_escrow] = served(&by_escrow_alone, &debtor);
        assert!(matches!(by_transfer, Err(Shut::OnCredit(_))), "{by_transfer:?}");
        assert_eq!(by_escrow, Ok(()));
        assert_eq!(served(&Door::default(), &debtor), [Ok(()), Ok(())]);
        let strict = Door { debtors: Debtors::Refuse, ..Door::default() };
        for told in served(&strict, &debtor) {
            assert!(matches!(told, Err(Shut::Altogether(_))), "{told:?}");
        }
        debtor.make_good(Amount::new(5), true);
        assert_eq!(served(&strict, &debtor), [Ok(()), Ok(())]);
        // What is not final when a session ends in good order is no debt of that kind.
        let mut late = Standing::default();
        late.part(Amount::new(5), false);
        assert_eq!(served(&strict, &late), [Ok(()), Ok(())]);
    }
}
