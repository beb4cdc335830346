//! A verdict in sentences, for whoever knows nothing of it: who sold what to whom, what was signed,
//! who owes whom, by which paper, and what would change it.

use super::verdict::{Condition, Debt, Figure, Paper, Party, Verdict, Word};
use crate::message::legible;
use crate::terms::Role;
use sdpp_ledger::Amount;
use std::fmt::{self, Display, Formatter};

impl Display for Paper {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "the {}'s {}", self.signed_by, self.kind)?;
        if self.number > 0 {
            write!(f, " {}", self.number)?;
        }
        write!(f, " ({})", self.digest)
    }
}

impl Display for Verdict {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "Session {}", self.session)?;
        self.tell_parties(f)?;
        self.tell_papers(f)?;
        self.tell_debts(f)?;
        self.tell_misconduct(f)?;
        self.tell_parting(f)?;
        self.tell_items(f)?;
        for note in &self.notes {
            writeln!(f, "Note: {note}.")?;
        }
        writeln!(f, "Decided by:")?;
        self.decided_by.iter().try_for_each(|paper| writeln!(f, "  {paper}"))
    }
}

impl Verdict {
    /// The one sentence that counts.
    pub fn sentence(&self) -> String {
        let debts: Vec<String> = self.debts.iter().map(|debt| self.owes(debt)).collect();
        match debts.as_slice() {
            [] => "Nobody owes anybody anything for this session.".to_owned(),
            debts => debts.join(" "),
        }
    }

    fn owes(&self, Debt { by, to, at_most, at_least }: &Debt) -> String {
        let (most, least) = (self.money(*at_most), self.money(*at_least));
        let conditions = match self.unless.len() {
            0 => "",
            1 => " the condition below holds",
            _ => " the conditions below hold",
        };
        match (by, at_most == at_least, *at_least == Amount::ZERO) {
            (_, true, _) => format!("The {by} owes the {to} {most}."),
            (Role::Buyer, false, true) => {
                format!("The {by} owes the {to} {most}, and nothing as far as{conditions}.")
            }
            (Role::Buyer, false, false) => {
                format!("The {by} owes the {to} {most}, and {least} where{conditions}.")
            }
            (Role::Seller, false, true) => {
                format!("The {by} owes the {to} {most} where{conditions}.")
            }
            (Role::Seller, false, false) => {
                format!("The {by} owes the {to} {least}, and {most} where{conditions}.")
            }
        }
    }

    fn money(&self, amount: Amount) -> String {
        let whole = amount.to_decimal(self.trade.decimals);
        format!("{whole} {}", legible(&self.trade.currency))
    }

    fn tell_parties(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let party = |who: Role, Party { key, identity_proven }: &Party| {
            let known = match identity_proven {
                true => "the key that you gave",
                false => "identity unproven: nobody gave this party's key to compare with",
            };
            format!("  {who:<6} {key} ({known})")
        };
        writeln!(f, "{}", party(Role::Seller, &self.seller))?;
        writeln!(f, "{}", party(Role::Buyer, &self.buyer))?;
        let trade = &self.trade;
        let quantity = match trade.quantity {
            Some(quantity) => format!("{quantity} items"),
            None => "items without end".to_owned(),
        };
        writeln!(
            f,
            "The buyer ordered {quantity} of {:?} from the seller, in windows of {}, each {} units of \
             the menu's default currency, to be paid in {} by {} on {} to {}.",
            legible(&trade.topic),
            trade.granularity,
            trade.price,
            legible(&trade.currency),
            trade.method,
            trade.ledger,
            trade.payee,
        )?;
        let heard: Vec<String> = self.heard.iter().map(|role| format!("the {role}'s")).collect();
        writeln!(f, "Judged by {} evidence.", heard.join(" and "))
    }

