// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Challenges} from "../src/bonds/Challenges.sol";
import {Complaints} from "../src/bonds/Complaints.sol";
import {Evidence} from "../src/bonds/Evidence.sol";
import {Money} from "../src/bonds/Money.sol";
import {Pledges} from "../src/bonds/Pledges.sol";
import {ComplaintBase} from "./ComplaintBase.sol";

/// What a buyer can ask a seller to show: that what it signed is under the root that it invoiced.
contract ChallengeTest is ComplaintBase {
    /// The story: one reading is signed, another is invoiced, and the seller has nothing to show.
    function test_signs_one_reading_and_invoices_another() public {
        bytes32[] memory invoiced = leavesOf(K);
        bytes32 signed = keccak256("what was delivered");
        Challenges.Challenge memory asked = Challenges.Challenge(signed, rootOf(invoiced), 2, K);
        vm.expectEmit(address(bonds));
        emit Challenges.Challenged(id, asked, START + PERIOD);
        challengeRoot(item(3, signed), invoice(1, rootOf(invoiced), 42));
        assertEq(bonds.pendingUntil(id, false), START + PERIOD);
        assertSum(STAKE);
        notShown(asked, 2, K, pathOf(invoiced, 2));
        pass(PERIOD - 1);
        refused(Pledges.TooEarly.selector);
        conclude(buyer);
        pass(1);
        conclude(buyer);
        assertCredits(SELLERS - SELLERS / 2 + STAKE, 0, SELLERS / 2);
        assertSum(0);
    }

    /// A sham complaint costs the buyer its stake.
    function test_an_honest_seller_shows_the_leaf_and_has_the_stake() public {
        bytes32[] memory leaves = leavesOf(K);
        bytes32 root = rootOf(leaves);
        challengeRoot(item(7, leaves[2]), invoice(2, root, 84));
        Challenges.Challenge memory asked = Challenges.Challenge(leaves[2], root, 2, K);
        vm.expectEmit(address(bonds));
        emit Challenges.Shown(id);
        show(asked, 2, K, pathOf(leaves, 2));
        assertCredits(0, STAKE, 0);
        assertEq(bonds.pendingUntil(id, false), 0);
        assertEq(ofSeller(), SELLERS);
        pass(PERIOD);
        refused(Complaints.NoComplaint.selector);
        conclude(buyer);
        refused(Complaints.NoComplaint.selector);
        show(asked, 2, K, pathOf(leaves, 2));
        assertSum(0);
    }

    /// Who has the tree shows it, for a seller that cannot: the stake is the seller's.
    function test_anybody_shows_only_what_was_asked_and_in_time() public {
        bytes32[] memory leaves = leavesOf(K);
        bytes32 root = rootOf(leaves);
        challengeRoot(item(3, leaves[2]), invoice(1, root, 42));
        Challenges.Challenge memory asked = Challenges.Challenge(leaves[2], root, 2, K);
        bytes32[] memory path = pathOf(leaves, 2);
        Challenges.Challenge memory other = Challenges.Challenge(leaves[1], root, 1, K);
        refused(Complaints.NoComplaint.selector);
        show(other, 1, K, pathOf(leaves, 1));
        pass(PERIOD);
        refused(Complaints.TooLate.selector);
        show(asked, 2, K, path);
        vm.warp(START + PERIOD - 1);
        vm.prank(stranger);
        bonds.show(bond, asked, 2, K, path);
        assertCredits(0, STAKE, 0);
    }

    /// The leaf must stand where the item's seq puts it, in no more than a window.
    function test_a_leaf_is_shown_in_its_place() public {
        bytes32[] memory leaves = leavesOf(2 * K);
        leaves[5] = leaves[2];
        bytes32 root = rootOf(leaves);
        challengeRoot(item(2, leaves[2]), invoice(1, root, 42));
        Challenges.Challenge memory asked = Challenges.Challenge(leaves[2], root, 1, K);
        notShown(asked, 2, 2 * K, pathOf(leaves, 2));
        notShown(asked, 5, 2 * K, pathOf(leaves, 5));
        notShown(asked, 1, 2 * K, pathOf(leaves, 1));
        notShown(asked, 2, K, pathOf(leaves, 2));
    }

    /// Nor at another place of the same window, where the seller put it once more.
    function test_a_leaf_is_not_shown_elsewhere() public {
        bytes32[] memory leaves = leavesOf(K);
        bytes32 signed = leaves[2];
        leaves[1] = keccak256("another reading");
        bytes32 root = rootOf(leaves);
        challengeRoot(item(2, signed), invoice(1, root, 42));
        notShown(Challenges.Challenge(signed, root, 1, K), 2, K, pathOf(leaves, 2));
    }

    /// A path that ends early puts no leaf at a place that the tree has not.
    function test_a_path_leads_to_the_root() public {
        challengeRoot(item(2, ONE), invoice(1, ONE, 42));
        notShown(Challenges.Challenge(ONE, ONE, 1, K), 1, K, new bytes32[](0));
    }

    function test_a_window_has_no_more_than_its_items() public {
        bytes32[] memory leaves = leavesOf(K + 1);
        bytes32 root = rootOf(leaves);
        challengeRoot(item(2, leaves[1]), invoice(1, root, 42));
        notShown(Challenges.Challenge(leaves[1], root, 1, K), 1, K + 1, pathOf(leaves, 1));
    }

    /// The last window may be shorter.
    function test_a_short_window_is_shown_too() public {
        bytes32[] memory leaves = leavesOf(3);
        bytes32 root = rootOf(leaves);
        challengeRoot(item(K + 3, leaves[2]), invoice(2, root, 73));
        show(Challenges.Challenge(leaves[2], root, 2, K), 2, 3, pathOf(leaves, 2));
        assertCredits(0, STAKE, 0);
    }

    function test_a_single_leaf_is_its_root() public {
        challengeRoot(item(1, ONE), invoice(1, ONE, 10));
        Challenges.Challenge memory asked = Challenges.Challenge(ONE, ONE, 0, K);
        notShown(asked, 0, 0, new bytes32[](0));
        notShown(asked, 0, 1, new bytes32[](1));
        show(asked, 0, 1, new bytes32[](0));
    }

    /// Each leaf of windows of any size, and no other path.
    function testFuzz_every_leaf_is_shown(uint8 count, uint8 seed, bytes32 wrong) public {
        session.granularity = uint32(count % 40) + 1;
        uint32 place = seed % session.granularity;
        bytes32[] memory leaves = leavesOf(session.granularity);
        bytes32 root = rootOf(leaves);
        challengeRoot(item(place + 1, leaves[place]), invoice(1, root, 42));
        Challenges.Challenge memory asked =
            Challenges.Challenge(leaves[place], root, place, session.granularity);
        bytes32[] memory path = pathOf(leaves, place);
        notShown(asked, place, session.granularity, pushed(path, wrong));
        if (path.length != 0) {
            bytes32 good = path[path.length - 1];
            path[path.length - 1] = wrong;
            notShown(asked, place, session.granularity, path);
            path[path.length - 1] = good;
            assembly ("memory-safe") {
                mstore(path, sub(mload(path), 1))
            }
            notShown(asked, place, session.granularity, path);
            assembly ("memory-safe") {
                mstore(path, add(mload(path), 1))
            }
        }
        show(asked, place, session.granularity, path);
    }

    /// An item of another window is no contradiction.
    function test_an_item_is_asked_for_in_its_own_window() public {
        bytes4 why = Evidence.NoContradiction.selector;
        notChallenged(why, item(4, ONE), invoice(2, OTHER, 84));
        notChallenged(why, item(5, ONE), invoice(1, OTHER, 42));
        notChallenged(why, item(9, ONE), invoice(2, OTHER, 84));
        why = Evidence.InvalidSignature.selector;
        notChallenged(why, itemBy(SIGNER_KEY, name, 4, ONE), invoice(1, OTHER, 42));
        notChallenged(
            why, item(4, ONE), invoiceBy(SIGNER_KEY, name, 1, OTHER, 42, keccak256("an invoice"))
        );
        challengeRoot(item(4, ONE), invoice(1, OTHER, 42));
    }

    function notChallenged(bytes4 why, Evidence.Item memory one, Evidence.Invoice memory of_)
        private
    {
        refused(why);
        challengeRoot(one, of_);
    }

    // --------------------------------------------------------------- until it is answered

    function test_a_complaint_brings_its_stake() public {
        Evidence.Word memory key_ = key();
        (Evidence.Item memory one, Evidence.Invoice memory of_) =
            (item(4, ONE), invoice(1, OTHER, 42));
        refused(Money.WrongValue.selector);
        vm.prank(buyer);
        bonds.challengeRoot{value: STAKE - 1}(bond, session, key_, one, of_);
        refused(Money.WrongValue.selector);
        vm.prank(buyer);
        bonds.challengeRoot{value: STAKE + 1}(bond, session, key_, one, of_);
        challengeRoot(one, of_);
        assertSum(STAKE);
        // One at a time.
        refused(Pledges.ComplaintPending.selector);
        challengeRoot(item(3, ONE), of_);
    }

    function test_complaints_are_taken_until_the_period_is_over() public {
        requestEnd(seller);
        pass(PERIOD - 1);
        challengeRoot(item(4, ONE), invoice(1, OTHER, 42));
        pass(1);
        // The seller cannot leave while the complaint waits.
        refused(Pledges.ComplaintPending.selector);
        end(seller);
        pass(PERIOD - 1);
        conclude(seller);
        end(seller);
        assertCredits(SELLERS - SELLERS / 2 + STAKE + BUYERS, 0, SELLERS / 2);
        agreeAgain(keccak256("late"));
        pledgeBoth();
        requestEnd(seller);
        pass(PERIOD);
        refused(Complaints.ComplaintsOver.selector);
        challengeRoot(item(4, ONE), invoice(1, OTHER, 42));
    }

    function test_a_stranger_concludes_nothing() public {
        challengeRoot(item(4, ONE), invoice(1, OTHER, 42));
        pass(PERIOD);
        refused(Pledges.NotParty.selector);
        conclude(stranger);
    }

    /// Who lets the other's bond go has no complaint any more, and has its stake back.
    function test_a_release_takes_the_complaint_back() public {
        challengeRoot(item(4, ONE), invoice(1, OTHER, 42));
        vm.prank(buyer);
        bonds.release(bond, true, nobody());
        assertCredits(STAKE, SELLERS, 0);
        pass(PERIOD);
        refused(Complaints.NoComplaint.selector);
        conclude(buyer);
        requestEnd(buyer);
        pass(PERIOD);
        end(buyer);
        assertCredits(STAKE + BUYERS, SELLERS, 0);
    }

    /// A proof overtakes a complaint that waits: the bond is lost, the stake comes back.
    function test_a_proof_overtakes_a_challenge() public {
        challengeRoot(item(4, ONE), invoice(1, OTHER, 42));
        convictOfItems(item(3, ONE), item(3, OTHER));
        assertCredits(SELLERS - SELLERS / 2 + STAKE, 0, SELLERS / 2);
        assertSum(0);
        pass(PERIOD);
        end(seller);
    }

    function test_a_complaint_in_tokens() public {
        agree(address(token));
        pledgeBoth();
        challengeRoot(item(4, ONE), invoice(1, OTHER, 42));
        assertSum(STAKE);
        pass(PERIOD);
        conclude(buyer);
        assertCredits(SELLERS - SELLERS / 2 + STAKE, 0, SELLERS / 2);
        assertSum(0);
    }
}
