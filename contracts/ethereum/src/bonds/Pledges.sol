// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {SdppEscrow} from "../SdppEscrow.sol";
import {Evidence} from "./Evidence.sol";
import {Money} from "./Money.sol";

/// @title Bonds that come and go
/// @dev Who has pledged what, what is left of it, and how either side gets it back.
abstract contract Pledges is Evidence, Money {
    // ---------------------------------------------------------------------------- types

    /// @notice How a bond stands.
    struct Held {
        /// What is left of the buyer's bond.
        uint88 ofBuyer;
        /// What is left of the seller's bond.
        uint88 ofSeller;
        /// When complaints are over because somebody asked to leave, in seconds; else zero.
        uint40 endsAt;
        /// Who has pledged: the buyer 1, the seller 2; and 4 where it was taken back.
        uint8 pledged;
        /// The largest voucher that was asked for in public and given.
        uint128 answered;
    }

    /// @dev A complaint that waits for its answer: the hash of what would answer it, and until when.
    struct Complaint {
        bytes27 what;
        uint40 until;
    }

    // ------------------------------------------------------------------------ constants

    uint256 private constant BUYER_IN = 1;
    uint256 private constant SELLER_IN = 2;
    uint256 internal constant BOTH_IN = BUYER_IN | SELLER_IN;
    uint256 private constant REVOKED = 4;

    /// @dev `keccak("")`: an exit from a bond has neither data nor verification.
    bytes32 private constant NOTHING = keccak256("");
    uint64 private constant MIN_PERIOD = 10 minutes;
    uint64 private constant MAX_PERIOD = 90 days;

    /// @notice The escrow whose channels the bonds are for.
    // forge-lint: disable-next-line(screaming-snake-case-immutable)
    SdppEscrow public immutable ESCROW;

    /// @notice How long a complaint waits for its answer, and who leaves for complaints; in seconds.
    // forge-lint: disable-next-line(screaming-snake-case-immutable)
    uint64 public immutable PERIOD;

    // ---------------------------------------------------------------------------- state

    mapping(bytes32 id => Held) internal bonds;
    mapping(bytes32 id => mapping(bool bySeller => Complaint)) internal complaints;

    // --------------------------------------------------------------------------- events

    /// @notice `by` pledged; with the second of the two the bond is in force.
    event Pledged(bytes32 indexed id, address indexed by, Bond bond);

    /// @notice Who had pledged alone took it back: the id is used up.
    event Revoked(bytes32 indexed id);

    /// @notice `by` added to its bond.
    event Added(bytes32 indexed id, address indexed by, uint256 amount);

    /// @notice `by` wants out: complaints are taken until `endsAt`.
    event EndRequested(bytes32 indexed id, address indexed by, uint256 endsAt);

    /// @notice What was left went back to both.
    event Ended(bytes32 indexed id, uint256 toBuyer, uint256 toSeller);

    /// @notice One side let the other's bond go.
    event Released(bytes32 indexed id, bool indexed ofSeller, uint256 amount);

    // --------------------------------------------------------------------------- errors

    /// @notice The period is not between ten minutes and ninety days.
    error PeriodOutOfRange();
    /// @notice The caller is not the party that may do this.
    error NotParty();
    /// @notice Two different parties and keys, and two bonds no smaller than stake and fee, are
    /// needed, and a stake.
    error BadBond();
    /// @notice The escrow's channel is not between these parties in this token and with this
    /// signer, or for a pledge is over.
    error WrongChannel();
    /// @notice The bond was pledged by the caller already, or taken back.
    error AlreadyPledged();
    /// @notice Not both have pledged, or for a revocation both have.
    error NotInForce();
    /// @notice Nothing is left of that bond.
    error NothingPledged();
    /// @notice A complaint waits for its answer.
    error ComplaintPending();
    /// @notice It is too early for this.
    error TooEarly();
    /// @notice The sum is more than 2^88 - 1.
    error AmountOverflow();

    constructor(SdppEscrow escrow, uint64 period) {
        require(period >= MIN_PERIOD && period <= MAX_PERIOD, PeriodOutOfRange());
        ESCROW = escrow;
        PERIOD = period;
    }

    // ----------------------------------------------------------------- coming and going

    /// @notice Pledges the caller's part: the first of the two offers, the second accepts.
    /// @param bond What both agree on; the caller is its buyer or its seller.
    /// @return id The bond's id, which the sessions' terms name.
    function pledge(Bond calldata bond) external payable returns (bytes32 id) {
        id = bondId(bond);
        bool bySeller = _side(bond);
        require(
            bond.buyer != bond.seller && bond.buyerKey != bond.sellerKey
                && bond.buyerKey != address(0) && bond.sellerKey != address(0) && bond.stake != 0
                && bond.stake <= bond.buyerAmount && bond.stake <= bond.sellerAmount
                && bond.fee <= bond.buyerAmount,
            BadBond()
        );
        require(!_channelOf(bond).finalized, WrongChannel());
        Held storage held = bonds[id];
        uint256 own = bySeller ? SELLER_IN : BUYER_IN;
        require(held.pledged & (own | REVOKED) == 0, AlreadyPledged());
        held.pledged = uint8(held.pledged | own);
        uint88 amount = bySeller ? bond.sellerAmount : bond.buyerAmount;
        _set(held, bySeller, amount);
        _take(bond.token, amount);
        emit Pledged(id, msg.sender, bond);
    }

    /// @notice Takes back a pledge that the other side has not answered with its own.
    function revoke(Bond calldata bond) external {
        (bytes32 id, Held storage held, bool bySeller) = _mine(bond);
        require(held.pledged == (bySeller ? SELLER_IN : BUYER_IN), NotInForce());
        held.pledged = uint8(held.pledged | REVOKED);
        _free(bond, held, bySeller);
        emit Revoked(id);
    }

    /// @notice Adds to the caller's bond.
    function add(Bond calldata bond, uint88 amount) external payable {
        (bytes32 id, Held storage held, bool bySeller) = _mine(bond);
        require(held.pledged == BOTH_IN, NotInForce());
        uint256 left = _left(held, bySeller);
        // What fees have eaten is filled up again; what was lost is not.
        require(left != 0 || held.endsAt == 0, NothingPledged());
        require(left + amount <= type(uint88).max, AmountOverflow());
        _set(held, bySeller, uint88(left + amount));
        _take(bond.token, amount);
        emit Added(id, msg.sender, amount);
    }

    /// @notice Starts the time after which both bonds go back. Asking again changes nothing.
    function requestEnd(Bond calldata bond) external {
        (bytes32 id, Held storage held,) = _mine(bond);
        require(held.pledged == BOTH_IN, NotInForce());
        _startEnd(id, held);
    }

    /// @notice Gives back what is left, once the time for complaints and answers is over.
    function end(Bond calldata bond) external {
        (bytes32 id, Held storage held,) = _mine(bond);
        require(held.endsAt != 0 && block.timestamp >= held.endsAt, TooEarly());
        require(
            complaints[id][false].until == 0 && complaints[id][true].until == 0, ComplaintPending()
        );
        emit Ended(id, held.ofBuyer, held.ofSeller);
        _free(bond, held, false);
        _free(bond, held, true);
    }

    /// @notice Gives one side its bond back at once, at the other's word: that of its account,
    /// which then is the caller, or of its key, an `exit` under the bond's id in the session's
    /// place with nothing else in it.
    /// @param bond The bond.
    /// @param ofSeller Whose part goes back.
    /// @param word The other side's exit; not looked at where its account calls.
    function release(Bond calldata bond, bool ofSeller, Word calldata word) external {
        bytes32 id = bondId(bond);
        Held storage held = bonds[id];
        require(held.pledged == BOTH_IN, NotInForce());
        uint256 amount = _left(held, ofSeller);
        require(amount != 0, NothingPledged());
        if (msg.sender != (ofSeller ? bond.buyer : bond.seller)) {
            require(word.data == NOTHING && word.verification == NOTHING, InvalidSignature());
            _signed(ofSeller ? bond.buyerKey : bond.sellerKey, id, EXIT, 0, 0, 0, word);
        }
        _returnStake(bond, id, !ofSeller);
        _free(bond, held, ofSeller);
        emit Released(id, ofSeller, amount);
    }

    // ---------------------------------------------------------------------------- views

    /// @notice How a bond stands; all zero if nobody pledged it.
    function getBond(bytes32 id) external view returns (Held memory) {
        return bonds[id];
    }

    /// @notice Whether a session may begin under a bond: all that was agreed on is there, nobody
    /// wants out, and the channel is these parties' and open. `pendingUntil` tells the rest.
    function isGood(Bond calldata bond) external view returns (bool) {
        Held storage held = bonds[bondId(bond)];
        SdppEscrow.Channel memory channel = _channelOf(bond);
        return held.endsAt == 0 && held.pledged == BOTH_IN && held.ofBuyer >= bond.buyerAmount
            && held.ofSeller >= bond.sellerAmount && !channel.finalized
            && channel.closeRequestedAt == 0;
    }

    /// @notice Until when a complaint waits for its answer; zero if there is none.
    function pendingUntil(bytes32 id, bool bySeller) external view returns (uint256) {
        return complaints[id][bySeller].until;
    }

    // -------------------------------------------------------------- whose, and how much

    /// @dev The caller's bond, and which side it is on.
    function _mine(Bond calldata bond)
        internal
        view
        returns (bytes32 id, Held storage held, bool bySeller)
    {
        id = bondId(bond);
        held = bonds[id];
        bySeller = _side(bond);
    }

    function _side(Bond calldata bond) private view returns (bool bySeller) {
        bySeller = msg.sender == bond.seller;
        require(bySeller || msg.sender == bond.buyer, NotParty());
    }

    /// @dev The bond's channel, which is between its parties, or once was.
    function _channelOf(Bond calldata bond)
        internal
        view
        returns (SdppEscrow.Channel memory channel)
    {
        channel = ESCROW.getChannel(bond.channel);
        address signer =
            channel.authorizedSigner == address(0) ? channel.payer : channel.authorizedSigner;
        require(
            channel.payer == bond.buyer && channel.payee == bond.seller
                && channel.token == bond.token && signer == bond.buyerKey,
            WrongChannel()
        );
    }

    function _left(Held storage held, bool ofSeller) internal view returns (uint256) {
        return ofSeller ? held.ofSeller : held.ofBuyer;
    }

    function _set(Held storage held, bool ofSeller, uint88 amount) internal {
        if (ofSeller) held.ofSeller = amount;
        else held.ofBuyer = amount;
    }

    /// @dev Gives a side what is left of its bond.
    function _free(Bond calldata bond, Held storage held, bool ofSeller) private {
        uint256 amount = _left(held, ofSeller);
        _set(held, ofSeller, 0);
        _credit(bond.token, ofSeller ? bond.seller : bond.buyer, amount);
    }

    function _startEnd(bytes32 id, Held storage held) internal {
        if (held.endsAt != 0) return;
        uint256 endsAt = block.timestamp + PERIOD;
        held.endsAt = uint40(endsAt);
        emit EndRequested(id, msg.sender, endsAt);
    }

    /// @dev Ends a side's complaint, if it has one, without a loss.
    function _returnStake(Bond calldata bond, bytes32 id, bool bySeller) internal {
        if (complaints[id][bySeller].until == 0) return;
        delete complaints[id][bySeller];
        _credit(bond.token, bySeller ? bond.seller : bond.buyer, bond.stake);
    }
}
