//! How a request gets to the ledger. Whatever the gateway says to it, what counts is the row that
//! stands under its reference then.

use crate::call::{PAY, Request};
use crate::gateway::{Answer, Trouble};
use crate::ledger::FabricLedger;
use crate::rows::Row;
use sdpp_ledger::{Call, Result, Signed, TxId};
use std::sync::PoisonError;

/// How many doubts are remembered; to forget one costs a transaction without effect.
const DOUBTS_MAX: usize = 10_000;

impl FabricLedger {
    /// Writes down what will be asked for a call; nothing is signed here.
    pub(crate) fn prepared(&self, number: u64, call: &Call) -> Result<Signed> {
        let raw = Request::of(call)?.bytes();
        Ok(Signed { number, tx: None, raw, fee: sdpp_ledger::Amount::ZERO })
    }

    pub(crate) async fn submit_request(&self, signed: &Signed) -> Result<TxId> {
        let (request, _) = Request::read(&signed.raw)?;
        Ok(self.land(&request).await?.tx)
    }

    /// Has something done, and gives the row that stands for it: of this submission, or of an
    /// earlier one that was thought to be lost.
    pub(crate) async fn land(&self, request: &Request) -> Answer<Row> {
        if self.is_doubtful(request)
            && let Some(row) = self.landed(request).await?
        {
            return Ok(row);
        }
        self.note_doubt(request, true);
        let sent = match request.func == PAY.name {
            true => self.spend(request).await,
            false => self.own.gateway.submit(request).await,
        };
        if let Err(trouble) = sent {
            let trouble = self.grounded(request, trouble).await;
            let is_refused = matches!(trouble, Trouble::Refused { .. });
            self.note_doubt(request, !is_refused);
            return Err(trouble);
        }
        let row = self.landed(request).await?;
        // One peer has it as valid and another has not heard of it yet.
        row.ok_or_else(|| self.own.gateway.doubt("what was done is not to be found yet"))
    }

    /// A refusal, where our own gateway sees what it was refused for; else a doubt. One endorser's
    /// word is not enough, as it may be behind: what was sent before may be ordered all the same.
    /// What our own peer sees is for good: a balance that was spent since, or a reference that was
    /// taken, makes all that was endorsed before invalid.
    async fn grounded(&self, request: &Request, trouble: Trouble) -> Trouble {
        let Trouble::Refused { code, why } = &trouble else { return trouble };
        let is_seen = match code.as_str() {
            "NoSuchAccount" => self.lacks_account(request).await,
            // A reference that was taken is told as that, with what took it.
            "Conflict" => self.landed(request).await.map(|_| false),
            _ => Ok(true),
        };
        match is_seen {
            Ok(true) => trouble,
            Ok(false) => {
                let what = format!("an endorser sees what our own peer does not: {code}: {why}");
                self.own.gateway.doubt(&what)
            }
            Err(other) => other,
        }
    }

    /// Whether one of the accounts that something is between is not open.
    async fn lacks_account(&self, request: &Request) -> Answer<bool> {
        let payee = request.args.get(1).map(String::as_str).unwrap_or_default();
        Ok(!self.has_account(payee).await? || !self.has_account(self.own.account.as_str()).await?)
    }

    /// The row of what was asked for, where it is there.
    async fn landed(&self, request: &Request) -> Answer<Option<Row>> {
        let Some(row) = self.own.gateway.row_of(request, &self.own.account).await? else {
            return Ok(None);
        };
        self.note_doubt(request, false);
        match row.request == *request {
            true => Ok(Some(row)),
            false => Err(Trouble::refused("Conflict", taken_by(&row))),
        }
    }

    fn is_doubtful(&self, request: &Request) -> bool {
        // Nothing panics while it is held.
        let doubts = self.own.doubts.lock().unwrap_or_else(PoisonError::into_inner);
        doubts.contains(&name(request))
    }

    fn note_doubt(&self, request: &Request, is_doubtful: bool) {
        let mut doubts = self.own.doubts.lock().unwrap_or_else(PoisonError::into_inner);
        if !is_doubtful {
            doubts.remove(&name(request));
            return;
        }
        if doubts.len() >= DOUBTS_MAX {
            doubts.clear();
        }
        doubts.insert(name(request));
    }
}

fn name(request: &Request) -> String {
    format!("{} {}", request.func, request.reference())
}

/// What took a reference that something else was to be done under.
pub(crate) fn taken_by(row: &Row) -> String {
    let what = row.request.args.get(1..).unwrap_or_default().join(" ");
    let shown = sdpp_ledger::clean(&what, std::iter::empty());
    format!("the reference was taken by {} {shown} in {}", row.request.func, row.tx)
}
