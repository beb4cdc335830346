//! A verdict in sentences, for whoever knows nothing of it: who sold what to whom, what was signed,
//! who owes whom, by which paper, and what would change it.

use super::verdict::{Condition, Debt, Figure, LegVerdict, Paper, Party, Pay, Verdict, Word};
use crate::crypto::layout::MessageKind;
use crate::message::legible;
use crate::terms::Role;
use sdpp_ledger::Amount;
use std::fmt::{self, Display, Formatter};

impl Display for Paper {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        // The wire's names, where people have a word for it.
        let kind = match self.kind {
            MessageKind::DataInvoice => "invoice".to_owned(),
            MessageKind::PaymentAck => "word of payment".to_owned(),
            MessageKind::Ack => "acknowledgement of item".to_owned(),
            MessageKind::Data => "item".to_owned(),
            kind => kind.to_string(),
        };
        write!(f, "the {}'s {kind}", self.signed_by)?;
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
        self.tell_debts(f)?;
        self.tell_papers(f)?;
        self.tell_misconduct(f)?;
        self.tell_parting(f)?;
        self.tell_items(f)?;
        for note in &self.notes {
            writeln!(f, "Note: {note}.")?;
        }
        if self.misdeeds > 0 || self.parting.is_some() || !self.unless.is_empty() {
            let decimals = self.trade.pay.decimals;
            match self.legs.len() {
                0 | 1 => writeln!(
                    f,
                    "Note: amounts without a currency are in its smallest unit; it has {decimals} \
                     decimals."
                )?,
                _ => writeln!(
                    f,
                    "Note: amounts without a currency are in the smallest unit of their leg's."
                )?,
            }
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

    fn owes(&self, debt: &Debt) -> String {
        let Debt { by, to, from_seq, currency, decimals, at_most, at_least } = debt;
        let shown = |amount: &Amount| shown(*amount, *decimals, currency);
        let (most, least) = (shown(at_most), shown(at_least));
        // Who has paid may have left out what the payment was for.
        let owes = match by {
            Role::Seller if !self.heard.contains(by) => {
                format!("By the {to}'s evidence alone, the {by} owes the {to}")
            }
            _ => format!("The {by} owes the {to}"),
        };
        let then = if *at_least == Amount::ZERO { "nothing".to_owned() } else { least };
        let hold = self.hold(*from_seq);
        match by {
            _ if at_most == at_least => format!("{owes} {most}."),
            Role::Buyer => format!("{owes} {most}, unless {hold}: then it owes {then}."),
            Role::Seller => format!("{owes} {then}, unless {hold}: then it owes {most}."),
        }
    }

    /// The conditions of a leg, in the middle of a sentence.
    fn hold(&self, from_seq: u64) -> String {
        let leg = self.legs.iter().find(|leg| leg.from_seq == from_seq);
        let unless = leg.map_or(&[][..], |leg| leg.unless.as_slice());
        match unless {
            [Condition::Final { txs, .. }] if txs.len() == 1 => {
                let tx = txs.first().map_or("", |tx| tx.as_str());
                format!("transaction {tx} is final")
            }
            [Condition::Channel { channel, .. }] => format!("channel {channel} pays it out"),
            [_] => "the condition below holds".to_owned(),
            _ if self.legs.len() > 1 => "all its conditions below hold".to_owned(),
            _ => "all the conditions below hold".to_owned(),
        }
    }

    fn tell_parties(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let party = |who: Role, Party { key, identity_proven }: &Party| {
            let known = match identity_proven {
                true => "the key that you know this party by",
                false => "identity unproven: nobody gave this party's key to compare with",
            };
            format!("  {who:<6} {key} ({known})")
        };
        writeln!(f, "{}", party(Role::Seller, &self.seller))?;
        writeln!(f, "{}", party(Role::Buyer, &self.buyer))?;
        let trade = &self.trade;
        let quantity = match trade.quantity {
            Some(quantity) => format!("up to {quantity} items"),
            None => "as many items as there are".to_owned(),
        };
        // The leg that was ordered, and then what was agreed since.
        let ordered = self.legs.first().map_or(&trade.pay, |leg| &leg.pay);
        writeln!(
            f,
            "The seller sold the buyer {quantity} of {:?} for {}, to be paid after every {} items \
             {}.",
            legible(&trade.topic),
            ordered.item(),
            trade.granularity,
            ordered.way(),
        )?;
        for LegVerdict { from_seq, pay, .. } in self.legs.iter().skip(1) {
            let (item, way) = (pay.item(), pay.way());
            writeln!(
                f,
                "Both agreed that from item {from_seq} on it costs {item}, to be paid {way}."
            )?;
        }
        let heard: Vec<String> = self.heard.iter().map(|role| format!("the {role}'s")).collect();
        writeln!(f, "Judged by {} evidence.", heard.join(" and "))
    }

    fn tell_papers(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "What was signed:")?;
        for leg in &self.legs {
            if self.legs.len() > 1 {
                let (from_seq, way) = (leg.from_seq, leg.pay.way());
                writeln!(f, "  from item {from_seq} on, paid {way}:")?;
            }
            leg.tell_papers(f)?;
        }
        Ok(())
    }

