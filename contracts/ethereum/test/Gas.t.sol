// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {SdppEscrow} from "../src/SdppEscrow.sol";
import {Party} from "./Accounts.sol";
import {Base} from "./Base.sol";

/// What each call costs as a transaction of its own, calldata and base cost included. Writes
/// the table that `gas.md` keeps, and holds the calls to their budgets.
contract GasTest is Base {
    string private table;
    uint256 private salts;

    function channel(address asset) private returns (bytes32) {
        return open(asset, 1_000_000, keccak256(abi.encode(++salts)), address(0));
    }

    /// A row of the table: what the last call cost, for each of `parts`.
    function cost(string memory what, uint256 parts, uint256 budget) private {
        uint256 gas_ = vm.lastCallGas().gasTotalUsed / parts;
        string memory most = budget == 0 ? "" : vm.toString(budget);
        table = string.concat(table, "| ", what, " | ", vm.toString(gas_), " | ", most, " |\n");
        require(budget == 0 || gas_ <= budget, string.concat(what, ": ", vm.toString(gas_)));
    }

    function settleOne(bytes32 id, uint128 amount) private {
        bytes memory signature = sign(id, amount);
        vm.prank(seller, seller);
        escrow.settle(id, amount, signature);
    }

    function closeOne(bytes32 id, uint128 amount, bytes memory signature) private {
        vm.prank(seller, seller);
        escrow.close(id, amount, signature);
    }

    function many(uint256 number, uint128 amount, bool closing, bool onePayer) private {
        bytes memory rows;
        for (uint256 i = 0; i < number; ++i) {
            uint256 key = onePayer ? BUYER_KEY : 1000 + i;
            address payer = vm.addr(key);
            vm.deal(payer, 1 ether);
            vm.prank(payer);
            bytes32 salt = keccak256(abi.encode(++salts));
            bytes32 id = escrow.open{value: 1_000_000}(seller, COIN, 1_000_000, salt, address(0));
            rows = bytes.concat(rows, row(id, amount, sign(key, id, amount)));
        }
        vm.prank(seller, seller);
        closing ? escrow.closeMany(rows) : escrow.settleMany(rows);
    }

    function test_each_call_keeps_its_budget() public {
        token.mint(seller, 1);
        bytes32 id = channel(COIN);
        cost("open, coin", 1, 95_000);
        settleOne(id, 300_000);
        cost("settle, coin", 1, 43_000);
        closeOne(id, 1_000_000, sign(id, 1_000_000));
        cost("close, coin, all spent", 1, 45_000);
        id = channel(COIN);
        closeOne(id, 300_000, sign(id, 300_000));
        cost("close, coin, a voucher and a rest: two payouts", 1, 0);
        id = channel(COIN);
        settleOne(id, 300_000);
        closeOne(id, 300_000, "");
        cost("close, coin, at the settled amount, the rest", 1, 45_000);

        many(100, 300_000, false, true);
        cost("settleMany, coin, each of 100", 100, 15_000);
        many(100, 1_000_000, true, true);
        cost("closeMany, coin, all spent, each of 100", 100, 14_500);
        many(200, 1_000_000, true, true);
        cost("closeMany, coin, all spent, each of 200", 200, 14_500);
        many(100, 300_000, true, true);
        cost("closeMany, coin, rests to one payer, each of 100", 100, 15_000);
        many(100, 300_000, true, false);
        cost("closeMany, coin, rests to 100 payers, each of 100", 100, 0);

        id = channel(address(token));
        cost("open, token", 1, 0);
        settleOne(id, 300_000);
        cost("settle, token", 1, 0);
        closeOne(id, 1_000_000, sign(id, 1_000_000));
        cost("close, token, all spent", 1, 0);
        id = channel(address(token));
        closeOne(id, 300_000, sign(id, 300_000));
        cost("close, token, a voucher and a rest: two payouts", 1, 0);

        id = channel(COIN);
        topUp(id, 5);
        cost("topUp, coin", 1, 0);
        requestClose(id);
        cost("requestClose, coin", 1, 0);
        vm.warp(START + GRACE);
        withdraw(id);
        cost("withdraw, coin", 1, 0);
        Party refusing = new Party();
        refusing.be(Party.Mood.Refuses);
        vm.deal(address(refusing), 5);
        vm.prank(address(refusing));
        id = escrow.open{value: 5}(seller, COIN, 5, SALT, buyer);
        closeOne(id, 0, "");
        vm.prank(address(refusing));
        escrow.withdrawCredit(COIN, seller);
        cost("withdrawCredit, coin", 1, 0);
        vm.prank(stranger);
        escrow.record(3, SALT, SALT);
        cost("record", 1, 0);
        vm.prank(stranger);
        escrow.recordRoot(SALT, 100);
        cost("recordRoot", 1, 0);
        vm.writeFile("out/gas.md", table);
    }
}
