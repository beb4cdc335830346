// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SdppEscrow} from "./SdppEscrow.sol";

/// @title Bonds of both sides of a payment channel
/// @notice A buyer and a seller each pledge a bond for one channel of the escrow. Who is proven to
/// have cheated, or is asked in public and stays silent, loses its bond: half to the other side,
/// half to nobody.
/// @dev The proof is what the parties signed in SDPP/1's fixed layout (PROTOCOL.md, section 4).
/// A bond answers for the sessions whose terms both have signed with its id in them, and for two
/// keys that are named when it is pledged. The channel itself stays in the escrow and knows nothing
/// of this: its payee may close it as ever, which frees no bond.
///
/// What holds whatever anyone calls:
/// - for each token, bonds, stakes, what is credited and what is burnt are held here;
/// - a bond is lost to a proof or to silence, and to nothing else;
/// - from every state each side gets out alone, two periods after it asked to at the latest;
/// - nothing is paid but to who comes for it, so nobody can be in the way of another's money;
/// - a bond's id is never good again, here or elsewhere.
///
/// Tokens are those that the escrow takes: a fee on transfer is refused, and balances that change
/// by themselves are not for this contract.
contract SdppBonds {
    // ---------------------------------------------------------------------------- types

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

    /// @notice A seller's `exit`: the final receipt.
    struct Receipt {
        uint128 amountTotal;
        uint128 paidTotal;
        Word word;
    }

    /// @notice What the seller is asked to show: that a leaf is under a root.
    struct Challenge {
        bytes32 leaf;
        bytes32 root;
        /// Where it must stand; the largest number for anywhere.
        uint32 index;
        /// How many leaves there can be at most.
        uint32 most;
    }

    /// @notice What the buyer is asked to pay.
    struct Demand {
        bytes32 session;
        /// The invoice's total, or what was acknowledged of it.
        uint128 amountTotal;
        /// The voucher that pays it: all that the channel then pays in all.
        uint128 voucher;
        /// A seller signs no item from this seq on before the invoice is paid.
        uint128 paidBefore;
        /// A seller signs no invoice after this one before the invoice is paid.
        uint128 lastUnpaid;
    }

    // ------------------------------------------------------------------------ constants

    uint256 private constant BUYER_IN = 1;
    uint256 private constant SELLER_IN = 2;
    uint256 private constant BOTH_IN = BUYER_IN | SELLER_IN;
    uint256 private constant REVOKED = 4;

    /// @dev SDPP/1's type bytes.
    uint8 private constant ORDER = 3;
    uint8 private constant SESSION_KEY = 4;
    uint8 private constant DATA = 5;
    uint8 private constant ACK = 6;
    uint8 private constant INVOICE = 7;
    uint8 private constant PAYMENT_ACK = 8;
    uint8 private constant EXIT = 10;

    /// @dev A challenge to show a leaf wherever it stands.
    uint32 private constant ANYWHERE = type(uint32).max;
    /// @dev `keccak("")`: an exit from a bond has neither data nor verification.
    bytes32 private constant NOTHING = keccak256("");
    /// @dev The chain's coin, where a token is expected.
    address private constant COIN = address(0);
    uint64 private constant MIN_PERIOD = 10 minutes;
    uint64 private constant MAX_PERIOD = 90 days;
    /// @dev Half the order of secp256k1.
    uint256 private constant HALF_ORDER =
        0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0;

    /// @notice The escrow whose channels the bonds are for.
    // forge-lint: disable-next-line(screaming-snake-case-immutable)
    SdppEscrow public immutable ESCROW;

    /// @notice How long a complaint waits for its answer, and who leaves for complaints; in seconds.
    // forge-lint: disable-next-line(screaming-snake-case-immutable)
    uint64 public immutable PERIOD;

    /// @dev The chain that this was deployed on. On a fork with another id all get out, but no
    /// signature counts.
    uint256 private immutable HOME_CHAIN;

    // ---------------------------------------------------------------------------- state

    /// @notice What an account can withdraw, by token and account.
    mapping(address token => mapping(address account => uint256 amount)) public credited;

    /// @notice What is nobody's any more, by token.
    mapping(address token => uint256 amount) public burnt;

    /// @notice What was paid here for a channel that is over, by whatever bond: a buyer owes what
    /// it vouched for once.
    mapping(bytes32 channel => uint256 amount) public paidHere;

    mapping(bytes32 id => Held) private bonds;
    mapping(bytes32 id => mapping(bool bySeller => Complaint)) private complaints;

    /// @dev Whether a token is being moved.
    uint256 private transient busy;

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

    /// @notice The seller must show, until `until`, that a leaf is under a root.
    event Challenged(bytes32 indexed id, Challenge challenge, uint256 until);

    /// @notice The seller showed it.
    event Shown(bytes32 indexed id);

    /// @notice The buyer must pay an invoice until `until`.
    event Demanded(bytes32 indexed id, Demand demand, uint256 until);

    /// @notice The seller took its demand back.
    event Retracted(bytes32 indexed id);

    /// @notice The buyer paid: `signature` over a voucher is the seller's to redeem; where it is
    /// empty, the rest was credited here, or the seller had it already.
    event Paid(bytes32 indexed id, uint256 cumulativeAmount, bytes signature);

    /// @notice A side lost its bond; `burned` of it is nobody's.
    event Lost(bytes32 indexed id, bool indexed bySeller, uint256 amount, uint256 burned);

    /// @notice A credit was taken out.
    event Withdrawn(
        address indexed token, address indexed account, address indexed to, uint256 amount
    );

    // --------------------------------------------------------------------------- errors

    /// @notice The period is not between ten minutes and ninety days.
    error PeriodOutOfRange();
    /// @notice The caller is not the party that may do this.
    error NotParty();
    /// @notice Two different parties and keys, and two bonds no smaller than stake and fee, are
    /// needed, and a stake.
    error BadBond();
    /// @notice The bond was pledged by the caller already, or taken back.
    error AlreadyPledged();
    /// @notice Not both have pledged, or for a revocation both have.
    error NotInForce();
    /// @notice Nothing is left of that bond.
    error NothingPledged();
    /// @notice Somebody left, and the time for complaints is over.
    error ComplaintsOver();
    /// @notice A complaint waits for its answer.
    error ComplaintPending();
    /// @notice No such complaint waits.
    error NoComplaint();
    /// @notice It is too early for this.
    error TooEarly();
    /// @notice It is too late for this.
    error TooLate();
    /// @notice The signature is not that party's over these words.
    error InvalidSignature();
    /// @notice The two do not contradict each other, or do not belong together.
    error NoContradiction();
    /// @notice No dataset was named.
    error NoDataset();
    /// @notice The leaf is not under the root at that place.
    error InvalidProof();
    /// @notice The escrow's channel is not between these parties in this token and with this
    /// signer, or for a pledge is over.
    error WrongChannel();
    /// @notice Nothing that the invoice adds to those before it was acknowledged.
    error NotOwed();
    /// @notice The demand is for no more than was paid or asked for before.
    error AlreadyPaid();
    /// @notice The demand is for more than the channel's deposit.
    error AmountExceedsDeposit();
    /// @notice The voucher is less than what is demanded, or the seller could not redeem it.
    error VoucherNotGood();
    /// @notice The receipt is for less than what is demanded.
    error NotReceipted();
    /// @notice The coin sent is not what is due (for a token: is not zero), or less than is due.
    error WrongValue();
    /// @notice The token did not move exactly what is due.
    error NotReceived();
    /// @notice Nothing is credited.
    error NothingCredited();
    /// @notice The account or the token refused the payout.
    error PayoutRefused();
    /// @notice A token that is being moved called back.
    error Reentered();
    /// @notice The sum is more than 2^88 - 1.
    error AmountOverflow();

    /// @dev One token at a time: what a token did is told by the balance before and after.
    modifier locked() {
        require(busy == 0, Reentered());
        busy = 1;
        _;
        busy = 0;
    }

    /// @param escrow The escrow whose channels the bonds are for.
    /// @param period How long an answer may take, in seconds.
    constructor(SdppEscrow escrow, uint64 period) {
        require(period >= MIN_PERIOD && period <= MAX_PERIOD, PeriodOutOfRange());
        ESCROW = escrow;
        PERIOD = period;
        HOME_CHAIN = block.chainid;
    }

    // --------------------------------------------------------------------- coming and going

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

    /// @notice Sends what is credited to the caller to an account that can receive it.
    /// @param token The token; zero for the coin.
    /// @param to Who gets it.
    function withdraw(address token, address to) external {
        uint256 amount = credited[token][msg.sender];
        require(amount != 0, NothingCredited());
        credited[token][msg.sender] = 0;
        emit Withdrawn(token, msg.sender, to, amount);
        if (token == COIN) {
            (bool done,) = to.call{value: amount}("");
            require(done, PayoutRefused());
        } else {
            _sendToken(token, to, amount);
        }
    }

    // ------------------------------------------------------- complaints that need no answer

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

    // ------------------------------------------------------------- complaints of the buyer

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

    // ------------------------------------------------------------ complaints of the seller

    /// @notice Asks the buyer, in public, to pay an invoice for items that it acknowledged.
    /// @param bond The bond; the caller is its seller, and sends the stake.
    /// @param session The session's terms.
    /// @param order The buyer's order, which commits to them; its data is `session.order`.
    /// @param ack The buyer's ack or payment_ack.
    /// @param invoice The invoice.
    function demand(
        Bond calldata bond,
        Session calldata session,
        Word calldata order,
        Ack calldata ack,
        Invoice calldata invoice
    ) external payable {
        (bytes32 id, Held storage held, bool bySeller) = _mine(bond);
        require(bySeller, NotParty());
        require(order.data == session.order, InvalidSignature());
        _signed(bond.buyerKey, 0, ORDER, 0, _terms(id, session), 0, order);
        bytes32 name = _name(session);
        require(ack.kind == ACK || ack.kind == PAYMENT_ACK, InvalidSignature());
        _signed(bond.buyerKey, name, ack.kind, ack.number, ack.digest, ack.amountTotal, ack.word);
        _signedInvoice(bond, name, invoice);
        Demand memory asked = _asked(session, name, ack, invoice);
        SdppEscrow.Channel memory channel = _channelOf(bond);
        require(asked.voucher > channel.settled + paidHere[bond.channel], AlreadyPaid());
        require(asked.voucher <= channel.deposit, AmountExceedsDeposit());
        require(asked.voucher > held.answered, AlreadyPaid());
        uint256 until = _complain(bond, id, held, true, keccak256(abi.encode(asked)));
        emit Demanded(id, asked, until);
    }

    /// @notice Takes a demand back: its stake is the seller's again. A seller that was paid does so
    /// before it signs anything further.
    /// @param bond The bond; the caller is its seller.
    function retract(Bond calldata bond) external {
        (bytes32 id,, bool bySeller) = _mine(bond);
        require(bySeller, NotParty());
        require(complaints[id][true].until != 0, NoComplaint());
        _returnStake(bond, id, true);
        emit Retracted(id);
    }

    /// @notice Pays what was demanded, with a voucher on the channel. Where the channel is over,
    /// vouchers are worth nothing, and what was not paid is taken from the caller, whoever it is:
    /// who sends the coin (or allows `most`) beside a voucher cannot be kept from answering by a
    /// close. The fee comes out of the buyer's bond; there is none where the seller has as much
    /// already.
    /// @param bond The bond.
    /// @param asked What was demanded.
    /// @param cumulativeAmount The voucher's amount.
    /// @param signature The voucher's signature, as the escrow takes it; empty without a voucher.
    /// @param most The most that is taken of a token; of the coin, what is sent along is. The rest
    /// of that is credited.
    function pay(
        Bond calldata bond,
        Demand calldata asked,
        uint128 cumulativeAmount,
        bytes calldata signature,
        uint256 most
    ) external payable {
        bytes32 id = bondId(bond);
        _answersDemand(id, asked);
        Held storage held = bonds[id];
        if (_paid(bond) < asked.voucher) _payFee(bond, held);
        _returnStake(bond, id, true);
        _give(bond, held, asked.voucher, cumulativeAmount, signature, most);
    }

    /// @notice The same before anybody asks, without a fee: nothing up to that amount is demanded
    /// any more. It answers no demand that waits.
    /// @param bond The bond, in force.
    /// @param cumulativeAmount The voucher's amount.
    /// @param signature As for `pay`.
    /// @param most As for `pay`.
    function payAhead(
        Bond calldata bond,
        uint128 cumulativeAmount,
        bytes calldata signature,
        uint256 most
    ) external payable {
        Held storage held = bonds[bondId(bond)];
        require(held.pledged == BOTH_IN, NotInForce());
        require(cumulativeAmount > held.answered, AlreadyPaid());
        _give(bond, held, cumulativeAmount, cumulativeAmount, signature, most);
    }

    /// @notice Shows that the seller demands what it has receipted, by an item that it signed: no
    /// seller signs one beyond the credit that the terms give. It loses the stake and its bond, but
    /// where it was paid meanwhile: then the receipt may be younger than the demand.
    /// @param bond The bond.
    /// @param asked What was demanded.
    /// @param item An item of the same session.
    function refuteByItem(Bond calldata bond, Demand calldata asked, Item calldata item) external {
        require(item.seq >= asked.paidBefore, NotReceipted());
        _signedItem(bond, asked.session, item);
        _refute(bond, asked);
    }

    /// @notice The same by an invoice beyond that credit.
    /// @param bond The bond.
    /// @param asked What was demanded.
    /// @param invoice An invoice of the same session.
    function refuteByInvoice(Bond calldata bond, Demand calldata asked, Invoice calldata invoice)
        external
    {
        require(invoice.number > asked.lastUnpaid, NotReceipted());
        _signedInvoice(bond, asked.session, invoice);
        _refute(bond, asked);
    }

    /// @notice The same by the seller's exit from the session.
    /// @param bond The bond.
    /// @param asked What was demanded.
    /// @param receipt The exit.
    function refuteByExit(Bond calldata bond, Demand calldata asked, Receipt calldata receipt)
        external
    {
        require(receipt.paidTotal >= asked.amountTotal, NotReceipted());
        bytes32 paid = bytes32(uint256(receipt.paidTotal));
        _signed(bond.sellerKey, asked.session, EXIT, 0, paid, receipt.amountTotal, receipt.word);
        _refute(bond, asked);
    }

    /// @notice The buyer did not answer in time: it loses its bond. Where the seller has meanwhile
    /// what it asked for, the demand is over at once and nobody loses anything. On a fork of the
    /// chain, where no voucher counts, nobody does either.
    /// @param bond The bond; the caller is one of its parties.
    /// @param asked What was demanded.
    function concludeDemand(Bond calldata bond, Demand calldata asked) external {
        (bytes32 id, Held storage held,) = _mine(bond);
        require(complaints[id][true].what == _hash(_whatIs(asked)), NoComplaint());
        if (_isOver(bond, id, held, asked)) return;
        _isOverdue(id, true);
        if (block.chainid == HOME_CHAIN) _lose(bond, id, held, false);
        else _returnStake(bond, id, true);
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

    // ----------------------------------------------------------------------- complaining

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

    /// @dev Takes a complaint with its stake: one at a time of each side.
    function _complain(
        Bond calldata bond,
        bytes32 id,
        Held storage held,
        bool bySeller,
        bytes32 what
    ) private returns (uint256 until) {
        require(held.pledged == BOTH_IN, NotInForce());
        require(_left(held, !bySeller) != 0, NothingPledged());
        require(held.endsAt == 0 || block.timestamp < held.endsAt, ComplaintsOver());
        require(complaints[id][bySeller].until == 0, ComplaintPending());
        until = block.timestamp + PERIOD;
        complaints[id][bySeller] = Complaint(_hash(what), uint40(until));
        _take(bond.token, bond.stake);
    }

    /// @dev A complaint waits for just this answer, and it is not too late.
    function _answers(bytes32 id, bool bySeller, bytes32 what) private view {
        Complaint memory complaint = complaints[id][bySeller];
        require(complaint.until != 0 && complaint.what == _hash(what), NoComplaint());
        require(block.timestamp < complaint.until, TooLate());
    }

    function _answersDemand(bytes32 id, Demand calldata asked) private view {
        _answers(id, true, _whatIs(asked));
    }

    /// @dev `keccak256(abi.encode(asked))`, in less code.
    function _whatIs(Demand calldata asked) private pure returns (bytes32 what) {
        assembly ("memory-safe") {
            let words := mload(0x40)
            calldatacopy(words, asked, 160)
            what := keccak256(words, 160)
        }
    }

    function _isOverdue(bytes32 id, bool bySeller) private view {
        uint256 until = complaints[id][bySeller].until;
        require(until != 0, NoComplaint());
        require(block.timestamp >= until, TooEarly());
    }

    /// @dev A receipt answers a demand. It is no proof against a seller that has been paid: what it
    /// signs then it may have signed after it demanded.
    function _refute(Bond calldata bond, Demand calldata asked) private {
        bytes32 id = bondId(bond);
        _answersDemand(id, asked);
        Held storage held = bonds[id];
        if (_isOver(bond, id, held, asked)) return;
        delete complaints[id][true];
        _credit(bond.token, bond.buyer, bond.stake);
        if (held.ofSeller != 0) _lose(bond, id, held, true);
    }

    /// @dev Takes a bond from who cheated: half for the other side, half for nobody, so that a
    /// friend's sham complaint saves no more than half. What complaint the other side has waiting
    /// goes with it. The other side's bond stays, as it may be complained of too.
    function _lose(Bond calldata bond, bytes32 id, Held storage held, bool bySeller) private {
        uint256 amount = _left(held, bySeller);
        require(amount != 0, NothingPledged());
        _set(held, bySeller, 0);
        _returnStake(bond, id, !bySeller);
        uint256 burned = amount / 2;
        burnt[bond.token] += burned;
        _credit(bond.token, bySeller ? bond.buyer : bond.seller, amount - burned);
        emit Lost(id, bySeller, amount, burned);
        _startEnd(id, held);
    }

    // ------------------------------------------------------------------------- demanding

    /// @dev What an invoice asks of a buyer: no more than the items in it that the buyer has
    /// acknowledged cost, and more than the windows before it, or its number would not be its own.
    function _asked(
        Session calldata session,
        bytes32 name,
        Ack calldata ack,
        Invoice calldata invoice
    ) private pure returns (Demand memory) {
        uint256 last = uint256(invoice.number) * session.granularity;
        uint256 seq = ack.number;
        uint256 amount = invoice.amountTotal;
        if (ack.kind == PAYMENT_ACK) {
            seq *= session.granularity;
            if (ack.amountTotal < amount) amount = ack.amountTotal;
        }
        uint256 most = _price(session, seq < last ? seq : last);
        if (most < amount) amount = most;
        require(amount > _price(session, last - session.granularity), NotOwed());
        return Demand({
            session: name,
            amountTotal: uint128(amount),
            voucher: session.base + uint128(amount),
            paidBefore: uint128(last + uint256(session.windows) * session.granularity),
            lastUnpaid: uint128(invoice.number) + session.windows
        });
    }

    /// @dev What the first items of a session cost in all, rounded down.
    function _price(Session calldata session, uint256 items) private pure returns (uint256) {
        return uint256(session.price) * items * session.numerator / session.denominator;
    }

    /// @dev The bond's channel, which is between its parties, or once was.
    function _channelOf(Bond calldata bond)
        private
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

    /// @dev Ends a demand for what the seller has had meanwhile.
    function _isOver(Bond calldata bond, bytes32 id, Held storage held, Demand calldata asked)
        private
        returns (bool over)
    {
        over = _paid(bond) >= asked.voucher;
        if (over) {
            _returnStake(bond, id, true);
            _isPaid(id, held, asked.voucher);
        }
    }

    /// @dev What the seller has had for the channel, there and here.
    function _paid(Bond calldata bond) private view returns (uint256) {
        return _channelOf(bond).settled + paidHere[bond.channel];
    }

    function _isPaid(bytes32 id, Held storage held, uint128 voucher) private {
        if (voucher > held.answered) held.answered = voucher;
        emit Paid(id, voucher, "");
    }

    /// @dev Gives the seller `least` in all, by a voucher or, where the channel is over, in money.
    function _give(
        Bond calldata bond,
        Held storage held,
        uint128 least,
        uint128 amount,
        bytes calldata signature,
        uint256 most
    ) private {
        bytes32 id = bondId(bond);
        SdppEscrow.Channel memory channel = _channelOf(bond);
        uint256 paid = channel.settled + paidHere[bond.channel];
        uint256 due;
        bool had = paid >= least;
        if (!had && !channel.finalized) {
            _checkVoucher(bond, channel, least, amount, signature);
            if (amount > held.answered) held.answered = amount;
            emit Paid(id, amount, signature);
        } else {
            if (!had) due = least - paid;
            paidHere[bond.channel] += due;
            _credit(bond.token, bond.seller, due);
            _isPaid(id, held, least);
        }
        _takeUpTo(bond.token, due, most);
    }

    /// @dev A voucher that the seller can redeem: it has the whole grace period left to.
    function _checkVoucher(
        Bond calldata bond,
        SdppEscrow.Channel memory channel,
        uint256 least,
        uint128 amount,
        bytes calldata signature
    ) private view {
        require(
            amount >= least && amount <= channel.deposit && channel.closeRequestedAt == 0
                && signature.length == 65,
            VoucherNotGood()
        );
        bytes32 digest = ESCROW.getVoucherDigest(bond.channel, amount);
        (bytes32 r, bytes32 s) = (bytes32(signature[:32]), bytes32(signature[32:64]));
        _recovers(bond.buyerKey, digest, r, s, uint8(signature[64]));
    }

    function _payFee(Bond calldata bond, Held storage held) private {
        uint256 left = held.ofBuyer;
        uint256 fee = bond.fee < left ? bond.fee : left;
        held.ofBuyer = uint88(left - fee);
        _credit(bond.token, bond.seller, fee);
    }

    // -------------------------------------------------------------------- what was signed

    /// @dev A session's id: `keccak("SDPP/1 session" || menu || order)`.
    function _name(Session calldata session) private pure returns (bytes32) {
        return keccak256(abi.encodePacked("SDPP/1 session", session.menu, session.order));
    }

    function _terms(bytes32 id, Session calldata session) private pure returns (bytes32) {
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

    /// @dev Where an item stands in its window, which is that of an invoice.
    function _place(Session calldata session, uint64 seq, uint64 number)
        private
        pure
        returns (uint32)
    {
        uint256 before = uint256(seq) - 1;
        require(before / session.granularity + 1 == number, NoContradiction());
        return uint32(before % session.granularity);
    }

    /// @dev The leaf of an item in its window.
    function _leaf(bytes32 name, uint64 seq, bytes32 salt, bytes32 content)
        private
        pure
        returns (bytes32)
    {
        return keccak256(abi.encodePacked(bytes1(0), name, seq, salt, content));
    }

    function _signedItem(Bond calldata bond, bytes32 name, Item calldata item) private view {
        _signed(bond.sellerKey, name, DATA, item.seq, item.leaf, 0, item.word);
    }

    function _signedInvoice(Bond calldata bond, bytes32 name, Invoice calldata invoice)
        private
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
    ) private view {
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

    function _recovers(address signer, bytes32 digest, bytes32 r, bytes32 s, uint8 v) private view {
        require(
            block.chainid == HOME_CHAIN && uint256(s) <= HALF_ORDER
                && ecrecover(digest, v, r, s) == signer,
            InvalidSignature()
        );
    }

    /// @dev Whether a leaf is under a root, by SDPP/1's proofs: an odd node at the end of a level
    /// moves up as it is, and the path is used up.
    function _isUnder(
        bytes32 node,
        uint256 place,
        uint256 width,
        bytes32[] calldata path,
        bytes32 root
    ) private pure returns (bool) {
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

    function _hash(bytes32 what) private pure returns (bytes27) {
        return bytes27(what);
    }

    // ------------------------------------------------------------------------------ bonds

    /// @dev The caller's bond, and which side it is on.
    function _mine(Bond calldata bond)
        private
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

    function _left(Held storage held, bool ofSeller) private view returns (uint256) {
        return ofSeller ? held.ofSeller : held.ofBuyer;
    }

    function _set(Held storage held, bool ofSeller, uint88 amount) private {
        if (ofSeller) held.ofSeller = amount;
        else held.ofBuyer = amount;
    }

    /// @dev Gives a side what is left of its bond.
    function _free(Bond calldata bond, Held storage held, bool ofSeller) private {
        uint256 amount = _left(held, ofSeller);
        _set(held, ofSeller, 0);
        _credit(bond.token, ofSeller ? bond.seller : bond.buyer, amount);
    }

    function _startEnd(bytes32 id, Held storage held) private {
        if (held.endsAt != 0) return;
        uint256 endsAt = block.timestamp + PERIOD;
        held.endsAt = uint40(endsAt);
        emit EndRequested(id, msg.sender, endsAt);
    }

    /// @dev Ends a side's complaint, if it has one, without a loss.
    function _returnStake(Bond calldata bond, bytes32 id, bool bySeller) private {
        if (complaints[id][bySeller].until == 0) return;
        delete complaints[id][bySeller];
        _credit(bond.token, bySeller ? bond.seller : bond.buyer, bond.stake);
    }

    // --------------------------------------------------------------------- moving money

    function _credit(address token, address to, uint256 amount) private {
        if (amount != 0) credited[token][to] += amount;
    }

    /// @dev Takes money from the caller, to the last unit or not at all.
    function _take(address token, uint256 amount) private {
        if (token == COIN) {
            require(msg.value == amount, WrongValue());
            return;
        }
        require(msg.value == 0, WrongValue());
        if (amount != 0) _takeToken(token, amount);
    }

    /// @dev Takes what is due from the caller; what it sent beyond that is credited to it.
    function _takeUpTo(address token, uint256 due, uint256 most) private {
        if (token == COIN) {
            require(msg.value >= due, WrongValue());
            _credit(COIN, msg.sender, msg.value - due);
            return;
        }
        require(msg.value == 0 && due <= most, WrongValue());
        if (due != 0) _takeToken(token, due);
    }

    function _takeToken(address token, uint256 amount) private locked {
        uint256 before = _balance(token);
        bytes memory data = abi.encodeCall(IERC20.transferFrom, (msg.sender, address(this), amount));
        bool done = _call(token, data);
        require(done && _balance(token) == before + amount, NotReceived());
    }

    /// @dev Whether a token went out is told by the balance.
    function _sendToken(address token, address to, uint256 amount) private locked {
        uint256 before = _balance(token);
        bool done = _call(token, abi.encodeCall(IERC20.transfer, (to, amount)));
        require(done && _balance(token) < before, PayoutRefused());
    }

    /// @dev What this contract holds of a token; zero if the token does not say.
    function _balance(address token) private view returns (uint256 amount) {
        bytes memory data = abi.encodeCall(IERC20.balanceOf, (address(this)));
        assembly ("memory-safe") {
            let done := staticcall(gas(), token, add(data, 32), mload(data), 0, 32)
            if and(done, gt(returndatasize(), 31)) { amount := mload(0) }
        }
    }

    /// @dev Calls a token; copies nothing of the answer.
    function _call(address to, bytes memory data) private returns (bool done) {
        assembly ("memory-safe") {
            done := call(gas(), to, 0, add(data, 32), mload(data), 0, 0)
        }
    }
}
