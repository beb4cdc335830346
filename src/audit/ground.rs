//! What a session stands on: what both signed at its beginning, and what they have agreed to change
//! since, by the journal. What a message says of rates and paces is held against it.

use super::proof::Found;
use super::statement::Statement;
use crate::message::{Agreement, Invoice, InvoicePace, InvoiceRate, Menu, Quote, Word};
use crate::record::SignedMessage;
use crate::terms::{Agreed, InEscrow, Role, Terms, Void};
use sdpp_ledger::{Amount, ChannelId};

/// What the session stands on.
pub(super) enum Ground {
    /// Nothing yet: its order may wait for its anchor.
    ExpectOrder,
    /// What both signed.
    Under(Box<Under>),
    /// It is over: what came of it. Of that, only what ledgers say can still change.
    Over(Box<Statement>),
    /// Its order is none. That was named, and nothing more can be said.
    Baseless,
}

/// What both signed, while the session is on.
pub(super) struct Under {
    /// Which side we are.
    pub(super) role: Role,
    pub(super) agreement: Agreement,
    /// Where the menu's rate comes from.
    quote: Option<Quote>,
    /// What the menu's prices are in.
    default_currency: String,
}

impl Under {
    /// Nothing is changed yet.
    pub(super) fn new(role: Role, terms: &Terms, menu: Menu) -> Under {
        let currency = &terms.currency;
        let quote = menu.currency(&currency.name, currency.method);
        let quote = quote.and_then(|offer| offer.quote.clone());
        let default_currency = menu.default_currency;
        Under { role, agreement: Agreement::new(terms), quote, default_currency }
    }

    /// The terms, and what both have signed since.
    pub(super) fn agreed(&self) -> &Agreed {
        self.agreement.agreed()
    }

    pub(super) fn terms(&self) -> &Terms {
        self.agreed().terms()
    }

    /// Takes a signed word about a change, when so many items were invoiced. Gives what is void by it.
    pub(super) fn amend(
        &mut self,
        by: Role,
        message: &SignedMessage,
        invoiced: u64,
    ) -> Found<Option<Void>> {
        let from_seq = message.from_seq().unwrap_or_default();
        match self.agreement.take(by, message)? {
            Word::Agreed if from_seq <= invoiced => Err(format!(
                "what was agreed is in force from item {from_seq}, and {invoiced} were invoiced"
            )),
            Word::Voided(void) => Ok(Some(void)),
            _ => Ok(None),
        }
    }

    /// Whether an invoice is in another currency than prices are, and does not say the rate. One
    /// that is older than such words does not, and is none the worse for it.
    pub(super) fn is_unrated(&self, invoice: &Invoice) -> bool {
        let leg = self.agreed().leg(invoice.to);
        invoice.rate.is_none() && leg.currency.name != self.default_currency
    }

    /// What an invoice says of its rate and where that comes from, and of its pace.
    pub(super) fn is_as_agreed(&self, invoice: &Invoice) -> Found {
        let number = invoice.number;
        if let Some(said) = &invoice.rate {
            let wrong = |why| format!("invoice {number} {why}");
            self.is_rate(invoice.to, said).map_err(wrong)?;
        }
        let paced = self.agreement.paced(invoice.from);
        let said = invoice.pace.as_ref().map(|InvoicePace { amend, change }| (*amend, *change));
        let agreed = paced.map(|paced| (paced.amend, paced.change));
        // Where the pace is the menu's again, nothing need be said of it.
        let is_menus = agreed.is_none_or(|(_, change)| change.pace == self.terms().pace());
        match said {
            None if is_menus => Ok(()),
            None => Err(format!("invoice {number} does not say the pace that was agreed")),
            Some(_) if said == agreed => Ok(()),
            Some(_) => Err(format!("invoice {number} says another pace than was agreed")),
        }
    }

    fn is_rate(&self, to: u64, InvoiceRate { rate: said, quote }: &InvoiceRate) -> Found {
        let rate = &self.agreed().leg(to).currency.rate;
        if said != rate {
            let (said, by) = (said.numerator, said.denominator);
            let (agreed, of) = (rate.numerator, rate.denominator);
            return Err(format!("is counted at {said} for {by}, agreed was {agreed} for {of}"));
        }
        if quote.as_ref().is_some_and(|quote| quote.rate() != Some(*said)) {
            return Err("has a quote that makes another rate than it says".to_owned());
        }
        match quote.as_ref() == self.quote(to) {
            true => Ok(()),
            false => Err("says that its rate comes from elsewhere than was agreed".to_owned()),
        }
    }

    /// The place of the leg that so much on a channel is for: the last on it that begins below.
    pub(super) fn leg_on(&self, channel: ChannelId, amount: Amount) -> Option<usize> {
        let legs = self.agreed().legs().enumerate();
        let legs = legs.filter(|(_, leg)| is_for(leg.escrow, channel, amount));
        legs.last().map(|(place, _)| place)
    }

    /// Where the rate comes from that an item is counted at, by the menu or by the change.
    fn quote(&self, seq: u64) -> Option<&Quote> {
        match self.agreed().leg_place(seq) {
            0 => self.quote.as_ref(),
            _ => self.agreement.quote(seq),
        }
    }
}

/// Whether a leg that draws on this may have so much on a channel.
pub(super) fn is_for(escrow: Option<InEscrow>, channel: ChannelId, amount: Amount) -> bool {
    escrow.is_some_and(|on| on.channel == channel && on.base < amount)
}
