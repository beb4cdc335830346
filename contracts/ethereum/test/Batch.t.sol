// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {SdppEscrow} from "../src/SdppEscrow.sol";
import {Party, Wallet} from "./Accounts.sol";
import {Base} from "./Base.sol";
import {BareToken} from "./Tokens.sol";

/// Many channels in one call: what is good is done, what is not is passed over and told.
contract BatchTest is Base {
    function channel(uint256 number) private returns (bytes32) {
        return open(COIN, 10, bytes32(number), address(0));
    }

    function settleMany(bytes memory rows) private {
        vm.prank(seller);
        escrow.settleMany(rows);
    }

    function closeMany(bytes memory rows) private {
        vm.prank(seller);
        escrow.closeMany(rows);
    }

    function skipped(bytes32 id, uint128 amount, bytes4 why) private {
        vm.expectEmit(address(escrow));
        emit SdppEscrow.RowSkipped(id, amount, why);
    }

    function test_settle_many_pays_the_sum() public {
        (bytes32 a, bytes32 b) = (channel(1), channel(2));
        settleMany(bytes.concat(row(a, 3), row(b, 4)));
        assertEq(seller.balance, 7);
        assertEq(settled(a), 3);
        assertEq(settled(b), 4);
        require(!finalized(a) && !finalized(b));
    }

    function test_settle_many_tells_of_each() public {
        (bytes32 a, bytes32 b) = (channel(1), channel(2));
        bytes memory rows = bytes.concat(row(a, 3), row(b, 4));
        vm.expectEmit(address(escrow));
        emit SdppEscrow.Settled(a, 3);
        vm.expectEmit(address(escrow));
        emit SdppEscrow.Settled(b, 4);
        settleMany(rows);
    }

    function test_close_many_pays_both_sides() public {
        (bytes32 a, bytes32 b) = (channel(1), channel(2));
        uint256 before = buyer.balance;
        bytes memory rows = bytes.concat(row(a, 3), row(b, 10), row(channel(3), 0, new bytes(65)));
        closeMany(rows);
        assertEq(seller.balance, 13);
        assertEq(buyer.balance, before - 10 + 7 + 10);
        require(finalized(a) && finalized(b));
        assertEq(address(escrow).balance, 0);
    }

    function test_many_tokens_and_payers_each_get_theirs() public {
        address other = vm.addr(OTHER_KEY);
        vm.deal(other, 100);
        vm.prank(other);
        bytes32 theirs = escrow.open{value: 10}(seller, COIN, 10, SALT, address(0));
        bytes32 a = channel(1);
        bytes32 b = open(address(token), 10, "b", address(0));
        bytes32 c = open(address(token), 10, "c", address(0));
        (uint256 coin, uint256 tokens) = (buyer.balance, token.balanceOf(buyer));
        bytes memory rows = bytes.concat(row(b, 1), row(a, 2), row(c, 3));
        rows = bytes.concat(rows, row(theirs, 4, sign(OTHER_KEY, theirs, 4)), row(channel(2), 5));
        coin = buyer.balance;
        closeMany(rows);
        assertEq(seller.balance, 2 + 4 + 5);
        assertEq(token.balanceOf(seller), 1 + 3);
        assertEq(buyer.balance - coin, 8 + 5);
        assertEq(token.balanceOf(buyer) - tokens, 9 + 7);
        assertEq(other.balance, 90 + 6);
        assertEq(address(escrow).balance, 0);
        assertEq(token.balanceOf(address(escrow)), 0);
    }

    function test_bad_rows_are_passed_over_and_told() public {
        (bytes32 a, bytes32 b, bytes32 c) = (channel(1), channel(2), channel(3));
        settle(a, 5);
        close(b, 5);
        uint256 before = seller.balance;
        vm.prank(buyer);
        bytes32 notOurs = escrow.open{value: 10}(stranger, COIN, 10, SALT, address(0));
        bytes memory wrong = row(c, 3, sign(OTHER_KEY, c, 3));
        bytes memory rows = bytes.concat(row(SALT, 1), row(notOurs, 1), row(b, 9), row(a, 11));
        rows = bytes.concat(rows, row(a, 5), row(a, 4), wrong, row(c, 4));
        skipped(SALT, 1, SdppEscrow.ChannelNotFound.selector);
        skipped(notOurs, 1, SdppEscrow.NotPayee.selector);
        skipped(b, 9, SdppEscrow.ChannelFinalized.selector);
        skipped(a, 11, SdppEscrow.AmountExceedsDeposit.selector);
        skipped(a, 5, SdppEscrow.AmountNotIncreasing.selector);
        skipped(a, 4, SdppEscrow.AmountNotIncreasing.selector);
        skipped(c, 3, SdppEscrow.InvalidSignature.selector);
        settleMany(rows);
        assertEq(seller.balance - before, 4);
        assertEq(settled(a), 5);
        assertEq(settled(c), 4);
    }

    function test_close_many_takes_a_row_at_the_settled_amount() public {
        bytes32 a = channel(1);
        settle(a, 5);
        skipped(a, 4, SdppEscrow.AmountNotIncreasing.selector);
        closeMany(row(a, 4, new bytes(65)));
        require(!finalized(a));
        closeMany(row(a, 5, new bytes(65)));
        require(finalized(a));
        assertEq(seller.balance, 5);
    }

    function test_one_channel_in_many_rows() public {
        bytes32 a = channel(1);
        settleMany(bytes.concat(row(a, 3), row(a, 4), row(a, 4), row(a, 2)));
        assertEq(seller.balance, 4);
        bytes memory rows = bytes.concat(row(a, 6), row(a, 9));
        skipped(a, 9, SdppEscrow.ChannelFinalized.selector);
        closeMany(rows);
        assertEq(seller.balance, 6);
    }

    function test_high_s_is_passed_over() public {
        bytes32 a = channel(1);
        bytes memory rows = row(a, 3, malleate(sign(a, 3)));
        skipped(a, 3, SdppEscrow.InvalidSignature.selector);
        settleMany(rows);
    }

    /// A wallet's word costs what the wallet wants, so one could end the others' batch.
    function test_a_wallets_word_is_not_asked_for() public {
        Wallet wallet = new Wallet();
        bytes32 a = open(COIN, 10, SALT, address(wallet));
        wallet.sign(escrow.getVoucherDigest(a, 3));
        bytes memory rows = row(a, 3, new bytes(65));
        skipped(a, 3, SdppEscrow.InvalidSignature.selector);
        settleMany(rows);
        bytes memory word = new bytes(65);
        vm.prank(seller);
        escrow.settle(a, 3, word);
    }

    function test_an_amount_is_16_bytes() public {
        bytes32 a = channel(1);
        bytes memory rows = row(a, type(uint128).max);
        skipped(a, type(uint128).max, SdppEscrow.AmountExceedsDeposit.selector);
        settleMany(rows);
    }

    function test_rows_are_whole() public {
        bytes memory rows = row(channel(1), 3);
        refused(SdppEscrow.BatchNotInRows.selector);
        settleMany(bytes.concat(rows, hex"00"));
        refused(SdppEscrow.BatchNotInRows.selector);
        closeMany(hex"00");
        settleMany("");
        closeMany("");
    }

    function test_200_rows_and_no_more() public {
        bytes memory rows;
        for (uint256 i = 0; i < 200; ++i) {
            rows = bytes.concat(rows, row(bytes32(i), 1, new bytes(65)));
        }
        assertEq(escrow.MAX_BATCH(), 200);
        bytes32 good = channel(1);
        settleMany(rows);
        bytes memory more = bytes.concat(rows, row(good, 1));
        refused(SdppEscrow.BatchTooLarge.selector);
        settleMany(more);
        refused(SdppEscrow.BatchTooLarge.selector);
        closeMany(more);
    }

    function test_200_good_rows_fit_a_block() public {
        bytes memory rows;
        for (uint256 i = 0; i < 200; ++i) {
            rows = bytes.concat(rows, row(channel(i), 10));
        }
        vm.prank(seller);
        escrow.closeMany{gas: 5_000_000}(rows);
        assertEq(seller.balance, 2000);
    }

    /// Neither a payer that refuses or burns gas nor a token that does ends the batch.
    function test_no_party_spoils_it_for_the_others() public {
        Party bad = new Party();
        vm.deal(address(bad), 100);
        BareToken greedy = new BareToken();
        greedy.mint(buyer, 10);
        vm.prank(buyer);
        greedy.approve(address(escrow), 10);
        bytes memory call_ =
            abi.encodeCall(SdppEscrow.open, (seller, COIN, 10, SALT, vm.addr(BUYER_KEY)));
        bad.act{value: 10}(address(escrow), call_);
        bytes32 a = escrow.computeChannelId(address(bad), seller, COIN, SALT, buyer);
        bytes32 b = open(address(greedy), 10, SALT, address(0));
        bytes32 c = channel(3);
        greedy.beGreedy();
        bytes memory rows = bytes.concat(row(a, 1), row(b, 2), row(c, 3));
        bad.be(Party.Mood.BurnsGas);
        vm.prank(seller);
        escrow.closeMany{gas: 1_500_000}(rows);
        assertEq(seller.balance, 4);
        assertEq(escrow.credited(COIN, address(bad)), 9);
        assertEq(escrow.credited(address(greedy), seller), 2);
        assertEq(escrow.credited(address(greedy), buyer), 8);
        require(finalized(a) && finalized(b) && finalized(c));
    }

    /// A batch does what its rows would do one by one.
    function testFuzz_a_batch_is_its_rows(uint256 seed, bool closing) public {
        bytes memory rows;
        bytes32[] memory ids = new bytes32[](6);
        uint128[] memory amounts = new uint128[](6);
        for (uint256 i = 0; i < 6; ++i) {
            uint256 dice = uint256(keccak256(abi.encode(seed, i)));
            ids[i] = open(dice & 1 == 0 ? COIN : address(token), 10, bytes32(i), address(0));
            if (dice & 2 == 2) settle(ids[i], 3);
            amounts[i] = uint128((dice >> 8) % 12);
            uint256 key = dice & 4 == 4 ? BUYER_KEY : OTHER_KEY;
            rows = bytes.concat(rows, row(ids[i], amounts[i], sign(key, ids[i], amounts[i])));
        }
        uint256 expected = seller.balance + token.balanceOf(seller);
        bool[] memory good = new bool[](6);
        for (uint256 i = 0; i < 6; ++i) {
            uint256 dice = uint256(keccak256(abi.encode(seed, i)));
            uint128 had = settled(ids[i]);
            bool same = closing && amounts[i] == had;
            bool more = dice & 4 == 4 && amounts[i] > had && amounts[i] <= 10;
            good[i] = same || more;
            if (more) expected += amounts[i] - had;
        }
        closing ? closeMany(rows) : settleMany(rows);
        for (uint256 i = 0; i < 6; ++i) {
            if (good[i]) assertEq(settled(ids[i]), amounts[i], "settled");
            require(finalized(ids[i]) == (good[i] && closing), "finalized");
        }
        assertEq(seller.balance + token.balanceOf(seller), expected, "seller");
    }
}
