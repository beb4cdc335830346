//! What a buyer answers a demand with, and what a seller makes of it, with the real binary.

use crate::contract::DAY;
use crate::court::{Court, acts, told};
use crate::rig;
use sdpp::record::Record;
use sdpp::terms::Role;
use sdpp_ledger::bond::{Demand, Receipt, Word};
use sdpp_ledger::{Amount, BondAct, Voucher, keccak};
use serde_json::{Value, json};
use std::fs;
use std::process::Stdio;

const PAID: &[u8] = b"Paid(bytes32,uint256,bytes)";

/// What the voucher is for that pays the first window: what was vouched before, and its price.
const DUE: Amount = Amount::new(38);

fn calls(told: &Value) -> Vec<(&str, &str)> {
    let calls = told["calls"].as_array().unwrap().iter();
    calls.map(|call| (call["call"].as_str().unwrap(), call["state"].as_str().unwrap())).collect()
}

impl Court {
    /// The demand for the first window.
    fn asked(&self) -> Demand {
        Demand {
            session: self.terms.session.0,
            amount_total: Amount::new(35),
            voucher: DUE,
            paid_before: 15,
            last_unpaid: 3,
        }
    }

    /// A voucher that the seller has.
    fn voucher(&self, amount: Amount) -> Record {
        let (channel, domain) = (self.chain.channel, self.chain.domain.clone());
        let signature = Voucher { channel, amount }.sign(&domain, &self.chain.buyers_key);
        Record::Voucher { channel, domain, amount, signature }
    }

    /// What a buyer did that hears late of what it is asked. Blocks come once it has paid: they would make
    /// the ledger's lag a short one.
    async fn pays_late(&self) -> Value {
        self.hears_late("buyer").await;
        let (settled, topic) = (self.settle("buyer"), keccak(&[PAID]).to_string());
        tokio::pin!(settled);
        let told = tokio::select! {
            told = self.tells(&topic) => told,
            settled = &mut settled => panic!("before anything is final: {settled}"),
        };
        let settled = rig::mining(&self.chain.anvil, settled).await;
        assert_eq!(told, Ok(()), "nothing was paid: {settled}");
        settled
    }
}

/// The seller has the voucher from the contract's event alone, and redeems it as any other.
#[tokio::test]
async fn a_buyer_that_is_asked_pays_and_keeps_its_bond() {
    let Some(court) = Court::opens().await else { return };
    court.buyer_is_gone();
    court.buyer_is_cut_off();
    assert_eq!(acts(&court.settle("seller").await), ["demand"]);
    let paid = court.settle("buyer").await;
    assert_eq!(
        acts(&paid),
        ["pay", "withdraw"],
        "what it sent beside the voucher is its own: {paid}"
    );
    let bonds = &court.chain.bonds;
    let rest = bonds.buyer.saturating_sub(bonds.fee);
    assert_eq!(paid["of_buyer"], rest.to_string(), "it pays the fee, and nothing else");
    let had = told(&court.settles("seller", &[]).await);
    assert_eq!(acts(&had["bond"]), ["withdraw"], "{had}");
    assert_eq!(calls(&had), [("settle", "done")]);
    assert_eq!(acts(&court.settle("seller").await), [""; 0]);
    let audit = court.run(court.command("seller", &["audit", "--json"])).await;
    assert!(audit.status.success(), "{}", String::from_utf8_lossy(&audit.stderr));
}

/// It is no answer for as long as the channel may be emptied by who gives it.
#[tokio::test]
async fn a_buyer_takes_its_request_to_close_back_before_it_answers() {
    let Some(court) = Court::opens().await else { return };
    court.buyer_is_gone();
    court.buyer_is_cut_off();
    assert_eq!(acts(&court.settle("seller").await), ["demand"]);
    court.chain.request_close().await;
    let paid = court.settle("buyer").await;
    assert_eq!(acts(&paid), ["top_up", "pay", "withdraw"], "{paid}");
    assert_eq!(calls(&told(&court.settles("seller", &[]).await)), [("settle", "done")]);
}