    fn tell_debts(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "Verdict: {}", self.sentence())?;
        for leg in &self.legs {
            for condition in &leg.unless {
                leg.tell_condition(f, condition)?;
            }
            if leg.unproven.amount > Amount::ZERO {
                let (amount, items) = (leg.money(leg.unproven.amount), leg.unproven.items);
                writeln!(
                    f,
                    "  The seller demands {amount} more, for {items} items that the buyer never \
                     acknowledged: that is not owed, for nothing proves that they arrived."
                )?;
            }
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

impl LegVerdict {
    fn money(&self, amount: Amount) -> String {
        self.pay.money(amount)
    }

    fn tell_papers(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let figure = |figure: &Figure| {
            let by = figure.by.as_ref();
            by.map_or(String::new(), |by| format!(", by {by}"))
        };
        let mut row = |what: &str, value: String| writeln!(f, "  {what:<34} {value}");
        let (invoiced, acked) = (&self.invoiced, &self.acknowledged);
        let items = |one: &Figure| {
            format!("{} items, {}{}", one.items, self.money(one.amount), figure(one))
        };
        row("asked for, by the seller", items(invoiced))?;
        row("arrived, by the buyer's signature", items(acked))?;
        let receipted = &self.receipted;
        let paid = format!("{}{}", self.money(receipted.amount), figure(receipted));
        row("paid, by the seller's signature", paid)?;
        if self.admitted > Amount::ZERO {
            let word = "its own bundle says that its ledger has it";
            row(
                "paid beyond that, by the seller",
                format!("{}: {word}", self.money(self.admitted)),
            )?;
        }
        if self.credited > Amount::ZERO {
            row("taken off, by credit notes", self.money(self.credited))?;
        }
        if let Some(voucher) = &self.voucher {
            let (all, worth) = (self.money(voucher.cumulative), self.money(voucher.worth));
            let checked = match voucher.checked {
                true => "",
                false => "; only its escrow can tell whether it is good",
            };
            row(
                "vouched, by the buyer",
                format!("{all} in all, {worth} in this session{checked}"),
            )?;
        }
        Ok(())
    }

    fn tell_condition(&self, f: &mut Formatter<'_>, condition: &Condition) -> fmt::Result {
        let said = match condition {
            Condition::Final {
                window, ledger, payee, reference, pays, amount, txs, said, ..
            } => {
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
            Condition::Channel { ledger, channel, pays, amount, said, .. } => {
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
}

impl Pay {
    fn money(&self, amount: Amount) -> String {
        shown(amount, self.decimals, &self.currency)
    }

    /// What an item costs.
    fn item(&self) -> String {
        match self.item {
            Some(item) => format!("{} an item", self.money(item)),
            None => format!("{} of the menu's own unit an item, at the menu's rate", self.price),
        }
    }

    /// How and to whom it is paid.
    fn way(&self) -> String {
        format!("by {} on {} to {}", self.method, self.ledger, self.payee)
    }
}

fn shown(amount: Amount, decimals: u8, currency: &str) -> String {
    format!("{} {}", amount.to_decimal(decimals), legible(currency))
}
