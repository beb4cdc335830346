// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

/// @title Money that comes in, and goes to who comes for it
/// @dev What is due to anybody is credited, and paid only to a call of its own: no receiver and no
/// token can be in the way of another's money.
abstract contract Money {
    /// @dev The chain's coin, where a token is expected.
    address private constant COIN = address(0);

    // ---------------------------------------------------------------------------- state

    /// @notice What an account can withdraw, by token and account.
    mapping(address token => mapping(address account => uint256 amount)) public credited;

    /// @notice What is nobody's any more, by token.
    mapping(address token => uint256 amount) public burnt;

    /// @notice What was paid here for a channel that is over, by whatever bond: a buyer owes what
    /// it vouched for once.
    mapping(bytes32 channel => uint256 amount) public paidHere;

    /// @dev Whether a token is being moved.
    uint256 private transient busy;

    // ------------------------------------------------------------------- events, errors

    /// @notice A credit was taken out.
    event Withdrawn(
        address indexed token, address indexed account, address indexed to, uint256 amount
    );

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

    /// @dev One token at a time: what a token did is told by the balance before and after.
    modifier locked() {
        require(busy == 0, Reentered());
        busy = 1;
        _;
        busy = 0;
    }

    // ------------------------------------------------------------------------ going out

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

    function _credit(address token, address to, uint256 amount) internal {
        if (amount != 0) credited[token][to] += amount;
    }

    /// @dev Whether a token went out is told by the balance.
    function _sendToken(address token, address to, uint256 amount) private locked {
        uint256 before = _balance(token);
        bool done = _call(token, abi.encodeCall(IERC20.transfer, (to, amount)));
        require(done && _balance(token) < before, PayoutRefused());
    }

    // ------------------------------------------------------------------------ coming in

    /// @dev Takes money from the caller, to the last unit or not at all.
    function _take(address token, uint256 amount) internal {
        if (token == COIN) {
            require(msg.value == amount, WrongValue());
            return;
        }
        require(msg.value == 0, WrongValue());
        if (amount != 0) _takeToken(token, amount);
    }

    /// @dev Takes what is due from the caller; what it sent beyond that is credited to it.
    function _takeUpTo(address token, uint256 due, uint256 most) internal {
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

    // --------------------------------------------------------------------------- tokens

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
