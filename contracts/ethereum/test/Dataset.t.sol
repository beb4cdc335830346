// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Challenges} from "../src/bonds/Challenges.sol";
import {Evidence} from "../src/bonds/Evidence.sol";
import {ComplaintBase} from "./ComplaintBase.sol";

/// What a buyer can ask a seller to show: that an item is in the dataset that it committed to.
contract DatasetTest is ComplaintBase {
    /// The seller sells an item that is not in the file that it committed to.
    function test_an_item_that_is_not_in_the_dataset() public {
        bytes32[] memory rows = dataset();
        session.dataset = rootOf(rows);
        Evidence.Item memory made = opened(3, keccak256("made up"));
        Challenges.Challenge memory asked =
            Challenges.Challenge(row(keccak256("made up")), session.dataset, ANYWHERE, ANYWHERE);
        vm.expectEmit(address(bonds));
        emit Challenges.Challenged(id, asked, START + PERIOD);
        challengeItem(made, keccak256("made up"));
        notShown(asked, 3, 5, pathOf(rows, 3));
        pass(PERIOD);
        conclude(buyer);
        assertCredits(SELLERS - SELLERS / 2 + STAKE, 0, SELLERS / 2);
    }

    /// One that is there is shown wherever it stands.
    function test_an_item_that_is_in_the_dataset() public {
        bytes32[] memory rows = dataset();
        session.dataset = rootOf(rows);
        bytes32 content = ofRow(4);
        challengeItem(opened(17, content), content);
        Challenges.Challenge memory asked =
            Challenges.Challenge(row(content), session.dataset, ANYWHERE, ANYWHERE);
        show(asked, 4, 5, pathOf(rows, 4));
        assertCredits(0, STAKE, 0);
    }

    /// The last item of a window stands in its invoice only; with one item in a window each does.
    function test_an_invoiced_item_that_is_not_in_the_dataset() public {
        session.dataset = rootOf(dataset());
        session.granularity = 1;
        bytes32 made = keccak256("made up");
        bytes32[] memory leaves = new bytes32[](1);
        leaves[0] = opened(5, made).leaf;
        challengeInvoiced(invoice(5, leaves[0], 42), 5, made, leaves);
        assertEq(bonds.pendingUntil(id, false), START + PERIOD);
        assertSum(STAKE);
        pass(PERIOD);
        conclude(buyer);
        assertEq(ofSeller(), 0);
    }

    function test_an_invoiced_item_is_at_its_place_under_the_root() public {
        session.dataset = rootOf(dataset());
        bytes32 content = keccak256("the last");
        bytes32[] memory leaves = leavesOf(K);
        leaves[K - 1] = opened(2 * K, content).leaf;
        bytes32 root = rootOf(leaves);
        refused(Evidence.NoContradiction.selector);
        challengeInvoiced(invoice(3, root, 42), 2 * K, content, leaves);
        refused(Challenges.InvalidProof.selector);
        challengeInvoiced(invoice(2, "another", 42), 2 * K, content, leaves);
        refused(Challenges.InvalidProof.selector);
        challengeInvoiced(invoice(2, root, 42), 2 * K, keccak256("another"), leaves);
        refused(Challenges.InvalidProof.selector);
        challengeInvoiced(invoice(2, root, 42), 2 * K - 1, content, leaves);
        Evidence.Invoice memory forged = invoice(2, root, 42);
        forged.root = "another";
        refused(Evidence.InvalidSignature.selector);
        challengeInvoiced(forged, 2 * K, content, leaves);
        session.dataset = 0;
        refused(Challenges.NoDataset.selector);
        challengeInvoiced(invoice(2, root, 42), 2 * K, content, leaves);
        session.dataset = rootOf(dataset());
        challengeInvoiced(invoice(2, root, 42), 2 * K, content, leaves);
    }

    /// A root is over no more leaves than a window has items, and an item is at one of them.
    function test_an_invoiced_item_is_of_a_window() public {
        session.dataset = rootOf(dataset());
        bytes32 content = keccak256("the last");
        bytes32[] memory leaves = leavesOf(K + 1);
        leaves[K - 1] = opened(2 * K, content).leaf;
        refused(Challenges.InvalidProof.selector);
        challengeInvoiced(invoice(2, rootOf(leaves), 42), 2 * K, content, leaves);
        // A single leaf is its root, and stands at the first place.
        Evidence.Opened memory one = Evidence.Opened(2 * K, LEAF_SALT, content, 1);
        (Evidence.Word memory key_, Evidence.Invoice memory of_) =
            (key(), invoice(2, leaves[K - 1], 42));
        refused(Challenges.InvalidProof.selector);
        vm.prank(buyer);
        bonds.challengeInvoiced{value: STAKE}(bond, session, key_, of_, one, new bytes32[](0));
        leaves = leavesOf(K);
        leaves[K - 1] = opened(2 * K, content).leaf;
        challengeInvoiced(invoice(2, rootOf(leaves), 42), 2 * K, content, leaves);
    }

    /// An honest seller shows the row and has the stake.
    function test_an_invoiced_item_that_is_in_the_dataset() public {
        bytes32[] memory rows = dataset();
        session.dataset = rootOf(rows);
        bytes32 content = ofRow(3);
        bytes32[] memory leaves = leavesOf(3);
        leaves[2] = opened(3, content).leaf;
        challengeInvoiced(invoice(1, rootOf(leaves), 42), 3, content, leaves);
        Challenges.Challenge memory asked =
            Challenges.Challenge(rows[3], session.dataset, ANYWHERE, ANYWHERE);
        show(asked, 3, uint32(rows.length), pathOf(rows, 3));
        assertCredits(0, STAKE, 0);
    }

    function challengeInvoiced(
        Evidence.Invoice memory of_,
        uint64 seq,
        bytes32 content,
        bytes32[] memory leaves
    ) private {
        Evidence.Word memory key_ = key();
        uint32 count = uint32(leaves.length);
        uint256 place = (seq - 1) % session.granularity;
        Evidence.Opened memory opened_ = Evidence.Opened(seq, LEAF_SALT, content, count);
        vm.prank(buyer);
        bonds.challengeInvoiced{value: STAKE}(
            bond, session, key_, of_, opened_, pathOf(leaves, place)
        );
    }

    function challengeItem(Evidence.Item memory one, bytes32 content) private {
        Evidence.Word memory key_ = key();
        vm.prank(buyer);
        bonds.challengeItem{value: STAKE}(bond, session, key_, one, LEAF_SALT, content);
    }

    function test_the_leaf_is_opened_to_the_item() public {
        bytes32 content = keccak256("made up");
        session.dataset = rootOf(dataset());
        bytes4 why = Evidence.NoContradiction.selector;
        Evidence.Item memory good = opened(3, content);
        refused(why);
        challengeItem(good, keccak256("another"));
        Evidence.Item memory wrong = good;
        wrong.leaf = keccak256("another");
        refused(Evidence.InvalidSignature.selector);
        challengeItem(wrong, content);
        refused(why);
        challengeItem(item(4, opened(3, content).leaf), content);
        refused(Evidence.InvalidSignature.selector);
        challengeItem(itemBy(SIGNER_KEY, name, 3, opened(3, content).leaf), content);
    }

    /// Where nothing was committed to, nothing is asked.
    function test_without_a_dataset_no_item_is_asked_for() public {
        bytes32 content = keccak256("made up");
        Evidence.Item memory made = opened(3, content);
        refused(Challenges.NoDataset.selector);
        challengeItem(made, content);
    }
}
