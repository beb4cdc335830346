// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {SdppBonds} from "../src/SdppBonds.sol";
import {Challenges} from "../src/bonds/Challenges.sol";
import {Demands} from "../src/bonds/Demands.sol";
import {Evidence} from "../src/bonds/Evidence.sol";
import {Pledges} from "../src/bonds/Pledges.sol";
import {BondBase} from "./BondBase.sol";
import {PlainToken} from "./Tokens.sol";

/// Several pairs, each with a bond, do what they may, and much that they may not, in any order. Of
/// every other pair the seller cheats, of every third the buyer does not answer; who is honest
/// answers before its time is over.
contract BondHandler is BondBase {
    struct Case {
        Evidence.Bond bond;
        /// The item that was asked for last, and the invoice that was demanded.
        uint256 challenged;
        Demands.Demand demand;
    }

    uint256 private constant MOST = 6;
    uint256 public constant BEGAN = 1e24;

    Case[] private cases;
    uint256 public time = START;
    /// What a buyer rightly paid after having been asked in public, its fees among it, and the
    /// stakes of its sham complaints.
    mapping(uint256 i => uint256 sum) public spent;
    /// What the seller of a pair was paid here.
    mapping(uint256 i => uint256 sum) public earned;

    /// How often each call was taken.
    mapping(bytes32 what => uint256 times) public done;

    function did(bytes32 what) private {
        ++done[what];
    }

    constructor() {
        super.setUp();
        for (uint256 i = 0; i < 4; ++i) {
            agreeOne();
            pledgeBoth();
        }
    }

    function setUp() public override {}

    function everything() external view returns (SdppBonds, PlainToken) {
        return (bonds, token);
    }

    function count() external view returns (uint256) {
        return cases.length;
    }

    function bondAt(uint256 i) external view returns (Evidence.Bond memory) {
        return cases[i].bond;
    }

    function demandAt(uint256 i) external view returns (Demands.Demand memory) {
        return cases[i].demand;
    }

    function sellerCheats(uint256 i) public pure returns (bool) {
        return i % 2 == 1;
    }

    function buyerIsSilent(uint256 i) public pure returns (bool) {
        return i % 3 == 2;
    }

    /// What a party has: in its hands, credited, pledged, at stake, in the channel.
    function wealth(uint256 i, bool ofSeller) external view returns (uint256) {
        Evidence.Bond memory b = cases[i].bond;
        address who = ofSeller ? b.seller : b.buyer;
        bytes32 id_ = bonds.bondId(b);
        uint256 sum = b.token == COIN ? who.balance : token.balanceOf(who);
        sum += bonds.credited(b.token, who);
        sum += ofSeller ? bonds.getBond(id_).ofSeller : bonds.getBond(id_).ofBuyer;
        if (bonds.pendingUntil(id_, ofSeller) != 0) sum += STAKE;
        if (!ofSeller && !finalized(b.channel)) {
            sum += escrow.getChannel(b.channel).deposit - settled(b.channel);
        }
        return sum;
    }

    // -------------------------------------------------------------------------- actions

    /// Another pair, with a channel and terms.
    function agreeOne() public {
        uint256 i = cases.length;
        if (i == MOST) return;
        (buyer, seller) = (vm.addr(1000 + i), vm.addr(2000 + i));
        address asset = i % 4 < 2 ? COIN : address(token);
        equip(buyer);
        equip(seller);
        agree(asset);
        cases.push();
        cases[i].bond = bond;
    }

    function equip(address who) private {
        vm.deal(who, BEGAN);
        token.mint(who, BEGAN);
        vm.prank(who);
        token.approve(address(bonds), type(uint256).max);
        vm.prank(who);
        token.approve(address(escrow), type(uint256).max);
    }

    function pledgeOne(uint256 seed, bool bySeller) external {
        pick(seed);
        uint256 value = coin(bySeller ? SELLERS : BUYERS);
        vm.prank(bySeller ? seller : buyer);
        try bonds.pledge{value: value}(bond) {
            did("pledge");
        } catch {}
    }

    function revokeOne(uint256 seed, bool bySeller) external {
        pick(seed);
        vm.prank(bySeller ? seller : buyer);
        try bonds.revoke(bond) {
            did("revoke");
        } catch {}
    }

    function addOne(uint256 seed, bool bySeller, uint88 amount) external {
        pick(seed);
        amount = amount % 1000 + 1;
        uint256 value = coin(amount);
        vm.prank(bySeller ? seller : buyer);
        try bonds.add{value: value}(bond, amount) {
            did("add");
        } catch {}
    }

    function requestEndOne(uint256 seed, bool bySeller) external {
        pick(seed);
        if (seed % 4 != 0) return;
        vm.prank(bySeller ? seller : buyer);
        try bonds.requestEnd(bond) {
            did("requestEnd");
        } catch {}
    }

    function endOne(uint256 seed, bool bySeller) external {
        pick(seed);
        vm.prank(bySeller ? seller : buyer);
        try bonds.end(bond) {
            did("end");
        } catch {}
    }

    /// The other side's word, or as often somebody else's.
    function releaseOne(uint256 seed, bool ofSeller) external {
        pick(seed);
        if (seed % 8 != 0) return;
        uint256 by = ofSeller == (seed % 16 == 0) ? SIGNER_KEY : SELLER_KEY;
        Evidence.Word memory word_ = goodbye(by, id);
        vm.prank(stranger);
        try bonds.release(bond, ofSeller, word_) {
            did("release");
            require(by == (ofSeller ? SIGNER_KEY : SELLER_KEY), "released by another");
        } catch {}
    }

    /// What honest sellers sign contradicts nothing.
    function convictOne(uint256 seed, bool byInvoices) external {
        uint256 i = pick(seed);
        Evidence.Word memory key_ = key();
        bytes32 second = sellerCheats(i) && seed % 8 == 1 ? bytes32("b") : bytes32("a");
        Evidence.Item memory one = item(3, "a");
        Evidence.Item memory other = item(3, second);
        (Evidence.Invoice memory first, Evidence.Invoice memory last) =
            (invoice(1, "a", 42), invoice(1, second, 42));
        vm.prank(buyer);
        if (byInvoices) {
            try bonds.convictOfInvoices(bond, session, key_, first, last) {
                did("convict");
            } catch {}
        } else {
            try bonds.convictOfItems(bond, session, key_, one, other) {
                did("convict");
            } catch {}
        }
    }

    function challengeOne(uint256 seed) external {
        uint256 i = pick(seed);
        bytes32[] memory leaves = leavesOf(K);
        uint256 place = seed % K;
        bytes32 signed = sellerCheats(i) ? keccak256("another") : leaves[place];
        Evidence.Word memory key_ = key();
        (Evidence.Item memory one, Evidence.Invoice memory of_) =
            (item(uint64(place + 1), signed), invoice(1, rootOf(leaves), 42));
        uint256 value = coin(STAKE);
        vm.prank(buyer);
        try bonds.challengeRoot{value: value}(bond, session, key_, one, of_) {
            did("challengeRoot");
            cases[i].challenged = place;
        } catch {}
    }

    function showOne(uint256 seed) external {
        show(pick(seed));
    }

    function concludeChallengeOne(uint256 seed, bool bySeller) external {
        pick(seed);
        vm.prank(bySeller ? seller : buyer);
        try bonds.concludeChallenge(bond) {
            did("concludeChallenge");
        } catch {}
    }

    function demandOne(uint256 seed) external {
        uint256 i = pick(seed);
        uint64 number = uint64(seed % 9) + 1;
        uint128 total = uint128(7) * number * K * 3 / 2;
        Evidence.Word memory order_ = order();
        (Evidence.Ack memory ack_, Evidence.Invoice memory of_) =
            (ack(number * K), invoice(number, "root", total));
        uint256 value = coin(STAKE);
        vm.prank(seller);
        try bonds.demand{value: value}(bond, session, order_, ack_, of_) {
            did("demand");
            uint128 paidBefore = number * K + W * K;
            cases[i].demand =
                Demands.Demand(name, total, session.base + total, paidBefore, number + W);
        } catch {}
    }

    function payOne(uint256 seed) external {
        pay(pick(seed));
    }

    /// A cheating seller has receipted more than it says.
    function refuteOne(uint256 seed, bool byItem) external {
        uint256 i = pick(seed);
        Demands.Demand memory asked = cases[i].demand;
        bool lied = sellerCheats(i) && seed % 4 == 1;
        uint128 paid = lied ? asked.amountTotal : asked.amountTotal / 2;
        uint64 seq = uint64(lied ? asked.paidBefore : asked.paidBefore / 2);
        Evidence.Receipt memory receipt_ = receipt(asked.amountTotal, paid);
        Evidence.Item memory one = item(seq, "leaf");
        vm.prank(buyer);
        if (byItem) {
            try bonds.refuteByItem(bond, asked, one) {
                did("refuteByItem");
            } catch {}
        } else {
            try bonds.refuteByExit(bond, asked, receipt_) {
                did("refuteByExit");
            } catch {}
        }
    }

    function concludeDemandOne(uint256 seed, bool bySeller) external {
        Demands.Demand memory asked = cases[pick(seed)].demand;
        vm.prank(bySeller ? seller : buyer);
        try bonds.concludeDemand(bond, asked) {
            did("concludeDemand");
        } catch {}
    }

    /// The seller redeems what it demanded: it was paid beside the bond.
    function settleOne(uint256 seed) external {
        uint256 i = pick(seed);
        uint128 amount = cases[i].demand.voucher;
        if (seed % 4 != 2 || amount == 0) return;
        bytes memory signature = sign(SIGNER_KEY, channel, amount);
        uint256 before = settled(channel);
        vm.prank(seller);
        try escrow.settle(channel, amount, signature) {
            did("settle");
            spent[i] += amount - before;
            earned[i] += amount - before;
        } catch {}
    }

    function retractOne(uint256 seed) external {
        pick(seed);
        if (seed % 4 != 3) return;
        vm.prank(seller);
        try bonds.retract(bond) {
            did("retract");
        } catch {}
    }

    function closeChannel(uint256 seed, bool bySeller) external {
        pick(seed);
        if (seed % 8 != 3) return;
        bytes32 channel_ = bond.channel;
        if (bySeller) {
            vm.prank(seller);
            try escrow.close(channel_, 0, "") {} catch {}
        } else {
            vm.prank(buyer);
            try escrow.requestClose(channel_) {} catch {}
            vm.prank(buyer);
            try escrow.withdraw(channel_) {} catch {}
        }
    }

    function withdrawOne(uint256 seed, bool bySeller) external {
        pick(seed);
        address who = bySeller ? seller : buyer;
        vm.prank(who);
        try bonds.withdraw(bond.token, who) {
            did("withdraw");
        } catch {}
    }

    /// Time passes, but not before those who are honest have answered.
    function passTime(uint16 seconds_) external {
        for (uint256 i = 0; i < cases.length; ++i) {
            pick(i);
            if (!sellerCheats(i)) show(i);
            if (!buyerIsSilent(i)) pay(i);
        }
        time += seconds_ % PERIOD;
        vm.warp(time);
    }

    // --------------------------------------------------------------------------- helping

    function pick(uint256 seed) private returns (uint256 i) {
        i = seed % cases.length;
        bond = cases[i].bond;
        (buyer, seller, channel) = (bond.buyer, bond.seller, bond.channel);
        id = bonds.bondId(bond);
    }

    function show(uint256 i) private {
        uint256 place = cases[i].challenged;
        bytes32[] memory leaves = leavesOf(K);
        Challenges.Challenge memory asked =
            Challenges.Challenge(leaves[place], rootOf(leaves), uint32(place), K);
        vm.prank(seller);
        try bonds.show(bond, asked, uint32(place), K, pathOf(leaves, place)) {
            did("show");
            spent[i] += STAKE;
        } catch {}
    }

    function pay(uint256 i) private {
        Demands.Demand memory asked = cases[i].demand;
        if (bonds.pendingUntil(id, true) == 0) return;
        if (escrow.getChannel(channel).closeRequestedAt != 0 && !finalized(channel)) {
            topUp(channel, 1);
        }
        uint256 paid = settled(channel) + bonds.paidHere(channel);
        uint256 due = finalized(channel) && paid < asked.voucher ? asked.voucher - paid : 0;
        bytes memory signature = sign(SIGNER_KEY, channel, asked.voucher);
        uint256 before = ofBuyer();
        uint256 value = coin(due);
        vm.prank(buyer);
        try bonds.pay{value: value}(bond, asked, asked.voucher, signature, due) {
            did("pay");
            uint256 fee = before - ofBuyer();
            require(fee <= FEE, "fee");
            spent[i] += due + fee;
            earned[i] += due + fee;
        } catch {}
    }
}