/// What takes the request back is a deposit, and the escrow must have leave for it.
#[tokio::test]
async fn a_buyer_gives_leave_for_what_it_answers_with() {
    let Some(court) = Court::opens_in_token().await else { return };
    court.buyer_is_gone();
    court.buyer_is_cut_off();
    assert_eq!(acts(&court.settle("seller").await), ["demand"]);
    court.chain.takes_leave_back(&court.chain.domain.contract).await;
    court.chain.request_close().await;
    let paid = court.settle("buyer").await;
    assert_eq!(acts(&paid), ["approve", "top_up", "pay"], "of a token no more is taken: {paid}");
}

/// The money beside it saves it from a close; where that cannot be brought a voucher is better than nothing.
#[tokio::test]
async fn a_voucher_goes_alone_where_the_money_beside_it_was_refused() {
    let Some(court) = Court::opens().await else { return };
    court.buyer_is_gone();
    court.buyer_is_cut_off();
    assert_eq!(acts(&court.settle("seller").await), ["demand"]);
    let (chain, asked) = (&court.chain, court.asked());
    let voucher = Voucher { channel: chain.channel, amount: DUE };
    let signature = voucher.sign(&chain.domain, &chain.buyers_key);
    let pay = BondAct::Pay { asked, amount: DUE, signature, most: DUE };
    court.was_refused(Role::Buyer, 1, &pay);
    assert_eq!(acts(&court.settle("buyer").await), ["pay"], "nothing comes back");
}

/// Its account has what is due, and not the fee for bringing it too.
#[tokio::test]
async fn a_voucher_goes_alone_where_the_buyer_has_too_little() {
    let Some(court) = Court::opens().await else { return };
    court.buyer_is_gone();
    court.buyer_is_cut_off();
    assert_eq!(acts(&court.settle("seller").await), ["demand"]);
    court.chain.impoverish_buyer().await;
    assert_eq!(acts(&court.settle("buyer").await), ["pay"], "nothing comes back");
}

/// Leave for a token must be final before anything is done with it.
#[tokio::test]
async fn a_voucher_goes_alone_where_leave_for_the_money_comes_too_late() {
    let Some(court) = Court::opens_in_token().await else { return };
    court.buyer_is_gone();
    court.buyer_is_cut_off();
    assert_eq!(acts(&court.settle("seller").await), ["demand"]);
    let bonds = court.chain.contract.parse().unwrap();
    court.chain.takes_leave_back(&bonds).await;
    assert_eq!(acts(&court.pays_late().await), ["pay"], "there is time for one thing");
}

/// Coin needs no leave.
#[tokio::test]
async fn what_goes_along_with_a_voucher_without_leave_is_never_late() {
    let Some(court) = Court::opens().await else { return };
    court.buyer_is_gone();
    court.buyer_is_cut_off();
    assert_eq!(acts(&court.settle("seller").await), ["demand"]);
    assert_eq!(acts(&court.pays_late().await), ["pay", "withdraw"]);
}

/// The seller closes with an older voucher: the newer is worth nothing then, and the money beside it pays.
#[tokio::test]
async fn a_buyer_pays_in_money_where_its_channel_is_over() {
    let Some(court) = Court::opens().await else { return };
    court.buyer_is_gone();
    court.buyer_is_cut_off();
    assert_eq!(acts(&court.settle("seller").await), ["demand"]);
    court.chain.close(Amount::new(3)).await;
    let paid = court.settle("buyer").await;
    assert_eq!(acts(&paid), ["pay"], "nothing of it comes back: {paid}");
    let bonds = &court.chain.bonds;
    let had = DUE.units() - 3 + bonds.fee.units() + bonds.stake.units();
    assert_eq!(court.chain.credits().await, [0, had]);
}

/// In the middle of a window as at its end: what a buyer acknowledged stands in no journal of its own, and
/// the contract has looked at it.
#[tokio::test]
async fn a_buyer_pays_for_the_part_of_a_window_that_it_acknowledged() {
    let Some(court) = Court::opens().await else { return };
    court.buyer_is_gone_after(4, Vec::new());
    court.buyer_is_cut_off();
    assert_eq!(acts(&court.settle("seller").await), ["demand"]);
    assert_eq!(acts(&court.settle("buyer").await), ["pay", "withdraw"]);
    let had = told(&court.settles("seller", &[]).await);
    assert_eq!((&had["channel"]["settled"], calls(&had)[0].1), (&json!("31"), "done"), "{had}");
}

