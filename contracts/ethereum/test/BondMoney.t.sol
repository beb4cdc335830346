// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Evidence} from "../src/bonds/Evidence.sol";
import {Money} from "../src/bonds/Money.sol";
import {Party} from "./Accounts.sol";
import {BondBase} from "./BondBase.sol";
import {BareToken, BonusToken, CallingToken, FeeToken, ListToken, PlainToken} from "./Tokens.sol";

/// How the money of bonds comes in and goes out: coin and tokens, of which some are hostile.
contract BondMoneyTest is BondBase {
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
        agreeAgain(keccak256("another's money"));
        pledge(seller, SELLERS);
        agreeAgain(SALT);
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
}
