// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Complaints} from "../src/bonds/Complaints.sol";
import {Evidence} from "../src/bonds/Evidence.sol";
import {Pledges} from "../src/bonds/Pledges.sol";
import {ComplaintBase} from "./ComplaintBase.sol";

/// What a buyer can prove of a seller: it needs no answer.
contract ConvictionTest is ComplaintBase {
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
        Evidence.Invoice memory one = invoice(2, ONE, 70);
        for (uint256 i = 0; i < 3; ++i) {
            Evidence.Invoice memory other = invoice(2, ONE, 70);
            if (i == 0) other = invoice(2, OTHER, 70);
            if (i == 1) other = invoice(2, ONE, 71);
            if (i == 2) other = invoiceBy(SELLER_KEY, name, 2, ONE, 70, keccak256("it says more"));
            if (i != 0) renew(i);
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
        agreeAgain(bytes32(salt));
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
        agreeAgain(keccak256("offered"));
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
}
