// Calls that are not the client's own: what a peer sends when another chaincode calls this one, and
// the client signed something for that other one.
"use strict";

const assert = require("node:assert/strict");
const { after, before, test } = require("node:test");
const { Organisation, accountOf } = require("../double/ca");
const { Peer } = require("../double/peer");
const { startChaincode } = require("../double/process");
const { propose } = require("../double/proposal");
const { State } = require("../double/state");
const { nameOf } = require("../src/self");

const client = new Organisation("Org1MSP", "org1.example.com").client("ann");
const pay = ["Pay", "r", accountOf(client), "Org1MSP/USD", "1"];
let chaincode;
let peer;

before(async () => {
  chaincode = await startChaincode("sdpp");
  const { address, id: chaincodeId } = chaincode;
  const shared = { channel: "c", members: new Map(), state: new State([]) };
  peer = new Peer({ ...shared, address, chaincodeId });
});
after(async () => {
  peer?.close();
  await chaincode?.stop();
});

test("what the client signed is done", async () => {
  const { payload } = await run({ signed: ["WhoAmI"] });
  assert.equal(JSON.parse(payload).account, accountOf(client));
  await assert.rejects(run({ signed: pay }), /^Error: BAD_ARGUMENT: nobody pays itself/);
});

test("a proposal to another chaincode is refused, with the same arguments too", async () => {
  for (const to of ["forwarder", "sdpp2", "sdp", ""]) {
    for (const call of [["WhoAmI"], ["OpenAccount"], pay]) {
      const refused = /^Error: NOT_DIRECT: the client called "\w*", this is "sdpp"/;
      await assert.rejects(run({ to, signed: call }), refused);
    }
  }
});

test("other arguments than the client signed are refused", async () => {
  for (const [signed, called] of [
    [["WhoAmI"], ["OpenAccount"]],
    [["WhoAmI"], pay],
    [pay.with(4, "2"), pay],
    [pay.slice(0, 4), pay],
    [[...pay, ""], pay],
  ]) {
    await assert.rejects(run({ signed, called }), /^Error: NOT_DIRECT: .* signed other arguments/);
  }
});

test("a proposal on another channel is refused", async () => {
  const elsewhere = run({ channel: "d", signed: ["WhoAmI"] });
  await assert.rejects(elsewhere, /^Error: NOT_DIRECT: .* on another channel/);
});

test("its name is that of its package's label, unless it is told", () => {
  const id = `sdpp_1.0:${"0".repeat(64)}`;
  const server = ["node", "cli.js", "server"];
  assert.equal(nameOf([...server, "--chaincode-id", id], {}), "sdpp");
  assert.equal(nameOf([...server, `--chaincode-id=${id}`], {}), "sdpp");
  assert.equal(nameOf(server, { CORE_CHAINCODE_ID: "my-pay_v2:0" }), "my-pay");
  assert.equal(nameOf(server, { CORE_CHAINCODE_ID_NAME: "plain:0" }), "plain");
  const told = { SDPP_CHAINCODE_NAME: "other" };
  assert.equal(nameOf([...server, "--chaincode-id", id], told), "other");
  assert.equal(nameOf(server, {}), "");
});

// A peer's call of the chaincode with `called`, for a client that signed `signed`.
async function run({ to = "sdpp", channel = "c", signed, called = signed }) {
  const sent = (chaincodeName, [func, ...args]) =>
    propose({ client, channel, chaincode: chaincodeName, func, args });
  const { input } = sent("sdpp", called);
  return peer.simulate({ ...sent(to, signed), input });
}
