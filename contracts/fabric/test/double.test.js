// The double's parts by themselves: certificates that others can read, the rules of validation, the
// guards that chaincode must not be able to pass.
"use strict";

const assert = require("node:assert/strict");
const { X509Certificate } = require("node:crypto");
const { test } = require("node:test");
const { Organisation, accountOf } = require("../double/ca");
const { Channel } = require("../double/channel");
const der = require("../double/der");
const { Faults } = require("../double/faults");
const { json } = require("../double/go");
const { Receipts } = require("../double/receipts");
const { Simulation, State } = require("../double/state");
const { Rig, fresh } = require("./rig");

test("certificates are X.509 that others read, and chain to their organisation", () => {
  const [one, two] = ["org1.com", "org2.com"].map((domain) => new Organisation("OrgMSP", domain));
  const client = one.client("ann", { "sdpp.admin": "true" });
  const ca = new X509Certificate(one.certificate);
  const read = new X509Certificate(client.certificate);
  assert.equal(ca.ca, true);
  assert.equal(ca.verify(ca.publicKey), true);
  assert.equal(read.checkIssued(ca), true);
  assert.equal(read.verify(ca.publicKey), true);
  assert.equal(read.verify(new X509Certificate(two.certificate).publicKey), false);
  assert.equal(read.subject, "OU=client\nCN=ann");
  assert.equal(read.ca, false);
  assert.equal(read.checkPrivateKey(client.privateKey), true);
  assert.ok(new Date(read.validFrom) < new Date() && new Date(read.validTo) > new Date());
  assert.ok(read.raw.includes('{"attrs":{"sdpp.admin":"true"}}'));
  const server = new X509Certificate(one.server().certificate);
  assert.equal(server.checkIP("127.0.0.1"), "127.0.0.1");
  assert.notEqual(accountOf(client), accountOf(two.client("ann")));
  assert.equal(accountOf(client), accountOf(one.client("ann")));
});

test("numbers and lengths are encoded as DER wants them", () => {
  assert.equal(der.integer(0).toString("hex"), "020100");
  assert.equal(der.integer(127).toString("hex"), "02017f");
  assert.equal(der.integer(128).toString("hex"), "02020080");
  assert.equal(der.integer(256).toString("hex"), "02020100");
  assert.equal(der.octets(Buffer.alloc(127)).subarray(0, 2).toString("hex"), "047f");
  assert.equal(der.octets(Buffer.alloc(128)).subarray(0, 3).toString("hex"), "048180");
  assert.equal(der.octets(Buffer.alloc(256)).subarray(0, 4).toString("hex"), "04820100");
  assert.equal(der.oid("1.2.840.10045.4.3.2").toString("hex"), "06082a8648ce3d040302");
});

test("JSON is written as Go writes it", () => {
  const [a, d] = [12345678901234567890n, "<&>\u2028é"];
  const value = { a, b: [], c: {}, d, e: undefined, f: [1, null] };
  const escaped = "\\u003c\\u0026\\u003e\\u2028é";
  const text = `{"a":12345678901234567890,"b":[],"c":{},"d":"${escaped}","f":[1,null]}`;
  assert.equal(json(value), text);
  assert.equal(json({ f: [1] }, { indent: true }), '{\n  "f": [\n    1\n  ]\n}');
});

test("a read of what was written since is a conflict, be it new, other or gone", () => {
  for (const change of [
    (state) => write(state, "a", "2"),
    (state) => write(state, "a", null),
    (state) => write(state, "b", "1"),
  ]) {
    const state = new State([]);
    write(state, "a", "1");
    const simulation = new Simulation(state);
    simulation.get("", "a");
    simulation.get("", "b");
    simulation.put("", "c", Buffer.from("1"));
    change(state);
    assert.equal(state.commit(simulation, "9:0"), "MVCC_READ_CONFLICT");
    assert.equal(state.part("").get("c"), undefined, "an invalid transaction wrote");
  }
});

test("a read of what is as it was is valid, also where others wrote beside it", () => {
  const state = new State([]);
  write(state, "a", "1");
  const simulation = new Simulation(state);
  simulation.get("", "a");
  simulation.range("", "x", "y").next();
  simulation.put("", "a", Buffer.from("2"));
  write(state, "b", "1");
  write(state, "y", "1");
  assert.equal(state.commit(simulation, "9:0"), "VALID");
  assert.equal(state.part("").get("a").value.toString(), "2");
});

test("a range with a row more, fewer or other is a phantom, as far as it was read", () => {
  for (const [change, code] of [
    [(state) => write(state, "k15", "1"), "PHANTOM_READ_CONFLICT"],
    [(state) => write(state, "k1", null), "PHANTOM_READ_CONFLICT"],
    [(state) => write(state, "k2", "other"), "PHANTOM_READ_CONFLICT"],
    [(state) => write(state, "k9", "1"), "PHANTOM_READ_CONFLICT"],
    [(state) => write(state, "j", "1"), "VALID"],
    [(state) => write(state, "l", "1"), "VALID"],
  ]) {
    const state = new State([]);
    ["k1", "k2", "k3"].forEach((key) => write(state, key, "1"));
    const simulation = new Simulation(state);
    const { rows, more } = simulation.range("", "k", "l").next();
    assert.deepEqual([rows.map(({ key }) => key), more], [["k1", "k2", "k3"], false]);
    change(state);
    assert.equal(state.commit(simulation, "9:0"), code);
  }
});

