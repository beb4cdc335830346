// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {SdppBonds} from "../src/SdppBonds.sol";
import {SdppEscrow} from "../src/SdppEscrow.sol";
import {Challenges} from "../src/bonds/Challenges.sol";
import {Demands} from "../src/bonds/Demands.sol";
import {Evidence} from "../src/bonds/Evidence.sol";
import {BondBase} from "./BondBase.sol";

/// What is asked of forge's cheat codes here alone.
interface Json {
    function parseJsonAddress(string calldata text, string calldata key) external returns (address);
    function parseJsonBytes(string calldata text, string calldata key)
        external
        returns (bytes memory);
    function parseJsonBytes32(string calldata text, string calldata key) external returns (bytes32);
    function parseJsonBytes32Array(string calldata text, string calldata key)
        external
        returns (bytes32[] memory);
    function parseJsonString(string calldata text, string calldata key)
        external
        returns (string memory);
    function parseJsonUint(string calldata text, string calldata key) external returns (uint256);
    function readFile(string calldata path) external view returns (string memory);
}

/// The vectors that the Rust side makes and keeps to: these tests make the same bytes from the same
/// fields, and the contract, from the artifact that is checked in, takes them as evidence.
contract BondVectorsTest is BondBase {
    Json private constant json = Json(address(vm));

    string private file;

    function setUp() public override {
        super.setUp();
        file = json.readFile("../../tests/vectors/bonds.json");
        address deployer = json.parseJsonAddress(file, ".deployer");
        escrow = SdppEscrow(deployed(deployer, "SdppEscrow.json", abi.encode(GRACE)));
        bonds = SdppBonds(deployed(deployer, "SdppBonds.json", abi.encode(escrow, PERIOD)));
        bond = abi.decode(json.parseJsonBytes(file, ".bond.words"), (Evidence.Bond));
        (buyer, seller) = (bond.buyer, bond.seller);
        vm.deal(buyer, 1 ether);
        vm.deal(seller, 1 ether);
        id = bonds.bondId(bond);
        session = Evidence.Session({
            menu: word32(".terms.menu"),
            order: word32(".terms.order"),
            base: uint128(number(".terms.base")),
            price: uint128(number(".terms.price")),
            numerator: uint128(number(".terms.numerator")),
            denominator: uint128(number(".terms.denominator")),
            granularity: uint32(number(".terms.granularity")),
            windows: uint32(number(".terms.windows")),
            dataset: word32(".terms.dataset")
        });
        name = nameOf(session);
        vm.prank(buyer);
        channel = escrow.open{value: number(".channel.deposit")}(
            seller,
            COIN,
            uint128(number(".channel.deposit")),
            word32(".channel.salt"),
            bond.buyerKey
        );
        pledgeBoth();
    }

    function deployed(address by, string memory artifact, bytes memory arguments)
        private
        returns (address made)
    {
        bytes memory code = json.parseJsonBytes(json.readFile(artifact), ".bytecode");
        code = bytes.concat(code, arguments);
        vm.prank(by);
        assembly ("memory-safe") {
            made := create(0, add(code, 32), mload(code))
        }
    }

    // ------------------------------------------------------------------------ the same bytes

    function test_ids_terms_and_leaves_are_the_vectors() public {
        assertEq(address(escrow), json.parseJsonAddress(file, ".escrow"));
        assertEq(address(bonds), json.parseJsonAddress(file, ".bonds"));
        assertEq(channel, word32(".channel.id"));
        assertEq(id, word32(".bond.id"));
        assertEq(bonds.termsOf(id, session), word32(".terms.digest"));
        assertEq(terms(session), word32(".terms.digest"));
        assertEq(name, word32(".session"));
        bytes32 digest = escrow.getVoucherDigest(channel, uint128(number(".voucher.amount")));
        assertEq(digest, word32(".voucher.digest"));
        for (uint64 seq = 2; seq <= 4; seq += 2) {
            string memory at_ = seq == 2 ? ".item_2" : ".item_4";
            bytes32 salt = word32(string.concat(at_, ".salt"));
            bytes memory opened_ = bytes.concat(bytes1(0), name, bytes8(seq), salt, content(at_));
            assertEq(keccak256(opened_), word32(string.concat(at_, ".in_window.leaf")));
            assertEq(row(content(at_)), word32(string.concat(at_, ".in_dataset.leaf")));
        }
    }

    /// Who signs the same layout with the same key has the same signature.
    function test_each_message_is_signed_as_the_vectors_are() public {
        string[12] memory all = [
            "order",
            "session_key",
            "data",
            "data_again",
            "data_beyond",
            "data_invoice",
            "data_invoice_again",
            "data_invoice_beyond",
            "ack",
            "payment_ack",
            "exit",
            "exit_from_bond"
        ];
        for (uint256 i = 0; i < all.length; ++i) {
            string memory at_ = string.concat(".messages.", all[i]);
            Evidence.Word memory theirs = said(all[i]);
            Evidence.Word memory ours = word(
                uint256(word32(string.concat(at_, ".secret_key"))),
                word32(string.concat(at_, ".session")),
                uint8(number(string.concat(at_, ".kind"))),
                uint64(number(string.concat(at_, ".number"))),
                word32(string.concat(at_, ".commitment")),
                uint128(number(string.concat(at_, ".amount_total"))),
                theirs.data
            );
            assertEq(keccak256(abi.encode(ours)), keccak256(abi.encode(theirs)));
            bytes memory whole = json.parseJsonBytes(file, string.concat(at_, ".layout"));
            assertEq(whole.length, 161);
            assertEq(keccak256(whole), word32(string.concat(at_, ".digest")));
        }
        bytes memory ours_ = sign(
            uint256(word32(".voucher.secret_key")), channel, uint128(number(".voucher.amount"))
        );
        assertEq(keccak256(ours_), keccak256(json.parseJsonBytes(file, ".voucher.signature")));
    }

    // ------------------------------------------------------------------- taken as evidence

    function test_the_vectors_challenge_and_show() public {
        (Evidence.Word memory key_, Evidence.Item memory one) = (said("session_key"), data("data"));
        Evidence.Invoice memory of_ = invoiced("data_invoice");
        bytes32 salt = word32(".item_2.salt");
        vm.prank(buyer);
        bonds.challengeRoot{value: STAKE}(bond, session, key_, one, of_);
        bytes32 root = word32(".root");
        show(".item_2.in_window", root, 1, K);
        bytes32 content_ = content(".item_2");
        vm.prank(buyer);
        bonds.challengeItem{value: STAKE}(bond, session, key_, one, salt, content_);
        show(".item_2.in_dataset", session.dataset, ANYWHERE, ANYWHERE);
        Evidence.Opened memory last =
            Evidence.Opened(4, word32(".item_4.salt"), content(".item_4"), K);
        bytes32[] memory path = json.parseJsonBytes32Array(file, ".item_4.in_window.path");
        vm.prank(buyer);
        bonds.challengeInvoiced{value: STAKE}(bond, session, key_, of_, last, path);
        show(".item_4.in_dataset", session.dataset, ANYWHERE, ANYWHERE);
        assertCredits(0, 3 * STAKE, 0);
    }

    function show(string memory at_, bytes32 root, uint32 index, uint32 most) private {
        bytes32 leaf = word32(string.concat(at_, ".leaf"));
        bytes32[] memory path = json.parseJsonBytes32Array(file, string.concat(at_, ".path"));
        uint32 place = uint32(number(string.concat(at_, ".index")));
        uint32 count = uint32(number(string.concat(at_, ".count")));
        bonds.show(bond, Challenges.Challenge(leaf, root, index, most), place, count, path);
    }

    function test_the_vectors_convict() public {
        (Evidence.Word memory key_, Evidence.Item memory one) = (said("session_key"), data("data"));
        Evidence.Item memory again = data("data_again");
        vm.prank(buyer);
        bonds.convictOfItems(bond, session, key_, one, again);
        assertEq(ofSeller(), 0);
    }

    function test_the_vectors_invoices_convict() public {
        Evidence.Word memory key_ = said("session_key");
        (Evidence.Invoice memory one, Evidence.Invoice memory again) =
            (invoiced("data_invoice"), invoiced("data_invoice_again"));
        vm.prank(buyer);
        bonds.convictOfInvoices(bond, session, key_, one, again);
        assertEq(ofSeller(), 0);
    }

    function test_the_vectors_demand_and_pay() public {
        demand("ack");
        vm.prank(seller);
        bonds.retract(bond);
        Demands.Demand memory asked = demand("payment_ack");
        bytes memory voucher = json.parseJsonBytes(file, ".voucher.signature");
        uint128 amount = uint128(number(".voucher.amount"));
        bonds.pay(bond, asked, amount, voucher, 0);
        vm.prank(seller);
        escrow.settle(channel, amount, voucher);
        assertCredits(0, 2 * STAKE + FEE, 0);
    }

    function test_the_vectors_refute() public {
        Demands.Demand memory asked = demand("ack");
        bonds.refuteByItem(bond, asked, data("data_beyond"));
        assertEq(ofSeller(), 0);
        asked = demand("ack");
        bonds.refuteByInvoice(bond, asked, invoiced("data_invoice_beyond"));
        asked = demand("ack");
        Evidence.Receipt memory receipt_ = Evidence.Receipt(42, 42, said("exit"));
        bonds.refuteByExit(bond, asked, receipt_);
        assertCredits(SELLERS - SELLERS / 2 + 3 * STAKE, 0, SELLERS / 2);
    }

    function demand(string memory by) private returns (Demands.Demand memory asked) {
        (Evidence.Word memory order_, Evidence.Invoice memory of_) =
            (said("order"), invoiced("data_invoice"));
        string memory at_ = string.concat(".messages.", by);
        (uint8 kind, uint64 number_) = (
            uint8(number(string.concat(at_, ".kind"))),
            uint64(number(string.concat(at_, ".number")))
        );
        bytes32 digest = word32(string.concat(at_, ".commitment"));
        uint128 total = uint128(number(string.concat(at_, ".amount_total")));
        Evidence.Ack memory ack_ = Evidence.Ack(kind, number_, digest, total, said(by));
        asked = Demands.Demand({
            session: name,
            amountTotal: uint128(number(".demand.amount_total")),
            voucher: uint128(number(".demand.voucher")),
            paidBefore: uint128(number(".demand.paid_before")),
            lastUnpaid: uint128(number(".demand.last_unpaid"))
        });
        vm.expectEmit(address(bonds));
        emit Demands.Demanded(id, asked, START + PERIOD);
        vm.prank(seller);
        bonds.demand{value: STAKE}(bond, session, order_, ack_, of_);
    }

    function test_the_vectors_exit_frees_the_sellers_bond() public {
        bonds.release(bond, true, said("exit_from_bond"));
        assertCredits(0, SELLERS, 0);
    }

    // --------------------------------------------------------------------------- reading

    function number(string memory at_) private returns (uint256) {
        return json.parseJsonUint(file, at_);
    }

    function word32(string memory at_) private returns (bytes32) {
        return json.parseJsonBytes32(file, at_);
    }

    function content(string memory at_) private returns (bytes32) {
        return keccak256(bytes(json.parseJsonString(file, string.concat(at_, ".text"))));
    }

    /// What a message was signed with: its data is a text, of which the digest is signed.
    function said(string memory what) private returns (Evidence.Word memory) {
        string memory at_ = string.concat(".messages.", what);
        bytes memory text = bytes(json.parseJsonString(file, string.concat(at_, ".data")));
        (bytes32 r, bytes32 s, uint8 v) =
            split(json.parseJsonBytes(file, string.concat(at_, ".signature")));
        return Evidence.Word(keccak256(text), NOTHING, r, s, v);
    }

    function data(string memory what) private returns (Evidence.Item memory) {
        string memory at_ = string.concat(".messages.", what);
        return Evidence.Item(
            uint64(number(string.concat(at_, ".number"))),
            word32(string.concat(at_, ".commitment")),
            said(what)
        );
    }

    function invoiced(string memory what) private returns (Evidence.Invoice memory) {
        string memory at_ = string.concat(".messages.", what);
        return Evidence.Invoice(
            uint64(number(string.concat(at_, ".number"))),
            word32(string.concat(at_, ".commitment")),
            uint128(number(string.concat(at_, ".amount_total"))),
            said(what)
        );
    }
}
