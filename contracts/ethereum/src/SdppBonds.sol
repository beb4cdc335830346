// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {SdppEscrow} from "./SdppEscrow.sol";
import {Challenges} from "./bonds/Challenges.sol";
import {Demands} from "./bonds/Demands.sol";
import {Pledges} from "./bonds/Pledges.sol";

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
contract SdppBonds is Challenges, Demands {
    /// @param escrow The escrow whose channels the bonds are for.
    /// @param period How long an answer may take, in seconds.
    constructor(SdppEscrow escrow, uint64 period) Pledges(escrow, period) {}
}
