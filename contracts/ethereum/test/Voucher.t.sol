// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {SdppEscrow} from "../src/SdppEscrow.sol";
import {Wallet} from "./Accounts.sol";
import {Base} from "./Base.sol";

/// Which signatures are good, and where.
contract VoucherTest is Base {
    bytes32 private id;

    function setUp() public override {
        super.setUp();
        id = open(10);
    }

    function settleWith(uint128 amount, bytes memory signature) private {
        vm.prank(seller);
        escrow.settle(id, amount, signature);
    }

    function refusedWith(uint128 amount, bytes memory signature) private {
        refused(SdppEscrow.InvalidSignature.selector);
        vm.prank(seller);
        escrow.settle(id, amount, signature);
    }

    /// Made with an independent implementation (eth-account 0.14, `encode_typed_data`); the
    /// ledger crates check the same one.
    function test_the_digest_is_the_one_that_others_compute() public {
        vm.chainId(31337);
        vm.prank(0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266);
        SdppEscrow first = new SdppEscrow(GRACE);
        assertEq(address(first), 0x5FbDB2315678afecb367f032d93F642f64180aa3);
        assertEq(
            first.getVoucherDigest(bytes32(uint256(type(uint256).max) / 255 * 0x11), 1_000_000),
            0x769b7bf0894a4e74c16a4e3717165a896b64655f8c54ea0546385eef9ea7ba37
        );
    }

    function test_the_domain_is_the_drafts() public view {
        bytes32 kind = keccak256(
            "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
        );
        bytes32 domain = keccak256(
            abi.encode(
                kind,
                keccak256("EVM Payment Channel"),
                keccak256("1"),
                block.chainid,
                address(escrow)
            )
        );
        assertEq(escrow.domainSeparator(), domain);
        bytes32 voucher = keccak256(abi.encode(escrow.VOUCHER_TYPEHASH(), id, uint256(7)));
        assertEq(
            escrow.getVoucherDigest(id, 7), keccak256(abi.encodePacked(hex"1901", domain, voucher))
        );
        (, string memory name, string memory version, uint256 chain, address place,,) =
            escrow.eip712Domain();
        assertEq(keccak256(bytes(name)), keccak256("EVM Payment Channel"));
        assertEq(keccak256(bytes(version)), keccak256("1"));
        assertEq(chain, block.chainid);
        assertEq(place, address(escrow));
    }

    function test_the_payer_signs_where_nobody_else_does() public {
        refusedWith(3, sign(OTHER_KEY, id, 3));
        settleWith(3, sign(BUYER_KEY, id, 3));
    }

    function test_the_authorized_signer_signs_and_the_payer_does_not() public {
        id = open(COIN, 10, SALT, vm.addr(OTHER_KEY));
        refusedWith(3, sign(BUYER_KEY, id, 3));
        settleWith(3, sign(OTHER_KEY, id, 3));
        assertEq(seller.balance, 3);
    }

    function test_a_signature_is_over_one_amount() public {
        refusedWith(4, sign(id, 3));
        refusedWith(2, sign(id, 3));
    }

    function test_a_signature_is_for_one_channel() public {
        bytes32 other = open(COIN, 10, "other", address(0));
        refusedWith(3, sign(other, 3));
    }

    function test_a_signature_is_for_one_contract() public {
        SdppEscrow other = new SdppEscrow(GRACE);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(BUYER_KEY, other.getVoucherDigest(id, 3));
        refusedWith(3, abi.encodePacked(r, s, v));
    }

    function test_a_signature_is_for_one_chain() public {
        bytes memory here = sign(id, 3);
        bytes32 domain = escrow.domainSeparator();
        vm.chainId(77);
        require(domain != escrow.domainSeparator());
        refusedWith(3, here);
        settleWith(3, sign(id, 3));
    }

    function test_a_signature_is_spent_with_its_amount() public {
        bytes memory signature = sign(id, 3);
        settleWith(3, signature);
        refused(SdppEscrow.AmountNotIncreasing.selector);
        settleWith(3, signature);
    }

    function test_only_the_lower_s_counts() public {
        bytes memory high = malleate(sign(id, 3));
        (bytes32 r, bytes32 s, uint8 v) = split(high);
        assertEq(ecrecover(escrow.getVoucherDigest(id, 3), v, r, s), buyer);
        refusedWith(3, high);
    }

    /// Half the order is still low. Only a wallet can be made to sign just there.
    function test_half_the_order_is_the_border() public {
        uint256 half = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0;
        Wallet wallet = wallet_channel();
        wallet.sign(escrow.getVoucherDigest(id, 3));
        refusedWith(3, abi.encodePacked(SALT, half + 1, uint8(27)));
        settleWith(3, abi.encodePacked(SALT, half, uint8(27)));
    }

    function test_a_signature_has_65_bytes() public {
        bytes memory signature = sign(id, 3);
        refusedWith(3, "");
        refusedWith(3, bytes.concat(signature, hex"00"));
        bytes memory shorter = new bytes(64);
        for (uint256 i = 0; i < 64; ++i) {
            shorter[i] = signature[i];
        }
        refusedWith(3, shorter);
    }

    /// The compact form (EIP-2098), which the draft rules out.
    function test_a_compact_signature_is_none() public {
        (bytes32 r, bytes32 s, uint8 v) = split(sign(id, 3));
        bytes32 vs = bytes32(uint256(s) | uint256(v - 27) << 255);
        refusedWith(3, abi.encodePacked(r, vs));
    }

    function test_v_is_27_or_28() public {
        (bytes32 r, bytes32 s, uint8 v) = split(sign(id, 3));
        refusedWith(3, abi.encodePacked(r, s, v - 27));
        refusedWith(3, abi.encodePacked(r, s, uint8(55 - v)));
        refusedWith(3, abi.encodePacked(r, s, uint8(29)));
    }

    function test_no_signature_recovers_to_nobody() public {
        refusedWith(3, new bytes(65));
        refusedWith(3, abi.encodePacked(bytes32(0), bytes32(uint256(1)), uint8(27)));
    }

    /// Bytes that follow the signature in the call are not taken for it.
    function test_an_empty_signature_takes_nothing_from_what_follows() public {
        bytes memory call_ =
            abi.encodePacked(abi.encodeCall(SdppEscrow.settle, (id, 3, "")), sign(id, 3));
        vm.prank(seller);
        (bool done, bytes memory answer) = address(escrow).call(call_);
        require(!done && bytes4(answer) == SdppEscrow.InvalidSignature.selector);
    }

    // -------------------------------------------------------------------------- wallets

    function wallet_channel() private returns (Wallet wallet) {
        wallet = new Wallet();
        id = open(COIN, 10, SALT, address(wallet));
    }

    /// Why a seller takes only what its signer's key signed: a wallet's word can be taken back.
    function test_a_wallet_signs_and_may_disown() public {
        Wallet wallet = wallet_channel();
        bytes memory word = sign(OTHER_KEY, id, 3);
        refusedWith(3, word);
        wallet.sign(escrow.getVoucherDigest(id, 3));
        settleWith(3, word);
        assertEq(seller.balance, 3);
        wallet.sign(escrow.getVoucherDigest(id, 5));
        wallet.disown();
        refusedWith(5, word);
    }

    function test_a_wallet_that_pays_signs_itself() public {
        Wallet wallet = new Wallet();
        vm.deal(address(wallet), 10);
        vm.prank(address(wallet));
        id = escrow.open{value: 10}(seller, COIN, 10, SALT, address(0));
        wallet.sign(escrow.getVoucherDigest(id, 3));
        settleWith(3, sign(OTHER_KEY, id, 3));
        assertEq(seller.balance, 3);
    }

    /// An account that delegates (EIP-7702) has code, and its key's signature stands.
    function test_a_key_with_code_cannot_disown() public {
        Wallet wallet = new Wallet();
        wallet.disown();
        vm.etch(buyer, address(wallet).code);
        settleWith(3, sign(id, 3));
        assertEq(seller.balance, 3);
    }

    function test_a_wallet_must_say_the_word() public {
        Wallet wallet = wallet_channel();
        wallet.sign(escrow.getVoucherDigest(id, 3));
        wallet.say(0x1626ba7f);
        refusedWith(3, sign(OTHER_KEY, id, 3));
        wallet.say(0x1626ba7e);
        wallet.beShort();
        refusedWith(3, sign(OTHER_KEY, id, 3));
    }

    function test_a_wallet_that_fails_has_not_signed() public {
        Wallet wallet = wallet_channel();
        wallet.sign(escrow.getVoucherDigest(id, 3));
        wallet.burnGas();
        bytes memory signature = sign(OTHER_KEY, id, 3);
        refused(SdppEscrow.InvalidSignature.selector);
        vm.prank(seller);
        escrow.settle{gas: 2_000_000}(id, 3, signature);
    }

    function test_a_wallet_is_held_to_length_and_lower_s_too() public {
        Wallet wallet = wallet_channel();
        wallet.sign(escrow.getVoucherDigest(id, 3));
        refusedWith(3, "");
        refusedWith(3, new bytes(64));
        refusedWith(3, new bytes(66));
        refusedWith(3, malleate(sign(OTHER_KEY, id, 3)));
        settleWith(3, new bytes(65));
    }

    function testFuzz_only_the_signers_signature_is_good(uint256 key, uint128 amount, uint128 over)
        public
    {
        key = key % (type(uint256).max / 4) + 1;
        amount = amount % 10 + 1;
        over = over % 10 + 1;
        bytes memory signature = sign(key, id, over);
        if (key == BUYER_KEY && over == amount) return settleWith(amount, signature);
        refusedWith(amount, signature);
    }

    function testFuzz_no_bytes_are_a_signature(bytes memory signature) public {
        refusedWith(3, signature);
    }
}
