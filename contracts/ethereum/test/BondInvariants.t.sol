// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Demands} from "../src/bonds/Demands.sol";
import {Evidence} from "../src/bonds/Evidence.sol";
import {Pledges} from "../src/bonds/Pledges.sol";
import {BondBase} from "./BondBase.sol";
import {BondHandler} from "./BondHandler.sol";
import {Walk} from "./Walk.sol";

/// What must hold of bonds whatever is called in whatever order.
contract BondInvariantsTest is BondBase, Walk {
    BondHandler private handler;

    function setUp() public override {
        handler = new BondHandler();
        (bonds, token) = handler.everything();
        escrow = bonds.ESCROW();
        stranger = vm.addr(0x57a496e5);
        name = nameOf(session);
        walk(0, 2_000);
    }

    function steps() internal view override returns (address, bytes4[] memory calls) {
        bytes4[21] memory all = [
            BondHandler.pledgeOne.selector,
            BondHandler.revokeOne.selector,
            BondHandler.addOne.selector,
            BondHandler.requestEndOne.selector,
            BondHandler.endOne.selector,
            BondHandler.releaseOne.selector,
            BondHandler.convictOne.selector,
            BondHandler.challengeOne.selector,
            BondHandler.showOne.selector,
            BondHandler.concludeChallengeOne.selector,
            BondHandler.demandOne.selector,
            BondHandler.payOne.selector,
            BondHandler.payAheadOne.selector,
            BondHandler.refuteOne.selector,
            BondHandler.concludeDemandOne.selector,
            BondHandler.closeChannel.selector,
            BondHandler.withdrawOne.selector,
            BondHandler.passTime.selector,
            BondHandler.agreeOne.selector,
            BondHandler.settleOne.selector,
            BondHandler.retractOne.selector
        ];
        calls = new bytes4[](all.length);
        for (uint256 i = 0; i < all.length; ++i) {
            calls[i] = all[i];
        }
        return (address(handler), calls);
    }

    /// Some of the handler's steps, always the same ones. From where they lead forge's own walks
    /// begin: these are too short for a bond to be lost.
    function walk(uint256 from, uint256 to) private {
        (, bytes4[] memory calls) = steps();
        for (uint256 step = from; step < to; ++step) {
            uint256 seed = uint256(keccak256(abi.encode(step)));
            bytes4 what = calls[seed % calls.length];
            uint256 of_ = (seed >> 8) % (1 << 40);
            uint256 second = what == BondHandler.addOne.selector ? 1 : (seed >> 60) % 2;
            if (what == BondHandler.passTime.selector) of_ %= 65_536;
            bytes memory data = abi.encodePacked(what, abi.encode(of_, second, seed >> 200));
            (bool taken, bytes memory why) = address(handler).call(data);
            if (taken) continue;
            assembly {
                revert(add(why, 32), mload(why))
            }
        }
    }

    /// The invariants would hold of calls that are all refused: on a long walk each is taken, and
    /// all that must hold does so on the way.
    function test_a_long_walk_takes_every_step() public {
        vm.pauseGasMetering();
        for (uint256 step = 2_000; step < 6_500; step += 50) {
            walk(step, step + 50);
            string memory broken = allBroken();
            require(bytes(broken).length == 0, string.concat("broken:", broken));
        }
        bytes32[28] memory all = [
            bytes32("pledge"),
            "revoke",
            "add",
            "requestEnd",
            "end",
            "release",
            "withdraw",
            "convictOfItems",
            "convictOfInvoices",
            "challengeRoot",
            "challengeItem",
            "challengeInvoiced",
            "show",
            "concludeChallenge",
            "demand",
            "pay",
            "pay here",
            "payAhead",
            "payAhead here",
            "refuteByItem",
            "refuteByInvoice",
            "refuteByExit",
            "refuted in vain",
            "concludeDemand",
            "paid outside",
            "close",
            "settle",
            "retract"
        ];
        bytes memory never;
        for (uint256 i = 0; i < all.length; ++i) {
            if (handler.done(all[i]) == 0) never = bytes.concat(never, " ", all[i]);
        }
        require(never.length == 0, string.concat("never:", string(never)));
    }

    /// Which invariants do not hold; what they try is undone.
    function allBroken() private returns (string memory broken) {
        string[11] memory all = [
            "the_bonds_contract_holds_what_it_owes",
            "only_what_is_burnt_is_gone",
            "each_side_has_what_is_its_own",
            "bonds_are_what_is_left_of_them",
            "a_debt_is_paid_once",
            "an_honest_seller_loses_nothing",
            "a_buyer_that_answers_keeps_its_bond",
            "a_complaint_ends_with_its_answer",
            "each_gets_its_bond_out_alone",
            "no_bond_is_pledged_again",
            "a_third_party_changes_no_bond"
        ];
        for (uint256 i = 0; i < all.length; ++i) {
            bytes memory what = abi.encodeWithSignature(string.concat("invariant_", all[i], "()"));
            try this.undone(what) {}
            catch Error(string memory why) {
                if (bytes(why).length != 0) broken = string.concat(broken, " ", all[i]);
            }
        }
    }

    function undone(bytes calldata what) external {
        (bool held,) = address(this).call(what);
        revert(held ? "" : "broken");
    }

    /// Bonds, stakes, credits and what is burnt are what the contract holds.
    function invariant_the_bonds_contract_holds_what_it_owes() public {
        (uint256 coins, uint256 tokens) = (bonds.burnt(COIN), bonds.burnt(address(token)));
        for (uint256 i = 0; i < handler.count(); ++i) {
            Pledges.Held memory held = pick(i);
            uint256 owed = uint256(held.ofBuyer) + held.ofSeller;
            // All bonds of a pair are of the same parties.
            if (i < handler.PAIRS()) owed += credit(bond.buyer) + credit(bond.seller);
            if (bonds.pendingUntil(id, false) != 0) owed += STAKE;
            if (bonds.pendingUntil(id, true) != 0) owed += STAKE;
            if (bond.token == COIN) coins += owed;
            else tokens += owed;
        }
        assertEq(address(bonds).balance, coins, "coin");
        assertEq(token.balanceOf(address(bonds)), tokens, "tokens");
    }

    /// Nothing is made, and nothing is gone but what is burnt.
    function invariant_only_what_is_burnt_is_gone() public view {
        uint256 sum = bonds.burnt(COIN) + bonds.burnt(address(token));
        uint256 began;
        for (uint256 i = 0; i < handler.PAIRS(); ++i) {
            sum += handler.wealth(i, false) + handler.wealth(i, true);
            began += 2 * handler.BEGAN();
        }
        assertEq(sum, began, "all together");
    }

    /// Each side has what the rules give it, to the unit.
    function invariant_each_side_has_what_is_its_own() public view {
        for (uint256 i = 0; i < 2 * handler.PAIRS(); ++i) {
            (uint256 pair, bool ofSeller) = (i / 2, i % 2 == 1);
            int256 due = int256(handler.BEGAN()) + handler.gained(pair, ofSeller);
            assertEq(handler.wealth(pair, ofSeller), uint256(due), ofSeller ? "seller" : "buyer");
        }
    }

    /// No bond is more or less than was pledged, added, lost, freed.
    function invariant_bonds_are_what_is_left_of_them() public {
        for (uint256 i = 0; i < handler.count(); ++i) {
            Pledges.Held memory held = pick(i);
            assertEq(held.ofBuyer, handler.left(i, false), "the buyer's");
            assertEq(held.ofSeller, handler.left(i, true), "the seller's");
        }
    }

    /// For a channel, there and here, under two bonds, nobody pays more than it signed for.
    function invariant_a_debt_is_paid_once() public view {
        for (uint256 i = 0; i < handler.PAIRS(); ++i) {
            bytes32 of_ = handler.bondAt(i).channel;
            require(settled(of_) + bonds.paidHere(of_) <= handler.vouched(i), "paid twice");
        }
    }

    /// Who is honest loses nothing, whatever the other side does.
    function invariant_an_honest_seller_loses_nothing() public view {
        for (uint256 i = 0; i < handler.PAIRS(); ++i) {
            if (handler.sellerCheats(i)) continue;
            require(handler.gained(i, true) >= 0 && !handler.hasLost(i, true), "seller");
        }
    }

    /// A buyer that answers pays what it owed, the fees, and for its own sham complaints.
    function invariant_a_buyer_that_answers_keeps_its_bond() public view {
        for (uint256 i = 0; i < handler.PAIRS(); ++i) {
            require(handler.buyerIsSilent(i) || !handler.hasLost(i, false), "buyer");
        }
    }

    /// A complaint waits for its answer and ends with it; honest answers are taken.
    function invariant_a_complaint_ends_with_its_answer() public view {
        string memory wrong = handler.wrong();
        require(bytes(wrong).length == 0, wrong);
    }

    /// From every state each side gets out alone, in two periods.
    function invariant_each_gets_its_bond_out_alone() public {
        for (uint256 i = 0; i < handler.count(); ++i) {
            Pledges.Held memory held = pick(i);
            if (held.pledged != 3) continue;
            // Of the second bond of a pair it is the other one.
            address who = (i + i / handler.PAIRS()) % 2 == 0 ? bond.buyer : bond.seller;
            vm.warp(handler.time());
            vm.prank(who);
            bonds.requestEnd(bond);
            vm.warp(handler.time() + 2 * PERIOD);
            if (bonds.pendingUntil(id, false) != 0) {
                vm.prank(who);
                bonds.concludeChallenge(bond);
            }
            if (bonds.pendingUntil(id, true) != 0) {
                Demands.Demand memory asked = handler.demandAt(i);
                vm.prank(who);
                bonds.concludeDemand(bond, asked);
            }
            vm.prank(who);
            bonds.end(bond);
            require(ofBuyer() == 0 && ofSeller() == 0, "left");
            uint256 due = credit(who);
            if (due == 0) continue;
            vm.prank(who);
            bonds.withdraw(bond.token, who);
        }
        vm.warp(handler.time());
    }

    /// What is over is never pledged again.
    function invariant_no_bond_is_pledged_again() public {
        for (uint256 i = 0; i < handler.count(); ++i) {
            Pledges.Held memory held = pick(i);
            if (held.pledged & 1 != 0) notPledged(bond.buyer, BUYERS);
            if (held.pledged & 2 != 0) notPledged(bond.seller, SELLERS);
            if (held.pledged & 4 == 0) continue;
            notPledged(bond.buyer, BUYERS);
            notPledged(bond.seller, SELLERS);
        }
    }

    function notPledged(address who, uint256 amount) private {
        uint256 value = coin(amount);
        vm.prank(who);
        try bonds.pledge{value: value}(bond) {
            revert("pledged again");
        } catch {}
    }

    /// A third party changes nothing, with all that a party could bring.
    function invariant_a_third_party_changes_no_bond() public {
        vm.deal(stranger, 1e24);
        for (uint256 i = 0; i < handler.count(); ++i) {
            Pledges.Held memory held = pick(i);
            bytes32 before = keccak256(abi.encode(held, pending()));
            Demands.Demand memory asked = handler.demandAt(i);
            meddle(abi.encodeCall(bonds.revoke, (bond)));
            meddle(abi.encodeCall(bonds.requestEnd, (bond)));
            meddle(abi.encodeCall(bonds.end, (bond)));
            meddle(abi.encodeCall(bonds.release, (bond, true, nobody())));
            meddle(abi.encodeCall(bonds.release, (bond, false, goodbye(SIGNER_KEY, id))));
            meddle(abi.encodeCall(bonds.concludeChallenge, (bond)));
            meddle(abi.encodeCall(bonds.concludeDemand, (bond, asked)));
            meddle(abi.encodeCall(bonds.retract, (bond)));
            meddle(abi.encodeCall(bonds.refuteByItem, (bond, asked, itemBy(1, name, 1000, "a"))));
            // That a demand is paid already is anybody's to say.
            if (settled(bond.channel) + bonds.paidHere(bond.channel) < asked.voucher) {
                meddle(abi.encodeCall(bonds.pay, (bond, asked, asked.voucher, "", 0)));
            }
            meddle(abi.encodeCall(bonds.withdraw, (bond.token, stranger)));
            Evidence.Word memory key_ = key();
            Evidence.Item memory one = item(1, "a");
            meddle(abi.encodeCall(bonds.convictOfItems, (bond, session, key_, one, item(1, "b"))));
            assertEq(before, keccak256(abi.encode(bonds.getBond(id), pending())));
        }
    }

    function meddle(bytes memory data) private {
        vm.prank(stranger);
        (bool done,) = address(bonds).call(data);
        require(!done, "a stranger's call was taken");
    }

    function pending() private view returns (bytes32) {
        return keccak256(abi.encode(bonds.pendingUntil(id, false), bonds.pendingUntil(id, true)));
    }

    // --------------------------------------------------------------------------- helping

    function pick(uint256 i) private returns (Pledges.Held memory) {
        bond = handler.bondAt(i);
        id = bonds.bondId(bond);
        return bonds.getBond(id);
    }
}
