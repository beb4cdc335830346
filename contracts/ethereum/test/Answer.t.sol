// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Complaints} from "../src/bonds/Complaints.sol";
import {Demands} from "../src/bonds/Demands.sol";
import {Evidence} from "../src/bonds/Evidence.sol";
import {Money} from "../src/bonds/Money.sol";
import {Pledges} from "../src/bonds/Pledges.sol";
import {DemandBase} from "./DemandBase.sol";

/// What a buyer answers a demand with, or pays before it is asked.
contract AnswerTest is DemandBase {
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
        demand(ack(4), invoice(1, "root", 42));
        Demands.Demand memory asked_ = Demands.Demand(name, 42, BASE + 42, 12, 1 + W);
        bonds.pay(bond, asked_, BASE + 42, voucher(BASE + 42), 0);
        demand(ack(8), invoice(2, "root", TOTAL));
        pay(BASE + TOTAL, voucher(BASE + TOTAL), 0);
        assertCredits(0, 2 * FEE + FEE + 1, 0);
        assertEq(ofBuyer(), 0);
        notDemanded(Pledges.NothingPledged.selector, ack(12), invoice(3, "root", 126));
        vm.prank(buyer);
        bonds.add{value: FEE}(bond, FEE);
        demand(ack(12), invoice(3, "root", 126));
    }

    // ---------------------------------------------------------------- the channel is over

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
        sellerCloses();
        pay(0, "", BASE + TOTAL);
        assertCredits(0, STAKE + FEE + BASE + TOTAL, 0);
    }

    function test_after_a_close_a_bond_in_tokens_pays_here() public {
        agree(address(token));
        pledgeBoth();
        demand();
        sellerCloses();
        notPaid(Money.WrongValue.selector, 0, "", 1);
        pay(0, "", 0);
        assertCredits(0, STAKE + FEE + BASE + TOTAL, 0);
        assertSum(0);
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
        sellerCloses();
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
        sellerCloses();
        notPaid(Money.WrongValue.selector, BASE + TOTAL, voucher(BASE + TOTAL), 0);
        most = BASE + TOTAL - 1;
        notPaid(Money.WrongValue.selector, 0, "", 0);
        most = BASE + TOTAL;
        pay(0, "", 0);
        assertCredits(0, STAKE + FEE + BASE + TOTAL, 0);
    }

    // ----------------------------------------------------------------- before it is asked

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

    /// A smaller payment does not make it forget the larger voucher.
    function test_the_largest_voucher_is_kept_in_mind() public {
        demand();
        bonds.payAhead(bond, BASE + 126, voucher(BASE + 126), 0);
        sellerCloses();
        pay(0, "", BASE + TOTAL);
        assertEq(bonds.getBond(id).answered, BASE + 126);
    }

    // -------------------------------------------------------------------------- two bonds

    /// Two bonds for one channel, and one debt: it is paid once.
    function test_a_debt_is_paid_once_under_two_bonds() public {
        Evidence.Bond memory first = bond;
        agreeAgain("second");
        pledgeBoth();
        demand();
        Evidence.Bond memory second = bond;
        bond = first;
        id = bonds.bondId(bond);
        demand();
        sellerCloses();
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
}
