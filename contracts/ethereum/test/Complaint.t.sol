// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Challenges} from "../src/bonds/Challenges.sol";
import {Complaints} from "../src/bonds/Complaints.sol";
import {Evidence} from "../src/bonds/Evidence.sol";
import {Money} from "../src/bonds/Money.sol";
import {Pledges} from "../src/bonds/Pledges.sol";
import {BondBase} from "./BondBase.sol";

/// What a buyer can prove of a seller, and ask it to show.
contract ComplaintTest is BondBase {
    bytes32 private constant ONE = keccak256("one reading");
    bytes32 private constant OTHER = keccak256("another reading");

    function setUp() public override {
        super.setUp();
        pledgeBoth();
    }

    // ----------------------------------------------------------------- what needs no answer

    /// Half of what is lost is the buyer's, half is nobody's; its own comes back after the period.
    function test_two_leaves_for_one_item_cost_the_seller_its_bond() public {
        vm.expectEmit(address(bonds));
        emit Complaints.Lost(id, true, SELLERS, SELLERS / 2);
        vm.expectEmit(address(bonds));
        emit Pledges.EndRequested(id, buyer, START + PERIOD);
        convictOfItems(item(3, ONE), item(3, OTHER));
        assertCredits(SELLERS - SELLERS / 2, 0, SELLERS / 2);
        assertEq(ofSeller(), 0);
        assertEq(ofBuyer(), BUYERS);
        pass(PERIOD);
        end(buyer);
        assertCredits(SELLERS - SELLERS / 2 + BUYERS, 0, SELLERS / 2);
        assertSum(0);
    }

    function convictOfItems(Evidence.Item memory one, Evidence.Item memory other) private {
        vm.prank(buyer);
        bonds.convictOfItems(bond, session, key(), one, other);
    }

    function test_two_items_contradict_only_with_one_seq_and_two_leaves() public {
        notOfItems(Evidence.NoContradiction.selector, item(3, ONE), item(3, ONE));
        notOfItems(Evidence.NoContradiction.selector, item(3, ONE), item(4, OTHER));
        // The same item, sealed anew: another body, the same leaf.
        Evidence.Item memory again =
            Evidence.Item(3, ONE, word(SELLER_KEY, name, DATA, 3, ONE, 0, keccak256("anew")));
        notOfItems(Evidence.NoContradiction.selector, item(3, ONE), again);
        assertEq(ofSeller(), SELLERS);
    }

    function notOfItems(bytes4 why, Evidence.Item memory one, Evidence.Item memory other) private {
        refused(why);
        convictOfItems(one, other);
    }

    function test_only_the_sellers_key_and_this_session_convict() public {
        bytes4 why = Evidence.InvalidSignature.selector;
        notOfItems(why, itemBy(SIGNER_KEY, name, 3, ONE), item(3, OTHER));
        notOfItems(why, item(3, ONE), itemBy(SIGNER_KEY, name, 3, OTHER));
        notOfItems(why, itemBy(SELLER_KEY, id, 3, ONE), item(3, OTHER));
        notOfItems(why, item(3, ONE), itemBy(SELLER_KEY, id, 3, OTHER));
        // Another kind of message with the same fields.
        Evidence.Item memory wrong =
            Evidence.Item(3, ONE, word(SELLER_KEY, name, ACK, 3, ONE, 0, keccak256("an item")));
        notOfItems(why, wrong, item(3, OTHER));
        // A leaf, a data, a verification that were not signed.
        wrong = item(3, ONE);
        wrong.leaf = keccak256("a third");
        notOfItems(why, wrong, item(3, OTHER));
        wrong = item(3, ONE);
        wrong.word.data = 0;
        notOfItems(why, wrong, item(3, OTHER));
        wrong = item(3, ONE);
        wrong.word.verification = 0;
        notOfItems(why, wrong, item(3, OTHER));
        assertEq(ofSeller(), SELLERS);
    }

    /// The seller must have signed that the session is under this bond, on these terms.
    function test_a_session_is_under_one_bond_by_the_sellers_word() public {
        (Evidence.Item memory one, Evidence.Item memory other) = (item(3, ONE), item(3, OTHER));
        Evidence.Word memory good = key();
        Evidence.Session memory kept = session;
        for (uint256 term = 0; term < 9; ++term) {
            session = withAnother(kept, term);
            notUnder(good, one, other);
        }
        session = kept;
        // The buyer's word, a bond of another salt, another kind of message.
        notUnder(
            word(SIGNER_KEY, name, SESSION_KEY, 0, terms(session), 0, keccak256("key")), one, other
        );
        notUnder(word(SELLER_KEY, name, DATA, 0, terms(session), 0, keccak256("key")), one, other);
        notUnder(
            word(SELLER_KEY, name, SESSION_KEY, 1, terms(session), 0, keccak256("key")), one, other
        );
        notUnder(
            word(SELLER_KEY, name, SESSION_KEY, 0, terms(session), 1, keccak256("key")), one, other
        );
        bytes32 mine = id;
        id = keccak256("another bond");
        Evidence.Word memory others = key();
        id = mine;
        notUnder(others, one, other);
        vm.prank(buyer);
        bonds.convictOfItems(bond, session, good, one, other);
        assertEq(ofSeller(), 0);
    }

    /// A session but for one of its terms.
    function withAnother(Evidence.Session memory kept, uint256 term)
        private
        pure
        returns (Evidence.Session memory s)
    {
        s = abi.decode(abi.encode(kept), (Evidence.Session));
        if (term == 0) s.base += 1;
        if (term == 1) s.price += 1;
        if (term == 2) s.numerator += 1;
        if (term == 3) s.denominator += 1;
        if (term == 4) s.granularity += 1;
        if (term == 5) s.windows += 1;
        if (term == 6) s.dataset = ONE;
        if (term == 7) s.menu = ONE;
        if (term == 8) s.order = ONE;
    }

    function notUnder(
        Evidence.Word memory key_,
        Evidence.Item memory one,
        Evidence.Item memory other
    ) private {
        refused(Evidence.InvalidSignature.selector);
        vm.prank(buyer);
        bonds.convictOfItems(bond, session, key_, one, other);
    }

    function test_terms_are_those_that_the_contract_tells() public view {
        assertEq(bonds.termsOf(id, session), terms(session));
    }

    function test_two_invoices_with_one_number_cost_the_seller_its_bond() public {
        bool first = true;
        Evidence.Invoice memory one = invoice(2, ONE, 70);
        for (uint256 i = 0; i < 3; ++i) {
            Evidence.Invoice memory other = invoice(2, ONE, 70);
            if (i == 0) other = invoice(2, OTHER, 70);
            if (i == 1) other = invoice(2, ONE, 71);
            if (i == 2) other = invoiceBy(SELLER_KEY, name, 2, ONE, 70, keccak256("it says more"));
            if (!first) renew(i);
            first = false;
            (one, other) = i == 0 ? (one, other) : (resigned(one), resigned(other));
            vm.expectEmit(address(bonds));
            emit Complaints.Lost(id, true, SELLERS, SELLERS / 2);
            vm.prank(buyer);
            bonds.convictOfInvoices(bond, session, key(), one, other);
        }
        assertCredits(3 * (SELLERS - SELLERS / 2), 0, 3 * (SELLERS / 2));
    }

    /// Another bond between the two.
    function renew(uint256 salt) private {
        bond.salt = bytes32(salt);
        id = bonds.bondId(bond);
        pledgeBoth();
    }

    function resigned(Evidence.Invoice memory one) private view returns (Evidence.Invoice memory) {
        bytes32 data = one.word.data;
        return invoiceBy(SELLER_KEY, name, one.number, one.root, one.amountTotal, data);
    }

    function test_invoices_contradict_only_with_one_number_and_two_contents() public {
        bytes4 why = Evidence.NoContradiction.selector;
        notOfInvoices(why, invoice(2, ONE, 70), invoice(2, ONE, 70));
        notOfInvoices(why, invoice(2, ONE, 70), invoice(3, OTHER, 140));
        why = Evidence.InvalidSignature.selector;
        bytes32 data = keccak256("an invoice");
        Evidence.Invoice memory good = invoice(2, ONE, 70);
        notOfInvoices(why, good, invoiceBy(SIGNER_KEY, name, 2, OTHER, 70, data));
        notOfInvoices(why, invoiceBy(SIGNER_KEY, name, 2, OTHER, 70, data), good);
        notOfInvoices(why, good, invoiceBy(SELLER_KEY, id, 2, OTHER, 70, data));
        Evidence.Invoice memory wrong = invoice(2, OTHER, 70);
        wrong.amountTotal = 71;
        notOfInvoices(why, good, wrong);
        wrong.word = word(SELLER_KEY, name, ACK, 2, OTHER, 71, data);
        notOfInvoices(why, good, wrong);
        assertEq(ofSeller(), SELLERS);
    }

    function notOfInvoices(bytes4 why, Evidence.Invoice memory one, Evidence.Invoice memory other)
        private
    {
        refused(why);
        vm.prank(buyer);
        bonds.convictOfInvoices(bond, session, key(), one, other);
    }

    function test_nobody_else_complains() public {
        (Evidence.Item memory one, Evidence.Item memory other) = (item(3, ONE), item(3, OTHER));
        Evidence.Word memory good = key();
        refused(Pledges.NotParty.selector);
        vm.prank(stranger);
        bonds.convictOfItems(bond, session, good, one, other);
        refused(Pledges.NotParty.selector);
        vm.prank(seller);
        bonds.convictOfItems(bond, session, good, one, other);
        refused(Pledges.NotParty.selector);
        vm.prank(seller);
        bonds.challengeRoot{value: STAKE}(bond, session, good, one, invoice(1, OTHER, 42));
    }

    function test_a_bond_is_lost_once() public {
        convictOfItems(item(3, ONE), item(3, OTHER));
        notOfItems(Pledges.NothingPledged.selector, item(3, ONE), item(3, OTHER));
        refused(Pledges.NothingPledged.selector);
        vm.prank(seller);
        bonds.add{value: 1}(bond, 1);
        refused(Pledges.NothingPledged.selector);
        challengeRoot(item(3, ONE), invoice(1, OTHER, 42));
        pass(PERIOD);
        end(seller);
        assertCredits(SELLERS - SELLERS / 2 + BUYERS, 0, SELLERS / 2);
    }

    /// What is proven counts as long as there is a bond, also after somebody asked for the end.
    function test_a_proof_counts_until_the_bond_is_gone() public {
        requestEnd(seller);
        pass(2 * PERIOD);
        convictOfItems(item(3, ONE), item(3, OTHER));
        assertEq(ofSeller(), 0);
        // The end that was asked for first stays.
        end(buyer);
    }

    function test_nothing_is_complained_of_before_both_are_in() public {
        bond.salt = keccak256("offered");
        id = bonds.bondId(bond);
        pledge(seller, SELLERS);
        notOfItems(Pledges.NotInForce.selector, item(3, ONE), item(3, OTHER));
        refused(Pledges.NotInForce.selector);
        challengeRoot(item(3, ONE), invoice(1, OTHER, 42));
    }

    /// The seller's own money in a bond that is half lost stays where it is.
    function test_an_end_that_was_asked_for_is_not_put_off() public {
        requestEnd(buyer);
        pass(PERIOD - 1);
        convictOfItems(item(3, ONE), item(3, OTHER));
        assertEq(bonds.getBond(id).endsAt, START + PERIOD);
    }

    // --------------------------------------------------------------- a root, and its items

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

    function challengeRoot(Evidence.Item memory one, Evidence.Invoice memory of_) private {
        Evidence.Word memory key_ = key();
        vm.prank(buyer);
        bonds.challengeRoot{value: STAKE}(bond, session, key_, one, of_);
    }

    function conclude(address by) private {
        vm.prank(by);
        bonds.concludeChallenge(bond);
    }

    function show(
        Challenges.Challenge memory asked,
        uint32 place,
        uint32 of_,
        bytes32[] memory path
    ) private {
        vm.prank(seller);
        bonds.show(bond, asked, place, of_, path);
    }

    function notShown(
        Challenges.Challenge memory asked,
        uint32 place,
        uint32 of_,
        bytes32[] memory path
    ) private {
        refused(Challenges.InvalidProof.selector);
        show(asked, place, of_, path);
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
        bond.salt = keccak256("late");
        id = bonds.bondId(bond);
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

    // ------------------------------------------------------------------ a committed dataset

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

    // ---------------------------------------------------------------------------- tokens

    function test_a_complaint_in_tokens() public {
        agree(address(token));
        pledgeBoth();
        Evidence.Word memory key_ = key();
        vm.prank(buyer);
        bonds.challengeRoot(bond, session, key_, item(4, ONE), invoice(1, OTHER, 42));
        assertSum(STAKE);
        pass(PERIOD);
        conclude(buyer);
        assertCredits(SELLERS - SELLERS / 2 + STAKE, 0, SELLERS / 2);
        assertSum(0);
    }
}
