// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Pledges} from "./Pledges.sol";

/// @title A complaint, until it is answered, and what it costs
/// @dev One at a time of each side: taken with its stake, answered in time or overdue. What is asked
/// and what answers it is told in Challenges and Demands.
abstract contract Complaints is Pledges {
    /// @notice A side lost its bond; `burned` of it is nobody's.
    event Lost(bytes32 indexed id, bool indexed bySeller, uint256 amount, uint256 burned);

    /// @notice Somebody left, and the time for complaints is over.
    error ComplaintsOver();
    /// @notice No such complaint waits.
    error NoComplaint();
    /// @notice It is too late for this.
    error TooLate();

    /// @dev Takes a complaint with its stake: one at a time of each side.
    function _complain(
        Bond calldata bond,
        bytes32 id,
        Held storage held,
        bool bySeller,
        bytes32 what
    ) internal returns (uint256 until) {
        require(held.pledged == BOTH_IN, NotInForce());
        require(_left(held, !bySeller) != 0, NothingPledged());
        require(held.endsAt == 0 || block.timestamp < held.endsAt, ComplaintsOver());
        require(complaints[id][bySeller].until == 0, ComplaintPending());
        until = block.timestamp + PERIOD;
        complaints[id][bySeller] = Complaint(_hash(what), uint40(until));
        _take(bond.token, bond.stake);
    }

    /// @dev A complaint waits for just this answer, and it is not too late.
    function _answers(bytes32 id, bool bySeller, bytes32 what) internal view {
        Complaint memory complaint = complaints[id][bySeller];
        require(complaint.until != 0 && complaint.what == _hash(what), NoComplaint());
        require(block.timestamp < complaint.until, TooLate());
    }

    function _isOverdue(bytes32 id, bool bySeller) internal view {
        uint256 until = complaints[id][bySeller].until;
        require(until != 0, NoComplaint());
        require(block.timestamp >= until, TooEarly());
    }

    function _hash(bytes32 what) internal pure returns (bytes27) {
        return bytes27(what);
    }

    /// @dev Takes a bond from who cheated: half for the other side, half for nobody, so that a
    /// friend's sham complaint saves no more than half. What complaint the other side has waiting
    /// goes with it. The other side's bond stays, as it may be complained of too.
    function _lose(Bond calldata bond, bytes32 id, Held storage held, bool bySeller) internal {
        uint256 amount = _left(held, bySeller);
        require(amount != 0, NothingPledged());
        _set(held, bySeller, 0);
        _returnStake(bond, id, !bySeller);
        uint256 burned = amount / 2;
        burnt[bond.token] += burned;
        _credit(bond.token, bySeller ? bond.buyer : bond.seller, amount - burned);
        emit Lost(id, bySeller, amount, burned);
        _startEnd(id, held);
    }
}
