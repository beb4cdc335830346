// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Challenges} from "../src/bonds/Challenges.sol";
import {Demands} from "../src/bonds/Demands.sol";
import {Evidence} from "../src/bonds/Evidence.sol";
import {BondBase} from "./BondBase.sol";

/// What each call about bonds costs as a transaction of its own, calldata and base cost included:
/// rows of the table that `gas.md` keeps.
contract BondGasTest is BondBase {
    string private table;
    uint256 private salts;

    function cost(string memory what) private {
        uint256 gas_ = vm.lastCallGas().gasTotalUsed;
        table = string.concat(table, "| ", what, " | ", vm.toString(gas_), " |  |\n");
    }

    function fresh() private {
        agreeAgain(bytes32(++salts));
        pledgeBoth();
    }

    function challenged(bytes32[] memory leaves) private returns (Challenges.Challenge memory) {
        session.granularity = uint32(leaves.length);
        bytes32 root = rootOf(leaves);
        (Evidence.Word memory key_, Evidence.Item memory one) = (key(), item(1, leaves[0]));
        Evidence.Invoice memory of_ = invoice(1, root, 42);
        vm.prank(buyer, buyer);
        bonds.challengeRoot{value: STAKE}(bond, session, key_, one, of_);
        return Challenges.Challenge(leaves[0], root, 0, session.granularity);
    }

    function demanded() private returns (Demands.Demand memory) {
        (Evidence.Word memory order_, Evidence.Ack memory ack_) = (order(), ack(8));
        Evidence.Invoice memory of_ = invoice(2, "root", 84);
        vm.prank(seller, seller);
        bonds.demand{value: STAKE}(bond, session, order_, ack_, of_);
        return Demands.Demand(name, 84, 94, 16, 4);
    }

    function test_what_each_call_costs() public {
        coming();
        complaining();
        showingDeep();
        demanding();
        tokens();
        vm.writeFile("out/gas-bonds.md", table);
    }

    function coming() private {
        vm.prank(buyer, buyer);
        bonds.pledge{value: BUYERS}(bond);
        cost("bonds: pledge, the first");
        vm.prank(seller, seller);
        bonds.pledge{value: SELLERS}(bond);
        cost("bonds: pledge, the second");
        vm.prank(buyer, buyer);
        bonds.add{value: 5}(bond, 5);
        cost("bonds: add");
        vm.prank(seller, seller);
        bonds.requestEnd(bond);
        cost("bonds: requestEnd");
        pass(PERIOD);
        vm.prank(seller, seller);
        bonds.end(bond);
        cost("bonds: end");
        vm.prank(seller, seller);
        bonds.withdraw(COIN, seller);
        cost("bonds: withdraw");
        fresh();
        Evidence.Word memory word_ = goodbye(SIGNER_KEY, id);
        vm.prank(seller, seller);
        bonds.release(bond, true, word_);
        cost("bonds: release, by signature");
        bond.salt = "offered";
        pledge(buyer, BUYERS);
        vm.prank(buyer, buyer);
        bonds.revoke(bond);
        cost("bonds: revoke");
    }

    function complaining() private {
        fresh();
        Evidence.Word memory key_ = key();
        (Evidence.Item memory one, Evidence.Item memory other) = (item(3, "a"), item(3, "b"));
        vm.prank(buyer, buyer);
        bonds.convictOfItems(bond, session, key_, one, other);
        cost("bonds: convictOfItems");
        fresh();
        key_ = key();
        (Evidence.Invoice memory first, Evidence.Invoice memory second) =
            (invoice(2, "a", 84), invoice(2, "b", 84));
        vm.prank(buyer, buyer);
        bonds.convictOfInvoices(bond, session, key_, first, second);
        cost("bonds: convictOfInvoices");
        fresh();
        bytes32[] memory leaves = leavesOf(256);
        Challenges.Challenge memory asked = challenged(leaves);
        cost("bonds: challengeRoot");
        bytes32[] memory path = pathOf(leaves, 0);
        vm.prank(seller, seller);
        bonds.show(bond, asked, 0, 256, path);
        cost("bonds: show, of 256");
        challenged(leaves);
        pass(PERIOD);
        vm.prank(buyer, buyer);
        bonds.concludeChallenge(bond);
        cost("bonds: concludeChallenge");
        fresh();
        session.dataset = "dataset";
        key_ = key();
        bytes32 leaf =
            keccak256(abi.encodePacked(bytes1(0), name, uint64(3), SALT, bytes32("content")));
        one = item(3, leaf);
        vm.prank(buyer, buyer);
        bonds.challengeItem{value: STAKE}(bond, session, key_, one, SALT, "content");
        cost("bonds: challengeItem");
        fresh();
        key_ = key();
        uint256 last = leaves.length - 1;
        leaves[last] =
            keccak256(abi.encodePacked(bytes1(0), name, uint64(256), SALT, bytes32("content")));
        path = pathOf(leaves, last);
        first = invoice(1, rootOf(leaves), 42);
        Evidence.Opened memory opened = Evidence.Opened(256, SALT, "content", 256);
        vm.prank(buyer, buyer);
        bonds.challengeInvoiced{value: STAKE}(bond, session, key_, first, opened, path);
        cost("bonds: challengeInvoiced, of 256");
        session.dataset = 0;
        session.granularity = K;
    }

    function demanding() private {
        fresh();
        Demands.Demand memory asked = demanded();
        cost("bonds: demand");
        bytes memory voucher = sign(SIGNER_KEY, channel, 94);
        vm.prank(buyer, buyer);
        bonds.pay(bond, asked, 94, voucher, 0);
        cost("bonds: pay, by voucher");
        fresh();
        demanded();
        pass(PERIOD);
        vm.prank(seller, seller);
        bonds.concludeDemand(bond, asked);
        cost("bonds: concludeDemand");
        fresh();
        demanded();
        Evidence.Receipt memory receipt_ = receipt(84, 84);
        vm.prank(buyer, buyer);
        bonds.refuteByExit(bond, asked, receipt_);
        cost("bonds: refuteByExit");
        fresh();
        demanded();
        Evidence.Item memory one = item(16, "leaf");
        vm.prank(buyer, buyer);
        bonds.refuteByItem(bond, asked, one);
        cost("bonds: refuteByItem");
        fresh();
        demanded();
        Evidence.Invoice memory later = invoice(5, "root", 200);
        vm.prank(buyer, buyer);
        bonds.refuteByInvoice(bond, asked, later);
        cost("bonds: refuteByInvoice");
        fresh();
        demanded();
        vm.prank(seller, seller);
        bonds.retract(bond);
        cost("bonds: retract");
        vm.prank(buyer, buyer);
        bonds.payAhead(bond, 94, voucher, 0);
        cost("bonds: payAhead, by voucher");
        fresh();
        demanded();
        sellerCloses();
        vm.prank(buyer, buyer);
        bonds.pay{value: 94}(bond, asked, 0, "", 0);
        cost("bonds: pay, where the channel is over");
    }

    /// The longest way up that a dataset has.
    function showingDeep() private {
        bytes32 row = keccak256(abi.encodePacked(bytes1(0), bytes32("content")));
        bytes32[] memory path = new bytes32[](32);
        bytes32 root = row;
        for (uint256 i; i < path.length; ++i) {
            path[i] = keccak256(abi.encode(i));
            root = keccak256(abi.encodePacked(bytes1(0x01), root, path[i]));
        }
        session.dataset = root;
        fresh();
        bytes32 leaf =
            keccak256(abi.encodePacked(bytes1(0), name, uint64(3), SALT, bytes32("content")));
        (Evidence.Word memory key_, Evidence.Item memory one) = (key(), item(3, leaf));
        vm.prank(buyer, buyer);
        bonds.challengeItem{value: STAKE}(bond, session, key_, one, SALT, "content");
        uint32 most = type(uint32).max;
        Challenges.Challenge memory asked = Challenges.Challenge(row, root, most, most);
        vm.prank(seller, seller);
        bonds.show(bond, asked, 0, most, path);
        cost("bonds: show, of 2^32");
        session.dataset = 0;
    }

    function tokens() private {
        agree(address(token));
        vm.prank(buyer, buyer);
        bonds.pledge(bond);
        cost("bonds: pledge, token, the first");
        vm.prank(buyer);
        bonds.revoke(bond);
        vm.prank(buyer, buyer);
        bonds.withdraw(address(token), buyer);
        cost("bonds: withdraw, token");
    }
}