    fn tell_papers(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let figure = |figure: &Figure| {
            let by = figure.by.as_ref();
            by.map_or(String::new(), |by| format!(", by {by}"))
        };
        writeln!(f, "What was signed:")?;
        let (invoiced, acked) = (&self.invoiced, &self.acknowledged);
        let rows = [
            ("invoiced", Some(invoiced.items), invoiced.amount, figure(invoiced)),
            ("acknowledged", Some(acked.items), acked.amount, figure(acked)),
            ("receipted", None, self.receipted.amount, figure(&self.receipted)),
        ];
        for (what, items, amount, by) in rows {
            let items = items.map_or(String::new(), |items| format!("{items} items, "));
            writeln!(f, "  {what:<13} {items}{}{by}", self.money(amount))?;
        }
        if self.credited > Amount::ZERO {
            writeln!(
                f,
                "  {:<13} {}, by the seller's credit notes",
                "credited",
                self.money(self.credited)
            )?;
        }
        if self.admitted > Amount::ZERO {
            let word = "by the seller's own bundle, which says that its ledger paid it";
            writeln!(f, "  {:<13} {}, {word}", "admitted", self.money(self.admitted))?;
        }
        if let Some(voucher) = &self.voucher {
            let (all, worth) = (self.money(voucher.cumulative), self.money(voucher.worth));
            let checked =
                if voucher.checked { "" } else { "; only its escrow can tell whether it is good" };
            writeln!(
                f,
                "  {:<13} {all} in all, {worth} of it in this session{checked}",
                "vouched"
            )?;
        }
        Ok(())
    }

    fn tell_debts(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "Verdict: {}", self.sentence())?;
        for condition in &self.unless {
            self.tell_condition(f, condition)?;
        }
        if self.unproven.amount > Amount::ZERO {
            let (amount, items) = (self.money(self.unproven.amount), self.unproven.items);
            writeln!(
                f,
                "  The seller demands {amount} more, for {items} items that the buyer never \
                 acknowledged: that is not owed, for nothing proves that they arrived."
            )?;
        }
        Ok(())
    }

    fn tell_condition(&self, f: &mut Formatter<'_>, condition: &Condition) -> fmt::Result {
        let said = match condition {
            Condition::Final { window, ledger, payee, reference, pays, amount, txs, said } => {
                let txs: Vec<&str> = txs.iter().map(|tx| tx.as_str()).collect();
                let txs =
                    if txs.is_empty() { "a transaction".to_owned() } else { txs.join(" or ") };
                let (pays, less) = (self.money(*pays), self.money(*amount));
                writeln!(
                    f,
                    "  - {less} less, if {txs} is final on {ledger} and pays {pays} to {payee} under \
                     the reference {reference} (window {window})."
                )?;
                said
            }
            Condition::Channel { ledger, channel, pays, amount, said } => {
                let (pays, less) = (self.money(*pays), self.money(*amount));
                writeln!(
                    f,
                    "  - {less} less, as far as channel {channel} on {ledger} pays {pays} in all on \
                     the buyer's voucher, which the seller can redeem by itself."
                )?;
                said
            }
        };
        for Word { word_of, says } in said {
            writeln!(
                f,
                "    The {word_of} says of it: {says}. That is its word, not the ledger's."
            )?;
        }
        Ok(())
    }

    fn tell_misconduct(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for misdeed in &self.misconduct {
            writeln!(f, "Misconduct: the {} {}.", misdeed.by, misdeed.why)?;
            misdeed.proven_by.iter().try_for_each(|paper| writeln!(f, "  proven by {paper}"))?;
        }
        let more = self.misdeeds.saturating_sub(self.misconduct.len() as u64);
        if more > 0 {
            writeln!(f, "Misconduct: and {more} more of these.")?;
        }
        Ok(())
    }

    fn tell_parting(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let heard_both = self.heard.len() > 1;
        let Some(parting) = &self.parting else {
            let agree =
                if heard_both { "The two stories agree wherever both speak.\n" } else { "" };
            return f.write_str(agree);
        };
        let proof = match parting.proven_for {
            Some(role) => format!("The {role} can prove its story by what the other signed"),
            None => "Neither can prove its story by what the other signed".to_owned(),
        };
        let (about, seller, buyer) = (&parting.about, &parting.seller_says, &parting.buyer_says);
        writeln!(
            f,
            "The stories part first at {about}: the seller's bundle {seller}, the buyer's {buyer}. \
             {proof}."
        )
    }

    fn tell_items(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for item in &self.items {
            let is = if item.proven { "is what" } else { "is NOT proven to be what" };
            let text = item.text.as_ref().map_or(String::new(), |text| format!(", {text:?},"));
            writeln!(
                f,
                "Item {}{text} (digest {}) {is} the seller sold in window {}.",
                item.seq, item.digest, item.invoice
            )?;
        }
        Ok(())
    }
}