/// What must hold of bonds whatever is called in whatever order.
contract BondInvariantsTest is BondBase {
    BondHandler private handler;

    function setUp() public override {
        handler = new BondHandler();
        (bonds, token) = handler.everything();
        escrow = bonds.ESCROW();
        stranger = vm.addr(0x57a496e5);
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    /// What forge may call of the handler: all but what it inherits.
    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    function targetSelectors() public view returns (FuzzSelector[] memory targets) {
        bytes4[] memory selectors = new bytes4[](20);
        selectors[0] = BondHandler.pledgeOne.selector;
        selectors[1] = BondHandler.revokeOne.selector;
        selectors[2] = BondHandler.addOne.selector;
        selectors[3] = BondHandler.requestEndOne.selector;
        selectors[4] = BondHandler.endOne.selector;
        selectors[5] = BondHandler.releaseOne.selector;
        selectors[6] = BondHandler.convictOne.selector;
        selectors[7] = BondHandler.challengeOne.selector;
        selectors[8] = BondHandler.showOne.selector;
        selectors[9] = BondHandler.concludeChallengeOne.selector;
        selectors[10] = BondHandler.demandOne.selector;
        selectors[11] = BondHandler.payOne.selector;
        selectors[12] = BondHandler.refuteOne.selector;
        selectors[13] = BondHandler.concludeDemandOne.selector;
        selectors[14] = BondHandler.closeChannel.selector;
        selectors[15] = BondHandler.withdrawOne.selector;
        selectors[16] = BondHandler.passTime.selector;
        selectors[17] = BondHandler.agreeOne.selector;
        selectors[18] = BondHandler.settleOne.selector;
        selectors[19] = BondHandler.retractOne.selector;
        targets = new FuzzSelector[](1);
        targets[0] = FuzzSelector(address(handler), selectors);
    }

    /// The invariants would hold of calls that are all refused: on a long walk each is taken.
    function test_a_long_walk_takes_every_step() public {
        for (uint256 step = 0; step < 1_200; ++step) {
            uint256 seed = uint256(keccak256(abi.encode(step)));
            bytes4 what = targetSelectors()[0].selectors[seed % 20];
            uint256 of_ = (seed >> 8) % 1_000_000;
            uint256 second = what == BondHandler.addOne.selector ? 1 : (seed >> 40) % 2;
            if (what == BondHandler.passTime.selector) of_ %= 65_536;
            bytes memory data = abi.encodePacked(what, abi.encode(of_, second, seed >> 200));
            (bool taken,) = address(handler).call(data);
            require(taken, "the handler fails");
        }
        bytes32[15] memory all = [
            bytes32("pledge"),
            "add",
            "requestEnd",
            "end",
            "release",
            "convict",
            "challengeRoot",
            "show",
            "concludeChallenge",
            "demand",
            "pay",
            "concludeDemand",
            "withdraw",
            "settle",
            "retract"
        ];
        for (uint256 i = 0; i < all.length; ++i) {
            require(handler.done(all[i]) != 0, string(abi.encodePacked("never: ", all[i])));
        }
        this.invariant_the_bonds_contract_holds_what_it_owes();
        this.invariant_only_what_is_burnt_is_gone();
        this.invariant_an_honest_seller_loses_nothing();
        this.invariant_a_buyer_that_answers_keeps_its_bond();
    }

    /// Bonds, stakes, credits and what is burnt are what the contract holds.
    function invariant_the_bonds_contract_holds_what_it_owes() public {
        (uint256 coins, uint256 tokens) = (bonds.burnt(COIN), bonds.burnt(address(token)));
        for (uint256 i = 0; i < handler.count(); ++i) {
            Pledges.Held memory held = pick(i);
            uint256 owed = uint256(held.ofBuyer) + held.ofSeller;
            owed += credit(bond.buyer) + credit(bond.seller);
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
        for (uint256 i = 0; i < handler.count(); ++i) {
            sum += handler.wealth(i, false) + handler.wealth(i, true);
            began += 2 * handler.BEGAN();
        }
        assertEq(sum, began, "all together");
    }

    /// Who is honest loses nothing, whatever the other side does.
    function invariant_an_honest_seller_loses_nothing() public view {
        for (uint256 i = 0; i < handler.count(); ++i) {
            if (handler.sellerCheats(i)) continue;
            require(handler.wealth(i, true) >= handler.BEGAN() + handler.earned(i), "seller");
        }
    }

    /// A buyer that answers pays what it owed, the fees, and for its own sham complaints.
    function invariant_a_buyer_that_answers_keeps_its_bond() public view {
        for (uint256 i = 0; i < handler.count(); ++i) {
            if (handler.buyerIsSilent(i)) continue;
            require(handler.wealth(i, false) + handler.spent(i) >= handler.BEGAN(), "buyer");
        }
    }

    /// From every state each side gets out alone, in two periods.
    function invariant_each_gets_its_bond_out_alone() public {
        for (uint256 i = 0; i < handler.count(); ++i) {
            Pledges.Held memory held = pick(i);
            if (held.pledged != 3) continue;
            address who = i % 2 == 0 ? bond.buyer : bond.seller;
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
            if (held.pledged & 4 != 0) notPledged(bond.seller, SELLERS);
        }
    }

    function notPledged(address who, uint256 amount) private {
        uint256 value = coin(amount);
        vm.deal(who, 1 ether);
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
