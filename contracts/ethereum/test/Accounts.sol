// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {SdppEscrow} from "../src/SdppEscrow.sol";

/// A party that is a contract: does what it is told, and receives coin as it is told.
contract Party {
    enum Mood {
        Takes,
        Refuses,
        BurnsGas,
        AnswersLong,
        CallsBack
    }

    Mood public mood;
    address private target;
    bytes private data;
    bool public calledBack;
    bytes4 public refusal;

    function be(Mood mood_) external {
        mood = mood_;
    }

    /// What to call when coin comes in.
    function callBack(address target_, bytes calldata data_) external {
        (mood, target, data) = (Mood.CallsBack, target_, data_);
    }

    function act(address to, bytes calldata call_) external payable {
        (bool done, bytes memory answer) = to.call{value: msg.value}(call_);
        if (!done) {
            assembly {
                revert(add(answer, 32), mload(answer))
            }
        }
    }

    /// All in one transaction, as a wallet's batch.
    function batch(address to, bytes[] calldata calls) external {
        for (uint256 i = 0; i < calls.length; ++i) {
            this.act(to, calls[i]);
        }
    }

    receive() external payable {
        if (mood == Mood.Refuses) revert("refused");
        if (mood == Mood.BurnsGas) {
            assembly {
                invalid()
            }
        }
        if (mood == Mood.AnswersLong) {
            assembly {
                revert(0, 20000)
            }
        }
        if (mood == Mood.CallsBack && !calledBack) {
            calledBack = true;
            (bool done, bytes memory answer) = target.call(data);
            if (!done) refusal = bytes4(answer);
        }
    }
}

/// A wallet that signs by its word (ERC-1271), and can take it back.
contract Wallet {
    bytes32 public signed;
    bytes4 private word = 0x1626ba7e;
    bool public short;
    bool public burns;

    function sign(bytes32 digest) external {
        signed = digest;
    }

    function disown() external {
        signed = 0;
    }

    function say(bytes4 word_) external {
        word = word_;
    }

    function beShort() external {
        short = true;
    }

    function burnGas() external {
        burns = true;
    }

    function isValidSignature(bytes32 digest, bytes calldata signature)
        external
        view
        returns (bytes4)
    {
        if (burns) {
            assembly {
                invalid()
            }
        }
        require(signature.length == 65, "length");
        if (digest != signed) return 0xffffffff;
        if (short) {
            assembly {
                mstore(0, shl(224, 0x1626ba7e))
                return(0, 4)
            }
        }
        return word;
    }

    receive() external payable {}
}

/// Tries what only parties may do, and must not succeed.
contract Meddler {
    function meddle(SdppEscrow escrow, bytes32 id, uint128 amount, bytes calldata signature)
        external
    {
        try escrow.settle(id, amount, signature) {
            revert("settled");
        } catch {}
        try escrow.close(id, amount, signature) {
            revert("closed");
        } catch {}
        try escrow.requestClose(id) {
            revert("asked");
        } catch {}
        try escrow.withdraw(id) {
            revert("withdrew");
        } catch {}
        try escrow.topUp(id, 1) {
            revert("topped up");
        } catch {}
        try escrow.withdrawCredit(address(0), address(this)) {
            revert("credit");
        } catch {}
        bytes memory row = abi.encodePacked(id, amount, signature);
        escrow.settleMany(row);
        escrow.closeMany(row);
    }

    receive() external payable {
        revert("paid");
    }
}
