// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Complaints} from "./Complaints.sol";

/// @title What a buyer proves of a seller, and asks it to show
abstract contract Challenges is Complaints {
    /// @notice What the seller is asked to show: that a leaf is under a root.
    struct Challenge {
        bytes32 leaf;
        bytes32 root;
        /// Where it must stand; the largest number for anywhere.
        uint32 index;
        /// How many leaves there can be at most.
        uint32 most;
    }

    /// @dev A challenge to show a leaf wherever it stands.
    uint32 private constant ANYWHERE = type(uint32).max;

    // ------------------------------------------------------------------- events, errors

    /// @notice The seller must show, until `until`, that a leaf is under a root.
    event Challenged(bytes32 indexed id, Challenge challenge, uint256 until);

    /// @notice The seller showed it.
    event Shown(bytes32 indexed id);

    /// @notice No dataset was named.
    error NoDataset();
    /// @notice The leaf is not under the root at that place.
    error InvalidProof();

    // ------------------------------------------------------------- what needs no answer

    /// @notice The seller signed two leaves for one item: it loses its bond.
    /// @param bond The bond; the caller is its buyer.
    /// @param session The session's terms.
    /// @param key The seller's `session_key`, which commits to them.
    /// @param one The item.
    /// @param other The same, with another leaf.
    function convictOfItems(
        Bond calldata bond,
        Session calldata session,
        Word calldata key,
        Item calldata one,
        Item calldata other
    ) external {
        (bytes32 id, Held storage held, bytes32 name) = _bySeller(bond, session, key);
        require(one.seq == other.seq && one.leaf != other.leaf, NoContradiction());
        _signedItem(bond, name, one);
        _signedItem(bond, name, other);
        _lose(bond, id, held, true);
    }

    /// @notice The seller signed two invoices with one number: it loses its bond.
    /// @param bond The bond; the caller is its buyer.
    /// @param session The session's terms.
    /// @param key The seller's `session_key`, which commits to them.
    /// @param one The invoice.
    /// @param other Another with its number.
    function convictOfInvoices(
        Bond calldata bond,
        Session calldata session,
        Word calldata key,
        Invoice calldata one,
        Invoice calldata other
    ) external {
        (bytes32 id, Held storage held, bytes32 name) = _bySeller(bond, session, key);
        bool differ = one.root != other.root || one.amountTotal != other.amountTotal
            || one.word.data != other.word.data;
        require(one.number == other.number && differ, NoContradiction());
        _signedInvoice(bond, name, one);
        _signedInvoice(bond, name, other);
        _lose(bond, id, held, true);
    }

    // -------------------------------------------------------- what the seller must show

    /// @notice Asks the seller to show that an item that it signed is under its invoice's root.
    /// The last item of a window is signed nowhere else, and is the root's already.
    /// @param bond The bond; the caller is its buyer, and sends the stake.
    /// @param session The session's terms.
    /// @param key The seller's `session_key`, which commits to them.
    /// @param item The item.
    /// @param invoice The invoice of its window.
    function challengeRoot(
        Bond calldata bond,
        Session calldata session,
        Word calldata key,
        Item calldata item,
        Invoice calldata invoice
    ) external payable {
        (bytes32 id, Held storage held, bytes32 name) = _bySeller(bond, session, key);
        _signedItem(bond, name, item);
        _signedInvoice(bond, name, invoice);
        uint32 index = _place(session, item.seq, invoice.number);
        _challenge(bond, id, held, Challenge(item.leaf, invoice.root, index, session.granularity));
    }

    /// @notice Asks the seller to show that an item that it signed is in the dataset.
    /// @param bond The bond; the caller is its buyer, and sends the stake.
    /// @param session The session's terms, with a dataset.
    /// @param key The seller's `session_key`, which commits to them.
    /// @param item The item.
    /// @param salt The salt of its leaf.
    /// @param content `keccak` of the item itself.
    function challengeItem(
        Bond calldata bond,
        Session calldata session,
        Word calldata key,
        Item calldata item,
        bytes32 salt,
        bytes32 content
    ) external payable {
        (bytes32 id, Held storage held, bytes32 name) = _bySeller(bond, session, key);
        _signedItem(bond, name, item);
        require(_leaf(name, item.seq, salt, content) == item.leaf, NoContradiction());
        _challengeRow(bond, session, id, held, content);
    }

    /// @notice The same for any item of a window whose invoice the seller signed: the last one of
    /// each is signed nowhere else.
    /// @param bond The bond; the caller is its buyer, and sends the stake.
    /// @param session The session's terms, with a dataset.
    /// @param key The seller's `session_key`, which commits to them.
    /// @param invoice The invoice of the item's window.
    /// @param opened The item.
    /// @param path The sisters from the item's leaf up to the invoice's root.
    function challengeInvoiced(
        Bond calldata bond,
        Session calldata session,
        Word calldata key,
        Invoice calldata invoice,
        Opened calldata opened,
        bytes32[] calldata path
    ) external payable {
        (bytes32 id, Held storage held, bytes32 name) = _bySeller(bond, session, key);
        _signedInvoice(bond, name, invoice);
        uint256 index = _place(session, opened.seq, invoice.number);
        bytes32 leaf = _leaf(name, opened.seq, opened.salt, opened.content);
        require(
            index < opened.count && opened.count <= session.granularity
                && _isUnder(leaf, index, opened.count, path, invoice.root),
            InvalidProof()
        );
        _challengeRow(bond, session, id, held, opened.content);
    }

    /// @notice Shows what the seller was asked to show, whoever calls: the stake is the seller's.
    /// @param bond The bond.
    /// @param challenge What was asked.
    /// @param index Where the leaf stands, from 0.
    /// @param count How many leaves there are.
    /// @param path The sisters from the leaf up.
    function show(
        Bond calldata bond,
        Challenge calldata challenge,
        uint32 index,
        uint32 count,
        bytes32[] calldata path
    ) external {
        bytes32 id = bondId(bond);
        _answers(id, false, keccak256(abi.encode(challenge)));
        require(
            (challenge.index == ANYWHERE || challenge.index == index) && index < count
                && count <= challenge.most
                && _isUnder(challenge.leaf, index, count, path, challenge.root),
            InvalidProof()
        );
        delete complaints[id][false];
        _credit(bond.token, bond.seller, bond.stake);
        emit Shown(id);
    }

    /// @notice The seller did not answer in time: it loses its bond.
    /// @param bond The bond; the caller is one of its parties.
    function concludeChallenge(Bond calldata bond) external {
        (bytes32 id, Held storage held,) = _mine(bond);
        _isOverdue(id, false);
        _lose(bond, id, held, true);
    }

    // -------------------------------------------------------------------------- helping

    /// @dev The caller is the bond's buyer, and the seller signed for this session.
    function _bySeller(Bond calldata bond, Session calldata session, Word calldata key)
        private
        view
        returns (bytes32 id, Held storage held, bytes32 name)
    {
        bool isSeller;
        (id, held, isSeller) = _mine(bond);
        require(!isSeller, NotParty());
        require(held.pledged == BOTH_IN, NotInForce());
        name = _name(session);
        _signed(bond.sellerKey, name, SESSION_KEY, 0, _terms(id, session), 0, key);
    }

    /// @dev The seller must show that an item is in the dataset.
    function _challengeRow(
        Bond calldata bond,
        Session calldata session,
        bytes32 id,
        Held storage held,
        bytes32 content
    ) private {
        require(session.dataset != 0, NoDataset());
        bytes32 row = keccak256(abi.encodePacked(bytes1(0), content));
        _challenge(bond, id, held, Challenge(row, session.dataset, ANYWHERE, ANYWHERE));
    }

    function _challenge(
        Bond calldata bond,
        bytes32 id,
        Held storage held,
        Challenge memory challenge
    ) private {
        uint256 until = _complain(bond, id, held, false, keccak256(abi.encode(challenge)));
        emit Challenged(id, challenge, until);
    }
}