test("a range is read by pages of 100, and what was not read cannot be a phantom", () => {
  const state = new State([]);
  const key = (at) => `k${String(at).padStart(3, "0")}`;
  Array.from({ length: 150 }, (_, at) => write(state, key(at), "1"));
  const simulation = new Simulation(state);
  const range = simulation.range("", "k", "l");
  assert.deepEqual([range.next().rows.length, simulation.ranges[0].isDone], [100, false]);
  write(state, key(149), "2");
  assert.equal(state.commit(simulation, "9:0"), "VALID");
  const all = new Simulation(state);
  const pages = all.range("", "k", "l");
  assert.deepEqual([pages.next().more, pages.next().rows.length], [true, 50]);
  write(state, key(149), "3");
  assert.equal(state.commit(all, "9:1"), "PHANTOM_READ_CONFLICT");
});

test("keys are in the order of their bytes", () => {
  const state = new State([]);
  const keys = ["\u{10ffff}", "\uffff", "b", "a\u0000c", "a"];
  keys.forEach((key) => write(state, key, "1"));
  const { rows } = new Simulation(state).range("", "", "").next();
  assert.deepEqual(rows.map(({ key }) => key), keys.toReversed());
});

test("endorsers that do not agree endorse nothing", async () => {
  const channel = channelOf([answer("1"), answer("2")]);
  const said = /ENDORSEMENT_MISMATCH.*ProposalResponsePayloads do not match/;
  await assert.rejects(endorse(channel), said);
  await endorse(channelOf([answer("1"), answer("1")]));
  const told = (words) => answer("1", { name: "e", payload: Buffer.from(words) });
  await assert.rejects(endorse(channelOf([told("1"), told("2")])), /ENDORSEMENT_MISMATCH/);
});

test("a block is cut when it is full, without waiting", async () => {
  const channel = channelOf([answer("1")], { blockMs: 3_600_000, blockTransactions: 2 });
  assert.deepEqual(await placesOf(channel, 4), [1, 1, 2, 2]);
});

test("a block that is not full is cut a while after its first transaction", async () => {
  const channel = channelOf([answer("1")], { blockMs: 5, blockTransactions: 2 });
  assert.deepEqual(await placesOf(channel, 3), [1, 1, 2]);
});

test("only a member's clients read and write a collection", async () => {
  const rig = await Rig.double({ collections: [{ name: "bodies", members: ["Org1MSP"] }] });
  try {
    const [seller, buyer] = [await rig.client("seller").begin(), await rig.client("buyer").begin()];
    const map = { body: "{}", salt: "5a".repeat(32) };
    const args = (reference) => ["PutPrivateRecord", reference, fresh(), "1", "invoice"];
    const reference = fresh();
    await seller.submitWith(map, ...args(reference));
    const refused = /does not have read access permission on privatedata/;
    assert.match((await buyer.tryWith(map, ...args(fresh()))).text, refused);
    const asked = await buyer.tryQuery("GetPrivateRecord", seller.account, reference);
    assert.match(asked.text, refused);
    assert.ok((await buyer.query("Get", "record", seller.account, reference)).digest);
  } finally {
    await rig.stop();
  }
});

test("receipts are limited, and the oldest go", () => {
  const receipts = new Receipts();
  for (let at = 0; at <= 10_000; at += 1) {
    receipts.keep({ _id: String(at), receivedAt: at });
  }
  assert.equal(receipts.get("0"), undefined);
  assert.equal(receipts.get("1").receivedAt, 1);
  const { receipts: newest } = receipts.list([], "1");
  assert.equal(newest[0]._id, "10000");
  assert.deepEqual(receipts.list([], "-1"), { error: "Invalid 'limit' query parameter" });
});

function write(state, key, value) {
  const simulation = new Simulation(state);
  simulation.put("", key, value === null ? null : Buffer.from(value));
  write.count = (write.count ?? 0) + 1;
  assert.equal(state.commit(simulation, `1:${write.count}`), "VALID");
}

// A channel whose peers answer as they are told, without chaincode.
function channelOf(answers, limits) {
  const organisations = answers.map(() => ({}));
  const shared = { name: "c", chaincode: "cc", collections: [], peers: {} };
  const channel = new Channel({ ...shared, organisations, faults: new Faults(), limits });
  channel.peers = answers.map((simulate) => ({ simulate: async () => simulate(channel.state) }));
  return channel;
}

function answer(written, event) {
  return (state) => {
    const simulation = new Simulation(state);
    simulation.put("", "key", Buffer.from(written));
    return { simulation, payload: Buffer.alloc(0), event };
  };
}

// The blocks in which so many transactions come to stand that are ordered at once.
async function placesOf(channel, count) {
  const txs = await Promise.all(Array.from({ length: count }, () => endorse(channel)));
  const placed = await Promise.all(txs.map((tx) => channel.order(tx)));
  assert.ok(placed.every(({ code }) => code === "VALID"));
  return placed.map(({ number }) => number);
}

function endorse(channel) {
  const client = new Organisation("OrgMSP", "org.example.com").client("ann");
  return channel.endorse({ client, func: "F", args: [] });
}
