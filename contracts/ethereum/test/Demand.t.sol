// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Complaints} from "../src/bonds/Complaints.sol";
import {Demands} from "../src/bonds/Demands.sol";
import {Evidence} from "../src/bonds/Evidence.sol";
import {Money} from "../src/bonds/Money.sol";
import {Pledges} from "../src/bonds/Pledges.sol";
import {BondBase} from "./BondBase.sol";

/// What a seller asks a buyer for in public, and what the buyer answers.
contract DemandTest is BondBase {
    /// What two windows cost: 7 * 8 * 3 / 2.
    uint128 private constant TOTAL = 84;
    uint128 private constant BASE = 10;
    /// What the buyer allows of a token.
    uint256 private most = type(uint256).max;

    function setUp() public override {
        super.setUp();
        pledgeBoth();
    }

    function asked() private view returns (Demands.Demand memory) {
        return Demands.Demand(name, TOTAL, session.base + TOTAL, 2 * K + W * K, 2 + W);
    }

    /// Demands invoice 2, all of whose items were acknowledged.
    function demand() private {
        demand(ack(8), invoice(2, "root", TOTAL));
    }

    function demand(Evidence.Ack memory ack_, Evidence.Invoice memory of_) private {
        Evidence.Word memory order_ = order();
        uint256 value = coin(STAKE);
        vm.prank(seller);
        bonds.demand{value: value}(bond, session, order_, ack_, of_);
    }

    function notDemanded(bytes4 why, Evidence.Ack memory ack_, Evidence.Invoice memory of_)
        private
    {
        Evidence.Word memory order_ = order();
        refused(why);
        vm.prank(seller);
        bonds.demand{value: STAKE}(bond, session, order_, ack_, of_);
    }

    function voucher(uint128 amount) private view returns (bytes memory) {
        return sign(SIGNER_KEY, channel, amount);
    }

    function pay(uint128 amount, bytes memory signature, uint256 value) private {
        Demands.Demand memory asked_ = asked();
        vm.prank(buyer);
        bonds.pay{value: value}(bond, asked_, amount, signature, most);
    }

    function notPaid(bytes4 why, uint128 amount, bytes memory signature, uint256 value) private {
        refused(why);
        pay(amount, signature, value);
    }

    function conclude(address by) private {
        Demands.Demand memory asked_ = asked();
        vm.prank(by);
        bonds.concludeDemand(bond, asked_);
    }

    // ---------------------------------------------------------------------------- silence

    /// The story: the buyer acknowledges, is asked in public and stays silent.
    function test_a_silent_buyer_loses_its_bond() public {
        vm.expectEmit(address(bonds));
        emit Demands.Demanded(id, asked(), START + PERIOD);
        demand();
        assertEq(bonds.pendingUntil(id, true), START + PERIOD);
        assertSum(STAKE);
        pass(PERIOD - 1);
        refused(Pledges.TooEarly.selector);
        conclude(seller);
        pass(1);
        vm.expectEmit(address(bonds));
        emit Complaints.Lost(id, false, BUYERS, BUYERS / 2);
        conclude(seller);
        assertCredits(0, BUYERS - BUYERS / 2 + STAKE, BUYERS / 2);
        assertEq(ofSeller(), SELLERS);
        refused(Complaints.NoComplaint.selector);
        conclude(seller);
        pass(PERIOD);
        end(seller);
        assertCredits(0, BUYERS - BUYERS / 2 + STAKE + SELLERS, BUYERS / 2);
        assertSum(0);
    }

    function test_only_a_party_concludes_and_only_what_was_asked() public {
        demand();
        pass(PERIOD);
        refused(Pledges.NotParty.selector);
        conclude(stranger);
        Demands.Demand memory other = asked();
        other.voucher -= 1;
        refused(Complaints.NoComplaint.selector);
        vm.prank(seller);
        bonds.concludeDemand(bond, other);
        conclude(buyer);
        assertEq(ofBuyer(), 0);
    }

    /// A challenge of the buyer's is not ended as if it were the seller's demand.
    function test_complaints_of_the_two_sides_are_apart() public {
        Evidence.Word memory key_ = key();
        vm.prank(buyer);
        bonds.challengeRoot{value: STAKE}(bond, session, key_, item(1, "a"), invoice(1, "b", 42));
        refused(Complaints.NoComplaint.selector);
        conclude(seller);
        demand();
        assertSum(2 * STAKE);
        pass(PERIOD);
        // The silent buyer is convicted, and the seller's bond still answers for its own silence.
        conclude(seller);
        assertEq(ofSeller(), SELLERS);
        vm.prank(buyer);
        bonds.concludeChallenge(bond);
        assertEq(ofSeller(), 0);
        assertCredits(
            SELLERS - SELLERS / 2 + STAKE,
            BUYERS - BUYERS / 2 + STAKE,
            uint256(SELLERS) / 2 + BUYERS / 2
        );
        assertSum(0);
    }

    /// Both convictions in the other order: a proof against one frees the other of nothing.
    function test_a_convicted_seller_still_has_its_demand() public {
        demand();
        Evidence.Word memory key_ = key();
        vm.prank(buyer);
        bonds.convictOfItems(bond, session, key_, item(1, "a"), item(1, "b"));
        assertSum(STAKE);
        pass(PERIOD);
        refused(Pledges.ComplaintPending.selector);
        end(buyer);
        conclude(seller);
        assertEq(ofBuyer(), 0);
        assertSum(0);
    }

    // ----------------------------------------------------------------- what can be demanded

    function test_nobody_is_asked_for_more_than_was_acknowledged() public {
        bytes4 why = Demands.NotOwed.selector;
        // What the window before cost is not this one's to ask for.
        notDemanded(why, ack(8), invoice(2, "root", 42));
        notDemanded(why, ack(8), invoice(3, "root", TOTAL));
        notDemanded(why, ack(8), invoice(1, "root", 0));
        notDemanded(why, ack(4), invoice(2, "root", TOTAL));
        // Seven items cost 73 and a half: rounded down, as an invoice is.
        demandsOnly(73, ack(7), invoice(2, "root", TOTAL));
        demandsOnly(52, ack(5), invoice(2, "root", TOTAL));
        demandsOnly(70, ack(7), invoice(2, "root", 70));
        demandsOnly(TOTAL, ack(8), invoice(2, "root", TOTAL + 1));
        demandsOnly(TOTAL, ack(100), invoice(2, "root", TOTAL + 1));
    }

    function demandsOnly(uint128 total, Evidence.Ack memory ack_, Evidence.Invoice memory of_)
        private
    {
        Demands.Demand memory asked_ = asked();
        (asked_.amountTotal, asked_.voucher) = (total, BASE + total);
        vm.expectEmit(address(bonds));
        emit Demands.Demanded(id, asked_, START + PERIOD);
        demand(ack_, of_);
        retract(seller);
    }

    /// Who says that it pays an invoice has its items.
    function test_a_payment_ack_acknowledges_too() public {
        demandsOnly(TOTAL, paymentAck(2, TOTAL), invoice(2, "root", TOTAL));
        demandsOnly(TOTAL, paymentAck(3, 126), invoice(2, "root", TOTAL));
        demandsOnly(80, paymentAck(2, 80), invoice(2, "root", TOTAL));
        notDemanded(Demands.NotOwed.selector, paymentAck(1, TOTAL), invoice(2, "root", TOTAL));
        bytes4 why = Evidence.InvalidSignature.selector;
        Evidence.Ack memory wrong = paymentAck(1, 42);
        wrong.number = 2;
        notDemanded(why, wrong, invoice(2, "root", TOTAL));
        wrong = paymentAck(2, 42);
        wrong.amountTotal = TOTAL;
        notDemanded(why, wrong, invoice(2, "root", TOTAL));
        // An ack of two items is no payment_ack of two invoices.
        wrong = ack(2);
        wrong.kind = PAYMENT_ACK;
        notDemanded(why, wrong, invoice(2, "root", TOTAL));
        wrong = ack(8);
        wrong.kind = DATA;
        wrong.word = word(SIGNER_KEY, name, DATA, 8, wrong.digest, 0, "");
        notDemanded(why, wrong, invoice(2, "root", TOTAL));
    }

    // ------------------------------------------------------------- paid after the demand

    /// The story: the seller asks, is paid outside, and goes on. That convicts nobody.
    function test_a_seller_that_is_paid_after_its_demand_loses_nothing() public {
        demand();
        settleAs(BASE + TOTAL);
        vm.expectEmit(address(bonds));
        emit Demands.Paid(id, BASE + TOTAL, "");
        refuteByItem(item(2 * K + W * K, "leaf"));
        assertCredits(0, STAKE, 0);
        assertEq(ofSeller(), SELLERS);
        bond.salt = "exit";
        againDemanded();
        refuteByExit(receipt(126, TOTAL));
        assertEq(ofSeller(), SELLERS);
        bond.salt = "invoice";
        againDemanded();
        refuteByInvoice(invoice(2 + W + 1, "root", 200));
        assertEq(ofSeller(), SELLERS);
        assertCredits(0, 3 * STAKE, 0);
    }

    /// The same under another bond, the channel having paid one unit less until now.
    function againDemanded() private {
        id = bonds.bondId(bond);
        session.base += 1;
        pledgeBoth();
        demand();
        settleAs(session.base + TOTAL);
    }

    function test_a_demand_that_is_paid_ends_at_once() public {
        demand();
        settleAs(BASE + TOTAL);
        conclude(seller);
        assertCredits(0, STAKE, 0);
        assertEq(ofBuyer(), BUYERS);
        assertEq(bonds.pendingUntil(id, true), 0);
        refused(Complaints.NoComplaint.selector);
        refuteByItem(item(100, "leaf"));
    }

    /// Before it takes money beside the channel, a seller takes its demand back.
    function test_the_seller_takes_its_demand_back() public {
        refused(Complaints.NoComplaint.selector);
        retract(seller);
        demand();
        refused(Pledges.NotParty.selector);
        retract(buyer);
        refused(Pledges.NotParty.selector);
        retract(stranger);
        vm.expectEmit(address(bonds));
        emit Demands.Retracted(id);
        retract(seller);
        assertCredits(0, STAKE, 0);
        assertSum(0);
        refused(Complaints.NoComplaint.selector);
        refuteByItem(item(100, "leaf"));
        pass(PERIOD);
        refused(Complaints.NoComplaint.selector);
        conclude(seller);
        assertEq(ofBuyer(), BUYERS);
        demand();
    }

    function retract(address by) private {
        vm.prank(by);
        bonds.retract(bond);
    }

    // ----------------------------------------------------------------- over, or two bonds

    /// Two bonds for one channel, and one debt: it is paid once.
    function test_a_debt_is_paid_once_under_two_bonds() public {
        Evidence.Bond memory first = bond;
        bond.salt = "second";
        id = bonds.bondId(bond);
        pledgeBoth();
        demand();
        Evidence.Bond memory second = bond;
        bond = first;
        id = bonds.bondId(bond);
        demand();
        vm.prank(seller);
        escrow.close(channel, 0, "");
        pay(0, "", BASE + TOTAL);
        assertEq(bonds.paidHere(channel), BASE + TOTAL);
        assertCredits(0, STAKE + FEE + BASE + TOTAL, 0);
        notDemanded(Demands.AlreadyPaid.selector, ack(8), invoice(2, "root", TOTAL));
        bond = second;
        id = bonds.bondId(bond);
        pay(0, "", 0);
        assertEq(ofBuyer(), BUYERS);
        assertCredits(0, 2 * STAKE + FEE + BASE + TOTAL, 0);
    }

    /// Of what is paid here bit by bit all is counted.
    function test_what_is_paid_here_adds_up() public {
        waitAndWithdraw(channel);
        vm.prank(buyer);
        bonds.payAhead{value: BASE + 42}(bond, BASE + 42, "", 0);
        vm.prank(buyer);
        bonds.payAhead{value: 42}(bond, BASE + TOTAL, "", 0);
        assertEq(bonds.paidHere(channel), BASE + TOTAL);
        assertCredits(0, BASE + TOTAL, 0);
    }

    function test_what_was_paid_under_one_bond_is_not_asked_for_under_another() public {
        Evidence.Bond memory first = bond;
        bond.salt = "second";
        pledgeBoth();
        Evidence.Bond memory second = bond;
        waitAndWithdraw(channel);
        vm.prank(buyer);
        bonds.payAhead{value: BASE + TOTAL}(first, BASE + TOTAL, "", 0);
        (bond, id) = (second, bonds.bondId(second));
        notDemanded(Demands.AlreadyPaid.selector, ack(8), invoice(2, "root", TOTAL));
        demand(ack(12), invoice(3, "root", 126));
    }

    /// A smaller payment does not make it forget the larger voucher.
    function test_the_largest_voucher_is_kept_in_mind() public {
        demand();
        bonds.payAhead(bond, BASE + 126, voucher(BASE + 126), 0);
        vm.prank(seller);
        escrow.close(channel, 0, "");
        pay(0, "", BASE + TOTAL);
        assertEq(bonds.getBond(id).answered, BASE + 126);
    }

    /// A buyer that ends its channel still owes.
    function test_a_buyer_that_withdraws_first_is_asked_all_the_same() public {
        settleAs(50);
        waitAndWithdraw(channel);
        demand();
        pay(0, "", BASE + TOTAL - 50);
        assertCredits(0, STAKE + FEE + BASE + TOTAL - 50, 0);
        notDemanded(Demands.AlreadyPaid.selector, ack(8), invoice(2, "root", TOTAL));
        demand(ack(12), invoice(3, "root", 126));
        pass(PERIOD);
        Demands.Demand memory asked_ = Demands.Demand(name, 126, BASE + 126, 3 * K + W * K, 3 + W);
        vm.prank(seller);
        bonds.concludeDemand(bond, asked_);
        assertEq(ofBuyer(), 0);
    }

    /// A close in front of the answer does not spoil it: what was sent beside the voucher pays.
    function test_a_close_in_front_of_the_answer_is_in_vain() public {
        demand();
        vm.prank(seller);
        escrow.close(channel, 0, "");
        pay(BASE + TOTAL, voucher(BASE + TOTAL), BASE + TOTAL + 6);
        assertCredits(6, STAKE + FEE + BASE + TOTAL, 0);
        assertSum(0);
    }

    /// Of a token no more is taken than the buyer allows.
    function test_no_more_of_a_token_is_taken_than_is_allowed() public {
        agree(address(token));
        pledgeBoth();
        demand();
        most = 0;
        vm.prank(seller);
        escrow.close(channel, 0, "");
        notPaid(Money.WrongValue.selector, BASE + TOTAL, voucher(BASE + TOTAL), 0);
        most = BASE + TOTAL - 1;
        notPaid(Money.WrongValue.selector, 0, "", 0);
        most = BASE + TOTAL;
        pay(0, "", 0);
        assertCredits(0, STAKE + FEE + BASE + TOTAL, 0);
    }

    /// On a fork no voucher counts, so nobody is silent there; at home one is.
    function test_nobody_is_silent_on_a_fork() public {
        demand();
        vm.chainId(99);
        refused(Pledges.TooEarly.selector);
        conclude(seller);
        pass(PERIOD);
        conclude(seller);
        assertCredits(0, STAKE, 0);
        assertEq(ofBuyer(), BUYERS);
        assertSum(0);
    }

    // ------------------------------------------------------------------ before it is asked

    /// A buyer that shows its voucher in public is not asked for it.
    function test_a_buyer_pays_ahead_without_a_fee() public {
        bytes memory signature = voucher(BASE + TOTAL);
        vm.expectEmit(address(bonds));
        emit Demands.Paid(id, BASE + TOTAL, signature);
        vm.prank(stranger);
        bonds.payAhead(bond, BASE + TOTAL, signature, 0);
        assertEq(bonds.getBond(id).answered, BASE + TOTAL);
        assertEq(ofBuyer(), BUYERS);
        assertCredits(0, 0, 0);
        notDemanded(Demands.AlreadyPaid.selector, ack(8), invoice(2, "root", TOTAL));
        refused(Demands.AlreadyPaid.selector);
        bonds.payAhead(bond, BASE + TOTAL, signature, 0);
        refused(Evidence.InvalidSignature.selector);
        bonds.payAhead(bond, BASE + TOTAL + 1, signature, 0);
        demand(ack(12), invoice(3, "root", 126));
    }

    /// That is no way around the fee of a demand that waits.
    function test_paying_ahead_answers_no_demand() public {
        demand();
        bonds.payAhead(bond, BASE + 126, voucher(BASE + 126), 0);
        assertEq(bonds.pendingUntil(id, true), START + PERIOD);
        pay(BASE + TOTAL, voucher(BASE + TOTAL), 0);
        assertEq(ofBuyer(), BUYERS - FEE);
        assertEq(bonds.getBond(id).answered, BASE + 126);
    }

    function test_a_buyer_pays_ahead_where_the_channel_is_over() public {
        waitAndWithdraw(channel);
        vm.prank(buyer);
        bonds.payAhead{value: BASE + TOTAL}(bond, BASE + TOTAL, "", 0);
        assertCredits(0, BASE + TOTAL, 0);
        notDemanded(Demands.AlreadyPaid.selector, ack(8), invoice(2, "root", TOTAL));
        assertSum(0);
        bond.salt = "nobody's";
        refused(Pledges.NotInForce.selector);
        bonds.payAhead(bond, BASE + 200, "", 0);
    }

    function test_the_channels_deposit_bounds_a_demand() public {
        session.base = DEPOSIT - TOTAL + 1;
        notDemanded(Demands.AmountExceedsDeposit.selector, ack(8), invoice(2, "root", TOTAL));
        session.base = DEPOSIT - TOTAL;
        demand();
    }

    function test_what_was_redeemed_is_not_demanded() public {
        settleAs(BASE + TOTAL);
        notDemanded(Demands.AlreadyPaid.selector, ack(8), invoice(2, "root", TOTAL));
    }

    function settleAs(uint128 amount) private {
        bytes memory signature = voucher(amount);
        vm.prank(seller);
        escrow.settle(channel, amount, signature);
    }

    function test_one_unit_less_redeemed_is_demanded() public {
        settleAs(BASE + TOTAL - 1);
        demand();
    }

    /// Each word is of who must have signed it, for this session, bond and kind.
    function test_only_signed_words_make_a_demand() public {
        bytes4 why = Evidence.InvalidSignature.selector;
        Evidence.Invoice memory good = invoice(2, "root", TOTAL);
        notDemanded(why, ackBy(SELLER_KEY, name, 8), good);
        notDemanded(why, ackBy(SIGNER_KEY, id, 8), good);
        Evidence.Ack memory ack_ = ack(8);
        ack_.number = 9;
        notDemanded(why, ack_, good);
        ack_ = ack(8);
        ack_.digest = "another";
        notDemanded(why, ack_, good);
        ack_ = ack(8);
        ack_.word = word(SIGNER_KEY, name, DATA, 8, ack_.digest, 0, ack_.word.data);
        notDemanded(why, ack_, good);
        bytes32 data = keccak256("an invoice");
        notDemanded(why, ack(8), invoiceBy(SIGNER_KEY, name, 2, "root", TOTAL, data));
        notDemanded(why, ack(8), invoiceBy(SELLER_KEY, id, 2, "root", TOTAL, data));
        notOrdered(word(SELLER_KEY, 0, ORDER, 0, terms(session), 0, session.order));
        notOrdered(word(SIGNER_KEY, name, ORDER, 0, terms(session), 0, session.order));
        notOrdered(word(SIGNER_KEY, 0, ACK, 0, terms(session), 0, session.order));
        notOrdered(word(SIGNER_KEY, 0, ORDER, 1, terms(session), 0, session.order));
        notOrdered(word(SIGNER_KEY, 0, ORDER, 0, terms(session), 1, session.order));
        notOrdered(word(SIGNER_KEY, 0, ORDER, 0, "other terms", 0, session.order));
        // An order that is not this session's.
        notOrdered(word(SIGNER_KEY, 0, ORDER, 0, terms(session), 0, keccak256("another")));
    }

    function notOrdered(Evidence.Word memory order_) private {
        (Evidence.Ack memory ack_, Evidence.Invoice memory of_) =
            (ack(8), invoice(2, "root", TOTAL));
        refused(Evidence.InvalidSignature.selector);
        vm.prank(seller);
        bonds.demand{value: STAKE}(bond, session, order_, ack_, of_);
    }

    /// The buyer's order says what it agreed to: a seller cannot make the price.
    function test_the_seller_cannot_change_the_terms() public {
        Evidence.Word memory order_ = order();
        session.price += 1;
        notOrdered(order_);
    }

    function test_only_the_seller_demands() public {
        Evidence.Word memory order_ = order();
        (Evidence.Ack memory ack_, Evidence.Invoice memory of_) =
            (ack(8), invoice(2, "root", TOTAL));
        refused(Pledges.NotParty.selector);
        vm.prank(buyer);
        bonds.demand{value: STAKE}(bond, session, order_, ack_, of_);
        vm.deal(stranger, 1 ether);
        refused(Pledges.NotParty.selector);
        vm.prank(stranger);
        bonds.demand{value: STAKE}(bond, session, order_, ack_, of_);
        refused(Money.WrongValue.selector);
        vm.prank(seller);
        bonds.demand(bond, session, order_, ack_, of_);
    }

    /// Where the payer signs vouchers itself, its account is the buyer's key.
    function test_a_payer_that_signs_itself() public {
        vm.prank(buyer);
        channel = escrow.open{value: DEPOSIT}(seller, COIN, DEPOSIT, "self", address(0));
        (bond.channel, bond.buyerKey) = (channel, buyer);
        id = bonds.bondId(bond);
        pledgeBoth();
        Evidence.Word memory order_ = word(BUYER_KEY, 0, ORDER, 0, terms(session), 0, session.order);
        vm.prank(seller);
        bonds.demand{value: STAKE}(
            bond, session, order_, ackBy(BUYER_KEY, name, 8), invoice(2, "root", TOTAL)
        );
        pay(BASE + TOTAL, sign(BUYER_KEY, channel, BASE + TOTAL), 0);
    }

    function test_one_demand_at_a_time_while_there_is_a_bond() public {
        demand();
        notDemanded(Pledges.ComplaintPending.selector, ack(12), invoice(3, "root", 126));
        pass(PERIOD);
        conclude(seller);
        notDemanded(Pledges.NothingPledged.selector, ack(12), invoice(3, "root", 126));
    }

    function test_demands_end_with_the_time_for_complaints() public {
        requestEnd(buyer);
        pass(PERIOD);
        notDemanded(Complaints.ComplaintsOver.selector, ack(8), invoice(2, "root", TOTAL));
    }

    function test_nothing_is_demanded_before_both_are_in() public {
        bond.salt = "offered";
        id = bonds.bondId(bond);
        pledge(buyer, BUYERS);
        notDemanded(Pledges.NotInForce.selector, ack(8), invoice(2, "root", TOTAL));
    }

    // ----------------------------------------------------------------------------- paying

    /// Paying at the last moment costs the fee; the seller has a voucher that it can redeem.
    function test_the_buyer_pays_with_a_voucher() public {
        demand();
        pass(PERIOD - 1);
        bytes memory signature = voucher(BASE + TOTAL);
        vm.expectEmit(address(bonds));
        emit Demands.Paid(id, BASE + TOTAL, signature);
        pay(BASE + TOTAL, signature, 0);
        assertEq(ofBuyer(), BUYERS - FEE);
        assertCredits(0, STAKE + FEE, 0);
        assertSum(0);
        settleAs(BASE + TOTAL);
        pass(1);
        refused(Complaints.NoComplaint.selector);
        conclude(seller);
        // It is asked for once.
        notDemanded(Demands.AlreadyPaid.selector, ack(8), invoice(2, "root", TOTAL));
    }

    function test_what_was_given_in_public_is_not_asked_for_again() public {
        demand();
        pay(BASE + 126, voucher(BASE + 126), 0);
        assertEq(bonds.getBond(id).answered, BASE + 126);
        notDemanded(Demands.AlreadyPaid.selector, ack(12), invoice(3, "root", 126));
        demand(ack(16), invoice(4, "root", 127));
    }

    function test_a_voucher_must_be_good() public {
        demand();
        bytes4 why = Demands.VoucherNotGood.selector;
        notPaid(why, BASE + TOTAL - 1, voucher(BASE + TOTAL - 1), 0);
        notPaid(why, DEPOSIT + 1, voucher(DEPOSIT + 1), 0);
        notPaid(why, BASE + TOTAL, "", 0);
        notPaid(why, BASE + TOTAL, bytes.concat(voucher(BASE + TOTAL), hex"00"), 0);
        why = Evidence.InvalidSignature.selector;
        notPaid(why, BASE + TOTAL, voucher(BASE + TOTAL + 1), 0);
        notPaid(why, BASE + TOTAL, sign(SELLER_KEY, channel, BASE + TOTAL), 0);
        notPaid(why, BASE + TOTAL, sign(SIGNER_KEY, id, BASE + TOTAL), 0);
        notPaid(why, BASE + TOTAL, malleate(voucher(BASE + TOTAL)), 0);
        // What was sent beside a good one is the buyer's.
        pay(DEPOSIT, voucher(DEPOSIT), 1);
        assertCredits(1, STAKE + FEE, 0);
    }

    /// A voucher on a channel that the payer is closing could run out before it is redeemed.
    function test_who_is_closing_takes_that_back_first() public {
        demand();
        requestClose(channel);
        notPaid(Demands.VoucherNotGood.selector, BASE + TOTAL, voucher(BASE + TOTAL), 0);
        topUp(channel, 1);
        pay(BASE + TOTAL, voucher(BASE + TOTAL), 0);
    }

    /// Once the channel is over the buyer pays here what it did not pay.
    function test_after_a_withdrawal_the_buyer_pays_here() public {
        settleAs(50);
        demand();
        waitAndWithdraw(channel);
        uint256 due = BASE + TOTAL - 50;
        notPaid(Money.WrongValue.selector, BASE + TOTAL, voucher(BASE + TOTAL), 0);
        notPaid(Money.WrongValue.selector, 0, "", due - 1);
        // What is told is what was checked.
        vm.expectEmit(address(bonds));
        emit Demands.Paid(id, BASE + TOTAL, "");
        pay(BASE + TOTAL + 9, "no signature", due + 1);
        assertCredits(1, STAKE + FEE + due, 0);
        assertEq(bonds.getBond(id).answered, BASE + TOTAL);
        assertSum(0);
    }

    /// A seller that closes the channel under a demand keeps nobody from answering.
    function test_a_seller_that_closes_is_paid_here() public {
        demand();
        vm.prank(seller);
        escrow.close(channel, 0, "");
        pay(0, "", BASE + TOTAL);
        assertCredits(0, STAKE + FEE + BASE + TOTAL, 0);
    }

    function test_after_a_close_a_bond_in_tokens_pays_here() public {
        agree(address(token));
        pledgeBoth();
        demand();
        vm.prank(seller);
        escrow.close(channel, 0, "");
        notPaid(Money.WrongValue.selector, 0, "", 1);
        pay(0, "", 0);
        assertCredits(0, STAKE + FEE + BASE + TOTAL, 0);
        assertSum(0);
    }

    /// What the seller redeemed meanwhile answers for the buyer, and costs it no fee.
    function test_what_the_seller_redeems_is_paid() public {
        demand();
        settleAs(BASE + TOTAL);
        vm.expectEmit(address(bonds));
        emit Demands.Paid(id, BASE + TOTAL, "");
        pay(0, "", 0);
        assertCredits(0, STAKE, 0);
        assertEq(ofBuyer(), BUYERS);
        assertEq(bonds.getBond(id).answered, BASE + TOTAL);
    }

    /// Nobody loses a bond by silence about what was redeemed.
    function test_who_was_redeemed_from_is_not_silent() public {
        demand();
        settleAs(BASE + TOTAL);
        pass(PERIOD);
        vm.expectEmit(address(bonds));
        emit Demands.Paid(id, BASE + TOTAL, "");
        conclude(seller);
        assertCredits(0, STAKE, 0);
        assertEq(ofBuyer(), BUYERS);
        assertEq(bonds.getBond(id).answered, BASE + TOTAL);
        assertEq(bonds.getBond(id).endsAt, 0);
        assertSum(0);
    }

    function test_one_unit_short_is_silence() public {
        demand();
        settleAs(BASE + TOTAL - 1);
        pass(PERIOD);
        conclude(seller);
        assertEq(ofBuyer(), 0);
    }

    /// Whoever has the voucher answers, for a buyer that cannot.
    function test_anybody_pays_what_was_asked_in_time() public {
        demand();
        bytes memory signature = voucher(BASE + TOTAL);
        Demands.Demand memory asked_ = asked();
        asked_.voucher = 1;
        refused(Complaints.NoComplaint.selector);
        vm.prank(buyer);
        bonds.pay(bond, asked_, BASE + TOTAL, signature, 0);
        pass(PERIOD);
        notPaid(Complaints.TooLate.selector, BASE + TOTAL, signature, 0);
        vm.warp(START + PERIOD - 1);
        asked_.voucher = BASE + TOTAL;
        vm.deal(stranger, 5);
        vm.prank(stranger);
        bonds.pay{value: 5}(bond, asked_, BASE + TOTAL, signature, 0);
        assertEq(credit(stranger), 5);
        assertCredits(0, STAKE + FEE, 0);
    }

    function test_nothing_is_paid_that_was_not_asked_for() public {
        notPaid(Complaints.NoComplaint.selector, BASE + TOTAL, voucher(BASE + TOTAL), 0);
    }

    /// A fee above what is left takes what is left; what fees have eaten is filled up again.
    function test_the_fee_is_no_more_than_the_bond() public {
        (bond.buyerAmount, bond.fee, bond.stake) = (FEE + 1, FEE, FEE);
        id = bonds.bondId(bond);
        pledge(buyer, FEE + 1);
        pledge(seller, SELLERS);
        demandWith(FEE, ack(4), invoice(1, "root", 42));
        Demands.Demand memory asked_ = Demands.Demand(name, 42, BASE + 42, 12, 1 + W);
        bonds.pay(bond, asked_, BASE + 42, voucher(BASE + 42), 0);
        demandWith(FEE, ack(8), invoice(2, "root", TOTAL));
        pay(BASE + TOTAL, voucher(BASE + TOTAL), 0);
        assertCredits(0, 2 * FEE + FEE + 1, 0);
        assertEq(ofBuyer(), 0);
        notDemanded(Pledges.NothingPledged.selector, ack(12), invoice(3, "root", 126));
        vm.prank(buyer);
        bonds.add{value: FEE}(bond, FEE);
        demandWith(FEE, ack(12), invoice(3, "root", 126));
    }

    function demandWith(uint256 stake, Evidence.Ack memory ack_, Evidence.Invoice memory of_)
        private
    {
        Evidence.Word memory order_ = order();
        vm.prank(seller);
        bonds.demand{value: stake}(bond, session, order_, ack_, of_);
    }

    function test_the_seller_takes_a_demand_back_with_its_word() public {
        demand();
        bonds.release(bond, false, goodbye(SELLER_KEY, id));
        assertCredits(BUYERS, STAKE, 0);
        pass(PERIOD);
        refused(Complaints.NoComplaint.selector);
        conclude(seller);
        assertSum(0);
    }

    // --------------------------------------------------------------------------- receipts

    /// The seller demands what its own exit receipts: it loses stake and bond.
    function test_a_demand_for_what_the_exit_receipts() public {
        demand();
        refuteByExit(receipt(126, TOTAL));
        assertCredits(SELLERS - SELLERS / 2 + STAKE, 0, SELLERS / 2);
        assertEq(ofBuyer(), BUYERS);
        assertEq(bonds.pendingUntil(id, true), 0);
        assertSum(0);
        pass(PERIOD);
        end(buyer);
    }

    function refuteByExit(Evidence.Receipt memory receipt_) private {
        Demands.Demand memory asked_ = asked();
        vm.prank(buyer);
        bonds.refuteByExit(bond, asked_, receipt_);
    }

    function refuteByItem(Evidence.Item memory one) private {
        Demands.Demand memory asked_ = asked();
        vm.prank(buyer);
        bonds.refuteByItem(bond, asked_, one);
    }

    function refuteByInvoice(Evidence.Invoice memory of_) private {
        Demands.Demand memory asked_ = asked();
        (asked_.voucher, asked_.session) = (session.base + TOTAL, name);
        vm.prank(buyer);
        bonds.refuteByInvoice(bond, asked_, of_);
    }

    /// Nor an invoice more than two after one that is not paid.
    function test_a_demand_for_what_a_later_invoice_receipts() public {
        demand();
        refused(Demands.NotReceipted.selector);
        refuteByInvoice(invoice(2 + W, "root", 200));
        refused(Evidence.InvalidSignature.selector);
        refuteByInvoice(invoiceBy(SIGNER_KEY, name, 3 + W, "root", 200, "data"));
        refused(Evidence.InvalidSignature.selector);
        refuteByInvoice(invoiceBy(SELLER_KEY, id, 3 + W, "root", 200, "data"));
        refuteByInvoice(invoice(3 + W, "root", 200));
        assertCredits(SELLERS - SELLERS / 2 + STAKE, 0, SELLERS / 2);
        assertSum(0);
    }

    /// With two windows of four unpaid at most, who signs item 16 has been paid for the first 8.
    function test_a_demand_for_what_a_later_item_receipts() public {
        demand();
        refuteByItem(item(2 * K + W * K, "leaf"));
        assertCredits(SELLERS - SELLERS / 2 + STAKE, 0, SELLERS / 2);
        assertSum(0);
    }

    /// Also where the seller has no bond any more: the stake is the buyer's then.
    function test_a_seller_without_a_bond_demands_in_vain() public {
        vm.prank(buyer);
        bonds.release(bond, true, nobody());
        demand();
        refuteByExit(receipt(126, TOTAL));
        assertCredits(STAKE, SELLERS, 0);
        assertEq(bonds.pendingUntil(id, true), 0);
        assertEq(bonds.getBond(id).endsAt, 0);
        assertSum(0);
    }

    function test_a_receipt_is_for_as_much_as_is_demanded() public {
        demand();
        refused(Demands.NotReceipted.selector);
        refuteByExit(receipt(TOTAL, TOTAL - 1));
        refused(Demands.NotReceipted.selector);
        refuteByItem(item(2 * K + W * K - 1, "leaf"));
        assertEq(ofSeller(), SELLERS);
    }

    function test_a_receipt_is_the_sellers_of_this_session() public {
        demand();
        bytes4 why = Evidence.InvalidSignature.selector;
        refused(why);
        refuteByExit(receiptBy(SIGNER_KEY, name, TOTAL, TOTAL));
        refused(why);
        refuteByExit(receiptBy(SELLER_KEY, id, TOTAL, TOTAL));
        Evidence.Receipt memory wrong = receipt(TOTAL, TOTAL - 1);
        wrong.paidTotal = TOTAL;
        refused(why);
        refuteByExit(wrong);
        wrong = receipt(TOTAL, TOTAL);
        wrong.amountTotal = TOTAL + 1;
        refused(why);
        refuteByExit(wrong);
        refused(why);
        refuteByItem(itemBy(SIGNER_KEY, name, 100, "leaf"));
        refused(why);
        refuteByItem(itemBy(SELLER_KEY, id, 100, "leaf"));
        wrong = receipt(TOTAL, TOTAL);
        wrong.word = word(SELLER_KEY, name, ACK, 0, bytes32(uint256(TOTAL)), TOTAL, "");
        refused(why);
        refuteByExit(wrong);
    }

    function test_anybody_refutes_what_waits_and_in_time() public {
        Evidence.Receipt memory receipt_ = receipt(TOTAL, TOTAL);
        Demands.Demand memory asked_ = asked();
        refused(Complaints.NoComplaint.selector);
        refuteByExit(receipt_);
        refused(Complaints.NoComplaint.selector);
        refuteByItem(item(100, "leaf"));
        demand();
        asked_.amountTotal = 1;
        refused(Complaints.NoComplaint.selector);
        vm.prank(buyer);
        bonds.refuteByExit(bond, asked_, receipt_);
        pass(PERIOD);
        refused(Complaints.TooLate.selector);
        refuteByExit(receipt_);
        vm.warp(START + PERIOD - 1);
        asked_ = asked();
        vm.prank(stranger);
        bonds.refuteByExit(bond, asked_, receipt_);
        assertCredits(SELLERS - SELLERS / 2 + STAKE, 0, SELLERS / 2);
    }

    /// Any price, rate and ack: what is demanded is never more than the items cost.
    function testFuzz_a_demand_is_what_the_items_cost(
        uint64 price,
        uint32 numerator,
        uint32 denominator,
        uint8 acked,
        uint8 number,
        uint88 total
    ) public {
        vm.assume(denominator != 0);
        (session.price, session.numerator, session.denominator) = (price, numerator, denominator);
        (session.base, channel) = (0, bytes32(0));
        vm.deal(buyer, type(uint88).max);
        vm.prank(buyer);
        channel = escrow.open{value: type(uint88).max}(
            seller, COIN, type(uint88).max, "large", vm.addr(SIGNER_KEY)
        );
        vm.deal(buyer, 1 ether);
        bond.channel = channel;
        id = bonds.bondId(bond);
        pledgeBoth();
        if (number == 0) number = 1;
        uint256 items = uint256(number) * K;
        uint256 before = uint256(price) * (items - K) * numerator / denominator;
        if (acked < items) items = acked;
        uint256 owed = uint256(price) * items * numerator / denominator;
        if (total % 3 == 0) total = owed < type(uint88).max ? uint88(owed) : total;
        if (total % 3 == 1) total = before < type(uint88).max ? uint88(before + 1) : total;
        if (total > owed) total = uint88(owed);
        if (total <= before) {
            notDemanded(Demands.NotOwed.selector, ack(acked), invoice(number, "root", total));
        } else {
            demand(ack(acked), invoice(number, "root", total));
        }
    }
}
