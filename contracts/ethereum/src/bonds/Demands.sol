// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {SdppEscrow} from "../SdppEscrow.sol";
import {Complaints} from "./Complaints.sol";

/// @title What a seller asks a buyer for, and what the buyer answers
abstract contract Demands is Complaints {
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

    // ------------------------------------------------------------------- events, errors

    /// @notice The buyer must pay an invoice until `until`.
    event Demanded(bytes32 indexed id, Demand demand, uint256 until);

    /// @notice The seller took its demand back.
    event Retracted(bytes32 indexed id);

    /// @notice The buyer paid: `signature` over a voucher is the seller's to redeem; where it is
    /// empty, the rest was credited here, or the seller had it already.
    event Paid(bytes32 indexed id, uint256 cumulativeAmount, bytes signature);

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

    // --------------------------------------------------------------------------- asking

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

    // --------------------------------------------------------------------------- paying

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

    // ------------------------------------------------------------------------- refuting

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

    // -------------------------------------------------------------------- what is asked

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

    // -------------------------------------------------------------------- what was paid

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
}