/// Its request to close is not final for it yet, and its voucher is refused for that.
#[tokio::test]
async fn a_buyer_that_cannot_answer_complains_all_the_same() {
    let Some(court) = Court::opens().await else { return };
    court.buyer_is_gone();
    court.seller_cheats();
    assert_eq!(acts(&court.settle("seller").await), ["demand"]);
    court.changes("buyer", "depth = 1", "depth = 2");
    court.chain.request_close().await;
    let complains = async {
        court.tells(&keccak(&[CHALLENGED]).to_string()).await.unwrap();
        court.chain.anvil.mine(1).await;
    };
    let (output, ()) = tokio::join!(court.settles("buyer", &[]), complains);
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(acts(&shown["bond"]), ["challenge_root"], "{shown}");
    let failed = shown["bond"]["failed"].as_str().unwrap();
    assert!(failed.contains("pay was refused") && !output.status.success(), "{failed}");
}

const CHALLENGED: &[u8] = b"Challenged(bytes32,(bytes32,bytes32,uint32,uint32),uint256)";

impl Court {
    /// A buyer with a receipt is asked for what that is for, and its refutation was refused so often.
    async fn refutation_was_refused(&self, times: u64) {
        self.buyer_is_gone();
        self.buyer_has_a_receipt();
        assert_eq!(acts(&self.settle("seller").await), ["demand"]);
        let (paid, exit, asked) = (Amount::new(35), self.exit(), self.asked());
        let (data, verification) = (exit.data_digest, keccak(&[b""]));
        let word = Word { data, verification, signature: exit.signature };
        let receipt = Receipt { amount_total: paid, paid_total: paid, word };
        self.was_refused(Role::Buyer, times, &BondAct::RefuteByExit { asked, receipt });
    }
}

/// Its account was short of gas for a moment, or its endpoint a block behind.
#[tokio::test]
async fn a_buyer_whose_refutation_is_refused_once_tries_again() {
    let Some(court) = Court::opens().await else { return };
    court.refutation_was_refused(1).await;
    let refuted = court.settle("buyer").await;
    assert_eq!(acts(&refuted), ["refute_by_exit", "withdraw"], "{refuted}");
    assert_eq!(refuted["of_seller"], "0");
}

/// What would refute a demand is no answer where it is refused: the buyer keeps its bond by a payment.
#[tokio::test]
async fn a_buyer_whose_refutation_is_refused_twice_pays() {
    let Some(court) = Court::opens().await else { return };
    court.refutation_was_refused(2).await;
    assert_eq!(acts(&court.settle("buyer").await), ["pay", "withdraw"]);
}

/// There would be none for a payment after the second time.
#[tokio::test]
async fn a_buyer_whose_refutation_is_refused_pays_where_there_is_no_time_to_try_again() {
    let Some(court) = Court::opens().await else { return };
    court.refutation_was_refused(1).await;
    assert_eq!(acts(&court.pays_late().await), ["pay", "withdraw"]);
}

/// A voucher is for all that its channel pays, whichever session it came in.
#[tokio::test]
async fn nothing_is_demanded_that_a_later_voucher_pays() {
    let Some(court) = Court::opens().await else { return };
    court.buyer_is_gone();
    court.knows(Role::Seller, court.voucher(DUE));
    assert_eq!(acts(&court.settle("seller").await), [""; 0]);
}

/// The contract knows one demand: the one that was made, and not what would be asked for now.
#[tokio::test]
async fn a_demand_is_concluded_as_it_was_made() {
    let Some(court) = Court::opens().await else { return };
    court.buyer_is_gone_after(3, Vec::new());
    assert_eq!(acts(&court.settle("seller").await), ["demand"]);
    fs::remove_dir_all(court.path("seller-journal")).unwrap();
    court.buyer_is_gone();
    court.chain.pass(DAY).await;
    let last = court.settle("seller").await;
    assert_eq!(acts(&last)[..1], ["conclude_demand"], "{last}");
    assert_eq!(last["of_buyer"], "0");
    // Nothing comes of its end for who has lost all, and that is no failure.
    court.chain.pass(DAY).await;
    let bond = court.chain.id.to_string();
    let end = ["ledger", "bond", "end", &bond, "--json"];
    let ended = told(&court.run(court.command("buyer", &end)).await);
    assert_eq!(acts(&ended), ["end"], "{ended}");
}

