// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Complaints} from "../src/bonds/Complaints.sol";
import {Demands} from "../src/bonds/Demands.sol";
import {Evidence} from "../src/bonds/Evidence.sol";
import {Money} from "../src/bonds/Money.sol";
import {Pledges} from "../src/bonds/Pledges.sol";
import {DemandBase} from "./DemandBase.sol";

/// What a seller asks a buyer for in public, and what silence costs.
contract DemandTest is DemandBase {
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

    // --------------------------------------------------------------- what can be demanded

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
        agreeAgain("offered");
        pledge(buyer, BUYERS);
        notDemanded(Pledges.NotInForce.selector, ack(8), invoice(2, "root", TOTAL));
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

    // ------------------------------------------------------------------------- taken back

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

    function test_the_seller_takes_a_demand_back_with_its_word() public {
        demand();
        bonds.release(bond, false, goodbye(SELLER_KEY, id));
        assertCredits(BUYERS, STAKE, 0);
        pass(PERIOD);
        refused(Complaints.NoComplaint.selector);
        conclude(seller);
        assertSum(0);
    }
}
