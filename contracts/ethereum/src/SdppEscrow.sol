// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

/// @dev One party of a channel in one word: its account, its amount (what the payee got, what
/// the payer deposited) and flags.
type Seat is uint256;

/// @title Payment channels for data streams, and a medium for their records
/// @notice A payer deposits for one payee and then signs vouchers, each for all that the payee
/// may have so far. The payee redeems the latest when it pays to; the payer gets the rest back,
/// at once when the payee closes, after a grace period when it asks to close itself.
/// @dev The interface is that of the Machine Payments Protocol's EVM session draft
/// (`draft-evm-session-00`), for ERC-20 tokens and for the chain's coin (`token` is zero).
///
/// What holds whatever anyone calls:
/// - for each token, deposits less what was settled, and what is credited, are held here;
/// - a payee gets no more than was signed and than was deposited;
/// - nobody needs the other party to get out: a payee redeems at any time, a payer withdraws
///   after the grace period, and who cannot be paid is credited;
/// - a finalized channel stays on record, so no voucher for it is ever good again.
///
/// Balances decide whether a token moved; what a token answers does not. Tokens that charge for
/// a transfer are refused with the deposit. Tokens whose balances change by themselves, or that
/// take more from a sender than was asked for, are not for this contract.
contract SdppEscrow is EIP712 {
    // ---------------------------------------------------------------------------- types

    /// @notice A channel as it stands.
    struct Channel {
        /// Who deposited, and gets the rest.
        address payer;
        /// Who redeems vouchers.
        address payee;
        /// What is paid in; zero is the chain's coin.
        address token;
        /// Who signs vouchers; zero is the payer.
        address authorizedSigner;
        /// All that was deposited.
        uint128 deposit;
        /// All that the payee got.
        uint128 settled;
        /// When the payer asked to close, in seconds; zero if it did not.
        uint64 closeRequestedAt;
        /// Whether it is over.
        bool finalized;
    }

    /// @dev A channel as it is stored. Who redeems reads the first two slots and writes the
    /// first; the third is written where there is a token or a request to close, the fourth
    /// where the payer does not sign itself.
    struct Stored {
        Seat payee;
        Seat payer;
        address token;
        uint64 closeRequestedAt;
        address authorizedSigner;
    }

    /// @dev What is due to one account in one token, over several rows of a batch.
    struct Due {
        address to;
        address token;
        uint256 amount;
    }

    // ------------------------------------------------------------------------ constants

    /// @notice The EIP-712 type of a voucher.
    bytes32 public constant VOUCHER_TYPEHASH =
        keccak256("Voucher(bytes32 channelId,uint128 cumulativeAmount)");

    /// @notice The most rows that a batch may have.
    uint256 public constant MAX_BATCH = 200;

    /// @dev The length of a signature, and of a row of a batch, which ends with one.
    uint256 private constant SIGNATURE = 65;
    uint256 private constant ROW = 32 + 16 + SIGNATURE;
    /// @dev The shortest grace period that the draft allows.
    uint64 private constant MIN_GRACE_PERIOD = 10 minutes;
    /// @dev The longest grace period: a payer must not wait for ever.
    uint64 private constant MAX_GRACE_PERIOD = 90 days;
    /// @dev The gas that an account is given to receive coin; if it needs more, it is credited.
    uint256 private constant COIN_GAS = 30_000;
    /// @dev The gas that a token is given for each call; if it needs more, the payout is credited.
    uint256 private constant TOKEN_GAS = 100_000;

    /// @notice How long a payer waits after it asked to close, in seconds.
    // forge-lint: disable-next-line(screaming-snake-case-immutable)
    uint64 public immutable CLOSE_GRACE_PERIOD;

    /// @dev The domain separator on the chain that this was deployed on.
    uint256 private immutable HOME_CHAIN;
    bytes32 private immutable HOME_DOMAIN;

    /// @dev The chain's coin, where a token is expected.
    address private constant COIN = address(0);
    /// @dev Where a seat has its account and its flags.
    uint256 private constant NOT_AMOUNT = ~(uint256(type(uint88).max) << 160);
    /// @dev The seat of a channel that is not there.
    Seat private constant NOBODY = Seat.wrap(0);
    /// @dev Flag of the payee's seat: the channel is over.
    uint256 private constant FINALIZED = 1;
    /// @dev Flags of the payer's seat: what else is stored, and read only then.
    uint256 private constant HAS_TOKEN = 1;
    uint256 private constant HAS_SIGNER = 2;
    /// @dev Half the order of secp256k1: of the two signatures that are as good, the one with
    /// the lower s counts.
    uint256 private constant HALF_ORDER =
        0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0;

    // ---------------------------------------------------------------------------- state

    /// @notice What is owed to an account because a payout to it failed, by token and account.
    mapping(address token => mapping(address account => uint256 amount)) public credited;

    mapping(bytes32 channelId => Stored channel) private channels;

    /// @dev Whether a token is being moved.
    uint256 private transient busy;

    // --------------------------------------------------------------------------- events

    /// @notice A channel was opened.
    event ChannelOpened(
        bytes32 indexed channelId,
        address indexed payer,
        address indexed payee,
        address token,
        address authorizedSigner,
        bytes32 salt,
        uint256 deposit
    );

    /// @notice The payee got what it lacked of `cumulativeAmount` in all.
    event Settled(bytes32 indexed channelId, uint256 cumulativeAmount);

    /// @notice The payer added to its deposit.
    event TopUp(bytes32 indexed channelId, uint256 additionalDeposit, uint256 newDeposit);

    /// @notice The payer asked to close, and may withdraw from `readyAt` on.
    event CloseRequested(bytes32 indexed channelId, uint256 readyAt);

    /// @notice A top up took back the payer's request to close.
    event CloseRequestCancelled(bytes32 indexed channelId);

    /// @notice The payee closed: it got `settled` in all, the payer the rest of its deposit.
    event ChannelClosed(bytes32 indexed channelId, uint256 settled);

    /// @notice The payer withdrew the rest after the grace period.
    event Withdrawn(bytes32 indexed channelId, uint256 refunded);

    /// @notice A batch passed over a row; `refusal` is the selector of the error that the same
    /// call would have ended with alone.
    event RowSkipped(bytes32 indexed channelId, uint256 cumulativeAmount, bytes4 refusal);

    /// @notice A payout failed, and waits for `withdrawCredit`.
    event Credited(address indexed token, address indexed account, uint256 amount);

    /// @notice A credit was taken out.
    event CreditWithdrawn(
        address indexed token, address indexed account, address indexed to, uint256 amount
    );

    /// @notice `by` put a digest on record.
    event Recorded(
        address indexed by, bytes32 indexed session, uint16 indexed kind, bytes32 digest
    );

    /// @notice `by` put the Merkle root of `count` digests on record.
    event RootRecorded(address indexed by, bytes32 indexed root, uint32 count);

    // --------------------------------------------------------------------------- errors

    /// @notice The id is or was a channel.
    error ChannelAlreadyExists();
    /// @notice The id never was a channel.
    error ChannelNotFound();
    /// @notice The channel is closed.
    error ChannelFinalized();
    /// @notice Only the channel's payee may do this.
    error NotPayee();
    /// @notice Only the channel's payer may do this.
    error NotPayer();
    /// @notice The amount is not more than was settled (for a close: less than was settled).
    error AmountNotIncreasing();
    /// @notice The amount is more than was deposited.
    error AmountExceedsDeposit();
    /// @notice The signature is not the signer's over this channel and amount.
    error InvalidSignature();
    /// @notice The payer did not ask to close, or the grace period is not over.
    error CloseNotReady();
    /// @notice Nothing would be deposited.
    error ZeroDeposit();
    /// @notice The deposit would be more than 2^88 - 1.
    error DepositOverflow();
    /// @notice Address zero cannot redeem.
    error InvalidPayee();
    /// @notice The coin sent is not the deposit (for a token: is not zero).
    error ValueNotDeposit();
    /// @notice The token did not move exactly the deposit.
    error DepositNotReceived();
    /// @notice The grace period is not between ten minutes and ninety days.
    error GracePeriodOutOfRange();
    /// @notice The batch has more than 200 rows.
    error BatchTooLarge();
    /// @notice A token that is being moved called back.
    error Reentered();
    /// @notice The batch is not made of rows of 113 bytes.
    error BatchNotInRows();
    /// @notice The caller left less gas than a payout may use.
    error GasTooLow();
    /// @notice Nothing is credited.
    error NothingCredited();
    /// @notice The account or the token refused the payout.
    error PayoutRefused();

    /// @dev One token at a time: what a token did is told by the balance before and after, so
    /// nothing else may move in between.
    modifier locked() {
        require(busy == 0, Reentered());
        busy = 1;
        _;
        busy = 0;
    }

    // ------------------------------------------------------------------------ the payer

    /// @param gracePeriod How long a payer waits after it asked to close, in seconds.
    constructor(uint64 gracePeriod) EIP712("EVM Payment Channel", "1") {
        require(
            gracePeriod >= MIN_GRACE_PERIOD && gracePeriod <= MAX_GRACE_PERIOD,
            GracePeriodOutOfRange()
        );
        CLOSE_GRACE_PERIOD = gracePeriod;
        HOME_CHAIN = block.chainid;
        HOME_DOMAIN = _domainSeparatorV4();
    }

    /// @notice Opens a channel; the caller is its payer.
    /// @param payee Who may redeem vouchers.
    /// @param token What is paid in, which must be approved here; zero for the coin sent along.
    /// @param deposit How much is deposited.
    /// @param salt Anything that makes the id new.
    /// @param authorizedSigner Who signs vouchers; zero for the payer.
    /// @return channelId The channel's id.
    function open(
        address payee,
        address token,
        uint128 deposit,
        bytes32 salt,
        address authorizedSigner
    ) external payable returns (bytes32 channelId) {
        require(payee != address(0), InvalidPayee());
        require(deposit != 0, ZeroDeposit());
        channelId = computeChannelId(msg.sender, payee, token, salt, authorizedSigner);
        Stored storage channel = channels[channelId];
        require(Seat.unwrap(channel.payee) == 0, ChannelAlreadyExists());

        uint256 flags;
        if (token != COIN) {
            flags = HAS_TOKEN;
            channel.token = token;
        }
        if (authorizedSigner != address(0)) {
            flags |= HAS_SIGNER;
            channel.authorizedSigner = authorizedSigner;
        }
        channel.payee = _seat(payee, 0, 0);
        channel.payer = _seat(msg.sender, _narrow(deposit), flags);
        _take(token, deposit);
        emit ChannelOpened(channelId, msg.sender, payee, token, authorizedSigner, salt, deposit);
    }

    /// @notice Adds to the caller's deposit, and takes back its request to close.
    /// @param channelId The channel.
    /// @param additionalDeposit How much is added.
    function topUp(bytes32 channelId, uint128 additionalDeposit) external payable {
        Stored storage channel = _ofPayer(channelId);
        require(additionalDeposit != 0, ZeroDeposit());
        uint256 deposit = _amount(channel.payer) + additionalDeposit;
        channel.payer = _seat(msg.sender, _narrow(deposit), _flags(channel.payer));
        if (channel.closeRequestedAt != 0) {
            channel.closeRequestedAt = 0;
            emit CloseRequestCancelled(channelId);
        }
        _take(channel.token, additionalDeposit);
        emit TopUp(channelId, additionalDeposit, deposit);
    }

    /// @notice Starts the grace period, after which the payer may withdraw without the payee.
    /// Asking again changes nothing: the first time counts.
    /// @param channelId The channel.
    function requestClose(bytes32 channelId) external {
        Stored storage channel = _ofPayer(channelId);
        if (channel.closeRequestedAt != 0) return;
        channel.closeRequestedAt = uint64(block.timestamp);
        emit CloseRequested(channelId, block.timestamp + CLOSE_GRACE_PERIOD);
    }

    /// @notice Gives the payer the rest once the grace period is over, and finalizes.
    /// @param channelId The channel.
    function withdraw(bytes32 channelId) external {
        Stored storage channel = _ofPayer(channelId);
        uint256 asked = channel.closeRequestedAt;
        require(asked != 0 && block.timestamp >= asked + CLOSE_GRACE_PERIOD, CloseNotReady());
        Seat payee = channel.payee;
        uint256 rest = _amount(channel.payer) - _amount(payee);
        channel.payee = _raised(payee, 0, FINALIZED);
        emit Withdrawn(channelId, rest);
        if (rest != 0) _payCaller(channel.token, rest);
    }

    // ------------------------------------------------------------------------ the payee

    /// @notice Pays the caller what a voucher allows beyond what was settled.
    /// @param channelId The channel, of which the caller is the payee.
    /// @param cumulativeAmount The amount signed: all that the payee may have so far.
    /// @param signature 65 bytes, `r`, `s` (the lower one) and `v` (27 or 28).
    function settle(bytes32 channelId, uint128 cumulativeAmount, bytes calldata signature)
        external
    {
        _redeemOne(channelId, cumulativeAmount, signature, false);
    }

    /// @notice Pays the caller what a voucher allows, the payer the rest, and finalizes. At
    /// exactly the settled amount no signature is looked at, for nothing moves to the payee.
    /// @param channelId The channel, of which the caller is the payee.
    /// @param cumulativeAmount The amount signed, or the amount settled.
    /// @param signature As for `settle`.
    function close(bytes32 channelId, uint128 cumulativeAmount, bytes calldata signature) external {
        _redeemOne(channelId, cumulativeAmount, signature, true);
    }

    /// @notice Settles many channels of the caller. A row that `settle` would refuse is skipped
    /// and reported, and so is one that is signed by a contract: a contract can use up the gas.
    /// Rows in a row with the same token are paid out as one.
    /// @param rows 113 bytes for each voucher, 200 at most: the channel's id (32), the amount
    /// (16), the signature as for `settle` (65).
    function settleMany(bytes calldata rows) external {
        _redeemMany(rows, false);
    }

    /// @notice Closes many channels of the caller, as `settleMany` settles them. Rests that
    /// follow each other for the same payer and token are paid out as one.
    /// @param rows As for `settleMany`.
    function closeMany(bytes calldata rows) external {
        _redeemMany(rows, true);
    }

    /// @notice Sends what was credited to the caller to an account that can receive it.
    /// @param token The token; zero for the coin.
    /// @param to Who gets it.
    function withdrawCredit(address token, address to) external {
        uint256 amount = credited[token][msg.sender];
        require(amount != 0, NothingCredited());
        credited[token][msg.sender] = 0;
        emit CreditWithdrawn(token, msg.sender, to, amount);
        bool done =
            token == COIN ? _send(to, amount, gasleft()) : _sendToken(to, token, amount, false);
        require(done, PayoutRefused());
    }

    // -------------------------------------------------------------------------- records

    /// @notice Puts a digest on record, in the chain's log only.
    /// @param kind What it is a digest of; the caller's own numbering.
    /// @param session Which session it belongs to.
    /// @param digest The digest.
    function record(uint16 kind, bytes32 session, bytes32 digest) external {
        emit Recorded(msg.sender, session, kind, digest);
    }

    /// @notice Puts the Merkle root of many digests on record, in the chain's log only.
    /// @param root The root.
    /// @param count How many digests it stands for.
    function recordRoot(bytes32 root, uint32 count) external {
        emit RootRecorded(msg.sender, root, count);
    }

    // ---------------------------------------------------------------------------- views

    /// @notice A channel as it stands; all zero if there never was one.
    /// @param channelId The channel.
    function getChannel(bytes32 channelId) external view returns (Channel memory) {
        Stored storage channel = channels[channelId];
        return Channel({
            payer: _account(channel.payer),
            payee: _account(channel.payee),
            token: channel.token,
            authorizedSigner: channel.authorizedSigner,
            deposit: uint128(_amount(channel.payer)),
            settled: uint128(_amount(channel.payee)),
            closeRequestedAt: channel.closeRequestedAt,
            finalized: _flags(channel.payee) == FINALIZED
        });
    }

    /// @notice The id that `open` gives a channel: no other contract or chain gives the same.
    function computeChannelId(
        address payer,
        address payee,
        address token,
        bytes32 salt,
        address authorizedSigner
    ) public view returns (bytes32) {
        return keccak256(
            abi.encode(payer, payee, token, salt, authorizedSigner, address(this), block.chainid)
        );
    }

    /// @notice The EIP-712 digest that a voucher's signer signs.
    function getVoucherDigest(bytes32 channelId, uint128 cumulativeAmount)
        external
        view
        returns (bytes32)
    {
        return
            _hashTypedDataV4(keccak256(abi.encode(VOUCHER_TYPEHASH, channelId, cumulativeAmount)));
    }

    /// @notice The EIP-712 domain separator.
    function domainSeparator() external view returns (bytes32) {
        return _domainSeparatorV4();
    }

    // ------------------------------------------------------------------------ redeeming

    function _redeemOne(bytes32 channelId, uint256 amount, bytes calldata signature, bool closing)
        private
    {
        // A signature of another length is none: what is beyond the call's data reads as zero.
        uint256 signatureAt;
        assembly ("memory-safe") {
            signatureAt := signature.offset
            if sub(signature.length, SIGNATURE) { signatureAt := calldatasize() }
        }
        Stored storage channel = channels[channelId];
        (bytes4 refusal, Seat payer, uint256 paid) =
            _redeem(channel, _domain(), channelId, amount, signatureAt, closing, true);
        if (Seat.unwrap(payer) == 0) _revert(refusal);
        address token = _flags(payer) & HAS_TOKEN != 0 ? channel.token : COIN;
        if (paid != 0) _payCaller(token, paid);
        if (closing) _payOther(_account(payer), token, _rest(payer, amount));
    }

    function _redeemMany(bytes calldata rows, bool closing) private {
        require(rows.length <= MAX_BATCH * ROW, BatchTooLarge());
        require(rows.length % ROW == 0, BatchNotInRows());
        (address due, uint256 total) = (COIN, 0);
        Due memory toPayer;
        bytes32 domain = _domain();
        (uint256 next, uint256 end) = _span(rows);
        while (next != end) {
            (bytes32 id, uint256 amount, uint256 signatureAt) = _row(next);
            next = _after(signatureAt);
            Stored storage channel = channels[id];
            (bytes4 refusal, Seat payer, uint256 paid) =
                _redeem(channel, domain, id, amount, signatureAt, closing, false);
            if (Seat.unwrap(payer) == 0) {
                emit RowSkipped(id, amount, refusal);
                continue;
            }
            address token = _flags(payer) & HAS_TOKEN != 0 ? channel.token : COIN;
            if (token != due) {
                if (total != 0) _payCaller(due, total);
                (due, total) = (token, 0);
            }
            // 200 amounts of 88 bits are less than 256 bits.
            unchecked {
                total += paid;
            }
            if (closing && _amount(payer) != amount) {
                _addDue(toPayer, _account(payer), token, _rest(payer, amount));
            }
        }
        if (total != 0) _payCaller(due, total);
        _payOther(toPayer.to, toPayer.token, toPayer.amount);
    }

    /// @dev Books a voucher, and returns what it pays the caller and out of whose seat; or nobody's
    /// seat and the selector of the error with which it is refused. The signature stands in the
    /// call's data; `contracts` says whether a signer may answer for itself (ERC-1271).
    function _redeem(
        Stored storage channel,
        bytes32 domain,
        bytes32 channelId,
        uint256 amount,
        uint256 signatureAt,
        bool closing,
        bool contracts
    ) private returns (bytes4 refusal, Seat payer, uint256 paid) {
        Seat payee = channel.payee;
        // One comparison for two: the caller is the payee, and the channel is not over.
        if ((Seat.unwrap(payee) ^ uint160(msg.sender)) & NOT_AMOUNT != 0) {
            return (_whyNotRedeemed(payee), NOBODY, 0);
        }

        payer = channel.payer;
        unchecked {
            uint256 settled = _amount(payee);
            paid = amount - settled;
            // One comparison for two: more than was settled, no more than was deposited.
            if (paid - 1 < _amount(payer) - settled) {
                (bytes32 digest, address by) = _recover(domain, channelId, amount, signatureAt);
                Seat signer = payer;
                if (_flags(payer) & HAS_SIGNER != 0) {
                    signer = _seat(channel.authorizedSigner, 0, 0);
                }
                if (!_is(signer, by)) {
                    if (!contracts || !_isSignedByContract(_account(signer), digest, signatureAt)) {
                        return (InvalidSignature.selector, NOBODY, 0);
                    }
                }
            } else if (amount > settled) {
                return (AmountExceedsDeposit.selector, NOBODY, 0);
            } else if (!closing || paid != 0) {
                return (AmountNotIncreasing.selector, NOBODY, 0);
            }
        }

        if (closing) {
            channel.payee = _raised(payee, paid, FINALIZED);
            emit ChannelClosed(channelId, amount);
        } else {
            channel.payee = _raised(payee, paid, 0);
            emit Settled(channelId, amount);
        }
    }

    /// @dev Why the caller may not redeem from a channel with this payee's seat.
    function _whyNotRedeemed(Seat payee) private view returns (bytes4) {
        if (Seat.unwrap(payee) == 0) return ChannelNotFound.selector;
        return _is(payee, msg.sender) ? ChannelFinalized.selector : NotPayee.selector;
    }

    /// @dev A voucher's EIP-712 digest, and who signed it by its key; address zero, which nobody
    /// is, if that is no signature. Works beyond the used memory, so a batch does not use up more
    /// with each row.
    function _recover(bytes32 domain, bytes32 channelId, uint256 amount, uint256 signatureAt)
        private
        view
        returns (bytes32 digest, address signer)
    {
        bytes32 typehash = VOUCHER_TYPEHASH;
        assembly ("memory-safe") {
            let free := mload(0x40)
            mstore(free, typehash)
            mstore(add(free, 32), channelId)
            mstore(add(free, 64), amount)
            let voucher := keccak256(free, 96)
            mstore(free, hex"1901")
            mstore(add(free, 2), domain)
            mstore(add(free, 34), voucher)
            digest := keccak256(free, 66)
            mstore(free, digest)
            mstore(add(free, 32), byte(0, calldataload(add(signatureAt, 64))))
            calldatacopy(add(free, 64), signatureAt, 64)
            mstore(0, 0)
            pop(staticcall(gas(), 1, free, 128, 0, 32))
            signer := mul(mload(0), lt(mload(add(free, 96)), add(HALF_ORDER, 1)))
        }
    }

    /// @dev Whether the signer is a contract that says that it signed (ERC-1271).
    function _isSignedByContract(address signer, bytes32 digest, uint256 signatureAt)
        private
        view
        returns (bool)
    {
        if (signatureAt == msg.data.length) return false;
        bytes calldata signature = msg.data[signatureAt:signatureAt + SIGNATURE];
        if (uint256(bytes32(signature[32:64])) > HALF_ORDER) return false;
        (bool answered, bytes memory answer) =
            signer.staticcall(abi.encodeCall(IERC1271.isValidSignature, (digest, signature)));
        return answered && answer.length >= 32
            && abi.decode(answer, (bytes32)) == bytes32(IERC1271.isValidSignature.selector);
    }

    /// @dev Where rows begin and end in the call's data.
    function _span(bytes calldata rows) private pure returns (uint256 begin, uint256 end) {
        assembly ("memory-safe") {
            begin := rows.offset
            end := add(begin, rows.length)
        }
    }

    /// @dev Where the next row begins.
    function _after(uint256 signatureAt) private pure returns (uint256) {
        unchecked {
            return signatureAt + SIGNATURE;
        }
    }

    /// @dev The channel and the amount of a batch's row, and where its signature stands.
    function _row(uint256 begin)
        private
        pure
        returns (bytes32 channelId, uint256 amount, uint256 signatureAt)
    {
        assembly ("memory-safe") {
            channelId := calldataload(begin)
            amount := shr(128, calldataload(add(begin, 32)))
            signatureAt := add(begin, 48)
        }
    }

    /// @dev What a deposit leaves of a voucher that it covers.
    function _rest(Seat payer, uint256 amount) private pure returns (uint256) {
        unchecked {
            return _amount(payer) - amount;
        }
    }

    /// @dev The EIP-712 domain separator, which a fork of the chain has another of.
    function _domain() private view returns (bytes32) {
        return block.chainid == HOME_CHAIN ? HOME_DOMAIN : _domainSeparatorV4();
    }

    /// @dev The caller's channel as its payer, not finalized.
    function _ofPayer(bytes32 channelId) private view returns (Stored storage channel) {
        channel = channels[channelId];
        require(Seat.unwrap(channel.payee) != 0, ChannelNotFound());
        require(_account(channel.payer) == msg.sender, NotPayer());
        require(_flags(channel.payee) == 0, ChannelFinalized());
    }

    // --------------------------------------------------------------------- moving money

    /// @dev Takes a deposit from the caller, to the last unit or not at all.
    function _take(address token, uint256 amount) private {
        if (token == COIN) {
            require(msg.value == amount, ValueNotDeposit());
            return;
        }
        require(msg.value == 0, ValueNotDeposit());
        _takeToken(token, amount);
    }

    function _takeToken(address token, uint256 amount) private locked {
        uint256 before = _balance(token, gasleft());
        bytes memory data = abi.encodeCall(IERC20.transferFrom, (msg.sender, address(this), amount));
        bool done = _call(token, gasleft(), data);
        require(done && _balance(token, gasleft()) == before + amount, DepositNotReceived());
    }

    /// @dev Adds to what is due, or pays that first if it is another's or in another token.
    function _addDue(Due memory due, address to, address token, uint256 amount) private {
        if (due.to != to || due.token != token) {
            _payOther(due.to, due.token, due.amount);
            (due.to, due.token, due.amount) = (to, token, 0);
        }
        due.amount += amount;
    }

    /// @dev Pays the caller, or credits it. Its own coin may cost it what gas it likes.
    function _payCaller(address token, uint256 amount) private {
        bool done = token == COIN
            ? _send(msg.sender, amount, gasleft())
            : _sendToken(msg.sender, token, amount, true);
        if (!done) _credit(msg.sender, token, amount);
    }

    /// @dev Pays the other party, or credits it: who refuses stands in no one's way.
    function _payOther(address to, address token, uint256 amount) private {
        if (amount == 0) return;
        bool done = token == COIN
            ? _send(to, amount, _bounded(COIN_GAS))
            : _sendToken(to, token, amount, true);
        if (!done) _credit(to, token, amount);
    }

    function _credit(address to, address token, uint256 amount) private {
        credited[token][to] += amount;
        emit Credited(token, to, amount);
    }

    /// @dev Sends coin; copies nothing of the answer, which a stranger could make long.
    function _send(address to, uint256 amount, uint256 allowance) private returns (bool done) {
        assembly ("memory-safe") {
            done := call(allowance, to, amount, 0, 0, 0, 0)
        }
    }

    /// @dev Whether a token went out, by the balance.
    function _sendToken(address to, address token, uint256 amount, bool bounded)
        private
        locked
        returns (bool)
    {
        uint256 before = _balance(token, bounded ? _bounded(TOKEN_GAS) : gasleft());
        bytes memory data = abi.encodeCall(IERC20.transfer, (to, amount));
        bool done = _call(token, bounded ? _bounded(TOKEN_GAS) : gasleft(), data);
        return done && _balance(token, bounded ? _bounded(TOKEN_GAS) : gasleft()) < before;
    }

    /// @dev The gas for a call, which must be there, so that the caller cannot make a payout
    /// fail: a call gets no more than 63 of 64 parts, after its own price.
    function _bounded(uint256 allowance) private view returns (uint256) {
        require(gasleft() >= allowance + allowance / 63 + 15_000, GasTooLow());
        return allowance;
    }

    /// @dev What this contract holds of a token; zero if the token does not say.
    function _balance(address token, uint256 allowance) private view returns (uint256 amount) {
        bytes memory data = abi.encodeCall(IERC20.balanceOf, (address(this)));
        assembly ("memory-safe") {
            let done := staticcall(allowance, token, add(data, 32), mload(data), 0, 32)
            if and(done, gt(returndatasize(), 31)) { amount := mload(0) }
        }
    }

    /// @dev Calls a token; copies nothing of the answer.
    function _call(address to, uint256 allowance, bytes memory data) private returns (bool done) {
        assembly ("memory-safe") {
            done := call(allowance, to, 0, add(data, 32), mload(data), 0, 0)
        }
    }

    // ---------------------------------------------------------------------------- seats

    function _seat(address account, uint256 amount, uint256 flags) private pure returns (Seat) {
        return Seat.wrap(uint160(account) | amount << 160 | flags << 248);
    }

    /// @dev A seat with more: the amount does not outgrow what it is a part of, the deposit.
    function _raised(Seat seat, uint256 more, uint256 flags) private pure returns (Seat) {
        unchecked {
            return Seat.wrap(Seat.unwrap(seat) + (more << 160 | flags << 248));
        }
    }

    function _account(Seat seat) private pure returns (address) {
        return address(uint160(Seat.unwrap(seat)));
    }

    function _is(Seat seat, address account) private pure returns (bool) {
        return (Seat.unwrap(seat) ^ uint160(account)) << 96 == 0;
    }

    function _amount(Seat seat) private pure returns (uint256) {
        return uint88(Seat.unwrap(seat) >> 160);
    }

    function _flags(Seat seat) private pure returns (uint256) {
        return Seat.unwrap(seat) >> 248;
    }

    /// @dev A deposit that fits a seat.
    function _narrow(uint256 deposit) private pure returns (uint256) {
        require(deposit <= type(uint88).max, DepositOverflow());
        return deposit;
    }

    function _revert(bytes4 refusal) private pure {
        assembly ("memory-safe") {
            mstore(0, refusal)
            revert(0, 4)
        }
    }
}
