// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title What both sides sign, and what it proves
/// @dev The words of SDPP/1 in their fixed layout (PROTOCOL.md, sections 4, 7 and 16): ids, terms,
/// leaves, roots, signatures. Nothing is stored here.
abstract contract Evidence {
    // ------------------------------------------------------------------- what is signed

    /// @notice What two parties agree on when both pledge it; the bond's id is its hash.
    struct Bond {
        /// Who pledges for the buyer: the payer of the channel.
        address buyer;
        /// Who pledges for the seller: the payee of the channel.
        address seller;
        /// The account of the key that signs the buyer's messages and vouchers.
        address buyerKey;
        /// The account of the key that signs the seller's messages.
        address sellerKey;
        /// What the channel and the bonds are in; zero is the chain's coin.
        address token;
        /// The channel in the escrow.
        bytes32 channel;
        /// How much the buyer pledges.
        uint88 buyerAmount;
        /// How much the seller pledges.
        uint88 sellerAmount;
        /// What a complaint is made with, and lost with if it is false.
        uint88 stake;
        /// What a buyer that pays only when it is asked in public pays the seller for asking.
        uint88 fee;
        /// Anything that makes the id new.
        bytes32 salt;
    }

    /// @notice A session's terms as far as they matter here: order and `session_key` commit to them.
    struct Session {
        /// `keccak` of the raw data of the menu.
        bytes32 menu;
        /// `keccak` of the raw data of the order.
        bytes32 order;
        /// What was vouched on the channel before.
        uint128 base;
        /// What an item costs, and at which rate.
        uint128 price;
        uint128 numerator;
        uint128 denominator;
        /// How many items make a window, and how many windows may be unpaid.
        uint32 granularity;
        uint32 windows;
        /// The Merkle root of the dataset that all items are of; zero where none was named.
        bytes32 dataset;
    }

    /// @notice What a message is signed with, beside what its layout says.
    struct Word {
        /// `keccak` of the raw bytes of `data`.
        bytes32 data;
        /// `keccak` of the text of `verification`.
        bytes32 verification;
        /// The signature, s the lower of two.
        bytes32 r;
        bytes32 s;
        uint8 v;
    }

    /// @notice A `data`: the seller's signature on one item.
    struct Item {
        uint64 seq;
        bytes32 leaf;
        Word word;
    }

    /// @notice A `data_invoice`.
    struct Invoice {
        uint64 number;
        bytes32 root;
        uint128 amountTotal;
        Word word;
    }

    /// @notice The buyer's word for what it has: an `ack` of all items up to `number`, or a
    /// `payment_ack` of all invoices up to `number`, with the total that it says it owes.
    struct Ack {
        /// The message's type byte.
        uint8 kind;
        uint64 number;
        /// Of an `ack`; zero in a `payment_ack`.
        bytes32 digest;
        /// Of a `payment_ack`; zero in an `ack`.
        uint128 amountTotal;
        Word word;
    }

    /// @notice A seller's `exit`: the final receipt.
    struct Receipt {
        uint128 amountTotal;
        uint128 paidTotal;
        Word word;
    }

    /// @notice An item as the buyer opened it, which its invoice's root commits to.
    struct Opened {
        uint64 seq;
        /// The salt of its leaf.
        bytes32 salt;
        /// `keccak` of the item itself.
        bytes32 content;
        /// How many leaves are under the root.
        uint32 count;
    }

    // ------------------------------------------------------------------------ constants

    /// @dev SDPP/1's type bytes.
    uint8 internal constant ORDER = 3;
    uint8 internal constant SESSION_KEY = 4;
    uint8 private constant DATA = 5;
    uint8 internal constant ACK = 6;
    uint8 private constant INVOICE = 7;
    uint8 internal constant PAYMENT_ACK = 8;
    uint8 internal constant EXIT = 10;

    /// @dev Half the order of secp256k1.
    uint256 private constant HALF_ORDER =
        0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0;

    /// @dev The chain that this was deployed on. On a fork with another id all get out, but no
    /// signature counts.
    uint256 internal immutable HOME_CHAIN;

    // --------------------------------------------------------------------------- errors

    /// @notice The signature is not that party's over these words.
    error InvalidSignature();
    /// @notice The two do not contradict each other, or do not belong together.
    error NoContradiction();

    constructor() {
        HOME_CHAIN = block.chainid;
    }

    // -------------------------------------------------------------------- ids and terms

    /// @notice The id of a bond: no other contract or chain gives the same.
    function bondId(Bond calldata bond) public view returns (bytes32 id) {
        uint256 chain = HOME_CHAIN;
        // The words as they came, which is smaller code than `abi.encode(bond, this, chain)`: of
        // words that are no such values comes an id that nobody pledged.
        assembly ("memory-safe") {
            let words := mload(0x40)
            calldatacopy(words, bond, 352)
            mstore(add(words, 352), address())
            mstore(add(words, 384), chain)
            id := keccak256(words, 416)
        }
    }

    /// @notice What order and `session_key` commit to.
    function termsOf(bytes32 id, Session calldata session) external pure returns (bytes32) {
        return _terms(id, session);
    }

    function _terms(bytes32 id, Session calldata session) internal pure returns (bytes32) {
        return keccak256(
            abi.encodePacked(
                "SDPP/1 bond",
                id,
                session.base,
                session.price,
                session.numerator,
                session.denominator,
                session.granularity,
                session.windows,
                session.dataset
            )
        );
    }

    /// @dev A session's id: `keccak("SDPP/1 session" || menu || order)`.
    function _name(Session calldata session) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked("SDPP/1 session", session.menu, session.order));
    }

    // ----------------------------------------------------------------------- signatures

    function _signedItem(Bond calldata bond, bytes32 name, Item calldata item) internal view {
        _signed(bond.sellerKey, name, DATA, item.seq, item.leaf, 0, item.word);
    }

    function _signedInvoice(Bond calldata bond, bytes32 name, Invoice calldata invoice)
        internal
        view
    {
        bytes32 root = invoice.root;
        _signed(
            bond.sellerKey, name, INVOICE, invoice.number, root, invoice.amountTotal, invoice.word
        );
    }

    /// @dev SDPP/1's signed layout, 161 bytes, signed by a key.
    function _signed(
        address signer,
        bytes32 session,
        uint8 kind,
        uint64 number,
        bytes32 commitment,
        uint128 amount,
        Word calldata word
    ) internal view {
        bytes32 digest = keccak256(
            abi.encodePacked(
                "\x19SDPP/1\n",
                session,
                kind,
                number,
                commitment,
                amount,
                word.data,
                word.verification
            )
        );
        _recovers(signer, digest, word.r, word.s, word.v);
    }

    function _recovers(address signer, bytes32 digest, bytes32 r, bytes32 s, uint8 v)
        internal
        view
    {
        require(
            block.chainid == HOME_CHAIN && uint256(s) <= HALF_ORDER
                && ecrecover(digest, v, r, s) == signer,
            InvalidSignature()
        );
    }

    // ----------------------------------------------------------------- leaves and roots

    /// @dev Where an item stands in its window, which is that of an invoice.
    function _place(Session calldata session, uint64 seq, uint64 number)
        internal
        pure
        returns (uint32)
    {
        uint256 before = uint256(seq) - 1;
        require(before / session.granularity + 1 == number, NoContradiction());
        return uint32(before % session.granularity);
    }

    /// @dev The leaf of an item in its window.
    function _leaf(bytes32 name, uint64 seq, bytes32 salt, bytes32 content)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(abi.encodePacked(bytes1(0), name, seq, salt, content));
    }

    /// @dev Whether a leaf is under a root, by SDPP/1's proofs: an odd node at the end of a level
    /// moves up as it is, and the path is used up.
    function _isUnder(
        bytes32 node,
        uint256 place,
        uint256 width,
        bytes32[] calldata path,
        bytes32 root
    ) internal pure returns (bool) {
        uint256 used;
        while (width > 1) {
            if (place ^ 1 < width) {
                if (used == path.length) return false;
                bytes32 sister = path[used++];
                node = place & 1 == 0
                    ? keccak256(abi.encodePacked(bytes1(0x01), node, sister))
                    : keccak256(abi.encodePacked(bytes1(0x01), sister, node));
            }
            place >>= 1;
            width = (width + 1) >> 1;
        }
        return used == path.length && node == root;
    }
}
