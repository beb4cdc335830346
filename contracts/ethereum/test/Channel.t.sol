// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {SdppEscrow} from "../src/SdppEscrow.sol";
import {Base} from "./Base.sol";

/// The rules of a channel, call by call.
contract ChannelTest is Base {
    // ---------------------------------------------------------------------- grace period

    function test_the_grace_period_is_the_constructors() public view {
        assertEq(escrow.CLOSE_GRACE_PERIOD(), GRACE);
    }

    function test_the_grace_period_is_ten_minutes_to_ninety_days() public {
        new SdppEscrow(10 minutes);
        new SdppEscrow(90 days);
        bytes4 why = SdppEscrow.GracePeriodOutOfRange.selector;
        notFounded(this.found, 10 minutes - 1, why);
        notFounded(this.found, 90 days + 1, why);
    }

    function found(uint64 grace) external {
        new SdppEscrow(grace);
    }

    // ------------------------------------------------------------------------------ open

    function test_open_keeps_all_that_was_agreed() public {
        bytes32 id = open(COIN, 7, SALT, address(0));
        SdppEscrow.Channel memory c = escrow.getChannel(id);
        assertEq(c.payer, buyer);
        assertEq(c.payee, seller);
        assertEq(c.token, COIN);
        assertEq(c.authorizedSigner, address(0));
        assertEq(c.deposit, 7);
        assertEq(c.settled, 0);
        assertEq(c.closeRequestedAt, 0);
        require(!c.finalized);
        assertEq(address(escrow).balance, 7);
    }

    function test_open_keeps_token_and_signer() public {
        bytes32 id = open(address(token), 7, SALT, stranger);
        SdppEscrow.Channel memory c = escrow.getChannel(id);
        assertEq(c.payer, buyer);
        assertEq(c.payee, seller);
        assertEq(c.token, address(token));
        assertEq(c.authorizedSigner, stranger);
        assertEq(c.deposit, 7);
        assertEq(token.balanceOf(address(escrow)), 7);
        assertEq(escrow.getChannel(open(COIN, 7, SALT, stranger)).authorizedSigner, stranger);
    }

    function test_open_tells() public {
        bytes32 id = escrow.computeChannelId(buyer, seller, address(token), SALT, stranger);
        vm.prank(buyer);
        vm.expectEmit(address(escrow));
        emit SdppEscrow.ChannelOpened(id, buyer, seller, address(token), stranger, SALT, 7);
        escrow.open(seller, address(token), 7, SALT, stranger);
    }

    function test_the_id_is_the_drafts() public {
        bytes32 id = keccak256(
            abi.encode(
                buyer, seller, address(token), SALT, stranger, address(escrow), block.chainid
            )
        );
        assertEq(escrow.computeChannelId(buyer, seller, address(token), SALT, stranger), id);
        assertEq(open(address(token), 7, SALT, stranger), id);
    }

    function test_an_id_is_of_one_chain() public {
        bytes32 here = escrow.computeChannelId(buyer, seller, COIN, SALT, address(0));
        vm.chainId(77);
        require(here != escrow.computeChannelId(buyer, seller, COIN, SALT, address(0)));
    }

    function test_an_id_is_opened_once() public {
        bytes32 id = open(7);
        refused(SdppEscrow.ChannelAlreadyExists.selector);
        open(7);
        close(id, 7);
        refused(SdppEscrow.ChannelAlreadyExists.selector);
        open(7);
    }

    function test_a_withdrawn_id_is_not_opened_again() public {
        waitAndWithdraw(open(7));
        refused(SdppEscrow.ChannelAlreadyExists.selector);
        open(7);
    }

    function test_a_deposit_is_not_zero() public {
        refused(SdppEscrow.ZeroDeposit.selector);
        open(0);
    }

    function test_a_payee_is_not_zero() public {
        refused(SdppEscrow.InvalidPayee.selector);
        vm.prank(buyer);
        escrow.open{value: 7}(address(0), COIN, 7, SALT, address(0));
    }

    function test_a_deposit_fits_88_bits() public {
        uint128 most = type(uint88).max;
        vm.deal(buyer, most);
        vm.prank(buyer);
        refused(SdppEscrow.DepositOverflow.selector);
        escrow.open(seller, address(token), most + 1, SALT, address(0));
        bytes32 id = open(most);
        settle(id, most - 1);
        assertEq(settled(id), most - 1);
        assertEq(seller.balance, most - 1);
        close(id, most);
        assertEq(seller.balance, most);
        require(finalized(id));
    }

    function test_the_coin_sent_is_the_deposit() public {
        vm.prank(buyer);
        refused(SdppEscrow.ValueNotDeposit.selector);
        escrow.open{value: 6}(seller, COIN, 7, SALT, address(0));
        vm.prank(buyer);
        refused(SdppEscrow.ValueNotDeposit.selector);
        escrow.open{value: 8}(seller, COIN, 7, SALT, address(0));
    }

    function test_no_coin_goes_with_a_token() public {
        vm.prank(buyer);
        refused(SdppEscrow.ValueNotDeposit.selector);
        escrow.open{value: 7}(seller, address(token), 7, SALT, address(0));
    }

    // ---------------------------------------------------------------------------- settle

    function test_settle_pays_what_was_lacking() public {
        bytes32 id = open(10);
        settle(id, 3);
        assertEq(seller.balance, 3);
        settle(id, 10);
        assertEq(seller.balance, 10);
        assertEq(settled(id), 10);
        assertEq(address(escrow).balance, 0);
        require(!finalized(id));
    }

    function test_settle_pays_in_the_token() public {
        bytes32 id = open(address(token), 10, SALT, address(0));
        settle(id, 3);
        settle(id, 4);
        assertEq(token.balanceOf(seller), 4);
        assertEq(token.balanceOf(address(escrow)), 6);
        assertEq(seller.balance, 0);
    }

    function test_settle_tells() public {
        bytes32 id = open(10);
        bytes memory signature = sign(id, 3);
        vm.prank(seller);
        vm.expectEmit(address(escrow));
        emit SdppEscrow.Settled(id, 3);
        escrow.settle(id, 3, signature);
    }

    function test_settle_needs_more_than_before() public {
        bytes32 id = open(10);
        refused(SdppEscrow.AmountNotIncreasing.selector);
        this.settleFor(id, 0);
        settle(id, 3);
        refused(SdppEscrow.AmountNotIncreasing.selector);
        this.settleFor(id, 3);
        refused(SdppEscrow.AmountNotIncreasing.selector);
        this.settleFor(id, 2);
    }

    function test_settle_pays_no_more_than_the_deposit() public {
        bytes32 id = open(10);
        refused(SdppEscrow.AmountExceedsDeposit.selector);
        this.settleFor(id, 11);
        settle(id, 4);
        refused(SdppEscrow.AmountExceedsDeposit.selector);
        this.settleFor(id, 11);
        refused(SdppEscrow.AmountExceedsDeposit.selector);
        this.settleFor(id, type(uint128).max);
    }

    function test_only_the_payee_settles_and_closes() public {
        bytes32 id = open(10);
        bytes memory signature = sign(id, 3);
        vm.prank(buyer);
        refused(SdppEscrow.NotPayee.selector);
        escrow.settle(id, 3, signature);
        vm.prank(stranger);
        refused(SdppEscrow.NotPayee.selector);
        escrow.close(id, 3, signature);
    }

    function test_a_channel_must_be_there() public {
        refused(SdppEscrow.ChannelNotFound.selector);
        escrow.settle(SALT, 1, "");
        refused(SdppEscrow.ChannelNotFound.selector);
        escrow.close(SALT, 1, "");
        refused(SdppEscrow.ChannelNotFound.selector);
        escrow.topUp(SALT, 1);
        refused(SdppEscrow.ChannelNotFound.selector);
        escrow.requestClose(SALT);
        refused(SdppEscrow.ChannelNotFound.selector);
        escrow.withdraw(SALT);
    }

    // ----------------------------------------------------------------------------- close

    function test_close_pays_both() public {
        bytes32 id = open(10);
        uint256 before = buyer.balance;
        settle(id, 2);
        close(id, 7);
        assertEq(seller.balance, 7);
        assertEq(buyer.balance - before, 3);
        assertEq(settled(id), 7);
        require(finalized(id));
        assertEq(escrow.getChannel(id).payee, seller);
        assertEq(escrow.getChannel(id).payer, buyer);
        assertEq(escrow.getChannel(id).deposit, 10);
    }

    function test_close_pays_both_in_the_token() public {
        bytes32 id = open(address(token), 10, SALT, address(0));
        uint256 before = token.balanceOf(buyer);
        close(id, 7);
        assertEq(token.balanceOf(seller), 7);
        assertEq(token.balanceOf(buyer) - before, 3);
        assertEq(escrow.getChannel(id).token, address(token));
    }

    function test_close_tells() public {
        bytes32 id = open(10);
        bytes memory signature = sign(id, 3);
        vm.prank(seller);
        vm.expectEmit(address(escrow));
        emit SdppEscrow.ChannelClosed(id, 3);
        escrow.close(id, 3, signature);
    }

    function test_close_at_the_settled_amount_needs_no_signature() public {
        bytes32 id = open(10);
        settle(id, 4);
        vm.prank(seller);
        escrow.close(id, 4, "");
        assertEq(seller.balance, 4);
        require(finalized(id));
        bytes32 other = open(COIN, 10, "other", address(0));
        uint256 before = buyer.balance;
        vm.prank(seller);
        escrow.close(other, 0, "");
        assertEq(buyer.balance - before, 10);
    }

    function test_close_below_the_settled_amount_is_refused() public {
        bytes32 id = open(10);
        settle(id, 4);
        refused(SdppEscrow.AmountNotIncreasing.selector);
        this.closeFor(id, 3);
        refused(SdppEscrow.AmountExceedsDeposit.selector);
        this.closeFor(id, 11);
    }

    function test_close_above_the_settled_amount_needs_a_signature() public {
        bytes32 id = open(10);
        vm.prank(seller);
        refused(SdppEscrow.InvalidSignature.selector);
        escrow.close(id, 1, "");
    }

    function test_nothing_moves_in_a_finalized_channel() public {
        bytes32 id = open(10);
        bytes memory signature = sign(id, 8);
        close(id, 5);
        vm.prank(seller);
        refused(SdppEscrow.ChannelFinalized.selector);
        escrow.settle(id, 8, signature);
        vm.prank(seller);
        refused(SdppEscrow.ChannelFinalized.selector);
        escrow.close(id, 5, "");
        vm.prank(buyer);
        refused(SdppEscrow.ChannelFinalized.selector);
        escrow.topUp{value: 1}(id, 1);
        vm.prank(buyer);
        refused(SdppEscrow.ChannelFinalized.selector);
        escrow.requestClose(id);
        vm.prank(buyer);
        refused(SdppEscrow.ChannelFinalized.selector);
        escrow.withdraw(id);
    }

    /// Found, caller, finalized, deposit, increasing, signature: what is wrong first is told.
    function test_checks_come_in_their_order() public {
        bytes32 id = open(10);
        settle(id, 5);
        vm.prank(stranger);
        refused(SdppEscrow.NotPayee.selector);
        escrow.settle(id, 11, "");
        vm.prank(seller);
        refused(SdppEscrow.AmountExceedsDeposit.selector);
        escrow.settle(id, 11, "");
        vm.prank(seller);
        refused(SdppEscrow.AmountNotIncreasing.selector);
        escrow.settle(id, 5, "");
        close(id, 6);
        vm.prank(stranger);
        refused(SdppEscrow.NotPayee.selector);
        escrow.close(id, 11, "");
        vm.prank(seller);
        refused(SdppEscrow.ChannelFinalized.selector);
        escrow.settle(id, 11, "");
        vm.prank(stranger);
        refused(SdppEscrow.NotPayer.selector);
        escrow.withdraw(id);
        vm.prank(buyer);
        refused(SdppEscrow.ChannelFinalized.selector);
        escrow.topUp(id, 0);
    }

    // ---------------------------------------------------------------------------- top up

    function test_top_up_adds() public {
        bytes32 id = open(10);
        settle(id, 10);
        topUp(id, 5);
        assertEq(escrow.getChannel(id).deposit, 15);
        assertEq(settled(id), 10);
        settle(id, 15);
        assertEq(seller.balance, 15);
    }

    function test_top_up_adds_tokens_and_keeps_the_signer() public {
        bytes32 id = open(address(token), 10, SALT, stranger);
        topUp(id, 5);
        assertEq(escrow.getChannel(id).deposit, 15);
        assertEq(token.balanceOf(address(escrow)), 15);
        bytes memory signature = sign(0x57a496e5, id, 15);
        vm.prank(seller);
        escrow.settle(id, 15, signature);
        assertEq(token.balanceOf(seller), 15);
    }

    function test_top_up_tells() public {
        bytes32 id = open(10);
        vm.prank(buyer);
        vm.expectEmit(address(escrow));
        emit SdppEscrow.TopUp(id, 5, 15);
        escrow.topUp{value: 5}(id, 5);
    }

    function test_top_up_takes_back_a_request_to_close() public {
        bytes32 id = open(10);
        requestClose(id);
        vm.prank(buyer);
        vm.expectEmit(address(escrow));
        emit SdppEscrow.CloseRequestCancelled(id);
        escrow.topUp{value: 1}(id, 1);
        assertEq(escrow.getChannel(id).closeRequestedAt, 0);
        vm.warp(block.timestamp + GRACE);
        refused(SdppEscrow.CloseNotReady.selector);
        vm.prank(buyer);
        escrow.withdraw(id);
    }

    function test_top_up_is_the_payers_not_zero_and_paid() public {
        bytes32 id = open(10);
        vm.deal(stranger, 10);
        vm.prank(stranger);
        refused(SdppEscrow.NotPayer.selector);
        escrow.topUp{value: 5}(id, 5);
        vm.prank(buyer);
        refused(SdppEscrow.ZeroDeposit.selector);
        escrow.topUp(id, 0);
        vm.prank(buyer);
        refused(SdppEscrow.ValueNotDeposit.selector);
        escrow.topUp{value: 4}(id, 5);
        bytes32 other = open(address(token), 10, SALT, address(0));
        vm.prank(buyer);
        refused(SdppEscrow.ValueNotDeposit.selector);
        escrow.topUp{value: 5}(other, 5);
    }

    function test_top_up_does_not_overflow() public {
        bytes32 id = open(10);
        uint128 rest = type(uint88).max - 10;
        vm.deal(buyer, type(uint128).max);
        vm.prank(buyer);
        refused(SdppEscrow.DepositOverflow.selector);
        escrow.topUp{value: rest + 1}(id, rest + 1);
        vm.prank(buyer);
        refused(SdppEscrow.DepositOverflow.selector);
        escrow.topUp(id, type(uint128).max);
        topUp(id, rest);
        assertEq(escrow.getChannel(id).deposit, type(uint88).max);
        assertEq(settled(id), 0);
    }

    // -------------------------------------------------------------- request and withdraw

    function test_withdraw_after_the_grace_period_and_not_before() public {
        bytes32 id = open(10);
        settle(id, 4);
        uint256 before = buyer.balance;
        uint256 asked = START;
        requestClose(id);
        assertEq(escrow.getChannel(id).closeRequestedAt, asked);
        refused(SdppEscrow.CloseNotReady.selector);
        vm.prank(buyer);
        escrow.withdraw(id);
        vm.warp(asked + GRACE - 1);
        refused(SdppEscrow.CloseNotReady.selector);
        vm.prank(buyer);
        escrow.withdraw(id);
        vm.warp(asked + GRACE);
        vm.expectEmit(address(escrow));
        emit SdppEscrow.Withdrawn(id, 6);
        withdraw(id);
        assertEq(buyer.balance - before, 6);
        assertEq(settled(id), 4);
        require(finalized(id));
        refused(SdppEscrow.ChannelFinalized.selector);
        vm.prank(buyer);
        escrow.withdraw(id);
    }

    function test_withdraw_gives_tokens_back() public {
        bytes32 id = open(address(token), 10, SALT, address(0));
        uint256 before = token.balanceOf(buyer);
        waitAndWithdraw(id);
        assertEq(token.balanceOf(buyer) - before, 10);
    }

    function test_withdraw_of_nothing_finalizes() public {
        bytes32 id = open(10);
        settle(id, 10);
        waitAndWithdraw(id);
        require(finalized(id));
    }

    function test_withdraw_without_a_request_is_refused() public {
        bytes32 id = open(10);
        vm.warp(block.timestamp + 365 days);
        refused(SdppEscrow.CloseNotReady.selector);
        vm.prank(buyer);
        escrow.withdraw(id);
    }

    function test_asking_again_keeps_the_first_time() public {
        bytes32 id = open(10);
        uint256 asked = START;
        vm.expectEmit(address(escrow));
        emit SdppEscrow.CloseRequested(id, asked + GRACE);
        requestClose(id);
        vm.warp(asked + 60);
        requestClose(id);
        assertEq(escrow.getChannel(id).closeRequestedAt, asked);
    }

    function test_only_the_payer_asks_and_withdraws() public {
        bytes32 id = open(10);
        vm.prank(seller);
        refused(SdppEscrow.NotPayer.selector);
        escrow.requestClose(id);
        requestClose(id);
        vm.warp(block.timestamp + GRACE);
        vm.prank(seller);
        refused(SdppEscrow.NotPayer.selector);
        escrow.withdraw(id);
    }

    function test_the_payee_settles_and_closes_while_the_payer_waits() public {
        bytes32 id = open(address(token), 10, SALT, address(0));
        requestClose(id);
        assertEq(escrow.getChannel(id).token, address(token));
        settle(id, 3);
        vm.warp(block.timestamp + GRACE + 1);
        close(id, 9);
        assertEq(token.balanceOf(seller), 9);
    }

    // ------------------------------------------------------------------------------ fuzz

    /// Whatever is settled on the way, both get what is theirs and no more.
    function testFuzz_both_get_what_is_theirs(
        uint88 deposit,
        uint88 more,
        uint88 first,
        uint88 last,
        bool coin,
        bool forced
    ) public {
        deposit = uint88(deposit % type(uint64).max) + 1;
        more = uint88(more % type(uint64).max) + 1;
        last = uint88(last % (uint256(deposit) + more + 1));
        first = last == 0 ? 0 : uint88(first % last);
        bytes32 id = open(coin ? COIN : address(token), deposit, SALT, address(0));
        uint256 before = wealth(buyer, coin);
        if (first <= deposit && first != 0) settle(id, first);
        topUp(id, more);
        if (forced) {
            if (last > settled(id)) settle(id, last);
            waitAndWithdraw(id);
        } else {
            close(id, last);
        }
        assertEq(wealth(seller, coin), last, "seller");
        assertEq(wealth(buyer, coin), before + deposit - last, "buyer");
        assertEq(wealth(address(escrow), coin), 0, "escrow");
    }

    function wealth(address account, bool coin) private view returns (uint256) {
        return coin ? account.balance : token.balanceOf(account);
    }

    // A call of its own, so that what is made ready for it does not count as the next call.
    function settleFor(bytes32 id, uint128 amount) external {
        settle(id, amount);
    }

    function closeFor(bytes32 id, uint128 amount) external {
        close(id, amount);
    }
}
