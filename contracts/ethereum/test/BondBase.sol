// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {SdppBonds} from "../src/SdppBonds.sol";
import {Evidence} from "../src/bonds/Evidence.sol";
import {Base} from "./Base.sol";

/// A channel under a bond, a session on it, and what either side signs there.
abstract contract BondBase is Base {
    uint64 internal constant PERIOD = 1 hours;
    uint256 internal constant SIGNER_KEY = 0xb0b2;
    uint256 internal constant SELLER_KEY = 0x5e11;
    uint128 internal constant DEPOSIT = 1_000;
    uint88 internal constant BUYERS = 500;
    uint88 internal constant SELLERS = 601;
    uint88 internal constant STAKE = 40;
    uint88 internal constant FEE = 30;
    uint32 internal constant K = 4;
    uint32 internal constant W = 2;
    uint8 internal constant ORDER = 3;
    uint8 internal constant SESSION_KEY = 4;
    uint8 internal constant DATA = 5;
    uint8 internal constant ACK = 6;
    uint8 internal constant INVOICE = 7;
    uint8 internal constant PAYMENT_ACK = 8;
    uint8 internal constant EXIT = 10;
    uint32 internal constant ANYWHERE = type(uint32).max;
    bytes32 internal constant NOTHING = keccak256("");

    SdppBonds internal bonds;
    bytes32 internal channel;
    Evidence.Bond internal bond;
    bytes32 internal id;
    Evidence.Session internal session;
    bytes32 internal name;

    function setUp() public virtual override {
        super.setUp();
        bonds = new SdppBonds(escrow, PERIOD);
        vm.deal(seller, 1_000 ether);
        token.mint(seller, 1_000 ether);
        allow(buyer);
        allow(seller);
        agree(COIN);
    }

    /// Lets both contracts take the token from an account.
    function allow(address who) internal {
        vm.prank(who);
        token.approve(address(bonds), type(uint256).max);
        vm.prank(who);
        token.approve(address(escrow), type(uint256).max);
    }

    /// Opens a channel in a token, and agrees on a bond and a session for it.
    function agree(address asset) internal {
        channel = open(asset, DEPOSIT, SALT, vm.addr(SIGNER_KEY));
        bond = Evidence.Bond({
            buyer: buyer,
            seller: seller,
            buyerKey: vm.addr(SIGNER_KEY),
            sellerKey: vm.addr(SELLER_KEY),
            token: asset,
            channel: channel,
            buyerAmount: BUYERS,
            sellerAmount: SELLERS,
            stake: STAKE,
            fee: FEE,
            salt: SALT
        });
        id = bonds.bondId(bond);
        session = Evidence.Session({
            menu: keccak256("menu"),
            order: keccak256("order"),
            base: 10,
            price: 7,
            numerator: 3,
            denominator: 2,
            granularity: K,
            windows: W,
            dataset: 0
        });
        name = nameOf(session);
    }

    /// Agrees on another bond for the channel.
    function agreeAgain(bytes32 salt) internal {
        bond.salt = salt;
        id = bonds.bondId(bond);
    }

    // ---------------------------------------------------------------------------- doing

    /// What a call sends along where the bond is in coin.
    function coin(uint256 amount) internal view returns (uint256) {
        return bond.token == COIN ? amount : 0;
    }

    function pledge(address who, uint256 amount) internal {
        uint256 value = coin(amount);
        vm.prank(who);
        bonds.pledge{value: value}(bond);
    }

    function pledgeBoth() internal {
        pledge(buyer, BUYERS);
        pledge(seller, SELLERS);
    }

    function requestEnd(address who) internal {
        vm.prank(who);
        bonds.requestEnd(bond);
    }

    function end(address who) internal {
        vm.prank(who);
        bonds.end(bond);
    }

    /// The seller ends the channel, of which it has redeemed nothing.
    function sellerCloses() internal {
        vm.prank(seller);
        escrow.close(channel, 0, "");
    }

    function pass(uint256 seconds_) internal {
        vm.warp(block.timestamp + seconds_);
    }

    // -------------------------------------------------------------------------- signing

    function nameOf(Evidence.Session memory s) internal pure returns (bytes32) {
        return keccak256(bytes.concat("SDPP/1 session", s.menu, s.order));
    }

    /// What order and session key commit to, written out as PROTOCOL.md has it.
    function terms(Evidence.Session memory s) internal view returns (bytes32) {
        bytes memory first = abi.encodePacked("SDPP/1 bond", id, s.base, s.price);
        bytes memory then = abi.encodePacked(s.numerator, s.denominator, s.granularity, s.windows);
        return keccak256(bytes.concat(first, then, s.dataset));
    }

    /// Signs the layout of a message whose data is `data`, with no verification.
    function word(
        uint256 by,
        bytes32 under,
        uint8 kind,
        uint64 number,
        bytes32 commitment,
        uint128 amount,
        bytes32 data
    ) internal pure returns (Evidence.Word memory) {
        bytes memory message = abi.encodePacked(
            hex"19534450502f310a", under, kind, number, commitment, amount, data, NOTHING
        );
        require(message.length == 161, "layout");
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(by, keccak256(message));
        return Evidence.Word(data, NOTHING, r, s, v);
    }

    /// The seller's session key, which commits to the terms.
    function key() internal view returns (Evidence.Word memory) {
        return keyFor(session);
    }

    function keyFor(Evidence.Session memory s) internal view returns (Evidence.Word memory) {
        return word(SELLER_KEY, nameOf(s), SESSION_KEY, 0, terms(s), 0, keccak256("key"));
    }

    /// The buyer's order, which commits to the terms.
    function order() internal view returns (Evidence.Word memory) {
        return orderFor(session);
    }

    function orderFor(Evidence.Session memory s) internal view returns (Evidence.Word memory) {
        return word(SIGNER_KEY, 0, ORDER, 0, terms(s), 0, s.order);
    }

    function item(uint64 seq, bytes32 leaf) internal view returns (Evidence.Item memory) {
        return itemBy(SELLER_KEY, name, seq, leaf);
    }

    function itemBy(uint256 by, bytes32 under, uint64 seq, bytes32 leaf)
        internal
        pure
        returns (Evidence.Item memory)
    {
        return Evidence.Item(seq, leaf, word(by, under, DATA, seq, leaf, 0, keccak256("an item")));
    }

    function invoice(uint64 number, bytes32 root, uint128 total)
        internal
        view
        returns (Evidence.Invoice memory)
    {
        return invoiceBy(SELLER_KEY, name, number, root, total, keccak256("an invoice"));
    }

    function invoiceBy(
        uint256 by,
        bytes32 under,
        uint64 number,
        bytes32 root,
        uint128 total,
        bytes32 data
    ) internal pure returns (Evidence.Invoice memory) {
        Evidence.Word memory signed = word(by, under, INVOICE, number, root, total, data);
        return Evidence.Invoice(number, root, total, signed);
    }

    function ack(uint64 seq) internal view returns (Evidence.Ack memory) {
        return ackBy(SIGNER_KEY, name, seq);
    }

    function ackBy(uint256 by, bytes32 under, uint64 seq)
        internal
        pure
        returns (Evidence.Ack memory)
    {
        bytes32 digest = keccak256(abi.encode(seq));
        Evidence.Word memory signed = word(by, under, ACK, seq, digest, 0, keccak256("ack"));
        return Evidence.Ack(ACK, seq, digest, 0, signed);
    }

    function paymentAck(uint64 number, uint128 total) internal view returns (Evidence.Ack memory) {
        Evidence.Word memory signed =
            word(SIGNER_KEY, name, PAYMENT_ACK, number, 0, total, keccak256("payment"));
        return Evidence.Ack(PAYMENT_ACK, number, 0, total, signed);
    }

    function receipt(uint128 total, uint128 paid) internal view returns (Evidence.Receipt memory) {
        return receiptBy(SELLER_KEY, name, total, paid);
    }

    function receiptBy(uint256 by, bytes32 under, uint128 total, uint128 paid)
        internal
        pure
        returns (Evidence.Receipt memory)
    {
        bytes32 commitment = bytes32(uint256(paid));
        return Evidence.Receipt(
            total, paid, word(by, under, EXIT, 0, commitment, total, keccak256("exit"))
        );
    }

    /// An exit from the bond itself.
    function goodbye(uint256 by, bytes32 from) internal pure returns (Evidence.Word memory) {
        return word(by, from, EXIT, 0, 0, 0, NOTHING);
    }

    function nobody() internal pure returns (Evidence.Word memory none) {}

    // --------------------------------------------------------------------- leaves, roots

    function node(bytes32 left, bytes32 right) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(bytes1(0x01), left, right));
    }

    /// The root of a window, level by level.
    function rootOf(bytes32[] memory leaves) internal pure returns (bytes32) {
        uint256 width = leaves.length;
        bytes32[] memory level = leaves;
        while (width > 1) {
            bytes32[] memory above = new bytes32[]((width + 1) / 2);
            for (uint256 i = 0; i < above.length; ++i) {
                above[i] = 2 * i + 1 < width ? node(level[2 * i], level[2 * i + 1]) : level[2 * i];
            }
            level = above;
            width = above.length;
        }
        return level[0];
    }

    /// The sisters of a leaf from below, by another way than the contract's.
    function pathOf(bytes32[] memory leaves, uint256 place)
        internal
        pure
        returns (bytes32[] memory path)
    {
        bytes32[] memory level = leaves;
        while (level.length > 1) {
            uint256 sister = place % 2 == 0 ? place + 1 : place - 1;
            if (sister < level.length) path = pushed(path, level[sister]);
            bytes32[] memory above = new bytes32[]((level.length + 1) / 2);
            for (uint256 i = 0; i < above.length; ++i) {
                above[i] =
                    2 * i + 1 < level.length ? node(level[2 * i], level[2 * i + 1]) : level[2 * i];
            }
            level = above;
            place /= 2;
        }
    }

    function pushed(bytes32[] memory list, bytes32 one) internal pure returns (bytes32[] memory) {
        bytes32[] memory longer = new bytes32[](list.length + 1);
        for (uint256 i = 0; i < list.length; ++i) {
            longer[i] = list[i];
        }
        longer[list.length] = one;
        return longer;
    }

    function leavesOf(uint256 count) internal pure returns (bytes32[] memory leaves) {
        leaves = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) {
            leaves[i] = keccak256(abi.encode("leaf", i));
        }
    }

    // -------------------------------------------------------------------------- dataset

    /// The salt of the leaves that are opened.
    bytes32 internal constant LEAF_SALT = keccak256("leaf's salt");

    /// A dataset of five rows; `ofRow` is what its items are.
    function dataset() internal pure returns (bytes32[] memory rows) {
        rows = new bytes32[](5);
        for (uint256 i = 0; i < 5; ++i) {
            rows[i] = row(ofRow(i));
        }
    }

    function ofRow(uint256 i) internal pure returns (bytes32) {
        return keccak256(abi.encode("item", i));
    }

    function row(bytes32 content) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(bytes1(0), content));
    }

    /// An item whose leaf is that of the content.
    function opened(uint64 seq, bytes32 content) internal view returns (Evidence.Item memory) {
        return item(seq, keccak256(bytes.concat(bytes1(0), name, bytes8(seq), LEAF_SALT, content)));
    }

    // ------------------------------------------------------------------------- checking

    function ofBuyer() internal view returns (uint256) {
        return bonds.getBond(id).ofBuyer;
    }

    function ofSeller() internal view returns (uint256) {
        return bonds.getBond(id).ofSeller;
    }

    function credit(address who) internal view returns (uint256) {
        return bonds.credited(bond.token, who);
    }

    /// What both have to come for, and what is burnt.
    function assertCredits(uint256 toBuyer, uint256 toSeller, uint256 burned) internal view {
        assertEq(credit(buyer), toBuyer, "the buyer's");
        assertEq(credit(seller), toSeller, "the seller's");
        assertEq(bonds.burnt(bond.token), burned, "burnt");
    }

    /// All that is held here is somebody's, or burnt.
    function assertSum(uint256 stakes) internal view {
        uint256 sum = ofBuyer() + ofSeller() + credit(buyer) + credit(seller) + stakes
            + bonds.burnt(bond.token);
        uint256 held = bond.token == COIN ? address(bonds).balance : token.balanceOf(address(bonds));
        assertEq(held, sum, "held");
    }
}
