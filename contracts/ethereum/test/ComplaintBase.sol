// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Challenges} from "../src/bonds/Challenges.sol";
import {Evidence} from "../src/bonds/Evidence.sol";
import {BondBase} from "./BondBase.sol";

/// Both have pledged, and the buyer complains.
abstract contract ComplaintBase is BondBase {
    bytes32 internal constant ONE = keccak256("one reading");
    bytes32 internal constant OTHER = keccak256("another reading");

    function setUp() public override {
        super.setUp();
        pledgeBoth();
    }

    // ------------------------------------------------------------------------------ doing

    function convictOfItems(Evidence.Item memory one, Evidence.Item memory other) internal {
        vm.prank(buyer);
        bonds.convictOfItems(bond, session, key(), one, other);
    }

    function challengeRoot(Evidence.Item memory one, Evidence.Invoice memory of_) internal {
        Evidence.Word memory key_ = key();
        uint256 value = coin(STAKE);
        vm.prank(buyer);
        bonds.challengeRoot{value: value}(bond, session, key_, one, of_);
    }

    function conclude(address by) internal {
        vm.prank(by);
        bonds.concludeChallenge(bond);
    }

    function show(
        Challenges.Challenge memory asked,
        uint32 place,
        uint32 of_,
        bytes32[] memory path
    ) internal {
        vm.prank(seller);
        bonds.show(bond, asked, place, of_, path);
    }

    // --------------------------------------------------------------------------- checking

    function notShown(
        Challenges.Challenge memory asked,
        uint32 place,
        uint32 of_,
        bytes32[] memory path
    ) internal {
        refused(Challenges.InvalidProof.selector);
        show(asked, place, of_, path);
    }
}
