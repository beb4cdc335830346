// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Demands} from "../src/bonds/Demands.sol";
import {Evidence} from "../src/bonds/Evidence.sol";
import {BondBase} from "./BondBase.sol";

/// Both have pledged, and the seller asks the buyer in public for what two windows cost.
abstract contract DemandBase is BondBase {
    /// What two windows cost: 7 * 8 * 3 / 2.
    uint128 internal constant TOTAL = 84;
    uint128 internal constant BASE = 10;
    /// What the buyer allows of a token.
    uint256 internal most = type(uint256).max;

    function setUp() public override {
        super.setUp();
        pledgeBoth();
    }

    function asked() internal view returns (Demands.Demand memory) {
        return Demands.Demand(name, TOTAL, session.base + TOTAL, 2 * K + W * K, 2 + W);
    }

    // ------------------------------------------------------------------------------ doing

    /// Demands invoice 2, all of whose items were acknowledged.
    function demand() internal {
        demand(ack(8), invoice(2, "root", TOTAL));
    }

    function demand(Evidence.Ack memory ack_, Evidence.Invoice memory of_) internal {
        Evidence.Word memory order_ = order();
        uint256 value = coin(bond.stake);
        vm.prank(seller);
        bonds.demand{value: value}(bond, session, order_, ack_, of_);
    }

    function retract(address by) internal {
        vm.prank(by);
        bonds.retract(bond);
    }

    function voucher(uint128 amount) internal view returns (bytes memory) {
        return sign(SIGNER_KEY, channel, amount);
    }

    function settleAs(uint128 amount) internal {
        bytes memory signature = voucher(amount);
        vm.prank(seller);
        escrow.settle(channel, amount, signature);
    }

    function pay(uint128 amount, bytes memory signature, uint256 value) internal {
        Demands.Demand memory asked_ = asked();
        vm.prank(buyer);
        bonds.pay{value: value}(bond, asked_, amount, signature, most);
    }

    function conclude(address by) internal {
        Demands.Demand memory asked_ = asked();
        vm.prank(by);
        bonds.concludeDemand(bond, asked_);
    }

    function refuteByItem(Evidence.Item memory one) internal {
        Demands.Demand memory asked_ = asked();
        vm.prank(buyer);
        bonds.refuteByItem(bond, asked_, one);
    }

    // --------------------------------------------------------------------------- checking

    function notDemanded(bytes4 why, Evidence.Ack memory ack_, Evidence.Invoice memory of_)
        internal
    {
        refused(why);
        demand(ack_, of_);
    }

    function notPaid(bytes4 why, uint128 amount, bytes memory signature, uint256 value) internal {
        refused(why);
        pay(amount, signature, value);
    }
}
