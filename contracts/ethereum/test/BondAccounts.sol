// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {BondBase} from "./BondBase.sol";

/// An account of each side of the pairs that walk: what it has left in each bond and what it has
/// gained or lost by now, as the rules have it. It is made of what was asked for, not of what the
/// contract says.
abstract contract BondAccounts is BondBase {
    uint256 public constant PAIRS = 4;
    uint256 public constant BEGAN = 1e24;

    /// What a side has left in a bond.
    mapping(uint256 i => mapping(bool ofSeller => uint256 amount)) public left;
    /// What a side has more than it began with.
    mapping(uint256 pair => mapping(bool ofSeller => int256 amount)) public gained;
    /// Whether a side has lost a bond.
    mapping(uint256 pair => mapping(bool ofSeller => bool)) public hasLost;
    /// What a seller was paid for its channel, there and beside the bonds.
    mapping(uint256 pair => uint256 amount) public had;
    /// The most that a buyer has signed for on its channel.
    mapping(uint256 pair => uint256 amount) public vouched;
    /// How often each call was taken.
    mapping(bytes32 what => uint256 times) public done;
    /// What was taken or refused that must not be.
    string public wrong;

    function did(bytes32 what) internal {
        ++done[what];
    }

    function must(bool holds, string memory what) internal {
        if (!holds) wrong = what;
    }

    function give(uint256 i, bool toSeller, uint256 amount) internal {
        gained[i % PAIRS][toSeller] += int256(amount);
        gained[i % PAIRS][!toSeller] -= int256(amount);
    }

    function lose(uint256 i, bool bySeller) internal {
        uint256 amount = left[i][bySeller];
        (left[i][bySeller], hasLost[i % PAIRS][bySeller]) = (0, true);
        give(i, !bySeller, amount - amount / 2);
        gained[i % PAIRS][bySeller] -= int256(amount / 2);
    }

    /// A voucher was given, or money in its place.
    function paid(uint256 i, uint256 due, uint256 voucher) internal {
        give(i, true, due);
        had[i % PAIRS] += due;
        if (voucher > vouched[i % PAIRS]) vouched[i % PAIRS] = voucher;
    }
}
