// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {SdppEscrow} from "../src/SdppEscrow.sol";
import {PlainToken} from "./Tokens.sol";
import {Vm} from "./Vm.sol";

/// One escrow, a buyer that pays and a seller that is paid, and what each test needs to say.
abstract contract Base {
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    uint256 internal constant START = 1_800_000_000;
    uint64 internal constant GRACE = 15 minutes;
    uint256 internal constant BUYER_KEY = 0xb0b;
    uint256 internal constant OTHER_KEY = 0xd00d;
    address internal constant COIN = address(0);
    bytes32 internal constant SALT = keccak256("salt");
    uint256 private constant ORDER =
        0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141;

    SdppEscrow internal escrow;
    PlainToken internal token;
    address internal buyer;
    address internal seller;
    address internal stranger;

    function setUp() public virtual {
        vm.warp(START);
        escrow = new SdppEscrow(GRACE);
        token = new PlainToken();
        buyer = vm.addr(BUYER_KEY);
        seller = vm.addr(0x5e11e5);
        stranger = vm.addr(0x57a496e5);
        vm.deal(buyer, 1_000 ether);
        token.mint(buyer, 1_000 ether);
        vm.prank(buyer);
        token.approve(address(escrow), type(uint256).max);
    }

    // ---------------------------------------------------------------------------- doing

    function open(uint128 deposit) internal returns (bytes32) {
        return open(COIN, deposit, SALT, address(0));
    }

    function open(address asset, uint128 deposit, bytes32 salt, address signer)
        internal
        returns (bytes32)
    {
        vm.prank(buyer);
        return escrow.open{value: asset == COIN ? deposit : 0}(seller, asset, deposit, salt, signer);
    }

    function settle(bytes32 id, uint128 amount) internal {
        bytes memory signature = sign(id, amount);
        vm.prank(seller);
        escrow.settle(id, amount, signature);
    }

    function close(bytes32 id, uint128 amount) internal {
        bytes memory signature = sign(id, amount);
        vm.prank(seller);
        escrow.close(id, amount, signature);
    }

    function requestClose(bytes32 id) internal {
        vm.prank(buyer);
        escrow.requestClose(id);
    }

    function topUp(bytes32 id, uint128 amount) internal {
        uint256 value = escrow.getChannel(id).token == COIN ? amount : 0;
        vm.prank(buyer);
        escrow.topUp{value: value}(id, amount);
    }

    function withdraw(bytes32 id) internal {
        vm.prank(buyer);
        escrow.withdraw(id);
    }

    /// Ends a channel without the seller.
    function waitAndWithdraw(bytes32 id) internal {
        requestClose(id);
        vm.warp(block.timestamp + GRACE);
        withdraw(id);
    }

    // -------------------------------------------------------------------------- signing

    function sign(bytes32 id, uint128 amount) internal view returns (bytes memory) {
        return sign(BUYER_KEY, id, amount);
    }

    function sign(uint256 key, bytes32 id, uint128 amount) internal view returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, escrow.getVoucherDigest(id, amount));
        return abi.encodePacked(r, s, v);
    }

    /// A row of a batch.
    function row(bytes32 id, uint128 amount) internal view returns (bytes memory) {
        return row(id, amount, sign(id, amount));
    }

    function row(bytes32 id, uint128 amount, bytes memory signature)
        internal
        pure
        returns (bytes memory)
    {
        return abi.encodePacked(id, amount, signature);
    }

    /// The other signature that ecrecover takes for the same: high s, and v turned.
    function malleate(bytes memory signature) internal pure returns (bytes memory) {
        (bytes32 r, bytes32 s, uint8 v) = split(signature);
        return abi.encodePacked(r, bytes32(ORDER - uint256(s)), uint8(55 - v));
    }

    function split(bytes memory signature) internal pure returns (bytes32 r, bytes32 s, uint8 v) {
        assembly ("memory-safe") {
            r := mload(add(signature, 32))
            s := mload(add(signature, 64))
            v := byte(0, mload(add(signature, 96)))
        }
    }

    // ------------------------------------------------------------------------- checking

    /// The next call is refused with just this.
    function refused(bytes4 why) internal {
        vm.expectRevert(why);
    }

    /// No contract is made with this. By a call, as forge overlooks it when a `new` that should be
    /// refused is not.
    function notFounded(function(uint64) external found, uint64 period, bytes4 why) internal {
        try found(period) {
            revert("a period out of range was taken");
        } catch (bytes memory reason) {
            require(bytes4(reason) == why, "another refusal");
        }
    }

    function settled(bytes32 id) internal view returns (uint128) {
        return escrow.getChannel(id).settled;
    }

    function finalized(bytes32 id) internal view returns (bool) {
        return escrow.getChannel(id).finalized;
    }

    function assertEq(uint256 a, uint256 b, string memory what) internal pure {
        require(a == b, string.concat(what, ": ", vm.toString(a), ", not ", vm.toString(b)));
    }

    function assertEq(uint256 a, uint256 b) internal pure {
        assertEq(a, b, "amount");
    }

    function assertEq(address a, address b) internal pure {
        require(a == b, "another account");
    }

    function assertEq(bytes32 a, bytes32 b) internal pure {
        require(a == b, "other bytes");
    }
}
