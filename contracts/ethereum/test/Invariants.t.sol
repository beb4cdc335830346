// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {SdppEscrow} from "../src/SdppEscrow.sol";
import {Meddler, Party} from "./Accounts.sol";
import {Base} from "./Base.sol";
import {PlainToken} from "./Tokens.sol";
import {Walk} from "./Walk.sol";

/// Does what parties may do, and much that they may not, in any order: amounts and keys are as
/// often wrong as right, and who receives coin may refuse it.
contract Handler is Base {
    uint256 private constant KEYS = 3;

    SdppEscrow public immutable target;
    PlainToken public immutable asset;
    Party[2] public payees;
    bytes32[] public ids;
    mapping(bytes32 id => uint128 most) public vouched;
    mapping(bytes32 id => uint128 amount) public lastSettled;
    /// What went in and out, by token and account, as the rules have it.
    mapping(address token => mapping(address account => int256 flow)) public due;
    uint256 public time;

    constructor() {
        super.setUp();
        (target, asset) = (escrow, token);
        payees = [new Party(), new Party()];
        for (uint256 i = 0; i < KEYS; ++i) {
            vm.deal(payer(i), 1e30);
            asset.mint(payer(i), 1e30);
            vm.prank(payer(i));
            asset.approve(address(target), type(uint256).max);
        }
        time = START;
    }

    function setUp() public override {}

    function payer(uint256 seed) public pure returns (address) {
        return vm.addr(1 + seed % KEYS);
    }

    function count() external view returns (uint256) {
        return ids.length;
    }

    function keyOf(address account) public pure returns (uint256) {
        for (uint256 i = 0; i < KEYS; ++i) {
            if (payer(i) == account) return 1 + i;
        }
        revert("no key");
    }

    /// The key whose vouchers a channel takes.
    function keyFor(bytes32 id) public view returns (uint256) {
        SdppEscrow.Channel memory c = target.getChannel(id);
        return keyOf(c.authorizedSigner == address(0) ? c.payer : c.authorizedSigner);
    }

    // -------------------------------------------------------------------------- actions

    function openOne(uint256 seed, uint88 deposit, bool coin, bool delegated) external {
        deposit = deposit % 1e20 + 1;
        (address from, address token_) = (payer(seed), coin ? COIN : address(asset));
        address signer = delegated ? payer(seed / 7) : address(0);
        vm.prank(from);
        bytes32 id = target.open{value: coin ? deposit : 0}(
            address(payees[seed % 2]), token_, deposit, bytes32(ids.length), signer
        );
        ids.push(id);
        due[token_][from] -= int256(uint256(deposit));
    }

    function topUpOne(uint256 seed, uint88 more) external {
        (bytes32 id, SdppEscrow.Channel memory c) = pick(seed);
        more = more % 1e20 + 1;
        vm.prank(c.payer);
        try target.topUp{value: c.token == COIN ? more : 0}(id, more) {
            due[c.token][c.payer] -= int256(uint256(more));
        } catch {
            require(c.finalized, "top up");
        }
    }

    function redeemOne(uint256 seed, uint128 amount, bool closing, bool wrongKey) external {
        (bytes32 id, SdppEscrow.Channel memory c) = pick(seed);
        amount = near(c, seed, amount);
        bytes memory signature = voucher(id, amount, wrongKey);
        bytes memory data = closing
            ? abi.encodeCall(SdppEscrow.close, (id, amount, signature))
            : abi.encodeCall(SdppEscrow.settle, (id, amount, signature));
        try Party(payable(c.payee)).act(address(target), data) {
            book(id, c);
        } catch {}
    }

    function redeemMany(uint256 seed, uint128 amount, bool closing) external {
        bytes memory rows;
        Party payee = payees[seed % 2];
        uint256 number = seed % 5;
        bytes32[] memory picked = new bytes32[](number);
        SdppEscrow.Channel[] memory before = new SdppEscrow.Channel[](number);
        for (uint256 i = 0; i < number; ++i) {
            seed = uint256(keccak256(abi.encode(seed)));
            (picked[i], before[i]) = pick(seed);
            uint128 a = near(before[i], seed, amount);
            rows = bytes.concat(rows, row(picked[i], a, voucher(picked[i], a, seed % 4 == 0)));
        }
        payee.act(
            address(target),
            closing
                ? abi.encodeCall(SdppEscrow.closeMany, (rows))
                : abi.encodeCall(SdppEscrow.settleMany, (rows))
        );
        for (uint256 i = 0; i < number; ++i) {
            bool again;
            for (uint256 j = 0; j < i; ++j) {
                again = again || picked[j] == picked[i];
            }
            if (!again) book(picked[i], before[i]);
        }
    }

    function requestCloseOne(uint256 seed) external {
        (bytes32 id, SdppEscrow.Channel memory c) = pick(seed);
        if (c.finalized) return;
        vm.prank(c.payer);
        target.requestClose(id);
    }

    function withdrawOne(uint256 seed) external {
        (bytes32 id, SdppEscrow.Channel memory c) = pick(seed);
        vm.prank(c.payer);
        try target.withdraw(id) {
            require(c.closeRequestedAt != 0 && time >= c.closeRequestedAt + GRACE, "too soon");
            book(id, c);
        } catch {}
    }

    function passTime(uint16 seconds_) external {
        time += seconds_ % 1200;
        vm.warp(time);
    }

    function changeMood(uint256 seed, uint8 mood) external {
        payees[seed % 2].be(Party.Mood(mood % 4));
    }

    function takeCredit(uint256 seed) external {
        Party payee = payees[seed % 2];
        bytes memory data = abi.encodeCall(SdppEscrow.withdrawCredit, (COIN, address(payee)));
        try payee.act(address(target), data) {} catch {}
    }

    // --------------------------------------------------------------------------- helping

    function pick(uint256 seed) private returns (bytes32 id, SdppEscrow.Channel memory c) {
        if (ids.length == 0) this.openOne(seed, uint88(seed), seed % 2 == 0, seed % 3 == 0);
        id = ids[(seed >> 8) % ids.length];
        c = target.getChannel(id);
    }

    /// An amount at or near the borders more often than not.
    function near(SdppEscrow.Channel memory c, uint256 seed, uint128 amount)
        private
        pure
        returns (uint128)
    {
        uint256 dice = (seed >> 16) % 6;
        if (dice == 0) return c.settled;
        if (dice == 1) return c.deposit;
        if (dice == 2) return c.deposit + 1;
        if (dice == 3) return c.settled == 0 ? 0 : c.settled - 1;
        return c.settled + amount % (c.deposit - c.settled + 1);
    }

    function voucher(bytes32 id, uint128 amount, bool wrongKey) private returns (bytes memory) {
        uint256 key = keyFor(id);
        if (wrongKey) return sign(key % KEYS + 1, id, amount);
        if (amount > vouched[id]) vouched[id] = amount;
        return sign(key, id, amount);
    }

    /// Writes down who is due what for what a channel did between then and now.
    function book(bytes32 id, SdppEscrow.Channel memory then) private {
        SdppEscrow.Channel memory c = target.getChannel(id);
        require(c.settled >= then.settled, "settled shrank");
        due[c.token][c.payee] += int256(uint256(c.settled - then.settled));
        if (c.finalized && !then.finalized) {
            due[c.token][c.payer] += int256(uint256(c.deposit - c.settled));
        }
        lastSettled[id] = c.settled;
    }
}

