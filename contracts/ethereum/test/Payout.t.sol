// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {SdppEscrow} from "../src/SdppEscrow.sol";
import {Party} from "./Accounts.sol";
import {Base} from "./Base.sol";
import {
    BareToken,
    BonusToken,
    CallingToken,
    DenyingToken,
    FeeToken,
    ListToken,
    PlainToken,
    RefusingToken
} from "./Tokens.sol";

/// How money moves: tokens of all kinds, those who refuse it, those who call back.
contract PayoutTest is Base {
    Party private party;

    function setUp() public override {
        super.setUp();
        party = new Party();
        vm.deal(address(party), 100);
    }

    function ready(PlainToken asset) private returns (address) {
        asset.mint(buyer, 1000);
        vm.prank(buyer);
        asset.approve(address(escrow), 1000);
        return address(asset);
    }

    /// A channel in coin that the party pays, with the buyer's key to sign.
    function openByParty() private returns (bytes32) {
        bytes memory data = abi.encodeCall(SdppEscrow.open, (seller, COIN, 10, SALT, buyer));
        party.act{value: 10}(address(escrow), data);
        return escrow.computeChannelId(address(party), seller, COIN, SALT, buyer);
    }

    /// A channel in coin that pays the party.
    function openToParty() private returns (bytes32) {
        vm.prank(buyer);
        return escrow.open{value: 10}(address(party), COIN, 10, SALT, address(0));
    }

    function settleByParty(bytes32 id, uint128 amount) private {
        bytes memory signature = sign(id, amount);
        party.act(address(escrow), abi.encodeCall(SdppEscrow.settle, (id, amount, signature)));
    }

    // --------------------------------------------------------------------------- deposits

    function test_a_token_that_keeps_a_fee_is_refused() public {
        address fee = ready(new FeeToken());
        refused(SdppEscrow.DepositNotReceived.selector);
        open(fee, 100, SALT, address(0));
        open(fee, 99, SALT, address(0));
        assertEq(PlainToken(fee).balanceOf(address(escrow)), 99);
    }

    function test_a_fee_that_comes_later_stops_a_top_up() public {
        address fee = ready(new FeeToken());
        bytes32 id = open(fee, 99, SALT, address(0));
        refused(SdppEscrow.DepositNotReceived.selector);
        vm.prank(buyer);
        escrow.topUp(id, 100);
    }

    function test_a_token_that_gives_more_is_refused() public {
        address bonus = ready(new BonusToken());
        refused(SdppEscrow.DepositNotReceived.selector);
        open(bonus, 100, SALT, address(0));
    }

    /// What a call leaves behind that did not succeed is no balance.
    function test_a_deposit_in_a_token_that_tells_no_balance_is_refused() public {
        address refusing = ready(new RefusingToken());
        refused(SdppEscrow.DepositNotReceived.selector);
        open(refusing, 100, SALT, address(0));
    }

    function test_a_deposit_that_was_not_approved_is_refused() public {
        vm.prank(buyer);
        token.approve(address(escrow), 6);
        refused(SdppEscrow.DepositNotReceived.selector);
        open(address(token), 7, SALT, address(0));
        assertEq(
            escrow.getChannel(
                escrow.computeChannelId(buyer, seller, address(token), SALT, address(0))
            )
            .payer,
            address(0)
        );
    }

    function test_an_account_without_code_is_no_token() public {
        refused(SdppEscrow.DepositNotReceived.selector);
        open(stranger, 7, SALT, address(0));
    }

    function test_a_token_without_answers_is_a_token() public {
        BareToken bare = new BareToken();
        bare.mint(buyer, 10);
        vm.prank(buyer);
        bare.approve(address(escrow), 10);
        bytes32 id = open(address(bare), 10, SALT, address(0));
        settle(id, 3);
        assertEq(bare.balanceOf(seller), 3);
        close(id, 4);
        assertEq(bare.balanceOf(seller), 4);
        assertEq(bare.balanceOf(buyer), 6);
        assertEq(escrow.credited(address(bare), seller), 0);
    }

    /// Some tokens say that nothing moved when it did: what moved is not credited again.
    function test_a_token_that_denies_what_it_did_is_not_believed() public {
        address denying = ready(new DenyingToken());
        bytes32 id = open(denying, 10, SALT, address(0));
        close(id, 4);
        assertEq(PlainToken(denying).balanceOf(seller), 4);
        assertEq(PlainToken(denying).balanceOf(address(escrow)), 0);
        assertEq(escrow.credited(denying, seller), 0);
    }

    function test_a_token_that_does_not_tell_balances_is_refused() public {
        BareToken bare = new BareToken();
        bare.mint(buyer, 10);
        vm.prank(buyer);
        bare.approve(address(escrow), 10);
        bare.beMute();
        refused(SdppEscrow.DepositNotReceived.selector);
        open(address(bare), 10, SALT, address(0));
    }

    function test_coin_is_not_taken_without_a_channel() public {
        vm.prank(buyer);
        (bool done,) = address(escrow).call{value: 1}("");
        require(!done);
    }

    // ---------------------------------------------------------------------------- credits

    function test_a_payer_that_refuses_is_credited() public {
        bytes32 id = openByParty();
        party.be(Party.Mood.Refuses);
        bytes memory signature = sign(id, 4);
        vm.expectEmit(address(escrow));
        emit SdppEscrow.Credited(COIN, address(party), 6);
        vm.prank(seller);
        escrow.close(id, 4, signature);
        assertEq(seller.balance, 4);
        assertEq(escrow.credited(COIN, address(party)), 6);
        assertEq(address(escrow).balance, 6);
    }

    function test_a_payee_that_refuses_is_credited() public {
        bytes32 id = openToParty();
        party.be(Party.Mood.Refuses);
        settleByParty(id, 3);
        settleByParty(id, 4);
        assertEq(escrow.credited(COIN, address(party)), 4);
        assertEq(settled(id), 4);
        uint256 before = buyer.balance;
        waitAndWithdraw(id);
        assertEq(buyer.balance - before, 6);
    }

    function test_a_payer_that_withdraws_and_refuses_is_credited() public {
        bytes32 id = openByParty();
        party.be(Party.Mood.Refuses);
        party.act(address(escrow), abi.encodeCall(SdppEscrow.requestClose, (id)));
        vm.warp(block.timestamp + GRACE);
        party.act(address(escrow), abi.encodeCall(SdppEscrow.withdraw, (id)));
        assertEq(escrow.credited(COIN, address(party)), 10);
    }

    function test_a_credit_goes_where_its_owner_says() public {
        test_a_payer_that_refuses_is_credited();
        bytes memory data = abi.encodeCall(SdppEscrow.withdrawCredit, (COIN, stranger));
        vm.expectEmit(address(escrow));
        emit SdppEscrow.CreditWithdrawn(COIN, address(party), stranger, 6);
        party.act(address(escrow), data);
        assertEq(stranger.balance, 6);
        assertEq(escrow.credited(COIN, address(party)), 0);
        refused(SdppEscrow.NothingCredited.selector);
        party.act(address(escrow), data);
    }

    function test_a_credit_that_is_refused_stays() public {
        test_a_payer_that_refuses_is_credited();
        bytes memory data = abi.encodeCall(SdppEscrow.withdrawCredit, (COIN, address(party)));
        refused(SdppEscrow.PayoutRefused.selector);
        party.act(address(escrow), data);
        assertEq(escrow.credited(COIN, address(party)), 6);
        party.be(Party.Mood.Takes);
        party.act(address(escrow), data);
        assertEq(escrow.credited(COIN, address(party)), 0);
        assertEq(address(escrow).balance, 0);
    }

    function test_a_credit_is_its_owners_and_of_its_token() public {
        test_a_payer_that_refuses_is_credited();
        vm.prank(stranger);
        refused(SdppEscrow.NothingCredited.selector);
        escrow.withdrawCredit(COIN, stranger);
        refused(SdppEscrow.NothingCredited.selector);
        party.act(
            address(escrow), abi.encodeCall(SdppEscrow.withdrawCredit, (address(token), stranger))
        );
    }

    function test_a_token_that_refuses_leaves_a_credit() public {
        for (uint256 quiet = 0; quiet < 2; ++quiet) {
            ListToken list = new ListToken();
            address asset = ready(list);
            if (quiet == 1) list.beQuiet();
            bytes32 id = open(asset, 10, SALT, address(0));
            list.refuse(seller, true);
            close(id, 4);
            assertEq(escrow.credited(asset, seller), 4);
            assertEq(list.balanceOf(buyer), 996);
            vm.prank(seller);
            refused(SdppEscrow.PayoutRefused.selector);
            escrow.withdrawCredit(asset, seller);
            vm.prank(seller);
            escrow.withdrawCredit(asset, stranger);
            assertEq(list.balanceOf(stranger), 4);
            assertEq(list.balanceOf(address(escrow)), 0);
        }
    }

    function test_a_token_that_refuses_the_payer_does_not_hold_the_payee() public {
        ListToken list = new ListToken();
        address asset = ready(list);
        bytes32 id = open(asset, 10, SALT, address(0));
        list.refuse(buyer, true);
        close(id, 4);
        assertEq(list.balanceOf(seller), 4);
        assertEq(escrow.credited(asset, buyer), 6);
    }

    function test_a_token_to_this_contract_is_no_payout() public {
        ListToken list = new ListToken();
        address asset = ready(list);
        bytes32 id = open(asset, 10, SALT, address(0));
        list.refuse(seller, true);
        close(id, 4);
        vm.prank(seller);
        refused(SdppEscrow.PayoutRefused.selector);
        escrow.withdrawCredit(asset, address(escrow));
        assertEq(escrow.credited(asset, seller), 4);
    }

    // -------------------------------------------------------------------------------- gas

    function test_a_payer_cannot_burn_the_payees_gas() public {
        bytes32 id = openByParty();
        party.be(Party.Mood.BurnsGas);
        bytes memory signature = sign(id, 4);
        vm.prank(seller);
        escrow.close{gas: 200_000}(id, 4, signature);
        assertEq(escrow.credited(COIN, address(party)), 6);
    }

    function test_a_long_answer_costs_only_who_gives_it() public {
        bytes32 id = openByParty();
        party.be(Party.Mood.AnswersLong);
        bytes memory signature = sign(id, 4);
        vm.prank(seller);
        escrow.close{gas: 150_000}(id, 4, signature);
        assertEq(escrow.credited(COIN, address(party)), 6);
    }

    /// A payee that leaves too little gas for the payer's payout cannot make it a credit.
    function test_a_payee_cannot_starve_the_payers_payout() public {
        bytes32 id = openByParty();
        bytes memory signature = sign(id, 4);
        uint256 paid;
        for (uint256 gas_ = 30_000; gas_ < 130_000; gas_ += 1_000) {
            vm.prank(seller);
            (bool done,) = address(escrow).call{gas: gas_}(
                abi.encodeCall(SdppEscrow.close, (id, 4, signature))
            );
            if (!done) continue;
            paid = gas_;
            break;
        }
        require(paid != 0);
        assertEq(escrow.credited(COIN, address(party)), 0);
        assertEq(address(party).balance, 106);
    }

    function test_too_little_gas_is_told() public {
        bytes32 id = openByParty();
        bytes memory signature = sign(id, 4);
        vm.prank(seller);
        refused(SdppEscrow.GasTooLow.selector);
        escrow.close{gas: 60_000}(id, 4, signature);
        bytes32 other = open(address(token), 10, SALT, address(0));
        signature = sign(other, 4);
        vm.prank(seller);
        refused(SdppEscrow.GasTooLow.selector);
        escrow.settle{gas: 110_000}(other, 4, signature);
    }

    function test_a_greedy_token_takes_no_more_than_its_share() public {
        BareToken greedy = new BareToken();
        greedy.mint(buyer, 10);
        vm.prank(buyer);
        greedy.approve(address(escrow), 10);
        bytes32 id = open(address(greedy), 10, SALT, address(0));
        greedy.beGreedy();
        bytes memory signature = sign(id, 4);
        vm.prank(seller);
        escrow.close{gas: 500_000}(id, 4, signature);
        assertEq(escrow.credited(address(greedy), seller), 4);
        assertEq(escrow.credited(address(greedy), buyer), 6);
        vm.prank(seller);
        refused(SdppEscrow.PayoutRefused.selector);
        escrow.withdrawCredit{gas: 1_000_000}(address(greedy), seller);
    }

    // ------------------------------------------------------------------------- call backs

    /// A payee that settles again while it is paid gets nothing twice.
    function test_a_payee_that_calls_back_is_paid_once() public {
        bytes32 id = openToParty();
        bytes memory again = abi.encodeCall(SdppEscrow.settle, (id, 3, sign(id, 3)));
        party.callBack(address(escrow), again);
        settleByParty(id, 3);
        require(party.calledBack());
        require(party.refusal() == SdppEscrow.AmountNotIncreasing.selector);
        assertEq(address(party).balance, 103);
        assertEq(address(escrow).balance, 7);
    }

    function test_a_payee_that_closes_while_it_is_paid_gets_its_due() public {
        bytes32 id = openToParty();
        uint256 before = buyer.balance;
        party.callBack(address(escrow), abi.encodeCall(SdppEscrow.close, (id, 5, sign(id, 5))));
        settleByParty(id, 3);
        require(party.calledBack() && party.refusal() == 0);
        assertEq(address(party).balance, 105);
        assertEq(buyer.balance - before, 5);
        assertEq(address(escrow).balance, 0);
    }

    function test_a_payer_that_calls_back_withdraws_once() public {
        bytes32 id = openByParty();
        openToParty();
        party.callBack(address(escrow), abi.encodeCall(SdppEscrow.withdraw, (id)));
        party.act(address(escrow), abi.encodeCall(SdppEscrow.requestClose, (id)));
        vm.warp(block.timestamp + GRACE);
        uint256 before = address(party).balance;
        party.act(address(escrow), abi.encodeCall(SdppEscrow.withdraw, (id)));
        require(party.calledBack() && party.refusal() == SdppEscrow.ChannelFinalized.selector);
        assertEq(address(party).balance - before, 10);
        assertEq(address(escrow).balance, 10);
    }

    function test_a_credit_is_taken_once_by_who_calls_back() public {
        test_a_payer_that_refuses_is_credited();
        open(10);
        bytes memory data = abi.encodeCall(SdppEscrow.withdrawCredit, (COIN, address(party)));
        party.callBack(address(escrow), data);
        uint256 before = address(party).balance;
        party.act(address(escrow), data);
        require(party.calledBack() && party.refusal() == SdppEscrow.NothingCredited.selector);
        assertEq(address(party).balance - before, 6);
        assertEq(address(escrow).balance, 10);
    }

    /// A token that has a channel of its own, and is told to add to it when next it moves.
    function callingToken() private returns (CallingToken calling, bytes memory data) {
        calling = new CallingToken();
        ready(calling);
        calling.mint(address(calling), 100);
        vm.prank(address(calling));
        calling.approve(address(escrow), 100);
        vm.prank(address(calling));
        bytes32 own = escrow.open(seller, address(calling), 5, SALT, address(0));
        data = abi.encodeCall(SdppEscrow.topUp, (own, 4));
        calling.tell(address(escrow), data);
    }

    function wasRefused(CallingToken calling) private view {
        require(calling.called() && !calling.worked());
        require(calling.refusal() == SdppEscrow.Reentered.selector);
    }

    /// While a token moves, no other movement of a token is begun.
    function test_a_token_that_calls_back_is_refused() public {
        (CallingToken calling, bytes memory data) = callingToken();
        bytes32 id = open(address(calling), 10, SALT, address(0));
        wasRefused(calling);
        calling.tell(address(escrow), data);
        topUp(id, 1);
        wasRefused(calling);
        calling.tell(address(0), "");
        topUp(id, 1);
        assertEq(calling.balanceOf(address(escrow)), 17);
    }

    /// A deposit that comes in while a payout goes out would hide that it went.
    function test_a_deposit_does_not_hide_a_payout() public {
        (CallingToken calling, bytes memory data) = callingToken();
        calling.tell(address(0), "");
        bytes32 id = open(address(calling), 10, SALT, address(0));
        calling.tell(address(escrow), data);
        settle(id, 4);
        wasRefused(calling);
        assertEq(calling.balanceOf(seller), 4);
        assertEq(escrow.credited(address(calling), seller), 0);
        calling.tell(address(0), "");
        close(id, 5);
        assertEq(calling.balanceOf(seller), 5);
    }

    function test_a_coin_call_inside_a_token_call_is_let_through() public {
        CallingToken calling = new CallingToken();
        address asset = ready(calling);
        vm.deal(asset, 10);
        calling.tell(address(escrow), abi.encodeCall(SdppEscrow.record, (1, SALT, SALT)));
        open(asset, 10, SALT, address(0));
        require(calling.called() && calling.worked());
    }

    // ---------------------------------------------------------------------------- records

    function test_records_are_told_and_nothing_else() public {
        vm.prank(stranger);
        vm.expectEmit(address(escrow));
        emit SdppEscrow.Recorded(stranger, SALT, 3, "digest");
        escrow.record(3, SALT, "digest");
        vm.prank(buyer);
        vm.expectEmit(address(escrow));
        emit SdppEscrow.RootRecorded(buyer, "root", 77);
        escrow.recordRoot("root", 77);
    }
}
