// That a client called this chaincode itself, with what it is called with now. Another chaincode on
// the channel can call this one on behalf of whoever called that, and more than once in a
// transaction: with arguments of its own it would spend as that caller, and as nothing that is
// written is read before it is in a block, one balance would pay several times.
"use strict";

const { peer } = require("@hyperledger/fabric-protos");
const { fail, quoted } = require("./fail");
const { NAME } = require("./self");

/** Refuses a call that is not the one that the client signed. `own` is this chaincode's name. */
function needsDirect(stub, own = NAME) {
  const { header, payload } = stub.getSignedProposal()?.proposal ?? {};
  if (!header || !payload) {
    fail("NOT_DIRECT", "there is no proposal of a client");
  }
  const extension = header.channelHeader.getExtension_asU8();
  // The peer runs what the header names.
  const called = peer.ChaincodeHeaderExtension.deserializeBinary(extension).getChaincodeId();
  const name = called?.getName() ?? "";
  if (own === "" || name !== own) {
    const how = "see SDPP_CHAINCODE_NAME if that is its name here";
    fail("NOT_DIRECT", `the client called ${quoted(name)}, this is ${quoted(own)}; ${how}`);
  }
  if (header.channelHeader.getChannelId() !== stub.getChannelID()) {
    fail("NOT_DIRECT", "the client called it on another channel");
  }
  const spec = peer.ChaincodeInvocationSpec.deserializeBinary(payload.getInput_asU8());
  const signed = spec.getChaincodeSpec()?.getInput()?.getArgsList_asU8() ?? [];
  const args = stub.getBufferArgs();
  if (signed.length !== args.length || !args.every((arg, at) => arg.equals(signed[at]))) {
    fail("NOT_DIRECT", "the client signed other arguments");
  }
}

module.exports = { needsDirect };
