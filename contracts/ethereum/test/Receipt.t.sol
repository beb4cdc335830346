// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Complaints} from "../src/bonds/Complaints.sol";
import {Demands} from "../src/bonds/Demands.sol";
import {Evidence} from "../src/bonds/Evidence.sol";
import {DemandBase} from "./DemandBase.sol";

/// A demand for what the seller has receipted, and one for what it is paid afterwards.
contract ReceiptTest is DemandBase {
    // -------------------------------------------------------------------------- receipted

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

    function refuteByInvoice(Evidence.Invoice memory of_) private {
        Demands.Demand memory asked_ = asked();
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

    // -------------------------------------------------------------- paid after the demand

    /// The story: the seller asks, is paid outside, and goes on. That convicts nobody.
    function test_a_seller_that_is_paid_after_its_demand_loses_nothing() public {
        demand();
        settleAs(BASE + TOTAL);
        vm.expectEmit(address(bonds));
        emit Demands.Paid(id, BASE + TOTAL, "");
        refuteByItem(item(2 * K + W * K, "leaf"));
        assertCredits(0, STAKE, 0);
        assertEq(ofSeller(), SELLERS);
        againDemanded("exit");
        refuteByExit(receipt(126, TOTAL));
        assertEq(ofSeller(), SELLERS);
        againDemanded("invoice");
        refuteByInvoice(invoice(2 + W + 1, "root", 200));
        assertEq(ofSeller(), SELLERS);
        assertCredits(0, 3 * STAKE, 0);
    }

    /// The same under another bond, the channel having paid one unit less until now.
    function againDemanded(bytes32 salt) private {
        agreeAgain(salt);
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
}