#[tokio::test]
async fn a_demand_is_over_at_once_where_the_channel_has_paid() {
    let Some(court) = Court::opens().await else { return };
    court.buyer_is_gone();
    assert_eq!(acts(&court.settle("seller").await), ["demand"]);
    let chain = &court.chain;
    let voucher = Voucher { channel: chain.channel, amount: DUE };
    chain.settle(DUE, &voucher.sign(&chain.domain, &chain.buyers_key)).await.unwrap();
    let last = court.settle("seller").await;
    assert_eq!(acts(&last), ["conclude_demand", "withdraw"], "{last}");
    assert_eq!(last["of_buyer"], "400");
}

#[tokio::test]
async fn a_seller_takes_a_demand_back_with_its_stake() {
    let Some(court) = Court::opens().await else { return };
    court.buyer_is_gone();
    let held = court.held().await;
    assert_eq!(acts(&court.settle("seller").await), ["demand"]);
    let bond = court.chain.id.to_string();
    let retract = ["ledger", "bond", "retract", &bond, "--json"];
    let taken_back = told(&court.run(court.command("seller", &retract)).await);
    assert_eq!(acts(&taken_back), ["retract", "withdraw"], "{taken_back}");
    let again = told(&court.run(court.command("seller", &retract)).await);
    assert_eq!(acts(&again), [""; 0], "{again}");
    assert_eq!(court.held().await, held);
}

/// The voucher that answered is the seller's best from then on, and the watch redeems it in time when the
/// buyer would empty the channel.
#[tokio::test]
async fn a_seller_redeems_the_voucher_that_answered_before_the_buyer_has_its_deposit_back() {
    let Some(court) = Court::opens().await else { return };
    court.buyer_is_gone();
    court.buyer_is_cut_off();
    assert_eq!(acts(&court.settle("seller").await), ["demand"]);
    assert_eq!(acts(&court.settle("buyer").await)[..1], ["pay"]);
    court.chain.request_close().await;
    court.seller_sells();
    let mut seller = court.command("seller", &["sell"]).stdout(Stdio::null()).spawn().unwrap();
    let redeemed = court.tells(&keccak(&[b"Settled(bytes32,uint256)"]).to_string()).await;
    let (kept, _) = (seller.kill(), seller.wait());
    kept.unwrap();
    redeemed.unwrap();
}

#[tokio::test]
async fn trouble_with_a_bond_keeps_nobody_from_what_its_channel_owes() {
    let Some(court) = Court::opens().await else { return };
    court.buyer_is_gone_after(5, vec![court.voucher(Amount::new(10))]);
    let config = fs::read_to_string(court.path("seller.toml")).unwrap();
    let lines = config.lines().filter(|line| !line.starts_with("bonds ="));
    fs::write(court.path("seller.toml"), lines.collect::<Vec<_>>().join("\n")).unwrap();
    let output = court.settles("seller", &[]).await;
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(calls(&shown), [("settle", "done")], "{shown}");
    assert!(shown["bond"]["failed"].as_str().unwrap().contains("holds no bonds"), "{shown}");
    assert!(!output.status.success(), "it is said");
}

/// A node that runs redeems and does not complain: who asks it to is told so, and what it would take.
#[tokio::test]
async fn what_a_complaint_takes_is_shown_first_and_a_running_node_makes_none() {
    let Some(court) = Court::opens().await else { return };
    court.buyer_is_gone_after(5, vec![court.voucher(Amount::new(10))]);
    let planned = told(&court.settles("seller", &["--dry-run"]).await)["bond"].clone();
    assert_eq!(
        (&planned["next"], &planned["takes"]),
        (&json!("demand"), &json!("20")),
        "{planned}"
    );
    court.seller_sells();
    let mut sell = court.command("seller", &["sell"]);
    let mut seller = sell.stdout(Stdio::piped()).spawn().unwrap();
    let mut said = std::io::BufReader::new(seller.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut said, &mut String::new()).unwrap();
    let output = court.settles("seller", &[]).await;
    let (kept, _) = (seller.kill(), seller.wait());
    kept.unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("stop the node"), "{errors}");
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(calls(&shown), [("settle", "done")], "{shown}");
    assert_eq!(acts(&court.settle("seller").await), ["demand"], "then it is made");
}
