// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {SdppBonds} from "../src/SdppBonds.sol";
import {Evidence} from "../src/bonds/Evidence.sol";
import {Pledges} from "../src/bonds/Pledges.sol";
import {BondBase} from "./BondBase.sol";

/// How bonds come and go when nobody complains.
contract BondTest is BondBase {
    function test_the_period_is_ten_minutes_to_ninety_days() public {
        new SdppBonds(escrow, 10 minutes);
        new SdppBonds(escrow, 90 days);
        bytes4 why = Pledges.PeriodOutOfRange.selector;
        notFounded(this.found, 10 minutes - 1, why);
        notFounded(this.found, 90 days + 1, why);
        assertEq(bonds.PERIOD(), PERIOD);
        assertEq(address(bonds.ESCROW()), address(escrow));
    }

    function found(uint64 period) external {
        new SdppBonds(escrow, period);
    }

    /// The buyer offers, and the seller's own wallet accepts.
    function test_the_buyer_offers_and_the_seller_joins() public {
        vm.expectEmit(address(bonds));
        emit Pledges.Pledged(id, buyer, bond);
        pledge(buyer, BUYERS);
        assertEq(ofBuyer(), BUYERS);
        assertEq(ofSeller(), 0);
        vm.expectEmit(address(bonds));
        emit Pledges.Pledged(id, seller, bond);
        pledge(seller, SELLERS);
        assertEq(ofSeller(), SELLERS);
        assertEq(bonds.getBond(id).pledged, 3);
        assertSum(0);
    }

    function test_the_seller_may_offer_first() public {
        pledge(seller, SELLERS);
        pledge(buyer, BUYERS);
        assertEq(bonds.getBond(id).pledged, 3);
        assertEq(ofBuyer(), BUYERS);
        assertEq(ofSeller(), SELLERS);
    }

    /// A buyer cannot name somebody as seller and pledge for it.
    function test_nobody_pledges_for_another() public {
        vm.deal(stranger, 1 ether);
        refused(Pledges.NotParty.selector);
        pledge(stranger, SELLERS);
        pledge(buyer, BUYERS);
        refused(Pledges.AlreadyPledged.selector);
        pledge(buyer, BUYERS);
        pledge(seller, SELLERS);
        refused(Pledges.AlreadyPledged.selector);
        pledge(seller, SELLERS);
    }

    function test_a_bond_has_two_parties_two_keys_and_two_amounts() public {
        Evidence.Bond memory good = bond;
        bond.seller = buyer;
        badBond();
        bond = good;
        bond.sellerKey = bond.buyerKey;
        badBond();
        bond = good;
        bond.sellerKey = address(0);
        badBond();
        bond = good;
        bond.buyerKey = address(0);
        badBond();
        bond = good;
        bond.sellerAmount = 0;
        badBond();
        bond = good;
        bond.buyerAmount = 0;
        refused(Pledges.BadBond.selector);
        pledge(buyer, 0);
        bond = good;
        bond.stake = 0;
        badBond();
        (bond.stake, bond.buyerAmount) = (BUYERS + 1, BUYERS);
        badBond();
        (bond.stake, bond.sellerAmount) = (STAKE, STAKE - 1);
        badBond();
        bond = good;
        bond.fee = BUYERS + 1;
        badBond();
    }

    /// What is not a bond for the channel that it names answers for nothing, and is not pledged.
    function test_a_bond_is_for_its_parties_open_channel() public {
        Evidence.Bond memory good = bond;
        wrongChannel(open(COIN, DEPOSIT, "another signer", vm.addr(OTHER_KEY)));
        wrongChannel(open(address(token), DEPOSIT, "in tokens", vm.addr(SIGNER_KEY)));
        wrongChannel(keccak256("none"));
        vm.prank(buyer);
        wrongChannel(escrow.open{value: 9}(stranger, COIN, 9, SALT, vm.addr(SIGNER_KEY)));
        vm.deal(stranger, 9);
        vm.prank(stranger);
        wrongChannel(escrow.open{value: 9}(seller, COIN, 9, SALT, vm.addr(SIGNER_KEY)));
        bond = good;
        sellerCloses();
        wrongChannel(channel);
    }

    function wrongChannel(bytes32 other) private {
        bond.channel = other;
        refused(Pledges.WrongChannel.selector);
        pledge(buyer, BUYERS);
    }

    function test_a_session_begins_under_a_good_bond_only() public {
        require(!bonds.isGood(bond), "none");
        Evidence.Bond memory nothing = bond;
        (nothing.buyerAmount, nothing.sellerAmount) = (0, 0);
        require(!bonds.isGood(nothing), "of nothing");
        pledge(buyer, BUYERS);
        require(!bonds.isGood(bond), "of one");
        pledge(seller, SELLERS);
        require(bonds.isGood(bond), "of both");
        requestClose(channel);
        require(!bonds.isGood(bond), "closing");
        topUp(channel, 1);
        require(bonds.isGood(bond), "taken back");
        requestEnd(buyer);
        require(!bonds.isGood(bond), "leaving");
        agreeAgain("second");
        pledgeBoth();
        vm.prank(buyer);
        bonds.release(bond, true, nobody());
        require(!bonds.isGood(bond), "released");
        add(seller, uint88(SELLERS - 1));
        require(!bonds.isGood(bond), "less");
        add(seller, 1);
        require(bonds.isGood(bond), "whole again");
        vm.prank(seller);
        bonds.release(bond, false, nobody());
        require(!bonds.isGood(bond), "of the seller alone");
        add(buyer, BUYERS);
        sellerCloses();
        require(!bonds.isGood(bond), "closed");
    }

    function badBond() private {
        refused(Pledges.BadBond.selector);
        pledge(buyer, BUYERS);
    }

    function test_each_term_makes_another_id() public view {
        bytes32[11] memory ids;
        for (uint256 i = 0; i < 11; ++i) {
            ids[i] = bonds.bondId(withAnother(i));
            require(ids[i] != id);
            for (uint256 j = 0; j < i; ++j) {
                require(ids[i] != ids[j]);
            }
        }
    }

    /// The bond but for one of its terms.
    function withAnother(uint256 term) private view returns (Evidence.Bond memory b) {
        b = bond;
        if (term == 0) b.buyer = stranger;
        if (term == 1) b.seller = stranger;
        if (term == 2) b.buyerKey = stranger;
        if (term == 3) b.sellerKey = stranger;
        if (term == 4) b.token = stranger;
        if (term == 5) b.channel = 0;
        if (term == 6) b.buyerAmount = 1;
        if (term == 7) b.sellerAmount = 1;
        if (term == 8) b.stake = 1;
        if (term == 9) b.fee = 1;
        if (term == 10) b.salt = 0;
    }

    function test_an_id_is_of_one_contract_and_chain() public {
        SdppBonds other = new SdppBonds(escrow, PERIOD);
        require(other.bondId(bond) != id, "contract");
        vm.chainId(99);
        SdppBonds there = new SdppBonds(escrow, PERIOD);
        bytes32 home = keccak256(abi.encode(bond, address(there), uint256(31337)));
        require(there.bondId(bond) != home, "chain");
        // A fork does not lock anybody in.
        assertEq(bonds.bondId(bond), id);
    }

    function test_who_pledged_alone_takes_it_back() public {
        pledge(buyer, BUYERS);
        refused(Pledges.NotInForce.selector);
        vm.prank(seller);
        bonds.revoke(bond);
        vm.expectEmit(address(bonds));
        emit Pledges.Revoked(id);
        vm.prank(buyer);
        bonds.revoke(bond);
        assertCredits(BUYERS, 0, 0);
        // Once, and the id is used up.
        refused(Pledges.NotInForce.selector);
        vm.prank(buyer);
        bonds.revoke(bond);
        refused(Pledges.AlreadyPledged.selector);
        pledge(buyer, BUYERS);
        refused(Pledges.AlreadyPledged.selector);
        pledge(seller, SELLERS);
    }

    function test_the_seller_takes_it_back_too_but_not_once_both_are_in() public {
        pledge(seller, SELLERS);
        vm.prank(seller);
        bonds.revoke(bond);
        assertCredits(0, SELLERS, 0);
        agreeAgain(keccak256("another"));
        pledgeBoth();
        refused(Pledges.NotInForce.selector);
        vm.prank(seller);
        bonds.revoke(bond);
        refused(Pledges.NotInForce.selector);
        vm.prank(buyer);
        bonds.revoke(bond);
        refused(Pledges.NotParty.selector);
        vm.prank(stranger);
        bonds.revoke(bond);
    }

    function test_either_adds_to_its_own() public {
        pledge(buyer, BUYERS);
        refused(Pledges.NotInForce.selector);
        add(buyer, 5);
        pledge(seller, SELLERS);
        vm.expectEmit(address(bonds));
        emit Pledges.Added(id, buyer, 5);
        add(buyer, 5);
        add(seller, 7);
        assertEq(ofBuyer(), BUYERS + 5);
        assertEq(ofSeller(), SELLERS + 7);
        assertSum(0);
        vm.deal(stranger, 1 ether);
        refused(Pledges.NotParty.selector);
        add(stranger, 1);
    }

    function add(address who, uint88 amount) private {
        vm.prank(who);
        bonds.add{value: coin(amount)}(bond, amount);
    }

    function test_a_bond_fits_88_bits() public {
        vm.deal(buyer, 1 << 90);
        pledgeBoth();
        refused(Pledges.AmountOverflow.selector);
        add(buyer, type(uint88).max - BUYERS + 1);
        add(buyer, type(uint88).max - BUYERS);
        assertEq(ofBuyer(), type(uint88).max);
        assertEq(ofSeller(), SELLERS);
    }

    /// Either asks for the end, waits, and both get what is theirs without a word of the other's.
    function test_either_gets_out_alone() public {
        pledgeBoth();
        refused(Pledges.TooEarly.selector);
        end(seller);
        vm.expectEmit(address(bonds));
        emit Pledges.EndRequested(id, seller, START + PERIOD);
        requestEnd(seller);
        pass(PERIOD - 1);
        // Asking again does not begin again.
        requestEnd(buyer);
        refused(Pledges.TooEarly.selector);
        end(seller);
        pass(1);
        vm.expectEmit(address(bonds));
        emit Pledges.Ended(id, BUYERS, SELLERS);
        end(seller);
        assertCredits(BUYERS, SELLERS, 0);
        assertSum(0);
        end(buyer);
        assertCredits(BUYERS, SELLERS, 0);
    }

    function test_only_a_party_ends_and_only_what_is_in_force() public {
        pledge(buyer, BUYERS);
        refused(Pledges.NotInForce.selector);
        requestEnd(buyer);
        pledge(seller, SELLERS);
        refused(Pledges.NotParty.selector);
        requestEnd(stranger);
        requestEnd(buyer);
        pass(PERIOD);
        refused(Pledges.NotParty.selector);
        end(stranger);
        end(buyer);
        assertCredits(BUYERS, SELLERS, 0);
    }

    /// With the buyer's signed exit the seller has its bond at once.
    function test_the_buyers_exit_frees_the_sellers_bond() public {
        pledgeBoth();
        Evidence.Word memory word_ = goodbye(SIGNER_KEY, id);
        vm.expectEmit(address(bonds));
        emit Pledges.Released(id, true, SELLERS);
        vm.prank(seller);
        bonds.release(bond, true, word_);
        assertCredits(0, SELLERS, 0);
        assertEq(ofBuyer(), BUYERS);
        refused(Pledges.NothingPledged.selector);
        bonds.release(bond, true, word_);
    }

    function test_the_sellers_exit_frees_the_buyers_bond() public {
        pledgeBoth();
        bonds.release(bond, false, goodbye(SELLER_KEY, id));
        assertCredits(BUYERS, 0, 0);
        assertEq(ofSeller(), SELLERS);
    }

    function test_a_party_may_say_so_by_its_account() public {
        pledgeBoth();
        vm.prank(buyer);
        bonds.release(bond, true, nobody());
        vm.prank(seller);
        bonds.release(bond, false, nobody());
        assertCredits(BUYERS, SELLERS, 0);
    }

    /// Nobody frees its own bond, and no other exit will do.
    function test_a_bond_goes_at_the_others_word_only() public {
        Evidence.Word memory word_ = goodbye(SIGNER_KEY, id);
        pledge(seller, SELLERS);
        refused(Pledges.NotInForce.selector);
        bonds.release(bond, true, word_);
        pledge(buyer, BUYERS);
        notReleased(seller, true, nobody());
        notReleased(buyer, false, nobody());
        notReleased(stranger, true, nobody());
        notReleased(seller, true, goodbye(SELLER_KEY, id));
        notReleased(buyer, false, goodbye(SIGNER_KEY, id));
        notReleased(seller, true, goodbye(SIGNER_KEY, name));
        notReleased(seller, true, word(SIGNER_KEY, id, ACK, 0, 0, 0, NOTHING));
        notReleased(seller, true, word(SIGNER_KEY, id, EXIT, 1, 0, 0, NOTHING));
        notReleased(seller, true, word(SIGNER_KEY, id, EXIT, 0, bytes32(uint256(1)), 0, NOTHING));
        notReleased(seller, true, word(SIGNER_KEY, id, EXIT, 0, 0, 1, NOTHING));
        notReleased(seller, true, word(SIGNER_KEY, id, EXIT, 0, 0, 0, keccak256("x")));
        word_.verification = keccak256("x");
        notReleased(seller, true, word_);
        // Signed so, it still is another message.
        bytes memory message = abi.encodePacked(
            hex"19534450502f310a",
            id,
            EXIT,
            uint64(0),
            bytes32(0),
            uint128(0),
            NOTHING,
            keccak256("x")
        );
        (word_.v, word_.r, word_.s) = vm.sign(SIGNER_KEY, keccak256(message));
        notReleased(seller, true, word_);
    }

    function notReleased(address by, bool ofSeller_, Evidence.Word memory word_) private {
        refused(Evidence.InvalidSignature.selector);
        vm.prank(by);
        bonds.release(bond, ofSeller_, word_);
    }

    function test_high_s_is_refused() public {
        pledgeBoth();
        Evidence.Word memory word_ = goodbye(SIGNER_KEY, id);
        bytes memory turned = malleate(abi.encodePacked(word_.r, word_.s, word_.v));
        (word_.r, word_.s, word_.v) = split(turned);
        notReleased(seller, true, word_);
    }

    /// On a fork with another chain id no signature counts, and everyone gets out.
    function test_on_a_fork_nothing_is_proven_and_all_get_out() public {
        pledgeBoth();
        vm.chainId(99);
        notReleased(seller, true, goodbye(SIGNER_KEY, id));
        requestEnd(seller);
        pass(PERIOD);
        end(seller);
        assertCredits(BUYERS, SELLERS, 0);
    }

    /// Bonds of one channel do not touch the channel, nor the channel them.
    function test_the_channel_goes_its_own_way() public {
        pledgeBoth();
        sellerCloses();
        require(finalized(channel));
        assertEq(ofSeller(), SELLERS);
        refused(Pledges.TooEarly.selector);
        end(seller);
    }

    function testFuzz_both_get_back_what_they_pledged(uint88 ofB, uint88 ofS, bool first) public {
        vm.assume(ofB >= STAKE && ofS >= STAKE);
        (bond.buyerAmount, bond.sellerAmount) = (ofB, ofS);
        id = bonds.bondId(bond);
        vm.deal(buyer, ofB);
        vm.deal(seller, ofS);
        pledge(first ? buyer : seller, first ? ofB : ofS);
        pledge(first ? seller : buyer, first ? ofS : ofB);
        requestEnd(first ? buyer : seller);
        pass(PERIOD);
        end(first ? seller : buyer);
        vm.prank(buyer);
        bonds.withdraw(COIN, buyer);
        vm.prank(seller);
        bonds.withdraw(COIN, seller);
        assertEq(buyer.balance, ofB);
        assertEq(seller.balance, ofS);
        assertEq(address(bonds).balance, 0);
    }
}
