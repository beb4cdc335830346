// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @title Play money for test chains
/// @notice A token that does what the ERC-20 standard says, and that anyone makes as much of as
/// they like. It is worth nothing and must never stand for anything that is worth something.
contract TestToken is ERC20 {
    uint8 private immutable PLACES;

    /// @param name_ What it is called.
    /// @param symbol_ Its short name.
    /// @param decimals_ How many decimal places its amounts are shown with.
    /// @param to Who gets the first of it.
    /// @param supply How much that is, in the smallest unit.
    constructor(
        string memory name_,
        string memory symbol_,
        uint8 decimals_,
        address to,
        uint256 supply
    ) ERC20(name_, symbol_) {
        PLACES = decimals_;
        _mint(to, supply);
    }

    /// @notice Makes more of it, out of nothing, for anyone who asks.
    /// @param to Who gets it.
    /// @param amount How much, in the smallest unit.
    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    /// @notice How many decimal places amounts are shown with.
    function decimals() public view override returns (uint8) {
        return PLACES;
    }
}
