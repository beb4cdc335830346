// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {TestToken} from "../src/TestToken.sol";

/// A token that does what the standard says, of which there is none yet.
contract PlainToken is TestToken("Test", "T", 18, address(1), 0) {}

/// Keeps one percent of each transfer, but where it is told not to.
contract FeeToken is PlainToken {
    bool private free;

    function beFree(bool yes) external {
        free = yes;
    }

    function _update(address from, address to, uint256 amount) internal override {
        uint256 fee = from == address(0) || free ? 0 : amount / 100;
        super._update(from, to, amount - fee);
        if (fee != 0) super._update(from, address(0xfee), fee);
    }
}

/// Pays one percent on top of each transfer, out of nothing, but where it is told not to.
contract BonusToken is PlainToken {
    bool private free;

    function beFree(bool yes) external {
        free = yes;
    }

    function _update(address from, address to, uint256 amount) internal override {
        super._update(from, to, amount);
        if (from != address(0) && !free) super._update(address(0), to, amount / 100);
    }
}

/// Tells balances in the reason of a refusal alone.
contract RefusingToken is PlainToken {
    function balanceOf(address account) public view override returns (uint256) {
        uint256 held = super.balanceOf(account);
        assembly ("memory-safe") {
            mstore(0, held)
            revert(0, 32)
        }
    }
}

/// Moves money and says that it did not.
contract DenyingToken is PlainToken {
    function transfer(address to, uint256 amount) public override returns (bool) {
        super.transfer(to, amount);
        return false;
    }

    function transferFrom(address from, address to, uint256 amount) public override returns (bool) {
        super.transferFrom(from, to, amount);
        return false;
    }
}

/// Pays nothing to those on its list: reverts, or only says so.
contract ListToken is PlainToken {
    mapping(address account => bool refused) public refused;
    bool public quiet;

    function refuse(address account, bool yes) external {
        refused[account] = yes;
    }

    function beQuiet() external {
        quiet = true;
    }

    function transfer(address to, uint256 amount) public override returns (bool) {
        if (refused[to]) {
            require(quiet, "refused");
            return false;
        }
        return super.transfer(to, amount);
    }
}

/// Answers nothing, as some old tokens do; uses up all gas, or makes its answer long, when told.
contract BareToken {
    mapping(address account => uint256 amount) private balances;
    mapping(address account => mapping(address spender => uint256 amount)) private allowances;
    bool public greedy;
    bool public mute;
    bool public shy;

    function mint(address to, uint256 amount) external {
        balances[to] += amount;
    }

    function beGreedy() external {
        greedy = true;
    }

    function beMute() external {
        mute = true;
    }

    /// Mute until somebody is moved money.
    function beShy() external {
        mute = true;
        shy = true;
    }

    function balanceOf(address account) external view returns (uint256 amount) {
        amount = balances[account];
        if (mute) {
            assembly {
                return(0, 0)
            }
        }
    }

    function approve(address spender, uint256 amount) external {
        allowances[msg.sender][spender] = amount;
    }

    function transfer(address to, uint256 amount) external {
        if (greedy) {
            assembly {
                invalid()
            }
        }
        balances[msg.sender] -= amount;
        balances[to] += amount;
    }

    function transferFrom(address from, address to, uint256 amount) external {
        allowances[from][msg.sender] -= amount;
        balances[from] -= amount;
        balances[to] += amount;
        if (shy) mute = false;
    }
}

/// Calls whom it is told before each transfer, in the name of the token, and goes on whatever
/// comes of it.
contract CallingToken is PlainToken {
    address private target;
    bytes private data;
    bool public called;
    bool public worked;
    bytes4 public refusal;

    function tell(address target_, bytes calldata data_) external {
        (target, data, called) = (target_, data_, false);
    }

    function _update(address from, address to, uint256 amount) internal override {
        if (from != address(0) && target != address(0) && !called) {
            called = true;
            bytes memory answer;
            (worked, answer) = target.call(data);
            if (!worked) refusal = bytes4(answer);
        }
        super._update(from, to, amount);
    }
}
