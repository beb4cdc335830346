// A peer towards chaincode that does not behave: one that this test plays itself, over the same
// protocol.
"use strict";

const assert = require("node:assert/strict");
const { after, afterEach, beforeEach, test } = require("node:test");
const grpc = require("@grpc/grpc-js");
const { peer: protos } = require("@hyperledger/fabric-protos");
const { Organisation } = require("../double/ca");
const { Peer } = require("../double/peer");
const { propose } = require("../double/proposal");
const { State } = require("../double/state");

const { Type } = protos.ChaincodeMessage;
const ID = "sdpp_1:abc";
const client = new Organisation("Org1MSP", "org1.example.com").client("ann");
const servers = [];
let peer;

beforeEach(() => {
  peer = undefined;
});
afterEach(() => peer?.close());
after(() => servers.forEach((server) => server.forceShutdown()));

test("chaincode that registers as another is not talked to", async () => {
  await chaincode({ id: "other_1:abc" });
  await assert.rejects(simulate(), /could not launch chaincode sdpp_1:abc: .*connection refused"$/);
});

test("chaincode that says nothing keeps its caller until the connection ends", async () => {
  const seen = await chaincode({});
  const answer = assert.rejects(simulate(), /failed to execute transaction \w{64}: error sending:/);
  await seen(Type.TRANSACTION);
  peer.close();
  await answer;
});

test("chaincode that ends the stream is an error, and is connected to anew", async () => {
  await chaincode({ on: { [Type.TRANSACTION]: (stream) => stream.end() } });
  await assert.rejects(simulate(), /chaincode stream terminated/);
  await assert.rejects(simulate(), /chaincode stream terminated/);
});

test("chaincode that asks for what is not served is refused", async () => {
  const ask = (stream, tx) => say(stream, Type.GET_HISTORY_FOR_KEY, tx);
  await chaincode({ on: { [Type.TRANSACTION]: ask } });
  await assert.rejects(simulate(), /the chaincode sent 19/);
});

test("an empty key and a collection that is none are errors to the chaincode", async () => {
  for (const [type, message] of [
    [Type.PUT_STATE, new protos.PutState()],
    [Type.GET_STATE, collectionOf(new protos.GetState())],
    [Type.DEL_STATE, collectionOf(new protos.DelState())],
  ]) {
    const seen = await chaincode({
      on: { [Type.TRANSACTION]: (stream, tx) => say(stream, type, tx, message.serializeBinary()) },
    });
    const answer = assert.rejects(simulate());
    const said = Buffer.from((await seen(Type.ERROR)).getPayload_asU8()).toString("utf8");
    assert.match(said, /must not be an empty string|collection none could not be found/);
    peer.close();
    await answer;
  }
});

function collectionOf(message) {
  message.setCollection("none");
  message.setKey("key");
  return message;
}

function simulate() {
  return peer.simulate(propose({ client, channel: "c", chaincode: "sdpp", func: "F", args: [] }));
}

// Chaincode that registers and does what it is told to on a message of a type; and a peer for it.
// What it gives back waits until a message of a type has come.
async function chaincode({ id = ID, on = {} }) {
  const seen = new Map();
  const came = (type) => {
    if (!seen.has(type)) {
      seen.set(type, withResolver());
    }
    return seen.get(type);
  };
  const connect = (stream) => {
    const name = new protos.ChaincodeID();
    name.setName(id);
    stream.on("error", () => {});
    stream.on("data", (message) => {
      came(message.getType()).resolve(message);
      on[message.getType()]?.(stream, message.getTxid());
    });
    say(stream, Type.REGISTER, "", name.serializeBinary());
  };
  const server = new grpc.Server();
  servers.push(server);
  server.addService(protos.ChaincodeService, { connect });
  const credentials = grpc.ServerCredentials.createInsecure();
  const port = await new Promise((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", credentials, (error, bound) =>
      error ? reject(error) : resolve(bound)));
  const address = `127.0.0.1:${port}`;
  const shared = { channel: "c", members: new Map(), state: new State([]) };
  peer = new Peer({ ...shared, address, chaincodeId: ID });
  return (type) => came(type).promise;
}

function say(stream, type, tx, payload = new Uint8Array()) {
  const message = new protos.ChaincodeMessage();
  message.setType(type);
  message.setTxid(tx);
  message.setChannelId("c");
  message.setPayload(payload);
  stream.write(message);
}

function withResolver() {
  const made = {};
  made.promise = new Promise((resolve) => Object.assign(made, { resolve }));
  return made;
}
