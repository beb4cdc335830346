// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {SdppBonds} from "../src/SdppBonds.sol";
import {Evidence} from "../src/bonds/Evidence.sol";
import {Money} from "../src/bonds/Money.sol";
import {Pledges} from "../src/bonds/Pledges.sol";
import {Party} from "./Accounts.sol";
import {BondBase} from "./BondBase.sol";
import {BareToken, BonusToken, CallingToken, FeeToken, ListToken, PlainToken} from "./Tokens.sol";

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
        vm.prank(seller);
        escrow.close(channel, 0, "");
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
        bond.salt = "second";
        id = bonds.bondId(bond);
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
        vm.prank(seller);
        escrow.close(channel, 0, "");
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
        bond.salt = keccak256("another");
        id = bonds.bondId(bond);
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

    // ---------------------------------------------------------------------------- money

    function test_the_coin_sent_is_the_pledge() public {
        refused(Money.WrongValue.selector);
        pledge(buyer, BUYERS - 1);
        refused(Money.WrongValue.selector);
        pledge(buyer, BUYERS + 1);
        pledgeBoth();
        refused(Money.WrongValue.selector);
        vm.prank(buyer);
        bonds.add{value: 1}(bond, 2);
    }

    function test_a_bond_in_tokens() public {
        agreeIn(token);
        pledgeBoth();
        assertEq(token.balanceOf(address(bonds)), uint256(BUYERS) + SELLERS);
        refused(Money.WrongValue.selector);
        vm.prank(buyer);
        bonds.add{value: 1}(bond, 2);
        requestEnd(buyer);
        pass(PERIOD);
        end(buyer);
        uint256 before = token.balanceOf(stranger);
        vm.expectEmit(address(bonds));
        emit Money.Withdrawn(address(token), seller, stranger, SELLERS);
        vm.prank(seller);
        bonds.withdraw(address(token), stranger);
        assertEq(token.balanceOf(stranger) - before, SELLERS);
        assertSum(0);
    }

    /// Agrees on a bond for a channel in a token of the test's own.
    function agreeIn(PlainToken asset) private {
        token = asset;
        asset.mint(buyer, 1 ether);
        asset.mint(seller, 1 ether);
        allow(buyer);
        allow(seller);
        agree(address(asset));
    }

    /// The escrow would not have such tokens: these were good when the channel was opened.
    function test_a_token_that_charges_or_gives_is_refused() public {
        FeeToken fee = new FeeToken();
        fee.beFree(true);
        agreeIn(fee);
        fee.beFree(false);
        notReceived();
        BonusToken bonus = new BonusToken();
        bonus.beFree(true);
        agreeIn(bonus);
        bonus.beFree(false);
        notReceived();
        agreeIn(new PlainToken());
        bond.buyerAmount = 1 << 87;
        notReceived();
        bond.buyerAmount = BUYERS;
        vm.etch(address(token), "");
        notReceived();
    }

    function notReceived() private {
        refused(Money.NotReceived.selector);
        pledge(buyer, 0);
    }

    function bareIn() private returns (BareToken bare) {
        bare = new BareToken();
        bare.mint(buyer, 1 ether);
        vm.prank(buyer);
        bare.approve(address(bonds), 1 ether);
        vm.prank(buyer);
        bare.approve(address(escrow), 1 ether);
        agree(address(bare));
    }

    /// What tells no balance is no token, though it moves money.
    function test_a_token_that_tells_no_balance_is_refused() public {
        BareToken bare = bareIn();
        bare.beMute();
        notReceived();
    }

    /// What told nothing before counts as nothing that was there.
    function test_a_token_that_speaks_once_it_has_moved_is_taken() public {
        BareToken bare = bareIn();
        bare.beShy();
        pledge(buyer, 0);
        assertEq(bare.balanceOf(address(bonds)), BUYERS);
    }

    /// A wallet that does three things in one transaction moves a token twice: the lock is of each
    /// movement.
    function test_a_batching_wallet_moves_a_token_twice() public {
        Party wallet = wallets(address(token));
        bytes[] memory calls = new bytes[](3);
        calls[0] = abi.encodeCall(bonds.pledge, (bond));
        calls[1] = abi.encodeCall(bonds.revoke, (bond));
        calls[2] = abi.encodeCall(bonds.withdraw, (address(token), address(wallet)));
        uint256 before = token.balanceOf(address(wallet));
        wallet.batch(address(bonds), calls);
        assertEq(token.balanceOf(address(wallet)), before);
        assertEq(bonds.getBond(id).pledged, 5);
    }

    /// Agrees on a bond for a channel whose payer is a contract.
    function wallets(address asset) private returns (Party party) {
        party = new Party();
        vm.deal(address(party), 1 ether);
        token.mint(address(party), 1 ether);
        allow(address(party));
        address before = buyer;
        buyer = address(party);
        agree(asset);
        buyer = before;
    }

    function test_a_credit_goes_where_its_owner_says_and_once() public {
        pledge(buyer, BUYERS);
        vm.prank(buyer);
        bonds.revoke(bond);
        refused(Money.NothingCredited.selector);
        vm.prank(seller);
        bonds.withdraw(COIN, seller);
        refused(Money.NothingCredited.selector);
        vm.prank(buyer);
        bonds.withdraw(address(token), buyer);
        vm.expectEmit(address(bonds));
        emit Money.Withdrawn(COIN, buyer, stranger, BUYERS);
        vm.prank(buyer);
        bonds.withdraw(COIN, stranger);
        assertEq(stranger.balance, BUYERS);
        refused(Money.NothingCredited.selector);
        vm.prank(buyer);
        bonds.withdraw(COIN, stranger);
    }

    /// Who cannot be paid keeps its credit, and is in nobody's way.
    function test_a_refused_payout_stays_credited() public {
        Party party = wallets(COIN);
        party.act{value: BUYERS}(address(bonds), abi.encodeCall(bonds.pledge, (bond)));
        pledge(seller, SELLERS);
        party.be(Party.Mood.Refuses);
        requestEnd(seller);
        pass(PERIOD);
        end(seller);
        vm.prank(seller);
        bonds.withdraw(COIN, seller);
        refused(Money.PayoutRefused.selector);
        party.act(address(bonds), abi.encodeCall(bonds.withdraw, (COIN, address(party))));
        assertEq(bonds.credited(COIN, address(party)), BUYERS);
        party.act(address(bonds), abi.encodeCall(bonds.withdraw, (COIN, stranger)));
        assertEq(stranger.balance, BUYERS);
    }

    function test_a_token_that_refuses_leaves_a_credit() public {
        ListToken list = new ListToken();
        agreeIn(list);
        pledge(buyer, BUYERS);
        vm.prank(buyer);
        bonds.revoke(bond);
        list.refuse(buyer, true);
        refused(Money.PayoutRefused.selector);
        vm.prank(buyer);
        bonds.withdraw(address(list), buyer);
        list.beQuiet();
        refused(Money.PayoutRefused.selector);
        vm.prank(buyer);
        bonds.withdraw(address(list), buyer);
        assertEq(credit(buyer), BUYERS);
    }

    function test_who_calls_back_gets_no_more() public {
        Party party = wallets(COIN);
        uint256 before = address(party).balance;
        party.act{value: BUYERS}(address(bonds), abi.encodeCall(bonds.pledge, (bond)));
        bond.salt = keccak256("another's money");
        id = bonds.bondId(bond);
        pledge(seller, SELLERS);
        bond.salt = SALT;
        id = bonds.bondId(bond);
        party.act(address(bonds), abi.encodeCall(bonds.revoke, (bond)));
        bytes memory again = abi.encodeCall(bonds.withdraw, (COIN, address(party)));
        party.callBack(address(bonds), again);
        party.act(address(bonds), again);
        require(party.calledBack() && party.refusal() == Money.NothingCredited.selector);
        assertEq(address(party).balance, before + BUYERS);
        assertEq(address(bonds).balance, SELLERS);
    }

    /// A pledge that comes in while another is taken, or while money goes out, would be hidden by it.
    function test_a_token_cannot_call_back() public {
        CallingToken calling = new CallingToken();
        agreeIn(calling);
        Evidence.Bond memory inner = bond;
        inner.buyer = address(calling);
        calling.mint(address(calling), 1 ether);
        allow(address(calling));
        vm.prank(address(calling));
        inner.channel = escrow.open(seller, address(calling), DEPOSIT, SALT, bond.buyerKey);
        bytes memory data = abi.encodeCall(bonds.pledge, (inner));
        calling.tell(address(bonds), data);
        pledge(buyer, 0);
        wasRefused(calling);
        calling.tell(address(0), "");
        vm.prank(buyer);
        bonds.revoke(bond);
        calling.tell(address(bonds), data);
        vm.prank(buyer);
        bonds.withdraw(address(calling), buyer);
        wasRefused(calling);
        assertEq(calling.balanceOf(buyer), 1 ether - DEPOSIT);
        // And nothing is locked for good.
        vm.prank(address(calling));
        bonds.pledge(inner);
    }

    function wasRefused(CallingToken calling) private view {
        require(calling.called() && !calling.worked(), "worked");
        require(calling.refusal() == Money.Reentered.selector, "for another reason");
    }

    /// Bonds of one channel do not touch the channel, nor the channel them.
    function test_the_channel_goes_its_own_way() public {
        pledgeBoth();
        vm.prank(seller);
        escrow.close(channel, 0, "");
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
