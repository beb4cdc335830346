// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// A test whose invariants are looked at after each step of a walk: calls of a handler, and of
/// these none that it inherits.
abstract contract Walk {
    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    /// Who is called, and the calls.
    function steps() internal view virtual returns (address handler, bytes4[] memory calls);

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        (targets[0],) = steps();
    }

    function targetSelectors() external view returns (FuzzSelector[] memory targets) {
        (address handler, bytes4[] memory calls) = steps();
        targets = new FuzzSelector[](1);
        targets[0] = FuzzSelector(handler, calls);
    }
}