/// What must hold whatever is called in whatever order.
contract InvariantsTest is Base, Walk {
    Handler private handler;

    function setUp() public override {
        handler = new Handler();
        (escrow, token) = (handler.target(), handler.asset());
    }

    function steps() internal view override returns (address, bytes4[] memory calls) {
        calls = new bytes4[](9);
        calls[0] = Handler.openOne.selector;
        calls[1] = Handler.topUpOne.selector;
        calls[2] = Handler.redeemOne.selector;
        calls[3] = Handler.redeemMany.selector;
        calls[4] = Handler.requestCloseOne.selector;
        calls[5] = Handler.withdrawOne.selector;
        calls[6] = Handler.passTime.selector;
        calls[7] = Handler.changeMood.selector;
        calls[8] = Handler.takeCredit.selector;
        return (address(handler), calls);
    }

    /// Deposits less what was settled, and what is credited, are what the contract holds.
    function invariant_the_contract_holds_what_it_owes() public view {
        (uint256 coin, uint256 tokens) = owedToChannels();
        coin += credits(COIN);
        tokens += credits(address(token));
        assertEq(address(escrow).balance, coin, "coin");
        assertEq(token.balanceOf(address(escrow)), tokens, "tokens");
    }

    /// Nobody gets more than the amount signed and the deposit.
    function invariant_no_more_than_signed_and_deposited() public view {
        for (uint256 i = 0; i < handler.count(); ++i) {
            bytes32 id = handler.ids(i);
            SdppEscrow.Channel memory c = escrow.getChannel(id);
            require(c.settled <= c.deposit, "more than deposited");
            require(c.settled <= handler.vouched(id), "more than signed");
        }
    }

    /// Everyone has just what the channels say: paid out or credited, once.
    function invariant_each_has_what_is_its_own() public view {
        for (uint256 i = 0; i < 3; ++i) {
            address payer = handler.payer(i);
            has(payer, COIN, 1e30);
            has(payer, address(token), 1e30);
        }
        for (uint256 i = 0; i < 2; ++i) {
            has(address(handler.payees(i)), COIN, 0);
            has(address(handler.payees(i)), address(token), 0);
        }
    }

    /// From every state each honest party gets out without the other, in a known time.
    function invariant_each_gets_out_alone() public {
        for (uint256 i = 0; i < handler.count(); ++i) {
            bytes32 id = handler.ids(i);
            SdppEscrow.Channel memory c = escrow.getChannel(id);
            if (c.finalized) continue;
            if (i % 2 == 0) payerGetsOut(id, c);
            else payeeGetsOut(id, c);
        }
    }

    /// No voucher is good elsewhere, for another amount, or once a channel is finalized.
    function invariant_no_voucher_is_good_elsewhere_or_again() public {
        SdppEscrow other = new SdppEscrow(GRACE);
        for (uint256 i = 0; i < handler.count(); ++i) {
            bytes32 id = handler.ids(i);
            SdppEscrow.Channel memory c = escrow.getChannel(id);
            uint256 key = handler.keyFor(id);
            uint128 next = c.settled + 1;
            (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, other.getVoucherDigest(id, next));
            refusedTo(c.payee, id, next, abi.encodePacked(r, s, v));
            refusedTo(
                c.payee, id, next, sign(key, handler.ids((i + 1) % handler.count()), next + 1)
            );
            refusedTo(c.payee, id, next, malleate(sign(key, id, next)));
            if (c.finalized) refusedTo(c.payee, id, c.deposit, sign(key, id, c.deposit));
            refusedTo(c.payee, id, c.settled, sign(key, id, c.settled));
        }
    }

    /// A third party changes nothing.
    function invariant_a_third_party_changes_nothing() public {
        if (handler.count() == 0) return;
        Meddler meddler = new Meddler();
        for (uint256 i = 0; i < handler.count(); ++i) {
            bytes32 id = handler.ids(i);
            bytes32 before = keccak256(abi.encode(escrow.getChannel(id)));
            uint128 deposit = escrow.getChannel(id).deposit;
            meddler.meddle(escrow, id, deposit, sign(handler.keyFor(id), id, deposit));
            assertEq(before, keccak256(abi.encode(escrow.getChannel(id))));
        }
        assertEq(address(meddler).balance, 0);
    }

    // --------------------------------------------------------------------------- helping

    function owedToChannels() private view returns (uint256 coin, uint256 tokens) {
        for (uint256 i = 0; i < handler.count(); ++i) {
            SdppEscrow.Channel memory c = escrow.getChannel(handler.ids(i));
            uint256 owed = c.finalized ? 0 : c.deposit - c.settled;
            if (c.token == COIN) coin += owed;
            else tokens += owed;
        }
    }

    function credits(address asset) private view returns (uint256 sum) {
        for (uint256 i = 0; i < 3; ++i) {
            sum += escrow.credited(asset, handler.payer(i));
        }
        for (uint256 i = 0; i < 2; ++i) {
            sum += escrow.credited(asset, address(handler.payees(i)));
        }
    }

    function wealth(address account, address asset) private view returns (uint256) {
        uint256 held = asset == COIN ? account.balance : token.balanceOf(account);
        return held + escrow.credited(asset, account);
    }

    function has(address account, address asset, uint256 began) private view {
        int256 expected = int256(began) + handler.due(asset, account);
        assertEq(wealth(account, asset), uint256(expected), "own");
    }

    function payerGetsOut(bytes32 id, SdppEscrow.Channel memory c) private {
        uint256 before = wealth(c.payer, c.token);
        vm.prank(c.payer);
        escrow.requestClose(id);
        vm.warp(handler.time() + GRACE);
        vm.prank(c.payer);
        escrow.withdraw(id);
        assertEq(wealth(c.payer, c.token) - before, c.deposit - c.settled, "payer out");
        vm.warp(handler.time());
    }

    function payeeGetsOut(bytes32 id, SdppEscrow.Channel memory c) private {
        uint256 before = wealth(c.payee, c.token);
        bytes memory signature = sign(handler.keyFor(id), id, c.deposit);
        vm.prank(c.payee);
        // So much that a payee that burns it leaves the next ones theirs.
        escrow.close{gas: 10_000_000}(id, c.deposit, signature);
        assertEq(wealth(c.payee, c.token) - before, c.deposit - c.settled, "payee out");
        require(finalized(id));
    }

    function refusedTo(address payee, bytes32 id, uint128 amount, bytes memory signature) private {
        vm.prank(payee);
        try escrow.settle(id, amount, signature) {
            revert("a voucher that is not good was taken");
        } catch {}
    }
}
