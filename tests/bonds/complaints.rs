//! Complaints that need no answer and answers that need no money, each true and false, by whom they may be and by
//! whom not, with the balances to the unit.

use crate::contract::{Chain, Words};
use crate::window;
use sdpp::crypto::layout::MessageKind;
use sdpp_ledger::{Digest, merkle};

impl Chain {
    /// What brings evidence of the session.
    fn evidence(&self, one: Words, other: Words) -> [Words; 5] {
        [self.bond(), self.terms_words(), self.session_key(), one, other]
    }

    fn pledged(&self) -> u128 {
        self.bonds.buyer.units() + self.bonds.seller.units()
    }

    /// The buyer has half of the seller's bond due, and the stake that it won if any. Nothing has left yet.
    async fn seller_lost(&self, stake: u128) {
        let lost = self.bonds.seller.units();
        assert_eq!(self.credits().await, [lost - lost / 2 + stake, 0]);
        assert_eq!(self.held().await, self.pledged() + stake);
    }

    async fn nobody_lost(&self) {
        assert_eq!(self.credits().await, [0, 0]);
        assert_eq!(self.held().await, self.pledged());
    }
}

#[tokio::test]
async fn two_invoices_with_one_number_cost_the_seller_its_bond() {
    let Some(chain) = Chain::with_bond().await else { return };
    let (_, leaves) = window(&chain);
    let root = merkle::root(&leaves);
    let first = chain.invoice(1, root, 35);
    let no_lies = [first.clone(), chain.invoice(2, Digest([6; 32]), 70)];
    for other in no_lies {
        let args = chain.evidence(first.clone(), other);
        let refused = chain.buyer("convictOfInvoices", &args, 0).await;
        assert_eq!(refused, Err("NoContradiction".to_owned()));
    }
    chain.nobody_lost().await;
    let args = chain.evidence(first, chain.invoice(1, root, 36));
    chain.buyer("convictOfInvoices", &args, 0).await.unwrap();
    chain.seller_lost(0).await;
    let again = chain.buyer("convictOfInvoices", &args, 0).await;
    assert!(again.is_err(), "there is nothing left to lose");
    chain.seller_lost(0).await;
}

/// Whoever signs beyond its credit has been paid for what was before.
#[tokio::test]
async fn an_item_or_an_invoice_beyond_the_credit_refutes_a_demand() {
    // W windows of K items are on credit behind the one that is demanded.
    for (call, within, beyond) in [("refuteByItem", 14, 15), ("refuteByInvoice", 3, 4)] {
        let Some(chain) = Chain::with_bond().await else { return };
        let receipt = |number: u64| match call {
            "refuteByItem" => chain.item(number, Digest([6; 32])),
            _ => chain.invoice(number, Digest([6; 32]), 35),
        };
        let args = |receipt: Words| [chain.bond(), chain.demanded(1, 35), receipt];
        let early = chain.buyer(call, &args(receipt(beyond)), 0).await;
        assert_eq!(early, Err("NoComplaint".to_owned()), "{call}: nothing was demanded");
        chain.demand(1, 35).await.unwrap();
        let refused = chain.buyer(call, &args(receipt(within)), 0).await;
        assert_eq!(refused, Err("NotReceipted".to_owned()), "{call}");
        assert_eq!(chain.held().await, chain.pledged() + chain.stake());
        chain.buyer(call, &args(receipt(beyond)), 0).await.unwrap();
        chain.seller_lost(chain.stake()).await;
    }
}

/// Half of a bond that is lost goes to who complains: so that is the other party, and nobody that a cheat sends
/// ahead of it.
#[tokio::test]
async fn a_sham_complaint_by_the_sellers_friend_gains_them_nothing() {
    let Some(chain) = Chain::with_bond().await else { return };
    let (_, leaves) = window(&chain);
    let (one, other) = (chain.item(3, leaves[2]), chain.item(3, leaves[3]));
    let convicts = chain.evidence(one.clone(), other);
    let root = chain.evidence(one, chain.invoice(1, Digest([6; 32]), 35));
    for (call, args, value) in
        [("convictOfItems", &convicts, 0), ("challengeRoot", &root, chain.stake())]
    {
        let not_theirs = Err("NotParty".to_owned());
        assert_eq!(chain.friend(call, args, value).await, not_theirs, "{call}");
        assert_eq!(chain.seller(call, args, value).await, not_theirs, "{call}");
    }
    chain.nobody_lost().await;
    chain.buyer("convictOfItems", &convicts, 0).await.unwrap();
    chain.seller_lost(0).await;
}

/// Nor by what somebody else signed, or was signed in another session.
#[tokio::test]
async fn a_seller_loses_nothing_by_what_it_has_not_signed() {
    let Some(chain) = Chain::with_bond().await else { return };
    let (_, leaves) = window(&chain);
    let one = chain.item(3, leaves[2]);
    let mut forged = chain.item(3, leaves[3]);
    // The signature of another item of its own.
    let signed = chain.sellers(MessageKind::Data, 4, leaves[3], 0);
    let at = forged.len() - signed.len();
    forged.splice(at.., signed);
    let args = chain.evidence(one, forged);
    let refused = chain.buyer("convictOfItems", &args, 0).await;
    assert_eq!(refused, Err("InvalidSignature".to_owned()));
    chain.nobody_lost().await;
}
