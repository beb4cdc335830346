// What a client signs and a peer passes to the chaincode: the proposal, in Fabric's own messages.
"use strict";

const { createHash, randomBytes, sign } = require("node:crypto");
const { common, msp, peer } = require("@hyperledger/fabric-protos");
const { Timestamp } = require("google-protobuf/google/protobuf/timestamp_pb.js");

const NONCE_BYTES = 24;
const NANOS = 1_000_000_000n;

/** A client's call as a signed proposal. Two that a client makes at once differ by their nonce, and
 * so do their transaction ids. */
function propose({ client, channel, chaincode, func, args, transient = {} }) {
  const nonce = randomBytes(NONCE_BYTES);
  const creator = identityOf(client);
  const tx = createHash("sha256").update(nonce).update(creator).digest("hex");
  const at = nowNanos();
  const input = inputOf(func, args);
  const header = headerOf({ channel, chaincode, tx, at, nonce, creator });
  const payload = payloadOf(chaincode, input, transient);
  const proposal = new peer.Proposal();
  proposal.setHeader(header);
  proposal.setPayload(payload);
  const bytes = proposal.serializeBinary();
  const signature = sign("sha256", bytes, client.privateKey);
  const signed = new peer.SignedProposal();
  signed.setProposalBytes(bytes);
  signed.setSignature(signature);
  const hash = createHash("sha256").update(header).update(payload).digest();
  return { tx, at, nonce, client, channel, chaincode, func, args, input, signed, hash, signature };
}

/** A client as chaincode sees it. */
function identityOf(client) {
  const identity = new msp.SerializedIdentity();
  identity.setMspid(client.msp);
  identity.setIdBytes(Buffer.from(client.certificate, "utf8"));
  return identity.serializeBinary();
}

function headerOf({ channel, chaincode, tx, at, nonce, creator }) {
  const extension = new peer.ChaincodeHeaderExtension();
  extension.setChaincodeId(chaincodeId(chaincode));
  const channelHeader = new common.ChannelHeader();
  channelHeader.setType(common.HeaderType.ENDORSER_TRANSACTION);
  channelHeader.setTimestamp(timestampOf(at));
  channelHeader.setChannelId(channel);
  channelHeader.setTxId(tx);
  channelHeader.setExtension$(extension.serializeBinary());
  const signatureHeader = new common.SignatureHeader();
  signatureHeader.setCreator(creator);
  signatureHeader.setNonce(nonce);
  const header = new common.Header();
  header.setChannelHeader(channelHeader.serializeBinary());
  header.setSignatureHeader(signatureHeader.serializeBinary());
  return header.serializeBinary();
}

function payloadOf(chaincode, input, transient) {
  const spec = new peer.ChaincodeSpec();
  spec.setChaincodeId(chaincodeId(chaincode));
  spec.setInput(input);
  const invocation = new peer.ChaincodeInvocationSpec();
  invocation.setChaincodeSpec(spec);
  const payload = new peer.ChaincodeProposalPayload();
  payload.setInput(invocation.serializeBinary());
  for (const [name, text] of Object.entries(transient)) {
    payload.getTransientmapMap().set(name, Buffer.from(text, "utf8"));
  }
  return payload.serializeBinary();
}

function inputOf(func, args) {
  const input = new peer.ChaincodeInput();
  input.setArgsList([func, ...args].map((arg) => Buffer.from(arg, "utf8")));
  return input;
}

function chaincodeId(name) {
  const id = new peer.ChaincodeID();
  id.setName(name);
  return id;
}

function timestampOf(nanos) {
  const timestamp = new Timestamp();
  timestamp.setSeconds(Number(nanos / NANOS));
  timestamp.setNanos(Number(nanos % NANOS));
  return timestamp;
}

// Milliseconds from the clock, and below them what tells calls in one millisecond apart.
function nowNanos() {
  return BigInt(Date.now()) * 1_000_000n + (process.hrtime.bigint() % 1_000_000n);
}

module.exports = { propose };
