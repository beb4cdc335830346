// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {SdppBonds} from "../src/SdppBonds.sol";
import {Challenges} from "../src/bonds/Challenges.sol";
import {Demands} from "../src/bonds/Demands.sol";
import {Evidence} from "../src/bonds/Evidence.sol";
import {Pledges} from "../src/bonds/Pledges.sol";
import {BondAccounts} from "./BondAccounts.sol";
import {PlainToken} from "./Tokens.sol";

/// Four pairs, each with a channel and two bonds at a time, do what they may, and much that they
/// may not, in any order. Of every other pair the seller cheats, of the last two the buyer does not
/// answer; who is honest answers before its time is over.
contract BondHandler is BondAccounts {
    struct Case {
        Evidence.Bond bond;
        /// What was asked for last, and where it stands among its leaves.
        Challenges.Challenge challenged;
        uint256 place;
        Demands.Demand demand;
    }

    Case[] private cases;
    uint256 private renewed = 100;
    uint256 public time = START;

    constructor() {
        super.setUp();
        for (uint256 i = 0; i < PAIRS; ++i) {
            agreeOne();
            pledge(buyer, BUYERS);
            pledge(seller, SELLERS);
            (left[i][false], left[i][true]) = (BUYERS, SELLERS);
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
        return i % PAIRS >= 2;
    }

    /// What a side of a pair has: in its hands, credited, pledged, at stake, in the channel.
    function wealth(uint256 pair, bool ofSeller) external view returns (uint256 sum) {
        Evidence.Bond memory b = cases[pair].bond;
        address who = ofSeller ? b.seller : b.buyer;
        sum = b.token == COIN ? who.balance : token.balanceOf(who);
        sum += bonds.credited(b.token, who);
        if (!ofSeller && !finalized(b.channel)) {
            sum += escrow.getChannel(b.channel).deposit - settled(b.channel);
        }
        for (uint256 i = pair; i < cases.length; i += PAIRS) {
            bytes32 of_ = bonds.bondId(cases[i].bond);
            sum += ofSeller ? bonds.getBond(of_).ofSeller : bonds.getBond(of_).ofBuyer;
            if (bonds.pendingUntil(of_, ofSeller) != 0) sum += STAKE;
        }
    }

    // -------------------------------------------------------------------- coming and going

    /// Another pair, with a channel and terms; or another bond for the channel of one.
    function agreeOne() public {
        uint256 i = cases.length;
        if (i == 2 * PAIRS) return renew();
        if (i < PAIRS) {
            (buyer, seller) = (vm.addr(1000 + i), vm.addr(2000 + i));
            equip(buyer);
            equip(seller);
            agree(i % 4 == 0 || i % 4 == 3 ? COIN : address(token));
            topUp(channel, 1e6);
        } else {
            bond = cases[i - PAIRS].bond;
            bond.salt = bytes32(i);
        }
        cases.push();
        cases[i].bond = bond;
    }

    /// Of all bonds that are over each is followed by another for its channel, or where that is
    /// over, too, for the next one of the pair.
    function renew() private {
        for (uint256 i = 0; i < cases.length; ++i) {
            pick(i);
            if (!isDone(i)) continue;
            if (finalized(channel)) {
                uint256 pair = i % PAIRS;
                if (!isDone(pair) || !isDone(pair + PAIRS)) continue;
                channel = open(bond.token, DEPOSIT, bytes32(++renewed), bond.buyerKey);
                topUp(channel, 1e6);
                (had[pair], vouched[pair]) = (0, 0);
                cases[pair].bond.channel = cases[pair + PAIRS].bond.channel = channel;
            }
            cases[i].bond.salt = bytes32(++renewed);
        }
    }

    function isDone(uint256 i) private view returns (bool) {
        bytes32 of_ = bonds.bondId(cases[i].bond);
        Pledges.Held memory held = bonds.getBond(of_);
        bool ended = held.endsAt != 0 && held.endsAt <= time;
        bool pends = bonds.pendingUntil(of_, false) != 0 || bonds.pendingUntil(of_, true) != 0;
        return (ended || held.pledged > 3) && !pends && left[i][false] + left[i][true] == 0;
    }

    function equip(address who) private {
        vm.deal(who, BEGAN);
        token.mint(who, BEGAN);
        allow(who);
    }

    function pledgeOne(uint256 seed, bool bySeller) external {
        uint256 i = pick(seed);
        uint256 amount = bySeller ? SELLERS : BUYERS;
        uint256 value = coin(amount);
        vm.prank(bySeller ? seller : buyer);
        try bonds.pledge{value: value}(bond) {
            did("pledge");
            left[i][bySeller] = amount;
        } catch {}
    }

    function revokeOne(uint256 seed, bool bySeller) external {
        uint256 i = pick(seed);
        vm.prank(bySeller ? seller : buyer);
        try bonds.revoke(bond) {
            did("revoke");
            left[i][bySeller] = 0;
        } catch {}
    }

    function addOne(uint256 seed, bool bySeller, uint88 amount) external {
        uint256 i = pick(seed);
        amount = amount % 1000 + 1;
        uint256 value = coin(amount);
        vm.prank(bySeller ? seller : buyer);
        try bonds.add{value: value}(bond, amount) {
            did("add");
            left[i][bySeller] += amount;
        } catch {}
    }

    function requestEndOne(uint256 seed, bool bySeller) external {
        pick(seed);
        if ((seed >> 8) % 8 != 0) return;
        vm.prank(bySeller ? seller : buyer);
        try bonds.requestEnd(bond) {
            did("requestEnd");
        } catch {}
    }

    function endOne(uint256 seed, bool bySeller) external {
        uint256 i = pick(seed);
        vm.prank(bySeller ? seller : buyer);
        try bonds.end(bond) {
            did("end");
            must(answered(false) && answered(true), "ended under a complaint");
            (left[i][false], left[i][true]) = (0, 0);
        } catch {}
    }

    /// The other side's word, or as often somebody else's.
    function releaseOne(uint256 seed, bool ofSeller) external {
        uint256 i = pick(seed);
        if ((seed >> 8) % 8 != 0) return;
        uint256 by = ofSeller == ((seed >> 8) % 16 == 0) ? SIGNER_KEY : SELLER_KEY;
        Evidence.Word memory word_ = goodbye(by, id);
        vm.prank(stranger);
        try bonds.release(bond, ofSeller, word_) {
            did("release");
            must(by == (ofSeller ? SIGNER_KEY : SELLER_KEY), "released by another");
            left[i][ofSeller] = 0;
        } catch {}
    }

    function withdrawOne(uint256 seed, bool bySeller) external {
        pick(seed);
        address who = bySeller ? seller : buyer;
        vm.prank(who);
        try bonds.withdraw(bond.token, who) {
            did("withdraw");
        } catch {}
    }

    // ------------------------------------------------------------------ what a buyer brings

    /// What honest sellers sign contradicts nothing.
    function convictOne(uint256 seed, bool byInvoices) external {
        uint256 i = pick(seed);
        Evidence.Word memory key_ = key();
        bytes32 second = sellerCheats(i) && (seed >> 8) % 2 == 1 ? bytes32("b") : bytes32("a");
        Evidence.Item memory one = item(3, "a");
        Evidence.Item memory other = item(3, second);
        (Evidence.Invoice memory first, Evidence.Invoice memory last) =
            (invoice(1, "a", 42), invoice(1, second, 42));
        bytes memory data = byInvoices
            ? abi.encodeCall(bonds.convictOfInvoices, (bond, session, key_, first, last))
            : abi.encodeCall(bonds.convictOfItems, (bond, session, key_, one, other));
        if (!taken(buyer, data, 0)) return;
        did(byInvoices ? bytes32("convictOfInvoices") : bytes32("convictOfItems"));
        lose(i, true);
    }

    /// Of a root, or of the dataset, by an item or by an invoice. What cheating sellers signed is
    /// not there.
    function challengeOne(uint256 seed) external {
        uint256 i = pick(seed);
        uint256 place = (seed >> 8) % K;
        uint256 how = (seed >> 16) % 3;
        bytes32[] memory leaves = leavesOf(K);
        bytes32 content = sellerCheats(i) ? keccak256("made up") : ofRow(place);
        bytes memory data;
        Challenges.Challenge memory asked;
        if (how == 0) {
            bytes32 signed = sellerCheats(i) ? content : leaves[place];
            data = ofRoot(item(uint64(place + 1), signed), invoice(1, rootOf(leaves), 42));
            asked = Challenges.Challenge(signed, rootOf(leaves), uint32(place), K);
        } else {
            session.dataset = rootOf(dataset());
            Evidence.Item memory one = opened(uint64(place + 1), content);
            leaves[place] = one.leaf;
            data = how == 1 ? ofItem(one, content) : ofInvoiced(leaves, place, content);
            asked = Challenges.Challenge(row(content), session.dataset, ANYWHERE, ANYWHERE);
            session.dataset = 0;
        }
        if (!taken(buyer, data, STAKE)) return;
        did([bytes32("challengeRoot"), "challengeItem", "challengeInvoiced"][how]);
        (cases[i].challenged, cases[i].place) = (asked, place);
    }

    function ofRoot(Evidence.Item memory one, Evidence.Invoice memory of_)
        private
        view
        returns (bytes memory)
    {
        return abi.encodeCall(bonds.challengeRoot, (bond, session, key(), one, of_));
    }

    function ofItem(Evidence.Item memory one, bytes32 content) private view returns (bytes memory) {
        return abi.encodeCall(bonds.challengeItem, (bond, session, key(), one, LEAF_SALT, content));
    }

    function ofInvoiced(bytes32[] memory leaves, uint256 place, bytes32 content)
        private
        view
        returns (bytes memory)
    {
        Evidence.Opened memory one = Evidence.Opened(uint64(place + 1), LEAF_SALT, content, K);
        Evidence.Invoice memory of_ = invoice(1, rootOf(leaves), 42);
        return abi.encodeCall(
            bonds.challengeInvoiced, (bond, session, key(), of_, one, pathOf(leaves, place))
        );
    }

    function showOne(uint256 seed) external {
        show(pick(seed));
    }

    function concludeChallengeOne(uint256 seed, bool bySeller) external {
        uint256 i = pick(seed);
        vm.prank(bySeller ? seller : buyer);
        try bonds.concludeChallenge(bond) {
            did("concludeChallenge");
            lose(i, true);
        } catch {}
    }

    // ----------------------------------------------------------------- what a seller brings

    function demandOne(uint256 seed) external {
        uint256 i = pick(seed);
        // Around what was vouched for already.
        uint64 number = uint64(vouched[i % PAIRS] / 42 + (seed >> 8) % 3) + 1;
        uint128 total = uint128(7) * number * K * 3 / 2;
        (Evidence.Ack memory ack_, Evidence.Invoice memory of_) =
            (ack(number * K), invoice(number, "root", total));
        bytes memory data = abi.encodeCall(bonds.demand, (bond, session, order(), ack_, of_));
        if (!taken(seller, data, STAKE)) return;
        did("demand");
        uint128 paidBefore = number * K + W * K;
        cases[i].demand = Demands.Demand(name, total, session.base + total, paidBefore, number + W);
    }

    function payOne(uint256 seed) external {
        pay(pick(seed));
    }

    /// Any buyer may do so before it is asked.
    function payAheadOne(uint256 seed) external {
        uint256 i = pick(seed);
        uint128 amount = uint128(vouched[i % PAIRS] + (seed >> 8) % 60);
        uint256 due = owed(i, amount);
        bytes memory signature = sign(SIGNER_KEY, channel, amount);
        bytes memory data = abi.encodeCall(bonds.payAhead, (bond, amount, signature, amount));
        if (!taken(buyer, data, amount)) return;
        did("payAhead");
        if (due != 0) did("payAhead here");
        paid(i, due, amount);
    }

    /// A cheating seller has receipted more than it says; what an honest one signed receipts less,
    /// until it is paid. Where the seller has been paid meanwhile, nobody loses anything.
    function refuteOne(uint256 seed) external {
        uint256 i = pickAsked(seed);
        uint256 how = (seed >> 8) % 3;
        Demands.Demand memory asked = cases[i].demand;
        bool isOver = had[i % PAIRS] >= asked.voucher;
        bool signed = isOver || sellerCheats(i);
        uint128 total = signed ? asked.amountTotal : asked.amountTotal / 2;
        uint64 number = uint64(signed ? asked.lastUnpaid + 1 : asked.lastUnpaid);
        uint64 seq = uint64(signed ? asked.paidBefore : asked.paidBefore / 2);
        bytes memory data;
        if (how == 0) data = abi.encodeCall(bonds.refuteByItem, (bond, asked, item(seq, "leaf")));
        if (how == 1) {
            data = abi.encodeCall(bonds.refuteByInvoice, (bond, asked, invoice(number, "r", 9)));
        }
        if (how == 2) {
            Evidence.Receipt memory of_ = receipt(asked.amountTotal, total);
            data = abi.encodeCall(bonds.refuteByExit, (bond, asked, of_));
        }
        if (!taken(buyer, data, 0)) return;
        if (isOver) return did("refuted in vain");
        did([bytes32("refuteByItem"), "refuteByInvoice", "refuteByExit"][how]);
        give(i, false, STAKE);
        if (left[i][true] != 0) lose(i, true);
    }

    function concludeDemandOne(uint256 seed, bool bySeller) external {
        uint256 i = pickAsked(seed);
        Demands.Demand memory asked = cases[i].demand;
        bool isOver = had[i % PAIRS] >= asked.voucher;
        vm.prank(bySeller ? seller : buyer);
        try bonds.concludeDemand(bond, asked) {
            did(isOver ? bytes32("paid outside") : bytes32("concludeDemand"));
            if (!isOver) lose(i, false);
        } catch {}
    }

    function retractOne(uint256 seed) external {
        pick(seed);
        if ((seed >> 8) % 4 != 3) return;
        vm.prank(seller);
        try bonds.retract(bond) {
            did("retract");
            must(answered(true), "asked for all the same");
        } catch {}
    }

    // -------------------------------------------------------------- what comes of the channel

    /// The seller redeems what it demanded: it was paid beside the bond.
    function settleOne(uint256 seed) external {
        uint256 i = pick(seed);
        if ((seed >> 8) % 2 == 1) redeem(i);
    }

    function redeem(uint256 i) private {
        uint128 amount = cases[i].demand.voucher;
        if (amount == 0) return;
        bytes memory signature = sign(SIGNER_KEY, channel, amount);
        uint256 before = settled(channel);
        vm.prank(seller);
        try escrow.settle(channel, amount, signature) {
            did("settle");
            paid(i, amount - before, amount);
        } catch {}
    }

    function closeChannel(uint256 seed, bool bySeller) external {
        pick(seed);
        if ((seed >> 8) % 16 != 3) return;
        if (bySeller) {
            uint128 amount = escrow.getChannel(channel).settled;
            vm.prank(seller);
            try escrow.close(channel, amount, "") {
                did("close");
            } catch {}
        } else {
            vm.prank(buyer);
            try escrow.requestClose(channel) {} catch {}
            vm.prank(buyer);
            try escrow.withdraw(channel) {} catch {}
        }
    }

    /// Time passes, but not before those who are honest have answered, and were heard.
    function passTime(uint16 seconds_) external {
        for (uint256 i = 0; i < cases.length; ++i) {
            pick(i);
            if (!sellerCheats(i)) {
                show(i);
                must(answered(false), "a seller is not heard");
            }
            if (!buyerIsSilent(i)) {
                pay(i);
                must(answered(true), "a buyer is not heard");
            }
        }
        time += seconds_ % PERIOD;
        vm.warp(time);
    }

    // --------------------------------------------------------------------------- helping

    /// Whether no complaint of a side waits.
    function answered(bool bySeller) private view returns (bool) {
        return bonds.pendingUntil(id, bySeller) == 0;
    }

    function pick(uint256 seed) private returns (uint256 i) {
        i = seed % cases.length;
        bond = cases[i].bond;
        (buyer, seller, channel) = (bond.buyer, bond.seller, bond.channel);
        id = bonds.bondId(bond);
    }

    /// The next bond whose demand waits, if there is one. One in four sellers has redeemed by then.
    function pickAsked(uint256 seed) private returns (uint256 i) {
        i = pick(seed);
        for (uint256 n = 1; n < cases.length && answered(true); ++n) {
            i = pick(i + 1);
        }
        if ((seed >> 16) % 4 == 0) redeem(i);
    }

    /// Whether a call was taken; what is sent along is coin or not.
    function taken(address by, bytes memory data, uint256 amount) private returns (bool yes) {
        uint256 value = coin(amount);
        vm.prank(by);
        (yes,) = address(bonds).call{value: value}(data);
    }

    function show(uint256 i) private {
        Challenges.Challenge memory asked = cases[i].challenged;
        bytes32[] memory leaves = asked.index == ANYWHERE ? dataset() : leavesOf(K);
        uint256 place = cases[i].place;
        (uint32 index, uint32 of_) = (uint32(place), uint32(leaves.length));
        vm.prank(seller);
        try bonds.show(bond, asked, index, of_, pathOf(leaves, place)) {
            did("show");
            give(i, true, STAKE);
        } catch {}
    }

    function pay(uint256 i) private {
        Demands.Demand memory asked = cases[i].demand;
        if (answered(true)) return;
        if (escrow.getChannel(channel).closeRequestedAt != 0 && !finalized(channel)) {
            topUp(channel, 1);
        }
        (uint256 due, uint256 fee) = (owed(i, asked.voucher), FEE);
        if (had[i % PAIRS] >= asked.voucher) fee = 0;
        if (fee > left[i][false]) fee = left[i][false];
        bytes memory signature = sign(SIGNER_KEY, channel, asked.voucher);
        // All that was ever asked for stands beside it: a contract that takes more is found out.
        uint256 value = coin(asked.voucher);
        vm.prank(buyer);
        try bonds.pay{value: value}(bond, asked, asked.voucher, signature, asked.voucher) {
            did("pay");
            if (due != 0) did("pay here");
            left[i][false] -= fee;
            give(i, true, fee);
            paid(i, due, asked.voucher);
        } catch {}
    }

    /// What is paid in money, as the channel is over.
    function owed(uint256 i, uint256 voucher) private view returns (uint256) {
        uint256 before = had[i % PAIRS];
        return finalized(channel) && voucher > before ? voucher - before : 0;
    }
}
